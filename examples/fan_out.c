/* fan_out.c - a handler that answers late: it asks two other services at once.
 *
 * Both calls are made under the one that is being served: they inherit what is
 * left of its deadline, and are cancelled with it.  Here all three servers and
 * the client live in one process, over inproc:// addresses. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

/* ---- The leaves answer after a while ---- */

typedef struct leaf { /* a service may lie inside a struct of yours */
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
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    late *l = user;

    (void)timer;
    out.msg = l->in->msg;
    l->reply(&out, l->call);
}

/* Nobody listens any more: answer at once, which ends the call and frees l. */
static void on_end(weft_call *call, weft_status status, void *user)
{
    late *l = user;

    if (status != WEFT_OK) {
        printf("leaf: %s\n", weft_status_name(status));
        weft_timer_stop(&l->timer);
        weft_call_fail(call, status, "given up");
    }
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
    gather *g = user;
    size_t used = strlen(g->text);

    if (part != NULL)
        snprintf(g->text + used, sizeof(g->text) - used, "[%s]", part->msg);
    if (--g->left > 0)
        return;
    if (part == NULL) { /* the last one failed: hand its outcome on */
        weft_call_finish(g->call, weft_current_result());
        return;
    }
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    out.msg = g->text;
    g->reply(&out, g->call);
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

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    int *left = user;

    printf("%s\n", reply != NULL ? reply->msg : r->message);
    --*left;
}

static weft_status serve(weft_loop *loop, weft_server **out, const char *uri,
                         Helloworld__Greeter_Service *service)
{
    weft_server_new(out, loop, NULL);
    weft_server_add_service(*out, &service->base);
    weft_server_listen(*out, uri);
    return weft_server_start(*out, NULL, NULL);
}

int main(void)
{
    static leaf fast = {HELLOWORLD__GREETER__INIT(leaf_), 1},
                slow = {HELLOWORLD__GREETER__INIT(leaf_), 50};
    static Helloworld__Greeter_Service front =
        HELLOWORLD__GREETER__INIT(front_);
    static const char *const uris[] = {"inproc:///fast", "inproc:///slow",
                                       "inproc:///front"};
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_server *servers[3];
    weft_channel *to[3];
    weft_loop *loop;
    int left = 2;

    if (weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    serve(loop, &servers[0], uris[0], &fast.base);
    serve(loop, &servers[1], uris[1], &slow.base);
    serve(loop, &servers[2], uris[2], &front);
    for (int i = 0; i < 3; i++)
        weft_channel_new(&to[i], loop, uris[i], NULL);
    for (int i = 0; i < 2; i++)
        leaves[i] = weft_stub_for(to[i], &helloworld__greeter__descriptor);
    weft_stub stub = weft_stub_for(to[2], &helloworld__greeter__descriptor);
    request.msg = "part";
    helloworld__greeter__say_hello(&stub.base, &request, on_reply, &left);
    weft_loop_run_until(loop, &(bool){false}, 300);
    stub.options.timeout_ms = 20; /* less than the slow leaf takes */
    helloworld__greeter__say_hello(&stub.base, &request, on_reply, &left);
    weft_loop_run_until(loop, &(bool){false}, 300);
    for (int i = 2; i >= 0; i--) {
        weft_channel_close(to[i]);
        weft_server_free(servers[i]);
    }
    weft_loop_free(loop);
    return left == 0 ? 0 : 1;
}
