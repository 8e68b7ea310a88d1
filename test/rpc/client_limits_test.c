/* client_limits_test.c - the options of a channel that deal with time and with
 * what a peer sends, each met once; the others are in client_channel_test.c. */
#include "client_fixture.h"

#include "client_script.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- A peer of plain sockets ---- */

#define PLAIN_CONNS 16

typedef struct plain {
    int fd, n_conns, conns[PLAIN_CONNS]; /* -1: closed by the channel */
    bool probed[PLAIN_CONNS];
    int n_calls, calls[64]; /* the connection of each call that came */
    char uri[64];
} plain;

static int plain_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

static void plain_open(plain *p, int backlog, struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);

    memset(p, 0, sizeof(*p));
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = plain_socket();
    assert_int_equal(bind(p->fd, (struct sockaddr *)address, len), 0);
    assert_int_equal(listen(p->fd, backlog), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)address, &len), 0);
    snprintf(p->uri, sizeof(p->uri), "127.0.0.1:%d", ntohs(address->sin_port));
}

static void plain_close(plain *p)
{
    for (int i = 0; i < p->n_conns; i++)
        if (p->conns[i] >= 0)
            close(p->conns[i]);
    close(p->fd);
}

static void plain_send(int fd, const char *body, size_t len)
{
    char frame[64] = {0x11, 0};

    frame[10] = (char)len;
    memcpy(frame + 15, body, len);
    assert_int_equal(send(fd, frame, 15 + len, MSG_NOSIGNAL),
                     (ssize_t)(15 + len));
}

/* A HelloReply as a version 0 server sends it. */
static void plain_reply(plain *p, int call)
{
    plain_send(p->conns[p->calls[call]], "\x22\x03\x0a\x01x", 5);
}

/* Accepts; answers probes as gorpc does; counts calls. */
static void plain_work(plain *p)
{
    uint8_t head[15], body[4096];
    int fd;

    while (p->n_conns < PLAIN_CONNS &&
           (fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        p->conns[p->n_conns++] = fd;
    for (int i = 0; i < p->n_conns; i++) {
        ssize_t n;

        while (p->conns[i] >= 0 &&
               (n = recv(p->conns[i], head, 15, MSG_PEEK)) >= 0) {
            size_t len = (size_t)head[9] << 8 | head[10];

            if (n == 0) {
                close(p->conns[i]);
                p->conns[i] = -1;
                break;
            }
            if (n < 15 || recv(p->conns[i], body, 15 + len, MSG_PEEK) <
                              (ssize_t)(15 + len))
                break;
            assert_int_equal(recv(p->conns[i], body, 15 + len, 0), 15 + len);
            if (!p->probed[i]) {
                p->probed[i] = true;
                plain_send(p->conns[i], "\x08\xad\x02", 3);
            } else {
                p->calls[p->n_calls++] = i;
            }
        }
    }
}

static void plain_settle(fixture *f, plain *p)
{
    for (int i = 0; i < 60; i++) {
        plain_work(p);
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
    }
}

static void expect_end(fixture *f, outcome *o, const char *part)
{
    until_ended(f, o);
    if (strstr(o->message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, o->message);
}

/* ---- Time ---- */

static void connect_ms_bounds_a_connect(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome o;
    struct sockaddr_in address;
    int fillers[2];

    plain_open(&p, 0, &address); /* room for one, which is not accepted */
    for (int i = 0; i < 2; i++) {
        fillers[i] = plain_socket();
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
    }
    reopen(f, p.uri, &(weft_channel_conf){.connect_ms = 200});
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 199);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 2);
    expect_end(f, &o, "connect_ms");
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    close(fillers[0]);
    close(fillers[1]);
    plain_close(&p);
}

static void handshake_ms_bounds_a_silent_peer(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome o;
    struct sockaddr_in address;

    plain_open(&p, 8, &address); /* the system accepts, nobody speaks */
    reopen(f, p.uri, &(weft_channel_conf){.handshake_ms = 200});
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    test_loop_advance(&f->t, 199);
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 2);
    expect_end(f, &o, "handshake_ms");
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    plain_close(&p);
}

static void keepalive_finds_a_peer_that_is_gone(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "inproc:///peer",
           &(weft_channel_conf){.keepalive_ms = 300,
                                .keepalive_timeout_ms = 100,
                                .timeout_ms = WEFT_OFF});
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].timeout_ms, 0); /* WEFT_OFF: no deadline */
    test_loop_advance(&f->t, 2000);
    assert_int_equal(o.calls, 0); /* it answers heartbeats */
    weft__conn_pause(f->p.conns[0]);
    test_loop_advance(&f->t, 99); /* nothing can be overdue yet */
    assert_int_equal(o.calls, 0);
    test_loop_advance(&f->t, 302);
    expect_end(f, &o, "keepalive_timeout_ms");
    assert_int_equal(o.status, WEFT_UNAVAILABLE);
    assert_int_equal(o.sent, WEFT_SENT_MAYBE);
    weft__conn_resume(f->p.conns[0]);
}

static void idle_ms_closes_and_the_next_call_connects(void **state)
{
    fixture *f = *state;
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.idle_ms = 200});
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    test_loop_advance(&f->t, 500);
    assert_int_equal(f->p.n_open, 1); /* not while a call is open */
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
    test_loop_advance(&f->t, 210);
    assert_int_equal(f->p.n_open, 0);
    test_loop_advance(&f->t, 1000);
    assert_int_equal(f->p.n_conns, 1); /* nobody needs it */
    call_with(&f->stub, "x", &o);
    until_calls(f, 2);
}

static void backoff_is_jittered_within_its_bounds(void **state)
{
    fixture *f = *state;
    uint64_t last = 1;
    unsigned different = 0, previous = 0;

    reopen(f, "inproc:///nobody",
           &(weft_channel_conf){
               .eager = true, .backoff_min_ms = 100, .backoff_max_ms = 400});
    test_loop_settle(&f->t);
    for (int i = 0, gap; i < 30; i++) {
        static const int nominal[] = {100, 200, 400};
        int ms = nominal[i < 2 ? i : 2];

        for (gap = 0; weft_channel_get_stats(f->channel).connects == last;
             gap++) {
            weft_fake_advance(&f->t.clock, 1);
            weft_loop_poll(f->t.loop);
        }
        test_loop_settle(&f->t);
        last = weft_channel_get_stats(f->channel).connects;
        assert_in_range(gap, ms / 2 - 2, ms * 3 / 2 + 2);
        different += previous != (unsigned)gap;
        previous = (unsigned)gap;
    }
    assert_true(different > 15);
}

static void max_connecting_lets_the_rest_queue(void **state)
{
    fixture *f = *state;
    static plain p[4];
    struct sockaddr_in address;
    char target[256] = "static:///";
    static outcome o;

    for (int i = 0; i < 4; i++) {
        plain_open(&p[i], 8, &address);
        strcat(target, i > 0 ? "," : "");
        strcat(target, p[i].uri);
    }
    reopen(f, target, &(weft_channel_conf){.max_connecting = 2});
    call_with(&f->stub, "x", &o);
    test_loop_settle(&f->t);
    assert_int_equal(weft_channel_get_stats(f->channel).connects, 2);
    for (int r = 0; r < 40; r++)
        for (int i = 0; i < 4; i++) {
            plain_work(&p[i]);
            weft_loop_poll(f->t.loop);
        }
    assert_int_equal(weft_channel_get_stats(f->channel).connects, 4);
    assert_int_equal(weft_channel_get_stats(f->channel).ready_endpoints, 4);
    for (int i = 0; i < 4; i++)
        plain_close(&p[i]);
}

/* ---- Version 0: one call per connection ---- */

static void open_version0(fixture *f, plain *p, uint32_t connections)
{
    struct sockaddr_in address;

    plain_open(p, 16, &address);
    reopen(
        f, p->uri,
        &(weft_channel_conf){.max_gorpc_connections_per_endpoint = connections,
                             .timeout_ms = 800});
}

static void max_gorpc_connections_caps_the_pool(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome o[6];

    open_version0(f, &p, 3);
    for (int i = 0; i < 6; i++)
        call_with(&f->stub, "x", &o[i]);
    plain_settle(f, &p);
    assert_int_equal(p.n_conns, 3);
    assert_int_equal(p.n_calls, 3);
    assert_int_equal(weft_channel_get_stats(f->channel).waiting, 3);
    for (int i = 0; i < 6; i++) {
        plain_reply(&p, i);
        plain_settle(f, &p);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(o[i].calls, 1);
        assert_string_equal(o[i].msg, "x");
    }
    assert_int_equal(p.n_conns, 3);
    plain_close(&p);
}

static void no_more_connections_than_calls_that_wait(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome o[4];

    open_version0(f, &p, 100);
    for (int i = 0; i < 4; i++)
        call_with(&f->stub, "x", &o[i]);
    plain_settle(f, &p);
    assert_int_equal(p.n_calls, 4);
    assert_in_range(p.n_conns, 4, 5);
    plain_close(&p);
}

static void an_abandoned_call_keeps_its_connection_until_its_reply(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome a, b;

    open_version0(f, &p, 1);
    call_with(&f->stub, "a", &a);
    plain_settle(f, &p);
    call_with(&f->stub, "b", &b);
    weft_cancel(a.handle);
    plain_settle(f, &p);
    assert_int_equal(a.status, WEFT_CANCELLED);
    assert_int_equal(p.n_calls, 1); /* b waits */
    plain_reply(&p, 0);             /* a's, which is swallowed */
    plain_settle(f, &p);
    assert_int_equal(b.calls, 0);
    assert_int_equal(p.n_calls, 2);
    plain_reply(&p, 1);
    plain_settle(f, &p);
    assert_string_equal(b.msg, "x");
    assert_int_equal(p.n_conns, 1);
    plain_close(&p);
}

static void an_overdue_reply_costs_the_connection(void **state)
{
    fixture *f = *state;
    static plain p;
    static outcome a, b;
    weft_stub patient;

    open_version0(f, &p, 1);
    patient = f->stub;
    patient.options.timeout_ms = WEFT_NO_DEADLINE;
    call_with(&f->stub, "a", &a);
    plain_settle(f, &p);
    weft_cancel(a.handle);
    call_with(&patient, "b", &b);
    test_loop_advance(&f->t, 799);
    plain_settle(f, &p);
    assert_int_equal(p.n_conns, 1);
    test_loop_advance(&f->t, 400); /* and the back-off */
    plain_settle(f, &p);
    assert_int_equal(p.n_conns, 2);
    plain_reply(&p, 1);
    plain_settle(f, &p);
    assert_string_equal(b.msg, "x");
    plain_close(&p);
}

static void one_way_is_not_for_version_0(void **state)
{
    fixture *f = *state;
    weft_stub one_way;
    static plain p;
    static outcome o;

    open_version0(f, &p, 1);
    one_way = f->stub;
    one_way.options.one_way = true;
    call_with(&one_way, "x", &o);
    plain_settle(f, &p);
    assert_int_equal(o.status, WEFT_UNIMPLEMENTED);
    assert_int_equal(o.sent, WEFT_SENT_NEVER);
    plain_close(&p);
}

/* ---- What a reply may be ---- */

static void reply_with(fixture *f, const weft__wire_response *response,
                       outcome *o)
{
    call_with(&f->stub, "x", o);
    until_calls(f, 1);
    assert_int_equal(
        weft__conn_respond(f->p.calls[0].conn, f->p.calls[0].stream, response),
        WEFT_OK);
    until_ended(f, o);
}

static void max_metadata_refuses_a_reply(void **state)
{
    fixture *f = *state;
    weft_metadatum items[] = {{"a", "1", 1}, {"b", "2", 1}, {"c", "3", 1}};
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_metadata = 2});
    reply_with(f, &(weft__wire_response){.metadata = {items, 3}}, &o);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(o.message, "max_metadata"));
}

static void max_metadata_bytes_refuses_a_reply(void **state)
{
    fixture *f = *state;
    weft_metadatum items[] = {{"a", "123456789", 9}};
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_metadata_bytes = 8});
    reply_with(f, &(weft__wire_response){.metadata = {items, 1}}, &o);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(o.message, "max_metadata_bytes"));
}

static void max_decode_bytes_refuses_a_reply(void **state)
{
    fixture *f = *state;
    static char reply[300] = {0x0a, (char)0xa8, 2}; /* a text of 296 bytes */
    static outcome o;

    memset(reply + 3, 'x', 296);
    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_decode_bytes = 64});
    reply_with(
        f, &(weft__wire_response){.payload = {.data = reply, .len = 299}}, &o);
    assert_int_equal(o.status, WEFT_RESOURCE_EXHAUSTED);
    assert_string_equal(o.message,
                        "the reply of inproc:///peer cannot be used: it takes "
                        "more memory than max_decode_bytes");
}

static void a_frame_over_max_frame_bytes_ends_the_connection(void **state)
{
    fixture *f = *state;
    static char reply[3000];
    static outcome o;

    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_frame_bytes = 2000});
    call_with(&f->stub, "x", &o);
    until_calls(f, 1);
    /* A server that keeps to the settings cannot send it at all. */
    assert_int_equal(
        weft__conn_respond(
            f->p.calls[0].conn, f->p.calls[0].stream,
            &(weft__wire_response){.payload = {.data = reply, .len = 3000}}),
        WEFT_ELIMIT);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &o);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connect_ms_bounds_a_connect),
        T(handshake_ms_bounds_a_silent_peer),
        T(keepalive_finds_a_peer_that_is_gone),
        T(idle_ms_closes_and_the_next_call_connects),
        T(backoff_is_jittered_within_its_bounds),
        T(max_connecting_lets_the_rest_queue),
        T(max_gorpc_connections_caps_the_pool),
        T(no_more_connections_than_calls_that_wait),
        T(an_abandoned_call_keeps_its_connection_until_its_reply),
        T(an_overdue_reply_costs_the_connection),
        T(one_way_is_not_for_version_0),
        T(max_metadata_refuses_a_reply),
        T(max_metadata_bytes_refuses_a_reply),
        T(max_decode_bytes_refuses_a_reply),
        T(a_frame_over_max_frame_bytes_ends_the_connection),
    };

    weft_log_set_level(WEFT_LOG_OFF);
    return cmocka_run_group_tests_name("client limits", tests, NULL, NULL);
}
