/* outq_test.c - over a pool of the test's own, which counts chunks and spoils
 * what comes back. */
#include "fail_nth.h"

#include <weft/outq.h>

#include <stdlib.h>
#include <string.h>

static size_t chunks_out;

void *weft__loop_chunk_get(weft_loop *loop)
{
    void *chunk = weft_malloc(WEFT__CHUNK_BYTES);

    (void)loop;
    if (chunk != NULL) {
        memset(chunk, 0xaa, WEFT__CHUNK_BYTES);
        chunks_out++;
    }
    return chunk;
}

void weft__loop_chunk_put(weft_loop *loop, void *chunk)
{
    (void)loop;
    chunks_out--;
    memset(chunk, 0xdd, WEFT__CHUNK_BYTES);
    weft_free(chunk);
}

/* What comes back has the size that it was given out with. */
void *weft__loop_block_get(weft_loop *loop, size_t *size)
{
    (void)loop;
    *size += 100; /* one that was kept, a bit too large */
    return weft_malloc(*size);
}

void weft__loop_block_put(weft_loop *loop, void *block, size_t size)
{
    (void)loop;
    memset(block, 0xdd, size);
    weft_free(block);
}

static int setup(void **state)
{
    static weft__outq q;

    weft__outq_init(&q, NULL);
    chunks_out = 0;
    *state = &q;
    return 0;
}

static int teardown(void **state)
{
    weft__outq_fini(*state);
    return chunks_out == 0 ? 0 : -1;
}

/* Reads what waits, at most 16 entries at a time, and consumes it in pieces of
 * `step` bytes. */
static size_t drain(weft__outq *q, uint8_t *out, size_t step)
{
    size_t at = 0;

    while (q->bytes > 0) {
        struct iovec iov[16];
        int n = weft__outq_iov(q, iov, 16);
        size_t left = step;

        assert_true(n > 0);
        for (int i = 0; i < n && left > 0; i++) {
            size_t take = iov[i].iov_len < left ? iov[i].iov_len : left;

            memcpy(out + at, iov[i].iov_base, take);
            at += take;
            left -= take;
        }
        weft__outq_consume(q, step - left);
    }
    return at;
}

static weft_status append(weft__outq *q, const void *data, size_t n)
{
    uint8_t *p = weft__outq_reserve(q, n);

    if (p == NULL)
        return WEFT_ENOMEM;
    memcpy(p, data, n);
    return WEFT_OK;
}

static void small_pieces_are_packed_into_one_entry(void **state)
{
    weft__outq *q = *state;
    struct iovec iov[4];

    for (int i = 0; i < 100; i++)
        assert_int_equal(append(q, "weft", 4), WEFT_OK);
    assert_int_equal(q->bytes, 400);
    assert_int_equal(weft__outq_iov(q, iov, 4), 1);
    assert_int_equal(iov[0].iov_len, 400);
    assert_int_equal(chunks_out, 1);
    weft__outq_consume(q, 400);
    assert_int_equal(weft__outq_iov(q, iov, 4), 0);
    assert_int_equal(chunks_out, 0); /* an empty queue holds no memory */
}

static void what_was_handed_out_neither_changes_nor_moves(void **state)
{
    weft__outq *q = *state;
    struct iovec iov[1], later[1];

    assert_int_equal(append(q, "first", 5), WEFT_OK);
    assert_int_equal(weft__outq_iov(q, iov, 1), 1);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(append(q, "later", 5), WEFT_OK);
    assert_memory_equal(iov[0].iov_base, "first", 5);
    assert_int_equal(weft__outq_iov(q, later, 1), 1);
    assert_ptr_equal(iov[0].iov_base, later[0].iov_base);
}

static int released;

static void on_release(void *arg)
{
    released++;
    if (arg != NULL)
        *(int *)arg = released;
}

static void a_reference_is_released_when_its_last_byte_is_written(void **state)
{
    static const char big[100000];
    weft__outq *q = *state;
    struct iovec iov[4];
    int order[2] = {0, 0};

    released = 0;
    assert_int_equal(append(q, "head", 4), WEFT_OK);
    assert_int_equal(weft__outq_ref(q, big, sizeof(big), on_release, &order[0]),
                     WEFT_OK);
    assert_int_equal(append(q, "tail", 4), WEFT_OK);
    assert_int_equal(weft__outq_ref(q, big, 1, on_release, &order[1]), WEFT_OK);
    assert_int_equal(weft__outq_iov(q, iov, 4), 4);
    assert_ptr_equal(iov[1].iov_base, big); /* where it lies */
    assert_int_equal(chunks_out, 1);        /* a reference costs no chunk */
    weft__outq_consume(q, 4 + sizeof(big) - 1);
    assert_int_equal(released, 0);
    weft__outq_consume(q, 1);
    assert_int_equal(released, 1);
    weft__outq_consume(q, 5);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(q->bytes, 0);
}

static void what_was_not_written_is_released_at_the_end(void **state)
{
    weft__outq *q = *state;

    released = 0;
    assert_int_equal(weft__outq_ref(q, "x", 1, on_release, NULL), WEFT_OK);
    assert_int_equal(weft__outq_ref(q, "y", 1, on_release, NULL), WEFT_OK);
    assert_int_equal(weft__outq_ref(q, "z", 1, NULL, NULL), WEFT_OK);
    weft__outq_fini(q);
    assert_int_equal(released, 2);
    assert_int_equal(q->bytes, 0);
}

static void an_empty_reference_is_released_at_once(void **state)
{
    weft__outq *q = *state;

    released = 0;
    assert_int_equal(weft__outq_ref(q, NULL, 0, on_release, NULL), WEFT_OK);
    assert_int_equal(released, 1);
    assert_null(q->tail);
}

static void a_trim_gives_back_what_was_too_much(void **state)
{
    weft__outq *q = *state;
    uint8_t out[64], *p = weft__outq_reserve(q, 32);

    memcpy(p, "abc", 3);
    weft__outq_trim(q, 29);
    assert_int_equal(q->bytes, 3);
    p = weft__outq_reserve(q, 4);
    memcpy(p, "defg", 4);
    weft__outq_trim(q, 0);
    p = weft__outq_reserve(q, 10);
    assert_non_null(p);
    weft__outq_trim(q, 10);
    assert_int_equal(drain(q, out, 3), 7);
    assert_memory_equal(out, "abcdefg", 7);
    assert_non_null(weft__outq_reserve(q, 40000));
    weft__outq_trim(q, 40000);
    assert_int_equal(q->bytes, 0);
    assert_null(q->tail); /* nothing is left, not even an empty segment */
}

static void a_trimmed_segment_disappears_among_others(void **state)
{
    weft__outq *q = *state;
    struct iovec iov[4];
    uint8_t out[8];

    assert_int_equal(weft__outq_ref(q, "r", 1, NULL, NULL), WEFT_OK);
    assert_non_null(weft__outq_reserve(q, 50));
    weft__outq_trim(q, 50);
    assert_int_equal(weft__outq_ref(q, "s", 1, NULL, NULL), WEFT_OK);
    assert_int_equal(weft__outq_iov(q, iov, 4), 2);
    assert_int_equal(drain(q, out, 1), 2);
    assert_memory_equal(out, "rs", 2);
    assert_null(q->tail);
}

/* Pieces of many sizes, copied and referenced, consumed in steps of many sizes:
 * what comes out is what went in. */
static void every_byte_comes_out_once_and_in_order(void **state)
{
    static const size_t sizes[] = {1,     7,     100,   5000,  16000, 16295,
                                   16320, 16384, 20000, 65537, 3,     16383};
    static const size_t steps[] = {1, 13, 4096, 16384, 100000, 1 << 24};
    static uint8_t in[4 << 20], out[4 << 20];
    weft__outq *q = *state;

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        size_t at = 0, rounds = steps[s] == 1 ? 3 : 12;

        released = 0;
        for (size_t r = 0; r < rounds; r++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                if ((r + i) % 3 == 0)
                    assert_int_equal(
                        weft__outq_ref(q, in + at, sizes[i], on_release, NULL),
                        WEFT_OK);
                else
                    assert_int_equal(append(q, in + at, sizes[i]), WEFT_OK);
                at += sizes[i];
            }
        assert_int_equal(q->bytes, at);
        assert_int_equal(drain(q, out, steps[s]), at);
        assert_memory_equal(in, out, at);
        assert_int_equal(released, rounds * 4);
        assert_int_equal(chunks_out, 0);
    }
}

static void a_size_that_overflows_is_out_of_memory(void **state)
{
    weft__outq *q = *state;

    assert_null(weft__outq_reserve(q, SIZE_MAX));
    assert_null(weft__outq_reserve(q, SIZE_MAX - 16));
    assert_null(q->tail);
}

static weft_status queue_some(void *user)
{
    static const uint8_t piece[20000];
    weft_status status = WEFT_OK;
    weft__outq q;
    int taken = 0;

    (void)user;
    released = 0;
    weft__outq_init(&q, NULL);
    for (size_t i = 0; i < 30 && status == WEFT_OK; i++) {
        size_t bytes = q.bytes, n = i % 5 == 0 ? sizeof(piece) : 3000;

        if (i % 2 == 0) {
            status = append(&q, piece, n);
        } else {
            status = weft__outq_ref(&q, piece, n, on_release, NULL);
            taken += status == WEFT_OK;
        }
        assert_int_equal(q.bytes, status == WEFT_OK ? bytes + n : bytes);
    }
    weft__outq_fini(&q);
    assert_int_equal(released, taken);
    assert_int_equal(chunks_out, 0);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(queue_some, NULL) >= 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(small_pieces_are_packed_into_one_entry),
        T(what_was_handed_out_neither_changes_nor_moves),
        T(a_reference_is_released_when_its_last_byte_is_written),
        T(what_was_not_written_is_released_at_the_end),
        T(an_empty_reference_is_released_at_once),
        T(a_trim_gives_back_what_was_too_much),
        T(a_trimmed_segment_disappears_among_others),
        T(every_byte_comes_out_once_and_in_order),
        T(a_size_that_overflows_is_out_of_memory),
        T(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("outq", tests, NULL, NULL);
}
