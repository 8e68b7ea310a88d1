/* weft/loop_internal.h - what the layers above need of a loop.
 *
 * A round: libevent dispatches a batch of callbacks, each between enter and
 * leave.  Whatever they queue with weft__loop_flush_later() and
 * weft__loop_defer() runs once at the end of the batch: all flushes first, then
 * the deferred.  weft_loop_run() and its kin look for it in each round, at the
 * latest when all callbacks are through; a base that the application dispatches
 * has no hook for this, so there it is an event of ours, which the first of
 * them activates.  A batch also ends when so much output has gathered that it
 * would not stay in the cache.
 *
 *  I1. A deferred function runs with no callback of Weft's on the stack, but
 *      for the end of one that called weft__loop_leave_last().
 *
 *  I2. Work queued while the end of the batch runs waits for the next batch,
 *      which a round that does not wait, or an event_add with zero timeout,
 *      brings about (never event_active on oneself, which starves timers and
 *      other connections).
 *
 *  I3. weft_loop_free() runs what is queued once more. */
#ifndef WEFT_LOOP_INTERNAL_H
#define WEFT_LOOP_INTERNAL_H

#include <weft/histogram.h>
#include <weft/loop.h>
#include <weft/timer.h>

/* One thing to do at the end of a batch, embedded in what it is about.  A
 * second queueing while queued is ignored. */
typedef struct weft__task weft__task;
struct weft__task {
    weft__task *next; /* NULL: not queued */
    void (*fn)(weft__task *task);
};

/* The same for whoever has some bytes to spare: with a name for its owner. */
typedef struct weft__deferred {
    weft__task task; /* first */
    void (*fn)(void *arg);
    void *arg;
} weft__deferred;

static inline bool weft__task_queued(const weft__task *task)
{
    return task->next != NULL;
}

/* End of the batch, first part: connections write here, once each. */
void weft__loop_flush_later(weft_loop *loop, weft__task *task,
                            void (*fn)(weft__task *));
/* End of the batch, second part: memory goes, callbacks from a fresh stack. */
void weft__loop_defer_task(weft_loop *loop, weft__task *task,
                           void (*fn)(weft__task *));
void weft__loop_defer(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                      void *arg);
/* Unqueues d from whichever list holds it; O(length). */
void weft__loop_undefer(weft_loop *loop, weft__deferred *d);

/* First and last statement of every libevent callback.  enter reads the clock;
 * name (static) says what runs.  They nest. */
void weft__loop_enter(weft_loop *loop, const char *name);
void weft__loop_leave(weft_loop *loop);
/* The same as the very last thing before libevent's own code: runs the end of
 * the batch if this was its last callback, which saves two readings of the
 * clock, or if its output has filled WEFT__CHUNKS_WARM chunks.  What the
 * callback was about may be gone then. */
void weft__loop_leave_last(weft_loop *loop);

/* In the last callback of a round that is looked at: what the end of the batch
 * is for may as well be done at its end. */
bool weft__loop_in_last(const weft_loop *loop);

/* Times that end with the batch, when what it says has been written: the cached
 * clock stands still meanwhile, so the reading at a callback's end tells.  (A
 * batch of more than 64 of them has room for no more: they end before.)  n
 * began at begun_ns and will count in `into`; then that is NULL. */
typedef struct weft__time {
    weft_histogram *into;
    uint64_t begun_ns, n;
} weft__time;
/* One more; n of what it gives may be raised while `into` is this. */
weft__time *weft__loop_time(weft_loop *loop, weft_histogram *into,
                            uint64_t begun_ns);
/* At once, by the clock as it is: a histogram is about to go. */
void weft__loop_settle_times(weft_loop *loop);

/* At the head of every public function that reads the time: outside of our
 * callbacks the cached clock may be old. */
void weft__loop_touch(weft_loop *loop);

/* Timers of fewer bytes, for what there are very many of: connections.  All of
 * a loop's run fn; name is static.  Zeroed until they are started. */
void weft__loop_set_alarm(weft_loop *loop, void (*fn)(weft__alarm *alarm),
                          const char *name);
void weft__alarm_start_at(weft_loop *loop, weft__alarm *alarm, uint64_t due_ms);
void weft__alarm_stop(weft_loop *loop, weft__alarm *alarm);
static inline bool weft__alarm_armed(const weft__alarm *alarm)
{
    return alarm->link.next != NULL;
}

/* What another thread asks for. */
typedef struct weft__post weft__post;
struct weft__post {
    weft__post *next;
    void (*fn)(void *arg);
    void *arg;
    bool borrowed; /* from the poster, until fn begins */
};

/* As weft_loop_post(), in memory of the caller's: ECLOSED or ESTATE at most.
 * post is the loop's until fn begins. */
weft_status weft__loop_post_node(weft_loop *loop, weft__post *post,
                                 void (*fn)(void *arg), void *arg);

weft_clock weft__loop_clock(const weft_loop *loop);

/* Names what is about to run inside the current callback (a handler's method),
 * and says what has just run too long, by a coarse clock of 4 ns.  The name is
 * borrowed until the matching end. */
void weft__loop_span_begin(weft_loop *loop, const char *name);
void weft__loop_span_end(weft_loop *loop);

/* Fixed chunks for output and small buffers, kept on a bounded free list. */
#define WEFT__CHUNK_BYTES 16384
/* More of them would not stay in the cache until they are written. */
#define WEFT__CHUNKS_WARM 8
void *weft__loop_chunk_get(weft_loop *loop); /* NULL: out of memory */
void weft__loop_chunk_put(weft_loop *loop, void *memory);
/* So many are in use that who holds one for output should write it now. */
bool weft__loop_chunks_scarce(const weft_loop *loop);

/* Memory for messages, of any size.  What is free is kept, up to 2 MiB: else
 * the C library joins and splits blocks with every call, and gives the pages of
 * big ones back to fetch them again.  *size may grow to what there is; the same
 * is put back.  A block is the C library's: weft_free() may release it too. */
void *weft__loop_block_get(weft_loop *loop, size_t *size);
void weft__loop_block_put(weft_loop *loop, void *memory, size_t size);
/* The same memory, or a copy of its first bytes, with room for *size; NULL: out
 * of memory, and it is as it was. */
void *weft__loop_block_resize(weft_loop *loop, void *memory, size_t old_size,
                              size_t *size);

/* The one buffer that reads go into; its content is valid until the callback
 * returns.  NULL: out of memory. */
#define WEFT__READ_BYTES 278528
uint8_t *weft__loop_read_buffer(weft_loop *loop);

/* What must end before the loop does: servers, channels, watches.  close is
 * called once by weft_loop_close(), youngest first; it removes itself, at once
 * or later, and the loop waits for that.  weft_loop_free() does not wait: a
 * child must be able to end through deferred functions alone, for a wrapped
 * base is not dispatched then.  If one has not ended after 1000 rounds, the
 * loop says so and stays. */
typedef struct weft__loop_child weft__loop_child;
struct weft__loop_child {
    weft__loop_child *next, *prev;
    void (*close)(weft__loop_child *child);
};
void weft__loop_child_add(weft_loop *loop, weft__loop_child *child);
void weft__loop_child_remove(weft_loop *loop, weft__loop_child *child);
bool weft__loop_closing(const weft_loop *loop);

/* Runs fn(arg) as the loop's last act, when no timer can fire any more: for
 * memory in which a user's timers may still be armed. */
void weft__loop_bury(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                     void *arg);

/* One object per loop for each layer that needs one (handles, watches);
 * fini (may be NULL) runs on the non-NULL ones when the loop goes, after all
 * children. */
typedef enum weft__loop_local {
    WEFT__LOCAL_CALLS,
    WEFT__LOCAL_WATCHES,
    WEFT__LOCAL_CONSUL,
    WEFT__LOCAL_OBSERVERS,
    WEFT__LOCAL_COUNT
} weft__loop_local;
void *weft__loop_local_get(const weft_loop *loop, weft__loop_local which);
void weft__loop_local_set(weft_loop *loop, weft__loop_local which, void *object,
                          void (*fini)(void *object));

/* 0 to 255, unique among live loops: the top byte of a call's handle.
 * weft__loop_by_index gives NULL for an index that is not in use, and for a
 * loop of another thread. */
uint8_t weft__loop_index(const weft_loop *loop);
weft_loop *weft__loop_by_index(uint8_t index);

/* xorshift seeded from the system; not for secrets. */
uint64_t weft__loop_random(weft_loop *loop);

#endif /* WEFT_LOOP_INTERNAL_H */
