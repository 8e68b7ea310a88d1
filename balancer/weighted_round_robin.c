/* weighted_round_robin.c - turns in proportion to weights.
 *
 * Earliest deadline first over virtual time: a slot of weight w has a turn
 * every 1/w, and the slot whose turn comes first is next (A. Demers, S. Keshav,
 * S. Shenker: Analysis and Simulation of a Fair Queueing Algorithm, 1989).  So
 * over any stretch of picks two slots' turns, divided by their weights, differ
 * by no more than one turn of each.  Equal weights rotate. */
#include "balancer_internal.h"

#include <weft/mem.h>

typedef struct balancer {
    weft__heap heap;   /* by the time of the next turn, then by age of that */
    uint32_t *weights; /* by slot, owned; of slots in the heap */
    size_t cap;
    uint64_t now;   /* virtual: the latest turn that was taken */
    uint64_t phase; /* of the next slot that comes */
    uint64_t age;
} balancer;

static weft_status wrr_init(void *self, uint64_t seed)
{
    ((balancer *)self)->phase = weft__random_next(&seed);
    return WEFT_OK;
}

static void wrr_fini(void *self)
{
    weft__heap_fini(&((balancer *)self)->heap);
    weft_free(((balancer *)self)->weights);
}

static void apply(balancer *b, const weft_balancer_change *c)
{
    weft__key key = {b->now, b->age++};

    if (c->weight == 0) {
        weft__heap_remove(&b->heap, c->slot);
        return;
    }
    if (!weft__heap_has(&b->heap, c->slot)) {
        key.first += weft__first_turn(&b->phase, c->weight);
    } else if (b->weights[c->slot] == c->weight) {
        return;
    } else {
        /* What was left to wait shrinks or grows with the weight.  A slot that
         * was passed over, because it was tried, may be late. */
        int64_t left =
            (int64_t)(weft__heap_find(&b->heap, c->slot)->key.first - b->now);

        if (left > 0)
            key.first +=
                (uint64_t)((double)left * b->weights[c->slot] / c->weight);
        else
            key.first += (uint64_t)left;
    }
    b->weights[c->slot] = c->weight;
    weft__heap_set(&b->heap, c->slot, key);
}

static weft_status wrr_update(void *self, const weft_balancer_change *changes,
                              size_t n)
{
    balancer *b = self;
    size_t end = weft__slots_end(changes, n);
    weft_status status;

    if ((status = weft__slots_grow((void **)&b->weights, &b->cap, end,
                                   sizeof(*b->weights))) != WEFT_OK ||
        (status = weft__heap_reserve(&b->heap, end)) != WEFT_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        apply(b, &changes[i]);
    return WEFT_OK;
}

static weft_status wrr_pick(void *self, const weft_pick_args *args,
                            uint32_t *slot)
{
    balancer *b = self;
    weft__heap_item *item = weft__heap_best(&b->heap, args);
    weft__key key;

    if (item == NULL)
        return WEFT_UNAVAILABLE;
    *slot = item->slot;
    key = item->key;
    if ((int64_t)(key.first - b->now) > 0)
        b->now = key.first;
    key.first += weft__period(b->weights[*slot]);
    key.then = b->age++;
    weft__heap_rekey(&b->heap, item, key);
    return WEFT_OK;
}

static void wrr_done(void *self, uint32_t slot,
                     const weft_pick_outcome *outcome)
{
    (void)self, (void)slot, (void)outcome;
}

const weft_balancer_ops weft__balancer_weighted_round_robin = {
    .name = "weighted_round_robin",
    .self_size = sizeof(balancer),
    .init = wrr_init,
    .fini = wrr_fini,
    .update = wrr_update,
    .pick = wrr_pick,
    .done = wrr_done,
};
