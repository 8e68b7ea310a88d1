/* weft/observe.h - every finished call, and everything there is.
 *
 * Logging, metrics and pages are built on these two. */
#ifndef WEFT_OBSERVE_H
#define WEFT_OBSERVE_H

#include <stdio.h>
#include <weft/loop.h>

WEFT_BEGIN_DECLS

/* Borrowed for the callback. */
typedef struct weft_observation {
    bool server;                         /* the side that reports */
    const char *path;                    /* "/package.Service/Method" */
    const char *peer;                    /* or "" */
    weft_status status;                  /* 0 to 16 */
    uint64_t request_bytes, reply_bytes; /* payloads */
    /* Client: until an endpoint was known, until a connection was, until the
     * reply.  Server: 0, 0, and the handler's time. */
    uint64_t resolving_us, connecting_us, waiting_us;
} weft_observation;

typedef void (*weft_observe_cb)(const weft_observation *o, void *user);

/* Reports every call that finishes on loop, on both sides, until
 * weft_unobserve().  May not close anything.  ENOMEM. */
WEFT_API weft_status weft_observe(weft_loop *loop, weft_observe_cb cb,
                                  void *user);
WEFT_API void weft_unobserve(weft_loop *loop, weft_observe_cb cb, void *user);

/* Writes what is on loop: servers, channels, watches, connections, calls and
 * their ages, as indented text.  Tokens and payloads never appear. */
WEFT_API void weft_dump(weft_loop *loop, FILE *file);

WEFT_END_DECLS

#endif /* WEFT_OBSERVE_H */
