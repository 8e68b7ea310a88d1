/* loop_time_test.c - times that end with the batch. */
#include "support.h"
#include "test_loop.h"

#include <event2/event.h>
#include <weft/loop_internal.h>

enum { MS = 1000000 };

static test_loop t;
static weft_histogram h;

static int setup(void **state)
{
    (void)state;
    h = (weft_histogram){0};
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    return 0;
}

static void nothing(void *arg)
{
    (void)arg;
}

/* A callback in which something begins, and ends with the batch: takes ms. */
static weft__time *begin(uint32_t ms)
{
    static weft__deferred end;
    weft__time *time;

    weft__loop_enter(t.loop, "test");
    time = weft__loop_time(t.loop, &h, weft_loop_now_ns(t.loop));
    weft__loop_defer(t.loop, &end, nothing, NULL);
    weft_fake_advance(&t.clock, ms);
    weft__loop_leave(t.loop);
    return time;
}

static void assert_one_took(uint64_t ms)
{
    assert_int_equal(weft_histogram_count(&h), 1);
    assert_int_equal(h.max_ns, ms * MS);
}

static void a_time_ends_with_the_batch(void **state)
{
    (void)state;
    begin(3);
    assert_int_equal(weft_histogram_count(&h), 0);
    weft_fake_advance(&t.clock, 4);
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_one_took(7);
    weft_fake_advance(&t.clock, 100);
    test_loop_settle(&t);
    assert_one_took(7);
}

static void without_a_batch_it_ends_with_the_callback(void **state)
{
    (void)state;
    weft__loop_enter(t.loop, "test");
    weft__loop_time(t.loop, &h, weft_loop_now_ns(t.loop));
    weft_fake_advance(&t.clock, 3);
    weft__loop_leave(t.loop);
    assert_one_took(3);
}

static void outside_of_callbacks_it_ends_at_once(void **state)
{
    uint64_t begun = weft_loop_now_ns(t.loop);

    (void)state;
    weft_fake_advance(&t.clock, 3);
    assert_null(weft__loop_time(t.loop, &h, begun)->into);
    assert_one_took(3);
}

static void what_joins_a_time_counts_with_it(void **state)
{
    weft__time *time = begin(3);

    (void)state;
    assert_ptr_equal(time->into, &h);
    time->n += 9;
    test_loop_settle(&t);
    assert_null(time->into);
    assert_int_equal(weft_histogram_count(&h), 10);
}

static void there_is_no_end_to_the_times_of_a_batch(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        begin(1);
    test_loop_settle(&t);
    assert_int_equal(weft_histogram_count(&h), 1000);
}

static void one_that_has_no_room_takes_its_time_too(void **state)
{
    weft_histogram full = {0};
    unsigned n = 0;

    (void)state;
    weft__loop_enter(t.loop, "test");
    weft_fake_advance(&t.clock, 5); /* in a handler */
    while (weft_histogram_count(&full) == 0 && n++ < 1000)
        weft__loop_time(t.loop, &full, weft_loop_now_ns(t.loop));
    assert_int_equal(weft_histogram_count(&full), n);
    assert_int_equal(weft_histogram_quantile_ns(&full, 0), 5 * MS);
    weft__loop_leave(t.loop);
}

static void again(void *arg)
{
    weft__deferred *self = arg;

    weft__loop_defer(t.loop, self, again, self);
}

static void who_comes_back_in_each_batch_does_not_put_it_off(void **state)
{
    weft__deferred self = {0};

    (void)state;
    begin(3);
    weft__loop_defer(t.loop, &self, again, &self);
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_one_took(3);
    weft__loop_undefer(t.loop, &self);
}

static void a_histogram_that_goes_is_left_alone(void **state)
{
    (void)state;
    begin(3);
    weft__loop_settle_times(t.loop);
    assert_one_took(3);
    test_loop_settle(&t);
    assert_one_took(3);
}

static void on_a_base_of_the_application_s_too(void **state)
{
    struct event_base *base = event_base_new();

    (void)state;
    h = (weft_histogram){0};
    assert_non_null(base);
    test_loop_wrap(&t, base);
    begin(3);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_one_took(3);
    test_loop_fini(&t);
    event_base_free(base);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_time_ends_with_the_batch),
        T(without_a_batch_it_ends_with_the_callback),
        T(outside_of_callbacks_it_ends_at_once),
        T(what_joins_a_time_counts_with_it),
        T(there_is_no_end_to_the_times_of_a_batch),
        T(one_that_has_no_room_takes_its_time_too),
        T(who_comes_back_in_each_batch_does_not_put_it_off),
        T(a_histogram_that_goes_is_left_alone),
        cmocka_unit_test(on_a_base_of_the_application_s_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
