/* Deadlines, on a clock that only the test moves. */
#include "conn_harness.h"

#include "conn_internal.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

/* ---- the beginning ---- */

enum { FILLERS = 8 };

/* A listener that never accepts, its backlog full: the next connect hangs. */
static void a_connect_that_hangs_times_out(void **state)
{
    harness *h = *state;
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;
    weft_address address;
    recorder r = {0};
    int l = weft__sys_socket(AF_INET, SOCK_STREAM), fillers[FILLERS];

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(l, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(l, 0), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&in, &len), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = weft__sys_socket(AF_INET, SOCK_STREAM);
        (void)connect(fillers[i], (struct sockaddr *)&in, len);
    }
    weft_address_from_sockaddr(&address, (struct sockaddr *)&in, len);
    assert_int_equal(
        weft__conn_connect(&r.conn, h->loop, &address, &h->client, &r),
        WEFT_OK);
    assert_int_equal(ask(&r, "early", 5), WEFT_ECLOSED);
    settle(h);
    later(h, 999);
    assert_int_equal(r.closed, 0);
    later(h, 1);
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.status, WEFT_ETIMEDOUT);
    assert_string_equal(r.why, "connect: timed out after 1000 ms (connect_ms)");
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(l);
}

static void a_server_that_does_not_answer_the_hello_is_left(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};
    weft_address address;

    service_open(h, &s, "127.0.0.1:0"); /* and held: it says nothing */
    weft_address_parse(&address, s.uri, NULL);
    assert_int_equal(
        weft__conn_connect(&r.conn, h->loop, &address, &h->client, &r),
        WEFT_OK);
    settle(h);
    later(h, 999);
    assert_int_equal(r.closed, 0);
    later(h, 1);
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.status, WEFT_ETIMEDOUT);
    assert_string_equal(r.why,
                        "handshake: no answer in 1000 ms (handshake_ms)");
    service_close(h, &s);
}

/* ---- idle ---- */

static void an_idle_connection_is_closed_one_with_a_call_is_not(void **state)
{
    harness *h = *state;
    recorder r = {0};
    weft__wire_response response = {.payload = {.len = 2, .data = "ok"}};
    int fd;

    h->server.idle_ms = 5000;
    fd = server_of(h, &r);
    settle(h);
    later(h, 4000);
    put_frame(fd, 'Q', 1, 10);
    turn_until(h, &r.messages, 1);
    for (int i = 0; i < 5; i++)
        later(h, 4000); /* it takes its time */
    assert_int_equal(r.closed, 0);
    weft__conn_respond(r.conn, 1, &response);
    settle(h);
    later(h, 4999);
    assert_int_equal(r.closed, 0);
    close(fd); /* so that the close needs no lingering */
    fd = -1;
    later(h, 1);
    assert_int_equal(r.closed, 1);
}

static void an_idle_close_says_so(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t byte;
    int fd;

    h->server.idle_ms = 5000;
    fd = server_of(h, &r);
    later(h, 5000);
    assert_int_equal(get_bytes(fd, &byte, 1), -1);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_OK);
    assert_string_equal(r.why, "idle (idle_ms)");
}

static void answers_to_our_heartbeats_do_not_count_as_use(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t frame[TOY_HEADER];
    int fd, pings = 0;

    h->client.idle_ms = 10000;
    h->client.keepalive_ms = 1000;
    fd = client_of(h, &r);
    for (int i = 0; i < 12 && r.closed == 0; i++) {
        later(h, 1000);
        if (get_bytes(fd, frame, sizeof frame) == sizeof frame &&
            frame[1] == 'P') {
            put_frame(fd, 'O', 0, 0);
            pings++;
            settle(h);
        }
    }
    assert_int_equal(pings, 9);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_string_equal(r.why, "idle (idle_ms)");
}

/* ---- keep-alive ---- */

static void a_silent_peer_is_asked_and_then_left(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t frame[TOY_HEADER];
    int fd;

    h->client.keepalive_ms = 1000;
    fd = client_of(h, &r);
    later(h, 999);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), 0);
    later(h, 1);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), sizeof frame);
    assert_int_equal(frame[1], 'P');
    later(h, 499);
    assert_int_equal(r.closed, 0);
    later(h, 1);
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.status, WEFT_ETIMEDOUT);
    assert_string_equal(
        r.why, "keep-alive: no answer in 500 ms (keepalive_timeout_ms)");
    close(fd);
}

static void any_byte_is_a_sign_of_life(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t frame[TOY_HEADER];
    int fd;

    h->client.keepalive_ms = 1000;
    fd = client_of(h, &r);
    later(h, 1000);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), sizeof frame);
    put_bytes(fd, "\x11", 1);
    settle(h);
    later(h, 500);
    assert_int_equal(r.closed, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

static void keep_alive_stands_still_while_paused(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t frame[TOY_HEADER];
    int fd;

    h->client.keepalive_ms = 1000;
    fd = client_of(h, &r);
    weft__conn_pause(r.conn);
    for (int i = 0; i < 20; i++)
        later(h, 1000);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), 0);
    weft__conn_resume(r.conn);
    later(h, 999);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), 0);
    later(h, 1);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), sizeof frame);
    assert_int_equal(r.closed, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

static void a_peer_without_heartbeats_is_not_asked(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t frame[TOY_HEADER];
    int fd;

    h->client.wire = &toy_wire_without_ping;
    h->client.keepalive_ms = 1000;
    fd = client_of(h, &r);
    for (int i = 0; i < 10; i++)
        later(h, 1000);
    assert_int_equal(get_bytes(fd, frame, sizeof frame), 0);
    assert_int_equal(r.closed, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

/* ---- stalls ---- */

static void a_peer_that_sends_a_byte_a_second_is_left(void **state)
{
    harness *h = *state;
    recorder r = {0};
    uint8_t header[TOY_HEADER];
    unsigned seconds = 0;
    int fd;

    h->server.stall_ms = 10000;
    fd = server_of(h, &r);
    toy_header(header, 'Q', 1, 1000);
    put_bytes(fd, header, sizeof header);
    settle(h);
    while (r.conn != NULL && seconds < 100) {
        weft__conn_stats stats;

        put_bytes(fd, "x", 1);
        later(h, 1000);
        seconds++;
        if (r.conn == NULL)
            break;
        weft__conn_get_stats(r.conn, &stats);
        if (stats.closing) {
            close(fd);
            turn_until(h, &r.closed, 1);
        }
    }
    assert_int_equal(seconds, 10);
    assert_int_equal(r.status, WEFT_ETIMEDOUT);
    assert_non_null(strstr(r.why, "sends too slowly"));
}

/* However much came before it, and in however many parts it comes. */
static void the_time_of_a_frame_begins_with_its_first_byte(void **state)
{
    static const size_t before[] = {1, 2 * WEFT__STALL_BYTES};
    harness *h = *state;

    h->server.stall_ms = 10000;
    h->server.keepalive_ms = 3000; /* the timer fires in between */
    h->server.keepalive_timeout_ms = WEFT_OFF;
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        recorder r = {0};
        uint8_t header[TOY_HEADER];
        int fd = server_of(h, &r);

        put_frame(fd, 'Q', 1, before[i]);
        turn_until(h, &r.messages, 1);
        toy_header(header, 'Q', 2, 1000);
        put_bytes(fd, header, sizeof header);
        settle(h);
        later(h, 1000);
        put_bytes(fd, "x", 1);
        settle(h);
        for (int s = 1; s < 9; s++)
            later(h, 1000);
        later(h, 999);
        assert_non_null(r.conn);
        assert_int_equal(r.conn->state, WEFT__CONN_OPEN);
        later(h, 1);
        assert_int_not_equal(r.conn->state, WEFT__CONN_OPEN);
        close(fd);
        turn_until(h, &r.closed, 1);
        assert_non_null(strstr(r.why, "sends too slowly"));
    }
}

static void a_slow_peer_that_makes_progress_is_not(void **state)
{
    harness *h = *state;
    recorder r = {0};
    static uint8_t part[WEFT__STALL_BYTES];
    uint8_t header[TOY_HEADER];
    int fd;

    h->server.stall_ms = 10000;
    fd = server_of(h, &r);
    toy_header(header, 'Q', 1, 20 * sizeof part);
    put_bytes(fd, header, sizeof header);
    settle(h);
    for (int i = 0; i < 20; i++) {
        later(h, 9000);
        put_bytes(fd, part, sizeof part);
        settle(h);
    }
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.closed, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

static void a_peer_that_reads_nothing_is_left(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true, .answer_bytes = 4 << 20};
    int fd;

    h->server.stall_ms = 10000;
    fd = server_of(h, &r);
    put_frame(fd, 'Q', 1, 1);
    turn_until(h, &r.messages, 1);
    settle(h);
    later(h, 9999);
    assert_int_equal(r.closed, 0);
    later(h, 1);
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.status, WEFT_ETIMEDOUT);
    assert_non_null(strstr(r.why, "reads too slowly"));
    close(fd);
}

static void one_that_reads_a_little_now_and_then_is_not(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true, .answer_bytes = 2 << 20};
    bool end;
    int fd;

    h->server.stall_ms = 10000;
    fd = server_of(h, &r);
    put_frame(fd, 'Q', 1, 1);
    turn_until(h, &r.messages, 1);
    for (int i = 0; i < 20; i++) {
        later(h, 9000);
        drain(h, fd, 100000, &end);
        settle(h);
    }
    assert_int_equal(r.closed, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_connect_that_hangs_times_out),
        T(a_server_that_does_not_answer_the_hello_is_left),
        T(an_idle_connection_is_closed_one_with_a_call_is_not),
        T(an_idle_close_says_so),
        T(answers_to_our_heartbeats_do_not_count_as_use),
        T(a_silent_peer_is_asked_and_then_left),
        T(any_byte_is_a_sign_of_life),
        T(keep_alive_stands_still_while_paused),
        T(a_peer_without_heartbeats_is_not_asked),
        T(a_peer_that_sends_a_byte_a_second_is_left),
        T(the_time_of_a_frame_begins_with_its_first_byte),
        T(a_slow_peer_that_makes_progress_is_not),
        T(a_peer_that_reads_nothing_is_left),
        T(one_that_reads_a_little_now_and_then_is_not),
    };
    return cmocka_run_group_tests_name("conn_timer", tests, NULL, NULL);
}
