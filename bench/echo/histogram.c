#include "histogram.h"

#define SUB (1U << HISTOGRAM_SUB_BITS)

/* Values below SUB are their own bucket; above, the bits behind the leading one
 * choose among SUB buckets of the power of two. */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value >> HISTOGRAM_MAX_BITS != 0)
        value = ((uint64_t)1 << HISTOGRAM_MAX_BITS) - 1;
    if (value < SUB)
        return (unsigned)value;
    shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static uint64_t upper_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < 2 * SUB)
        return bucket;
    shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    return (((uint64_t)bucket - (shift << HISTOGRAM_SUB_BITS) + 1) << shift) -
           1;
}

void histogram_add(histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    if (value > h->max)
        h->max = value;
}

uint64_t histogram_quantile(const histogram *h, double share)
{
    double exact = share * (double)h->total;
    uint64_t rank = (uint64_t)exact, seen = 0;

    if ((double)rank < exact || rank == 0)
        rank++; /* rounded up: the value with that many at or below it */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank)
            return upper_end(i) < h->max ? upper_end(i) : h->max;
    }
    return h->max;
}
