/* dispatch.c - finds a connection for a call, or lets it wait. */
#include "client_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/hint.h>

#define SLOTS_SEEN 1000 /* at most, for an error's text */

/* ---- Waiting ---- */

static void wait_append(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    call->place = WEFT__CALL_WAITING;
    call->wait_next = NULL;
    call->wait_pprev = ch->waiting_tail;
    *ch->waiting_tail = call;
    ch->waiting_tail = &call->wait_next;
    ch->stats.waiting++;
}

static void wait_prepend(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    if (ch->waiting == NULL) {
        wait_append(call);
        return;
    }
    call->wait_next = ch->waiting;
    call->wait_next->wait_pprev = &call->wait_next;
    call->wait_pprev = &ch->waiting;
    ch->waiting = call;
    ch->stats.waiting++;
}

void weft__wait_remove(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    if (call->wait_pprev == NULL)
        return;
    if ((*call->wait_pprev = call->wait_next) != NULL)
        call->wait_next->wait_pprev = call->wait_pprev;
    else
        ch->waiting_tail = call->wait_pprev;
    call->wait_pprev = NULL;
    ch->stats.waiting--;
}

/* ---- One attempt ---- */

static void give_back(weft__attempt *a, weft_status status, uint64_t now)
{
    weft_channel *ch = weft__call_of(a)->channel;
    weft__subchannel *sub = a->sub;

    a->sub = NULL;
    ch->balancer->done(
        ch->balancer_self, sub->slot,
        &(weft_pick_outcome){.status = status,
                             .latency_ns =
                                 now > a->picked_ns ? now - a->picked_ns : 0,
                             .now_ns = now});
    sub->picks--;
    if (!sub->listed)
        weft__sub_release_if_done(sub);
}

void weft__attempt_release(weft__attempt *a, weft_status status)
{
    weft__client_conn *cc = a->conn;
    weft_channel *ch = weft__call_of(a)->channel;

    if (cc != NULL) {
        if ((*a->pprev = a->next) != NULL)
            a->next->pprev = a->pprev;
        else
            cc->attempts_tail = a->pprev;
        cc->in_flight--;
        a->conn = NULL;
        if (cc->leaving)
            weft__client_conn_check_idle(cc);
    }
    give_back(a, status, weft_loop_now_ns(ch->loop));
    if (ch->waiting != NULL)
        weft__channel_kick(ch, false);
}

/* Elsewhere, and never back: the server itself has refused it. */
void weft__attempt_refused(weft__attempt *a)
{
    weft__client_call *call = weft__call_of(a);

    if (call->tried == NULL)
        call->tried = weft_arena_alloc(&call->arena,
                                       WEFT__TRIED_MAX * sizeof(*call->tried));
    /* Without memory for that it may meet the same one again. */
    if (call->tried != NULL && call->n_tried < WEFT__TRIED_MAX)
        call->tried[call->n_tried++] = a->sub->slot;
    weft__attempt_lost(a, WEFT_SENT_REFUSED, WEFT_UNAVAILABLE,
                       "the server refused the call");
}

void weft__attempt_lost(weft__attempt *a, weft_sent sent, weft_status status,
                        const char *why)
{
    weft__client_call *call = weft__call_of(a);

    weft__attempt_release(a, WEFT_UNAVAILABLE);
    call->refused |= sent == WEFT_SENT_REFUSED;
    if (sent == WEFT_SENT_NEVER && call->refused) /* but it had left before */
        sent = WEFT_SENT_REFUSED;
    call->result.sent = sent;
    if (sent == WEFT_SENT_MAYBE || call->moves >= WEFT__TRIED_MAX) {
        weft__client_call_endf(call, status, false, "waiting for %s: %s",
                               call->result.peer, why);
        return;
    }
    call->moves++;
    call->channel->stats.moved++;
    call->sent_ns = 0;
    call->result.peer = "";
    call->place = WEFT__CALL_WAITING;
    weft__dispatch(call, weft_loop_now_ns(call->channel->loop));
}

typedef enum send_outcome { SENT, ENDED, ELSEWHERE } send_outcome;

/* The connection has no place for it, or the call cannot be sent at all. */
static WEFT__COLD send_outcome not_sent(weft__client_call *call, weft_status st,
                                        bool *full)
{
    if (st == WEFT_RESOURCE_EXHAUSTED)
        *full = true;
    if (st == WEFT_RESOURCE_EXHAUSTED || st == WEFT_EAGAIN ||
        st == WEFT_ECLOSED)
        return ELSEWHERE;
    give_back(&call->attempt, WEFT_OK, weft_loop_now_ns(call->channel->loop));
    if (st == WEFT_ELIMIT)
        weft__client_call_endf(
            call, WEFT_RESOURCE_EXHAUSTED, false,
            "a request of %zu bytes, with its metadata, is over the peer's "
            "max_frame_bytes",
            call->request.len);
    else if (st == WEFT_ENOTSUP)
        weft__client_call_end(call, WEFT_UNIMPLEMENTED,
                              "the peer speaks version 0, which has unary "
                              "protobuf calls only",
                              false);
    else
        weft__client_call_end(call, st, weft_status_text(st), false);
    return ENDED;
}

/* What is left of the deadline; at least 1, for 0 means that there is none. */
static uint32_t left_ms(const weft__client_call *call, uint64_t now)
{
    uint64_t used_ms = (now - call->started_ns) / 1000000;

    if (call->timeout_ms == WEFT_NO_DEADLINE)
        return 0;
    return used_ms < call->timeout_ms ? call->timeout_ms - (uint32_t)used_ms
                                      : 1;
}

static send_outcome send_on(weft__client_call *call, weft__client_conn *cc,
                            uint64_t now, bool *full)
{
    weft__attempt *a = &call->attempt;
    weft__wire_request request = {
        .kind = call->one_way ? WEFT__ONE_WAY : WEFT__UNARY,
        .path = call->path,
        .path_len = call->path_len,
        .timeout_ms = left_ms(call, now),
        .metadata = call->metadata,
        .more_metadata = call->forwarded,
        .payload = {.data = call->request.data, .len = call->request.len},
        .user = a};
    weft_status st;

    if (call->content_type != NULL)
        request.content_type = weft__text(call->content_type);
    if (call->trace != NULL)
        request.trace = weft__text(call->trace);
    if (call->shared != NULL)
        weft__request_share(call->shared, &request.payload);
    a->begin_bytes = weft__conn_bytes_end(cc->conn);
    st = weft__conn_request(cc->conn, &request, &a->stream);
    if (st != WEFT_OK) {
        if (request.payload.release != NULL)
            request.payload.release(request.payload.arg);
        return not_sent(call, st, full);
    }
    call->result.peer = a->sub->text;
    call->sent_ns = now;
    call->place = WEFT__CALL_SENT;
    call->result.sent = WEFT_SENT_MAYBE; /* until we know better */
    if (call->one_way) {                 /* nothing comes back */
        give_back(a, WEFT_OK, now);
        weft__client_call_end(call, WEFT_OK, NULL, false);
        return ENDED;
    }
    a->conn = cc;
    cc->in_flight++;
    a->next = NULL;
    a->pprev = cc->attempts_tail;
    *cc->attempts_tail = a;
    cc->attempts_tail = &a->next;
    return SENT;
}

/* "10.0.0.7:8000 (connect: connection refused), ..." of three at most. */
static void describe_failing(const weft_channel *ch, char *out, size_t size)
{
    size_t at = 0, shown = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < ch->n_slots && i < SLOTS_SEEN && shown < 3; i++) {
        const weft__subchannel *sub = ch->slots[i];
        if (sub == NULL || !sub->listed || !sub->failing)
            continue;
        at += (size_t)snprintf(out + at, size - at, "%s%s (%.60s)",
                               shown > 0 ? ", " : "", sub->text,
                               sub->last_error != NULL ? sub->last_error
                                                       : "not connected");
        if (at >= size)
            at = size - 1;
        shown++;
    }
    if (shown > 0 && ch->n_failing > shown)
        snprintf(out + at, size - at, ", ...");
}

/* Why there is nobody to send to, for a call that will not wait. */
static WEFT__COLD void end_unavailable(weft__client_call *call)
{
    weft_channel *ch = call->channel;
    char errors[256];

    if (ch->n_listed == 0) {
        weft__client_call_endf(call, WEFT_UNAVAILABLE, false,
                               "%s has no endpoints", ch->target);
    } else if (ch->n_failing < ch->n_listed && ch->n_ready > 0) {
        weft__client_call_endf(call, WEFT_RESOURCE_EXHAUSTED, false,
                               "every connection of %s has "
                               "max_in_flight_per_connection calls",
                               ch->target);
    } else if (ch->n_failing < ch->n_listed) {
        weft__client_call_endf(call, WEFT_UNAVAILABLE, false,
                               "no endpoint of %s is connected yet",
                               ch->target);
    } else {
        describe_failing(ch, errors, sizeof(errors));
        if (ch->n_listed == 1)
            weft__client_call_endf(call, WEFT_UNAVAILABLE, false,
                                   "the endpoint of %s is down: %s", ch->target,
                                   errors);
        else
            weft__client_call_endf(call, WEFT_UNAVAILABLE, false,
                                   "all %u endpoints of %s are down: %s",
                                   ch->n_listed, ch->target, errors);
    }
}

void weft__channel_why_waiting(const weft_channel *ch, char *out, size_t size)
{
    out[0] = '\0';
    if (ch->list == NULL)
        snprintf(out, size, "%s", ch->resolve_error);
    else if (ch->n_listed == 0)
        snprintf(out, size, "there are no endpoints");
    else if (ch->n_ready > 0)
        snprintf(out, size, "every connection is at its limit");
    else
        describe_failing(ch, out, size);
}

static bool contains(const uint32_t *slots, size_t n, uint32_t slot)
{
    for (size_t i = 0; i < n; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

/* Is there somebody who has not refused it?  More were seen (who had no room)
 * than have refused it, or one may still get connected. */
static bool others_remain(const weft__client_call *call, size_t n_seen)
{
    const weft_channel *ch = call->channel;
    uint32_t refused = 0;

    for (size_t i = 0; i < call->n_tried; i++) {
        const weft__subchannel *sub = ch->slots[call->tried[i]];
        refused += sub != NULL && sub->listed && !sub->failing;
    }
    return n_seen > call->n_tried || ch->n_listed - ch->n_failing > refused;
}

static void end_refused(weft__client_call *call)
{
    const weft__subchannel *last =
        call->channel->slots[call->tried[call->n_tried - 1]];

    weft__client_call_endf(call, WEFT_UNAVAILABLE, false,
                           "%s refused the call, and nobody else is there",
                           last != NULL ? last->text : "the server");
}

/* The calls that find nobody: true if it must wait, else it has ended.
 * n_seen: those who have refused it, and those who had no room. */
static WEFT__COLD bool wait_or_end(weft__client_call *call, size_t n_seen,
                                   bool full)
{
    weft_channel *ch = call->channel;

    if (full) {
        weft__client_call_end(call, WEFT_RESOURCE_EXHAUSTED,
                              "max_unsent_bytes wait on every connection",
                              false);
        return false;
    }
    if (call->n_tried > 0 && !others_remain(call, n_seen)) {
        end_refused(call);
        return false;
    }
    if (call->wait_for_ready ||
        (!call->fail_fast && ch->n_failing < ch->n_listed))
        return true;
    end_unavailable(call);
    return false;
}

/* There is no list yet. */
static bool wait_for_list(weft__client_call *call)
{
    weft_channel *ch = call->channel;

    if (!call->fail_fast)
        return true;
    weft__client_call_endf(
        call, WEFT_UNAVAILABLE, false, "resolving %s: %s", ch->target,
        ch->resolve_error[0] != '\0' ? ch->resolve_error : "not done yet");
    return false;
}

/* True: it must wait. */
static bool must_wait(weft__client_call *call, uint64_t now)
{
    weft_channel *ch = call->channel;
    weft__attempt *a = &call->attempt;
    uint32_t tried[WEFT__TRIED_MAX * 2], slot;
    weft_pick_args args = {.hash = call->hash, .tried = tried, .now_ns = now};
    bool full = false;

    if (ch->list == NULL)
        return wait_for_list(call);
    if (call->resolved_ns == 0)
        call->resolved_ns = now;
    for (; args.n_tried < call->n_tried; args.n_tried++)
        tried[args.n_tried] = call->tried[args.n_tried];
    for (; args.n_tried < WEFT__TRIED_MAX * 2; args.n_tried++) {
        weft__client_conn *cc;

        if (ch->balancer->pick(ch->balancer_self, &args, &slot) != WEFT_OK)
            break;
        a->sub = ch->slots[slot];
        a->picked_ns = now;
        a->sub->picks++;
        if (contains(tried, args.n_tried, slot)) { /* nobody else is left */
            give_back(a, WEFT_CANCELLED, now);
            break;
        }
        cc = weft__client_conn_usable(a->sub);
        if (cc != NULL && send_on(call, cc, now, &full) != ELSEWHERE)
            return false;
        give_back(a, WEFT_CANCELLED, now);
        tried[args.n_tried] = slot;
    }
    return wait_or_end(call, args.n_tried, full);
}

void weft__dispatch(weft__client_call *call, uint64_t now)
{
    weft_channel *ch = call->channel;

    /* Nobody overtakes those who wait for the same thing. */
    if (ch->waiting != NULL && !call->fail_fast && ch->list != NULL &&
        call->moves == 0 && (ch->n_failing < ch->n_listed)) {
        if (!weft__task_queued(&ch->kick.task))
            weft__channel_kick(ch, false);
    } else if (!must_wait(call, now)) {
        return;
    }
    if (ch->stats.waiting >= ch->conf.max_waiting) {
        weft__client_call_end(call, WEFT_RESOURCE_EXHAUSTED,
                              "max_waiting calls wait for a connection", false);
        return;
    }
    wait_append(call);
}

/* All of them once when something may end them, else as long as there is room.
 * One that some have refused waits for others than the rest do, and so keeps
 * nobody back. */
static void on_kick(void *arg)
{
    weft_channel *ch = arg;
    uint64_t now = weft_loop_now_ns(ch->loop);
    bool all = ch->kick_all;

    ch->kick_all = false;
    for (uint64_t n = ch->stats.waiting; n > 0 && ch->waiting != NULL; n--) {
        weft__client_call *call = ch->waiting;
        weft__wait_remove(call);
        if (!must_wait(call, now))
            continue;
        if (all || call->n_tried > 0) {
            wait_append(call);
            continue;
        }
        wait_prepend(call);
        break;
    }
}

void weft__channel_kick(weft_channel *ch, bool all)
{
    if (all)
        ch->kick_all = true;
    if (!ch->closing && ch->waiting != NULL)
        weft__loop_defer(ch->loop, &ch->kick, on_kick, ch);
}
