/* rpc_internal.h - what the server's and the client's side share. */
#ifndef WEFT_RPC_INTERNAL_H
#define WEFT_RPC_INTERNAL_H

#include <stdio.h>
#include <string.h>
#include <weft/call.h>
#include <weft/histogram.h>
#include <weft/loop_internal.h>
#include <weft/observe.h>
#include <weft/wire.h>

/* ---- Handles (handle.c): loop 8 bits, slot 24, generation 32 ---- */

typedef enum weft__handle_kind {
    WEFT__HANDLE_SERVER_CALL = 1,
    WEFT__HANDLE_CLIENT_CALL
} weft__handle_kind;

/* Gives a handle that leads to object until it is freed; 0: out of memory, or
 * 16 million are in use. */
uint64_t weft__handle_new(weft_loop *loop, weft__handle_kind kind,
                          void *object);
/* NULL: stale, of another kind, or of another thread's loop. */
void *weft__handle_get(uint64_t handle, weft__handle_kind kind);
void weft__handle_free(uint64_t handle);
/* The same for who knows the loop, and that it is its own. */
void weft__handle_drop(weft_loop *loop, uint64_t handle);
/* The next one that leads to the same object, for its next life: those before
 * it are stale.  On the handle's own loop; 0: this slot has no more. */
uint64_t weft__handle_renew(weft_loop *loop, uint64_t handle);
/* Counts a look-up that missed although its handle was given out once (a second
 * answer); false: the handle is of another thread's loop, or of none. */
bool weft__handle_stale(uint64_t handle);
uint64_t weft__handle_stale_count(const weft_loop *loop);

/* ---- Calls under a call (server_call.c) ---- */

/* Embedded in a client call; links it to the server call that it works for. */
typedef struct weft__under weft__under;
struct weft__under {
    weft__under *next, **pprev; /* pprev NULL: not linked */
    /* The parent ended before the child (deadline, cancel, drain) or has been
     * answered: the child's result interests nobody.  Unlinked before. */
    void (*parent_ended)(weft__under *under, weft_status status);
};

/* What a call under `parent` inherits; borrowed until the parent is answered.
 */
typedef struct weft__inherited {
    uint32_t time_left_ms; /* WEFT_NO_DEADLINE: none */
    const char *trace;     /* or "" */
    const weft_metadata *metadata;
    const char *forward; /* comma-separated keys of metadata to carry on */
} weft__inherited;

/* ENOENT: parent is stale; CANCELLED or DEADLINE_EXCEEDED: it has ended. */
weft_status weft__call_inherit(weft_call *parent, weft__inherited *out);
weft_status weft__call_link_under(weft_call *parent, weft__under *under);
void weft__under_unlink(weft__under *under);

/* ---- Observation (observe.c) ---- */

bool weft__observed(const weft_loop *loop);
void weft__observe_emit(weft_loop *loop, const weft_observation *o);

/* Servers and channels that weft_dump() writes. */
typedef struct weft__dumpable weft__dumpable;
struct weft__dumpable {
    weft__dumpable *next, **pprev;
    void (*dump)(weft__dumpable *self, FILE *file);
};
/* " calls=... p50_us=... p99_us=... p999_us=... max_us=..." */
void weft__dump_latency(const weft_histogram *h, FILE *file);
weft_status weft__dump_add(weft_loop *loop, weft__dumpable *d);
void weft__dump_remove(weft__dumpable *d);

#endif /* WEFT_RPC_INTERNAL_H */
