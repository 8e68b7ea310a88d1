/* weft/hint.h - for functions that every call runs through, where counting
 * instructions has shown that the compiler needs to be told. */
#ifndef WEFT_HINT_H
#define WEFT_HINT_H

/* Into its caller, whatever its size. */
#define WEFT__INLINE static inline __attribute__((always_inline))

/* Not into its caller, whose registers it would take. */
#define WEFT__APART __attribute__((noinline))

/* Refusals and the like: apart, and out of the way. */
#define WEFT__COLD __attribute__((noinline, cold))

#endif /* WEFT_HINT_H */
