/* channel_list.c - takes over what discovery found.
 *
 * A long list takes several rounds of the loop, so that it holds nobody up.
 * Calls go to old and new endpoints meanwhile, and the old ones that are not in
 * the list leave last: there is always somebody. */
#include "client_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/log.h>
#include <weft/mem.h>

enum {
    RETAKE_MS = 1000, /* after running out of memory */
    PER_ROUND = 1000  /* endpoints */
};

/* Slots for everything that may come, so that nothing fails half way. */
static weft_status reserve_slots(weft_channel *ch, size_t more)
{
    size_t want = ch->n_slots - ch->n_free_slots + more;
    size_t cap = ch->cap_slots != 0 ? ch->cap_slots : 8;
    weft__subchannel **slots;
    uint32_t *free_slots;

    while (cap < want)
        cap *= 2;
    if (cap == ch->cap_slots)
        return WEFT_OK;
    if ((slots = weft_realloc(ch->slots, cap * sizeof(*slots))) == NULL)
        return WEFT_ENOMEM;
    ch->slots = slots;
    free_slots = weft_realloc(ch->free_slots, cap * sizeof(*free_slots));
    if (free_slots == NULL)
        return WEFT_ENOMEM;
    ch->free_slots = free_slots;
    ch->cap_slots = (uint32_t)cap;
    return WEFT_OK;
}

static weft_status take_endpoint(weft_channel *ch, const weft_endpoint *e)
{
    weft__subchannel *sub;
    weft_status st;

    HASH_FIND(hh, ch->by_text, e->text, strlen(e->text), sub);
    if (sub == NULL) {
        if ((st = weft__sub_new(&sub, ch, e)) != WEFT_OK)
            return st;
    } else if (sub->weight != e->weight) {
        sub->weight = e->weight;
        if (sub->usable)
            weft__sub_set_usable(sub, true);
    }
    sub->seen = ch->list_serial;
    weft__sub_set_listed(sub, true);
    return WEFT_OK;
}

static void drop_unseen(weft_channel *ch)
{
    weft__subchannel *sub, *next;

    HASH_ITER(hh, ch->by_text, sub, next)
    if (sub->listed && sub->seen != ch->list_serial)
        weft__sub_unlist(sub);
}

void weft__channel_connect_idle(weft_channel *ch)
{
    for (weft__subchannel *sub; (sub = ch->idle.first) != NULL && !ch->closing;)
        weft__sub_want(sub);
}

/* Goes on with the list, from its begin if list_taken is 0.  False: there was
 * no memory for some of it. */
static bool take_over(weft_channel *ch)
{
    size_t n = weft_endpoints_count(ch->list), end = ch->list_taken + PER_ROUND;
    bool at_once = n <= PER_ROUND, dropping = ch->list_taken == n;

    if (ch->list_taken == 0) {
        if (reserve_slots(ch, n) != WEFT_OK)
            return false;
        ch->list_serial++;
        ch->list_missing = 0;
    }
    for (; ch->list_taken < n && ch->list_taken < end; ch->list_taken++)
        ch->list_missing +=
            take_endpoint(ch, weft_endpoints_at(ch->list, ch->list_taken)) !=
            WEFT_OK;
    if (!at_once && !dropping)
        weft_timer_start(&ch->retake, 0);
    else if (ch->list_missing == 0) /* else better one too many than too few */
        drop_unseen(ch);
    weft__connect_queued(ch); /* those that left made room */
    weft__channel_connect_idle(ch);
    weft__channel_kick(ch, true);
    return ch->list_missing == 0 || !(at_once || dropping);
}

void weft__channel_take_over(weft_timer *timer, void *user)
{
    weft_channel *ch = user;

    (void)timer;
    if (take_over(ch))
        return;
    weft_log_error("endpoints not taken over",
                   "target=%s cause=\"out of memory\" next=\"in %d ms\"",
                   ch->target, RETAKE_MS);
    ch->list_taken = 0;
    weft_timer_start(&ch->retake, RETAKE_MS);
}

void weft__channel_on_list(const weft_endpoints *list, weft_status status,
                           const char *text, void *user)
{
    weft_channel *ch = user;

    if (list == NULL) {
        snprintf(ch->resolve_error, sizeof(ch->resolve_error), "%s",
                 text != NULL ? text : weft_status_text(status));
        return;
    }
    weft_endpoints_unref(ch->list);
    ch->list = weft_endpoints_ref(list);
    weft_timer_stop(&ch->retake);
    ch->list_taken = 0;
    weft__channel_take_over(&ch->retake, ch);
}
