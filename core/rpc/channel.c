/* channel.c - made, activated by the first call, closed. */
#include "client_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

#define X(type, name, dflt, help)                                              \
    WEFT_CONF_FIELD(weft_channel_conf, type, name, dflt, help)
static const weft_conf_field fields[] = {WEFT_CHANNEL_CONF(X)};
#undef X
const weft_conf_spec weft_channel_conf_spec = {
    .name = "weft_channel_conf",
    .size = sizeof(weft_channel_conf),
    .fields = fields,
    .n_fields = sizeof(fields) / sizeof(fields[0])};

/* The loop goes: there is no time for a graceful close. */
static void on_loop_close(weft__loop_child *child)
{
    weft_channel *ch =
        (weft_channel *)((char *)child - offsetof(weft_channel, child));
    weft__subchannel *sub, *next;

    weft_channel_close(ch);
    HASH_ITER(hh, ch->by_text, sub, next)
    for (weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next)
        weft__conn_abort(cc->conn, WEFT_CANCELLED, "the loop is closing");
}

static const char *const states[] = {"idle", "queued", "connecting", "ready",
                                     "backoff"};

static void dump_conn(const weft__client_conn *cc, FILE *file)
{
    weft__conn_stats stats;

    if (cc->conn == NULL)
        return;
    weft__conn_get_stats(cc->conn, &stats);
    fprintf(file,
            "      connection %s%s version=%d in_flight=%u unsent=%zu "
            "in=%llu out=%llu\n",
            cc->ready ? "ready" : "connecting", cc->leaving ? ",leaving" : "",
            cc->ready ? !cc->version0 : -1, cc->in_flight, stats.unsent_bytes,
            (unsigned long long)stats.bytes_in,
            (unsigned long long)stats.bytes_out);
}

static void latency(const weft_channel *ch, weft_histogram *out)
{
    *out = ch->latency;
    weft_histogram_add(out, ch->last_ns, ch->n_last);
}

static void dump_latency(const weft_channel *ch, FILE *file)
{
    weft_histogram h;

    if (ch->stats.calls == 0)
        return;
    latency(ch, &h);
    fputs("    latency", file);
    weft__dump_latency(&h, file);
    fputc('\n', file);
}

static void dump(weft__dumpable *self, FILE *file)
{
    const weft_channel *ch =
        (const weft_channel *)((char *)self - offsetof(weft_channel, dumpable));
    uint64_t now = weft_loop_now_ns(ch->loop);
    unsigned shown = 0;

    fprintf(file,
            "channel %s balancer=%s endpoints=%u ready=%u failing=%u "
            "in_flight=%llu waiting=%llu%s%s\n",
            ch->target, ch->conf.balancer, ch->n_listed, ch->n_ready,
            ch->n_failing, (unsigned long long)ch->stats.in_flight,
            (unsigned long long)ch->stats.waiting,
            ch->error[0] != '\0' ? " error=" : "", ch->error);
    dump_latency(ch, file);
    for (const weft__subchannel *sub = ch->by_text; sub != NULL;
         sub = sub->hh.next) {
        fprintf(file, "    endpoint %s weight=%u %s failures=%u%s%s\n",
                sub->text, sub->weight, states[sub->state], sub->failures,
                sub->last_error != NULL ? " last_error=" : "",
                sub->last_error != NULL ? sub->last_error : "");
        for (const weft__client_conn *cc = sub->conns; cc != NULL;
             cc = cc->next)
            dump_conn(cc, file);
    }
    for (const weft__client_call *c = ch->calls; c != NULL && shown < 100;
         c = c->next, shown++)
        fprintf(file, "    call %.*s %s peer=%s age_ms=%llu\n",
                (int)c->path_len, c->path,
                c->place == WEFT__CALL_WAITING ? "waiting"
                : c->place == WEFT__CALL_SENT  ? "sent"
                                               : "ended",
                c->result.peer,
                (unsigned long long)(now - c->started_ns) / 1000000);
}

/* "10.0.0.7:8000" alone is a static list of one. */
static char *full_target(const char *target)
{
    size_t size = strlen(target) + sizeof("static:///");
    char *copy = weft_malloc(size);

    if (copy != NULL)
        snprintf(copy, size, "%s%s",
                 strstr(target, "://") != NULL ||
                         strncmp(target, "unix:", 5) == 0
                     ? ""
                     : "static:///",
                 target);
    return copy;
}

static void make_conn_conf(weft_channel *ch)
{
    const weft_channel_conf *c = &ch->conf;

    ch->conn_conf = (weft__conn_conf){
        .wire = &weft__native_wire,
        .handler = &weft__client_conn_handler,
        .wire_conf = {.max_frame_bytes = c->max_frame_bytes,
                      .max_metadata = c->max_metadata,
                      .max_metadata_bytes = c->max_metadata_bytes,
                      .max_in_flight = c->max_in_flight_per_connection},
        .connect_ms = c->connect_ms,
        .handshake_ms = c->handshake_ms,
        .idle_ms = c->idle_ms,
        .keepalive_ms = c->keepalive_ms,
        .keepalive_timeout_ms = c->keepalive_timeout_ms,
        .stall_ms = WEFT_OFF,
        .linger_ms = 1000,
        .max_unsent_bytes = c->max_unsent_bytes,
        .frames_per_wakeup = 1024};
}

/* What can be wrong with the setup is kept as a sentence: calls report it. */
static weft_status set_up(weft_channel *ch, const char *target)
{
    weft_status st;

    if (target == NULL) {
        snprintf(ch->error, sizeof(ch->error), "channel: the target is NULL");
        return WEFT_EINVAL;
    }
    ch->balancer = weft_balancer_find(ch->conf.balancer);
    if (ch->balancer == NULL) {
        snprintf(ch->error, sizeof(ch->error),
                 "channel %s: there is no balancer \"%s\"", target,
                 ch->conf.balancer);
        return WEFT_EINVAL;
    }
    st = weft__watch_check(ch->target, ch->error, sizeof(ch->error));
    if (st != WEFT_OK)
        return st;
    ch->error[0] = '\0';
    ch->balancer_self = weft_calloc(1, ch->balancer->self_size);
    if (ch->balancer_self == NULL)
        return WEFT_ENOMEM;
    return ch->balancer->init != NULL
               ? ch->balancer->init(ch->balancer_self,
                                    weft__loop_random(ch->loop))
               : WEFT_OK;
}

static void channel_free(weft_channel *ch)
{
    weft__client_call *call;

    while ((call = ch->pool) != NULL) {
        ch->pool = call->next;
        weft_free(call);
    }
    if (ch->balancer_self != NULL) {
        if (ch->balancer->fini != NULL)
            ch->balancer->fini(ch->balancer_self);
        weft_free(ch->balancer_self);
    }
    weft__paths_free(ch);
    weft__channel_team_free(ch);
    weft_endpoints_unref(ch->list);
    weft_free(ch->slots);
    weft_free(ch->free_slots);
    weft_free(ch->balancer_name);
    weft_free(ch->target);
    weft_free(ch);
}

weft_status weft_channel_new_sized(weft_channel **out, weft_loop *loop,
                                   const char *target,
                                   const weft_channel_conf *conf,
                                   size_t conf_size)
{
    weft_channel *ch;
    const char *why;
    weft_status st = WEFT_ENOMEM;

    *out = NULL;
    if (loop == NULL || weft__loop_closing(loop))
        return loop == NULL ? WEFT_EINVAL : WEFT_ECLOSED;
    if ((ch = weft_calloc(1, sizeof(*ch))) == NULL)
        return WEFT_ENOMEM;
    ch->loop = loop;
    ch->waiting_tail = &ch->waiting;
    weft__sub_list_init(&ch->idle);
    weft__sub_list_init(&ch->queue);
    weft_timer_init(&ch->retake, loop, weft__channel_take_over, ch);
    weft__row_init(ch);
    weft_conf_resolve(&weft_channel_conf_spec, &ch->conf, conf, conf_size);
    ch->balancer_name = weft_strdup(ch->conf.balancer);
    ch->target = full_target(target != NULL ? target : "");
    if (ch->balancer_name == NULL || ch->target == NULL)
        goto fail;
    ch->conf.balancer = ch->balancer_name;
    make_conn_conf(ch);
    st = set_up(ch, target);
    if (st == WEFT_ENOMEM)
        goto fail;
    ch->dumpable.dump = dump;
    if (weft__dump_add(loop, &ch->dumpable) != WEFT_OK) {
        st = WEFT_ENOMEM;
        goto fail;
    }
    ch->child.close = on_loop_close;
    weft__loop_child_add(loop, &ch->child);
    *out = ch;
    if (ch->conf.eager && st == WEFT_OK) {
        st = weft__channel_activate(ch, &why);
        if (st == WEFT_ENOMEM)
            st = WEFT_OK; /* the first call tries again */
    }
    return st;
fail:
    channel_free(ch);
    return st;
}

weft_status weft__channel_activate(weft_channel *ch, const char **why)
{
    weft_status st;

    if (ch->team_index > 0) {
        *why = "the group has ended";
        return weft__channel_team_activate(ch);
    }
    if (ch->active) {
        weft__channel_connect_idle(ch);
        return WEFT_OK;
    }
    st = weft__watch_subscribe(&ch->watch, ch->loop, ch->target,
                               weft__channel_on_list, ch, ch->resolve_error,
                               sizeof(ch->resolve_error));
    ch->active = st == WEFT_OK; /* else the next call tries again, but ... */
    *why = ch->resolve_error;
    if (st == WEFT_EINVAL || st == WEFT_ESYNTAX) /* ... this stays wrong */
        snprintf(ch->error, sizeof(ch->error), "%s", ch->resolve_error);
    return st;
}

static bool is_done(const weft_channel *ch)
{
    return ch->closing && ch->calls == NULL && ch->n_conns == 0 &&
           ch->n_refusals == 0 && ch->by_text == NULL &&
           weft__channel_team_closed(ch);
}

static void reap(void *arg)
{
    weft_channel *ch = arg;

    if (!is_done(ch)) /* the callback that closed it called it once more */
        return;
    weft__dump_remove(&ch->dumpable);
    weft__loop_child_remove(ch->loop, &ch->child);
    channel_free(ch);
}

void weft__channel_reap_if_done(weft_channel *ch)
{
    if (is_done(ch))
        weft__loop_defer(ch->loop, &ch->reap, reap, ch);
}

void weft_channel_close(weft_channel *ch)
{
    weft__subchannel *sub, *next;

    if (ch == NULL || ch->closing || !weft__channel_team_close(ch))
        return;
    weft__loop_touch(ch->loop);
    ch->closing = true;
    weft_timer_stop(&ch->retake);
    weft_timer_stop(&ch->row_timer);
    weft__watch_unsubscribe(ch->watch);
    ch->watch = NULL;
    for (weft__client_call *c = ch->calls, *after; c != NULL; c = after) {
        after = c->next;
        if (c->place == WEFT__CALL_SENT)
            weft__client_conn_abandon(&c->attempt, WEFT_CANCELLED);
        weft__client_call_end(c, WEFT_CANCELLED, "the channel was closed",
                              false);
    }
    HASH_ITER(hh, ch->by_text, sub, next)
    {
        for (weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next)
            cc->in_flight = 0; /* abandoned ones are not waited for */
        weft__sub_unlist(sub);
    }
    weft__channel_reap_if_done(ch);
}

const char *weft_channel_error(const weft_channel *ch)
{
    return ch != NULL ? ch->error : "there is no channel";
}

weft_status weft_channel_watch_info(const weft_channel *ch,
                                    weft_watch_info *out)
{
    const weft__watch_sub *watch = ch == NULL ? NULL : ch->watch;

    if (ch != NULL && watch == NULL)
        watch = weft__channel_team_watch(ch);
    if (watch == NULL)
        return WEFT_ENOENT;
    weft__watch_sub_info(watch, out);
    return WEFT_OK;
}

weft_channel_stats weft_channel_get_stats(const weft_channel *ch)
{
    weft_channel_stats stats = {0};

    ch = weft__channel_here((weft_channel *)(uintptr_t)ch);
    if (ch == NULL)
        return stats;
    stats = ch->stats;
    stats.endpoints = ch->n_listed;
    stats.ready_endpoints = ch->n_ready;
    stats.connections = ch->n_conns;
    return stats;
}

weft_status weft_channel_get_latency(const weft_channel *ch,
                                     weft_histogram *out)
{
    ch = weft__channel_here((weft_channel *)(uintptr_t)ch);
    if (ch == NULL)
        return WEFT_ENOENT;
    latency(ch, out);
    return WEFT_OK;
}

void weft_channel_each_endpoint(const weft_channel *ch,
                                void (*fn)(const weft_endpoint_stats *e,
                                           void *user),
                                void *user)
{
    ch = weft__channel_here((weft_channel *)(uintptr_t)ch);
    /* By slot: fn may close the channel, which empties them. */
    for (uint32_t i = 0; ch != NULL && i < ch->n_slots; i++) {
        const weft__subchannel *sub = ch->slots[i];
        weft_endpoint_stats e;

        if (sub == NULL)
            continue;
        e = (weft_endpoint_stats){
            .address = sub->text,
            .state = states[sub->state],
            .last_error = sub->last_error != NULL ? sub->last_error : "",
            .ready = sub->usable,
            .weight = sub->weight,
            .connections = sub->n_conns,
            .failures = sub->failures};
        for (const weft__client_conn *cc = sub->conns; cc != NULL;
             cc = cc->next)
            e.in_flight += cc->in_flight;
        fn(&e, user);
    }
}
