/* histogram_test.c - what is read back is what was added, within 1/64. */
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <weft/histogram.h>

enum { TIMES = 20000, ADDED = 100000 };

static const uint64_t longest = ((uint64_t)1 << 40) - 1;

static weft_histogram a, b, sum;

static int setup(void **state)
{
    (void)state;
    a = b = sum = (weft_histogram){0};
    return 0;
}

/* Of all magnitudes alike. */
static uint64_t random_ns(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random >> (24 + *random % 40);
}

static int by_size(const void *x, const void *y)
{
    uint64_t l = *(const uint64_t *)x, r = *(const uint64_t *)y;

    return (l > r) - (l < r);
}

static void a_time_is_read_back_at_most_a_64th_too_long(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 40; bit++) {
        for (uint64_t offset = 0; offset < 130; offset++) {
            uint64_t ns = ((uint64_t)1 << bit) + (offset << bit) / 130, read;

            setup(NULL);
            weft_histogram_add(&a, ns, 1);
            assert_int_equal(weft_histogram_quantile_ns(&a, 0.5), ns);
            weft_histogram_add(&a, longest, 1); /* the longest is exact */
            read = weft_histogram_quantile_ns(&a, 0.5);
            assert_true(read >= ns);
            assert_true(read - ns <= ns / 64);
        }
    }
}

static void neighbouring_buckets_leave_nothing_out(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (unsigned i = 0; i < WEFT_HISTOGRAM_BUCKETS; i++) {
        setup(NULL);
        a.counts[i] = 1;
        a.max_ns = UINT64_MAX;
        last = weft_histogram_quantile_ns(&a, 1); /* its upper end */
        weft_histogram_add(&b, last, 1);
        assert_int_equal(b.counts[i], 1);
        weft_histogram_add(&b, last + 1, 1);
        if (i + 1 < WEFT_HISTOGRAM_BUCKETS)
            assert_int_equal(b.counts[i + 1], 1);
    }
    assert_int_equal(last, longest);
}

static void quantiles_stand_where_they_should(void **state)
{
    (void)state;
    assert_int_equal(weft_histogram_quantile_ns(&a, 0.5), 0);
    for (uint64_t ns = 1; ns <= 60; ns++)
        weft_histogram_add(&a, ns, 1);
    assert_int_equal(weft_histogram_quantile_ns(&a, 0.5), 30);
    assert_int_equal(weft_histogram_quantile_ns(&a, 0.99), 60);
    assert_int_equal(weft_histogram_quantile_ns(&a, 0.01), 1);
    assert_int_equal(weft_histogram_count(&a), 60);
    assert_true(fabs(weft_histogram_mean_ns(&a) - 30.5) < 1e-9);
}

static void quantiles_of_random_times_are_within_a_64th(void **state)
{
    static const double shares[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    static uint64_t times[TIMES];
    uint64_t random = 88172645463325252;
    double exact = 0, mean;

    (void)state;
    for (unsigned i = 0; i < TIMES; i++) {
        times[i] = random_ns(&random);
        exact += (double)times[i] / TIMES;
        weft_histogram_add(&a, times[i], 1);
    }
    qsort(times, TIMES, sizeof(times[0]), by_size);
    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        size_t rank = (size_t)ceil(shares[i] * TIMES);
        uint64_t read = weft_histogram_quantile_ns(&a, shares[i]);

        assert_true(read >= times[rank - 1]);
        assert_true(read - times[rank - 1] <= times[rank - 1] / 64);
    }
    mean = weft_histogram_mean_ns(&a);
    assert_true(fabs(mean - exact) <= exact / 128);
    assert_int_equal(a.max_ns, times[TIMES - 1]);
}

static void many_at_a_time_are_as_many_one_by_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        weft_histogram_add(&a, 12345, 1);
    weft_histogram_add(&b, 12345, 64);
    assert_memory_equal(&a, &b, sizeof(a));
    weft_histogram_add(&b, 99999, 0); /* nothing took that long */
    assert_memory_equal(&a, &b, sizeof(a));
}

static void a_merged_one_is_as_if_all_had_been_added_to_it(void **state)
{
    uint64_t random = 1234567;

    (void)state;
    for (unsigned i = 0; i < TIMES; i++) {
        uint64_t ns = random_ns(&random);

        weft_histogram_add(i % 3 == 0 ? &a : &b, ns, 1);
        weft_histogram_add(&sum, ns, 1);
    }
    weft_histogram_merge(&a, &b);
    assert_memory_equal(&a, &sum, sizeof(sum));
}

static void what_came_since_is_told_apart(void **state)
{
    (void)state;
    weft_histogram_add(&a, 70000, 10);
    weft_histogram_add(&a, 500, 1);
    b = a;
    weft_histogram_add(&a, 500, 99);
    weft_histogram_add(&a, 1000, 1);
    weft_histogram_subtract(&a, &b);
    assert_int_equal(weft_histogram_count(&a), 100);
    assert_in_range(weft_histogram_quantile_ns(&a, 0.5), 500, 500 + 500 / 64);
    assert_in_range(a.max_ns, 1000, 1000 + 1000 / 64);
    b = a;
    weft_histogram_subtract(&a, &b);
    assert_int_equal(weft_histogram_count(&a), 0);
    assert_int_equal(a.max_ns, 0);
}

static void the_longest_since_is_exact_where_nothing_else_can_be_said(void **st)
{
    (void)st;
    weft_histogram_add(&a, 1, 1);
    b = a;
    weft_histogram_add(&a, UINT64_MAX - 7, 1);
    weft_histogram_subtract(&a, &b);
    assert_true(a.max_ns == UINT64_MAX - 7);
}

static void no_time_is_too_short_or_too_long(void **state)
{
    (void)state;
    weft_histogram_add(&a, 0, 1);
    assert_int_equal(weft_histogram_quantile_ns(&a, 1), 0);
    weft_histogram_add(&a, UINT64_MAX, 1);
    weft_histogram_add(&a, longest + 1, 1);
    assert_int_equal(weft_histogram_count(&a), 3);
    assert_int_equal(weft_histogram_quantile_ns(&a, 0.3), 0);
    assert_int_equal(weft_histogram_quantile_ns(&a, 1), longest);
    assert_true(a.max_ns == UINT64_MAX);
    assert_true(weft_histogram_mean_ns(&a) < (double)longest);
}

static void a_share_that_is_none_is_the_nearest_that_is(void **state)
{
    (void)state;
    weft_histogram_add(&a, 7, 1);
    weft_histogram_add(&a, 9, 1);
    assert_int_equal(weft_histogram_quantile_ns(&a, -1), 7);
    assert_int_equal(weft_histogram_quantile_ns(&a, 0), 7);
    assert_int_equal(weft_histogram_quantile_ns(&a, (double)NAN), 7);
    assert_int_equal(weft_histogram_quantile_ns(&a, 2), 9);
    assert_int_equal(weft_histogram_quantile_ns(&a, (double)INFINITY), 9);
}

static void *add_many(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ADDED; i++)
        weft_histogram_add(&a, i, 1);
    return NULL;
}

static void another_thread_may_merge_from_one_that_grows(void **state)
{
    pthread_t thread;
    uint64_t last = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, add_many, NULL), 0);
    while (last < ADDED / 2) {
        uint64_t now;

        sum = (weft_histogram){0};
        weft_histogram_merge(&sum, &a);
        now = weft_histogram_count(&sum);
        assert_in_range(now, last, ADDED);
        last = now;
    }
    pthread_join(thread, NULL);
    assert_int_equal(weft_histogram_count(&a), ADDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_time_is_read_back_at_most_a_64th_too_long,
                               setup),
        cmocka_unit_test_setup(neighbouring_buckets_leave_nothing_out, setup),
        cmocka_unit_test_setup(quantiles_stand_where_they_should, setup),
        cmocka_unit_test_setup(quantiles_of_random_times_are_within_a_64th,
                               setup),
        cmocka_unit_test_setup(many_at_a_time_are_as_many_one_by_one, setup),
        cmocka_unit_test_setup(a_merged_one_is_as_if_all_had_been_added_to_it,
                               setup),
        cmocka_unit_test_setup(what_came_since_is_told_apart, setup),
        cmocka_unit_test_setup(
            the_longest_since_is_exact_where_nothing_else_can_be_said, setup),
        cmocka_unit_test_setup(no_time_is_too_short_or_too_long, setup),
        cmocka_unit_test_setup(a_share_that_is_none_is_the_nearest_that_is,
                               setup),
        cmocka_unit_test_setup(another_thread_may_merge_from_one_that_grows,
                               setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
