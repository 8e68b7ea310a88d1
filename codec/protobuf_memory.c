/* protobuf_memory.c - memory for what is decoded, out of an arena. */
#include <string.h>

#include "protobuf_decode_internal.h"

#define ARENA_ALIGN (_Alignof(max_align_t))
#define ARRAY_HEADER sizeof(uint64_t) /* P2: capacity, keeps 8 aligned */

void *weft__decoder_take_slow(weft__decoder *d, size_t size)
{
    weft_arena *arena = d->arena;
    void *p;

    weft__decoder_sync(d);
    size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (size > d->allowed)
        p = weft__decoder_fail(
            d, WEFT_ELIMIT,
            d->allowed == weft__decoder_budget(arena)
                ? "it takes more memory than the call may have"
                : "it takes more memory than max_decode_bytes");
    else if ((p = weft_arena_alloc(arena, size)) == NULL)
        p = weft__decoder_fail(d, WEFT_ENOMEM, "out of memory");
    else
        d->allowed -= size;
    weft__decoder_begin(d);
    return p;
}

void *weft__decoder_grow(weft__decoder *d, void **array, size_t n, size_t more,
                         size_t size)
{
    uint64_t capacity = more;
    uint8_t *block;

    if (n != 0) {
        memcpy(&capacity, (uint8_t *)*array - ARRAY_HEADER, sizeof(capacity));
        if (more <= capacity - n)
            return (uint8_t *)*array + n * size;
        capacity = more > n ? n + more : 2 * n;
    }
    if (capacity > SIZE_MAX / 64)
        return weft__decoder_fail(d, WEFT_ELIMIT, "it has too many elements");
    block = weft__decoder_take(d, ARRAY_HEADER + (size_t)capacity * size);
    if (block == NULL)
        return NULL;
    memcpy(block, &capacity, sizeof(capacity));
    block += ARRAY_HEADER;
    if (n != 0)
        memcpy(block, *array, n * size);
    *array = block;
    return block + n * size;
}
