/* call_api.c - what a handler may do with its call. */
#include "offload_internal.h"

#include <stdarg.h>
#include <string.h>
#include <weft/protobuf.h>

enum { FAIL_TEXT = 1024 /* longest message of weft_call_failf() */ };

_Thread_local weft__server_call *weft__server_call_running;

weft__server_call *weft__server_call_get(weft_call *call)
{
    uint64_t handle = (uint64_t)(uintptr_t)call;
    weft__server_call *it = weft__server_call_running;

    if (it == NULL || it->handle != handle)
        it = weft__handle_get(handle, WEFT__HANDLE_SERVER_CALL);
    return it != NULL && !it->answered ? it : NULL;
}

weft__server_call *weft__server_call_to_answer(weft_call *call)
{
    static _Thread_local weft_log_limit limit;
    weft__server_call *it = weft__server_call_get(call);

    if (it != NULL)
        return it;
    if (weft__handle_stale((uint64_t)(uintptr_t)call))
        weft_log_limited(&limit, WEFT_LOG_WARN, "call answered twice", NULL);
    else
        weft_log_limited(&limit, WEFT_LOG_WARN,
                         "call answered from another thread",
                         "advice=\"use weft_loop_post()\"");
    return NULL;
}

/* What a handler may write to: its call, or, on a pool's thread, its job. */
typedef struct target {
    weft__server_call *call;
    weft__offload *job; /* NULL: on the call's loop */
    weft_arena *arena;
    weft_metadata *out_metadata;
    weft__slice *out_details;
} target;

static bool find_target(weft_call *call, target *t)
{
    weft__server_call *it = weft__server_call_get(call);
    weft__offload *job;

    if (it != NULL) {
        *t =
            (target){it, NULL, &it->arena, &it->out_metadata, &it->out_details};
        return true;
    }
    if ((job = weft__offload_here(call)) == NULL || job->answered)
        return false;
    *t = (target){job->call, job, &job->arena, &job->out_metadata,
                  &job->out_details};
    return true;
}

/* What may be read of a call on its loop and on its pool's thread. */
static const weft__server_call *find_facts(weft_call *call)
{
    const weft__server_call *it = weft__server_call_get(call);
    const weft__offload *job;

    if (it == NULL && (job = weft__offload_here(call)) != NULL)
        it = job->call;
    return it;
}

static bool find_to_answer(weft_call *call, target *t)
{
    if (find_target(call, t))
        return true;
    (void)weft__server_call_to_answer(call); /* says what is wrong */
    return false;
}

/* What every answer carries. */
static weft__wire_response response(const target *t, weft_status status)
{
    return (weft__wire_response){.status = status,
                                 .metadata = *t->out_metadata,
                                 .details = *t->out_details};
}

static void answer(const target *t, const weft__wire_response *r)
{
    if (t->job != NULL)
        weft__offload_answer(t->job, r);
    else
        weft__server_call_answer(t->call, r);
}

weft_status weft_call_fail(weft_call *call, weft_status status,
                           const char *message)
{
    weft__wire_response r;
    target t;

    if (!find_to_answer(call, &t))
        return WEFT_ENOENT;
    r = response(&t, status == WEFT_OK ? WEFT_INTERNAL
                                       : weft_status_to_rpc(status));
    if (message == NULL)
        message = weft_status_text(status);
    r.message = weft__text(message);
    answer(&t, &r);
    return WEFT_OK;
}

weft_status weft_call_failf(weft_call *call, weft_status status,
                            const char *fmt, ...)
{
    char text[FAIL_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return weft_call_fail(call, status, text);
}

/* A gorpc server's own code travels on to a gorpc client; a status of ours that
 * stood on the wire as itself does not: version 0 has other numbers. */
static uint32_t code_of_gorpc(const weft_result *result)
{
    return result->raw_code != (uint32_t)result->status ? result->raw_code : 0;
}

weft_status weft_call_finish(weft_call *call, const weft_result *result)
{
    weft__wire_response r;
    target t;

    if (!find_to_answer(call, &t))
        return WEFT_ENOENT;
    if (result == NULL)
        return weft_call_fail(call, WEFT_INTERNAL, "there is no result");
    r = response(&t, weft_status_to_rpc(result->status));
    /* Out of memory for the pairs: the answer goes without them. */
    if (weft_metadata_add_all(&r.metadata, t.arena, &result->metadata) !=
        WEFT_OK)
        r.metadata = *t.out_metadata;
    if (result->details_len > 0)
        r.details = (weft__slice){result->details, result->details_len};
    if (r.status != WEFT_OK) {
        r.raw_code = code_of_gorpc(result);
        r.message = weft__text(result->message == NULL ? "" : result->message);
    } else if (result->reply != NULL) {
        weft__payload_set_message(&r.payload, result->reply);
    } else {
        r.payload.data = result->payload == NULL ? "" : result->payload;
        r.payload.len = result->payload_len;
        if (result->content_type != NULL)
            r.content_type = weft__text(result->content_type);
    }
    answer(&t, &r);
    return WEFT_OK;
}

static weft_status reply(weft_call *call, const void *data, size_t len,
                         void (*release)(void *arg), void *arg)
{
    weft__wire_response r;
    target t;

    if (!find_to_answer(call, &t)) {
        if (release != NULL)
            release(arg);
        return WEFT_ENOENT;
    }
    r = response(&t, WEFT_OK);
    r.content_type = weft__text(t.call->content_type);
    r.payload.data = len == 0 ? "" : data;
    r.payload.len = len;
    r.payload.release = release;
    r.payload.arg = arg;
    answer(&t, &r);
    return WEFT_OK;
}

weft_status weft_call_reply_bytes(weft_call *call, const void *data, size_t len)
{
    return reply(call, data, len, NULL, NULL);
}

weft_status weft_call_reply_ref(weft_call *call, const void *data, size_t len,
                                void (*release)(void *arg), void *arg)
{
    return reply(call, data, len, release, arg);
}

void *weft_call_alloc(weft_call *call, size_t size)
{
    weft__server_call *it = weft__server_call_get(call);
    weft__offload *job;

    if (it != NULL)
        return weft_arena_alloc(&it->arena, size);
    job = weft__offload_here(call);
    return job == NULL ? NULL : weft_arena_alloc(&job->arena, size);
}

weft_status weft_call_on_end(weft_call *call, weft_call_end_cb cb, void *user)
{
    weft__server_call *it = weft__server_call_get(call);
    weft__end_cb *node, **link;

    if (cb == NULL)
        return WEFT_EINVAL;
    if (it == NULL)
        return weft__offload_here(call) != NULL ? WEFT_ESTATE : WEFT_ENOENT;
    if ((node = weft_arena_alloc(&it->arena, sizeof(*node))) == NULL)
        return WEFT_ENOMEM;
    *node = (weft__end_cb){NULL, cb, user};
    for (link = &it->end_cbs; *link != NULL; link = &(*link)->next)
        ;
    *link = node;
    if (it->ended)
        weft__server_call_tell_end(it);
    return WEFT_OK;
}

bool weft_call_active(weft_call *call)
{
    const weft__server_call *it = weft__server_call_get(call);
    weft__offload *job;

    if (it != NULL)
        return !it->ended;
    job = weft__offload_here(call);
    return job != NULL && !atomic_load(&job->ended);
}

const weft_metadata *weft_call_metadata(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : &it->metadata;
}

const char *weft_call_service(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : it->service;
}

const char *weft_call_method(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : it->name;
}

const char *weft_call_peer(weft_call *call)
{
    weft__server_call *it = weft__server_call_get(call);
    const weft__offload *job;

    if (it == NULL) {
        job = weft__offload_here(call);
        return job == NULL ? NULL : job->peer;
    }
    return weft__server_call_peer(it);
}

const char *weft_call_content_type(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : it->content_type;
}

const char *weft_call_trace(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : it->trace;
}

weft_loop *weft_call_loop(weft_call *call)
{
    const weft__server_call *it = find_facts(call);

    return it == NULL ? NULL : it->server->loop;
}

static uint32_t time_left_ms(const weft__server_call *call)
{
    uint64_t now = weft_loop_now_ms(call->server->loop);

    if (call->deadline_ms == UINT64_MAX)
        return WEFT_NO_DEADLINE;
    return now >= call->deadline_ms ? 0 : (uint32_t)(call->deadline_ms - now);
}

uint32_t weft_call_time_left_ms(weft_call *call)
{
    const weft__server_call *it = weft__server_call_get(call);
    const weft__offload *job;

    if (it != NULL)
        return time_left_ms(it);
    job = weft__offload_here(call);
    return job == NULL ? 0 : weft__offload_time_left_ms(job);
}

weft_status weft_call_add_metadata(weft_call *call, const char *key,
                                   const void *value, size_t value_len)
{
    target t;

    if (!find_target(call, &t))
        return WEFT_ENOENT;
    return weft_metadata_add(t.out_metadata, t.arena, key, value, value_len);
}

weft_status weft_call_set_details(weft_call *call, const void *data, size_t len)
{
    target t;
    char *copy;

    if (!find_target(call, &t))
        return WEFT_ENOENT;
    if ((copy = weft_arena_strndup(t.arena, data, len)) == NULL)
        return WEFT_ENOMEM;
    *t.out_details = (weft__slice){(const uint8_t *)copy, len};
    return WEFT_OK;
}

/* ---- Calls under a call ---- */

weft_status weft__call_inherit(weft_call *parent, weft__inherited *out)
{
    const weft__server_call *it = weft__server_call_get(parent);

    if (it == NULL)
        return WEFT_ENOENT;
    if (it->ended)
        return it->told == WEFT_DEADLINE_EXCEEDED ? WEFT_DEADLINE_EXCEEDED
                                                  : WEFT_CANCELLED;
    *out = (weft__inherited){
        .time_left_ms = time_left_ms(it),
        .trace = it->trace,
        .metadata = &it->metadata,
        .forward = it->server->forward == NULL ? "" : it->server->forward};
    return WEFT_OK;
}

weft_status weft__call_link_under(weft_call *parent, weft__under *under)
{
    weft__server_call *it = weft__server_call_get(parent);

    if (it == NULL)
        return WEFT_ENOENT;
    if (it->ended)
        return it->told == WEFT_DEADLINE_EXCEEDED ? WEFT_DEADLINE_EXCEEDED
                                                  : WEFT_CANCELLED;
    under->next = it->unders;
    under->pprev = &it->unders;
    if (under->next != NULL)
        under->next->pprev = &under->next;
    it->unders = under;
    return WEFT_OK;
}

void weft__under_unlink(weft__under *under)
{
    if (under->pprev == NULL)
        return;
    *under->pprev = under->next;
    if (under->next != NULL)
        under->next->pprev = under->pprev;
    under->next = NULL;
    under->pprev = NULL;
}
