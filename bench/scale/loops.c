/* loops.c - what a call costs the server with two loops, beside one, and beside
 * two processes with one loop each.
 *
 *     scale_loops [MEASURED_MS]
 *
 * Loops have a core each.  Each core has a client for each loop, echo_client()
 * of bench/echo: 32 connections, 8 calls in flight on each, as fast as they go.
 * So half of the calls come from another core, however many loops there are;
 * but one loop of two shares its machine with twice the work, in twice as many
 * processes.  Two processes have all of that, and nothing in common.  CPU time
 * of the servers by call: all of their threads, all of the calls. */
#include "scale.h"

#include <stdio.h>
#include <unistd.h>
#include <weft/log.h>

enum { CORES = 2, CLIENTS = 2 * CORES };

/* processes * loops is what each core has clients for. */
typedef struct setting {
    uint32_t processes, loops;
} setting;

static echo_shared *clients;
static uint16_t *ports; /* by process */

static void pin_here(void *arg)
{
    scale_pin(*(const int *)arg);
}

typedef struct place {
    uint32_t loops;
    int first; /* core */
    uint16_t *port;
} place;

static void serve(void *arg)
{
    static const int cpus[CORES] = {0, 1};
    const place *p = arg;
    weft_server *server;
    weft_group *group;
    weft_loop *loop;

    weft_log_set_level(WEFT_LOG_ERROR);
    weft_loop_new(&loop, NULL);
    weft_group_new(&group, loop, p->loops, NULL);
    for (size_t i = 0; i < p->loops; i++)
        weft_loop_post(weft_group_loop(group, i), pin_here,
                       (void *)&cpus[(size_t)p->first + i]);
    weft_server_new_group(&server, group, NULL);
    weft_server_add_service(server, &scale_echo.base);
    scale_listen(server, p->port);
    weft_loop_run(loop);
}

static void call(void *arg)
{
    echo_client(arg);
}

/* The servers' CPU time by call, in us. */
static double measure(setting s, uint32_t measured_ms)
{
    uint32_t n = s.processes * s.loops * CORES;
    pid_t servers[CORES], pids[CLIENTS];
    double cpu_us = 0, calls = 0;

    for (uint32_t i = 0; i < s.processes; i++) {
        place p = {s.loops, (int)i, &ports[i]};

        ports[i] = 0;
        servers[i] = scale_fork(-1, serve, &p);
        scale_wait_port(&ports[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t server = i / CORES % s.processes;

        clients[i] = (echo_shared){.load = {.connections = 32,
                                            .in_flight = 8,
                                            .payload_bytes = 32,
                                            .warm_up_ms = 300,
                                            .measured_ms = measured_ms},
                                   .server_pid = servers[server],
                                   .port = ports[server]};
        pids[i] = scale_fork((int)(i % CORES), call, &clients[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        scale_wait_exit(pids[i], measured_ms + 10000, "no client");
        scale_check(clients[i].failed == 0, "calls have failed");
        /* Each of its clients saw all of a server's. */
        cpu_us += clients[i].server_us * s.processes / n;
        calls += (double)clients[i].calls;
    }
    for (uint32_t i = 0; i < s.processes; i++)
        scale_kill(servers[i]);
    return cpu_us / calls;
}

int main(int argc, char **argv)
{
    uint32_t measured_ms = scale_arg(argc, argv, 1, 500);
    double one, apart, two;

    clients = scale_share(CLIENTS * sizeof(*clients));
    ports = scale_share(CORES * sizeof(*ports));
    one = measure((setting){1, 1}, measured_ms);
    apart = measure((setting){2, 1}, measured_ms);
    two = measure((setting){1, 2}, measured_ms);
    printf("{\"scale\": \"loops\", \"one_us\": %.4f, \"apart_us\": %.4f, "
           "\"two_us\": %.4f, \"ratio\": %.3f, \"ratio_apart\": %.3f}\n",
           one, apart, two, two / one, two / apart);
    return 0;
}
