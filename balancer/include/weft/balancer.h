/* weft/balancer.h - chooses one endpoint for one call.
 *
 * A balancer sees slots: small numbers that the channel gives to endpoints and
 * that stay the same as long as an endpoint is known, whatever happens to the
 * list around it.  So counters survive a changed list by construction, and no
 * policy has to compare lists.  To write one: copy the nearest file of
 * balancer/, and register its ops. */
#ifndef WEFT_BALANCER_H
#define WEFT_BALANCER_H

#include <weft/status.h>

WEFT_BEGIN_DECLS

/* What a slot is from now on. */
typedef struct weft_balancer_change {
    uint32_t slot;
    uint32_t weight; /* 1 to 65535; 0: calls may not go there (any more) */
    uint64_t id;     /* hash of the endpoint's address: the same everywhere */
} weft_balancer_change;

typedef struct weft_pick_args {
    uint64_t hash;         /* of the call's hash key; 0 when it has none */
    const uint32_t *tried; /* slots to avoid if others remain */
    size_t n_tried;        /* of more than 32, the last 32 count */
    uint64_t now_ns;
} weft_pick_args;

typedef struct weft_pick_outcome {
    weft_status status;
    uint64_t latency_ns; /* from the pick to the end of the call */
    uint64_t now_ns;
} weft_pick_outcome;

/* All entry points run on the channel's loop.  None may block or call back into
 * the channel; pick and done allocate nothing and cost O(1) or O(log n). */
typedef struct weft_balancer_ops {
    const char *name; /* registry key, such as "least_request" */
    size_t self_size; /* the framework zero-allocates self for you */

    weft_status (*init)(void *self, uint64_t seed); /* optional */

    /* Optional.  Releases what self owns; legal on a zeroed self. */
    void (*fini)(void *self);

    /* Takes over n changes, each slot at most once.  Slots are dense: the next
     * unused number is given first, and a slot that went is used again only
     * after its last done().  On error nothing has changed. */
    weft_status (*update)(void *self, const weft_balancer_change *changes,
                          size_t n);

    /* UNAVAILABLE when no slot is usable; *slot is then untouched.  Each
     * success is followed by exactly one done() with that slot. */
    weft_status (*pick)(void *self, const weft_pick_args *args, uint32_t *slot);
    void (*done)(void *self, uint32_t slot, const weft_pick_outcome *outcome);
} weft_balancer_ops;

/* Borrows ops for the life of the process.  EINVAL: a mandatory entry is NULL.
 * EEXIST: the name is taken.  Built in: random, round_robin,
 * weighted_round_robin, least_request. */
WEFT_API weft_status weft_balancer_register(const weft_balancer_ops *ops);

/* NULL when there is none of that name. */
WEFT_API const weft_balancer_ops *weft_balancer_find(const char *name);

/* "random, round_robin, ..." for error texts, cut to size.  Returns buf. */
WEFT_API const char *weft_balancer_names(char *buf, size_t size);

WEFT_END_DECLS

#endif /* WEFT_BALANCER_H */
