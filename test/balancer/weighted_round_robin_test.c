#include "balancing.h"

#include <math.h>
#include <string.h>

static void turns_are_in_proportion_to_weights(void **state)
{
    static const uint32_t weights[] = {1, 2, 3, 10, 100, 1000, 65535, 100};
    enum { N = 8, PICKS = 2 * 66751 };
    balancing b = balancing_begin("weighted_round_robin", 1);
    unsigned hits[N] = {0};

    (void)state;
    balancing_fill(&b, N, weights);
    for (int i = 0; i < PICKS; i++)
        hits[balancing_call(&b)]++;
    for (int i = 0; i < N; i++) /* exact, but for the last turn of each */
        assert_in_range(hits[i], 2 * weights[i] - 2, 2 * weights[i] + 2);
    balancing_end(&b);
}

/* Over any stretch of picks, two slots' turns divided by their weights differ
 * by at most one turn of each. */
static void turns_are_smooth(void **state)
{
    static const uint32_t weights[] = {5, 1, 1, 7, 13, 2};
    enum { N = 6, PICKS = 1000 };
    static unsigned sum[PICKS + 1][N];
    balancing b = balancing_begin("weighted_round_robin", 2);

    (void)state;
    balancing_fill(&b, N, weights);
    for (int i = 0; i < PICKS; i++) {
        memcpy(sum[i + 1], sum[i], sizeof(sum[i]));
        sum[i + 1][balancing_call(&b)]++;
    }
    for (int from = 0; from < PICKS; from++)
        for (int to = from + 1; to <= PICKS && to < from + 200; to++)
            for (int i = 0; i < N; i++)
                for (int k = 0; k < i; k++) {
                    double x = (sum[to][i] - sum[from][i]) / (double)weights[i];
                    double y = (sum[to][k] - sum[from][k]) / (double)weights[k];

                    assert_true(fabs(x - y) <=
                                1.0001 / weights[i] + 1.0001 / weights[k]);
                }
    balancing_end(&b);
}

/* One of half of all weight, many light ones: it does not come in a burst. */
static void a_heavy_slot_does_not_come_in_bursts(void **state)
{
    uint32_t weights[51];
    balancing b = balancing_begin("weighted_round_robin", 3);
    int run = 0, longest = 0;

    (void)state;
    for (int i = 0; i < 51; i++)
        weights[i] = i == 0 ? 50 : 1;
    balancing_fill(&b, 51, weights);
    for (int i = 0; i < 10000; i++) {
        run = balancing_call(&b) == 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_in_range(longest, 1, 4);
    balancing_end(&b);
}

static void equal_weights_rotate(void **state)
{
    balancing b = balancing_begin("weighted_round_robin", 4);
    uint32_t order[100];

    (void)state;
    balancing_fill(&b, 100, NULL);
    for (int i = 0; i < 100; i++)
        order[i] = balancing_call(&b);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(balancing_call(&b), order[i % 100]);
    balancing_end(&b);
}

static void a_new_weight_counts_from_now_on(void **state)
{
    static const uint32_t weights[] = {100, 100, 1};
    balancing b = balancing_begin("weighted_round_robin", 5);
    unsigned hits[3] = {0};

    (void)state;
    balancing_fill(&b, 3, weights);
    for (int i = 0; i < 50; i++)
        (void)balancing_call(&b);
    balancing_set(&b, 2, 200); /* had its next turn far ahead */
    balancing_set(&b, 0, 50);
    for (int i = 0; i < 350; i++)
        hits[balancing_call(&b)]++;
    assert_in_range(hits[0], 48, 52);
    assert_in_range(hits[1], 98, 102);
    assert_in_range(hits[2], 198, 202);
    balancing_end(&b);
}

static void weights_that_change_all_the_time_keep_their_mean(void **state)
{
    balancing b = balancing_begin("weighted_round_robin", 6);
    unsigned hits[2] = {0};

    (void)state;
    balancing_fill(&b, 2, NULL);
    for (int i = 0; i < 30000; i++) {
        balancing_set(&b, 0, i % 2 ? 10 : 100);
        hits[balancing_call(&b)]++;
    }
    /* 55 against 100 in the mean. */
    assert_in_range(hits[0], 8000, 15000);
    balancing_end(&b);
}

static void millions_of_turns_stay_in_proportion(void **state)
{
    static const uint32_t weights[] = {1, 2};
    balancing b = balancing_begin("weighted_round_robin", 7);
    unsigned hits[2] = {0};

    (void)state;
    balancing_fill(&b, 2, weights);
    for (int i = 0; i < 3000000; i++)
        hits[balancing_call(&b)]++;
    assert_in_range(hits[0], 999999, 1000001);
    balancing_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_in_proportion_to_weights),
        cmocka_unit_test(turns_are_smooth),
        cmocka_unit_test(a_heavy_slot_does_not_come_in_bursts),
        cmocka_unit_test(equal_weights_rotate),
        cmocka_unit_test(a_new_weight_counts_from_now_on),
        cmocka_unit_test(weights_that_change_all_the_time_keep_their_mean),
        cmocka_unit_test(millions_of_turns_stay_in_proportion),
    };
    return cmocka_run_group_tests_name("weighted_round_robin", tests, NULL,
                                       NULL);
}
