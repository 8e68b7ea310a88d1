/* protobuf_merge.c - a singular sub-message that comes more than once.
 *
 * The outcome is protobuf-c's, with all that is its own: unknown fields of the
 * earlier message are dropped, so are its fields without presence (proto3
 * scalars), its empty bytes, and its required ones; and two messages of which
 * neither has set a oneof are not merged but refused.  Only, arrays grow here
 * instead of being copied each time, which is quadratic.
 *
 * Depth is bounded by that of the later message, work by its size. */
#include "protobuf_decode_internal.h"

#include <string.h>

static void *member_of(ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

static uint32_t *presence_of(ProtobufCMessage *message,
                             const ProtobufCFieldDescriptor *f)
{
    return member_of(message, f->quantifier_offset);
}

static bool merge_repeated(weft__decoder *d, const ProtobufCFieldDescriptor *f,
                           ProtobufCMessage *earlier, ProtobufCMessage *later)
{
    size_t size = weft__protobuf_element_size(f->type);
    size_t *n_earlier = member_of(earlier, f->quantifier_offset);
    size_t *n_later = member_of(later, f->quantifier_offset);
    void **a_earlier = member_of(earlier, f->offset);
    void **a_later = member_of(later, f->offset), *to;

    if (*n_earlier == 0)
        return true;
    if (*n_later != 0) {
        to = weft__decoder_grow(d, a_earlier, *n_earlier, *n_later, size);
        if (to == NULL)
            return false;
        memcpy(to, *a_later, *n_later * size);
    }
    *n_later += *n_earlier;
    *a_later = *a_earlier;
    return true;
}

/* Whether the earlier member is to replace the later one. */
static bool outlives(const ProtobufCFieldDescriptor *f, bool has_earlier,
                     bool has_later, const void *earlier, const void *later)
{
    const ProtobufCBinaryData *e = earlier, *l = later, *unset;
    const void *e_pointer, *l_pointer;

    switch (f->type) {
    case PROTOBUF_C_TYPE_BYTES:
        unset = f->default_value;
        return e->data != NULL && (unset == NULL || e->data != unset->data) &&
               (l->data == NULL || (unset != NULL && l->data == unset->data));
    case PROTOBUF_C_TYPE_STRING:
        memcpy(&e_pointer, earlier, sizeof(e_pointer));
        memcpy(&l_pointer, later, sizeof(l_pointer));
        return e_pointer != f->default_value && l_pointer == f->default_value;
    case PROTOBUF_C_TYPE_MESSAGE:
        memcpy(&e_pointer, earlier, sizeof(e_pointer));
        memcpy(&l_pointer, later, sizeof(l_pointer));
        return e_pointer != NULL && l_pointer == NULL;
    default:
        return f->quantifier_offset != 0 && has_earlier && !has_later;
    }
}

static bool merge_singular(weft__decoder *d, const ProtobufCFieldDescriptor *f,
                           ProtobufCMessage *earlier, ProtobufCMessage *later)
{
    uint32_t *in_earlier = presence_of(earlier, f);
    uint32_t *in_later = presence_of(later, f);
    void *e, *l;

    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        if (*in_later != 0)
            return true;
        if (*in_earlier == 0) {
            weft__decoder_fail(d, WEFT_EPROTO,
                               "a message that comes twice lacks a oneof");
            return false;
        }
        f = protobuf_c_message_descriptor_get_field(later->descriptor,
                                                    *in_earlier);
    }
    e = member_of(earlier, f->offset);
    l = member_of(later, f->offset);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage **sub_earlier = e, **sub_later = l;

        if (*sub_earlier != NULL && *sub_later != NULL)
            return weft__protobuf_merge(d, *sub_earlier, *sub_later);
    }
    if (outlives(f, *in_earlier != 0, *in_later != 0, e, l)) {
        memcpy(l, e, weft__protobuf_element_size(f->type));
        if (f->quantifier_offset != 0)
            *in_later = *in_earlier;
    }
    return true;
}

bool weft__protobuf_merge(weft__decoder *d, ProtobufCMessage *earlier,
                          ProtobufCMessage *later)
{
    const ProtobufCMessageDescriptor *desc = later->descriptor;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];

        if (f->label == PROTOBUF_C_LABEL_REQUIRED)
            continue;
        if (!(f->label == PROTOBUF_C_LABEL_REPEATED
                  ? merge_repeated(d, f, earlier, later)
                  : merge_singular(d, f, earlier, later)))
            return false;
    }
    return true;
}
