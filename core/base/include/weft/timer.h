/* weft/timer.h - one-shot timers on a loop.
 *
 * A hierarchical wheel (Varghese & Lauck, 1987, scheme 7) that waits for one
 * time at a time: start and stop are O(1) and allocate nothing, and a loop
 * without timers does not wake.  Resolution is 1 ms; by the loop's clock a
 * timer is never early.  Timers due in the same millisecond run in the order in
 * which they were started, unless there were more to see to than one round of
 * the loop does, some 500.  When the loop goes, timers that are still armed are
 * disarmed. */
#ifndef WEFT_TIMER_H
#define WEFT_TIMER_H

#include <weft/loop.h>

WEFT_BEGIN_DECLS

typedef struct weft_timer weft_timer;

/* Runs on the loop's thread, from a fresh stack.  May start, stop or release
 * any timer, its own included. */
typedef void (*weft_timer_cb)(weft_timer *timer, void *user);

typedef struct weft__timer_link {
    struct weft__timer_link *next, *prev; /* NULL: not armed */
} weft__timer_link;

/* What the wheel needs of a timer. */
typedef struct weft__alarm {
    weft__timer_link link; /* first */
    uint64_t due_ms : 63;
    uint64_t bare : 1; /* not in a weft_timer */
} weft__alarm;

/* Embedded in its owner.  name may be set after weft_timer_init(); the other
 * members are the wheel's. */
struct weft_timer {
    weft__alarm alarm; /* first */
    weft_loop *loop;
    weft_timer_cb cb;
    void *user;
    const char *name; /* names it when it holds the loop; may be NULL */
};

/* Borrows loop, which must outlive the timer's last use. */
WEFT_API void weft_timer_init(weft_timer *timer, weft_loop *loop,
                              weft_timer_cb cb, void *user);

/* Arms it to fire once in delay_ms, counted from weft_loop_now_ns(); re-arms if
 * armed.  With 0 it fires in the next round, never from within this call. */
WEFT_API void weft_timer_start(weft_timer *timer, uint32_t delay_ms);

/* The same with an absolute time of the loop's clock. */
WEFT_API void weft_timer_start_at(weft_timer *timer, uint64_t due_ms);

/* Disarms it: once this returns, the callback will not run, and the memory may
 * go.  A zeroed timer is fine. */
WEFT_API void weft_timer_stop(weft_timer *timer);

WEFT_API bool weft_timer_armed(const weft_timer *timer);

WEFT_END_DECLS

#endif /* WEFT_TIMER_H */
