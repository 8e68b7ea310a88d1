/* server_internal.h - the server's side: services, connections, calls, phases.
 *
 *  server --< listener --< connection --< call
 *
 * The way of a call: server_conn.c hears of it and decides whether it is taken;
 * server_request.c decodes it and runs the handler, which answers through
 * call_api.c; server_call.c ends it, server_reply.c tells the peer.
 *
 *  S1. A call has two ends: `ended`, the peer has been told or is gone, and
 *      `answered`, the handler has spoken. Whichever comes first; the record,
 *      its arena and the handle go with the second.  Between them it is
 *      "unanswered", and still counts among those in flight.
 *
 *  S2. A record also outlives its handler's stack frame, its on_end callbacks,
 *      and the output that lies in its arena.
 *
 *  S3. A server only moves forward through its phases, from deferred functions
 *      and its own timer, never on the stack of a user's call
 *      (server_phase.c).
 *
 *  S4. The server's memory goes from a deferred function, when it has been
 *      freed, has closed, and no handler holds a call; or with the loop. */
#ifndef WEFT_SERVER_INTERNAL_H
#define WEFT_SERVER_INTERNAL_H

#include "hash_internal.h"
#include "rpc_internal.h"
#include <string.h>
#include <weft/hint.h>
#include <weft/http_server.h>
#include <weft/listener.h>
#include <weft/log.h>
#include <weft/plugin_internal.h>
#include <weft/protobuf.h>
#include <weft/server.h>
#include <weft/timer.h>

/* ---- Lists: links in a ring whose head is a link too ---- */

typedef struct weft__link {
    struct weft__link *next, *prev; /* NULL: not linked */
} weft__link;

#define WEFT__OF(type, member, link)                                           \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void weft__ring_init(weft__link *head)
{
    head->next = head->prev = head;
}

static inline bool weft__ring_empty(const weft__link *head)
{
    return head->next == head;
}

static inline void weft__ring_push(weft__link *head, weft__link *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

static inline void weft__ring_remove(weft__link *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* ---- Services (service.c) ---- */

typedef struct weft__method {
    ProtobufCService *impl;
    const ProtobufCMethodDescriptor *desc;
    unsigned index;
    const char *service; /* as registered */
    weft_pool *pool;     /* its handler runs there; NULL: on the loop */
    char *path;          /* "/service/method"; owned */
    size_t path_len;
    weft_histogram *latency; /* of the calls that were taken, one per loop of
                                the server's group, or of this loop alone */
    UT_hash_handle hh;       /* by path */
} weft__method;

typedef struct weft__service {
    struct weft__service *next;
    char *name;
    ProtobufCService *impl;
    weft_service_maker make; /* NULL: impl serves all loops */
    void (*release)(ProtobufCService *impl, void *user);
    void *user;
    unsigned n_methods;
    weft__method methods[];
} weft__service;

typedef struct weft__services {
    weft__service *first, *last_added;
    size_t n;
    weft__method *by_path;
    weft__method *last; /* found */
} weft__services;

/* EINVAL, EEXIST, ENOMEM; *why is static. */
weft_status weft__services_add(weft__services *s, const char *name,
                               ProtobufCService *impl, const char **why);
void weft__services_fini(weft__services *s);
weft__method *weft__services_method(const weft__services *s, const char *path);

typedef enum weft__lookup {
    WEFT__FOUND,
    WEFT__NO_METHOD,
    WEFT__NO_SERVICE,
    WEFT__BAD_PATH
} weft__lookup;

/* Finds what stands at path, hashing at most once; if nothing does, its parts
 * before and behind the last slash.  v0: a gorpc server looks at the method
 * only, so with one service that one is meant. */
weft__lookup weft__services_find(weft__services *s, weft__slice path, bool v0,
                                 const weft__method **method,
                                 weft__slice *service, weft__slice *name);

/* The slot of the generated struct; NULL when the service left it so. */
typedef void (*weft__handler)(void *self, const ProtobufCMessage *in,
                              ProtobufCClosure closure, void *closure_data);
weft__handler weft__method_handler(const weft__method *method);

/* ---- Calls (server_call.c) ---- */

typedef struct weft__server_call weft__server_call;
typedef struct weft__server_conn weft__server_conn;

typedef struct weft__end_cb {
    struct weft__end_cb *next;
    weft_call_end_cb cb;
    void *user;
} weft__end_cb;

/* Records are of one size; what a small call needs lies inside.  With
 * malloc()'s words and the places in the tables of handles and ids that comes
 * to 1 KiB: a million of them may be in flight. */
#define WEFT__CALL_BYTES 992
#define WEFT__CALL_FIRST 576

struct weft__server_call {
    /* The record's, also while it is pooled. */
    weft__link link; /* server->calls, oldest first, if it outlives the return
                        of its handler */
    uint64_t handle; /* another one for each call; 0: none yet */

    /* Cleared for each call. */
    weft__link conn_link; /* conn->calls, until answered, likewise */
    weft_metadata metadata;
    weft_metadata out_metadata;
    weft__slice out_details;
    weft_timer timer;
    weft__end_cb *end_cbs;
    weft__deferred end_deferred;
    weft__under *unders;
    struct weft__offload *offload; /* its handler is on a pool; or NULL */
    size_t charged_bytes;
    bool ended, answered;
    bool lends;   /* output that waits lies in its arena */
    uint8_t busy; /* its handler or an on_end callback is on the stack */

    /* Set for each call. */
    bool v0;
    weft_status told;
    weft_server *server;
    weft__server_conn *conn; /* NULL: gone */
    const char *peer;        /* NULL: nobody has asked, and conn is there */
    weft__stream_id stream;
    const weft__method *method; /* NULL: the fallback's */
    const char *service, *name, *path;
    const char *content_type, *trace;
    uint64_t begun_ns;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint32_t timeout_ms;
    size_t payload_bytes;
    weft_arena arena;
    _Alignas(max_align_t) uint8_t first[WEFT__CALL_FIRST];
};
_Static_assert(sizeof(weft__server_call) <= WEFT__CALL_BYTES,
               "a call's record has outgrown its size");

/* A record with an empty arena; NULL: out of memory. */
weft__server_call *weft__server_call_new(weft_server *s);
void weft__server_call_free(weft__server_call *call);
/* S2. */
void weft__server_call_free_if_done(weft__server_call *call);
void weft__server_calls_free_all(weft_server *server);

/* The handler's answer.  r's release has run, or will. */
void weft__server_call_answer(weft__server_call *call,
                              const weft__wire_response *r);
/* The handler will not answer, which need not be told. */
void weft__server_call_forgo(weft__server_call *call);
/* The framework's: the peer is told unless it is gone (text NULL). */
void weft__server_call_end(weft__server_call *call, weft_status status,
                           const char *text);
/* Its connection has gone. */
void weft__server_call_detach(weft__server_call *call);
/* Text of the peer's address, in the arena; "": there was no memory. */
const char *weft__server_call_peer(weft__server_call *call);
/* Queues the on_end callbacks of a call that has ended. */
void weft__server_call_tell_end(weft__server_call *call);
void weft__server_call_arm(weft__server_call *call); /* its deadline */

/* ---- The way in (server_request.c) ---- */

/* A call has come and is to be taken: makes the record and runs the handler. It
 * was given timeout_ms, of which left_ms are left. */
void weft__server_call_begin(weft__server_conn *sc,
                             const weft__wire_event *event,
                             const weft__method *method, weft__slice service,
                             weft__slice name, uint32_t timeout_ms,
                             uint32_t left_ms);

/* ---- The way out (server_reply.c, call_api.c) ---- */

/* Longest text of the framework's own failures. */
#define WEFT__FAILURE_TEXT 512

/* What gorpc's server says whenever it has nothing to say, verbatim. */
extern const char weft__v0_failure[];

/* What a handler's closure says, into r, which is zeroed: the message, or,
 * NULL, that it has failed. */
static inline void weft__closure_response(weft__wire_response *r,
                                          const weft__server_call *call,
                                          const ProtobufCMessage *message,
                                          const weft_metadata *metadata,
                                          const weft__slice *details)
{
    if (message != NULL) {
        weft__payload_set_message(&r->payload, message);
        r->metadata = *metadata;
        r->details = *details;
    } else {
        r->status = WEFT_INTERNAL;
        r->message =
            weft__text(call->v0 ? weft__v0_failure : "the handler failed");
    }
}

/* Sends r, or a failure in its place; returns what the peer was told.
 * CANCELLED: it is gone. */
weft_status weft__respond(weft__conn *conn, weft__stream_id stream,
                          const weft__wire_response *r);
/* Releases the payload of a response that is not sent. */
void weft__drop_payload(const weft__wire_response *r);
void weft__server_observe(weft_server *s, const char *path, const char *peer,
                          weft_status status, size_t request, size_t reply,
                          uint64_t begun_ns);

/* Answers a call that gets no record. */
WEFT__COLD void weft__server_refuse(weft__server_conn *sc,
                                    const weft__wire_event *event,
                                    weft_status status, const char *fmt, ...)
    WEFT_PRINTF(4, 5);
/* The same for what a gorpc server tells by one code and text; v1 peers are
 * told status and text. */
WEFT__COLD void weft__server_refuse_v0(weft__server_conn *sc,
                                       const weft__wire_event *event,
                                       weft_status status, const char *fmt, ...)
    WEFT_PRINTF(4, 5);
WEFT__COLD void weft__server_refuse_bad_path(weft__server_conn *sc,
                                             const weft__wire_event *event);
/* Counts and reports a call that was refused, by the wire itself maybe. */
void weft__server_count_refusal(weft__server_conn *sc,
                                const weft__wire_event *event,
                                weft_status status);

/* The call whose handler is on this thread's stack, which needs no look-up. */
extern _Thread_local weft__server_call *weft__server_call_running;
/* NULL: stale (not counted). */
weft__server_call *weft__server_call_get(weft_call *call);
/* NULL: stale, counted as a second answer. */
weft__server_call *weft__server_call_to_answer(weft_call *call);

/* Bytes from a peer for texts and logs: printable, NUL-terminated, cut. */
const char *weft__printable(weft__slice s, char *buf, size_t size);

/* ---- Connections (server_conn.c) ---- */

/* Its connection's owner_bytes: lies right in front of it. */
struct weft__server_conn {
    weft__link link;   /* server->conns; while paused server->paused, first to
                          pause first to resume */
    weft__link *calls; /* one in a ring of those that outlived the return of
                          their handler; NULL: there is none */
    weft_server *server;
    uint32_t in_flight;
    bool paused, goaway, v0;
};

static inline weft__conn *weft__conn_of(const weft__server_conn *sc)
{
    return (weft__conn *)(uintptr_t)(sc + 1);
}

void weft__server_conn_add(weft__server_conn *sc, weft__server_call *call);
void weft__server_conn_remove(weft__server_conn *sc, weft__server_call *call);

extern const weft__conn_handler weft__server_conn_handler;
extern const weft__listener_handler weft__server_listener_handler;

/* Requests take and give back room under max_in_flight_bytes; above it the
 * connections that send on are paused. */
void weft__budget_charge(weft__server_conn *sc, size_t bytes);
void weft__budget_release(weft_server *server, size_t bytes);
void weft__server_conn_goaway(weft__server_conn *sc);

/* ---- Server ---- */

typedef struct weft__server_listener {
    struct weft__server_listener *next;
    weft_server *server;
    weft__listener *listener;
    weft__conn_conf conn_conf; /* its connections borrow it */
    char uri[];
} weft__server_listener;

/* One phase of one plugin. */
typedef struct weft__plugin_phase {
    weft_plugin_done done; /* first */
    weft_server *server;
    bool called, ended;
    weft_status status;
    char message[200];
} weft__plugin_phase;

typedef struct weft__server_plugin {
    struct weft__server_plugin *next, *prev;
    weft_plugin *plugin;
    weft__plugin_phase init, draining, close;
} weft__server_plugin;

typedef enum weft__phase {
    WEFT__PHASE_NEW,
    WEFT__PHASE_INIT,
    WEFT__PHASE_SPREADING, /* the other loops of the group begin to serve */
    WEFT__PHASE_SERVING,
    WEFT__PHASE_LEAVING,   /* plugins leave discovery */
    WEFT__PHASE_LAME_DUCK, /* clients notice */
    WEFT__PHASE_FINISHING, /* nobody new; what is in flight ends */
    WEFT__PHASE_CLOSING,   /* connections close */
    WEFT__PHASE_UNLOADING, /* plugins close */
    WEFT__PHASE_CLOSED
} weft__phase;

typedef struct weft__server_waiter {
    struct weft__server_waiter *next;
    weft_server_cb cb;
    void *user;
} weft__server_waiter;

struct weft_server {
    /* What every call needs comes first: between two of them the kernel has had
     * the near caches to itself. */
    weft_loop *loop;
    weft_server_conf conf;
    weft__phase phase;
    uint32_t n_calls;  /* not answered */
    uint32_t n_active; /* not ended */
    uint32_t n_call_pool;
    weft__link *call_pool;     /* linked by next alone */
    struct weft__shard *shard; /* of a group's server, for a loop behind the
                                  first; NULL: it is none */
    weft__time *time;          /* where the call that ended last counts */
    weft_server_stats stats;
    weft__services services;
    weft__conn_share conn_share;
    uint64_t in_flight_bytes;
    weft__conn_conf conn_conf; /* of the listeners to come */
    weft_raw_handler fallback;
    void *fallback_user;
    weft__link conns, paused, calls;
    uint32_t n_conns;
    weft__deferred resume;
    weft_histogram *latency; /* of its calls, likewise; NULL: not started */

    char *forward;      /* conf.forward_metadata */
    weft_status status; /* of the first setup failure, or of the start */
    char error[256];
    weft__server_listener *listeners, **listeners_tail;
    size_t n_listeners;
    weft__http_server *http;
    uint32_t n_http;
    bool unhealthy;

    weft__deferred advance;
    weft_timer timer; /* of the phase */
    bool timed_out;
    bool drain_wanted;
    bool freed;       /* by its owner */
    bool loop_ends;   /* by the loop: the memory goes when it has closed */
    bool hurry;       /* waits for nothing any more */
    unsigned hurried; /* steps through CLOSING in a hurry */
    bool advancing;   /* the walk through the phases is on the stack */
    bool cancelled_calls;
    bool start_failed;
    uint32_t drain_ms;
    uint64_t finish_by_ms;  /* of FINISHING; UINT64_MAX: none */
    uint64_t settle_by_ms;  /* FINISHING: late comers show themselves by then */
    weft_status end_status; /* what calls that are cut off are told */
    weft__server_waiter *start_waiter, *drain_waiters;
    struct weft__server_run *run; /* of weft_server_run, on its stack */
    struct weft__shards *shards;  /* on a group: those of the other loops */
    weft__deferred publish;

    weft__server_plugin *plugins, *plugins_last;
    weft__server_plugin *at; /* whose init or close is under way, or next */
    weft_plugin_host host;
    const char **host_services; /* host's arrays */
    weft_address *host_addresses;

    weft_log_limit limit_log, unanswered_log;
    const weft__server_conn *observed_conn; /* whose peer this is, or NULL */
    char observed_peer[WEFT_ADDRESS_TEXT];

    weft__loop_child child;
    weft__dumpable dumpable;
    weft__deferred reap;
};

/* server.c */
weft_status weft__server_fail(weft_server *s, weft_status status,
                              const char *fmt, ...) WEFT_PRINTF(3, 4);
size_t weft__server_connections(const weft_server *s);
/* Queues the end of the memory if S4 allows it. */
void weft__server_reap_if_done(weft_server *s);

/* server_phase.c */
void weft__phase_init(weft_server *s);
const char *weft__phase_name(const weft_server *s);
const char *weft__phase_text(weft__phase phase);
/* Something has changed that a phase may wait for. */
void weft__server_advance_later(weft_server *s);
/* As weft_server_drain(), but cannot fail. */
void weft__server_want_drain(weft_server *s, uint32_t drain_ms);
/* Skips to CLOSING, at the latest; calls in flight are told status. */
void weft__server_end_now(weft_server *s, weft_status status);

/* server_run.c */
void weft__server_run_ended(weft_server *s);

/* server_plugins.c */
weft_status weft__plugins_make_host(weft_server *s);
void weft__plugins_begin_init(weft_server *s);
bool weft__plugins_initialised(weft_server *s);
void weft__plugins_serving(weft_server *s);
void weft__plugins_begin_leave(weft_server *s);
bool weft__plugins_left(weft_server *s);
void weft__plugins_begin_close(weft_server *s);
bool weft__plugins_closed(weft_server *s);
void weft__plugins_free(weft_server *s);

/* server_drain.c */
void weft__drain_begin_finish(weft_server *s);
bool weft__drain_finished(weft_server *s);
void weft__drain_begin_close(weft_server *s);
bool weft__drain_closed(weft_server *s);
void weft__drain_call_ended(weft_server *s); /* n_active has fallen */
void weft__drain_shorten(weft_server *s);    /* drain_ms has */

/* Nothing is waited for, or only what cannot be cut short. */
bool weft__server_ends_at_once(const weft_server *s);

/* server_group.c: what the server on a group's first loop asks of the others.
 * All of it is nothing to a server on one loop. */
weft_status weft__shards_make(weft_server *s, weft_group *group);
void weft__shards_free(weft_server *s);
void weft__shards_begin_start(weft_server *s);
bool weft__shards_started(weft_server *s);
void weft__shards_phase(weft_server *s); /* s->phase has changed */
void weft__shards_drain(weft_server *s);
void weft__shards_end(weft_server *s, weft_status status);
bool weft__shards_closed(weft_server *s);
void weft__shards_add_stats(const weft_server *s, weft_server_stats *sum);
size_t weft__shards_loops(const weft_server *s); /* 1, or the group's */
/* And what one of the others tells. */
void weft__shard_closed(weft_server *s);
void weft__shard_publish_later(weft_server *s); /* its statistics */
static inline void weft__shard_changed(weft_server *s)
{
    if (s->shard != NULL)
        weft__shard_publish_later(s);
}
/* Of all loops: what keeps /health from 200, into text; false: nothing. */
bool weft__shards_ill(weft_server *s, char *text, size_t size);

/* server_latency.c */
weft_status weft__latency_make(weft_server *s); /* when it starts */
void weft__latency_free(weft_server *s);
void weft__latency_dump(const weft_server *s, FILE *file);
/* It has ended.  Calls come in rows of the same method, and those that one
 * callback read began at the same time. */
static inline void weft__latency_count(weft_server *s,
                                       const weft__server_call *call)
{
    weft_histogram *into =
        call->method != NULL ? call->method->latency : s->latency;

    if (s->time->into == into && s->time->begun_ns == call->begun_ns)
        s->time->n++;
    else
        s->time = weft__loop_time(s->loop, into, call->begun_ns);
}

/* server_health.c */
weft_status weft__server_health_open(weft_server *s);

/* server_dump.c */
void weft__server_dump(weft__dumpable *self, FILE *file);
void weft__server_log_conf(const weft_server *s);

#endif /* WEFT_SERVER_INTERNAL_H */
