/* weft_echo.c - the same by Weft: generated stubs, zeroed confs. */
#include "echo_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

#include "echo.pb-c.h"

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

static Bench__Echo_Service service = BENCH__ECHO__INIT(echo_);

void weft_echo_server(echo_shared *shared)
{
    weft_loop *loop;
    weft_server *server;

    weft_loop_new(&loop, NULL);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &service.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    if (weft_server_start(server, NULL, NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        exit(1);
    }
    shared->port = weft_address_port(weft_server_address(server, 0));
    weft_loop_run(loop);
}

typedef struct client {
    const echo_load *load;
    uint64_t started, done, failed, total;
    Bench__EchoMessage request;
    void (*mark)(void);
    bool finished;
} client;

typedef struct lane { /* one channel: one connection */
    client *c;
    weft_stub stub;
} lane;

static void on_reply(const Bench__EchoMessage *reply, void *user)
{
    lane *l = user;
    client *c = l->c;

    if (reply == NULL || reply->data.len != c->request.data.len) {
        if (c->failed++ == 0)
            fprintf(stderr, "echo: %s\n", weft_current_result()->message);
    }
    if (++c->done == c->load->warm_up)
        c->mark();
    if (c->started < c->total) {
        c->started++;
        bench__echo__echo(&l->stub.base, &c->request, on_reply, l);
    } else if (c->done == c->total) {
        c->finished = true;
    }
}

void weft_echo_client(echo_shared *shared, const echo_load *load,
                      void (*mark)(void))
{
    client c = {.load = load,
                .total = load->warm_up + load->calls,
                .request = BENCH__ECHO_MESSAGE__INIT,
                .mark = mark};
    lane *lanes = calloc(load->connections, sizeof(*lanes));
    char target[32];
    weft_loop *loop;

    c.request.data.len = load->payload_bytes;
    c.request.data.data = calloc(1, load->payload_bytes);
    snprintf(target, sizeof(target), "127.0.0.1:%u", shared->port);
    weft_loop_new(&loop, NULL);
    for (uint32_t i = 0; i < load->connections; i++) {
        weft_channel *channel;
        weft_channel_new(&channel, loop, target, NULL);
        lanes[i].c = &c;
        lanes[i].stub = weft_stub_for(channel, &bench__echo__descriptor);
        for (uint32_t n = 0; n < load->in_flight; n++) {
            c.started++;
            bench__echo__echo(&lanes[i].stub.base, &c.request, on_reply,
                              &lanes[i]);
        }
    }
    weft_loop_run_until(loop, &c.finished, 0);
    shared->replies = c.done - c.failed;
    mark();
}
