/* ready_set.c - the usable slots, dense and in no order. */
#include "balancer_internal.h"

#include <weft/mem.h>

static void add(weft__ready_set *set, uint32_t slot)
{
    if (set->index[slot] != 0)
        return;
    set->slots[set->n++] = slot;
    set->index[slot] = (uint32_t)set->n;
}

static void drop(weft__ready_set *set, uint32_t slot)
{
    uint32_t last;

    if (slot >= set->index_cap || set->index[slot] == 0)
        return;
    last = set->slots[--set->n]; /* fills the gap */
    set->slots[set->index[slot] - 1] = last;
    set->index[last] = set->index[slot];
    set->index[slot] = 0;
}

weft_status weft__ready_set_update(weft__ready_set *set,
                                   const weft_balancer_change *changes,
                                   size_t n)
{
    size_t end = weft__slots_end(changes, n);
    weft_status status;

    if ((status = weft__slots_grow((void **)&set->index, &set->index_cap, end,
                                   sizeof(*set->index))) != WEFT_OK ||
        (status = weft__slots_grow((void **)&set->slots, &set->cap,
                                   set->index_cap, sizeof(*set->slots))) !=
            WEFT_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (changes[i].weight != 0)
            add(set, changes[i].slot);
        else
            drop(set, changes[i].slot);
    return WEFT_OK;
}

void weft__ready_set_fini(weft__ready_set *set)
{
    weft_free(set->slots);
    weft_free(set->index);
    *set = (weft__ready_set){0};
}

size_t weft__ready_set_tried(const weft__ready_set *set,
                             const weft_pick_args *args,
                             size_t out[WEFT__TRIED_MAX])
{
    size_t i = args->n_tried, n = 0;
    size_t last = i > WEFT__TRIED_MAX ? i - WEFT__TRIED_MAX : 0;

    while (i-- > last) {
        uint32_t slot = args->tried[i];
        size_t place, at = n;

        if (slot >= set->index_cap || set->index[slot] == 0)
            continue;
        place = set->index[slot] - 1;
        while (at > 0 && out[at - 1] > place)
            at--;
        if (at > 0 && out[at - 1] == place)
            continue;
        for (size_t k = n++; k > at; k--)
            out[k] = out[k - 1];
        out[at] = place;
    }
    return n;
}
