#include "balancing.h"

#include <string.h>

static void the_idle_one_wins(void **state)
{
    balancing b = balancing_begin("least_request", 1);
    uint32_t first, second;

    (void)state;
    balancing_fill(&b, 2, NULL);
    first = balancing_pick(&b);
    second = balancing_pick(&b);
    assert_int_not_equal(first, second);
    balancing_done(&b, second);
    assert_int_equal(balancing_pick(&b), second);
    balancing_end(&b);
}

/* Calls of any length come and go: whoever is picked has no more in flight than
 * anybody else, and without calls that end, the most and the least differ by
 * one. */
static void the_least_in_flight_is_always_chosen(void **state)
{
    enum { N = 50, CALLS = 5000 };
    static uint32_t calls[CALLS];
    balancing b = balancing_begin("least_request", 2);
    unsigned in_flight[N] = {0};
    size_t n = 0;
    uint64_t random = 88172645463325252u;

    (void)state;
    balancing_fill(&b, N, NULL);
    for (int i = 0; i < 100000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (n > 0 && (n == CALLS || random % 100 < 49)) {
            size_t which = (size_t)(random >> 20) % n;

            balancing_done(&b, calls[which]);
            in_flight[calls[which]]--;
            calls[which] = calls[--n];
        } else {
            uint32_t slot = balancing_pick(&b);

            for (int k = 0; k < N; k++)
                assert_true(in_flight[slot] <= in_flight[k]);
            in_flight[slot]++;
            calls[n++] = slot;
        }
    }
    balancing_end(&b);
}

static void without_an_end_most_and_least_differ_by_one(void **state)
{
    enum { N = 37 };
    balancing b = balancing_begin("least_request", 3);
    unsigned in_flight[N] = {0};

    (void)state;
    balancing_fill(&b, N, NULL);
    for (int i = 0; i < 10000; i++) {
        unsigned most = 0, least = UINT32_MAX;

        in_flight[balancing_pick(&b)]++;
        for (int k = 0; k < N; k++) {
            most = in_flight[k] > most ? in_flight[k] : most;
            least = in_flight[k] < least ? in_flight[k] : least;
        }
        assert_true(most - least <= 1);
    }
    balancing_end(&b);
}

static void what_is_in_flight_follows_the_weights(void **state)
{
    static const uint32_t weights[] = {1, 2, 5, 100, 892};
    balancing b = balancing_begin("least_request", 4);
    unsigned in_flight[5] = {0};

    (void)state;
    balancing_fill(&b, 5, weights);
    for (int i = 0; i < 10000; i++)
        in_flight[balancing_pick(&b)]++;
    for (int i = 0; i < 5; i++)
        assert_in_range(in_flight[i], weights[i] * 10 - 5, weights[i] * 10 + 5);
    balancing_end(&b);
}

static void idle_slots_take_turns(void **state)
{
    balancing b = balancing_begin("least_request", 5);
    unsigned hits[10] = {0};

    (void)state;
    balancing_fill(&b, 10, NULL);
    for (int i = 0; i < 1000; i++) {
        hits[balancing_call(&b)]++;
        for (int k = 0; k < 10; k++)
            assert_in_range(hits[k], (unsigned)i / 10 < 1 ? 0 : i / 10 - 1,
                            i / 10 + 2);
    }
    balancing_end(&b);
}

static void weights_count_also_when_all_are_idle(void **state)
{
    static const uint32_t weights[] = {100, 50, 10};
    balancing b = balancing_begin("least_request", 6);
    unsigned hits[3] = {0};

    (void)state;
    balancing_fill(&b, 3, weights);
    for (int i = 0; i < 1600; i++)
        hits[balancing_call(&b)]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(hits[i], weights[i] * 10 - 2, weights[i] * 10 + 2);
    balancing_end(&b);
}

static void who_was_busy_has_not_saved_up_turns(void **state)
{
    balancing b = balancing_begin("least_request", 7);
    uint32_t busy;
    int run = 0;

    (void)state;
    balancing_fill(&b, 3, NULL);
    busy = balancing_pick(&b);
    for (int i = 0; i < 10000; i++)
        assert_int_not_equal(balancing_call(&b), busy);
    balancing_done(&b, busy);
    for (int i = 0; i < 30; i++)
        run += balancing_call(&b) == busy;
    assert_in_range(run, 9, 12);
    balancing_end(&b);
}

static void clients_do_not_all_begin_with_the_same(void **state)
{
    uint32_t firsts = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        balancing b = balancing_begin("least_request", seed);

        balancing_fill(&b, 10, NULL);
        firsts |= 1u << balancing_call(&b);
        balancing_end(&b);
    }
    assert_int_equal(firsts, 0x3ff);
}

static void calls_in_flight_survive_a_gap(void **state)
{
    balancing b = balancing_begin("least_request", 8);
    uint32_t slot;

    (void)state;
    balancing_set(&b, 0, 100);
    for (int i = 0; i < 5; i++)
        assert_int_equal(balancing_pick(&b), 0);
    balancing_set(&b, 0, 0);
    balancing_done(&b, 0);
    balancing_set(&b, 0, 100); /* four are still out there */
    balancing_set(&b, 1, 100);
    for (int i = 0; i < 4; i++)
        assert_int_equal(balancing_pick(&b), 1);
    slot = balancing_pick(&b);
    assert_int_not_equal(balancing_pick(&b), slot);
    balancing_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_idle_one_wins),
        cmocka_unit_test(the_least_in_flight_is_always_chosen),
        cmocka_unit_test(without_an_end_most_and_least_differ_by_one),
        cmocka_unit_test(what_is_in_flight_follows_the_weights),
        cmocka_unit_test(idle_slots_take_turns),
        cmocka_unit_test(weights_count_also_when_all_are_idle),
        cmocka_unit_test(who_was_busy_has_not_saved_up_turns),
        cmocka_unit_test(clients_do_not_all_begin_with_the_same),
        cmocka_unit_test(calls_in_flight_survive_a_gap),
    };
    return cmocka_run_group_tests_name("least_request", tests, NULL, NULL);
}
