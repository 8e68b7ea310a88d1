/* client_result_test.c - what a caller learns: `sent`, texts, what the server
 * sent along, observation and dump; and requests at their bounds. */
#include "client_fixture.h"

#include "client_script.h"

#include <stdlib.h>

/* ---- What the server sent along ---- */

static weft_result *taken;

static void take(const weft_result *r, void *user)
{
    (void)r;
    taken = weft_result_keep();
    ++*(int *)user;
}

static void everything_of_a_reply_is_in_the_result(void **state)
{
    fixture *f = *state;
    weft_metadatum items[] = {{"shard", "7", 1}, {"bin", "\0\1", 2}};
    size_t len;
    int calls = 0;

    assert_int_equal(
        weft_call_bytes(f->channel,
                        &(weft_call_options){.content_type = "application/x"},
                        "/a.B/C", "in", 2, take, &calls),
        WEFT_OK);
    until_calls(f, 1);
    assert_int_equal(
        weft__conn_respond(
            f->p.calls[0].conn, f->p.calls[0].stream,
            &(weft__wire_response){
                .metadata = {items, 2},
                .content_type = {(const uint8_t *)"text/plain", 10},
                .details = {(const uint8_t *)"d\0d", 3},
                .payload = {.data = "out", .len = 3}}),
        WEFT_OK);
    test_loop_settle(&f->t);
    assert_int_equal(calls, 1);
    assert_int_equal(taken->status, WEFT_OK);
    assert_null(taken->reply);
    assert_int_equal(taken->payload_len, 3);
    assert_memory_equal(taken->payload, "out", 3);
    assert_string_equal(taken->content_type, "text/plain");
    assert_int_equal(taken->details_len, 3);
    assert_memory_equal(taken->details, "d\0d", 3);
    assert_int_equal(taken->metadata.n, 2);
    assert_string_equal(weft_metadata_get(&taken->metadata, "shard", NULL),
                        "7");
    assert_memory_equal(weft_metadata_get(&taken->metadata, "bin", &len),
                        "\0\1", 2);
    assert_int_equal(len, 2);
    assert_string_equal(taken->message, "");
    weft_result_free(taken);
}

static void a_failure_brings_details_and_metadata_too(void **state)
{
    fixture *f = *state;
    weft_metadatum items[] = {{"retry", "no", 2}};
    int calls = 0;

    assert_int_equal(
        weft_call_bytes(f->channel, NULL, "/a.B/C", "", 0, take, &calls),
        WEFT_OK);
    until_calls(f, 1);
    assert_int_equal(
        weft__conn_respond(
            f->p.calls[0].conn, f->p.calls[0].stream,
            &(weft__wire_response){.status = WEFT_FAILED_PRECONDITION,
                                   .message = {(const uint8_t *)"not yet", 7},
                                   .metadata = {items, 1},
                                   .details = {(const uint8_t *)"why", 3}}),
        WEFT_OK);
    test_loop_settle(&f->t);
    assert_int_equal(taken->status, WEFT_FAILED_PRECONDITION);
    assert_string_equal(taken->message, "not yet");
    assert_int_equal(taken->details_len, 3);
    assert_string_equal(weft_metadata_get(&taken->metadata, "retry", NULL),
                        "no");
    assert_null(taken->payload);
    weft_result_free(taken);
}

static void a_big_reply_is_kept_without_its_connection(void **state)
{
    fixture *f = *state;
    size_t len = 3u << 20;
    char *big = malloc(len);
    int calls = 0;

    assert_non_null(big);
    memset(big, 'b', len);
    assert_int_equal(
        weft_call_bytes(f->channel, NULL, "/a.B/C", "", 0, take, &calls),
        WEFT_OK);
    until_calls(f, 1);
    peer_reply_bytes(&f->p, 0, big, len);
    for (int i = 0; i < 200 && calls == 0; i++)
        weft_loop_poll(f->t.loop);
    assert_int_equal(calls, 1);
    peer_drop(&f->p, 0);
    test_loop_settle(&f->t);
    assert_int_equal(taken->payload_len, len);
    assert_memory_equal(taken->payload, big, len);
    weft_result_free(taken);
    free(big);
}

static void a_reply_is_kept_without_its_loop(void **state)
{
    fixture *f = *state;
    char text[3000];
    int calls = 0;

    memset(text, 't', sizeof(text));
    assert_int_equal(
        weft_call_bytes(f->channel, NULL, "/a.B/C", "", 0, take, &calls),
        WEFT_OK);
    until_calls(f, 1);
    peer_reply_bytes(&f->p, 0, text, sizeof(text));
    test_loop_settle(&f->t);
    assert_int_equal(calls, 1);
}

static int teardown_before_the_result(void **state)
{
    const char *payload;

    fixture_teardown(state);
    payload = taken->payload;
    for (size_t i = 0; i < taken->payload_len; i++)
        if (payload[i] != 't')
            return -1;
    weft_result_free(taken);
    return 0;
}

static void phases_add_up(void **state)
{
    fixture *f = *state;
    int calls = 0;

    reopen(f, "script:///x", NULL);
    assert_int_equal(
        weft_call_bytes(f->channel, NULL, "/a.B/C", "", 0, take, &calls),
        WEFT_OK);
    weft_loop_poll(f->t.loop);
    test_loop_advance(&f->t, 100);
    publish((const char *const[]){f->p.uri, NULL});
    until_calls(f, 1);
    test_loop_advance(&f->t, 30);
    peer_reply_bytes(&f->p, 0, "", 0);
    test_loop_settle(&f->t);
    assert_int_equal(calls, 1);
    assert_int_equal(taken->resolving_us, 100000);
    assert_int_equal(taken->connecting_us, 0); /* the clock stood still */
    assert_int_equal(taken->waiting_us, 30000);
    weft_result_free(taken);
}

/* ---- sent ---- */

static void sent_never_when_the_connection_goes_before_a_byte(void **state)
{
    fixture *f = *state;
    weft_stub quick = f->stub;
    static outcome first, o;

    call_with(&f->stub, "x", &first);
    until_calls(f, 1);
    peer_close(&f->p); /* and nobody comes back */
    quick.options.timeout_ms = 2000;
    call_with(&quick, "y", &o); /* queued on the dying connection */
    until_ended(f, &first);
    assert_int_equal(first.sent, WEFT_SENT_MAYBE);
    test_loop_advance(&f->t, 2001);
    until_ended(f, &o);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    peer_open(&f->p, f->t.loop, "inproc:///peer");
}

static void refused_stays_refused(void **state)
{
    fixture *f = *state;
    weft_stub quick = f->stub;
    static outcome o;

    quick.options.timeout_ms = 100;
    quick.options.wait_for_ready = true;
    call_with(&quick, "x", &o);
    until_calls(f, 1);
    peer_reset(&f->p, 0, WEFT_UNAVAILABLE);
    until_ended(f, &o);
    assert_int_equal(o.sent, WEFT_SENT_REFUSED);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
}

static void a_reset_after_the_handler_began_is_not_safe(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    peer_reset(&f->p, 0, WEFT_INTERNAL);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_INTERNAL);
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    assert_int_equal(f->p.n_calls, 1);
}

/* ---- Requests at their bounds ---- */

static void a_deadline_of_a_millisecond_is_kept(void **state)
{
    fixture *f = *state;
    weft_stub quick = f->stub;
    static outcome o;

    quick.options.timeout_ms = 1;
    call_with(&quick, "x", &o);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 2);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
    assert_non_null(strstr(o.message, "deadline 1 ms: "));
}

static void the_longest_deadline_is_49_days(void **state)
{
    fixture *f = *state;
    weft_stub patient = f->stub;
    static outcome o;

    patient.options.timeout_ms = UINT32_MAX - 1;
    call_with(&patient, "x", &o);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].timeout_ms, UINT32_MAX - 1);
    test_loop_advance(&f->t, 100000);
    assert_int_equal(o.calls, 0);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
}

/* Longer than a server takes, or not: an answer comes, and others live. */
static void long_texts_disturb_nobody(void **state)
{
    fixture *f = *state;
    static char path[100001], type[70001];
    static outcome a, b, c;
    weft_stub far = f->stub;

    memset(path, 'p', sizeof(path) - 1);
    path[0] = '/';
    path[9] = '/';
    memset(type, 't', sizeof(type) - 1);
    assert_int_equal(
        weft_call_bytes(f->channel, NULL, path, "", 0, on_generic_result, &a),
        WEFT_OK);
    assert_int_equal(weft_call_bytes(f->channel,
                                     &(weft_call_options){.content_type = type},
                                     "/a.B/C", "", 0, on_generic_result, &b),
                     WEFT_OK);
    far.options.service = path + 1;
    call_with(&far, "x", &c);
    for (int i = 0; i < 50; i++) {
        weft_loop_poll(f->t.loop);
        for (int n = 0; n < f->p.n_calls; n++)
            if (!f->p.calls[n].ended)
                peer_reply(&f->p, n, "x");
    }
    assert_int_equal(a.calls + b.calls + c.calls, 3);
    assert_int_equal(weft_channel_get_stats(f->channel).connects, 1);
    call_with(&f->stub, "y", &c);
    until_calls(f, f->p.n_calls + 1);
}

static void metadata_keys_are_checked(void **state)
{
    fixture *f = *state;
    static const char *const bad[] = {"", "a b", "a=b", "\xc3\xa4", "a\n"};
    static outcome o;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_metadatum item = {bad[i], "v", 1};
        assert_int_equal(
            weft_call_bytes(f->channel,
                            &(weft_call_options){.metadata = {&item, 1}},
                            "/a.B/C", "", 0, on_generic_result, &o),
            WEFT_EINVAL);
    }
    test_loop_settle(&f->t);
    assert_int_equal(o.calls, 0);
    assert_int_equal(weft_channel_get_stats(f->channel).in_flight, 0);
    assert_int_equal(weft_channel_get_stats(f->channel).pending_bytes, 0);
}

static void an_empty_request_and_reply_are_messages(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "", &o);
    until_calls(f, 1);
    peer_reply_bytes(&f->p, 0, "", 0);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
    assert_string_equal(o.msg, "");
}

/* ---- Warm-up ---- */

static void a_new_endpoint_takes_calls_when_it_is_connected(void **state)
{
    fixture *f = *state;
    static peer other;
    static outcome o[20];
    int before;

    peer_open(&other, f->t.loop, "inproc:///other");
    reopen(f, "script:///x", &(weft_channel_conf){.balancer = "round_robin"});
    call_with(&f->stub, "x", &o[0]);
    weft_loop_poll(f->t.loop);
    publish((const char *const[]){"inproc:///peer", NULL});
    until_calls(f, 1);
    publish((const char *const[]){"inproc:///other", "inproc:///peer", NULL});
    for (int i = 1; i < 10; i++) /* no round in between: it connects yet */
        call_with(&f->stub, "x", &o[i]);
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_calls, 10);
    assert_int_equal(other.n_calls, 0);
    before = f->p.n_calls;
    for (int i = 10; i < 20; i++)
        call_with(&f->stub, "x", &o[i]);
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_calls - before, 5);
    assert_int_equal(other.n_calls, 5);
    peer_close(&other);
}

/* ---- Observation and dump ---- */

static weft_observation seen;
static char seen_path[64], seen_peer[64];
static int n_seen;

static void on_call(const weft_observation *o, void *user)
{
    (void)user;
    seen = *o;
    snprintf(seen_path, sizeof(seen_path), "%s", o->path);
    snprintf(seen_peer, sizeof(seen_peer), "%s", o->peer);
    n_seen++;
}

static void a_finished_call_is_observed(void **state)
{
    fixture *f = *state;
    static outcome o;

    n_seen = 0;
    assert_int_equal(weft_observe(f->t.loop, on_call, NULL), WEFT_OK);
    call_with(&f->stub, "four", &o);
    until_calls(f, 1);
    test_loop_advance(&f->t, 25);
    peer_reply(&f->p, 0, "reply");
    until_ended(f, &o);
    assert_int_equal(n_seen, 1);
    assert_false(seen.server);
    assert_string_equal(seen_path, "/helloworld.Greeter/SayHello");
    assert_string_equal(seen_peer, "inproc:///peer");
    assert_int_equal(seen.status, WEFT_OK);
    assert_int_equal(seen.request_bytes, 6);
    assert_int_equal(seen.reply_bytes, 7);
    assert_in_range(seen.waiting_us, 25000, 26000);
    weft_unobserve(f->t.loop, on_call, NULL);
}

static void a_channel_s_latency_is_that_of_all_its_calls(void **state)
{
    fixture *f = *state;
    static weft_histogram h;
    static outcome a, b, late, gone;
    weft_stub hurried = f->stub;
    char *text = NULL;
    size_t size;
    FILE *file;

    assert_int_equal(weft_channel_get_latency(f->channel, &h), WEFT_OK);
    assert_int_equal(weft_histogram_count(&h), 0);
    call_with(&f->stub, "a", &a);
    call_with(&f->stub, "b", &b);
    hurried.options.timeout_ms = 20;
    call_with(&hurried, "late", &late);
    call_with(&f->stub, "gone", &gone);
    until_calls(f, 4);
    test_loop_advance(&f->t, 10);
    weft_cancel(gone.handle);
    until_ended(f, &gone);
    test_loop_advance(&f->t, 10);
    until_ended(f, &late);
    test_loop_advance(&f->t, 20);
    peer_reply(&f->p, 0, "a");
    peer_reply(&f->p, 1, "b");
    until_ended(f, &a);
    until_ended(f, &b);
    assert_int_equal(weft_channel_get_latency(f->channel, &h), WEFT_OK);
    assert_int_equal(weft_histogram_count(&h), 4);
    assert_int_equal(weft_histogram_count(&h),
                     weft_channel_get_stats(f->channel).calls);
    assert_in_range(weft_histogram_quantile_ns(&h, 0.25), 10000000, 10200000);
    assert_in_range(weft_histogram_quantile_ns(&h, 0.5), 20000000, 20400000);
    assert_int_equal(h.max_ns, 40000000);
    assert_non_null(file = open_memstream(&text, &size));
    weft_dump(f->t.loop, file);
    fclose(file);
    assert_non_null(strstr(text, "    latency calls=4 p50_us=20"));
    assert_non_null(strstr(text, "p999_us=40000 max_us=40000\n"));
    free(text);
    assert_int_equal(weft_channel_get_latency(NULL, &h), WEFT_ENOENT);
}

static void a_dump_shows_channel_endpoint_connection_and_call(void **state)
{
    fixture *f = *state;
    static outcome o;
    char *text = NULL;
    size_t size;
    FILE *file;

    call_with(&f->stub, "secret", &o);
    until_calls(f, 1);
    test_loop_advance(&f->t, 40);
    assert_non_null(file = open_memstream(&text, &size));
    weft_dump(f->t.loop, file);
    fclose(file);
    assert_non_null(strstr(text, "channel inproc:///peer"));
    assert_non_null(strstr(text, "endpoint inproc:///peer weight=100 ready"));
    assert_non_null(strstr(text, "connection ready version=1 in_flight=1"));
    assert_non_null(strstr(text, "call /helloworld.Greeter/SayHello sent "
                                 "peer=inproc:///peer age_ms=4"));
    assert_null(strstr(text, "secret"));
    free(text);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(everything_of_a_reply_is_in_the_result),
        T(a_failure_brings_details_and_metadata_too),
        T(a_big_reply_is_kept_without_its_connection),
        cmocka_unit_test_setup_teardown(a_reply_is_kept_without_its_loop,
                                        fixture_setup,
                                        teardown_before_the_result),
        T(phases_add_up),
        T(sent_never_when_the_connection_goes_before_a_byte),
        T(refused_stays_refused),
        T(a_reset_after_the_handler_began_is_not_safe),
        T(a_deadline_of_a_millisecond_is_kept),
        T(the_longest_deadline_is_49_days),
        T(long_texts_disturb_nobody),
        T(metadata_keys_are_checked),
        T(an_empty_request_and_reply_are_messages),
        T(a_new_endpoint_takes_calls_when_it_is_connected),
        T(a_finished_call_is_observed),
        T(a_channel_s_latency_is_that_of_all_its_calls),
        T(a_dump_shows_channel_endpoint_connection_and_call),
    };

    weft_log_set_level(WEFT_LOG_OFF);
    weft_resolver_register(&script);
    return cmocka_run_group_tests_name("client results", tests, NULL, NULL);
}
