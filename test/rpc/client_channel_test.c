/* client_channel_test.c - where calls go: connections, endpoints, waiting. */
#include "client_fixture.h"

#include "client_script.h"

#include <stdlib.h>
#include <weft/loop_internal.h>

static void calls_wait_for_the_first_resolution(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "script:///x", NULL);
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 100);
    publish((const char *const[]){f->p.uri, NULL});
    until_calls(f, 1);
    test_loop_advance(&f->t, 30);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
}

static void a_deadline_while_resolving_says_what_failed(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "script:///x", NULL);
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    weft_watch_fail(script_watch, WEFT_UNAVAILABLE, "agent: %s", "refused");
    test_loop_advance(&f->t, 5001);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
    assert_string_equal(o.message,
                        "deadline 5000 ms: resolving 5000, connecting 0, "
                        "waiting 0; last error: agent: refused");
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
}

static void a_dump_shows_what_a_watch_knows(void **state)
{
    fixture *f = *state;
    char *text = NULL;
    size_t size;
    FILE *file;

    reopen(f, "script:///x", &(weft_channel_conf){.eager = true});
    test_loop_settle(&f->t);
    weft_watch_fail(script_watch, WEFT_UNAVAILABLE, "agent: %s", "refused");
    test_loop_advance(&f->t, 70);
    publish((const char *const[]){f->p.uri, NULL});
    test_loop_advance(&f->t, 30);
    assert_non_null(file = open_memstream(&text, &size));
    weft_dump(f->t.loop, file);
    fclose(file);
    assert_non_null(strstr(text, "\nwatch script:///x "));
    assert_non_null(strstr(text, " subscribers=1 endpoints=1 index=0 age_ms=30 "
                                 "changed_ms=30 failures=0 error_ms=100 "
                                 "error=\"agent: refused\"\n"));
    free(text);
}

static void fail_fast_does_not_wait_for_the_resolution(void **state)
{
    fixture *f = *state;
    weft_stub hasty;
    static outcome o;

    reopen(f, "script:///x", NULL);
    hasty = f->stub;
    hasty.options.fail_fast = true;
    call_with(&hasty, "x", &o);
    assert_int_equal(o.calls, 0);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_string_equal(o.message, "resolving script:///x: not done yet");
}

static void an_empty_list_fails_at_once_unless_the_call_waits(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o, waits;

    reopen(f, "script:///x", NULL);
    patient = f->stub;
    patient.options.wait_for_ready = true;
    call_with(&f->stub, "x", &o);
    call_with(&patient, "x", &waits);
    test_loop_settle(&f->t);
    publish((const char *const[]){NULL});
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_string_equal(o.message, "script:///x has no endpoints");
    publish((const char *const[]){f->p.uri, NULL});
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &waits);
    assert_int_equal(waits.status, WEFT_OK);
}

static void when_every_endpoint_is_down_a_call_fails_at_once(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "inproc:///nobody", NULL);
    call_with(&f->stub, "x", &o);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    assert_non_null(strstr(o.message, "the endpoint of inproc:///nobody is "
                                      "down: inproc:///nobody (connect: "));
    call_with(&f->stub, "x", &o); /* and the next one without a try */
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);

    reopen(f, "script:///x", NULL);
    call_with(&f->stub, "x", &o);
    publish((const char *const[]){"inproc:///a", "inproc:///b", NULL});
    until_ended(f, &o);
    assert_non_null(
        strstr(o.message, "all 2 endpoints of script:///x are down: "));
}

static void wait_for_ready_waits_until_somebody_is_there(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o;
    static peer late;

    reopen(f, "inproc:///late", NULL);
    patient = f->stub;
    patient.options.wait_for_ready = true;
    call_with(&patient, "x", &o);
    test_loop_advance(&f->t, 50);
    assert_int_equal(o.calls, 0);
    peer_open(&late, f->t.loop, "inproc:///late");
    test_loop_advance(&f->t, 1000); /* the back-off passes */
    assert_int_equal(late.n_calls, 1);
    peer_reply(&late, 0, "here");
    until_ended(f, &o);
    assert_string_equal(o.msg, "here");
    peer_close(&late);
    test_loop_settle(&f->t);
}

static void reconnects_back_off(void **state)
{
    fixture *f = *state;
    uint64_t after_1s, after_20s;

    reopen(f, "inproc:///nobody", &(weft_channel_conf){.eager = true});
    test_loop_advance(&f->t, 1000);
    after_1s = weft_channel_get_stats(f->channel).connects;
    assert_in_range(after_1s, 3, 6); /* 0, ~100, ~300, ~700 ms */
    test_loop_advance(&f->t, 60000);
    after_20s = weft_channel_get_stats(f->channel).connects;
    /* the ceiling is 10 s, give or take half */
    assert_in_range(after_20s - after_1s, 5, 18);
}

static void a_lost_connection_fails_only_what_had_been_sent(void **state)
{
    fixture *f = *state;
    static outcome sent, unsent;

    call_with(&f->stub, "a", &sent);
    until_calls(f, 1);
    peer_drop(&f->p, 0);
    call_with(&f->stub, "b", &unsent); /* queued on the dying connection */
    until_ended(f, &sent);
    assert_int_equal(sent.status, WEFT_UNAVAILABLE);
    assert_int_equal(sent.sent, WEFT_SENT_MAYBE);
    assert_non_null(strstr(sent.message, "waiting for inproc:///peer: "));
    test_loop_advance(&f->t, 300); /* a new connection, after the back-off */
    until_calls(f, 2);
    peer_reply(&f->p, 1, "moved");
    until_ended(f, &unsent);
    assert_int_equal(unsent.status, WEFT_OK);
}

static void a_refused_call_moves_on(void **state)
{
    fixture *f = *state;
    static outcome o;
    static peer other;

    peer_open(&other, f->t.loop, "inproc:///other");
    reopen(f, "script:///x", &(weft_channel_conf){.balancer = "round_robin"});
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    publish((const char *const[]){"inproc:///other", "inproc:///peer", NULL});
    test_loop_settle(&f->t);
    if (other.n_calls == 1) {
        peer_reset(&other, 0, WEFT_UNAVAILABLE);
        until_calls(f, 1);
        peer_reply(&f->p, 0, "x");
    } else {
        peer_reset(&f->p, 0, WEFT_UNAVAILABLE);
        test_loop_settle(&f->t);
        assert_int_equal(other.n_calls, 1);
        peer_reply(&other, 0, "x");
    }
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
    assert_int_equal(weft_channel_get_stats(f->channel).moved, 1);
    peer_close(&other);
}

static void a_refusal_by_everybody_says_so(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    peer_reset(&f->p, 0, WEFT_UNAVAILABLE);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_int_equal(o.sent, WEFT_SENT_REFUSED);
    assert_string_equal(o.message,
                        "inproc:///peer refused the call, and nobody else is "
                        "there");
    assert_int_equal(f->p.n_calls, 1);
}

static void after_a_go_away_later_calls_use_a_new_connection(void **state)
{
    fixture *f = *state;
    static outcome old, new;

    call_with(&f->stub, "old", &old);
    until_calls(f, 1);
    peer_goaway(&f->p, 0, "leaving");
    test_loop_settle(&f->t);
    call_with(&f->stub, "new", &new);
    until_calls(f, 2);
    assert_int_equal(f->p.calls[1].conn_index, 1);
    peer_reply(&f->p, 0, "finished");
    until_ended(f, &old);
    assert_string_equal(old.msg, "finished");
    test_loop_settle(&f->t);
    assert_null(f->p.conns[0]); /* the client closes first */
    peer_reply(&f->p, 1, "x");
    until_ended(f, &new);
}

static void an_endpoint_that_leaves_the_list_finishes_its_calls(void **state)
{
    fixture *f = *state;
    static outcome o, next;
    static peer other;

    peer_open(&other, f->t.loop, "inproc:///other");
    reopen(f, "script:///x", NULL);
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    publish((const char *const[]){"inproc:///peer", NULL});
    until_calls(f, 1);
    publish((const char *const[]){"inproc:///other", NULL});
    test_loop_settle(&f->t);
    call_with(&f->stub, "y", &next);
    test_loop_settle(&f->t);
    assert_int_equal(other.n_calls, 1);
    assert_int_equal(f->p.n_open, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_open, 0);
    peer_reply(&other, 0, "y");
    until_ended(f, &next);
    assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 1);
    peer_close(&other);
}

static void more_connections_open_under_the_cap(void **state)
{
    fixture *f = *state;
    static outcome o[7];

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){.max_in_flight_per_connection = 2,
                                .max_connections_per_endpoint = 3});
    for (int i = 0; i < 7; i++)
        call_with(&f->stub, "x", &o[i]);
    until_calls(f, 6);
    assert_int_equal(f->p.n_conns, 3);
    assert_int_equal(weft_channel_get_stats(f->channel).waiting, 1);
    peer_reply(&f->p, 3, "x");
    until_calls(f, 7);
    for (int i = 0; i < 7; i++)
        if (!f->p.calls[i].ended)
            peer_reply(&f->p, i, "x");
    for (int i = 0; i < 7; i++)
        until_ended(f, &o[i]);
}

static void calls_that_wait_are_served_in_order(void **state)
{
    fixture *f = *state;
    static outcome o[4];

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){.max_in_flight_per_connection = 1,
                                .max_connections_per_endpoint = 1});
    for (int i = 0; i < 4; i++) {
        char msg[2] = {(char)('0' + i), '\0'};
        call_with(&f->stub, msg, &o[i]);
    }
    for (int i = 0; i < 4; i++) {
        until_calls(f, i + 1);
        assert_int_equal(f->p.calls[i].payload[2], '0' + i);
        peer_reply(&f->p, i, "x");
        until_ended(f, &o[i]);
    }
}

/* ---- Limits, each hit once ---- */

static void expect_refusal(fixture *f, const char *text)
{
    static outcome o;

    call_with(&f->stub, "x", &o);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(o.message, text));
}

static void max_in_flight_refuses(void **state)
{
    fixture *f = *state;
    static outcome a;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_in_flight = 1});
    call_with(&f->stub, "x", &a);
    expect_refusal(f, "max_in_flight");
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &a);
    call_with(&f->stub, "x", &a); /* there is room again */
    until_calls(f, 2);
}

static void max_waiting_refuses(void **state)
{
    fixture *f = *state;
    static outcome a;

    reopen(f, "script:///x", &(weft_channel_conf){.max_waiting = 1});
    call_with(&f->stub, "x", &a);
    expect_refusal(f, "max_waiting");
}

static void max_pending_bytes_refuses(void **state)
{
    fixture *f = *state;
    static outcome a;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_pending_bytes = 5});
    call_with(&f->stub, "x", &a);
    expect_refusal(f, "max_pending_bytes");
}

static void max_frame_bytes_refuses(void **state)
{
    fixture *f = *state;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_frame_bytes = 2});
    expect_refusal(f, "max_frame_bytes");
}

static void max_unsent_bytes_refuses_when_the_peer_does_not_read(void **state)
{
    fixture *f = *state;
    static char big[200000];
    static outcome o[64];
    int refused = 0;

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){.max_unsent_bytes = 1000000});
    call_with(&f->stub, "x", &o[0]);
    until_calls(f, 1);
    weft__conn_pause(f->p.conns[0]);
    memset(big, 'x', sizeof(big) - 1);
    for (int i = 1; i < 64 && refused == 0; i++) {
        call_with(&f->stub, big, &o[i]);
        test_loop_settle(&f->t);
        if (o[i].calls == 1) {
            refused++;
            assert_int_equal(o[i].status, WEFT_RESOURCE_EXHAUSTED);
            assert_non_null(strstr(o[i].message, "max_unsent_bytes"));
        }
    }
    assert_int_equal(refused, 1);
    weft__conn_resume(f->p.conns[0]);
    test_loop_settle(&f->t);
    assert_true(f->p.n_calls > 2); /* and everything else arrives */
}

/* Under ASan, this sees who writes from memory that has gone. */
static void big_requests_are_written_after_their_calls_have_ended(void **state)
{
    fixture *f = *state;
    static char big[200000];
    static outcome o[4];
    weft_handle handles[4] = {0};

    call_with(&f->stub, "x", &o[0]);
    until_calls(f, 1);
    weft__conn_pause(f->p.conns[0]);
    memset(big, 'x', sizeof(big) - 1);
    for (int i = 1; i < 4; i++) {
        weft_stub stub = f->stub;

        stub.options.handle = &handles[i];
        call_with(&stub, big, &o[i]);
    }
    test_loop_settle(&f->t);
    for (int i = 1; i < 4; i++)
        weft_cancel(handles[i]);
    test_loop_settle(&f->t);
    assert_int_equal(o[3].status, WEFT_CANCELLED);
    call_with(&f->stub, big, &o[0]); /* blocks that are free are used again */
    weft__conn_resume(f->p.conns[0]);
    test_loop_settle(&f->t);
    assert_true(f->p.n_calls >= 2);
}

/* ---- Setup ---- */

static void a_bad_target_is_told_by_new_and_by_each_call(void **state)
{
    fixture *f = *state;
    static outcome o;

    weft_channel_close(f->channel);
    assert_int_not_equal(
        weft_channel_new(&f->channel, f->t.loop, "nonsense:///x", NULL),
        WEFT_OK);
    assert_non_null(f->channel);
    assert_non_null(strstr(weft_channel_error(f->channel), "nonsense"));
    f->stub = weft_stub_for(f->channel, &helloworld__greeter__descriptor);
    call_with(&f->stub, "x", &o);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_INVALID_ARGUMENT);
    assert_non_null(strstr(o.message, "nonsense"));
}

static void a_balancer_that_does_not_exist_is_named(void **state)
{
    fixture *f = *state;

    weft_channel_close(f->channel);
    assert_int_equal(weft_channel_new(&f->channel, f->t.loop, "127.0.0.1:1",
                                      &(weft_channel_conf){.balancer = "best"}),
                     WEFT_EINVAL);
    assert_string_equal(weft_channel_error(f->channel),
                        "channel 127.0.0.1:1: there is no balancer \"best\"");
}

static void a_lazy_channel_connects_at_its_first_call(void **state)
{
    fixture *f = *state;
    static outcome o;

    test_loop_advance(&f->t, 100);
    assert_int_equal(f->p.n_conns, 0);
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
}

static void an_eager_channel_connects_at_once(void **state)
{
    fixture *f = *state;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.eager = true});
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_conns, 1);
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 1);
}

static void count_endpoint(const weft_endpoint_stats *e, void *user)
{
    assert_string_equal(e->address, "inproc:///peer");
    assert_string_equal(e->state, "ready");
    assert_int_equal(e->in_flight, 1);
    ++*(int *)user;
}

static void a_channel_tells_of_its_endpoints(void **state)
{
    fixture *f = *state;
    weft_watch_info info;
    static outcome o;
    int n = 0;

    assert_int_equal(weft_channel_watch_info(f->channel, &info), WEFT_ENOENT);
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    weft_channel_each_endpoint(f->channel, count_endpoint, &n);
    assert_int_equal(n, 1);
    assert_int_equal(weft_channel_watch_info(f->channel, &info), WEFT_OK);
    assert_int_equal(info.count, 1);
}

/* Whatever state its endpoints are in, a closed channel lets its loop go. */
static void a_loop_can_be_freed_right_after_its_channel(void **state)
{
    static const char *const targets[] = {
        "127.0.0.1:1", "static:///127.0.0.1:1,127.0.0.1:2", "inproc:///nobody"};
    static outcome o[8];

    (void)state;
    for (int rounds = 0; rounds < 12; rounds++) {
        for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
            weft_channel *channel;
            weft_loop *loop;

            assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
            assert_int_equal(
                weft_channel_new(&channel, loop, targets[i],
                                 &(weft_channel_conf){.wait_for_ready = true,
                                                      .max_connecting = 1}),
                WEFT_OK);
            weft_stub stub =
                weft_stub_for(channel, &helloworld__greeter__descriptor);
            call_with(&stub, "x", &o[0]);
            for (int r = 0; r < rounds; r++)
                weft_loop_poll(loop);
            weft_channel_close(channel);
            weft_loop_free(loop);
            assert_int_equal(o[0].calls, 1);
        }
    }
}

/* Its connections linger then, for the server has not closed its side. */
static void a_loop_can_be_freed_while_connections_linger(void **state)
{
    static peer tcp;
    static outcome o;
    fixture *f = *state;
    weft_channel *channel;
    weft_loop *loop;

    peer_open(&tcp, f->t.loop, "tcp://127.0.0.1:0");
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    assert_int_equal(weft_channel_new(&channel, loop, tcp.uri, NULL), WEFT_OK);
    weft_stub stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    call_with(&stub, "x", &o);
    for (int i = 0; i < 1000 && tcp.n_calls == 0; i++) {
        weft_loop_poll(loop);
        weft_loop_poll(f->t.loop);
    }
    assert_int_equal(tcp.n_calls, 1);
    weft_channel_close(channel);
    for (int i = 0; i < 50; i++)
        weft_loop_poll(loop);
    assert_int_equal(o.calls, 1);
    weft_loop_free(loop);
    peer_close(&tcp);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(calls_wait_for_the_first_resolution),
        T(a_deadline_while_resolving_says_what_failed),
        T(a_dump_shows_what_a_watch_knows),
        T(fail_fast_does_not_wait_for_the_resolution),
        T(an_empty_list_fails_at_once_unless_the_call_waits),
        T(when_every_endpoint_is_down_a_call_fails_at_once),
        T(wait_for_ready_waits_until_somebody_is_there),
        T(reconnects_back_off),
        T(a_lost_connection_fails_only_what_had_been_sent),
        T(a_refused_call_moves_on),
        T(a_refusal_by_everybody_says_so),
        T(after_a_go_away_later_calls_use_a_new_connection),
        T(an_endpoint_that_leaves_the_list_finishes_its_calls),
        T(more_connections_open_under_the_cap),
        T(calls_that_wait_are_served_in_order),
        T(max_in_flight_refuses),
        T(max_waiting_refuses),
        T(max_pending_bytes_refuses),
        T(max_frame_bytes_refuses),
        T(max_unsent_bytes_refuses_when_the_peer_does_not_read),
        T(big_requests_are_written_after_their_calls_have_ended),
        T(a_bad_target_is_told_by_new_and_by_each_call),
        T(a_balancer_that_does_not_exist_is_named),
        T(a_lazy_channel_connects_at_its_first_call),
        T(an_eager_channel_connects_at_once),
        T(a_channel_tells_of_its_endpoints),
        cmocka_unit_test(a_loop_can_be_freed_right_after_its_channel),
        T(a_loop_can_be_freed_while_connections_linger),
    };

    weft_resolver_register(&script);
    return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
