/* weft/arena_internal.h - arenas of those who live on a loop, as calls do. */
#ifndef WEFT_ARENA_INTERNAL_H
#define WEFT_ARENA_INTERNAL_H

#include <weft/arena.h>
#include <weft/loop.h>

/* As weft_arena_init(), with a first chunk that is aligned for any type; the
 * others are loop's free blocks, so the arena ends on the loop's thread, and
 * before the loop does. */
static inline void weft__arena_init(weft_arena *arena, weft_loop *loop,
                                    void *first, size_t first_size,
                                    size_t budget)
{
    *arena = (weft_arena){.at = first,
                          .end = (uint8_t *)first + first_size,
                          .budget = budget,
                          .loop = loop};
}

/* From here on it may end anywhere, whenever. */
static inline void weft__arena_leave_loop(weft_arena *arena)
{
    arena->loop = NULL;
}

/* weft_arena_fini(), for those who mostly have nothing to release; to be used
 * again, the arena must be initialised. */
static inline void weft__arena_fini(weft_arena *arena)
{
    if (arena->blocks != NULL)
        weft_arena_fini(arena);
}

/* weft_arena_adopt() for a block of weft__loop_block_get(), which goes back to
 * the arena's loop. */
weft_status weft__arena_adopt_block(weft_arena *arena, void *block,
                                    size_t size);

/* Whether n bytes at p lie in one block of the arena's, adopted or its own; the
 * first chunk, which is its owner's, is none. */
bool weft__arena_owns(const weft_arena *arena, const void *p, size_t n);

#endif /* WEFT_ARENA_INTERNAL_H */
