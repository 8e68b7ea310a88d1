/* conn_block_test.c - big frames on a connection, alone and in rows. */
#include "conn_harness.h"

#include "conn_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/mem.h>

enum { BIG = 1 << 20 };

static void
a_big_frame_comes_in_a_block_that_its_receiver_may_keep(void **state)
{
    harness *h = *state;
    recorder r = {.take_blocks = true};
    int fd = server_of(h, &r);
    uint8_t header[TOY_HEADER];
    uint8_t *body = calloc(1, 65536);

    toy_header(header, 'Q', 1, BIG);
    put_bytes(fd, header, sizeof header);
    for (int i = 0; i < BIG / 65536; i++) {
        put_bytes(fd, body, 65536);
        turn(h);
        turn(h);
    }
    turn_until(h, &r.messages, 1);
    assert_int_equal(r.blocks, 1);
    assert_int_equal(r.bytes, BIG);
    free(body);
    close(fd);
    turn_until(h, &r.closed, 1);
}

/* Any mix of sizes, cuts, budgets and pauses: the sums agree. */
static uint32_t dice = 1;

static uint32_t roll(uint32_t n)
{
    dice = dice * 1664525u + 1013904223u; /* Numerical Recipes' LCG */
    return (uint32_t)((uint64_t)dice * n >> 32);
}

static void pause_sometimes(recorder *r, const weft__wire_event *event)
{
    (void)event;
    if (roll(5) == 0)
        weft__conn_pause(r->conn);
}

static size_t random_frames(uint8_t *bytes, size_t size, unsigned *n,
                            uint32_t *sum)
{
    static const uint32_t most[] = {10, 300, 4200, 20000, 90000};
    size_t at = 0, len = 0;

    *n = 0;
    *sum = 0;
    for (;;) {
        if (roll(3) == 0) /* else as large as the last one: in rows */
            len = roll(most[roll(5)]);
        if (len + TOY_HEADER > size - at)
            break;
        toy_header(bytes + at, 'Q', ++*n, len);
        at += TOY_HEADER;
        for (size_t i = 0; i < len; i++) {
            bytes[at + i] = (uint8_t)roll(256);
            *sum = *sum * 31 + bytes[at + i];
        }
        at += len;
    }
    return at;
}

static void whatever_the_sizes_and_cuts_nothing_is_lost(void **state)
{
    enum { ROUNDS = 150, SIZE = 600000 };
    harness *h = *state;
    uint8_t *bytes = malloc(SIZE);

    for (dice = 1; dice <= ROUNDS;) {
        uint32_t seed = dice, sum;
        unsigned n, turns = 0;
        recorder r = {.on_event = pause_sometimes};
        size_t len = random_frames(bytes, SIZE, &n, &sum), sent = 0;
        int fd;

        r.take_blocks = roll(2) == 0;
        h->server.frames_per_wakeup = 1 + roll(8);
        fd = server_of(h, &r);
        while (r.messages < n) {
            size_t part = 1 + roll(roll(2) == 0 ? 100 : 400000);

            if (part > len - sent)
                part = len - sent;
            if (part > 0) {
                ssize_t put =
                    send(fd, bytes + sent, part, MSG_NOSIGNAL | MSG_DONTWAIT);

                sent += put > 0 ? (size_t)put : 0;
            }
            turn(h);
            while (r.conn->pauses > 0 && roll(2) == 0)
                weft__conn_resume(r.conn);
            assert_true(++turns < 100000);
        }
        if (r.sum != sum)
            print_error("seed %u\n", seed);
        assert_int_equal(r.sum, sum);
        while (r.conn != NULL && r.conn->pauses > 0)
            weft__conn_resume(r.conn);
        close(fd);
        turn_until(h, &r.closed, 1);
        assert_string_equal(r.why, "peer closed");
        dice = seed + 1;
    }
    free(bytes);
}

static void what_follows_a_big_frame_in_the_same_read_is_not_lost(void **state)
{
    static const size_t sizes[] = {5000, 20000, 60000, 150000};
    harness *h = *state;
    uint8_t *bytes = malloc(2 * TOY_HEADER + 150000 + 9);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t len = 2 * TOY_HEADER + sizes[i] + 9;
        recorder whole = {0}, cut = {.take_blocks = true};
        int fd = server_of(h, &whole), other = server_of(h, &cut);

        toy_header(bytes, 'Q', 1, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            bytes[TOY_HEADER + j] = (uint8_t)(j * 31 >> 2);
        toy_header(bytes + TOY_HEADER + sizes[i], 'Q', 2, 9);
        memcpy(bytes + 2 * TOY_HEADER + sizes[i], "behind it", 9);
        put_bytes(fd, bytes, len);
        turn_until(h, &whole.messages, 2);
        put_bytes(other, bytes, 2000);
        settle(h);
        put_bytes(other, bytes + 2000, len - 2000);
        turn_until(h, &cut.messages, 2);
        assert_int_equal(cut.sum, whole.sum);
        assert_int_equal(cut.blocks, 1);
        close(fd);
        close(other);
        turn_until(h, &whole.closed, 1);
        turn_until(h, &cut.closed, 1);
    }
    free(bytes);
}

static void note_block(recorder *r, const weft__wire_event *event)
{
    r->blocks += event->input->block != NULL;
}

/* One read is for several, and none is copied. */
static void big_frames_of_one_size_are_read_into_blocks_in_rows(void **state)
{
    enum { BODY = 20000, FRAME = TOY_HEADER + BODY, ROW = 4 };
    harness *h = *state;
    recorder r = {.on_event = note_block};
    uint8_t *frames = calloc(ROW, FRAME);
    int fd = server_of(h, &r);

    for (unsigned i = 0; i < ROW; i++)
        toy_header(frames + i * FRAME, 'Q', i + 1, BODY);
    put_bytes(fd, frames, FRAME); /* by which the size is known */
    turn_until(h, &r.messages, 1);
    r.conn->socket.ops = &counting;
    for (int row = 0; row < 3; row++) {
        reads = 0;
        r.blocks = 0;
        r.messages = 0;
        put_bytes(fd, frames, ROW * FRAME);
        turn_until(h, &r.messages, ROW);
        assert_int_equal(r.blocks, ROW);
        assert_int_equal(reads, 1);
    }
    free(frames);
    close(fd);
    turn_until(h, &r.closed, 1);
}

/* Whatever was foreseen, an announcement gets no memory. */
static void the_first_bytes_of_a_foreseen_frame_get_no_block(void **state)
{
    enum { BODY = 20000 };
    harness *h = *state;
    recorder r = {0};
    uint8_t *frame = calloc(1, TOY_HEADER + BODY);
    int fd = server_of(h, &r);

    toy_header(frame, 'Q', 1, BODY);
    put_bytes(fd, frame, TOY_HEADER + BODY);
    turn_until(h, &r.messages, 1);
    put_bytes(fd, frame, WEFT__TINY_PART);
    settle(h);
    assert_true(r.conn->in->cap <= WEFT__TINY_PART);
    put_bytes(fd, frame + WEFT__TINY_PART, TOY_HEADER + BODY - WEFT__TINY_PART);
    turn_until(h, &r.messages, 2);
    put_bytes(fd, frame, 2 * WEFT__TINY_PART);
    settle(h);
    assert_int_equal(r.conn->in->cap, TOY_HEADER + BODY);
    free(frame);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_string_equal(r.why, "peer closed in the middle of a frame");
}

/* What was put aside may leave its block to the beginning of a frame, which is
 * smaller: the bound of what is held for peers counts the block. */
static void a_block_counts_whole_whatever_part_of_it_is_used(void **state)
{
    enum { FEW = 1000, MANY = 80000, BEGUN = 25000, ANNOUNCED = 200000 };
    harness *h = *state;
    weft__conn_share share = {.max_bytes = SIZE_MAX};
    uint8_t *bytes = calloc(1, 4 * TOY_HEADER + 2 * (FEW + MANY) + BEGUN);
    static const size_t sizes[] = {FEW, FEW, MANY, MANY, ANNOUNCED};
    recorder r = {0};
    size_t at = 0;
    int fd;

    h->server.frames_per_wakeup = 1;
    h->server.share = &share;
    fd = server_of(h, &r);
    for (unsigned i = 0; i < 5; i++) {
        toy_header(bytes + at, 'Q', i + 1, sizes[i]);
        at += TOY_HEADER + sizes[i];
    }
    put_bytes(fd, bytes, 4 * TOY_HEADER + 2 * (FEW + MANY) + BEGUN);
    turn_until(h, &r.messages, 4);
    settle(h);
    assert_true(r.conn->in->block);
    assert_true(r.conn->in->size > r.conn->in->cap + FEW);
    assert_int_equal(share.bytes, r.conn->in->size);
    free(bytes);
    close(fd);
    turn_until(h, &r.closed, 1);
    assert_int_equal(share.bytes, 0);
}

#define T(test)                                                                \
    cmocka_unit_test_setup_teardown(test, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_big_frame_comes_in_a_block_that_its_receiver_may_keep),
        T(whatever_the_sizes_and_cuts_nothing_is_lost),
        T(what_follows_a_big_frame_in_the_same_read_is_not_lost),
        T(big_frames_of_one_size_are_read_into_blocks_in_rows),
        T(the_first_bytes_of_a_foreseen_frame_get_no_block),
        T(a_block_counts_whole_whatever_part_of_it_is_used),
    };

    return cmocka_run_group_tests_name("big frames", tests, NULL, NULL);
}
