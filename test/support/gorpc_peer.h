/* gorpc_peer.h - gorpc's client and server as they are on the wire, quirk by
 * quirk (docs/protocol.md, "Version 0"), on blocking sockets and threads of
 * their own.
 *
 * They share no code with the library, so that an error in its codec cannot
 * hide in its mirror image, and they assert nothing (threads may not): what
 * they see is counted, for the test to look at.
 *
 * The server's greeter does what the message says:
 *     "fail CODE TEXT"  an error with a code
 *     "plain"           a plain error: code 100
 *     "empty"           an all-default reply, whose payload is empty
 *     "give N"          N bytes of 'x'
 *     "count"           the length of the message, which "count" begins
 *     "metadata"        "key=value;" of each pair, in order
 *     "slow"            "hello slow", but not before gorpc_server_hold(s,
 * false) "cut"             half of a reply, and the end of the connection
 *     "drop"            the end of the connection
 *     anything else     "hello <message>" */
#ifndef WEFT_TEST_GORPC_PEER_H
#define WEFT_TEST_GORPC_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GORPC_HEADER 15
#define GORPC_MAX_BODY (4u << 20)
#define GORPC_HELLO "/helloworld.Greeter/SayHello"

/* ---- Bytes ---- */

typedef struct gorpc_pair {
    const char *key, *value; /* value "": gorpc writes none */
} gorpc_pair;

/* A request's frame, whole; free() it.  path, payload NULL: no such field. */
uint8_t *gorpc_request(const char *path, const gorpc_pair *md, size_t n_md,
                       const void *payload, size_t payload_len, size_t *size);
/* A HelloRequest or HelloReply of `len` bytes of text; free() it.  Without text
 * it is empty. */
uint8_t *gorpc_hello(const char *text, size_t len, size_t *size);
/* The text of one; false: it is none.  *len may be 0. */
bool gorpc_hello_text(const uint8_t *message, size_t size, const char **text,
                      size_t *len);

/* ---- The server ---- */

typedef struct gorpc_server_counts {
    unsigned accepted, open; /* connections */
    unsigned frames, calls;  /* calls have a body */
    unsigned pushed;         /* frames that came before the reply to the one
                                before them */
    unsigned noisy;          /* frames with a header field that gorpc leaves 0,
                                other than the probe */
    uint8_t payload[64];     /* the last one's beginning */
    size_t payload_len;
} gorpc_server_counts;

typedef struct gorpc_server gorpc_server;

/* Listens on 127.0.0.1:port (0 picks one).  NULL: it could not. */
gorpc_server *gorpc_server_start(uint16_t port);
uint16_t gorpc_server_port(const gorpc_server *s);
gorpc_server_counts gorpc_server_look(gorpc_server *s);
/* "slow" waits, or goes on. */
void gorpc_server_hold(gorpc_server *s, bool hold);
/* Closes the connections, not the listener. */
void gorpc_server_drop_all(gorpc_server *s);
void gorpc_server_stop(gorpc_server *s);

/* ---- The client ---- */

#define GORPC_POOL 1000

/* One program's pool for one address.  Any thread may call. */
typedef struct gorpc_client {
    uint16_t port;
    pthread_mutex_t lock;
    int idle[GORPC_POOL]; /* a queue: gorpc takes the one idle for longest */
    unsigned n_idle, dialed;
    unsigned odd; /* replies with a header field or metadata that a gorpc server
                     never sends */
} gorpc_client;

typedef struct gorpc_reply {
    bool failed; /* the connection did: EOF, a bad frame */
    uint32_t code;
    char message[512];
    uint8_t *payload; /* malloc'ed */
    size_t payload_len;
} gorpc_reply;

void gorpc_client_init(gorpc_client *c, uint16_t port);
/* Closes the pool. */
void gorpc_client_fini(gorpc_client *c);

/* One call on a connection of its own from the pool, which gets it back unless
 * it failed.  Blocks. */
void gorpc_client_call(gorpc_client *c, const char *path, const gorpc_pair *md,
                       size_t n_md, const void *payload, size_t payload_len,
                       gorpc_reply *reply);
/* The same to the greeter.  0 when it said want, as a gorpc client would read
 * it; else the code, or UINT32_MAX for whatever else went wrong. */
uint32_t gorpc_client_hello(gorpc_client *c, const char *msg, const char *want);

/* What gorpc does every 3 s: reads each idle connection for 1 ms, and closes
 * those that ended or said anything.  Returns their number. */
unsigned gorpc_client_check(gorpc_client *c);

/* Runs fn(arg) on a thread, while the caller does something else until *done;
 * then join.  false: no thread. */
typedef struct gorpc_job {
    pthread_t thread;
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    bool ended;
} gorpc_job;

bool gorpc_job_start(gorpc_job *job, void (*fn)(void *arg), void *arg);
bool gorpc_job_ended(gorpc_job *job);
void gorpc_job_join(gorpc_job *job);

/* Blocking and whole; false: the connection failed or ended. */
bool gorpc_send_all(int fd, const void *data, size_t len);
bool gorpc_recv_all(int fd, void *data, size_t len);
/* A blocking connection to 127.0.0.1:port; -1: errno. */
int gorpc_dial(uint16_t port);

#endif /* WEFT_TEST_GORPC_PEER_H */
