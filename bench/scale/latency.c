/* latency.c - the latency of others: echo_client() of bench/echo at a fixed
 * rate, on connections of its own. */
#include "scale.h"

#include <string.h>

echo_shared *scale_others(uint32_t measured_ms, uint32_t rate)
{
    echo_shared *others = scale_share(sizeof(*others));

    others->load = (echo_load){.connections = 8,
                               .in_flight = 64,
                               .payload_bytes = 32,
                               .warm_up_ms = 200,
                               .measured_ms = measured_ms,
                               .rate = rate};
    return others;
}

pid_t scale_others_server(echo_shared *others, void (*serve)(void *arg),
                          void *arg)
{
    others->port = 0;
    others->server_pid = scale_fork(SCALE_SERVER_CPU, serve, arg);
    scale_wait_port(&others->port);
    return others->server_pid;
}

static void call(void *arg)
{
    scale_be_first();
    echo_client(arg);
}

void scale_others_call(echo_shared *others)
{
    pid_t client;

    memset(&others->latency, 0, sizeof(others->latency));
    others->calls = others->failed = others->not_begun = 0;
    client = scale_fork(SCALE_CLIENT_CPU, call, others);
    scale_wait_exit(client, others->load.measured_ms + 10000, "no client");
    scale_check(others->failed == 0, "calls have failed");
}

double scale_others_us(const echo_shared *others, double share)
{
    return (double)weft_histogram_quantile_ns(&others->latency, share) / 1e3;
}
