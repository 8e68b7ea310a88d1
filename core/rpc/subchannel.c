/* subchannel.c - one endpoint: connect, back off, come back.
 *
 * IDLE -> QUEUED -> CONNECTING -> READY, and from a failure or a loss
 * -> BACKOFF -> QUEUED.  `failing` stays set from a failed connect to the next
 * success, whatever the state: a call that will not wait gives up when every
 * listed endpoint is failing. */
#include "client_internal.h"

#include <string.h>
#include <weft/mem.h>

#define STABLE_MS 1000 /* a connection that lived so long forgives failures */

/* ---- Lists ---- */

void weft__sub_list_init(weft__sub_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

/* Puts it where its state says that it stands. */
static void place(weft__subchannel *sub)
{
    weft_channel *ch = sub->channel;
    weft__sub_list *list = NULL;

    if (sub->state == WEFT__SUB_QUEUED)
        list = &ch->queue;
    else if (sub->state == WEFT__SUB_IDLE && sub->listed)
        list = &ch->idle;
    if (list == sub->in)
        return;
    if (sub->in != NULL) {
        if ((*sub->pprev = sub->next) != NULL)
            sub->next->pprev = sub->pprev;
        else
            sub->in->last = sub->pprev;
    }
    if ((sub->in = list) == NULL)
        return;
    sub->next = NULL;
    sub->pprev = list->last;
    *list->last = sub;
    list->last = &sub->next;
}

/* ---- State ---- */

static void set_failing(weft__subchannel *sub, bool failing)
{
    weft_channel *ch = sub->channel;

    if (sub->failing == failing)
        return;
    sub->failing = failing;
    if (!sub->listed)
        return;
    ch->n_failing += failing ? 1u : UINT32_MAX;
    if (failing) /* who waited for this one alone need not any more */
        weft__channel_kick(ch, ch->n_failing == ch->n_listed);
}

void weft__sub_set_listed(weft__subchannel *sub, bool listed)
{
    weft_channel *ch = sub->channel;
    uint32_t step = listed ? 1u : UINT32_MAX;

    if (sub->listed == listed)
        return;
    sub->listed = listed;
    ch->n_listed += step;
    if (sub->failing)
        ch->n_failing += step;
    place(sub);
}

bool weft__sub_set_usable(weft__subchannel *sub, bool usable)
{
    weft_channel *ch = sub->channel;
    weft_balancer_change change = {
        .slot = sub->slot, .weight = usable ? sub->weight : 0, .id = sub->id};

    if (!usable && !sub->usable)
        return true;
    if (ch->balancer->update(ch->balancer_self, &change, 1) != WEFT_OK)
        return false;
    if (usable != sub->usable)
        ch->n_ready += usable ? 1u : UINT32_MAX;
    sub->usable = usable;
    return true;
}

static void set_state(weft__subchannel *sub, weft__sub_state state)
{
    weft_channel *ch = sub->channel;

    if (sub->state == WEFT__SUB_CONNECTING)
        ch->n_connecting--;
    sub->state = state;
    if (state == WEFT__SUB_CONNECTING)
        ch->n_connecting++;
    place(sub);
}

/* ---- Connecting ---- */

static void went_down(weft__subchannel *sub, bool was_ready, bool idle,
                      uint64_t lived_ms, const char *why);

void weft__connect_queued(weft_channel *ch)
{
    weft__subchannel *sub;

    while ((sub = ch->queue.first) != NULL && !ch->closing &&
           ch->n_connecting < ch->conf.max_connecting) {
        set_state(sub, WEFT__SUB_CONNECTING);
        if (weft__client_conn_open(sub) != WEFT_OK)
            went_down(sub, false, false, 0, "connect: out of memory");
    }
}

void weft__sub_want(weft__subchannel *sub)
{
    if (sub->state != WEFT__SUB_IDLE && sub->state != WEFT__SUB_BACKOFF)
        return;
    weft_timer_stop(&sub->backoff);
    set_state(sub, WEFT__SUB_QUEUED);
    weft__connect_queued(sub->channel);
}

static void on_backoff(weft_timer *timer, void *user)
{
    weft__subchannel *sub = user;

    (void)timer;
    if (sub->state == WEFT__SUB_READY) /* there may be one more connection */
        weft__channel_kick(sub->channel, false);
    else
        weft__sub_want(sub);
}

/* Exponential, between half and one and a half of its value. */
static uint32_t backoff_ms(const weft__subchannel *sub)
{
    const weft_channel_conf *conf = &sub->channel->conf;
    uint64_t ms = conf->backoff_min_ms;

    for (uint32_t i = 1; i < sub->failures && ms < conf->backoff_max_ms; i++)
        ms *= 2;
    if (ms > conf->backoff_max_ms)
        ms = conf->backoff_max_ms;
    ms = ms / 2 + weft__loop_random(sub->channel->loop) % (ms + 1);
    if (ms > UINT32_MAX)
        ms = UINT32_MAX;
    return ms > 0 ? (uint32_t)ms : 1;
}

void weft__sub_conn_ready(weft__subchannel *sub)
{
    set_failing(sub, false);
    if (sub->state == WEFT__SUB_CONNECTING)
        set_state(sub, WEFT__SUB_READY);
    if (!sub->usable && !weft__sub_set_usable(sub, true))
        for (weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next)
            weft__conn_abort(cc->conn, WEFT_ENOMEM, "out of memory");
    weft__channel_kick(sub->channel, false);
    weft__connect_queued(sub->channel);
}

static bool has_live_conn(const weft__subchannel *sub)
{
    for (const weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next)
        if (cc->conn != NULL && !cc->leaving)
            return true;
    return false;
}

static void remember_error(weft__subchannel *sub, const char *why)
{
    char *copy = weft_strdup(why);

    if (copy != NULL) {
        weft_free(sub->last_error);
        sub->last_error = copy;
    }
}

static void count_failure(weft__subchannel *sub, bool was_ready,
                          uint64_t lived_ms)
{
    if (!was_ready)
        sub->channel->stats.connect_failures++;
    if (was_ready && lived_ms >= STABLE_MS)
        sub->failures = 0;
    else
        sub->failures++;
}

/* A connection of sub's takes nothing new: look for another at once, but not
 * over and over at a server that sends everybody away. */
void weft__sub_conn_leaving(weft__subchannel *sub, uint64_t lived_ms)
{
    if (has_live_conn(sub) || sub->state != WEFT__SUB_READY)
        return;
    weft__sub_set_usable(sub, false);
    count_failure(sub, true, lived_ms);
    if (sub->failures > 1) {
        set_state(sub, WEFT__SUB_BACKOFF);
        weft_timer_start(&sub->backoff, backoff_ms(sub));
        return;
    }
    set_state(sub, WEFT__SUB_IDLE);
    if (sub->listed && !sub->channel->closing)
        weft__sub_want(sub);
}

/* The last connection that could take calls is gone. */
static void went_down(weft__subchannel *sub, bool was_ready, bool idle,
                      uint64_t lived_ms, const char *why)
{
    weft__sub_set_usable(sub, false);
    if (idle) {
        sub->failures = 0;
        set_state(sub, WEFT__SUB_IDLE);
        if (sub->channel->waiting != NULL) /* somebody came meanwhile */
            weft__sub_want(sub);
        return;
    }
    count_failure(sub, was_ready, lived_ms);
    remember_error(sub, why);
    set_state(sub, WEFT__SUB_BACKOFF);
    weft_timer_start(&sub->backoff, sub->failures > 0 ? backoff_ms(sub) : 1);
    if (!was_ready)
        set_failing(sub, true);
}

void weft__sub_conn_lost(weft__subchannel *sub, bool was_ready, bool idle,
                         uint64_t lived_ms, const char *why)
{
    weft_channel *ch = sub->channel;
    /* One that left (go-away, the list) may have been replaced already. */
    bool current = !ch->closing && (sub->state == WEFT__SUB_READY ||
                                    sub->state == WEFT__SUB_CONNECTING);

    sub->n_conns--;
    if (current && !has_live_conn(sub)) {
        went_down(sub, was_ready, idle, lived_ms, why);
        weft__connect_queued(ch);
    } else if (current && !was_ready && sub->state == WEFT__SUB_READY) {
        /* A further one, which there is no hurry to try again. */
        count_failure(sub, false, 0);
        weft_timer_start(&sub->backoff, backoff_ms(sub));
    }
    weft__channel_kick(ch, false); /* some may have counted on it */
    weft__sub_release_if_done(sub);
}

weft_status weft__sub_new(weft__subchannel **out, weft_channel *ch,
                          const weft_endpoint *e)
{
    weft__subchannel *sub = weft_calloc(1, sizeof(*sub));

    if (sub == NULL || (sub->text = weft_strdup(e->text)) == NULL) {
        weft_free(sub);
        return WEFT_ENOMEM;
    }
    sub->id = weft__hash_bytes(sub->text, strlen(sub->text));
    sub->channel = ch;
    sub->address = e->address;
    sub->weight = e->weight;
    sub->state = WEFT__SUB_IDLE;
    weft_timer_init(&sub->backoff, ch->loop, on_backoff, sub);
    HASH_ADD_KEYPTR(hh, ch->by_text, sub->text, strlen(sub->text), sub);
    if (sub->hh.tbl == NULL) {
        weft_free(sub->text);
        weft_free(sub);
        return WEFT_ENOMEM;
    }
    sub->slot = ch->n_free_slots > 0 ? ch->free_slots[--ch->n_free_slots]
                                     : ch->n_slots++;
    ch->slots[sub->slot] = sub;
    *out = sub;
    return WEFT_OK;
}

/* Out of the list: what is in flight finishes, then it goes. */
void weft__sub_unlist(weft__subchannel *sub)
{
    weft__client_conn *next;

    weft__sub_set_listed(sub, false);
    weft__sub_set_usable(sub, false);
    weft_timer_stop(&sub->backoff);
    for (weft__client_conn *cc = sub->conns; cc != NULL; cc = next) {
        next = cc->next;
        weft__client_conn_leave(cc);
    }
    set_state(sub, WEFT__SUB_IDLE);
    weft__sub_release_if_done(sub);
}

void weft__sub_release_if_done(weft__subchannel *sub)
{
    weft_channel *ch = sub->channel;

    if (sub->listed || sub->conns != NULL || sub->picks > 0)
        return;
    ch->slots[sub->slot] = NULL;
    ch->free_slots[ch->n_free_slots++] = sub->slot;
    HASH_DEL(ch->by_text, sub);
    weft_free(sub->last_error);
    weft_free(sub->text);
    weft_free(sub);
}
