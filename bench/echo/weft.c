/* weft.c - Weft as its users write it: generated stubs, zeroed confs.
 *
 * The client lends what is long, as one does who has it anyway.  The variant
 * "observed" looks at every call on both sides; "copied" lends nothing. */
#include "pace.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/log.h>
#include <weft/weft.h>

#include "order.h"

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

static void orders_echo(Bench__Orders_Service *self, const Bench__Order *in,
                        Bench__Order_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

static Bench__Echo_Service echo = BENCH__ECHO__INIT(echo_);
static Bench__Orders_Service orders = BENCH__ORDERS__INIT(orders_);

static void on_observation(const weft_observation *o, void *user)
{
    uint64_t *spent_us = user;

    *spent_us += o->waiting_us;
}

static void observe(weft_loop *loop, const echo_load *load)
{
    static uint64_t spent_us;

    if (strcmp(load->variant, "observed") == 0)
        weft_observe(loop, on_observation, &spent_us);
}

void echo_server(echo_shared *shared)
{
    weft_loop *loop;
    weft_server *server;

    weft_log_set_level(WEFT_LOG_WARN);
    weft_loop_new(&loop, NULL);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &echo.base);
    weft_server_add_service(server, &orders.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    if (weft_server_start(server, NULL, NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        exit(1);
    }
    observe(loop, &shared->load);
    shared->port = weft_address_port(weft_server_address(server, 0));
    weft_loop_run(loop);
}

enum { LENT_BYTES = 1024 };

/* What all calls lend stays until the process ends. */
static void on_released(void *arg)
{
    (void)arg;
}

typedef struct client {
    pace pace;
    const echo_load *load;
    weft_loop *loop;
    Bench__EchoMessage request;
    const Bench__Order *order;
    int timer;
} client;

typedef struct flight { /* one call */
    pace_slot slot;     /* first */
    client *client;
    weft_stub *stub; /* of one of the channels: one connection each */
} flight;

static void on_order(const Bench__Order *reply, void *user);
static void on_echo(const Bench__EchoMessage *reply, void *user);

static void begin_calls(client *c)
{
    uint64_t now = weft_loop_now_ns(c->loop);
    flight *f;

    while ((f = (flight *)pace_take(&c->pace, now)) != NULL)
        if (c->load->order)
            bench__orders__echo(&f->stub->base, c->order, on_order, f);
        else
            bench__echo__echo(&f->stub->base, &c->request, on_echo, f);
}

static void end_call(flight *f, bool ok)
{
    client *c = f->client;

    if (!ok && c->pace.shared->failed == 0)
        fprintf(stderr, "weft: %s\n", weft_current_result()->message);
    pace_give(&c->pace, &f->slot, weft_loop_now_ns(c->loop), ok);
    begin_calls(c);
}

static void on_echo(const Bench__EchoMessage *reply, void *user)
{
    flight *f = user;

    end_call(f,
             reply != NULL && reply->data.len == f->client->request.data.len);
}

static void on_order(const Bench__Order *reply, void *user)
{
    flight *f = user;

    end_call(f, reply != NULL && reply->id == f->client->order->id);
}

static void on_tick(evutil_socket_t fd, short what, void *user)
{
    client *c = user;

    (void)fd, (void)what;
    pace_tick(c->timer);
    begin_calls(c);
}

void echo_client(echo_shared *shared)
{
    const echo_load *load = &shared->load;
    client c = {.load = load,
                .request = BENCH__ECHO_MESSAGE__INIT,
                .order = order_message()};
    size_t calls = (size_t)load->connections * load->in_flight;
    weft_stub *stubs = calloc(load->connections, sizeof(*stubs));
    flight *all = calloc(calls, sizeof(*all));
    char target[32];

    c.request.data.len = load->payload_bytes;
    c.request.data.data = calloc(1, load->payload_bytes);
    snprintf(target, sizeof(target), "127.0.0.1:%u", shared->port);
    weft_loop_new(&c.loop, NULL);
    observe(c.loop, load);
    for (uint32_t i = 0; i < load->connections; i++) {
        weft_channel *channel;

        weft_channel_new(&channel, c.loop, target, NULL);
        stubs[i] =
            weft_stub_for(channel, load->order ? &bench__orders__descriptor
                                               : &bench__echo__descriptor);
        if (load->payload_bytes >= LENT_BYTES &&
            strcmp(load->variant, "copied") != 0)
            stubs[i].options.release = on_released;
    }
    pace_init(&c.pace, shared);
    for (size_t i = 0; i < calls; i++) {
        all[i].client = &c;
        all[i].stub = &stubs[i % load->connections];
        pace_add(&c.pace, &all[i].slot);
    }
    if ((c.timer = pace_timer(&c.pace)) >= 0)
        event_add(event_new(weft_loop_base(c.loop), c.timer,
                            EV_READ | EV_PERSIST, on_tick, &c),
                  NULL);
    begin_calls(&c);
    weft_loop_run(c.loop);
}
