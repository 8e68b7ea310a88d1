/* loop_close_test.c - the end of a loop, from everywhere it may be asked for.
 */
#include "support.h"
#include "test_loop.h"

#include <event2/event.h>
#include <string.h>
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

static void note(void *what)
{
    strcat(trace, what);
}

/* Ends `rounds` batches after it was told to. */
typedef struct child {
    weft__loop_child child; /* first */
    weft__deferred deferred;
    weft_loop *loop;
    const char *told, *ended;
    int rounds;
} child;

static void child_step(void *arg)
{
    child *c = arg;

    if (c->rounds-- > 0) {
        weft__loop_defer(c->loop, &c->deferred, child_step, c);
        return;
    }
    strcat(trace, c->ended);
    weft__loop_child_remove(c->loop, &c->child);
}

static void on_child_close(weft__loop_child *base)
{
    child *c = (child *)base;

    strcat(trace, c->told);
    child_step(c);
}

static child child_of(weft_loop *loop, const char *told, const char *ended,
                      int rounds)
{
    return (child){.child.close = on_child_close,
                   .loop = loop,
                   .told = told,
                   .ended = ended,
                   .rounds = rounds};
}

static void free_tells_children_youngest_first_and_waits_for_them(void **state)
{
    child a = child_of(t.loop, "A", "a", 0), b = child_of(t.loop, "B", "b", 5),
          gone = child_of(t.loop, "X", "x", 0);

    (void)state;
    weft__loop_child_add(t.loop, &a.child);
    weft__loop_child_add(t.loop, &gone.child);
    weft__loop_child_add(t.loop, &b.child);
    weft__loop_child_remove(t.loop, &gone.child);
    weft__loop_child_remove(t.loop, &gone.child);
    weft_loop_close(t.loop, note, "!");
    assert_true(weft__loop_closing(t.loop));
    assert_string_equal(trace, ""); /* not on this stack */
    weft_loop_free(t.loop);
    assert_string_equal(trace, "BAab!");
}

static void close_in_a_callback_ends_the_run(void *unused)
{
    (void)unused;
    note("c");
    weft_loop_close(t.loop, note, "!");
    weft_loop_close(t.loop, note, "?"); /* does nothing */
    weft_loop_free(t.loop);             /* nor this */
    note("d");
}

static void a_callback_may_close_its_loop(void **state)
{
    child a = child_of(t.loop, "A", "a", 3);
    weft_timer timer;

    (void)state;
    weft_timer_init(&timer, t.loop, NULL, NULL);
    weft_timer_start(&timer, 1000);
    weft__loop_child_add(t.loop, &a.child);
    weft_loop_post(t.loop, close_in_a_callback_ends_the_run, NULL);
    weft_loop_post(t.loop, note, "p");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "cdpAa!");
    assert_false(weft_timer_armed(&timer));
}

static void run_until_says_that_the_loop_closed(void **state)
{
    bool never = false;

    (void)state;
    weft_loop_post(t.loop, close_in_a_callback_ends_the_run, NULL);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 60000), WEFT_ECLOSED);
    assert_string_equal(trace, "cd!");
}

static void a_posted_function_that_has_not_run_runs_at_close(void **state)
{
    (void)state;
    assert_int_equal(weft_loop_post(t.loop, note, "p"), WEFT_OK);
    weft_loop_close(t.loop, NULL, NULL);
    assert_int_equal(weft_loop_post(t.loop, note, "x"), WEFT_ECLOSED);
    weft_loop_free(t.loop);
    assert_string_equal(trace, "p");
}

static void closing_outside_of_a_run_needs_the_next_run(void **state)
{
    (void)state;
    weft_loop_close(t.loop, note, "!");
    assert_string_equal(trace, "");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "!");
}

static child late;

static void add_late_child(void *arg)
{
    note("+");
    weft__loop_child_add(arg, &late.child);
}

static void a_child_that_comes_while_closing_is_closed_too(void **state)
{
    child a = child_of(t.loop, "A", "a", 2);
    weft__deferred d = {0};

    (void)state;
    late = child_of(t.loop, "L", "l", 1);
    weft__loop_child_add(t.loop, &a.child);
    weft_loop_close(t.loop, note, "!");
    weft__loop_defer(t.loop, &d, add_late_child, t.loop);
    weft_loop_free(t.loop);
    assert_string_equal(trace, "A+Lal!");
}

static void locals_go_after_the_children_in_reverse_order(void **state)
{
    child a = child_of(t.loop, "A", "a", 2);

    (void)state;
    assert_null(weft__loop_local_get(t.loop, WEFT__LOCAL_CALLS));
    weft__loop_local_set(t.loop, WEFT__LOCAL_CALLS, "1", note);
    weft__loop_local_set(t.loop, WEFT__LOCAL_WATCHES, "2", NULL);
    weft__loop_local_set(t.loop, WEFT__LOCAL_OBSERVERS, "3", note);
    weft__loop_local_set(t.loop, WEFT__LOCAL_CONSUL, NULL, note);
    assert_string_equal(weft__loop_local_get(t.loop, WEFT__LOCAL_CALLS), "1");
    weft__loop_child_add(t.loop, &a.child);
    weft_loop_free(t.loop);
    assert_string_equal(trace, "Aa31");
}

static weft__deferred last_words;

static void leave_work_behind(void *loop)
{
    weft__loop_defer(loop, &last_words, note, "w");
}

static void what_a_local_leaves_behind_still_runs(void **state)
{
    (void)state;
    weft__loop_local_set(t.loop, WEFT__LOCAL_CALLS, t.loop, leave_work_behind);
    weft_loop_close(t.loop, note, "!");
    weft_loop_free(t.loop);
    assert_string_equal(trace, "w!");
}

static void on_app_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    weft_loop_close(arg, note, "!");
    note("t");
}

static void a_wrapped_loop_closes_under_the_applications_dispatch(void **state)
{
    struct event_base *base = event_base_new();
    struct event *timer;
    test_loop mine;
    child a;

    (void)state;
    weft_loop_free(t.loop);
    test_loop_wrap(&mine, base);
    a = child_of(mine.loop, "A", "a", 2);
    weft__loop_child_add(mine.loop, &a.child);
    timer = evtimer_new(base, on_app_timer, mine.loop);
    event_active(timer, EV_TIMEOUT, 0);
    weft_loop_post(mine.loop, note, "p");
    /* Returns because nothing of ours is left on it. */
    assert_in_range(event_base_dispatch(base), 0, 1);
    assert_string_equal(trace, "tpAa!");
    event_free(timer);
    event_base_free(base);
}

static void on_app_free(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    weft_loop_free(arg);
    note("t");
}

static void the_applications_callback_may_free_a_wrapped_loop(void **state)
{
    struct event_base *base = event_base_new();
    struct event *timer;
    test_loop mine;
    child a;

    (void)state;
    weft_loop_free(t.loop);
    test_loop_wrap(&mine, base);
    a = child_of(mine.loop, "A", "a", 2);
    weft__loop_child_add(mine.loop, &a.child);
    timer = evtimer_new(base, on_app_free, mine.loop);
    event_active(timer, EV_TIMEOUT, 0);
    assert_in_range(event_base_dispatch(base), 0, 1);
    assert_string_equal(trace, "Aat");
    event_free(timer);
    event_base_free(base);
}

static void
a_wrapped_loop_that_runs_itself_may_close_in_a_callback(void **state)
{
    struct event_base *base = event_base_new();

    (void)state;
    weft_loop_free(t.loop);
    test_loop_wrap(&t, base);
    weft_loop_post(t.loop, close_in_a_callback_ends_the_run, NULL);
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "cd!");
    event_base_free(base);
}

static void on_log(weft_log_level level, const char *event, const char *fields,
                   void *user)
{
    (void)level;
    (void)fields;
    (void)user;
    strcat(trace, event);
}

static void a_child_that_never_ends_is_said_and_nothing_is_freed(void **state)
{
    child a = child_of(t.loop, "A", "a", 5000);

    (void)state;
    weft__loop_child_add(t.loop, &a.child);
    weft_log_set_sink(on_log, NULL);
    weft_loop_free(t.loop);
    weft_log_set_sink(NULL, NULL);
    assert_string_equal(trace, "Aa loop could not be freed");
    a.rounds = 0;
    weft_loop_free(t.loop); /* it can be tried again */
    assert_string_equal(trace, "Aa loop could not be freeda");
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    weft_loop_free(NULL);
    weft_loop_close(NULL, note, "!");
    assert_string_equal(trace, "");
    weft_loop_free(t.loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, NULL)
    const struct CMUnitTest tests[] = {
        TEST(free_tells_children_youngest_first_and_waits_for_them),
        TEST(a_callback_may_close_its_loop),
        TEST(run_until_says_that_the_loop_closed),
        TEST(a_posted_function_that_has_not_run_runs_at_close),
        TEST(closing_outside_of_a_run_needs_the_next_run),
        TEST(a_child_that_comes_while_closing_is_closed_too),
        TEST(locals_go_after_the_children_in_reverse_order),
        TEST(what_a_local_leaves_behind_still_runs),
        TEST(a_wrapped_loop_closes_under_the_applications_dispatch),
        TEST(the_applications_callback_may_free_a_wrapped_loop),
        TEST(a_wrapped_loop_that_runs_itself_may_close_in_a_callback),
        TEST(a_child_that_never_ends_is_said_and_nothing_is_freed),
        TEST(freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("loop_close", tests, NULL, NULL);
}
