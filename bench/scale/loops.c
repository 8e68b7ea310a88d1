/* loops.c - what a call costs the server with two loops, beside one.
 *
 *     scale_loops [MEASURED_MS]
 *
 * Loops have a core each.  Calls are made by two clients in both cases, one on
 * each core, echo_client() of bench/echo: 32 connections per loop, 8 calls in
 * flight on each, as fast as they go.  So half of the calls come from another
 * core however many loops there are.  CPU time of the server's process by call:
 * all of its threads, all of the calls. */
#include "scale.h"

#include <stdio.h>
#include <unistd.h>
#include <weft/log.h>

enum { LOOPS_MAX = 2, CLIENTS = 2 };

static echo_shared *clients; /* the first has the port */
static uint32_t loops;

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

static void pin_here(void *arg)
{
    scale_pin(*(const int *)arg);
}

static void serve(void *arg)
{
    static Bench__Echo_Service service = BENCH__ECHO__INIT(echo_);
    static const int cpus[LOOPS_MAX] = {0, 1};
    weft_server *server;
    weft_group *group;
    weft_loop *loop;

    (void)arg;
    weft_log_set_level(WEFT_LOG_ERROR);
    weft_loop_new(&loop, NULL);
    weft_group_new(&group, loop, loops, NULL);
    for (size_t i = 0; i < loops; i++)
        weft_loop_post(weft_group_loop(group, i), pin_here, (void *)&cpus[i]);
    weft_server_new_group(&server, group, NULL);
    weft_server_add_service(server, &service.base);
    scale_listen(server, &clients[0].port);
    weft_loop_run(loop);
}

static void call(void *arg)
{
    echo_client(arg);
}

/* The server's CPU time by call, in us. */
static double measure(uint32_t n, uint32_t measured_ms)
{
    pid_t server, pids[CLIENTS];
    double cpu_us = 0, calls = 0;

    loops = n;
    clients[0].port = 0;
    server = scale_fork(-1, serve, NULL);
    scale_wait_port(&clients[0].port);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (echo_shared){.load = {.connections = 32 * n,
                                            .in_flight = 8,
                                            .payload_bytes = 32,
                                            .warm_up_ms = 300,
                                            .measured_ms = measured_ms},
                                   .server_pid = server,
                                   .port = clients[0].port};
        pids[i] = scale_fork(i, call, &clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        scale_wait_exit(pids[i], measured_ms + 10000, "no client");
        scale_check(clients[i].failed == 0, "calls have failed");
        cpu_us += clients[i].server_us / CLIENTS; /* each saw all of it */
        calls += (double)clients[i].calls;
    }
    scale_kill(server);
    return cpu_us / calls;
}

int main(int argc, char **argv)
{
    uint32_t measured_ms = scale_arg(argc, argv, 1, 500);
    double one, two;

    clients = scale_share(CLIENTS * sizeof(*clients));
    one = measure(1, measured_ms);
    two = measure(2, measured_ms);
    printf("{\"scale\": \"loops\", \"one_us\": %.4f, \"two_us\": %.4f, "
           "\"ratio\": %.3f}\n",
           one, two, two / one);
    return 0;
}
