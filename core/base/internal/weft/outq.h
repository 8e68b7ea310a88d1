/* weft/outq.h - bytes that wait to be written: segments, in order.
 *
 * Small pieces are packed together into chunks; large ones are referenced where
 * they lie and released once written.  Bytes that were handed out by
 * weft__outq_iov() neither change nor move until they are consumed (TLS must
 * retry the same bytes). */
#ifndef WEFT_OUTQ_H
#define WEFT_OUTQ_H

#include <assert.h>
#include <sys/uio.h>
#include <weft/loop_internal.h>

/* Head of a chunk (outq.c, I1). */
typedef struct weft__outq_chunk {
    uint32_t segments; /* in this chunk, not yet consumed */
    uint32_t used;     /* bytes from the start, this head included */
} weft__outq_chunk;

typedef struct weft__segment weft__segment;
struct weft__segment {
    weft__segment *next;     /* the last one's is the first */
    uint8_t *data;           /* the next byte to write */
    size_t len;              /* 0 only after a trim */
    weft__outq_chunk *chunk; /* holds this record; NULL: it heads a block */
    size_t block_size;
    bool packed; /* the bytes follow the record, and may grow */
    void (*release)(void *arg);
    void *arg;
};

typedef struct weft__outq {
    weft_loop *loop;     /* borrowed: chunks come from its pool */
    weft__segment *tail; /* its next is the head; NULL: empty */
    size_t bytes;        /* waiting */
} weft__outq;

void weft__outq_init(weft__outq *q, weft_loop *loop);

/* n > 0 contiguous bytes at the end, counted as queued; the caller fills them
 * before the queue is next read.  NULL: out of memory, nothing was queued. */
static inline uint8_t *weft__outq_reserve(weft__outq *q, size_t n);
uint8_t *weft__outq_reserve_segment(weft__outq *q, size_t n);

/* Gives back the last n bytes of the reservation just made. */
void weft__outq_trim(weft__outq *q, size_t n);

/* Queues n bytes where they are.  If OK, release(arg) (may be NULL) runs
 * exactly once: when they are written, or at fini; for n = 0, at once.  It may
 * not touch the queue. */
weft_status weft__outq_ref(weft__outq *q, const void *data, size_t n,
                           void (*release)(void *arg), void *arg);

/* Fills at most max entries from the front; returns how many. */
int weft__outq_iov(const weft__outq *q, struct iovec *iov, int max);

/* Drops n written bytes from the front; chunks go back to the pool, so an empty
 * queue holds no memory. */
void weft__outq_consume(weft__outq *q, size_t n);

void weft__outq_fini(weft__outq *q); /* releases what was not written */

/* Behind the last bytes, as long as they are in a chunk that has room. */
static inline uint8_t *weft__outq_reserve(weft__outq *q, size_t n)
{
    weft__segment *s = q->tail;
    uint8_t *p;

    assert(n > 0);
    if (s == NULL || !s->packed || s->chunk == NULL ||
        n > WEFT__CHUNK_BYTES - s->chunk->used)
        return weft__outq_reserve_segment(q, n);
    p = s->data + s->len;
    s->len += n;
    s->chunk->used += (uint32_t)n;
    q->bytes += n;
    return p;
}

#endif /* WEFT_OUTQ_H */
