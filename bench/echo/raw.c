/* raw.c - the limit: a bare epoll loop that sends back what it reads.
 *
 * It reads up to 256 KiB at a time and writes once per read, so that it cannot
 * be beaten by batching; its system calls are counted, and the report voids the
 * figure when they are too many.  What does not fit the socket is kept, and
 * nothing more is read from that connection until it has gone. */
#include "pace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "order.h"

#define READ_BYTES (256 * 1024)
#define HEADER 4
#define EVENTS 128

static char buffer[READ_BYTES];

static void watch(int ep, int op, int fd, uint32_t events, void *ptr)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};

    if (epoll_ctl(ep, op, fd, &event) != 0)
        echo_die("epoll_ctl");
}

/* How much of it was written now; what was not waits for EPOLLOUT.  A peer that
 * went takes everything. */
static size_t write_some(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return len; /* reading says so next */
    return n < 0 ? 0 : (size_t)n;
}

typedef struct server_conn {
    int fd;
    char *rest; /* not written yet, from `at` */
    size_t at, len;
} server_conn;

static void serve(int ep, server_conn *c, uint64_t *syscalls)
{
    ssize_t got = recv(c->fd, buffer, sizeof(buffer), 0);
    size_t put;

    ++*syscalls;
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        close(c->fd);
        free(c);
        return;
    }
    put = write_some(c->fd, buffer, (size_t)got);
    ++*syscalls;
    if (put == (size_t)got)
        return;
    c->at = 0;
    c->len = (size_t)got - put;
    c->rest = malloc(c->len);
    if (c->rest == NULL)
        echo_die("malloc");
    memcpy(c->rest, buffer + put, c->len);
    watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    ++*syscalls;
}

static void serve_rest(int ep, server_conn *c, uint64_t *syscalls)
{
    c->at += write_some(c->fd, c->rest + c->at, c->len - c->at);
    ++*syscalls;
    if (c->at < c->len)
        return;
    free(c->rest);
    c->rest = NULL;
    watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    ++*syscalls;
}

static void accept_one(int ep, int listener)
{
    server_conn *c = calloc(1, sizeof(*c));
    int one = 1;

    if (c == NULL || (c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        echo_die("accept");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch(ep, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

void echo_server(echo_shared *shared)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    uint64_t syscalls = 0;

    if (bind(listener, (struct sockaddr *)&in, len) != 0 ||
        listen(listener, 512) != 0 ||
        getsockname(listener, (struct sockaddr *)&in, &len) != 0)
        echo_die("listen");
    watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    shared->port = ntohs(in.sin_port);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(ep, events, EVENTS, -1);

        syscalls++;
        for (int i = 0; i < n; i++) {
            server_conn *c = events[i].data.ptr;

            if (c == NULL)
                accept_one(ep, listener);
            else if (c->rest != NULL)
                serve_rest(ep, c, &syscalls);
            else
                serve(ep, c, &syscalls);
        }
        shared->server_syscalls = syscalls;
    }
}

typedef struct client client;
typedef struct lane {
    client *client;
    int fd;
    size_t have;       /* bytes of a reply that is not whole yet */
    size_t owed;       /* bytes of requests that are still to be written */
    size_t position;   /* in `out`, whose messages are all alike */
    bool waits;        /* for EPOLLOUT */
    pace_slot **order; /* ring of the calls in flight: replies are in order */
    uint32_t head, in_flight;
    bool dirty;
} lane;

typedef struct raw_slot {
    pace_slot slot; /* first */
    lane *lane;
} raw_slot;

struct client {
    pace pace;
    const echo_load *load;
    int ep;
    size_t size;      /* of a message with its header */
    char *out;        /* as many as a connection may have in flight, twice */
    size_t out_bytes; /* the half */
    lane *lanes, **dirty;
    uint32_t n_dirty;
};

static void flush(client *c, lane *l)
{
    while (l->owed > 0) {
        size_t part = l->owed < c->out_bytes ? l->owed : c->out_bytes;
        size_t put = write_some(l->fd, c->out + l->position, part);

        l->owed -= put;
        l->position = (l->position + put) % c->size;
        if (put < part)
            break;
    }
    if (l->waits != (l->owed > 0)) {
        l->waits = !l->waits;
        watch(c->ep, EPOLL_CTL_MOD, l->fd,
              l->waits ? EPOLLIN | EPOLLOUT : EPOLLIN, l);
    }
}

/* Begins what is to begin now; one write for each connection. */
static void begin_calls(client *c, uint64_t now)
{
    raw_slot *s;

    while ((s = (raw_slot *)pace_take(&c->pace, now)) != NULL) {
        lane *l = s->lane;
        uint32_t at = l->head + l->in_flight++;

        l->order[at % c->load->in_flight] = &s->slot;
        l->owed += c->size;
        if (!l->dirty)
            c->dirty[c->n_dirty++] = l;
        l->dirty = true;
    }
    while (c->n_dirty > 0) {
        lane *l = c->dirty[--c->n_dirty];

        l->dirty = false;
        flush(c, l);
    }
}

static void on_readable(client *c, lane *l, uint64_t now)
{
    ssize_t got = recv(l->fd, buffer, sizeof(buffer), 0);

    if (got <= 0)
        echo_die("recv");
    for (l->have += (size_t)got; l->have >= c->size; l->have -= c->size) {
        pace_slot *slot = l->order[l->head];

        l->head = l->head + 1 == c->load->in_flight ? 0 : l->head + 1;
        l->in_flight--;
        pace_give(&c->pace, slot, now, true);
    }
}

static void connect_lane(client *c, lane *l, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    l->client = c;
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    l->order = calloc(c->load->in_flight, sizeof(pace_slot *));
    if (connect(l->fd, (struct sockaddr *)&in, sizeof(in)) != 0)
        echo_die("connect");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch(c->ep, EPOLL_CTL_ADD, l->fd, EPOLLIN, l);
}

void echo_client(echo_shared *shared)
{
    const echo_load *load = &shared->load;
    client c = {.load = load, .ep = epoll_create1(0)};
    size_t slots = (size_t)load->connections * load->in_flight;
    raw_slot *all = calloc(slots, sizeof(*all));
    int timer;

    c.size = HEADER + (load->order ? order_packed_size() : load->payload_bytes);
    c.out_bytes = c.size * load->in_flight;
    c.out = calloc(2, c.out_bytes);
    c.lanes = calloc(load->connections, sizeof(lane));
    c.dirty = calloc(load->connections, sizeof(lane *));
    for (uint32_t i = 0; i < load->connections; i++)
        connect_lane(&c, &c.lanes[i], shared->port);
    pace_init(&c.pace, shared);
    for (size_t i = 0; i < slots; i++) {
        all[i].lane = &c.lanes[i % load->connections];
        pace_add(&c.pace, &all[i].slot);
    }
    if ((timer = pace_timer(&c.pace)) >= 0)
        watch(c.ep, EPOLL_CTL_ADD, timer, EPOLLIN, NULL);
    begin_calls(&c, echo_now_ns());
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(c.ep, events, EVENTS, -1);
        uint64_t now = echo_now_ns();

        for (int i = 0; i < n; i++) {
            lane *l = events[i].data.ptr;

            if (l == NULL)
                pace_tick(timer);
            else if (events[i].events & EPOLLOUT)
                flush(&c, l);
            if (l != NULL && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                on_readable(&c, l, now);
            /* At once, so that the server has work while we read on. */
            begin_calls(&c, now);
        }
    }
}
