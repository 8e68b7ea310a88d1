/* weft/registry.h - ops tables by name: how users extend Weft.
 *
 * Balancers, resolvers, message codecs each have
 * one.  Registration is rare and may come from any thread; look-ups read
 * without a lock, for entries are only ever added. */
#ifndef WEFT_REGISTRY_H
#define WEFT_REGISTRY_H

#include <stdatomic.h>
#include <weft/status.h>

#define WEFT__REGISTRY_MAX 64

typedef struct weft__registry_entry {
    const char *name;
    const void *ops;
} weft__registry_entry;

/* Static storage, zeroed, is an empty one. */
typedef struct weft__registry {
    weft__registry_entry entries[WEFT__REGISTRY_MAX];
    atomic_size_t n;
} weft__registry;

/* Borrows name and ops for the life of the process.  EEXIST: the name is taken;
 * ELIMIT: full; EINVAL: name is NULL or empty. */
weft_status weft__registry_add(weft__registry *r, const char *name,
                               const void *ops);
const void *weft__registry_find(const weft__registry *r, const char *name,
                                size_t name_len);

/* "a, b, c" for error texts, cut to size.  Returns buf. */
const char *weft__registry_names(const weft__registry *r, char *buf,
                                 size_t size);

#endif /* WEFT_REGISTRY_H */
