/* server_call.c - the records of calls, and both of their ends. */
#include "offload_internal.h"

#include <string.h>
#include <weft/arena_internal.h>
#include <weft/mem.h>

enum { CALLS_KEPT = 4096 };

/* ---- Records ---- */

/* Last in, first out: the warm one. */
static weft__server_call *record_get(weft_server *s)
{
    weft__link *pooled = s->call_pool;
    weft__server_call *call;

    if (pooled != NULL) {
        s->call_pool = pooled->next;
        pooled->next = NULL;
        s->n_call_pool--;
        return WEFT__OF(weft__server_call, link, pooled);
    }
    if ((call = weft_malloc(WEFT__CALL_BYTES)) != NULL) {
        call->link = (weft__link){NULL, NULL};
        call->handle = 0;
    }
    return call;
}

static void record_put(weft_server *s, weft__server_call *call)
{
    if (s->n_call_pool >= CALLS_KEPT) {
        weft__handle_free(call->handle);
        weft_free(call);
        return;
    }
    if (call->answered)
        call->handle = weft__handle_renew(s->loop, call->handle);
    s->n_call_pool++;
    call->link.next = s->call_pool;
    s->call_pool = &call->link;
}

weft__server_call *weft__server_call_new(weft_server *s)
{
    weft__server_call *call = record_get(s);

    if (call == NULL)
        return NULL;
    memset(&call->conn_link, 0,
           offsetof(weft__server_call, v0) -
               offsetof(weft__server_call, conn_link));
    weft__arena_init(&call->arena, s->loop, call->first, WEFT__CALL_FIRST,
                     s->conf.max_call_bytes);
    call->server = s;
    call->peer = NULL;
    return call;
}

void weft__server_call_free(weft__server_call *call)
{
    weft__ring_remove(&call->link);
    weft__arena_fini(&call->arena);
    record_put(call->server, call);
}

/* S2. */
void weft__server_call_free_if_done(weft__server_call *call)
{
    weft_server *s = call->server;

    if (!call->answered || call->busy > 0 || call->lends ||
        call->end_cbs != NULL || weft__task_queued(&call->end_deferred.task))
        return;
    weft__server_call_free(call);
    weft__server_reap_if_done(s);
}

static void free_buried(void *arg)
{
    weft__server_call *call = arg;

    weft_arena_fini(&call->arena);
    weft_free(call);
}

/* The loop ends with calls that no handler has answered.  A handler's own
 * timers may lie in their arenas, so the memory waits until none can fire. */
void weft__server_calls_free_all(weft_server *s)
{
    weft__link *it;

    while ((it = s->calls.next) != &s->calls) {
        weft__server_call *call = WEFT__OF(weft__server_call, link, it);

        if (call->offload != NULL)
            weft__offload_settle(call);
        weft__loop_undefer(s->loop, &call->end_deferred);
        weft_timer_stop(&call->timer);
        weft__handle_free(call->handle);
        weft__ring_remove(&call->link);
        weft__loop_bury(s->loop, &call->end_deferred, free_buried, call);
    }
    while ((it = s->call_pool) != NULL) {
        weft__server_call *call = WEFT__OF(weft__server_call, link, it);

        s->call_pool = it->next;
        weft__handle_free(call->handle);
        weft_free(call);
    }
}

/* ---- The two ends ---- */

static void on_ended(void *arg)
{
    weft__server_call *call = arg;
    weft_loop *loop = call->server->loop;
    weft__end_cb *it = call->end_cbs;

    call->end_cbs = NULL;
    call->busy++; /* a callback may answer */
    weft__loop_span_begin(loop, call->path);
    while (it != NULL) {
        weft__end_cb *next = it->next;

        it->cb((weft_call *)(uintptr_t)call->handle, call->told, it->user);
        it = next;
    }
    weft__loop_span_end(loop);
    call->busy--;
    weft__server_call_free_if_done(call);
}

void weft__server_call_tell_end(weft__server_call *call)
{
    weft_server *s = call->server;

    if (call->end_cbs == NULL)
        return;
    if (call->link.next == NULL) /* answered, and its handler not back yet */
        weft__ring_push(&s->calls, &call->link);
    weft__loop_defer(s->loop, &call->end_deferred, on_ended, call);
}

/* Calls of one connection end in rows, for which its peer is put into words
 * once. */
static const char *observed_peer(weft__server_call *call)
{
    weft_server *s = call->server;

    if (call->peer != NULL)
        return call->peer;
    if (s->observed_conn != call->conn) {
        weft__conn_peer(weft__conn_of(call->conn), s->observed_peer,
                        sizeof(s->observed_peer));
        s->observed_conn = call->conn;
    }
    return s->observed_peer;
}

/* First end: r is NULL when there is nobody to tell. */
static void end(weft__server_call *call, weft_status status,
                const weft__wire_response *r)
{
    weft_server *s = call->server;
    weft__under *under;

    call->ended = true;
    weft_timer_stop(&call->timer);
    /* One-way calls too: the wire forgets them, and sends nothing. */
    if (r != NULL && call->conn != NULL)
        status = weft__respond(weft__conn_of(call->conn), call->stream, r);
    else if (r != NULL)
        weft__drop_payload(r);
    call->told = status;
    s->stats.calls++;
    s->stats.failed += status != WEFT_OK;
    s->n_active--;
    weft__latency_count(s, call);
    weft__shard_changed(s);
    if (weft__observed(s->loop))
        weft__server_observe(s, call->path, observed_peer(call), status,
                             call->payload_bytes,
                             r == NULL ? 0 : r->payload.len, call->begun_ns);
    while ((under = call->unders) != NULL) {
        weft__under_unlink(under);
        under->parent_ended(under, status == WEFT_OK ? WEFT_CANCELLED : status);
    }
    weft__server_call_tell_end(call);
    if (call->offload != NULL && !call->answered)
        weft__offload_call_ended(call);
    weft__drain_call_ended(s);
}

/* Second end: the handler is done with it. */
static void answered(weft__server_call *call)
{
    weft_server *s = call->server;

    call->answered = true; /* no handle leads to it from here on */
    s->n_calls--;
    if (call->conn != NULL) {
        if (call->conn_link.next != NULL) /* it outlived its handler */
            weft__server_conn_remove(call->conn, call);
        call->conn->in_flight--;
        call->conn = NULL;
    }
    if (call->charged_bytes > 0)
        weft__budget_release(s, call->charged_bytes);
    weft__shard_changed(s);
    weft__server_call_free_if_done(call);
}

void weft__server_call_answer(weft__server_call *call,
                              const weft__wire_response *r)
{
    weft_server *s = call->server;

    if (call->ended) {
        s->stats.late_answers++;
        s->stats.unanswered--;
        weft__drop_payload(r);
    } else {
        end(call, r->status, r);
    }
    answered(call);
}

void weft__server_call_forgo(weft__server_call *call)
{
    call->server->stats.unanswered--;
    answered(call);
}

void weft__server_call_end(weft__server_call *call, weft_status status,
                           const char *text)
{
    weft_server *s = call->server;
    weft__wire_response r = {.status = status};

    if (call->ended)
        return;
    s->stats.unanswered++;
    if (text != NULL)
        r.message = weft__text(text);
    end(call, status, text == NULL ? NULL : &r);
    /* A client may cancel as it likes; the rest is worth a look. */
    if (status != WEFT_CANCELLED)
        weft_log_limited(
            &s->unanswered_log, WEFT_LOG_WARN, "call not answered",
            "path=%s status=%s age_ms=%llu", call->path,
            weft_status_name(status),
            (unsigned long long)((weft_loop_now_ns(s->loop) - call->begun_ns) /
                                 1000000));
}

const char *weft__server_call_peer(weft__server_call *call)
{
    char text[WEFT_ADDRESS_TEXT];

    if (call->peer != NULL)
        return call->peer;
    weft__conn_peer(weft__conn_of(call->conn), text, sizeof(text));
    call->peer = weft_arena_strndup(&call->arena, text, strlen(text));
    if (call->peer == NULL)
        call->peer = "";
    return call->peer;
}

void weft__server_call_detach(weft__server_call *call)
{
    (void)weft__server_call_peer(call);
    weft__server_conn_remove(call->conn, call);
    call->conn->in_flight--;
    call->conn = NULL;
    weft__server_call_end(call, WEFT_CANCELLED, NULL);
}

static void on_deadline(weft_timer *timer, void *user)
{
    weft__server_call *call = user;
    char text[WEFT__FAILURE_TEXT];

    (void)timer;
    snprintf(text, sizeof(text),
             "deadline %u ms: the handler of %.200s has not answered",
             call->timeout_ms, call->path);
    weft__server_call_end(call, WEFT_DEADLINE_EXCEEDED, text);
}

void weft__server_call_arm(weft__server_call *call)
{
    weft_timer_init(&call->timer, call->server->loop, on_deadline, call);
    call->timer.name = "deadline of a call";
    weft_timer_start_at(&call->timer, call->deadline_ms);
}
