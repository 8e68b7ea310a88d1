/* registry.c - ops tables by name.
 *
 * An entry is written before n counts it (release), and never changes after:
 * that is all a reader needs. */
#include <weft/registry.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Registration is rare: one lock for all registries. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t count(const weft__registry *r)
{
    return atomic_load_explicit(&r->n, memory_order_acquire);
}

const void *weft__registry_find(const weft__registry *r, const char *name,
                                size_t name_len)
{
    size_t n = count(r);

    for (size_t i = 0; i < n; i++)
        /* A peer's name may hold a NUL: lengths first. */
        if (strlen(r->entries[i].name) == name_len &&
            memcmp(r->entries[i].name, name, name_len) == 0)
            return r->entries[i].ops;
    return NULL;
}

weft_status weft__registry_add(weft__registry *r, const char *name,
                               const void *ops)
{
    weft_status status = WEFT_OK;
    size_t n;

    if (name == NULL || *name == '\0')
        return WEFT_EINVAL;
    (void)pthread_mutex_lock(&lock);
    n = count(r);
    if (weft__registry_find(r, name, strlen(name)) != NULL) {
        status = WEFT_EEXIST;
    } else if (n == WEFT__REGISTRY_MAX) {
        status = WEFT_ELIMIT;
    } else {
        r->entries[n] = (weft__registry_entry){name, ops};
        atomic_store_explicit(&r->n, n + 1, memory_order_release);
    }
    (void)pthread_mutex_unlock(&lock);
    return status;
}

const char *weft__registry_names(const weft__registry *r, char *buf,
                                 size_t size)
{
    size_t n = count(r), at = 0;

    if (size > 0)
        buf[0] = '\0';
    for (size_t i = 0; i < n && at < size; i++) {
        int wrote = snprintf(buf + at, size - at, "%s%s", i > 0 ? ", " : "",
                             r->entries[i].name);

        if (wrote < 0)
            break;
        at += (size_t)wrote;
    }
    return buf;
}
