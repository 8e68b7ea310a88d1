/* timer_test.c - the wheel, by a clock that only the test moves. */
#include "support.h"
#include "test_loop.h"

#include <stdlib.h>
#include <weft/timer.h>

#include "reactor_internal.h"

static test_loop t;

static int setup(void **state)
{
    (void)state;
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    return 0;
}

static uint64_t now_ms(void)
{
    return t.clock.ns / 1000000u;
}

/* Notes when it ran, and in which order among all. */
typedef struct shot {
    weft_timer timer;
    unsigned times, order;
    uint64_t at_ms;
} shot;
static unsigned fired;

static void on_shot(weft_timer *timer, void *user)
{
    shot *s = user;

    assert_ptr_equal(timer, &s->timer);
    assert_false(weft_timer_armed(timer));
    s->times++;
    s->order = fired++;
    s->at_ms = now_ms();
}

static void shot_init(shot *s)
{
    *s = (shot){0};
    weft_timer_init(&s->timer, t.loop, on_shot, s);
}

static void fires_once_when_its_delay_has_passed(void **state)
{
    shot s;

    (void)state;
    shot_init(&s);
    weft_timer_start(&s.timer, 10);
    assert_true(weft_timer_armed(&s.timer));
    test_loop_advance(&t, 9);
    assert_int_equal(s.times, 0);
    test_loop_advance(&t, 1);
    assert_int_equal(s.times, 1);
    assert_false(weft_timer_armed(&s.timer));
    test_loop_advance(&t, 10000);
    assert_int_equal(s.times, 1);
}

static void is_never_early_by_a_part_of_a_millisecond(void **state)
{
    shot s;

    (void)state;
    shot_init(&s);
    t.clock.ns += 900000; /* 0.9 ms into this one */
    weft_timer_start(&s.timer, 1);
    t.clock.ns += 999999;
    test_loop_settle(&t);
    assert_int_equal(s.times, 0);
    t.clock.ns += 100001;
    test_loop_settle(&t);
    assert_int_equal(s.times, 1);
}

static void every_delay_is_met_to_the_millisecond(void **state)
{
    static const uint32_t delays[] = {
        0,    1,    2,    63,    64,    65,    127,    128,    1000,   4095,
        4096, 4097, 5000, 65535, 65536, 99999, 262143, 262144, 262145, 600000};
    enum { N = sizeof delays / sizeof delays[0] };
    shot s[N];
    uint64_t start = now_ms();
    size_t i;
    uint32_t ms;

    (void)state;
    for (i = 0; i < N; i++) {
        shot_init(&s[i]);
        weft_timer_start(&s[i].timer, delays[i]);
    }
    test_loop_settle(&t);
    for (ms = 0; ms < 600000; ms++) {
        weft_fake_advance(&t.clock, 1);
        weft_loop_poll(t.loop);
    }
    for (i = 0; i < N; i++) {
        assert_int_equal(s[i].times, 1);
        assert_int_equal(s[i].at_ms - start, delays[i]);
    }
}

static void any_due_time_of_64_bits_is_met(void **state)
{
    shot s[3];

    (void)state;
    shot_init(&s[0]);
    shot_init(&s[1]);
    shot_init(&s[2]);
    weft_timer_start(&s[0].timer, UINT32_MAX);
    weft_timer_start_at(&s[1].timer, UINT64_MAX); /* the clock ends before */
    weft_timer_start_at(&s[2].timer, 5);          /* long past */
    test_loop_settle(&t);
    assert_int_equal(s[2].times, 1);
    t.clock.ns += UINT64_C(1000000) * UINT32_MAX - 1;
    test_loop_settle(&t);
    assert_int_equal(s[0].times, 0);
    t.clock.ns++;
    test_loop_settle(&t);
    assert_int_equal(s[0].times, 1);
    t.clock.ns = UINT64_MAX;
    test_loop_settle(&t);
    assert_int_equal(s[1].times, 0);
    assert_true(weft_timer_armed(&s[1].timer));
    weft_timer_stop(&s[1].timer);
}

static void the_same_millisecond_runs_in_the_order_of_start(void **state)
{
    shot s[100];
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < 100; i++) { /* started over 50 ms, all due at once */
        shot_init(&s[i]);
        weft_timer_start_at(&s[i].timer, 1200);
        if (i % 2 == 0)
            test_loop_advance(&t, 1);
    }
    test_loop_advance(&t, 300);
    for (i = 0; i < 100; i++)
        assert_int_equal(s[i].order, i);
}

static void a_clock_that_jumps_far_fires_all_in_order_of_due_time(void **state)
{
    shot s[200];
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < 200; i++) {
        shot_init(&s[i]);
        weft_timer_start(&s[i].timer, 100000u - i * 500u);
    }
    weft_fake_advance(&t.clock, 3600000);
    test_loop_settle(&t);
    for (i = 0; i < 200; i++) {
        assert_int_equal(s[i].times, 1);
        assert_int_equal(s[i].order, 199 - i);
    }
}

static void a_stopped_timer_does_not_fire(void **state)
{
    shot a, b;
    weft_timer zeroed = {0};

    (void)state;
    shot_init(&a);
    shot_init(&b);
    weft_timer_start(&a.timer, 5);
    weft_timer_start(&b.timer, 5);
    weft_timer_stop(&a.timer);
    weft_timer_stop(&a.timer);
    weft_timer_stop(&zeroed);
    test_loop_advance(&t, 100);
    assert_int_equal(a.times, 0);
    assert_int_equal(b.times, 1);
}

static void starting_it_again_moves_it(void **state)
{
    shot s;

    (void)state;
    shot_init(&s);
    weft_timer_start(&s.timer, 5);
    weft_timer_start(&s.timer, 500);
    test_loop_advance(&t, 499);
    assert_int_equal(s.times, 0);
    weft_timer_start(&s.timer, 2000);
    weft_timer_start(&s.timer, 3);
    test_loop_advance(&t, 3);
    assert_int_equal(s.times, 1);
}

static void on_stop_others(weft_timer *timer, void *user)
{
    shot *s = user;
    unsigned i;

    (void)timer;
    fired++;
    for (i = 0; i < 10; i++)
        weft_timer_stop(&s[i].timer);
}

static void a_callback_may_stop_those_due_with_it(void **state)
{
    shot s[10];
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < 10; i++) {
        weft_timer_init(&s[i].timer, t.loop, on_stop_others, s);
        weft_timer_start(&s[i].timer, 7);
    }
    test_loop_advance(&t, 50);
    assert_int_equal(fired, 1);
}

static void on_again(weft_timer *timer, void *user)
{
    (void)user;
    fired++;
    weft_timer_start(timer, 0);
}

static void a_timer_that_restarts_itself_runs_once_a_round(void **state)
{
    weft_timer timer;

    (void)state;
    fired = 0;
    weft_timer_init(&timer, t.loop, on_again, NULL);
    weft_timer_start(&timer, 0);
    assert_int_equal(fired, 0); /* not from within start */
    weft_loop_poll(t.loop);
    weft_loop_poll(t.loop);
    assert_int_equal(fired, 2);
    weft_timer_stop(&timer);
}

static void on_free_itself(weft_timer *timer, void *user)
{
    free(timer);
    *(bool *)user = true;
}

static void a_callback_may_free_its_own_timer(void **state)
{
    weft_timer *timer = malloc(sizeof *timer);
    bool done = false;

    (void)state;
    weft_timer_init(timer, t.loop, on_free_itself, &done);
    weft_timer_start(timer, 3);
    test_loop_advance(&t, 3);
    assert_true(done);
}

static void on_next(weft_timer *timer, void *user)
{
    shot *next = user;

    (void)timer;
    weft_timer_start(&next->timer, 2);
}

static void a_callback_may_start_another(void **state)
{
    weft_timer first;
    shot s;

    (void)state;
    shot_init(&s);
    weft_timer_init(&first, t.loop, on_next, &s);
    weft_timer_start(&first, 1);
    test_loop_advance(&t, 2);
    assert_int_equal(s.times, 0);
    test_loop_advance(&t, 1);
    assert_int_equal(s.times, 1);
}

static void work_per_wakeup_is_bounded(void **state)
{
    enum { N = 5000 };
    shot *s = calloc(N, sizeof *s);
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < N; i++) {
        shot_init(&s[i]);
        weft_timer_start(&s[i].timer, 5);
    }
    weft_fake_advance(&t.clock, 5);
    weft_loop_poll(t.loop);
    assert_in_range(fired, 100, 2000);
    for (i = 0; i < 100 && fired < N; i++)
        weft_loop_poll(t.loop);
    assert_int_equal(fired, N);
    for (i = 0; i < N; i++)
        assert_int_equal(s[i].order, i);
    free(s);
}

static void work_spread_over_rounds_keeps_the_order_of_due_times(void **state)
{
    enum { N = 5000 };
    shot *s = calloc(N, sizeof *s);
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < N; i++) { /* each its own millisecond, later ones first */
        shot_init(&s[i]);
        weft_timer_start(&s[i].timer, (N - i) * 37u);
    }
    weft_fake_advance(&t.clock, 3600000);
    for (i = 0; i < 100 && fired < N; i++)
        weft_loop_poll(t.loop);
    assert_int_equal(fired, N);
    for (i = 0; i < N; i++)
        assert_int_equal(s[i].order, N - 1 - i);
    free(s);
}

static void on_count(weft_timer *timer, void *user)
{
    (void)timer;
    (void)user;
    fired++;
}

static void
a_far_timer_wakes_the_loop_when_it_is_due_and_not_before(void **state)
{
    shot near, far;

    (void)state;
    shot_init(&near);
    shot_init(&far);
    weft_timer_start(&near.timer, 1);
    weft_timer_start(&far.timer, 6000);
    test_loop_advance(&t, 1);
    assert_int_equal(near.times, 1);
    assert_int_equal(t.loop->wheel.armed_ms, now_ms() + 5999);
    weft_timer_stop(&far.timer);
}

/* So many timers that the wheel prepares its turns. */
typedef struct crowd {
    weft_timer timers[5000];
} crowd;

static crowd *crowd_new(weft_loop *loop, uint64_t due_ms)
{
    crowd *c = calloc(1, sizeof *c);

    for (unsigned i = 0; i < sizeof c->timers / sizeof c->timers[0]; i++) {
        weft_timer_init(&c->timers[i], loop, on_count, NULL);
        weft_timer_start_at(&c->timers[i], due_ms);
    }
    return c;
}

static void crowd_free(crowd *c)
{
    for (unsigned i = 0; i < sizeof c->timers / sizeof c->timers[0]; i++)
        weft_timer_stop(&c->timers[i]);
    free(c);
}

static void in_a_crowd_the_same_millisecond_keeps_its_order(void **state)
{
    shot s[100];
    crowd *c = crowd_new(t.loop, UINT64_MAX); /* the clock ends before */
    unsigned i;

    (void)state;
    fired = 0;
    for (i = 0; i < 100; i++) { /* due when a turn begins, and later in it */
        shot_init(&s[i]);
        weft_timer_start_at(&s[i].timer, 8192 + i / 50 * 3000u);
        test_loop_advance(&t, 71);
    }
    assert_int_equal(fired, 0);
    test_loop_advance(&t, 4000);
    for (i = 0; i < 100; i++) {
        assert_int_equal(s[i].order, i);
        assert_int_equal(s[i].at_ms, 8192 + i / 50 * 3000u);
    }
    crowd_free(c);
}

static void a_crowd_that_was_stopped_leaves_nothing_behind(void **state)
{
    crowd *c = crowd_new(t.loop, 4096);
    shot a, b;

    (void)state;
    weft_fake_advance(&t.clock, 2100); /* the clock began at 1000 */
    weft_loop_poll(t.loop);
    crowd_free(c);
    weft_fake_advance(&t.clock, 10000);
    shot_init(&a);
    shot_init(&b);
    weft_timer_start(&a.timer, 100);
    weft_timer_start(&b.timer, 9000);
    test_loop_advance(&t, 100);
    assert_int_equal(a.times, 1);
    assert_int_equal(t.loop->wheel.armed_ms, now_ms() + 8900);
    weft_timer_stop(&b.timer);
}

/* N timers over 5 s, the last first; to what the clock is to be set is asked
 * each time.  Whatever is due must have fired after one round. */
static void no_deadline_waits_for_others(uint64_t first_ms,
                                         uint64_t (*next_ms)(void))
{
    enum { N = 100000, SPREAD_MS = 5000 };
    weft_timer *timers = calloc(N, sizeof *timers);
    unsigned i;

    fired = 0;
    assert_non_null(timers);
    for (i = 0; i < N; i++) {
        weft_timer_init(&timers[i], t.loop, on_count, NULL);
        weft_timer_start_at(&timers[i],
                            first_ms + SPREAD_MS - 1 - i / (N / SPREAD_MS));
    }
    while (fired < N) {
        uint64_t due;

        t.clock.ns = next_ms() * 1000000u;
        due = now_ms() < first_ms ? 0 : now_ms() - first_ms + 1;
        assert_int_equal(weft_loop_poll(t.loop), WEFT_OK);
        assert_int_equal(fired, due * (N / SPREAD_MS));
    }
    free(timers);
}

static uint64_t each_millisecond(void)
{
    return now_ms() + 1;
}

static void where_turns_meet_none_of_many_timers_waits(void **state)
{
    (void)state;
    no_deadline_waits_for_others(10000, each_millisecond);
}

static uint64_t when_the_wheel_wakes(void)
{
    return t.loop->wheel.armed_ms;
}

static void many_timers_wake_an_idle_loop_before_their_turn(void **state)
{
    (void)state;
    no_deadline_waits_for_others(10000, when_the_wheel_wakes);
    no_deadline_waits_for_others(5 * 4096 - 10, when_the_wheel_wakes);
}

/* Against a list of due times: random starts, stops and steps of the clock. */
static void agrees_with_a_plain_list(void)
{
    enum { N = 300 };
    shot s[N];
    uint64_t due[N] = {0}; /* 0: not armed */
    unsigned expected[N] = {0};
    uint64_t x = 42;
    int step, i;

    for (i = 0; i < N; i++)
        shot_init(&s[i]);
    for (step = 0; step < 20000; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        i = (int)(x >> 33) % N;
        if (x >> 62 == 0) {
            weft_timer_stop(&s[i].timer);
            due[i] = 0;
        } else if (x >> 62 < 3) {
            uint32_t delay = (uint32_t)(x >> 20) >> (x >> 56) % 32;

            weft_timer_start(&s[i].timer, delay);
            due[i] = now_ms() + delay;
        } else {
            weft_fake_advance(&t.clock,
                              (uint32_t)(x >> 20) >> (12 + (x >> 56) % 20));
            for (i = 0; i < N; i++)
                if (due[i] != 0 && due[i] <= now_ms()) {
                    expected[i]++;
                    due[i] = 0;
                }
            weft_loop_poll(t.loop);
            for (i = 0; i < N; i++) {
                assert_int_equal(s[i].times, expected[i]);
                assert_int_equal(weft_timer_armed(&s[i].timer), due[i] != 0);
            }
        }
    }
    for (i = 0; i < N; i++)
        weft_timer_stop(&s[i].timer);
}

static void a_random_run_agrees_with_a_plain_list(void **state)
{
    (void)state;
    agrees_with_a_plain_list();
}

static void in_a_crowd_it_agrees_as_well(void **state)
{
    crowd *c = crowd_new(t.loop, UINT64_MAX); /* the clock ends before */

    (void)state;
    agrees_with_a_plain_list();
    crowd_free(c);
}

static void a_million_timers_all_fire(void **state)
{
    enum { N = 1000000 };
    weft_timer *timers = calloc(N, sizeof *timers);
    unsigned i, rounds;

    (void)state;
    fired = 0;
    assert_non_null(timers);
    for (i = 0; i < N; i++) {
        weft_timer_init(&timers[i], t.loop, on_count, NULL);
        weft_timer_start(&timers[i], i % 5000u);
    }
    for (rounds = 0; rounds < 5000 + N / 100 && fired < N; rounds++) {
        weft_fake_advance(&t.clock, 1);
        weft_loop_poll(t.loop);
    }
    assert_int_equal(fired, N);
    free(timers);
}

static void closing_the_loop_disarms_what_is_left(void **state)
{
    test_loop mine;
    shot a, b;
    crowd *first, *then;

    (void)state;
    test_loop_init(&mine);
    first = crowd_new(mine.loop, 4096);
    then = crowd_new(mine.loop, 4200);
    test_loop_advance(&mine, 3090); /* the clock began at 1000 */
    shot_init(&a);
    shot_init(&b);
    a.timer.loop = b.timer.loop = mine.loop;
    weft_timer_start(&a.timer, 0);
    weft_timer_start(&b.timer, 1000000);
    test_loop_fini(&mine);
    assert_false(weft_timer_armed(&a.timer));
    assert_false(weft_timer_armed(&b.timer));
    assert_false(weft_timer_armed(&first->timers[0]));
    assert_false(weft_timer_armed(&then->timers[0]));
    weft_timer_stop(&b.timer); /* touches no loop */
    crowd_free(first);
    crowd_free(then);
}

static void the_real_clock_fires_timers_too(void **state)
{
    weft_loop *loop;
    weft_timer *timer = malloc(sizeof *timer);
    bool done = false;
    uint64_t begin_ns;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    weft_timer_init(timer, loop, on_free_itself, &done);
    begin_ns = weft_loop_now_ns(loop);
    weft_timer_start(timer, 3);
    assert_int_equal(weft_loop_run_until(loop, &done, 10000), WEFT_OK);
    assert_true(weft_loop_now_ns(loop) - begin_ns >= 3000000u); /* not early */
    weft_loop_free(loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fires_once_when_its_delay_has_passed),
        TEST(is_never_early_by_a_part_of_a_millisecond),
        TEST(every_delay_is_met_to_the_millisecond),
        TEST(any_due_time_of_64_bits_is_met),
        TEST(the_same_millisecond_runs_in_the_order_of_start),
        TEST(a_clock_that_jumps_far_fires_all_in_order_of_due_time),
        TEST(a_stopped_timer_does_not_fire),
        TEST(starting_it_again_moves_it),
        TEST(a_callback_may_stop_those_due_with_it),
        TEST(a_timer_that_restarts_itself_runs_once_a_round),
        TEST(a_callback_may_free_its_own_timer),
        TEST(a_callback_may_start_another),
        TEST(work_per_wakeup_is_bounded),
        TEST(work_spread_over_rounds_keeps_the_order_of_due_times),
        TEST(a_far_timer_wakes_the_loop_when_it_is_due_and_not_before),
        TEST(in_a_crowd_the_same_millisecond_keeps_its_order),
        TEST(a_crowd_that_was_stopped_leaves_nothing_behind),
        TEST(where_turns_meet_none_of_many_timers_waits),
        TEST(many_timers_wake_an_idle_loop_before_their_turn),
        TEST(a_random_run_agrees_with_a_plain_list),
        TEST(in_a_crowd_it_agrees_as_well),
        TEST(a_million_timers_all_fire),
        TEST(closing_the_loop_disarms_what_is_left),
        TEST(the_real_clock_fires_timers_too),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
