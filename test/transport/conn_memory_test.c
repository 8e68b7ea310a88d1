/* What a connection takes, when, and what happens where there is none. */
#include "conn_harness.h"

#include "conn_internal.h"
#include "fail_nth.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/sys.h>

enum { HUGE_FRAME = 8 << 20 };

/* An allocator that knows how much is live and what the largest piece was. */
static size_t live, largest, peak;

static void *counted_realloc(void *p, size_t size)
{
    size_t *block = p != NULL ? (size_t *)p - 2 : NULL;
    size_t old = block != NULL ? *block : 0;

    block = realloc(block, size + 2 * sizeof *block);
    if (block == NULL)
        return NULL;
    *block = size;
    live += size - old;
    if (live > peak)
        peak = live;
    if (size > largest)
        largest = size;
    return block + 2;
}

static void counted_free(void *p)
{
    size_t *block = p != NULL ? (size_t *)p - 2 : NULL;

    if (block != NULL)
        live -= *block;
    free(block);
}

static const weft_mem_hooks counted = {counted_realloc, counted_free};

static int counted_setup(void **state)
{
    weft_mem_set_hooks(&counted);
    return harness_setup(state);
}

static int counted_teardown(void **state)
{
    int result = harness_teardown(state);

    weft_mem_set_hooks(NULL);
    return result;
}

static void a_big_frame_takes_memory_as_its_bytes_arrive(void **state)
{
    harness *h = *state;
    recorder r = {0};
    static uint8_t part[40000];
    uint8_t header[TOY_HEADER];
    size_t sent = sizeof header;
    int fd = server_of(h, &r);

    settle(h);
    put_frame(fd, 'Q', 1, 10); /* the loop's buffers are there from now on */
    turn_until(h, &r.messages, 1);
    toy_header(header, 'Q', 2, HUGE_FRAME);
    put_bytes(fd, header, sizeof header);
    largest = 0;
    settle(h);
    assert_in_range(largest, TOY_HEADER, 100); /* announcing is for nothing */
    while (sent + sizeof part < HUGE_FRAME) {
        put_bytes(fd, part, sizeof part);
        sent += sizeof part;
        turn(h);
        turn(h);
        assert_true(largest <= 4 * sent + 100);
    }
    put_bytes(fd, part, HUGE_FRAME + TOY_HEADER - sent);
    turn_until(h, &r.messages, 2);
    assert_int_equal(r.bytes, HUGE_FRAME + 10);
    assert_true(largest <= HUGE_FRAME + 100);
    close(fd);
    turn_until(h, &r.closed, 1);
}

static void an_idle_connection_holds_no_buffers(void **state)
{
    harness *h = *state;
    recorder warm = {.echo = true}, r = {.echo = true};
    uint8_t reply[TOY_HEADER + 100];
    int fd = server_of(h, &warm), other;
    size_t before, fresh;

    put_frame(fd, 'Q', 1, 100);
    put_frame(fd, 'Q', 2, 60000); /* what the loop keeps, it has from here on */
    settle(h);
    while (get_bytes(fd, reply, sizeof reply) > 0)
        turn(h);
    settle(h);
    before = live;
    other = server_of(h, &r);
    settle(h);
    fresh = live - before;
    put_frame(other, 'Q', 1, 100);
    settle(h);
    assert_int_equal(get_bytes(other, reply, sizeof reply), sizeof reply);
    put_frame(other, 'Q', 2, 60000); /* a block, a chunk, a reference */
    settle(h);
    assert_int_equal(r.messages, 2);
    /* Until the peer has read. */
    while (get_bytes(other, reply, sizeof reply) > 0)
        turn(h);
    settle(h);
    assert_int_equal(live - before, fresh);
    print_message(
        "an idle connection: %zu bytes, of them event %zu, wire %zu\n", fresh,
        event_get_struct_event_size(), toy_wire.size);
    assert_true(fresh - toy_wire.size <= 272);
    close(fd);
    close(other);
    turn_until(h, &r.closed, 1);
    turn_until(h, &warm.closed, 1);
}

static void many_that_answer_in_one_batch_hold_few_chunks(void **state)
{
    enum { MANY = 400 };
    harness *h = *state;
    static recorder r[MANY];
    int fds[MANY];
    unsigned answered = 0;
    size_t before;

    memset(r, 0, sizeof r);
    for (int i = 0; i < MANY; i++) {
        r[i].echo = true;
        fds[i] = server_of(h, &r[i]);
    }
    settle(h);
    for (int i = 0; i < MANY; i++)
        put_frame(fds[i], 'Q', 1, 100);
    before = peak = live;
    for (int i = 0; i < 20; i++)
        turn(h);
    assert_true(peak - before < 150 * WEFT__CHUNK_BYTES);
    for (int i = 0; i < MANY; i++) {
        uint8_t reply[TOY_HEADER + 100];

        answered += get_bytes(fds[i], reply, sizeof reply) == sizeof reply;
        close(fds[i]);
    }
    assert_int_equal(answered, MANY);
    for (int i = 0; i < MANY; i++)
        turn_until(h, &r[i].closed, 1);
}

/* Others may have to go before the batch ends, at which their last callbacks
 * come. */
static void who_is_over_the_bound_gives_its_memory_at_once(void **state)
{
    enum { MANY = 16, BEGUN = 100000, ANNOUNCED = 150000, HELD = 400000 };
    harness *h = *state;
    weft__conn_share share = {.max_bytes = HELD};
    uint8_t *bytes = calloc(1, TOY_HEADER + BEGUN);
    recorder r[MANY] = {0};
    unsigned closed = 0;
    int fd[MANY];
    size_t before;

    h->server.share = &share;
    toy_header(bytes, 'Q', 1, ANNOUNCED);
    for (int i = 0; i < MANY; i++)
        fd[i] = server_of(h, &r[i]);
    settle(h);
    assert_non_null(weft__loop_read_buffer(h->loop));
    for (int i = 0; i < MANY; i++)
        put_bytes(fd[i], bytes, BEGUN);
    peak = before = live;
    settle(h);
    assert_true(peak - before <= HELD + 2 * ANNOUNCED);
    for (int i = 0; i < MANY; i++) {
        closed += r[i].closed;
        close(fd[i]);
        turn_until(h, &r[i].closed, 1);
    }
    assert_true(closed >= MANY - HELD / BEGUN);
    assert_int_equal(share.bytes, 0);
    free(bytes);
}

/* ---- every allocation fails once ---- */

typedef struct act {
    harness *h;
    size_t bytes; /* of the message */
    unsigned answered;
} act;

static weft_status converse(void *user)
{
    act *a = user;
    harness *h = a->h;
    recorder server = {.echo = true}, client = {0};
    weft_address peer = {.kind = WEFT_ADDRESS_INPROC};
    weft__stream_socket socket;
    uint8_t *data = calloc(1, a->bytes);
    weft_status status;
    int fds[2];

    strcpy(peer.u.un.sun_path, "test");
    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__socket_init(&socket, fds[0]);
    status = weft__conn_accept(&server.conn, h->loop, &socket, &peer, NULL, 0,
                               &toy_wire, &h->server, &server);
    if (status != WEFT_OK) {
        close(fds[0]);
        close(fds[1]);
        free(data);
        return status;
    }
    weft__socket_init(&socket, fds[1]);
    status = weft__conn_accept(&client.conn, h->loop, &socket, &peer, NULL, 0,
                               &toy_wire, &h->client, &client);
    if (status != WEFT_OK)
        close(fds[1]);
    /* A moment without memory only delays: the clock moves on. */
    for (int i = 0;
         i < 60 && status == WEFT_OK && client.ready == 0 && client.closed == 0;
         i++)
        later(h, 1);
    if (client.ready > 0 && client.conn != NULL)
        status = ask(&client, data, a->bytes);
    for (int i = 0; i < 60 && status == WEFT_OK && client.messages == 0 &&
                    client.closed == 0 && server.closed == 0;
         i++)
        later(h, 1);
    free(data);
    if (client.messages == 1) {
        assert_int_equal(client.bytes, a->bytes);
        a->answered++;
    }
    if (client.conn != NULL)
        weft__conn_close(client.conn, WEFT_OK, "done");
    for (int i = 0; i < 60 && (server.closed == 0 ||
                               (client.closed == 0 && client.conn != NULL));
         i++)
        later(h, 100);
    assert_int_equal(server.closed, 1);
    assert_true(client.conn == NULL);
    if (status != WEFT_OK)
        return status;
    if (client.messages == 1)
        return WEFT_OK;
    /* Either side lost it for want of memory, and says so. */
    assert_true(client.status == WEFT_ENOMEM || server.status == WEFT_ENOMEM ||
                server.messages == 1);
    return WEFT_ENOMEM;
}

static void
no_allocation_that_fails_costs_more_than_its_connection(void **state)
{
    static const size_t sizes[] = {10, 3000, 100000, 1 << 20};
    static weft__conn_share share = {.max_bytes = SIZE_MAX};
    harness *h = *state;

    h->server.share = h->client.share = &share; /* what is held is counted */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        act a = {.h = h, .bytes = sizes[i]};
        unsigned n = fail_each_allocation(converse, &a);

        assert_true(n >= 2);
        assert_true(a.answered >= 1);
        assert_true(share.bytes == 0 && share.first == NULL);
    }
}

static void a_moment_without_memory_only_delays(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        void *fresh; /* a loop that has no buffer yet */
        harness *h;
        recorder r = {0};
        uint8_t welcome[TOY_HEADER];
        int fd;

        assert_int_equal(harness_setup(&fresh), 0);
        h = fresh;
        fd = server_of(h, &r);
        settle(h);
        put_frame(fd, 'H', 0, 0);
        weft_mem_fail_nth(n);
        settle(h);
        assert_int_equal(weft_mem_fail_nth(0), n > 2); /* buffer, chunk */
        later(h, 20);
        assert_int_equal(r.closed, 0);
        assert_int_equal(r.ready, 1);
        assert_int_equal(get_bytes(fd, welcome, sizeof welcome),
                         sizeof welcome);
        close(fd);
        turn_until(h, &r.closed, 1);
        harness_teardown(&fresh);
    }
}

static void first_bytes_that_cannot_be_kept_leave_the_socket_alone(void **state)
{
    harness *h = *state;
    recorder r = {0};
    weft_address peer = {.kind = WEFT_ADDRESS_INPROC};
    weft__stream_socket socket;
    weft__conn *conn = NULL;
    int fds[2];

    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__socket_init(&socket, fds[0]);
    for (unsigned n = 1; n <= 2; n++) {
        weft_mem_fail_nth(n);
        assert_int_equal(weft__conn_accept(&conn, h->loop, &socket, &peer,
                                           "abc", 3, &toy_wire, &h->server, &r),
                         WEFT_ENOMEM);
        weft_mem_fail_nth(0);
    }
    settle(h);
    assert_null(conn);
    assert_int_equal(r.closed, 0);
    put_bytes(fds[0], "x", 1); /* it is open */
    close(fds[0]);
    close(fds[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
#define C(f) cmocka_unit_test_setup_teardown(f, counted_setup, counted_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        C(a_big_frame_takes_memory_as_its_bytes_arrive),
        C(an_idle_connection_holds_no_buffers),
        C(many_that_answer_in_one_batch_hold_few_chunks),
        C(who_is_over_the_bound_gives_its_memory_at_once),
        T(no_allocation_that_fails_costs_more_than_its_connection),
        cmocka_unit_test(a_moment_without_memory_only_delays),
        T(first_bytes_that_cannot_be_kept_leave_the_socket_alone),
    };
    return cmocka_run_group_tests_name("conn_memory", tests, NULL, NULL);
}
