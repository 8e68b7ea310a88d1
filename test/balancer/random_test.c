#include "balancer_internal.h"
#include "balancing.h"

/* Chi-square of counts against an even spread. */
static double chi_square(const unsigned *hits, size_t n, double picks)
{
    double expected = picks / (double)n, sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((double)hits[i] - expected) * ((double)hits[i] - expected) /
               expected;
    return sum;
}

/* With 99 degrees of freedom, chi-square is over 170 once in 80,000 seeds (mean
 * 99, deviation 14), and under 48 as rarely: too even is not random either. */
static void every_slot_is_as_likely(void **state)
{
    balancing b = balancing_begin("random", 1);
    unsigned hits[100] = {0};
    double chi;

    (void)state;
    balancing_fill(&b, 100, NULL);
    for (int i = 0; i < 100000; i++)
        hits[balancing_call(&b)]++;
    chi = chi_square(hits, 100, 100000);
    assert_true(chi > 48 && chi < 170);
    balancing_end(&b);
}

static void one_pick_says_nothing_about_the_next(void **state)
{
    balancing b = balancing_begin("random", 2);
    unsigned pairs[100] = {0};
    uint32_t last, slot;
    double chi;

    (void)state;
    balancing_fill(&b, 10, NULL);
    last = balancing_call(&b);
    for (int i = 0; i < 100000; i++) {
        slot = balancing_call(&b);
        pairs[last * 10 + slot]++;
        last = slot;
    }
    chi = chi_square(pairs, 100, 100000);
    assert_true(chi > 48 && chi < 170);
    balancing_end(&b);
}

static void the_untried_are_as_likely_too(void **state)
{
    static const uint32_t tried[] = {0, 50, 51, 52, 99, 50, 7};
    balancing b = balancing_begin("random", 3);
    unsigned hits[100] = {0}, dense[94];
    size_t n = 0;
    double chi;

    (void)state;
    balancing_fill(&b, 100, NULL);
    for (int i = 0; i < 100000; i++) {
        uint32_t slot = balancing_retry(&b, tried, 7);

        balancing_done(&b, slot);
        hits[slot]++;
    }
    for (size_t i = 0; i < 100; i++)
        if (i != 0 && i != 7 && i != 99 && (i < 50 || i > 52))
            dense[n++] = hits[i];
    assert_int_equal(n, 94);
    chi = chi_square(dense, 94, 100000);
    assert_true(chi > 44 && chi < 163);
    balancing_end(&b);
}

static void the_seed_decides(void **state)
{
    balancing a = balancing_begin("random", 4),
              b = balancing_begin("random", 4),
              c = balancing_begin("random", 5);
    int same = 0;

    (void)state;
    balancing_fill(&a, 100, NULL);
    balancing_fill(&b, 100, NULL);
    balancing_fill(&c, 100, NULL);
    for (int i = 0; i < 1000; i++) {
        uint32_t slot = balancing_call(&a);

        assert_int_equal(balancing_call(&b), slot);
        same += balancing_call(&c) == slot;
    }
    assert_true(same < 50);
    balancing_end(&a);
    balancing_end(&b);
    balancing_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_is_as_likely),
        cmocka_unit_test(one_pick_says_nothing_about_the_next),
        cmocka_unit_test(the_untried_are_as_likely_too),
        cmocka_unit_test(the_seed_decides),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
