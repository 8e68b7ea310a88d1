/* loop_test.c - running, the end of the batch, lag. */
#include "support.h"
#include "test_loop.h"

#include <event2/event.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/log.h>
#include <weft/loop_internal.h>
#include <weft/timer.h>

static test_loop t;
static char trace[256];

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    return 0;
}

static void note(void *what)
{
    strcat(trace, what);
}

static void a_run_with_nothing_to_wait_for_returns(void **state)
{
    bool never = false;

    (void)state;
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 0), WEFT_ESTATE);
}

static void flushes_run_before_the_deferred_in_the_order_of_queueing(
    void **state)
{
    weft__deferred a = {0}, b = {0}, c = {0}, d = {0};

    (void)state;
    weft__loop_defer(t.loop, &a, note, "a");
    weft__loop_flush_later(t.loop, &b, note, "b");
    weft__loop_defer(t.loop, &c, note, "c");
    weft__loop_flush_later(t.loop, &d, note, "d");
    weft__loop_flush_later(t.loop, &b, note, "x"); /* queued already */
    assert_string_equal(trace, "");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "bdac");
    assert_false(b.queued);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_with_nothing_to_wait_for_returns),
        TEST(flushes_run_before_the_deferred_in_the_order_of_queueing),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
