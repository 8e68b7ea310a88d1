/* protobuf_split.c - a message in two: what is packed, and a long bytes field
 * that is not copied for it. */
#include <weft/protobuf.h>

#include <string.h>

#include "varint_internal.h"

static bool is_candidate(const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *f)
{
    uint32_t has;

    if (f->type != PROTOBUF_C_TYPE_BYTES ||
        (f->label != PROTOBUF_C_LABEL_OPTIONAL &&
         f->label != PROTOBUF_C_LABEL_NONE))
        return false;
    if (f->quantifier_offset == 0) /* proto3: it is there if it is not empty */
        return true;
    memcpy(&has, (const char *)message + f->quantifier_offset, sizeof(has));
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 ? has == f->id
                                                         : has != 0;
}

static const ProtobufCFieldDescriptor *longest(const ProtobufCMessage *message,
                                               ProtobufCBinaryData *value)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;
    const ProtobufCFieldDescriptor *found = NULL;
    ProtobufCBinaryData v;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];

        if (!is_candidate(message, f))
            continue;
        memcpy(&v, (const char *)message + f->offset, sizeof(v));
        if (found != NULL && v.len <= value->len)
            continue;
        found = f;
        *value = v;
    }
    return found;
}

/* A shallow copy in which f is not set. */
static ProtobufCMessage *without(const ProtobufCMessage *message,
                                 const ProtobufCFieldDescriptor *f,
                                 weft_arena *arena)
{
    size_t size = message->descriptor->sizeof_message;
    ProtobufCMessage *copy = weft_arena_alloc(arena, size);

    if (copy == NULL)
        return NULL;
    memcpy(copy, message, size);
    memset((char *)copy + f->offset, 0, sizeof(ProtobufCBinaryData));
    if (f->quantifier_offset != 0)
        memset((char *)copy + f->quantifier_offset, 0, sizeof(uint32_t));
    return copy;
}

bool weft__protobuf_split_of(weft__protobuf_split *out,
                             const ProtobufCMessage *message, size_t min,
                             weft_arena *arena)
{
    ProtobufCBinaryData value = {0};
    const ProtobufCFieldDescriptor *f = longest(message, &value);

    if (f == NULL || value.len < min || value.len > UINT32_MAX)
        return false;
    *out = (weft__protobuf_split){.rest = without(message, f, arena),
                                  .number = f->id,
                                  .data = value.data,
                                  .len = value.len};
    return out->rest != NULL;
}

static uint64_t tag_of(const weft__protobuf_split *split)
{
    return (uint64_t)split->number << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

void weft__protobuf_split_pack(const void *split, uint8_t *out, size_t size)
{
    const weft__protobuf_split *s = split;
    size_t rest =
        size - weft__varint_size(tag_of(s)) - weft__varint_size(s->len);

    weft__protobuf_pack(s->rest, out, rest);
    out = weft__varint_put(out + rest, tag_of(s));
    (void)weft__varint_put(out, s->len);
}
