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
        assert_int_equal(weft__idset_count(&set), n);
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
        assert_int_equal(weft__idset_count(&set), last);
        for (uint64_t id = 1; id <= 100; id++)
            assert_int_equal(weft__idset_find(&set, id * 7) != NULL,
                             id <= last);
        weft__idset_fini(&set);
    }
}

static void one_id_needs_no_memory_and_id_0_is_none(void **state)
{
    weft__idset set = {0};

    (void)state;
    weft_mem_fail_nth(1);
    for (uint64_t id = 1; id <= 100; id++) {
        assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
        weft__idset_add(&set, id, id % 2 == 0);
        assert_int_equal(weft__idset_reserve(&set), WEFT_ENOMEM);
        weft_mem_fail_nth(1);
        assert_null(weft__idset_find(&set, 0));
        assert_false(weft__idset_remove(&set, 0));
        assert_int_equal(weft__idset_bit(weft__idset_find(&set, id)),
                         id % 2 == 0);
        assert_int_equal(weft__idset_count(&set), 1);
        if (id % 3 == 0)
            weft__idset_remove_above(&set, id - 1);
        else
            assert_true(weft__idset_remove(&set, id));
    }
    weft_mem_fail_nth(0);
    weft__idset_fini(&set);
}

static void an_empty_one_gives_its_memory_back_and_no_other_does(void **state)
{
    weft__idset set = {0};

    (void)state;
    for (uint64_t id = 1; id <= 20; id++) {
        assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
        weft__idset_add(&set, id, false);
    }
    for (uint64_t id = 1; id <= 20; id++) {
        weft__idset_trim(&set);
        assert_non_null(set.table);
        assert_true(weft__idset_remove(&set, id));
    }
    weft__idset_trim(&set);
    assert_null(set.table);
    assert_int_equal(weft__idset_reserve(&set), WEFT_OK);
    weft__idset_add(&set, 21, false);
    assert_non_null(weft__idset_find(&set, 21));
    assert_true(weft__idset_remove(&set, 21));
}

static void a_map_has_what_belongs_to_each_id(void **state)
{
    weft__idmap map = {0};
    uint64_t ids[MOST], next = 1;
    char marks[20000];
    size_t marked[MOST], n = 0;
    void *user;

    (void)state;
    srand(2);
    for (size_t round = 0; round < sizeof(marks); round++) {
        if (n < MOST && (rand() % 2 == 0 || n == 0)) {
            next += 1 + (uint64_t)(rand() % 3) * 4096;
            assert_int_equal(weft__idmap_reserve(&map), WEFT_OK);
            weft__idmap_add(&map, next, &marks[round]);
            ids[n] = next;
            marked[n++] = round;
        } else if (rand() % 100 == 0) { /* the newest go */
            uint64_t last = ids[(size_t)rand() % n];

            weft__idset_remove_above(&map.ids, last);
            for (size_t i = 0; i < n;)
                if (ids[i] > last) {
                    ids[i] = ids[--n];
                    marked[i] = marked[n];
                } else {
                    i++;
                }
        } else {
            size_t i = (size_t)rand() % n;

            assert_true(weft__idmap_remove(&map, ids[i], &user));
            assert_ptr_equal(user, &marks[marked[i]]);
            assert_false(weft__idmap_remove(&map, ids[i], &user));
            ids[i] = ids[--n];
            marked[i] = marked[n];
        }
        assert_int_equal(weft__idset_count(&map.ids), n);
    }
    weft__idset_fini(&map.ids);
}

static void a_map_keeps_what_it_has_when_it_cannot_grow(void **state)
{
    weft__idmap map = {0};
    char mark;
    void *user;

    (void)state;
    assert_int_equal(weft__idmap_reserve(&map), WEFT_OK);
    weft__idmap_add(&map, 1, &mark);
    weft_mem_fail_nth(1);
    assert_int_equal(weft__idmap_reserve(&map), WEFT_ENOMEM);
    weft_mem_fail_nth(0);
    assert_true(weft__idmap_remove(&map, 1, &user));
    assert_ptr_equal(user, &mark);
    assert_false(weft__idmap_remove(&map, 0, &user));
    assert_null(map.ids.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_plain_list_through_adds_and_removes),
        cmocka_unit_test(all_above_an_id_go_and_the_others_stay),
        cmocka_unit_test(one_id_needs_no_memory_and_id_0_is_none),
        cmocka_unit_test(an_empty_one_gives_its_memory_back_and_no_other_does),
        cmocka_unit_test(a_map_has_what_belongs_to_each_id),
        cmocka_unit_test(a_map_keeps_what_it_has_when_it_cannot_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
