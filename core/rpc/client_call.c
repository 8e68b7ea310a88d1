/* client_call.c - a call's life: made, started, ended, told. */
#include "client_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <weft/arena_internal.h>
#include <weft/hint.h>
#include <weft/mem.h>

#define POOL_MAX 1024
#define EXPIRE_AT_ONCE 512
#define REPLY_EXTRA 80    /* bytes: its struct, its ends */
#define ARENA_SLACK 65536 /* path, metadata and texts beside the messages */

/* ---- Making ---- */

static weft__client_call *small_record(weft_channel *ch)
{
    weft__client_call *call = ch->pool;

    if (call == NULL)
        return weft_malloc(WEFT__CALL_BYTES);
    ch->pool = call->next;
    ch->n_pool--;
    return call;
}

/* The request lies in the record, and its reply will in its place.  One that
 * the wire does not copy has memory of its own (request.c). */
static weft__client_call *record_get(weft_channel *ch, size_t request_bytes)
{
    bool large = request_bytes > WEFT__CALL_ARENA - REPLY_EXTRA &&
                 request_bytes < WEFT__REF_BYTES;
    size_t size = sizeof(weft__client_call) + request_bytes + REPLY_EXTRA;
    weft__client_call *call =
        large ? weft__loop_block_get(ch->loop, &size) : small_record(ch);

    if (call == NULL)
        return NULL;
    memset(call, 0, offsetof(weft__client_call, channel));
    call->room =
        large ? (uint32_t)(size - sizeof(*call)) : (uint32_t)WEFT__CALL_ARENA;
    weft__arena_init(&call->arena, ch->loop, call->first_chunk, call->room,
                     (size_t)ch->conf.max_decode_bytes +
                         ch->conf.max_frame_bytes + ARENA_SLACK);
    return call;
}

static void record_put(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    weft__arena_fini(&call->arena);
    if (call->room > WEFT__CALL_ARENA) {
        weft__loop_block_put(ch->loop, call, sizeof(*call) + call->room);
        return;
    }
    if (ch->n_pool >= POOL_MAX) {
        weft_free(call);
        return;
    }
    call->next = ch->pool;
    ch->pool = call;
    ch->n_pool++;
}

void weft__client_call_abort(weft__client_call *call)
{
    weft__under_unlink(&call->under);
    if (call->handle != 0)
        weft__handle_drop(call->channel->loop, call->handle);
    if (call->shared != NULL)
        weft__request_drop(call);
    record_put(call);
}

/* 0 means "no key". */
static uint64_t hash_key(const void *key, size_t len)
{
    uint64_t h = weft__hash_bytes(key, len);

    return h != 0 ? h : 1;
}

/* Carries on those pairs of the parent's whose key `forward` lists. */
static weft_status forward_metadata(weft__client_call *call,
                                    const weft__inherited *in)
{
    for (const char *at = in->forward; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ", ");
        for (size_t i = 0; len > 0 && i < in->metadata->n; i++) {
            const weft_metadatum *m = &in->metadata->items[i];
            if (strlen(m->key) != len || strncasecmp(m->key, at, len) != 0)
                continue;
            weft_status st = weft_metadata_add(&call->forwarded, &call->arena,
                                               m->key, m->value, m->value_len);
            if (st != WEFT_OK)
                return st;
        }
        at += len + strspn(at + len, ", ");
    }
    return WEFT_OK;
}

static weft_status inherit(weft__client_call *call, weft_call *parent,
                           const char **why)
{
    weft__inherited in;
    weft_status st = weft__call_inherit(parent, &in);

    if (st != WEFT_OK) {
        *why = st == WEFT_DEADLINE_EXCEEDED
                   ? "the parent call's deadline has passed"
                   : "the parent call has ended";
        return st;
    }
    if (in.time_left_ms < call->timeout_ms)
        call->timeout_ms = in.time_left_ms;
    if (in.trace != NULL && in.trace[0] != '\0') {
        call->trace =
            weft_arena_strndup(&call->arena, in.trace, strlen(in.trace));
        if (call->trace == NULL)
            return WEFT_ENOMEM;
    }
    return forward_metadata(call, &in);
}

static void on_parent_ended(weft__under *under, weft_status status);

/* What most calls have none of. */
static WEFT__APART weft_status apply_extras(weft__client_call *call,
                                            const weft_call_options *o,
                                            const char **why)
{
    weft_status st;

    if (o->hash_key != NULL)
        call->hash = hash_key(o->hash_key, o->hash_key_len);
    st = weft_metadata_add_all(&call->metadata, &call->arena, &o->metadata);
    if (st != WEFT_OK) {
        *why = st == WEFT_EINVAL ? "a metadata key is not valid" : NULL;
        return st;
    }
    if (o->content_type != NULL) {
        call->content_type = weft_arena_strndup(&call->arena, o->content_type,
                                                strlen(o->content_type));
        if (call->content_type == NULL)
            return WEFT_ENOMEM;
    }
    if (o->parent != NULL) {
        call->under.parent_ended = on_parent_ended;
        if ((st = inherit(call, o->parent, why)) != WEFT_OK ||
            (st = weft__call_link_under(o->parent, &call->under)) != WEFT_OK)
            return st;
    }
    if (o->handle != NULL) {
        call->handle = weft__handle_new(call->channel->loop,
                                        WEFT__HANDLE_CLIENT_CALL, call);
        if (call->handle == 0)
            return WEFT_ENOMEM;
    }
    return WEFT_OK;
}

static bool has_extras(const weft_call_options *o)
{
    return o->hash_key != NULL || o->metadata.n > 0 ||
           o->content_type != NULL || o->parent != NULL || o->handle != NULL;
}

static weft_status apply_options(weft__client_call *call,
                                 const weft_call_options *o, const char **why)
{
    const weft_channel_conf *conf = &call->channel->conf;

    call->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : conf->timeout_ms;
    call->wait_for_ready = o->wait_for_ready | conf->wait_for_ready;
    call->fail_fast = o->fail_fast;
    call->one_way = o->one_way;
    return has_extras(o) ? apply_extras(call, o, why) : WEFT_OK;
}

weft_status weft__client_call_new(weft__client_call **out, weft_channel *ch,
                                  const weft_call_options *options,
                                  size_t request_bytes, const char **why)
{
    weft__client_call *call;
    weft_status st;

    *why = NULL;
    if (ch->error[0] != '\0') {
        *why = ch->error;
        return WEFT_EINVAL;
    }
    if (ch->closing || weft__loop_closing(ch->loop)) {
        *why = "the channel is closed";
        return WEFT_ECLOSED;
    }
    if (ch->stats.in_flight >= ch->conf.max_in_flight) {
        *why = "max_in_flight calls are in flight on this channel";
        return WEFT_ELIMIT;
    }
    weft__loop_touch(ch->loop);
    if (!ch->active || ch->idle.first != NULL) {
        if ((st = weft__channel_activate(ch, why)) != WEFT_OK)
            return st;
        *why = NULL;
    }
    if ((call = record_get(ch, request_bytes)) == NULL)
        return WEFT_ENOMEM;
    call->channel = ch;
    call->started_ns = weft_loop_now_ns(ch->loop);
    call->result.message = call->result.peer = call->result.content_type = "";
    if ((st = apply_options(call, options, why)) != WEFT_OK) {
        weft__client_call_abort(call);
        return st;
    }
    *out = call;
    return WEFT_OK;
}

/* ---- Deadlines ----
 *
 * Most calls have the channel's timeout, so that each is due after those before
 * it: a row and one timer do for all of them, and next to none of them is still
 * there when it would be due. */

static void on_deadline(weft_timer *timer, void *user);

static uint64_t due_ms(const weft__client_call *call)
{
    /* Rounded up: a part of a millisecond may have passed already. */
    return (call->started_ns + 999999) / 1000000 + call->timeout_ms;
}

static WEFT__APART void arm_row(weft_channel *ch)
{
    weft_timer_start_at(&ch->row_timer, due_ms(ch->row));
}

static WEFT__APART void start_own(weft__client_call *call)
{
    call->ends_by = WEFT__DEADLINE_OWN;
    weft_timer_init(&call->deadline, call->channel->loop, on_deadline, call);
    weft_timer_start_at(&call->deadline, due_ms(call));
}

static void deadline_start(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    if (call->timeout_ms == WEFT_NO_DEADLINE)
        return;
    if (call->timeout_ms != ch->conf.timeout_ms) {
        start_own(call);
        return;
    }
    call->ends_by = WEFT__DEADLINE_ROW;
    call->row.next = NULL;
    call->row.pprev = ch->row_tail;
    *ch->row_tail = call;
    ch->row_tail = &call->row.next;
    if (!weft_timer_armed(&ch->row_timer))
        arm_row(ch);
}

static void deadline_stop(weft__client_call *call)
{
    if (call->ends_by == WEFT__DEADLINE_ROW) {
        if ((*call->row.pprev = call->row.next) != NULL)
            call->row.next->row.pprev = call->row.pprev;
        else
            call->channel->row_tail = call->row.pprev;
    } else if (call->ends_by == WEFT__DEADLINE_OWN) {
        weft_timer_stop(&call->deadline);
    }
    call->ends_by = WEFT__DEADLINE_NONE;
}

void weft__client_call_start(weft__client_call *call, weft_handle *handle)
{
    weft_channel *ch = call->channel;

    if (handle != NULL)
        *handle = call->handle;
    if ((call->next = ch->calls) != NULL)
        call->next->pprev = &call->next;
    call->pprev = &ch->calls;
    ch->calls = call;
    ch->stats.in_flight++;
    ch->stats.pending_bytes += call->request.len;
    deadline_start(call);
    weft__dispatch(call, call->started_ns);
}

/* ---- Ending ---- */

static uint64_t us_between(uint64_t from, uint64_t to)
{
    return to > from ? (to - from) / 1000 : 0;
}

WEFT__INLINE void measure_phases(weft__client_call *call, uint64_t now)
{
    uint64_t resolved = call->resolved_ns != 0 ? call->resolved_ns : now;
    uint64_t sent = call->sent_ns != 0 ? call->sent_ns : now;

    call->result.resolving_us = us_between(call->started_ns, resolved);
    call->result.connecting_us = us_between(resolved, sent);
    call->result.waiting_us = us_between(sent, now);
}

/* Calls that began in one callback and ended in another took equally long, and
 * count in one go. */
WEFT__INLINE void count_latency(weft_channel *ch, const weft__client_call *call,
                                uint64_t now)
{
    uint64_t ns = now > call->started_ns ? now - call->started_ns : 0;

    if (ns != ch->last_ns) {
        weft_histogram_add(&ch->latency, ch->last_ns, ch->n_last);
        ch->last_ns = ns;
        ch->n_last = 0;
    }
    ch->n_last++;
}

static void observe(const weft__client_call *call)
{
    const weft_result *r = &call->result;

    weft__observe_emit(call->channel->loop,
                       &(weft_observation){.path = call->path,
                                           .peer = r->peer,
                                           .status = r->status,
                                           .request_bytes = call->request.len,
                                           .reply_bytes = r->payload_len,
                                           .resolving_us = r->resolving_us,
                                           .connecting_us = r->connecting_us,
                                           .waiting_us = r->waiting_us});
}

/* Tells the caller.  K4: the callback may close the channel, whose memory stays
 * until the stack has unwound. */
WEFT__INLINE void complete(void *arg)
{
    weft__client_call *call = arg, *outer_call = weft__current_call;
    const weft_result *outer = weft__current_result;
    weft_channel *ch = call->channel;

    if ((*call->pprev = call->next) != NULL)
        call->next->pprev = call->pprev;
    ch->stats.in_flight--;
    ch->stats.calls++;
    if (call->result.status != WEFT_OK)
        ch->stats.failed++;
    if (weft__observed(ch->loop))
        observe(call);
    if (call->output != NULL)
        call->result.payload_len = 0; /* it was only counted */

    weft__current_call = call;
    weft__current_result = &call->result;
    call->telling = true;
    weft__loop_span_begin(ch->loop, call->path);
    if (call->by_stub)
        call->closure(call->result.reply, call->user);
    else
        call->cb(&call->result, call->user);
    weft__loop_span_end(ch->loop);
    weft__current_call = outer_call;
    weft__current_result = outer;
    call->telling = false;

    if (!call->kept)
        record_put(call);
    if (ch->closing)
        weft__channel_reap_if_done(ch);
}

void weft__client_call_end(weft__client_call *call, weft_status status,
                           const char *message, bool inline_ok)
{
    weft_channel *ch = call->channel;
    uint64_t now;

    if (call->place == WEFT__CALL_ENDED)
        return;
    if (call->place == WEFT__CALL_WAITING)
        weft__wait_remove(call);
    call->place = WEFT__CALL_ENDED;
    ch->stats.pending_bytes -= call->request.len;
    deadline_stop(call);
    if (call->under.pprev != NULL)
        weft__under_unlink(&call->under);
    if (call->handle != 0)
        weft__handle_drop(ch->loop, call->handle);
    if (call->shared != NULL)
        weft__request_drop(call);
    call->result.status = weft_status_to_rpc(status);
    if (message != NULL)
        call->result.message = message;
    now = weft_loop_now_ns(ch->loop);
    measure_phases(call, now);
    count_latency(ch, call, now);
    if (inline_ok) {
        complete(call);
        return;
    }
    if (call->result.peer[0] != '\0') { /* the endpoint may go before */
        const char *peer = call->result.peer;
        peer = weft_arena_strndup(&call->arena, peer, strlen(peer));
        call->result.peer = peer != NULL ? peer : "";
    }
    call->completion = (weft__deferred){0}; /* where its deadline was */
    weft__loop_defer(ch->loop, &call->completion, complete, call);
}

void weft__client_call_endf(weft__client_call *call, weft_status status,
                            bool inline_ok, const char *fmt, ...)
{
    char text[512];
    char *copy;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    copy = weft_arena_strndup(&call->arena, text, strlen(text));
    weft__client_call_end(call, status,
                          copy != NULL ? copy : weft_status_text(status),
                          inline_ok);
}

/* "deadline 5000 ms: resolving 2, connecting 4, waiting 4994 for 10.0.0.7:8000"
 */
static void expire(weft__client_call *call)
{
    const weft_result *r = &call->result;
    char cause[256] = "";

    measure_phases(call, weft_loop_now_ns(call->channel->loop));
    if (call->place == WEFT__CALL_SENT)
        weft__client_conn_abandon(&call->attempt, WEFT_DEADLINE_EXCEEDED);
    else
        weft__channel_why_waiting(call->channel, cause, sizeof(cause));
    weft__client_call_endf(
        call, WEFT_DEADLINE_EXCEEDED, true,
        "deadline %u ms: resolving %llu, connecting %llu, waiting %llu%s%s%s%s",
        call->timeout_ms, (unsigned long long)r->resolving_us / 1000,
        (unsigned long long)r->connecting_us / 1000,
        (unsigned long long)r->waiting_us / 1000,
        r->peer[0] != '\0' ? " for " : "", r->peer,
        cause[0] != '\0' ? "; last error: " : "", cause);
}

static void on_deadline(weft_timer *timer, void *user)
{
    (void)timer;
    expire(user);
}

/* Each ends its call, and so takes it out of the row. */
static void on_row(weft_timer *timer, void *user)
{
    weft_channel *ch = user;
    uint64_t now_ms = weft_loop_now_ms(ch->loop);

    for (int n = 0; ch->row != NULL && due_ms(ch->row) <= now_ms; n++) {
        if (n == EXPIRE_AT_ONCE) { /* the loop sees to others first */
            weft_timer_start(timer, 0);
            return;
        }
        expire(ch->row);
    }
    if (ch->row != NULL)
        arm_row(ch);
}

void weft__row_init(weft_channel *ch)
{
    ch->row_tail = &ch->row;
    weft_timer_init(&ch->row_timer, ch->loop, on_row, ch);
    ch->row_timer.name = "deadlines of calls";
}

static void cancel(weft__client_call *call, weft_status why,
                   const char *message)
{
    if (call->place == WEFT__CALL_SENT)
        weft__client_conn_abandon(&call->attempt, why);
    weft__client_call_end(call, why, message, false);
}

static void on_parent_ended(weft__under *under, weft_status status)
{
    weft__client_call *call =
        (weft__client_call *)((char *)under -
                              offsetof(weft__client_call, under));

    cancel(call, status == WEFT_DEADLINE_EXCEEDED ? status : WEFT_CANCELLED,
           "the parent call has ended");
}

void weft_cancel(weft_handle handle)
{
    weft__client_call *call =
        weft__handle_get(handle, WEFT__HANDLE_CLIENT_CALL);

    if (call == NULL)
        return;
    weft__loop_touch(call->channel->loop);
    cancel(call, WEFT_CANCELLED, "cancelled by the caller");
}

/* ---- Answers ---- */

static const char *slice_text(weft_arena *arena, weft__slice s)
{
    const char *copy;

    if (s.len == 0)
        return "";
    copy = weft_arena_strndup(arena, s.data, s.len);
    return copy != NULL ? copy : "";
}

static WEFT__APART weft_status copy_metadata(weft__client_call *call,
                                             const weft__wire_event *event)
{
    weft_metadatum *items;

    items = weft_arena_alloc(&call->arena, event->n_metadata * sizeof(*items));
    if (items == NULL)
        return WEFT_ENOMEM;
    for (size_t i = 0; i < event->n_metadata; i++) {
        const weft__pair *p = &event->metadata[i];
        items[i].key =
            weft_arena_strndup(&call->arena, p->key.data, p->key.len);
        items[i].value =
            weft_arena_strndup(&call->arena, p->value.data, p->value.len);
        items[i].value_len = p->value.len;
        if (items[i].key == NULL || items[i].value == NULL)
            return WEFT_ENOMEM;
    }
    call->result.metadata = (weft_metadata){items, event->n_metadata};
    return WEFT_OK;
}

/* Nothing of a reply is copied for a callback that runs now: it lies in a block
 * of its own, which becomes the call's, or in the connection's buffer, from
 * which weft_result_keep() takes it. */
static void borrow(weft__client_call *call, const weft__wire_event *event)
{
    call->borrowed = weft__wire_keep_block(event, &call->arena)
                         ? (weft__slice){0}
                         : event->payload;
}

static weft_status decode(weft__client_call *call,
                          const weft__wire_event *event, const char **why)
{
    const weft_channel_conf *conf = &call->channel->conf;
    weft__decode_limits limits = {.depth = conf->max_decode_depth,
                                  .memory = conf->max_decode_bytes,
                                  .borrow = true};
    ProtobufCMessage *message;
    weft_status st;

    if ((event->parts & WEFT__MESSAGE) == 0) {
        *why = "it has no message";
        return WEFT_EPROTO;
    }
    if (event->compression != WEFT__IDENTITY) {
        *why = "its compression is not supported";
        return WEFT_EPROTO;
    }
    borrow(call, event);
    if (call->output == NULL) {
        call->result.payload =
            event->payload.len > 0 ? event->payload.data : (const uint8_t *)"";
        return WEFT_OK;
    }
    st = weft__protobuf_decode(call->output, event->payload.data,
                               event->payload.len, &limits, &call->arena,
                               &message, why);
    if (st == WEFT_OK)
        call->result.reply = message;
    return st;
}

/* It has been answered and goes nowhere else: where there was room for a large
 * one there is room for the reply. */
static inline void drop_request(weft__client_call *call)
{
    if (call->room > WEFT__CALL_ARENA && call->shared == NULL)
        weft__arena_give_back(&call->arena,
                              (void *)(uintptr_t)call->request.data,
                              call->request.len);
}

void weft__client_call_answered(weft__client_call *call,
                                const weft__wire_event *event)
{
    weft_result *r = &call->result;
    const char *why = NULL;
    weft_status st;

    deadline_stop(call);
    drop_request(call);
    r->sent = event->unprocessed ? WEFT_SENT_REFUSED : WEFT_SENT_MAYBE;
    r->raw_code = event->raw_code;
    r->payload_len = event->payload.len;
    st = event->n_metadata > 0 ? copy_metadata(call, event) : WEFT_OK;
    if (st == WEFT_OK && event->status == WEFT_OK)
        st = decode(call, event, &why);
    if (st != WEFT_OK) {
        r->payload = NULL;
        r->payload_len = 0;
        weft__client_call_endf(call, st == WEFT_EPROTO ? WEFT_INTERNAL : st,
                               true, "the reply of %s cannot be used: %s",
                               r->peer,
                               why != NULL ? why : weft_status_text(st));
        return;
    }
    r->content_type = slice_text(&call->arena, event->content_type);
    if (event->details.len > 0 &&
        (r->details = weft_arena_strndup(&call->arena, event->details.data,
                                         event->details.len)) != NULL)
        r->details_len = event->details.len;
    if (event->status == WEFT_OK) {
        weft__client_call_end(call, WEFT_OK, NULL, true);
        return;
    }
    r->message = slice_text(&call->arena, event->message);
    weft__client_call_end(
        call, event->status,
        r->message[0] != '\0' ? NULL : weft_status_text(event->status), true);
}
