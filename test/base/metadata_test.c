#include "fail_nth.h"

#include <weft/metadata.h>

#include <stdio.h>
#include <string.h>

static const weft_metadatum constant[] = {
    {"Tenant", "blue", 4}, {"empty", NULL, 0}, {"tenant", "green", 5}};

static void a_look_up_ignores_case_and_takes_the_first(void **state)
{
    weft_metadata md = {constant, 3};
    size_t len = 99;

    (void)state;
    assert_string_equal(weft_metadata_get(&md, "tENANT", &len), "blue");
    assert_int_equal(len, 4);
    assert_string_equal(weft_metadata_get(&md, "tenant", NULL), "blue");
    assert_non_null(weft_metadata_get(&md, "empty", &len));
    assert_int_equal(len, 0);
    assert_null(weft_metadata_get(&md, "tenan", NULL));
    assert_null(weft_metadata_get(&(weft_metadata){NULL, 0}, "x", NULL));
}

static void a_pair_is_copied_and_ended(void **state)
{
    char key[] = "k", value[] = {1, 0, 2};
    weft_metadata md = {NULL, 0};
    weft_arena arena = {0};

    (void)state;
    assert_int_equal(weft_metadata_add(&md, &arena, key, value, 3), WEFT_OK);
    key[0] = 'x';
    value[0] = 9;
    assert_string_equal(md.items[0].key, "k");
    assert_memory_equal(md.items[0].value, "\1\0\2", 4);
    assert_int_equal(weft_metadata_add(&md, &arena, "k", NULL, 0), WEFT_OK);
    assert_string_equal(md.items[1].value, "");
    assert_int_equal(md.n, 2);
    weft_arena_fini(&arena);
}

static void a_constant_array_is_copied_first(void **state)
{
    weft_metadata md = {constant, 3};
    weft_arena arena = {0};

    (void)state;
    assert_int_equal(weft_metadata_add(&md, &arena, "k", "v", 1), WEFT_OK);
    assert_int_equal(md.n, 4);
    assert_ptr_not_equal(md.items, constant);
    assert_string_equal(md.items[0].key, "Tenant");
    assert_string_equal(md.items[3].key, "k");
    weft_arena_fini(&arena);
}

static void two_views_of_one_array_do_not_write_over_each_other(void **state)
{
    weft_metadata a = {NULL, 0}, b;
    weft_arena arena = {0};

    (void)state;
    assert_int_equal(weft_metadata_add(&a, &arena, "x", "0", 1), WEFT_OK);
    b = a;
    assert_int_equal(weft_metadata_add(&a, &arena, "a", "1", 1), WEFT_OK);
    assert_int_equal(weft_metadata_add(&b, &arena, "b", "2", 1), WEFT_OK);
    assert_string_equal(a.items[1].key, "a");
    assert_string_equal(b.items[1].key, "b");
    assert_int_equal(weft_metadata_add(&a, &arena, "c", "3", 1), WEFT_OK);
    assert_string_equal(b.items[1].key, "b");
    assert_string_equal(a.items[1].key, "a");
    assert_string_equal(a.items[2].key, "c");
    weft_arena_fini(&arena);
}

static void many_pairs_cost_linear_memory(void **state)
{
    weft_metadata md = {NULL, 0};
    weft_arena arena = {0};
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(weft_metadata_add(&md, &arena, key, key, 3), WEFT_OK);
    }
    assert_string_equal(md.items[999].key, "key-999");
    assert_string_equal(md.items[0].value, "key");
    assert_in_range(arena.used, 1000 * 24, 1000 * 120);
    weft_arena_fini(&arena);
}

static void all_of_another_are_appended_or_none(void **state)
{
    const weft_metadatum bad[] = {{"good", "1", 1}, {"bad key", "2", 1}};
    weft_metadata md = {NULL, 0}, src = {constant, 3};
    weft_arena arena = {0};

    (void)state;
    assert_int_equal(weft_metadata_add_all(&md, &arena, &src), WEFT_OK);
    assert_int_equal(weft_metadata_add_all(&md, &arena, &md), WEFT_OK);
    assert_int_equal(md.n, 6);
    assert_string_equal(md.items[5].value, "green");
    assert_int_equal(
        weft_metadata_add_all(&md, &arena, &(weft_metadata){bad, 2}),
        WEFT_EINVAL);
    assert_int_equal(md.n, 6);
    assert_int_equal(
        weft_metadata_add_all(&md, &arena, &(weft_metadata){NULL, 0}), WEFT_OK);
    weft_arena_fini(&arena);
}

static void a_key_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"",      "a b",      "a:b", "k\n",
                                      "k\x7f", "\xc3\xa9", "a=b", "a/b"};
    weft_metadata md = {NULL, 0};
    weft_arena arena = {0};
    char longest[257];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(weft_metadata_add(&md, &arena, bad[i], "v", 1),
                         WEFT_EINVAL);
    assert_int_equal(weft_metadata_add(&md, &arena, NULL, "v", 1), WEFT_EINVAL);
    memset(longest, 'k', 256);
    longest[256] = '\0';
    assert_int_equal(weft_metadata_add(&md, &arena, longest, "v", 1),
                     WEFT_EINVAL);
    longest[255] = '\0';
    assert_int_equal(weft_metadata_add(&md, &arena, longest, "v", 1), WEFT_OK);
    assert_true(weft_metadata_key_valid("aZ09_.-", 7));
    assert_false(weft_metadata_key_valid("a\0b", 3));
    assert_int_equal(md.n, 1);
    weft_arena_fini(&arena);
}

static void the_arenas_budget_is_out_of_memory(void **state)
{
    static const char big[4096];
    weft_metadata md = {NULL, 0};
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 1024);
    assert_int_equal(weft_metadata_add(&md, &arena, "k", big, sizeof(big)),
                     WEFT_ENOMEM);
    assert_int_equal(weft_metadata_add(&md, &arena, "k", big, SIZE_MAX),
                     WEFT_ENOMEM);
    assert_int_equal(md.n, 0);
    assert_int_equal(weft_metadata_add(&md, &arena, "k", "v", 1), WEFT_OK);
    weft_arena_fini(&arena);
}

static weft_status add_some(void *user)
{
    weft_metadata md = {NULL, 0}, src = {constant, 3};
    weft_arena arena = {0};
    weft_status status = WEFT_OK;

    (void)user;
    for (int i = 0; i < 40 && status == WEFT_OK; i++) {
        size_t n = md.n;

        status = weft_metadata_add_all(&md, &arena, &src);
        assert_int_equal(md.n, status == WEFT_OK ? n + 3 : n);
    }
    weft_arena_fini(&arena);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(add_some, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_up_ignores_case_and_takes_the_first),
        cmocka_unit_test(a_pair_is_copied_and_ended),
        cmocka_unit_test(a_constant_array_is_copied_first),
        cmocka_unit_test(two_views_of_one_array_do_not_write_over_each_other),
        cmocka_unit_test(many_pairs_cost_linear_memory),
        cmocka_unit_test(all_of_another_are_appended_or_none),
        cmocka_unit_test(a_key_that_is_none_is_refused),
        cmocka_unit_test(the_arenas_budget_is_out_of_memory),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
