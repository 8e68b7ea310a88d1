/* weft/hint.h - for functions that every call runs through, where counting
 * instructions has shown that the compiler needs to be told. */
#ifndef WEFT_HINT_H
#define WEFT_HINT_H

#include <stddef.h>

/* Into its caller, whatever its size. */
#define WEFT__INLINE static inline __attribute__((always_inline))

/* Not into its caller, whose registers it would take, and whose lines: what few
 * calls need. */
#define WEFT__APART __attribute__((noinline))

/* Refusals and the like: apart, and out of the way, as is what leads to them:
 * a call that finds the kernel's code in the cache has few lines to load. */
#define WEFT__COLD __attribute__((noinline, cold))

/* Begins to fetch n bytes that will be used soon, and have not been for so long
 * that they are in no near cache; lines are asked for by pairs, in which they
 * come.  Whoever calls it and does nothing else must be inlined as well: GCC
 * drops calls of what has no other effect. */
WEFT__INLINE void weft__fetch(const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += 128)
        __builtin_prefetch((const char *)p + at, 1);
}

#endif /* WEFT_HINT_H */
