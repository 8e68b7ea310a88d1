/* raw_client.h - a client without a channel: one connection, native wire,
 * replies in an array.  And plain sockets, for peers that are none of ours. */
#ifndef WEFT_TEST_RAW_CLIENT_H
#define WEFT_TEST_RAW_CLIENT_H

#include "support.h"

#include <weft/conn.h>

#define RAW_REPLIES 2048

typedef struct raw_reply {
    weft__stream_id stream;
    bool done, reset, unprocessed;
    weft_status status;
    uint32_t raw_code;
    char message[600];
    uint8_t *payload; /* malloc'ed */
    size_t payload_len;
    char details[64], content_type[32];
    char key[32], value[64]; /* of the first metadata pair */
} raw_reply;

typedef struct raw_client {
    weft__conn *conn; /* NULL: closed */
    weft__conn_conf conf;
    bool ready, goaway;
    weft__stream_id goaway_stream;
    weft_status closed_status;
    char closed_why[128];
    unsigned n_replies, n_done;
    raw_reply replies[RAW_REPLIES];
} raw_client;

/* A client on the server's own loop. */
void raw_open(raw_client *c, weft_loop *loop, const weft_address *address);
/* False: out of memory. */
bool raw_try_open(raw_client *c, weft_loop *loop, const weft_address *address);
void raw_abort(raw_client *c);
/* After the loop has run once more, or has gone. */
void raw_fini(raw_client *c);

/* Begins a call and gives its slot; -1: the wire refused it. */
int raw_call(raw_client *c, const weft__wire_request *request);
/* The same, unary protobuf. */
int raw_unary(raw_client *c, const char *path, const void *payload, size_t len,
              uint32_t timeout_ms);
void raw_reset(raw_client *c, int call);

/* A plain TCP socket to address, non-blocking. */
int plain_connect(const weft_address *address);
void plain_send(int fd, const void *data, size_t len);
/* What has come: bytes, 0 (closed), or -1 (nothing yet). */
long plain_recv(int fd, void *buf, size_t size);

#endif /* WEFT_TEST_RAW_CLIENT_H */
