/* server_offload_test.c - handlers on a pool's threads, by a loop with a fake
 * clock; also run under TSan. */
#include "rpc_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>

/* What the handler does once the gate is open. */
typedef enum act {
    REPLY,
    REPLY_TWICE,
    REPLY_NULL,
    REPLY_REF,
    RETURN,
    FAIL_IT,
    ASK
} act;

static weft_pool *pool;
static _Atomic act what;
static atomic_bool gate_open, heard_the_end;
static atomic_uint n_begun, n_finished, n_released;
static pthread_t loop_thread;
static atomic_bool released_on_loop, on_loop;

static void release(void *arg)
{
    assert_string_equal(arg, "kept");
    atomic_fetch_add(&n_released, 1);
    atomic_store(&released_on_loop,
                 pthread_equal(pthread_self(), loop_thread) != 0);
}

static void on_end(weft_call *call, weft_status status, void *user)
{
    (void)call;
    (void)status;
    (void)user;
}

/* Failures show in the reply: cmocka's checks are for one thread. */
static const char *ask(weft_call *call)
{
    if (strcmp(weft_call_service(call), "helloworld.Greeter") != 0 ||
        strcmp(weft_call_method(call), "SayHello") != 0)
        return "service or method";
    if (strncmp(weft_call_peer(call), "127.0.0.1:", 10) != 0)
        return "peer";
    if (weft_call_metadata(call) == NULL || weft_call_trace(call) == NULL ||
        weft_call_content_type(call) == NULL || weft_call_loop(call) == NULL)
        return "metadata, trace, content type or loop";
    if (weft_call_time_left_ms(call) != 700)
        return "time left";
    if (weft_call_on_end(call, on_end, NULL) != WEFT_ESTATE)
        return "on_end";
    if (weft_call_add_metadata(call, "shard", "7", 1) != WEFT_OK ||
        weft_call_set_details(call, "why", 3) != WEFT_OK)
        return "metadata or details out";
    if (!weft_call_active(call))
        return "active";
    return "all is well";
}

static void pooled_say_hello(Helloworld__Greeter_Service *self,
                             const Helloworld__HelloRequest *in,
                             Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    size_t size = strlen(in->msg) + sizeof("hello ");
    char *text = weft_call_alloc(call, size);

    (void)self;
    if (pthread_equal(pthread_self(), loop_thread))
        atomic_store(&on_loop, true);
    atomic_fetch_add(&n_begun, 1);
    while (!atomic_load(&gate_open))
        usleep(100);
    atomic_store(&heard_the_end, !weft_call_active(call));
    snprintf(text, size, "hello %s", in->msg);
    out.msg = text;
    switch (atomic_load(&what)) {
    case REPLY_TWICE:
        reply(&out, call);
        if (weft_call_fail(call, WEFT_ABORTED, "second") != WEFT_ENOENT)
            abort();
        reply(&out, call);
        break;
    case REPLY_NULL:
        reply(NULL, call);
        break;
    case REPLY_REF:
        weft_call_reply_ref(call, "\x0a\x02hi", 4, release, "kept");
        break;
    case FAIL_IT:
        weft_call_failf(call, WEFT_NOT_FOUND, "no %s here", in->msg);
        break;
    case ASK:
        out.msg = (char *)(uintptr_t)ask(call);
        reply(&out, call);
        break;
    case REPLY:
        reply(&out, call);
        break;
    case RETURN:
        break;
    }
    atomic_fetch_add(&n_finished, 1);
}

/* Real time for the threads, none for the loop. */
#define wait_while(f, condition)                                               \
    do {                                                                       \
        int rounds_;                                                           \
        for (rounds_ = 0; (condition) && rounds_ < 60000; rounds_++) {         \
            test_loop_settle(&(f)->t);                                         \
            usleep(500);                                                       \
        }                                                                      \
        assert_false(condition);                                               \
    } while (0)

static void serve(fixture *f, uint32_t threads, uint32_t max_queue)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(pooled_);

    f->greeter = greeter;
    loop_thread = pthread_self();
    atomic_store(&what, REPLY);
    atomic_store(&gate_open, true);
    atomic_store(&on_loop, false);
    atomic_store(&n_begun, 0);
    atomic_store(&n_finished, 0);
    atomic_store(&n_released, 0);
    assert_int_equal(
        weft_pool_new(&pool, &(weft_pool_conf){.threads = threads,
                                               .max_queue = max_queue}),
        WEFT_OK);
    fixture_server(f, NULL, NULL);
    assert_int_equal(weft_server_offload(f->server, HELLO, pool), WEFT_OK);
    fixture_start(f);
    fixture_connect(f);
}

/* So that a sanitizer sees the pool go after the loop, as it must. */
static int teardown(void **state)
{
    int failed;

    atomic_store(&gate_open, true);
    failed = fixture_teardown(state);
    weft_pool_free(pool);
    pool = NULL;
    return failed;
}

static void assert_reply(fixture *f, int call)
{
    wait_while(f, !f->client.replies[call].done);
}

/* A call that its handler treats so, once the reply is there. */
static int answered(fixture *f, act how, const char *msg)
{
    int call;

    atomic_store(&what, how);
    call = said_hello(f, msg, 0);
    assert_reply(f, call);
    return call;
}

/* A call whose handler waits for the gate. */
static int stuck(fixture *f, uint32_t timeout_ms)
{
    int call;

    atomic_store(&gate_open, false);
    call = said_hello(f, "one", timeout_ms);
    wait_while(f, atomic_load(&n_begun) == 0);
    return call;
}

/* ---- Answers ---- */

static void a_handler_on_a_pool_answers_as_any_other(void **state)
{
    fixture *f = *state;
    int call, i;

    serve(f, 2, 0);
    for (i = 0; i < 20; i++) {
        call = answered(f, REPLY, "you");
        assert_said(f, call, "hello you");
    }
    assert_false(atomic_load(&on_loop));
    assert_int_equal(weft_server_get_stats(f->server).calls, 20);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
    assert_int_equal(weft_server_get_stats(f->server).in_flight_bytes, 0);
}

static void a_handler_on_a_pool_may_ask_about_its_call(void **state)
{
    fixture *f = *state;
    int call;

    serve(f, 1, 0);
    atomic_store(&what, ASK);
    call = said_hello(f, "you", 700);
    assert_reply(f, call);
    assert_said(f, call, "all is well");
    assert_string_equal(f->client.replies[call].key, "shard");
    assert_string_equal(f->client.replies[call].value, "7");
    assert_string_equal(f->client.replies[call].details, "why");
}

static void a_second_answer_on_a_pool_is_refused(void **state)
{
    fixture *f = *state;
    int call;

    serve(f, 1, 0);
    call = answered(f, REPLY_TWICE, "you");
    assert_said(f, call, "hello you");
    assert_int_equal(weft_server_get_stats(f->server).calls, 1);
}

static void failures_on_a_pool_are_told(void **state)
{
    fixture *f = *state;
    int call;

    serve(f, 1, 0);
    call = answered(f, FAIL_IT, "cat");
    assert_failed(f, call, WEFT_NOT_FOUND, "no cat here");
    call = answered(f, REPLY_NULL, "cat");
    assert_failed(f, call, WEFT_INTERNAL, "the handler failed");
    call = answered(f, RETURN, "cat");
    assert_failed(f, call, WEFT_INTERNAL,
                  "the handler returned without an answer");
}

static void a_borrowed_reply_is_released_once_on_the_loop(void **state)
{
    fixture *f = *state;
    int call;

    serve(f, 1, 0);
    call = answered(f, REPLY_REF, "you");
    assert_said(f, call, "hi");
    assert_int_equal(atomic_load(&n_released), 1);
    assert_true(atomic_load(&released_on_loop));
}

/* ---- Bounds ---- */

static void a_full_pool_refuses_by_the_limits_name(void **state)
{
    fixture *f = *state;
    int running, queued, refused;

    serve(f, 1, 1);
    running = stuck(f, 0);
    queued = said_hello(f, "two", 0);
    refused = said_hello(f, "three", 0);
    assert_reply(f, refused);
    assert_failed(f, refused, WEFT_RESOURCE_EXHAUSTED,
                  "pool: the limit max_queue of 1 jobs is reached");
    assert_int_equal(weft_server_get_stats(f->server).refused, 1);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 2);
    atomic_store(&gate_open, true);
    assert_reply(f, queued);
    assert_said(f, running, "hello one");
    assert_said(f, queued, "hello two");
}

static void a_call_that_expires_in_the_queue_is_never_handled(void **state)
{
    fixture *f = *state;
    int running, queued;

    serve(f, 1, 0);
    running = stuck(f, 60000);
    queued = said_hello(f, "two", 100);
    test_loop_advance(&f->t, 200);
    assert_reply(f, queued);
    assert_int_equal(f->client.replies[queued].status, WEFT_DEADLINE_EXCEEDED);
    wait_while(f, weft_server_get_stats(f->server).in_flight > 1);
    assert_int_equal(weft_server_get_stats(f->server).expired, 1);
    assert_int_equal(weft_server_get_stats(f->server).unanswered, 0);
    assert_int_equal(weft_pool_get_stats(pool).queued, 0);
    atomic_store(&gate_open, true);
    assert_reply(f, running);
    assert_said(f, running, "hello one");
    assert_int_equal(atomic_load(&n_begun), 1);
    assert_int_equal(weft_server_get_stats(f->server).late_answers, 0);
}

static void a_handler_that_is_late_hears_it_and_is_discarded(void **state)
{
    fixture *f = *state;
    int call;

    serve(f, 1, 0);
    call = stuck(f, 100);
    test_loop_advance(&f->t, 200);
    assert_reply(f, call);
    assert_int_equal(f->client.replies[call].status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(weft_server_get_stats(f->server).unanswered, 1);
    atomic_store(&gate_open, true);
    wait_while(f, weft_server_get_stats(f->server).in_flight > 0);
    assert_true(atomic_load(&heard_the_end));
    assert_int_equal(weft_server_get_stats(f->server).late_answers, 1);
    assert_int_equal(weft_server_get_stats(f->server).unanswered, 0);
}

static void a_client_that_leaves_takes_its_waiting_calls_along(void **state)
{
    fixture *f = *state;

    serve(f, 1, 0);
    atomic_store(&what, REPLY_REF);
    stuck(f, 0);
    said_hello(f, "two", 0);
    raw_abort(&f->client);
    wait_while(f, weft_server_get_stats(f->server).in_flight > 1);
    assert_int_equal(weft_server_get_stats(f->server).expired, 0);
    atomic_store(&gate_open, true);
    wait_while(f, weft_server_get_stats(f->server).in_flight > 0);
    assert_true(atomic_load(&heard_the_end));
    assert_int_equal(atomic_load(&n_begun), 1);
    assert_int_equal(atomic_load(&n_released), 1);
}

/* ---- Ends ---- */

static void a_drain_waits_for_the_pool(void **state)
{
    fixture *f = *state;
    int running, queued;

    serve(f, 1, 0);
    atomic_store(&gate_open, false);
    running = said_hello(f, "one", 60000);
    queued = said_hello(f, "two", 60000);
    wait_while(f, atomic_load(&n_begun) == 0);
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f), WEFT_OK);
    test_loop_advance(&f->t, 1000);
    assert_int_equal(f->n_drained, 0);
    atomic_store(&gate_open, true);
    assert_reply(f, queued);
    assert_said(f, running, "hello one");
    assert_said(f, queued, "hello two");
    test_loop_advance(&f->t, 100);
    wait_while(f, f->n_drained == 0);
    assert_int_equal(f->drain_status, WEFT_OK);
}

static void *open_the_gate(void *arg)
{
    (void)arg;
    usleep(20000);
    atomic_store(&gate_open, true);
    return NULL;
}

static void the_end_of_the_loop_waits_for_handlers_that_run(void **state)
{
    fixture *f = *state;
    pthread_t thread;

    serve(f, 1, 0);
    atomic_store(&what, REPLY_REF);
    stuck(f, 0);
    said_hello(f, "two", 0);
    assert_int_equal(pthread_create(&thread, NULL, open_the_gate, NULL), 0);
    test_loop_fini(&f->t);
    assert_int_equal(atomic_load(&n_finished), 1);
    assert_int_equal(atomic_load(&n_begun), 1);
    assert_int_equal(atomic_load(&n_released), 1);
    pthread_join(thread, NULL);
}

static void a_server_may_be_freed_while_a_handler_runs(void **state)
{
    fixture *f = *state;

    serve(f, 1, 0);
    stuck(f, 0);
    weft_server_free(f->server);
    test_loop_settle(&f->t);
    atomic_store(&gate_open, true);
    wait_while(f, atomic_load(&n_finished) == 0);
}

static void only_registered_methods_can_be_offloaded(void **state)
{
    fixture *f = *state;

    assert_int_equal(weft_pool_new(&pool, NULL), WEFT_OK);
    fixture_server(f, NULL, NULL);
    assert_int_equal(
        weft_server_offload(f->server, "/helloworld.Greeter/No", pool),
        WEFT_ENOENT);
    assert_string_equal(weft_server_error(f->server),
                        "offload /helloworld.Greeter/No: there is no such "
                        "method");
    assert_int_equal(weft_server_offload(NULL, HELLO, pool), WEFT_EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_handler_on_a_pool_answers_as_any_other),
        TEST(a_handler_on_a_pool_may_ask_about_its_call),
        TEST(a_second_answer_on_a_pool_is_refused),
        TEST(failures_on_a_pool_are_told),
        TEST(a_borrowed_reply_is_released_once_on_the_loop),
        TEST(a_full_pool_refuses_by_the_limits_name),
        TEST(a_call_that_expires_in_the_queue_is_never_handled),
        TEST(a_handler_that_is_late_hears_it_and_is_discarded),
        TEST(a_client_that_leaves_takes_its_waiting_calls_along),
        TEST(a_drain_waits_for_the_pool),
        TEST(the_end_of_the_loop_waits_for_handlers_that_run),
        TEST(a_server_may_be_freed_while_a_handler_runs),
        TEST(only_registered_methods_can_be_offloaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
