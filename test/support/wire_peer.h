/* wire_peer.h - one end of a connection without a connection: a wire, its
 * output and what it has reported.
 *
 * The harness takes its memory from the C library, not from weft_malloc, so
 * that a failing allocation is always the wire's.  It also stands in for the
 * loop's pool of chunks, so link it only into tests that have no loop. */
#ifndef WEFT_TEST_WIRE_PEER_H
#define WEFT_TEST_WIRE_PEER_H

#include "support.h"

#include <weft/wire.h>

/* A copy of an event; texts are NUL-terminated and never NULL. */
typedef struct seen {
    unsigned parts;
    weft__stream_id stream;
    weft__call_kind kind;
    weft_status status;
    uint32_t raw_code, timeout_ms;
    void *user;
    bool v0, unprocessed;
    size_t n_metadata, payload_len;
    char *path, *message, *payload, *details, *content_type, *trace;
    char *key, *value; /* of the first metadata pair */
} seen;

typedef struct wire_peer wire_peer;
struct wire_peer {
    weft__wire_conf conf;
    weft__wire *wire;
    weft_status fed; /* what feed() said last */
    uint8_t *in;     /* not consumed yet */
    size_t in_len;
    uint32_t max_frames;
    seen *seen;
    size_t n_seen, max_seen;
    /* Called with every event, after it has been copied; may be NULL. */
    void (*on_event)(wire_peer *peer, const weft__wire_event *event);
    void *user;
};

extern const weft__wire_conf peer_server_conf, peer_client_conf;

/* conf NULL: the above.  ops NULL: the native wire.  False: out of memory. */
bool peer_init(wire_peer *peer, const weft__wire_ops *ops,
               const weft__wire_conf *conf, bool server);
void peer_fini(wire_peer *peer);

/* Feeds bytes as they would come from a socket: what was left over, then these.
 * Returns feed()'s status. */
weft_status peer_feed(wire_peer *peer, const void *bytes, size_t len);
/* Takes all output; the caller frees it. */
uint8_t *peer_take(wire_peer *peer, size_t *len);
/* Carries bytes both ways, `step` at a time (0: all), until nothing moves. */
void peers_pump(wire_peer *a, wire_peer *b, size_t step);
/* The last event, or one of zeroes. */
const seen *peer_last(const wire_peer *peer);
void peer_forget(wire_peer *peer);
weft__wire_info peer_info(const wire_peer *peer);
/* For a feed() of one's own: what it yields goes to peer. */
weft__wire_input peer_input(wire_peer *peer, const void *bytes, size_t len);

/* The bytes of text such as `11 00 0027 "hello" # a comment`; free them. */
uint8_t *hex_bytes(const char *text, size_t *len);
weft_status peer_feed_hex(wire_peer *peer, const char *text);
/* Asserts that the output is exactly this, and takes it. */
#define assert_output(peer, text)                                              \
    peer_assert_output((peer), (text), __FILE__, __LINE__)
void peer_assert_output(wire_peer *peer, const char *text, const char *file,
                        int line);

#define SLICE(text) ((weft__slice){(const uint8_t *)(text), strlen(text)})

#endif /* WEFT_TEST_WIRE_PEER_H */
