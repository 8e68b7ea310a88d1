/* heap.c - the usable slots, the least key on top.
 *
 * Four children a node (D. B. Johnson's d-ary heap): half the depth of two, and
 * siblings lie side by side in memory. */
#include "balancer_internal.h"

#include <weft/mem.h>

#define CHILDREN 4

static bool less(weft__key a, weft__key b)
{
    if (a.first != b.first)
        return (int64_t)(a.first - b.first) < 0;
    return (int64_t)(a.then - b.then) < 0;
}

weft_status weft__heap_reserve(weft__heap *heap, size_t end)
{
    weft_status status = weft__slots_grow(
        (void **)&heap->place, &heap->place_cap, end, sizeof(*heap->place));

    return status != WEFT_OK
               ? status
               : weft__slots_grow((void **)&heap->items, &heap->cap,
                                  heap->place_cap, sizeof(*heap->items));
}

void weft__heap_fini(weft__heap *heap)
{
    weft_free(heap->items);
    weft_free(heap->place);
    *heap = (weft__heap){0};
}

static void put(weft__heap *heap, size_t at, weft__heap_item item)
{
    heap->items[at] = item;
    heap->place[item.slot] = (uint32_t)at + 1;
}

static void sift_up(weft__heap *heap, size_t at, weft__heap_item item)
{
    while (at > 0) {
        size_t parent = (at - 1) / CHILDREN;

        if (!less(item.key, heap->items[parent].key))
            break;
        put(heap, at, heap->items[parent]);
        at = parent;
    }
    put(heap, at, item);
}

static void sift_down(weft__heap *heap, size_t at, weft__heap_item item)
{
    for (;;) {
        size_t child = at * CHILDREN + 1, end = child + CHILDREN, best = child;

        if (child >= heap->n)
            break;
        if (end > heap->n)
            end = heap->n;
        while (++child < end)
            if (less(heap->items[child].key, heap->items[best].key))
                best = child;
        if (!less(heap->items[best].key, item.key))
            break;
        put(heap, at, heap->items[best]);
        at = best;
    }
    put(heap, at, item);
}

/* Puts item at a place whose own item has gone. */
static void settle(weft__heap *heap, size_t at, weft__heap_item item)
{
    if (at > 0 && less(item.key, heap->items[(at - 1) / CHILDREN].key))
        sift_up(heap, at, item);
    else
        sift_down(heap, at, item);
}

void weft__heap_settle(weft__heap *heap, weft__heap_item *item, weft__key key)
{
    settle(heap, (size_t)(item - heap->items),
           (weft__heap_item){key, item->slot});
}

void weft__heap_set(weft__heap *heap, uint32_t slot, weft__key key)
{
    weft__heap_item *item = weft__heap_find(heap, slot);

    if (item == NULL)
        sift_up(heap, heap->n++, (weft__heap_item){key, slot});
    else
        weft__heap_rekey(heap, item, key);
}

void weft__heap_remove(weft__heap *heap, uint32_t slot)
{
    size_t at;

    if (!weft__heap_has(heap, slot))
        return;
    at = heap->place[slot] - 1;
    heap->place[slot] = 0;
    if (at != --heap->n)
        settle(heap, at, heap->items[heap->n]);
}

/* The best untried item of the subtree, or n.  Only below a tried item may
 * there be a better one than the item itself, so at most TRIED_MAX items are
 * opened: that bounds time and depth. */
static size_t best_untried(const weft__heap *heap, const weft_pick_args *args,
                           size_t at)
{
    size_t best = heap->n, child = at * CHILDREN + 1, end = child + CHILDREN;

    if (!weft__slot_tried(args, heap->items[at].slot))
        return at;
    for (; child < end && child < heap->n; child++) {
        size_t found = best_untried(heap, args, child);

        if (found < heap->n && (best == heap->n || less(heap->items[found].key,
                                                        heap->items[best].key)))
            best = found;
    }
    return best;
}

weft__heap_item *weft__heap_best_untried(const weft__heap *heap,
                                         const weft_pick_args *args)
{
    size_t best = best_untried(heap, args, 0);

    return &heap->items[best < heap->n ? best : 0];
}
