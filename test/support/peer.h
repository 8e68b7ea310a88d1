/* peer.h - a server that the test plays by hand: it keeps what arrives, and
 * says nothing until it is told to.  After support.h. */
#ifndef WEFT_TEST_PEER_H
#define WEFT_TEST_PEER_H

#include <weft/listener.h>

#define PEER_CALLS 1024
#define PEER_CONNS 256

typedef struct peer_call {
    weft__conn *conn;
    int conn_index;
    weft__stream_id stream;
    char path[128];
    uint8_t payload[64];
    size_t payload_len;
    uint64_t payload_sum; /* peer_sum() of all of it */
    uint32_t timeout_ms;
    char trace[64];
    char metadata[128]; /* "key=value;" ... */
    bool one_way, ended;
} peer_call;

typedef struct peer {
    weft_loop *loop;
    weft__listener *listener;
    weft__conn_conf conf;
    weft__conn *conns[PEER_CONNS]; /* NULL: closed */
    int n_conns, n_open;
    peer_call calls[PEER_CALLS];
    int n_calls;
    int n_resets; /* cancellations that arrived */
    weft_status last_reset;
    char uri[160]; /* where it listens */
} peer;

/* Tells payloads apart. */
uint64_t peer_sum(const void *data, size_t len);

/* Listens on uri; version 1 unless the test speaks bytes itself. */
void peer_open(peer *p, weft_loop *loop, const char *uri);
/* The i-th call that arrived gets {msg} as HelloReply, or a failure. */
void peer_reply(peer *p, int i, const char *msg);
void peer_reply_bytes(peer *p, int i, const void *data, size_t len);
void peer_fail(peer *p, int i, weft_status status, const char *message);
void peer_reset(peer *p, int i, weft_status status);
void peer_goaway(peer *p, int conn, const char *text);
void peer_drop(peer *p, int conn); /* at once, without a word */
/* Every answered conn goes, and the listener. */
void peer_close(peer *p);

#endif /* WEFT_TEST_PEER_H */
