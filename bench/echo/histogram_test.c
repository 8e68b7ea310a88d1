/* histogram_test.c - the benchmark's latencies are what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "histogram.h"

static void no_quantile_is_off_by_more_than_a_64th(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < (uint64_t)1 << 39; v += 1 + v / 7) {
        histogram h = {.total = 0};
        uint64_t read;

        histogram_add(&h, v);
        histogram_add(&h, (uint64_t)1 << 39); /* the maximum is exact */
        read = histogram_quantile(&h, 0.5);
        assert_true(read >= v);
        assert_true(read - v <= v / 64);
    }
}

static void quantiles_stand_where_they_should(void **state)
{
    histogram h = {.total = 0};

    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    for (uint64_t v = 1; v <= 60; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_quantile(&h, 0.5), 30);
    assert_int_equal(histogram_quantile(&h, 0.99), 60);
    assert_int_equal(histogram_quantile(&h, 0.01), 1);
    assert_int_equal(histogram_quantile(&h, 1), 60);
    assert_int_equal(h.total, 60);
}

static void a_value_past_the_range_counts_and_stays_the_maximum(void **state)
{
    histogram h = {.total = 0};

    (void)state;
    histogram_add(&h, 5);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.5), 5);
    assert_true(histogram_quantile(&h, 1) >= ((uint64_t)1 << 40) - 1);
    assert_true(h.max == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_quantile_is_off_by_more_than_a_64th),
        cmocka_unit_test(quantiles_stand_where_they_should),
        cmocka_unit_test(a_value_past_the_range_counts_and_stays_the_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
