/* idset.c - a set of call ids. */
#include "idset_internal.h"

#include <string.h>
#include <weft/mem.h>

#define BIT (UINT64_C(1) << 63)

/* Ids mostly rise by one, which this spreads evenly.  A peer that makes them
 * collide slows down only itself, by at most the number of its own calls in
 * flight. */
static uint32_t home(uint64_t id, uint32_t mask)
{
    return (uint32_t)((id & ~BIT) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;
}

/* The slot of id, or the empty one where it would go. */
static uint32_t place(const uint64_t *slots, uint32_t mask, uint64_t id)
{
    uint32_t i = home(id, mask);

    while (slots[i] != 0 && (slots[i] & ~BIT) != id)
        i = (i + 1) & mask;
    return i;
}

weft_status weft__idset_grow(weft__idset *set)
{
    uint32_t mask = set->mask * 2 + 1;
    uint64_t *slots;

    if (set->slots == NULL) {
        set->slots = set->few;
        set->mask = WEFT__IDSET_INLINE - 1;
        set->room = WEFT__IDSET_INLINE / 4 * 3;
        return WEFT_OK;
    }
    slots = weft_calloc((size_t)mask + 1, sizeof(*slots));
    if (slots == NULL)
        return WEFT_ENOMEM;
    for (uint32_t i = 0; i <= set->mask; i++)
        if (set->slots[i] != 0)
            slots[place(slots, mask, set->slots[i] & ~BIT)] = set->slots[i];
    if (set->slots != set->few)
        weft_free(set->slots);
    set->slots = slots;
    set->mask = mask;
    set->room = (mask + 1) / 4 * 3;
    return WEFT_OK;
}

void weft__idset_add(weft__idset *set, uint64_t id, bool bit)
{
    set->slots[place(set->slots, set->mask, id)] = id | (bit ? BIT : 0);
    set->n++;
}

uint64_t *weft__idset_find(const weft__idset *set, uint64_t id)
{
    uint32_t i;

    if (set->n == 0 || id == 0)
        return NULL;
    i = place(set->slots, set->mask, id);
    return set->slots[i] != 0 ? &set->slots[i] : NULL;
}

void weft__idset_remove_found(weft__idset *set, uint64_t *found)
{
    uint64_t *slots = set->slots;
    uint32_t mask = set->mask, i = (uint32_t)(found - slots);

    set->n--;
    for (uint32_t j = (i + 1) & mask; slots[j] != 0; j = (j + 1) & mask) {
        uint32_t h = home(slots[j], mask);

        /* j's entry may move to i unless its home lies between the two */
        if (((j - h) & mask) >= ((j - i) & mask)) {
            slots[i] = slots[j];
            i = j;
        }
    }
    slots[i] = 0;
}

bool weft__idset_remove(weft__idset *set, uint64_t id)
{
    uint64_t *found = weft__idset_find(set, id);

    if (found == NULL)
        return false;
    weft__idset_remove_found(set, found);
    return true;
}

void weft__idset_remove_above(weft__idset *set, uint64_t last)
{
    if (set->n == 0)
        return;
    for (uint32_t i = 0; i <= set->mask;) {
        if ((set->slots[i] & ~BIT) > last)
            weft__idset_remove_found(set, &set->slots[i]); /* another may be
                                                              here now */
        else
            i++;
    }
}

void weft__idset_fini(weft__idset *set)
{
    if (set->slots != set->few)
        weft_free(set->slots);
    memset(set, 0, sizeof(*set));
}
