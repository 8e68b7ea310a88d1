/* conn_limits_test.c - the options of a server that are its connections' to
 * keep, HTTP ones included: each arrives there. */
#include "rpc_fixture.h"

#include <string.h>
#include <unistd.h>

static void assert_open(fixture *f, int fd)
{
    char byte;

    test_loop_settle(&f->t);
    assert_int_equal(plain_recv(fd, &byte, 1), -1);
}

/* It says nothing more and closes. */
static void assert_closed(fixture *f, int fd)
{
    char bytes[256];
    long n = -1;

    for (int i = 0; i < 100 && n != 0; i++) {
        test_loop_settle(&f->t);
        n = plain_recv(fd, bytes, sizeof(bytes));
    }
    assert_int_equal(n, 0);
}

static void http_connections_over_their_limit_are_closed(void **state)
{
    static const char begun[] = "GET /health HTTP/1.1\r\n",
                      rest[] = "Host: h\r\n\r\n";
    fixture *f = *state;
    char answer[512] = "";
    int fd[3];

    fixture_serve(f, &(weft_server_conf){.max_http_connections = 2});
    for (int i = 0; i < 3; i++) {
        fd[i] = plain_connect(weft_server_address(f->server, 0));
        plain_send(fd[i], begun, sizeof(begun) - 1);
        test_loop_settle(&f->t);
    }
    assert_closed(f, fd[2]);
    assert_open(f, fd[1]);
    plain_send(fd[0], rest, sizeof(rest) - 1);
    test_loop_settle(&f->t);
    assert_true(plain_recv(fd[0], answer, sizeof(answer) - 1) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    assert_said(f, say_hello(f, "x", 0), "hello x"); /* calls are not HTTP */
    for (int i = 0; i < 3; i++)
        close(fd[i]);
}

static void an_http_request_has_http_request_ms(void **state)
{
    fixture *f = *state;
    char answer[512] = "";
    int fd;

    fixture_server(f, &(weft_server_conf){.http_request_ms = 300}, NULL);
    fixture_start(f);
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, "GET /health HTTP/1.1\r\n", 22);
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 250);
    assert_open(f, fd);
    test_loop_advance(&f->t, 60);
    test_loop_settle(&f->t);
    assert_true(plain_recv(fd, answer, sizeof(answer) - 1) > 0);
    assert_memory_equal(answer, "HTTP/1.1 408", 12);
    assert_closed(f, fd);
    close(fd);
}

/* A peer of version 1 that sends its probe, reads the answer, sends its own
 * settings, and falls silent. */
static int silent_peer(fixture *f)
{
    static const uint8_t probe[] = {0x11, 1, 1, 0, 0, 0, 0, 0,
                                    0,    0, 0, 0, 0, 0, 0},
                         settings[] = {0x11, 1, 1,    1,    0,    0, 0,
                                       0,    0, 0,    5,    0,    0, 0,
                                       0,    8, 0x80, 0x80, 0x80, 2};
    uint8_t answer[64];
    int fd = plain_connect(weft_server_address(f->server, 0));

    plain_send(fd, probe, sizeof(probe));
    test_loop_settle(&f->t);
    assert_true(plain_recv(fd, answer, sizeof(answer)) > 15);
    plain_send(fd, settings, sizeof(settings));
    test_loop_settle(&f->t);
    return fd;
}

static void a_client_that_is_silent_is_asked_and_then_left(void **state)
{
    fixture *f = *state;
    uint8_t frame[16];
    int fd;

    fixture_server(
        f,
        &(weft_server_conf){.keepalive_ms = 1000, .keepalive_timeout_ms = 500},
        NULL);
    fixture_start(f);
    fd = silent_peer(f);
    test_loop_advance(&f->t, 999);
    assert_open(f, fd);
    test_loop_advance(&f->t, 2);
    test_loop_settle(&f->t);
    assert_int_equal(plain_recv(fd, frame, sizeof(frame)), 15);
    assert_int_equal(frame[2], 1); /* a heartbeat */
    test_loop_advance(&f->t, 490);
    assert_open(f, fd);
    test_loop_advance(&f->t, 20);
    assert_closed(f, fd);
    close(fd);
}

static void a_client_that_stalls_in_a_frame_is_left(void **state)
{
    static const uint8_t begun[] = {0x11, 1, 0, 0, 0, 0, 0, 0,
                                    0,    0, 9, 0, 0, 0, 1, 0x12};
    fixture *f = *state;
    int fd;

    fixture_server(
        f, &(weft_server_conf){.stall_ms = 700, .keepalive_ms = WEFT_OFF},
        NULL);
    fixture_start(f);
    fd = silent_peer(f);
    test_loop_advance(&f->t, 5000); /* between frames there is time */
    assert_open(f, fd);
    plain_send(fd, begun, sizeof(begun));
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 690);
    assert_open(f, fd);
    test_loop_advance(&f->t, 20);
    assert_closed(f, fd);
    close(fd);
}

static void connections_beyond_the_backlog_are_refused(void **state)
{
    static raw_client clients[3];
    fixture *f = *state;

    fixture_server(f, &(weft_server_conf){.backlog = 2}, "inproc:///full");
    fixture_start(f);
    for (int i = 0; i < 3; i++) /* nobody accepts in between */
        raw_open(&clients[i], f->t.loop, weft_server_address(f->server, 0));
    run_while(f, !clients[0].ready || !clients[1].ready);
    run_while(f, clients[2].conn != NULL);
    assert_int_equal(clients[2].closed_status, WEFT_ECONNREFUSED);
    for (int i = 0; i < 3; i++) {
        if (clients[i].conn != NULL)
            raw_abort(&clients[i]);
        test_loop_settle(&f->t);
        raw_fini(&clients[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(http_connections_over_their_limit_are_closed),
        FIXTURE_TEST(an_http_request_has_http_request_ms),
        FIXTURE_TEST(a_client_that_is_silent_is_asked_and_then_left),
        FIXTURE_TEST(a_client_that_stalls_in_a_frame_is_left),
        FIXTURE_TEST(connections_beyond_the_backlog_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
