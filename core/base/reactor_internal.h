/* reactor_internal.h - the inside of a loop, for the files of this folder that
 * are its parts: loop.c (life, running), loop_batch.c (end of the batch),
 * loop_post.c (other threads), loop_lag.c (who held it how long), loop_time.c
 * (what the batch's end tells), loop_close.c (the end), loop_store.c (memory,
 * index), timer.c (the wheel). */
#ifndef WEFT_REACTOR_INTERNAL_H
#define WEFT_REACTOR_INTERNAL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <weft/log.h>
#include <weft/loop_internal.h>
#include <weft/sys.h>
#include <weft/timer.h>

/* One round without waiting.  EVLOOP_NONBLOCK alone goes on as long as anything
 * is active, for ever if a callback adds itself with a zero timeout. */
#define WEFT__ROUND (EVLOOP_ONCE | EVLOOP_NONBLOCK)

/* A queue of tasks; the last one's next is not NULL (loop_batch.c). */
typedef struct weft__batch {
    weft__task *head, **tail;
} weft__batch;

/* The timer wheel; timer.c explains it. */
#define WEFT__WHEEL_BITS 6
#define WEFT__WHEEL_SLOTS (1 << WEFT__WHEEL_BITS)
#define WEFT__WHEEL_LEVELS 11 /* 11 * 6 bits: every due time there is */
#define WEFT__WHEEL_ROWS (2 * WEFT__WHEEL_LEVELS) /* those of W4 as well */
typedef struct weft__wheel {
    uint64_t elapsed_ms; /* every slot up to here has been emptied */
    uint64_t armed_ms; /* what the libevent timer waits for; UINT64_MAX: off */
    size_t count;      /* armed timers */
    weft__timer_link ready;  /* were due when they were started */
    weft__timer_link firing; /* taken from their slot, to run or to move on */
    uint64_t ahead_ms;       /* W4: the turn that is prepared; 0: none */
    weft__timer_link ahead_ready;
    uint64_t occupied[WEFT__WHEEL_ROWS]; /* a bit for each slot in use */
    weft__timer_link slots[WEFT__WHEEL_ROWS][WEFT__WHEEL_SLOTS];
    void (*bare_fn)(weft__alarm *alarm); /* of alarms without a weft_timer */
    const char *bare_name;
} weft__wheel;

#define WEFT__SPANS 4
#define WEFT__TIMES 64
#define WEFT__BLOCK_OCTAVES 7 /* 1 KiB to 128 KiB */
#define WEFT__BLOCK_CLASSES (8 * WEFT__BLOCK_OCTAVES + 1)
#define WEFT__NAME_BYTES 128

struct weft_loop {
    /* What every round needs, of whatever kind, comes first: between two rounds
     * the kernel has had the near caches to itself. */
    struct event_base *base;
    weft_loop_conf conf;
    uint64_t now_ns, now_ms; /* the cached clock */
    unsigned depth;          /* of our callbacks on the stack */
    unsigned batch_chunks;   /* taken since the last batch ended */
    bool own_base;
    bool coarse;  /* the clock is the system's, spans may use the coarse one */
    bool in_run;  /* weft_loop_run() or its kin is on the stack */
    bool staying; /* libevent goes from round to round by itself (loop.c) */
    bool looks;   /* batch_event is active: this round is looked at */
    bool batch_queued;  /* its end is on its way */
    bool batch_running; /* I2 */
    bool batch_open;    /* a round of ours, whose batch has not ended */

    /* Lag (loop_lag.c). */
    uint64_t entered_ns;
    const char *entered_name;
    weft_loop_lag lag;
    uint64_t warn_ns;      /* 0: never */
    uint64_t span_seen_ns; /* the last reading of a span's clock */
    unsigned n_spans;
    bool late_said; /* a span has named the culprit already */

    /* Memory (loop_store.c). */
    unsigned n_chunks;
    struct weft__chunk *chunks;
    unsigned chunks_out;
    uint8_t *read_buffer;

    struct {
        const char *name;
        uint64_t start_ns;
    } spans[WEFT__SPANS];
    struct {
        void *object;
        void (*fini)(void *object);
    } locals[WEFT__LOCAL_COUNT]; /* loop_store.c */

    /* Times that end with the batch (loop_time.c). */
    weft__time *times_end, times[WEFT__TIMES];

    /* Running. */
    bool stop;
    bool broke;   /* on_batch() has ended the staying */
    bool expired; /* this round has run the timers already */
    uint8_t index;
    pid_t pid;
    int helpers; /* events of our own that must not keep a run alive */
    unsigned holds;

    /* The end of the batch (loop_batch.c). */
    struct event batch_event;
    weft__batch flushes, deferred;
    weft__batch flushes_running, deferred_running;
    weft__task *buried; /* of deferred functions: run last of all */

    /* Posts (loop_post.c).  Only these members are touched by other threads. */
    _Atomic(weft__post *) posted; /* newest first; or the closed mark */
    atomic_uint posters;          /* threads inside weft_loop_post() */
    weft__wakeup wakeup;
    struct event wakeup_event;
    weft__post *posts, **posts_tail; /* taken, in order, not run yet */

    /* Timers (timer.c). */
    struct event wheel_event;
    int wheel_fd; /* a timer of the system's; -1: wheel_event is libevent's */
    weft__wheel wheel;

    /* What few rounds need. */
    char late_name[WEFT__NAME_BYTES];
    weft_log_limit lag_limit, fork_limit;
    struct weft__block *blocks[WEFT__BLOCK_CLASSES]; /* free ones */
    size_t block_bytes;
    uint64_t random;

    /* The end (loop_close.c). */
    weft__loop_child children, ending; /* sentinels; youngest first */
    bool closing;                      /* weft_loop_close() was called */
    bool ended;  /* nothing keeps it open but what is queued */
    bool closed; /* ready to go once the base's dispatching has returned */
    weft__deferred close_step;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* loop.c */
void weft__loop_read_clock(weft_loop *loop);
void weft__event_fini(struct event *event);
bool weft__loop_forked(weft_loop *loop, const char *doing); /* and says so */
bool weft__run_may_stay(const weft_loop *loop);

/* loop_batch.c */
void weft__batch_init(weft_loop *loop);
void weft__batch_wake(weft_loop *loop); /* its event comes */
void weft__batch_run(weft_loop *loop);
void weft__batch_run_part(weft_loop *loop); /* when it is due_now() */
void weft__batch_end(weft_loop *loop); /* runs it as a callback of its own */
bool weft__batch_due(const weft_loop *loop);     /* by the end of this round */
bool weft__batch_due_now(const weft_loop *loop); /* no callback is to come */
bool weft__batch_empty(const weft_loop *loop);
void weft__round_look(weft_loop *loop); /* a run that stays looks after it */

/* loop_post.c */
weft_status weft__posts_init(weft_loop *loop);
bool weft__posts_pending(const weft_loop *loop);
void weft__posts_refuse(weft_loop *loop);
void weft__posts_run_all(weft_loop *loop);
void weft__posts_fini(weft_loop *loop);

/* timer.c */
void weft__wheel_init(weft_loop *loop);
void weft__wheel_arm(weft_loop *loop);
int weft__wheel_events(const weft_loop *loop); /* that libevent waits for */
bool weft__wheel_due(const weft_loop *loop);
void weft__wheel_expire(weft_loop *loop); /* a bounded part of what is due */
void weft__wheel_fini(weft_loop *loop);   /* leaves every timer disarmed */

/* loop_time.c */
void weft__times_init(weft_loop *loop);
void weft__times_settle(weft_loop *loop, uint64_t now);

/* loop_close.c */
void weft__close_init(weft_loop *loop);
void weft__loop_after_batch(weft_loop *loop); /* may free the loop */
void weft__loop_finalize(weft_loop *loop);    /* frees the loop */

/* loop_store.c */
weft_status weft__index_take(weft_loop *loop);
void weft__index_own(weft_loop *loop); /* the loop is this thread's now */
void weft__index_drop(weft_loop *loop);
void weft__store_fini(weft_loop *loop);

#endif /* WEFT_REACTOR_INTERNAL_H */
