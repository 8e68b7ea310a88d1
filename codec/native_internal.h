/* native_internal.h - the native wire (docs/protocol.md), shared by its files.
 *
 * native.c         the ops, framing, heartbeats, go-away; both roles
 * native_server.c  requests in, replies out, what is refused and how
 * native_v0.c      replies to version 0 peers, in the order of their requests
 * native_client.c  calls out, replies in, the probe's two outcomes
 *
 *  W1. A frame is handled wholly or, on ENOMEM, not at all: whatever may fail
 *      is reserved before the sink is called or anything is changed.
 *
 *  W2. The sink may call every send function, so state is final before it
 *      runs.
 *
 *  W3. in->consumed covers the current frame while the sink runs. */
#ifndef WEFT_NATIVE_INTERNAL_H
#define WEFT_NATIVE_INTERNAL_H

#include <string.h>
#include <weft/hint.h>
#include <weft/wire.h>

#include "envelope_internal.h"
#include "frame_internal.h"
#include "idset_internal.h"

/* Ids of calls from version 0 peers, who have none, are ours: above every id
 * that a frame can carry, and rising. */
#define WEFT__V0_ID (UINT64_C(1) << 48)

/* More pairs than this are refused whatever the configuration says: they are
 * parsed on the stack. */
#define WEFT__MAX_PAIRS 256

/* Control frames must fit, whatever the configuration says. */
#define WEFT__MIN_FRAME_BYTES 1024

/* With more than this unsent, heartbeats of the peer stay unanswered: one who
 * only asks and never reads costs no memory. */
#define WEFT__PONG_UNSENT_MAX (1u << 20)

/* An unknown field of value 0: what a version 0 peer, who cannot read an empty
 * payload, gets instead of one. */
#define WEFT__V0_FILLER_BYTES 6
extern const uint8_t weft__v0_filler[WEFT__V0_FILLER_BYTES];

/* One reply to a version 0 peer that waits for its turn. */
typedef struct weft__v0_reply {
    uint8_t *frame; /* NULL: not answered yet */
    size_t size;
} weft__v0_reply;

/* A ring of those between the oldest call without a sent reply and the newest.
 */
typedef struct weft__v0_fifo {
    uint64_t first; /* number of the oldest: its id is WEFT__V0_ID | first */
    uint32_t cap;   /* a power of two */
    uint32_t n;     /* entries */
    uint32_t open;  /* of them not answered */
    weft__v0_reply ring[];
} weft__v0_fifo;

/* Why feed() fails for good: a static phrase for each. */
#define WEFT__NATIVE_FAULTS(X)                                                 \
    X(ALIVE, WEFT_OK, NULL)                                                    \
    X(NO_MAGIC, WEFT_EPROTO, "a frame without magic")                          \
    X(BAD_SETTINGS, WEFT_EPROTO, "malformed settings")                         \
    X(OLD_ID, WEFT_EPROTO, "an id that did not rise")                          \
    X(BIG_FRAME, WEFT_ELIMIT, "a frame over max_frame_bytes")                  \
    X(PIPELINED, WEFT_ELIMIT, "more calls pipelined than max_in_flight")       \
    X(UNANSWERED, WEFT_EIO, "no memory to answer a call")

typedef enum weft__native_fault {
#define WEFT__FAULT(name, status, why) WEFT__NATIVE_##name,
    WEFT__NATIVE_FAULTS(WEFT__FAULT)
#undef WEFT__FAULT
} weft__native_fault;

/* There is one for each connection, most of which idle: what only some need is
 * allocated when they do. */
typedef struct weft__native {
    weft__wire wire; /* first */
    union {
        struct {               /* server */
            weft__idset calls; /* in flight, version 1; the bit: one-way */
            weft__v0_fifo *v0; /* NULL until a version 0 peer calls */
        };
        weft__idmap sent; /* client: in flight; version 0: one at most */
    };
    uint64_t last_id; /* server: highest seen; client: last used */
    uint32_t peer_frame_bytes, peer_in_flight; /* of the peer's settings */
    uint32_t strays;
    int8_t version;
    int8_t going_why;       /* weft_status */
    uint8_t fault;          /* weft__native_fault */
    bool ready : 1;         /* the peer's settings (or version 0) are known */
    bool settings_sent : 1; /* server */
    bool going : 1;         /* goaway() was called */
    bool goaway_sent : 1;   /* and said; not while the version is unknown */
    bool goaway_received : 1;
    bool v0_abandoned : 1; /* the reply is awaited only to be dropped */
} weft__native;

/* Queues a frame with a small body that is copied. */
weft_status weft__native_send(weft__native *w, const weft__frame *frame,
                              const void *body);
weft_status weft__native_send_reason(weft__native *w, uint8_t type, uint64_t id,
                                     const weft__reason *reason);
/* The connection is lost: remembers it, says why to a peer of version 1.
 * Returns the fault's status. */
WEFT__COLD weft_status weft__native_fail(weft__native *w,
                                         weft__native_fault fault);
/* To be decoded, with room for WEFT__MAX_PAIRS pairs, and to be told. */
static inline weft__envelope weft__native_envelope(const weft__native *w,
                                                   weft__pair *pairs,
                                                   weft__stream_id stream,
                                                   weft__wire_input *in)
{
    uint32_t most = w->wire.conf->max_metadata;

    return (weft__envelope){.pairs = pairs,
                            .max_pairs =
                                most < WEFT__MAX_PAIRS ? most : WEFT__MAX_PAIRS,
                            .max_pair_bytes = w->wire.conf->max_metadata_bytes,
                            .event = {.stream = stream, .input = in}};
}

/* Writes the first len bytes of a payload: all (or the filler), or those that
 * are not lent. */
static inline uint8_t *
weft__payload_put(uint8_t *p, const weft__payload *payload, size_t len)
{
    size_t head = payload->len - payload->tail.len;

    if (payload->len == 0 && len == WEFT__V0_FILLER_BYTES) {
        memcpy(p, weft__v0_filler, len);
        return p + len;
    }
    if (payload->pack != NULL)
        payload->pack(payload->message, p, head);
    else if (len > 0 && head > 0)
        memcpy(p, payload->data, head);
    if (len > head)
        memcpy(p + head, payload->tail.data, payload->tail.len);
    return p + len;
}

/* Its last bytes, which are sent from where they lie; empty: none. */
static inline weft__slice weft__payload_lent(const weft__payload *payload)
{
    weft__slice last = {0};

    if (payload->release == NULL) /* what is small, and most are */
        return last;
    last = payload->tail;
    if (last.len == 0 && payload->data != NULL)
        last = (weft__slice){payload->data, payload->len};
    return last.len >= WEFT__REF_BYTES ? last : (weft__slice){0};
}

/* Runs release: all of it is written. */
static inline void weft__payload_done(const weft__payload *payload)
{
    if (payload->release != NULL)
        payload->release(payload->arg);
}

/* Queues what a payload lends, behind its other bytes.  ENOMEM: those, which
 * are the end of the last `reserved` bytes of the queue, are given back. */
weft_status weft__payload_lend(weft__native *w, const weft__payload *payload,
                               weft__slice lent, size_t reserved);

/* Queues the payload, len bytes with its filler, of which those that are not
 * lent go to p; reserved, and ENOMEM: as above. */
static inline weft_status weft__payload_queue(weft__native *w, uint8_t *p,
                                              const weft__payload *payload,
                                              size_t len, weft__slice lent,
                                              size_t reserved)
{
    weft__payload_put(p, payload, len - lent.len);
    if (lent.len != 0)
        return weft__payload_lend(w, payload, lent, reserved);
    weft__payload_done(payload);
    return WEFT_OK;
}

/* Handlers of data and reset frames of version 1 and of any frame of version 0.
 * ENOMEM: nothing has happened. */
weft_status weft__server_data(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in);
weft_status weft__server_v0(weft__native *w, const weft__frame *frame,
                            const uint8_t *body, weft__wire_input *in);
void weft__server_reset_frame(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in);
weft_status weft__server_respond(weft__wire *wire, weft__stream_id stream,
                                 const weft__wire_response *response);
void weft__server_reset(weft__native *w, weft__stream_id stream,
                        weft_status why);
uint32_t weft__server_in_flight(const weft__native *w);

void weft__client_data(weft__native *w, const weft__frame *frame,
                       const uint8_t *body, weft__wire_input *in);
void weft__client_v0(weft__native *w, const weft__frame *frame,
                     const uint8_t *body, weft__wire_input *in);
void weft__client_reset_frame(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in);
weft_status weft__client_start(weft__wire *wire);
weft_status weft__client_request(weft__wire *wire,
                                 const weft__wire_request *request,
                                 weft__stream_id *stream);
void weft__client_reset(weft__native *w, weft__stream_id stream,
                        weft_status why);
uint32_t weft__client_window(const weft__native *w);
uint32_t weft__client_in_flight(const weft__native *w);

/* Replies in order.  push() makes a place for the next call (ENOMEM), undo()
 * takes the newest place back; answer(): ENOENT, ENOMEM, ELIMIT. */
weft_status weft__v0_push(weft__native *w, uint64_t *number);
void weft__v0_undo(weft__native *w);
uint32_t weft__v0_open(const weft__native *w);    /* not answered */
uint32_t weft__v0_pending(const weft__native *w); /* no reply sent */
weft_status weft__v0_answer(weft__native *w, uint64_t number,
                            const weft__wire_response *response);
void weft__v0_fini(weft__native *w);

#endif /* WEFT_NATIVE_INTERNAL_H */
