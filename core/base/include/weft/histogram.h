/* weft/histogram.h - how long things took: nanoseconds, counted in buckets.
 *
 * Log-linear, after HdrHistogram (hdrhistogram.org): each power of two is cut
 * into 64 buckets, so that a time which is read back is at most 1/64 too long.
 * From 2^40 ns (18 minutes) on all count as that long, but for the longest,
 * which is exact.  18 KB without a pointer, whatever is added: it may be
 * copied, and lie in memory that processes share.  Zeroed it is empty.
 *
 * One thread adds to a histogram; others may merge from it meanwhile. */
#ifndef WEFT_HISTOGRAM_H
#define WEFT_HISTOGRAM_H

#include <weft/api.h>

WEFT_BEGIN_DECLS

#define WEFT_HISTOGRAM_SUB_BITS 6
#define WEFT_HISTOGRAM_MAX_BITS 40
#define WEFT_HISTOGRAM_BUCKETS                                                 \
    ((WEFT_HISTOGRAM_MAX_BITS - WEFT_HISTOGRAM_SUB_BITS + 1)                   \
     << WEFT_HISTOGRAM_SUB_BITS)

typedef struct weft_histogram {
    uint64_t max_ns;
    uint64_t counts[WEFT_HISTOGRAM_BUCKETS];
} weft_histogram;

/* Counts n things that took ns each. */
WEFT_API void weft_histogram_add(weft_histogram *h, uint64_t ns, uint64_t n);

/* Adds all of from; another thread may be adding to that. */
WEFT_API void weft_histogram_merge(weft_histogram *h,
                                   const weft_histogram *from);

/* Leaves in h what has been added since `earlier` was copied from it: for
 * figures of the last minute.  max_ns is read back from a bucket then. */
WEFT_API void weft_histogram_subtract(weft_histogram *h,
                                      const weft_histogram *earlier);

WEFT_API uint64_t weft_histogram_count(const weft_histogram *h);

/* What `share` of all (0.99: the p99) did not exceed; 0 when empty. */
WEFT_API uint64_t weft_histogram_quantile_ns(const weft_histogram *h,
                                             double share);

/* From the middles of the buckets, so at most 1/128 off; 0 when empty. */
WEFT_API double weft_histogram_mean_ns(const weft_histogram *h);

WEFT_END_DECLS

#endif /* WEFT_HISTOGRAM_H */
