/* server_drain.c - nobody new, the calls in flight, the connections.
 *
 * A request may lie unread in a socket when the listeners stop: connections
 * that were accepted but have not said what they speak, and those that were
 * made a moment ago, get a moment (settle) to show what they have. */
#include "server_internal.h"

enum { SETTLE_MS = 50 };

static void arm(weft_server *s)
{
    uint64_t due = s->finish_by_ms;

    if (s->settle_by_ms != 0 && s->settle_by_ms < due)
        due = s->settle_by_ms;
    if (due != UINT64_MAX)
        weft_timer_start_at(&s->timer, due);
}

static uint64_t finish_by(const weft_server *s)
{
    return s->drain_ms == WEFT_OFF ? UINT64_MAX
                                   : weft_loop_now_ms(s->loop) + s->drain_ms;
}

static void goaway_conns(weft__link *ring)
{
    for (weft__link *it = ring->next; it != ring; it = it->next)
        weft__server_conn_goaway(WEFT__OF(weft__server_conn, link, it));
}

void weft__drain_begin_finish(weft_server *s)
{
    weft__server_listener *sl;

    for (sl = s->listeners; sl != NULL; sl = sl->next)
        weft__listener_stop(sl->listener);
    weft__shards_drain(s);
    goaway_conns(&s->conns);
    goaway_conns(&s->paused);
    s->finish_by_ms = finish_by(s);
    if (weft__server_connections(s) > s->n_http)
        s->settle_by_ms = weft_loop_now_ms(s->loop) + SETTLE_MS;
    arm(s);
}

void weft__drain_shorten(weft_server *s)
{
    uint64_t due = finish_by(s);

    if (due < s->finish_by_ms) {
        s->finish_by_ms = due;
        arm(s);
    }
}

bool weft__drain_finished(weft_server *s)
{
    uint64_t now = weft_loop_now_ms(s->loop);

    if (now >= s->finish_by_ms)
        return true;
    if (s->settle_by_ms != 0) {
        if (now < s->settle_by_ms)
            return false;
        s->settle_by_ms = 0;
        arm(s);
    }
    return s->n_active == 0;
}

void weft__drain_call_ended(weft_server *s)
{
    if (s->phase == WEFT__PHASE_FINISHING && s->n_active == 0)
        weft__server_advance_later(s);
}

/* ---- Connections ---- */

static void end_calls(weft_server *s)
{
    char text[96] = "server: it was ended";
    weft__link *it;

    if (s->drain_wanted && !s->freed && !s->loop_ends && !s->hurry)
        snprintf(text, sizeof(text), "server: drained, and %u ms have passed",
                 s->drain_ms);
    for (it = s->calls.next; it != &s->calls; it = it->next) {
        weft__server_call *call = WEFT__OF(weft__server_call, link, it);

        if (call->ended)
            continue;
        s->cancelled_calls = true;
        weft__server_call_end(call, s->end_status, text);
    }
}

/* on_closed runs later: C1 */
static void close_ring(weft__link *ring,
                       void (*close)(weft__conn *, weft_status, const char *))
{
    for (weft__link *it = ring->next; it != ring; it = it->next)
        close(weft__conn_of(WEFT__OF(weft__server_conn, link, it)),
              WEFT_UNAVAILABLE, "the server has closed");
}

static void close_conns(weft_server *s,
                        void (*close)(weft__conn *, weft_status, const char *))
{
    close_ring(&s->conns, close);
    close_ring(&s->paused, close);
}

void weft__drain_begin_close(weft_server *s)
{
    weft__server_listener *sl;

    for (sl = s->listeners; sl != NULL; sl = sl->next)
        weft__listener_stop(sl->listener);
    end_calls(s);
    close_conns(s, weft__conn_close);
    weft__http_server_close(s->http);
    s->http = NULL;
}

/* Listeners go last: each connection is told to its own. */
static void close_listeners(weft_server *s)
{
    weft__server_listener *sl;

    for (sl = s->listeners; sl != NULL; sl = sl->next) {
        weft__listener_close(sl->listener);
        sl->listener = NULL;
    }
}

bool weft__drain_closed(weft_server *s)
{
    /* In a hurry too the last replies get the one write that the end of a batch
     * gives them, before the next step cuts them off. */
    if (s->hurry && s->n_conns > 0) {
        if (s->hurried++ == 0)
            weft__server_advance_later(s);
        else
            close_conns(s, weft__conn_abort);
    }
    if (s->n_conns > 0 || s->n_http > 0 || !weft__shards_closed(s))
        return false;
    close_listeners(s);
    return true;
}
