/* fan_out.c - a handler that answers late: it asks two other services at once.
 *
 * Both calls are made under the one that is served: they inherit what is left
 * of its deadline, and are cancelled with it.  All live in one process here. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

/* ---- The leaves answer after a while ---- */

typedef struct leaf { /* a service may lie inside a struct */
    Helloworld__Greeter_Service base;
    uint32_t delay_ms;
} leaf;

typedef struct late { /* lives in the call's arena */
    weft_timer timer;
    const Helloworld__HelloRequest *in; /* lives until we answer */
    Helloworld__HelloReply_Closure reply;
    weft_call *call;
} late;

static void on_late(weft_timer *timer, void *user)
{
    late *l = user;
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)timer;
    out.msg = l->in->msg;
    l->reply(&out, l->call);
}

/* Nobody listens any more: answer at once, which ends the call and frees l. */
static void on_end(weft_call *call, weft_status status, void *user)
{
    late *l = user;

    if (status == WEFT_OK)
        return;
    printf("leaf: %s\n", weft_status_name(status));
    weft_timer_stop(&l->timer);
    weft_call_fail(call, status, "given up");
}

static void leaf_say_hello(Helloworld__Greeter_Service *self,
                           const Helloworld__HelloRequest *in,
                           Helloworld__HelloReply_Closure reply, void *call)
{
    late *l = weft_call_alloc(call, sizeof(*l));

    if (l == NULL) {
        weft_call_fail(call, WEFT_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *l = (late){.in = in, .reply = reply, .call = call};
    weft_timer_init(&l->timer, weft_call_loop(call), on_late, l);
    weft_timer_start(&l->timer, ((leaf *)self)->delay_ms);
    weft_call_on_end(call, on_end, l);
}

/* ---- The front: asks both, answers when both have ---- */

static weft_stub leaves[2];

typedef struct gather {
    weft_call *call;
    Helloworld__HelloReply_Closure reply;
    char text[128];
    int left;
} gather;

static void on_leaf(const Helloworld__HelloReply *part, void *user)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    gather *g = user;

    if (part != NULL)
        strncat(g->text, part->msg, sizeof(g->text) - strlen(g->text) - 1);
    out.msg = g->text;
    if (--g->left == 0 && part != NULL)
        g->reply(&out, g->call);
    else if (g->left == 0) /* the last one failed: hand its outcome on */
        weft_call_finish(g->call, weft_current_result());
}

static void front_say_hello(Helloworld__Greeter_Service *self,
                            const Helloworld__HelloRequest *in,
                            Helloworld__HelloReply_Closure reply, void *call)
{
    gather *g = weft_call_alloc(call, sizeof(*g));

    (void)self;
    if (g == NULL) {
        weft_call_fail(call, WEFT_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *g = (gather){.call = call, .reply = reply, .left = 2};
    for (int i = 0; i < 2; i++) {
        weft_stub under = weft_stub_under(&leaves[i], call);
        helloworld__greeter__say_hello(&under.base, in, on_leaf, g);
    }
}

/* ---- main: three servers, one client ---- */

static void on_reply(const Helloworld__HelloReply *reply, void *left)
{
    puts(reply != NULL ? reply->msg : weft_current_result()->message);
    --*(int *)left;
}

static weft_stub serve(weft_loop *loop, const char *uri,
                       Helloworld__Greeter_Service *service)
{
    weft_server *server;
    weft_channel *channel;

    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &service->base);
    weft_server_listen(server, uri);
    weft_server_start(server, NULL, NULL);
    weft_channel_new(&channel, loop, uri, NULL);
    return weft_stub_for(channel, &helloworld__greeter__descriptor);
}

int main(void)
{
    static leaf fast = {HELLOWORLD__GREETER__INIT(leaf_), 1},
                slow = {HELLOWORLD__GREETER__INIT(leaf_), 50};
    static leaf front = {HELLOWORLD__GREETER__INIT(front_), 0};
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_stub stub;
    weft_loop *loop;
    int left = 2;

    weft_loop_new(&loop, NULL);
    leaves[0] = serve(loop, "inproc:///fast", &fast.base);
    leaves[1] = serve(loop, "inproc:///slow", &slow.base);
    stub = serve(loop, "inproc:///front", &front.base);
    request.msg = "part";
    for (int i = 0; i < 2; i++) { /* 20 ms are less than the slow leaf takes */
        stub.options.timeout_ms = i == 0 ? 5000 : 20;
        helloworld__greeter__say_hello(&stub.base, &request, on_reply, &left);
        weft_loop_run_until(loop, &(bool){false}, 300);
    }
    weft_loop_free(loop); /* ends servers and channels too */
    return left == 0 ? 0 : 1;
}
