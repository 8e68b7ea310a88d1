/* server_call_test.c - a call from its handler's side: answers, ends, names. */
#include "rpc_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Rule 1: a handler answers once, now or later ---- */

static void a_handler_s_reply_reaches_its_caller(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    assert_said(f, say_hello(f, "world", 0), "hello world");
    assert_int_equal(weft_server_get_stats(f->server).calls, 1);
    assert_int_equal(weft_server_get_stats(f->server).failed, 0);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
}

static void replies_may_come_later_and_in_any_order(void **state)
{
    fixture *f = *state;
    int a, b;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    a = said_hello(f, "a", 0);
    b = said_hello(f, "b", 0);
    assert_int_equal(f->n_held, 2);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 2);
    /* The requests are still there. */
    assert_string_equal(f->held[0].in->msg, "a");
    assert_string_equal(f->held[1].in->msg, "b");
    answer_held(f, 1, "for b");
    assert_said(f, b, "for b");
    assert_false(f->client.replies[a].done);
    answer_held(f, 0, "for a");
    assert_said(f, a, "for a");
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
    assert_int_equal(weft_server_get_stats(f->server).in_flight_bytes, 0);
}

static void a_failure_carries_status_text_and_details(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    call = said_hello(f, "x", 0);
    assert_int_equal(weft_call_set_details(f->held[0].call, "why", 3), WEFT_OK);
    assert_int_equal(
        weft_call_failf(f->held[0].call, WEFT_NOT_FOUND, "no %s here", "x"),
        WEFT_OK);
    assert_failed(f, call, WEFT_NOT_FOUND, "no x here");
    assert_string_equal(reply_to(f, call)->details, "why");
    assert_int_equal(weft_server_get_stats(f->server).failed, 1);
}

static void a_failure_of_the_library_becomes_an_rpc_code(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = FAIL;
    f->fail_status = WEFT_ENOMEM;
    assert_failed(f, say_hello(f, "x", 0), WEFT_RESOURCE_EXHAUSTED,
                  weft_status_text(WEFT_ENOMEM));
    f->fail_status = WEFT_OK; /* which is none */
    f->fail_text = "odd";
    assert_failed(f, say_hello(f, "x", 0), WEFT_INTERNAL, "odd");
}

static void a_null_reply_is_an_internal_error(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = ANSWER_NULL;
    assert_failed(f, say_hello(f, "x", 0), WEFT_INTERNAL, "the handler failed");
}

static void a_second_answer_is_counted_and_goes_nowhere(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, NULL);
    f->greeting = ANSWER_TWICE;
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_int_equal(weft_server_get_stats(f->server).stale_answers, 2);
    f->greeting = HOLD;
    call = said_hello(f, "y", 0);
    answer_held(f, 0, "one");
    answer_held(f, 0, "two");
    assert_said(f, call, "one");
    assert_int_equal(weft_server_get_stats(f->server).stale_answers, 3);
    assert_int_equal(weft_server_get_stats(f->server).calls, 2);
}

static void outcome(fixture *f, const weft_result *result)
{
    assert_int_equal(weft_call_finish(f->held[f->n_held - 1].call, result),
                     WEFT_OK);
}

static void finish_forwards_another_call_s_outcome(void **state)
{
    fixture *f = *state;
    Helloworld__HelloReply reply = HELLOWORLD__HELLO_REPLY__INIT;
    weft_metadatum pair = {"tenant", "blue", 4};
    weft_result result = {.status = WEFT_OK,
                          .message = "",
                          .metadata = {&pair, 1},
                          .reply = &reply.base};
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    reply.msg = "from elsewhere";
    call = said_hello(f, "x", 0);
    outcome(f, &result);
    assert_said(f, call, "from elsewhere");
    assert_string_equal(reply_to(f, call)->key, "tenant");
    assert_string_equal(reply_to(f, call)->value, "blue");

    result = (weft_result){.payload = "\x0a\x03raw", .payload_len = 5};
    call = said_hello(f, "x", 0);
    outcome(f, &result);
    assert_said(f, call, "raw");

    result = (weft_result){.status = WEFT_ABORTED,
                           .message = "it was aborted",
                           .details = "d",
                           .details_len = 1};
    call = said_hello(f, "x", 0);
    outcome(f, &result);
    assert_failed(f, call, WEFT_ABORTED, "it was aborted");
    assert_string_equal(reply_to(f, call)->details, "d");

    call = said_hello(f, "x", 0);
    outcome(f, NULL);
    assert_failed(f, call, WEFT_INTERNAL, "there is no result");
}

static unsigned released;

static void release(void *arg)
{
    assert_string_equal(arg, "arg");
    released++;
}

static void bytes_and_references_answer_too(void **state)
{
    fixture *f = *state;
    static uint8_t big[100002];
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    call = said_hello(f, "x", 0);
    assert_int_equal(weft_call_reply_bytes(f->held[0].call, "\x0a\x02hi", 4),
                     WEFT_OK);
    assert_said(f, call, "hi");

    released = 0;
    call = said_hello(f, "x", 0);
    assert_int_equal(
        weft_call_reply_ref(f->held[1].call, big, sizeof(big), release, "arg"),
        WEFT_OK);
    assert_int_equal(reply_to(f, call)->payload_len, sizeof(big));
    assert_int_equal(released, 1);
    /* A stale call's reference is given back too. */
    assert_int_equal(
        weft_call_reply_ref(f->held[1].call, big, 1, release, "arg"),
        WEFT_ENOENT);
    assert_int_equal(released, 2);
}

static void *answer_from_thread(void *arg)
{
    return (void *)(intptr_t)weft_call_fail(arg, WEFT_ABORTED, "no");
}

static void post_answer(void *arg)
{
    answer_held(arg, 0, "posted");
}

static void *post_from_thread(void *arg)
{
    return (void *)(intptr_t)weft_loop_post(((fixture *)arg)->t.loop,
                                            post_answer, arg);
}

static void another_thread_answers_through_a_post_only(void **state)
{
    fixture *f = *state;
    pthread_t thread;
    void *result;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    call = said_hello(f, "x", 0);
    assert_int_equal(
        pthread_create(&thread, NULL, answer_from_thread, f->held[0].call), 0);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, WEFT_ENOENT);
    assert_true(weft_call_active(f->held[0].call));
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, f), 0);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, WEFT_OK);
    assert_said(f, call, "posted");
}

/* ---- Rule 2: what lives until the handler itself has answered ---- */

static void request_and_handle_outlive_the_deadline(void **state)
{
    fixture *f = *state;
    weft_server_stats stats;
    char *mine;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    call = said_hello(f, "still here", 100);
    mine = weft_call_alloc(f->held[0].call, 5000);
    memset(mine, 'm', 5000);
    assert_int_equal(weft_call_time_left_ms(f->held[0].call), 100);
    test_loop_advance(&f->t, 99);
    assert_false(f->client.replies[call].done);
    assert_true(weft_call_active(f->held[0].call));
    test_loop_advance(&f->t, 1);
    assert_failed(f, call, WEFT_DEADLINE_EXCEEDED,
                  "deadline 100 ms: the handler of " HELLO " has not answered");
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended_status, WEFT_DEADLINE_EXCEEDED);
    assert_ptr_equal(f->ended_call, f->held[0].call);
    assert_false(weft_call_active(f->held[0].call));
    assert_int_equal(weft_call_time_left_ms(f->held[0].call), 0);
    assert_string_equal(f->held[0].in->msg, "still here");
    assert_int_equal(mine[4999], 'm');
    stats = weft_server_get_stats(f->server);
    assert_int_equal(stats.unanswered, 1);
    assert_int_equal(stats.in_flight, 1); /* it keeps its place */
    assert_true(stats.in_flight_bytes > 0);

    answer_held(f, 0, "too late");
    test_loop_settle(&f->t);
    stats = weft_server_get_stats(f->server);
    assert_int_equal(stats.late_answers, 1);
    assert_int_equal(stats.unanswered, 0);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.in_flight_bytes, 0);
    assert_int_equal(stats.stale_answers, 0);
    answer_held(f, 0, "and again");
    assert_int_equal(weft_server_get_stats(f->server).stale_answers, 1);
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->client.n_done, 1);
}

static void a_cancel_is_heard_by_the_handler(void **state)
{
    fixture *f = *state;
    int call, other;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    other = said_hello(f, "other", 0);
    call = said_hello(f, "x", 0);
    raw_reset(&f->client, call);
    run_while(f, f->n_ended == 0);
    assert_int_equal(f->ended_status, WEFT_CANCELLED);
    assert_ptr_equal(f->ended_call, f->held[1].call);
    assert_false(weft_call_active(f->held[1].call));
    assert_true(weft_call_active(f->held[0].call));
    answer_held(f, 1, "x");
    answer_held(f, 0, "o");
    assert_said(f, other, "o");
    assert_false(f->client.replies[call].done);
}

static void a_lost_connection_cancels_its_calls(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    said_hello(f, "a", 0);
    said_hello(f, "b", 0);
    raw_abort(&f->client);
    run_while(f, f->n_ended < 2);
    assert_int_equal(f->ended_status, WEFT_CANCELLED);
    assert_string_equal(f->held[0].in->msg, "a");
    assert_memory_equal(weft_call_peer(f->held[0].call), "127.0.0.1:", 10);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 2);
    assert_int_equal(weft_server_get_stats(f->server).connections, 0);
    answer_held(f, 0, "x");
    answer_held(f, 1, "x");
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
}

static void on_end_tells_of_a_normal_end_from_a_fresh_stack(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    call = said_hello(f, "x", 0);
    answer_held(f, 0, "y");
    assert_int_equal(f->n_ended, 0);
    assert_said(f, call, "y");
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended_status, WEFT_OK);
    assert_int_equal(weft_call_on_end(f->held[0].call, NULL, NULL),
                     WEFT_EINVAL);
    assert_int_equal(
        weft_call_on_end(f->held[0].call, (weft_call_end_cb)abort, NULL),
        WEFT_ENOENT);
}

static void note_end(weft_call *call, weft_status status, void *user)
{
    fixture *f = user;

    assert_ptr_equal(call, f->held[f->n_ended].call);
    assert_int_equal(status, WEFT_OK);
    assert_false(weft_call_active(call));
    f->n_ended++;
}

static void hear_its_end(fixture *f, weft_call *call)
{
    f->held[f->n_handled - 1].call = call;
    assert_int_equal(weft_call_on_end(call, note_end, f), WEFT_OK);
}

/* The second call is given the first one's record. */
static void a_call_answered_at_once_ends_like_others(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = hear_its_end;
    assert_said(f, say_hello(f, "a", 0), "hello a");
    assert_int_equal(f->n_ended, 1);
    assert_null(weft_call_alloc(f->held[0].call, 1));
    assert_said(f, say_hello(f, "b", 0), "hello b");
    assert_int_equal(f->n_ended, 2);
    assert_ptr_not_equal(f->held[0].call, f->held[1].call);
    assert_null(weft_call_metadata(f->held[0].call));
    assert_int_equal(weft_call_fail(f->held[0].call, WEFT_ABORTED, "late"),
                     WEFT_ENOENT);
    assert_int_equal(weft_server_get_stats(f->server).in_flight_bytes, 0);
}

static void answer_when_told(weft_call *call, weft_status status, void *user)
{
    fixture *f = user;

    assert_int_equal(status, WEFT_DEADLINE_EXCEEDED);
    f->n_ended++;
    assert_int_equal(weft_call_fail(call, WEFT_ABORTED, "gives up"), WEFT_OK);
}

static void a_handler_may_answer_when_it_is_told_of_the_end(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 50);
    weft_call_on_end(f->held[0].call, answer_when_told, f);
    test_loop_advance(&f->t, 60);
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
    assert_int_equal(weft_server_get_stats(f->server).late_answers, 1);
}

static void on_end_registered_after_the_end_still_tells_once(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 50);
    test_loop_advance(&f->t, 60);
    weft_call_on_end(f->held[0].call, answer_when_told, f);
    assert_int_equal(f->n_ended, 0);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_ended, 1);
}

static bool input_lived;

static void reply_first(Helloworld__Greeter_Service *self,
                        const Helloworld__HelloRequest *in,
                        Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    const fixture *f = (const fixture *)(const void *)self;

    out.msg = "bye";
    reply(&out, call);
    input_lived = f->server->n_call_pool == 0 && strcmp(in->msg, "x") == 0;
}

static void the_request_lives_until_the_handler_returns(void **state)
{
    fixture *f = *state;

    f->greeter.say_hello = reply_first;
    fixture_serve(f, NULL);
    assert_said(f, say_hello(f, "x", 0), "bye");
    assert_true(input_lived);
}

static char *logged;

static void keep_log(weft_log_level level, const char *event,
                     const char *fields, void *user)
{
    (void)level;
    (void)user;
    if (strcmp(event, "call not answered") == 0) {
        free(logged);
        logged = strdup(fields);
    }
}

static void calls_that_nobody_answers_are_named_in_log_and_dump(void **state)
{
    fixture *f = *state;
    char *text;
    size_t len;
    FILE *file = open_memstream(&text, &len);

    fixture_serve(f, NULL);
    weft_log_set_level(WEFT_LOG_WARN);
    weft_log_set_sink(keep_log, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 50);
    said_hello(f, "y", 5000);
    test_loop_advance(&f->t, 70);
    weft_log_set_sink(NULL, NULL);
    weft_log_set_level(WEFT_LOG_OFF);
    assert_non_null(logged);
    assert_non_null(strstr(logged, "path=" HELLO));
    assert_non_null(strstr(logged, "status=DEADLINE_EXCEEDED"));
    weft_dump(f->t.loop, file);
    fclose(file);
    assert_non_null(strstr(text, "unanswered=1 "));
    assert_non_null(strstr(text, "call " HELLO " age_ms=70 timeout_ms=50 "));
    assert_non_null(strstr(text, "state=DEADLINE_EXCEEDED\n"));
    assert_non_null(strstr(text, "call " HELLO " age_ms=70 timeout_ms=5000 "));
    assert_non_null(strstr(text, "state=in flight\n"));
    assert_non_null(strstr(text, "  connection 127.0.0.1:"));
    assert_non_null(strstr(text, "  service helloworld.Greeter methods=1\n"));
    free(text);
    free(logged);
    logged = NULL;
}

/* ---- Rule 3, the server's part ---- */

typedef struct child {
    weft__under under;
    weft_status ended;
    unsigned n;
} child;

static void on_parent_ended(weft__under *under, weft_status status)
{
    child *c = (child *)under;

    assert_null(under->pprev);
    c->ended = status;
    c->n++;
}

static void what_runs_under_a_call_ends_with_it(void **state)
{
    fixture *f = *state;
    child a = {.under.parent_ended = on_parent_ended}, b = a, c = a, late = a;
    weft__inherited inherited;
    weft_metadatum pair = {"tenant", "blue", 4};
    weft__wire_request request = {.path = HELLO,
                                  .path_len = strlen(HELLO),
                                  .timeout_ms = 300,
                                  .metadata = {&pair, 1},
                                  .trace = {(const uint8_t *)"00-ab", 5},
                                  .payload = {.data = "\x0a\x01x", .len = 3}};

    fixture_serve(f, &(weft_server_conf){.forward_metadata = "tenant,zone"});
    f->greeting = HOLD;
    raw_call(&f->client, &request);
    run_while(f, f->n_held < 1);
    test_loop_advance(&f->t, 100);
    assert_int_equal(weft__call_inherit(f->held[0].call, &inherited), WEFT_OK);
    assert_int_equal(inherited.time_left_ms, 200);
    assert_string_equal(inherited.trace, "00-ab");
    assert_string_equal(inherited.forward, "tenant,zone");
    assert_string_equal(weft_metadata_get(inherited.metadata, "tenant", NULL),
                        "blue");
    assert_int_equal(weft__call_link_under(f->held[0].call, &a.under), WEFT_OK);
    assert_int_equal(weft__call_link_under(f->held[0].call, &b.under), WEFT_OK);
    assert_int_equal(weft__call_link_under(f->held[0].call, &c.under), WEFT_OK);
    weft__under_unlink(&b.under); /* it has ended by itself */
    test_loop_advance(&f->t, 200);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.ended, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(b.n, 0);
    assert_int_equal(c.n, 1);
    assert_int_equal(weft__call_inherit(f->held[0].call, &inherited),
                     WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(weft__call_link_under(f->held[0].call, &late.under),
                     WEFT_DEADLINE_EXCEEDED);
    answer_held(f, 0, "late");
    assert_int_equal(weft__call_inherit(f->held[0].call, &inherited),
                     WEFT_ENOENT);

    a.n = 0;
    said_hello(f, "x", 0);
    assert_int_equal(weft__call_link_under(f->held[1].call, &a.under), WEFT_OK);
    answer_held(f, 1, "done");
    assert_int_equal(a.n, 1);
    assert_int_equal(a.ended, WEFT_CANCELLED);
}

/* ---- Rule 4: names and slots ---- */

static void an_empty_slot_is_unimplemented(void **state)
{
    fixture *f = *state;

    f->greeter.say_hello = NULL;
    fixture_serve(f, NULL);
    assert_failed(f, say_hello(f, "x", 0), WEFT_UNIMPLEMENTED,
                  HELLO " is not implemented");
}

static void unknown_names_are_told_by_name(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    assert_failed(f, raw_unary(&f->client, "/no.Such/SayHello", "", 0, 0),
                  WEFT_UNIMPLEMENTED, "there is no service no.Such here");
    assert_failed(
        f, raw_unary(&f->client, "/helloworld.Greeter/Say\"\n", "", 0, 0),
        WEFT_UNIMPLEMENTED, "service helloworld.Greeter has no method Say??");
    assert_said(f, say_hello(f, "x", 0), "hello x");
}

static void a_service_serves_under_another_name_too(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    assert_int_equal(
        weft_server_add_service_as(f->server, "second.Name", &f->greeter.base),
        WEFT_OK);
    fixture_start(f);
    fixture_connect(f);
    f->greeting = HOLD;
    raw_unary(&f->client, "/second.Name/SayHello", "", 0, 0);
    run_while(f, f->n_held == 0);
    assert_string_equal(weft_call_service(f->held[0].call), "second.Name");
    assert_string_equal(weft_call_method(f->held[0].call), "SayHello");
    f->greeting = GREET;
    assert_said(f, say_hello(f, "x", 0), "hello x");
}

/* ---- What else a call knows ---- */

static void a_call_knows_its_peer_metadata_and_names(void **state)
{
    fixture *f = *state;
    weft_metadatum pairs[] = {{"tenant", "blue", 4}, {"empty", "", 0}};
    weft__wire_request request = {.path = HELLO,
                                  .path_len = strlen(HELLO),
                                  .metadata = {pairs, 2},
                                  .payload = {.data = "\x0a\x01x", .len = 3}};
    weft_call *call;
    size_t len;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    raw_call(&f->client, &request);
    run_while(f, f->n_held == 0);
    call = f->held[0].call;
    assert_string_equal(weft_call_service(call), "helloworld.Greeter");
    assert_string_equal(weft_call_method(call), "SayHello");
    assert_string_equal(weft_call_content_type(call), "");
    assert_string_equal(weft_call_trace(call), "");
    assert_memory_equal(weft_call_peer(call), "127.0.0.1:", 10);
    assert_ptr_equal(weft_call_loop(call), f->t.loop);
    assert_int_equal(weft_call_metadata(call)->n, 2);
    assert_string_equal(
        weft_metadata_get(weft_call_metadata(call), "TENANT", &len), "blue");
    assert_int_equal(len, 4);
    assert_string_equal(
        weft_metadata_get(weft_call_metadata(call), "empty", &len), "");
    assert_int_equal(weft_call_add_metadata(call, "out", "1", 1), WEFT_OK);
    assert_int_equal(weft_call_add_metadata(call, "bad key", "1", 1),
                     WEFT_EINVAL);
    answer_held(f, 0, "y");
    assert_said(f, 0, "y");
    assert_string_equal(reply_to(f, 0)->key, "out");
}

static void a_metadata_pair_may_lack_key_and_value(void **state)
{
    static const uint8_t request[] =
        "\x11\x01\0\0\0\0\0\0\0\0\x2a\0\0\0\x01"
        "\x12\x1c" HELLO "\x1a\x03\x12\x01v\x1a\0\x22\x03\x0a\x01x";
    fixture *f = *state;
    const weft_metadata *md;
    int fd;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, request, sizeof(request) - 1);
    run_while(f, f->n_held == 0);
    md = weft_call_metadata(f->held[0].call);
    assert_int_equal(md->n, 2);
    assert_string_equal(md->items[0].key, "");
    assert_string_equal(md->items[0].value, "v");
    assert_string_equal(md->items[1].key, "");
    assert_int_equal(md->items[1].value_len, 0);
    answer_held(f, 0, "y");
    close(fd);
}

static void a_stale_handle_is_harmless_everywhere(void **state)
{
    fixture *f = *state;
    weft_call *bad[3] = {NULL, (weft_call *)(uintptr_t)12345};
    size_t i;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    answer_held(f, 0, "y");
    bad[2] = f->held[0].call;
    for (i = 0; i < 3; i++) {
        assert_int_equal(weft_call_fail(bad[i], WEFT_ABORTED, ""), WEFT_ENOENT);
        assert_int_equal(weft_call_finish(bad[i], NULL), WEFT_ENOENT);
        assert_int_equal(weft_call_reply_bytes(bad[i], "", 0), WEFT_ENOENT);
        assert_null(weft_call_alloc(bad[i], 1));
        assert_false(weft_call_active(bad[i]));
        assert_null(weft_call_metadata(bad[i]));
        assert_null(weft_call_service(bad[i]));
        assert_null(weft_call_method(bad[i]));
        assert_null(weft_call_peer(bad[i]));
        assert_null(weft_call_content_type(bad[i]));
        assert_null(weft_call_trace(bad[i]));
        assert_null(weft_call_loop(bad[i]));
        assert_int_equal(weft_call_time_left_ms(bad[i]), 0);
        assert_int_equal(weft_call_add_metadata(bad[i], "k", "", 0),
                         WEFT_ENOENT);
        assert_int_equal(weft_call_set_details(bad[i], "", 0), WEFT_ENOENT);
    }
}

static void a_one_way_call_s_answer_goes_nowhere(void **state)
{
    fixture *f = *state;
    weft__wire_request request = {.kind = WEFT__ONE_WAY,
                                  .path = HELLO,
                                  .path_len = strlen(HELLO),
                                  .payload = {.data = "\x0a\x01x", .len = 3}};
    weft__conn_stats before, after;

    fixture_serve(f, NULL);
    test_loop_settle(&f->t);
    weft__conn_get_stats(f->client.conn, &before);
    raw_call(&f->client, &request);
    run_while(f, f->n_handled < 1);
    request.path = "/no.Such/Method";
    request.path_len = strlen(request.path);
    raw_call(&f->client, &request);
    test_loop_settle(&f->t);
    weft__conn_get_stats(f->client.conn, &after);
    assert_int_equal(after.bytes_in, before.bytes_in);
    assert_int_equal(weft_server_get_stats(f->server).calls, 2);
    assert_int_equal(weft_server_get_stats(f->server).in_flight, 0);
    assert_said(f, say_hello(f, "x", 0), "hello x");
}

static weft_observation observed;
static char observed_path[64];
static unsigned n_observed;

static void on_observed(const weft_observation *o, void *user)
{
    (void)user;
    observed = *o;
    snprintf(observed_path, sizeof(observed_path), "%s", o->path);
    n_observed++;
}

static void every_finished_call_is_observed(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    n_observed = 0;
    weft_observe(f->t.loop, on_observed, NULL);
    f->greeting = HOLD;
    said_hello(f, "abc", 0);
    assert_int_equal(n_observed, 0);
    test_loop_advance(&f->t, 30);
    answer_held(f, 0, "abcdef");
    assert_int_equal(n_observed, 1);
    assert_true(observed.server);
    assert_string_equal(observed_path, HELLO);
    assert_int_equal(observed.status, WEFT_OK);
    assert_int_equal(observed.request_bytes, 5);
    assert_int_equal(observed.reply_bytes, 8);
    assert_int_equal(observed.waiting_us, 30000);
    raw_unary(&f->client, "/no.Such/SayHello", "", 0, 0);
    run_while(f, n_observed < 2);
    assert_int_equal(observed.status, WEFT_UNIMPLEMENTED);
    assert_string_equal(observed_path, "/no.Such/SayHello");
    weft_unobserve(f->t.loop, on_observed, NULL);
}

static void take_long(fixture *f, weft_call *call)
{
    (void)call;
    weft_fake_advance(&f->t.clock, 200);
}

static void a_handler_that_holds_the_loop_is_named_by_its_method(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    said_hello(f, "quick", 1000);
    assert_int_equal(weft_loop_get_lag(f->t.loop).late, 0);
    f->in_handler = take_long;
    said_hello(f, "slow", 1000);
    assert_int_equal(weft_loop_get_lag(f->t.loop).late, 1);
    assert_string_equal(weft_loop_get_lag(f->t.loop).late_name, HELLO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_handler_s_reply_reaches_its_caller),
        FIXTURE_TEST(replies_may_come_later_and_in_any_order),
        FIXTURE_TEST(a_failure_carries_status_text_and_details),
        FIXTURE_TEST(a_failure_of_the_library_becomes_an_rpc_code),
        FIXTURE_TEST(a_null_reply_is_an_internal_error),
        FIXTURE_TEST(a_second_answer_is_counted_and_goes_nowhere),
        FIXTURE_TEST(finish_forwards_another_call_s_outcome),
        FIXTURE_TEST(bytes_and_references_answer_too),
        FIXTURE_TEST(another_thread_answers_through_a_post_only),
        FIXTURE_TEST(request_and_handle_outlive_the_deadline),
        FIXTURE_TEST(a_cancel_is_heard_by_the_handler),
        FIXTURE_TEST(a_lost_connection_cancels_its_calls),
        FIXTURE_TEST(on_end_tells_of_a_normal_end_from_a_fresh_stack),
        FIXTURE_TEST(a_handler_may_answer_when_it_is_told_of_the_end),
        FIXTURE_TEST(on_end_registered_after_the_end_still_tells_once),
        FIXTURE_TEST(a_call_answered_at_once_ends_like_others),
        FIXTURE_TEST(the_request_lives_until_the_handler_returns),
        FIXTURE_TEST(calls_that_nobody_answers_are_named_in_log_and_dump),
        FIXTURE_TEST(what_runs_under_a_call_ends_with_it),
        FIXTURE_TEST(an_empty_slot_is_unimplemented),
        FIXTURE_TEST(unknown_names_are_told_by_name),
        FIXTURE_TEST(a_service_serves_under_another_name_too),
        FIXTURE_TEST(a_call_knows_its_peer_metadata_and_names),
        FIXTURE_TEST(a_metadata_pair_may_lack_key_and_value),
        FIXTURE_TEST(a_stale_handle_is_harmless_everywhere),
        FIXTURE_TEST(a_one_way_call_s_answer_goes_nowhere),
        FIXTURE_TEST(every_finished_call_is_observed),
        FIXTURE_TEST(a_handler_that_holds_the_loop_is_named_by_its_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
