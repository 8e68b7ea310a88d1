/* protobuf_moved.c - a message whose borrowed bytes get another place. */
#include <weft/protobuf.h>

#include <string.h>

typedef struct move {
    weft__slice from;
    uint8_t *to;
} move;

static void move_pointer(uint8_t **p, const move *m)
{
    uintptr_t at = (uintptr_t)*p - (uintptr_t)m->from.data;

    if (at < m->from.len) /* else it is a copy, or a default value */
        *p = m->to + at;
}

static void move_message(ProtobufCMessage *message, const move *m);

/* n values of a field, one behind the other. */
static void move_values(const ProtobufCFieldDescriptor *f, void *values,
                        size_t n, const move *m)
{
    ProtobufCBinaryData *bytes = values;
    ProtobufCMessage **messages = values;

    for (size_t i = 0; i < n; i++)
        if (f->type == PROTOBUF_C_TYPE_BYTES)
            move_pointer(&bytes[i].data, m);
        else if (messages[i] != NULL)
            move_message(messages[i], m);
}

static void move_field(ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *f, const move *m)
{
    void *member = (char *)message + f->offset;
    const void *quantifier = (char *)message + f->quantifier_offset;

    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        move_values(f, *(void **)member, *(const size_t *)quantifier, m);
    else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
             *(const uint32_t *)quantifier == f->id)
        move_values(f, member, 1, m);
}

static void move_message(ProtobufCMessage *message, const move *m)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;

    for (unsigned i = 0; i < desc->n_fields; i++)
        if (desc->fields[i].type == PROTOBUF_C_TYPE_BYTES ||
            desc->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            move_field(message, &desc->fields[i], m);
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        move_pointer(&message->unknown_fields[i].data, m);
}

void weft__protobuf_moved(ProtobufCMessage *message, weft__slice from,
                          uint8_t *to)
{
    move_message(message, &(move){from, to});
}
