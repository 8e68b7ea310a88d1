/* raw_server.c - see raw_server.h. */
#include "raw_server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw_conn {
    raw_conn *next, **pprev;
    raw_server *server;
    const raw_step *step;
    struct event *readable, *turn;
    size_t sent; /* of the current step */
    size_t have;
    int fd;
    int idle_turns; /* before the next bytes go out */
    char in[RAW_REQUEST_MAX + 1];
};

static void conn_close(raw_conn *c, bool reset)
{
    struct linger now = {.l_onoff = 1};

    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    *c->pprev = c->next;
    if (c->next != NULL)
        c->next->pprev = c->pprev;
    event_free(c->readable);
    event_free(c->turn);
    close(c->fd);
    free(c);
}

/* Takes one whole request off the input. */
static bool take_request(raw_conn *c)
{
    char *end, *length;
    size_t n;

    c->in[c->have] = '\0';
    if ((end = strstr(c->in, "\r\n\r\n")) == NULL)
        return false;
    n = (size_t)(end - c->in) + 4;
    if ((length = strcasestr(c->in, "\r\nContent-Length:")) != NULL &&
        length < end)
        n += strtoul(length + 17, NULL, 10);
    if (n > c->have)
        return false;
    memcpy(c->server->last, c->in, n);
    c->server->last[n] = '\0';
    c->server->requests++;
    memmove(c->in, c->in + n, c->have - n);
    c->have -= n;
    return true;
}

/* Sends a piece of the step; true when the step is done. */
static bool send_some(raw_conn *c)
{
    const raw_step *step = c->step;
    size_t n = step->len - c->sent;
    ssize_t sent;

    if (c->idle_turns > 0 && --c->idle_turns > 0)
        return false;
    if (step->op == RAW_DRIP && n > 1)
        n = 1;
    if (step->op == RAW_SEND && c->sent < c->server->split_at &&
        n > c->server->split_at - c->sent)
        n = c->server->split_at - c->sent;
    if (n == 0)
        return true;
    sent = send(c->fd, step->data + c->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno != EAGAIN; /* a peer that left ends the step */
    c->sent += (size_t)sent;
    c->idle_turns = 3;
    return c->sent == step->len;
}

static void conn_walk(raw_conn *c)
{
    const struct timeval at_once = {0};

    for (;; c->step++, c->sent = 0, c->idle_turns = 0) {
        switch (c->step->op) {
        case RAW_END:
            return;
        case RAW_WAIT:
            if (!take_request(c))
                return;
            break;
        case RAW_SEND:
        case RAW_DRIP:
            if (!send_some(c)) {
                event_add(c->turn, &at_once);
                return;
            }
            break;
        case RAW_CLOSE:
        case RAW_RESET:
            conn_close(c, c->step->op == RAW_RESET);
            return;
        }
    }
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    conn_walk(arg);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    raw_conn *c = arg;
    ssize_t n =
        recv(fd, c->in + c->have, RAW_REQUEST_MAX - c->have, MSG_DONTWAIT);

    (void)what;
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        c->server->closed_by_peer++;
        conn_close(c, false);
        return;
    }
    c->have += (size_t)n;
    if (c->step->op == RAW_WAIT)
        conn_walk(c);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    raw_server *s = arg;
    int on = 1;
    size_t script;
    raw_conn *c = calloc(1, sizeof(*c));

    (void)what;
    if (c == NULL || (c->fd = accept(fd, NULL, NULL)) < 0) {
        free(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    script = s->accepted++;
    if (script >= RAW_SCRIPTS)
        script = RAW_SCRIPTS - 1;
    while (script > 0 && s->scripts[script] == NULL)
        script--;
    c->server = s;
    c->step = s->scripts[script];
    c->next = s->conns;
    c->pprev = &s->conns;
    if (c->next != NULL)
        c->next->pprev = &c->next;
    s->conns = c;
    c->readable =
        event_new(s->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->turn = event_new(s->base, -1, 0, on_turn, c);
    event_add(c->readable, NULL);
    conn_walk(c);
}

bool raw_server_open(raw_server *s, struct event_base *base)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);

    memset(s, 0, sizeof(*s));
    s->base = base;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
        listen(s->fd, 64) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&sin, &len) != 0)
        return false;
    s->port = ntohs(sin.sin_port);
    s->accept = event_new(base, s->fd, EV_READ | EV_PERSIST, on_accept, s);
    event_add(s->accept, NULL);
    return true;
}

void raw_server_close(raw_server *s)
{
    while (s->conns != NULL)
        conn_close(s->conns, false);
    if (s->accept != NULL)
        event_free(s->accept);
    if (s->fd >= 0)
        close(s->fd);
    s->accept = NULL;
    s->fd = -1;
}
