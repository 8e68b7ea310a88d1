/* client_edges_test.c - the moments in between: callbacks that close, calls
 * that meet a connection on its way out, lists that change half way, memory
 * that is not there.  The balancer keeps the books all the while. */
#include "client_fixture.h"

#include "client_counting.h"
#include "client_script.h"

#define COUNTING .balancer = "counting"

static int setup(void **state)
{
    fixture_setup(state);
    reopen(*state, "inproc:///peer", &(weft_channel_conf){COUNTING});
    memset(&counting, 0, sizeof(counting));
    return 0;
}

static int teardown(void **state)
{
    script_refuses = WEFT_OK;
    fixture_teardown(state);
    assert_true(counting.ended > 0); /* every pick was given back */
    return 0;
}

/* ---- Callbacks ---- */

static void keep_and_free(const Helloworld__HelloReply *reply, void *user)
{
    weft_result *r = weft_result_keep();

    assert_non_null(r);
    assert_ptr_equal(r->reply, reply);
    weft_result_free(r);
    assert_string_equal(reply->msg, "x"); /* borrowed all the same */
    ++*(int *)user;
}

static void a_result_may_be_kept_and_freed_in_its_own_callback(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    int calls = 0;

    request.msg = "x";
    helloworld__greeter__say_hello(&f->stub.base, &request, keep_and_free,
                                   &calls);
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    test_loop_settle(&f->t);
    assert_int_equal(calls, 1);
}

static outcome after_close;

static void close_and_call(const Helloworld__HelloReply *reply, void *user)
{
    fixture *f = user;

    (void)reply;
    weft_channel_close(f->channel);
    f->channel = NULL;
    call_with(&f->stub, "too late", &after_close);
    assert_int_equal(after_close.calls, 0);
}

static void who_closes_the_channel_may_still_call_it_in_vain(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;

    request.msg = "x";
    helloworld__greeter__say_hello(&f->stub.base, &request, close_and_call, f);
    until_calls(f, 1);
    peer_drop(&f->p, 0); /* so that nothing else keeps the channel */
    until_ended(f, &after_close);
    assert_int_equal(after_close.status, WEFT_UNAVAILABLE);
    assert_string_equal(after_close.message, "the channel is closed");
    assert_int_equal(after_close.handle, 0);
}

static void a_refusal_may_close_the_channel(void **state)
{
    fixture *f = *state;
    Helloworld__HelloReply wrong = HELLOWORLD__HELLO_REPLY__INIT;

    for (int i = 0; i < 2; i++)
        f->stub.base.invoke(&f->stub.base, 0, &wrong.base,
                            (ProtobufCClosure)close_and_call, f);
    until_ended(f, &after_close);
}

static outcome sibling;

static void cancel_sibling(const Helloworld__HelloReply *reply, void *user)
{
    (void)reply, (void)user;
    weft_cancel(sibling.handle);
    assert_int_equal(sibling.calls, 0);
}

static void a_callback_may_cancel_its_sibling(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;

    request.msg = "x";
    helloworld__greeter__say_hello(&f->stub.base, &request, cancel_sibling, f);
    call_with(&f->stub, "y", &sibling);
    until_calls(f, 2);
    peer_reply(&f->p, 0, "x");
    peer_reply(&f->p, 1, "in the same read");
    until_ended(f, &sibling);
    assert_int_equal(sibling.status, WEFT_CANCELLED);
}

static void close_it(const weft_endpoint_stats *e, void *user)
{
    fixture *f = user;

    (void)e;
    weft_channel_close(f->channel);
    f->channel = NULL;
}

static void each_endpoint_may_close_the_channel(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "static:///127.0.0.1:1,127.0.0.1:2,127.0.0.1:3",
           &(weft_channel_conf){COUNTING, .max_connecting = 1});
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    weft_channel_each_endpoint(f->channel, close_it, f);
    until_ended(f, &o);
}

static void close_loop_too(const weft_result *r, void *user)
{
    fixture *f = user;

    assert_int_equal(r->status, WEFT_CANCELLED);
    weft_loop_close(f->t.loop, NULL, NULL);
}

static void a_callback_of_the_close_may_close_the_loop(void **state)
{
    fixture *f = *state;

    assert_int_equal(
        weft_call_bytes(f->channel, NULL, "/a.B/C", "", 0, close_loop_too, f),
        WEFT_OK);
    weft_channel_close(f->channel);
    f->channel = NULL;
    peer_close(&f->p);
    weft_loop_free(f->t.loop);
    test_loop_init(&f->t);
    peer_open(&f->p, f->t.loop, "inproc:///peer");
}

/* ---- Refused before it begins ---- */

static void a_refused_call_has_no_handle(void **state)
{
    fixture *f = *state;
    weft_stub bad = f->stub;
    weft_handle handle = 42;
    static outcome o;

    bad.options.handle = &handle;
    bad.options.metadata =
        (weft_metadata){(weft_metadatum[]){{"not a key", "", 0}}, 1};
    call_with(&bad, "x", &o);
    assert_int_equal(handle, 0);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_INVALID_ARGUMENT);
    assert_string_equal(o.message, "a metadata key is not valid");
}

static void
a_target_that_its_resolver_refuses_fails_the_first_call(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "static:///10.0.0.7:8000;wait=5", &(weft_channel_conf){COUNTING});
    for (int i = 0; i < 2; i++) { /* at once, and the next one too */
        call_with(&f->stub, "x", &o);
        until_ended(f, &o);
        assert_int_equal(o.status, WEFT_INVALID_ARGUMENT);
        assert_non_null(strstr(o.message, "static:///10.0.0.7:8000;wait=5"));
        assert_string_equal(o.message, weft_channel_error(f->channel));
    }
}

static void a_resolver_that_cannot_start_yet_is_tried_again(void **state)
{
    fixture *f = *state;
    static outcome o;

    script_refuses = WEFT_EIO;
    reopen(f, "script:///x", &(weft_channel_conf){COUNTING});
    call_with(&f->stub, "x", &o);
    until_ended(f, &o);
    assert_int_not_equal(o.status, WEFT_OK);
    assert_string_equal(o.message, "the script says no");
    script_refuses = WEFT_OK;
    call_with(&f->stub, "x", &o);
    publish((const char *const[]){f->p.uri, NULL});
    until_calls(f, 1);
}

/* ---- Connections on their way out ---- */

static void a_call_that_meets_an_idle_close_gets_a_new_connection(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){COUNTING, .idle_ms = 100});
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
    for (int ms = 0; ms < 200 && f->p.n_calls < 2; ms++) {
        weft_channel_stats s = weft_channel_get_stats(f->channel);
        weft_fake_advance(&f->t.clock, 1);
        weft_loop_poll(f->t.loop);
        if (ms < 95 || o.calls == 0)
            continue;
        assert_int_equal(s.in_flight, 0);
        if (ms >= 99) /* the close has begun, and nothing has ended yet */
            call_with(&f->stub, "y", &o);
    }
    until_calls(f, 2);
    assert_int_equal(f->p.calls[1].conn_index, 1);
    peer_reply(&f->p, 1, "y");
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
}

static void when_one_connection_goes_its_sibling_takes_who_waits(void **state)
{
    fixture *f = *state;
    static outcome o[3], late;

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){COUNTING, .max_in_flight_per_connection = 2,
                                .max_connections_per_endpoint = 2,
                                .idle_ms = 100});
    for (int i = 0; i < 3; i++)
        call_with(&f->stub, "x", &o[i]);
    until_calls(f, 3);
    peer_reply(&f->p, 2, "x"); /* alone on its connection */
    peer_reply(&f->p, 1, "x");
    until_ended(f, &o[2]);
    until_ended(f, &o[1]);
    for (int ms = 0; ms < 100; ms++) {
        weft_fake_advance(&f->t.clock, 1);
        weft_loop_poll(f->t.loop);
    }
    call_with(&f->stub, "late", &late);
    until_calls(f, 4);
    assert_int_equal(f->p.calls[3].conn_index, f->p.calls[0].conn_index);
    peer_reply(&f->p, 3, "x");
    until_ended(f, &late);
}

static void a_further_connection_that_fails_is_not_tried_at_once(void **state)
{
    fixture *f = *state;
    static outcome o[40];
    uint64_t connects;

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){COUNTING, .max_in_flight_per_connection = 1,
                                .max_connections_per_endpoint = 4});
    call_with(&f->stub, "x", &o[0]);
    until_calls(f, 1);
    weft__listener_close(f->p.listener); /* nobody else gets in */
    f->p.listener = NULL;
    for (int i = 1; i < 40; i++) {
        call_with(&f->stub, "x", &o[i]);
        test_loop_settle(&f->t);
    }
    connects = weft_channel_get_stats(f->channel).connects;
    assert_int_equal(connects, 2);
    test_loop_advance(&f->t, 151); /* the back-off: 50 to 150 ms */
    assert_int_equal(weft_channel_get_stats(f->channel).connects, 3);
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 1);
}

static void a_server_that_sends_everybody_away_is_not_pestered(void **state)
{
    fixture *f = *state;
    weft_stub patient = f->stub;
    static outcome o;
    int goaways = 0;

    patient.options.wait_for_ready = true;
    call_with(&patient, "x", &o);
    for (int ms = 0; ms < 2000; ms++) {
        for (; goaways < f->p.n_conns; goaways++)
            if (f->p.conns[goaways] != NULL)
                peer_goaway(&f->p, goaways, "not here");
        weft_fake_advance(&f->t.clock, 1);
        weft_loop_poll(f->t.loop);
    }
    assert_in_range(weft_channel_get_stats(f->channel).connects, 2, 12);
}

/* ---- Refused calls and those that wait ---- */

static void a_refused_call_waits_for_the_one_that_is_busy(void **state)
{
    fixture *f = *state;
    static peer other;
    static outcome a, b, c, d;

    peer_open(&other, f->t.loop, "inproc:///other");
    reopen(f, "static:///inproc:other,inproc:peer", NULL);
    weft_channel_close(f->channel);
    open_channel(f, "script:///x",
                 &(weft_channel_conf){COUNTING,
                                      .max_in_flight_per_connection = 1,
                                      .max_connections_per_endpoint = 1});
    call_with(&f->stub, "a", &a);
    test_loop_settle(&f->t);
    publish((const char *const[]){"inproc:///other", "inproc:///peer", NULL});
    test_loop_settle(&f->t);
    call_with(&f->stub, "b", &b);
    test_loop_settle(&f->t);
    assert_int_equal(other.n_calls, 1);
    assert_int_equal(f->p.n_calls, 1);
    call_with(&f->stub, "c", &c); /* waits, behind the refused one */
    peer_reset(&other, 0, WEFT_UNAVAILABLE);
    test_loop_settle(&f->t);
    /* The refused one waits for `peer`; c takes the place that it left. */
    assert_int_equal(a.calls + b.calls, 0);
    assert_int_equal(other.n_calls, 2);
    assert_int_equal(other.calls[1].payload[2], 'c');
    call_with(&f->stub, "d", &d);
    peer_reply(&other, 1, "x");
    test_loop_settle(&f->t);
    assert_int_equal(other.n_calls, 3); /* nor does it keep d back */
    peer_reply(&f->p, 0, "x");
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_calls, 2);
    peer_reply(&f->p, 1, "x");
    peer_reply(&other, 2, "x");
    test_loop_settle(&f->t);
    assert_int_equal(a.status | b.status | c.status | d.status, WEFT_OK);
    assert_int_equal(a.calls + b.calls + c.calls + d.calls, 4);
    peer_close(&other);
}

static void who_does_not_wait_is_told_that_all_are_busy(void **state)
{
    fixture *f = *state;
    weft_stub hasty;
    static outcome a, b, c;

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){COUNTING, .max_in_flight_per_connection = 1,
                                .max_connections_per_endpoint = 1});
    hasty = f->stub;
    hasty.options.fail_fast = true;
    call_with(&f->stub, "x", &a);
    until_calls(f, 1);
    call_with(&hasty, "x", &b);
    until_ended(f, &b);
    assert_int_equal(b.status, WEFT_RESOURCE_EXHAUSTED);
    assert_string_equal(b.message, "every connection of inproc:///peer has "
                                   "max_in_flight_per_connection calls");
    call_with(&f->stub, "x", &c); /* and one that waits until its end */
    test_loop_advance(&f->t, 5001);
    assert_string_equal(c.message, "deadline 5000 ms: resolving 0, connecting "
                                   "5000, waiting 0; last error: every "
                                   "connection is at its limit");
    assert_int_equal(c.sent, WEFT_SENT_NEVER);
}

static void a_deadline_while_connecting_names_the_last_error(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o;

    reopen(f, "inproc:///nobody", &(weft_channel_conf){COUNTING});
    patient = f->stub;
    patient.options.wait_for_ready = true;
    patient.options.timeout_ms = 250;
    call_with(&patient, "x", &o);
    test_loop_settle(&f->t); /* resolved at once */
    test_loop_advance(&f->t, 251);
    until_ended(f, &o);
    assert_non_null(strstr(o.message,
                           "deadline 250 ms: resolving 0, connecting 250, "
                           "waiting 0; last error: inproc:///nobody "
                           "(connect: "));
}

/* ---- Lists ---- */

static void lists_may_change_while_endpoints_queue(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o;

    reopen(f, "script:///x",
           &(weft_channel_conf){COUNTING, .max_connecting = 1});
    patient = f->stub;
    patient.options.wait_for_ready = true;
    call_with(&patient, "x", &o);
    test_loop_settle(&f->t);
    for (int i = 0; i < 20; i++) {
        char a[32], b[32], c[32];
        snprintf(a, sizeof(a), "inproc:///nobody%d", i);
        snprintf(b, sizeof(b), "inproc:///nobody%d", i + 1);
        snprintf(c, sizeof(c), "inproc:///nobody%d", i + 2);
        publish((const char *const[]){a, b, c, NULL});
        weft_loop_poll(f->t.loop);
        assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 3);
    }
    publish((const char *const[]){"inproc:///peer", NULL});
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(f->channel).connections, 1);
}

static void who_leaves_the_list_and_comes_back_has_not_failed(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o;
    static const char *const one[] = {"inproc:///peer", NULL};

    reopen(f, "script:///x", &(weft_channel_conf){COUNTING});
    patient = f->stub;
    patient.options.wait_for_ready = true;
    call_with(&patient, "x", &o);
    weft_loop_poll(f->t.loop);
    publish(one);
    weft_loop_poll(f->t.loop); /* connecting */
    publish((const char *const[]){NULL});
    weft_loop_poll(f->t.loop);
    publish(one);
    until_calls(f, 1);
    assert_int_equal(weft_channel_get_stats(f->channel).connect_failures, 0);
}

/* ---- Memory ---- */

static void
an_endpoint_that_the_balancer_cannot_take_is_tried_again(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){COUNTING});
    counting.refuse_updates = 1;
    call_with(&f->stub, "x", &o);
    test_loop_advance(&f->t, 200); /* back-off */
    until_calls(f, 1);
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 1);
}

static void a_weight_that_cannot_be_taken_over_leaves_the_old_one(void **state)
{
    fixture *f = *state;
    static const char *const one[] = {"inproc:///peer", NULL};
    static outcome o;

    reopen(f, "script:///x", &(weft_channel_conf){COUNTING});
    call_with(&f->stub, "x", &o);
    weft_loop_poll(f->t.loop);
    publish(one);
    until_calls(f, 1);
    counting.refuse_updates = 1;
    publish_weighted(one, 7);
    test_loop_settle(&f->t);
    assert_int_equal(counting.weight[0], 100);
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 1);
    publish((const char *const[]){NULL}); /* it is taken out all the same */
    test_loop_settle(&f->t);
    assert_int_equal(counting.weight[0], 0);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
}

static void a_list_for_which_there_was_no_memory_is_taken_later(void **state)
{
    fixture *f = *state;
    weft_stub patient;
    static outcome o;
    bool failed;

    for (unsigned nth = 1, untouched = 0; untouched < 2; nth++) {
        reopen(f, "script:///x", &(weft_channel_conf){COUNTING});
        patient = f->stub;
        patient.options.wait_for_ready = true;
        call_with(&patient, "x", &o);
        weft_loop_poll(f->t.loop);
        publish((const char *const[]){"inproc:///a", "inproc:///peer", NULL});
        (void)weft_mem_fail_nth(nth);
        weft_loop_poll(f->t.loop); /* takes it over */
        failed = weft_mem_fail_nth(0) == 0;
        untouched += !failed;
        test_loop_advance(&f->t, 1500);
        assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 2);
        until_calls(f, (int)nth);
        peer_reply(&f->p, (int)nth - 1, "x");
        until_ended(f, &o);
        assert_int_equal(o.status, WEFT_OK);
    }
}

static void
a_long_list_takes_several_rounds_and_may_change_meanwhile(void **state)
{
    enum { LONG = 2500 };
    static const char *list[LONG + 1];
    static char text[LONG][32];
    fixture *f = *state;
    static outcome o;

    for (int i = 0; i < LONG; i++) {
        snprintf(text[i], sizeof(text[i]), "inproc:///%d", i);
        list[i] = text[i];
    }
    reopen(f, "script:///x", &(weft_channel_conf){COUNTING});
    call_with(&f->stub, "x", &o);
    weft_loop_poll(f->t.loop);
    publish((const char *const[]){"inproc:///peer", NULL});
    test_loop_settle(&f->t);
    publish(list);
    weft_loop_poll(f->t.loop);
    assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 1001);
    /* The old one serves until all of the new ones are there. */
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 1);
    weft_loop_poll(f->t.loop);
    assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 2001);
    list[2] = NULL;
    publish(list);
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(f->channel).endpoints, 2);
    list[2] = text[2];
    publish(list);
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(f->channel).endpoints, LONG);
}

static void null_is_tolerated(void **state)
{
    fixture *f = *state;
    weft_channel *ch = f->channel;
    weft_watch_info info;
    weft_stub nothing = weft_stub_for(NULL, NULL);
    static outcome o;

    assert_int_equal(weft_channel_new(&ch, NULL, "127.0.0.1:1", NULL),
                     WEFT_EINVAL);
    assert_null(ch);
    assert_int_equal(weft_channel_new(&ch, f->t.loop, NULL, NULL), WEFT_EINVAL);
    assert_string_equal(weft_channel_error(ch), "channel: the target is NULL");
    weft_channel_close(ch);
    weft_channel_close(NULL);
    weft_channel_each_endpoint(NULL, close_it, NULL);
    weft_cancel(0);
    assert_int_equal(weft_channel_get_stats(NULL).calls, 0);
    assert_int_equal(weft_channel_watch_info(NULL, &info), WEFT_ENOENT);
    assert_string_equal(weft_channel_error(NULL), "there is no channel");
    assert_int_equal(weft_stub_call(NULL, 0, NULL, on_generic_result, &o),
                     WEFT_EINVAL);
    assert_int_equal(weft_stub_call(&nothing, 0, NULL, on_generic_result, &o),
                     WEFT_EINVAL);
    assert_int_equal(
        weft_call_bytes(NULL, NULL, "/a.B/C", "", 0, on_generic_result, &o),
        WEFT_EINVAL);
    nothing = weft_stub_for(f->channel, NULL);
    assert_int_equal(weft_stub_call(&nothing, 0, NULL, on_generic_result, &o),
                     WEFT_EINVAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_result_may_be_kept_and_freed_in_its_own_callback),
        T(who_closes_the_channel_may_still_call_it_in_vain),
        T(a_refusal_may_close_the_channel),
        T(a_callback_may_cancel_its_sibling),
        T(each_endpoint_may_close_the_channel),
        T(a_callback_of_the_close_may_close_the_loop),
        T(a_refused_call_has_no_handle),
        T(a_target_that_its_resolver_refuses_fails_the_first_call),
        T(a_resolver_that_cannot_start_yet_is_tried_again),
        T(a_call_that_meets_an_idle_close_gets_a_new_connection),
        T(when_one_connection_goes_its_sibling_takes_who_waits),
        T(a_further_connection_that_fails_is_not_tried_at_once),
        T(a_server_that_sends_everybody_away_is_not_pestered),
        T(a_refused_call_waits_for_the_one_that_is_busy),
        T(who_does_not_wait_is_told_that_all_are_busy),
        T(a_deadline_while_connecting_names_the_last_error),
        T(lists_may_change_while_endpoints_queue),
        T(who_leaves_the_list_and_comes_back_has_not_failed),
        T(an_endpoint_that_the_balancer_cannot_take_is_tried_again),
        T(a_weight_that_cannot_be_taken_over_leaves_the_old_one),
        T(a_list_for_which_there_was_no_memory_is_taken_later),
        T(a_long_list_takes_several_rounds_and_may_change_meanwhile),
        T(null_is_tolerated),
    };

    weft_log_set_level(WEFT_LOG_OFF);
    weft_resolver_register(&script);
    weft_balancer_register(&counting_balancer);
    return cmocka_run_group_tests_name("client edges", tests, NULL, NULL);
}
