/* server_dump.c - what a server is doing, for weft_dump() and the debug log. */
#include "server_internal.h"

#include <stdlib.h>
#include <string.h>

enum { DUMPED = 100 /* connections and calls each; the rest is counted */ };

typedef unsigned long long ull;

static void dump_plugin(const weft__server_plugin *sp, FILE *file)
{
    fprintf(file, "  plugin %s init=%s\n", sp->plugin->ops->name,
            !sp->init.called             ? "not yet"
            : !sp->init.ended            ? "under way"
            : sp->init.status == WEFT_OK ? "done"
                                         : sp->init.message);
}

static void dump_conn(weft__server_conn *sc, FILE *file)
{
    char peer[WEFT_ADDRESS_TEXT];
    weft__conn_stats st;

    weft__conn_get_stats(weft__conn_of(sc), &st);
    fprintf(file,
            "  connection %s age_s=%u silent_ms=%u calls=%u in=%llu "
            "out=%llu unsent=%zu%s%s%s\n",
            weft__conn_peer(weft__conn_of(sc), peer, sizeof(peer)), st.age_s,
            weft__conn_silent_ms(weft__conn_of(sc)), sc->in_flight,
            (ull)st.bytes_in, (ull)st.bytes_out, st.unsent_bytes,
            sc->v0 ? " gorpc" : "", st.paused ? " paused" : "",
            st.closing ? " closing" : "");
}

static void dump_call(const weft__server_call *call, uint64_t now_ns,
                      FILE *file)
{
    char path[256];
    weft__slice raw = {(const uint8_t *)call->path, strlen(call->path)};

    fprintf(file, "  call %s age_ms=%llu timeout_ms=%u bytes=%zu state=%s\n",
            weft__printable(raw, path, sizeof(path)),
            (ull)((now_ns - call->begun_ns) / 1000000), call->timeout_ms,
            call->charged_bytes,
            call->ended ? weft_status_name(call->told) : "in flight");
}

static unsigned dump_ring(const weft__link *ring, unsigned n, FILE *file)
{
    const weft__link *it = ring->next;

    for (; it != ring && n < DUMPED; it = it->next, n++)
        dump_conn(WEFT__OF(weft__server_conn, link, it), file);
    return n;
}

static void dump_conns(const weft_server *s, FILE *file)
{
    unsigned n = dump_ring(&s->paused, 0, file);

    n = dump_ring(&s->conns, n, file);
    if (s->n_conns > n)
        fprintf(file, "  and %u more connections\n", s->n_conns - n);
}

static void dump_calls(const weft_server *s, FILE *file)
{
    const weft__link *it = s->calls.next;
    uint64_t now = weft_loop_now_ns(s->loop);
    unsigned n = 0;

    for (; it != &s->calls && n < DUMPED; it = it->next) {
        const weft__server_call *call = WEFT__OF(weft__server_call, link, it);

        if (call->answered)
            continue;
        dump_call(call, now, file);
        n++;
    }
    if (s->n_calls > n)
        fprintf(file, "  and %u more calls\n", s->n_calls - n);
}

void weft__server_dump(weft__dumpable *self, FILE *file)
{
    const weft_server *s = WEFT__OF(weft_server, dumpable, self);
    weft_server_stats st = weft_server_get_stats(s);
    const weft__server_listener *sl;
    const weft__service *service;
    const weft__server_plugin *sp;

    fprintf(file,
            "server phase=\"%s\" calls=%llu failed=%llu in_flight=%llu "
            "unanswered=%llu refused=%llu expired=%llu connections=%llu%s%s\n",
            weft__phase_name(s), (ull)st.calls, (ull)st.failed,
            (ull)st.in_flight, (ull)st.unanswered, (ull)st.refused,
            (ull)st.expired, (ull)st.connections,
            s->error[0] == '\0' ? "" : " error=", s->error);
    for (service = s->services.first; service != NULL; service = service->next)
        fprintf(file, "  service %s methods=%u\n", service->name,
                service->n_methods);
    weft__latency_dump(s, file);
    for (sl = s->listeners; sl != NULL; sl = sl->next)
        fprintf(file, "  listener %s connections=%zu\n", sl->uri,
                sl->listener == NULL ? 0 : weft__listener_count(sl->listener));
    for (sp = s->plugins; sp != NULL; sp = sp->next)
        dump_plugin(sp, file);
    dump_conns(s, file);
    dump_calls(s, file);
}

void weft__server_log_conf(const weft_server *s)
{
    char *text = NULL, *line, *rest;
    size_t len;
    FILE *file;

    if (weft_log_get_level() > WEFT_LOG_DEBUG ||
        (file = open_memstream(&text, &len)) == NULL)
        return;
    weft_conf_dump(&weft_server_conf_spec, &s->conf, file);
    if (fclose(file) == 0) {
        for (line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            weft_log_debug("server conf", "%s", line);
    }
    free(text);
}
