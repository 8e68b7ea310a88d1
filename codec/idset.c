/* idset.c - a set of call ids. */
#include "idset_internal.h"

#include <string.h>
#include <weft/mem.h>

#define BIT (UINT64_C(1) << 63)

enum { FIRST_CAPACITY = 16 };

/* Ids mostly rise by one, which this spreads evenly.  A peer that makes them
 * collide slows down only itself, by at most the number of its own calls in
 * flight. */
static uint32_t home(uint64_t id, uint32_t mask)
{
    return (uint32_t)((id & ~BIT) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;
}

/* The slot of id, or the empty one where it would go. */
static uint64_t *place(weft__idset_table *table, uint64_t id)
{
    uint64_t *slots = table->slots;
    uint32_t mask = table->mask, i = home(id, mask);

    while (slots[i] != 0 && (slots[i] & ~BIT) != id)
        i = (i + 1) & mask;
    return &slots[i];
}

static void put(weft__idset_table *table, uint64_t entry)
{
    *place(table, entry & ~BIT) = entry;
    table->n++;
}

weft_status weft__idset_grow(weft__idset *set)
{
    weft__idset_table *old = set->table, *table;
    uint32_t capacity = old != NULL ? (old->mask + 1) * 2 : FIRST_CAPACITY;

    table = weft_calloc(1, sizeof(*table) + capacity * sizeof(table->slots[0]));
    if (table == NULL)
        return WEFT_ENOMEM;
    table->mask = capacity - 1;
    table->room = capacity / 4 * 3;
    if (old == NULL) {
        put(table, set->one);
        set->one = 0;
    } else {
        for (uint32_t i = 0; i <= old->mask; i++)
            if (old->slots[i] != 0)
                put(table, old->slots[i]);
        weft_free(old);
    }
    set->table = table;
    return WEFT_OK;
}

void weft__idset_add(weft__idset *set, uint64_t id, bool bit)
{
    uint64_t entry = id | (bit ? BIT : 0);

    if (set->table != NULL)
        put(set->table, entry);
    else
        set->one = entry;
}

uint64_t *weft__idset_find(weft__idset *set, uint64_t id)
{
    uint64_t *slot = &set->one;

    if (id == 0)
        return NULL;
    if (set->table != NULL)
        slot = place(set->table, id);
    return (*slot & ~BIT) == id ? slot : NULL;
}

void weft__idset_remove_found(weft__idset *set, uint64_t *found)
{
    weft__idset_table *table = set->table;
    uint64_t *slots;
    uint32_t mask, i;

    if (table == NULL) {
        *found = 0;
        return;
    }
    slots = table->slots;
    mask = table->mask;
    i = (uint32_t)(found - slots);
    table->n--;
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
    weft__idset_table *table = set->table;

    if (table == NULL) {
        if ((set->one & ~BIT) > last)
            set->one = 0;
        return;
    }
    for (uint32_t i = 0; i <= table->mask;) {
        if ((table->slots[i] & ~BIT) > last)
            weft__idset_remove_found(set, &table->slots[i]); /* another may be
                                                                here now */
        else
            i++;
    }
}

void weft__idset_trim(weft__idset *set)
{
    if (weft__idset_count(set) == 0)
        weft__idset_fini(set);
}

void weft__idset_fini(weft__idset *set)
{
    weft_free(set->table);
    memset(set, 0, sizeof(*set));
}
