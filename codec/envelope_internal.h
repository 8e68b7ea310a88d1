/* envelope_internal.h - what stands in the body of a data frame, in front of
 * and around the payload (docs/protocol.md, "Envelope").
 *
 * Decoding is one pass over the bytes, in place, without memory of its own.
 * Encoding writes everything up to the payload, which is the last field, so
 * that the payload can be packed right behind it or be referenced. */
#ifndef WEFT_ENVELOPE_INTERNAL_H
#define WEFT_ENVELOPE_INTERNAL_H

#include <weft/wire.h>

enum {
    WEFT__REQ_PATH = 2,
    WEFT__REQ_TIMEOUT = 5,
    WEFT__REQ_TRACE = 7,
    WEFT__RSP_CODE = 1,
    WEFT__RSP_MESSAGE = 2,
    WEFT__RSP_DETAILS = 5,
    WEFT__ENV_METADATA = 3, /* these three in both */
    WEFT__ENV_PAYLOAD = 4,
    WEFT__ENV_CONTENT_TYPE = 6
};

typedef struct weft__envelope {
    /* in: room for metadata, and what the operator allows of it */
    weft__pair *pairs;
    size_t max_pairs, max_pair_bytes;
    /* out: path, timeout_ms, metadata, content_type, trace, payload (its data
     * is NULL when there is none), raw_code, message, details */
    weft__wire_event event;
    size_t pair_bytes;
    const char *why; /* of an error: a static phrase */
} weft__envelope;

/* EPROTO: not an envelope.  ELIMIT: too many pairs, or too many bytes in them.
 * env is set up by the caller: pairs and limits, and of the event what does not
 * come from the envelope; the rest zero. */
weft_status weft__request_decode(weft__envelope *env, const uint8_t *data,
                                 size_t len);
weft_status weft__response_decode(weft__envelope *env, const uint8_t *data,
                                  size_t len);

/* What goes out; version 0 peers get only what gorpc knows. */
typedef struct weft__request_head {
    const weft__wire_request *request;
    size_t payload_len;
    bool v0;
} weft__request_head;

typedef struct weft__response_head {
    const weft__wire_response *response;
    uint32_t code;
    weft__slice message;
    size_t payload_len;
    bool has_payload;
    bool v0;
} weft__response_head;

/* Bytes of the envelope up to the payload.  EINVAL: a metadata key that cannot
 * be one (empty, or over 255 bytes). */
weft_status weft__request_head_size(const weft__request_head *h, size_t *size);
weft_status weft__response_head_size(const weft__response_head *h,
                                     size_t *size);
/* Write exactly that many; return the byte behind. */
uint8_t *weft__request_head_put(uint8_t *p, const weft__request_head *h);
uint8_t *weft__response_head_put(uint8_t *p, const weft__response_head *h);

/* The body of reset and go-away frames. */
typedef struct weft__reason {
    uint32_t code;
    weft__slice text;
    bool unprocessed; /* reset: no handler has seen the call */
} weft__reason;

/* What of it can be read; a code of UNKNOWN when there is none. */
void weft__reason_decode(weft__reason *reason, const uint8_t *data, size_t len);
size_t weft__reason_size(const weft__reason *reason);
uint8_t *weft__reason_put(uint8_t *p, const weft__reason *reason);

/* The body of a heartbeat (docs/protocol.md, "Settings"). */
typedef struct weft__settings {
    uint32_t max_frame_bytes, max_in_flight;
    uint32_t stream_window, connection_window;
    uint32_t compressions; /* bit n: weft__compression n */
    uint32_t features;
} weft__settings;

#define WEFT__SETTINGS_MAX 64

/* Takes over what is named; false: malformed. */
bool weft__settings_decode(weft__settings *settings, const uint8_t *data,
                           size_t len);
/* At most WEFT__SETTINGS_MAX bytes; returns the byte behind. */
uint8_t *weft__settings_put(uint8_t *p, const weft__settings *settings);

#endif /* WEFT_ENVELOPE_INTERNAL_H */
