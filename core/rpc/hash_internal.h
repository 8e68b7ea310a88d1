/* hash_internal.h - uthash on our memory, where a failure is seen: after
 * HASH_ADD the element's hh.tbl is NULL. */
#ifndef WEFT_HASH_INTERNAL_H
#define WEFT_HASH_INTERNAL_H

#include <weft/mem.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define uthash_malloc(size) weft_malloc(size)
#define uthash_free(p, size) weft_free(p)
#include <uthash.h>

#endif /* WEFT_HASH_INTERNAL_H */
