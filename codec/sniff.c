/* sniff.c - what a connection speaks, by its first bytes. */
#include <weft/wire.h>

#include <string.h>

#include "frame_internal.h"

/* "PRI " is what HTTP/2's preface begins with (RFC 9113, 3.4). */
static const struct {
    const char *prefix;
    weft__protocol protocol;
} table[] = {
    {"\x11", WEFT__PROTOCOL_NATIVE},    {"\x16\x03", WEFT__PROTOCOL_TLS},
    {"PRI ", WEFT__PROTOCOL_HTTP2},     {"GET ", WEFT__PROTOCOL_HTTP1},
    {"POST ", WEFT__PROTOCOL_HTTP1},    {"PUT ", WEFT__PROTOCOL_HTTP1},
    {"HEAD ", WEFT__PROTOCOL_HTTP1},    {"DELETE ", WEFT__PROTOCOL_HTTP1},
    {"OPTIONS ", WEFT__PROTOCOL_HTTP1}, {"PATCH ", WEFT__PROTOCOL_HTTP1},
    {"TRACE ", WEFT__PROTOCOL_HTTP1},   {"CONNECT ", WEFT__PROTOCOL_HTTP1},
};

weft__protocol weft__sniff(const uint8_t *data, size_t len)
{
    weft__protocol result = WEFT__PROTOCOL_UNKNOWN;

    if (len == 0)
        return WEFT__PROTOCOL_MORE;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t n = strlen(table[i].prefix);

        if (memcmp(data, table[i].prefix, len < n ? len : n) != 0)
            continue;
        if (len >= n)
            return table[i].protocol;
        result = WEFT__PROTOCOL_MORE;
    }
    return result;
}
