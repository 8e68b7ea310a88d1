/* protobuf_random.c - bytes that are almost a message. */
#include "protobuf_random.h"

#include <stdbool.h>
#include <string.h>

#define DEPTH 5

typedef struct maker {
    uint8_t *data;
    size_t len, size; /* of a string at most 60 bytes are written at once */
    uint64_t state;
    bool clean; /* nothing wrong in it */
} maker;

static uint64_t next(maker *m)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return m->state * UINT64_C(0x2545F4914F6CDD1D);
}

static uint32_t below(maker *m, uint32_t n)
{
    return (uint32_t)((next(m) >> 32) * n >> 32);
}

/* Now and then, if anything may be wrong at all. */
static bool wrong(maker *m, uint32_t one_in)
{
    return !m->clean && below(m, one_in) == 0;
}

static void put(maker *m, const void *data, size_t len)
{
    if (len > m->size - m->len)
        len = m->size - m->len;
    if (len != 0)
        memcpy(m->data + m->len, data, len);
    m->len += len;
}

/* In at most `most` bytes: sometimes more of them than it needs. */
static size_t varint(maker *m, uint8_t *buf, uint64_t v, size_t most)
{
    size_t n = 0, pad = 0;

    for (; v >= 0x80; v >>= 7)
        buf[n++] = (uint8_t)(v | 0x80);
    buf[n++] = (uint8_t)v;
    if (below(m, 24) == 0 && n < most)
        pad = 1 + below(m, (uint32_t)(most - n));
    for (; pad > 0; pad--) {
        buf[n - 1] |= 0x80;
        buf[n++] = 0;
    }
    return n;
}

static void put_varint(maker *m, uint64_t v, size_t most)
{
    uint8_t buf[16];

    if (wrong(m, 500))
        most += 3;
    put(m, buf, varint(m, buf, v, most));
}

static void put_tag(maker *m, uint32_t number, unsigned wire)
{
    uint64_t v = (uint64_t)number << 3 | wire;

    if (wrong(m, 1500))
        v ^= UINT64_C(1) << below(m, 35);
    put_varint(m, v, 5);
}

static uint64_t some_number(maker *m)
{
    uint64_t v = next(m);

    switch (below(m, 6)) {
    case 0:
        return v & 1;
    case 1:
        return v & 0x7f;
    case 2:
        return v & 0xffff;
    case 3:
        return (uint64_t)(int64_t)(int32_t)v;
    case 4:
        return v & 0xffffffff;
    default:
        return v;
    }
}

static unsigned wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 5;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 1;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 2;
    default:
        return 0;
    }
}

/* What stands behind the tag; of BYTES without its length. */
static void put_plain(maker *m, ProtobufCType type)
{
    uint64_t v = some_number(m);

    switch (wire_of(type)) {
    case 1:
        put(m, &v, 8);
        break;
    case 5:
        put(m, &v, 4);
        break;
    default:
        put_varint(m, type == PROTOBUF_C_TYPE_BOOL ? v & 1 : v, 10);
    }
}

static void put_message(maker *m, const ProtobufCMessageDescriptor *desc,
                        unsigned depth);

/* A length in front of what was written from start on. */
static void put_length(maker *m, size_t start)
{
    size_t len = m->len - start, n;
    uint8_t buf[16];

    if (wrong(m, 700))
        len ^= (size_t)1 << below(m, 35);
    n = varint(m, buf, len, wrong(m, 500) ? 8 : 5);
    if (n > m->size - m->len)
        n = m->size - m->len;
    memmove(m->data + start + n, m->data + start, m->len - start);
    memcpy(m->data + start, buf, n);
    m->len += n;
}

static void put_string(maker *m)
{
    char text[60];
    size_t len = below(m, 4) == 0 ? 0 : below(m, sizeof(text));

    for (size_t i = 0; i < len; i++)
        text[i] = (char)(below(m, 50) == 0 ? 0 : 'a' + (int)below(m, 26));
    put(m, text, len);
}

static void put_value(maker *m, const ProtobufCFieldDescriptor *f,
                      unsigned depth)
{
    size_t start = m->len;

    if (wire_of(f->type) != 2) {
        put_plain(m, f->type);
        return;
    }
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        put_string(m);
    else
        put_message(m, f->descriptor, depth);
    put_length(m, start);
}

static void put_unknown(maker *m)
{
    static const unsigned wires[] = {0, 1, 2, 5};
    size_t start;
    unsigned wire = wrong(m, 60) ? below(m, 8) : wires[below(m, 4)];

    put_tag(m, 1 + below(m, below(m, 2) == 0 ? 300 : (1u << 29) - 1), wire);
    start = m->len;
    if (wire == 2) {
        put_string(m);
        put_length(m, start);
    } else {
        put_plain(m, wire == 1   ? PROTOBUF_C_TYPE_FIXED64
                     : wire == 5 ? PROTOBUF_C_TYPE_FIXED32
                                 : PROTOBUF_C_TYPE_INT64);
    }
}

static void put_field(maker *m, const ProtobufCFieldDescriptor *f,
                      unsigned depth)
{
    bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
    unsigned wire = wire_of(f->type);
    uint32_t n = repeated ? below(m, 5) : 1;
    size_t start;

    if (repeated && wire != 2 && below(m, 2) == 0) {
        put_tag(m, f->id, 2);
        start = m->len;
        while (n-- > 0)
            put_plain(m, f->type);
        if (wrong(m, 100))
            put(m, "\x80\x02", 1 + below(m, 2));
        put_length(m, start);
        return;
    }
    if (wrong(m, 400)) {
        static const unsigned wires[] = {0, 1, 2, 5};

        wire = wires[below(m, 4)];
    }
    while (n-- > 0) {
        put_tag(m, f->id, wire);
        put_value(m, f, depth);
    }
}

static void put_message(maker *m, const ProtobufCMessageDescriptor *desc,
                        unsigned depth)
{
    const ProtobufCFieldDescriptor *f = NULL;
    uint32_t n = depth > 0 ? below(m, 8) : 0;

    for (unsigned i = 0; i < desc->n_fields; i++)
        if (desc->fields[i].label == PROTOBUF_C_LABEL_REQUIRED &&
            !wrong(m, 100))
            put_field(m, &desc->fields[i], depth > 0 ? depth - 1 : 0);
    while (n-- > 0 && m->len < m->size * 3 / 4) {
        if (below(m, 16) == 0) {
            put_unknown(m);
            continue;
        }
        if (desc->n_fields == 0)
            return;
        if (f == NULL || below(m, 4) != 0) /* else again */
            f = &desc->fields[below(m, desc->n_fields)];
        put_field(m, f, depth > 0 ? depth - 1 : 0);
    }
}

size_t protobuf_random(const ProtobufCMessageDescriptor *desc, uint64_t seed,
                       uint8_t *data, size_t size)
{
    maker m = {.data = data, .size = size};

    m.state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    for (int i = 0; i < 4; i++)
        (void)next(&m);
    m.clean = below(&m, 3) == 0;
    put_message(&m, desc, DEPTH);
    if (wrong(&m, 40) && m.len != 0)
        m.len = below(&m, (uint32_t)m.len);
    return m.len;
}
