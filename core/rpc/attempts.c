/* attempts.c - which call an answer on a connection belongs to.
 *
 * Ids rise by one, so their low bits spread evenly without a hash function.
 * Adding cannot fail, for the request is on its way by then: without memory for
 * more buckets the chains get longer.  The table stays as it has grown: calls
 * allocate nothing once a connection has seen its load. */
#include "client_internal.h"

#include <weft/mem.h>

void weft__attempts_init(weft__attempts *t)
{
    *t = (weft__attempts){.mask = WEFT__ATTEMPTS_FIRST - 1};
    t->buckets = t->first;
}

void weft__attempts_fini(weft__attempts *t)
{
    if (t->buckets != t->first)
        weft_free(t->buckets);
}

static weft__attempt **bucket(const weft__attempts *t, weft__stream_id stream)
{
    return &t->buckets[stream & t->mask];
}

static void link_in(weft__attempts *t, weft__attempt *a)
{
    weft__attempt **b = bucket(t, a->stream);

    if ((a->next = *b) != NULL)
        a->next->pprev = &a->next;
    a->pprev = b;
    *b = a;
}

static void unlink_from(weft__attempt *a)
{
    if ((*a->pprev = a->next) != NULL)
        a->next->pprev = a->pprev;
}

static void grow(weft__attempts *t)
{
    weft__attempts bigger = {.mask = t->mask * 2 + 1, .n = t->n};

    bigger.buckets = weft_calloc(bigger.mask + 1, sizeof(bigger.buckets[0]));
    if (bigger.buckets == NULL)
        return;
    for (size_t i = 0; i <= t->mask; i++)
        for (weft__attempt *a; (a = t->buckets[i]) != NULL;) {
            unlink_from(a);
            link_in(&bigger, a);
        }
    weft__attempts_fini(t);
    t->buckets = bigger.buckets;
    t->mask = bigger.mask;
}

void weft__attempts_add(weft__attempts *t, weft__attempt *a)
{
    if (t->n > t->mask)
        grow(t);
    link_in(t, a);
    t->n++;
}

void weft__attempts_remove(weft__attempts *t, weft__attempt *a)
{
    unlink_from(a);
    t->n--;
}

weft__attempt *weft__attempts_find(const weft__attempts *t,
                                   weft__stream_id stream)
{
    weft__attempt *a = *bucket(t, stream);

    while (a != NULL && a->stream != stream)
        a = a->next;
    return a;
}

void weft__attempts_each(weft__attempts *t,
                         void (*fn)(weft__attempt *a, void *arg), void *arg)
{
    for (size_t i = 0; i <= t->mask && t->n > 0; i++)
        for (weft__attempt *a = t->buckets[i], *next; a != NULL; a = next) {
            next = a->next;
            fn(a, arg);
        }
}
