/* protobuf_array.c - elements of repeated fields: their size, packed ones. */
#include <string.h>

#include "protobuf_number_internal.h"

size_t weft__protobuf_element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static bool is_fixed(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return true;
    default:
        return false;
    }
}

static void packed_fixed(const uint8_t *p, size_t n, size_t size, void *to)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to, p, n * size);
#else
    for (size_t i = 0; i < n; i++, p += size)
        if (size == 4)
            weft__copy32((uint32_t *)to + i, p);
        else
            weft__copy64((uint64_t *)to + i, p);
#endif
}

/* Numbers of which any bit may be set. */
static bool packed_bools(weft__decoder *d, const uint8_t *p, size_t len,
                         protobuf_c_boolean *to)
{
    const uint8_t *end = p + len;

    while (p != NULL && p < end)
        p = weft__protobuf_bool(d, WEFT__WIRE_VARINT, p, end, to++);
    return p != NULL;
}

/* Values in len bytes, which end with the end of a value. */
static bool packed_varints(ProtobufCType type, const uint8_t *p, size_t len,
                           char *to, size_t size)
{
    const uint8_t *end = p + len;
    uint64_t v;

    for (; p < end; to += size) {
        if ((p = weft__varint_get(p, end, &v)) == NULL)
            return false;
        weft__put_number(to, type, v);
    }
    return true;
}

/* How many varints end in len bytes. */
static size_t count_varints(const uint8_t *p, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += p[i] < 0x80;
    return n;
}

const uint8_t *weft__protobuf_packed(weft__decoder *d, ProtobufCType type,
                                     const uint8_t *p, const uint8_t *end,
                                     size_t *n, void **array)
{
    size_t len, more, size = weft__protobuf_element_size(type);
    bool good = true;
    void *to;

    if ((p = weft__protobuf_length(p, end, &len)) == NULL)
        return weft__decoder_malformed(d);
    if (len == 0)
        return p;
    more = is_fixed(type) ? len / size : count_varints(p, len);
    if (!weft__decoder_count(d, more))
        return NULL;
    if ((to = weft__decoder_grow(d, array, *n, more, size)) == NULL)
        return NULL;
    if (is_fixed(type)) {
        good = len % size == 0;
        packed_fixed(p, more, size, to);
    } else {
        good =
            p[len - 1] < 0x80 && (type == PROTOBUF_C_TYPE_BOOL
                                      ? packed_bools(d, p, len, to)
                                      : packed_varints(type, p, len, to, size));
    }
    *n += more;
    return good ? p + len : weft__decoder_malformed(d);
}
