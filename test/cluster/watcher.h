/* watcher.h - a watch on a loop and a thread of its own, so that a test may
 * block while it sets the scene, and a ticker on that same loop, which shows
 * whether the loop ever stalled.
 *
 * The thread asks for real-time priority, and a second one on the same
 * processor does nothing but sleep: a stall that both saw was the machine's,
 * and is not held against the loop. */
#ifndef WEFT_TEST_WATCHER_H
#define WEFT_TEST_WATCHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <weft/watch.h>

#define WATCHER_STALLS 256
/* Of a 10 ms ticker.  What a sanitizer makes slower is not what is measured. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHER_GAP_US 60000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHER_GAP_US 60000
#endif
#endif
#ifndef WATCHER_GAP_US
#define WATCHER_GAP_US 20000
#endif

typedef struct watcher_stall {
    uint64_t from_us, to_us;
} watcher_stall;

typedef struct watcher watcher;
struct watcher {
    watcher *next; /* of those that run */
    char target[256];
    int cpu; /* of both threads */
    pthread_t thread, sleeper;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;

    /* Under the lock. */
    char list[1024]; /* "10.0.0.1:80 10.0.0.2:80"; "-" before the first */
    size_t count;
    unsigned updates, empties; /* how often it became empty */
    uint64_t updated_us;
    uint64_t requests;
    uint32_t failures;
    bool degraded, from_cache;
    char state[32];
    watcher_stall stalls[WATCHER_STALLS], machine[WATCHER_STALLS];
    size_t n_stalls, n_machine;
    uint64_t max_gap_us, ticks;

    /* The thread's own. */
    weft_loop *loop;
    weft__watch_sub *sub;
};

/* setup(loop) runs before the watch begins; may be NULL. */
watcher *watcher_start(const char *target,
                       void (*setup)(weft_loop *loop, void *user), void *user);

/* Waits until the list is this one; returns the time of that update, and fails
 * the test after ms. */
uint64_t watcher_wait(watcher *w, const char *list, unsigned ms);

/* A copy of what is under the lock. */
watcher watcher_look(watcher *w);

/* Ends it, and fails the test if the loop stalled. */
void watcher_stop(watcher *w);

/* For teardown: ends those that a failed test has left running. */
void watcher_stop_all(void);

uint64_t watcher_now_us(void);

#endif /* WEFT_TEST_WATCHER_H */
