/* client_call_test.c - what a caller may rely on, rule by rule. */
#include "client_fixture.h"

static void a_call_comes_back_with_its_reply(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "you", &o);
    assert_int_equal(o.calls, 0);
    until_calls(f, 1);
    assert_string_equal(f->p.calls[0].path, "/helloworld.Greeter/SayHello");
    assert_memory_equal(f->p.calls[0].payload, "\x0a\x03you", 5);
    peer_reply(&f->p, 0, "hello you");
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
    assert_string_equal(o.msg, "hello you");
    assert_string_equal(o.peer, "inproc:///peer");
}

static void a_failure_keeps_its_code_and_text(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "you", &o);
    until_calls(f, 1);
    peer_fail(&f->p, 0, WEFT_NOT_FOUND, "nobody here");
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_NOT_FOUND);
    assert_string_equal(o.message, "nobody here");
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
}

static void many_calls_share_one_connection(void **state)
{
    fixture *f = *state;
    static outcome o[50];

    for (int i = 0; i < 50; i++)
        call_with(&f->stub, "x", &o[i]);
    until_calls(f, 50);
    assert_int_equal(f->p.n_conns, 1);
    for (int i = 49; i >= 0; i--) { /* in whatever order */
        char msg[16];
        snprintf(msg, sizeof(msg), "%d", i);
        peer_reply(&f->p, i, msg);
    }
    for (int i = 0; i < 50; i++) {
        char msg[16];
        until_ended(f, &o[i]);
        snprintf(msg, sizeof(msg), "%d", i);
        assert_string_equal(o[i].msg, msg);
    }
}

static void the_deadline_travels_and_names_its_phases(void **state)
{
    fixture *f = *state;
    weft_stub quick = f->stub;
    static outcome o;

    quick.options.timeout_ms = 300;
    call_with(&quick, "you", &o);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].timeout_ms, 300);
    test_loop_advance(&f->t, 299);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 2);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
    assert_string_equal(o.message, "deadline 300 ms: resolving 0, connecting "
                                   "0, waiting 300 for inproc:///peer");
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_resets, 1); /* the server hears of it */
    assert_int_equal(f->p.last_reset, WEFT_DEADLINE_EXCEEDED);
}

static void five_seconds_is_the_deadline_that_nobody_named(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "you", &o);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].timeout_ms, 5000);
    test_loop_advance(&f->t, 5001);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
}

/* Among them are some that have ended, and some with a time of their own. */
static void each_call_ends_when_its_own_time_has_passed(void **state)
{
    enum { N = 40 };
    fixture *f = *state;
    weft_stub quick = f->stub;
    static outcome o[N];

    quick.options.timeout_ms = 1000;
    for (int i = 0; i < N; i++) {
        o[i] = (outcome){.calls = 0};
        call_with(i % 4 == 3 ? &quick : &f->stub, "you", &o[i]);
        until_calls(f, i + 1);
        test_loop_advance(&f->t, 10);
    }
    for (int i = 0; i < N; i += 4) { /* the first of the row is one of them */
        peer_reply(&f->p, i, "hello");
        until_ended(f, &o[i]);
        assert_int_equal(o[i].status, WEFT_OK);
    }
    /* 10 * N ms have passed since the first began. */
    for (int now = 10 * N; now < 5000 + 10 * N; now += 5) {
        for (int i = 0; i < N; i++)
            assert_int_equal(o[i].calls,
                             i % 4 == 0 ||
                                 (i % 4 == 3 ? 1000 : 5000) + 10 * i <= now);
        test_loop_advance(&f->t, 5);
        test_loop_settle(&f->t);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(o[i].status,
                         i % 4 == 0 ? WEFT_OK : WEFT_DEADLINE_EXCEEDED);
}

/* More than may end before the loop sees to others. */

static void a_thousand_deadlines_pass_at_once(void **state)
{
    enum { N = 1000 };
    fixture *f = *state;
    static outcome o[N];

    for (int i = 0; i < N; i++) {
        o[i] = (outcome){.calls = 0};
        call_with(&f->stub, "you", &o[i]);
    }
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 5001);
    test_loop_settle(&f->t);
    for (int i = 0; i < N; i++) {
        assert_int_equal(o[i].calls, 1);
        assert_int_equal(o[i].status, WEFT_DEADLINE_EXCEEDED);
    }
}

static void a_call_without_deadline_waits(void **state)
{
    fixture *f = *state;
    weft_stub patient = f->stub;
    static outcome o;

    patient.options.timeout_ms = WEFT_NO_DEADLINE;
    call_with(&patient, "you", &o);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].timeout_ms, 0);
    test_loop_advance(&f->t, 100000);
    assert_int_equal(o.calls, 0);
    peer_reply(&f->p, 0, "at last");
    until_ended(f, &o);
    assert_string_equal(o.msg, "at last");
}

static void cancel_calls_back_later_and_tells_the_server(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "you", &o);
    until_calls(f, 1);
    weft_cancel(o.handle);
    assert_int_equal(o.calls, 0); /* not on this stack */
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_CANCELLED);
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    test_loop_settle(&f->t);
    assert_int_equal(f->p.n_resets, 1);
    weft_cancel(o.handle); /* stale: harmless */
}

static void cancelling_before_it_is_sent_sends_nothing(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "you", &o);
    weft_cancel(o.handle);
    weft_cancel(o.handle);
    until_ended(f, &o);
    test_loop_settle(&f->t);
    assert_int_equal(o.status, WEFT_CANCELLED);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    assert_int_equal(f->p.n_calls, 0);
}

static void options_belong_to_the_copy(void **state)
{
    fixture *f = *state;
    weft_stub one = f->stub;
    static outcome a, b;

    one.options.metadata =
        (weft_metadata){(weft_metadatum[]){{"tenant", "blue", 4}}, 1};
    one.options.service = "other.Name";
    call_with(&one, "x", &a);
    call_with(&f->stub, "x", &b);
    until_calls(f, 2);
    assert_string_equal(f->p.calls[0].path, "/other.Name/SayHello");
    assert_string_equal(f->p.calls[0].metadata, "tenant=blue;");
    assert_string_equal(f->p.calls[1].path, "/helloworld.Greeter/SayHello");
    assert_string_equal(f->p.calls[1].metadata, "");
    peer_reply(&f->p, 0, "x");
    peer_reply(&f->p, 1, "x");
    until_ended(f, &b);
}

static void by_descriptor_and_by_bytes(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    static outcome a, b;

    request.msg = "m";
    assert_int_equal(
        weft_stub_call(&f->stub, 0, &request.base, on_generic_result, &a),
        WEFT_OK);
    assert_int_equal(weft_call_bytes(f->channel, NULL, "/any.Service/Method",
                                     "raw", 3, on_generic_result, &b),
                     WEFT_OK);
    until_calls(f, 2);
    assert_string_equal(f->p.calls[1].path, "/any.Service/Method");
    assert_memory_equal(f->p.calls[1].payload, "raw", 3);
    peer_reply(&f->p, 0, "typed");
    peer_reply_bytes(&f->p, 1, "bytes", 5);
    until_ended(f, &a);
    until_ended(f, &b);
    assert_string_equal(a.msg, "typed");
    assert_int_equal(b.status, WEFT_OK);
}

static void generic_calls_return_what_stubs_call_back(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    Helloworld__HelloReply wrong = HELLOWORLD__HELLO_REPLY__INIT;
    static outcome o;

    assert_int_equal(
        weft_stub_call(&f->stub, 7, &request.base, on_generic_result, &o),
        WEFT_EINVAL);
    assert_int_equal(
        weft_stub_call(&f->stub, 0, &wrong.base, on_generic_result, &o),
        WEFT_EINVAL);
    assert_int_equal(weft_stub_call(&f->stub, 0, NULL, on_generic_result, &o),
                     WEFT_EINVAL);
    assert_int_equal(weft_call_bytes(f->channel, NULL, "no slash", "", 0,
                                     on_generic_result, &o),
                     WEFT_EINVAL);
    test_loop_settle(&f->t);
    assert_int_equal(o.calls, 0);
}

static void a_wrong_type_is_refused_by_the_callback_later(void **state)
{
    fixture *f = *state;
    Helloworld__HelloReply wrong = HELLOWORLD__HELLO_REPLY__INIT;
    static outcome o;

    f->stub.base.invoke(&f->stub.base, 0, &wrong.base,
                        (ProtobufCClosure)on_stub_reply, &o);
    assert_int_equal(o.calls, 0);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_INVALID_ARGUMENT);
    assert_string_equal(o.message, "the request is not of the method's type");
}

static void refusals_beyond_the_reserve_call_back_inline(void **state)
{
    fixture *f = *state;
    Helloworld__HelloReply wrong = HELLOWORLD__HELLO_REPLY__INIT;
    static outcome o[80];
    int later = 0, at_once = 0;

    memset(o, 0, sizeof(o));
    for (int i = 0; i < 80; i++) {
        f->stub.base.invoke(&f->stub.base, 0, &wrong.base,
                            (ProtobufCClosure)on_stub_reply, &o[i]);
        at_once += o[i].calls;
    }
    assert_int_equal(at_once, 16);
    assert_int_equal(o[79].status, WEFT_RESOURCE_EXHAUSTED);
    test_loop_settle(&f->t);
    for (int i = 0; i < 80; i++) {
        assert_int_equal(o[i].calls, 1);
        later += o[i].status == WEFT_INVALID_ARGUMENT;
    }
    assert_int_equal(later, 64);
}

static void without_a_channel_calls_fail(void **state)
{
    weft_stub stub = weft_stub_for(NULL, &helloworld__greeter__descriptor);
    static outcome o;

    (void)state;
    call_with(&stub, "x", &o);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.status, WEFT_FAILED_PRECONDITION);
}

/* ---- Results that are kept, callbacks that close ---- */

static weft_result *kept;

static void keep(const Helloworld__HelloReply *reply, void *user)
{
    (void)reply;
    kept = weft_result_keep();
    assert_null(weft_result_keep()); /* once */
    ++*(int *)user;
}

static void a_result_can_be_taken_along(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    int calls = 0;

    request.msg = "x";
    helloworld__greeter__say_hello(&f->stub.base, &request, keep, &calls);
    until_calls(f, 1);
    peer_reply(&f->p, 0, "kept");
    test_loop_settle(&f->t);
    assert_int_equal(calls, 1);
    weft_channel_close(f->channel); /* outlives its channel */
    f->channel = NULL;
    test_loop_settle(&f->t);
    assert_string_equal(((Helloworld__HelloReply *)kept->reply)->msg, "kept");
    assert_string_equal(kept->peer, "inproc:///peer");
    weft_result_free(kept);
}

static void keep_refusal(const Helloworld__HelloReply *reply, void *user)
{
    (void)reply, (void)user;
    kept = weft_result_keep();
}

static void a_refusal_can_be_taken_along(void **state)
{
    fixture *f = *state;
    Helloworld__HelloReply wrong = HELLOWORLD__HELLO_REPLY__INIT;
    int calls = 0;

    f->stub.base.invoke(&f->stub.base, 0, &wrong.base,
                        (ProtobufCClosure)keep_refusal, &calls);
    test_loop_settle(&f->t);
    assert_int_equal(kept->status, WEFT_INVALID_ARGUMENT);
    assert_string_equal(kept->message,
                        "the request is not of the method's type");
    weft_result_free(kept);
}

static void close_channel(const Helloworld__HelloReply *reply, void *user)
{
    fixture *f = user;

    (void)reply;
    weft_channel_close(f->channel);
    f->channel = NULL;
}

static void a_callback_may_close_the_channel(void **state)
{
    fixture *f = *state;
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    static outcome other;

    request.msg = "x";
    helloworld__greeter__say_hello(&f->stub.base, &request, close_channel, f);
    call_with(&f->stub, "y", &other);
    until_calls(f, 2);
    peer_reply(&f->p, 0, "bye");
    until_ended(f, &other);
    assert_int_equal(other.status, WEFT_CANCELLED);
    assert_string_equal(other.message, "the channel was closed");
}

static void closing_ends_every_call(void **state)
{
    fixture *f = *state;
    static outcome sent, waiting;

    call_with(&f->stub, "a", &sent);
    until_calls(f, 1);
    call_with(&f->stub, "b", &waiting);
    weft_channel_close(f->channel);
    f->channel = NULL;
    assert_int_equal(sent.calls, 0);
    until_ended(f, &sent);
    until_ended(f, &waiting);
    assert_int_equal(sent.status, WEFT_CANCELLED);
    assert_int_equal(waiting.status, WEFT_CANCELLED);
}

static void close_loop(const Helloworld__HelloReply *reply, void *user)
{
    (void)reply;
    weft_loop_close(user, NULL, NULL);
}

static void a_callback_may_close_the_loop(void **state)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_loop *loop;
    weft_channel *channel;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    assert_int_equal(weft_channel_new(&channel, loop, "127.0.0.1:1", NULL),
                     WEFT_OK);
    weft_stub stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    request.msg = "x";
    helloworld__greeter__say_hello(&stub.base, &request, close_loop, loop);
    weft_loop_run(loop); /* port 1 refuses; the callback closes all */
}

/* ---- Bad replies ---- */

static void a_reply_that_does_not_decode_says_so(void **state)
{
    fixture *f = *state;
    static outcome o;

    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    peer_reply_bytes(&f->p, 0, "\x0a\xff", 2); /* a cut length */
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_INTERNAL);
    assert_non_null(strstr(o.message, "the reply of inproc:///peer cannot be "
                                      "used: "));
}

static void one_way_calls_end_when_they_are_handed_over(void **state)
{
    fixture *f = *state;
    weft_stub one_way = f->stub;
    static outcome o;

    one_way.options.one_way = true;
    call_with(&one_way, "x", &o);
    until_ended(f, &o);
    assert_int_equal(o.status, WEFT_OK);
    until_calls(f, 1);
    assert_true(f->p.calls[0].one_way);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_comes_back_with_its_reply),
        T(a_failure_keeps_its_code_and_text),
        T(many_calls_share_one_connection),
        T(the_deadline_travels_and_names_its_phases),
        T(five_seconds_is_the_deadline_that_nobody_named),
        T(each_call_ends_when_its_own_time_has_passed),
        T(a_thousand_deadlines_pass_at_once),
        T(a_call_without_deadline_waits),
        T(cancel_calls_back_later_and_tells_the_server),
        T(cancelling_before_it_is_sent_sends_nothing),
        T(options_belong_to_the_copy),
        T(by_descriptor_and_by_bytes),
        T(generic_calls_return_what_stubs_call_back),
        T(a_wrong_type_is_refused_by_the_callback_later),
        T(refusals_beyond_the_reserve_call_back_inline),
        cmocka_unit_test(without_a_channel_calls_fail),
        T(a_result_can_be_taken_along),
        T(a_refusal_can_be_taken_along),
        T(a_callback_may_close_the_channel),
        T(closing_ends_every_call),
        cmocka_unit_test(a_callback_may_close_the_loop),
        T(a_reply_that_does_not_decode_says_so),
        T(one_way_calls_end_when_they_are_handed_over),
    };
    return cmocka_run_group_tests_name("client calls", tests, NULL, NULL);
}
