/* raw_client.c - a bare epoll loop that sends messages which are all alike, and
 * counts the replies by their bytes. */
#include "raw.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "order.h"
#include "pace.h"

#define HEADER 4

static char buffer[RAW_READ_BYTES];

typedef struct lane {
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

typedef struct client {
    pace pace;
    const echo_load *load;
    int ep;
    size_t size;      /* of a message with its header */
    char *out;        /* as many as a connection may have in flight, twice */
    size_t out_bytes; /* the half */
    lane *lanes, **dirty;
    uint32_t n_dirty;
} client;

static void flush(client *c, lane *l)
{
    while (l->owed > 0) {
        size_t part = l->owed < c->out_bytes ? l->owed : c->out_bytes;
        size_t put = raw_write(l->fd, c->out + l->position, part);

        l->owed -= put;
        l->position = (l->position + put) % c->size;
        if (put < part)
            break;
    }
    if (l->waits != (l->owed > 0)) {
        l->waits = !l->waits;
        raw_watch(c->ep, EPOLL_CTL_MOD, l->fd,
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

    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    raw_tune(l->fd, c->load);
    l->order = calloc(c->load->in_flight, sizeof(pace_slot *));
    if (connect(l->fd, (struct sockaddr *)&in, sizeof(in)) != 0)
        echo_die("connect");
    raw_watch(c->ep, EPOLL_CTL_ADD, l->fd, EPOLLIN, l);
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
        raw_watch(c.ep, EPOLL_CTL_ADD, timer, EPOLLIN, NULL);
    begin_calls(&c, echo_now_ns());
    for (;;) {
        struct epoll_event events[RAW_EVENTS];
        int n = epoll_wait(c.ep, events, RAW_EVENTS, -1);
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
