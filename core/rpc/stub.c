/* stub.c - the ways to make a call: generated stubs, descriptors, raw bytes. */
#include "client_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/arena_internal.h>
#include <weft/mem.h>

/* ---- Paths: "/package.Service/Method", made once per service ---- */

static WEFT__COLD weft__paths *
make_paths(const ProtobufCServiceDescriptor *service)
{
    size_t n = service->n_methods, bytes = 0;
    weft__paths *paths;
    char *at;

    for (size_t i = 0; i < n; i++)
        bytes += strlen(service->name) + strlen(service->methods[i].name) + 3;
    paths = weft_malloc(sizeof(*paths) + n * sizeof(paths->path[0]) + bytes);
    if (paths == NULL)
        return NULL;
    paths->service = service;
    at = (char *)&paths->path[n];
    for (size_t i = 0; i < n; i++) {
        paths->path[i].text = at;
        paths->path[i].len = (size_t)sprintf(at, "/%s/%s", service->name,
                                             service->methods[i].name);
        at += paths->path[i].len + 1;
    }
    return paths;
}

static WEFT__APART const weft__paths *
find_others(weft_channel *ch, const ProtobufCServiceDescriptor *service)
{
    weft__paths *paths;

    HASH_FIND_PTR(ch->paths, &service, paths);
    if (paths == NULL && (paths = make_paths(service)) != NULL) {
        HASH_ADD_PTR(ch->paths, service, paths);
        if (paths->hh.tbl == NULL) {
            weft_free(paths);
            paths = NULL;
        }
    }
    ch->last_paths = paths;
    return paths;
}

static const weft__paths *find_paths(weft_channel *ch,
                                     const ProtobufCServiceDescriptor *service)
{
    const weft__paths *paths = ch->last_paths;

    return paths != NULL && paths->service == service
               ? paths
               : find_others(ch, service);
}

void weft__paths_free(weft_channel *ch)
{
    weft__paths *paths, *next;

    HASH_ITER(hh, ch->paths, paths, next)
    {
        HASH_DEL(ch->paths, paths);
        weft_free(paths);
    }
}

static weft_status set_path(weft__client_call *call, const weft_stub *stub,
                            unsigned method)
{
    const ProtobufCServiceDescriptor *service = stub->base.descriptor;
    const weft__paths *paths;

    if (stub->options.service != NULL) { /* under another name */
        call->path =
            weft_arena_printf(&call->arena, "/%s/%s", stub->options.service,
                              service->methods[method].name);
        if (call->path == NULL)
            return WEFT_ENOMEM;
        call->path_len = strlen(call->path);
        return WEFT_OK;
    }
    if ((paths = find_paths(call->channel, service)) == NULL)
        return WEFT_ENOMEM;
    call->path = paths->path[method].text;
    call->path_len = paths->path[method].len;
    return WEFT_OK;
}

/* ---- Requests ---- */

/* Memory for the first n of its len bytes: all, or those that are not lent.
 * Checks that the room is there before it is used. */
static weft_status reserve_request(weft__client_call *call, size_t len,
                                   size_t n, uint8_t **data, const char **why)
{
    weft_channel *ch = call->channel;

    if (len > ch->conf.max_frame_bytes) {
        *why = "the request is over the channel's max_frame_bytes";
        return WEFT_ELIMIT;
    }
    if (ch->stats.pending_bytes + len > ch->conf.max_pending_bytes) {
        *why = "max_pending_bytes of requests are pending on this channel";
        return WEFT_ELIMIT;
    }
    *data = n < len || len >= WEFT__REF_BYTES
                ? weft__request_new(call, n, len)
                : weft_arena_alloc(&call->arena, len);
    if (*data == NULL)
        return WEFT_ENOMEM;
    call->request = (weft__slice){*data, len};
    return WEFT_OK;
}

static weft_status pack_all(weft__client_call *call,
                            const ProtobufCMessage *request, size_t size,
                            const char **why)
{
    uint8_t *data;
    weft_status st = reserve_request(call, size, size, &data, why);

    if (st == WEFT_OK)
        weft__protobuf_pack(request, data, size);
    return st;
}

/* All but what the caller lends. */
static weft_status pack_rest(weft__client_call *call,
                             const ProtobufCMessage *request, size_t size,
                             weft__protobuf_split *split,
                             const weft_call_options *o, const char **why)
{
    size_t n = size - split->lent.len;
    uint8_t *data;
    weft_status st;

    if ((st = reserve_request(call, size, n, &data, why)) != WEFT_OK)
        return st;
    if (!weft__protobuf_split_rest(split, request, size, &call->arena))
        return WEFT_ENOMEM;
    weft__protobuf_split_pack(split, data, n);
    if (split->rest_len > 0)
        weft__arena_give_back(&call->arena, split->rest,
                              request->descriptor->sizeof_message);
    weft__request_lend(call, split->lent, o->release, o->release_arg);
    return WEFT_OK;
}

/* Nothing of the request is needed, or not any more. */
static void give_back(const weft_call_options *o)
{
    if (o->release != NULL)
        o->release(o->release_arg);
}

/* lends: of the request, what split says. */
static weft_status make(weft__client_call **out, weft_channel *ch,
                        const weft_stub *stub, unsigned method,
                        const ProtobufCMessage *request,
                        weft__protobuf_split *split, bool lends,
                        const char **why)
{
    const weft_call_options *o = &stub->options;
    size_t size = weft__protobuf_size(request);
    weft__client_call *call;
    weft_status st;

    st = weft__client_call_new(&call, ch, o, lends ? 0 : size, why);
    if (st != WEFT_OK)
        return st;
    if ((st = set_path(call, stub, method)) == WEFT_OK &&
        (st = lends ? pack_rest(call, request, size, split, o, why)
                    : pack_all(call, request, size, why)) == WEFT_OK) {
        call->output = stub->base.descriptor->methods[method].output;
        *out = call;
        return WEFT_OK;
    }
    weft__client_call_abort(call);
    return st;
}

static weft_status check(const weft_stub *stub, unsigned method,
                         const ProtobufCMessage *request, const char **why)
{
    const ProtobufCServiceDescriptor *service = stub->base.descriptor;

    if (service == NULL || method >= service->n_methods ||
        service->name == NULL) {
        *why = "the service has no such method";
        return WEFT_EINVAL;
    }
    if (request == NULL ||
        request->descriptor != service->methods[method].input) {
        *why = "the request is not of the method's type";
        return WEFT_EINVAL;
    }
    return WEFT_OK;
}

static weft_status prepare(weft__client_call **out, weft_channel *ch,
                           const weft_stub *stub, unsigned method,
                           const ProtobufCMessage *request, const char **why)
{
    const weft_call_options *o = &stub->options;
    weft__protobuf_split split;
    bool lends = false;
    weft_status st;

    if (o->handle != NULL)
        *o->handle = 0;
    if ((st = check(stub, method, request, why)) == WEFT_OK) {
        lends = o->release != NULL &&
                weft__protobuf_split_find(&split, request, WEFT__LEND_BYTES);
        st = make(out, ch, stub, method, request, &split, lends, why);
    }
    if (!lends || st != WEFT_OK)
        give_back(o);
    return st;
}

weft_status weft_stub_call(const weft_stub *stub, unsigned method,
                           const ProtobufCMessage *request, weft_result_cb cb,
                           void *user)
{
    weft__client_call *call;
    const char *why = NULL;
    weft_channel *ch;
    weft_status st;

    if (stub == NULL)
        return WEFT_EINVAL;
    if (stub->channel == NULL || cb == NULL) {
        give_back(&stub->options);
        return WEFT_EINVAL;
    }
    if ((ch = weft__channel_here(stub->channel)) == NULL) {
        give_back(&stub->options);
        return WEFT_ESTATE;
    }
    if ((st = prepare(&call, ch, stub, method, request, &why)) != WEFT_OK)
        return st;
    call->cb = cb;
    call->user = user;
    weft__client_call_start(call, stub->options.handle);
    return WEFT_OK;
}

static weft_status make_raw(weft__client_call **out, weft_channel *ch,
                            const weft_call_options *o, const char *path,
                            const void *data, size_t len, bool lends)
{
    size_t path_len = strlen(path), copied = lends ? 0 : len;
    weft__client_call *call;
    const char *why;
    uint8_t *copy;
    weft_status st;

    st = weft__client_call_new(&call, ch, o, path_len + 1 + copied, &why);
    if (st != WEFT_OK)
        return st;
    call->path_len = path_len;
    call->path = weft_arena_strndup(&call->arena, path, path_len);
    st = call->path == NULL ? WEFT_ENOMEM
                            : reserve_request(call, len, copied, &copy, &why);
    if (st != WEFT_OK) {
        weft__client_call_abort(call);
        return st;
    }
    if (copied > 0)
        memcpy(copy, data, copied);
    if (lends)
        weft__request_lend(call, (weft__slice){data, len}, o->release,
                           o->release_arg);
    *out = call;
    return WEFT_OK;
}

weft_status weft_call_bytes(weft_channel *ch, const weft_call_options *options,
                            const char *path, const void *data, size_t len,
                            weft_result_cb cb, void *user)
{
    static const weft_call_options none;
    weft__client_call *call;
    weft_status st;
    bool lends;

    if (options == NULL)
        options = &none;
    if (options->handle != NULL)
        *options->handle = 0;
    lends = options->release != NULL && len >= WEFT__LEND_BYTES;
    if (ch == NULL || cb == NULL || path == NULL || path[0] != '/')
        st = WEFT_EINVAL;
    else if ((ch = weft__channel_here(ch)) == NULL)
        st = WEFT_ESTATE;
    else
        st = make_raw(&call, ch, options, path, data, len, lends);
    if (!lends || st != WEFT_OK)
        give_back(options);
    if (st != WEFT_OK)
        return st;
    call->cb = cb;
    call->user = user;
    weft__client_call_start(call, options->handle);
    return WEFT_OK;
}

/* ---- Stubs: a refusal is told by the callback, later ---- */

static void tell(ProtobufCClosure closure, void *user, weft_status status,
                 const char *message)
{
    weft__client_call *outer_call = weft__current_call;
    const weft_result *outer = weft__current_result;
    weft_result result = {.status = weft_status_to_rpc(status),
                          .message = message,
                          .peer = "",
                          .content_type = ""};

    weft__current_call = NULL;
    weft__current_result = &result;
    closure(NULL, user);
    weft__current_call = outer_call;
    weft__current_result = outer;
}

static void on_refusal(void *arg)
{
    weft__refusal *r = arg;
    weft_channel *ch = r->channel;

    tell(r->closure, r->user, r->status, r->message);
    r->channel = NULL;
    ch->n_refusals--;
    weft__channel_reap_if_done(ch);
}

static void refuse(weft_channel *ch, weft_status status, const char *why,
                   ProtobufCClosure closure, void *user)
{
    for (size_t i = 0; ch->n_refusals < WEFT__REFUSALS && i < WEFT__REFUSALS;
         i++) {
        weft__refusal *r = &ch->refusals[i];
        if (r->channel != NULL)
            continue;
        r->channel = ch;
        r->closure = closure;
        r->user = user;
        r->status = status;
        snprintf(r->message, sizeof(r->message), "%s",
                 why != NULL ? why : weft_status_text(status));
        ch->n_refusals++;
        weft__loop_defer(ch->loop, &r->deferred, on_refusal, r);
        return;
    }
    tell(closure, user, WEFT_RESOURCE_EXHAUSTED,
         "too many calls were refused at once");
}

static void invoke(ProtobufCService *service, unsigned method,
                   const ProtobufCMessage *request, ProtobufCClosure closure,
                   void *user)
{
    const weft_stub *stub = (const weft_stub *)service;
    weft_channel *ch = weft__channel_here(stub->channel);
    weft__client_call *call;
    const char *why = NULL;
    weft_status st;

    if (ch == NULL) { /* there is no loop to be later on */
        if (stub->options.handle != NULL)
            *stub->options.handle = 0;
        give_back(&stub->options);
        tell(closure, user, WEFT_FAILED_PRECONDITION,
             stub->channel == NULL
                 ? "there is no channel"
                 : "the channel has nothing on this thread's loop");
        return;
    }
    if ((st = prepare(&call, ch, stub, method, request, &why)) != WEFT_OK) {
        refuse(ch, st, why, closure, user);
        return;
    }
    call->by_stub = true;
    call->closure = closure;
    call->user = user;
    weft__client_call_start(call, stub->options.handle);
}

weft_stub weft_stub_for(weft_channel *channel,
                        const ProtobufCServiceDescriptor *service)
{
    return (weft_stub){.base = {.descriptor = service, .invoke = invoke},
                       .channel = channel};
}

weft_stub weft_stub_under(const weft_stub *stub, weft_call *parent)
{
    weft_stub copy = *stub;

    copy.options.parent = parent;
    return copy;
}
