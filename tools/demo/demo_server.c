/* demo_server.c - one of the demo's greeters: each call takes 5 to 50 ms.
 *
 *     demo_server PORT NAME [consul]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

static const char *my_name;

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
    out.msg = (char *)my_name;
    n->reply(&out, n->call);
}

static void demo_say_hello(Helloworld__Greeter_Service *self,
                           const Helloworld__HelloRequest *in,
                           Helloworld__HelloReply_Closure reply, void *call)
{
    nap *n = weft_call_alloc(call, sizeof(*n));

    (void)self, (void)in;
    if (n == NULL) {
        weft_call_fail(call, WEFT_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *n = (nap){.reply = reply, .call = call};
    weft_timer_init(&n->timer, weft_call_loop(call), on_awake, n);
    weft_timer_start(&n->timer, 5 + (uint32_t)(rand() % 46));
}

static Helloworld__Greeter_Service greeter = HELLOWORLD__GREETER__INIT(demo_);

int main(int argc, char **argv)
{
    weft_loop *loop;
    weft_server *server;
    char uri[64];
    int code;

    if (argc < 3 || weft_loop_new(&loop, NULL) != WEFT_OK)
        return 2;
    my_name = argv[2];
    weft_log_set_level(WEFT_LOG_ERROR);
    snprintf(uri, sizeof(uri), "tcp://127.0.0.1:%s", argv[1]);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &greeter.base);
    weft_server_listen(server, uri);
    if (argc > 3)
        weft_server_use(server, weft_consul_plugin(&(weft_consul_conf){
                                    .check_interval_ms = 1000}));
    code = weft_server_run(server);
    weft_server_free(server);
    weft_loop_free(loop);
    return code;
}
