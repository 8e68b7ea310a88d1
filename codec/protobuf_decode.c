/* protobuf_decode.c - protobuf-c messages from untrusted bytes, in one pass.
 *
 * Driven by protobuf-c's public descriptors, into the structs of its generated
 * code.  What is decoded, and what is refused, is as protobuf_c_message_unpack
 * has it, except (security bounds):
 *
 *  - depth, memory and elements are limited (weft/message_codec.h);
 *  - a field number of 0 or above 2^29 - 1, and a length that takes more than
 *    32 bits, are malformed (protobuf-c cuts them);
 *
 * Each element of a repeated field is looked at twice: a run of equal tags is
 * counted, so that its array is made once, and then read.  Everything else is
 * touched once. */
#include <string.h>

#include "protobuf_number_internal.h"

#define DEFAULT_DEPTH 64
#define DEFAULT_MEMORY ((size_t)64 << 20)
#define DEFAULT_ELEMENTS (4u << 20)
#define MAX_DEPTH 1000 /* recursion takes some hundred bytes a level */

/* Required fields that were seen: so many without memory from the arena. */
#define SEEN_WORDS 4

typedef struct message_in {
    weft__decoder *d;
    const ProtobufCMessageDescriptor *desc;
    ProtobufCMessage *message;
    const uint8_t *end;
    uint32_t depth; /* of messages that may be nested in this one */
} message_in;

static inline void *member(const message_in *in,
                           const ProtobufCFieldDescriptor *f)
{
    return (char *)in->message + f->offset;
}

/* Its count, has_x, or the oneof's case. */
static inline void *quantifier(const message_in *in,
                               const ProtobufCFieldDescriptor *f)
{
    return (char *)in->message + f->quantifier_offset;
}

/* For descriptors that no compiler has made. */
static void init_generic(const ProtobufCMessageDescriptor *desc,
                         ProtobufCMessage *message)
{
    memset(message, 0, desc->sizeof_message);
    message->descriptor = desc;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        void *to = (char *)message + f->offset;

        if (f->default_value == NULL || f->label == PROTOBUF_C_LABEL_REPEATED ||
            (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
            continue;
        if (f->type == PROTOBUF_C_TYPE_STRING ||
            f->type == PROTOBUF_C_TYPE_MESSAGE)
            memcpy(to, &f->default_value, sizeof(f->default_value));
        else
            memcpy(to, f->default_value, weft__protobuf_element_size(f->type));
    }
}

static ProtobufCMessage *decode_message(weft__decoder *d,
                                        const ProtobufCMessageDescriptor *desc,
                                        const uint8_t *p, const uint8_t *end,
                                        uint32_t depth);

static bool string_put(weft__decoder *d, const uint8_t *p, size_t len,
                       void *member)
{
    char *text = weft__decoder_take(d, len + 1);

    if (text == NULL)
        return false;
    memcpy(text, p, len);
    text[len] = '\0';
    memcpy(member, &text, sizeof(text));
    return true;
}

/* What stays of len bytes of the input; NULL: status and why are set. */
static uint8_t *bytes_keep(weft__decoder *d, const uint8_t *p, size_t len)
{
    uint8_t *copy;

    if (d->borrow)
        return (uint8_t *)(uintptr_t)p;
    if ((copy = weft__decoder_take(d, len)) != NULL)
        memcpy(copy, p, len);
    return copy;
}

static bool bytes_put(weft__decoder *d, const uint8_t *p, size_t len,
                      ProtobufCBinaryData *member)
{
    uint8_t *data = NULL;

    if (len != 0 && (data = bytes_keep(d, p, len)) == NULL)
        return false;
    *member = (ProtobufCBinaryData){len, data};
    return true;
}

/* A singular one (merges) or an element of an array (*member is NULL). */
static bool message_put(const message_in *in, const ProtobufCFieldDescriptor *f,
                        const uint8_t *p, size_t len, ProtobufCMessage **member)
{
    ProtobufCMessage *sub;

    if (in->depth == 0) {
        weft__decoder_fail(in->d, WEFT_ELIMIT,
                           "it is nested over max_decode_depth");
        return false;
    }
    sub = decode_message(in->d, f->descriptor, p, p + len, in->depth - 1);
    if (sub == NULL || (*member != NULL && *member != f->default_value &&
                        !weft__protobuf_merge(in->d, *member, sub)))
        return false;
    *member = sub;
    return true;
}

/* A value of any type; returns the byte behind it. */
static inline const uint8_t *value_get(const message_in *in,
                                       const ProtobufCFieldDescriptor *f,
                                       unsigned wire, const uint8_t *p,
                                       void *member)
{
    bool kept;
    size_t len;

    if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_BYTES &&
        f->type != PROTOBUF_C_TYPE_MESSAGE)
        return weft__protobuf_number(in->d, f->type, wire, p, in->end, member);
    if (wire != WEFT__WIRE_BYTES)
        return weft__decoder_wrong_type(in->d);
    if ((p = weft__protobuf_length(p, in->end, &len)) == NULL)
        return weft__decoder_malformed(in->d);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        kept = string_put(in->d, p, len, member);
    else if (f->type == PROTOBUF_C_TYPE_BYTES)
        kept = bytes_put(in->d, p, len, member);
    else
        kept = message_put(in, f, p, len, member);
    return kept ? p + len : NULL;
}

/* Whatever member of the oneof was there before goes. */
static void oneof_clear(const message_in *in, const ProtobufCFieldDescriptor *f)
{
    const ProtobufCFieldDescriptor *old = f;
    uint32_t was;

    memcpy(&was, quantifier(in, f), sizeof(was));
    if (was != 0 && was != f->id)
        old = protobuf_c_message_descriptor_get_field(in->desc, was);
    memset(member(in, f), 0, weft__protobuf_element_size(old->type));
}

static inline const uint8_t *singular(const message_in *in,
                                      const ProtobufCFieldDescriptor *f,
                                      unsigned wire, const uint8_t *p)
{
    bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;

    if (oneof)
        oneof_clear(in, f);
    p = value_get(in, f, wire, p, member(in, f));
    if (f->quantifier_offset != 0) /* has_x, or the oneof's case */
        weft__put32(quantifier(in, f), oneof ? f->id : 1);
    return p;
}

/* Elements of the same tag, from p behind the first one's tag on; 0: not one
 * is whole. */
static size_t run_length(const uint8_t *p, const uint8_t *end, unsigned wire,
                         const uint8_t *tag, size_t tag_len)
{
    size_t n = 0;

    while ((p = weft__protobuf_skip(p, end, wire)) != NULL) {
        n++;
        if ((size_t)(end - p) < tag_len || *p != *tag ||
            (tag_len > 1 && memcmp(p, tag, tag_len) != 0))
            break;
        p += tag_len;
    }
    return n;
}

static const uint8_t *repeated(const message_in *in,
                               const ProtobufCFieldDescriptor *f, unsigned wire,
                               const uint8_t *tag, const uint8_t *p)
{
    size_t tag_len = (size_t)(p - tag), size, run;
    size_t *n = quantifier(in, f);
    void **array = member(in, f);
    char *to;

    run = run_length(p, in->end, wire, tag, tag_len);
    if (run == 0)
        return weft__decoder_malformed(in->d);
    if (!weft__decoder_count(in->d,
                             run - 1)) /* the first is counted as a field */
        return NULL;
    size = weft__protobuf_element_size(f->type);
    if ((to = weft__decoder_grow(in->d, array, *n, run, size)) == NULL)
        return NULL;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        memset(to, 0, run * size); /* nothing to merge with */
    *n += run;
    for (;; p += tag_len, to += size) {
        p = value_get(in, f, wire, p, to);
        if (--run == 0 || p == NULL)
            return p;
    }
}

/* An unknown field: its bytes from behind the tag on. */
static const uint8_t *unknown(const message_in *in, uint32_t tag,
                              const uint8_t *p)
{
    ProtobufCMessage *message = in->message;
    ProtobufCMessageUnknownField *field;
    void *array = message->unknown_fields;
    const uint8_t *behind = weft__protobuf_skip(p, in->end, tag & 7);
    size_t len = (size_t)(behind - p);
    uint8_t *data;

    if (behind == NULL)
        return weft__decoder_malformed(in->d);
    field = weft__decoder_grow(in->d, &array, message->n_unknown_fields, 1,
                               sizeof(*field));
    if (field == NULL || (data = bytes_keep(in->d, p, len)) == NULL)
        return NULL;
    *field = (ProtobufCMessageUnknownField){.tag = tag >> 3,
                                            .wire_type =
                                                (ProtobufCWireType)(tag & 7),
                                            .len = len,
                                            .data = data};
    message->unknown_fields = array;
    message->n_unknown_fields++;
    return behind;
}

/* Most types number their fields from 1 on, without gaps. */
static inline const ProtobufCFieldDescriptor *
field_of(const ProtobufCMessageDescriptor *desc, uint32_t number)
{
    const ProtobufCIntRange *first = desc->field_ranges;

    if (desc->n_field_ranges == 0)
        return NULL;
    if (number - (uint32_t)first->start_value < first[1].orig_index)
        return &desc->fields[number - (uint32_t)first->start_value];
    return desc->n_field_ranges > 1
               ? protobuf_c_message_descriptor_get_field(desc, number)
               : NULL;
}

static bool is_packable(ProtobufCType type)
{
    return type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES &&
           type != PROTOBUF_C_TYPE_MESSAGE;
}

static bool required_seen(const message_in *in, const uint64_t *seen)
{
    for (unsigned i = 0; i < in->desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &in->desc->fields[i];

        if (f->label == PROTOBUF_C_LABEL_REQUIRED && f->default_value == NULL &&
            (seen[i / 64] >> (i % 64) & 1) == 0) {
            weft__decoder_fail(in->d, WEFT_EPROTO,
                               "a required field is missing");
            return false;
        }
    }
    return true;
}

static bool decode_fields(const message_in *in, const uint8_t *p,
                          uint64_t *seen)
{
    while (p < in->end) {
        const ProtobufCFieldDescriptor *f;
        const uint8_t *start = p;
        uint32_t tag;

        if (!weft__decoder_count(in->d, 1))
            return false;
        if ((p = weft__protobuf_tag(p, in->end, &tag)) == NULL) {
            weft__decoder_malformed(in->d);
            return false;
        }
        f = field_of(in->desc, tag >> 3);
        if (f == NULL) {
            p = unknown(in, tag, p);
        } else if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            if (f->label == PROTOBUF_C_LABEL_REQUIRED) {
                size_t i = (size_t)(f - in->desc->fields);

                seen[i / 64] |= UINT64_C(1) << (i % 64);
            }
            p = singular(in, f, tag & 7, p);
        } else if ((tag & 7) == WEFT__WIRE_BYTES && is_packable(f->type)) {
            p = weft__protobuf_packed(in->d, f->type, p, in->end,
                                      quantifier(in, f), member(in, f));
        } else {
            p = repeated(in, f, tag & 7, start, p);
        }
        if (p == NULL)
            return false;
    }
    return required_seen(in, seen);
}

static ProtobufCMessage *decode_message(weft__decoder *d,
                                        const ProtobufCMessageDescriptor *desc,
                                        const uint8_t *p, const uint8_t *end,
                                        uint32_t depth)
{
    message_in in = {.d = d, .desc = desc, .end = end, .depth = depth};
    uint64_t few[SEEN_WORDS] = {0}, *seen = few;
    size_t words = (desc->n_fields + 63) / 64;

    if ((in.message = weft__decoder_take(d, desc->sizeof_message)) == NULL)
        return NULL;
    if (words > SEEN_WORDS) {
        if ((seen = weft__decoder_take(d, words * sizeof(*seen))) == NULL)
            return NULL;
        memset(seen, 0, words * sizeof(*seen));
    }
    if (desc->message_init != NULL)
        desc->message_init(in.message);
    else
        init_generic(desc, in.message);
    return decode_fields(&in, p, seen) ? in.message : NULL;
}

static weft_decode_limits resolve(const weft_decode_limits *limits)
{
    weft_decode_limits l = limits != NULL ? *limits : (weft_decode_limits){0};

    if (l.depth == 0)
        l.depth = DEFAULT_DEPTH;
    if (l.depth > MAX_DEPTH)
        l.depth = MAX_DEPTH;
    if (l.memory == 0)
        l.memory = DEFAULT_MEMORY;
    if (l.max_elements == 0)
        l.max_elements = DEFAULT_ELEMENTS;
    return l;
}

/* What the arena may have used at the end. */
static size_t most_used(const weft_arena *arena, size_t memory)
{
    size_t most = arena->budget != 0 ? arena->budget : SIZE_MAX;

    if (arena->used > most)
        most = arena->used;
    return memory < most - arena->used ? arena->used + memory : most;
}

weft_status weft__protobuf_decode(const ProtobufCMessageDescriptor *desc,
                                  const void *data, size_t len,
                                  const weft__decode_limits *limits,
                                  weft_arena *arena, ProtobufCMessage **out,
                                  const char **why)
{
    const weft_decode_limits l = resolve(limits);
    const uint8_t *p = data, *end = len != 0 ? p + len : p;
    weft__decoder d = {.arena = arena,
                       .max_used = most_used(arena, l.memory),
                       .elements = l.max_elements,
                       .borrow = l.borrow};
    ProtobufCMessage *message = decode_message(&d, desc, p, end, l.depth);

    weft__decoder_align(arena);
    if (message == NULL) {
        *why = d.why;
        return d.status;
    }
    *out = message;
    return WEFT_OK;
}
