/* channel_group.c - a channel on a group of loops.
 *
 * The channel that the user holds, the front, lives on the first loop.  On each
 * other loop it has a part, which is an ordinary channel but for where its
 * lists come from.  A call goes to the part of the loop that it is made on.
 *
 *  H1. A part is made by the first call on its loop, there, and its slot is
 *      that loop's alone.  The front, which all threads read, does not change
 *      in what they read (target, conf, team), and outlives the slots' being
 *      open.
 *  H2. The first loop has the one watch.  What it finds stands under the lock
 *      with a serial that only rises; nudges make the parts look, and so does
 *      each call. */
#include "client_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <weft/group_internal.h>
#include <weft/log.h>
#include <weft/mem.h>

typedef struct slot {
    struct weft__channel_team *team;
    weft_channel *channel; /* H1 */
    weft__nudge update, close;
    atomic_bool open; /* until it has heard of the close */
} slot;

struct weft__channel_team {
    weft__team base; /* first */
    weft_channel *front;
    size_t n;
    atomic_bool closing;
    atomic_uint_least64_t serial; /* H2 */
    pthread_mutex_t lock;
    weft_endpoints *list;
    weft_status status;
    char text[256];

    /* The first loop's. */
    bool front_gone;
    weft__watch_sub *watch;
    weft__group_member member;
    weft__nudge subscribe, report;
    slot slots[]; /* [0] is not used */
};

/* ---- Lists, from the first loop ---- */

static void publish(struct weft__channel_team *t, const weft_endpoints *list,
                    weft_status status, const char *text)
{
    weft_endpoints *old;
    size_t i;

    pthread_mutex_lock(&t->lock);
    old = t->list;
    if (list != NULL)
        t->list = weft_endpoints_ref(list);
    t->status = status;
    snprintf(t->text, sizeof(t->text), "%s", text == NULL ? "" : text);
    atomic_fetch_add(&t->serial, 1);
    pthread_mutex_unlock(&t->lock);
    if (list != NULL)
        weft_endpoints_unref(old);
    for (i = 1; i < t->n; i++)
        (void)weft__nudge_send(&t->slots[i].update);
}

static void on_list(const weft_endpoints *list, weft_status status,
                    const char *text, void *user)
{
    publish(user, list, status, text);
}

static void on_subscribe(void *arg)
{
    struct weft__channel_team *t = arg;
    char why[sizeof(t->text)] = "";
    weft_status status;

    if (t->front_gone || t->front->closing || t->watch != NULL)
        return;
    status = weft__watch_subscribe(&t->watch, t->front->loop, t->front->target,
                                   on_list, t, why, sizeof(why));
    if (status != WEFT_OK)
        publish(t, NULL, status, why);
}

/* ---- A part, on its loop ---- */

static void catch_up(weft_channel *ch)
{
    struct weft__channel_team *t = ch->team;
    char text[sizeof(t->text)];
    weft_endpoints *list;
    weft_status status;
    uint64_t serial;

    pthread_mutex_lock(&t->lock);
    serial = atomic_load(&t->serial);
    list = weft_endpoints_ref(t->list);
    status = t->status;
    memcpy(text, t->text, sizeof(text));
    pthread_mutex_unlock(&t->lock);
    if (serial != ch->team_seen && !ch->closing) {
        ch->team_seen = serial;
        weft__channel_on_list(list, status, text, ch);
        if (status == WEFT_EINVAL || status == WEFT_ESYNTAX) /* for good */
            snprintf(ch->error, sizeof(ch->error), "%s", text);
    }
    weft_endpoints_unref(list);
}

static void on_catch_up(void *arg)
{
    catch_up(arg);
}

static void on_update(void *arg)
{
    slot *sl = arg;

    if (sl->channel != NULL)
        catch_up(sl->channel);
}

weft_status weft__channel_team_activate(weft_channel *ch)
{
    struct weft__channel_team *t = ch->team;

    if (atomic_load_explicit(&t->serial, memory_order_acquire) != ch->team_seen)
        weft__loop_defer(ch->loop, &ch->catch_up, on_catch_up, ch);
    if (ch->list == NULL && !weft__nudge_send(&t->subscribe))
        return WEFT_ECLOSED;
    weft__channel_connect_idle(ch);
    return WEFT_OK;
}

static weft_channel *make_part(weft_channel *front, size_t i)
{
    struct weft__channel_team *t = front->team;
    weft_loop *loop = weft_group_loop(t->base.group, i);
    weft_channel_conf conf = front->conf;
    weft_channel *ch;

    conf.eager = false; /* it is about to be used */
    if (loop == NULL || atomic_load(&t->closing))
        return NULL;
    (void)weft_channel_new_sized(&ch, loop, front->target, &conf, sizeof(conf));
    if (ch == NULL)
        return NULL;
    weft__team_ref(&t->base);
    ch->team = t;
    ch->team_index = i;
    return t->slots[i].channel = ch;
}

weft_channel *weft__channel_of_thread(weft_channel *front)
{
    int i = weft_group_here(front->team->base.group);
    weft_channel *ch;

    if (i <= 0)
        return i == 0 ? front : NULL;
    ch = front->team->slots[i].channel;
    return ch != NULL ? ch : make_part(front, (size_t)i);
}

static void on_close(void *arg)
{
    slot *sl = arg;

    weft_channel_close(sl->channel);
    sl->channel = NULL;
    atomic_store(&sl->open, false);
    (void)weft__nudge_send(&sl->team->report);
}

/* ---- The front ---- */

static void on_report(void *arg)
{
    struct weft__channel_team *t = arg;

    if (!t->front_gone)
        weft__channel_reap_if_done(t->front);
}

bool weft__channel_team_closed(const weft_channel *front)
{
    const struct weft__channel_team *t = front->team;
    size_t i;

    for (i = 1; t != NULL && front->team_index == 0 && i < t->n; i++) {
        if (atomic_load(&t->slots[i].open))
            return false;
    }
    return true;
}

static void on_group_ended(weft__group_member *member)
{
    struct weft__channel_team *t =
        (void *)((char *)member - offsetof(struct weft__channel_team, member));
    size_t i;

    for (i = 1; i < t->n; i++)
        atomic_store(&t->slots[i].open, false);
    on_report(t);
}

bool weft__channel_team_close(weft_channel *ch)
{
    struct weft__channel_team *t = ch->team;
    size_t i;

    if (t == NULL)
        return true;
    if (ch->team_index > 0) {
        t->slots[ch->team_index].channel = NULL;
        return true;
    }
    if (weft_group_here(t->base.group) != 0) {
        weft_log_error("weft_channel_close on the wrong thread",
                       "target=%s advice=\"it belongs to the first loop's\"",
                       ch->target);
        return false;
    }
    atomic_store(&t->closing, true);
    weft__watch_unsubscribe(t->watch);
    t->watch = NULL;
    for (i = 1; i < t->n; i++) {
        if (!weft__nudge_send(&t->slots[i].close))
            atomic_store(&t->slots[i].open, false);
    }
    return true;
}

const weft__watch_sub *weft__channel_team_watch(const weft_channel *front)
{
    return front->team != NULL && front->team_index == 0 ? front->team->watch
                                                         : NULL;
}

void weft__channel_team_free(weft_channel *ch)
{
    struct weft__channel_team *t = ch->team;

    if (t == NULL)
        return;
    weft__loop_undefer(ch->loop, &ch->catch_up);
    if (ch->team_index == 0) {
        t->front_gone = true;
        weft__group_leave(&t->member);
    }
    weft__team_unref(&t->base);
}

static void free_team(weft__team *team)
{
    struct weft__channel_team *t = (struct weft__channel_team *)team;

    weft_endpoints_unref(t->list);
    pthread_mutex_destroy(&t->lock);
    weft_free(t);
}

static weft_status team_new(struct weft__channel_team **out, weft_channel *ch,
                            weft_group *group)
{
    size_t i, n = weft_group_size(group);
    struct weft__channel_team *t =
        weft_calloc(1, sizeof(*t) + n * sizeof(t->slots[0]));

    if (t == NULL)
        return WEFT_ENOMEM;
    if (pthread_mutex_init(&t->lock, NULL) != 0) {
        weft_free(t);
        return WEFT_ENOMEM;
    }
    weft__team_init(&t->base, group, free_team);
    t->front = ch;
    t->n = n;
    t->member.ended = on_group_ended;
    weft__nudge_init(&t->subscribe, &t->base, 0, on_subscribe, t);
    weft__nudge_init(&t->report, &t->base, 0, on_report, t);
    for (i = 1; i < n; i++) {
        slot *sl = &t->slots[i];

        sl->team = t;
        atomic_init(&sl->open, true);
        weft__nudge_init(&sl->update, &t->base, i, on_update, sl);
        weft__nudge_init(&sl->close, &t->base, i, on_close, sl);
    }
    *out = t;
    return WEFT_OK;
}

weft_status weft_channel_new_group_sized(weft_channel **out, weft_group *group,
                                         const char *target,
                                         const weft_channel_conf *conf,
                                         size_t conf_size)
{
    weft_status status = weft_channel_new_sized(out, weft_group_loop(group, 0),
                                                target, conf, conf_size);

    if (*out == NULL)
        return status;
    if (team_new(&(*out)->team, *out, group) != WEFT_OK) {
        weft_channel_close(*out);
        *out = NULL;
        return WEFT_ENOMEM;
    }
    (void)weft__group_join(group, &(*out)->team->member);
    return status;
}
