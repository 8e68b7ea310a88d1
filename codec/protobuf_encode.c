/* protobuf_encode.c - protobuf-c messages into bytes.
 *
 * The bytes are protobuf_c_message_pack's.  It packs a sub-message in order to
 * know its length and then moves it; here a message is written from its end
 * towards its beginning, so that a length is known where it is to be written,
 * and sizes are computed once, for the whole.
 *
 *  E1. What the put functions write is what the size functions counted, each
 *      beside its counterpart: field by field the same conditions.
 *  E2. A put function gets the place behind what it writes, and returns the
 *      first byte of it. */
#include <weft/protobuf.h>

#include <assert.h>
#include <string.h>
#include <weft/hint.h>

#include "protobuf_number_internal.h"

static inline const void *member_of(const ProtobufCMessage *message,
                                    unsigned offset)
{
    return (const char *)message + offset;
}

static inline uint32_t load32(const void *member)
{
    uint32_t v;

    memcpy(&v, member, sizeof(v));
    return v;
}

static inline uint64_t load64(const void *member)
{
    uint64_t v;

    memcpy(&v, member, sizeof(v));
    return v;
}

static inline const void *load_pointer(const void *member)
{
    const void *p;

    memcpy(&p, member, sizeof(p));
    return p;
}

static const uint8_t wire_of[] = {[PROTOBUF_C_TYPE_INT32] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_SINT32] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_SFIXED32] = WEFT__WIRE_32,
                                  [PROTOBUF_C_TYPE_INT64] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_SINT64] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_SFIXED64] = WEFT__WIRE_64,
                                  [PROTOBUF_C_TYPE_UINT32] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_FIXED32] = WEFT__WIRE_32,
                                  [PROTOBUF_C_TYPE_UINT64] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_FIXED64] = WEFT__WIRE_64,
                                  [PROTOBUF_C_TYPE_FLOAT] = WEFT__WIRE_32,
                                  [PROTOBUF_C_TYPE_DOUBLE] = WEFT__WIRE_64,
                                  [PROTOBUF_C_TYPE_BOOL] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_ENUM] = WEFT__WIRE_VARINT,
                                  [PROTOBUF_C_TYPE_STRING] = WEFT__WIRE_BYTES,
                                  [PROTOBUF_C_TYPE_BYTES] = WEFT__WIRE_BYTES,
                                  [PROTOBUF_C_TYPE_MESSAGE] = WEFT__WIRE_BYTES};

/* proto3: nothing says whether it is set, and zero is not written. */
static inline bool is_implicit(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_NONE &&
           (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
}

/* Of a field that says whether it is set. */
static WEFT__APART bool is_set(const ProtobufCMessage *message,
                               const ProtobufCFieldDescriptor *f,
                               const void *member)
{
    bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    uint32_t has;

    if (f->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    has = load32(member_of(message, f->quantifier_offset));
    if (oneof && has != f->id)
        return false;
    if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
        return load_pointer(member) != NULL &&
               load_pointer(member) != f->default_value;
    return oneof || has != 0;
}

static inline size_t tag_size(uint32_t number)
{
    return weft__varint_size((uint64_t)number << 3);
}

static WEFT__APART uint8_t *put_long_varint(uint8_t *p, uint64_t v)
{
    p -= weft__varint_size(v);
    (void)weft__varint_put(p, v);
    return p;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    if (v < 0x80) {
        *--p = (uint8_t)v;
        return p;
    }
    if (v >= 0x4000)
        return put_long_varint(p, v);
    *--p = (uint8_t)(v >> 7);
    *--p = (uint8_t)(v | 0x80);
    return p;
}

static inline uint8_t *put_tag(uint8_t *p, uint32_t number, unsigned wire)
{
    return put_varint(p, (uint64_t)number << 3 | wire);
}

static uint8_t *put_message(uint8_t *p, const ProtobufCMessage *message);

/* The number that stands for a member of wire type varint; of signed ones the
 * sign goes all the way. */
static inline uint64_t varint_of(ProtobufCType type, const void *member)
{
    uint64_t v;

    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return load64(member);
    case PROTOBUF_C_TYPE_UINT32:
        return load32(member);
    case PROTOBUF_C_TYPE_BOOL:
        return load32(member) != 0;
    case PROTOBUF_C_TYPE_SINT64:
        v = load64(member);
        break;
    default:
        v = (uint64_t)(int64_t)(int32_t)load32(member);
        if (type != PROTOBUF_C_TYPE_SINT32)
            return v;
    }
    return (v << 1) ^ (0 - (v >> 63));
}

/* What stands behind a tag.  Of an implicit field, a zero takes nothing; for
 * that, the sign of a real number does not count. */
WEFT__INLINE size_t value_size(ProtobufCType type, const void *member,
                               bool implicit)
{
    const void *from;
    uint64_t v;
    size_t len;

    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        from = load_pointer(member);
        len = from != NULL ? strlen(from) : 0;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        len = ((const ProtobufCBinaryData *)member)->len;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if ((from = load_pointer(member)) == NULL)
            return implicit ? 0 : 1;
        len = weft__protobuf_size(from);
        return weft__varint_size((uint32_t)len) + len;
    case PROTOBUF_C_TYPE_FLOAT:
        return implicit && load32(member) << 1 == 0 ? 0 : 4;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return implicit && load32(member) == 0 ? 0 : 4;
    case PROTOBUF_C_TYPE_DOUBLE:
        return implicit && load64(member) << 1 == 0 ? 0 : 8;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return implicit && load64(member) == 0 ? 0 : 8;
    default:
        v = varint_of(type, member);
        return implicit && v == 0 ? 0 : weft__varint_size(v);
    }
    return implicit && len == 0 ? 0 : weft__varint_size((uint32_t)len) + len;
}

WEFT__INLINE uint8_t *put_value(uint8_t *p, ProtobufCType type,
                                const void *member, bool implicit)
{
    uint8_t *end = p;
    const void *from = NULL;
    uint64_t v;
    size_t len;

    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        from = load_pointer(member);
        len = from != NULL ? strlen(from) : 0;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        from = ((const ProtobufCBinaryData *)member)->data;
        len = ((const ProtobufCBinaryData *)member)->len;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if ((from = load_pointer(member)) != NULL)
            p = put_message(p, from);
        else if (implicit)
            return p;
        return put_varint(p, (uint32_t)(end - p));
    case PROTOBUF_C_TYPE_FLOAT:
        if (implicit && load32(member) << 1 == 0)
            return p;
        weft__copy32(p - 4, member);
        return p - 4;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (implicit && load32(member) == 0)
            return p;
        weft__copy32(p - 4, member);
        return p - 4;
    case PROTOBUF_C_TYPE_DOUBLE:
        if (implicit && load64(member) << 1 == 0)
            return p;
        weft__copy64(p - 8, member);
        return p - 8;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if (implicit && load64(member) == 0)
            return p;
        weft__copy64(p - 8, member);
        return p - 8;
    default:
        v = varint_of(type, member);
        return implicit && v == 0 ? p : put_varint(p, v);
    }
    if (len == 0)
        return implicit ? p : put_varint(p, 0);
    p -= len;
    memcpy(p, from, len);
    return put_varint(p, (uint32_t)len);
}

static WEFT__APART size_t array_size(const ProtobufCFieldDescriptor *f,
                                     size_t n, const char *array)
{
    size_t size, sum = 0;

    if (n == 0)
        return 0;
    size = weft__protobuf_element_size(f->type);
    for (size_t i = 0; i < n; i++)
        sum += value_size(f->type, array + i * size, false);
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0)
        return tag_size(f->id) + weft__varint_size((uint32_t)sum) + sum;
    return n * tag_size(f->id) + sum;
}

static WEFT__APART uint8_t *put_array(uint8_t *p,
                                      const ProtobufCFieldDescriptor *f,
                                      size_t n, const char *array)
{
    bool packed = (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;
    uint8_t *end = p;
    size_t size;

    if (n == 0)
        return p;
    size = weft__protobuf_element_size(f->type);
    for (size_t i = n; i-- > 0;) {
        p = put_value(p, f->type, array + i * size, false);
        if (!packed)
            p = put_tag(p, f->id, wire_of[f->type]);
    }
    if (packed) {
        p = put_varint(p, (uint32_t)(end - p));
        p = put_tag(p, f->id, WEFT__WIRE_BYTES);
    }
    return p;
}

static inline size_t count_of(const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *f)
{
    size_t n;

    memcpy(&n, member_of(message, f->quantifier_offset), sizeof(n));
    return n;
}

/* Fields that the descriptor does not know. */
static WEFT__APART size_t unknown_size(const ProtobufCMessage *message)
{
    size_t sum = 0;

    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        sum += tag_size(message->unknown_fields[i].tag) +
               message->unknown_fields[i].len;
    return sum;
}

static WEFT__APART uint8_t *put_unknown(uint8_t *p,
                                        const ProtobufCMessage *message)
{
    for (unsigned i = message->n_unknown_fields; i-- > 0;) {
        const ProtobufCMessageUnknownField *u = &message->unknown_fields[i];

        p -= u->len;
        if (u->len != 0)
            memcpy(p, u->data, u->len);
        p = put_tag(p, u->tag, (unsigned)u->wire_type);
    }
    return p;
}

size_t weft__protobuf_size(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *f = message->descriptor->fields;
    size_t sum = 0;

    for (unsigned left = message->descriptor->n_fields; left > 0; left--, f++) {
        const void *member = member_of(message, f->offset);
        bool implicit = is_implicit(f);
        size_t size;

        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            sum += array_size(f, count_of(message, f), load_pointer(member));
        else if ((implicit || is_set(message, f, member)) &&
                 (size = value_size(f->type, member, implicit)) != 0)
            sum += tag_size(f->id) + size;
    }
    return message->n_unknown_fields == 0 ? sum : sum + unknown_size(message);
}

static uint8_t *put_message(uint8_t *p, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;

    if (message->n_unknown_fields != 0)
        p = put_unknown(p, message);
    for (unsigned i = message->descriptor->n_fields; i-- > 0;) {
        const ProtobufCFieldDescriptor *f = &fields[i];
        const void *member = member_of(message, f->offset);
        bool implicit = is_implicit(f);
        uint8_t *end = p;

        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            p = put_array(p, f, count_of(message, f), load_pointer(member));
        else if ((implicit || is_set(message, f, member)) &&
                 (p = put_value(p, f->type, member, implicit)) != end)
            p = put_tag(p, f->id, wire_of[f->type]);
    }
    return p;
}

void weft__protobuf_pack(const void *message, uint8_t *out, size_t size)
{
    uint8_t *first = put_message(out + size, message);

    assert(first == out);
    (void)first;
}
