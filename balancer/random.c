/* random.c - every usable slot is as likely; weights do not matter. */
#include "balancer_internal.h"

typedef struct balancer {
    weft__ready_set ready;
    uint64_t random;
} balancer;

static weft_status random_init(void *self, uint64_t seed)
{
    ((balancer *)self)->random = seed;
    return WEFT_OK;
}

static void random_fini(void *self)
{
    weft__ready_set_fini(&((balancer *)self)->ready);
}

static weft_status random_update(void *self,
                                 const weft_balancer_change *changes, size_t n)
{
    return weft__ready_set_update(&((balancer *)self)->ready, changes, n);
}

static weft_status random_pick(void *self, const weft_pick_args *args,
                               uint32_t *slot)
{
    balancer *b = self;
    size_t tried[WEFT__TRIED_MAX], n_tried, at;

    if (b->ready.n == 0)
        return WEFT_UNAVAILABLE;
    n_tried = weft__ready_set_tried(&b->ready, args, tried);
    if (n_tried == b->ready.n)
        n_tried = 0; /* no others remain */
    /* The at-th of those that were not tried: step over the tried ones, which
     * are in ascending order. */
    at = weft__random_below(&b->random, (uint32_t)(b->ready.n - n_tried));
    for (size_t i = 0; i < n_tried && tried[i] <= at; i++)
        at++;
    *slot = b->ready.slots[at];
    return WEFT_OK;
}

static void random_done(void *self, uint32_t slot,
                        const weft_pick_outcome *outcome)
{
    (void)self, (void)slot, (void)outcome;
}

const weft_balancer_ops weft__balancer_random = {
    .name = "random",
    .self_size = sizeof(balancer),
    .init = random_init,
    .fini = random_fini,
    .update = random_update,
    .pick = random_pick,
    .done = random_done,
};
