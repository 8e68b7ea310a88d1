/* weft/pool.h - threads for handlers that block or burn CPU.
 *
 * A server hands the calls of chosen methods to a pool (weft_server_offload()
 * in weft/server.h), so that they do not hold the loop.  Several servers, and
 * all loops of a group, may share one. */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <weft/conf.h>
#include <weft/status.h>

WEFT_BEGIN_DECLS

typedef struct weft_pool weft_pool;

#define WEFT_POOL_CONF(X)                                                      \
    X(u32, threads, 2, "so many jobs run at once; 256 at most")                \
    X(u32, max_queue, 1000, "jobs that wait for a thread")                     \
    X(flag, background, false,                                                 \
      "the threads get the CPU that nobody else wants (SCHED_IDLE, on Linux)")

typedef struct weft_pool_conf {
    WEFT_POOL_CONF(WEFT_CONF_MEMBER)
} weft_pool_conf;
WEFT_API extern const weft_conf_spec weft_pool_conf_spec;

/* Starts the threads, which block all signals.  Gives *out: weft_pool_free().
 * conf may be NULL.  EINVAL (threads), ENOMEM, ELIMIT (no more threads). */
#define weft_pool_new(out, ... /* conf */)                                     \
    weft_pool_new_sized(out, __VA_ARGS__, sizeof(weft_pool_conf))
WEFT_API weft_status weft_pool_new_sized(weft_pool **out,
                                         const weft_pool_conf *conf,
                                         size_t conf_size);

/* From any thread, as of now. */
typedef struct weft_pool_stats {
    uint64_t queued, running;
    uint64_t done;    /* have run */
    uint64_t refused; /* max_queue */
} weft_pool_stats;
WEFT_API weft_pool_stats weft_pool_get_stats(weft_pool *pool);

/* Takes pool (NULL is fine), which no loop may use any more: free them before.
 * Waits for its threads. */
WEFT_API void weft_pool_free(weft_pool *pool);

WEFT_END_DECLS

#endif /* WEFT_POOL_H */
