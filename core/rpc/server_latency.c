/* server_latency.c - how long calls take, by method and by loop. */
#include "server_internal.h"

#include <weft/mem.h>

static weft__time none;

weft_status weft__latency_make(weft_server *s)
{
    size_t loops = weft__shards_loops(s), n = 1;
    weft__service *it;
    weft_histogram *next;
    unsigned i;

    s->time = &none;
    if (s->shard != NULL)
        return WEFT_OK; /* it shares the master's */
    for (it = s->services.first; it != NULL; it = it->next)
        n += it->n_methods;
    if ((next = weft_calloc(n * loops, sizeof(*next))) == NULL)
        return WEFT_ENOMEM;
    s->latency = next;
    for (it = s->services.first; it != NULL; it = it->next) {
        for (i = 0; i < it->n_methods; i++)
            it->methods[i].latency = next += loops;
    }
    return WEFT_OK;
}

void weft__latency_free(weft_server *s)
{
    if (s->shard != NULL)
        return;
    weft__loop_settle_times(s->loop);
    weft_free(s->latency);
}

static void merge(const weft_server *s, const weft_histogram *of_loops,
                  weft_histogram *out)
{
    size_t i, loops = weft__shards_loops(s);

    for (i = 0; i < loops; i++)
        weft_histogram_merge(out, &of_loops[i]);
}

static void merge_all(const weft_server *s, weft_histogram *out)
{
    const weft__service *it;
    unsigned i;

    merge(s, s->latency, out);
    for (it = s->services.first; it != NULL; it = it->next) {
        for (i = 0; i < it->n_methods; i++)
            merge(s, it->methods[i].latency, out);
    }
}

weft_status weft_server_get_latency(const weft_server *s, const char *path,
                                    weft_histogram *out)
{
    const weft__method *m = NULL;

    if (s == NULL || (path != NULL &&
                      (m = weft__services_method(&s->services, path)) == NULL))
        return WEFT_ENOENT;
    *out = (weft_histogram){0};
    if (s->latency == NULL)
        return WEFT_OK; /* not started */
    if (m != NULL)
        merge(s, m->latency, out);
    else
        merge_all(s, out);
    return WEFT_OK;
}

static void dump(const weft_server *s, const char *path,
                 const weft_histogram *of_loops, FILE *file)
{
    weft_histogram h = {0};

    merge(s, of_loops, &h);
    if (weft_histogram_count(&h) == 0)
        return;
    fprintf(file, "  method %s", path);
    weft__dump_latency(&h, file);
    fputc('\n', file);
}

void weft__latency_dump(const weft_server *s, FILE *file)
{
    const weft__service *it;
    unsigned i;

    if (s->latency == NULL)
        return;
    for (it = s->services.first; it != NULL; it = it->next) {
        for (i = 0; i < it->n_methods; i++)
            dump(s, it->methods[i].path, it->methods[i].latency, file);
    }
    dump(s, "of the fallback", s->latency, file);
}
