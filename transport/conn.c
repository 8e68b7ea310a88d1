/* conn.c - the life of a connection, and its public functions. */
#include "conn_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

enum { WHY_BYTES = 256 };

/* One block: the owner's memory, or a pointer to it; the struct; its wire; the
 * event; the peer's address. */

/* That of IPv4, which most have; of others it is the text that is kept. */
typedef struct peer_in4 {
    struct in_addr addr;
    in_port_t port;
} peer_in4;

static size_t owner_bytes(const weft__conn_conf *conf)
{
    size_t bytes = conf->handler->owner_bytes;

    return bytes != 0 ? bytes : sizeof(void *);
}

static void *peer_of(const weft__conn *conn)
{
    return (char *)weft__conn_event(conn) + event_get_struct_event_size();
}

static void free_block(weft__conn *conn)
{
    weft_free((char *)conn - owner_bytes(weft__conf_of(conn)));
}

/* ---- the end ---- */

static void on_goodbye(weft__task *service)
{
    weft__conn *conn = weft__conn_of(service);
    char *why = conn->held != NULL ? conn->held->why : NULL;

    weft__outq_fini(&conn->wire->out);
    event_debug_unassign(weft__conn_event(conn));
    weft__conf_of(conn)->handler->on_closed(
        conn, conn->status, why != NULL ? why : weft_status_text(conn->status),
        weft__conn_user(conn));
    conn->wire->ops->fini(conn->wire);
    weft__conn_drop_in(conn);
    weft_free(why);
    weft_free(conn->held);
    free_block(conn);
}

void weft__conn_goodbye_later(weft__conn *conn)
{
    weft__loop_defer_task(weft__loop_of(conn), &conn->service, on_goodbye);
}

void weft__conn_finish(weft__conn *conn)
{
    if (conn->state == WEFT__CONN_CLOSED)
        return;
    conn->state = WEFT__CONN_CLOSED;
    conn->wire->paused = true;
    weft__conn_unaccount(conn);
    weft__alarm_stop(weft__loop_of(conn), &conn->alarm);
    if (conn->armed != 0)
        event_del(weft__conn_event(conn));
    conn->armed = 0;
    conn->socket.ops->close(&conn->socket);
    if (!conn->servicing)
        weft__conn_goodbye_later(conn);
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
    if (weft__conn_held(conn) != NULL)
        conn->held->why = weft_strdup(text);
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

/* ---- birth ---- */

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

void weft__conn_connected(weft__conn *conn)
{
    const char *why;
    weft_status status = weft__socket_connected(&conn->socket, &why);

    if (status != WEFT_OK)
        weft__conn_lost(conn, status, "connect: %s", why);
    else
        opened(conn);
}

static bool is_in4(const weft_address *address)
{
    return address->kind == WEFT_ADDRESS_TCP &&
           address->u.sa.sa_family == AF_INET;
}

/* A peer's end must be told beside its last bytes (N5). */
static bool has_edges(weft_loop *loop)
{
    int features = EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE;

    return (event_base_get_features(weft_loop_base(loop)) & features) ==
           features;
}

static weft_status make(weft__conn **out, weft_loop *loop,
                        const weft_address *peer, const weft__wire_ops *wire,
                        const weft__conn_conf *conf, void *user)
{
    char text[WEFT_ADDRESS_TEXT];
    bool in4 = is_in4(peer);
    size_t peer_bytes =
        in4 ? sizeof(peer_in4)
            : strlen(weft_address_format(peer, text, sizeof text)) + 1;
    char *memory =
        weft_calloc(1, owner_bytes(conf) + weft__event_offset(wire) +
                           event_get_struct_event_size() + peer_bytes);
    weft__conn *conn;
    weft_status status;

    if (memory == NULL)
        return WEFT_ENOMEM;
    if (conf->handler->owner_bytes == 0)
        *(void **)(void *)memory = user;
    conn = (weft__conn *)(void *)(memory + owner_bytes(conf));
    conn->socket.ops = &weft__fd_socket;
    conn->socket.fd = -1;
    conn->server = conf->wire_conf.server;
    conn->level = !has_edges(loop);
    conn->opened_s = (uint32_t)(weft_loop_now_ms(loop) / 1000);
    conn->last_in_ms = conn->state_ms = (uint32_t)weft_loop_now_ms(loop);
    weft__loop_set_alarm(loop, weft__conn_on_alarm, "connection timer");
    status = weft__wire_init(conn->wire, wire, &conf->wire_conf, loop);
    if (status != WEFT_OK) {
        free_block(conn);
        return status;
    }
    conn->peer_in4 = in4;
    if (in4)
        *(peer_in4 *)peer_of(conn) =
            (peer_in4){peer->u.in4.sin_addr, peer->u.in4.sin_port};
    else
        memcpy(peer_of(conn), text, peer_bytes);
    *out = conn;
    return WEFT_OK;
}

weft_status weft__conn_connect(weft__conn **out, weft_loop *loop,
                               const weft_address *address,
                               const weft__conn_conf *conf, void *user)
{
    weft__conn *conn;
    const char *why;
    bool connecting;
    weft_status status = make(&conn, loop, address, conf->wire, conf, user);

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
                              const weft__conn_conf *conf, void *user)
{
    weft__conn *conn;
    weft_status status = make(&conn, loop, peer, wire, conf, user);

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
    if (conn->state != WEFT__CONN_OPEN)
        return;
    /* Even if nobody takes what it says: no event of the call may follow. */
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

/* The time that we did not listen does not count against the peer. */
void weft__conn_listens_again(weft__conn *conn)
{
    conn->quiet_ms = weft__conn_now(conn);
    if (conn->in != NULL)
        conn->in->stall_ms = conn->quiet_ms;
    conn->pinged = false;
    weft__conn_interest(conn);
    weft__conn_rearm(conn);
    if (conn->in != NULL && conn->in->raw)
        weft__conn_service_later(conn);
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
    weft__conn_listens_again(conn);
}

/* ---- facts ---- */

void *weft__conn_user(const weft__conn *conn)
{
    size_t bytes = weft__conf_of(conn)->handler->owner_bytes;
    char *behind = (char *)(uintptr_t)conn;

    return bytes != 0 ? behind - bytes : ((void **)(void *)behind)[-1];
}

const weft__conn_conf *weft__conn_get_conf(const weft__conn *conn)
{
    return weft__conf_of(conn);
}

uint32_t weft__conn_silent_ms(const weft__conn *conn)
{
    return weft__conn_now(conn) - conn->last_in_ms;
}

void weft__conn_get_stats(const weft__conn *conn, weft__conn_stats *out)
{
    uint32_t now_s = (uint32_t)(weft_loop_now_ms(weft__loop_of(conn)) / 1000);

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
    return conn->bytes_out + conn->wire->out.bytes;
}

void weft__conn_wire_info(const weft__conn *conn, weft__wire_info *out)
{
    conn->wire->ops->info(conn->wire, out);
}

const char *weft__conn_peer(const weft__conn *conn, char *buf, size_t size)
{
    weft_address address = {.kind = WEFT_ADDRESS_TCP};
    const peer_in4 *in4 = peer_of(conn);

    if (!conn->peer_in4) {
        snprintf(buf, size, "%s", (const char *)peer_of(conn));
        return buf;
    }
    address.u.in4.sin_family = AF_INET;
    address.u.in4.sin_addr = in4->addr;
    address.u.in4.sin_port = in4->port;
    return weft_address_format(&address, buf, size);
}
