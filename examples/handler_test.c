/* handler_test.c - a unit test of a handler: real calls, no network, no
 * waiting.
 *
 * The server and the channel meet over inproc://, and the loop's clock stands
 * still until the test moves it. */
#undef NDEBUG /* assert is the test */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

/* ---- The handler under test: answers after 50 ms, refuses an empty name ----
 */

typedef struct nap {
    weft_timer timer;
    Helloworld__HelloReply_Closure reply;
    weft_call *call;
} nap;

static void on_awake(weft_timer *timer, void *user)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    nap *n = user;

    (void)timer;
    out.msg = "awake";
    n->reply(&out, n->call);
}

static void sleepy_say_hello(Helloworld__Greeter_Service *self,
                             const Helloworld__HelloRequest *in,
                             Helloworld__HelloReply_Closure reply, void *call)
{
    nap *n = weft_call_alloc(call, sizeof(*n));

    (void)self;
    if (n == NULL || in->msg[0] == '\0') {
        weft_call_fail(call, WEFT_INVALID_ARGUMENT, "who are you?");
        return;
    }
    *n = (nap){.reply = reply, .call = call};
    weft_timer_init(&n->timer, weft_call_loop(call), on_awake, n);
    weft_timer_start(&n->timer, 50);
}

/* ---- The test ---- */

typedef struct outcome {
    weft_result *result; /* kept */
    bool done;
} outcome;

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    outcome *o = user;

    (void)reply;
    o->result = weft_result_keep();
    o->done = true;
}

static weft_loop *loop;
static weft_fake_clock fake = {.ns = 1000000000};
static weft_stub stub;

static outcome call(const char *name, uint32_t timeout_ms)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_stub once = stub;
    outcome o = {0};

    once.options.timeout_ms = timeout_ms;
    request.msg = (char *)name;
    helloworld__greeter__say_hello(&once.base, &request, on_reply, &o);
    for (int ms = 0; !o.done && ms < 1000; ms++) {
        for (int i = 0; i < 20; i++) /* what is ready, without waiting */
            weft_loop_poll(loop);
        weft_fake_advance(&fake, 1);
    }
    assert(o.done && o.result != NULL);
    return o;
}

int main(void)
{
    static Helloworld__Greeter_Service sleepy =
        HELLOWORLD__GREETER__INIT(sleepy_);
    weft_loop_conf conf = {.clock = weft_fake(&fake)};
    weft_server *server;
    weft_channel *channel;
    outcome o;

    assert(weft_loop_new(&loop, &conf) == WEFT_OK);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &sleepy.base);
    weft_server_listen(server, "inproc:///sleepy");
    assert(weft_server_start(server, NULL, NULL) == WEFT_OK);
    weft_channel_new(&channel, loop, "inproc:///sleepy", NULL);
    stub = weft_stub_for(channel, &helloworld__greeter__descriptor);

    o = call("me", 5000);
    assert(o.result->status == WEFT_OK);
    assert(strcmp(((Helloworld__HelloReply *)o.result->reply)->msg, "awake") ==
           0);
    weft_result_free(o.result);

    o = call("", 5000);
    assert(o.result->status == WEFT_INVALID_ARGUMENT);
    assert(strcmp(o.result->message, "who are you?") == 0);
    weft_result_free(o.result);

    o = call("me", 30); /* less than it sleeps */
    assert(o.result->status == WEFT_DEADLINE_EXCEEDED);
    printf("%s\n", o.result->message);
    weft_result_free(o.result);

    weft_channel_close(channel);
    weft_server_free(server);
    weft_loop_free(loop);
    return 0;
}
