#include "rpc_internal.h"
#include "support.h"

#include <pthread.h>
#include <weft/mem.h>

static int setup(void **state)
{
    return weft_loop_new((weft_loop **)state, NULL) == WEFT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    weft_loop_free(*state);
    return 0;
}

static void a_handle_leads_to_its_object_until_freed(void **state)
{
    int object;
    uint64_t h = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &object);

    assert_true(h != 0);
    assert_ptr_equal(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL), &object);
    weft__handle_free(h);
    assert_null(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL));
    weft__handle_free(h);
}

static void a_handle_of_another_kind_leads_nowhere(void **state)
{
    int object;
    uint64_t h = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &object);

    assert_null(weft__handle_get(h, WEFT__HANDLE_CLIENT_CALL));
    weft__handle_free(h);
}

static void a_stale_handle_never_leads_to_the_slot_s_next_object(void **state)
{
    int a, b;
    uint64_t old = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &a);
    uint64_t h = 0;
    int i;

    for (i = 0; i < 1000; i++) {
        weft__handle_free(i == 0 ? old : h);
        h = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &b);
        assert_int_equal(h >> 32, old >> 32); /* the same slot */
        assert_null(weft__handle_get(old, WEFT__HANDLE_SERVER_CALL));
        assert_ptr_equal(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL), &b);
    }
    weft__handle_free(h);
}

static void a_renewed_handle_leads_on_and_the_old_one_nowhere(void **state)
{
    int a;
    uint64_t old = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &a);
    uint64_t h = weft__handle_renew(*state, old);

    assert_null(weft__handle_get(old, WEFT__HANDLE_SERVER_CALL));
    weft__handle_free(old);
    assert_ptr_equal(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL), &a);
    weft__handle_free(h);
    assert_null(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL));
}

static void handles_that_nobody_gave_lead_nowhere(void **state)
{
    static const uint64_t bad[] = {0, 1, UINT64_MAX, 0x00ffffff00000001};
    size_t i;

    weft__handle_free(
        weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, state));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(weft__handle_get(bad[i], WEFT__HANDLE_SERVER_CALL));
        weft__handle_free(bad[i]);
    }
}

static void many_handles_are_told_apart(void **state)
{
    enum { N = 5000 };
    static uint64_t h[N];
    int i, client;
    uint64_t c = weft__handle_new(*state, WEFT__HANDLE_CLIENT_CALL, &client);

    for (i = 0; i < N; i++)
        h[i] = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &h[i]);
    for (i = 0; i < N; i++)
        assert_ptr_equal(weft__handle_get(h[i], WEFT__HANDLE_SERVER_CALL),
                         &h[i]);
    for (i = 0; i < N; i++)
        weft__handle_free(h[i]);
    for (i = 0; i < N; i++)
        assert_null(weft__handle_get(h[i], WEFT__HANDLE_SERVER_CALL));
    assert_ptr_equal(weft__handle_get(c, WEFT__HANDLE_CLIENT_CALL), &client);
    weft__handle_free(c);
}

static void *look_from_elsewhere(void *arg)
{
    const uint64_t *h = arg;

    return weft__handle_stale(*h)
               ? NULL
               : weft__handle_get(*h, WEFT__HANDLE_SERVER_CALL);
}

static void another_thread_finds_nothing(void **state)
{
    int object;
    uint64_t h = weft__handle_new(*state, WEFT__HANDLE_SERVER_CALL, &object);
    pthread_t thread;
    void *found = &object;

    assert_int_equal(pthread_create(&thread, NULL, look_from_elsewhere, &h), 0);
    pthread_join(thread, &found);
    assert_null(found);
    assert_int_equal(weft__handle_stale_count(*state), 0);
    assert_true(weft__handle_stale(h));
    assert_int_equal(weft__handle_stale_count(*state), 1);
    weft__handle_free(h);
}

static void a_handle_outlives_its_loop_harmlessly(void **state)
{
    weft_loop *loop;
    int object;
    uint64_t h;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    h = weft__handle_new(loop, WEFT__HANDLE_SERVER_CALL, &object);
    weft_loop_free(loop);
    assert_null(weft__handle_get(h, WEFT__HANDLE_SERVER_CALL));
    assert_false(weft__handle_stale(h));
}

static void out_of_memory_gives_no_handle(void **state)
{
    int object;
    unsigned n, failed = 0;
    uint64_t h = 0;

    (void)state;
    for (n = 1; h == 0; n++) {
        weft_loop *loop;

        assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
        weft_mem_fail_nth(n);
        h = weft__handle_new(loop, WEFT__HANDLE_SERVER_CALL, &object);
        failed += weft_mem_fail_nth(0) == 0 && h == 0;
        weft_loop_free(loop);
    }
    assert_int_equal(failed, 3); /* table, directory, page */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_handle_leads_to_its_object_until_freed),
        T(a_handle_of_another_kind_leads_nowhere),
        T(a_stale_handle_never_leads_to_the_slot_s_next_object),
        T(a_renewed_handle_leads_on_and_the_old_one_nowhere),
        T(handles_that_nobody_gave_lead_nowhere),
        T(many_handles_are_told_apart),
        T(another_thread_finds_nothing),
        cmocka_unit_test(a_handle_outlives_its_loop_harmlessly),
        cmocka_unit_test(out_of_memory_gives_no_handle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
