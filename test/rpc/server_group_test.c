/* server_group_test.c - a server on several loops, in real time; also run under
 * TSan. */
#include "support.h"
#include "test_loop.h"

#include <helloworld.pb-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/weft.h>

enum { LOOPS = 3, CHANNELS = 48, CALLS = 4, WAIT_MS = 30000 };

typedef struct scene {
    Helloworld__Greeter_Service greeter; /* first; its handlers on all loops */
    weft_loop *loop;
    weft_group *group;
    weft_server *server;
    weft_channel *channels[CHANNELS];
    atomic_uint handled[LOOPS];
    atomic_int hold_ms; /* of a call; -1: not answered until its end is told */

    /* the first loop's */
    unsigned called, ok, failed, pending;
    bool all_back, started, closed;
    weft_status start_status, drain_status;
    char start_message[256], first_failure[256];
    weft_server_stats at_close;
    uint64_t timed_at_close;
} scene;

static scene s;

/* ---- The greeter ---- */

typedef struct held {
    weft_timer timer;
    Helloworld__HelloReply_Closure reply;
    void *call;
} held;

static void answer(Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    out.msg = "hello";
    reply(&out, call);
}

static void on_held(weft_timer *timer, void *user)
{
    held *h = user;

    (void)timer;
    answer(h->reply, h->call);
}

static void on_end(weft_call *call, weft_status status, void *user)
{
    (void)user;
    if (status != WEFT_OK)
        weft_call_fail(call, WEFT_CANCELLED, "late");
}

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    scene *me = (scene *)(void *)self;
    int hold_ms = atomic_load(&me->hold_ms);
    held *h;

    (void)in;
    atomic_fetch_add(&me->handled[weft_group_here(me->group)], 1);
    if (hold_ms == 0) {
        answer(reply, call);
    } else if (hold_ms < 0) {
        weft_call_on_end(call, on_end, NULL);
    } else {
        h = weft_call_alloc(call, sizeof(*h));
        *h = (held){.reply = reply, .call = call};
        weft_timer_init(&h->timer, weft_call_loop(call), on_held, h);
        weft_timer_start(&h->timer, (uint32_t)hold_ms);
    }
}

/* ---- The scene ---- */

static int setup(void **state)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);

    (void)state;
    memset(&s, 0, sizeof(s));
    s.greeter = greeter;
    s.start_status = s.drain_status = (weft_status)99;
    weft_log_set_level(WEFT_LOG_OFF);
    if (weft_loop_new(&s.loop, NULL) != WEFT_OK)
        return -1;
    return weft_group_new(&s.group, s.loop, LOOPS, NULL) == WEFT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    weft_loop_free(s.loop); /* and all that is on it */
    return 0;
}

static void run_until(const bool *done)
{
    weft_loop_hold(s.loop);
    assert_int_equal(weft_loop_run_until(s.loop, done, WAIT_MS), WEFT_OK);
    weft_loop_unhold(s.loop);
}

static void on_started(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    (void)server;
    (void)user;
    s.started = true;
    s.start_status = status;
    snprintf(s.start_message, sizeof(s.start_message), "%s", message);
}

/* How many calls of all loops stand in the histograms. */
static uint64_t n_timed(const weft_server *server, const char *path)
{
    static weft_histogram h;

    assert_int_equal(weft_server_get_latency(server, path, &h), WEFT_OK);
    return weft_histogram_count(&h);
}

static void on_drained(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    (void)message;
    (void)user;
    s.closed = true;
    s.at_close = weft_server_get_stats(server);
    s.timed_at_close = n_timed(server, NULL);
    s.drain_status = status;
}

static void make_server(const weft_server_conf *conf)
{
    assert_int_equal(weft_server_new_group(&s.server, s.group, conf), WEFT_OK);
    assert_int_equal(weft_server_add_service(s.server, &s.greeter.base),
                     WEFT_OK);
    assert_int_equal(weft_server_listen(s.server, "tcp://127.0.0.1:0"),
                     WEFT_OK);
}

static void start(void)
{
    assert_int_equal(weft_server_start(s.server, on_started, NULL), WEFT_OK);
    run_until(&s.started);
}

static void serve(const weft_server_conf *conf)
{
    make_server(conf);
    start();
    assert_string_equal(s.start_message, "");
    assert_int_equal(s.start_status, WEFT_OK);
}

static void drain(uint32_t ms)
{
    assert_int_equal(weft_server_drain(s.server, ms, on_drained, NULL),
                     WEFT_OK);
    run_until(&s.closed);
    weft_server_free(s.server);
}

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    (void)user;
    if (reply != NULL)
        s.ok++;
    else if (s.failed++ == 0)
        snprintf(s.first_failure, sizeof(s.first_failure), "%s",
                 weft_current_result()->message);
    s.all_back = --s.pending == 0;
}

static void say_hello(weft_channel *channel,
                      Helloworld__HelloReply_Closure heard)
{
    weft_stub stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    Helloworld__HelloRequest in = HELLOWORLD__HELLO_REQUEST__INIT;

    in.msg = "x";
    s.all_back = false;
    s.called++;
    s.pending++;
    helloworld__greeter__say_hello(&stub.base, &in, heard, channel);
}

/* So many connections that the kernel gives some to each loop. */
static void call_on_many_connections(void)
{
    char at[WEFT_ADDRESS_TEXT];
    size_t i, n;

    weft_address_format(weft_server_address(s.server, 0), at, sizeof(at));
    for (i = 0; i < CHANNELS; i++) {
        assert_int_equal(weft_channel_new(&s.channels[i], s.loop, at, NULL),
                         WEFT_OK);
        for (n = 0; n < CALLS; n++)
            say_hello(s.channels[i], on_reply);
    }
}

static unsigned n_handled(void)
{
    unsigned i, sum = 0;

    for (i = 0; i < LOOPS; i++)
        sum += atomic_load(&s.handled[i]);
    return sum;
}

#define run_while(condition) test_run_while(s.loop, condition)

/* Calls on every loop that stay in flight until their end is told. */
static void serve_held_calls(void)
{
    atomic_store(&s.hold_ms, -1);
    serve(NULL);
    call_on_many_connections();
    run_while(n_handled() < s.called);
}

/* ---- Calls ---- */

static void calls_reach_every_loop_and_are_summed_up(void **state)
{
    weft_server_stats stats;
    unsigned i;

    (void)state;
    serve(NULL);
    assert_int_equal(weft_server_get_state(s.server), WEFT_SERVER_SERVING);
    call_on_many_connections();
    run_until(&s.all_back);
    assert_string_equal(s.first_failure, "");
    assert_int_equal(s.ok, CHANNELS * CALLS);
    for (i = 0; i < LOOPS; i++)
        assert_true(atomic_load(&s.handled[i]) > 0);
    run_while(weft_server_get_stats(s.server).calls < s.called);
    stats = weft_server_get_stats(s.server);
    assert_int_equal(stats.calls, s.called);
    assert_int_equal(stats.failed, 0);
    assert_int_equal(stats.connections, CHANNELS);
    run_while(n_timed(s.server, "/helloworld.Greeter/SayHello") < s.called);
    drain(0);
    assert_int_equal(s.timed_at_close, s.called);
    assert_int_equal(s.drain_status, WEFT_OK);
}

static void a_service_may_be_made_for_each_loop(void **state);

/* ---- Drain ---- */

static void a_drain_finishes_the_calls_of_all_loops(void **state)
{
    unsigned i;

    (void)state;
    atomic_store(&s.hold_ms, 200);
    serve(NULL);
    call_on_many_connections();
    run_while(n_handled() < s.called);
    drain(0);
    assert_int_equal(s.drain_status, WEFT_OK);
    assert_int_equal(s.at_close.calls, s.called); /* it has waited for all */
    assert_int_equal(s.at_close.in_flight + s.at_close.connections, 0);
    assert_int_equal(s.timed_at_close, s.called);
    run_while(!s.all_back);
    assert_string_equal(s.first_failure, "");
    assert_int_equal(s.ok, s.called);
    for (i = 0; i < LOOPS; i++)
        assert_true(atomic_load(&s.handled[i]) > 0);
}

static void
calls_that_outlast_the_drain_are_cancelled_on_all_loops(void **state)
{
    (void)state;
    serve_held_calls();
    drain(20);
    assert_int_equal(s.drain_status, WEFT_DEADLINE_EXCEEDED);
    run_while(!s.all_back);
    assert_int_equal(s.failed, s.called);
    assert_string_equal(s.first_failure,
                        "server: drained, and 20 ms have passed");
}

static void a_server_ends_at_once_on_all_loops(void **state)
{
    (void)state;
    serve_held_calls();
    weft_server_free(s.server);
    run_while(!s.all_back);
    assert_int_equal(s.failed, s.called);
}

static void the_end_of_the_group_ends_the_server_on_its_loops(void **state)
{
    (void)state;
    serve_held_calls();
    weft_group_free(s.group);
    /* The first loop's part goes on, and can be drained. */
    assert_int_equal(weft_server_get_state(s.server), WEFT_SERVER_SERVING);
    drain(20);
    run_while(!s.all_back);
    assert_int_equal(s.failed, s.called);
}

static void the_end_of_the_first_loop_ends_a_server_in_full_flight(void **state)
{
    (void)state;
    atomic_store(&s.hold_ms, 1);
    serve(NULL);
    call_on_many_connections();
    run_while(n_handled() < s.called / 2);
    /* teardown */
}

/* ---- Two servers take over from each other ---- */

static void call_again(const Helloworld__HelloReply *reply, void *user)
{
    on_reply(reply, user);
    if (!s.closed)
        say_hello(user, call_again);
}

static void a_restart_under_load_fails_no_call(void **state)
{
    weft_server *other;
    weft_server_stats stats;
    char target[2 * WEFT_ADDRESS_TEXT + 16], at[WEFT_ADDRESS_TEXT];
    size_t i;

    (void)state;
    atomic_store(&s.hold_ms, 5);
    serve(NULL);
    other = s.server;
    s.started = false;
    serve(NULL);
    weft_address_format(weft_server_address(other, 0), at, sizeof(at));
    snprintf(target, sizeof(target), "static:///%s,", at);
    weft_address_format(weft_server_address(s.server, 0), at, sizeof(at));
    strcat(target, at);
    for (i = 0; i < 16; i++) {
        assert_int_equal(weft_channel_new(&s.channels[i], s.loop, target, NULL),
                         WEFT_OK);
        say_hello(s.channels[i], call_again);
    }
    run_while(n_handled() < 200);
    drain(0);
    run_while(!s.all_back);
    assert_int_equal(s.drain_status, WEFT_OK);
    assert_string_equal(s.first_failure, "");
    assert_int_equal(s.ok, s.called);
    stats = weft_server_get_stats(other);
    assert_true(stats.calls > 0);
    weft_server_free(other);
}

/* ---- Setup ---- */

typedef struct own_greeter {
    Helloworld__Greeter_Service service; /* first */
    int loop;
    unsigned n; /* no atomic: one loop's alone */
} own_greeter;

static atomic_uint n_made, n_released, n_misplaced;
static atomic_int refuse_on; /* -1: on none */

static void own_say_hello(Helloworld__Greeter_Service *self,
                          const Helloworld__HelloRequest *in,
                          Helloworld__HelloReply_Closure reply, void *call)
{
    own_greeter *g = (own_greeter *)(void *)self;

    (void)in;
    g->n++;
    if (weft_group_here(s.group) != g->loop)
        atomic_fetch_add(&n_misplaced, 1);
    atomic_fetch_add(&s.handled[g->loop], 1);
    answer(reply, call);
}

static ProtobufCService *make_own(weft_loop *loop, void *user)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(own_);
    own_greeter *g;
    int here = weft_group_here(s.group);

    assert_ptr_equal(user, &s);
    if (loop != weft_group_loop(s.group, (size_t)here))
        atomic_fetch_add(&n_misplaced, 1);
    if (here == atomic_load(&refuse_on))
        return NULL;
    g = weft_calloc(1, sizeof(*g));
    g->service = greeter;
    g->loop = here;
    atomic_fetch_add(&n_made, 1);
    return &g->service.base;
}

static void release_own(ProtobufCService *service, void *user)
{
    own_greeter *g = (own_greeter *)(void *)service;

    (void)user;
    if (weft_group_here(s.group) != g->loop)
        atomic_fetch_add(&n_misplaced, 1);
    atomic_fetch_add(&n_released, 1);
    weft_free(g);
}

static void make_own_server(int refusing)
{
    atomic_store(&n_made, 0);
    atomic_store(&n_released, 0);
    atomic_store(&n_misplaced, 0);
    atomic_store(&refuse_on, refusing);
    assert_int_equal(weft_server_new_group(&s.server, s.group, NULL), WEFT_OK);
    assert_int_equal(
        weft_server_add_service_per_loop(s.server, make_own, release_own, &s),
        WEFT_OK);
    assert_int_equal(weft_server_listen(s.server, "tcp://127.0.0.1:0"),
                     WEFT_OK);
}

static void a_service_may_be_made_for_each_loop(void **state)
{
    (void)state;
    make_own_server(-1);
    start();
    assert_int_equal(s.start_status, WEFT_OK);
    assert_int_equal(atomic_load(&n_made), LOOPS);
    call_on_many_connections();
    run_until(&s.all_back);
    assert_int_equal(s.ok, CHANNELS * CALLS);
    drain(0);
    run_while(atomic_load(&n_released) < LOOPS);
    assert_int_equal(atomic_load(&n_released), LOOPS);
    assert_int_equal(atomic_load(&n_misplaced), 0);
}

static void a_start_fails_when_one_loop_cannot_serve(void **state)
{
    (void)state;
    make_own_server(2);
    start();
    assert_int_equal(s.start_status, WEFT_ENOMEM);
    assert_string_equal(s.start_message, "loop 2: service: not made");
    weft_server_free(s.server);
    run_while(atomic_load(&n_released) < atomic_load(&n_made));
}

static void two_servers_do_not_share_an_address_unnoticed(void **state)
{
    weft_server *second;
    char uri[WEFT_ADDRESS_TEXT + 8] = "tcp://", want[WEFT_ADDRESS_TEXT + 64];

    (void)state;
    serve(NULL);
    weft_address_format(weft_server_address(s.server, 0), uri + strlen(uri),
                        WEFT_ADDRESS_TEXT);
    assert_int_equal(weft_server_new_group(&second, s.group, NULL), WEFT_OK);
    assert_int_equal(weft_server_listen(second, uri), WEFT_EADDR);
    snprintf(want, sizeof(want), "listen %s: address already in use", uri);
    assert_string_equal(weft_server_error(second), want);
    weft_server_free(second);
}

static void out_of_memory_at_the_start(void *user)
{
    weft_status status;

    (void)user;
    s.started = false;
    status = weft_server_new_group(&s.server, s.group, NULL);
    assert_int_equal(s.server == NULL, status != WEFT_OK);
    (void)weft_server_add_service(s.server, &s.greeter.base);
    (void)weft_server_listen(s.server, "tcp://127.0.0.1:0");
    if (weft_server_start(s.server, on_started, NULL) == WEFT_OK) {
        weft_mem_fail_nth(0); /* the rest is the loops' */
        run_until(&s.started);
    }
    weft_server_free(s.server);
    run_while(false);
}

static void out_of_memory_fails_the_setup_alone(void **state)
{
    unsigned nth;

    (void)state;
    for (nth = 1; nth < 40; nth++) {
        weft_mem_fail_nth(nth);
        out_of_memory_at_the_start(NULL);
        weft_mem_fail_nth(0);
    }
    assert_int_equal(s.start_status, WEFT_OK); /* the last one */
}

/* ---- Plugins ---- */

static weft_plugin_done *init_done;

static void slow_init(weft_plugin *self, const weft_plugin_host *host,
                      weft_plugin_done *done)
{
    (void)self;
    (void)host;
    init_done = done;
}

static void slow_free(weft_plugin *self)
{
    (void)self;
}

static void no_loop_serves_before_the_plugins_are_initialised(void **state)
{
    static const weft_plugin_ops ops = {
        .name = "slow", .init = slow_init, .free = slow_free};
    static weft_plugin plugin = {.ops = &ops};
    weft_server_conf conf = {.lame_duck_ms = 1};

    (void)state;
    make_server(&conf);
    assert_int_equal(weft_server_use(s.server, &plugin), WEFT_OK);
    init_done = NULL;
    assert_int_equal(weft_server_start(s.server, on_started, NULL), WEFT_OK);
    run_while(init_done == NULL);
    call_on_many_connections();
    /* They have all come, and none is served. */
    run_while(weft_server_get_stats(s.server).connections < CHANNELS);
    assert_int_equal(weft_server_get_state(s.server), WEFT_SERVER_STARTING);
    assert_int_equal(n_handled(), 0);
    assert_false(s.started);
    weft_plugin_finish(init_done, WEFT_OK, NULL);
    run_until(&s.started);
    run_while(!s.all_back);
    assert_string_equal(s.first_failure, "");
    drain(0);
}

/* ---- A pool for all loops ---- */

static atomic_uint n_pooled;

static void pooled_say_hello(Helloworld__Greeter_Service *self,
                             const Helloworld__HelloRequest *in,
                             Helloworld__HelloReply_Closure reply, void *call)
{
    (void)self;
    (void)in;
    if (weft_group_here(s.group) == -1)
        atomic_fetch_add(&n_pooled, 1);
    answer(reply, call);
}

static void a_pool_serves_the_calls_of_all_loops(void **state)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(pooled_);
    weft_pool *pool;
    unsigned i;

    (void)state;
    s.greeter = greeter;
    atomic_store(&n_pooled, 0);
    assert_int_equal(weft_pool_new(&pool, NULL), WEFT_OK);
    make_server(NULL);
    assert_int_equal(
        weft_server_offload(s.server, "/helloworld.Greeter/SayHello", pool),
        WEFT_OK);
    start();
    call_on_many_connections();
    for (i = 0; i < 5; i++) {
        unsigned k;

        run_until(&s.all_back);
        for (k = 0; k < CHANNELS; k++)
            say_hello(s.channels[k], on_reply);
    }
    run_until(&s.all_back);
    drain(0);
    assert_string_equal(s.first_failure, "");
    assert_int_equal(s.ok, s.called);
    assert_int_equal(atomic_load(&n_pooled), s.called);
    weft_group_free(s.group); /* before the pool */
    weft_pool_free(pool);
}

/* ---- Health ---- */

static char socket_path[64];

/* The status code of GET /health, from the first loop. */
static int health(char *body, size_t size)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: close\r\n\r\n";
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char text[1024];
    const char *at;
    ssize_t n = 0;
    size_t len = 0;
    bool never = false;
    int i, code = 0, fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", socket_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
                     sizeof(request) - 1);
    weft_loop_hold(s.loop);
    for (i = 0; i < WAIT_MS; i++) {
        (void)weft_loop_run_until(s.loop, &never, 1);
        n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
        if (n > 0)
            len += (size_t)n;
        if (n == 0)
            break;
    }
    weft_loop_unhold(s.loop);
    close(fd);
    text[len] = '\0';
    assert_int_equal(sscanf(text, "HTTP/1.1 %d", &code), 1);
    at = strstr(text, "\r\n\r\n");
    snprintf(body, size, "%s", at == NULL ? "" : at + 4);
    return code;
}

static atomic_bool blocked, let_go;

static void block(void *arg)
{
    (void)arg;
    atomic_store(&blocked, true);
    while (!atomic_load(&let_go))
        usleep(100);
}

static void a_late_loop_makes_health_fail(void **state)
{
    char uri[80], body[256];
    int i;

    (void)state;
    atomic_store(&blocked, false);
    atomic_store(&let_go, false);
    snprintf(socket_path, sizeof(socket_path), "/tmp/weft_group_%ld.sock",
             (long)getpid());
    snprintf(uri, sizeof(uri), "unix://%s", socket_path);
    make_server(&(weft_server_conf){.late_loop_ms = 20});
    assert_int_equal(weft_server_listen(s.server, uri), WEFT_OK);
    start();
    assert_int_equal(health(body, sizeof(body)), 200);
    assert_string_equal(body, "serving\n");

    weft_loop_post(weft_group_loop(s.group, 2), block, NULL);
    run_while(!atomic_load(&blocked));
    for (i = 0; i < WAIT_MS && health(body, sizeof(body)) == 200; i++)
        ;
    assert_string_equal(body, "loop 2 is late\n");
    atomic_store(&let_go, true);
    for (i = 0; i < WAIT_MS && health(body, sizeof(body)) != 200; i++)
        ;
    assert_string_equal(body, "serving\n");

    weft_server_set_health(s.server, false);
    assert_int_equal(health(body, sizeof(body)), 503);
    assert_string_equal(body, "unhealthy\n");
    drain(0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_reach_every_loop_and_are_summed_up),
        TEST(a_service_may_be_made_for_each_loop),
        TEST(a_drain_finishes_the_calls_of_all_loops),
        TEST(calls_that_outlast_the_drain_are_cancelled_on_all_loops),
        TEST(a_server_ends_at_once_on_all_loops),
        TEST(the_end_of_the_group_ends_the_server_on_its_loops),
        TEST(the_end_of_the_first_loop_ends_a_server_in_full_flight),
        TEST(a_restart_under_load_fails_no_call),
        TEST(a_start_fails_when_one_loop_cannot_serve),
        TEST(two_servers_do_not_share_an_address_unnoticed),
        TEST(out_of_memory_fails_the_setup_alone),
        TEST(no_loop_serves_before_the_plugins_are_initialised),
        TEST(a_pool_serves_the_calls_of_all_loops),
        TEST(a_late_loop_makes_health_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
