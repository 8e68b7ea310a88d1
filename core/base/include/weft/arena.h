/* weft/arena.h - memory that goes all at once.
 *
 * A call owns one arena: its decoded message, metadata and what the handler
 * asks for.  The first chunk is given by the owner, so that a small call
 * allocates nothing.  A budget bounds the rest. */
#ifndef WEFT_ARENA_H
#define WEFT_ARENA_H

#include <weft/status.h>

WEFT_BEGIN_DECLS

struct weft_loop;
struct weft__arena_block; /* a chunk or an adopted block, freed at fini */

typedef struct weft_arena {
    uint8_t *at, *end; /* free space of the current chunk */
    struct weft__arena_block *blocks;
    size_t used;            /* bytes handed out or adopted, padding included */
    size_t budget;          /* ceiling of used; 0: none */
    struct weft_loop *loop; /* whose free blocks it uses; NULL: nobody's */
    /* The array that weft_metadata_add() grew last, so that it may grow in
     * place; anything else is copied. */
    const void *array;
    size_t array_used, array_cap;
} weft_arena;

/* first (may be NULL) is borrowed until fini. */
WEFT_API void weft_arena_init(weft_arena *arena, void *first, size_t first_size,
                              size_t budget);

/* Aligned for any type; not zeroed.  NULL: out of memory, or over the budget.
 * size 0 gives a valid pointer. */
WEFT_API void *weft_arena_alloc(weft_arena *arena, size_t size);
WEFT_API void *weft_arena_calloc(weft_arena *arena, size_t n, size_t size);

/* A copy of n bytes with a NUL behind it; NULL as above. */
WEFT_API char *weft_arena_strndup(weft_arena *arena, const void *s, size_t n);
WEFT_API char *weft_arena_printf(weft_arena *arena, const char *fmt, ...)
    WEFT_PRINTF(2, 3);

/* Takes block (from weft_malloc, size bytes): it is freed with the arena.  On
 * ENOMEM or ELIMIT it stays the caller's. */
WEFT_API weft_status weft_arena_adopt(weft_arena *arena, void *block,
                                      size_t size);

/* Releases everything; the arena may be initialised again.  A zeroed arena is
 * fine. */
WEFT_API void weft_arena_fini(weft_arena *arena);

WEFT_END_DECLS

#endif /* WEFT_ARENA_H */
