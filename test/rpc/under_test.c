/* under_test.c - calls on behalf of a call, over real servers and channels. */
#include "client_fixture.h"

typedef struct stage {
    test_loop t;
    weft_server *front;
    weft_channel *to_front, *to_back;
    peer back; /* played by hand */
    weft_stub stub;
} stage;

static weft_stub back_stub;
static weft_call *front_call;
static Helloworld__HelloReply_Closure front_reply;
static weft_status ended;
static int times_ended;
static outcome inner;

static void on_front_end(weft_call *call, weft_status status, void *user)
{
    (void)call, (void)user;
    ended = status;
    times_ended++;
}

static void on_inner(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();

    note_result(user, r, reply);
    weft_call_finish(front_call, r);
}

static void front_say_hello(Helloworld__Greeter_Service *self,
                            const Helloworld__HelloRequest *in,
                            Helloworld__HelloReply_Closure reply, void *call)
{
    weft_stub under = weft_stub_under(&back_stub, call);

    (void)self;
    front_call = call;
    front_reply = reply;
    times_ended = 0;
    memset(&inner, 0, sizeof(inner));
    weft_call_on_end(call, on_front_end, NULL);
    helloworld__greeter__say_hello(&under.base, in, on_inner, &inner);
}

static Helloworld__Greeter_Service front = HELLOWORLD__GREETER__INIT(front_);

static int setup(void **state)
{
    static stage s;

    memset(&s, 0, sizeof(s));
    weft_log_set_level(WEFT_LOG_OFF);
    test_loop_init(&s.t);
    peer_open(&s.back, s.t.loop, "inproc:///back");
    assert_int_equal(weft_server_new(&s.front, s.t.loop,
                                     &(weft_server_conf){.forward_metadata =
                                                             "tenant, x-id"}),
                     WEFT_OK);
    weft_server_add_service(s.front, &front.base);
    weft_server_listen(s.front, "inproc:///front");
    assert_int_equal(weft_server_start(s.front, NULL, NULL), WEFT_OK);
    weft_channel_new(&s.to_front, s.t.loop, "inproc:///front", NULL);
    weft_channel_new(&s.to_back, s.t.loop, "inproc:///back", NULL);
    s.stub = weft_stub_for(s.to_front, &helloworld__greeter__descriptor);
    back_stub = weft_stub_for(s.to_back, &helloworld__greeter__descriptor);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    stage *s = *state;

    weft_channel_close(s->to_front);
    weft_channel_close(s->to_back);
    weft_server_free(s->front);
    peer_close(&s->back);
    test_loop_settle(&s->t);
    test_loop_fini(&s->t);
    return 0;
}

static void until(stage *s, const int *n, int want)
{
    for (int i = 0; i < 200 && *n < want; i++)
        assert_int_equal(weft_loop_poll(s->t.loop), WEFT_OK);
    assert_int_equal(*n, want);
}

static void the_deadline_is_what_is_left(void **state)
{
    stage *s = *state;
    weft_stub quick = s->stub;
    static outcome o;

    quick.options.timeout_ms = 400;
    call_with(&quick, "x", &o);
    until(s, &s->back.n_calls, 1);
    assert_in_range(s->back.calls[0].timeout_ms, 300, 400);
    peer_reply(&s->back, 0, "from the back");
    until(s, &o.calls, 1);
    assert_string_equal(o.msg, "from the back");
}

static void a_shorter_deadline_of_its_own_stays(void **state)
{
    stage *s = *state;
    static outcome o;

    back_stub.options.timeout_ms = 50;
    call_with(&s->stub, "x", &o);
    until(s, &s->back.n_calls, 1);
    assert_int_equal(s->back.calls[0].timeout_ms, 50);
    test_loop_advance(&s->t, 51);
    until(s, &o.calls, 1);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED); /* forwarded */
    assert_non_null(strstr(o.message, "deadline 50 ms: "));
}

static void cancelling_the_parent_cancels_the_child(void **state)
{
    stage *s = *state;
    static outcome o;

    call_with(&s->stub, "x", &o);
    until(s, &s->back.n_calls, 1);
    weft_cancel(o.handle);
    until(s, &s->back.n_resets, 1); /* the far end hears of it */
    assert_int_equal(inner.status, WEFT_CANCELLED);
    assert_string_equal(inner.message, "the parent call has ended");
    assert_int_equal(ended, WEFT_CANCELLED);
    assert_int_equal(times_ended, 1);
}

static void the_parents_deadline_ends_the_child(void **state)
{
    stage *s = *state;
    weft_stub quick = s->stub;
    static outcome o;

    quick.options.timeout_ms = 100;
    call_with(&quick, "x", &o);
    until(s, &s->back.n_calls, 1);
    test_loop_advance(&s->t, 150);
    until(s, &o.calls, 1);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(inner.status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(times_ended, 1);
}

static void only_the_named_metadata_is_carried_on(void **state)
{
    stage *s = *state;
    weft_stub tagged = s->stub;
    static outcome o;

    tagged.options.metadata = (weft_metadata){
        (weft_metadatum[]){{"tenant", "blue", 4}, {"secret", "no", 2}}, 2};
    call_with(&tagged, "x", &o);
    until(s, &s->back.n_calls, 1);
    assert_string_equal(s->back.calls[0].metadata, "tenant=blue;");
}

static void a_failure_is_forwarded_whole(void **state)
{
    stage *s = *state;
    static outcome o;

    call_with(&s->stub, "x", &o);
    until(s, &s->back.n_calls, 1);
    peer_fail(&s->back, 0, WEFT_OUT_OF_RANGE, "too far");
    until(s, &o.calls, 1);
    assert_int_equal(o.status, WEFT_OUT_OF_RANGE);
    assert_string_equal(o.message, "too far");
}

static void under_a_call_that_has_ended_there_are_no_calls(void **state)
{
    stage *s = *state;
    weft_stub under;
    static outcome o, late;

    call_with(&s->stub, "x", &o);
    until(s, &s->back.n_calls, 1);
    peer_reply(&s->back, 0, "x");
    until(s, &o.calls, 1);
    under = weft_stub_under(&back_stub, front_call);
    call_with(&under, "y", &late);
    assert_int_equal(late.calls, 0);
    until(s, &late.calls, 1);
    assert_int_not_equal(late.status, WEFT_OK);
    assert_string_equal(late.message, "the parent call has ended");
    assert_int_equal(s->back.n_calls, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_deadline_is_what_is_left),
        T(a_shorter_deadline_of_its_own_stays),
        T(cancelling_the_parent_cancels_the_child),
        T(the_parents_deadline_ends_the_child),
        T(only_the_named_metadata_is_carried_on),
        T(a_failure_is_forwarded_whole),
        T(under_a_call_that_has_ended_there_are_no_calls),
    };
    return cmocka_run_group_tests_name("calls under a call", tests, NULL, NULL);
}
