/* weft/hint.h - for functions that every call runs through, where counting
 * instructions has shown that the compiler needs to be told. */
#ifndef WEFT_HINT_H
#define WEFT_HINT_H

/* Into its caller, whatever its size. */
#define WEFT__INLINE static inline __attribute__((always_inline))

/* Not into its caller, whose registers it would take, and whose lines: what few
 * calls need. */
#define WEFT__APART __attribute__((noinline))

/* Refusals and the like: apart, and out of the way, as is what leads to them:
 * a call that finds the kernel's code in the cache has few lines to load. */
#define WEFT__COLD __attribute__((noinline, cold))

#endif /* WEFT_HINT_H */
