/* channel_list.c - takes over what discovery found. */
#include "client_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/log.h>
#include <weft/mem.h>

#define RETAKE_MS 1000 /* after running out of memory */

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

/* False: there was no memory for some of it. */
static bool take_over(weft_channel *ch)
{
    size_t n = weft_endpoints_count(ch->list), missing = 0;

    if (reserve_slots(ch, n) != WEFT_OK)
        return false;
    ch->list_serial++;
    for (size_t i = 0; i < n; i++)
        missing += take_endpoint(ch, weft_endpoints_at(ch->list, i)) != WEFT_OK;
    if (missing == 0) /* else better one too many than one too few */
        drop_unseen(ch);
    weft__connect_queued(ch); /* those that left made room */
    weft__channel_connect_idle(ch);
    weft__channel_kick(ch, true);
    return missing == 0;
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
    weft__channel_take_over(&ch->retake, ch);
}
