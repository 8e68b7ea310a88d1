/* weft/resolver.h - turns a target such as "consul:///greeter" into endpoints.
 *
 * A target is a URI; its scheme chooses the resolver.  Built in:
 *
 *     static:///10.0.0.7:80,10.0.0.8:80;weight=5     a fixed list; weight 100
 *                                                    unless said, 1 to 65535
 *     unix:///run/greeter.sock                       one socket
 *     inproc:///name                                 within this process
 *     consul://agent:8500/service?dc=&tag=...        weft/consul.h
 *     consul+kv://agent:8500/service                 gorpc's layout of keys
 *
 * A resolver runs on the loop, blocks never, and keeps looking until it is
 * closed: each change is published as a whole list.  Channels of one loop that
 * name the same target share one watch, and so one resolver.
 *
 * To write one: copy discovery/static_resolver.c, and register its ops. */
#ifndef WEFT_RESOLVER_H
#define WEFT_RESOLVER_H

#include <weft/endpoint.h>
#include <weft/loop.h>

WEFT_BEGIN_DECLS

/* One target that is being watched; a resolver's way to speak.  Borrowed from
 * start until close. */
typedef struct weft_watch weft_watch;

/* What a watch knows.  Ages are in milliseconds of the loop's clock, UINT64_MAX
 * when there has been none.  Texts are borrowed until the next callback. */
typedef struct weft_watch_info {
    const char *target; /* canonical: parameters sorted */
    const char *state;  /* the resolver's word for what it does; "" if none */
    size_t subscribers;
    bool has_list;
    bool from_cache;     /* the list is of an earlier run */
    bool degraded;       /* the source says that it may be behind */
    size_t count;        /* endpoints in the list */
    uint64_t age_ms;     /* since the source last confirmed the list */
    uint64_t changed_ms; /* since the list last changed */
    uint64_t changes;    /* how often it did */
    uint64_t index;      /* Consul's index, or 0 */
    uint64_t requests;   /* sent to the source */
    uint64_t skipped;    /* entries that could not be used, last time */
    uint32_t failures;   /* in a row */
    weft_status error;   /* the last one, OK if there has been none */
    const char *error_text;
    uint64_t error_ms; /* since it happened */
} weft_watch_info;

/* All entries run on the loop's thread. */
typedef struct weft_resolver_ops {
    const char *scheme; /* "consul"; lower case */
    size_t self_size;   /* the framework zero-allocates self for you */

    /* Checks the target (weft_watch_path() and so on) and begins to look.  An
     * error says that the target can never work: call weft_watch_fail() before
     * you return it, so that there is a sentence.  A source that is down is no
     * error here. */
    weft_status (*start)(void *self, weft_watch *watch);

    /* Stops looking and releases what self owns; also after start failed.  Once
     * it returns, the watch may not be used.  self itself goes when the stack
     * has unwound. */
    void (*close)(void *self);

    /* Optional.  Fills in state, degraded, from_cache, index, requests, skipped
     * and failures. */
    void (*info)(void *self, weft_watch_info *info);
} weft_resolver_ops;

/* Borrows ops for the life of the process.  EINVAL: a mandatory entry is NULL;
 * EEXIST: the scheme is taken. */
WEFT_API weft_status weft_resolver_register(const weft_resolver_ops *ops);

/* The parts of the target, percent-decoded, borrowed as the watch is. */
WEFT_API weft_loop *weft_watch_loop(const weft_watch *watch);
WEFT_API const char *weft_watch_target(const weft_watch *watch);
WEFT_API const char *weft_watch_authority(const weft_watch *watch);
WEFT_API const char *
weft_watch_path(const weft_watch *watch); /* no leading / */
/* The first parameter of that name; "" for "?passing", NULL when absent. */
WEFT_API const char *weft_watch_param(const weft_watch *watch,
                                      const char *name);
/* The i-th parameter, sorted by name; false behind the last. */
WEFT_API bool weft_watch_param_at(const weft_watch *watch, size_t i,
                                  const char **name, const char **value);

/* Takes list: it is the truth from now on.  A list equal to the last one only
 * confirms it.  Subscribers hear of it later, never on this stack. */
WEFT_API void weft_watch_publish(weft_watch *watch, weft_endpoints *list);

/* The source could not be asked, or said nonsense; go on trying.  The last list
 * stays.  Subscribers hear of it only while there is no list.  text is copied.
 */
WEFT_API void weft_watch_fail(weft_watch *watch, weft_status status,
                              const char *fmt, ...) WEFT_PRINTF(3, 4);

/* The current list, borrowed, or NULL. */
WEFT_API const weft_endpoints *weft_watch_list(const weft_watch *watch);

/* What is known of the watch of a target; ENOENT when nobody watches it,
 * ESYNTAX. */
WEFT_API weft_status weft_watch_find_info(weft_loop *loop, const char *target,
                                          weft_watch_info *out);

/* Every watch of the loop, in the order of their making; fn may not make or end
 * any. */
WEFT_API void weft_watch_each(weft_loop *loop,
                              void (*fn)(const weft_watch_info *info,
                                         void *user),
                              void *user);

WEFT_END_DECLS

#endif /* WEFT_RESOLVER_H */
