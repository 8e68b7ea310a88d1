/* server_offload.c - handlers on the threads of a pool. */
#include "offload_internal.h"

#include <weft/mem.h>

static _Thread_local weft__offload *current;

/* ---- On the pool's thread ---- */

weft__offload *weft__offload_here(weft_call *call)
{
    if (current == NULL || current->call->handle != (uint64_t)(uintptr_t)call)
        return NULL;
    return current;
}

uint32_t weft__offload_time_left_ms(const weft__offload *o)
{
    uint64_t now = o->clock.now_ns(o->clock.user) / 1000000u;

    if (o->call->deadline_ms == UINT64_MAX)
        return WEFT_NO_DEADLINE;
    return now >= o->call->deadline_ms ? 0
                                       : (uint32_t)(o->call->deadline_ms - now);
}

static bool copy_slice(weft_arena *arena, weft__slice *s)
{
    char *copy;

    if (s->len == 0)
        return true;
    copy = weft_arena_strndup(arena, (const char *)s->data, s->len);
    s->data = (const uint8_t *)copy;
    return copy != NULL;
}

/* Bytes that are released stay where they are: release is the loop's. */
static bool copy_payload(weft_arena *arena, weft__payload *p)
{
    uint8_t *copy;

    if (p->release != NULL)
        return true;
    if ((copy = weft_arena_alloc(arena, p->len + 1)) == NULL)
        return false;
    if (p->pack != NULL)
        p->pack(p->message, copy, p->len);
    else if (p->len > 0)
        memcpy(copy, p->data, p->len);
    *p = (weft__payload){.len = p->len, .data = copy};
    return true;
}

/* Metadata lies in the job's arena already. */
void weft__offload_answer(weft__offload *o, const weft__wire_response *r)
{
    o->answered = true;
    o->answer = *r;
    if (copy_slice(&o->arena, &o->answer.message) &&
        copy_slice(&o->arena, &o->answer.details) &&
        copy_slice(&o->arena, &o->answer.content_type) &&
        (r->status != WEFT_OK || copy_payload(&o->arena, &o->answer.payload)))
        return;
    weft__drop_payload(r);
    o->answer = (weft__wire_response){
        .status = WEFT_RESOURCE_EXHAUSTED,
        .message = weft__text("reply: no memory, or over the limit "
                              "max_call_bytes")};
}

static void on_closure(const ProtobufCMessage *message, void *closure_data)
{
    weft__offload *o = weft__offload_here(closure_data);
    weft__wire_response r = {.status = WEFT_OK};

    if (o == NULL || o->answered) {
        weft_log_warn("call answered twice, or from another thread", NULL);
        return;
    }
    weft__closure_response(&r, o->call, message, &o->out_metadata,
                           &o->out_details);
    weft__offload_answer(o, &r);
}

static void run(weft__job *job)
{
    weft__offload *o = (weft__offload *)job;

    if (atomic_load(&o->ended) || weft__offload_time_left_ms(o) == 0) {
        o->skipped = true;
        return;
    }
    current = o;
    o->handler(o->call->method->impl, o->in, on_closure,
               (void *)(uintptr_t)o->call->handle);
    current = NULL;
}

/* ---- Back on the loop ---- */

static void let_go(weft__offload *o)
{
    weft__server_call *call = o->call;

    weft_arena_fini(&o->arena);
    call->offload = NULL; /* its memory is the call's */
    call->busy--;
    weft_loop_unhold(call->server->loop);
}

/* The handler has not begun, and will not. */
static void drop(weft__offload *o)
{
    weft__server_call *call = o->call;
    weft_server *s = call->server;
    char text[WEFT__FAILURE_TEXT];

    snprintf(text, sizeof(text),
             "deadline %u ms: no thread of the pool was free in time",
             call->timeout_ms);
    weft__server_call_end(call, WEFT_DEADLINE_EXCEEDED, text);
    s->stats.expired += call->told == WEFT_DEADLINE_EXCEEDED;
    let_go(o);
    weft__server_call_forgo(call);
}

static void on_dropped(void *arg)
{
    drop(arg);
}

static void on_back(void *arg)
{
    weft__offload *o = arg;
    weft__server_call *call = o->call;

    if (o->skipped) {
        drop(o);
        return;
    }
    if (!o->answered)
        o->answer = (weft__wire_response){
            .status = WEFT_INTERNAL,
            .message = weft__text("the handler returned without an answer")};
    weft__server_call_answer(call, &o->answer);
    let_go(o);
    weft__server_call_free_if_done(call);
}

static void done(weft__job *job)
{
    weft__offload *o = (weft__offload *)job;

    /* Refused by a loop that ends: it waits for the job instead. */
    (void)weft__loop_post_node(o->call->server->loop, &o->post, on_back, o);
}

/* ---- On the way out ---- */

static weft__offload *offload_new(weft__server_call *call)
{
    weft__offload *o = weft_arena_alloc(&call->arena, sizeof(*o));

    if (o == NULL)
        return NULL;
    memset(o, 0, sizeof(*o));
    o->peer = weft__server_call_peer(call);
    o->job.run = run;
    o->job.done = done;
    o->call = call;
    o->pool = call->method->pool;
    o->clock = weft__loop_clock(call->server->loop);
    weft_arena_init(&o->arena, NULL, 0, call->server->conf.max_call_bytes);
    return o;
}

static void refuse(weft__server_call *call, const char *fmt, uint32_t value)
{
    char text[WEFT__FAILURE_TEXT];
    weft__wire_response r = {.status = WEFT_RESOURCE_EXHAUSTED};

    snprintf(text, sizeof(text), fmt, value);
    r.message = weft__text(text);
    call->server->stats.refused++;
    weft__server_call_answer(call, &r);
}

void weft__offload_begin(weft__server_call *call, weft__handler handler,
                         const ProtobufCMessage *in)
{
    weft_server *s = call->server;
    weft__offload *o = offload_new(call);

    if (o == NULL) {
        refuse(call,
               "request: no memory, or over the limit max_call_bytes of "
               "%u bytes",
               s->conf.max_call_bytes);
        return;
    }
    o->handler = handler;
    o->in = in;
    call->busy++;
    call->offload = o;
    weft_loop_hold(s->loop); /* the pool will post */
    if (weft__pool_submit(o->pool, &o->job) == WEFT_OK)
        return;
    let_go(o);
    weft_log_limited(&s->limit_log, WEFT_LOG_WARN, "call refused",
                     "limit=max_queue value=%u path=%s",
                     weft__pool_max_queue(o->pool), call->path);
    refuse(call, "pool: the limit max_queue of %u jobs is reached",
           weft__pool_max_queue(o->pool));
}

void weft__offload_call_ended(weft__server_call *call)
{
    weft__offload *o = call->offload;

    atomic_store(&o->ended, true);
    if (weft__pool_withdraw(o->pool, &o->job))
        weft__loop_defer(call->server->loop, &o->dropped, on_dropped, o);
}

void weft__offload_settle(weft__server_call *call)
{
    weft__offload *o = call->offload;

    weft__loop_undefer(call->server->loop, &o->dropped);
    weft__pool_settle(o->pool, &o->job);
    if (o->answered)
        weft__drop_payload(&o->answer);
    let_go(o);
}

weft_status weft_server_offload(weft_server *s, const char *path,
                                weft_pool *pool)
{
    weft__method *method;

    if (s == NULL)
        return WEFT_EINVAL;
    if (s->status != WEFT_OK)
        return s->status;
    if (s->phase != WEFT__PHASE_NEW || s->freed)
        return WEFT_ESTATE;
    if (path == NULL || pool == NULL)
        return weft__server_fail(s, WEFT_EINVAL, "offload: %s is NULL",
                                 path == NULL ? "the path" : "the pool");
    if ((method = weft__services_method(&s->services, path)) == NULL)
        return weft__server_fail(s, WEFT_ENOENT,
                                 "offload %s: there is no such method", path);
    method->pool = pool;
    return WEFT_OK;
}
