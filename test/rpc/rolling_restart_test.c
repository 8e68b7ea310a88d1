/* Three servers behind one channel, restarted one after the other under load:
 * no call fails. */
#include "support.h"
#include "test_loop.h"

#include <helloworld.pb-c.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

enum { SERVERS = 3, CALLS = 24, HANDLING_MS = 80 };

typedef struct member {
    Helloworld__Greeter_Service greeter; /* first */
    struct cluster *cluster;
    weft_server *server;
    char uri[64];
    unsigned served, drained;
} member;

typedef struct cluster {
    test_loop t;
    member members[SERVERS];
    weft_stub stub;
    uint64_t called, ok, failed;
    bool stop;
    char first_failure[200];
} cluster;

typedef struct pending {
    weft_timer timer;
    Helloworld__HelloReply_Closure reply;
    void *call;
} pending;

static void on_handled(weft_timer *timer, void *user)
{
    pending *p = user;
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)timer;
    out.msg = "done";
    p->reply(&out, p->call);
}

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    member *m = (member *)(void *)self;
    pending *p = weft_call_alloc(call, sizeof(*p));

    (void)in;
    m->served++;
    p->reply = reply;
    p->call = call;
    weft_timer_init(&p->timer, m->cluster->t.loop, on_handled, p);
    weft_timer_start(&p->timer, HANDLING_MS);
}

static void launch(cluster *c, member *m)
{
    char text[WEFT_ADDRESS_TEXT];

    assert_int_equal(weft_server_new(&m->server, c->t.loop, NULL), WEFT_OK);
    weft_server_add_service(m->server, &m->greeter.base);
    weft_server_listen(m->server, m->uri);
    assert_int_equal(weft_server_start(m->server, NULL, NULL), WEFT_OK);
    snprintf(m->uri, sizeof(m->uri), "tcp://%s",
             weft_address_format(weft_server_address(m->server, 0), text,
                                 sizeof(text)));
}

static void on_drained(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    member *m = user;

    assert_string_equal(message, "");
    assert_int_equal(status, WEFT_OK);
    weft_server_free(server);
    m->drained++;
}

static void call_once(cluster *c);

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    cluster *c = user;

    if (reply != NULL)
        c->ok++;
    else if (c->failed++ == 0)
        snprintf(c->first_failure, sizeof(c->first_failure), "%s",
                 weft_current_result()->message);
    if (!c->stop)
        call_once(c);
}

static void call_once(cluster *c)
{
    Helloworld__HelloRequest in = HELLOWORLD__HELLO_REQUEST__INIT;

    in.msg = "x";
    c->called++;
    helloworld__greeter__say_hello(&c->stub.base, &in, on_reply, c);
}

static void pass(cluster *c, uint32_t ms)
{
    while (ms-- > 0) {
        weft_fake_advance(&c->t.clock, 1);
        assert_int_equal(weft_loop_poll(c->t.loop), WEFT_OK);
        assert_int_equal(weft_loop_poll(c->t.loop), WEFT_OK);
    }
}

static void a_rolling_restart_under_load_fails_no_call(void **state)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);
    static cluster c;
    weft_channel *channel;
    char target[256] = "";
    unsigned i, round, before[SERVERS];

    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    test_loop_init(&c.t);
    for (i = 0; i < SERVERS; i++) {
        c.members[i] = (member){.greeter = greeter, .cluster = &c};
        snprintf(c.members[i].uri, sizeof(c.members[i].uri),
                 "tcp://127.0.0.1:0");
        launch(&c, &c.members[i]);
    }
    for (i = 0; i < SERVERS; i++) {
        strcat(target, i == 0 ? "static:///" : ",");
        strcat(target, c.members[i].uri + strlen("tcp://"));
    }
    assert_int_equal(weft_channel_new(&channel, c.t.loop, target, NULL),
                     WEFT_OK);
    c.stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    for (i = 0; i < CALLS; i++)
        call_once(&c);
    pass(&c, 500);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < SERVERS; i++) {
            member *m = &c.members[i];

            assert_true(m->served > 0);
            assert_int_equal(weft_server_drain(m->server, 0, on_drained, m),
                             WEFT_OK);
            pass(&c, 300);
            assert_int_equal(m->drained, round + 1);
            launch(&c, m);
            pass(&c, 1000);
        }
    }
    for (i = 0; i < SERVERS; i++)
        before[i] = c.members[i].served;
    pass(&c, 3000);
    c.stop = true;
    pass(&c, 100);
    assert_string_equal(c.first_failure, "");
    assert_int_equal(c.failed, 0);
    assert_int_equal(c.ok, c.called);
    assert_true(c.ok > 2000);
    for (i = 0; i < SERVERS; i++) /* each has come back */
        assert_true(c.members[i].served > before[i]);
    weft_channel_close(channel);
    test_loop_fini(&c.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rolling_restart_under_load_fails_no_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
