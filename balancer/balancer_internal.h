/* balancer_internal.h - what the policies share.
 *
 *  B1. A policy's update() first makes all the room that it will need, which
 *      may fail and changes nothing that can be seen, and then applies, which
 *      cannot.
 *
 *  B2. Memory is never given back before fini: a slot's counters outlive its
 *      endpoint, and a list that shrinks often grows again.
 *
 *  B3. A call's tried slots count up to TRIED_MAX, the latest first: a bound
 *      on the effort of one pick, far above any sane number of attempts. */
#ifndef WEFT_BALANCER_INTERNAL_H
#define WEFT_BALANCER_INTERNAL_H

#include <weft/balancer.h>

#define WEFT__TRIED_MAX 32

/* slots.c: arrays by slot, tried slots, random numbers. */

/* One past the highest slot that the changes make usable. */
size_t weft__slots_end(const weft_balancer_change *changes, size_t n);

/* Makes room for `need` elements of `size` bytes in *array, doubling; what is
 * new is zeroed.  ENOMEM: all as before. */
weft_status weft__slots_grow(void **array, size_t *cap, size_t need,
                             size_t size);

bool weft__slot_tried(const weft_pick_args *args, uint32_t slot);

/* splitmix64; any state will do. */
uint64_t weft__random_next(uint64_t *state);
/* 0 to n - 1, each as likely; n > 0. */
uint32_t weft__random_below(uint64_t *state, uint32_t n);

/* ready_set.c: the usable slots, dense and in no order. */
typedef struct weft__ready_set {
    uint32_t *slots; /* [0, n): the usable ones */
    uint32_t *index; /* by slot: 1 + its place in slots; 0: not usable */
    size_t n, cap, index_cap;
} weft__ready_set;

weft_status weft__ready_set_update(weft__ready_set *set,
                                   const weft_balancer_change *changes,
                                   size_t n);
void weft__ready_set_fini(weft__ready_set *set);

/* The places in set->slots of usable tried slots, each once, ascending. */
size_t weft__ready_set_tried(const weft__ready_set *set,
                             const weft_pick_args *args,
                             size_t out[WEFT__TRIED_MAX]);

/* heap.c: the usable slots, the least key on top.  Keys are virtual times and
 * may wrap: two that are compared lie less than 2^63 apart, that is two
 * thousand million turns of a slot of weight 1. */
typedef struct weft__key {
    uint64_t first, then; /* `then` decides when `first` is equal */
} weft__key;

typedef struct weft__heap_item {
    weft__key key;
    uint32_t slot;
} weft__heap_item;

typedef struct weft__heap {
    weft__heap_item *items; /* n of them, a heap of four children a node */
    uint32_t *place;        /* by slot: 1 + its place in items; 0: absent */
    size_t n, cap, place_cap;
} weft__heap;

/* Room for slots 0 to end - 1. */
weft_status weft__heap_reserve(weft__heap *heap, size_t end);
void weft__heap_fini(weft__heap *heap);

static inline bool weft__heap_has(const weft__heap *heap, uint32_t slot)
{
    return slot < heap->place_cap && heap->place[slot] != 0;
}

/* NULL: absent. */
static inline weft__heap_item *weft__heap_find(const weft__heap *heap,
                                               uint32_t slot)
{
    if (heap->n == 1 && heap->items[0].slot == slot)
        return heap->items; /* most services are one address */
    return weft__heap_has(heap, slot) ? &heap->items[heap->place[slot] - 1]
                                      : NULL;
}

/* Gives a present slot's item another key; O(log n). */
void weft__heap_settle(weft__heap *heap, weft__heap_item *item, weft__key key);
static inline void weft__heap_rekey(weft__heap *heap, weft__heap_item *item,
                                    weft__key key)
{
    if (heap->n == 1)
        item->key = key;
    else
        weft__heap_settle(heap, item, key);
}

/* Inserts the slot or moves it; O(log n), allocates nothing. */
void weft__heap_set(weft__heap *heap, uint32_t slot, weft__key key);
void weft__heap_remove(weft__heap *heap, uint32_t slot); /* absent is fine */

/* The item of the least key whose slot was not tried, or if all were, of the
 * least; NULL when there is none at all. */
weft__heap_item *weft__heap_best_untried(const weft__heap *heap,
                                         const weft_pick_args *args);
static inline weft__heap_item *weft__heap_best(const weft__heap *heap,
                                               const weft_pick_args *args)
{
    if (heap->n == 0)
        return NULL;
    return args->n_tried == 0 ? heap->items
                              : weft__heap_best_untried(heap, args);
}

/* Virtual time, as weighted fair queueing has it: a slot of weight w has its
 * turn every WEFT__TURN / w.  Phases are spread by the golden ratio, so that
 * equal slots do not come in bursts, nor all clients begin with the same one.
 */
#define WEFT__TURN (UINT64_C(1) << 32)
static inline uint64_t weft__period(uint32_t weight)
{
    return WEFT__TURN / weight;
}
/* From 1 to weft__period(weight); *phase moves on. */
uint64_t weft__first_turn(uint64_t *phase, uint32_t weight);

extern const weft_balancer_ops weft__balancer_random;
extern const weft_balancer_ops weft__balancer_round_robin;
extern const weft_balancer_ops weft__balancer_weighted_round_robin;
extern const weft_balancer_ops weft__balancer_least_request;

#endif /* WEFT_BALANCER_INTERNAL_H */
