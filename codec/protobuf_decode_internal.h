/* protobuf_decode_internal.h - one decode of a protobuf-c message: its memory
 * and its limits, shared by its files.
 *
 *  P1. Every byte that a decode takes comes from weft__decoder_take(), which
 *      knows the limit: what a message may cost is bounded while it is read.
 *  P2. An array is only made by weft__decoder_grow(), which notes its capacity
 *      in front of it: growing is amortised, wherever the elements come from.
 *  P3. The arena's free space is aligned to 8 during a decode, to what the
 *      arena promises before and after. */
#ifndef WEFT_PROTOBUF_DECODE_INTERNAL_H
#define WEFT_PROTOBUF_DECODE_INTERNAL_H

#include <weft/protobuf.h>

typedef struct weft__decoder {
    weft_arena *arena;
    size_t max_used;   /* ceiling of arena->used */
    uint32_t elements; /* fields and elements that may still come */
    bool borrow;       /* the input outlives the message */
    weft_status status;
    const char *why;
} weft__decoder;

/* For "return weft__decoder_fail(...)": all return NULL. */
static inline void *weft__decoder_fail(weft__decoder *d, weft_status status,
                                       const char *why)
{
    d->status = status;
    d->why = why;
    return NULL;
}

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

/* P3: at the end of a decode. */
void weft__decoder_align(weft_arena *arena);
void *weft__decoder_take_slow(weft__decoder *d, size_t size);

/* Memory for anything in a message; NULL: status and why are set. */
static inline void *weft__decoder_take(weft__decoder *d, size_t size)
{
    weft_arena *arena = d->arena;
    uint8_t *p = arena->at;

    size = (size + 7) & ~(size_t)7;
    if (__builtin_expect(size > (size_t)(arena->end - p) ||
                             size > d->max_used - arena->used,
                         0))
        return weft__decoder_take_slow(d, size);
    arena->at = p + size;
    arena->used += size;
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
