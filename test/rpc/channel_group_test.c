/* channel_group_test.c - one channel that several loops call on, in real time;
 * also run under TSan. */
#include "support.h"
#include "test_loop.h"

#include <helloworld.pb-c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

enum { LOOPS = 3, CALLS = 200, AT_ONCE = 8 };

typedef struct server {
    Helloworld__Greeter_Service greeter; /* first */
    weft_server *server;
    atomic_uint handled;
    bool holds; /* its calls, until they end */
} server;

/* What one loop does; its own, but for the atomics. */
typedef struct caller {
    int loop;
    unsigned to_call, pending;
    atomic_uint ok, failed, misplaced;
    atomic_bool done;
    char first_failure[256]; /* read when done */
} caller;

static weft_loop *first;
static weft_group *group;
static weft_channel *channel;
static weft_stub stub; /* shared, and only read */
static server servers[2];
static caller callers[LOOPS];

/* ---- Servers, on the first loop ---- */

static void on_end(weft_call *call, weft_status status, void *user)
{
    (void)status;
    (void)user;
    weft_call_fail(call, WEFT_CANCELLED, "late");
}

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    server *sv = (server *)(void *)self;

    (void)in;
    atomic_fetch_add(&sv->handled, 1);
    out.msg = "hello";
    if (sv->holds)
        weft_call_on_end(call, on_end, NULL);
    else
        reply(&out, call);
}

static void serve(server *sv)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);

    sv->greeter = greeter;
    sv->holds = false;
    atomic_store(&sv->handled, 0);
    assert_int_equal(weft_server_new(&sv->server, first, NULL), WEFT_OK);
    weft_server_add_service(sv->server, &sv->greeter.base);
    weft_server_listen(sv->server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(sv->server, NULL, NULL), WEFT_OK);
}

/* ---- A resolver that does as it is told ---- */

static weft_watch *watched;
static unsigned n_watches;

static void publish(const server *sv)
{
    weft_endpoints_builder *b;
    weft_endpoints *list;

    assert_int_equal(weft_endpoints_builder_new(&b), WEFT_OK);
    assert_int_equal(weft_endpoints_builder_add(
                         b, &(weft_endpoint){.address = *weft_server_address(
                                                 sv->server, 0)}),
                     WEFT_OK);
    assert_int_equal(weft_endpoints_builder_finish(b, &list), WEFT_OK);
    weft_watch_publish(watched, list);
}

static weft_status told_start(void *self, weft_watch *watch)
{
    (void)self;
    n_watches++;
    watched = watch;
    if (strcmp(weft_watch_path(watch), "down") == 0)
        weft_watch_fail(watch, WEFT_UNAVAILABLE, "nobody knows");
    else
        publish(&servers[0]);
    return WEFT_OK;
}

static void told_close(void *self)
{
    (void)self;
    watched = NULL;
}

static const weft_resolver_ops told = {
    .scheme = "told", .self_size = 1, .start = told_start, .close = told_close};

/* ---- Callers ---- */

static void call_once(caller *c);

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    caller *c = user;

    if (weft_group_here(group) != c->loop)
        atomic_fetch_add(&c->misplaced, 1);
    if (reply != NULL)
        atomic_fetch_add(&c->ok, 1);
    else if (atomic_fetch_add(&c->failed, 1) == 0)
        snprintf(c->first_failure, sizeof(c->first_failure), "%s",
                 weft_current_result()->message);
    c->pending--;
    if (c->to_call > 0)
        call_once(c);
    else if (c->pending == 0)
        atomic_store(&c->done, true);
}

static void call_once(caller *c)
{
    Helloworld__HelloRequest in = HELLOWORLD__HELLO_REQUEST__INIT;

    in.msg = "x";
    c->to_call--;
    c->pending++;
    helloworld__greeter__say_hello(&stub.base, &in, on_reply, c);
}

static void begin(void *arg)
{
    caller *c = arg;
    unsigned i;

    for (i = 0; i < AT_ONCE; i++)
        call_once(c);
}

static void call_on_each_loop(unsigned calls)
{
    int i;

    for (i = 0; i < LOOPS; i++) {
        memset(&callers[i], 0, sizeof(callers[i]));
        callers[i].loop = i;
        callers[i].to_call = calls;
        assert_int_equal(weft_loop_post(weft_group_loop(group, (size_t)i),
                                        begin, &callers[i]),
                         WEFT_OK);
    }
}

static bool all_done(void)
{
    int i;

    for (i = 0; i < LOOPS; i++)
        if (!atomic_load(&callers[i].done))
            return false;
    return true;
}

#define run_while(condition) test_run_while(first, condition)

static void assert_all_ok(unsigned calls)
{
    int i;

    for (i = 0; i < LOOPS; i++) {
        assert_string_equal(callers[i].first_failure, "");
        assert_int_equal(atomic_load(&callers[i].ok), calls);
        assert_int_equal(atomic_load(&callers[i].misplaced), 0);
    }
}

static void open_channel(const char *target, const weft_channel_conf *conf)
{
    assert_int_equal(weft_channel_new_group(&channel, group, target, conf),
                     WEFT_OK);
    stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
}

/* Calls that stay in flight until something ends them. */
static void hold_calls_on_each_loop(void)
{
    servers[0].holds = true;
    open_channel("told:///x", NULL);
    call_on_each_loop(AT_ONCE);
    run_while(atomic_load(&servers[0].handled) < LOOPS * AT_ONCE);
}

static int setup(void **state)
{
    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    n_watches = 0;
    if (weft_loop_new(&first, NULL) != WEFT_OK ||
        weft_group_new(&group, first, LOOPS, NULL) != WEFT_OK)
        return -1;
    serve(&servers[0]);
    serve(&servers[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_loop_free(first);
    return 0;
}

/* ---- Tests ---- */

static void calls_are_made_and_answered_on_their_own_loop(void **state)
{
    static weft_histogram latency;

    (void)state;
    open_channel("told:///x", NULL);
    call_on_each_loop(CALLS);
    run_while(!all_done());
    assert_all_ok(CALLS);
    assert_int_equal(atomic_load(&servers[0].handled), LOOPS * CALLS);
    /* The first loop's part has a connection of its own, and its own count. */
    assert_int_equal(weft_channel_get_stats(channel).calls, CALLS);
    assert_int_equal(weft_channel_get_latency(channel, &latency), WEFT_OK);
    assert_int_equal(weft_histogram_count(&latency), CALLS);
    assert_int_equal(weft_server_get_stats(servers[0].server).connections,
                     LOOPS);
}

static void one_watch_serves_all_loops(void **state)
{
    weft_watch_info info;

    (void)state;
    open_channel("told:///x", NULL);
    call_on_each_loop(AT_ONCE);
    run_while(!all_done());
    assert_int_equal(n_watches, 1);
    assert_int_equal(weft_channel_watch_info(channel, &info), WEFT_OK);
    assert_true(info.has_list);

    /* A change reaches each of them, whether it calls or not. */
    publish(&servers[1]);
    run_while(weft_server_get_stats(servers[1].server).connections < LOOPS);
    run_while(weft_server_get_stats(servers[0].server).connections > 0);
    call_on_each_loop(CALLS);
    run_while(!all_done());
    assert_all_ok(CALLS);
    assert_int_equal(atomic_load(&servers[1].handled), LOOPS * CALLS);
    assert_int_equal(n_watches, 1);
}

static void every_loop_hears_why_there_is_no_list(void **state)
{
    int i;

    (void)state;
    open_channel("told:///down", &(weft_channel_conf){.timeout_ms = 100});
    call_on_each_loop(AT_ONCE);
    run_while(!all_done());
    for (i = 0; i < LOOPS; i++) {
        assert_int_equal(atomic_load(&callers[i].failed), AT_ONCE);
        assert_non_null(strstr(callers[i].first_failure, "nobody knows"));
    }
}

static void a_close_ends_the_calls_of_all_loops(void **state)
{
    int i;

    (void)state;
    hold_calls_on_each_loop();
    weft_channel_close(channel);
    run_while(!all_done());
    for (i = 0; i < LOOPS; i++) {
        assert_int_equal(atomic_load(&callers[i].failed), AT_ONCE);
        assert_string_equal(callers[i].first_failure, "the channel was closed");
    }
    run_while(watched != NULL);
    run_while(weft_server_get_stats(servers[0].server).connections > 0);
}

static void the_end_of_the_group_ends_the_calls_of_its_loops(void **state)
{
    int i;

    (void)state;
    hold_calls_on_each_loop();
    weft_group_free(group);
    for (i = 1; i < LOOPS; i++)
        assert_int_equal(atomic_load(&callers[i].failed), AT_ONCE);
    assert_false(atomic_load(&callers[0].done));
    weft_channel_close(channel);
    run_while(!all_done());
}

static void a_channel_may_be_closed_without_a_call(void **state)
{
    (void)state;
    open_channel("told:///x", NULL);
    weft_channel_close(channel);
    run_while(false);
    assert_int_equal(n_watches, 0);
}

typedef struct stranger {
    weft_status bytes_status, stub_status, latency_status;
    weft_histogram latency;
    bool called_back;
} stranger;

static void on_result(const weft_result *result, void *user)
{
    (void)result;
    (void)user;
}

static void on_refused(const Helloworld__HelloReply *reply, void *user)
{
    stranger *me = user;

    me->called_back = reply == NULL;
    me->stub_status = weft_current_result()->status;
}

static void *call_from_outside(void *arg)
{
    stranger *me = arg;
    Helloworld__HelloRequest in = HELLOWORLD__HELLO_REQUEST__INIT;

    in.msg = "x";
    me->bytes_status = weft_call_bytes(
        channel, NULL, "/helloworld.Greeter/SayHello", "", 0, on_result, NULL);
    helloworld__greeter__say_hello(&stub.base, &in, on_refused, me);
    me->latency_status = weft_channel_get_latency(channel, &me->latency);
    return NULL;
}

static void other_threads_are_refused(void **state)
{
    stranger me = {0};
    pthread_t thread;

    (void)state;
    open_channel("told:///x", NULL);
    assert_int_equal(pthread_create(&thread, NULL, call_from_outside, &me), 0);
    pthread_join(thread, NULL);
    assert_int_equal(me.bytes_status, WEFT_ESTATE);
    assert_int_equal(me.latency_status, WEFT_ENOENT);
    assert_true(me.called_back);
    assert_int_equal(me.stub_status, WEFT_FAILED_PRECONDITION);
}

static void a_target_that_cannot_work_is_told_on_each_loop(void **state)
{
    int i;

    (void)state;
    assert_int_equal(
        weft_channel_new_group(&channel, group, "nowhere:///x", NULL),
        WEFT_EINVAL);
    stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    call_on_each_loop(AT_ONCE);
    run_while(!all_done());
    for (i = 0; i < LOOPS; i++)
        assert_non_null(
            strstr(callers[i].first_failure, "unknown scheme \"nowhere\""));
}

static void open_with_failing_memory(void *user)
{
    weft_status status =
        weft_channel_new_group(&channel, group, "told:///x", NULL);

    (void)user;
    assert_true(status == WEFT_OK || status == WEFT_ENOMEM);
    assert_int_equal(channel == NULL, status != WEFT_OK);
    weft_channel_close(channel);
}

static void out_of_memory_is_a_status(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(open_with_failing_memory, NULL) > 0);
    run_while(false);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_are_made_and_answered_on_their_own_loop),
        TEST(one_watch_serves_all_loops),
        TEST(every_loop_hears_why_there_is_no_list),
        TEST(a_close_ends_the_calls_of_all_loops),
        TEST(the_end_of_the_group_ends_the_calls_of_its_loops),
        TEST(a_channel_may_be_closed_without_a_call),
        TEST(other_threads_are_refused),
        TEST(a_target_that_cannot_work_is_told_on_each_loop),
        TEST(out_of_memory_is_a_status),
    };

    if (weft_resolver_register(&told) != WEFT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
