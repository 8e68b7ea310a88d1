/* idset.c - a set of call ids. */
#include "idset_internal.h"

#include <string.h>
#include <weft/mem.h>

enum { FIRST_CAPACITY = 16 };

static void put(weft__idset_table *table, uint64_t entry)
{
    *weft__idset_slot(table, entry & ~WEFT__IDSET_BIT) = entry;
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
        uint32_t h = weft__idset_home(slots[j], mask);

        /* j's entry may move to i unless its home lies between the two */
        if (((j - h) & mask) >= ((j - i) & mask)) {
            slots[i] = slots[j];
            i = j;
        }
    }
    slots[i] = 0;
}

void weft__idset_remove_above(weft__idset *set, uint64_t last)
{
    weft__idset_table *table = set->table;

    if (table == NULL) {
        if ((set->one & ~WEFT__IDSET_BIT) > last)
            set->one = 0;
        return;
    }
    for (uint32_t i = 0; i <= table->mask;) {
        if ((table->slots[i] & ~WEFT__IDSET_BIT) > last)
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
