/* rpc_fixture.h - a server with one greeter on a loop with a fake clock, and a
 * raw client of it. */
#ifndef WEFT_TEST_RPC_FIXTURE_H
#define WEFT_TEST_RPC_FIXTURE_H

#include "raw_client.h"
#include "server_internal.h"
#include "test_loop.h"

#include <helloworld.pb-c.h>

#define HELLO "/helloworld.Greeter/SayHello"

/* What the greeter does with a call. */
typedef enum greeting {
    GREET,         /* "hello <msg>" at once */
    HOLD,          /* keeps the call in held[] */
    HOLD_AND_HEAR, /* the same, and registers on_end */
    ANSWER_NULL,   /* closure(NULL) */
    FAIL,          /* weft_call_fail(fail_status, fail_text) */
    ANSWER_TWICE
} greeting;

#define HELD_MAX 2048

typedef struct held_call {
    weft_call *call;
    Helloworld__HelloReply_Closure reply;
    const Helloworld__HelloRequest *in;
} held_call;

typedef struct fixture {
    Helloworld__Greeter_Service greeter; /* first */
    test_loop t;
    weft_server *server;
    raw_client client;

    greeting greeting;
    weft_status fail_status;
    const char *fail_text;
    held_call held[HELD_MAX];
    unsigned n_held, n_handled;
    void (*in_handler)(struct fixture *f, weft_call *call); /* may be NULL */

    unsigned n_ended; /* on_end */
    weft_status ended_status;
    weft_call *ended_call;

    unsigned n_started, n_drained; /* callbacks of start and drain */
    weft_status start_status, drain_status;
    char start_message[256];
} fixture;

/* A loop and the greeter, no server. */
void fixture_init(fixture *f);
/* Ends everything, by the loop if the server is still there. */
void fixture_fini(fixture *f);
/* A server with the greeter on uri (NULL: tcp, port 0), not started. */
void fixture_server(fixture *f, const weft_server_conf *conf, const char *uri);
void fixture_start(fixture *f);   /* and serves */
void fixture_connect(fixture *f); /* the client is ready */
/* All three. */
void fixture_serve(fixture *f, const weft_server_conf *conf);

/* A HelloRequest {msg}, as bytes; returns their number. */
size_t hello_bytes(const char *msg, uint8_t *out, size_t size);
/* Sends a hello; gives the slot of its reply. */
int say_hello(fixture *f, const char *msg, uint32_t timeout_ms);
/* The same, and lets it arrive. */
int said_hello(fixture *f, const char *msg, uint32_t timeout_ms);
raw_reply *reply_to(fixture *f, int call);
/* The reply is a HelloReply {msg}. */
void assert_said(fixture *f, int call, const char *msg);
void assert_failed(fixture *f, int call, weft_status status, const char *text);
/* Answers held call i with msg. */
void answer_held(fixture *f, unsigned i, const char *msg);

void on_started(weft_server *server, weft_status status, const char *message,
                void *user);
void on_drained(weft_server *server, weft_status status, const char *message,
                void *user);
/* Runs the loop in real time until the condition holds, 5 s at most. */
#define run_while(f, condition)                                                \
    do {                                                                       \
        int rounds_;                                                           \
        for (rounds_ = 0; (condition) && rounds_ < 2000; rounds_++)            \
            test_loop_settle(&(f)->t);                                         \
        assert_false(condition);                                               \
    } while (0)

/* Calls test(f) with a fixture of its own. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(fn)                                                       \
    cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

#endif /* WEFT_TEST_RPC_FIXTURE_H */
