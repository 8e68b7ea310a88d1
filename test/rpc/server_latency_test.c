/* server_latency_test.c - how long calls take, by method. */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { MS = 1000000 };

static weft_histogram h;

/* Into h; returns the number of calls. */
static uint64_t latency(fixture *f, const char *path)
{
    assert_int_equal(weft_server_get_latency(f->server, path, &h), WEFT_OK);
    return weft_histogram_count(&h);
}

static void assert_one_took(fixture *f, uint64_t ms)
{
    assert_int_equal(latency(f, HELLO), 1);
    assert_int_equal(h.max_ns, ms * MS);
}

static void take_7_ms(fixture *f, weft_call *call)
{
    (void)call;
    weft_fake_advance(&f->t.clock, 7);
}

static void a_call_answered_at_once_takes_what_its_handler_does(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = take_7_ms;
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_one_took(f, 7);
}

static void calls_of_different_rounds_count_each(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    said_hello(f, "a", 0); /* and the clock stands still */
    said_hello(f, "b", 0);
    assert_int_equal(latency(f, HELLO), 2);
}

static void calls_of_one_round_end_together(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = take_7_ms;
    say_hello(f, "a", 0);
    say_hello(f, "b", 0);
    assert_said(f, say_hello(f, "c", 0), "hello c");
    assert_int_equal(latency(f, HELLO), 3);
    assert_int_equal(weft_histogram_quantile_ns(&h, 0), 21 * MS);
    assert_int_equal(h.max_ns, 21 * MS);
}

static void a_call_answered_later_takes_until_then(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    call = said_hello(f, "x", 0);
    test_loop_advance(&f->t, 30);
    assert_int_equal(latency(f, HELLO), 0);
    answer_held(f, 0, "x");
    assert_said(f, call, "x");
    assert_one_took(f, 30);
}

static void an_expired_call_took_its_deadline(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 100);
    test_loop_advance(&f->t, 100);
    assert_one_took(f, 100);
    answer_held(f, 0, "too late");
    test_loop_settle(&f->t);
    assert_one_took(f, 100); /* it has ended once */
}

static void a_cancelled_call_took_until_its_end(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    raw_reset(&f->client, said_hello(f, "x", 0));
    weft_fake_advance(&f->t.clock, 12);
    run_while(f, f->n_ended == 0);
    assert_one_took(f, 12);
}

static void a_call_without_reply_ends_with_its_round_too(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = take_7_ms;
    raw_call(&f->client,
             &(weft__wire_request){.kind = WEFT__ONE_WAY,
                                   .path = HELLO,
                                   .path_len = strlen(HELLO),
                                   .payload = {.data = "\x0a\x01x", .len = 3}});
    run_while(f, f->n_handled == 0);
    test_loop_advance(&f->t, 1000);
    assert_one_took(f, 7);
}

static void calls_without_a_handler_do_not_count(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.max_in_flight = 1});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    assert_failed(f, said_hello(f, "y", 0), WEFT_RESOURCE_EXHAUSTED,
                  "server: the limit max_in_flight of 1 calls is reached");
    raw_unary(&f->client, "/no.Such/Method", "", 0, 0);
    test_loop_settle(&f->t);
    assert_int_equal(weft_server_get_stats(f->server).calls, 2);
    assert_int_equal(latency(f, NULL), 0);
}

/* Each began at another time, which is a row of its own. */
static void as_many_as_may_end_in_one_round(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    for (unsigned i = 0; i < 150; i++) {
        said_hello(f, "x", 0);
        test_loop_advance(&f->t, 1);
    }
    for (unsigned i = 0; i < 150; i++)
        answer_held(f, i, "x");
    test_loop_settle(&f->t);
    assert_int_equal(latency(f, HELLO), 150);
    assert_int_equal(h.max_ns, 150 * MS);
    assert_in_range(weft_histogram_quantile_ns(&h, 0.5), 75 * MS,
                    75 * MS + 75 * MS / 64);
}

static void echo(weft_call *call, const weft_raw_request *request, void *user)
{
    fixture *f = user;

    weft_fake_advance(&f->t.clock, 3);
    weft_call_reply_bytes(call, request->payload, request->payload_len);
}

static void each_method_has_its_own_and_all_are_summed_up(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    assert_int_equal(
        weft_server_add_service_as(f->server, "second.Name", &f->greeter.base),
        WEFT_OK);
    weft_server_set_fallback(f->server, echo, f);
    assert_int_equal(latency(f, NULL), 0); /* not started */
    fixture_start(f);
    fixture_connect(f);
    f->in_handler = take_7_ms;
    said_hello(f, "x", 0);
    raw_unary(&f->client, "/any.Service/Method", "", 0, 0);
    test_loop_settle(&f->t);
    f->in_handler = NULL;
    raw_unary(&f->client, "/second.Name/SayHello", "", 0, 0);
    test_loop_settle(&f->t);
    assert_one_took(f, 7);
    assert_int_equal(latency(f, "/second.Name/SayHello"), 1);
    assert_int_equal(h.max_ns, 0);
    assert_int_equal(latency(f, NULL), 3);
    assert_int_equal(h.max_ns, 7 * MS);
}

static void who_is_not_there_has_none(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    assert_int_equal(weft_server_get_latency(NULL, NULL, &h), WEFT_ENOENT);
    assert_int_equal(weft_server_get_latency(f->server, "/a.B/C", &h),
                     WEFT_ENOENT);
}

static void a_dump_tells_the_latency_of_methods(void **state)
{
    fixture *f = *state;
    char *text = NULL;
    size_t size;
    FILE *file;

    fixture_serve(f, NULL);
    f->in_handler = take_7_ms;
    said_hello(f, "x", 0);
    assert_non_null(file = open_memstream(&text, &size));
    weft_dump(f->t.loop, file);
    fclose(file);
    assert_non_null(strstr(text, "method " HELLO " calls=1 p50_us=7000 "
                                 "p99_us=7000 p999_us=7000 max_us=7000\n"));
    free(text);
}

static void answer_and_free(fixture *f, weft_call *call)
{
    weft_call_reply_bytes(call, "", 0);
    weft_server_free(f->server);
    f->server = NULL;
}

static void a_server_may_go_in_the_round_of_its_last_call(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = answer_and_free;
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    assert_int_equal(f->n_handled, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_call_answered_at_once_takes_what_its_handler_does),
        FIXTURE_TEST(calls_of_different_rounds_count_each),
        FIXTURE_TEST(calls_of_one_round_end_together),
        FIXTURE_TEST(a_call_answered_later_takes_until_then),
        FIXTURE_TEST(an_expired_call_took_its_deadline),
        FIXTURE_TEST(a_cancelled_call_took_until_its_end),
        FIXTURE_TEST(a_call_without_reply_ends_with_its_round_too),
        FIXTURE_TEST(calls_without_a_handler_do_not_count),
        FIXTURE_TEST(as_many_as_may_end_in_one_round),
        FIXTURE_TEST(each_method_has_its_own_and_all_are_summed_up),
        FIXTURE_TEST(who_is_not_there_has_none),
        FIXTURE_TEST(a_dump_tells_the_latency_of_methods),
        FIXTURE_TEST(a_server_may_go_in_the_round_of_its_last_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
