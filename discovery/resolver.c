/* resolver.c - resolvers by scheme, and the texts that they share. */
#include "discovery_internal.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>
#include <weft/registry.h>

static weft__registry registry;
static pthread_once_t builtin_once = PTHREAD_ONCE_INIT;

static void register_builtin(void)
{
    static const weft_resolver_ops *const builtin[] = {
        &weft__resolver_static, &weft__resolver_tcp,
        &weft__resolver_unix,   &weft__resolver_inproc,
        &weft__resolver_consul, &weft__resolver_consul_kv,
    };

    for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++)
        (void)weft__registry_add(&registry, builtin[i]->scheme, builtin[i]);
}

weft_status weft_resolver_register(const weft_resolver_ops *ops)
{
    if (ops == NULL || ops->scheme == NULL || ops->start == NULL ||
        ops->close == NULL)
        return WEFT_EINVAL;
    pthread_once(&builtin_once, register_builtin);
    return weft__registry_add(&registry, ops->scheme, ops);
}

const weft_resolver_ops *weft__resolver_find(const char *scheme)
{
    pthread_once(&builtin_once, register_builtin);
    return weft__registry_find(&registry, scheme, strlen(scheme));
}

const char *weft__resolver_names(char *buf, size_t size)
{
    pthread_once(&builtin_once, register_builtin);
    return weft__registry_names(&registry, buf, size);
}

static bool is_plain(unsigned char c, const char *keep)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || strchr("-._~", c) != NULL ||
           strchr(keep, c) != NULL;
}

weft_status weft__escape(weft__buf *out, const char *text, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = strlen(text);
    uint8_t *to;

    if (len > (SIZE_MAX - 1) / 3 ||
        weft__buf_reserve(out, 3 * len + 1) != WEFT_OK)
        return WEFT_ENOMEM;
    to = out->data + out->len;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (is_plain(c, keep)) {
            *to++ = c;
            continue;
        }
        *to++ = '%';
        *to++ = (uint8_t)hex[c >> 4];
        *to++ = (uint8_t)hex[c & 15];
    }
    *to = '\0';
    out->len = (size_t)(to - out->data);
    return WEFT_OK;
}

bool weft__parse_ms(const char *text, uint32_t *ms)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t n = 0;
    size_t digits = 0;

    for (; isdigit((unsigned char)text[digits]); digits++)
        if ((n = n * 10 + (uint64_t)(text[digits] - '0')) > UINT32_MAX)
            return false;
    for (size_t i = 0; digits > 0 && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(text + digits, units[i].unit) == 0 &&
            n * units[i].ms < UINT32_MAX) {
            *ms = (uint32_t)n * units[i].ms;
            return true;
        }
    return false;
}
