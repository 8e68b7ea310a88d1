/* weft/wire.h - a protocol on one connection, without I/O.
 *
 * Bytes in by feed(), which yields events of streams (never frames); bytes out
 * into the connection's output queue.  A unary call is a stream with one
 * message each way: its request arrives as one event with HEADERS, MESSAGE and
 * END, its reply as one with MESSAGE and END.  The native wire
 * (docs/protocol.md) is one implementation of weft__wire_ops, HTTP/2 will be
 * another; connections, tests and fuzzers are shared. */
#ifndef WEFT_WIRE_H
#define WEFT_WIRE_H

#include <string.h>
#include <weft/metadata.h>
#include <weft/outq.h>

typedef struct weft__wire weft__wire;
typedef struct weft__wire_event weft__wire_event;

/* Hears what feed() yields.  May call any send function of the wire, and set
 * wire->paused. */
typedef void (*weft__wire_sink)(void *user, const weft__wire_event *event);

/* A call's id on its connection: it only rises, so that a stale reply can never
 * match a new call. */
typedef uint64_t weft__stream_id;

typedef enum weft__call_kind {
    WEFT__UNARY = 0,
    WEFT__ONE_WAY = 1,
    WEFT__CLIENT_STREAM = 2,
    WEFT__SERVER_STREAM = 3,
    WEFT__BIDI_STREAM = 4
} weft__call_kind;

typedef enum weft__compression {
    WEFT__IDENTITY = 0,
    WEFT__GZIP = 1,
    WEFT__ZSTD = 2
} weft__compression;

/* Not NUL-terminated; NULL and 0 when absent. */
typedef struct weft__slice {
    const uint8_t *data;
    size_t len;
} weft__slice;

static inline weft__slice weft__text(const char *text)
{
    return (weft__slice){(const uint8_t *)text, strlen(text)};
}

/* "protobuf", or nothing, which means the same. */
static inline bool weft__is_protobuf(weft__slice content_type)
{
    return content_type.len == 0 ||
           (content_type.len == 8 &&
            memcmp(content_type.data, "protobuf", 8) == 0);
}

typedef struct weft__pair {
    weft__slice key, value;
} weft__pair;

/* What one call of feed() works on. */
typedef struct weft__wire_input {
    const uint8_t *data;
    size_t len;
    uint32_t max_frames; /* yields after this many; 0: no bound */
    void *block;         /* data lies in this block of the loop's, or NULL */
    size_t block_bytes;
    weft__wire_sink sink;
    void *user;
    /* out: */
    size_t consumed;  /* whole frames only */
    size_t last;      /* of them: the size of the last one */
    size_t need;      /* bytes, from data + consumed, of the frame that is not
                         complete yet; 0 when not known */
    bool block_taken; /* an event's receiver keeps block (see keep_block) */
} weft__wire_input;

/* Parts that an event may have, in the order in which they stand. */
enum {
    WEFT__HEADERS = 1, /* a call begins (server) or its headers came (client) */
    WEFT__MESSAGE = 2, /* one message */
    WEFT__END = 4,     /* nothing more from the peer; on a client the status */
    WEFT__RESET = 8,   /* the peer gave the stream up: status says why */
    WEFT__GOAWAY = 16, /* streams above `stream` will not be processed */
    WEFT__READY = 32,  /* version and settings of the peer are known */
    WEFT__PONG = 64,   /* the peer answered a heartbeat: it lives */
    WEFT__REFUSED = 128,  /* server: this call was answered by the wire itself
                            (streams, unknown compression); for statistics */
    WEFT__DISCARDED = 256 /* client: a version 0 peer has answered a call that
                             was given up: its place is free again */
};

/* Everything points into the input and is valid until the sink returns. */
struct weft__wire_event {
    unsigned parts;
    weft__stream_id stream;
    void *user; /* END and RESET on a client: the request's */
    weft__wire_input *input;

    /* HEADERS on a server */
    weft__call_kind kind;
    weft__slice path;    /* "/package.Service/Method", as it came */
    uint32_t timeout_ms; /* 0: the peer named none */
    bool v0;             /* a gorpc peer: docs/protocol.md, "Version 0" */

    /* HEADERS on a server, END on a client */
    const weft__pair *metadata;
    size_t n_metadata;
    weft__slice content_type; /* empty: protobuf */
    weft__slice trace;        /* W3C traceparent */

    /* MESSAGE */
    weft__slice payload;
    weft__compression compression;

    /* END on a client, RESET, GOAWAY, REFUSED */
    weft_status status;
    uint32_t raw_code; /* as on the wire */
    weft__slice message;
    weft__slice details;
    bool unprocessed; /* RESET on a client: no handler has seen the call, which
                         may safely be made again elsewhere */
};

/* Moves the input's block into arena: true, and the event's slices live as long
 * as the arena does.  False: the bytes lie in a shared buffer, or arena has no
 * room for the block; nothing has changed, and they must be copied. */
static inline bool weft__wire_keep_block(const weft__wire_event *event,
                                         weft_arena *arena);
bool weft__wire_take_block(weft__wire_input *in, weft_arena *arena);

static inline bool weft__wire_keep_block(const weft__wire_event *event,
                                         weft_arena *arena)
{
    weft__wire_input *in = event->input;

    return in != NULL && in->block != NULL && weft__wire_take_block(in, arena);
}

/* A payload of this many bytes is sent from where it lies, if its owner allows:
 * to copy fewer costs less than to keep their memory until they are written, in
 * a piece of writev's own. */
#define WEFT__REF_BYTES 4096

/* A message on its way out: bytes, or something that packs itself into exactly
 * len bytes; or all but the last of these, which are the tail. */
typedef struct weft__payload {
    size_t len;
    const void *data;
    void (*pack)(const void *message, uint8_t *out, size_t len); /* no data */
    const void *message;
    weft__slice tail;
    /* Set: data and tail stay valid until release(arg), so large ones are not
     * copied.  Runs exactly once if the send function returned OK, maybe
     * before. */
    void (*release)(void *arg);
    void *arg;
} weft__payload;

typedef struct weft__wire_request {
    weft__call_kind kind;
    const char *path; /* "/package.Service/Method" */
    size_t path_len;
    uint32_t timeout_ms; /* what is left; 0: none */
    weft_metadata metadata, more_metadata;
    weft__slice content_type, trace;
    weft__compression compression;
    weft__payload payload;
    void *user; /* comes back with END or RESET; there is neither for one-way
                   calls and those that reset() or a GOAWAY has ended */
} weft__wire_request;

typedef struct weft__wire_response {
    weft_status status; /* RPC code */
    uint32_t raw_code;  /* with version 0 peers, instead of status if not 0 */
    weft__slice message, details, content_type;
    weft_metadata metadata;
    weft__compression compression;
    weft__payload payload; /* ignored unless status is OK */
} weft__wire_response;

typedef struct weft__wire_conf {
    bool server;
    uint32_t max_frame_bytes;    /* of a body that we accept; 1024 at least */
    uint32_t max_metadata;       /* pairs; 256 at most, whatever is said here */
    uint32_t max_metadata_bytes; /* keys and values together */
    uint32_t max_in_flight;      /* calls that a peer may have open */
} weft__wire_conf;

/* What the peer is and allows; the defaults stand until READY. */
typedef struct weft__wire_info {
    int version;              /* -1 not known yet, 0, 1 */
    uint32_t max_frame_bytes; /* of a body that the peer accepts */
    uint32_t window;          /* client: calls that may be begun right now */
    uint32_t in_flight;       /* begun and not ended; version 0: abandoned ones
                                 too, until their reply has come */
    bool goaway_received, goaway_sent;
    uint32_t strays; /* frames that belonged to no call, and were dropped */
    const char *why; /* of feed()'s failure: a static phrase; or NULL */
} weft__wire_info;

/* Statuses: ENOMEM leaves the wire as it was.  Where feed() returns another
 * error the connection is lost: a go-away with the reason is queued if the peer
 * understands it; flush it and close. */
typedef struct weft__wire_ops {
    const char *name;
    size_t size; /* the connection allocates it, zeroed; weft__wire is first */

    weft_status (*init)(weft__wire *wire); /* by weft__wire_init() */
    void (*fini)(weft__wire *wire);

    /* Client: queues the probe.  READY follows when it is answered; no call may
     * be sent before (window is 0). */
    weft_status (*start)(weft__wire *wire);

    /* Consumes whole frames.  EPROTO, ELIMIT (a frame over the limit), EIO (a
     * frame that must not be lost could not be queued); info() says it in
     * words.  Once failed, it fails.  ENOMEM is no failure: the frame that it
     * stopped at is not consumed, feed it again or close. */
    weft_status (*feed)(weft__wire *wire, weft__wire_input *input);

    /* Client: begins a call; unary and one-way ones are whole with it.  EAGAIN:
     * the window is 0.  ENOTSUP: the peer cannot do this (one-way, stream or
     * compression to version 0).  ELIMIT: over the peer's frame size. */
    weft_status (*request)(weft__wire *wire, const weft__wire_request *request,
                           weft__stream_id *stream);

    /* Server: ends a call.  ENOENT: there is no such call (any more); ELIMIT:
     * the reply is over the peer's frame size (answer with a failure instead).
     */
    weft_status (*respond)(weft__wire *wire, weft__stream_id stream,
                           const weft__wire_response *response);

    /* Either side gives a stream up; no event of it follows.  On a server it
     * answers a version 0 peer, whose replies are in order, and UNAVAILABLE
     * promises that no handler has seen the call (unprocessed).  Unknown ids
     * are ignored. */
    void (*reset)(weft__wire *wire, weft__stream_id stream, weft_status why);

    /* Says that calls begun from now on will not be processed.  Never sent to
     * version 0 peers, whose calls are still served; to one whose version is
     * not known yet as soon as it is.  Once. */
    void (*goaway)(weft__wire *wire, weft_status why, const char *text);

    /* A heartbeat, answered with PONG; false: the peer knows none. */
    bool (*ping)(weft__wire *wire);

    void (*info)(const weft__wire *wire, weft__wire_info *out);

    /* Gives back what is empty and was kept for calls to come.  For when none
     * have come for a while. */
    void (*trim)(weft__wire *wire);
} weft__wire_ops;

struct weft__wire {
    const weft__wire_ops *ops;
    const weft__wire_conf *conf; /* borrowed */
    weft__outq out;              /* the connection's; it outlives fini */
    uint32_t held; /* bytes of replies that wait in it for their turn */
    bool paused;   /* feed() returns after the current frame */
};

static inline weft_status weft__wire_init(weft__wire *wire,
                                          const weft__wire_ops *ops,
                                          const weft__wire_conf *conf,
                                          weft_loop *loop)
{
    wire->ops = ops;
    wire->conf = conf;
    weft__outq_init(&wire->out, loop);
    return ops->init(wire);
}

/* What a connection speaks, by its first bytes (any count from 1). */
typedef enum weft__protocol {
    WEFT__PROTOCOL_MORE, /* not decided yet */
    WEFT__PROTOCOL_NATIVE,
    WEFT__PROTOCOL_HTTP1,
    WEFT__PROTOCOL_HTTP2,
    WEFT__PROTOCOL_TLS,
    WEFT__PROTOCOL_UNKNOWN
} weft__protocol;
weft__protocol weft__sniff(const uint8_t *data, size_t len);

extern const weft__wire_ops weft__native_wire;

#endif /* WEFT_WIRE_H */
