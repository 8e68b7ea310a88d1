/* test_loop.h - a loop whose clock a test moves by hand, and a run with each
 * allocation failing once.  After support.h. */
#ifndef WEFT_TEST_LOOP_H
#define WEFT_TEST_LOOP_H

#include <weft/loop.h>
#include <weft/mem.h>

typedef struct test_loop {
    weft_loop *loop;
    weft_fake_clock clock;
} test_loop;

static inline void test_loop_init(test_loop *t)
{
    t->clock = (weft_fake_clock){.ns = 1000000000u};
    assert_int_equal(
        weft_loop_new(&t->loop,
                      &(weft_loop_conf){.clock = weft_fake(&t->clock)}),
        WEFT_OK);
}

/* The same on a base of the application's. */
static inline void test_loop_wrap(test_loop *t, struct event_base *base)
{
    t->clock = (weft_fake_clock){.ns = 1000000000u};
    assert_int_equal(
        weft_loop_wrap(&t->loop, base,
                       &(weft_loop_conf){.clock = weft_fake(&t->clock)}),
        WEFT_OK);
}

static inline void test_loop_fini(test_loop *t)
{
    weft_loop_free(t->loop);
    t->loop = NULL;
}

/* Handles what is ready, and what that makes ready, without waiting.  Rounds
 * are counted, for a test must end. */
static inline void test_loop_settle(test_loop *t)
{
    int i;

    for (i = 0; i < 8; i++)
        assert_int_equal(weft_loop_poll(t->loop), WEFT_OK);
}

/* Lets ms pass, a step at a time (at most 10,000 steps), so that what happens
 * in between happens in order. */
static inline void test_loop_advance(test_loop *t, uint32_t ms)
{
    uint32_t step = ms / 10000u + 1u;

    while (ms > 0) {
        uint32_t now = ms < step ? ms : step;

        weft_fake_advance(&t->clock, now);
        ms -= now;
        assert_int_equal(weft_loop_poll(t->loop), WEFT_OK);
    }
    test_loop_settle(t);
}

/* Runs a loop with the real clock until the condition no longer holds, 30
 * seconds at most. */
#define test_run_while(loop, condition)                                        \
    do {                                                                       \
        int rounds_;                                                           \
        bool never_ = false;                                                   \
        weft_loop_hold(loop);                                                  \
        for (rounds_ = 0; (condition) && rounds_ < 30000; rounds_++)           \
            (void)weft_loop_run_until(loop, &never_, 1);                       \
        weft_loop_unhold(loop);                                                \
        assert_false(condition);                                               \
    } while (0)

/* Runs fn(user) with the first allocation failing, then the second, and so on,
 * until a run passes untouched.  fn cleans up after itself.  Returns the number
 * of allocations that have failed. */
static inline unsigned test_each_allocation_fails(void (*fn)(void *user),
                                                  void *user)
{
    unsigned nth;

    for (nth = 1;; nth++) {
        assert_true(nth < 100000); /* or it never ends */
        weft_mem_fail_nth(nth);
        fn(user);
        if (weft_mem_fail_nth(0) != 0)
            return nth - 1;
    }
}

#endif /* WEFT_TEST_LOOP_H */
