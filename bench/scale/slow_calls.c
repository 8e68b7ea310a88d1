/* slow_calls.c - calls that take 5 ms of CPU beside quick ones, on a pool.
 *
 *     scale_slow_calls [MEASURED_MS [CALLS_PER_S]]
 *
 * The quick ones are the others of latency.c.  1 % as many
 * slow ones come from a process of their own, to a server whose handler burns
 * the CPU: on a pool in the background, on a pool like any other, and on the
 * loop.  Loop and pool share one core, the clients have the other. */
#include "scale.h"

#include <stdio.h>
#include <time.h>

#define SLOW_NS 5000000
/* The p99 is that of 80 calls in 8,000: with fewer, one pause of the machine is
 * as many. */
#define MEASURED_MS 2000

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
    static Bench__Echo_Service slow = BENCH__ECHO__INIT(slow_);
    const int *which = arg;
    weft_pool_conf conf = {.threads = 1,
                           .background = cases[*which].background};
    weft_server *server;
    weft_pool *pool;
    weft_loop *loop;

    scale_check(weft_pool_new(&pool, &conf) == WEFT_OK, "no pool");
    server = scale_server(&loop, NULL, &scale_echo.base);
    weft_server_add_service_as(server, "bench.Slow", &slow.base);
    if (cases[*which].pool)
        weft_server_offload(server, "/bench.Slow/Echo", pool);
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
    weft_loop *loop;

    (void)arg;
    weft_loop_new(&loop, NULL);
    c.stub = scale_stub(loop, quick->port, NULL);
    c.stub.options.service = "bench.Slow";
    weft_timer_init(&c.timer, loop, ask, &c);
    weft_timer_start(&c.timer, 0);
    weft_loop_run(loop);
}

/* p99 of the quick ones in us. */
static double measure(int which)
{
    pid_t server = scale_others_server(quick, serve, &which), other = 0;

    if (cases[which].slow)
        other = scale_fork(SCALE_CLIENT_CPU, call_slow, NULL);
    scale_others_call(quick);
    if (other != 0)
        scale_kill(other);
    scale_kill(server);
    return scale_others_us(quick, 0.99);
}

int main(int argc, char **argv)
{
    quick = scale_others(scale_arg(argc, argv, 1, MEASURED_MS),
                         scale_arg(argc, argv, 2, 4000));
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
