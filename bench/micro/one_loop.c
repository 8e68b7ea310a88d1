/* one_loop.c - a fixed number of unary calls, server and client on one loop,
 * for tools that count: callgrind, perf, strace, ltrace.
 *
 *     valgrind --tool=callgrind --toggle-collect=measured
 *         one_loop [CONNECTIONS [IN_FLIGHT [CALLS [BYTES]]]]
 *
 * Connecting and warming up happen outside of measured(). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

#include "echo.pb-c.h"

typedef struct load {
    uint64_t started, done, failed, total;
    Bench__EchoMessage request;
    bool finished;
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
    }
}

static void run(weft_loop *loop, lane *lanes, uint32_t connections,
                uint32_t in_flight, uint64_t calls)
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
    weft_loop_run_until(loop, &all->finished, 0);
}

/* Its own function, so that a tool can be told to look at nothing else. */
static __attribute__((noinline)) void measured(weft_loop *loop, lane *lanes,
                                               uint32_t connections,
                                               uint32_t in_flight,
                                               uint64_t calls)
{
    run(loop, lanes, connections, in_flight, calls);
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
    lane *lanes = calloc(connections, sizeof(*lanes));
    weft_server *server;
    weft_loop *loop;
    char target[32];

    if (lanes == NULL || connections == 0 || in_flight == 0)
        return 2;
    all.request.data.len = bytes;
    all.request.data.data = calloc(1, bytes);
    weft_loop_new(&loop, NULL);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &service.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    if (weft_server_start(server, NULL, NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        return 1;
    }
    snprintf(target, sizeof(target), "127.0.0.1:%u",
             weft_address_port(weft_server_address(server, 0)));
    for (uint32_t i = 0; i < connections; i++) {
        weft_channel *channel;

        weft_channel_new(&channel, loop, target, NULL);
        lanes[i].load = &all;
        lanes[i].stub = weft_stub_for(channel, &bench__echo__descriptor);
    }
    run(loop, lanes, connections, in_flight, 4 * connections * in_flight);
    measured(loop, lanes, connections, in_flight, calls);
    printf("%llu calls, %llu failed\n", (unsigned long long)all.done,
           (unsigned long long)all.failed);
    return all.failed == 0 ? 0 : 1;
}
