#include "gorpc_bytes.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* ---- Reading ---- */

static bool read_varint(gorpc_span *in, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70 && in->len > 0; shift += 7) {
        uint8_t byte = *in->data++;

        in->len--;
        if (shift < 64)
            *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool read_bytes(gorpc_span *in, gorpc_span *out)
{
    uint64_t len;

    if (!read_varint(in, &len) || len > in->len)
        return false;
    *out = (gorpc_span){in->data, (size_t)len};
    in->data += len;
    in->len -= (size_t)len;
    return true;
}

static bool skip(gorpc_span *in, unsigned type)
{
    size_t len = type == FIXED64 ? 8 : 4;
    gorpc_span ignored;
    uint64_t number;

    switch (type) {
    case VARINT:
        return read_varint(in, &number);
    case BYTES:
        return read_bytes(in, &ignored);
    case FIXED64:
    case FIXED32:
        if (in->len < len)
            return false;
        in->data += len;
        in->len -= len;
        return true;
    default:
        return false;
    }
}

static bool read_pair(gorpc_span in, gorpc_span *key, gorpc_span *value)
{
    uint64_t tag;

    *key = *value = (gorpc_span){NULL, 0};
    while (in.len > 0) {
        if (!read_varint(&in, &tag))
            return false;
        if (tag == (1 << 3 | BYTES)) {
            if (!read_bytes(&in, key))
                return false;
        } else if (tag == (2 << 3 | BYTES)) {
            if (!read_bytes(&in, value))
                return false;
        } else if (!skip(&in, tag & 7)) {
            return false;
        }
    }
    return true;
}

bool gorpc_envelope_read(gorpc_envelope *e, const uint8_t *data, size_t len)
{
    gorpc_span in = {data, len}, entry;
    uint64_t tag, number;

    memset(e, 0, sizeof(*e));
    while (in.len > 0) {
        bool ok = read_varint(&in, &tag);

        if (!ok)
            return false;
        if (tag == (1 << 3 | VARINT)) {
            ok = read_varint(&in, &number);
            e->code = (uint32_t)number;
        } else if (tag == (2 << 3 | BYTES)) {
            ok = read_bytes(&in, &e->text);
        } else if (tag == (3 << 3 | BYTES)) {
            ok = e->n_pairs < GORPC_ENVELOPE_PAIRS && read_bytes(&in, &entry) &&
                 read_pair(entry, &e->pairs[e->n_pairs].key,
                           &e->pairs[e->n_pairs].value);
            e->n_pairs++;
        } else if (tag == (4 << 3 | BYTES)) {
            ok = read_bytes(&in, &e->payload);
        } else {
            ok = skip(&in, tag & 7);
        }
        if (!ok)
            return false;
    }
    return true;
}

uint32_t gorpc_frame_length(const uint8_t h[GORPC_HEADER])
{
    return (uint32_t)h[7] << 24 | (uint32_t)h[8] << 16 | (uint32_t)h[9] << 8 |
           h[10];
}

bool gorpc_frame_is_plain(const uint8_t h[GORPC_HEADER])
{
    static const uint8_t zeros[GORPC_HEADER];

    return h[0] == 0x11 && memcmp(h + 1, zeros, 6) == 0 &&
           memcmp(h + 11, zeros, 4) == 0;
}

/* ---- Writing ---- */

/* p NULL counts only. */
static size_t put_varint(uint8_t *p, uint64_t n)
{
    size_t len = 0;

    do {
        uint8_t byte = n & 0x7f;

        n >>= 7;
        if (p != NULL)
            p[len] = (uint8_t)(byte | (n != 0 ? 0x80 : 0));
        len++;
    } while (n != 0);
    return len;
}

/* Proto3: an empty one is left out. */
static size_t put_bytes(uint8_t *p, unsigned field, gorpc_span s)
{
    size_t n;

    if (s.len == 0)
        return 0;
    n = put_varint(p, field << 3 | BYTES);
    n += put_varint(p != NULL ? p + n : NULL, s.len);
    if (p != NULL)
        memcpy(p + n, s.data, s.len);
    return n + s.len;
}

static size_t put_envelope(uint8_t *out, const gorpc_envelope *e)
{
    size_t n = 0;

#define AT (out != NULL ? out + n : NULL)
    if (e->code != 0) {
        n += put_varint(AT, 1 << 3 | VARINT);
        n += put_varint(AT, e->code);
    }
    n += put_bytes(AT, 2, e->text);
    for (size_t i = 0; i < e->n_pairs; i++) {
        n += put_varint(AT, 3 << 3 | BYTES);
        n += put_varint(AT, put_bytes(NULL, 1, e->pairs[i].key) +
                                put_bytes(NULL, 2, e->pairs[i].value));
        n += put_bytes(AT, 1, e->pairs[i].key);
        n += put_bytes(AT, 2, e->pairs[i].value);
    }
    n += put_bytes(AT, 4, e->payload);
#undef AT
    return n;
}

uint8_t *gorpc_envelope_frame(const gorpc_envelope *e, size_t *size)
{
    size_t body = put_envelope(NULL, e);
    uint8_t *frame = calloc(1, GORPC_HEADER + body);

    if (frame == NULL)
        return NULL;
    frame[0] = 0x11;
    frame[7] = (uint8_t)(body >> 24);
    frame[8] = (uint8_t)(body >> 16);
    frame[9] = (uint8_t)(body >> 8);
    frame[10] = (uint8_t)body;
    put_envelope(frame + GORPC_HEADER, e);
    *size = GORPC_HEADER + body;
    return frame;
}

static gorpc_span span(const void *data, size_t len)
{
    return (gorpc_span){data, data != NULL ? len : 0};
}

uint8_t *gorpc_request(const char *path, const gorpc_pair *md, size_t n_md,
                       const void *payload, size_t payload_len, size_t *size)
{
    gorpc_envelope e = {.payload = span(payload, payload_len)};

    e.text = span(path, path != NULL ? strlen(path) : 0);
    for (; e.n_pairs < n_md; e.n_pairs++) {
        const gorpc_pair *m = &md[e.n_pairs];

        e.pairs[e.n_pairs].key = span(m->key, strlen(m->key));
        e.pairs[e.n_pairs].value = span(m->value, strlen(m->value));
    }
    return gorpc_envelope_frame(&e, size);
}

uint8_t *gorpc_hello(const char *text, size_t len, size_t *size)
{
    gorpc_span s = {(const uint8_t *)text, len};
    uint8_t *message;

    *size = put_bytes(NULL, 1, s);
    if ((message = malloc(*size + 1)) != NULL)
        put_bytes(message, 1, s);
    return message;
}

bool gorpc_hello_text(const uint8_t *message, size_t size, const char **text,
                      size_t *len)
{
    gorpc_span in = {message, size}, found = {(const uint8_t *)"", 0};
    uint64_t tag;

    while (in.len > 0) {
        if (!read_varint(&in, &tag) ||
            !(tag == (1 << 3 | BYTES) ? read_bytes(&in, &found)
                                      : skip(&in, tag & 7)))
            return false;
    }
    *text = (const char *)found.data;
    *len = found.len;
    return true;
}
