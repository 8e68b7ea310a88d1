/* restart_test.c - three servers are restarted one after the other, under load,
 * over real sockets: no call fails. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

#define SERVERS 3
#define IN_FLIGHT 60

typedef struct nap {
    weft_timer timer;
    Helloworld__HelloReply_Closure reply;
    weft_call *call;
} nap;

static unsigned naps;

static void on_awake(weft_timer *timer, void *user)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    nap *n = user;

    (void)timer;
    out.msg = "x";
    n->reply(&out, n->call);
}

static void nap_say_hello(Helloworld__Greeter_Service *self,
                          const Helloworld__HelloRequest *in,
                          Helloworld__HelloReply_Closure reply, void *call)
{
    nap *n = weft_call_alloc(call, sizeof(*n));

    (void)self, (void)in;
    assert_non_null(n);
    *n = (nap){.reply = reply, .call = call};
    weft_timer_init(&n->timer, weft_call_loop(call), on_awake, n);
    weft_timer_start(&n->timer, 1 + naps++ % 15);
}

static Helloworld__Greeter_Service service = HELLOWORLD__GREETER__INIT(nap_);

typedef struct load {
    weft_loop *loop;
    weft_stub stub;
    weft_server *servers[SERVERS];
    unsigned ports[SERVERS];
    int in_flight, restarted;
    unsigned ok, failed;
    char first[256];
    bool stopping, done;
} load;

static void start_one(load *l);

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    load *l = user;

    l->in_flight--;
    if (reply != NULL)
        l->ok++;
    else if (l->failed++ == 0)
        snprintf(l->first, sizeof(l->first), "%s",
                 weft_current_result()->message);
    if (!l->stopping)
        start_one(l);
    else if (l->in_flight == 0)
        l->done = true;
}

static void start_one(load *l)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;

    request.msg = "x";
    l->in_flight++;
    helloworld__greeter__say_hello(&l->stub.base, &request, on_reply, l);
}

/* On the port that it had before, or on any. */
static void start_server(load *l, int i)
{
    char uri[64];

    snprintf(uri, sizeof(uri), "tcp://127.0.0.1:%u", l->ports[i]);
    weft_server_new(&l->servers[i], l->loop, NULL);
    weft_server_add_service(l->servers[i], &service.base);
    weft_server_listen(l->servers[i], uri);
    if (weft_server_start(l->servers[i], NULL, NULL) != WEFT_OK)
        fail_msg("%s", weft_server_error(l->servers[i]));
    l->ports[i] = weft_address_port(weft_server_address(l->servers[i], 0));
}

static void on_drained(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    load *l = user;
    int i = l->restarted++;

    (void)message;
    assert_int_equal(status, WEFT_OK); /* nothing had to be cut off */
    weft_server_free(server);
    start_server(l, i);
}

static void run_ms(load *l, uint32_t ms)
{
    weft_loop_run_until(l->loop, &(bool){false}, ms);
}

static void a_rolling_restart_fails_no_call(void **state)
{
    static load l;
    weft_channel *channel;
    char target[128];

    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    assert_int_equal(weft_loop_new(&l.loop, NULL), WEFT_OK);
    for (int i = 0; i < SERVERS; i++)
        start_server(&l, i);
    snprintf(target, sizeof(target),
             "static:///127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u", l.ports[0],
             l.ports[1], l.ports[2]);
    assert_int_equal(
        weft_channel_new(&channel, l.loop, target,
                         &(weft_channel_conf){.backoff_max_ms = 200}),
        WEFT_OK);
    l.stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    for (int i = 0; i < IN_FLIGHT; i++)
        start_one(&l);
    run_ms(&l, 100);
    for (int i = 0; i < SERVERS; i++) {
        assert_int_equal(weft_server_drain(l.servers[i], 0, on_drained, &l),
                         WEFT_OK);
        for (int n = 0; n < 100 && l.restarted == i; n++)
            run_ms(&l, 20);
        assert_int_equal(l.restarted, i + 1);
        for (int n = 0; n < 100; n++) { /* until it is called again */
            if (weft_channel_get_stats(channel).ready_endpoints == SERVERS)
                break;
            run_ms(&l, 20);
        }
        assert_int_equal(weft_channel_get_stats(channel).ready_endpoints,
                         SERVERS);
        run_ms(&l, 50);
    }
    l.stopping = true;
    assert_int_equal(weft_loop_run_until(l.loop, &l.done, 5000), WEFT_OK);
    if (l.failed > 0)
        fail_msg("%u of %u failed, the first: %s", l.failed, l.ok + l.failed,
                 l.first);
    assert_true(l.ok > 1000);
    weft_channel_close(channel);
    for (int i = 0; i < SERVERS; i++)
        weft_server_free(l.servers[i]);
    weft_loop_free(l.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rolling_restart_fails_no_call),
    };
    return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
