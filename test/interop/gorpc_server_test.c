/* gorpc_server_test.c - a Weft channel in front of gorpc's server: one call per
 * connection, nothing that gorpc does not know, and its answers as they are. */
#include "interop.h"

#define BURST 60
#define CAP 8

typedef struct outcome {
    bool done;
    unsigned times;
    weft_status status;
    weft_sent sent;
    uint32_t raw_code;
    size_t n_metadata;
    char message[256];
    char *msg; /* of the reply; NULL: none */
    weft_handle handle;
} outcome;

typedef struct side {
    interop *f;
    gorpc_server *server;
    weft_channel *channel;
    weft_stub stub;
} side;

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    outcome *o = user;

    o->done = true;
    o->times++;
    o->status = r->status;
    o->sent = r->sent;
    o->raw_code = r->raw_code;
    o->n_metadata = r->metadata.n;
    snprintf(o->message, sizeof(o->message), "%s", r->message);
    o->msg = reply != NULL ? strdup(reply->msg) : NULL;
}

static void begin(const weft_stub *stub, const char *msg, outcome *o)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_stub once = *stub;
    char *copy = strdup(msg);

    free(o->msg);
    memset(o, 0, sizeof(*o));
    once.options.handle = &o->handle;
    request.msg = copy;
    helloworld__greeter__say_hello(&once.base, &request, on_reply, o);
    free(copy);
}

static void call(side *s, const char *msg, outcome *o)
{
    begin(&s->stub, msg, o);
    interop_until(s->f, o->done);
}

static void assert_said(const outcome *o, const char *msg)
{
    assert_string_equal(o->message, "");
    assert_int_equal(o->status, WEFT_OK);
    assert_int_equal(o->times, 1);
    assert_string_equal(o->msg, msg);
    assert_int_equal(o->n_metadata, 0);
}

static void assert_hello(side *s, const char *name)
{
    outcome o = {0};
    char want[64];

    call(s, name, &o);
    snprintf(want, sizeof(want), "hello %s", name);
    assert_said(&o, want);
    free(o.msg);
}

static void open_side(side *s, interop *f, const weft_channel_conf *conf)
{
    char target[64];

    *s = (side){.f = f, .server = gorpc_server_start(0)};
    assert_non_null(s->server);
    snprintf(target, sizeof(target), "static:///127.0.0.1:%u",
             gorpc_server_port(s->server));
    assert_int_equal(weft_channel_new(&s->channel, f->t.loop, target, conf),
                     WEFT_OK);
    s->stub = weft_stub_for(s->channel, &helloworld__greeter__descriptor);
}

/* gorpc was never sent what it does not know. */
static void close_side(side *s)
{
    gorpc_server_counts n = gorpc_server_look(s->server);

    assert_int_equal(n.pushed, 0);
    assert_int_equal(n.noisy, 0);
    assert_int_equal(n.frames - n.calls, n.accepted); /* a probe each */
    weft_channel_close(s->channel);
    interop_turn(s->f);
    gorpc_server_stop(s->server);
}

/* Lets both clocks run until the condition holds: ours, which back-off goes by,
 * and the machine's, which the server does. */
#define pass_until(s, condition)                                               \
    do {                                                                       \
        for (int steps_ = 0; !(condition) && steps_ < 2000; steps_++) {        \
            weft_fake_advance(&(s)->f->t.clock, 10);                           \
            interop_turn((s)->f);                                              \
        }                                                                      \
        assert_true(condition);                                                \
    } while (0)

static bool has_calls(side *s, unsigned n)
{
    return gorpc_server_look(s->server).calls >= n;
}

static void the_probe_is_answered_and_the_connection_used(void **state)
{
    side s;

    open_side(&s, *state, NULL);
    for (int i = 0; i < 10; i++)
        assert_hello(&s, "you");
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    assert_int_equal(gorpc_server_look(s.server).frames, 11);
    close_side(&s);
}

static void concurrency_takes_connections_up_to_the_cap(void **state)
{
    static outcome o[BURST];
    char name[16], want[32];
    side s;

    open_side(&s, *state,
              &(weft_channel_conf){.max_gorpc_connections_per_endpoint = CAP});
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &o[0]);
    interop_until(s.f, has_calls(&s, 1));
    for (unsigned i = 1; i < BURST; i++) {
        snprintf(name, sizeof(name), i % 2 != 0 ? "slow" : "%u", i);
        begin(&s.stub, name, &o[i]);
    }
    /* all connections at once, not one after the other */
    assert_int_equal(weft_loop_poll(s.f->t.loop), WEFT_OK);
    assert_int_equal(weft_channel_get_stats(s.channel).connections, CAP);
    /* every connection is held up by a slow one */
    interop_until(s.f, gorpc_server_look(s.server).calls >= CAP);
    for (int i = 0; i < 20; i++)
        interop_turn(s.f);
    assert_int_equal(weft_channel_get_stats(s.channel).connections, CAP);
    gorpc_server_hold(s.server, false);
    for (unsigned i = 0; i < BURST; i++) {
        interop_until(s.f, o[i].done);
        snprintf(want, sizeof(want),
                 i % 2 != 0 || i == 0 ? "hello slow" : "hello %u", i);
        assert_said(&o[i], want);
        free(o[i].msg);
        o[i] = (outcome){0};
    }
    assert_int_equal(gorpc_server_look(s.server).accepted, CAP);
    assert_int_equal(gorpc_server_look(s.server).calls, BURST);
    close_side(&s);
}

static void a_cancelled_call_s_reply_is_dropped(void **state)
{
    outcome o = {0};
    side s;

    open_side(&s, *state,
              &(weft_channel_conf){.max_gorpc_connections_per_endpoint = 1});
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &o);
    interop_until(s.f, has_calls(&s, 1));
    weft_cancel(o.handle);
    assert_false(o.done);
    interop_until(s.f, o.done);
    assert_int_equal(o.status, WEFT_CANCELLED);
    /* It keeps its place until the reply has come, then the next one goes. */
    begin(&s.stub, "next", &o);
    for (int i = 0; i < 20; i++)
        interop_turn(s.f);
    assert_int_equal(gorpc_server_look(s.server).calls, 1);
    gorpc_server_hold(s.server, false);
    interop_until(s.f, o.done);
    assert_said(&o, "hello next");
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    free(o.msg);
    close_side(&s);
}

static void a_late_reply_is_dropped_and_its_connection_kept(void **state)
{
    outcome o = {0};
    side s;

    open_side(&s, *state,
              &(weft_channel_conf){.max_gorpc_connections_per_endpoint = 1});
    s.stub.options.timeout_ms = 200;
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &o);
    interop_until(s.f, has_calls(&s, 1));
    test_loop_advance(&s.f->t, 210);
    interop_until(s.f, o.done);
    assert_int_equal(o.status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    assert_non_null(strstr(o.message, "deadline 200 ms"));
    gorpc_server_hold(s.server, false);
    assert_hello(&s, "next");
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    close_side(&s);
}

static void an_overdue_reply_closes_its_connection(void **state)
{
    outcome o = {0};
    side s;

    open_side(&s, *state,
              &(weft_channel_conf){.max_gorpc_connections_per_endpoint = 1,
                                   .timeout_ms = 1000});
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &o);
    interop_until(s.f, has_calls(&s, 1));
    weft_cancel(o.handle);
    interop_until(s.f, o.done);
    s.stub.options.timeout_ms = 5000;
    begin(&s.stub, "later", &o);
    test_loop_advance(&s.f->t, 990);
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    assert_false(o.done);
    pass_until(&s, o.done);
    assert_said(&o, "hello later");
    assert_int_equal(gorpc_server_look(s.server).accepted, 2);
    free(o.msg);
    gorpc_server_hold(s.server, false);
    close_side(&s);
}

static void codes_are_read_and_kept(void **state)
{
    static const struct {
        uint32_t code;
        weft_status status;
    } codes[] = {{1, WEFT_CANCELLED},         {5, WEFT_NOT_FOUND},
                 {14, WEFT_UNAVAILABLE},      {16, WEFT_UNAUTHENTICATED},
                 {100, WEFT_INTERNAL},        {101, WEFT_FAILED_PRECONDITION},
                 {201, WEFT_UNIMPLEMENTED},   {301, WEFT_INVALID_ARGUMENT},
                 {401, WEFT_UNAUTHENTICATED}, {17, WEFT_UNKNOWN},
                 {4242, WEFT_UNKNOWN},        {4294967295u, WEFT_UNKNOWN}};
    outcome o = {0};
    char msg[64];
    side s;

    open_side(&s, *state, NULL);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        snprintf(msg, sizeof(msg), "fail %u no such order", codes[i].code);
        call(&s, msg, &o);
        assert_int_equal(o.status, codes[i].status);
        assert_int_equal(o.raw_code, codes[i].code);
        assert_string_equal(o.message, "no such order");
        assert_null(o.msg);
    }
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    close_side(&s);
}

static void metadata_arrives_and_none_comes_back(void **state)
{
    static const weft_metadatum md[] = {{"tenant", "blue", 4},
                                        {"empty", "", 0},
                                        {"authorization", "Bearer", 6}};
    outcome o = {0};
    side s;

    open_side(&s, *state, NULL);
    s.stub.options.metadata = (weft_metadata){md, 3};
    call(&s, "metadata", &o);
    assert_said(&o, "tenant=blue;empty=;authorization=Bearer;");
    free(o.msg);
    close_side(&s);
}

static void empty_messages_are_understood_both_ways(void **state)
{
    gorpc_server_counts n;
    outcome o = {0};
    side s;

    open_side(&s, *state, NULL);
    call(&s, "", &o); /* filled, or gorpc refuses it */
    assert_said(&o, "hello ");
    n = gorpc_server_look(s.server);
    assert_int_equal(n.payload_len, 6);
    assert_memory_equal(n.payload, "\xf8\xff\xff\xff\x0f\x00", 6);
    call(&s, "empty", &o);
    assert_said(&o, "");
    free(o.msg);
    close_side(&s);
}

/* ---- 4 MiB ---- */

static void call_big(side *s, size_t len, outcome *o)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'y', len);
    memcpy(text, "count", 5);
    text[len] = '\0';
    call(s, text, o);
    free(text);
}

static void requests_may_be_4_mib_and_fail_above_unsent(void **state)
{
    const size_t longest =
        GORPC_MAX_BODY - (2 + sizeof(GORPC_HELLO) - 1) - 5 - 5;
    outcome o = {0};
    char want[32];
    side s;

    open_side(&s, *state, NULL);
    call_big(&s, longest, &o);
    snprintf(want, sizeof(want), "%zu", longest);
    assert_said(&o, want);
    call_big(&s, longest + 1, &o);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    assert_non_null(strstr(o.message, "max_frame_bytes"));
    assert_hello(&s, "next");
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    close_side(&s);
}

static void replies_may_be_4_mib_and_end_the_connection_above(void **state)
{
    const size_t longest = GORPC_MAX_BODY - 9 - 5 - 5;
    outcome o = {0};
    char msg[32];
    side s;

    open_side(&s, *state, NULL);
    snprintf(msg, sizeof(msg), "give %zu", longest);
    call(&s, msg, &o);
    assert_int_equal(o.status, WEFT_OK);
    assert_int_equal(strlen(o.msg), longest);
    snprintf(msg, sizeof(msg), "give %zu", longest + 1);
    call(&s, msg, &o);
    assert_null(o.msg);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    assert_non_null(strstr(o.message, "max_frame_bytes"));
    begin(&s.stub, "next", &o);
    pass_until(&s, o.done);
    assert_said(&o, "hello next");
    assert_int_equal(gorpc_server_look(s.server).accepted, 2);
    free(o.msg);
    close_side(&s);
}

static void one_way_calls_are_refused_before_they_are_sent(void **state)
{
    outcome o = {0};
    side s;

    open_side(&s, *state, NULL);
    s.stub.options.one_way = true;
    call(&s, "x", &o);
    assert_int_equal(o.status, WEFT_UNIMPLEMENTED);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    s.stub.options.one_way = false;
    assert_hello(&s, "y");
    assert_int_equal(gorpc_server_look(s.server).calls, 1);
    close_side(&s);
}

static void gorpc_hears_no_heartbeat(void **state)
{
    side s;

    open_side(&s, *state, NULL);
    assert_hello(&s, "x");
    test_loop_advance(&s.f->t, 290000);
    assert_int_equal(gorpc_server_look(s.server).frames, 2);
    assert_int_equal(gorpc_server_look(s.server).open, 1);
    assert_hello(&s, "y");
    assert_int_equal(gorpc_server_look(s.server).accepted, 1);
    /* nor is it silent for ever: then the channel closes it */
    test_loop_advance(&s.f->t, 301000);
    interop_until(s.f, gorpc_server_look(s.server).open == 0);
    assert_hello(&s, "z");
    close_side(&s);
}

/* ---- Servers that go ---- */

static void a_reply_cut_short_fails_its_call_alone(void **state)
{
    static const char *const ends[] = {"cut", "drop"};
    outcome o = {0}, held = {0};
    side s;

    open_side(&s, *state, NULL);
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &held);
    interop_until(s.f, has_calls(&s, 1));
    for (size_t i = 0; i < 2; i++) {
        call(&s, ends[i], &o);
        assert_int_equal(o.status, WEFT_UNAVAILABLE);
        assert_int_equal(o.sent, WEFT_SENT_MAYBE);
        assert_non_null(strstr(o.message, "waiting for 127.0.0.1:"));
        assert_hello(&s, "next");
    }
    gorpc_server_hold(s.server, false);
    interop_until(s.f, held.done);
    assert_said(&held, "hello slow");
    free(held.msg);
    close_side(&s);
}

static void an_idle_connection_that_gorpc_closed_costs_no_call(void **state)
{
    side s;

    open_side(&s, *state, NULL);
    assert_hello(&s, "x");
    gorpc_server_drop_all(s.server);
    interop_until(s.f, weft_channel_get_stats(s.channel).connections == 0);
    pass_until(&s, weft_channel_get_stats(s.channel).ready_endpoints == 1);
    assert_hello(&s, "y");
    assert_int_equal(gorpc_server_look(s.server).accepted, 2);
    close_side(&s);
}

static void a_restarted_server_is_found_again(void **state)
{
    outcome held = {0}, o = {0};
    uint16_t port;
    side s;

    open_side(&s, *state, NULL);
    port = gorpc_server_port(s.server);
    gorpc_server_hold(s.server, true);
    begin(&s.stub, "slow", &held);
    interop_until(s.f, has_calls(&s, 1));
    gorpc_server_drop_all(s.server);
    interop_until(s.f, held.done);
    assert_int_equal(held.status, WEFT_UNAVAILABLE);
    gorpc_server_stop(s.server);

    /* gone: calls fail at once, and say what was tried */
    begin(&s.stub, "x", &o);
    pass_until(&s, o.done);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    assert_non_null(strstr(o.message, "refused"));

    s.server = gorpc_server_start(port);
    assert_non_null(s.server);
    pass_until(&s, weft_channel_get_stats(s.channel).ready_endpoints == 1);
    assert_hello(&s, "y");
    close_side(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTEROP_TEST(the_probe_is_answered_and_the_connection_used),
        INTEROP_TEST(concurrency_takes_connections_up_to_the_cap),
        INTEROP_TEST(a_cancelled_call_s_reply_is_dropped),
        INTEROP_TEST(a_late_reply_is_dropped_and_its_connection_kept),
        INTEROP_TEST(an_overdue_reply_closes_its_connection),
        INTEROP_TEST(codes_are_read_and_kept),
        INTEROP_TEST(metadata_arrives_and_none_comes_back),
        INTEROP_TEST(empty_messages_are_understood_both_ways),
        INTEROP_TEST(requests_may_be_4_mib_and_fail_above_unsent),
        INTEROP_TEST(replies_may_be_4_mib_and_end_the_connection_above),
        INTEROP_TEST(one_way_calls_are_refused_before_they_are_sent),
        INTEROP_TEST(gorpc_hears_no_heartbeat),
        INTEROP_TEST(a_reply_cut_short_fails_its_call_alone),
        INTEROP_TEST(an_idle_connection_that_gorpc_closed_costs_no_call),
        INTEROP_TEST(a_restarted_server_is_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
