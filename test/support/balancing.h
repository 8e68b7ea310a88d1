/* balancing.h - a balancer under test. */
#ifndef WEFT_TEST_BALANCING_H
#define WEFT_TEST_BALANCING_H

#include "support.h"

#include <weft/balancer.h>
#include <weft/mem.h>

typedef struct balancing {
    const weft_balancer_ops *ops;
    void *self;
} balancing;

static inline balancing balancing_begin(const char *name, uint64_t seed)
{
    balancing b = {.ops = weft_balancer_find(name)};

    assert_non_null(b.ops);
    b.self = weft_calloc(1, b.ops->self_size);
    assert_non_null(b.self);
    if (b.ops->init != NULL)
        assert_int_equal(b.ops->init(b.self, seed), WEFT_OK);
    return b;
}

static inline void balancing_end(balancing *b)
{
    if (b->ops->fini != NULL)
        b->ops->fini(b->self);
    weft_free(b->self);
}

static inline void balancing_set(balancing *b, uint32_t slot, uint32_t weight)
{
    weft_balancer_change change = {slot, weight, slot * 2654435761u};

    assert_int_equal(b->ops->update(b->self, &change, 1), WEFT_OK);
}

/* Slots 0 to n - 1 in one update; weights NULL: each 100. */
static inline void balancing_fill(balancing *b, uint32_t n,
                                  const uint32_t *weights)
{
    weft_balancer_change *changes = weft_calloc(n, sizeof(*changes));

    assert_non_null(changes);
    for (uint32_t i = 0; i < n; i++)
        changes[i] = (weft_balancer_change){
            i, weights != NULL ? weights[i] : 100, i * 2654435761u};
    assert_int_equal(b->ops->update(b->self, changes, n), WEFT_OK);
    weft_free(changes);
}

static inline uint32_t balancing_pick(balancing *b)
{
    weft_pick_args args = {.hash = 0};
    uint32_t slot = UINT32_MAX;

    assert_int_equal(b->ops->pick(b->self, &args, &slot), WEFT_OK);
    return slot;
}

static inline uint32_t balancing_retry(balancing *b, const uint32_t *tried,
                                       size_t n_tried)
{
    weft_pick_args args = {.tried = tried, .n_tried = n_tried};
    uint32_t slot = UINT32_MAX;

    assert_int_equal(b->ops->pick(b->self, &args, &slot), WEFT_OK);
    return slot;
}

static inline void balancing_done(balancing *b, uint32_t slot)
{
    weft_pick_outcome outcome = {.status = WEFT_OK, .latency_ns = 1000000};

    b->ops->done(b->self, slot, &outcome);
}

/* A pick that ends at once. */
static inline uint32_t balancing_call(balancing *b)
{
    uint32_t slot = balancing_pick(b);

    balancing_done(b, slot);
    return slot;
}

#endif /* WEFT_TEST_BALANCING_H */
