/* protobuf_number_internal.h - tags, lengths and numbers of a message that is
 * being decoded.
 *
 * What is read and what is refused is as protobuf-c has it (protobuf_decode.c
 * says where not).  Each returns the byte behind what it read.
 * Source of the format: protobuf.dev/programming-guides/encoding. */
#ifndef WEFT_PROTOBUF_NUMBER_INTERNAL_H
#define WEFT_PROTOBUF_NUMBER_INTERNAL_H

#include <string.h>

#include "protobuf_decode_internal.h"
#include "varint_internal.h"

/* A tag of at most five bytes: the field's number is 1 to 2^29 - 1.  p < end.
 * NULL: not one. */
static inline const uint8_t *
weft__protobuf_tag(const uint8_t *p, const uint8_t *end, uint32_t *tag)
{
    const uint8_t *start = p;
    uint64_t v;

    if (*p < 0x80) {
        *tag = *p;
        return *p >= 8 ? p + 1 : NULL;
    }
    if (end - p >= 2 && p[1] < 0x80) {
        v = (p[0] & 0x7fu) | (uint32_t)p[1] << 7;
        p += 2;
    } else if ((p = weft__varint_get(p, end, &v)) == NULL || p - start > 5)
        return NULL;
    if (v < 8 || v > UINT32_MAX)
        return NULL;
    *tag = (uint32_t)v;
    return p;
}

/* A length of at most five bytes, and as many bytes behind it; NULL: not so. */
static inline const uint8_t *
weft__protobuf_length(const uint8_t *p, const uint8_t *end, size_t *len)
{
    const uint8_t *start = p;
    uint64_t v;

    if (p < end && *p < 0x80)
        v = *p++;
    else if ((p = weft__varint_get(p, end, &v)) == NULL || p - start > 5 ||
             v > INT32_MAX)
        return NULL;
    if (v > (uint64_t)(end - p))
        return NULL;
    *len = (size_t)v;
    return p;
}

/* Returns the byte behind the value; NULL: cut off, or a group. */
static inline const uint8_t *
weft__protobuf_skip(const uint8_t *p, const uint8_t *end, unsigned wire)
{
    uint64_t v;
    size_t len;

    switch (wire) {
    case WEFT__WIRE_VARINT:
        return weft__varint_get(p, end, &v);
    case WEFT__WIRE_64:
        return end - p >= 8 ? p + 8 : NULL;
    case WEFT__WIRE_32:
        return end - p >= 4 ? p + 4 : NULL;
    case WEFT__WIRE_BYTES:
        return (p = weft__protobuf_length(p, end, &len)) != NULL ? p + len
                                                                 : NULL;
    default:
        return NULL;
    }
}

static inline uint32_t weft__zigzag32(uint32_t v)
{
    return (v >> 1) ^ (0 - (v & 1));
}

static inline uint64_t weft__zigzag64(uint64_t v)
{
    return (v >> 1) ^ (0 - (v & 1));
}

static inline void weft__put32(void *member, uint32_t v)
{
    memcpy(member, &v, sizeof(v));
}

static inline void weft__put64(void *member, uint64_t v)
{
    memcpy(member, &v, sizeof(v));
}

/* Little-endian numbers from the wire. */
static inline void weft__copy32(void *member, const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    weft__put32(member, v);
}

static inline void weft__copy64(void *member, const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    weft__put64(member, v);
}

/* As protobuf-c has it: of any wire type, true when any bit is set that is not
 * a continuation. */
static inline const uint8_t *
weft__protobuf_bool(weft__decoder *d, unsigned wire, const uint8_t *p,
                    const uint8_t *end, void *member)
{
    const uint8_t *behind = weft__protobuf_skip(p, end, wire);
    protobuf_c_boolean set = 0;

    if (behind == NULL)
        return weft__decoder_malformed(d);
    for (; p < behind; p++)
        set |= (*p & 0x7f) != 0;
    memcpy(member, &set, sizeof(set));
    return behind;
}

/* A varint as a member of its type. */
static inline void weft__put_number(void *member, ProtobufCType type,
                                    uint64_t v)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SINT32:
        weft__put32(member, weft__zigzag32((uint32_t)v));
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        weft__put64(member, v);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        weft__put64(member, weft__zigzag64(v));
        break;
    default:
        weft__put32(member, (uint32_t)v);
    }
}

#endif /* WEFT_PROTOBUF_NUMBER_INTERNAL_H */
