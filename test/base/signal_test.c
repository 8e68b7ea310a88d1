/* signal_test.c - SIGTERM and SIGINT, and giving them back. */
#include "support.h"
#include "test_loop.h"

#include <event2/event.h>
#include <signal.h>
#include <weft/signal.h>

static test_loop t;
static weft__signals *signals;
static int heard, last, before;
static volatile sig_atomic_t previous;

static void on_previous(int signum)
{
    (void)signum;
    previous++;
}

static int setup(void **state)
{
    (void)state;
    heard = last = 0;
    previous = 0;
    signal(SIGTERM, on_previous);
    signal(SIGINT, on_previous);
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    return 0;
}

static void on_signal(int signum, void *user)
{
    assert_ptr_equal(user, &heard);
    heard++;
    last = signum;
}

static void both_signals_are_heard_on_the_loop(void **state)
{
    (void)state;
    assert_int_equal(weft__signals_new(&signals, t.loop, on_signal, &heard),
                     WEFT_OK);
    raise(SIGTERM);
    assert_int_equal(heard, 0); /* not in the handler */
    test_loop_settle(&t);
    assert_int_equal(last, SIGTERM);
    raise(SIGINT);
    test_loop_settle(&t);
    assert_int_equal(last, SIGINT);
    assert_int_equal(heard, 2);
    assert_int_equal(previous, 0);
    weft__signals_close(signals);
}

static void the_previous_handlers_are_back_after_close(void **state)
{
    (void)state;
    assert_int_equal(weft__signals_new(&signals, t.loop, on_signal, &heard),
                     WEFT_OK);
    weft__signals_close(signals);
    weft__signals_close(NULL);
    raise(SIGTERM);
    raise(SIGINT);
    test_loop_settle(&t);
    assert_int_equal(heard, 0);
    assert_int_equal(previous, 2);
}

static void one_loop_of_the_process_holds_them(void **state)
{
    test_loop other;
    weft__signals *second = NULL;

    (void)state;
    test_loop_init(&other);
    assert_int_equal(weft__signals_new(&signals, t.loop, on_signal, &heard),
                     WEFT_OK);
    assert_int_equal(weft__signals_new(&second, other.loop, on_signal, &heard),
                     WEFT_ESTATE);
    assert_null(second);
    weft__signals_close(signals);
    assert_int_equal(weft__signals_new(&second, other.loop, on_signal, &heard),
                     WEFT_OK);
    weft__signals_close(second);
    test_loop_fini(&other);
}

static void on_close_itself(int signum, void *user)
{
    (void)user;
    (void)signum;
    heard++;
    weft__signals_close(signals);
}

static void the_callback_may_close_them(void **state)
{
    (void)state;
    assert_int_equal(weft__signals_new(&signals, t.loop, on_close_itself, NULL),
                     WEFT_OK);
    raise(SIGTERM);
    raise(SIGINT); /* already caught; must not reach the closed callback */
    test_loop_settle(&t);
    assert_int_equal(heard, 1);
    raise(SIGTERM);
    assert_int_equal(previous, 1);
}

static void a_wrapped_base_keeps_its_signals(void **state)
{
    struct event_base *base = event_base_new();
    test_loop wrapped;

    (void)state;
    test_loop_wrap(&wrapped, base);
    assert_int_equal(
        weft__signals_new(&signals, wrapped.loop, on_signal, &heard),
        WEFT_ENOTSUP);
    test_loop_fini(&wrapped);
    event_base_free(base);
}

static void try_to_make(void *unused)
{
    weft__signals *s = NULL;
    weft_status status = weft__signals_new(&s, t.loop, on_signal, &heard);

    (void)unused;
    assert_true((status == WEFT_OK) == (s != NULL));
    before += status == WEFT_ENOMEM;
    weft__signals_close(s);
    test_loop_settle(&t);
}

static void no_memory_leaves_them_free(void **state)
{
    (void)state;
    before = 0;
    assert_int_equal(test_each_allocation_fails(try_to_make, NULL), 1);
    assert_int_equal(before, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(both_signals_are_heard_on_the_loop),
        TEST(the_previous_handlers_are_back_after_close),
        TEST(one_loop_of_the_process_holds_them),
        TEST(the_callback_may_close_them),
        TEST(a_wrapped_base_keeps_its_signals),
        TEST(no_memory_leaves_them_free),
    };
    return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
