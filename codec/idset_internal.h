/* idset_internal.h - the ids of the calls in flight on one connection, and on a
 * client what belongs to each.
 *
 * One id needs no memory, which is all that most connections ever have in
 * flight; more are in a table: open addressing with linear probing and
 * backward-shift deletion, a word per id and one for what belongs to it. */
#ifndef WEFT_IDSET_INTERNAL_H
#define WEFT_IDSET_INTERNAL_H

#include <weft/status.h>

typedef struct weft__idset_table {
    uint32_t mask, shift; /* capacity - 1; 64 - its bits */
    uint32_t n, room;     /* ids, and how many there may be */
    void **users;         /* of a map: what belongs to each slot's id */
    uint64_t slots[];
} weft__idset_table;

/* Zeroed is empty; it must not move.  Ids are 1 to 2^62 - 1, each with one bit
 * beside it. */
typedef struct weft__idset {
    weft__idset_table *table; /* once there were two ids; holds all of them */
    uint64_t one;             /* the only id, without a table; or 0 */
} weft__idset;

/* user: what belongs to the only id of a map; NULL: it is a set. */
weft_status weft__idset_grow(weft__idset *set, void *const *user);

static inline uint32_t weft__idset_count(const weft__idset *set)
{
    return set->table != NULL ? set->table->n : set->one != 0;
}

static inline bool weft__idset_has_room(const weft__idset *set)
{
    return set->table != NULL ? set->table->n < set->table->room
                              : set->one == 0;
}

/* Room for one more, so that the next add cannot fail. */
static inline weft_status weft__idset_reserve(weft__idset *set)
{
    return weft__idset_has_room(set) ? WEFT_OK : weft__idset_grow(set, NULL);
}

#define WEFT__IDSET_BIT (UINT64_C(1) << 63)

/* Where an entry would be if it were alone.  Ids mostly rise by one, which this
 * spreads evenly.  A peer that makes them collide slows down only itself, by at
 * most the number of its own calls in flight. */
static inline uint32_t weft__idset_home(uint64_t entry, uint32_t shift)
{
    uint64_t id = entry & ~WEFT__IDSET_BIT;

    return (uint32_t)(id * UINT64_C(0x9E3779B97F4A7C15) >> shift);
}

/* The slot of id, or the empty one where it would go. */
static inline uint64_t *weft__idset_slot(weft__idset_table *table, uint64_t id)
{
    uint64_t *slots = table->slots;
    uint32_t mask = table->mask, i = weft__idset_home(id, table->shift);

    while (slots[i] != 0 && (slots[i] & ~WEFT__IDSET_BIT) != id)
        i = (i + 1) & mask;
    return &slots[i];
}

static inline void weft__idset_add(weft__idset *set, uint64_t id, bool bit)
{
    uint64_t entry = bit ? id | WEFT__IDSET_BIT : id;

    if (set->table != NULL) {
        *weft__idset_slot(set->table, id) = entry;
        set->table->n++;
    } else {
        set->one = entry;
    }
}

/* Where id is, until the next change; NULL: not in it. */
static inline uint64_t *weft__idset_find(weft__idset *set, uint64_t id)
{
    uint64_t *slot =
        set->table != NULL ? weft__idset_slot(set->table, id) : &set->one;

    return id != 0 && (*slot & ~WEFT__IDSET_BIT) == id ? slot : NULL;
}

static inline bool weft__idset_bit(const uint64_t *found)
{
    return (*found & WEFT__IDSET_BIT) != 0;
}

/* The slot is free now: what stands behind it may have to move up. */
void weft__idset_close_gap(weft__idset_table *table, uint64_t *slot);

static inline void weft__idset_remove_found(weft__idset *set, uint64_t *found)
{
    weft__idset_table *table = set->table;

    *found = 0;
    if (table == NULL)
        return;
    table->n--;
    if (table->slots[(found - table->slots + 1) & table->mask] != 0)
        weft__idset_close_gap(table, found);
}

static inline bool weft__idset_remove(weft__idset *set, uint64_t id)
{
    uint64_t *found = weft__idset_find(set, id);

    if (found != NULL)
        weft__idset_remove_found(set, found);
    return found != NULL;
}

/* Removes every id above last. */
void weft__idset_remove_above(weft__idset *set, uint64_t last);
/* Gives the memory of an empty one back. */
void weft__idset_trim(weft__idset *set);
void weft__idset_fini(weft__idset *set);

/* Ids, each with a pointer; as above.  What is there for a set (count,
 * remove_above, trim, fini) is for map->ids too. */
typedef struct weft__idmap {
    weft__idset ids;
    void *user; /* what belongs to ids.one */
} weft__idmap;

static inline weft_status weft__idmap_reserve(weft__idmap *map)
{
    return weft__idset_has_room(&map->ids)
               ? WEFT_OK
               : weft__idset_grow(&map->ids, &map->user);
}

static inline void weft__idmap_add(weft__idmap *map, uint64_t id, void *user)
{
    weft__idset_table *table = map->ids.table;
    uint64_t *slot;

    if (table == NULL) {
        map->ids.one = id;
        map->user = user;
        return;
    }
    slot = weft__idset_slot(table, id);
    *slot = id;
    table->users[slot - table->slots] = user;
    table->n++;
}

/* False: id is not in it. */
static inline bool weft__idmap_remove(weft__idmap *map, uint64_t id,
                                      void **user)
{
    weft__idset_table *table = map->ids.table;
    uint64_t *found = weft__idset_find(&map->ids, id);

    if (found == NULL)
        return false;
    *user = table != NULL ? table->users[found - table->slots] : map->user;
    weft__idset_remove_found(&map->ids, found);
    return true;
}

#endif /* WEFT_IDSET_INTERNAL_H */
