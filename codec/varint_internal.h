/* varint_internal.h - protobuf's variable-length integers and tags.
 *
 * Source of the format: protobuf.dev/programming-guides/encoding. */
#ifndef WEFT_VARINT_INTERNAL_H
#define WEFT_VARINT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

enum {
    WEFT__WIRE_VARINT = 0,
    WEFT__WIRE_64 = 1,
    WEFT__WIRE_BYTES = 2,
    WEFT__WIRE_32 = 5
};

#define WEFT__TAG(field, wire) ((uint8_t)((field) << 3 | (wire)))

/* A byte for every seven bits. */
static inline size_t weft__varint_size(uint64_t v)
{
    return v < 0x80 ? 1 : ((63u - (unsigned)__builtin_clzll(v)) * 9 + 73) / 64;
}

/* Returns the byte behind it. */
static inline uint8_t *weft__varint_put(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

const uint8_t *weft__varint_get_long(const uint8_t *p, const uint8_t *end,
                                     uint64_t *out);

/* Returns the byte behind it; NULL when it is cut off or longer than ten.  Most
 * take one byte, and the lengths of what is not tiny two. */
static inline const uint8_t *weft__varint_get(const uint8_t *p,
                                              const uint8_t *end, uint64_t *out)
{
    if (p < end && *p < 0x80) {
        *out = *p;
        return p + 1;
    }
    if (end - p >= 2 && p[1] < 0x80) {
        *out = (p[0] & 0x7fu) | (uint32_t)p[1] << 7;
        return p + 2;
    }
    return weft__varint_get_long(p, end, out);
}

/* A tag: at most five bytes, field number 1 to 2^29 - 1.  NULL: not one. */
static inline const uint8_t *weft__tag_get(const uint8_t *p, const uint8_t *end,
                                           uint32_t *field, unsigned *wire)
{
    uint64_t v;

    p = weft__varint_get(p, end, &v);
    if (p == NULL || v > UINT32_MAX || v < 8)
        return NULL;
    *field = (uint32_t)(v >> 3);
    *wire = (unsigned)(v & 7);
    return p;
}

#endif /* WEFT_VARINT_INTERNAL_H */
