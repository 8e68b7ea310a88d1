/* idset_internal.h - the ids of the calls in flight on one connection.
 *
 * Open addressing with linear probing and backward-shift deletion: no memory
 * for the first few, one array of words after that, none per call. */
#ifndef WEFT_IDSET_INTERNAL_H
#define WEFT_IDSET_INTERNAL_H

#include <weft/status.h>

#define WEFT__IDSET_INLINE 8

/* Zeroed is empty; it must not move.  Ids are 1 to 2^62 - 1, each with one bit
 * beside it. */
typedef struct weft__idset {
    uint64_t *slots;  /* NULL before the first reserve; few, or allocated */
    uint32_t mask;    /* capacity - 1 */
    uint32_t n, room; /* ids, and how many there may be */
    uint64_t few[WEFT__IDSET_INLINE];
} weft__idset;

weft_status weft__idset_grow(weft__idset *set);

/* Room for one more, so that the next add cannot fail. */
static inline weft_status weft__idset_reserve(weft__idset *set)
{
    return set->n < set->room ? WEFT_OK : weft__idset_grow(set);
}

void weft__idset_add(weft__idset *set, uint64_t id, bool bit);
/* Where id is, until the next change; NULL: not in it. */
uint64_t *weft__idset_find(const weft__idset *set, uint64_t id);
static inline bool weft__idset_bit(const uint64_t *found)
{
    return *found >> 63 != 0;
}
void weft__idset_remove_found(weft__idset *set, uint64_t *found);
bool weft__idset_remove(weft__idset *set, uint64_t id);
/* Removes every id above last. */
void weft__idset_remove_above(weft__idset *set, uint64_t last);
void weft__idset_fini(weft__idset *set);

#endif /* WEFT_IDSET_INTERNAL_H */
