/* offload_internal.h - a call whose handler runs on a thread of a pool.
 *
 *  O1. While the job is out, the record stays (busy), and the pool's thread
 *      reads of it what never changes once the handler has begun.  It writes
 *      to the job alone, whose arena is its own.
 *  O2. The job comes back to the loop by a post, or, when the loop ends first,
 *      is waited for there (server_call.c). */
#ifndef WEFT_OFFLOAD_INTERNAL_H
#define WEFT_OFFLOAD_INTERNAL_H

#include "server_internal.h"
#include <stdatomic.h>
#include <weft/pool_internal.h>

typedef struct weft__offload {
    weft__job job; /* first */
    weft__post post;
    weft__deferred dropped;
    weft__server_call *call;
    weft_pool *pool;
    weft_clock clock;
    const char *peer;
    weft__handler handler;
    const ProtobufCMessage *in;
    atomic_bool ended; /* the call: nobody waits for the answer */

    /* The thread's, until the job comes back. */
    bool skipped, answered;
    weft__wire_response answer;
    weft_metadata out_metadata;
    weft__slice out_details;
    weft_arena arena;
} weft__offload;

/* Hands the call to its method's pool, or refuses it. */
void weft__offload_begin(weft__server_call *call, weft__handler handler,
                         const ProtobufCMessage *in);
/* The call has ended before its handler has answered. */
void weft__offload_call_ended(weft__server_call *call);
/* The loop ends: waits for the handler if it runs. */
void weft__offload_settle(weft__server_call *call);

/* The job that this thread runs for that call, or NULL. */
weft__offload *weft__offload_here(weft_call *call);
/* On the pool's thread: keeps a copy of r, or its failure. */
void weft__offload_answer(weft__offload *job, const weft__wire_response *r);
uint32_t weft__offload_time_left_ms(const weft__offload *job);

#endif /* WEFT_OFFLOAD_INTERNAL_H */
