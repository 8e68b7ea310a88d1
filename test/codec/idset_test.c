#include "fail_nth.h"

#include <stdlib.h>
#include <string.h>

#include "idset_internal.h"

#define MOST 600

static void it_agrees_with_a_plain_list_through_adds_and_removes(void **state)
{
    weft__idset set = {0};
    uint64_t ids[MOST], next = 1;
    size_t n = 0;

    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        if (n < MOST && (rand() % 2 == 0 || n == 0)) {
            next += 1 + (uint64_t)(rand() % 3) * 4096; /* some collide */
            assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
            weft__idset_add(&set, next, (next & 1) != 0);
            ids[n++] = next;
        } else {
            size_t i = (size_t)rand() % n;

            assert_true(weft__idset_remove(&set, ids[i]));
            assert_false(weft__idset_remove(&set, ids[i]));
            ids[i] = ids[--n];
        }
        assert_int_equal(set.n, n);
        if (round % 500 == 0)
            for (size_t i = 0; i < n; i++) {
                uint64_t *found = weft__idset_find(&set, ids[i]);

                assert_non_null(found);
                assert_int_equal(weft__idset_bit(found), (ids[i] & 1) != 0);
            }
    }
    weft__idset_fini(&set);
}

static void all_above_an_id_go_and_the_others_stay(void **state)
{
    (void)state;
    for (uint64_t last = 0; last <= 100; last++) {
        weft__idset set = {0};

        for (uint64_t id = 1; id <= 100; id++) {
            assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
            weft__idset_add(&set, id * 7, id % 3 == 0);
        }
        weft__idset_remove_above(&set, last * 7);
        assert_int_equal(set.n, last);
        for (uint64_t id = 1; id <= 100; id++)
            assert_int_equal(weft__idset_find(&set, id * 7) != NULL,
                             id <= last);
        weft__idset_fini(&set);
    }
}

static void few_ids_need_no_memory_and_id_0_is_none(void **state)
{
    weft__idset set = {0};

    (void)state;
    weft_mem_fail_nth(1);
    for (uint64_t id = 1; id <= 6; id++) {
        assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
        weft__idset_add(&set, id, false);
    }
    assert_int_equal(weft__idset_reserve(&set), WEFT_ENOMEM);
    weft_mem_fail_nth(0);
    assert_null(weft__idset_find(&set, 0));
    assert_false(weft__idset_remove(&set, 0));
    assert_int_equal(set.n, 6);
    weft__idset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_plain_list_through_adds_and_removes),
        cmocka_unit_test(all_above_an_id_go_and_the_others_stay),
        cmocka_unit_test(few_ids_need_no_memory_and_id_0_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
