/* interop.h - a Weft greeter that does what gorpc_peer.h's greeter does, on a
 * loop with a fake clock, and jobs for the blocking peers. */
#ifndef WEFT_TEST_INTEROP_H
#define WEFT_TEST_INTEROP_H

#include "support.h"

#include "gorpc_peer.h"
#include "test_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

#define INTEROP_HELD 64

typedef struct interop {
    Helloworld__Greeter_Service greeter; /* first */
    test_loop t;
    weft_server *server;
    uint16_t port;
    struct {
        weft_call *call;
        Helloworld__HelloReply_Closure reply;
    } held[INTEROP_HELD]; /* the "slow" ones, oldest first */
    unsigned n_held;
    bool drained;
    weft_status drain_status;
} interop;

/* A loop with a fake clock. */
int interop_setup(void **state);
int interop_teardown(void **state);
#define INTEROP_TEST(fn)                                                       \
    cmocka_unit_test_setup_teardown(fn, interop_setup, interop_teardown)

/* A greeter on 127.0.0.1 and a port of its own, serving. */
void interop_serve(interop *f, const weft_server_conf *conf,
                   weft_plugin *plugin);
/* Answers the i-th held call with "hello <text>". */
void interop_answer(interop *f, unsigned i, const char *text);
/* Drains with the conf's time; *drained when it is closed. */
void interop_drain(interop *f);

/* Runs the loop until the condition holds, 5 s or so of real time at most. */
#define interop_until(f, condition)                                            \
    do {                                                                       \
        for (int rounds_ = 0; !(condition) && rounds_ < 5000; rounds_++)       \
            interop_turn(f);                                                   \
        assert_true(condition);                                                \
    } while (0)
/* What is ready, and a moment's wait. */
void interop_turn(interop *f);

/* Runs fn(arg) on a thread, and meanwhile the loop, until it has returned. */
void interop_run(interop *f, void (*fn)(void *arg), void *arg);

/* Calls the greeter from a gorpc client; see gorpc_client_hello(). */
uint32_t interop_hello(interop *f, gorpc_client *c, const char *msg,
                       const char *want);

#endif /* WEFT_TEST_INTEROP_H */
