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
#include <weft/hint.h>

#include "protobuf_number_internal.h"

#define DEFAULT_DEPTH 64
#define DEFAULT_MEMORY ((size_t)64 << 20)
#define DEFAULT_ELEMENTS (4u << 20)
#define MAX_DEPTH 1000 /* recursion takes some hundred bytes a level */

/* Required fields that were seen: so many times 64 without memory of the
 * arena's. */
#define SEEN_WORDS 4

static inline void *member_of(ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

void *weft__decoder_fail(weft__decoder *d, weft_status status, const char *why)
{
    d->status = status;
    d->why = why;
    return NULL;
}

/* For descriptors that no compiler has made. */
static WEFT__COLD void init_generic(const ProtobufCMessageDescriptor *desc,
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

static bool message_put(weft__decoder *d, const ProtobufCFieldDescriptor *f,
                        const uint8_t *p, size_t len,
                        ProtobufCMessage **member);

static inline bool string_put(weft__decoder *d, const uint8_t *p, size_t len,
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
static inline uint8_t *bytes_keep(weft__decoder *d, const uint8_t *p,
                                  size_t len)
{
    uint8_t *copy;

    if (d->borrow)
        return (uint8_t *)(uintptr_t)p;
    if ((copy = weft__decoder_take(d, len)) != NULL)
        memcpy(copy, p, len);
    return copy;
}

static inline bool bytes_put(weft__decoder *d, const uint8_t *p, size_t len,
                             ProtobufCBinaryData *member)
{
    uint8_t *data = NULL;

    if (len != 0 && (data = bytes_keep(d, p, len)) == NULL)
        return false;
    *member = (ProtobufCBinaryData){len, data};
    return true;
}

/* A string, bytes or a message. */
WEFT__INLINE const uint8_t *content_get(weft__decoder *d,
                                        const ProtobufCFieldDescriptor *f,
                                        ProtobufCType type, unsigned wire,
                                        const uint8_t *p, const uint8_t *end,
                                        void *member)
{
    size_t len;
    bool kept;

    if (wire != WEFT__WIRE_BYTES)
        return weft__decoder_wrong_type(d);
    if ((p = weft__protobuf_length(p, end, &len)) == NULL)
        return weft__decoder_malformed(d);
    if (type == PROTOBUF_C_TYPE_STRING)
        kept = string_put(d, p, len, member);
    else if (type == PROTOBUF_C_TYPE_BYTES)
        kept = bytes_put(d, p, len, member);
    else
        kept = message_put(d, f, p, len, member);
    return kept ? p + len : NULL;
}

/* A value of any type into its member, or into an element of an array; returns
 * the byte behind it. */
WEFT__INLINE const uint8_t *value_get(weft__decoder *d,
                                      const ProtobufCFieldDescriptor *f,
                                      unsigned wire, const uint8_t *p,
                                      const uint8_t *end, void *member)
{
    uint64_t v;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return content_get(d, f, PROTOBUF_C_TYPE_STRING, wire, p, end, member);
    case PROTOBUF_C_TYPE_BYTES:
        return content_get(d, f, PROTOBUF_C_TYPE_BYTES, wire, p, end, member);
    case PROTOBUF_C_TYPE_MESSAGE:
        return content_get(d, f, PROTOBUF_C_TYPE_MESSAGE, wire, p, end, member);
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        if (wire != WEFT__WIRE_32)
            return weft__decoder_wrong_type(d);
        if (end - p < 4)
            return weft__decoder_malformed(d);
        weft__copy32(member, p);
        return p + 4;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        if (wire != WEFT__WIRE_64)
            return weft__decoder_wrong_type(d);
        if (end - p < 8)
            return weft__decoder_malformed(d);
        weft__copy64(member, p);
        return p + 8;
    case PROTOBUF_C_TYPE_BOOL:
        return weft__protobuf_bool(d, wire, p, end, member);
    default:
        if (wire != WEFT__WIRE_VARINT)
            return weft__decoder_wrong_type(d);
        if ((p = weft__varint_get(p, end, &v)) == NULL)
            return weft__decoder_malformed(d);
        weft__put_number(member, f->type, v);
        return p;
    }
}

/* Whatever member of the oneof was there before goes. */
static WEFT__APART void oneof_clear(ProtobufCMessage *message,
                                    const ProtobufCFieldDescriptor *f)
{
    const ProtobufCFieldDescriptor *old = f;
    uint32_t was;

    memcpy(&was, member_of(message, f->quantifier_offset), sizeof(was));
    if (was != 0 && was != f->id)
        old = protobuf_c_message_descriptor_get_field(message->descriptor, was);
    memset(member_of(message, f->offset), 0,
           weft__protobuf_element_size(old->type));
}

WEFT__INLINE const uint8_t *singular(weft__decoder *d,
                                     ProtobufCMessage *message,
                                     const ProtobufCFieldDescriptor *f,
                                     unsigned wire, const uint8_t *p,
                                     const uint8_t *end)
{
    bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;

    if (oneof)
        oneof_clear(message, f);
    if (f->quantifier_offset != 0) /* has_x, or the oneof's case */
        weft__put32(member_of(message, f->quantifier_offset),
                    oneof ? f->id : 1);
    return value_get(d, f, wire, p, end, member_of(message, f->offset));
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

/* tag is where the first one begins, p where its value does. */
static WEFT__APART const uint8_t *repeated(weft__decoder *d,
                                           ProtobufCMessage *message,
                                           const ProtobufCFieldDescriptor *f,
                                           const uint8_t *tag, const uint8_t *p,
                                           const uint8_t *end)
{
    size_t tag_len = (size_t)(p - tag), size, run;
    size_t *n = member_of(message, f->quantifier_offset);
    void **array = member_of(message, f->offset);
    unsigned wire = *tag & 7;
    char *to;

    run = run_length(p, end, wire, tag, tag_len);
    if (run == 0)
        return weft__decoder_malformed(d);
    if (!weft__decoder_count(d, run - 1)) /* the first is counted as a field */
        return NULL;
    size = weft__protobuf_element_size(f->type);
    if ((to = weft__decoder_grow(d, array, *n, run, size)) == NULL)
        return NULL;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        memset(to, 0, run * size); /* nothing to merge with */
    *n += run;
    for (;; p += tag_len, to += size) {
        p = value_get(d, f, wire, p, end, to);
        if (--run == 0 || p == NULL)
            return p;
    }
}

/* An unknown field: its bytes from behind the tag on. */
static WEFT__APART const uint8_t *unknown(weft__decoder *d,
                                          ProtobufCMessage *message,
                                          uint32_t tag, const uint8_t *p,
                                          const uint8_t *end)
{
    ProtobufCMessageUnknownField *field;
    void *array = message->unknown_fields;
    const uint8_t *behind = weft__protobuf_skip(p, end, tag & 7);
    size_t len = (size_t)(behind - p);
    uint8_t *data;

    if (behind == NULL)
        return weft__decoder_malformed(d);
    field = weft__decoder_grow(d, &array, message->n_unknown_fields, 1,
                               sizeof(*field));
    if (field == NULL || (data = bytes_keep(d, p, len)) == NULL)
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

static bool is_packable(ProtobufCType type)
{
    return type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES &&
           type != PROTOBUF_C_TYPE_MESSAGE;
}

/* Required fields that were seen, a bit each. */
typedef struct seen {
    uint64_t *words; /* NULL: none yet */
    uint64_t few[SEEN_WORDS];
} seen;

static WEFT__APART bool see(weft__decoder *d, seen *s,
                            const ProtobufCMessageDescriptor *desc, size_t i)
{
    size_t words = (desc->n_fields + 63) / 64;

    if (s->words == NULL) {
        s->words = words <= SEEN_WORDS
                       ? s->few
                       : weft__decoder_take(d, words * sizeof(*s->words));
        if (s->words == NULL)
            return false;
        memset(s->words, 0, words * sizeof(*s->words));
    }
    s->words[i / 64] |= UINT64_C(1) << (i % 64);
    return true;
}

static inline bool all_seen(weft__decoder *d, const seen *s,
                            const ProtobufCMessageDescriptor *desc)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];

        if (f->label == PROTOBUF_C_LABEL_REQUIRED && f->default_value == NULL &&
            (s->words == NULL || (s->words[i / 64] >> (i % 64) & 1) == 0)) {
            weft__decoder_fail(d, WEFT_EPROTO, "a required field is missing");
            return false;
        }
    }
    return true;
}

/* Returns the byte behind the field that begins at p. */
WEFT__INLINE const uint8_t *field_get(weft__decoder *d,
                                      const ProtobufCMessageDescriptor *desc,
                                      ProtobufCMessage *message, seen *s,
                                      const uint8_t *p, const uint8_t *end)
{
    const ProtobufCIntRange *first = desc->field_ranges;
    const ProtobufCFieldDescriptor *f;
    const uint8_t *start = p;
    uint32_t tag, number;

    if (!weft__decoder_count(d, 1))
        return NULL;
    if ((p = weft__protobuf_tag(p, end, &tag)) == NULL)
        return weft__decoder_malformed(d);
    number = tag >> 3;
    /* Most types number their fields from 1 on, without gaps. */
    if (desc->n_field_ranges != 0 &&
        number - (uint32_t)first->start_value < first[1].orig_index)
        f = &desc->fields[number - (uint32_t)first->start_value];
    else if ((f = protobuf_c_message_descriptor_get_field(desc, number)) ==
             NULL)
        return unknown(d, message, tag, p, end);
    if (f->label != PROTOBUF_C_LABEL_REPEATED) {
        if (f->label == PROTOBUF_C_LABEL_REQUIRED &&
            !see(d, s, desc, (size_t)(f - desc->fields)))
            return NULL;
        return singular(d, message, f, tag & 7, p, end);
    }
    if ((tag & 7) == WEFT__WIRE_BYTES && is_packable(f->type))
        return weft__protobuf_packed(d, f->type, p, end,
                                     member_of(message, f->quantifier_offset),
                                     member_of(message, f->offset));
    return repeated(d, message, f, start, p, end);
}

WEFT__INLINE ProtobufCMessage *
decode_message(weft__decoder *d, const ProtobufCMessageDescriptor *desc,
               const uint8_t *p, const uint8_t *end)
{
    ProtobufCMessage *message = weft__decoder_take(d, desc->sizeof_message);
    seen s;

    if (message == NULL)
        return NULL;
    if (desc->message_init != NULL)
        desc->message_init(message);
    else
        init_generic(desc, message);
    s.words = NULL;
    while (p < end)
        if ((p = field_get(d, desc, message, &s, p, end)) == NULL)
            return NULL;
    return all_seen(d, &s, desc) ? message : NULL;
}

/* A singular one (merges) or an element of an array (*member is NULL). */
static bool message_put(weft__decoder *d, const ProtobufCFieldDescriptor *f,
                        const uint8_t *p, size_t len, ProtobufCMessage **member)
{
    ProtobufCMessage *sub;

    if (d->depth == 0) {
        weft__decoder_fail(d, WEFT_ELIMIT,
                           "it is nested over max_decode_depth");
        return false;
    }
    d->depth--;
    sub = decode_message(d, f->descriptor, p, p + len);
    d->depth++;
    if (sub == NULL || (*member != NULL && *member != f->default_value &&
                        !weft__protobuf_merge(d, *member, sub)))
        return false;
    *member = sub;
    return true;
}

weft_status weft__protobuf_decode(const ProtobufCMessageDescriptor *desc,
                                  const void *data, size_t len,
                                  const weft__decode_limits *limits,
                                  weft_arena *arena, ProtobufCMessage **out,
                                  const char **why)
{
    static const weft_decode_limits defaults = {0};
    const weft_decode_limits *l = limits != NULL ? limits : &defaults;
    const uint8_t *p = data, *end = len != 0 ? p + len : p;
    size_t memory = l->memory != 0 ? l->memory : DEFAULT_MEMORY;
    size_t budget = weft__decoder_budget(arena);
    ProtobufCMessage *message;
    weft__decoder d;

    d.arena = arena;
    d.allowed = memory < budget ? memory : budget;
    d.elements = l->max_elements != 0 ? l->max_elements : DEFAULT_ELEMENTS;
    d.depth = l->depth == 0          ? DEFAULT_DEPTH
              : l->depth < MAX_DEPTH ? l->depth
                                     : MAX_DEPTH;
    d.borrow = l->borrow;
    weft__decoder_begin(&d);
    message = decode_message(&d, desc, p, end);
    weft__decoder_sync(&d);
    if (message == NULL) {
        *why = d.why;
        return d.status;
    }
    *out = message;
    return WEFT_OK;
}
