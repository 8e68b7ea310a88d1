/* protobuf_decode_internal.h - one decode of a protobuf-c message: its memory
 * and its limits, shared by its files.
 *
 *  P1. Every byte that a decode takes comes from weft__decoder_take(), which
 *      knows the limit: what a message may cost is bounded while it is read.
 *  P2. An array is only made by weft__decoder_grow(), which notes its capacity
 *      in front of it: growing is amortised, wherever the elements come from.
 *  P3. The arena is used through at and end, which weft__decoder_begin() takes
 *      from it and weft__decoder_sync() gives back: aligned to 8 during a
 *      decode, to what the arena promises before and after. */
#ifndef WEFT_PROTOBUF_DECODE_INTERNAL_H
#define WEFT_PROTOBUF_DECODE_INTERNAL_H

#include <weft/hint.h>
#include <weft/protobuf.h>

typedef struct weft__decoder {
    uint8_t *at, *end; /* the arena's free space, as far as the limit allows */
    weft_arena *arena;
    size_t allowed;    /* bytes of the arena, from its own at on */
    uint32_t elements; /* fields and elements that may still come */
    uint32_t depth;    /* of messages that may be nested in this one */
    bool borrow;       /* the input outlives the message */
    weft_status status;
    const char *why;
} weft__decoder;

/* For "return weft__decoder_fail(...)": all return NULL. */
WEFT__COLD void *weft__decoder_fail(weft__decoder *d, weft_status status,
                                    const char *why);

static inline void *weft__decoder_malformed(weft__decoder *d)
{
    return weft__decoder_fail(d, WEFT_EPROTO, "the message is malformed");
}

static inline void *weft__decoder_wrong_type(weft__decoder *d)
{
    return weft__decoder_fail(d, WEFT_EPROTO, "a field has a wrong type");
}

/* false: that is more than may come. */
static inline bool weft__decoder_count(weft__decoder *d, size_t elements)
{
    if (elements > d->elements) {
        weft__decoder_fail(d, WEFT_ELIMIT, "it has too many elements");
        return false;
    }
    d->elements -= (uint32_t)elements;
    return true;
}

/* What the arena may still give. */
static inline size_t weft__decoder_budget(const weft_arena *arena)
{
    if (arena->budget == 0)
        return SIZE_MAX;
    return arena->budget > arena->used ? arena->budget - arena->used : 0;
}

/* P3: at and end, from the arena. */
static inline void weft__decoder_begin(weft__decoder *d)
{
    weft_arena *arena = d->arena;
    size_t left = (size_t)(arena->end - arena->at);

    d->at = arena->at;
    d->end = left <= d->allowed ? arena->end : d->at + d->allowed;
}

/* P3: the arena has what was taken, and its space is aligned. */
static inline void weft__decoder_sync(weft__decoder *d)
{
    weft_arena *arena = d->arena;
    size_t taken = (size_t)(d->at - arena->at);
    size_t skew = (size_t)(-(uintptr_t)d->at & (_Alignof(max_align_t) - 1));
    size_t left = (size_t)(arena->end - d->at);

    arena->used += taken;
    d->allowed -= taken;
    arena->at = left != 0 ? d->at + (skew < left ? skew : left) : d->at;
}

void *weft__decoder_take_slow(weft__decoder *d, size_t size);

/* Memory for anything in a message; NULL: status and why are set. */
static inline void *weft__decoder_take(weft__decoder *d, size_t size)
{
    uint8_t *p = d->at;

    size = (size + 7) & ~(size_t)7;
    if (size > (size_t)(d->end - p))
        return weft__decoder_take_slow(d, size);
    d->at = p + size;
    return p;
}

/* Room for `more` elements of size bytes behind the n of *array (NULL: none
 * yet), which may move.  Returns the first of them; NULL as above. */
void *weft__decoder_grow(weft__decoder *d, void **array, size_t n, size_t more,
                         size_t size);

/* Bytes of a member, or of an element of an array. */
size_t weft__protobuf_element_size(ProtobufCType type);

/* The values behind a packed field's tag become elements of *array (*n); NULL:
 * status and why are set. */
const uint8_t *weft__protobuf_packed(weft__decoder *d, ProtobufCType type,
                                     const uint8_t *p, const uint8_t *end,
                                     size_t *n, void **array);

/* A singular sub-message has come again: what only the earlier one has moves
 * into the later one, which replaces it.  false: status and why are set. */
bool weft__protobuf_merge(weft__decoder *d, ProtobufCMessage *earlier,
                          ProtobufCMessage *later);

#endif /* WEFT_PROTOBUF_DECODE_INTERNAL_H */
