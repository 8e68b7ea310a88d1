/* weft/pool_internal.h - jobs for a pool, in memory of their owner. */
#ifndef WEFT_POOL_INTERNAL_H
#define WEFT_POOL_INTERNAL_H

#include <weft/pool.h>

typedef struct weft__job weft__job;
struct weft__job {
    weft__job *next, *prev;
    enum { WEFT__JOB_OUT, WEFT__JOB_QUEUED, WEFT__JOB_RUNNING } state;
    void (*run)(weft__job *job); /* on a thread of the pool */
    /* The last that the pool does with it, on the same thread: job may be gone
     * when this returns.  Takes no lock of the pool's, and does not wait. */
    void (*done)(weft__job *job);
};

/* ELIMIT: max_queue jobs wait.  OK: run and done will be called, unless it is
 * withdrawn. */
weft_status weft__pool_submit(weft_pool *pool, weft__job *job);

/* True: it was waiting, and neither is called.  False: it runs, or has run. */
bool weft__pool_withdraw(weft_pool *pool, weft__job *job);

/* The same, and waits for the end of one that runs: done has been called. */
void weft__pool_settle(weft_pool *pool, weft__job *job);

uint32_t weft__pool_max_queue(const weft_pool *pool);

#endif /* WEFT_POOL_INTERNAL_H */
