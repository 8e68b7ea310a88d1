/* server_request.c - a call that is taken: its record, its request, its
 * handler.
 */
#include "offload_internal.h"

#include <string.h>
#include <weft/arena_internal.h>
#include <weft/mem.h>
#include <weft/protobuf.h>

static WEFT__APART bool copy_metadata(weft__server_call *call,
                                      const weft__wire_event *event)
{
    weft_metadatum *items;
    size_t i, bytes;
    char *at;

    bytes = event->n_metadata * sizeof(*items);
    for (i = 0; i < event->n_metadata; i++)
        bytes += event->metadata[i].key.len + event->metadata[i].value.len + 2;
    if ((items = weft_arena_alloc(&call->arena, bytes)) == NULL)
        return false;
    at = (char *)(items + event->n_metadata);
    for (i = 0; i < event->n_metadata; i++) {
        const weft__pair *pair = &event->metadata[i];

        if (pair->key.len > 0) /* an entry may lack its key */
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
        if (call->service == NULL || call->name == NULL || call->path == NULL)
            return false;
    }
    call->content_type = copy_slice(arena, event->content_type);
    call->trace = copy_slice(arena, event->trace);
    return call->content_type != NULL && call->trace != NULL;
}

/* A raw payload: a big frame's own block moves into the arena. */
static const void *keep_payload(weft__server_call *call,
                                const weft__wire_event *event)
{
    if (weft__wire_keep_block(event, &call->arena))
        return event->payload.data;
    return copy_slice(&call->arena, event->payload);
}

static WEFT__APART weft_raw_request *raw_request(weft__server_call *call,
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

/* The call stays until what it lends has been written. */
static void on_lent_written(void *arg)
{
    weft__server_call *call = arg;

    call->lends = false;
    weft__server_call_free_if_done(call);
}

/* Bytes of a reply that lie in the call's own blocks, those of the request
 * above all, are sent from there.  Not if that held up much more than is sent.
 */
static void lend(weft__server_call *call, const ProtobufCMessage *message,
                 weft__protobuf_split *split, weft__payload *payload)
{
    if (!weft__protobuf_split_find(split, message, WEFT__REF_BYTES) ||
        split->lent.len < call->arena.used / 2 ||
        !weft__arena_owns(&call->arena, split->lent.data, split->lent.len) ||
        !weft__protobuf_split_rest(split, message, payload->len, &call->arena))
        return;
    call->lends = true;
    *payload = (weft__payload){
        .len = payload->len,
        .pack = weft__protobuf_split_pack,
        .message = split,
        .tail = split->lent,
        .release = on_lent_written,
        .arg = call,
    };
}

static void on_closure(const ProtobufCMessage *message, void *closure_data)
{
    weft__server_call *call = weft__server_call_to_answer(closure_data);
    weft__protobuf_split split;
    weft__wire_response r = {.status = WEFT_OK};

    if (call == NULL)
        return;
    weft__closure_response(&r, call, message, &call->out_metadata,
                           &call->out_details);
    if (message != NULL && call->arena.used >= WEFT__REF_BYTES)
        lend(call, message, &split, &r.payload);
    weft__server_call_answer(call, &r);
}

/* Its handler has returned without an answer. */
static WEFT__APART void stays(weft__server_call *call, size_t request_bytes)
{
    weft__ring_push(&call->server->calls, &call->link);
    weft__server_conn_add(call->conn, call);
    call->charged_bytes = request_bytes;
    weft__budget_charge(call->conn, request_bytes);
    if (call->deadline_ms != UINT64_MAX)
        weft__server_call_arm(call);
}

/* Everything that a handler may use is in place: runs it.  A call that is
 * answered at once needs neither lists nor a timer. */
static void run_handler(weft__server_call *call, weft__handler handler,
                        const ProtobufCMessage *in, const weft_raw_request *raw)
{
    weft_server *s = call->server;
    weft_call *handle = (weft_call *)(uintptr_t)call->handle;
    weft__server_call *around = weft__server_call_running;
    size_t request_bytes = call->arena.used;

    call->busy++;
    weft__server_call_running = call;
    weft__loop_span_begin(s->loop, call->path);
    if (raw != NULL)
        s->fallback(handle, raw, s->fallback_user);
    else if (call->method->pool != NULL)
        weft__offload_begin(call, handler, in);
    else
        handler(call->method->impl, in, on_closure, handle);
    weft__loop_span_end(s->loop);
    weft__server_call_running = around;
    call->busy--;
    if (call->answered)
        weft__server_call_free_if_done(call);
    else
        stays(call, request_bytes);
}

static void count(weft__server_conn *sc)
{
    weft_server *s = sc->server;

    sc->in_flight++;
    s->n_calls++;
    s->n_active++;
    weft__shard_changed(s);
}

static ProtobufCMessage *decode(weft__server_conn *sc, weft__server_call *call,
                                const weft__wire_event *event)
{
    const weft_server_conf *conf = &call->server->conf;
    weft__decode_limits limits = {
        .depth = conf->max_decode_depth,
        .memory = conf->max_decode_bytes,
        .borrow = weft__wire_keep_block(event, &call->arena)};
    const ProtobufCMessageDescriptor *type = call->method->desc->input;
    ProtobufCMessage *in;
    const char *why = "";
    weft_status status;

    if (event->payload.len > WEFT__CALL_FIRST / 2)
        weft__arena_reserve(&call->arena,
                            type->sizeof_message + event->payload.len);
    status =
        weft__protobuf_decode(type, event->payload.data, event->payload.len,
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
                               "request: %s", why);
        return NULL;
    default:
        weft__server_refuse_v0(sc, event, WEFT_INVALID_ARGUMENT,
                               "request: not a %s: %s", type->name, why);
        return NULL;
    }
}

static void init_call(weft__server_call *call, weft__server_conn *sc,
                      const weft__wire_event *event, uint32_t timeout_ms,
                      uint32_t left_ms)
{
    weft_loop *loop = call->server->loop;

    call->conn = sc;
    call->stream = event->stream;
    call->v0 = event->v0;
    call->payload_bytes = event->payload.len;
    call->begun_ns = weft_loop_now_ns(loop);
    call->timeout_ms = timeout_ms;
    call->deadline_ms = timeout_ms == WEFT_NO_DEADLINE
                            ? UINT64_MAX
                            : weft_loop_now_ms(loop) + left_ms;
}

void weft__server_call_begin(weft__server_conn *sc,
                             const weft__wire_event *event,
                             const weft__method *method, weft__slice service,
                             weft__slice name, uint32_t timeout_ms,
                             uint32_t left_ms)
{
    weft_server *s = sc->server;
    weft__server_call *call = weft__server_call_new(s);
    weft_raw_request *raw = NULL;
    ProtobufCMessage *in = NULL;
    weft__handler handler = NULL;

    if (call == NULL)
        goto no_memory;
    call->method = method;
    init_call(call, sc, event, timeout_ms, left_ms);
    if (!copy_names(call, event, service, name) ||
        (event->n_metadata > 0 && !copy_metadata(call, event)))
        goto no_memory;
    if (method != NULL) {
        handler = weft__method_handler(method);
        if ((in = decode(sc, call, event)) == NULL) {
            weft__server_call_free(call);
            return;
        }
    } else {
        raw = raw_request(call, event);
        if (raw == NULL)
            goto no_memory;
    }
    if (call->handle == 0) /* a new record */
        call->handle =
            weft__handle_new(s->loop, WEFT__HANDLE_SERVER_CALL, call);
    if (call->handle == 0)
        goto no_memory;
    count(sc);
    run_handler(call, handler, in, raw);
    return;
no_memory:
    weft__server_refuse(sc, event, WEFT_RESOURCE_EXHAUSTED,
                        "request: no memory, or over the limit max_call_bytes");
    if (call != NULL) /* last: the event may lie in its arena */
        weft__server_call_free(call);
}
