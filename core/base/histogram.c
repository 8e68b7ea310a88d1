/* histogram.c - log-linear counts of nanoseconds, after HdrHistogram.
 *
 * Times below SUB are a bucket each; above, the bits behind the leading one
 * choose among SUB buckets of the power of two.
 *
 * There is no total beside the counts, for one that is read while another
 * thread adds would not be theirs. */
#include <weft/histogram.h>

#define SUB (1U << WEFT_HISTOGRAM_SUB_BITS)
#define BUCKETS WEFT_HISTOGRAM_BUCKETS
#define LONGEST (((uint64_t)1 << WEFT_HISTOGRAM_MAX_BITS) - 1)

/* The one thread that adds needs no locked instruction, and who merges no
 * lock. */
static uint64_t load(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns > LONGEST)
        ns = LONGEST;
    if (ns < SUB)
        return (unsigned)ns;
    shift = 63U - (unsigned)__builtin_clzll(ns) - WEFT_HISTOGRAM_SUB_BITS;
    return (shift << WEFT_HISTOGRAM_SUB_BITS) + (unsigned)(ns >> shift);
}

/* A bucket is 2^shift_of() wide. */
static unsigned shift_of(unsigned bucket)
{
    return bucket < 2 * SUB ? 0 : (bucket >> WEFT_HISTOGRAM_SUB_BITS) - 1;
}

static uint64_t upper_end(unsigned bucket)
{
    unsigned shift = shift_of(bucket);
    uint64_t leading = bucket - (shift << WEFT_HISTOGRAM_SUB_BITS);

    return ((leading + 1) << shift) - 1;
}

void weft_histogram_add(weft_histogram *h, uint64_t ns, uint64_t n)
{
    uint64_t *count = &h->counts[bucket_of(ns)];

    store(count, *count + n);
    if (ns > h->max_ns && n > 0)
        store(&h->max_ns, ns);
}

void weft_histogram_merge(weft_histogram *h, const weft_histogram *from)
{
    uint64_t max_ns = load(&from->max_ns);

    for (unsigned i = 0; i < BUCKETS; i++)
        store(&h->counts[i], h->counts[i] + load(&from->counts[i]));
    if (max_ns > h->max_ns)
        store(&h->max_ns, max_ns);
}

void weft_histogram_subtract(weft_histogram *h, const weft_histogram *earlier)
{
    uint64_t max_ns = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        if ((h->counts[i] -= earlier->counts[i]) > 0)
            max_ns = upper_end(i);
    }
    if (max_ns < h->max_ns && max_ns < LONGEST)
        h->max_ns = max_ns;
}

uint64_t weft_histogram_count(const weft_histogram *h)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < BUCKETS; i++)
        total += h->counts[i];
    return total;
}

/* How many of total are `share` of them: rounded up, and at least one. */
static uint64_t rank_of(double share, uint64_t total)
{
    double exact = share * (double)total;
    uint64_t rank;

    if (!(share > 0))
        return 1;
    if (share >= 1)
        return total;
    rank = (uint64_t)exact;
    return rank + ((double)rank < exact || rank == 0);
}

uint64_t weft_histogram_quantile_ns(const weft_histogram *h, double share)
{
    uint64_t total = weft_histogram_count(h), seen = 0;
    uint64_t rank = rank_of(share, total);

    if (total == 0)
        return 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank)
            return upper_end(i) < h->max_ns ? upper_end(i) : h->max_ns;
    }
    return h->max_ns;
}

double weft_histogram_mean_ns(const weft_histogram *h)
{
    uint64_t total = weft_histogram_count(h);
    double sum = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        double half = (double)(((uint64_t)1 << shift_of(i)) - 1) / 2;

        sum += (double)h->counts[i] * ((double)upper_end(i) - half);
    }
    return total == 0 ? 0 : sum / (double)total;
}
