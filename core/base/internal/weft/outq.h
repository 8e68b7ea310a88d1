/* weft/outq.h - bytes that wait to be written: segments, in order.
 *
 * Small pieces are packed together into chunks; large ones are referenced where
 * they lie and released once written.  Bytes that were handed out by
 * weft__outq_iov() neither change nor move until they are consumed (TLS must
 * retry the same bytes). */
#ifndef WEFT_OUTQ_H
#define WEFT_OUTQ_H

#include <sys/uio.h>
#include <weft/loop_internal.h>

typedef struct weft__segment weft__segment;

typedef struct weft__outq {
    weft_loop *loop; /* borrowed: chunks come from its pool */
    weft__segment *head, *tail;
    size_t bytes; /* waiting */
} weft__outq;

void weft__outq_init(weft__outq *q, weft_loop *loop);

/* n > 0 contiguous bytes at the end, counted as queued; the caller fills them
 * before the queue is next read.  NULL: out of memory, nothing was queued. */
uint8_t *weft__outq_reserve(weft__outq *q, size_t n);

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

#endif /* WEFT_OUTQ_H */
