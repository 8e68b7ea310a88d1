/* client_internal.h - the client's side: channel, subchannel, call, attempt.
 *
 *  channel --< subchannel (one per endpoint, a slot of the balancer)
 *          --< client_conn (one multiplexed connection, more under load)
 *  call (deadline, callback, packed request)
 *          --- attempt (endpoint, connection, id)
 *
 * The way of a call: client_call.c makes it, dispatch.c finds it a connection
 * or lets it wait, client_conn.c hears of its end, client_call.c finishes it.
 *
 *  K1. A call is in exactly one place: waiting (on channel->waiting), sent (its
 *      attempt is on a connection's list), or ended (its callback is queued).
 *
 *  K2. Each pick of the balancer is given back by exactly one give_back().
 *
 *  K3. A callback runs from a fresh stack or from the connection's read event,
 *      never under a function of ours that the user has called.
 *
 *  K4. User code may close the channel: after each callback no memory of the
 *      channel has gone yet, for it goes only from a deferred function, which
 *      looks again whether somebody has come meanwhile.
 *
 *  K5. Nobody waits for nothing: while a call waits, the list is still to come,
 *      or some endpoint is connecting, queued or backing off, or its
 *      connections are full; and whatever ends that calls
 *      weft__channel_kick().
 */
#ifndef WEFT_CLIENT_INTERNAL_H
#define WEFT_CLIENT_INTERNAL_H

#include "hash_internal.h"
#include "rpc_internal.h"
#include <weft/balancer.h>
#include <weft/channel.h>
#include <weft/conn.h>
#include <weft/hint.h>
#include <weft/protobuf.h>
#include <weft/timer.h>
#include <weft/watch.h>

typedef struct weft__client_call weft__client_call;
typedef struct weft__client_conn weft__client_conn;
typedef struct weft__subchannel weft__subchannel;
typedef struct weft__request weft__request;

/* ---- Calls ---- */

typedef enum weft__call_place {
    WEFT__CALL_WAITING,
    WEFT__CALL_SENT,
    WEFT__CALL_ENDED
} weft__call_place;

/* One try of a call at one endpoint. */
typedef struct weft__attempt {
    weft__subchannel *sub;   /* NULL: not picked */
    weft__client_conn *conn; /* NULL: not sent */
    weft__stream_id stream;
    uint64_t
        begin_bytes; /* output of conn before it: unsent if none left since */
    uint64_t picked_ns;
    struct weft__attempt *next, **pprev; /* conn->attempts */
} weft__attempt;

#define WEFT__TRIED_MAX 8

/* What ends a call that nobody answers. */
typedef enum weft__call_deadline {
    WEFT__DEADLINE_NONE,
    WEFT__DEADLINE_ROW, /* the channel's timer: it is on channel->row */
    WEFT__DEADLINE_OWN  /* a timer of its own */
} weft__call_deadline;

/* A million calls may be in flight, so a record is small.  The messages of
 * small calls lie in it; one for a larger request is larger by that. */
#define WEFT__CALL_BYTES 784
#define WEFT__CALL_ARENA 224

struct weft__client_call {
    /* Zeroed in a new one, up to `channel`. */
    weft_result result; /* first: weft_result_free() gets the call back */
    weft__client_call *wait_next, **wait_pprev;
    weft__call_place place;
    uint32_t room; /* bytes of first_chunk */
    uint64_t handle;

    /* what is asked */
    const ProtobufCMessageDescriptor *output; /* NULL: raw */
    weft__slice request;                      /* packed */
    weft__request *shared; /* what it lies in; NULL: the arena */
    weft_metadata metadata, forwarded;
    const char *content_type, *trace;
    uint64_t hash;
    uint32_t timeout_ms;
    bool wait_for_ready, fail_fast, one_way;
    bool refused;       /* by somebody, once */
    bool telling, kept; /* its callback runs; it was taken along */
    bool by_stub;
    uint8_t n_tried, moves;
    uint8_t ends_by; /* weft__call_deadline */

    weft__under under;
    uint64_t resolved_ns, sent_ns;
    weft__attempt attempt;
    uint32_t *tried; /* the slots of those who refused it; TRIED_MAX, or NULL */

    /* What each has is set by who makes and starts it. */
    weft_channel *channel;
    weft__client_call *next, **pprev; /* channel->calls */
    const char *path;
    size_t path_len;
    union {                       /* who is told */
        ProtobufCClosure closure; /* by_stub */
        weft_result_cb cb;
    };
    void *user;
    uint64_t started_ns;
    union {
        weft_timer deadline; /* DEADLINE_OWN */
        struct {
            weft__client_call *next, **pprev; /* channel->row */
        } row;
        weft__deferred completion; /* once it has ended */
        weft__slice borrowed;      /* once it is answered: of the buffer that
                                      the reply came in; empty: nothing */
    };
    weft_arena arena;
    _Alignas(max_align_t) uint8_t first_chunk[]; /* CALL_ARENA, or more */
};
_Static_assert(sizeof(weft__client_call) + WEFT__CALL_ARENA <= WEFT__CALL_BYTES,
               "a call's record has outgrown its size");

static inline weft__client_call *weft__call_of(const weft__attempt *attempt)
{
    return (weft__client_call *)(void *)((char *)(uintptr_t)attempt -
                                         offsetof(weft__client_call, attempt));
}

/* ---- Connections ---- */

struct weft__client_conn {
    weft__subchannel *sub;
    weft__client_conn *next, **pprev;         /* sub->conns */
    weft__conn *conn;                         /* NULL once closed */
    weft__attempt *attempts, **attempts_tail; /* as they were sent, so their
                                                 streams rise */
    uint32_t in_flight; /* attempts, and abandoned v0 ones */
    uint32_t capacity;  /* 0 until ready */
    uint64_t ready_ms;
    bool ready, leaving; /* leaving: finishes what it has, takes nothing new */
    bool version0;
    weft_timer overdue; /* version 0: an abandoned reply must come by then */
};

/* ---- Endpoints ---- */

typedef enum weft__sub_state {
    WEFT__SUB_IDLE,       /* not tried yet, or closed when idle */
    WEFT__SUB_QUEUED,     /* waits for its turn to connect */
    WEFT__SUB_CONNECTING, /* first try, or a retry */
    WEFT__SUB_READY,
    WEFT__SUB_BACKOFF
} weft__sub_state;

typedef struct weft__sub_list {
    weft__subchannel *first, **last;
} weft__sub_list;

struct weft__subchannel {
    weft_channel *channel;
    uint32_t slot;
    weft_address address;
    char *text;
    uint64_t id; /* hash of text */
    uint32_t weight;
    weft__sub_state state;
    bool listed;   /* in the present list */
    bool usable;   /* as the balancer knows it */
    uint64_t seen; /* the last list that had it: channel->list_serial */
    bool failing;  /* the last connect failed, no success since */
    uint32_t failures;
    char *last_error;   /* of the last connect or loss, or NULL */
    weft_timer backoff; /* in READY: no further connection before it */
    weft__sub_list *in; /* the list that it stands on, or NULL */
    weft__subchannel *next, **pprev;
    weft__client_conn *conns;
    uint32_t n_conns;
    uint32_t picks;    /* attempts that hold the slot */
    UT_hash_handle hh; /* channel->by_text */
};

/* ---- Method paths, made once per service and name ---- */

typedef struct weft__paths {
    const ProtobufCServiceDescriptor *service;
    UT_hash_handle hh;
    struct {
        const char *text;
        size_t len;
    } path[];
} weft__paths;

/* ---- Channel ---- */

#define WEFT__REFUSALS 64

typedef struct weft__refusal {
    weft_channel *channel; /* NULL: free */
    weft__deferred deferred;
    ProtobufCClosure closure;
    void *user;
    weft_status status;
    char message[256];
} weft__refusal;

struct weft_channel {
    /* What every call needs comes first: between two of them the kernel has had
     * the near caches to itself. */
    weft_loop *loop;
    struct weft__channel_team *team; /* on a group; NULL: on one loop */
    size_t team_index;               /* 0: the front, which the user holds */
    weft_channel_conf conf;
    bool active; /* resolving and connecting has begun */
    bool closing;
    bool kick_all;
    weft__paths *last_paths, *paths;
    weft_endpoints *list; /* NULL until the first resolution */
    const weft_balancer_ops *balancer;
    void *balancer_self;
    weft__conn_conf conn_conf;
    weft__subchannel **slots; /* by slot; NULL: free */
    uint32_t n_slots, cap_slots;
    weft__client_call *calls, *pool;
    uint32_t n_pool;
    uint32_t n_conns; /* their on_closed is still to come */
    weft__client_call *waiting, **waiting_tail;
    /* Those with the channel's own timeout, in the order in which they are due,
     * which is that of their start; the timer is armed for the first of them or
     * for one that was before it. */
    weft__client_call *row, **row_tail;
    weft_timer row_timer;
    weft_channel_stats stats;
    uint64_t last_ns; /* what the last n_last calls took, which are not in
                         latency yet */
    uint64_t n_last;
    weft__sub_list idle; /* listed and IDLE */
    char error[256];

    char *target, *balancer_name;
    weft__loop_child child;
    weft__dumpable dumpable;
    weft__deferred reap, kick;

    weft__watch_sub *watch;
    uint64_t list_serial;
    size_t list_taken; /* endpoints of it that have been taken over, or tried */
    size_t list_missing; /* for which there was no memory */
    uint64_t team_seen;  /* the team's serial */
    weft__deferred catch_up;
    weft_timer retake;       /* the rest of a long list, or one more try */
    char resolve_error[256]; /* of the last failure while there was no list */
    uint32_t *free_slots, n_free_slots;
    weft__subchannel *by_text; /* uthash */
    weft__sub_list queue;      /* QUEUED */
    uint32_t n_connecting, n_ready, n_listed, n_failing;

    weft__refusal refusals[WEFT__REFUSALS];
    uint32_t n_refusals; /* queued */
    weft_histogram latency;
};

/* client_call.c */
/* With room for a request of so many bytes, and for a reply like it. */
weft_status weft__client_call_new(weft__client_call **out, weft_channel *ch,
                                  const weft_call_options *options,
                                  size_t request_bytes, const char **why);
/* Sends it or lets it wait; owns it from here on.  handle: see
 * weft_call_options. */
void weft__client_call_start(weft__client_call *call, weft_handle *handle);
void weft__row_init(weft_channel *ch);                 /* channel->row */
void weft__client_call_abort(weft__client_call *call); /* not started */
/* Ends a call: its callback runs later, or now if inline_ok (we are in a fresh
 * stack of our own).  message NULL: call->result.message stands already. */
void weft__client_call_end(weft__client_call *call, weft_status status,
                           const char *message, bool inline_ok);
WEFT__COLD void weft__client_call_endf(weft__client_call *call,
                                       weft_status status, bool inline_ok,
                                       const char *fmt, ...) WEFT_PRINTF(4, 5);
/* An answer for it has come. */
void weft__client_call_answered(weft__client_call *call,
                                const weft__wire_event *event);

/* request.c */
/* Of so many bytes the caller may lend what he has; fewer are copied. */
#define WEFT__LEND_BYTES 512
/* Memory for the first n of the len bytes of one that is large or lent, which
 * is call->shared then.  NULL: there is none. */
uint8_t *weft__request_new(weft__client_call *call, size_t n, size_t len);
/* The others; release(arg) is called once, when nobody needs them any more. */
void weft__request_lend(weft__client_call *call, weft__slice lent,
                        void (*release)(void *arg), void *arg);
/* Once more for the wire, which may need it until payload->release. */
void weft__request_share(weft__request *shared, weft__payload *payload);
/* The call needs its shared one no longer. */
void weft__request_drop(weft__client_call *call);

/* result.c: what weft_current_result() gives; the call is NULL for a refusal.
 */
extern _Thread_local weft__client_call *weft__current_call;
extern _Thread_local const weft_result *weft__current_result;

/* dispatch.c */
/* Sends call, ends it, or lets it wait.  now: of the loop, in nanoseconds. */
void weft__dispatch(weft__client_call *call, uint64_t now);
void weft__wait_remove(weft__client_call *call);
/* Waiting calls try again, at the end of the batch: capacity was won, or (all)
 * something changed that may end some of them. */
void weft__channel_kick(weft_channel *ch, bool all);
/* What keeps calls from being sent now, or "". */
void weft__channel_why_waiting(const weft_channel *ch, char *out, size_t size);
/* Gives the pick and the place on the connection back. */
void weft__attempt_release(weft__attempt *attempt, weft_status status);
/* The attempt's connection has gone or refused it: the call goes elsewhere if
 * that is safe (sent is not MAYBE), else it ends with status. */
void weft__attempt_lost(weft__attempt *attempt, weft_sent sent,
                        weft_status status, const char *why);
void weft__attempt_refused(weft__attempt *attempt);

/* client_conn.c */
extern const weft__conn_handler weft__client_conn_handler;
weft_status weft__client_conn_open(weft__subchannel *sub);
weft__client_conn *weft__client_conn_usable(weft__subchannel *sub);
/* Reset on the wire, off the list. */
void weft__client_conn_abandon(weft__attempt *attempt, weft_status why);
void weft__client_conn_leave(weft__client_conn *cc);
void weft__client_conn_check_idle(weft__client_conn *cc);

/* subchannel.c */
weft_status weft__sub_new(weft__subchannel **out, weft_channel *ch,
                          const weft_endpoint *e);
void weft__sub_want(weft__subchannel *sub); /* IDLE: connect when it may */
void weft__sub_set_listed(weft__subchannel *sub, bool listed);
/* Tells the balancer; also when only the weight has changed.  False: no memory,
 * all is as it was; taking an endpoint out needs none. */
bool weft__sub_set_usable(weft__subchannel *sub, bool usable);
void weft__sub_conn_ready(weft__subchannel *sub);
void weft__sub_conn_leaving(weft__subchannel *sub, uint64_t lived_ms);
/* One of its connections has gone (or could not be opened). */
void weft__sub_conn_lost(weft__subchannel *sub, bool was_ready, bool idle,
                         uint64_t lived_ms, const char *why);
void weft__sub_unlist(weft__subchannel *sub);
void weft__sub_list_init(weft__sub_list *list);
void weft__sub_release_if_done(weft__subchannel *sub);
void weft__connect_queued(weft_channel *ch);

/* channel_list.c */
void weft__channel_connect_idle(weft_channel *ch);
void weft__channel_take_over(weft_timer *timer, void *user);
void weft__channel_on_list(const weft_endpoints *list, weft_status status,
                           const char *text, void *user);

/* channel_group.c; all of it is nothing to a channel on one loop. */
/* The part that the calling thread's loop has.  NULL: it runs none of the
 * group's, or there is none any more, or no memory for it. */
weft_channel *weft__channel_of_thread(weft_channel *front);
static inline weft_channel *weft__channel_here(weft_channel *ch)
{
    return ch == NULL || ch->team == NULL ? ch : weft__channel_of_thread(ch);
}
/* For parts other than the front. */
weft_status weft__channel_team_activate(weft_channel *ch);
/* False: this is not the thread to do it. */
bool weft__channel_team_close(weft_channel *ch);
bool weft__channel_team_closed(const weft_channel *ch);
void weft__channel_team_free(weft_channel *ch);
const weft__watch_sub *weft__channel_team_watch(const weft_channel *ch);

/* stub.c */
void weft__paths_free(weft_channel *ch);

/* channel.c */
/* The first call of a lazy channel, and each later one: begins to resolve, and
 * wakes what is idle.  why is a sentence, valid until the next call. */
weft_status weft__channel_activate(weft_channel *ch, const char **why);
void weft__channel_reap_if_done(weft_channel *ch);

#endif /* WEFT_CLIENT_INTERNAL_H */
