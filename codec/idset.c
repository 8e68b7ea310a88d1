/* idset.c - a set of call ids. */
#include "idset_internal.h"

#include <string.h>
#include <weft/mem.h>

#define BIT (UINT64_C(1) << 63)

static uint64_t *table(weft__idset *set, uint32_t *mask)
{
    *mask = set->slots != NULL ? set->mask : WEFT__IDSET_INLINE - 1;
    return set->slots != NULL ? set->slots : set->few;
}

/* Ids mostly rise by one, which this spreads evenly.  A peer that makes them
 * collide slows down only itself, by at most the number of its own calls in
 * flight. */
static uint32_t home(uint64_t id, uint32_t mask)
{
    return (uint32_t)((id & ~BIT) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;
}

/* The slot of id, or the empty one where it would go. */
static uint32_t find(const uint64_t *slots, uint32_t mask, uint64_t id)
{
    uint32_t i = home(id, mask);

    while (slots[i] != 0 && (slots[i] & ~BIT) != id)
        i = (i + 1) & mask;
    return i;
}

static void remove_at(weft__idset *set, uint64_t *slots, uint32_t mask,
                      uint32_t i)
{
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

weft_status weft__idset_reserve(weft__idset *set)
{
    uint32_t mask, bigger;
    uint64_t *old = table(set, &mask), *slots;

    if (set->n + 1 <= (mask + 1) / 4 * 3)
        return WEFT_OK;
    bigger = mask * 2 + 1;
    slots = weft_calloc((size_t)bigger + 1, sizeof(*slots));
    if (slots == NULL)
        return WEFT_ENOMEM;
    for (uint32_t i = 0; i <= mask; i++)
        if (old[i] != 0)
            slots[find(slots, bigger, old[i] & ~BIT)] = old[i];
    weft_free(set->slots);
    set->slots = slots;
    set->mask = bigger;
    return WEFT_OK;
}

void weft__idset_add(weft__idset *set, uint64_t id, bool bit)
{
    uint32_t mask;
    uint64_t *slots = table(set, &mask);

    slots[find(slots, mask, id)] = id | (bit ? BIT : 0);
    set->n++;
}

bool weft__idset_has(const weft__idset *set, uint64_t id, bool *bit)
{
    uint32_t mask, i;
    uint64_t *slots = table((weft__idset *)set, &mask);

    if (id == 0 || slots[i = find(slots, mask, id)] == 0)
        return false;
    if (bit != NULL)
        *bit = (slots[i] & BIT) != 0;
    return true;
}

bool weft__idset_remove(weft__idset *set, uint64_t id)
{
    uint32_t mask, i;
    uint64_t *slots = table(set, &mask);

    if (id == 0 || slots[i = find(slots, mask, id)] == 0)
        return false;
    remove_at(set, slots, mask, i);
    return true;
}

void weft__idset_remove_above(weft__idset *set, uint64_t last)
{
    uint32_t mask;
    uint64_t *slots = table(set, &mask);

    for (uint32_t i = 0; i <= mask;) {
        if ((slots[i] & ~BIT) > last)
            remove_at(set, slots, mask, i); /* another may have moved here */
        else
            i++;
    }
}

void weft__idset_fini(weft__idset *set)
{
    weft_free(set->slots);
    memset(set, 0, sizeof(*set));
}
