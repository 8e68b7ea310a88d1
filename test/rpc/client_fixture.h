/* client_fixture.h - a loop with a fake clock, a peer, a channel, and what its
 * calls came to. */
#ifndef WEFT_TEST_CLIENT_FIXTURE_H
#define WEFT_TEST_CLIENT_FIXTURE_H

#include "support.h"

#include "peer.h"
#include "test_loop.h"

#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct outcome {
    int calls;
    weft_status status;
    weft_sent sent;
    char msg[64], message[256], peer[64];
    weft_handle handle;
} outcome;

typedef struct fixture {
    test_loop t;
    peer p;
    weft_channel *channel;
    weft_stub stub;
} fixture;

static inline void note_result(outcome *o, const weft_result *r,
                               const Helloworld__HelloReply *reply)
{
    assert_non_null(r);
    o->calls++;
    o->status = r->status;
    o->sent = r->sent;
    snprintf(o->message, sizeof(o->message), "%s", r->message);
    snprintf(o->peer, sizeof(o->peer), "%s", r->peer);
    snprintf(o->msg, sizeof(o->msg), "%s", reply != NULL ? reply->msg : "");
}

static inline void on_stub_reply(const Helloworld__HelloReply *reply,
                                 void *user)
{
    note_result(user, weft_current_result(), reply);
}

static inline void on_generic_result(const weft_result *r, void *user)
{
    note_result(user, r, (const Helloworld__HelloReply *)r->reply);
}

/* Starts a call; the outcome is filled when it ends. */
static inline void call_with(const weft_stub *stub, const char *msg, outcome *o)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_stub once = *stub;

    *o = (outcome){0};
    if (once.options.handle == NULL)
        once.options.handle = &o->handle;
    request.msg = (char *)msg;
    helloworld__greeter__say_hello(&once.base, &request, on_stub_reply, o);
}

static inline void open_channel(fixture *f, const char *target,
                                const weft_channel_conf *conf)
{
    assert_int_equal(weft_channel_new(&f->channel, f->t.loop, target, conf),
                     WEFT_OK);
    f->stub = weft_stub_for(f->channel, &helloworld__greeter__descriptor);
}

static inline int fixture_setup(void **state)
{
    static fixture f;

    memset(&f, 0, sizeof(f));
    test_loop_init(&f.t);
    peer_open(&f.p, f.t.loop, "inproc:///peer");
    open_channel(&f, "inproc:///peer", NULL);
    *state = &f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture *f = *state;

    weft_channel_close(f->channel);
    peer_close(&f->p);
    test_loop_settle(&f->t);
    test_loop_fini(&f->t);
    return 0;
}

/* Until the peer has n calls, or it is clear that they do not come. */
static inline void until_calls(fixture *f, int n)
{
    for (int i = 0; i < 200 && f->p.n_calls < n; i++)
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
    assert_int_equal(f->p.n_calls, n);
}

static inline void until_ended(fixture *f, const outcome *o)
{
    for (int i = 0; i < 200 && o->calls == 0; i++)
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
    assert_int_equal(o->calls, 1);
}

#endif /* WEFT_TEST_CLIENT_FIXTURE_H */
