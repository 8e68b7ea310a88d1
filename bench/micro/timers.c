/* timers.c - starting, stopping and firing beside so many that are armed.
 *
 *     micro_timers [times]
 *
 * The loop's clock is a fake one, so that firing costs no waiting. */
#include <weft/loop.h>
#include <weft/timer.h>

#include "micro.h"

#define SPREAD_MS 5000 /* deadlines of calls, most of them never reached */

static uint64_t fired;

typedef struct wheel {
    weft_loop *loop;
    weft_timer *timers;
    uint32_t armed;
} wheel;

static void on_timer(weft_timer *timer, void *user)
{
    (void)timer, (void)user;
    fired++;
}

/* A call's deadline: started, and stopped when the reply is there. */
static void start_and_stop(void *arg, uint64_t times)
{
    wheel *w = arg;
    weft_timer timer;

    weft_timer_init(&timer, w->loop, on_timer, NULL);
    for (uint64_t i = 0; i < times; i++) {
        weft_timer_start(&timer, 1 + (uint32_t)(i % SPREAD_MS));
        weft_timer_stop(&timer);
    }
}

/* One of those that are armed starts anew, each in turn. */
static void start_again(void *arg, uint64_t times)
{
    wheel *w = arg;
    uint32_t at = 0;

    for (uint64_t i = 0; i < times; i++) {
        weft_timer_start(&w->timers[at], 1 + (uint32_t)(i * 37 % SPREAD_MS));
        at = at + 1 == w->armed ? 0 : at + 1;
    }
}

static void measure(uint32_t armed, uint64_t times)
{
    weft_fake_clock clock = {.ns = 1000000000};
    wheel w = {.armed = armed, .timers = calloc(armed, sizeof(weft_timer))};
    double again, single, begin;

    micro_check(w.timers != NULL &&
                    weft_loop_new(&w.loop,
                                  &(weft_loop_conf){
                                      .lag_warn_ms = WEFT_OFF,
                                      .clock = weft_fake(&clock)}) == WEFT_OK,
                "no loop");
    for (uint32_t i = 0; i < armed; i++) {
        weft_timer_init(&w.timers[i], w.loop, on_timer, NULL);
        weft_timer_start(&w.timers[i],
                         1 + (uint32_t)((uint64_t)i * SPREAD_MS / armed));
    }
    single = micro_best(start_and_stop, &w, times);
    again = micro_best(start_again, &w, times);
    fired = 0;
    begin = micro_now_ns();
    for (uint32_t ms = 0; ms <= SPREAD_MS; ms++) {
        weft_fake_advance(&clock, 1);
        (void)weft_loop_poll(w.loop);
    }
    while (fired < armed) /* a round fires a bounded number */
        (void)weft_loop_poll(w.loop);
    printf("%9u %15.1f %15.1f %15.1f\n", (unsigned)armed, single, again,
           (micro_now_ns() - begin) / armed);
    weft_loop_free(w.loop);
    free(w.timers);
}

int main(int argc, char **argv)
{
    static const uint32_t armed[] = {1000, 100000, 1000000};
    uint64_t times = micro_times(argc, argv, 2000000);

    printf("%9s %15s %15s %15s   (ns; firing with the polls of 5 s)\n", "armed",
           "start and stop", "start again", "fire");
    for (size_t i = 0; i < sizeof(armed) / sizeof(armed[0]); i++)
        measure(armed[i], times);
    return 0;
}
