#include "conn_harness.h"

#include "conn_internal.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

enum { BIG = 1 << 20 };

/* ---- reading ---- */

static void a_request_is_answered(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true};
    int fd = server_of(h, &r);
    uint8_t reply[TOY_HEADER + 5], expected[TOY_HEADER];

    put_frame(fd, 'Q', 7, 5);
    settle(h);
    assert_int_equal(get_bytes(fd, reply, sizeof reply), sizeof reply);
    toy_header(expected, 'A', 7, 5);
    assert_memory_equal(reply, expected, sizeof expected);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_EOF);
    assert_string_equal(r.why, "peer closed");
}

/* A small frame, one that gets a block of its own, a small one. */
enum { MIDDLE = 5000, SCRIPT = 3 * TOY_HEADER + 20 + MIDDLE + 3 };

static void write_script(uint8_t *script)
{
    toy_header(script, 'Q', 1, 20);
    memset(script + TOY_HEADER, 'a', 20);
    script += TOY_HEADER + 20;
    toy_header(script, 'Q', 2, MIDDLE);
    for (size_t i = 0; i < MIDDLE; i++)
        script[TOY_HEADER + i] = (uint8_t)(i * 13);
    script += TOY_HEADER + MIDDLE;
    toy_header(script, 'Q', 3, 3);
    memcpy(script + TOY_HEADER, "end", 3);
}

static uint32_t sum_of_script(harness *h, const uint8_t *script)
{
    recorder r = {0};
    int fd = server_of(h, &r);

    put_bytes(fd, script, SCRIPT);
    turn_until(h, &r.messages, 3);
    close(fd);
    turn_until(h, &r.closed, 1);
    return r.sum;
}

static void frames_may_be_split_at_every_byte(void **state)
{
    harness *h = *state;
    uint8_t script[SCRIPT];
    uint32_t sum;

    write_script(script);
    sum = sum_of_script(h, script);
    for (size_t at = 1; at < SCRIPT; at++) {
        recorder r = {.take_blocks = at % 2 == 0};
        int fd = server_of(h, &r);

        put_bytes(fd, script, at);
        turn(h);
        turn(h);
        put_bytes(fd, script + at, SCRIPT - at);
        turn_until(h, &r.messages, 3);
        assert_int_equal(r.sum, sum);
        close(fd);
        turn_until(h, &r.closed, 1);
        assert_string_equal(r.why, "peer closed");
    }
}

static void frames_may_come_byte_by_byte(void **state)
{
    harness *h = *state;
    uint8_t script[SCRIPT];
    recorder r = {0};
    int fd = server_of(h, &r);
    uint32_t sum;

    write_script(script);
    sum = sum_of_script(h, script);
    for (size_t at = 0; at < SCRIPT; at++) {
        put_bytes(fd, script + at, 1);
        turn(h);
    }
    turn_until(h, &r.messages, 3);
    assert_int_equal(r.sum, sum);
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void frames_beyond_the_budget_wait_for_the_next_round(void **state)
{
    harness *h = *state;
    recorder busy = {0}, other = {0};
    uint8_t burst[400][TOY_HEADER];
    int fd, other_fd;

    h->server.frames_per_wakeup = 4;
    fd = server_of(h, &busy);
    other_fd = server_of(h, &other);
    settle(h);
    for (unsigned i = 0; i < 400; i++)
        toy_header(burst[i], 'Q', i + 1, 0);
    put_bytes(fd, burst, sizeof burst);
    put_frame(other_fd, 'Q', 1, 1);
    turn_until(h, &other.messages, 1);
    assert_in_range(busy.messages, 1, 40);
    turn_until(h, &busy.messages, 400);
    assert_int_equal(busy.last, 400);
    close(fd);
    close(other_fd);
    turn_until(h, &busy.closed, 1);
    turn_until(h, &other.closed, 1);
}

static void pause_once(recorder *r, const weft__wire_event *event)
{
    (void)event;
    if (r->events == 2) {
        weft__conn_pause(r->conn);
        weft__conn_pause(r->conn);
    }
}

static void pauses_are_counted_and_stop_in_the_middle_of_a_buffer(void **state)
{
    harness *h = *state;
    recorder r = {.on_event = pause_once};
    int fd = server_of(h, &r);
    weft__conn_stats stats;

    for (unsigned i = 1; i <= 5; i++)
        put_frame(fd, 'Q', i, 10);
    settle(h);
    assert_int_equal(r.messages, 2);
    weft__conn_get_stats(r.conn, &stats);
    assert_true(stats.paused);
    assert_int_equal(stats.buffered_bytes, 3 * (TOY_HEADER + 10));
    put_frame(fd, 'Q', 6, 10);
    settle(h);
    weft__conn_resume(r.conn);
    settle(h);
    assert_int_equal(r.messages, 2);
    weft__conn_resume(r.conn);
    turn_until(h, &r.messages, 6);
    close(fd);
    turn_until(h, &r.closed, 1);
}

/* ---- edges ---- */

/* A peer that says all at once: nothing will tell of the rest. */
static void what_one_read_leaves_is_read_without_another_word(void **state)
{
    enum { FRAMES = 40, BYTES = 65536 };
    harness *h = *state;
    recorder r = {0};
    int fd = server_of(h, &r), room = 2 * FRAMES * BYTES;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    for (unsigned round = 0; round < 3; round++) {
        r.messages = 0;
        for (unsigned i = 1; i <= FRAMES; i++)
            put_frame(fd, 'Q', round * FRAMES + i, i % 3 == 0 ? BYTES : 40);
        turn_until(h, &r.messages, FRAMES);
    }
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void an_end_that_comes_with_the_last_bytes_is_heard(void **state)
{
    harness *h = *state;

    for (unsigned before = 0; before < 3; before++) {
        recorder r = {0};
        int fd = server_of(h, &r);

        for (unsigned i = 1; i <= before; i++) {
            put_frame(fd, 'Q', i, 10);
            settle(h);
        }
        put_frame(fd, 'Q', before + 1, 10);
        close(fd);
        turn_until(h, &r.closed, 1);
        assert_int_equal(r.messages, before + 1);
        assert_int_equal(r.status, WEFT_EOF);
    }
}

static void what_comes_during_a_pause_is_read_after_it(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = server_of(h, &r);

    for (unsigned i = 1; i < 40; i += 3) {
        put_frame(fd, 'Q', i, 10);
        turn_until(h, &r.messages, i);
        weft__conn_pause(r.conn);
        put_frame(fd, 'Q', i + 1, 10);
        if (i % 2 == 0) /* is told of it, or not */
            settle(h);
        weft__conn_resume(r.conn);
        turn_until(h, &r.messages, i + 1);
        weft__conn_pause(r.conn);
        put_frame(fd, 'Q', i + 2, 10);
        settle(h);
        weft__conn_resume(r.conn);
        turn_until(h, &r.messages, i + 2);
    }
    close(fd);
    turn_until(h, &r.closed, 1);
}

/* ---- writing ---- */

static void a_burst_of_requests_costs_one_read_and_one_write(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true};
    int fd = server_of(h, &r);
    bool end;

    r.conn->socket.ops = &counting;
    settle(h);
    reads = writes = 0;
    for (unsigned i = 1; i <= 64; i++)
        put_frame(fd, 'Q', i, 32);
    settle(h);
    assert_int_equal(r.messages, 64);
    assert_int_equal(reads, 1);
    assert_int_equal(writes, 1);
    assert_int_equal(drain(h, fd, 64 * (TOY_HEADER + 32), &end),
                     64 * (TOY_HEADER + 32));
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void note_writes(recorder *r, const weft__wire_event *event)
{
    (void)r;
    (void)event;
    reads = writes; /* as they stood before the callback returned */
}

enum { MANY = 2 * WEFT__CHUNKS_WARM + 3 };

/* How often was written when the last of n connections, which are read in one
 * batch and answer with so many bytes, had its request. */
static unsigned writes_in_between(harness *h, int n, size_t answer_bytes)
{
    recorder r[MANY];
    int fd[MANY];
    unsigned noted;

    for (int i = 0; i < n; i++) {
        r[i] = (recorder){.echo = true,
                          .answer_bytes = answer_bytes,
                          .on_event = note_writes};
        fd[i] = server_of(h, &r[i]);
        r[i].conn->socket.ops = &counting;
    }
    settle(h);
    writes = 0;
    for (int i = 0; i < n; i++)
        put_frame(fd[i], 'Q', 1, 1);
    settle(h);
    noted = reads;
    assert_int_equal(writes, n);
    for (int i = 0; i < n; i++) {
        close(fd[i]);
        turn_until(h, &r[i].closed, 1);
    }
    return noted;
}

static void
some_output_is_written_after_the_read_little_with_the_batch(void **state)
{
    assert_int_equal(writes_in_between(*state, 2, 20000), 1);
    assert_int_equal(writes_in_between(*state, 2, 5000), 0);
}

static void what_fills_many_chunks_is_written_together(void **state)
{
    assert_int_equal(writes_in_between(*state, WEFT__CHUNKS_WARM, 5000), 0);
    assert_int_equal(writes_in_between(*state, WEFT__CHUNKS_WARM + 1, 5000),
                     WEFT__CHUNKS_WARM);
    assert_int_equal(writes_in_between(*state, MANY, 5000),
                     2 * WEFT__CHUNKS_WARM);
}

static void much_output_is_written_at_once(void **state)
{
    harness *h = *state;
    recorder r = {
        .echo = true, .answer_bytes = 600000, .on_event = note_writes};
    int fd = server_of(h, &r);
    bool end;

    r.conn->socket.ops = &counting;
    settle(h);
    writes = 0;
    put_frame(fd, 'Q', 1, 1);
    turn_until(h, &r.messages, 1);
    assert_int_equal(reads, 1);
    assert_int_equal(drain(h, fd, 600000 + TOY_HEADER, &end),
                     600000 + TOY_HEADER);
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void a_server_stops_reading_from_a_peer_that_does_not_read(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true, .answer_bytes = 1 << 18};
    weft__conn_stats stats;
    bool end;
    int fd;

    h->server.max_unsent_bytes = 1 << 19;
    fd = server_of(h, &r);
    for (unsigned i = 1; i <= 40; i++) {
        put_frame(fd, 'Q', i, 10);
        turn(h);
    }
    settle(h);
    assert_in_range(r.messages, 2, 10);
    weft__conn_get_stats(r.conn, &stats);
    assert_true(stats.paused);
    assert_in_range(stats.unsent_bytes, 1 << 18, 1 << 20);
    assert_int_equal(drain(h, fd, 40 * (TOY_HEADER + (1 << 18)), &end),
                     40 * (TOY_HEADER + (1 << 18)));
    assert_int_equal(r.messages, 40);
    assert_true(r.unblocked > 0);
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void a_client_refuses_and_reads_on(void **state)
{
    harness *h = *state;
    static uint8_t data[1 << 16];
    recorder r = {0};
    weft_status status = WEFT_OK;
    unsigned asked = 0;
    bool end;
    int fd;

    h->client.max_unsent_bytes = 1 << 18;
    fd = client_of(h, &r);
    while (asked < 1000 && status == WEFT_OK) {
        if ((status = ask(&r, data, sizeof data)) == WEFT_OK)
            asked++;
        turn(h);
    }
    assert_int_equal(status, WEFT_RESOURCE_EXHAUSTED);
    put_frame(fd, 'A', 1, 100);
    turn_until(h, &r.messages, 1);
    assert_int_equal(r.unblocked, 0);
    drain(h, fd, asked * (TOY_HEADER + sizeof data), &end);
    turn_until(h, &r.unblocked, 1);
    assert_int_equal(ask(&r, data, sizeof data), WEFT_OK);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    close(fd);
}

static void a_server_that_only_asks_is_left(void **state)
{
    harness *h = *state;
    static uint8_t data[1 << 16];
    recorder r = {0};
    int fd;

    h->client.max_unsent_bytes = 1 << 17;
    fd = client_of(h, &r);
    while (ask(&r, data, sizeof data) == WEFT_OK)
        turn(h);
    for (int i = 0; i < 200000 && r.closed == 0; i++) {
        put_frame(fd, 'P', 0, 0);
        turn(h);
    }
    assert_int_equal(r.closed, 1);
    assert_int_equal(r.status, WEFT_ELIMIT);
    assert_non_null(strstr(r.why, "max_unsent_bytes"));
    close(fd);
}

/* ---- closing ---- */

static void close_it(recorder *r)
{
    weft__conn_close(r->conn, WEFT_CANCELLED, "enough");
    weft__conn_close(r->conn, WEFT_INTERNAL, "more than enough");
}

static void abort_it(recorder *r)
{
    weft__conn_abort(r->conn, WEFT_CANCELLED, "enough");
    weft__conn_abort(r->conn, WEFT_INTERNAL, "more than enough");
}

static void close_in_event(recorder *r, const weft__wire_event *event)
{
    (void)event;
    close_it(r);
}

static void abort_in_event(recorder *r, const weft__wire_event *event)
{
    (void)event;
    abort_it(r);
}

static void every_callback_may_close_and_is_told_once(void **state)
{
    harness *h = *state;
    const recorder ways[] = {
        {.on_ready = close_it},
        {.on_ready = abort_it},
        {.on_event = close_in_event},
        {.on_event = abort_in_event},
        {.on_event = close_in_event, .echo = true},
        {.on_event = abort_in_event, .echo = true},
        {.on_event = abort_in_event, .echo = true, .answer_bytes = BIG},
        {.on_event = abort_in_event, .take_blocks = true},
        {.on_unblocked = close_it, .echo = true, .answer_bytes = BIG},
        {.on_unblocked = abort_it, .echo = true, .answer_bytes = BIG},
    };

    h->server.max_unsent_bytes = 1 << 19;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        recorder r = ways[i];
        int fd = server_of(h, &r);
        bool end;

        put_frame(fd, 'Q', 1, 10);
        put_frame(fd, 'Q', 2, 50000);
        put_frame(fd, 'Q', 3, 10);
        drain(h, fd, 3 * (BIG + TOY_HEADER) + 1, &end);
        assert_true(end);
        close(fd);
        turn_until(h, &r.closed, 1);
        settle(h);
        assert_int_equal(r.closed, 1);
        assert_int_equal(r.status, WEFT_CANCELLED);
        assert_string_equal(r.why, "enough");
    }
}

/* A pair of TCP sockets: only these turn an unread byte into a reset. */
static void tcp_pair(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;
    int l = weft__sys_socket(AF_INET, SOCK_STREAM);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(l, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&in, &len), 0);
    fds[1] = weft__sys_socket(AF_INET, SOCK_STREAM);
    (void)connect(fds[1], (struct sockaddr *)&in, len);
    do
        fds[0] = weft__sys_accept(l, NULL, NULL);
    while (fds[0] < 0);
    close(l);
}

static int tcp_server_of(harness *h, recorder *r)
{
    weft_address peer = {.kind = WEFT_ADDRESS_TCP};
    weft__stream_socket socket;
    weft__conn *conn;
    int fds[2];

    tcp_pair(fds);
    weft__socket_init(&socket, fds[0]);
    assert_int_equal(weft__conn_accept(&conn, h->loop, &socket, &peer, NULL, 0,
                                       &toy_wire, &h->server, r),
                     WEFT_OK);
    r->conn = conn;
    return fds[1];
}

static void a_close_delivers_a_big_reply_past_unread_bytes(void **state)
{
    harness *h = *state;
    recorder r = {
        .echo = true, .answer_bytes = 4 * BIG, .on_event = close_in_event};
    int fd = tcp_server_of(h, &r);
    bool end;

    for (unsigned i = 1; i <= 5; i++)
        put_frame(fd, 'Q', i, 30000);
    for (int i = 0; i < 10; i++)
        turn(h);
    put_frame(fd, 'Q', 6, 30000); /* comes after the shutdown */
    assert_int_equal(drain(h, fd, 4 * BIG + TOY_HEADER, &end),
                     4 * BIG + TOY_HEADER);
    put_frame(fd, 'Q', 7, 10);
    assert_int_equal(drain(h, fd, 1, &end), 0);
    assert_true(end);
    assert_int_equal(r.closed, 0); /* it waits for our end */
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.messages, 1);
}

/* As TLS does, once. */
static weft_status write_before_read(weft__stream_socket *s,
                                     const struct iovec *iov, int count,
                                     size_t *n)
{
    s->read_wants_write = !s->read_wants_write;
    return s->read_wants_write ? WEFT_EAGAIN
                               : weft__fd_socket.readv(s, iov, count, n);
}

static void a_read_that_has_to_write_first_waits_for_that_alone(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true, .on_event = close_in_event};
    weft__stream_socket_ops ops = weft__fd_socket;
    int fd = server_of(h, &r);

    ops.readv = write_before_read;
    r.conn->socket.ops = &ops;
    put_frame(fd, 'Q', 1, 10);
    settle(h);
    assert_int_equal(r.messages, 1);
    close(fd); /* which a closing connection sees by reading, too */
    settle(h);
    assert_int_equal(r.closed, 1);
}

static void a_peer_that_does_not_read_holds_a_close_for_linger_ms(void **state)
{
    harness *h = *state;
    recorder r = {
        .echo = true, .answer_bytes = 4 * BIG, .on_event = close_in_event};
    int fd = server_of(h, &r);

    put_frame(fd, 'Q', 1, 10);
    settle(h);
    later(h, 1999);
    assert_int_equal(r.closed, 0);
    later(h, 1);
    assert_int_equal(r.closed, 1);
    close(fd);
}

static void replies_that_are_queued_survive_the_peers_half_close(void **state)
{
    harness *h = *state;
    recorder r = {.echo = true, .answer_bytes = BIG};
    int fd = server_of(h, &r);
    bool end;

    put_frame(fd, 'Q', 1, 10);
    shutdown(fd, SHUT_WR);
    assert_int_equal(drain(h, fd, BIG + TOY_HEADER + 1, &end),
                     BIG + TOY_HEADER);
    assert_true(end);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_EOF);
    close(fd);
}

static void an_end_in_the_middle_of_a_frame_is_said(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = server_of(h, &r);

    put_bytes(fd, "\x11Q", 2);
    settle(h);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_EOF);
    assert_string_equal(r.why, "peer closed in the middle of a frame");
}

static void a_server_says_why_before_it_leaves_a_bad_peer(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = server_of(h, &r);
    uint8_t goodbye[TOY_HEADER];
    bool end;

    put_frame(fd, 'X', 1, 10);
    put_frame(fd, 'Q', 2, 10);
    settle(h);
    assert_int_equal(get_bytes(fd, goodbye, sizeof goodbye), sizeof goodbye);
    assert_int_equal(goodbye[1], 'G');
    drain(h, fd, 1, &end);
    assert_true(end);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.events, 0);
    assert_int_equal(r.status, WEFT_EPROTO);
    assert_string_equal(r.why, "an unknown frame");
}

static void a_client_leaves_a_bad_peer_at_once(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = client_of(h, &r);

    put_frame(fd, 'X', 1, 10);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_EPROTO);
    close(fd);
}

static void a_frame_that_announces_too_much_ends_the_connection(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = server_of(h, &r);
    uint8_t header[TOY_HEADER];

    toy_header(header, 'Q', 1, TOY_MAX_FRAME + 1);
    put_bytes(fd, header, sizeof header);
    settle(h);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_ELIMIT);
}

static void a_reset_is_told(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = tcp_server_of(h, &r);
    struct linger hard = {.l_onoff = 1};

    settle(h);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.status, WEFT_ECONNRESET);
}

static void what_the_peer_said_before_it_left_is_read(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = client_of(h, &r);

    weft__conn_pause(r.conn);
    assert_int_equal(ask(&r, "one", 3), WEFT_OK);
    settle(h);
    put_frame(fd, 'A', 1, 10);
    put_frame(fd, 'G', 0, 0);
    close(fd); /* with unread bytes: a reset */
    assert_int_equal(ask(&r, "two", 3), WEFT_OK);
    settle(h);
    assert_int_equal(r.closed, 0);
    assert_int_equal(ask(&r, "three", 5), WEFT_ECLOSED);
    weft__conn_resume(r.conn);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.goaways, 1);
    assert_int_equal(r.status, WEFT_ECONNRESET);
}

/* Whoever made it is gone, and an answer would go to him. */
static void a_call_is_given_up_when_nothing_can_be_written_too(void **state)
{
    harness *h = *state;
    recorder r = {0};
    int fd = client_of(h, &r);

    weft__conn_pause(r.conn);
    for (int i = 0; i < 2; i++) /* streams 1 and 2 */
        assert_int_equal(ask(&r, "x", 1), WEFT_OK);
    settle(h);
    put_frame(fd, 'A', 1, 10);
    put_frame(fd, 'A', 2, 10);
    close(fd); /* with unread bytes: a reset */
    assert_int_equal(ask(&r, "x", 1), WEFT_OK);
    settle(h);
    assert_int_equal(ask(&r, "x", 1), WEFT_ECLOSED);
    weft__conn_reset(r.conn, 1, WEFT_CANCELLED);
    weft__conn_resume(r.conn);
    turn_until(h, &r.closed, 1);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.last, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_request_is_answered),
        T(frames_may_be_split_at_every_byte),
        T(frames_may_come_byte_by_byte),
        T(frames_beyond_the_budget_wait_for_the_next_round),
        T(what_one_read_leaves_is_read_without_another_word),
        T(an_end_that_comes_with_the_last_bytes_is_heard),
        T(what_comes_during_a_pause_is_read_after_it),
        T(pauses_are_counted_and_stop_in_the_middle_of_a_buffer),
        T(a_burst_of_requests_costs_one_read_and_one_write),
        T(some_output_is_written_after_the_read_little_with_the_batch),
        T(what_fills_many_chunks_is_written_together),
        T(much_output_is_written_at_once),
        T(a_server_stops_reading_from_a_peer_that_does_not_read),
        T(a_client_refuses_and_reads_on),
        T(a_server_that_only_asks_is_left),
        T(every_callback_may_close_and_is_told_once),
        T(a_close_delivers_a_big_reply_past_unread_bytes),
        T(a_read_that_has_to_write_first_waits_for_that_alone),
        T(a_peer_that_does_not_read_holds_a_close_for_linger_ms),
        T(replies_that_are_queued_survive_the_peers_half_close),
        T(an_end_in_the_middle_of_a_frame_is_said),
        T(a_server_says_why_before_it_leaves_a_bad_peer),
        T(a_client_leaves_a_bad_peer_at_once),
        T(a_frame_that_announces_too_much_ends_the_connection),
        T(a_reset_is_told),
        T(what_the_peer_said_before_it_left_is_read),
        T(a_call_is_given_up_when_nothing_can_be_written_too),
    };
    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
