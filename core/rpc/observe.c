/* observe.c - who is told of every finished call. */
#include "rpc_internal.h"

#include <weft/mem.h>
#include <weft/resolver.h>

typedef struct observer {
    struct observer *next;
    weft_observe_cb cb; /* NULL: removed while an observation goes round */
    void *user;
} observer;

typedef struct observers {
    observer *first;
    weft__dumpable *dumpables;
    unsigned emitting;
    bool removed; /* some cb is NULL */
} observers;

/* Frees those whose cb is NULL, or all. */
static void sweep(observers *o, bool all)
{
    observer **link = &o->first, *it;

    while ((it = *link) != NULL) {
        if (all || it->cb == NULL) {
            *link = it->next;
            weft_free(it);
        } else {
            link = &it->next;
        }
    }
    o->removed = false;
}

static void observers_free(void *object)
{
    observers *o = object;

    sweep(o, true);
    while (o->dumpables != NULL)
        weft__dump_remove(o->dumpables);
    weft_free(o);
}

static observers *find(const weft_loop *loop)
{
    return weft__loop_local_get(loop, WEFT__LOCAL_OBSERVERS);
}

static observers *find_or_make(weft_loop *loop)
{
    observers *o = find(loop);

    if (o != NULL || (o = weft_calloc(1, sizeof(*o))) == NULL)
        return o;
    weft__loop_local_set(loop, WEFT__LOCAL_OBSERVERS, o, observers_free);
    return o;
}

weft_status weft_observe(weft_loop *loop, weft_observe_cb cb, void *user)
{
    observers *o;
    observer *it, **link;

    if (loop == NULL || cb == NULL)
        return WEFT_EINVAL;
    if ((o = find_or_make(loop)) == NULL ||
        (it = weft_calloc(1, sizeof(*it))) == NULL)
        return WEFT_ENOMEM;
    it->cb = cb;
    it->user = user;
    for (link = &o->first; *link != NULL; link = &(*link)->next)
        ;
    *link = it;
    return WEFT_OK;
}

void weft_unobserve(weft_loop *loop, weft_observe_cb cb, void *user)
{
    observers *o = loop == NULL ? NULL : find(loop);
    observer *it;

    if (o == NULL || cb == NULL)
        return;
    for (it = o->first; it != NULL; it = it->next) {
        if (it->cb == cb && it->user == user) {
            it->cb = NULL;
            o->removed = true;
            break;
        }
    }
    if (o->removed && o->emitting == 0)
        sweep(o, false);
}

bool weft__observed(const weft_loop *loop)
{
    const observers *o = find(loop);

    return o != NULL && o->first != NULL;
}

void weft__observe_emit(weft_loop *loop, const weft_observation *observation)
{
    observers *o = find(loop);
    observer *it;

    if (o == NULL)
        return;
    o->emitting++;
    for (it = o->first; it != NULL; it = it->next) {
        if (it->cb != NULL)
            it->cb(observation, it->user);
    }
    o->emitting--;
    if (o->removed && o->emitting == 0)
        sweep(o, false);
}

/* ---- Dump ---- */

weft_status weft__dump_add(weft_loop *loop, weft__dumpable *d)
{
    observers *o = find_or_make(loop);

    if (o == NULL)
        return WEFT_ENOMEM;
    d->next = o->dumpables;
    d->pprev = &o->dumpables;
    if (d->next != NULL)
        d->next->pprev = &d->next;
    o->dumpables = d;
    return WEFT_OK;
}

void weft__dump_remove(weft__dumpable *d)
{
    if (d->pprev == NULL)
        return;
    *d->pprev = d->next;
    if (d->next != NULL)
        d->next->pprev = d->pprev;
    d->next = NULL;
    d->pprev = NULL;
}

static void dump_ms(FILE *file, const char *name, uint64_t ms)
{
    if (ms != UINT64_MAX)
        fprintf(file, " %s=%llu", name, (unsigned long long)ms);
}

static void dump_us(FILE *file, const char *name, uint64_t ns)
{
    fprintf(file, " %s=%llu", name, (unsigned long long)ns / 1000);
}

void weft__dump_latency(const weft_histogram *h, FILE *file)
{
    fprintf(file, " calls=%llu", (unsigned long long)weft_histogram_count(h));
    dump_us(file, "p50_us", weft_histogram_quantile_ns(h, 0.5));
    dump_us(file, "p99_us", weft_histogram_quantile_ns(h, 0.99));
    dump_us(file, "p999_us", weft_histogram_quantile_ns(h, 0.999));
    dump_us(file, "max_us", h->max_ns);
}

static void dump_watch(const weft_watch_info *w, void *user)
{
    FILE *file = user;

    fprintf(file, "watch %s %s subscribers=%zu endpoints=%zu%s%s index=%llu",
            w->target, w->state, w->subscribers, w->count,
            w->from_cache ? " from_cache" : "", w->degraded ? " degraded" : "",
            (unsigned long long)w->index);
    dump_ms(file, "age_ms", w->age_ms);
    dump_ms(file, "changed_ms", w->changed_ms);
    fprintf(file, " failures=%u", w->failures);
    if (w->error != WEFT_OK) {
        dump_ms(file, "error_ms", w->error_ms);
        fprintf(file, " error=\"%s\"", w->error_text);
    }
    fputc('\n', file);
}

void weft_dump(weft_loop *loop, FILE *file)
{
    const observers *o;
    weft_loop_lag lag;
    weft__dumpable *d;

    if (loop == NULL || file == NULL)
        return;
    lag = weft_loop_get_lag(loop);
    fprintf(file, "loop lag_us=%llu lag_max_us=%llu late=%llu late_name=%s\n",
            (unsigned long long)lag.last_us, (unsigned long long)lag.max_us,
            (unsigned long long)lag.late,
            lag.late_name == NULL ? "" : lag.late_name);
    o = find(loop);
    for (d = o == NULL ? NULL : o->dumpables; d != NULL; d = d->next)
        d->dump(d, file);
    weft_watch_each(loop, dump_watch, file);
}
