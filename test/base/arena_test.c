#include "fail_nth.h"

#include <weft/arena_internal.h>

#include <stdalign.h>
#include <string.h>

static void a_small_call_allocates_nothing(void **state)
{
    alignas(max_align_t) uint8_t first[512];
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, first, sizeof(first), 0);
    weft_mem_fail_nth(1);
    for (size_t i = 0; i < 8; i++) {
        uint8_t *p = weft_arena_alloc(&arena, 50);

        assert_in_range((uintptr_t)p, (uintptr_t)first,
                        (uintptr_t)first + sizeof(first) - 50);
    }
    assert_int_equal(weft_mem_fail_nth(0), 1);
    weft_arena_fini(&arena);
}

static void all_of_the_first_chunk_is_used(void **state)
{
    alignas(max_align_t) uint8_t first[256];
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, first, sizeof(first), 0);
    assert_ptr_equal(weft_arena_alloc(&arena, 256), first);
    weft_arena_fini(&arena);
}

static void what_is_reserved_lies_in_one_chunk(void **state)
{
    alignas(max_align_t) uint8_t first[256];
    weft_arena arena;
    uint8_t *p;

    (void)state;
    weft_arena_init(&arena, first, sizeof(first), 0);
    weft_mem_fail_nth(1);
    weft__arena_reserve(&arena, 256); /* is there */
    weft__arena_reserve(&arena, SIZE_MAX);
    weft__arena_reserve(&arena, 257); /* fails, which can be told later */
    assert_int_equal(weft_mem_fail_nth(0), 0);
    assert_ptr_equal(weft_arena_alloc(&arena, 16), first);
    weft__arena_reserve(&arena, 1200);
    weft_mem_fail_nth(1);
    p = weft_arena_alloc(&arena, 100);
    assert_ptr_equal(weft_arena_alloc(&arena, 1072), p + 112);
    assert_int_equal(weft_mem_fail_nth(0), 1);
    assert_int_equal(arena.used, 16 + 112 + 1072);
    weft_arena_fini(&arena);
}

static void what_was_allocated_last_can_be_given_back(void **state)
{
    alignas(max_align_t) uint8_t first[256];
    weft_arena arena;
    uint8_t *a, *b;

    (void)state;
    weft_arena_init(&arena, first, sizeof(first), 208);
    a = weft_arena_alloc(&arena, 50);
    b = weft_arena_alloc(&arena, 100);
    weft__arena_give_back(&arena, a, 50); /* is not the last */
    assert_null(weft_arena_alloc(&arena, 100));
    weft__arena_give_back(&arena, b, 100);
    assert_ptr_equal(weft_arena_alloc(&arena, 136), b);
    assert_int_equal(arena.used, 208);
    weft_arena_fini(&arena);
}

static void memory_is_aligned_and_does_not_overlap(void **state)
{
    alignas(max_align_t) uint8_t first[100];
    uint8_t *blocks[2000];
    size_t sizes[2000];
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, first + 1, sizeof(first) - 1, 0);
    for (size_t i = 0; i < 2000; i++) {
        sizes[i] = i % 37 == 0 ? 5000 + i : i % 71;
        blocks[i] = weft_arena_alloc(&arena, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        memset(blocks[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], i % 251);
    weft_arena_fini(&arena);
}

static void the_budget_is_a_ceiling(void **state)
{
    weft_arena arena;
    size_t used;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 1000);
    assert_null(weft_arena_alloc(&arena, 1001));
    assert_non_null(weft_arena_alloc(&arena, 600));
    used = arena.used;
    assert_null(weft_arena_alloc(&arena, 500));
    assert_int_equal(arena.used, used);
    assert_non_null(weft_arena_alloc(&arena, 300));
    assert_true(arena.used <= 1000);
    weft_arena_fini(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 0);
    assert_null(weft_arena_alloc(&arena, SIZE_MAX));
    assert_null(weft_arena_alloc(&arena, SIZE_MAX - 40));
    assert_null(weft_arena_calloc(&arena, SIZE_MAX / 4, 5));
    assert_null(weft_arena_strndup(&arena, "", SIZE_MAX));
    assert_int_equal(weft_arena_adopt(&arena, NULL, SIZE_MAX), WEFT_ELIMIT);
    weft_arena_fini(&arena);
}

static void texts_are_copied_and_ended(void **state)
{
    weft_arena arena;
    char *s;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 0);
    s = weft_arena_strndup(&arena, "a\0bc", 3);
    assert_memory_equal(s, "a\0b", 4);
    s = weft_arena_strndup(&arena, NULL, 0);
    assert_string_equal(s, "");
    s = weft_arena_printf(&arena, "%s-%d", "weft", 7);
    assert_string_equal(s, "weft-7");
    s = weft_arena_calloc(&arena, 3, 100);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(s[i], 0);
    weft_arena_fini(&arena);
}

static void an_adopted_block_goes_with_the_arena(void **state)
{
    weft_arena arena;
    void *block = weft_malloc(5000);

    (void)state;
    weft_arena_init(&arena, NULL, 0, 6000);
    assert_int_equal(weft_arena_adopt(&arena, block, 5000), WEFT_OK);
    assert_true(arena.used >= 5000);
    block = weft_malloc(2000);
    assert_int_equal(weft_arena_adopt(&arena, block, 2000), WEFT_ELIMIT);
    weft_free(block); /* still ours: ASan would see a double free */
    weft_arena_fini(&arena);
}

static void fini_tolerates_zeroes_and_comes_twice(void **state)
{
    weft_arena arena = {0};

    (void)state;
    weft_arena_fini(&arena);
    assert_non_null(weft_arena_alloc(&arena, 10));
    weft_arena_fini(&arena);
    weft_arena_fini(&arena);
    assert_int_equal(arena.used, 0);
}

static void idle_memory_is_bounded_by_what_is_used(void **state)
{
    weft_arena arena = {0};

    (void)state;
    for (size_t i = 0; i < 100000; i++) {
        assert_non_null(weft_arena_alloc(&arena, 1 + i % 3000));
        assert_true((size_t)(arena.end - arena.at) <= 1024 + arena.used);
        assert_true((size_t)(arena.end - arena.at) <= 65536);
    }
    weft_arena_fini(&arena);
}

static weft_status use_it_all(void *user)
{
    weft_status status = WEFT_ENOMEM;
    weft_arena arena = {0};
    void *block = weft_malloc(64);

    (void)user;
    if (block != NULL && weft_arena_alloc(&arena, 100) != NULL &&
        weft_arena_alloc(&arena, 9000) != NULL &&
        weft_arena_calloc(&arena, 30, 30) != NULL &&
        weft_arena_printf(&arena, "%*d", 3000, 1) != NULL &&
        (status = weft_arena_adopt(&arena, block, 64)) == WEFT_OK)
        block = NULL;
    weft_free(block);
    weft_arena_fini(&arena);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(use_it_all, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_call_allocates_nothing),
        cmocka_unit_test(all_of_the_first_chunk_is_used),
        cmocka_unit_test(what_is_reserved_lies_in_one_chunk),
        cmocka_unit_test(what_was_allocated_last_can_be_given_back),
        cmocka_unit_test(memory_is_aligned_and_does_not_overlap),
        cmocka_unit_test(the_budget_is_a_ceiling),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(texts_are_copied_and_ended),
        cmocka_unit_test(an_adopted_block_goes_with_the_arena),
        cmocka_unit_test(fini_tolerates_zeroes_and_comes_twice),
        cmocka_unit_test(idle_memory_is_bounded_by_what_is_used),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
