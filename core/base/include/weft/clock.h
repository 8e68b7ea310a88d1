/* weft/clock.h - time as an argument.
 *
 * A loop reads its clock once per wake-up and hands out the cached value.  A
 * test gives the loop a clock of its own and moves it by hand: what became due
 * runs in the next round of weft_loop_run() or weft_loop_poll().  (A base that
 * the application dispatches knows the system's clock only.) */
#ifndef WEFT_CLOCK_H
#define WEFT_CLOCK_H

#include <weft/api.h>

WEFT_BEGIN_DECLS

/* now_ns: monotonic nanoseconds; the origin does not matter. */
typedef struct weft_clock {
    uint64_t (*now_ns)(void *user);
    void *user;
} weft_clock;

/* CLOCK_MONOTONIC. */
WEFT_API extern const weft_clock weft_clock_monotonic;

/* A clock that stands still until it is told to move; zero it, or start it
 * anywhere.  Use: weft_fake_clock fake = {0}; conf.clock = weft_fake(&fake). */
typedef struct weft_fake_clock {
    uint64_t ns;
} weft_fake_clock;
WEFT_API weft_clock weft_fake(weft_fake_clock *fake); /* borrows fake */
WEFT_API void weft_fake_advance(weft_fake_clock *fake, uint32_t ms);

WEFT_END_DECLS

#endif /* WEFT_CLOCK_H */
