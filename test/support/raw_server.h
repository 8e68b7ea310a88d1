/* raw_server.h - a loopback server that follows a script and sends any bytes.
 *
 * It runs on the test's own event_base.  Each connection walks its script from
 * the start; the n-th connection takes the n-th script, the last one serves all
 * that follow.  What was received is kept for the test to look at. */
#ifndef WEFT_TEST_RAW_SERVER_H
#define WEFT_TEST_RAW_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

typedef enum raw_op {
    RAW_END,   /* keep the connection open, say nothing more */
    RAW_WAIT,  /* until the head of a request, and its body, have come */
    RAW_SEND,  /* in one piece, or in two if split_at is set */
    RAW_DRIP,  /* one byte per turn of the loop */
    RAW_CLOSE, /* orderly */
    RAW_RESET  /* with a TCP reset */
} raw_op;

typedef struct raw_step {
    raw_op op;
    const char *data;
    size_t len;
} raw_step;
#define RAW_DO(op)                                                             \
    {                                                                          \
        op, NULL, 0                                                            \
    }
#define RAW_TEXT(text)                                                         \
    {                                                                          \
        RAW_SEND, text, sizeof(text) - 1                                       \
    }
#define RAW_DRIP_TEXT(text)                                                    \
    {                                                                          \
        RAW_DRIP, text, sizeof(text) - 1                                       \
    }

#define RAW_SCRIPTS 4
#define RAW_REQUEST_MAX 65536

typedef struct raw_conn raw_conn;

typedef struct raw_server {
    struct event_base *base;
    struct event *accept;
    raw_conn *conns;
    const raw_step *scripts[RAW_SCRIPTS];
    size_t split_at; /* RAW_SEND sends this many bytes, then the rest */
    unsigned accepted, requests, closed_by_peer;
    int fd;
    uint16_t port;
    char last[RAW_REQUEST_MAX + 1]; /* the last whole request */
} raw_server;

/* Listens on 127.0.0.1, on a port of its own; false: errno. */
bool raw_server_open(raw_server *s, struct event_base *base);
void raw_server_close(raw_server *s);

#endif /* WEFT_TEST_RAW_SERVER_H */
