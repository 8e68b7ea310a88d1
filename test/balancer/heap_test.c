#include "balancer_internal.h"
#include "support.h"

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
    return weft__random_below(&random_state, n);
}

static const weft_pick_args none = {.n_tried = 0};

#define NO_SLOT UINT32_MAX

static uint32_t best_slot(const weft__heap *heap, const weft_pick_args *args)
{
    const weft__heap_item *best = weft__heap_best(heap, args);

    return best != NULL ? best->slot : NO_SLOT;
}

/* Slots 0 to 199 come, move and go; the keys begin just before they wrap. */
static void the_least_key_is_on_top_whatever_happens(void **state)
{
    enum { N = 200 };
    uint64_t key[N] = {0}, now = UINT64_MAX - 20000;
    bool present[N] = {false};
    weft__heap heap = {0};

    (void)state;
    assert_int_equal(weft__heap_reserve(&heap, N), WEFT_OK);
    for (int step = 0; step < 50000; step++, now++) {
        uint32_t slot = below(N), top, best = NO_SLOT, second = NO_SLOT,
                 tried[3] = {below(N), below(N)};

        if (below(4) == 0) {
            weft__heap_remove(&heap, slot);
            present[slot] = false;
        } else { /* no key twice: the order is certain */
            key[slot] = now + (uint64_t)below(5000) * 65536;
            weft__heap_set(&heap, slot, (weft__key){key[slot], 0});
            present[slot] = true;
        }
        top = best_slot(&heap, &none);
        tried[2] = top;
        for (uint32_t i = 0; i < N; i++) {
            assert_int_equal(weft__heap_has(&heap, i), present[i]);
            if (!present[i])
                continue;
            if (best == NO_SLOT || (int64_t)(key[i] - key[best]) < 0)
                best = i;
            if (i != tried[0] && i != tried[1] && i != tried[2] &&
                (second == NO_SLOT || (int64_t)(key[i] - key[second]) < 0))
                second = i;
        }
        assert_int_equal(top, best);
        if (second == NO_SLOT)
            second = best; /* all were tried */
        assert_int_equal(
            best_slot(&heap, &(weft_pick_args){.tried = tried, .n_tried = 3}),
            second);
    }
    weft__heap_fini(&heap);
}

static void the_second_part_of_a_key_decides_between_equals(void **state)
{
    weft__heap heap = {0};

    (void)state;
    assert_int_equal(weft__heap_reserve(&heap, 3), WEFT_OK);
    weft__heap_set(&heap, 0, (weft__key){5, UINT64_MAX});
    weft__heap_set(&heap, 1, (weft__key){5, 1}); /* later: it has wrapped */
    weft__heap_set(&heap, 2, (weft__key){6, 0});
    assert_int_equal(best_slot(&heap, &none), 0);
    weft__heap_remove(&heap, 0);
    assert_int_equal(best_slot(&heap, &none), 1);
    weft__heap_remove(&heap, 0);
    weft__heap_remove(&heap, 1);
    assert_int_equal(best_slot(&heap, &none), 2);
    weft__heap_remove(&heap, 2);
    assert_int_equal(best_slot(&heap, &none), NO_SLOT);
    weft__heap_fini(&heap);
}

static void first_turns_are_spread_over_the_period(void **state)
{
    unsigned buckets[10] = {0};
    uint64_t phase = 42;

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t turn = weft__first_turn(&phase, 100);

        assert_in_range(turn, 1, weft__period(100));
        buckets[(turn - 1) * 10 / weft__period(100)]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(buckets[i], 9, 11);
    for (int i = 0; i < 100; i++)
        assert_in_range(weft__first_turn(&phase, 65535), 1,
                        weft__period(65535));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_key_is_on_top_whatever_happens),
        cmocka_unit_test(the_second_part_of_a_key_decides_between_equals),
        cmocka_unit_test(first_turns_are_spread_over_the_period),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
