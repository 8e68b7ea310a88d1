/* conn_harness.h - a loop with a clock that stands still, connections that
 * record what happens to them, and peers of bare descriptors. */
#ifndef WEFT_TEST_HARNESS_H
#define WEFT_TEST_HARNESS_H

#include "support.h"

#include "toy_wire.h"
#include <weft/listener.h>

/* A recorder is the user of one connection. */
typedef struct recorder recorder;
struct recorder {
    weft__conn *conn; /* NULL once closed */
    unsigned ready, events, messages, unblocked, closed, goaways;
    size_t bytes;         /* of messages */
    uint32_t sum;         /* over their bytes, so that none is mixed up */
    weft__stream_id last; /* stream */
    weft_status status;   /* of the close */
    char why[128];
    bool echo;           /* answers each message with itself */
    size_t answer_bytes; /* or, if not 0, with so many bytes */
    bool take_blocks;    /* and frees them */
    unsigned blocks;
    void (*on_event)(recorder *r, const weft__wire_event *event);
    void (*on_ready)(recorder *r);
    void (*on_unblocked)(recorder *r);
};
extern const weft__conn_handler recorder_handler;

typedef struct harness {
    weft_loop *loop;
    weft_fake_clock clock;
    weft__conn_conf server, client; /* generous; a test narrows what it hits */
} harness;

int harness_setup(void **state);
int harness_teardown(void **state);

/* One pass over what is ready. */
void turn(harness *h);
/* Turns until *value is at least n; fails after some thousands. */
void turn_until(harness *h, const unsigned *value, unsigned n);
/* Turns until nothing can be in flight any more on the loopback. */
void settle(harness *h);
/* Moves the clock, then turns. */
void later(harness *h, uint32_t ms);

/* A connection on one end of a socket pair; gives the other end, non-blocking.
 */
int server_of(harness *h, recorder *r);

/* The same for a client, whose hello has been answered. */
int client_of(harness *h, recorder *r);

/* A listener whose connections are recorded; HTTP ones are closed and counted.
 */
#define SERVICE_CONNS 16
typedef struct service {
    weft__listener *listener;
    weft__listener_conf conf;
    char uri[WEFT_ADDRESS_TEXT];   /* as bound */
    recorder conns[SERVICE_CONNS]; /* in the order in which they came */
    recorder like;                 /* what each of them starts as */
    unsigned n, http;
    uint8_t first[64]; /* what the last HTTP one began with */
    size_t first_len;
} service;

/* Opens it (held); conf may have been set before. */
void service_open(harness *h, service *s, const char *uri);
/* Closes it and what is left of its connections. */
void service_close(harness *h, service *s);

/* Connects a client; turns until it is ready or closed. */
void connect_to(harness *h, recorder *r, const char *uri);
/* A bare, non-blocking descriptor that is connecting to it. */
int raw_connect(harness *h, const char *uri);

/* What a raw peer does: all of it must be possible at once. */
void put_bytes(int fd, const void *data, size_t len);
void put_frame(int fd, char type, unsigned stream, size_t len);
/* Reads what there is, at most size bytes; 0: nothing, -1: the end. */
ssize_t get_bytes(int fd, void *data, size_t size);
/* Turns until the peer has read n bytes, or its end; how many they were. */
size_t drain(harness *h, int fd, size_t n, bool *end);

weft_status ask(recorder *r, const void *data, size_t len);

/* For conn->socket.ops: a descriptor's, which counts its reads and writes. */
extern unsigned reads, writes;
extern const weft__stream_socket_ops counting;

#endif
