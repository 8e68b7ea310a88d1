/* idset.c - sets and maps of call ids. */
#include "idset_internal.h"

#include <string.h>
#include <weft/mem.h>

enum { FIRST_BITS = 4 };

static void put(weft__idset_table *table, uint64_t entry, void *const *user)
{
    uint64_t *slot = weft__idset_slot(table, entry & ~WEFT__IDSET_BIT);

    *slot = entry;
    if (user != NULL)
        table->users[slot - table->slots] = *user;
    table->n++;
}

weft_status weft__idset_grow(weft__idset *set, void *const *user)
{
    size_t bytes = sizeof(uint64_t) + (user != NULL ? sizeof(*user) : 0);
    weft__idset_table *old = set->table, *table;
    uint32_t capacity = old != NULL ? (old->mask + 1) * 2 : 1u << FIRST_BITS;

    table = weft_calloc(1, sizeof(*table) + capacity * bytes);
    if (table == NULL)
        return WEFT_ENOMEM;
    table->mask = capacity - 1;
    table->shift = old != NULL ? old->shift - 1 : 64 - FIRST_BITS;
    table->room = capacity / 4 * 3;
    if (user != NULL)
        table->users = (void **)(void *)&table->slots[capacity];
    if (old == NULL) {
        put(table, set->one, user);
        set->one = 0;
    } else {
        for (uint32_t i = 0; i <= old->mask; i++)
            if (old->slots[i] != 0)
                put(table, old->slots[i], user != NULL ? &old->users[i] : NULL);
        weft_free(old);
    }
    set->table = table;
    return WEFT_OK;
}

void weft__idset_close_gap(weft__idset_table *table, uint64_t *slot)
{
    uint64_t *slots = table->slots;
    uint32_t mask = table->mask, i = (uint32_t)(slot - slots);

    for (uint32_t j = (i + 1) & mask; slots[j] != 0; j = (j + 1) & mask) {
        uint32_t h = weft__idset_home(slots[j], table->shift);

        /* j's entry may move to i unless its home lies between the two */
        if (((j - h) & mask) >= ((j - i) & mask)) {
            slots[i] = slots[j];
            if (table->users != NULL)
                table->users[i] = table->users[j];
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
