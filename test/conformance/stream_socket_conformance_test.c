/* What every kind of stream socket promises, from its own functions to the
 * connections and listeners that stand on it. */
#include "conn_harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BIG = 6 << 20 };

static const char *kind; /* of the group that runs */

static const char *uri_of_kind(void)
{
    static char uri[WEFT_ADDRESS_TEXT];

    if (strcmp(kind, "tcp") == 0)
        return "127.0.0.1:0";
    if (strcmp(kind, "tcp6") == 0)
        return "[::1]:0";
    if (strcmp(kind, "unix") == 0)
        snprintf(uri, sizeof uri, "unix:///tmp/weft-conformance-%ld.sock",
                 (long)getpid());
    else
        snprintf(uri, sizeof uri, "inproc:///conformance");
    return uri;
}

static void open_service(harness *h, service *s)
{
    s->like.echo = true;
    service_open(h, s, uri_of_kind());
    weft__listener_release(s->listener);
}

static void calls_are_answered(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};

    open_service(h, &s);
    connect_to(h, &r, s.uri);
    assert_int_equal(r.ready, 1);
    for (unsigned i = 1; i <= 100; i++) {
        assert_int_equal(ask(&r, "hello", 5), WEFT_OK);
        if (i % 7 == 0)
            turn_until(h, &r.messages, i);
    }
    turn_until(h, &r.messages, 100);
    assert_int_equal(r.bytes, 500);
    weft__conn_close(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    turn_until(h, &s.conns[0].closed, 1);
    assert_int_equal(r.status, WEFT_OK);
    assert_string_equal(r.why, "done");
    assert_int_equal(s.conns[0].status, WEFT_EOF);
    service_close(h, &s);
}

/* The same with the protocol that users get, to both kinds of client. */
static void the_native_wire_runs_over_it(void **state)
{
    static const uint8_t version0[] = "\x11\0\0\0\0\0\0\0\0\0\x27\0\0\0\0"
                                      "\x12\x1c/helloworld.Greeter/SayHello"
                                      "\"\x07\n\x05hello";
    static const uint8_t reply[] = "\x11\0\0\0\0\0\0\0\0\0";
    harness *h = *state;
    service s = {0};
    recorder r = {0};
    weft__wire_request request = {.path = "/a.B/C",
                                  .path_len = 6,
                                  .payload = {.len = 5, .data = "hello"}};
    weft__stream_id stream;
    weft__wire_info info;
    uint8_t got[200];
    int fd;

    h->server.wire = h->client.wire = &weft__native_wire;
    h->server.wire_conf.max_metadata = h->client.wire_conf.max_metadata = 16;
    h->server.wire_conf.max_metadata_bytes = 4096;
    h->client.wire_conf.max_metadata_bytes = 4096;
    h->server.wire_conf.max_in_flight = 100;
    open_service(h, &s);
    connect_to(h, &r, s.uri);
    assert_int_equal(r.ready, 1);
    weft__conn_wire_info(r.conn, &info);
    assert_int_equal(info.version, 1);
    for (unsigned i = 1; i <= 50; i++)
        assert_int_equal(weft__conn_request(r.conn, &request, &stream),
                         WEFT_OK);
    turn_until(h, &r.messages, 50);
    assert_int_equal(r.bytes, 250);

    fd = raw_connect(h, s.uri);
    settle(h);
    put_bytes(fd, version0, sizeof version0 - 1);
    turn_until(h, &s.n, 2);
    turn_until(h, &s.conns[1].messages, 1);
    settle(h);
    assert_true(get_bytes(fd, got, sizeof got) > 15 + 9);
    assert_memory_equal(got, reply, sizeof reply - 1);
    close(fd);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    service_close(h, &s);
}

static void big_messages_go_both_ways_whole(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};
    uint8_t *data = malloc(BIG);
    uint32_t sum = 0;

    for (size_t i = 0; i < BIG; i++) {
        data[i] = (uint8_t)(i * i >> 3);
        sum = sum * 31 + data[i];
    }
    open_service(h, &s);
    connect_to(h, &r, s.uri);
    assert_int_equal(ask(&r, data, BIG), WEFT_OK);
    turn_until(h, &r.messages, 1);
    assert_int_equal(r.bytes, BIG);
    assert_int_equal(r.sum, sum);
    free(data);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    service_close(h, &s);
}

static void the_peers_close_is_told(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};

    open_service(h, &s);
    connect_to(h, &r, s.uri);
    weft__conn_close(s.conns[0].conn, WEFT_OK, "shutting down");
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_EOF);
    assert_string_equal(r.why, "peer closed");
    turn_until(h, &s.conns[0].closed, 1);
    service_close(h, &s);
}

static void where_nobody_listens_a_connect_is_refused(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};

    open_service(h, &s);
    service_close(h, &s);
    connect_to(h, &r, s.uri);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_ECONNREFUSED);
    assert_string_equal(r.why, strcmp(kind, "unix") == 0
                                   ? "connect: no such file or directory"
                                   : "connect: connection refused");
    assert_int_equal(r.ready, 0);
}

static void an_address_is_listened_on_once(void **state)
{
    harness *h = *state;
    service s = {0};
    weft__listener_handler none = {0};
    weft__listener *second;
    const char *why = NULL;

    open_service(h, &s);
    assert_int_equal(weft__listener_open(&second, h->loop, s.uri, &s.conf,
                                         &none, NULL, &why),
                     WEFT_EADDR);
    assert_string_equal(why, "address already in use");
    service_close(h, &s);
    service_open(h, &s, s.uri); /* and is free again */
    service_close(h, &s);
}

static void held_connections_wait_for_the_release(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0};
    weft_address address;

    service_open(h, &s, uri_of_kind());
    weft_address_parse(&address, s.uri, NULL);
    h->client.handshake_ms = WEFT_OFF;
    assert_int_equal(
        weft__conn_connect(&r.conn, h->loop, &address, &h->client, &r),
        WEFT_OK);
    settle(h);
    later(h, 5000); /* its handshake clock stands still */
    assert_int_equal(s.n, 0);
    assert_int_equal(weft__listener_count(s.listener), 1);
    weft__listener_release(s.listener);
    turn_until(h, &r.ready, 1);
    assert_int_equal(s.n, 1);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    service_close(h, &s);
}

static void what_connected_before_the_stop_is_served(void **state)
{
    harness *h = *state;
    service s = {0};
    recorder r = {0}, late = {0};
    weft_address address;

    open_service(h, &s);
    weft_address_parse(&address, s.uri, NULL);
    assert_int_equal(
        weft__conn_connect(&r.conn, h->loop, &address, &h->client, &r),
        WEFT_OK);
    if (strcmp(kind, "inproc") == 0)
        settle(h); /* it has no backlog of its own: the loop is it */
    weft__listener_stop(s.listener);
    turn_until(h, &r.ready, 1);
    assert_int_equal(ask(&r, "hello", 5), WEFT_OK);
    turn_until(h, &r.messages, 1);
    connect_to(h, &late, s.uri);
    turn_until(h, &late.closed, 1);
    assert_int_equal(late.status, WEFT_ECONNREFUSED);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    service_close(h, &s);
}

static void a_socket_says_what_it_can_do(void **state)
{
    harness *h = *state;
    service s = {0};
    weft__stream_socket socket;
    weft_address address;
    struct iovec iov[2];
    char a[4], b[4];
    static char much[1 << 20];
    size_t n = 0, total = 0;
    const char *why;
    bool connecting;
    weft_status status;

    s.like.answer_bytes = 3; /* after the 8 of the header */
    open_service(h, &s);
    weft_address_parse(&address, s.uri, NULL);
    assert_int_equal(weft__socket_connect(&socket, &address, &connecting, &why),
                     WEFT_OK);
    settle(h);
    assert_int_equal(weft__socket_connected(&socket, &why), WEFT_OK);
    iov[0] = (struct iovec){a, sizeof a};
    iov[1] = (struct iovec){b, sizeof b};
    assert_int_equal(socket.ops->readv(&socket, iov, 2, &n), WEFT_EAGAIN);

    /* A read fills the pieces in order. */
    put_frame(socket.fd, 'Q', 1, 1);
    turn_until(h, &s.n, 1);
    turn_until(h, &s.conns[0].messages, 1);
    settle(h);
    assert_int_equal(socket.ops->readv(&socket, iov, 2, &n), WEFT_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(a,
                        "\x11"
                        "A",
                        2);
    assert_int_equal(socket.ops->readv(&socket, iov, 1, &n), WEFT_OK);
    assert_int_equal(n, 3);

    /* Nobody reads: some of it is taken, then nothing. */
    weft__conn_pause(s.conns[0].conn);
    iov[0] = (struct iovec){much, sizeof much};
    for (int i = 0; i < 100; i++) {
        status = socket.ops->writev(&socket, iov, 1, &n);
        if (status != WEFT_OK)
            break;
        total += n;
        settle(h);
    }
    assert_int_equal(status, WEFT_EAGAIN);
    assert_true(total > 0);

    weft__conn_abort(s.conns[0].conn, WEFT_OK, "gone");
    turn_until(h, &s.conns[0].closed, 1);
    do
        status = socket.ops->readv(&socket, iov, 1, &n);
    while (status == WEFT_OK);
    assert_true(status == WEFT_EOF || status == WEFT_ECONNRESET);
    assert_int_not_equal(socket.ops->writev(&socket, iov, 1, &n), WEFT_OK);
    socket.ops->close(&socket);
    service_close(h, &s);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool yes = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof in6) == 0;

    if (fd >= 0)
        close(fd);
    return yes;
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(calls_are_answered),
        T(the_native_wire_runs_over_it),
        T(big_messages_go_both_ways_whole),
        T(the_peers_close_is_told),
        T(where_nobody_listens_a_connect_is_refused),
        T(an_address_is_listened_on_once),
        T(held_connections_wait_for_the_release),
        T(what_connected_before_the_stop_is_served),
        T(a_socket_says_what_it_can_do),
    };
    static const char *const kinds[] = {"tcp", "tcp6", "unix", "inproc"};
    int failed = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        kind = kinds[i];
        if (strcmp(kind, "tcp6") == 0 && !has_ipv6()) {
            print_message("this machine has no IPv6\n");
            continue;
        }
        failed += cmocka_run_group_tests_name(kind, tests, NULL, NULL);
    }
    return failed;
}
