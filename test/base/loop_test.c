/* loop_test.c - running, the end of the batch, lag, what a loop keeps. */
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
static char logged[2048];

static void on_log(weft_log_level level, const char *event, const char *fields,
                   void *user)
{
    (void)level;
    (void)user;
    snprintf(logged, sizeof logged, "%s %s", event, fields);
}

static int setup(void **state)
{
    (void)state;
    trace[0] = logged[0] = '\0';
    weft_log_set_sink(on_log, NULL);
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    weft_log_set_sink(NULL, NULL);
    return 0;
}

static void note(void *what)
{
    strcat(trace, what);
}

static void set_true(void *flag)
{
    *(bool *)flag = true;
}

/* Running */

static void a_run_with_nothing_to_wait_for_returns(void **state)
{
    bool never = false;

    (void)state;
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 0), WEFT_ESTATE);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 600000), WEFT_ESTATE);
    never = true;
    assert_int_equal(weft_loop_run_until(t.loop, &never, 0), WEFT_OK);
}

static void on_timer_note(weft_timer *timer, void *user)
{
    (void)timer;
    note(user);
}

static void a_stopped_timer_does_not_keep_a_run_alive(void **state)
{
    weft_timer timer;

    (void)state;
    weft_timer_init(&timer, t.loop, on_timer_note, "x");
    weft_timer_start(&timer, 1000000);
    weft_timer_stop(&timer);
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "");
}

static void
run_until_ends_in_real_time_though_the_clock_stands_still(void **state)
{
    weft_timer timer;
    bool never = false;

    (void)state;
    weft_timer_init(&timer, t.loop, on_timer_note, "x");
    weft_timer_start(&timer, 1000000);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 1), WEFT_ETIMEDOUT);
    assert_string_equal(trace, "");
    weft_timer_stop(&timer);
}

static void a_hold_waits_for_what_another_thread_owes(void **state)
{
    bool never = false;

    (void)state;
    weft_loop_hold(t.loop);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 1), WEFT_ETIMEDOUT);
    weft_loop_unhold(t.loop);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 1), WEFT_ESTATE);
}

static void on_timer_stop_loop(weft_timer *timer, void *user)
{
    (void)user;
    note("s");
    weft_timer_start(timer, 0); /* would go on for ever */
    weft_loop_stop(t.loop);
}

static void stop_ends_the_run_and_a_new_run_goes_on(void **state)
{
    weft_timer timer;

    (void)state;
    weft_timer_init(&timer, t.loop, on_timer_stop_loop, NULL);
    weft_timer_start(&timer, 0);
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "s");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "ss");
    weft_timer_stop(&timer);
}

static void run_inside(void *result)
{
    bool never = false;

    assert_int_equal(weft_loop_run(t.loop), WEFT_ESTATE);
    assert_int_equal(weft_loop_run_until(t.loop, &never, 0), WEFT_ESTATE);
    *(weft_status *)result = weft_loop_poll(t.loop);
}

static void running_inside_a_callback_is_refused(void **state)
{
    weft__deferred d = {0};
    weft_status result = WEFT_OK;

    (void)state;
    weft__loop_defer(t.loop, &d, run_inside, &result);
    test_loop_settle(&t);
    assert_int_equal(result, WEFT_ESTATE);
}

static void use_after_fork_is_refused_and_said(void **state)
{
    pid_t child;
    int wstatus;

    (void)state;
    if ((child = fork()) == 0) {
        bool refused = weft_loop_run(t.loop) == WEFT_ESTATE &&
                       weft_loop_poll(t.loop) == WEFT_ESTATE &&
                       weft_loop_post(t.loop, note, "x") == WEFT_ESTATE;

        weft_loop_free(t.loop); /* leaves the parent's epoll alone */
        _exit(refused && strstr(logged, "after fork") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &wstatus, 0), child);
    assert_true(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    assert_int_equal(weft_loop_post(t.loop, note, "p"), WEFT_OK);
    test_loop_settle(&t);
    assert_string_equal(trace, "p");
}

static void the_time_is_that_of_the_wakeup_inside_callbacks_only(void **state)
{
    uint64_t before = weft_loop_now_ms(t.loop);

    (void)state;
    weft_fake_advance(&t.clock, 5);
    assert_int_equal(weft_loop_now_ms(t.loop), before + 5);
    weft__loop_enter(t.loop, "test");
    weft_fake_advance(&t.clock, 5);
    assert_int_equal(weft_loop_now_ms(t.loop), before + 5);
    weft__loop_leave(t.loop);
    assert_int_equal(weft_loop_now_ms(t.loop), before + 10);
    t.clock.ns = 0; /* backwards */
    assert_int_equal(weft_loop_now_ms(t.loop), before + 10);
}

/* The end of the batch */

static void flush(weft__task *task)
{
    weft__deferred *d = (weft__deferred *)task;

    d->fn(d->arg);
}

static void flush_later(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                        void *arg)
{
    if (!weft__task_queued(&d->task)) {
        d->fn = fn;
        d->arg = arg;
    }
    weft__loop_flush_later(loop, &d->task, flush);
}

static void
flushes_run_before_the_deferred_in_the_order_of_queueing(void **state)
{
    weft__deferred a = {0}, b = {0}, c = {0}, d = {0};

    (void)state;
    weft__loop_defer(t.loop, &a, note, "a");
    flush_later(t.loop, &b, note, "b");
    weft__loop_defer(t.loop, &c, note, "c");
    flush_later(t.loop, &d, note, "d");
    flush_later(t.loop, &b, note, "x"); /* queued already */
    assert_string_equal(trace, "");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "bdac");
    assert_false(weft__task_queued(&b.task));
}

static struct event *readers[3];
static weft__deferred at_end;

static void on_reader(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    weft__loop_enter(t.loop, "reader");
    note("r");
    flush_later(t.loop, &at_end, note, "F");
    weft__loop_leave(t.loop);
}

static void a_batch_of_callbacks_is_flushed_once_at_its_end(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        readers[i] = event_new(weft_loop_base(t.loop), -1, 0, on_reader, NULL);
        event_active(readers[i], EV_READ, 0);
    }
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "rrrF");
    for (i = 0; i < 3; i++)
        event_free(readers[i]);
}

static void on_last_reader(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    weft__loop_enter(t.loop, "reader");
    note(arg);
    note(weft__loop_in_last(t.loop) ? "l" : "");
    flush_later(t.loop, &at_end, note, "F");
    weft__loop_leave_last(t.loop);
    note("/");
}

static void the_last_callback_of_a_round_ends_its_batch(void **state)
{
    struct event *own;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        readers[i] =
            event_new(weft_loop_base(t.loop), -1, 0, on_last_reader, "r");
        event_active(readers[i], EV_READ, 0);
    }
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "r/r/rlF/");
    /* Not while others are to come, nor twice in a round. */
    own = event_new(weft_loop_base(t.loop), -1, 0, on_reader, NULL);
    event_active(readers[0], EV_READ, 0);
    event_active(own, EV_READ, 0);
    trace[0] = '\0';
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "r/rF");
    event_free(own);
    for (i = 0; i < 3; i++)
        event_free(readers[i]);
}

static void note_and_defer(void *what)
{
    note(what);
    weft__loop_defer(t.loop, &at_end, note, "d");
}

static void what_a_run_leaves_comes_when_the_base_is_dispatched(void **state)
{
    weft__deferred first = {0};

    (void)state;
    flush_later(t.loop, &first, note_and_defer, "f");
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "f");
    event_base_loop(weft_loop_base(t.loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_string_equal(trace, "fd");
}

static weft__deferred again;

static void note_and_queue_again(void *what)
{
    note(what);
    if (strlen(trace) < 5)
        flush_later(t.loop, &again, note_and_queue_again, what);
}

static void what_is_queued_at_the_end_waits_for_the_next_batch(void **state)
{
    (void)state;
    flush_later(t.loop, &again, note_and_queue_again, "q");
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "q");
    assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
    assert_string_equal(trace, "qq");
    assert_int_equal(weft_loop_run(t.loop), WEFT_OK);
    assert_string_equal(trace, "qqqqq");
}

static void undefer_takes_it_out_wherever_it_waits(void **state)
{
    weft__deferred a = {0}, b = {0}, c = {0};

    (void)state;
    flush_later(t.loop, &a, note, "a");
    flush_later(t.loop, &b, note, "b");
    weft__loop_defer(t.loop, &c, note, "c");
    weft__loop_undefer(t.loop, &b); /* the last of its list */
    weft__loop_undefer(t.loop, &c);
    weft__loop_undefer(t.loop, &c);
    flush_later(t.loop, &c, note, "d");
    test_loop_settle(&t);
    assert_string_equal(trace, "ad");
}

static weft__deferred victim;

static void undefer_victim(void *unused)
{
    (void)unused;
    note("u");
    weft__loop_undefer(t.loop, &victim);
}

static void a_deferred_function_may_undefer_one_of_its_batch(void **state)
{
    weft__deferred first = {0};

    (void)state;
    flush_later(t.loop, &first, undefer_victim, NULL);
    weft__loop_defer(t.loop, &victim, note, "x");
    test_loop_settle(&t);
    assert_string_equal(trace, "u");
}

/* Lag */

static void a_callback_that_holds_the_loop_is_named(void **state)
{
    weft_loop_lag lag;

    (void)state;
    weft__loop_enter(t.loop, "slow reader");
    weft_fake_advance(&t.clock, 101);
    weft__loop_leave(t.loop);
    lag = weft_loop_get_lag(t.loop);
    assert_int_equal(lag.last_us, 101000);
    assert_int_equal(lag.late, 1);
    assert_string_equal(lag.late_name, "slow reader");
    assert_non_null(strstr(logged, "name=\"slow reader\" held_ms=101"));

    weft__loop_enter(t.loop, "quick reader");
    weft_fake_advance(&t.clock, 100);
    weft__loop_leave(t.loop);
    lag = weft_loop_get_lag(t.loop);
    assert_int_equal(lag.last_us, 100000);
    assert_int_equal(lag.max_us, 101000);
    assert_int_equal(lag.late, 1);
}

static void a_span_names_the_culprit_inside_once(void **state)
{
    (void)state;
    weft__loop_enter(t.loop, "reader");
    weft__loop_span_begin(t.loop, "/Greeter/Hello");
    weft_fake_advance(&t.clock, 50);
    weft__loop_span_end(t.loop);
    weft__loop_span_begin(t.loop, "/Greeter/Outer");
    weft__loop_span_begin(t.loop, "/Greeter/Sleep");
    weft_fake_advance(&t.clock, 200);
    weft__loop_span_end(t.loop);
    weft__loop_span_end(t.loop);
    weft__loop_leave(t.loop);
    assert_int_equal(weft_loop_get_lag(t.loop).late, 1);
    assert_string_equal(weft_loop_get_lag(t.loop).late_name, "/Greeter/Sleep");
}

static void spans_nest_deeper_than_they_are_kept(void **state)
{
    int i;

    (void)state;
    weft__loop_enter(t.loop, "reader");
    for (i = 0; i < 20; i++)
        weft__loop_span_begin(t.loop, i == 0 ? "outermost" : "inner");
    weft_fake_advance(&t.clock, 500);
    for (i = 0; i < 20; i++)
        weft__loop_span_end(t.loop);
    weft__loop_leave(t.loop);
    assert_int_equal(weft_loop_get_lag(t.loop).late, 1);
}

static void on_slow_timer(weft_timer *timer, void *user)
{
    (void)timer;
    weft_fake_advance(user, 300);
}

static void a_slow_timer_is_named(void **state)
{
    weft_timer timer;

    (void)state;
    weft_timer_init(&timer, t.loop, on_slow_timer, &t.clock);
    timer.name = "expiry of sessions";
    weft_timer_start(&timer, 1);
    test_loop_advance(&t, 1);
    assert_string_equal(weft_loop_get_lag(t.loop).late_name,
                        "expiry of sessions");
}

static void lag_warnings_can_be_switched_off(void **state)
{
    weft_fake_clock clock = {0};
    weft_loop *loop;

    (void)state;
    assert_int_equal(
        weft_loop_new(&loop, &(weft_loop_conf){.lag_warn_ms = WEFT_OFF,
                                               .clock = weft_fake(&clock)}),
        WEFT_OK);
    weft__loop_enter(loop, "reader");
    weft_fake_advance(&clock, 100000);
    weft__loop_leave(loop);
    assert_int_equal(weft_loop_get_lag(loop).late, 0);
    assert_int_equal(weft_loop_get_lag(loop).max_us, 100000000);
    weft_loop_free(loop);
}

/* What a loop keeps */

static void chunks_are_used_again_and_the_pool_is_bounded(void **state)
{
    void *chunks[200];
    void *first = weft__loop_chunk_get(t.loop);
    int i;

    (void)state;
    weft__loop_chunk_put(t.loop, first);
    assert_ptr_equal(weft__loop_chunk_get(t.loop), first);
    weft__loop_chunk_put(t.loop, first);
    weft__loop_chunk_put(t.loop, NULL);
    for (i = 0; i < 200; i++) {
        assert_non_null(chunks[i] = weft__loop_chunk_get(t.loop));
        memset(chunks[i], i, WEFT__CHUNK_BYTES);
    }
    for (i = 0; i < 200; i++)
        weft__loop_chunk_put(t.loop, chunks[i]);
    weft_mem_fail_nth(1); /* 64 are kept: no allocation until they are out */
    for (i = 0; i < 64; i++)
        assert_non_null(chunks[i] = weft__loop_chunk_get(t.loop));
    assert_null(weft__loop_chunk_get(t.loop));
    for (i = 0; i < 64; i++)
        weft__loop_chunk_put(t.loop, chunks[i]);
}

static void *block_of(size_t want, size_t *size)
{
    *size = want;
    return weft__loop_block_get(t.loop, size);
}

static void blocks_are_used_again_where_they_fit(void **state)
{
    size_t size, same;
    void *block = block_of(70000, &size);

    (void)state;
    assert_non_null(block);
    memset(block, 1, size);
    weft__loop_block_put(t.loop, block, size);
    weft_mem_fail_nth(1);
    assert_ptr_equal(block_of(66000, &same), block);
    assert_int_equal(same, size);
    assert_null(block_of(66000, &same)); /* it is out */
    weft__loop_block_put(t.loop, block, size);
    weft_mem_fail_nth(1);
    assert_null(block_of(65536, &same)); /* too large for it */
    weft_mem_fail_nth(1);
    assert_null(block_of(size + 1, &same)); /* a byte too small */
}

static void blocks_waste_a_ninth_at_most(void **state)
{
    size_t size, below = 1024;

    (void)state;
    for (size_t want = 1; want <= 200000; want += want / 61 + 1) {
        void *block = block_of(want, &size);

        assert_non_null(block);
        assert_true(size >= want && size >= below);
        assert_true(size <= 1024 || size * 8 <= want * 9);
        memset(block, 1, size);
        weft__loop_block_put(t.loop, block, size);
        below = size < 131072 ? size : 0; /* larger ones are exact */
    }
}

static void
free_blocks_have_a_bound_and_those_of_the_past_go_first(void **state)
{
    void *small[1600], *big[16];
    size_t size, large;
    int i;

    (void)state;
    for (i = 0; i < 1600; i++)
        assert_non_null(small[i] = block_of(1500, &size));
    for (i = 0; i < 1600; i++)
        weft__loop_block_put(t.loop, small[i], size);
    weft_mem_fail_nth(1);
    for (i = 0; (small[i] = block_of(1500, &size)) != NULL; i++)
        ;
    assert_in_range(i, 1000, (2 << 20) / size); /* 2 MiB were kept */
    while (i > 0)
        weft__loop_block_put(t.loop, small[--i], size);

    for (i = 0; i < 16; i++)
        assert_non_null(big[i] = block_of(131072, &size));
    for (i = 0; i < 16; i++)
        weft__loop_block_put(t.loop, big[i], size);
    weft_mem_fail_nth(1);
    for (i = 0; i < 16; i++)
        assert_non_null(big[i] = block_of(131072, &size));
    assert_null(block_of(1500, &large));
    for (i = 0; i < 16; i++)
        weft__loop_block_put(t.loop, big[i], size);

    assert_non_null(big[0] = block_of(200000, &large));
    weft__loop_block_put(t.loop, big[0], large); /* not kept */
    weft_mem_fail_nth(1);
    assert_null(block_of(200000, &large));
}

static void the_read_buffer_is_made_when_it_is_needed(void **state)
{
    uint8_t *buffer;

    (void)state;
    weft_mem_fail_nth(1);
    assert_null(weft__loop_read_buffer(t.loop));
    assert_non_null(buffer = weft__loop_read_buffer(t.loop));
    memset(buffer, 1, WEFT__READ_BYTES);
    assert_ptr_equal(weft__loop_read_buffer(t.loop), buffer);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    assert_int_not_equal(weft__loop_random(t.loop), weft__loop_random(t.loop));
}

static void a_loop_is_found_by_its_index_while_it_lives(void **state)
{
    weft_loop *loops[256];
    weft_loop *more;
    uint8_t index;
    int i;

    (void)state;
    assert_ptr_equal(weft__loop_by_index(weft__loop_index(t.loop)), t.loop);
    for (i = 0; i < 255; i++)
        assert_int_equal(weft_loop_new(&loops[i], NULL), WEFT_OK);
    assert_int_equal(weft_loop_new(&more, NULL), WEFT_ELIMIT);
    for (i = 0; i < 255; i++) {
        index = weft__loop_index(loops[i]);
        assert_ptr_equal(weft__loop_by_index(index), loops[i]);
        weft_loop_free(loops[i]);
        assert_null(weft__loop_by_index(index));
    }
}

static void try_to_make(void *unused)
{
    weft_loop *loop = NULL;
    weft_status status = weft_loop_new(&loop, NULL);

    (void)unused;
    assert_true(status == WEFT_OK || status == WEFT_ENOMEM);
    assert_true((status == WEFT_OK) == (loop != NULL));
    weft_loop_free(loop);
}

static void a_loop_that_finds_no_memory_is_not_made(void **state)
{
    (void)state;
    assert_in_range(test_each_allocation_fails(try_to_make, NULL), 1, 10);
    assert_int_equal(weft_loop_new(NULL, NULL), WEFT_EINVAL);
    assert_int_equal(weft_loop_wrap(&(weft_loop *){NULL}, NULL, NULL),
                     WEFT_EINVAL);
    assert_int_equal(weft_loop_run(NULL), WEFT_EINVAL);
}

/* Both of libevent's: what an application would do with a base of its own. */
static void a_wrapped_base_flushes_under_the_applications_dispatch(void **state)
{
    struct event_base *base = event_base_new();
    weft__deferred a = {0}, b = {0};
    bool done = false;
    test_loop mine;

    (void)state;
    test_loop_wrap(&mine, base);
    assert_ptr_equal(weft_loop_base(mine.loop), base);
    weft__loop_defer(mine.loop, &a, note, "a");
    flush_later(mine.loop, &b, note, "b");
    assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    assert_string_equal(trace, "ba");
    weft__loop_defer(mine.loop, &a, set_true, &done);
    test_loop_fini(&mine); /* once more */
    assert_true(done);
    assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED),
                     0);
    event_base_free(base);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_with_nothing_to_wait_for_returns),
        TEST(a_stopped_timer_does_not_keep_a_run_alive),
        TEST(run_until_ends_in_real_time_though_the_clock_stands_still),
        TEST(a_hold_waits_for_what_another_thread_owes),
        TEST(stop_ends_the_run_and_a_new_run_goes_on),
        TEST(running_inside_a_callback_is_refused),
        TEST(use_after_fork_is_refused_and_said),
        TEST(the_time_is_that_of_the_wakeup_inside_callbacks_only),
        TEST(flushes_run_before_the_deferred_in_the_order_of_queueing),
        TEST(a_batch_of_callbacks_is_flushed_once_at_its_end),
        TEST(the_last_callback_of_a_round_ends_its_batch),
        TEST(what_a_run_leaves_comes_when_the_base_is_dispatched),
        TEST(what_is_queued_at_the_end_waits_for_the_next_batch),
        TEST(undefer_takes_it_out_wherever_it_waits),
        TEST(a_deferred_function_may_undefer_one_of_its_batch),
        TEST(a_callback_that_holds_the_loop_is_named),
        TEST(a_span_names_the_culprit_inside_once),
        TEST(spans_nest_deeper_than_they_are_kept),
        TEST(a_slow_timer_is_named),
        TEST(lag_warnings_can_be_switched_off),
        TEST(chunks_are_used_again_and_the_pool_is_bounded),
        TEST(blocks_are_used_again_where_they_fit),
        TEST(blocks_waste_a_ninth_at_most),
        TEST(free_blocks_have_a_bound_and_those_of_the_past_go_first),
        TEST(the_read_buffer_is_made_when_it_is_needed),
        TEST(random_numbers_differ),
        TEST(a_loop_is_found_by_its_index_while_it_lives),
        TEST(a_loop_that_finds_no_memory_is_not_made),
        TEST(a_wrapped_base_flushes_under_the_applications_dispatch),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
