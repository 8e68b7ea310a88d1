/* threads.c - a server on several loops, each on a thread of its own, and a
 * slow method on a pool.
 *
 *     threads [tcp://127.0.0.1:8000 [loops]]
 *
 * Each loop has a greeter of its own, so that its counter needs no lock.  The
 * same service under the name "slow.Greeter" blocks, on the pool's threads.
 * Without a number of loops there is one for each CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct counting_greeter {
    Helloworld__Greeter_Service service; /* first */
    int loop;                            /* which of the group's it is on */
    unsigned served;                     /* that loop's alone */
} counting_greeter;

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    counting_greeter *g = (counting_greeter *)self;
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    char text[256];

    g->served++;
    snprintf(text, sizeof(text), "hello %.100s, from loop %d", in->msg,
             g->loop);
    out.msg = text;
    reply(&out, call);
}

/* On a thread of the pool, where it holds nobody. */
static void slow_say_hello(Helloworld__Greeter_Service *self,
                           const Helloworld__HelloRequest *in,
                           Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)self;
    (void)in;
    usleep(200000);
    if (!weft_call_active(call)) {
        weft_call_fail(call, WEFT_CANCELLED, "nobody waits");
        return;
    }
    out.msg = "hello, at last";
    reply(&out, call);
}

static Helloworld__Greeter_Service slow = HELLOWORLD__GREETER__INIT(slow_);

/* Both run on the loop's thread. */
static ProtobufCService *make_greeter(weft_loop *loop, void *user)
{
    static const Helloworld__Greeter_Service service =
        HELLOWORLD__GREETER__INIT(greeter_);
    weft_group *group = user;
    counting_greeter *g = calloc(1, sizeof(*g));

    (void)loop;
    if (g == NULL)
        return NULL;
    g->service = service;
    g->loop = weft_group_here(group);
    return &g->service.base;
}

static void release_greeter(ProtobufCService *service, void *user)
{
    counting_greeter *g = (counting_greeter *)service;

    (void)user;
    printf("loop %d has served %u calls\n", g->loop, g->served);
    free(g);
}

int main(int argc, char **argv)
{
    weft_loop *loop;
    weft_group *group;
    weft_server *server;
    weft_pool *pool;
    char address[WEFT_ADDRESS_TEXT];
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int code;

    if (weft_loop_new(&loop, NULL) != WEFT_OK ||
        weft_group_new(&group, loop, n, NULL) != WEFT_OK ||
        weft_pool_new(&pool, &(weft_pool_conf){.threads = 4}) != WEFT_OK)
        return 1;
    weft_server_new_group(&server, group, NULL);
    weft_server_add_service_per_loop(server, make_greeter, release_greeter,
                                     group);
    weft_server_add_service_as(server, "slow.Greeter", &slow.base);
    weft_server_offload(server, "/slow.Greeter/SayHello", pool);
    weft_server_listen(server, argc > 1 ? argv[1] : "tcp://127.0.0.1:8000");
    if (weft_server_address(server, 0) != NULL) {
        weft_address_format(weft_server_address(server, 0), address,
                            sizeof(address));
        printf("%zu loops, listening on %s\n", weft_group_size(group), address);
        fflush(stdout);
    }
    code = weft_server_run(server); /* drains on all loops */
    weft_server_free(server);
    weft_loop_free(loop); /* and the group with it */
    weft_pool_free(pool);
    return code;
}
