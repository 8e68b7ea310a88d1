/* one_loop.c - a fixed number of unary calls, server and client on one loop,
 * for tools that count: callgrind, perf, strace, ltrace.
 *
 *     valgrind --tool=callgrind --toggle-collect=measured
 *         one_loop [CONNECTIONS [IN_FLIGHT [CALLS [BYTES [apart | copied]]]]]
 *
 * Connecting and warming up happen outside of measured().  Requests of 1 KiB or
 * more are lent, unless they are to be copied.  With `apart` each
 * side has a loop, and they take turns in serve() and ask(), over inproc://,
 * where nothing is ever under way: what one side costs is the same in each run,
 * and can be counted without the other. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "echo.pb-c.h"

enum { LENT_BYTES = 1024 }; /* as echo/weft.c does */

typedef struct load {
    uint64_t started, done, failed, total;
    Bench__EchoMessage request;
    bool finished;
    weft_loop *server_loop, *client_loop; /* one and the same, or two */
} load;

typedef struct lane { /* one channel: one connection */
    load *load;
    weft_stub stub;
} lane;

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

/* What is lent stays. */
static void on_released(void *arg)
{
    (void)arg;
}

static void on_reply(const Bench__EchoMessage *reply, void *user)
{
    lane *l = user;
    load *all = l->load;

    all->failed += reply == NULL;
    all->done++;
    if (all->started < all->total) {
        all->started++;
        bench__echo__echo(&l->stub.base, &all->request, on_reply, l);
    } else if (all->done == all->total) {
        all->finished = true;
        weft_loop_stop(all->client_loop);
    }
}

/* Functions of their own, so that a tool can be told to look at nothing else.
 */
#define COUNTED static __attribute__((noinline))

COUNTED void serve(weft_loop *loop)
{
    weft_loop_poll(loop);
}

COUNTED void ask(weft_loop *loop)
{
    weft_loop_poll(loop);
}

static void turns(load *all, void (*server)(weft_loop *),
                  void (*client)(weft_loop *))
{
    while (!all->finished) {
        server(all->server_loop);
        client(all->client_loop);
    }
}

static void poll_loop(weft_loop *loop)
{
    weft_loop_poll(loop);
}

static void begin(lane *lanes, uint32_t connections, uint32_t in_flight,
                  uint64_t calls)
{
    load *all = lanes[0].load;

    all->total = all->done + calls;
    all->finished = false;
    for (uint32_t i = 0; i < connections * in_flight; i++) {
        lane *l = &lanes[i % connections];

        if (all->started == all->total)
            break;
        all->started++;
        bench__echo__echo(&l->stub.base, &all->request, on_reply, l);
    }
}

COUNTED void measured(lane *lanes, uint32_t connections, uint32_t in_flight,
                      uint64_t calls)
{
    load *all = lanes[0].load;

    begin(lanes, connections, in_flight, calls);
    if (all->server_loop == all->client_loop)
        weft_loop_run(all->client_loop);
    else
        turns(all, serve, ask);
}

static uint32_t arg(int argc, char **argv, int i, uint32_t dflt)
{
    return argc > i ? (uint32_t)strtoul(argv[i], NULL, 10) : dflt;
}

int main(int argc, char **argv)
{
    static Bench__Echo_Service service = BENCH__ECHO__INIT(echo_);
    uint32_t connections = arg(argc, argv, 1, 64);
    uint32_t in_flight = arg(argc, argv, 2, 8);
    uint32_t calls = arg(argc, argv, 3, 20000);
    uint32_t bytes = arg(argc, argv, 4, 32);
    load all = {.request = BENCH__ECHO_MESSAGE__INIT};
    bool apart = argc > 5 && strcmp(argv[5], "apart") == 0;
    bool copied = argc > 5 && strcmp(argv[5], "copied") == 0;
    lane *lanes = calloc(connections, sizeof(*lanes));
    weft_server *server;
    char target[32] = "inproc:///echo";

    if (lanes == NULL || connections == 0 || in_flight == 0)
        return 2;
    all.request.data.len = bytes;
    all.request.data.data = calloc(1, bytes);
    weft_loop_new(&all.server_loop, NULL);
    all.client_loop = all.server_loop;
    if (apart)
        weft_loop_new(&all.client_loop, NULL);
    weft_server_new(&server, all.server_loop, NULL);
    weft_server_add_service(server, &service.base);
    weft_server_listen(server, apart ? target : "tcp://127.0.0.1:0");
    if (weft_server_start(server, NULL, NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        return 1;
    }
    if (!apart)
        snprintf(target, sizeof(target), "127.0.0.1:%u",
                 weft_address_port(weft_server_address(server, 0)));
    for (uint32_t i = 0; i < connections; i++) {
        weft_channel *channel;

        weft_channel_new(&channel, all.client_loop, target, NULL);
        lanes[i].load = &all;
        lanes[i].stub = weft_stub_for(channel, &bench__echo__descriptor);
        if (all.request.data.len >= LENT_BYTES && !copied)
            lanes[i].stub.options.release = on_released;
    }
    begin(lanes, connections, in_flight, 4 * connections * in_flight);
    turns(&all, poll_loop, poll_loop);
    measured(lanes, connections, in_flight, calls);
    printf("%llu calls, %llu failed\n", (unsigned long long)all.done,
           (unsigned long long)all.failed);
    return all.failed == 0 ? 0 : 1;
}
