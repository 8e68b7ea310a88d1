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

/* How a type looks in memory and on the wire: a table, because jumping by type
 * is what encoding would spend its time on. */
typedef struct traits {
    uint8_t wire, size;
    enum { PLAIN, SIGNED, ZIGZAG, TRUTH, REAL } kind;
} traits;

static const traits traits_of[] = {
    [PROTOBUF_C_TYPE_INT32] = {WEFT__WIRE_VARINT, 4, SIGNED},
    [PROTOBUF_C_TYPE_SINT32] = {WEFT__WIRE_VARINT, 4, ZIGZAG},
    [PROTOBUF_C_TYPE_SFIXED32] = {WEFT__WIRE_32, 4, PLAIN},
    [PROTOBUF_C_TYPE_INT64] = {WEFT__WIRE_VARINT, 8, PLAIN},
    [PROTOBUF_C_TYPE_SINT64] = {WEFT__WIRE_VARINT, 8, ZIGZAG},
    [PROTOBUF_C_TYPE_SFIXED64] = {WEFT__WIRE_64, 8, PLAIN},
    [PROTOBUF_C_TYPE_UINT32] = {WEFT__WIRE_VARINT, 4, PLAIN},
    [PROTOBUF_C_TYPE_FIXED32] = {WEFT__WIRE_32, 4, PLAIN},
    [PROTOBUF_C_TYPE_UINT64] = {WEFT__WIRE_VARINT, 8, PLAIN},
    [PROTOBUF_C_TYPE_FIXED64] = {WEFT__WIRE_64, 8, PLAIN},
    [PROTOBUF_C_TYPE_FLOAT] = {WEFT__WIRE_32, 4, REAL},
    [PROTOBUF_C_TYPE_DOUBLE] = {WEFT__WIRE_64, 8, REAL},
    [PROTOBUF_C_TYPE_BOOL] = {WEFT__WIRE_VARINT, 4, TRUTH},
    [PROTOBUF_C_TYPE_ENUM] = {WEFT__WIRE_VARINT, 4, SIGNED},
    [PROTOBUF_C_TYPE_STRING] = {WEFT__WIRE_BYTES, sizeof(char *), PLAIN},
    [PROTOBUF_C_TYPE_BYTES] = {WEFT__WIRE_BYTES, sizeof(size_t), PLAIN},
    [PROTOBUF_C_TYPE_MESSAGE] = {WEFT__WIRE_BYTES, sizeof(void *), PLAIN}};

/* What proto3 does not write: no length, no pointer, no bit; of a real number,
 * none but the sign. */
static inline bool is_zero(const ProtobufCFieldDescriptor *f,
                           const void *member)
{
    const traits *t = &traits_of[f->type];
    uint64_t v = t->size == 8      ? load64(member)
                 : t->kind == REAL ? (uint64_t)load32(member) << 32
                                   : load32(member);

    if ((t->kind == REAL ? v << 1 : v) == 0)
        return true;
    return f->type == PROTOBUF_C_TYPE_STRING &&
           *(const char *)load_pointer(member) == '\0';
}

/* Whether a singular field is written. */
static inline bool is_set(const ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *f, const void *member)
{
    bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    uint32_t has;

    if (f->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (f->label == PROTOBUF_C_LABEL_NONE && !oneof)
        return !is_zero(f, member);
    has = load32(member_of(message, f->quantifier_offset));
    if (oneof && has != f->id)
        return false;
    if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
        return load_pointer(member) != NULL &&
               load_pointer(member) != f->default_value;
    return oneof || has != 0;
}

static inline unsigned wire_of(ProtobufCType type)
{
    return traits_of[type].wire;
}

static inline size_t element_size(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData)
                                         : traits_of[type].size;
}

/* The number that stands for a member of wire type varint; of signed ones the
 * sign goes all the way. */
static inline uint64_t varint_of(ProtobufCType type, const void *member)
{
    const traits *t = &traits_of[type];
    uint64_t v = t->size == 8 ? load64(member)
                 : t->kind == PLAIN
                     ? load32(member)
                     : (uint64_t)(int64_t)(int32_t)load32(member);

    if (t->kind == ZIGZAG)
        return (v << 1) ^ (0 - (v >> 63));
    return t->kind == TRUTH ? v != 0 : v;
}

static inline size_t varint_size(uint64_t v)
{
    return ((63u - (unsigned)__builtin_clzll(v | 1)) * 9 + 73) / 64;
}

static inline size_t tag_size(uint32_t number)
{
    return varint_size((uint64_t)number << 3);
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    if (v < 0x80) {
        *--p = (uint8_t)v;
        return p;
    }
    p -= varint_size(v);
    (void)weft__varint_put(p, v);
    return p;
}

static inline uint8_t *put_tag(uint8_t *p, uint32_t number, unsigned wire)
{
    return put_varint(p, (uint64_t)number << 3 | wire);
}

static uint8_t *put_message(uint8_t *p, const ProtobufCMessage *message);

/* A string, bytes or a message, without the length in front of it. */
static size_t content_size(ProtobufCType type, const void *member)
{
    const void *p;

    if (type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)member)->len;
    if ((p = load_pointer(member)) == NULL)
        return 0;
    return type == PROTOBUF_C_TYPE_STRING ? strlen(p) : weft__protobuf_size(p);
}

static uint8_t *put_content(uint8_t *p, ProtobufCType type, const void *member)
{
    const void *from = load_pointer(member);
    size_t len;

    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return from != NULL ? put_message(p, from) : p;
    len = content_size(type, member);
    if (type == PROTOBUF_C_TYPE_BYTES)
        from = ((const ProtobufCBinaryData *)member)->data;
    p -= len;
    if (len != 0)
        memcpy(p, from, len);
    return p;
}

/* What stands behind a tag. */
static inline size_t value_size(ProtobufCType type, const void *member)
{
    size_t len;

    switch (wire_of(type)) {
    case WEFT__WIRE_32:
        return 4;
    case WEFT__WIRE_64:
        return 8;
    case WEFT__WIRE_BYTES:
        len = content_size(type, member);
        return varint_size((uint32_t)len) + len;
    default:
        return varint_size(varint_of(type, member));
    }
}

static inline uint8_t *put_value(uint8_t *p, ProtobufCType type,
                                 const void *member)
{
    uint8_t *end = p;

    switch (wire_of(type)) {
    case WEFT__WIRE_32:
        weft__copy32(p - 4, member);
        return p - 4;
    case WEFT__WIRE_64:
        weft__copy64(p - 8, member);
        return p - 8;
    case WEFT__WIRE_BYTES:
        p = put_content(p, type, member);
        return put_varint(p, (uint32_t)(end - p));
    default:
        return put_varint(p, varint_of(type, member));
    }
}

static size_t array_size(const ProtobufCFieldDescriptor *f, size_t n,
                         const char *array)
{
    size_t size = element_size(f->type), sum = 0;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        sum += value_size(f->type, array + i * size);
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0)
        return tag_size(f->id) + varint_size((uint32_t)sum) + sum;
    return n * tag_size(f->id) + sum;
}

static uint8_t *put_array(uint8_t *p, const ProtobufCFieldDescriptor *f,
                          size_t n, const char *array)
{
    size_t size = element_size(f->type);
    bool packed = (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;
    unsigned wire = wire_of(f->type);
    uint8_t *end = p;

    if (n == 0)
        return p;
    for (size_t i = n; i-- > 0;) {
        p = put_value(p, f->type, array + i * size);
        if (!packed)
            p = put_tag(p, f->id, wire);
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

size_t weft__protobuf_size(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;
    size_t sum = 0;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        const void *member = member_of(message, f->offset);

        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            sum += array_size(f, count_of(message, f), load_pointer(member));
        else if (is_set(message, f, member))
            sum += tag_size(f->id) + value_size(f->type, member);
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        sum += tag_size(message->unknown_fields[i].tag) +
               message->unknown_fields[i].len;
    return sum;
}

static uint8_t *put_message(uint8_t *p, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;

    for (unsigned i = message->n_unknown_fields; i-- > 0;) {
        const ProtobufCMessageUnknownField *u = &message->unknown_fields[i];

        p -= u->len;
        if (u->len != 0)
            memcpy(p, u->data, u->len);
        p = put_tag(p, u->tag, (unsigned)u->wire_type);
    }
    for (unsigned i = desc->n_fields; i-- > 0;) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        const void *member = member_of(message, f->offset);

        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            p = put_array(p, f, count_of(message, f), load_pointer(member));
        } else if (is_set(message, f, member)) {
            p = put_value(p, f->type, member);
            p = put_tag(p, f->id, wire_of(f->type));
        }
    }
    return p;
}

void weft__protobuf_pack(const void *message, uint8_t *out, size_t size)
{
    uint8_t *first = put_message(out + size, message);

    assert(first == out);
    (void)first;
}
