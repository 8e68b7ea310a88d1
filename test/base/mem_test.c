#include "support.h"

#include <weft/mem.h>

#include <stdlib.h>
#include <string.h>

static void the_nth_allocation_fails_once(void **state)
{
    void *p;

    (void)state;
    weft_mem_fail_nth(2);
    p = weft_malloc(8);
    assert_non_null(p);
    assert_null(weft_malloc(8));
    weft_free(p);
    p = weft_malloc(8);
    assert_non_null(p);
    weft_free(p);
    assert_int_equal(weft_mem_fail_nth(0), 0);
}

static void what_was_still_to_come_is_told(void **state)
{
    (void)state;
    weft_mem_fail_nth(5);
    weft_free(weft_malloc(1));
    assert_int_equal(weft_mem_fail_nth(0), 4);
    assert_int_equal(weft_mem_fail_nth(0), 0);
}

static void a_failed_realloc_leaves_the_block(void **state)
{
    char *p = weft_strdup("warp");

    (void)state;
    assert_non_null(p);
    weft_mem_fail_nth(1);
    assert_null(weft_realloc(p, 4096));
    assert_string_equal(p, "warp");
    weft_free(p);
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    assert_null(weft_calloc(SIZE_MAX / 2, 3));
    assert_null(weft_strndup("x", SIZE_MAX));
    assert_null(weft_malloc(SIZE_MAX - 100)); /* a size that wrapped */
}

static void nothing_is_still_a_block(void **state)
{
    void *p = weft_malloc(0), *q = weft_calloc(0, 8);

    (void)state;
    assert_non_null(p);
    assert_non_null(q);
    weft_free(p);
    weft_free(q);
    weft_free(NULL);
    assert_null(weft_strdup(NULL));
}

static void calloc_gives_zeroes(void **state)
{
    unsigned char *p = weft_calloc(16, 16);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(p[i], 0);
    weft_free(p);
}

static void strndup_ends_where_it_is_told(void **state)
{
    char *p = weft_strndup("weft and warp", 4);

    (void)state;
    assert_string_equal(p, "weft");
    weft_free(p);
}

static size_t taken, freed;

static void *count_realloc(void *p, size_t size)
{
    taken += p == NULL;
    return realloc(p, size);
}

static void count_free(void *p)
{
    freed += p != NULL;
    free(p);
}

static void hooks_see_every_block(void **state)
{
    static const weft_mem_hooks hooks = {count_realloc, count_free};

    (void)state;
    weft_mem_set_hooks(&hooks);
    weft_free(weft_realloc(weft_malloc(1), 100));
    weft_free(weft_calloc(3, 3));
    weft_free(weft_strdup("x"));
    weft_mem_set_hooks(NULL);
    assert_int_equal(taken, 3);
    assert_int_equal(freed, 3);
    weft_free(weft_malloc(1));
    assert_int_equal(taken, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(what_was_still_to_come_is_told),
        cmocka_unit_test(a_failed_realloc_leaves_the_block),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(nothing_is_still_a_block),
        cmocka_unit_test(calloc_gives_zeroes),
        cmocka_unit_test(strndup_ends_where_it_is_told),
        cmocka_unit_test(hooks_see_every_block),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
