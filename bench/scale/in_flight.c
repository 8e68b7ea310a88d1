/* in_flight.c - a million calls at once: memory of each on either side, and
 * how late their deadlines fire.
 *
 *     scale_in_flight [CALLS [SPREAD_MS [LEAD_MS]]]
 *
 * The handler keeps every call and never answers by itself.  Deadlines are
 * spread evenly over SPREAD_MS (0: all of them at once), which begin LEAD_MS
 * after the first call, by when all are to be in flight: then both processes'
 * resident memory is compared with that before the first.  A process that only
 * sleeps tells how late the machine itself is meanwhile. */
#include "scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_BYTES 32
#define PER_CONNECTION 65536
#define BATCH 1000 /* calls begun in one round */

typedef struct side {
    volatile uint64_t begun, ended;
    uint64_t before_kb;  /* resident, without calls */
    uint64_t held_us;    /* the loop, longest, while deadlines fire */
    weft_histogram late; /* deadlines of our own */
    uint64_t by_other;   /* calls that the peer ended before ours fired */
} side;

typedef struct shared {
    uint32_t calls, spread_ms, lead_ms;
    volatile uint16_t port;
    side server, client;
    scale_probe probe;
} shared;

static void note_end(side *s, weft_loop *loop, bool own, uint64_t due_ns)
{
    uint64_t now = echo_now_ns(), held_us = weft_loop_get_lag(loop).last_us;

    if (held_us > s->held_us)
        s->held_us = held_us;
    if (own)
        weft_histogram_add(&s->late, now > due_ns ? now - due_ns : 0, 1);
    else
        s->by_other++;
    s->ended++;
}

/* ---- The server ---- */

static shared *all;

static void on_end(weft_call *call, weft_status status, void *user)
{
    note_end(&all->server, weft_call_loop(call),
             status == WEFT_DEADLINE_EXCEEDED, (uint64_t)(uintptr_t)user);
    weft_call_fail(call, status, "");
}

static void keep_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    weft_loop *loop = weft_call_loop(call);
    uint64_t due_ns = weft_loop_now_ns(loop) +
                      weft_call_time_left_ms(call) * UINT64_C(1000000);

    (void)self;
    if (in->data.len == 0) { /* the first: that there is a connection */
        reply(in, call);
        return;
    }
    scale_check(weft_call_on_end(call, on_end, (void *)(uintptr_t)due_ns) ==
                    WEFT_OK,
                "no memory for a call");
    all->server.begun++;
}

static void serve(void *arg)
{
    static Bench__Echo_Service service = BENCH__ECHO__INIT(keep_);
    weft_server_conf conf = {.max_in_flight = all->calls + 1,
                             .max_in_flight_per_connection = PER_CONNECTION,
                             .max_in_flight_bytes = UINT32_MAX - 1};
    weft_server *server;
    weft_loop *loop;

    (void)arg;
    scale_be_first();
    server = scale_server(&loop, &conf, &service.base);
    scale_listen(server, &all->port);
    weft_loop_run(loop);
}

/* ---- The client ---- */

typedef struct caller {
    weft_loop *loop;
    weft_stub stub;
    Bench__EchoMessage request;
    weft_timer next;
    uint64_t first_ms;
    bool connected;
} caller;

static caller c = {.request = BENCH__ECHO_MESSAGE__INIT};

static void on_reply(const Bench__EchoMessage *reply, void *user)
{
    (void)reply;
    note_end(&all->client, c.loop,
             weft_current_result()->status == WEFT_DEADLINE_EXCEEDED,
             (uint64_t)(uintptr_t)user);
    if (all->client.ended == all->calls)
        _exit(0);
}

static void begin_some(weft_timer *timer, void *user)
{
    uint64_t begun = all->client.begun, end = begun + BATCH;
    uint64_t now_ns = weft_loop_now_ns(c.loop), now_ms = now_ns / 1000000;

    (void)user;
    for (; begun < end && begun < all->calls; begun++) {
        uint64_t due_ms =
            c.first_ms + all->lead_ms + begun * all->spread_ms / all->calls;

        scale_check(due_ms > now_ms, "calls began too slowly");
        c.stub.options.timeout_ms = (uint32_t)(due_ms - now_ms);
        bench__echo__echo(
            &c.stub.base, &c.request, on_reply,
            (void *)(uintptr_t)(now_ns +
                                c.stub.options.timeout_ms * UINT64_C(1000000)));
    }
    all->client.begun = begun;
    if (begun < all->calls)
        weft_timer_start(timer, 0);
}

static void on_connected(const Bench__EchoMessage *reply, void *user)
{
    (void)user;
    c.connected = reply != NULL;
}

static void call(void *arg)
{
    static uint8_t message[MESSAGE_BYTES];
    weft_channel_conf conf = {.max_in_flight = all->calls + 1,
                              .max_waiting = all->calls + 1,
                              .max_in_flight_per_connection = PER_CONNECTION,
                              .max_connections_per_endpoint =
                                  1 + all->calls / PER_CONNECTION,
                              .max_pending_bytes = UINT32_MAX - 1};

    (void)arg;
    scale_be_first();
    weft_loop_new(&c.loop, NULL);
    c.stub = scale_stub(c.loop, all->port, &conf);
    bench__echo__echo(&c.stub.base, &c.request, on_connected, NULL);
    scale_check(weft_loop_run_until(c.loop, &c.connected, 5000) == WEFT_OK,
                "no connection");
    c.request.data.data = message;
    c.request.data.len = sizeof(message);
    all->client.before_kb = echo_rss_kb(getpid());
    c.first_ms = weft_loop_now_ms(c.loop);
    weft_timer_init(&c.next, c.loop, begin_some, NULL);
    weft_timer_start(&c.next, 0);
    weft_loop_run(c.loop);
}

/* ---- Both ---- */

static double per_call(const side *s, uint64_t now_kb)
{
    return ((double)now_kb - (double)s->before_kb) * 1024 / all->calls;
}

static void print_side(const char *name, const side *s, double bytes)
{
    printf(", \"%s_bytes\": %.1f, \"%s_late_p99_ms\": %.3f, "
           "\"%s_late_max_ms\": %.3f, \"%s_held_ms\": %.3f, "
           "\"%s_fired\": %llu",
           name, bytes, name,
           (double)weft_histogram_quantile_ns(&s->late, 0.99) / 1e6, name,
           (double)s->late.max_ns / 1e6, name, (double)s->held_us / 1e3, name,
           (unsigned long long)weft_histogram_count(&s->late));
}

int main(int argc, char **argv)
{
    pid_t server, client, probe;
    double server_bytes, client_bytes;
    uint32_t limit_ms;

    all = scale_share(sizeof(*all));
    all->calls = scale_arg(argc, argv, 1, 1000000);
    all->spread_ms = scale_arg(argc, argv, 2, 5000);
    all->lead_ms = scale_arg(argc, argv, 3, 10000);
    limit_ms = all->lead_ms + all->spread_ms + 30000;
    server = scale_fork(SCALE_SERVER_CPU, serve, NULL);
    scale_wait_port(&all->port);
    all->server.before_kb = echo_rss_kb(server);
    client = scale_fork(SCALE_CLIENT_CPU, call, NULL);
    while (all->server.begun < all->calls && all->client.ended == 0)
        usleep(1000);
    scale_check(all->server.begun == all->calls, "calls ended too early");
    probe = scale_probe_start(&all->probe);
    server_bytes = per_call(&all->server, echo_rss_kb(server));
    client_bytes = per_call(&all->client, echo_rss_kb(client));
    scale_wait_exit(client, limit_ms, "the client's calls have not ended");
    while (all->server.ended < all->calls)
        usleep(1000);
    printf("{\"scale\": \"in flight\", \"calls\": %u, \"spread_ms\": %u, "
           "\"message_bytes\": %d, \"limit_bytes\": %d, "
           "\"machine_late_max_ms\": %.3f",
           all->calls, all->spread_ms, MESSAGE_BYTES, 1024 + MESSAGE_BYTES,
           (double)all->probe.late_ns / 1e6);
    print_side("server", &all->server, server_bytes);
    print_side("client", &all->client, client_bytes);
    printf("}\n");
    scale_kill(probe);
    scale_kill(server);
    return 0;
}
