/* system_clock_test.c - what a loop does by the system's clock alone. */
#include "support.h"

#include <event2/event.h>
#include <string.h>
#include <weft/loop_internal.h>
#include <weft/sys.h>
#include <weft/timer.h>

static char trace[64];

static void note(const char *what)
{
    strcat(trace, what);
}

/* While a timer is armed, libevent goes from round to round by itself, and what
 * an event of the application's own does must be seen all the same. */

static struct {
    weft_loop *loop;
    weft_timer timer;
    weft__deferred later;
} staying;

static void on_staying_timer(weft_timer *timer, void *user)
{
    (void)timer;
    (void)user;
    note("too late");
}

/* Runs fn in the second round of a run whose timer is far. */
static void run_staying(event_callback_fn fn)
{
    const struct timeval soon = {.tv_usec = 1000};

    assert_int_equal(weft_loop_new(&staying.loop, NULL), WEFT_OK);
    weft_timer_init(&staying.timer, staying.loop, on_staying_timer, NULL);
    weft_timer_start(&staying.timer, 60000);
    event_base_once(weft_loop_base(staying.loop), -1, EV_TIMEOUT, fn, NULL,
                    &soon);
    assert_int_equal(weft_loop_run(staying.loop), WEFT_OK);
    weft_timer_stop(&staying.timer);
    weft_loop_free(staying.loop);
}

static void on_event_stop_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    note("t");
    weft_timer_stop(&staying.timer);
}

static void on_event_stop_run(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    note("s");
    weft_loop_stop(staying.loop);
}

static void on_event_break(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    note("b");
    event_base_loopbreak(weft_loop_base(staying.loop));
}

static void defer_twice(void *again)
{
    note("d");
    if (again == NULL)
        weft_loop_stop(staying.loop);
    else
        weft__loop_defer(staying.loop, &staying.later, defer_twice, NULL);
}

static void on_event_defer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    note("e");
    weft__loop_defer(staying.loop, &staying.later, defer_twice, &staying);
}

static void break_off(void *arg)
{
    (void)arg;
    note("B");
    event_base_loopbreak(weft_loop_base(staying.loop));
}

static void on_event_defer_break(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    weft__loop_defer(staying.loop, &staying.later, break_off, NULL);
}

static void a_run_sees_what_events_of_the_applications_own_do(void **state)
{
    (void)state;
    run_staying(on_event_stop_timer);
    run_staying(on_event_stop_run);
    run_staying(on_event_break);
    run_staying(on_event_defer);
    run_staying(on_event_defer_break);
    assert_string_equal(trace, "tsbeddB");
}

/* A millisecond, by the system's coarse clock. */
static void wait_for_tick(void)
{
    uint64_t begun = weft_clock_monotonic.now_ns(NULL);

    while (weft__sys_coarse_ns() < begun + 1000000)
        ;
}

static void a_callback_that_sees_a_tick_is_measured(void **state)
{
    weft_loop *loop;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    wait_for_tick();
    weft__loop_enter(loop, "short");
    weft__loop_leave(loop);
    assert_true(weft_loop_get_lag(loop).last_us < 1000);
    weft__loop_enter(loop, "longer");
    wait_for_tick();
    weft__loop_leave(loop);
    assert_true(weft_loop_get_lag(loop).last_us >= 1000);
    assert_true(weft_loop_get_lag(loop).max_us >= 1000);
    weft_loop_free(loop);
}

static void a_warning_below_a_tick_has_the_clock_read(void **state)
{
    weft_loop_conf conf = {.lag_warn_ms = 1};
    weft_loop *loop;
    uint64_t late_ns;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, &conf), WEFT_OK);
    wait_for_tick();
    weft__loop_enter(loop, "above it");
    for (late_ns = weft_loop_now_ns(loop) + 1100000;
         weft_clock_monotonic.now_ns(NULL) < late_ns;)
        ;
    weft__loop_leave(loop);
    assert_int_equal(weft_loop_get_lag(loop).late, 1);
    weft_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_sees_what_events_of_the_applications_own_do),
        cmocka_unit_test(a_callback_that_sees_a_tick_is_measured),
        cmocka_unit_test(a_warning_below_a_tick_has_the_clock_read),
    };
    return cmocka_run_group_tests_name("system_clock", tests, NULL, NULL);
}
