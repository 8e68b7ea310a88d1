/* micro.h - what one operation costs: the best of five rounds, on a warm cache.
 */
#ifndef WEFT_BENCH_MICRO_H
#define WEFT_BENCH_MICRO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double micro_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* How often each operation runs per round: the first argument. */
static inline uint64_t micro_times(int argc, char **argv, uint64_t dflt)
{
    uint64_t times = argc > 1 ? strtoull(argv[1], NULL, 10) : dflt;

    return times > 0 ? times : 1;
}

/* ns per operation, of run(arg, times), which does it so often. */
static inline double micro_best(void (*run)(void *arg, uint64_t times),
                                void *arg, uint64_t times)
{
    double best = 1e18;

    for (int i = 0; i < 5; i++) {
        double begin = micro_now_ns(), took;

        run(arg, times);
        took = (micro_now_ns() - begin) / (double)times;
        best = took < best ? took : best;
    }
    return best;
}

/* For what must not happen in a benchmark. */
static inline void micro_check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

#endif /* WEFT_BENCH_MICRO_H */
