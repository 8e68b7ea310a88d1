/* slow_calls.c - calls that take 5 ms of CPU beside quick ones, on a pool.
 *
 *     scale_slow_calls [MEASURED_MS [CALLS_PER_S]]
 *
 * The quick ones are echo_client() of bench/echo at a fixed rate.  1 % as many
 * slow ones come from a process of their own, to a server whose handler burns
 * the CPU: on a pool in the background, on a pool like any other, and on the
 * loop.  Loop and pool share one core, the clients have the other. */
#include "scale.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weft/log.h>

#define SLOW_NS 5000000

static echo_shared *quick;

/* ---- The server ---- */

static const struct {
    const char *name;
    bool slow, pool, background;
} cases[] = {{"none", false, false, false},
             {"background pool", true, true, true},
             {"pool", true, true, false},
             {"on the loop", true, false, false}};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static uint64_t thread_cpu_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

static void slow_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    uint64_t end = thread_cpu_ns() + SLOW_NS;

    (void)self;
    while (thread_cpu_ns() < end)
        ;
    reply(in, call);
}

static void serve(void *arg)
{
    static Bench__Echo_Service echo = BENCH__ECHO__INIT(echo_);
    static Bench__Echo_Service slow = BENCH__ECHO__INIT(slow_);
    const int *which = arg;
    weft_pool_conf conf = {.threads = 1,
                           .background = cases[*which].background};
    weft_server *server;
    weft_pool *pool;
    weft_loop *loop;

    weft_log_set_level(WEFT_LOG_ERROR);
    weft_loop_new(&loop, NULL);
    scale_check(weft_pool_new(&pool, &conf) == WEFT_OK, "no pool");
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &echo.base);
    weft_server_add_service_as(server, "bench.Slow", &slow.base);
    if (cases[*which].pool)
        weft_server_offload(server, "/bench.Slow/Echo", pool);
    quick->server_pid = getpid();
    scale_listen(server, &quick->port);
    weft_loop_run(loop);
}

/* ---- The clients ---- */

typedef struct slow_client {
    weft_stub stub;
    weft_timer timer;
    uint32_t every_ms;
} slow_client;

static void on_slow(const Bench__EchoMessage *reply, void *user)
{
    (void)reply, (void)user;
}

static void ask(weft_timer *timer, void *user)
{
    slow_client *c = user;
    Bench__EchoMessage request = BENCH__ECHO_MESSAGE__INIT;

    bench__echo__echo(&c->stub.base, &request, on_slow, NULL);
    weft_timer_start(timer, c->every_ms);
}

static void call_slow(void *arg)
{
    slow_client c = {.every_ms = (uint32_t)(100e3 / quick->load.rate)};
    weft_channel *channel;
    weft_loop *loop;
    char target[32];

    (void)arg;
    weft_loop_new(&loop, NULL);
    scale_target(target, quick->port);
    weft_channel_new(&channel, loop, target, NULL);
    c.stub = weft_stub_for(channel, &bench__echo__descriptor);
    c.stub.options.service = "bench.Slow";
    weft_timer_init(&c.timer, loop, ask, &c);
    weft_timer_start(&c.timer, 0);
    weft_loop_run(loop);
}

static void call_quick(void *arg)
{
    (void)arg;
    scale_be_first();
    echo_client(quick);
}

/* p99 of the quick ones in us. */
static double measure(int which)
{
    pid_t server, other = 0, client;

    memset(&quick->latency, 0, sizeof(quick->latency));
    quick->calls = quick->failed = quick->not_begun = 0;
    quick->port = 0;
    server = scale_fork(SCALE_SERVER_CPU, serve, &which);
    scale_wait_port(&quick->port);
    if (cases[which].slow)
        other = scale_fork(SCALE_CLIENT_CPU, call_slow, NULL);
    client = scale_fork(SCALE_CLIENT_CPU, call_quick, NULL);
    scale_wait_exit(client, quick->load.measured_ms + 10000, "no client");
    if (other != 0)
        scale_kill(other);
    scale_kill(server);
    scale_check(quick->failed == 0, "calls have failed");
    return (double)weft_histogram_quantile_ns(&quick->latency, 0.99) / 1e3;
}

int main(int argc, char **argv)
{
    quick = scale_share(sizeof(*quick));
    quick->load = (echo_load){.connections = 8,
                              .in_flight = 64,
                              .payload_bytes = 32,
                              .warm_up_ms = 200,
                              .measured_ms = scale_arg(argc, argv, 1, 500),
                              .rate = scale_arg(argc, argv, 2, 4000)};
    for (int which = 1; which < CASES; which++) {
        double alone = measure(0), beside = measure(which);

        printf("{\"scale\": \"slow calls\", \"case\": \"%s\", "
               "\"alone_p99_us\": %.1f, \"p99_us\": %.1f, "
               "\"p99_ratio\": %.3f}\n",
               cases[which].name, alone, beside, beside / alone);
        fflush(stdout);
    }
    return 0;
}
