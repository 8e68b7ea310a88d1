/* Each limit of weft_server_conf is hit once, and costs nobody else anything.
 */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void calls_over_max_in_flight_are_refused_by_name(void **state)
{
    fixture *f = *state;
    int third;

    fixture_serve(f, &(weft_server_conf){.max_in_flight = 2});
    f->greeting = HOLD;
    said_hello(f, "a", 0);
    said_hello(f, "b", 0);
    third = said_hello(f, "c", 0);
    assert_failed(f, third, WEFT_RESOURCE_EXHAUSTED,
                  "server: the limit max_in_flight of 2 calls is reached");
    assert_int_equal(weft_server_get_stats(f->server).refused, 1);
    answer_held(f, 0, "room");
    f->greeting = GREET;
    assert_said(f, say_hello(f, "d", 0), "hello d");
}

static void calls_on_one_connection_are_limited_by_themselves(void **state)
{
    fixture *f = *state;
    raw_client other;
    uint8_t bytes[16];
    size_t n = hello_bytes("o", bytes, sizeof(bytes));

    fixture_serve(f, &(weft_server_conf){.max_in_flight_per_connection = 2});
    f->greeting = HOLD;
    /* One whose deadline has passed keeps its place until it is answered; on
     * the wire there is room again. */
    said_hello(f, "a", 50);
    said_hello(f, "b", 0);
    test_loop_advance(&f->t, 60);
    assert_failed(f, say_hello(f, "c", 0), WEFT_RESOURCE_EXHAUSTED,
                  "server: the limit max_in_flight_per_connection of 2 calls "
                  "is reached");
    raw_open(&other, f->t.loop, weft_server_address(f->server, 0));
    run_while(f, !other.ready);
    raw_unary(&other, HELLO, bytes, n, 0);
    run_while(f, f->n_held < 3);
    raw_abort(&other);
    test_loop_settle(&f->t);
    raw_fini(&other);
}

/* "SayHello" of version 0, of an 'x' or with a payload of that many bytes. */
static size_t v0_hello(uint8_t *out, uint32_t payload)
{
    static const uint8_t head[] = {0x11, 0, 0, 0, 0, 0, 0,    0,   0,
                                   0,    0, 0, 0, 0, 0, 0x12, 0x1c};
    size_t n = 45;

    memcpy(out, head, sizeof(head));
    memcpy(out + 17, HELLO, 28);
    out[n++] = 0x22;
    if (payload == 0) {
        memcpy(out + n, "\x03\x0a\x01x", 4);
        n += 4;
    } else { /* field 4 {field 1} of so many bytes, lengths in three each */
        uint32_t inner = payload - 4;

        out[n++] = (uint8_t)(payload | 0x80);
        out[n++] = (uint8_t)(payload >> 7 | 0x80);
        out[n++] = (uint8_t)(payload >> 14);
        out[n++] = 0x0a;
        out[n++] = (uint8_t)(inner | 0x80);
        out[n++] = (uint8_t)(inner >> 7 | 0x80);
        out[n++] = (uint8_t)(inner >> 14);
        memset(out + n, 'p', inner);
        n += inner;
    }
    out[9] = (uint8_t)((n - 15) >> 8);
    out[8] = (uint8_t)((n - 15) >> 16);
    out[10] = (uint8_t)(n - 15);
    return n;
}

static void bytes_in_flight_pause_reading_and_nothing_is_lost(void **state)
{
    fixture *f = *state;
    static char big[400];
    weft_server_stats stats;
    int calls[20], i;

    memset(big, 'b', sizeof(big) - 1);
    fixture_serve(f, &(weft_server_conf){.max_in_flight_bytes = 4000});
    f->greeting = HOLD;
    for (i = 0; i < 20; i++)
        calls[i] = say_hello(f, big, 0);
    test_loop_settle(&f->t);
    stats = weft_server_get_stats(f->server);
    assert_true(f->n_held > 2 && f->n_held < 12);
    assert_true(stats.in_flight_bytes > 4000);
    assert_true(stats.in_flight_bytes < 6000); /* one request above */
    assert_int_equal(stats.refused, 0);
    for (i = 0; i < 20; i++) {
        run_while(f, f->n_held <= (unsigned)i);
        answer_held(f, (unsigned)i, "ok");
        assert_said(f, calls[i], "ok");
    }
    assert_int_equal(weft_server_get_stats(f->server).in_flight_bytes, 0);
}

static void bytes_in_flight_are_bounded_over_all_connections(void **state)
{
    enum { N = 10 };
    fixture *f = *state;
    static uint8_t frame[61000];
    size_t n = v0_hello(frame, 60000);
    unsigned i;
    int fds[N];

    fixture_serve(f, &(weft_server_conf){.max_in_flight_bytes = 100000});
    f->greeting = HOLD;
    for (i = 0; i < N; i++) {
        fds[i] = plain_connect(weft_server_address(f->server, 0));
        plain_send(fds[i], frame, n);
        test_loop_settle(&f->t);
    }
    assert_int_equal(f->n_held, 2);
    for (i = 0; i < N; i++) {
        run_while(f, f->n_held == i);
        assert_true(weft_server_get_stats(f->server).in_flight_bytes < 200000);
        answer_held(f, i, "ok");
    }
    assert_int_equal(weft_server_get_stats(f->server).in_flight_bytes, 0);
    for (i = 0; i < N; i++)
        close(fds[i]);
}

static void paused_connections_resume_in_turn(void **state)
{
    enum { N = 30 };
    fixture *f = *state;
    raw_client *clients = calloc(N, sizeof(*clients));
    static char big[400];
    uint8_t bytes[512];
    size_t n;
    unsigned i, answered = 0;

    memset(big, 'b', sizeof(big) - 1);
    n = hello_bytes(big, bytes, sizeof(bytes));
    fixture_server(f, &(weft_server_conf){.max_in_flight_bytes = 1000}, NULL);
    fixture_start(f);
    f->greeting = HOLD;
    for (i = 0; i < N; i++) {
        raw_open(&clients[i], f->t.loop, weft_server_address(f->server, 0));
        run_while(f, !clients[i].ready);
    }
    for (i = 0; i < N; i++) {
        raw_unary(&clients[i], HELLO, bytes, n, 0);
        raw_unary(&clients[i], HELLO, bytes, n, 0);
    }
    /* Two calls each: each connection's first is served before any is starved.
     */
    while (answered < 2 * N) {
        run_while(f, f->n_held == answered);
        answer_held(f, answered++, "ok");
    }
    for (i = 0; i < N; i++) {
        run_while(f, clients[i].n_done < 2);
        raw_abort(&clients[i]);
    }
    test_loop_settle(&f->t);
    for (i = 0; i < N; i++)
        raw_fini(&clients[i]);
    free(clients);
}

static void connections_over_max_connections_are_closed(void **state)
{
    fixture *f = *state;
    int a, b;
    char byte;

    fixture_serve(f, &(weft_server_conf){.max_connections = 2});
    a = plain_connect(weft_server_address(f->server, 0));
    test_loop_settle(&f->t);
    b = plain_connect(weft_server_address(f->server, 0));
    test_loop_settle(&f->t);
    assert_int_equal(plain_recv(b, &byte, 1), 0);
    assert_int_equal(plain_recv(a, &byte, 1), -1);
    assert_said(f, say_hello(f, "x", 0), "hello x");
    close(a);
    close(b);
}

static void max_connections_counts_all_listeners(void **state)
{
    fixture *f = *state;
    raw_client second, third;

    fixture_server(f, &(weft_server_conf){.max_connections = 2}, NULL);
    weft_server_listen(f->server, "inproc:///limits-a");
    weft_server_listen(f->server, "inproc:///limits-b");
    fixture_start(f);
    fixture_connect(f);
    raw_open(&second, f->t.loop, weft_server_address(f->server, 1));
    run_while(f, !second.ready);
    raw_open(&third, f->t.loop, weft_server_address(f->server, 2));
    run_while(f, third.conn != NULL);
    assert_false(third.ready);
    raw_abort(&second);
    test_loop_settle(&f->t);
    raw_fini(&second);
    raw_fini(&third);
}

static void a_frame_over_the_limit_costs_its_connection_alone(void **state)
{
    static const uint8_t huge[15] = {0x11, 0,    0,    0, 0, 0, 0, 0x7f,
                                     0xff, 0xff, 0xff, 0, 0, 0, 0};
    fixture *f = *state;
    char buf[64];
    int fd;

    fixture_serve(f, NULL);
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, huge, sizeof(huge));
    run_while(f, plain_recv(fd, buf, sizeof(buf)) != 0);
    assert_said(f, say_hello(f, "x", 0), "hello x");
    close(fd);
}

static void metadata_over_the_limit_is_refused(void **state)
{
    fixture *f = *state;
    weft_metadatum pairs[3] = {{"a", "1", 1}, {"b", "2", 1}, {"c", "3", 1}};
    weft__wire_request request = {.path = HELLO,
                                  .path_len = strlen(HELLO),
                                  .metadata = {pairs, 3},
                                  .payload = {.data = "\x0a\x01x", .len = 3}};
    raw_reply *r;

    fixture_serve(f, &(weft_server_conf){.max_metadata = 2});
    r = reply_to(f, raw_call(&f->client, &request));
    assert_int_equal(r->status, WEFT_RESOURCE_EXHAUSTED);
    assert_int_equal(weft_server_get_stats(f->server).refused, 1);
    assert_int_equal(f->n_handled, 0);
    request.metadata.n = 2;
    assert_said(f, raw_call(&f->client, &request), "hello x");
}

static void metadata_bytes_over_the_limit_are_refused(void **state)
{
    fixture *f = *state;
    weft_metadatum pair = {"k", "0123456789", 10};
    weft__wire_request request = {.path = HELLO,
                                  .path_len = strlen(HELLO),
                                  .metadata = {&pair, 1},
                                  .payload = {.data = "\x0a\x01x", .len = 3}};

    fixture_serve(f, &(weft_server_conf){.max_metadata_bytes = 10});
    assert_int_equal(reply_to(f, raw_call(&f->client, &request))->status,
                     WEFT_RESOURCE_EXHAUSTED);
    pair.value_len = 9;
    assert_said(f, raw_call(&f->client, &request), "hello x");
}

static void a_request_over_its_memory_budgets_is_refused(void **state)
{
    fixture *f = *state;
    uint8_t bytes[5000];
    char msg[4000];
    size_t n;

    memset(msg, 'm', sizeof(msg) - 1);
    msg[sizeof(msg) - 1] = '\0';
    n = hello_bytes(msg, bytes, sizeof(bytes));
    fixture_serve(f, &(weft_server_conf){.max_decode_bytes = 2000});
    assert_int_equal(
        reply_to(f, raw_unary(&f->client, HELLO, bytes, n, 0))->status,
        WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(f->client.replies[0].message, "max_decode_bytes"));
    assert_int_equal(f->n_handled, 0);
    assert_said(f, say_hello(f, "x", 0), "hello x");
}

static void a_call_s_arena_is_bounded(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.max_call_bytes = 10000});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    assert_non_null(weft_call_alloc(f->held[0].call, 5000));
    assert_null(weft_call_alloc(f->held[0].call, 6000));
    assert_non_null(weft_call_alloc(f->held[0].call, 1000));
}

static void a_peer_that_does_not_read_is_not_read_either(void **state)
{
    fixture *f = *state;
    static char big[400000];
    static const uint8_t frame[] = {0x11, 0,    0, 0, 0, 0, 0,    0,   0,
                                    0,    0x22, 0, 0, 0, 0, 0x12, 0x1c};
    uint8_t request[64];
    unsigned i, before;
    int fd;

    memset(big, 'r', sizeof(big) - 1);
    fixture_serve(f, &(weft_server_conf){.max_unsent_bytes = 100000});
    memcpy(request, frame, sizeof(frame));
    memcpy(request + 17, "/helloworld.Greeter/SayHello", 28);
    memcpy(request + 45, "\x22\x02\x0a\x00", 4);
    f->greeting = HOLD;
    fd = plain_connect(weft_server_address(f->server, 0));
    for (i = 0; i < 100; i++)
        plain_send(fd, request, 49);
    for (i = 0; i < 50; i++) { /* 20 MB of replies that nobody reads */
        unsigned n = f->n_held;

        test_loop_settle(&f->t);
        while (n > 0 && n-- > 0)
            answer_held(f, n, big);
    }
    before = f->n_handled;
    assert_true(before <= 100);
    plain_send(fd, request, 49);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_handled, before); /* paused */
    f->greeting = GREET;
    assert_said(f, say_hello(f, "x", 0), "hello x"); /* others are not */
    close(fd);
}

static void who_holds_up_memory_for_longest_is_closed(void **state)
{
    fixture *f = *state;
    static uint8_t frame[61000];
    size_t n = v0_hello(frame, 60000);
    int fds[3], i;
    char byte;

    fixture_serve(f, &(weft_server_conf){.max_buffered_bytes = 150000});
    for (i = 0; i < 3; i++)
        fds[i] = plain_connect(weft_server_address(f->server, 0));
    for (i = 0; i < 2; i++) {
        plain_send(fds[i], frame, n - 1);
        test_loop_settle(&f->t);
    }
    assert_int_equal(plain_recv(fds[0], &byte, 1), -1);
    plain_send(fds[2], frame, n - 1);
    test_loop_settle(&f->t);
    assert_int_equal(plain_recv(fds[0], &byte, 1), 0);
    assert_int_equal(plain_recv(fds[1], &byte, 1), -1);
    assert_int_equal(f->n_handled, 0);
    for (i = 1; i < 3; i++) { /* the others are not disturbed */
        plain_send(fds[i], frame + n - 1, 1);
        run_while(f, f->n_handled < (unsigned)i);
    }
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_int_equal(f->server->conn_share.bytes, 0);
    for (i = 0; i < 3; i++)
        close(fds[i]);
}

static void replies_that_nobody_reads_are_bounded_together(void **state)
{
    fixture *f = *state;
    static char big[400000];
    uint8_t request[64];
    size_t n = v0_hello(request, 0);
    unsigned i, k;
    int fds[2];

    memset(big, 'r', sizeof(big) - 1);
    fixture_serve(f, &(weft_server_conf){.max_buffered_bytes = 20000000});
    f->greeting = HOLD;
    for (k = 0; k < 2; k++) {
        fds[k] = plain_connect(weft_server_address(f->server, 0));
        for (i = 0; i < 40; i++)
            plain_send(fds[k], request, n);
        run_while(f, f->n_held < 40 * (k + 1));
    }
    for (i = 0; i < 80; i++) { /* 32 MB */
        answer_held(f, i, big);
        test_loop_settle(&f->t);
        assert_true(f->server->conn_share.bytes <= 20000000);
    }
    assert_int_equal(f->server->n_conns, 2); /* one of them, and ours */
    f->greeting = GREET;
    assert_said(f, say_hello(f, "x", 0), "hello x");
    close(fds[0]);
    close(fds[1]);
}

/* Those that wait for their turn count as well as those that wait for the
 * peer. */
static void replies_out_of_order_stop_reading_too(void **state)
{
    enum { FIRST = 20 };
    fixture *f = *state;
    static char big[20000];
    uint8_t request[64];
    size_t n = v0_hello(request, 0);
    unsigned i;
    int fd;

    memset(big, 'r', sizeof(big) - 1);
    fixture_serve(f, &(weft_server_conf){.max_unsent_bytes = 100000});
    f->greeting = HOLD;
    fd = plain_connect(weft_server_address(f->server, 0));
    for (i = 0; i < FIRST; i++)
        plain_send(fd, request, n);
    run_while(f, f->n_held < FIRST);
    for (i = 1; i < FIRST; i++)
        answer_held(f, i, big);
    plain_send(fd, request, n);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_held, FIRST);
    answer_held(f, 0, "ok");
    run_while(f, f->n_held == FIRST);
    close(fd);
}

/* ---- Deadlines ---- */

static void a_client_that_names_no_deadline_gets_the_default(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = 700});
    f->greeting = HOLD;
    call = said_hello(f, "x", 0);
    assert_int_equal(weft_call_time_left_ms(f->held[0].call), 700);
    test_loop_advance(&f->t, 700);
    assert_int_equal(reply_to(f, call)->status, WEFT_DEADLINE_EXCEEDED);
}

static void a_client_s_deadline_has_a_ceiling(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.max_timeout_ms = 1000});
    f->greeting = HOLD;
    said_hello(f, "x", 60000);
    assert_int_equal(weft_call_time_left_ms(f->held[0].call), 1000);
    said_hello(f, "x", 999);
    assert_int_equal(weft_call_time_left_ms(f->held[1].call), 999);
}

static void deadlines_may_be_off(void **state)
{
    fixture *f = *state;

    fixture_serve(f, &(weft_server_conf){.default_timeout_ms = WEFT_OFF,
                                         .idle_ms = WEFT_OFF,
                                         .keepalive_ms = WEFT_OFF});
    f->greeting = HOLD;
    said_hello(f, "x", 0);
    assert_int_equal(weft_call_time_left_ms(f->held[0].call), WEFT_NO_DEADLINE);
    test_loop_advance(&f->t, 100000000);
    assert_true(weft_call_active(f->held[0].call));
}

static void
a_call_that_waited_too_long_is_dropped_before_it_begins(void **state)
{
    fixture *f = *state;
    int waited, later;

    fixture_serve(f, &(weft_server_conf){.max_in_flight_bytes = 1});
    f->greeting = HOLD;
    /* The first takes all of the budget; the others are read, and wait. */
    say_hello(f, "first", 0);
    waited = say_hello(f, "waits", 100);
    later = say_hello(f, "waits too", 1000);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_held, 1);
    test_loop_advance(&f->t, 150);
    answer_held(f, 0, "ok");
    assert_failed(f, waited, WEFT_DEADLINE_EXCEEDED,
                  "deadline 100 ms: passed before the call was begun, having "
                  "waited 150");
    run_while(f, f->n_held < 2);
    assert_string_equal(f->held[1].in->msg, "waits too");
    assert_int_equal(weft_call_time_left_ms(f->held[1].call), 850);
    assert_int_equal(weft_server_get_stats(f->server).expired, 1);
    assert_int_equal(f->n_handled, 2);
    test_loop_advance(&f->t, 850);
    assert_failed(f, later, WEFT_DEADLINE_EXCEEDED,
                  "deadline 1000 ms: the handler of " HELLO
                  " has not answered");
}

/* ---- Idle and silent connections ---- */

static void a_silent_connection_is_closed_when_idle(void **state)
{
    fixture *f = *state;

    fixture_serve(
        f, &(weft_server_conf){.idle_ms = 70000, .keepalive_ms = WEFT_OFF});
    test_loop_advance(&f->t, 69000);
    assert_non_null(f->client.conn);
    test_loop_advance(&f->t, 2000);
    run_while(f, f->client.conn != NULL);
    assert_int_equal(weft_server_get_stats(f->server).connections, 0);
}

static void a_connection_that_says_nothing_is_closed_in_time(void **state)
{
    fixture *f = *state;
    char byte;
    int fd;

    fixture_server(f, &(weft_server_conf){.handshake_ms = 500}, NULL);
    fixture_start(f);
    fd = plain_connect(weft_server_address(f->server, 0));
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 499);
    assert_int_equal(plain_recv(fd, &byte, 1), -1);
    test_loop_advance(&f->t, 2);
    assert_int_equal(plain_recv(fd, &byte, 1), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(calls_over_max_in_flight_are_refused_by_name),
        FIXTURE_TEST(calls_on_one_connection_are_limited_by_themselves),
        FIXTURE_TEST(bytes_in_flight_pause_reading_and_nothing_is_lost),
        FIXTURE_TEST(bytes_in_flight_are_bounded_over_all_connections),
        FIXTURE_TEST(paused_connections_resume_in_turn),
        FIXTURE_TEST(connections_over_max_connections_are_closed),
        FIXTURE_TEST(max_connections_counts_all_listeners),
        FIXTURE_TEST(a_frame_over_the_limit_costs_its_connection_alone),
        FIXTURE_TEST(metadata_over_the_limit_is_refused),
        FIXTURE_TEST(metadata_bytes_over_the_limit_are_refused),
        FIXTURE_TEST(a_request_over_its_memory_budgets_is_refused),
        FIXTURE_TEST(a_call_s_arena_is_bounded),
        FIXTURE_TEST(a_peer_that_does_not_read_is_not_read_either),
        FIXTURE_TEST(who_holds_up_memory_for_longest_is_closed),
        FIXTURE_TEST(replies_that_nobody_reads_are_bounded_together),
        FIXTURE_TEST(replies_out_of_order_stop_reading_too),
        FIXTURE_TEST(a_client_that_names_no_deadline_gets_the_default),
        FIXTURE_TEST(a_client_s_deadline_has_a_ceiling),
        FIXTURE_TEST(deadlines_may_be_off),
        FIXTURE_TEST(a_call_that_waited_too_long_is_dropped_before_it_begins),
        FIXTURE_TEST(a_silent_connection_is_closed_when_idle),
        FIXTURE_TEST(a_connection_that_says_nothing_is_closed_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
