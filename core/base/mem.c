/* mem.c - the allocator behind everything. */
#include <weft/mem.h>

#include <stdlib.h>
#include <string.h>

static const weft_mem_hooks c_library = {.realloc = realloc, .free = free};
static const weft_mem_hooks *hooks = &c_library;

/* Per thread, so that a test's countdown sees its own allocations only. */
static _Thread_local unsigned fail_in;

void weft_mem_set_hooks(const weft_mem_hooks *h)
{
    hooks = h != NULL ? h : &c_library;
}

unsigned weft_mem_fail_nth(unsigned nth)
{
    unsigned left = fail_in;

    fail_in = nth;
    return left;
}

void *weft_realloc(void *p, size_t size)
{
    if (fail_in != 0 && --fail_in == 0)
        return NULL;
    if (size > PTRDIFF_MAX) /* no object is larger; some hooks may abort */
        return NULL;
    return hooks->realloc(p, size != 0 ? size : 1);
}

void *weft_malloc(size_t size)
{
    return weft_realloc(NULL, size);
}

void *weft_calloc(size_t n, size_t size)
{
    void *p;

    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    if ((p = weft_malloc(n * size)) != NULL)
        memset(p, 0, n * size);
    return p;
}

char *weft_strndup(const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? weft_malloc(n + 1) : NULL;

    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *weft_strdup(const char *s)
{
    return s != NULL ? weft_strndup(s, strlen(s)) : NULL;
}

void weft_free(void *p)
{
    hooks->free(p);
}
