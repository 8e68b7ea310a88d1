#include "support.h"

#include <weft/registry.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const int one = 1, two = 2;

static void what_was_added_is_found_by_its_whole_name(void **state)
{
    static weft__registry r;

    (void)state;
    assert_null(weft__registry_find(&r, "a", 1));
    assert_int_equal(weft__registry_add(&r, "random", &one), WEFT_OK);
    assert_int_equal(weft__registry_add(&r, "rand", &two), WEFT_OK);
    assert_ptr_equal(weft__registry_find(&r, "random", 6), &one);
    assert_ptr_equal(weft__registry_find(&r, "random!", 6), &one);
    assert_ptr_equal(weft__registry_find(&r, "rand", 4), &two);
    assert_null(weft__registry_find(&r, "ran", 3));
    assert_null(weft__registry_find(&r, "randomly", 8));
    assert_null(weft__registry_find(&r, "rand\0x", 6));
    assert_null(weft__registry_find(&r, "", 0));
}

static void a_name_is_taken_once(void **state)
{
    static weft__registry r;

    (void)state;
    assert_int_equal(weft__registry_add(&r, "x", &one), WEFT_OK);
    assert_int_equal(weft__registry_add(&r, "x", &two), WEFT_EEXIST);
    assert_ptr_equal(weft__registry_find(&r, "x", 1), &one);
    assert_int_equal(weft__registry_add(&r, "", &one), WEFT_EINVAL);
    assert_int_equal(weft__registry_add(&r, NULL, &one), WEFT_EINVAL);
}

static void it_is_full_at_its_limit(void **state)
{
    static weft__registry r;
    static char names[WEFT__REGISTRY_MAX][8];

    (void)state;
    for (int i = 0; i < WEFT__REGISTRY_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i);
        assert_int_equal(weft__registry_add(&r, names[i], &one), WEFT_OK);
    }
    assert_int_equal(weft__registry_add(&r, "more", &one), WEFT_ELIMIT);
    assert_int_equal(weft__registry_add(&r, "n5", &one), WEFT_EEXIST);
    assert_null(weft__registry_find(&r, "more", 4));
}

static void names_are_listed_and_cut(void **state)
{
    static weft__registry r;
    char text[32];

    (void)state;
    assert_string_equal(weft__registry_names(&r, text, sizeof(text)), "");
    (void)weft__registry_add(&r, "random", &one);
    (void)weft__registry_add(&r, "round_robin", &two);
    assert_string_equal(weft__registry_names(&r, text, sizeof(text)),
                        "random, round_robin");
    assert_string_equal(weft__registry_names(&r, text, 10), "random, r");
    assert_string_equal(weft__registry_names(&r, text, 7), "random");
    assert_ptr_equal(weft__registry_names(&r, text, 0), text);
}

static weft__registry shared;
static char shared_names[2][32][16];

static void *add_half(void *arg)
{
    char(*names)[16] = arg;

    for (int i = 0; i < 32; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%c%d",
                       names == shared_names[0] ? 'a' : 'b', i);
        if (weft__registry_add(&shared, names[i], names[i]) != WEFT_OK)
            return NULL;
        /* What stands there is whole, whoever wrote it. */
        for (int k = 0; k < 32; k++) {
            char name[16];
            const char *found;

            (void)snprintf(name, sizeof(name), "a%d", k);
            found = weft__registry_find(&shared, name, strlen(name));
            if (found != NULL && strcmp(found, name) != 0)
                return NULL;
        }
    }
    return arg;
}

static void two_threads_may_add_and_look_up(void **state)
{
    pthread_t threads[2];
    void *result;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, add_half, shared_names[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 32; k++)
            assert_ptr_equal(weft__registry_find(&shared, shared_names[i][k],
                                                 strlen(shared_names[i][k])),
                             shared_names[i][k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_by_its_whole_name),
        cmocka_unit_test(a_name_is_taken_once),
        cmocka_unit_test(it_is_full_at_its_limit),
        cmocka_unit_test(names_are_listed_and_cut),
        cmocka_unit_test(two_threads_may_add_and_look_up),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
