/* least_request.c - fewest calls in flight for its weight wins.
 *
 * The load of a slot is its calls in flight divided by its weight.  Among equal
 * loads (at low load, all are idle) slots take turns as in
 * weighted_round_robin, so that weights count there too, and equal ones rotate.
 */
#include "balancer_internal.h"

#include <weft/mem.h>

#include <assert.h>

typedef struct place {
    uint32_t in_flight; /* also while the slot is not usable */
    uint32_t weight;
    uint64_t period; /* from turn to turn, of that weight */
} place;

typedef struct balancer {
    weft__heap heap; /* by load, then by the time of the next turn */
    place *places;   /* by slot, owned */
    size_t cap;
    uint64_t now;   /* virtual: the latest turn that was taken */
    uint64_t phase; /* of the next slot that comes */
} balancer;

/* Weights have 16 bits: two loads that differ do so by more than 2^-32. */
static uint64_t load_of(const place *p)
{
    return ((uint64_t)p->in_flight << 32) / p->weight;
}

static weft_status least_init(void *self, uint64_t seed)
{
    ((balancer *)self)->phase = weft__random_next(&seed);
    return WEFT_OK;
}

static void least_fini(void *self)
{
    weft__heap_fini(&((balancer *)self)->heap);
    weft_free(((balancer *)self)->places);
}

static void apply(balancer *b, const weft_balancer_change *c)
{
    place *p;
    weft__key key;

    if (c->weight == 0) {
        weft__heap_remove(&b->heap, c->slot);
        return;
    }
    p = &b->places[c->slot];
    if (!weft__heap_has(&b->heap, c->slot))
        key.then = b->now + weft__first_turn(&b->phase, c->weight);
    else if (p->weight == c->weight)
        return;
    else
        key.then = weft__heap_find(&b->heap, c->slot)->key.then;
    p->weight = c->weight;
    p->period = weft__period(c->weight);
    key.first = load_of(p);
    weft__heap_set(&b->heap, c->slot, key);
}

static weft_status least_update(void *self, const weft_balancer_change *changes,
                                size_t n)
{
    balancer *b = self;
    size_t end = weft__slots_end(changes, n);
    weft_status status;

    if ((status = weft__slots_grow((void **)&b->places, &b->cap, end,
                                   sizeof(*b->places))) != WEFT_OK ||
        (status = weft__heap_reserve(&b->heap, end)) != WEFT_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        apply(b, &changes[i]);
    return WEFT_OK;
}

static weft_status least_pick(void *self, const weft_pick_args *args,
                              uint32_t *slot)
{
    balancer *b = self;
    weft__heap_item *item = weft__heap_best(&b->heap, args);
    place *p;
    weft__key key;

    if (item == NULL)
        return WEFT_UNAVAILABLE;
    *slot = item->slot;
    p = &b->places[item->slot];
    key = item->key;
    /* Who was busy while others took turns has not saved them up. */
    if ((int64_t)(key.then - b->now) > 0)
        b->now = key.then;
    p->in_flight++;
    key.first = load_of(p);
    key.then = b->now + p->period;
    weft__heap_rekey(&b->heap, item, key);
    return WEFT_OK;
}

static void least_done(void *self, uint32_t slot,
                       const weft_pick_outcome *outcome)
{
    balancer *b = self;
    weft__heap_item *item;
    weft__key key;

    (void)outcome;
    assert(slot < b->cap && b->places[slot].in_flight > 0);
    b->places[slot].in_flight--;
    if ((item = weft__heap_find(&b->heap, slot)) == NULL)
        return;
    key = item->key;
    key.first = load_of(&b->places[slot]);
    weft__heap_rekey(&b->heap, item, key);
}

const weft_balancer_ops weft__balancer_least_request = {
    .name = "least_request",
    .self_size = sizeof(balancer),
    .init = least_init,
    .fini = least_fini,
    .update = least_update,
    .pick = least_pick,
    .done = least_done,
};
