/* The drain, sentence by sentence: leave discovery, lame duck, stop accepting,
 * go-away, finish what is in flight, cancel the rest, close, nothing is left.
 */
#include "rpc_fixture.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void no_init(weft_plugin *self, const weft_plugin_host *host,
                    weft_plugin_done *done)
{
    (void)self;
    (void)host;
    weft_plugin_finish(done, WEFT_OK, NULL);
}

static void no_free(weft_plugin *self)
{
    (void)self;
}

static weft_plugin *silent_plugin(void)
{
    static const weft_plugin_ops ops = {
        .name = "silent", .init = no_init, .free = no_free};
    static weft_plugin plugin = {&ops};

    return &plugin;
}

static const char *phase(const fixture *f)
{
    return weft__phase_name(f->server);
}

static void drain(fixture *f, uint32_t ms)
{
    assert_int_equal(weft_server_drain(f->server, ms, on_drained, f), WEFT_OK);
    test_loop_settle(&f->t);
}

/* The go-away is on its way, and the client has not read it. */
static void begin_finishing(fixture *f)
{
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f), WEFT_OK);
    while (strcmp(phase(f), "finishing calls") != 0)
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
}

static void a_lame_duck_serves_old_and_new_connections(void **state)
{
    fixture *f = *state;

    fixture_server(f, &(weft_server_conf){.lame_duck_ms = 500}, NULL);
    weft_server_use(f->server, silent_plugin());
    fixture_start(f);
    fixture_connect(f);
    drain(f, 0);
    assert_string_equal(phase(f), "lame duck");
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_DRAINING);
    test_loop_advance(&f->t, 400);
    assert_said(f, say_hello(f, "old", 0), "hello old");
    raw_abort(&f->client);
    test_loop_settle(&f->t);
    raw_fini(&f->client);
    fixture_connect(f);
    assert_said(f, say_hello(f, "new", 0), "hello new");
    assert_false(f->client.goaway);
    test_loop_advance(&f->t, 100);
    run_while(f, !f->client.goaway);
}

static void without_plugins_there_is_no_lame_duck(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    drain(f, 0);
    assert_string_equal(phase(f), "finishing calls");
    run_while(f, !f->client.goaway);
}

static void what_is_in_flight_finishes_and_new_calls_are_refused(void **state)
{
    fixture *f = *state;
    int held, refused;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    held = said_hello(f, "x", 0);
    begin_finishing(f);
    /* It was sent before the go-away was heard: safe to make elsewhere. */
    refused = say_hello(f, "y", 0);
    run_while(f, !f->client.goaway || !f->client.replies[refused].done);
    assert_true(f->client.replies[refused].unprocessed);
    assert_int_equal(f->client.replies[refused].status, WEFT_UNAVAILABLE);
    test_loop_advance(&f->t, 3000);
    assert_int_equal(f->n_drained, 0);
    assert_non_null(f->client.conn);
    answer_held(f, 0, "finished");
    assert_said(f, held, "finished");
    run_while(f, f->n_drained == 0);
    assert_int_equal(f->drain_status, WEFT_OK);
    assert_int_equal(f->n_handled, 1);
    assert_null(f->client.conn);
}

static void the_rest_is_cancelled_at_the_drain_deadline(void **state)
{
    fixture *f = *state;
    int held;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = WEFT_OFF});
    f->greeting = HOLD_AND_HEAR;
    held = said_hello(f, "x", 0);
    drain(f, 2000);
    test_loop_advance(&f->t, 1990);
    assert_int_equal(f->n_ended, 0);
    test_loop_advance(&f->t, 10);
    assert_failed(f, held, WEFT_UNAVAILABLE,
                  "server: drained, and 2000 ms have passed");
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended_status, WEFT_UNAVAILABLE);
    run_while(f, f->n_drained == 0);
    assert_int_equal(f->drain_status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(weft_server_get_stats(f->server).unanswered, 1);
    /* The handler's request outlives even this. */
    assert_string_equal(f->held[0].in->msg, "x");
    weft_server_free(f->server);
    test_loop_settle(&f->t);
    assert_string_equal(f->held[0].in->msg, "x");
    answer_held(f, 0, "late");
}

static void a_second_drain_may_only_shorten_the_first(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = WEFT_OFF});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    drain(f, 5000);
    drain(f, 60000);
    test_loop_advance(&f->t, 1000);
    drain(f, 1000);
    test_loop_advance(&f->t, 990);
    assert_int_equal(f->n_drained, 0);
    test_loop_advance(&f->t, 20);
    run_while(f, f->n_drained < 3);
}

static void a_later_drain_does_not_lengthen_the_first(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = WEFT_OFF});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    drain(f, 5000);
    test_loop_advance(&f->t, 1000);
    drain(f, 4500); /* less, but it would end later */
    test_loop_advance(&f->t, 4000);
    run_while(f, f->n_drained < 2);
}

static void a_drain_may_wait_for_ever(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = WEFT_OFF,
                                         .keepalive_ms = WEFT_OFF});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    drain(f, WEFT_OFF);
    test_loop_advance(&f->t, 10000000);
    assert_int_equal(f->n_drained, 0);
    answer_held(f, 0, "at last");
    run_while(f, f->n_drained == 0);
    assert_int_equal(f->drain_status, WEFT_OK);
}

static void a_call_that_ended_but_was_not_answered_holds_no_drain(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 100);
    test_loop_advance(&f->t, 200);
    drain(f, 0);
    test_loop_advance(&f->t, 100);
    run_while(f, f->n_drained == 0);
    assert_int_equal(f->drain_status, WEFT_OK);
}

static void a_connection_in_the_backlog_is_still_accepted(void **state)
{
    fixture *f = *state;
    weft_address address;
    raw_client late;

    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    address = *weft_server_address(f->server, 0);
    /* Both in the same round: the connection is in the backlog when it stops.
     */
    raw_open(&late, f->t.loop, &address);
    weft_server_drain(f->server, 0, on_drained, f);
    run_while(f, !late.goaway);
    assert_true(late.ready);
    raw_abort(&late);
    test_loop_settle(&f->t);
    raw_fini(&late);
    /* And from now on it is refused, while what is in flight goes on. */
    raw_open(&late, f->t.loop, &address);
    run_while(f, late.conn != NULL);
    assert_int_equal(late.closed_status, WEFT_ECONNREFUSED);
    raw_fini(&late);
    answer_held(f, 0, "y");
    test_loop_advance(&f->t, 100);
    run_while(f, f->n_drained == 0);
}

static void a_gorpc_request_in_the_backlog_is_served(void **state)
{
    static const uint8_t request[] = "\x11\0\0\0\0\0\0\0\0\0\x23\0\0\0\0"
                                     "\x12\x1c/helloworld.Greeter/SayHello"
                                     "\x22\x03\x0a\x01x";
    fixture *f = *state;
    uint8_t reply[256];
    int fd, idle;
    long n = -1;

    fixture_server(f, NULL, NULL);
    fixture_start(f);
    idle = plain_connect(weft_server_address(f->server, 0));
    test_loop_settle(&f->t);
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, request, sizeof(request) - 1);
    drain(f, 0);
    run_while(f, n < 0 && (n = plain_recv(fd, reply, sizeof(reply))) < 0);
    assert_true(n > 15);
    assert_int_equal(reply[0], 0x11);
    assert_non_null(memmem(reply, (size_t)n, "hello x", 7));
    test_loop_advance(&f->t, 100);
    assert_int_equal(plain_recv(fd, reply, sizeof(reply)), 0);
    close(fd);
    run_while(f, f->n_drained == 0);
    assert_int_equal(plain_recv(idle, reply, sizeof(reply)), 0);
    close(idle);
}

static void gorpc_peers_are_served_until_nothing_is_in_flight(void **state)
{
    static const uint8_t request[] = "\x11\0\0\0\0\0\0\0\0\0\x23\0\0\0\0"
                                     "\x12\x1c/helloworld.Greeter/SayHello"
                                     "\x22\x03\x0a\x01x";
    fixture *f = *state;
    uint8_t reply[256];
    int fd, held;
    long n = -1;

    fixture_serve(f, NULL);
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, request, sizeof(request) - 1);
    run_while(f, n < 0 && (n = plain_recv(fd, reply, sizeof(reply))) < 0);
    f->greeting = HOLD;
    held = said_hello(f, "x", 0);
    drain(f, 0);
    run_while(f, !f->client.goaway);
    /* Not a byte comes unasked: it would be taken for the next reply. */
    assert_int_equal(plain_recv(fd, reply, sizeof(reply)), -1);
    f->greeting = GREET;
    plain_send(fd, request, sizeof(request) - 1);
    n = -1;
    run_while(f, n < 0 && (n = plain_recv(fd, reply, sizeof(reply))) < 0);
    assert_non_null(memmem(reply, (size_t)n, "hello x", 7));
    test_loop_advance(&f->t, 1000);
    assert_int_equal(plain_recv(fd, reply, sizeof(reply)), -1);
    answer_held(f, 0, "y");
    assert_said(f, held, "y");
    test_loop_advance(&f->t, 100);
    assert_int_equal(plain_recv(fd, reply, sizeof(reply)), 0);
    assert_int_equal(f->n_drained, 0); /* it lingers for the peer's end */
    close(fd);
    run_while(f, f->n_drained == 0);
}

static void a_reply_is_not_cut_off_by_bytes_that_nobody_reads(void **state)
{
    static const uint8_t request[] = "\x11\0\0\0\0\0\0\0\0\0\x23\0\0\0\0"
                                     "\x12\x1c/helloworld.Greeter/SayHello"
                                     "\x22\x03\x0a\x01x";
    static char big[1000000];
    static uint8_t reply[65536];
    fixture *f = *state;
    size_t total = 0;
    long n = -1;
    int fd, i;

    memset(big, 'r', sizeof(big) - 1);
    fixture_server(f, NULL, NULL);
    fixture_start(f);
    f->greeting = HOLD;
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, request, sizeof(request) - 1);
    run_while(f, f->n_held == 0);
    drain(f, 0);
    test_loop_advance(&f->t, 100);
    answer_held(f, 0, big);
    run_while(f, strcmp(phase(f), "closing connections") != 0);
    for (i = 0; i < 100; i++)
        plain_send(fd, request, sizeof(request) - 1);
    for (i = 0; i < 2000 && n != 0; i++) {
        test_loop_settle(&f->t);
        n = plain_recv(fd, reply, sizeof(reply));
        total += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(n, 0);
    assert_true(total > sizeof(big));
    close(fd);
    run_while(f, f->n_drained == 0);
    assert_int_equal(f->n_handled, 1);
}

static void
sockets_that_decide_while_the_last_ones_close_are_closed(void **state)
{
    static const uint8_t request[] = "\x11\0\0\0\0\0\0\0\0\0\x23\0\0\0\0"
                                     "\x12\x1c/helloworld.Greeter/SayHello"
                                     "\x22\x03\x0a\x01x";
    fixture *f = *state;
    uint8_t reply[256];
    long n = -1;
    int last, http, native;

    fixture_server(f, NULL, NULL);
    fixture_start(f);
    last = plain_connect(weft_server_address(f->server, 0));
    http = plain_connect(weft_server_address(f->server, 0));
    native = plain_connect(weft_server_address(f->server, 0));
    plain_send(last, request, sizeof(request) - 1);
    run_while(f, n < 0 && (n = plain_recv(last, reply, sizeof(reply))) < 0);
    drain(f, 0);
    test_loop_advance(&f->t, 100);
    assert_string_equal(phase(f), "closing connections");
    plain_send(http, "GET /health HTTP/1.1\r\n\r\n", 24);
    plain_send(native, request, sizeof(request) - 1);
    test_loop_settle(&f->t);
    assert_int_equal(plain_recv(http, reply, sizeof(reply)), 0);
    assert_int_equal(plain_recv(native, reply, sizeof(reply)), 0);
    assert_int_equal(f->n_handled, 1);
    close(last);
    run_while(f, f->n_drained == 0);
    close(http);
    close(native);
}

static int count_event(const struct event_base *base, const struct event *ev,
                       void *arg)
{
    (void)base;
    *(int *)arg += event_get_fd(ev) >= 0; /* not the wheel's own timer */
    return 0;
}

static int events_on(weft_loop *loop)
{
    int n = 0;

    event_base_foreach_event(weft_loop_base(loop), count_event, &n);
    return n;
}

static void nothing_is_left_on_the_loop(void **state)
{
    fixture *f = *state;
    int before;

    test_loop_settle(&f->t);
    before = events_on(f->t.loop);
    fixture_serve(f, NULL);
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    assert_true(events_on(f->t.loop) > before);
    drain(f, 100);
    test_loop_advance(&f->t, 200);
    run_while(f, f->n_drained == 0);
    test_loop_settle(&f->t);
    /* The call is unanswered still. */
    assert_int_equal(events_on(f->t.loop), before);
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_CLOSED);
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f),
                     WEFT_ESTATE);
    assert_int_equal(weft_loop_run(f->t.loop), WEFT_OK); /* ends by itself */
}

static void free_when_drained(weft_server *server, weft_status status,
                              const char *message, void *user)
{
    on_drained(server, status, message, user);
    weft_server_free(server);
}

static void the_drain_s_callback_may_free_the_server(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    assert_int_equal(weft_server_drain(f->server, 0, free_when_drained, f),
                     WEFT_OK);
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f), WEFT_OK);
    test_loop_advance(&f->t, 100);
    run_while(f, f->n_drained < 2);
}

static void a_server_that_has_not_started_cannot_drain(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f),
                     WEFT_ESTATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_lame_duck_serves_old_and_new_connections),
        FIXTURE_TEST(without_plugins_there_is_no_lame_duck),
        FIXTURE_TEST(what_is_in_flight_finishes_and_new_calls_are_refused),
        FIXTURE_TEST(the_rest_is_cancelled_at_the_drain_deadline),
        FIXTURE_TEST(a_second_drain_may_only_shorten_the_first),
        FIXTURE_TEST(a_later_drain_does_not_lengthen_the_first),
        FIXTURE_TEST(a_drain_may_wait_for_ever),
        FIXTURE_TEST(a_call_that_ended_but_was_not_answered_holds_no_drain),
        FIXTURE_TEST(a_connection_in_the_backlog_is_still_accepted),
        FIXTURE_TEST(a_gorpc_request_in_the_backlog_is_served),
        FIXTURE_TEST(gorpc_peers_are_served_until_nothing_is_in_flight),
        FIXTURE_TEST(a_reply_is_not_cut_off_by_bytes_that_nobody_reads),
        FIXTURE_TEST(sockets_that_decide_while_the_last_ones_close_are_closed),
        FIXTURE_TEST(nothing_is_left_on_the_loop),
        FIXTURE_TEST(the_drain_s_callback_may_free_the_server),
        FIXTURE_TEST(a_server_that_has_not_started_cannot_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
