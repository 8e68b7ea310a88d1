/* loop_store.c - what a loop keeps for those who live on it: buffers, random
 * numbers, objects by layer, and the table of live loops. */
#include "reactor_internal.h"

#include <string.h>
#include <weft/mem.h>

enum {
    CHUNKS_KEPT = 64,    /* 1 MiB of free chunks at most */
    CHUNKS_ENOUGH = 128, /* in use: 2 MiB */
    BLOCK_MIN = 1024,
    BLOCKS_KEPT = 2 << 20, /* bytes of free blocks at most */
    LOOPS = 256
};

/* Handles carry an index into this table.  Owner and loop are apart from the
 * loop's memory so that a foreign thread's look-up reads nothing that another
 * thread may be freeing.  loop is NULL: free. */
static struct {
    _Atomic(weft_loop *) loop;
    atomic_uint_least64_t owner;
} table[LOOPS];
static atomic_uint next_index;

weft_status weft__index_take(weft_loop *loop)
{
    unsigned tries;

    /* Each time another one: a stale handle should find nobody. */
    for (tries = 0; tries < LOOPS; tries++) {
        unsigned i = atomic_fetch_add(&next_index, 1) % LOOPS;
        weft_loop *free_slot = NULL;

        if (!atomic_compare_exchange_strong(&table[i].loop, &free_slot, loop))
            continue;
        loop->index = (uint8_t)i;
        weft__index_own(loop);
        return WEFT_OK;
    }
    return WEFT_ELIMIT;
}

void weft__index_own(weft_loop *loop)
{
    uint64_t me = weft__sys_thread_id();

    if (atomic_load_explicit(&table[loop->index].owner, memory_order_relaxed) !=
        me)
        atomic_store_explicit(&table[loop->index].owner, me,
                              memory_order_relaxed);
}

void weft__index_drop(weft_loop *loop)
{
    atomic_store_explicit(&table[loop->index].owner, 0, memory_order_relaxed);
    atomic_store(&table[loop->index].loop, NULL);
}

uint8_t weft__loop_index(const weft_loop *loop)
{
    return loop->index;
}

weft_loop *weft__loop_by_index(uint8_t index)
{
    if (atomic_load_explicit(&table[index].owner, memory_order_relaxed) !=
        weft__sys_thread_id())
        return NULL;
    return atomic_load_explicit(&table[index].loop, memory_order_relaxed);
}

struct weft__chunk {
    struct weft__chunk *next;
};

void *weft__loop_chunk_get(weft_loop *loop)
{
    struct weft__chunk *chunk = loop->chunks;

    if (chunk != NULL) {
        loop->chunks = chunk->next;
        loop->n_chunks--;
    } else if ((chunk = weft_malloc(WEFT__CHUNK_BYTES)) == NULL) {
        return NULL;
    }
    loop->chunks_out++;
    loop->batch_chunks++;
    return chunk;
}

bool weft__loop_chunks_scarce(const weft_loop *loop)
{
    return loop->chunks_out > CHUNKS_ENOUGH;
}

void weft__loop_chunk_put(weft_loop *loop, void *memory)
{
    struct weft__chunk *chunk = memory;

    if (chunk == NULL)
        return;
    loop->chunks_out--;
    if (loop->n_chunks >= CHUNKS_KEPT) {
        weft_free(chunk);
        return;
    }
    chunk->next = loop->chunks;
    loop->chunks = chunk;
    loop->n_chunks++;
}

/* ---- Blocks, by class: eight to each power of two, so that none is larger by
 * more than an eighth than what was asked for ---- */

struct weft__block {
    struct weft__block *next;
    size_t size;
};

/* Of blocks that hold *size bytes, which becomes what they do hold; CLASSES:
 * there is none. */
static unsigned class_of(size_t *size)
{
    size_t last = (*size - 1) / (BLOCK_MIN / 8); /* 8 to 15 times 2^octave */
    unsigned octave;

    if (*size <= BLOCK_MIN) {
        *size = BLOCK_MIN;
        return 0;
    }
    octave = 60u - (unsigned)__builtin_clzll((unsigned long long)last);
    if (octave >= WEFT__BLOCK_OCTAVES)
        return WEFT__BLOCK_CLASSES;
    last >>= octave;
    *size = (last + 1) * (BLOCK_MIN / 8) << octave;
    return 8 * octave + (unsigned)last - 7;
}

void *weft__loop_block_get(weft_loop *loop, size_t *size)
{
    unsigned class = class_of(size);
    struct weft__block *block;

    if (class == WEFT__BLOCK_CLASSES || (block = loop->blocks[class]) == NULL)
        return weft_malloc(*size);
    loop->blocks[class] = block->next;
    loop->block_bytes -= *size;
    return block;
}

static void drop_block(weft_loop *loop, unsigned class)
{
    struct weft__block *block = loop->blocks[class];

    loop->blocks[class] = block->next;
    loop->block_bytes -= block->size;
    weft_free(block);
}

/* Sizes change: those of the past go, the largest first.  False: there are none
 * of another class. */
static bool make_room(weft_loop *loop, unsigned class, size_t size)
{
    unsigned other = WEFT__BLOCK_CLASSES;

    while (loop->block_bytes + size > BLOCKS_KEPT) {
        while (other > 0 &&
               (other - 1 == class || loop->blocks[other - 1] == NULL))
            other--;
        if (other == 0)
            return false;
        drop_block(loop, other - 1);
    }
    return true;
}

void weft__loop_block_put(weft_loop *loop, void *memory, size_t size)
{
    unsigned class = class_of(&size);
    struct weft__block *block = memory;

    if (class == WEFT__BLOCK_CLASSES ||
        (loop->block_bytes + size > BLOCKS_KEPT &&
         !make_room(loop, class, size))) {
        weft_free(memory);
        return;
    }
    *block = (struct weft__block){loop->blocks[class], size};
    loop->blocks[class] = block;
    loop->block_bytes += size;
}

void *weft__loop_block_resize(weft_loop *loop, void *memory, size_t old_size,
                              size_t *size)
{
    size_t from = old_size, to = *size;
    void *other;

    /* The C library moves the pages of what is very large. */
    if (class_of(&from) == WEFT__BLOCK_CLASSES &&
        class_of(&to) == WEFT__BLOCK_CLASSES)
        return weft_realloc(memory, *size);
    if ((other = weft__loop_block_get(loop, size)) == NULL)
        return NULL;
    memcpy(other, memory, old_size < *size ? old_size : *size);
    weft__loop_block_put(loop, memory, old_size);
    return other;
}

uint8_t *weft__loop_read_buffer(weft_loop *loop)
{
    if (loop->read_buffer == NULL)
        loop->read_buffer = weft_malloc(WEFT__READ_BYTES);
    return loop->read_buffer;
}

void *weft__loop_local_get(const weft_loop *loop, weft__loop_local which)
{
    return loop->locals[which].object;
}

void weft__loop_local_set(weft_loop *loop, weft__loop_local which, void *object,
                          void (*fini)(void *object))
{
    loop->locals[which].object = object;
    loop->locals[which].fini = fini;
}

/* xorshift64* (Vigna, 2016). */
uint64_t weft__loop_random(weft_loop *loop)
{
    uint64_t x = loop->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    loop->random = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

void weft__store_fini(weft_loop *loop)
{
    struct weft__chunk *chunk;

    while ((chunk = loop->chunks) != NULL) {
        loop->chunks = chunk->next;
        weft_free(chunk);
    }
    for (unsigned class = 0; class < WEFT__BLOCK_CLASSES; class ++)
        while (loop->blocks[class] != NULL)
            drop_block(loop, class);
    weft_free(loop->read_buffer);
    loop->read_buffer = NULL;
}
