/* idset_internal.h - the ids of the calls in flight on one connection.
 *
 * Open addressing with linear probing and backward-shift deletion: no memory
 * for the first few, one array of words after that, none per call. */
#ifndef WEFT_IDSET_INTERNAL_H
#define WEFT_IDSET_INTERNAL_H

#include <weft/status.h>

#define WEFT__IDSET_INLINE 8

/* Zeroed is empty.  Ids are 1 to 2^62 - 1, each with one bit beside it. */
typedef struct weft__idset {
    uint64_t *slots; /* NULL: few */
    uint32_t mask;   /* capacity - 1, when slots is set */
    uint32_t n;
    uint64_t few[WEFT__IDSET_INLINE];
} weft__idset;

/* Room for one more, so that the next add cannot fail. */
weft_status weft__idset_reserve(weft__idset *set);
void weft__idset_add(weft__idset *set, uint64_t id, bool bit);
/* False: not in it.  bit may be NULL. */
bool weft__idset_has(const weft__idset *set, uint64_t id, bool *bit);
bool weft__idset_remove(weft__idset *set, uint64_t id);
/* Removes every id above last. */
void weft__idset_remove_above(weft__idset *set, uint64_t last);
void weft__idset_fini(weft__idset *set);

#endif /* WEFT_IDSET_INTERNAL_H */
