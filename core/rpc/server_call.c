/* server_call.c - a call on its server, from the request to both of its ends.
 */
#include "server_internal.h"

#include <stdarg.h>
#include <string.h>
#include <weft/mem.h>
#include <weft/protobuf.h>

enum {
    CALLS_KEPT = 4096,
    CHUNKS_KEPT = 256,
    IN_RECORD = 160, /* payloads up to here decode into the record itself */
    IN_CHUNK = 1500, /* and up to here into a pooled chunk */
    TEXT = 512       /* longest text of the framework's own failures */
};

static const char v0_text[] = "server internal error"; /* gorpc's, verbatim */

const char *weft__printable(weft__slice s, char *buf, size_t size)
{
    size_t i, n = s.len < size - 1 ? s.len : size - 1;

    for (i = 0; i < n; i++) {
        uint8_t c = s.data[i];

        buf[i] = c > ' ' && c < 0x7f && c != '"' ? (char)c : '?';
    }
    buf[n] = '\0';
    return buf;
}

static weft__slice slice_of(const char *text)
{
    return (weft__slice){(const uint8_t *)text, strlen(text)};
}

/* ---- Records ---- */

static void *pool_get(weft__link *pool, uint32_t *n, size_t size)
{
    weft__link *it = pool->next;

    if (it == pool)
        return weft_malloc(size);
    weft__ring_remove(it);
    --*n;
    return it;
}

static void pool_put(weft__link *pool, uint32_t *n, uint32_t max, void *p)
{
    if (p == NULL)
        return;
    if (*n >= max) {
        weft_free(p);
        return;
    }
    ++*n;
    /* Last in, first out: the warm one. */
    weft__ring_push(pool->next, p);
}

static weft__server_call *call_new(weft_server *s, size_t payload)
{
    weft__server_call *call =
        pool_get(&s->call_pool, &s->n_call_pool, WEFT__CALL_BYTES);
    void *first = call == NULL ? NULL : call->first;
    size_t size = WEFT__CALL_FIRST;

    if (call == NULL)
        return NULL;
    memset(call, 0, offsetof(weft__server_call, first));
    if (payload > IN_RECORD && payload <= IN_CHUNK) {
        call->chunk =
            pool_get(&s->chunk_pool, &s->n_chunk_pool, WEFT__CALL_CHUNK);
        if (call->chunk != NULL) {
            first = call->chunk;
            size = WEFT__CALL_CHUNK;
        }
    }
    weft_arena_init(&call->arena, first, size, s->conf.max_call_bytes);
    call->server = s;
    return call;
}

static void call_free(weft__server_call *call)
{
    weft_server *s = call->server;

    weft__ring_remove(&call->link);
    weft_arena_fini(&call->arena);
    pool_put(&s->chunk_pool, &s->n_chunk_pool, CHUNKS_KEPT, call->chunk);
    pool_put(&s->call_pool, &s->n_call_pool, CALLS_KEPT, call);
}

/* S2. */
static void free_if_done(weft__server_call *call)
{
    weft_server *s = call->server;

    if (!call->answered || call->busy > 0 || call->end_cbs != NULL ||
        call->end_deferred.queued)
        return;
    call_free(call);
    weft__server_reap_if_done(s);
}

static void pool_free(weft__link *pool)
{
    weft__link *it;

    while ((it = pool->next) != pool) {
        weft__ring_remove(it);
        weft_free(it);
    }
}

void weft__server_calls_free_all(weft_server *s)
{
    weft__link *it;

    while ((it = s->calls.next) != &s->calls) {
        weft__server_call *call = WEFT__OF(weft__server_call, link, it);

        weft__loop_undefer(s->loop, &call->end_deferred);
        weft_timer_stop(&call->timer);
        weft__handle_free(call->handle);
        call_free(call);
    }
    pool_free(&s->call_pool);
    pool_free(&s->chunk_pool);
}

/* ---- What the peer is told ---- */

static void drop_payload(const weft__wire_response *r)
{
    if (r->payload.release != NULL)
        r->payload.release(r->payload.arg);
}

/* A failure in place of r, which could not be sent; the last resort is to close
 * the connection, for a peer without an answer would wait for ever. */
static void respond_instead(weft__conn *conn, weft__stream_id stream,
                            weft_status status, const char *text)
{
    weft__wire_response r = {.status = status, .message = slice_of(text)};

    status = weft__conn_respond(conn, stream, &r);
    if (status == WEFT_ENOMEM)
        weft__conn_abort(conn, status, "out of memory for a reply");
}

static weft_status respond(weft__conn *conn, weft__stream_id stream,
                           const weft__wire_response *r)
{
    weft_status status = weft__conn_respond(conn, stream, r);
    char text[TEXT];

    if (status == WEFT_OK)
        return r->status;
    drop_payload(r);
    switch (status) {
    case WEFT_ENOENT: /* reset by the peer */
    case WEFT_ECLOSED:
        return WEFT_CANCELLED;
    case WEFT_ENOMEM:
        respond_instead(conn, stream, WEFT_RESOURCE_EXHAUSTED,
                        "out of memory for the reply");
        return WEFT_RESOURCE_EXHAUSTED;
    case WEFT_ELIMIT:
        snprintf(text, sizeof(text),
                 "reply: a message of %zu bytes is over the peer's frame size",
                 r->payload.len);
        respond_instead(conn, stream, WEFT_RESOURCE_EXHAUSTED, text);
        return WEFT_RESOURCE_EXHAUSTED;
    default:
        snprintf(text, sizeof(text), "reply: %s", weft_status_text(status));
        respond_instead(conn, stream, WEFT_INTERNAL, text);
        return WEFT_INTERNAL;
    }
}

static void observe(weft_server *s, const char *path, const char *peer,
                    weft_status status, size_t request, size_t reply,
                    uint64_t begun_ns)
{
    weft_observation o = {.server = true,
                          .path = path,
                          .peer = peer,
                          .status = status,
                          .request_bytes = request,
                          .reply_bytes = status == WEFT_OK ? reply : 0};

    o.waiting_us = (weft_loop_now_ns(s->loop) - begun_ns) / 1000;
    weft__observe_emit(s->loop, &o);
}

void weft__server_count_refusal(weft__server_conn *sc,
                                const weft__wire_event *event,
                                weft_status status)
{
    weft_server *s = sc->server;

    s->stats.calls++;
    s->stats.failed++;
    s->stats.refused += status == WEFT_RESOURCE_EXHAUSTED;
    if (weft__observed(s->loop)) {
        char path[256];

        observe(s, weft__printable(event->path, path, sizeof(path)),
                weft__conn_peer_text(sc->conn), status, event->payload.len, 0,
                weft_loop_now_ns(s->loop));
    }
}

static void refuse(weft__server_conn *sc, const weft__wire_event *event,
                   const weft__wire_response *r)
{
    respond(sc->conn, event->stream, r);
    weft__server_count_refusal(sc, event, r->status);
}

void weft__server_refuse(weft__server_conn *sc, const weft__wire_event *event,
                         weft_status status, const char *fmt, ...)
{
    char text[TEXT];
    weft__wire_response r = {.status = status};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r.message = slice_of(text);
    refuse(sc, event, &r);
}

void weft__server_refuse_v0(weft__server_conn *sc,
                            const weft__wire_event *event, weft_status status,
                            const char *fmt, ...)
{
    char text[TEXT];
    weft__wire_response r = {.status = status};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r.message = slice_of(text);
    if (event->v0) {
        r.message = slice_of(v0_text);
        r.raw_code = 100;
    }
    refuse(sc, event, &r);
}

void weft__server_refuse_bad_path(weft__server_conn *sc,
                                  const weft__wire_event *event)
{
    char path[128];

    if (!event->v0) {
        weft__server_refuse(sc, event, WEFT_INVALID_ARGUMENT,
                            "request: the path %s is not /service/method",
                            weft__printable(event->path, path, sizeof(path)));
        return;
    }
    refuse(sc, event,
           &(weft__wire_response){.status = WEFT_INVALID_ARGUMENT,
                                  .raw_code = 301,
                                  .message = slice_of("method is invalid")});
}

/* ---- The two ends ---- */

static void on_ended(void *arg)
{
    weft__server_call *call = arg;
    weft__end_cb *it = call->end_cbs;

    call->end_cbs = NULL;
    call->busy++; /* a callback may answer */
    while (it != NULL) {
        weft__end_cb *next = it->next;

        it->cb((weft_call *)(uintptr_t)call->handle, call->told, it->user);
        it = next;
    }
    call->busy--;
    free_if_done(call);
}

void weft__server_call_tell_end(weft__server_call *call)
{
    if (call->end_cbs != NULL)
        weft__loop_defer(call->server->loop, &call->end_deferred, on_ended,
                         call);
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
        status = respond(call->conn->conn, call->stream, r);
    else if (r != NULL)
        drop_payload(r);
    call->told = status;
    s->stats.calls++;
    s->stats.failed += status != WEFT_OK;
    s->n_active--;
    if (weft__observed(s->loop))
        observe(s, call->path,
                weft_call_peer((weft_call *)(uintptr_t)call->handle), status,
                call->payload_bytes, r == NULL ? 0 : r->payload.len,
                call->begun_ns);
    while ((under = call->unders) != NULL) {
        weft__under_unlink(under);
        under->parent_ended(under, status == WEFT_OK ? WEFT_CANCELLED : status);
    }
    weft__server_call_tell_end(call);
    weft__drain_call_ended(s);
}

void weft__server_call_answer(weft__server_call *call,
                              const weft__wire_response *r)
{
    weft_server *s = call->server;

    if (call->ended) {
        s->stats.late_answers++;
        s->stats.unanswered--;
        drop_payload(r);
    } else {
        end(call, r->status, r);
    }
    call->answered = true;
    weft__handle_free(call->handle);
    s->n_calls--;
    if (call->conn != NULL) {
        weft__ring_remove(&call->conn_link);
        call->conn->in_flight--;
        call->conn = NULL;
    }
    weft__budget_release(s, call->charged_bytes);
    free_if_done(call);
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
        r.message = slice_of(text);
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

void weft__server_call_detach(weft__server_call *call)
{
    const char *peer = weft__conn_peer_text(call->conn->conn);

    call->peer = weft_arena_strndup(&call->arena, peer, strlen(peer));
    if (call->peer == NULL)
        call->peer = "";
    weft__ring_remove(&call->conn_link);
    call->conn->in_flight--;
    call->conn = NULL;
    weft__server_call_end(call, WEFT_CANCELLED, NULL);
}

static void on_deadline(weft_timer *timer, void *user)
{
    weft__server_call *call = user;
    char text[TEXT];

    (void)timer;
    snprintf(text, sizeof(text),
             "deadline %u ms: the handler of %.200s has not answered",
             call->timeout_ms, call->path);
    weft__server_call_end(call, WEFT_DEADLINE_EXCEEDED, text);
}

/* ---- The first end of all: the request ---- */

static bool copy_metadata(weft__server_call *call,
                          const weft__wire_event *event)
{
    weft_metadatum *items;
    size_t i, bytes;
    char *at;

    if (event->n_metadata == 0)
        return true;
    bytes = event->n_metadata * sizeof(*items);
    for (i = 0; i < event->n_metadata; i++)
        bytes += event->metadata[i].key.len + event->metadata[i].value.len + 2;
    if ((items = weft_arena_alloc(&call->arena, bytes)) == NULL)
        return false;
    at = (char *)(items + event->n_metadata);
    for (i = 0; i < event->n_metadata; i++) {
        const weft__pair *pair = &event->metadata[i];

        memcpy(at, pair->key.data, pair->key.len);
        at[pair->key.len] = '\0';
        items[i].key = at;
        at += pair->key.len + 1;
        if (pair->value.len > 0)
            memcpy(at, pair->value.data, pair->value.len);
        at[pair->value.len] = '\0';
        items[i].value = at;
        items[i].value_len = pair->value.len;
        at += pair->value.len + 1;
    }
    call->metadata = (weft_metadata){items, event->n_metadata};
    return true;
}

/* "" costs nothing. */
static const char *copy_slice(weft_arena *arena, weft__slice s)
{
    return s.len == 0 ? ""
                      : weft_arena_strndup(arena, (const char *)s.data, s.len);
}

static bool copy_names(weft__server_call *call, const weft__wire_event *event,
                       weft__slice service, weft__slice name)
{
    const weft__method *m = call->method;
    weft_arena *arena = &call->arena;

    if (m != NULL) {
        call->service = m->service;
        call->name = m->desc->name;
        call->path = m->path;
    } else {
        call->service = copy_slice(arena, service);
        call->name = copy_slice(arena, name);
        call->path = copy_slice(arena, event->path);
    }
    call->content_type = copy_slice(arena, event->content_type);
    call->trace = copy_slice(arena, event->trace);
    return call->service != NULL && call->name != NULL && call->path != NULL &&
           call->content_type != NULL && call->trace != NULL;
}

/* A raw payload: a big frame's own block moves into the arena. */
static const void *keep_payload(weft__server_call *call,
                                const weft__wire_event *event)
{
    size_t bytes;
    void *block = weft__wire_take_block(event, &bytes);

    if (block == NULL)
        return copy_slice(&call->arena, event->payload);
    if (weft_arena_adopt(&call->arena, block, bytes) == WEFT_OK)
        return event->payload.data;
    weft_free(block);
    return NULL;
}

static weft_raw_request *raw_request(weft__server_call *call,
                                     const weft__wire_event *event)
{
    weft_raw_request *raw = weft_arena_alloc(&call->arena, sizeof(*raw));

    if (raw == NULL)
        return NULL;
    raw->service = call->service;
    raw->method = call->name;
    raw->metadata = &call->metadata;
    raw->content_type = call->content_type;
    raw->payload = keep_payload(call, event);
    raw->payload_len = event->payload.len;
    return raw->payload == NULL ? NULL : raw;
}

static void on_closure(const ProtobufCMessage *message, void *closure_data)
{
    weft__server_call *call = weft__server_call_to_answer(closure_data);
    weft__wire_response r = {.status = WEFT_OK};

    if (call == NULL)
        return;
    if (message != NULL) {
        r.payload.len = weft__protobuf_size(message);
        r.payload.pack = weft__protobuf_pack;
        r.payload.message = message;
        r.metadata = call->out_metadata;
        r.details = call->out_details;
    } else {
        r.status = WEFT_INTERNAL;
        r.message = slice_of(call->v0 ? v0_text : "the handler failed");
    }
    weft__server_call_answer(call, &r);
}

/* Everything that a handler may use is in place: runs it. */
static void run_handler(weft__server_call *call, weft__handler handler,
                        const ProtobufCMessage *in, const weft_raw_request *raw)
{
    weft_server *s = call->server;
    weft_call *handle = (weft_call *)(uintptr_t)call->handle;

    call->busy++;
    weft__loop_span_begin(s->loop, call->path);
    if (raw != NULL)
        s->fallback(handle, raw, s->fallback_user);
    else
        handler(call->method->impl, in, on_closure, handle);
    weft__loop_span_end(s->loop);
    call->busy--;
    /* A call that was answered at once has needed no timer. */
    if (!call->ended && call->deadline_ms != UINT64_MAX)
        weft_timer_start_at(&call->timer, call->deadline_ms);
    free_if_done(call);
}

static void enlist(weft__server_conn *sc, weft__server_call *call)
{
    weft_server *s = sc->server;

    weft__ring_push(&s->calls, &call->link);
    weft__ring_push(&sc->calls, &call->conn_link);
    sc->in_flight++;
    s->n_calls++;
    s->n_active++;
    call->charged_bytes = call->arena.used;
    weft__budget_charge(sc, call->charged_bytes);
}

static ProtobufCMessage *decode(weft__server_conn *sc, weft__server_call *call,
                                const weft__wire_event *event)
{
    const weft_server_conf *conf = &sc->server->conf;
    weft__decode_limits limits = {.depth = conf->max_decode_depth,
                                  .memory = conf->max_decode_bytes};
    ProtobufCMessage *in;
    const char *why = "";
    weft_status status = weft__protobuf_decode(
        call->method->desc->input, event->payload.data, event->payload.len,
        &limits, &call->arena, &in, &why);

    switch (status) {
    case WEFT_OK:
        return in;
    case WEFT_ENOMEM:
        weft__server_refuse(sc, event, WEFT_RESOURCE_EXHAUSTED,
                            "request: no memory to decode it");
        return NULL;
    case WEFT_ELIMIT:
        weft__server_refuse_v0(sc, event, WEFT_RESOURCE_EXHAUSTED,
                               "request: over the limit %s", why);
        return NULL;
    default:
        weft__server_refuse_v0(sc, event, WEFT_INVALID_ARGUMENT,
                               "request: not a %s: %s",
                               call->method->desc->input->name, why);
        return NULL;
    }
}

static void init_call(weft__server_call *call, weft__server_conn *sc,
                      const weft__wire_event *event, uint32_t timeout_ms)
{
    weft_loop *loop = sc->server->loop;

    call->conn = sc;
    call->stream = event->stream;
    call->v0 = event->v0;
    call->payload_bytes = event->payload.len;
    call->begun_ns = weft_loop_now_ns(loop);
    call->timeout_ms = timeout_ms;
    call->deadline_ms = timeout_ms == WEFT_NO_DEADLINE
                            ? UINT64_MAX
                            : weft_loop_now_ms(loop) + timeout_ms;
    weft_timer_init(&call->timer, loop, on_deadline, call);
    call->timer.name = "deadline of a call";
}

void weft__server_call_begin(weft__server_conn *sc,
                             const weft__wire_event *event,
                             const weft__method *method, weft__slice service,
                             weft__slice name, uint32_t timeout_ms)
{
    weft_server *s = sc->server;
    weft__server_call *call = call_new(s, event->payload.len);
    weft_raw_request *raw = NULL;
    ProtobufCMessage *in = NULL;
    weft__handler handler = NULL;

    if (call == NULL)
        goto no_memory;
    call->method = method;
    init_call(call, sc, event, timeout_ms);
    if (!copy_names(call, event, service, name) || !copy_metadata(call, event))
        goto no_memory;
    if (method != NULL) {
        handler = weft__method_handler(method);
        if ((in = decode(sc, call, event)) == NULL) {
            call_free(call);
            return;
        }
    } else {
        raw = raw_request(call, event);
        if (raw == NULL)
            goto no_memory;
    }
    call->handle = weft__handle_new(s->loop, WEFT__HANDLE_SERVER_CALL, call);
    if (call->handle == 0)
        goto no_memory;
    enlist(sc, call);
    run_handler(call, handler, in, raw);
    return;
no_memory:
    if (call != NULL)
        call_free(call);
    weft__server_refuse(sc, event, WEFT_RESOURCE_EXHAUSTED,
                        "request: no memory, or over the limit max_call_bytes");
}
