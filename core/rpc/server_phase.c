/* server_phase.c - a server's life: phases that only ever follow each other.
 *
 *   NEW > INIT > SPREADING > SERVING > LEAVING > LAME_DUCK
 *       > FINISHING > CLOSING > UNLOADING > CLOSED
 *
 * Each phase has begin(), run once on entry, and done(), asked whenever
 * something has happened; when it says yes, the next one begins.  Whoever
 * changes something calls weft__server_advance_later(): the walk itself runs
 * from a fresh stack, so user code may do anything to the server anywhere.  A
 * start that fails, and an end at once, skip to CLOSING. */
#include "server_internal.h"

#include <weft/mem.h>

static void tell(weft_server *s, weft__server_waiter *w, weft_status status,
                 const char *message)
{
    weft_server_cb cb;
    void *user;

    if (w == NULL)
        return;
    cb = w->cb;
    user = w->user;
    weft_free(w);
    cb(s, status, message, user);
}

static void tell_start(weft_server *s, weft_status status, const char *message)
{
    weft__server_waiter *w = s->start_waiter;

    s->start_waiter = NULL;
    tell(s, w, status, message);
}

/* ---- INIT ---- */

static bool init_done(weft_server *s)
{
    return weft__plugins_initialised(s);
}

/* ---- SERVING ---- */

static void serving_begin(weft_server *s)
{
    weft__server_listener *sl;
    char text[WEFT_ADDRESS_TEXT];

    for (sl = s->listeners; sl != NULL; sl = sl->next) {
        weft__listener_release(sl->listener);
        if (s->shard != NULL)
            continue; /* it is the first loop's server that speaks */
        weft_log_info("serving", "address=%s",
                      weft_address_format(weft__listener_address(sl->listener),
                                          text, sizeof(text)));
    }
    weft__plugins_serving(s);
    tell_start(s, WEFT_OK, "");
}

static bool serving_done(weft_server *s)
{
    return s->drain_wanted;
}

/* ---- LAME_DUCK ---- */

static void lame_duck_begin(weft_server *s)
{
    if (s->plugins != NULL && s->conf.lame_duck_ms != WEFT_OFF)
        weft_timer_start(&s->timer, s->conf.lame_duck_ms);
    else
        s->timed_out = true; /* nobody has to notice */
}

static bool lame_duck_done(weft_server *s)
{
    return s->timed_out;
}

/* ---- CLOSED ---- */

static void closed_begin(weft_server *s)
{
    weft_status status = s->cancelled_calls ? WEFT_DEADLINE_EXCEEDED : WEFT_OK;
    const char *message =
        s->cancelled_calls ? "calls in flight had to be cancelled" : "";
    weft_server_stats stats = weft_server_get_stats(s);
    weft__server_waiter *w;

    if (s->shard != NULL)
        weft__shard_closed(s);
    else
        weft_log_info("closed", "calls=%llu failed=%llu",
                      (unsigned long long)stats.calls,
                      (unsigned long long)stats.failed);
    weft__server_run_ended(s);
    if (s->status != WEFT_OK)
        tell_start(s, s->status, s->error);
    else
        tell_start(s, WEFT_CANCELLED, "the server was ended before it served");
    while ((w = s->drain_waiters) != NULL) {
        s->drain_waiters = w->next;
        tell(s, w, status, message);
    }
}

static bool never(weft_server *s)
{
    (void)s;
    return false;
}

static const struct {
    const char *name;
    void (*begin)(weft_server *s);
    bool (*done)(weft_server *s);
} phases[] = {
    [WEFT__PHASE_NEW] = {"new", NULL, never},
    [WEFT__PHASE_INIT] = {"starting", weft__plugins_begin_init, init_done},
    [WEFT__PHASE_SPREADING] = {"starting loops", weft__shards_begin_start,
                               weft__shards_started},
    [WEFT__PHASE_SERVING] = {"serving", serving_begin, serving_done},
    [WEFT__PHASE_LEAVING] = {"leaving discovery", weft__plugins_begin_leave,
                             weft__plugins_left},
    [WEFT__PHASE_LAME_DUCK] = {"lame duck", lame_duck_begin, lame_duck_done},
    [WEFT__PHASE_FINISHING] = {"finishing calls", weft__drain_begin_finish,
                               weft__drain_finished},
    [WEFT__PHASE_CLOSING] = {"closing connections", weft__drain_begin_close,
                             weft__drain_closed},
    [WEFT__PHASE_UNLOADING] = {"closing plugins", weft__plugins_begin_close,
                               weft__plugins_closed},
    [WEFT__PHASE_CLOSED] = {"closed", closed_begin, never},
};

const char *weft__phase_text(weft__phase phase)
{
    return phases[phase].name;
}

const char *weft__phase_name(const weft_server *s)
{
    return phases[s->phase].name;
}

static void enter(weft_server *s, weft__phase phase)
{
    s->phase = phase;
    s->timed_out = false;
    weft_timer_stop(&s->timer);
    weft_log_debug("server phase", "phase=\"%s\"", phases[phase].name);
    weft__shards_phase(s);
    phases[phase].begin(s);
}

bool weft__server_ends_at_once(const weft_server *s)
{
    bool starting =
        s->phase > WEFT__PHASE_NEW && s->phase < WEFT__PHASE_SERVING;

    return s->freed || s->loop_ends || s->hurry || s->start_failed ||
           (starting && s->drain_wanted);
}

/* Where the server has to be at least. */
static weft__phase skip_to(const weft_server *s)
{
    return weft__server_ends_at_once(s) ? WEFT__PHASE_CLOSING : WEFT__PHASE_NEW;
}

static void cut_short(weft_server *s)
{
    weft__shards_end(s, s->end_status);
    enter(s, WEFT__PHASE_CLOSING);
}

static void advance(weft_server *s)
{
    if (s->advancing)
        return; /* a begin() that lets user code in */
    s->advancing = true;
    for (;;) {
        if (s->phase < skip_to(s))
            cut_short(s);
        else if (phases[s->phase].done(s))
            enter(s, s->phase + 1);
        else if (s->phase >= skip_to(s))
            break; /* done() may have failed the start */
    }
    s->advancing = false;
    weft__server_reap_if_done(s);
}

static void on_advance(void *arg)
{
    advance(arg);
}

static void on_timer(weft_timer *timer, void *user)
{
    weft_server *s = user;

    (void)timer;
    s->timed_out = true;
    advance(s);
}

void weft__server_advance_later(weft_server *s)
{
    weft__loop_defer(s->loop, &s->advance, on_advance, s);
}

void weft__phase_init(weft_server *s)
{
    weft_timer_init(&s->timer, s->loop, on_timer, s);
    s->timer.name = "server phase";
}

void weft__server_end_now(weft_server *s, weft_status status)
{
    s->end_status = status;
    if (s->phase == WEFT__PHASE_CLOSING)
        weft__shards_end(s, status); /* they may be waited for */
    if (s->phase == WEFT__PHASE_CLOSED)
        weft__server_reap_if_done(s);
    else
        weft__server_advance_later(s);
}

/* ---- Start and drain ---- */

/* OK without one when nobody wants to be told. */
static weft_status waiter_new(weft__server_waiter **out, weft_server_cb cb,
                              void *user)
{
    *out = NULL;
    if (cb == NULL)
        return WEFT_OK;
    if ((*out = weft_calloc(1, sizeof(**out))) == NULL)
        return WEFT_ENOMEM;
    (*out)->cb = cb;
    (*out)->user = user;
    return WEFT_OK;
}

weft_status weft_server_start(weft_server *s, weft_server_cb cb, void *user)
{
    if (s == NULL)
        return WEFT_EINVAL;
    if (s->status != WEFT_OK)
        return s->status;
    if (s->phase != WEFT__PHASE_NEW || s->freed || s->loop_ends)
        return WEFT_ESTATE;
    if (s->listeners == NULL)
        return weft__server_fail(s, WEFT_EINVAL,
                                 "start: there is nothing to listen on");
    if (weft__plugins_make_host(s) != WEFT_OK ||
        weft__latency_make(s) != WEFT_OK ||
        waiter_new(&s->start_waiter, cb, user) != WEFT_OK)
        return weft__server_fail(s, WEFT_ENOMEM, "start: out of memory");
    weft__server_log_conf(s);
    enter(s, WEFT__PHASE_INIT);
    weft__server_advance_later(s);
    return WEFT_OK;
}

/* A second drain may only shorten the first. */
void weft__server_want_drain(weft_server *s, uint32_t drain_ms)
{
    if (drain_ms == 0)
        drain_ms = s->conf.drain_ms;
    if (!s->drain_wanted || drain_ms < s->drain_ms) {
        s->drain_ms = drain_ms;
        if (s->phase == WEFT__PHASE_FINISHING)
            weft__drain_shorten(s);
        if (s->phase >= WEFT__PHASE_FINISHING)
            weft__shards_drain(s);
    }
    s->drain_wanted = true;
    weft__server_advance_later(s);
}

weft_status weft_server_drain(weft_server *s, uint32_t drain_ms,
                              weft_server_cb cb, void *user)
{
    weft__server_waiter **link, *w;

    if (s == NULL)
        return WEFT_EINVAL;
    if (s->phase == WEFT__PHASE_NEW || s->phase == WEFT__PHASE_CLOSED)
        return WEFT_ESTATE;
    if (waiter_new(&w, cb, user) != WEFT_OK)
        return WEFT_ENOMEM;
    for (link = &s->drain_waiters; *link != NULL; link = &(*link)->next)
        ;
    *link = w;
    weft__server_want_drain(s, drain_ms);
    return WEFT_OK;
}
