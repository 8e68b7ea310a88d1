/* server_conn.c - from a connection's events to calls, and the limits between.
 *
 * Counts reject, bytes pause: a call over max_in_flight is refused by the
 * limit's name; a connection that sends while requests take more than
 * max_in_flight_bytes is paused before it is read, and resumed in the order of
 * pausing, a few at a time as long as there is room. */
#include "server_internal.h"

#include <string.h>
#include <unistd.h>
#include <weft/mem.h>

enum { RESUMED_AT_ONCE = 8 };

/* ---- Bytes ---- */

static bool over_budget(const weft_server *s)
{
    return s->conf.max_in_flight_bytes != WEFT_OFF &&
           s->in_flight_bytes > s->conf.max_in_flight_bytes;
}

static void pause_conn(weft__server_conn *sc)
{
    if (sc->paused)
        return;
    sc->paused = true;
    weft__ring_remove(&sc->link);
    weft__ring_push(&sc->server->paused, &sc->link);
    weft__conn_pause(weft__conn_of(sc));
}

void weft__budget_charge(weft__server_conn *sc, size_t bytes)
{
    weft_server *s = sc->server;

    s->in_flight_bytes += bytes;
    s->conn_share.stop = over_budget(s);
    if (s->conn_share.stop)
        pause_conn(sc);
}

static void on_stopped(weft__conn *conn, void *user)
{
    weft__server_conn *sc = user;

    (void)conn;
    pause_conn(sc);
}

/* Those that are resumed read at the next batch at the earliest, so the budget
 * is looked at again before the next few. */
static void on_resume(void *arg)
{
    weft_server *s = arg;
    unsigned n;

    for (n = 0; n < RESUMED_AT_ONCE && !over_budget(s) &&
                !weft__ring_empty(&s->paused);
         n++) {
        weft__server_conn *sc =
            WEFT__OF(weft__server_conn, link, s->paused.next);

        sc->paused = false;
        weft__ring_remove(&sc->link);
        weft__ring_push(&s->conns, &sc->link);
        weft__conn_resume(weft__conn_of(sc));
    }
    if (!over_budget(s) && !weft__ring_empty(&s->paused))
        weft__loop_defer(s->loop, &s->resume, on_resume, s);
}

void weft__budget_release(weft_server *s, size_t bytes)
{
    s->in_flight_bytes -= bytes;
    s->conn_share.stop = over_budget(s);
    if (!weft__ring_empty(&s->paused) && !over_budget(s))
        weft__loop_defer(s->loop, &s->resume, on_resume, s);
}

/* ---- A call's way in ---- */

static bool refused_by_limit(weft__server_conn *sc,
                             const weft__wire_event *event)
{
    weft_server *s = sc->server;
    char peer[WEFT_ADDRESS_TEXT];
    const char *limit;
    uint32_t value;

    if (s->n_calls >= s->conf.max_in_flight) {
        limit = "max_in_flight";
        value = s->conf.max_in_flight;
    } else if (sc->in_flight >= s->conf.max_in_flight_per_connection) {
        limit = "max_in_flight_per_connection";
        value = s->conf.max_in_flight_per_connection;
    } else {
        return false;
    }
    weft_log_limited(&s->limit_log, WEFT_LOG_WARN, "call refused",
                     "limit=%s value=%u peer=%s", limit, value,
                     weft__conn_peer(weft__conn_of(sc), peer, sizeof(peer)));
    weft__server_refuse(sc, event, WEFT_RESOURCE_EXHAUSTED,
                        "server: the limit %s of %u calls is reached", limit,
                        value);
    return true;
}

/* What a call is given, of what its client asks for. */
static uint32_t timeout_of(const weft_server *s, const weft__wire_event *event)
{
    uint32_t ms = event->timeout_ms;

    if (ms == 0)
        return s->conf.default_timeout_ms; /* WEFT_OFF is WEFT_NO_DEADLINE */
    return ms < s->conf.max_timeout_ms ? ms : s->conf.max_timeout_ms;
}

/* A call may have waited in the connection while that was paused: its bytes are
 * at least as old as the last read. */
static bool refused_as_expired(weft__server_conn *sc,
                               const weft__wire_event *event,
                               uint32_t timeout_ms, uint32_t *left_ms)
{
    weft_server *s = sc->server;
    uint32_t waited;

    *left_ms = timeout_ms;
    if (event->timeout_ms == 0)
        return false;
    waited = weft__conn_silent_ms(weft__conn_of(sc));
    if (waited < timeout_ms) {
        if (timeout_ms != WEFT_NO_DEADLINE)
            *left_ms -= waited;
        return false;
    }
    s->stats.expired++;
    weft__server_refuse(
        sc, event, WEFT_DEADLINE_EXCEEDED,
        "deadline %u ms: passed before the call was begun, having waited %u",
        timeout_ms, waited);
    return true;
}

/* The registered method can take this request. */
static bool refused_by_method(weft__server_conn *sc,
                              const weft__wire_event *event,
                              const weft__method *method)
{
    char text[64];

    if (weft__method_handler(method) == NULL) {
        weft__server_refuse_v0(sc, event, WEFT_UNIMPLEMENTED,
                               "%s is not implemented", method->path);
    } else if (event->v0 && event->payload.len == 0) {
        weft__server_refuse_v0(sc, event, WEFT_INVALID_ARGUMENT,
                               "request: empty");
    } else if ((event->parts & WEFT__MESSAGE) == 0) {
        weft__server_refuse(sc, event, WEFT_INVALID_ARGUMENT,
                            "request: %s wants one message, none came",
                            method->path);
    } else if (!weft__is_protobuf(event->content_type)) {
        weft__server_refuse(
            sc, event, WEFT_UNIMPLEMENTED,
            "request: content type %s is not supported by %s",
            weft__printable(event->content_type, text, sizeof(text)),
            method->path);
    } else if (event->compression != WEFT__IDENTITY) {
        weft__server_refuse(sc, event, WEFT_UNIMPLEMENTED,
                            "request: compression %d is not supported",
                            (int)event->compression);
    } else {
        return false;
    }
    return true;
}

static WEFT__COLD void refuse_lookup(weft__server_conn *sc,
                                     const weft__wire_event *event,
                                     weft__lookup found, weft__slice service,
                                     weft__slice name)
{
    char a[128], b[128];

    switch (found) {
    case WEFT__NO_METHOD:
        weft__server_refuse_v0(sc, event, WEFT_UNIMPLEMENTED,
                               "service %s has no method %s",
                               weft__printable(service, a, sizeof(a)),
                               weft__printable(name, b, sizeof(b)));
        break;
    case WEFT__NO_SERVICE:
        weft__server_refuse_v0(sc, event, WEFT_UNIMPLEMENTED,
                               "there is no service %s here",
                               weft__printable(service, a, sizeof(a)));
        break;
    default:
        weft__server_refuse_bad_path(sc, event);
    }
}

static void on_call(weft__server_conn *sc, const weft__wire_event *event)
{
    weft_server *s = sc->server;
    const weft__method *method = NULL;
    weft__slice service = {0}, name = {0};
    weft__lookup found;
    uint32_t timeout_ms, left_ms;

    sc->v0 = event->v0;
    if (s->phase >= WEFT__PHASE_CLOSING) {
        weft__server_refuse(sc, event, WEFT_UNAVAILABLE,
                            "server: it is shutting down");
        return;
    }
    if (refused_by_limit(sc, event))
        return;
    timeout_ms = timeout_of(s, event);
    if (refused_as_expired(sc, event, timeout_ms, &left_ms))
        return;
    found = weft__services_find(&s->services, event->path,
                                event->v0 && s->fallback == NULL, &method,
                                &service, &name);
    if (found == WEFT__FOUND) {
        if (refused_by_method(sc, event, method))
            return;
    } else if (found == WEFT__BAD_PATH || s->fallback == NULL) {
        refuse_lookup(sc, event, found, service, name);
        return;
    }
    weft__server_call_begin(sc, event, method, service, name, timeout_ms,
                            left_ms);
}

static void on_reset(weft__server_conn *sc, const weft__wire_event *event)
{
    weft__link *it = sc->calls;

    if (it == NULL)
        return;
    do {
        weft__server_call *call = WEFT__OF(weft__server_call, conn_link, it);

        if (call->stream == event->stream) {
            weft__server_call_end(call, WEFT_CANCELLED, NULL);
            return;
        }
        it = it->next;
    } while (it != sc->calls);
}

/* Behind all others. */
void weft__server_conn_add(weft__server_conn *sc, weft__server_call *call)
{
    if (sc->calls == NULL) {
        weft__ring_init(&call->conn_link);
        sc->calls = &call->conn_link;
    } else {
        weft__ring_push(sc->calls, &call->conn_link);
    }
}

void weft__server_conn_remove(weft__server_conn *sc, weft__server_call *call)
{
    weft__link *link = &call->conn_link;

    if (sc->calls == link)
        sc->calls = link->next != link ? link->next : NULL;
    weft__ring_remove(link);
}

/* ---- The connection's handler ---- */

void weft__server_conn_goaway(weft__server_conn *sc)
{
    if (sc->goaway)
        return;
    sc->goaway = true;
    weft__conn_goaway(weft__conn_of(sc), WEFT_UNAVAILABLE,
                      "the server is shutting down");
}

static void on_ready(weft__conn *conn, void *user)
{
    weft__server_conn *sc = user;

    (void)conn;
    if (sc->server->phase >= WEFT__PHASE_FINISHING)
        weft__server_conn_goaway(sc);
}

static void on_event(weft__conn *conn, const weft__wire_event *event,
                     void *user)
{
    weft__server_conn *sc = user;

    (void)conn;
    if ((event->parts & WEFT__HEADERS) != 0)
        on_call(sc, event);
    else if ((event->parts & WEFT__RESET) != 0)
        on_reset(sc, event);
    else if ((event->parts & WEFT__REFUSED) != 0)
        weft__server_count_refusal(sc, event, event->status);
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    weft__server_conn *sc = user;
    weft_server *s = sc->server;
    char peer[WEFT_ADDRESS_TEXT];

    weft__conn_peer(conn, peer, sizeof(peer));
    weft_log_debug("connection closed", "peer=%s status=%s why=\"%s\"", peer,
                   weft_status_name(status), why == NULL ? "" : why);
    if (status == WEFT_ELIMIT)
        weft_log_limited(&s->limit_log, WEFT_LOG_WARN, "connection closed",
                         "peer=%s why=\"%s\"", peer, why == NULL ? "" : why);
    while (sc->calls != NULL)
        weft__server_call_detach(
            WEFT__OF(weft__server_call, conn_link, sc->calls));
    weft__ring_remove(&sc->link);
    if (s->observed_conn == sc)
        s->observed_conn = NULL;
    s->n_conns--;
    weft__listener_conn_gone(
        WEFT__OF(weft__server_listener, conn_conf, weft__conn_get_conf(conn))
            ->listener);
    weft__shard_changed(s);
    weft__server_advance_later(s);
}

const weft__conn_handler weft__server_conn_handler = {
    .owner_bytes = sizeof(weft__server_conn),
    .on_ready = on_ready,
    .on_event = on_event,
    .on_stopped = on_stopped,
    .on_closed = on_closed};

/* ---- The listener's handler ---- */

static bool on_native(weft__listener *l, void **conn_user, void *user)
{
    weft_server *s = ((weft__server_listener *)user)->server;

    (void)l;
    if (s->phase >= WEFT__PHASE_CLOSING ||
        weft__server_connections(s) > s->conf.max_connections) {
        s->stats.refused++;
        return false;
    }
    *conn_user = NULL; /* lies in front of the connection */
    return true;
}

static void on_conn(weft__listener *l, weft__conn *conn, void *conn_user,
                    void *user)
{
    weft_server *s = ((weft__server_listener *)user)->server;
    weft__server_conn *sc;

    (void)l;
    (void)conn_user;
    if (conn == NULL) {
        weft__server_advance_later(s);
        return;
    }
    sc = weft__conn_user(conn);
    sc->server = s;
    weft__ring_push(&s->conns, &sc->link);
    s->n_conns++;
    weft__shard_changed(s);
}

static void on_http_gone(void *user)
{
    weft__server_listener *sl = user;

    sl->server->n_http--;
    weft__listener_conn_gone(sl->listener);
    weft__server_advance_later(sl->server);
}

static void on_http(weft__listener *l, int fd, const weft_address *peer,
                    const void *first, size_t first_len, void *user)
{
    weft__server_listener *sl = user;
    weft_server *s = sl->server;

    /* Undecided ones still decide while the last connections close. */
    if (s->http == NULL ||
        weft__server_connections(s) > s->conf.max_connections) {
        s->stats.refused++;
        (void)close(fd);
        weft__listener_conn_gone(l);
        return;
    }
    s->n_http++;
    weft__http_server_adopt(s->http, fd, peer, first, first_len, on_http_gone,
                            sl);
}

const weft__listener_handler weft__server_listener_handler = {
    .on_native = on_native, .on_conn = on_conn, .on_http = on_http};
