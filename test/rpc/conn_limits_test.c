/* conn_limits_test.c - the options of server and channel that are a
 * connection's to keep: each reaches it, and says its name or closes. */
#include "rpc_fixture.h"

#include <stdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/channel.h>
#include <weft/sys.h>

/* ---- A server's ---- */

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

/* ---- A channel's ---- */

typedef struct outcome {
    int calls;
    weft_status status;
    char message[256];
} outcome;

static void on_result(const weft_result *r, void *user)
{
    outcome *o = user;

    o->calls++;
    o->status = r->status;
    snprintf(o->message, sizeof(o->message), "%s", r->message);
}

/* A socket that listens and is not Weft's. */
static int listen_alone(weft_address *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof(in);
    int fd = weft__sys_socket(AF_INET, SOCK_STREAM);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    weft_address_from_sockaddr(address, (struct sockaddr *)&in, len);
    return fd;
}

static weft_channel *call_alone(fixture *f, const weft_address *address,
                                const weft_channel_conf *conf, outcome *o)
{
    char target[64];
    weft_channel *channel;

    weft_address_format(address, target, sizeof(target));
    assert_int_equal(weft_channel_new(&channel, f->t.loop, target, conf),
                     WEFT_OK);
    *o = (outcome){0};
    assert_int_equal(weft_call_bytes(channel, NULL, HELLO, "", 0, on_result, o),
                     WEFT_OK);
    test_loop_settle(&f->t);
    assert_int_equal(o->calls, 0);
    return channel;
}

static void a_server_that_does_not_say_its_version_is_down(void **state)
{
    fixture *f = *state;
    weft_address address;
    weft_channel *channel;
    outcome o;
    int fd = listen_alone(&address);

    channel =
        call_alone(f, &address, &(weft_channel_conf){.handshake_ms = 400}, &o);
    test_loop_advance(&f->t, 390);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 20);
    run_while(f, o.calls == 0);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_non_null(
        strstr(o.message, "handshake: no answer in 400 ms (handshake_ms)"));
    weft_channel_close(channel);
    close(fd);
}

static void a_server_that_falls_silent_is_asked_and_then_left(void **state)
{
    /* Version 1, and no settings. */
    static const uint8_t answer[15] = {0x11, 1, 1, 1};
    fixture *f = *state;
    weft_address address;
    weft_channel *channel;
    outcome o;
    int fd = listen_alone(&address), peer;

    channel = call_alone(
        f, &address,
        &(weft_channel_conf){.keepalive_ms = 1000, .keepalive_timeout_ms = 500},
        &o);
    peer = accept(fd, NULL, NULL);
    assert_true(peer >= 0);
    plain_send(peer, answer, sizeof(answer));
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(channel).ready_endpoints, 1);
    test_loop_advance(&f->t, 1490);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 20);
    run_while(f, o.calls == 0);
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_non_null(strstr(
        o.message, "keep-alive: no answer in 500 ms (keepalive_timeout_ms)"));
    weft_channel_close(channel);
    close(peer);
    close(fd);
}

static void back_off_keeps_to_its_two_limits(void **state)
{
    fixture *f = *state;
    weft_address address;
    weft_channel *channel;
    uint64_t begun;
    int fd = listen_alone(&address);
    char target[64];

    close(fd); /* nobody listens there any more */
    weft_address_format(&address, target, sizeof(target));
    assert_int_equal(
        weft_channel_new(&channel, f->t.loop, target,
                         &(weft_channel_conf){.eager = true,
                                              .backoff_min_ms = 2000,
                                              .backoff_max_ms = 2000}),
        WEFT_OK);
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(channel).connects, 1);
    test_loop_advance(&f->t, 900); /* half of the least, at least */
    assert_int_equal(weft_channel_get_stats(channel).connects, 1);
    test_loop_advance(&f->t, 100);
    begun = weft_channel_get_stats(channel).connects;
    test_loop_advance(&f->t, 60000);
    /* Between 1 s and 3 s apart. */
    assert_in_range(weft_channel_get_stats(channel).connects - begun, 20, 60);
    weft_channel_close(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(http_connections_over_their_limit_are_closed),
        FIXTURE_TEST(an_http_request_has_http_request_ms),
        FIXTURE_TEST(a_client_that_is_silent_is_asked_and_then_left),
        FIXTURE_TEST(a_client_that_stalls_in_a_frame_is_left),
        FIXTURE_TEST(a_server_that_does_not_say_its_version_is_down),
        FIXTURE_TEST(a_server_that_falls_silent_is_asked_and_then_left),
        FIXTURE_TEST(back_off_keeps_to_its_two_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
