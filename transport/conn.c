/* conn.c - the life of a connection, and its public functions. */
#include "conn_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

enum { WHY_BYTES = 256 };

/* One block: the owner's memory, or a pointer to it; the struct; its wire; the
 * event; the text of the peer's address. */

static size_t owner_bytes(const weft__conn_handler *handler)
{
    return handler->owner_bytes != 0 ? handler->owner_bytes : sizeof(void *);
}

static size_t event_offset(const weft__wire_ops *wire)
{
    return offsetof(weft__conn, wire) + wire->size;
}

static struct event *event_of(const weft__conn *conn)
{
    return (struct event *)(void *)((char *)(uintptr_t)conn +
                                    event_offset(conn->wire->ops));
}

static char *peer_of(const weft__conn *conn)
{
    return (char *)event_of(conn) + event_get_struct_event_size();
}

static void free_block(weft__conn *conn)
{
    weft_free((char *)conn - owner_bytes(conn->handler));
}

uint32_t weft__conn_now(const weft__conn *conn)
{
    return (uint32_t)weft_loop_now_ms(conn->out.loop);
}

/* ---- the end ---- */

static void on_goodbye(void *arg)
{
    weft__conn *conn = arg;

    weft__outq_fini(&conn->out);
    event_debug_unassign(event_of(conn));
    conn->handler->on_closed(conn, conn->status,
                             conn->why != NULL ? conn->why
                                               : weft_status_text(conn->status),
                             weft__conn_user(conn));
    conn->wire->ops->fini(conn->wire);
    weft__conn_drop_in(conn);
    weft_free(conn->why);
    free_block(conn);
}

void weft__conn_finish(weft__conn *conn)
{
    if (conn->state == WEFT__CONN_CLOSED)
        return;
    conn->state = WEFT__CONN_CLOSED;
    conn->wire->paused = true;
    weft__conn_unaccount(conn);
    weft__alarm_stop(conn->out.loop, &conn->alarm);
    if (conn->armed != 0)
        event_del(event_of(conn));
    conn->armed = 0;
    conn->socket.ops->close(&conn->socket);
    if (!conn->servicing && !conn->service.queued)
        weft__loop_defer(conn->out.loop, &conn->service, on_goodbye, conn);
}

/* The first reason is the one that is told. */
static void vset_why(weft__conn *conn, weft_status status, const char *fmt,
                     va_list ap)
{
    char text[WHY_BYTES];

    if (conn->reasoned)
        return;
    conn->reasoned = true;
    vsnprintf(text, sizeof text, fmt, ap);
    conn->status = (int8_t)status;
    conn->why = weft_strdup(text);
}

static void WEFT_PRINTF(3, 4)
    set_why(weft__conn *conn, weft_status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vset_why(conn, status, fmt, ap);
    va_end(ap);
}

void weft__conn_lost(weft__conn *conn, weft_status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vset_why(conn, status, fmt, ap);
    va_end(ap);
    weft__conn_finish(conn);
}

void weft__conn_fail(weft__conn *conn, weft_status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vset_why(conn, status, fmt, ap);
    va_end(ap);
    if (conn->state != WEFT__CONN_OPEN) {
        weft__conn_finish(conn);
    } else if (conn->server) {
        weft__conn_begin_close(conn);
    } else {
        weft__conn_flush(conn);
        weft__conn_finish(conn);
    }
}

void weft__conn_close(weft__conn *conn, weft_status status, const char *why)
{
    if (conn->state >= WEFT__CONN_FLUSHING)
        return;
    set_why(conn, status, "%s", why);
    if (conn->state == WEFT__CONN_CONNECTING)
        weft__conn_finish(conn);
    else
        weft__conn_begin_close(conn);
}

void weft__conn_abort(weft__conn *conn, weft_status status, const char *why)
{
    set_why(conn, status, "%s", why);
    weft__conn_finish(conn);
}

/* ---- events ---- */

bool weft__conn_reading(const weft__conn *conn)
{
    return conn->state == WEFT__CONN_OPEN && conn->pauses == 0 &&
           !(conn->server && conn->over) && !conn->hungry && !conn->eof;
}

static short wanted(const weft__conn *conn)
{
    const weft__stream_socket *s = &conn->socket;
    bool reads = false, writes = false;

    switch (conn->state) {
    case WEFT__CONN_CONNECTING:
        return EV_WRITE;
    case WEFT__CONN_OPEN:
        reads = weft__conn_reading(conn);
        writes = conn->write_blocked;
        break;
    case WEFT__CONN_FLUSHING:
    case WEFT__CONN_LINGERING:
        reads = !conn->eof;
        writes = conn->write_blocked;
        break;
    default:
        return 0;
    }
    return (short)((reads || (writes && s->write_wants_read) ? EV_READ : 0) |
                   ((writes && !s->write_wants_read) ||
                            (reads && s->read_wants_write)
                        ? EV_WRITE
                        : 0));
}

static void on_io(evutil_socket_t fd, short what, void *arg);

static void arm(weft__conn *conn, short mask)
{
    if (mask == conn->armed)
        return;
    if (conn->armed != 0)
        event_del(event_of(conn));
    conn->armed = 0;
    if (mask == 0)
        return;
    event_assign(event_of(conn), weft_loop_base(conn->out.loop),
                 conn->socket.fd, (short)(mask | EV_PERSIST), on_io, conn);
    if (event_add(event_of(conn), NULL) == 0)
        conn->armed = (uint8_t)mask;
    else
        weft__conn_lost(conn, WEFT_ENOMEM, "the descriptor cannot be watched");
}

/* Takes effect at once where something more is waited for.  What is no longer
 * waited for stays armed until it fires: most pauses are over before that, and
 * so cost no system call. */
void weft__conn_interest(weft__conn *conn)
{
    short want = wanted(conn);

    if (conn->state == WEFT__CONN_OPEN)
        conn->wire->paused = !weft__conn_reading(conn);
    if ((want & ~conn->armed) != 0)
        arm(conn, want);
}

static void opened(weft__conn *conn)
{
    weft_status status;

    conn->state = WEFT__CONN_OPEN;
    conn->state_ms = conn->active_ms = conn->quiet_ms = weft__conn_now(conn);
    weft__conn_interest(conn);
    if (conn->state != WEFT__CONN_OPEN)
        return;
    weft__conn_rearm(conn);
    if (conn->server)
        return;
    if ((status = conn->wire->ops->start(conn->wire)) != WEFT_OK)
        weft__conn_lost(conn, status, "handshake: %s",
                        weft_status_text(status));
    else
        weft__conn_queued(conn);
}

static void on_connected(weft__conn *conn)
{
    const char *why;
    weft_status status = weft__socket_connected(&conn->socket, &why);

    if (status != WEFT_OK)
        weft__conn_lost(conn, status, "connect: %s", why);
    else
        opened(conn);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    weft__conn *conn = arg;
    weft__stream_socket *s = &conn->socket;
    weft_loop *loop = conn->out.loop;

    (void)fd;
    weft__loop_enter(loop, "connection");
    if (conn->state == WEFT__CONN_CONNECTING) {
        on_connected(conn);
    } else {
        if (conn->write_blocked &&
            (what & (s->write_wants_read ? EV_READ : EV_WRITE)) != 0) {
            conn->write_blocked = false;
            weft__conn_flush(conn);
            weft__conn_unblock(conn);
        }
        if ((what & (s->read_wants_write ? EV_WRITE : EV_READ)) != 0) {
            if (conn->state == WEFT__CONN_OPEN)
                weft__conn_readable(conn);
            else
                weft__conn_discard(conn);
        }
        /* A thousand connections that answer in one batch would hold a chunk
         * each until its end, and what larger replies lie in would not be
         * warm any more; this is one write per read as well. */
        if (conn->out.bytes >= WEFT__FLUSH_SOON ||
            (conn->out.bytes > 0 && weft__loop_chunks_scarce(loop)))
            weft__conn_flush(conn);
        weft__conn_advance_close(conn);
        weft__conn_account(conn);
    }
    if ((what & conn->armed & ~wanted(conn)) != 0)
        arm(conn, wanted(conn));
    weft__loop_leave_last(loop);
}

static void on_service(void *arg)
{
    weft__conn *conn = arg;

    conn->servicing = true;
    if (conn->in != NULL && conn->in->raw)
        weft__conn_feed_raw(conn);
    else if (conn->socket.pending)
        weft__conn_readable(conn);
    weft__conn_flush(conn);
    weft__conn_unblock(conn);
    weft__conn_advance_close(conn);
    weft__conn_account(conn);
    conn->servicing = false;
    if (conn->state == WEFT__CONN_CLOSED)
        weft__loop_defer(conn->out.loop, &conn->service, on_goodbye, conn);
    else if ((conn->out.bytes > 0 && !conn->write_blocked) ||
             (weft__conn_reading(conn) &&
              (conn->socket.pending || (conn->in != NULL && conn->in->raw))))
        weft__conn_service_later(conn);
}

void weft__conn_service_later(weft__conn *conn)
{
    if (!conn->servicing)
        weft__loop_flush_later(conn->out.loop, &conn->service, on_service,
                               conn);
}

/* ---- birth ---- */

static weft_status make(weft__conn **out, weft_loop *loop,
                        const weft_address *peer, const weft__wire_ops *wire,
                        const weft__conn_conf *conf,
                        const weft__conn_handler *handler, void *user)
{
    char text[WEFT_ADDRESS_TEXT];
    size_t peer_bytes =
        strlen(weft_address_format(peer, text, sizeof text)) + 1;
    char *memory =
        weft_calloc(1, owner_bytes(handler) + event_offset(wire) +
                           event_get_struct_event_size() + peer_bytes);
    weft__conn *conn;
    weft_status status;

    if (memory == NULL)
        return WEFT_ENOMEM;
    if (handler->owner_bytes == 0)
        *(void **)(void *)memory = user;
    conn = (weft__conn *)(void *)(memory + owner_bytes(handler));
    conn->conf = conf;
    conn->handler = handler;
    conn->wire->ops = wire;
    memcpy(peer_of(conn), text, peer_bytes);
    conn->socket.ops = &weft__fd_socket;
    conn->socket.fd = -1;
    conn->server = conf->wire_conf.server;
    conn->opened_s = (uint32_t)(weft_loop_now_ms(loop) / 1000);
    weft__outq_init(&conn->out, loop);
    conn->last_in_ms = conn->state_ms = weft__conn_now(conn);
    weft__loop_set_alarm(loop, weft__conn_on_alarm, "connection timer");
    status = wire->init(conn->wire, &conf->wire_conf, &conn->out);
    if (status != WEFT_OK) {
        free_block(conn);
        return status;
    }
    *out = conn;
    return WEFT_OK;
}

weft_status weft__conn_connect(weft__conn **out, weft_loop *loop,
                               const weft_address *address,
                               const weft__conn_conf *conf,
                               const weft__conn_handler *handler, void *user)
{
    weft__conn *conn;
    const char *why;
    bool connecting;
    weft_status status =
        make(&conn, loop, address, conf->wire, conf, handler, user);

    if (status != WEFT_OK)
        return status;
    *out = conn;
    status = weft__socket_connect(&conn->socket, address, &connecting, &why);
    if (status != WEFT_OK) {
        weft__conn_lost(conn, status, "connect: %s", why);
    } else if (connecting) {
        weft__conn_interest(conn);
        weft__conn_rearm(conn);
    } else {
        opened(conn);
    }
    return WEFT_OK;
}

weft_status weft__conn_accept(weft__conn **out, weft_loop *loop,
                              const weft__stream_socket *socket,
                              const weft_address *peer, const void *first,
                              size_t first_len, const weft__wire_ops *wire,
                              const weft__conn_conf *conf,
                              const weft__conn_handler *handler, void *user)
{
    weft__conn *conn;
    weft_status status = make(&conn, loop, peer, wire, conf, handler, user);

    if (status != WEFT_OK)
        return status;
    if (first_len > 0 &&
        (status = weft__conn_put_aside(conn, first, first_len)) != WEFT_OK) {
        wire->fini(conn->wire);
        free_block(conn);
        return status;
    }
    *out = conn;
    conn->socket = *socket;
    conn->bytes_in = first_len;
    opened(conn);
    weft__conn_service_later(conn);
    return WEFT_OK;
}

/* ---- what the owner does ---- */

static bool usable(const weft__conn *conn)
{
    return conn->state == WEFT__CONN_OPEN && !conn->write_broken;
}

weft_status weft__conn_request(weft__conn *conn,
                               const weft__wire_request *request,
                               weft__stream_id *stream)
{
    weft_status status;

    if (!usable(conn))
        return WEFT_ECLOSED;
    if (conn->over)
        return WEFT_RESOURCE_EXHAUSTED;
    status = conn->wire->ops->request(conn->wire, request, stream);
    if (status != WEFT_OK)
        return status;
    conn->active_ms = weft__conn_now(conn);
    weft__conn_queued(conn);
    return WEFT_OK;
}

weft_status weft__conn_respond(weft__conn *conn, weft__stream_id stream,
                               const weft__wire_response *response)
{
    weft_status status;

    if (!usable(conn))
        return WEFT_ECLOSED;
    status = conn->wire->ops->respond(conn->wire, stream, response);
    if (status != WEFT_OK)
        return status;
    conn->active_ms = weft__conn_now(conn);
    weft__conn_queued(conn);
    return WEFT_OK;
}

void weft__conn_reset(weft__conn *conn, weft__stream_id stream, weft_status why)
{
    if (!usable(conn))
        return;
    conn->wire->ops->reset(conn->wire, stream, why);
    weft__conn_queued(conn);
}

void weft__conn_goaway(weft__conn *conn, weft_status why, const char *text)
{
    if (!usable(conn))
        return;
    conn->wire->ops->goaway(conn->wire, why, text);
    weft__conn_queued(conn);
}

void weft__conn_pause(weft__conn *conn)
{
    conn->pauses++;
    if (conn->state == WEFT__CONN_OPEN)
        conn->wire->paused = true;
}

void weft__conn_resume(weft__conn *conn)
{
    if (conn->pauses == 0 || --conn->pauses > 0)
        return;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    /* The time that we did not listen does not count against the peer. */
    conn->quiet_ms = conn->in_stall_ms = weft__conn_now(conn);
    conn->pinged = false;
    weft__conn_interest(conn);
    weft__conn_rearm(conn);
    if (conn->in != NULL && conn->in->raw)
        weft__conn_service_later(conn);
}

/* ---- facts ---- */

void *weft__conn_user(const weft__conn *conn)
{
    size_t bytes = conn->handler->owner_bytes;
    char *behind = (char *)(uintptr_t)conn;

    return bytes != 0 ? behind - bytes : ((void **)(void *)behind)[-1];
}

const weft__conn_conf *weft__conn_get_conf(const weft__conn *conn)
{
    return conn->conf;
}

uint32_t weft__conn_silent_ms(const weft__conn *conn)
{
    return weft__conn_now(conn) - conn->last_in_ms;
}

void weft__conn_get_stats(const weft__conn *conn, weft__conn_stats *out)
{
    uint32_t now_s = (uint32_t)(weft_loop_now_ms(conn->out.loop) / 1000);

    *out = (weft__conn_stats){
        .bytes_in = conn->bytes_in,
        .bytes_out = conn->bytes_out,
        .unsent_bytes = weft__conn_unsent(conn),
        .buffered_bytes = conn->in != NULL ? conn->in->len - conn->in->off : 0,
        .age_s = now_s - conn->opened_s,
        .ready = conn->ready,
        .paused = conn->state == WEFT__CONN_OPEN && !weft__conn_reading(conn),
        .closing = conn->state >= WEFT__CONN_FLUSHING,
    };
}

uint64_t weft__conn_bytes_end(const weft__conn *conn)
{
    return conn->bytes_out + conn->out.bytes;
}

void weft__conn_wire_info(const weft__conn *conn, weft__wire_info *out)
{
    conn->wire->ops->info(conn->wire, out);
}

const char *weft__conn_peer_text(const weft__conn *conn)
{
    return peer_of(conn);
}
