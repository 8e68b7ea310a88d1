/* client_conn.c - one connection of a subchannel: answers find their calls. */
#include "client_internal.h"

#include <string.h>
#include <weft/hint.h>
#include <weft/mem.h>

static void on_ready(weft__conn *conn, void *user)
{
    weft__client_conn *cc = user;
    weft_channel *ch = cc->sub->channel;
    weft__wire_info info;

    weft__conn_wire_info(conn, &info);
    cc->version0 = info.version == 0;
    cc->capacity = ch->conf.max_in_flight_per_connection;
    if (info.window < cc->capacity)
        cc->capacity = info.window;
    cc->ready = true;
    cc->ready_ms = weft_loop_now_ms(ch->loop);
    weft__sub_conn_ready(cc->sub);
}

void weft__client_conn_leave(weft__client_conn *cc)
{
    cc->leaving = true;
    weft__client_conn_check_idle(cc);
}

/* The last answer has come on a connection that takes nothing new. */
void weft__client_conn_check_idle(weft__client_conn *cc)
{
    if (cc->leaving && cc->in_flight == 0 && cc->conn != NULL)
        weft__conn_close(cc->conn, WEFT_OK, "no longer needed");
}

static uint64_t lived_ms(const weft__client_conn *cc)
{
    uint64_t now = weft_loop_now_ms(cc->sub->channel->loop);

    return cc->ready && now > cc->ready_ms ? now - cc->ready_ms : 0;
}

/* Later calls go elsewhere, those that the peer has not begun too; the others
 * finish, and then this side closes. */
static void on_goaway(weft__client_conn *cc, const weft__wire_event *event)
{
    weft__attempt *a;

    cc->leaving = true;
    weft__sub_conn_leaving(cc->sub, lived_ms(cc));
    a = cc->attempts;
    while (a != NULL && a->stream <= event->stream)
        a = a->next;
    for (weft__attempt *next; a != NULL; a = next) {
        next = a->next;
        weft__attempt_lost(a, WEFT_SENT_REFUSED, WEFT_UNAVAILABLE,
                           "the server is going away");
    }
    weft__client_conn_check_idle(cc);
}

enum { REPLY_BYTES = 128 }; /* of a record's arena, which a reply begins with */

/* Replies come in rows, mostly in the order of their calls.  A record was last
 * touched when its call was sent, which is long ago where many are in flight:
 * the next one's is fetched while this one is seen to. */
WEFT__INLINE void fetch_next(const weft__attempt *a)
{
    if (a->next != NULL)
        weft__fetch(weft__call_of(a->next),
                    sizeof(weft__client_call) + REPLY_BYTES);
}

static void on_event(weft__conn *conn, const weft__wire_event *event,
                     void *user)
{
    weft__client_conn *cc = user;
    weft__attempt *a;
    weft__client_call *call;

    (void)conn;
    if (event->parts & WEFT__GOAWAY)
        on_goaway(cc, event);
    if (event->parts & WEFT__DISCARDED) {
        /* A version 0 peer has answered what we gave up: there is room again.
         */
        weft_timer_stop(&cc->overdue);
        cc->in_flight--;
        weft__client_conn_check_idle(cc);
        weft__channel_kick(cc->sub->channel, false);
    }
    if ((event->parts & (WEFT__END | WEFT__RESET)) == 0)
        return;
    a = event->user;
    fetch_next(a);
    call = weft__call_of(a);
    if ((event->parts & WEFT__RESET) && event->unprocessed &&
        event->status == WEFT_UNAVAILABLE) {
        weft__attempt_refused(a);
        return;
    }
    weft__attempt_release(a, event->status);
    weft__client_call_answered(call, event);
}

static void on_unblocked(weft__conn *conn, void *user)
{
    weft__client_conn *cc = user;

    (void)conn;
    weft__channel_kick(cc->sub->channel, false);
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    weft__client_conn *cc = user;
    weft__subchannel *sub = cc->sub;
    weft_channel *ch = sub->channel;
    bool idle = status == WEFT_OK && !cc->leaving;
    weft_status lost = WEFT_UNAVAILABLE;
    weft__conn_stats stats;

    /* gorpc sends a reply over 4 MiB all the same, to the one call it has. */
    if (cc->version0 && status == WEFT_ELIMIT)
        lost = WEFT_RESOURCE_EXHAUSTED;
    weft__conn_get_stats(conn, &stats);
    cc->conn = NULL;
    weft_timer_stop(&cc->overdue);
    /* Those that move on do not come back here: this connection is not usable.
     */
    for (weft__attempt *a; (a = cc->attempts) != NULL;)
        weft__attempt_lost(a,
                           a->begin_bytes >= stats.bytes_out ? WEFT_SENT_NEVER
                                                             : WEFT_SENT_MAYBE,
                           lost, why);
    if ((*cc->pprev = cc->next) != NULL)
        cc->next->pprev = cc->pprev;
    weft__sub_conn_lost(sub, cc->ready, idle, lived_ms(cc), why);
    weft_free(cc);
    ch->n_conns--;
    weft__channel_reap_if_done(ch);
}

static void on_overdue(weft_timer *timer, void *user)
{
    weft__client_conn *cc = user;

    (void)timer;
    if (cc->conn != NULL)
        weft__conn_abort(cc->conn, WEFT_ETIMEDOUT,
                         "a reply that was given up is overdue");
}

const weft__conn_handler weft__client_conn_handler = {.on_ready = on_ready,
                                                      .on_event = on_event,
                                                      .on_unblocked =
                                                          on_unblocked,
                                                      .on_closed = on_closed};

weft_status weft__client_conn_open(weft__subchannel *sub)
{
    weft_channel *ch = sub->channel;
    weft__client_conn *cc = weft_calloc(1, sizeof(*cc));
    weft_status st;

    if (cc == NULL)
        return WEFT_ENOMEM;
    cc->sub = sub;
    cc->attempts_tail = &cc->attempts;
    weft_timer_init(&cc->overdue, ch->loop, on_overdue, cc);
    st = weft__conn_connect(&cc->conn, ch->loop, &sub->address, &ch->conn_conf,
                            cc);
    if (st != WEFT_OK) {
        weft_free(cc);
        return st;
    }
    if ((cc->next = sub->conns) != NULL)
        cc->next->pprev = &cc->next;
    cc->pprev = &sub->conns;
    sub->conns = cc;
    sub->n_conns++;
    ch->n_conns++;
    ch->stats.connects++;
    return WEFT_OK;
}

/* How many connections may be on their way: one, but as many to a version 0
 * peer as calls wait for it, which take one each; else a pool would grow by one
 * per round trip. */
static uint64_t wanted(const weft__subchannel *sub, bool version0)
{
    const weft_channel *ch = sub->channel;

    if (!version0 || ch->n_listed == 0)
        return 1;
    return 1 + ch->stats.waiting / ch->n_listed;
}

/* None has room: more of them, unless enough are on their way. */
static void open_more(weft__subchannel *sub)
{
    const weft_channel_conf *conf = &sub->channel->conf;
    uint64_t opening = 0;
    bool version0 = false;
    uint32_t cap;

    if (weft_timer_armed(&sub->backoff))
        return;
    for (weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next) {
        if (cc->conn == NULL || cc->leaving)
            continue;
        opening += !cc->ready;
        version0 |= cc->version0;
    }
    cap = version0 ? conf->max_gorpc_connections_per_endpoint
                   : conf->max_connections_per_endpoint;
    for (; opening < wanted(sub, version0) && sub->n_conns < cap; opening++)
        if (weft__client_conn_open(sub) != WEFT_OK)
            break; /* without memory, the call waits */
}

/* The least loaded one with room; asks for more when none has any. */
weft__client_conn *weft__client_conn_usable(weft__subchannel *sub)
{
    weft__client_conn *best = NULL;

    for (weft__client_conn *cc = sub->conns; cc != NULL; cc = cc->next) {
        if (cc->in_flight >= cc->capacity || cc->conn == NULL || cc->leaving ||
            (best != NULL && cc->in_flight >= best->in_flight))
            continue;
        best = cc;
        if (best->in_flight == 0)
            break;
    }
    if (best == NULL)
        open_more(sub);
    return best;
}

void weft__client_conn_abandon(weft__attempt *a, weft_status why)
{
    weft__client_conn *cc = a->conn;
    weft_channel *ch = weft__call_of(a)->channel;

    if (cc->conn != NULL)
        weft__conn_reset(cc->conn, a->stream, why);
    if (cc->version0 && cc->conn != NULL) {
        /* Its reply will come all the same and must be swallowed first. */
        cc->in_flight++;
        weft_timer_start(&cc->overdue, ch->conf.timeout_ms != WEFT_OFF
                                           ? ch->conf.timeout_ms
                                           : 5000);
    }
    weft__attempt_release(a, why);
}
