/* varint.c - variable-length integers that take more than two bytes. */
#include "varint_internal.h"

const uint8_t *weft__varint_get_long(const uint8_t *p, const uint8_t *end,
                                     uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
        uint64_t byte = *p++;

        v |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return p;
        }
    }
    return NULL;
}
