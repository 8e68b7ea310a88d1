/* envelope.c - request and response envelopes, read and written by hand.
 *
 * gorpc generates its codec for these two messages; so would protobuf-c, at
 * twice the cost and two more copies of the payload. */
#include "envelope_internal.h"

#include <string.h>
#include <weft/hint.h>

#include "varint_internal.h"

/* One field: its number, and its value as a number or a slice. */
typedef struct field {
    uint32_t number;
    unsigned wire;
    uint64_t value;
    weft__slice bytes;
} field;

/* Reads the next field, whatever it is.  Returns the byte behind it; NULL: cut
 * off, or not protobuf (groups are not: nobody has sent them for decades). */
static const uint8_t *next_field(const uint8_t *p, const uint8_t *end, field *f)
{
    size_t fixed;

    if ((p = weft__tag_get(p, end, &f->number, &f->wire)) == NULL)
        return NULL;
    switch (f->wire) {
    case WEFT__WIRE_VARINT:
        return weft__varint_get(p, end, &f->value);
    case WEFT__WIRE_BYTES:
        if ((p = weft__varint_get(p, end, &f->value)) == NULL ||
            f->value > (uint64_t)(end - p))
            return NULL;
        f->bytes = (weft__slice){p, (size_t)f->value};
        return p + f->value;
    case WEFT__WIRE_64:
        fixed = 8;
        break;
    case WEFT__WIRE_32:
        fixed = 4;
        break;
    default:
        return NULL;
    }
    return (size_t)(end - p) < fixed ? NULL : p + fixed;
}

static weft_status bad(weft__envelope *env, const char *why)
{
    env->why = why;
    return WEFT_EPROTO;
}

static weft_status add_pair(weft__envelope *env, weft__slice entry)
{
    weft__wire_event *event = &env->event;
    const uint8_t *p = entry.data, *end = p + entry.len;
    weft__pair pair = {{NULL, 0}, {NULL, 0}};
    field f;

    if (event->n_metadata >= env->max_pairs) {
        env->why = "more metadata pairs than max_metadata";
        return WEFT_ELIMIT;
    }
    while (p < end) {
        if ((p = next_field(p, end, &f)) == NULL)
            return bad(env, "a metadata entry is malformed");
        if (f.number > 2)
            continue;
        if (f.wire != WEFT__WIRE_BYTES)
            return bad(env, "a metadata entry has a wrong type");
        if (f.number == 1)
            pair.key = f.bytes;
        else
            pair.value = f.bytes;
    }
    env->pair_bytes += pair.key.len + pair.value.len;
    if (env->pair_bytes > env->max_pair_bytes) {
        env->why = "more bytes of metadata than max_metadata_bytes";
        return WEFT_ELIMIT;
    }
    env->pairs[event->n_metadata++] = pair;
    event->metadata = env->pairs;
    return WEFT_OK;
}

/* Where in an envelope the bytes of a field belong, by its number; 0: it is
 * none of these. */
#define SLICES 16
#define AT(member) (uint16_t) offsetof(weft__envelope, event.member)

static const uint16_t request_slices[SLICES] = {
    [WEFT__REQ_PATH] = AT(path),
    [WEFT__ENV_PAYLOAD] = AT(payload),
    [WEFT__ENV_CONTENT_TYPE] = AT(content_type),
    [WEFT__REQ_TRACE] = AT(trace),
};

static const uint16_t response_slices[SLICES] = {
    [WEFT__RSP_MESSAGE] = AT(message),
    [WEFT__ENV_PAYLOAD] = AT(payload),
    [WEFT__RSP_DETAILS] = AT(details),
    [WEFT__ENV_CONTENT_TYPE] = AT(content_type),
};

/* NULL: the bytes of that field are none that stay. */
static inline weft__slice *slice_of(weft__envelope *env, uint32_t number,
                                    bool request)
{
    uint16_t at = number >= SLICES ? 0
                  : request        ? request_slices[number]
                                   : response_slices[number];

    return at != 0 ? (weft__slice *)(void *)((char *)env + at) : NULL;
}

static inline void take_number(weft__envelope *env, uint64_t v, bool request)
{
    if (request)
        env->event.timeout_ms = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    else
        env->event.raw_code = (uint32_t)v;
}

/* One field, however it is written.  Returns the byte behind it; NULL: *status
 * says why. */
static WEFT__APART const uint8_t *take_field(weft__envelope *env,
                                             const uint8_t *p,
                                             const uint8_t *end, bool request,
                                             weft_status *status)
{
    const uint32_t number = request ? WEFT__REQ_TIMEOUT : WEFT__RSP_CODE;
    weft__slice *slice;
    field f;

    if ((p = next_field(p, end, &f)) == NULL) {
        *status = bad(env, "the envelope is malformed");
        return NULL;
    }
    slice = slice_of(env, f.number, request);
    if (slice == NULL && f.number != WEFT__ENV_METADATA && f.number != number)
        return p; /* unknown */
    if (f.wire != (f.number == number ? WEFT__WIRE_VARINT : WEFT__WIRE_BYTES)) {
        *status = bad(env, "an envelope field has a wrong type");
        return NULL;
    }
    if (slice != NULL)
        *slice = f.bytes;
    else if (f.number == number)
        take_number(env, f.value, request);
    else if ((*status = add_pair(env, f.bytes)) != WEFT_OK)
        return NULL;
    return p;
}

/* A varint of one byte or two, of two that can be read; NULL: a longer one. */
static inline const uint8_t *short_varint(const uint8_t *p, uint32_t *v)
{
    if (*p < 0x80) {
        *v = *p;
        return p + 1;
    }
    *v = (p[0] & 0x7fu) | (uint32_t)p[1] << 7;
    return p[1] < 0x80 ? p + 2 : NULL;
}

/* As protobuf has it: the last of a repeated field counts, unknown ones do not
 * matter.  What nearly every envelope is made of, strings and a number, takes
 * the short way. */
WEFT__INLINE weft_status decode(weft__envelope *env, const uint8_t *p,
                                size_t len, bool request)
{
    const uint8_t number = WEFT__TAG(
        request ? WEFT__REQ_TIMEOUT : WEFT__RSP_CODE, WEFT__WIRE_VARINT);
    const uint8_t *end = p + len;
    weft_status status = WEFT_OK;
    uint32_t v;

    while (p < end) {
        const uint8_t *value = end - p >= 3 ? short_varint(p + 1, &v) : NULL;
        weft__slice *slice;

        if (value != NULL && *p == number) {
            take_number(env, v, request);
            p = value;
        } else if (value != NULL && (*p & 0x87) == WEFT__WIRE_BYTES &&
                   v <= end - value &&
                   (slice = slice_of(env, *p >> 3, request)) != NULL) {
            *slice = (weft__slice){value, v};
            p = value + v;
        } else if ((p = take_field(env, p, end, request, &status)) == NULL) {
            break;
        }
    }
    return status;
}

weft_status weft__request_decode(weft__envelope *env, const uint8_t *data,
                                 size_t len)
{
    return decode(env, data, len, true);
}

weft_status weft__response_decode(weft__envelope *env, const uint8_t *data,
                                  size_t len)
{
    return decode(env, data, len, false);
}

/* Sizes and writers come in pairs; each size says what its writer writes. */

static size_t bytes_size(size_t len)
{
    return 1 + weft__varint_size(len) + len;
}

static uint8_t *put_bytes(uint8_t *p, unsigned number, const void *data,
                          size_t len)
{
    *p++ = WEFT__TAG(number, WEFT__WIRE_BYTES);
    p = weft__varint_put(p, len);
    if (len != 0)
        memcpy(p, data, len);
    return p + len;
}

static size_t slice_size(weft__slice s)
{
    return s.len != 0 ? bytes_size(s.len) : 0;
}

static uint8_t *put_slice(uint8_t *p, unsigned number, weft__slice s)
{
    return s.len != 0 ? put_bytes(p, number, s.data, s.len) : p;
}

static size_t number_size(uint32_t v)
{
    return v != 0 ? 1 + weft__varint_size(v) : 0;
}

static uint8_t *put_number(uint8_t *p, unsigned number, uint32_t v)
{
    if (v == 0)
        return p;
    *p++ = WEFT__TAG(number, WEFT__WIRE_VARINT);
    return weft__varint_put(p, v);
}

/* As gorpc writes a map entry: an empty value is left out. */
static size_t entry_size(const weft_metadatum *m, size_t key_len)
{
    return bytes_size(key_len) +
           (m->value_len != 0 ? bytes_size(m->value_len) : 0);
}

static WEFT__APART weft_status add_pairs_size(const weft_metadata *md,
                                              size_t *size)
{
    for (size_t i = 0; i < md->n; i++) {
        size_t key_len =
            md->items[i].key != NULL ? strlen(md->items[i].key) : 0;

        if (key_len == 0 || key_len > 255)
            return WEFT_EINVAL;
        *size += bytes_size(entry_size(&md->items[i], key_len));
    }
    return WEFT_OK;
}

static inline weft_status add_metadata_size(const weft_metadata *md,
                                            size_t *size)
{
    return md->n != 0 ? add_pairs_size(md, size) : WEFT_OK;
}

static WEFT__APART uint8_t *put_pairs(uint8_t *p, const weft_metadata *md)
{
    for (size_t i = 0; i < md->n; i++) {
        const weft_metadatum *m = &md->items[i];
        size_t key_len = strlen(m->key);

        *p++ = WEFT__TAG(WEFT__ENV_METADATA, WEFT__WIRE_BYTES);
        p = weft__varint_put(p, entry_size(m, key_len));
        p = put_bytes(p, 1, m->key, key_len);
        if (m->value_len != 0)
            p = put_bytes(p, 2, m->value, m->value_len);
    }
    return p;
}

static inline uint8_t *put_metadata(uint8_t *p, const weft_metadata *md)
{
    return md->n != 0 ? put_pairs(p, md) : p;
}

static inline uint8_t *put_payload_head(uint8_t *p, size_t len)
{
    *p++ = WEFT__TAG(WEFT__ENV_PAYLOAD, WEFT__WIRE_BYTES);
    return weft__varint_put(p, len);
}

/* What few requests have: metadata, and slices that version 0 does not know. */
static WEFT__APART weft_status add_extras_size(const weft__wire_request *r,
                                               bool v0, size_t *size)
{
    weft_status status;

    if ((status = add_metadata_size(&r->metadata, size)) != WEFT_OK ||
        (status = add_metadata_size(&r->more_metadata, size)) != WEFT_OK)
        return status;
    if (!v0)
        *size += slice_size(r->content_type) + slice_size(r->trace);
    return WEFT_OK;
}

weft_status weft__request_head_size(const weft__request_head *h, size_t *size)
{
    const weft__wire_request *r = h->request;

    *size = bytes_size(r->path_len) + (h->v0 ? 0 : number_size(r->timeout_ms)) +
            1 + weft__varint_size(h->payload_len);
    if ((r->metadata.n | r->more_metadata.n | r->content_type.len |
         r->trace.len) == 0)
        return WEFT_OK;
    return add_extras_size(r, h->v0, size);
}

uint8_t *weft__request_head_put(uint8_t *p, const weft__request_head *h)
{
    const weft__wire_request *r = h->request;

    p = put_bytes(p, WEFT__REQ_PATH, r->path, r->path_len);
    p = put_metadata(p, &r->metadata);
    p = put_metadata(p, &r->more_metadata);
    if (!h->v0) {
        p = put_number(p, WEFT__REQ_TIMEOUT, r->timeout_ms);
        p = put_slice(p, WEFT__ENV_CONTENT_TYPE, r->content_type);
        p = put_slice(p, WEFT__REQ_TRACE, r->trace);
    }
    return put_payload_head(p, h->payload_len);
}

/* What nearly every reply is: a success with nothing but its message. */
static inline bool is_plain(const weft__response_head *h)
{
    const weft__wire_response *r = h->response;

    return h->has_payload && (h->code | h->message.len | r->metadata.n |
                              r->details.len | r->content_type.len) == 0;
}

/* What the others have besides. */
static WEFT__APART weft_status add_reply_size(const weft__response_head *h,
                                              size_t *size)
{
    const weft__wire_response *r = h->response;

    *size += number_size(h->code) + slice_size(h->message);
    if (!h->v0)
        *size += slice_size(r->details) + slice_size(r->content_type);
    return add_metadata_size(&r->metadata, size);
}

weft_status weft__response_head_size(const weft__response_head *h, size_t *size)
{
    *size = h->has_payload ? 1 + weft__varint_size(h->payload_len) : 0;
    return is_plain(h) ? WEFT_OK : add_reply_size(h, size);
}

uint8_t *weft__response_head_put(uint8_t *p, const weft__response_head *h)
{
    const weft__wire_response *r = h->response;

    if (is_plain(h))
        return put_payload_head(p, h->payload_len);
    p = put_number(p, WEFT__RSP_CODE, h->code);
    p = put_slice(p, WEFT__RSP_MESSAGE, h->message);
    p = put_metadata(p, &r->metadata);
    if (!h->v0) {
        p = put_slice(p, WEFT__RSP_DETAILS, r->details);
        p = put_slice(p, WEFT__ENV_CONTENT_TYPE, r->content_type);
    }
    return h->has_payload ? put_payload_head(p, h->payload_len) : p;
}

enum { REASON_CODE = 1, REASON_TEXT = 2, REASON_UNPROCESSED = 3 };

void weft__reason_decode(weft__reason *reason, const uint8_t *data, size_t len)
{
    const uint8_t *p = data, *end = data + len;
    field f;

    *reason = (weft__reason){.code = WEFT_UNKNOWN};
    while (p < end && (p = next_field(p, end, &f)) != NULL) {
        if (f.number == REASON_CODE && f.wire == WEFT__WIRE_VARINT)
            reason->code = (uint32_t)f.value;
        else if (f.number == REASON_TEXT && f.wire == WEFT__WIRE_BYTES)
            reason->text = f.bytes;
        else if (f.number == REASON_UNPROCESSED && f.wire == WEFT__WIRE_VARINT)
            reason->unprocessed = f.value != 0;
    }
}

size_t weft__reason_size(const weft__reason *reason)
{
    return 1 + weft__varint_size(reason->code) + slice_size(reason->text) +
           number_size(reason->unprocessed);
}

uint8_t *weft__reason_put(uint8_t *p, const weft__reason *reason)
{
    /* always written: 0 (a stop without a fault) differs from none */
    *p++ = WEFT__TAG(REASON_CODE, WEFT__WIRE_VARINT);
    p = weft__varint_put(p, reason->code);
    p = put_slice(p, REASON_TEXT, reason->text);
    return put_number(p, REASON_UNPROCESSED, reason->unprocessed);
}

/* The number of a setting is its place here, from 1. */
static uint32_t *setting(weft__settings *s, uint32_t number)
{
    switch (number) {
    case 1:
        return &s->max_frame_bytes;
    case 2:
        return &s->max_in_flight;
    case 3:
        return &s->stream_window;
    case 4:
        return &s->connection_window;
    case 5:
        return &s->compressions;
    case 6:
        return &s->features;
    default:
        return NULL;
    }
}

bool weft__settings_decode(weft__settings *settings, const uint8_t *data,
                           size_t len)
{
    const uint8_t *p = data, *end = data + len;
    weft__settings s = *settings;
    uint32_t *value;
    field f;

    while (p < end) {
        if ((p = next_field(p, end, &f)) == NULL)
            return false;
        if ((value = setting(&s, f.number)) == NULL)
            continue;
        if (f.wire != WEFT__WIRE_VARINT)
            return false;
        *value = f.value > UINT32_MAX ? UINT32_MAX : (uint32_t)f.value;
    }
    *settings = s;
    return true;
}

uint8_t *weft__settings_put(uint8_t *p, const weft__settings *settings)
{
    weft__settings s = *settings;
    const uint32_t *value;

    for (uint32_t i = 1; (value = setting(&s, i)) != NULL; i++) {
        *p++ = WEFT__TAG(i, WEFT__WIRE_VARINT);
        p = weft__varint_put(p, *value);
    }
    return p;
}
