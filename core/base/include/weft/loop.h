/* weft/loop.h - one thread, one event_base, and everything that lives on it.
 *
 * A loop may own its event_base or wrap the application's.  Everything made on
 * a loop belongs to the loop's thread; weft_loop_post() is the one function
 * that other threads may call.  The loop's thread is the one that made it,
 * until another one runs it (or dispatches the wrapped base): then it is that
 * one.  A process may have 256 loops at a time. */
#ifndef WEFT_LOOP_H
#define WEFT_LOOP_H

#include <weft/clock.h>
#include <weft/conf.h>
#include <weft/status.h>

WEFT_BEGIN_DECLS

struct event_base;
typedef struct weft_loop weft_loop;

#define WEFT_LOOP_CONF(X)                                                      \
    X(u32, lag_warn_ms, 100,                                                   \
      "a callback that holds the loop longer is logged by name; WEFT_OFF: "    \
      "never")

typedef struct weft_loop_conf {
    WEFT_LOOP_CONF(WEFT_CONF_MEMBER)
    weft_clock clock; /* zeroed: weft_clock_monotonic */
} weft_loop_conf;
WEFT_API extern const weft_conf_spec weft_loop_conf_spec;

/* How long callbacks held the loop, in microseconds. */
typedef struct weft_loop_lag {
    uint64_t last_us, max_us;
    uint64_t late;         /* how often lag_warn_ms was exceeded */
    const char *late_name; /* what held it last, or NULL; borrowed until the
                              loop runs on */
} weft_loop_lag;

/* Makes a loop with an event_base of its own, which only weft_loop_run() and
 * its kin may dispatch.  Gives *out: weft_loop_free().  conf may be NULL.
 * ENOMEM, EINVAL, EIO (no descriptor left), ELIMIT (256 loops). */
#define weft_loop_new(out, ... /* conf */)                                     \
    weft_loop_new_sized(out, __VA_ARGS__, sizeof(weft_loop_conf))
WEFT_API weft_status weft_loop_new_sized(weft_loop **out,
                                         const weft_loop_conf *conf,
                                         size_t conf_size);

/* Makes a loop on the application's base, which is borrowed and must outlive
 * it. Signals, priorities and dispatching stay the application's. */
#define weft_loop_wrap(out, base, ... /* conf */)                              \
    weft_loop_wrap_sized(out, base, __VA_ARGS__, sizeof(weft_loop_conf))
WEFT_API weft_status weft_loop_wrap_sized(weft_loop **out,
                                          struct event_base *base,
                                          const weft_loop_conf *conf,
                                          size_t conf_size);

/* Runs until weft_loop_stop(), or until nothing is left that could happen: no
 * event on the base, no timer, nothing posted, no hold.  OK, EIO when the
 * backend failed, ESTATE inside a callback or after a fork. */
WEFT_API weft_status weft_loop_run(weft_loop *loop);

/* Handles what is ready now, due timers included, and returns without waiting.
 */
WEFT_API weft_status weft_loop_poll(weft_loop *loop);

/* Runs until *done is true (OK) or ms of real time have passed, whatever the
 * loop's clock says (ETIMEDOUT; 0 waits for ever); ESTATE when nothing is left
 * that could set it, or after weft_loop_stop(); ECLOSED when the loop closed
 * meanwhile, and is gone.  For tools and tests. */
WEFT_API weft_status weft_loop_run_until(weft_loop *loop, const bool *done,
                                         uint32_t ms);

/* Ends weft_loop_run() after the current round of callbacks, or the next one at
 * once. */
WEFT_API void weft_loop_stop(weft_loop *loop);

/* Between these weft_loop_run() goes on waiting even with nothing to wait for:
 * another thread is going to post.  They count. */
WEFT_API void weft_loop_hold(weft_loop *loop);
WEFT_API void weft_loop_unhold(weft_loop *loop);

/* Runs fn(arg) on the loop's thread, in the order of posting; from any thread.
 * Exactly once if OK.  ECLOSED once the loop is closing, ENOMEM, ESTATE after a
 * fork.  A post that has begun may meet the closing loop; one that begins when
 * weft_loop_free() has returned may not. */
WEFT_API weft_status weft_loop_post(weft_loop *loop, void (*fn)(void *arg),
                                    void *arg);

/* Milliseconds and nanoseconds of the loop's clock: inside Weft's callbacks as
 * read at the last wake-up, elsewhere as of now. */
WEFT_API uint64_t weft_loop_now_ms(const weft_loop *loop);
WEFT_API uint64_t weft_loop_now_ns(const weft_loop *loop);

WEFT_API struct event_base *weft_loop_base(const weft_loop *loop); /* borrows */
WEFT_API weft_loop_lag weft_loop_get_lag(const weft_loop *loop);

/* Takes loop (NULL is fine) when the stack has unwound: legal in a callback,
 * also on a wrapped base.  Servers, channels and timers on it end first: every
 * call and handler is told (CANCELLED), posts are refused, posted functions
 * that have not run yet run now.  on_closed(user), which may be NULL, is the
 * last thing that happens.  It needs the base to be dispatched: a loop with a
 * base of its own goes at the end of the weft_loop_run() that is on the stack
 * or comes next.  A second call does nothing. */
WEFT_API void weft_loop_close(weft_loop *loop, void (*on_closed)(void *user),
                              void *user);

/* The same at once; but from a callback of this loop, or under its
 * weft_loop_run(), it does what weft_loop_close() does. */
WEFT_API void weft_loop_free(weft_loop *loop);

WEFT_END_DECLS

#endif /* WEFT_LOOP_H */
