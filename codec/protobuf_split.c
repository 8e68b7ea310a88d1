/* protobuf_split.c - a message in two: what is packed, and a long bytes field
 * that is not copied for it. */
#include <weft/protobuf.h>

#include <assert.h>
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

bool weft__protobuf_split_find(weft__protobuf_split *out,
                               const ProtobufCMessage *message, size_t min)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;
    ProtobufCBinaryData v;

    *out = (weft__protobuf_split){0};
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];

        if (!is_candidate(message, f))
            continue;
        memcpy(&v, (const char *)message + f->offset, sizeof(v));
        if (v.len < min || v.len <= out->lent.len || v.len > UINT32_MAX)
            continue;
        out->field = f;
        out->lent = (weft__slice){v.data, v.len};
    }
    return out->field != NULL;
}

static uint64_t tag_of(const weft__protobuf_split *split)
{
    return (uint64_t)split->field->id << 3 |
           PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Of what stands right before the bytes that are lent. */
static size_t head_size(const weft__protobuf_split *s)
{
    return weft__varint_size(tag_of(s)) + weft__varint_size(s->lent.len);
}

bool weft__protobuf_split_rest(weft__protobuf_split *split,
                               const ProtobufCMessage *message, size_t size,
                               weft_arena *arena)
{
    const ProtobufCFieldDescriptor *f = split->field;
    size_t bytes = message->descriptor->sizeof_message;
    ProtobufCMessage *rest;

    split->rest_len = size - head_size(split) - split->lent.len;
    if (split->rest_len == 0)
        return true;
    if ((rest = weft_arena_alloc(arena, bytes)) == NULL)
        return false;
    memcpy(rest, message, bytes);
    memset((char *)rest + f->offset, 0, sizeof(ProtobufCBinaryData));
    if (f->quantifier_offset != 0)
        memset((char *)rest + f->quantifier_offset, 0, sizeof(uint32_t));
    split->rest = rest;
    return true;
}

void weft__protobuf_split_pack(const void *split, uint8_t *out, size_t size)
{
    const weft__protobuf_split *s = split;
    uint8_t *end = out + size;

    if (s->rest_len > 0)
        weft__protobuf_pack(s->rest, out, s->rest_len);
    out = weft__varint_put(out + s->rest_len, tag_of(s));
    out = weft__varint_put(out, s->lent.len);
    assert(out == end);
    (void)end;
}
