/* weft/mem.h - where memory comes from.
 *
 * All of Weft's memory comes through these, so that an application may put its
 * own allocator behind them and a test may make the n-th call fail.  Out of
 * memory is NULL, never an abort. */
#ifndef WEFT_MEM_H
#define WEFT_MEM_H

#include <weft/api.h>

WEFT_BEGIN_DECLS

typedef struct weft_mem_hooks {
    void *(*realloc)(void *p, size_t size); /* p NULL: allocate */
    void (*free)(void *p);                  /* p may be NULL */
} weft_mem_hooks;

/* Borrows hooks for the life of the process; NULL restores the C library's.
 * Call it before anything else of Weft. */
WEFT_API void weft_mem_set_hooks(const weft_mem_hooks *hooks);

/* Each gives memory that weft_free() releases; NULL when there is none, or when
 * n * size overflows. */
WEFT_API void *weft_malloc(size_t size);
WEFT_API void *weft_calloc(size_t n, size_t size);
WEFT_API void *weft_realloc(void *p, size_t size);
WEFT_API char *weft_strdup(const char *s); /* NULL gives NULL */
WEFT_API char *weft_strndup(const char *s, size_t n);
WEFT_API void weft_free(void *p); /* NULL is fine */

/* Testing: the n-th allocation from now on this thread fails, once (1 is the
 * next one); 0 turns it off.  Returns how many were still to come, so 0 says
 * that the failure has happened. */
WEFT_API unsigned weft_mem_fail_nth(unsigned nth);

WEFT_END_DECLS

#endif /* WEFT_MEM_H */
