/* hash_internal.h - uthash on our memory, where a failure is seen: after
 * HASH_ADD the element's hh.tbl is NULL. */
#ifndef WEFT_HASH_INTERNAL_H
#define WEFT_HASH_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <weft/mem.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define uthash_malloc(size) weft_malloc(size)
#define uthash_free(p, size) weft_free(p)
#include <uthash.h>

/* FNV-1a, for keys that balancers hash: the same on every machine. */
static inline uint64_t weft__hash_bytes(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

#endif /* WEFT_HASH_INTERNAL_H */
