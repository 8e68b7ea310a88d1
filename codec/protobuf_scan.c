/* protobuf_scan.c - what decoding a message would cost, before it is decoded.
 *
 * One pass over the bytes by descriptor, without memory of its own.  What it
 * counts is an upper bound of what protobuf-c 1.4 takes from an arena, in which
 * nothing that is freed comes back:
 *
 *  S1. each message, string, byte string, array and unknown field;
 *  S2. the slabs in which the fields of one message are listed first: 32 bytes
 *      each, doubling, from the 17th field on;
 *  S3. a singular sub-message that comes again is merged: its arrays are
 * copied, and not more of them than the message around it has taken so far.
 *
 * Time is bounded with it: every step of the decoder is paid for by a byte, an
 * element or memory. */
#include "protobuf_scan_internal.h"

#include "varint_internal.h"

#define ALIGN 16
#define SLAB_FIRST 16
#define SLAB_BYTES 64       /* 32 each, and as much again from doubling */
#define BITMAP_ON_STACK 128 /* required fields */
#define UNKNOWN_BYTES 32
#define SEEN_BITS 256

/* How much of a type is looked at before it counts as not to be merged. */
#define MERGE_DEPTH 8
#define MERGE_FIELDS 1024

typedef struct scan {
    uint64_t memory, max_memory;
    uint64_t elements, max_elements;
    const char *why;
} scan;

static weft_status fail(scan *s, weft_status status, const char *why)
{
    s->why = why;
    return status;
}

static weft_status malformed(scan *s)
{
    return fail(s, WEFT_EPROTO, "the message is malformed");
}

static weft_status charge(scan *s, uint64_t bytes)
{
    s->memory += (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    return s->memory <= s->max_memory
               ? WEFT_OK
               : fail(s, WEFT_ELIMIT,
                      "it takes more memory than max_decode_bytes");
}

static weft_status count(scan *s, uint64_t elements)
{
    s->elements += elements;
    return s->elements <= s->max_elements
               ? WEFT_OK
               : fail(s, WEFT_ELIMIT, "it has too many elements");
}

/* Bytes of an element in its array; 0: not a type that can be packed. */
static size_t packed_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static size_t packed_count(ProtobufCType type, const uint8_t *p, size_t len)
{
    size_t n = 0;

    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return len / 4;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return len / 8;
    case PROTOBUF_C_TYPE_BOOL:
        return len;
    default:
        for (size_t i = 0; i < len; i++)
            n += p[i] < 0x80;
        return n;
    }
}

/* protobuf-c 1.4 reads in front of the field table when it merges two messages
 * that have a oneof which neither has set.  So types with a oneof are not
 * merged, nor such as have one somewhere below; recursive ones count as such.
 */
static bool mergeable(const ProtobufCMessageDescriptor *desc, unsigned depth,
                      unsigned *fields)
{
    if (depth == 0 || *fields < desc->n_fields)
        return false;
    *fields -= desc->n_fields;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];

        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
            return false;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE &&
            f->label != PROTOBUF_C_LABEL_REPEATED &&
            !mergeable(f->descriptor, depth - 1, fields))
            return false;
    }
    return true;
}

/* S3.  Types with many fields share the bits, which only charges too much. */
static weft_status merge(scan *s, const ProtobufCFieldDescriptor *f,
                         unsigned index, uint64_t *seen, uint64_t outer)
{
    uint64_t bit = UINT64_C(1) << (index % 64);
    uint64_t *word = &seen[index % SEEN_BITS / 64];
    unsigned fields = MERGE_FIELDS;

    if ((*word & bit) == 0) {
        *word |= bit;
        return WEFT_OK;
    }
    if (!mergeable(f->descriptor, MERGE_DEPTH, &fields))
        return fail(s, WEFT_ELIMIT,
                    "a singular message of this type comes twice");
    return charge(s, s->memory - outer);
}

static weft_status scan_message(scan *s, const ProtobufCMessageDescriptor *desc,
                                const uint8_t *p, const uint8_t *end,
                                uint32_t depth);

static weft_status scan_bytes(scan *s, const ProtobufCFieldDescriptor *f,
                              const uint8_t *p, size_t len, uint32_t depth)
{
    weft_status status;
    size_t size;

    if (f->label == PROTOBUF_C_LABEL_REPEATED &&
        (size = packed_size(f->type)) != 0) {
        size_t n = packed_count(f->type, p, len);

        status = count(s, n);
        return status == WEFT_OK ? charge(s, (uint64_t)n * size) : status;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED &&
        (status = charge(s, ALIGN)) != WEFT_OK)
        return status;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return charge(s, (uint64_t)len + 1);
    case PROTOBUF_C_TYPE_BYTES:
        return charge(s, len);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (depth == 0)
            return fail(s, WEFT_ELIMIT, "it is nested over max_decode_depth");
        return scan_message(s, f->descriptor, p, p + len, depth - 1);
    default:
        return WEFT_OK; /* a wrong type: protobuf-c's to refuse */
    }
}

/* Returns the byte behind the value of a field, of which *value is the content;
 * NULL: cut off, or a group. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end,
                                unsigned wire, const uint8_t **value)
{
    uint64_t n;

    *value = p;
    switch (wire) {
    case WEFT__WIRE_VARINT:
        return weft__varint_get(p, end, &n);
    case WEFT__WIRE_64:
        return end - p >= 8 ? p + 8 : NULL;
    case WEFT__WIRE_32:
        return end - p >= 4 ? p + 4 : NULL;
    case WEFT__WIRE_BYTES:
        if ((p = weft__varint_get(p, end, &n)) == NULL ||
            n > (uint64_t)(end - p))
            return NULL;
        *value = p;
        return p + n;
    default:
        return NULL;
    }
}

static weft_status scan_message(scan *s, const ProtobufCMessageDescriptor *desc,
                                const uint8_t *p, const uint8_t *end,
                                uint32_t depth)
{
    uint64_t seen[SEEN_BITS / 64] = {0}, outer = s->memory;
    const ProtobufCFieldDescriptor *f = desc->fields;
    uint32_t members = 0;
    weft_status status;

    status = charge(s, desc->sizeof_message + (desc->n_fields > BITMAP_ON_STACK
                                                   ? desc->n_fields / 8 + ALIGN
                                                   : 0));
    while (status == WEFT_OK && p < end) {
        const uint8_t *start, *value;
        uint32_t number;
        unsigned wire;

        if ((start = p = weft__tag_get(p, end, &number, &wire)) == NULL ||
            (p = value_end(p, end, wire, &value)) == NULL)
            return malformed(s);
        if ((status = count(s, 1)) != WEFT_OK)
            return status;
        members++;
        if (members > SLAB_FIRST &&
            (status = charge(s, members == SLAB_FIRST + 1
                                    ? (SLAB_FIRST + 1) * SLAB_BYTES
                                    : SLAB_BYTES)) != WEFT_OK)
            return status;
        if (f == NULL || desc->n_fields == 0 || f->id != number)
            f = protobuf_c_message_descriptor_get_field(desc, number);
        if (f == NULL) {
            status = charge(s, (uint64_t)(p - start) + ALIGN + UNKNOWN_BYTES);
            continue;
        }
        if (wire != WEFT__WIRE_BYTES) {
            if (f->label == PROTOBUF_C_LABEL_REPEATED)
                status = charge(s, ALIGN);
        } else {
            status = scan_bytes(s, f, value, (size_t)(p - value), depth);
            if (status == WEFT_OK && f->type == PROTOBUF_C_TYPE_MESSAGE &&
                f->label != PROTOBUF_C_LABEL_REPEATED &&
                (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
                status = merge(s, f, (unsigned)(f - desc->fields), seen, outer);
        }
        /* mostly the next one comes next */
        if (f + 1 < desc->fields + desc->n_fields)
            f++;
    }
    return status;
}

weft_status weft__protobuf_scan(const ProtobufCMessageDescriptor *desc,
                                const void *data, size_t len,
                                const weft_decode_limits *limits,
                                uint64_t *memory, const char **why)
{
    scan s = {.max_memory = limits->memory,
              .max_elements = limits->max_elements};
    const uint8_t *p = data, *end = len != 0 ? p + len : p;
    weft_status status = scan_message(&s, desc, p, end, limits->depth);

    *memory = s.memory;
    if (status != WEFT_OK)
        *why = s.why;
    return status;
}
