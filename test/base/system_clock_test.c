/* system_clock_test.c - what a loop does by the system's clock alone. */
#include "support.h"

#include <event2/event.h>
#include <string.h>
#include <weft/loop_internal.h>
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

/* Within a tick of the system's coarse clock, mostly. */
static void a_short_callback_is_measured(void **state)
{
    weft_loop *loop;
    uint64_t until_ns;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    for (int i = 0; i < 20; i++) {
        weft__loop_enter(loop, "short");
        until_ns = weft_loop_now_ns(loop) + 200000;
        while (weft_clock_monotonic.now_ns(NULL) < until_ns)
            ;
        weft__loop_leave(loop);
        assert_true(weft_loop_get_lag(loop).last_us >= 200);
    }
    assert_true(weft_loop_get_lag(loop).max_us >= 200);
    weft_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_sees_what_events_of_the_applications_own_do),
        cmocka_unit_test(a_short_callback_is_measured),
    };
    return cmocka_run_group_tests_name("system_clock", tests, NULL, NULL);
}
