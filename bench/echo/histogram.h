/* histogram.h - log-linear counts of nanoseconds, after HdrHistogram.
 *
 * Each power of two has 64 buckets, so that a value read back is at most 1/64
 * too large.  It lies in memory that two processes share: no pointers. */
#ifndef WEFT_BENCH_HISTOGRAM_H
#define WEFT_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_MAX_BITS 40 /* 18 minutes; longer counts as that long */
#define HISTOGRAM_BUCKETS                                                      \
    ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

#ifdef __cplusplus
extern "C" {
#endif

typedef struct histogram { /* zeroed: empty */
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, max;
} histogram;

void histogram_add(histogram *h, uint64_t value);

/* The value that `share` (0 to 1) of all do not exceed, as the upper end of its
 * bucket, and never more than the maximum; 0 when empty. */
uint64_t histogram_quantile(const histogram *h, double share);

#ifdef __cplusplus
}
#endif

#endif /* WEFT_BENCH_HISTOGRAM_H */
