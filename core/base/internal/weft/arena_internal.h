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

void weft__arena_take_room(weft_arena *arena, size_t n);

/* For those who know what is coming: the next n bytes are to lie in one chunk,
 * unless they are so many that each of them has a block of its own.  If there
 * is no memory, they hear of that later. */
static inline void weft__arena_reserve(weft_arena *arena, size_t n)
{
    if (n > (size_t)(arena->end - arena->at))
        weft__arena_take_room(arena, n);
}

/* The n bytes at p are not needed any more: if they were allocated last, what
 * comes next lies in their place. */
void weft__arena_give_back(weft_arena *arena, void *p, size_t n);

/* weft_arena_adopt() for a block of weft__loop_block_get(), which goes back to
 * the arena's loop. */
weft_status weft__arena_adopt_block(weft_arena *arena, void *block,
                                    size_t size);

/* Whether n bytes at p lie in one block of the arena's, adopted or its own; the
 * first chunk, which is its owner's, is none. */
bool weft__arena_owns(const weft_arena *arena, const void *p, size_t n);

#endif /* WEFT_ARENA_INTERNAL_H */
