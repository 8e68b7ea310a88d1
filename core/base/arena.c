/* arena.c - memory that goes all at once.
 *
 * Blocks hang in a list, youngest first.  The record of an adopted block lies
 * in the arena itself, that is in a chunk that stands behind it in the list, so
 * walking the list and freeing as we go never reads freed memory. */
#include <weft/arena_internal.h>
#include <weft/hint.h>
#include <weft/loop_internal.h>
#include <weft/mem.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGN ((size_t) _Alignof(max_align_t))
#define CHUNK_MIN ((size_t)1024)
#define CHUNK_MAX ((size_t)65536)
#define ROOM_MAX ((size_t)4096)

struct weft__arena_block {
    struct weft__arena_block *next;
    size_t size; /* of the chunk that it heads; 0: it was adopted */
};

struct adopted {
    struct weft__arena_block block; /* first */
    void *memory;
    size_t size;
    bool loops; /* it is one of the loop's */
};

/* What a chunk's block takes before its first free byte. */
#define HEADER                                                                 \
    ((sizeof(struct weft__arena_block) + ALIGN - 1) & ~(size_t)(ALIGN - 1))

void weft_arena_init(weft_arena *arena, void *first, size_t first_size,
                     size_t budget)
{
    *arena = (weft_arena){.budget = budget};
    if (first != NULL) {
        size_t skew = (size_t)(-(uintptr_t)first & (ALIGN - 1));

        if (first_size > skew) {
            arena->at = (uint8_t *)first + skew;
            arena->end = (uint8_t *)first + first_size;
        }
    }
}

static bool within_budget(const weft_arena *arena, size_t size)
{
    return arena->budget == 0 || (arena->used <= arena->budget &&
                                  size <= arena->budget - arena->used);
}

/* A block with room for size bytes, or more: what there is stands in it. */
static struct weft__arena_block *take_block(weft_arena *arena, size_t size)
{
    struct weft__arena_block *block;

    if (size > SIZE_MAX - HEADER)
        return NULL;
    size += HEADER;
    block = arena->loop != NULL ? weft__loop_block_get(arena->loop, &size)
                                : weft_malloc(size);
    if (block == NULL)
        return NULL;
    *block = (struct weft__arena_block){arena->blocks, size};
    arena->blocks = block;
    return block;
}

static void give_block(weft_arena *arena, struct weft__arena_block *block)
{
    const struct adopted *adopted = (const struct adopted *)block;
    void *memory = block->size != 0 ? block : adopted->memory;
    size_t size = block->size != 0 ? block->size : adopted->size;
    bool loops = block->size != 0 || adopted->loops;

    if (loops && arena->loop != NULL)
        weft__loop_block_put(arena->loop, memory, size);
    else
        weft_free(memory);
}

/* From here on things are allocated in block. */
static void enter(weft_arena *arena, struct weft__arena_block *block)
{
    arena->at = (uint8_t *)block + HEADER;
    arena->end = (uint8_t *)block + block->size;
}

void weft__arena_take_room(weft_arena *arena, size_t n)
{
    struct weft__arena_block *block =
        n <= ROOM_MAX ? take_block(arena, n) : NULL;

    if (block != NULL)
        enter(arena, block);
}

/* Chunks double with what is used: few of them, and never more idle memory than
 * memory in use.  What is big has one of its own, and the present one stays in
 * use. */
static WEFT__APART uint8_t *alloc_in_new(weft_arena *arena, size_t size)
{
    size_t chunk = arena->used < CHUNK_MIN   ? CHUNK_MIN
                   : arena->used > CHUNK_MAX ? CHUNK_MAX
                                             : arena->used;
    bool big = size > chunk / 4;
    struct weft__arena_block *block =
        take_block(arena, big ? size : chunk - HEADER);

    if (block == NULL)
        return NULL;
    if (!big) {
        enter(arena, block);
        arena->at += size;
    }
    return (uint8_t *)block + HEADER;
}

/* What an allocation of so many bytes takes. */
static inline size_t round_up(size_t size)
{
    return size != 0 ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
}

void *weft_arena_alloc(weft_arena *arena, size_t size)
{
    uint8_t *p;

    if (size > SIZE_MAX - ALIGN)
        return NULL;
    size = round_up(size);
    if (!within_budget(arena, size))
        return NULL;
    if (size <= (size_t)(arena->end - arena->at)) {
        p = arena->at;
        arena->at += size;
    } else if ((p = alloc_in_new(arena, size)) == NULL) {
        return NULL;
    }
    arena->used += size;
    return p;
}

void weft__arena_give_back(weft_arena *arena, void *p, size_t n)
{
    n = round_up(n);
    if ((uint8_t *)p + n == arena->at) {
        arena->at = p;
        arena->used -= n;
    }
}

void *weft_arena_calloc(weft_arena *arena, size_t n, size_t size)
{
    void *p;

    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    if ((p = weft_arena_alloc(arena, n * size)) != NULL)
        memset(p, 0, n * size);
    return p;
}

char *weft_arena_strndup(weft_arena *arena, const void *s, size_t n)
{
    char *copy = n < SIZE_MAX ? weft_arena_alloc(arena, n + 1) : NULL;

    if (copy != NULL) {
        if (n > 0)
            memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *weft_arena_printf(weft_arena *arena, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || (text = weft_arena_alloc(arena, (size_t)n + 1)) == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

static weft_status adopt(weft_arena *arena, void *memory, size_t size,
                         bool loops)
{
    struct adopted *record;

    if (size > SIZE_MAX - HEADER || !within_budget(arena, size + HEADER))
        return WEFT_ELIMIT;
    if ((record = weft_arena_alloc(arena, sizeof(*record))) == NULL)
        return WEFT_ENOMEM;
    *record = (struct adopted){{arena->blocks, 0}, memory, size, loops};
    arena->blocks = &record->block;
    arena->used += size;
    return WEFT_OK;
}

weft_status weft_arena_adopt(weft_arena *arena, void *block, size_t size)
{
    return adopt(arena, block, size, false);
}

weft_status weft__arena_adopt_block(weft_arena *arena, void *block, size_t size)
{
    return adopt(arena, block, size, true);
}

bool weft__arena_owns(const weft_arena *arena, const void *p, size_t n)
{
    const struct weft__arena_block *block = arena->blocks;

    for (; block != NULL; block = block->next) {
        const struct adopted *adopted = (const struct adopted *)block;
        const void *memory = block->size != 0 ? block : adopted->memory;
        size_t size = block->size != 0 ? block->size : adopted->size;
        uintptr_t offset = (uintptr_t)p - (uintptr_t)memory;

        if (offset < size && n <= size - offset)
            return true;
    }
    return false;
}

void weft_arena_fini(weft_arena *arena)
{
    struct weft__arena_block *block = arena->blocks, *next;

    for (; block != NULL; block = next) {
        next = block->next;
        give_block(arena, block);
    }
    *arena = (weft_arena){0};
}
