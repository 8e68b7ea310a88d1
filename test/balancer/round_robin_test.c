#include "balancing.h"

#include <string.h>

static void the_rotation_is_exact(void **state)
{
    balancing b = balancing_begin("round_robin", 1);
    uint32_t order[7], heavy[7] = {1, 65535, 3, 1, 100, 7, 7};
    uint8_t seen[7] = {0};

    (void)state;
    balancing_fill(&b, 7, heavy);
    for (int i = 0; i < 7; i++) {
        order[i] = balancing_call(&b);
        assert_int_equal(seen[order[i]]++, 0);
    }
    for (int i = 0; i < 700; i++)
        assert_int_equal(balancing_call(&b), order[i % 7]);
    balancing_end(&b);
}

static void clients_do_not_all_begin_with_the_same(void **state)
{
    uint32_t firsts = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        balancing b = balancing_begin("round_robin", seed);

        balancing_fill(&b, 10, NULL);
        firsts |= 1u << balancing_call(&b);
        balancing_end(&b);
    }
    assert_int_equal(firsts, 0x3ff);
}

/* Some come and go all the time: the others have a turn in each round still. */
static void coming_and_going_passes_nobody_over(void **state)
{
    enum { STEADY = 10, FLAPPING = 10, N = STEADY + FLAPPING };
    balancing b = balancing_begin("round_robin", 2);
    bool usable[N];
    int waited[N] = {0};

    (void)state;
    balancing_fill(&b, N, NULL);
    memset(usable, 1, sizeof(usable));
    for (int i = 0; i < 20000; i++) {
        uint32_t slot = STEADY + (uint32_t)i * 7 % FLAPPING;

        balancing_set(&b, slot, usable[slot] ? 0 : 100);
        usable[slot] = !usable[slot];
        slot = balancing_call(&b);
        assert_true(usable[slot]);
        waited[slot] = 0;
        for (int k = 0; k < STEADY; k++)
            assert_true(++waited[k] <= N + 1);
    }
    balancing_end(&b);
}

static void who_comes_waits_for_a_round(void **state)
{
    balancing b = balancing_begin("round_robin", 3);

    (void)state;
    balancing_fill(&b, 4, NULL);
    (void)balancing_call(&b);
    balancing_set(&b, 4, 100);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(balancing_call(&b), 4);
    assert_int_equal(balancing_call(&b), 4);
    balancing_end(&b);
}

static void a_retry_gives_nobody_a_second_turn(void **state)
{
    balancing b = balancing_begin("round_robin", 4);
    uint32_t order[5];

    (void)state;
    balancing_fill(&b, 5, NULL);
    for (int i = 0; i < 5; i++)
        order[i] = balancing_call(&b);
    assert_int_equal(balancing_retry(&b, order, 2), order[2]);
    assert_int_equal(balancing_call(&b), order[3]);
    balancing_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rotation_is_exact),
        cmocka_unit_test(clients_do_not_all_begin_with_the_same),
        cmocka_unit_test(coming_and_going_passes_nobody_over),
        cmocka_unit_test(who_comes_waits_for_a_round),
        cmocka_unit_test(a_retry_gives_nobody_a_second_turn),
    };
    return cmocka_run_group_tests_name("round_robin", tests, NULL, NULL);
}
