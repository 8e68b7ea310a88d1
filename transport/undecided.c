/* undecided.c - accepted sockets until their first bytes tell what they speak.
 */
#include "listener_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

enum { DISCARD_BYTES = 1 << 20 };

/* TLS 1.2 record, alert: fatal, handshake_failure (RFC 8446, 6.2). */
static const uint8_t tls_refusal[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28};

/* HTTP/2 (RFC 9113): empty SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED, in
 * whose debug data a person may read why. */
#define H2_TEXT "no HTTP/2 here: HTTP/1.1 or Weft's native protocol"
static const uint8_t h2_refusal[] = {0, 0,  0,
                                     4, 0,  0,
                                     0, 0,  0, /* SETTINGS */
                                     0, 0,  8 + sizeof H2_TEXT - 1,
                                     7, 0,  0,
                                     0, 0,  0, /* GOAWAY */
                                     0, 0,  0,
                                     0, 0,  0,
                                     0, 0xd};

static void link_in(weft__undecided **list, weft__undecided *u)
{
    u->next = *list;
    u->pprev = list;
    if (u->next != NULL)
        u->next->pprev = &u->next;
    *list = u;
}

static void link_out(weft__undecided *u)
{
    weft__listener *l = u->listener;

    if (l->waiting_tail == &u->next)
        l->waiting_tail = u->pprev;
    if (u->next != NULL)
        u->next->pprev = u->pprev;
    *u->pprev = u->next;
}

static void disarm(weft__undecided *u)
{
    weft_timer_stop(&u->timer);
    if (u->armed)
        event_del(u->event);
    u->armed = false;
}

/* Gives the descriptor up; it is still counted. */
static int detach(weft__undecided *u)
{
    int fd = u->fd;

    disarm(u);
    event_debug_unassign(u->event);
    link_out(u);
    weft_free(u);
    return fd;
}

static void discard(weft__undecided *u)
{
    weft__listener *l = u->listener;

    (void)close(detach(u));
    l->count--;
}

static weft_address peer_of(const weft__undecided *u)
{
    weft_address peer = u->listener->address;

    if (u->peer_len > 0)
        (void)weft_address_from_sockaddr(&peer, &u->peer.sa, u->peer_len);
    return peer;
}

static void hand_over(weft__undecided *u, const uint8_t *data, size_t len)
{
    weft__listener *l = u->listener;
    weft_address peer = peer_of(u);
    weft__stream_socket socket;
    weft__conn *conn = NULL;
    void *user = NULL;

    weft__socket_init(&socket, detach(u));
    if (!l->handler->on_native(l, &user, l->user)) {
        (void)close(socket.fd);
        l->count--;
        return;
    }
    if (weft__conn_accept(&conn, l->loop, &socket, &peer, data, len,
                          l->conf.conn->wire, l->conf.conn, user) != WEFT_OK) {
        (void)close(socket.fd);
        l->count--;
        conn = NULL;
    }
    l->handler->on_conn(l, conn, user, l->user);
}

static void hand_to_http(weft__undecided *u, const uint8_t *data, size_t len)
{
    weft__listener *l = u->listener;
    weft_address peer = peer_of(u);

    if (l->handler->on_http == NULL) {
        discard(u);
        return;
    }
    l->handler->on_http(l, detach(u), &peer, data, len, l->user);
}

/* An unread byte at close() would reset the connection, and the refusal with
 * it: so our side is shut down, and the peer's is read to its end. */
static void refuse(weft__undecided *u, const void *bytes, size_t len,
                   const char *text)
{
    (void)send(u->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (text != NULL)
        (void)send(u->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(u->fd, SHUT_WR);
    u->refused = true;
    if (u->listener->conf.conn->linger_ms != WEFT_OFF)
        weft_timer_start(&u->timer, u->listener->conf.conn->linger_ms);
}

static void wait_for_release(weft__undecided *u, const uint8_t *data,
                             size_t len)
{
    weft__listener *l = u->listener;

    disarm(u);
    link_out(u);
    memmove(u->bytes, data, len);
    u->len = (uint8_t)len;
    link_in(l->waiting_tail, u);
    l->waiting_tail = &u->next;
}

static void decide(weft__undecided *u, const uint8_t *data, size_t len)
{
    switch (weft__sniff(data, len)) {
    case WEFT__PROTOCOL_MORE:
        if (len < sizeof u->bytes) {
            memmove(u->bytes, data, len);
            u->len = (uint8_t)len;
        } else {
            discard(u);
        }
        break;
    case WEFT__PROTOCOL_NATIVE:
        if (u->listener->held)
            wait_for_release(u, data, len);
        else
            hand_over(u, data, len);
        break;
    case WEFT__PROTOCOL_HTTP1:
        hand_to_http(u, data, len);
        break;
    case WEFT__PROTOCOL_HTTP2:
        refuse(u, h2_refusal, sizeof h2_refusal, H2_TEXT);
        break;
    case WEFT__PROTOCOL_TLS:
        refuse(u, tls_refusal, sizeof tls_refusal, NULL);
        break;
    default:
        discard(u);
    }
}

static void readable(weft__undecided *u)
{
    weft__listener *l = u->listener;
    uint8_t *data = weft__loop_read_buffer(l->loop);
    /* While held, no more is taken from the kernel than can be kept. */
    size_t size = l->held ? sizeof u->bytes : WEFT__READ_BYTES;
    ssize_t n;

    if (data == NULL) {
        discard(u);
        return;
    }
    memcpy(data, u->bytes, u->len);
    do
        n = recv(u->fd, data + u->len, size - u->len, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && weft__sys_status(errno) == WEFT_EAGAIN)
        return;
    if (n <= 0) {
        discard(u);
    } else if (!u->refused) {
        decide(u, data, u->len + (size_t)n);
    } else {
        u->len = 0;
        u->discarded += (uint32_t)n;
        if (u->discarded > DISCARD_BYTES)
            discard(u);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    weft__undecided *u = arg;
    weft_loop *loop = u->listener->loop;

    (void)fd;
    (void)what;
    weft__loop_enter(loop, "sniffing");
    readable(u);
    weft__loop_leave(loop);
}

static void on_late(weft_timer *timer, void *user)
{
    (void)timer;
    discard(user);
}

void weft__undecided_add(weft__listener *l, int fd, const weft_address *peer)
{
    size_t offset = (sizeof(weft__undecided) + 15) & ~(size_t)15;
    weft__undecided *u = weft_calloc(1, offset + event_get_struct_event_size());

    if (u == NULL) {
        (void)close(fd);
        return;
    }
    u->listener = l;
    u->event = (struct event *)(void *)((uint8_t *)u + offset);
    if (peer->kind == WEFT_ADDRESS_TCP && peer->len <= sizeof u->peer) {
        memcpy(&u->peer, &peer->u, peer->len);
        u->peer_len = peer->len;
    }
    u->fd = fd;
    link_in(&l->undecided, u);
    l->count++;
    weft_timer_init(&u->timer, l->loop, on_late, u);
    u->timer.name = "handshake timer";
    event_assign(u->event, weft_loop_base(l->loop), fd, EV_READ | EV_PERSIST,
                 on_readable, u);
    if (event_add(u->event, NULL) != 0) {
        discard(u);
        return;
    }
    u->armed = true;
    if (l->conf.conn->handshake_ms != WEFT_OFF)
        weft_timer_start(&u->timer, l->conf.conn->handshake_ms);
}

bool weft__undecided_hand_over_next(weft__listener *l)
{
    weft__undecided *u = l->waiting;
    uint8_t bytes[sizeof u->bytes];
    size_t len;

    if (u == NULL)
        return false;
    len = u->len;
    memcpy(bytes, u->bytes, len);
    hand_over(u, bytes, len);
    return true;
}

void weft__undecided_close_all(weft__listener *l)
{
    while (l->undecided != NULL)
        discard(l->undecided);
    while (l->waiting != NULL)
        discard(l->waiting);
}
