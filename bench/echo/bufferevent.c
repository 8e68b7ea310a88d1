/* bufferevent.c - what a C programmer writes by hand: libevent's bufferevents,
 * frames with a length before them, and protobuf-c as it comes, which takes all
 * memory from malloc().  No deadlines, limits, metadata or statistics. */
#include "pace.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"

static void no_delay(struct bufferevent *bev)
{
    int one = 1;

    setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &one,
               sizeof(one));
}

static void send_frame(struct bufferevent *bev, uint64_t id, const char *method,
                       const ProtobufCMessage *message)
{
    Bench__Frame frame = BENCH__FRAME__INIT;
    uint32_t header;
    size_t len;
    uint8_t *bytes;

    frame.id = id;
    frame.method = (char *)method;
    frame.payload.len = protobuf_c_message_get_packed_size(message);
    frame.payload.data = malloc(frame.payload.len + 1);
    protobuf_c_message_pack(message, frame.payload.data);
    len = bench__frame__get_packed_size(&frame);
    bytes = malloc(len);
    bench__frame__pack(&frame, bytes);
    header = htonl((uint32_t)len);
    bufferevent_write(bev, &header, sizeof(header));
    bufferevent_write(bev, bytes, len);
    free(bytes);
    free(frame.payload.data);
}

/* The next whole frame, to be freed; NULL: there is none yet. */
static Bench__Frame *next_frame(struct bufferevent *bev)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t have = evbuffer_get_length(in), len;
    Bench__Frame *frame;
    uint32_t header;

    if (have < sizeof(header))
        return NULL;
    evbuffer_copyout(in, &header, sizeof(header));
    len = ntohl(header);
    if (have - sizeof(header) < len)
        return NULL;
    evbuffer_drain(in, sizeof(header));
    frame =
        bench__frame__unpack(NULL, len, evbuffer_pullup(in, (ev_ssize_t)len));
    evbuffer_drain(in, len);
    if (frame == NULL)
        echo_die("frame");
    return frame;
}

static const ProtobufCMessageDescriptor *type_of(const char *method)
{
    if (strcmp(method, "/bench.Echo/Echo") == 0)
        return &bench__echo_message__descriptor;
    if (strcmp(method, "/bench.Orders/Echo") == 0)
        return &bench__order__descriptor;
    return NULL;
}

static void on_request(struct bufferevent *bev, void *user)
{
    Bench__Frame *frame;

    (void)user;
    while ((frame = next_frame(bev)) != NULL) {
        ProtobufCMessage *message =
            protobuf_c_message_unpack(type_of(frame->method), NULL,
                                      frame->payload.len, frame->payload.data);

        if (message == NULL)
            echo_die("message");
        send_frame(bev, frame->id, "", message);
        protobuf_c_message_free_unpacked(message, NULL);
        bench__frame__free_unpacked(frame, NULL);
    }
}

static void on_gone(struct bufferevent *bev, short what, void *user)
{
    (void)what, (void)user;
    bufferevent_free(bev);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                      struct sockaddr *peer, int len, void *user)
{
    struct bufferevent *bev = bufferevent_socket_new(
        evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)peer, (void)len, (void)user;
    no_delay(bev);
    bufferevent_setcb(bev, on_request, NULL, on_gone, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

void echo_server(echo_shared *shared)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    struct event_base *base = event_base_new();
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE,
                                512, (struct sockaddr *)&in, (int)len);

    if (listener == NULL || getsockname(evconnlistener_get_fd(listener),
                                        (struct sockaddr *)&in, &len) != 0)
        echo_die("listen");
    shared->port = ntohs(in.sin_port);
    event_base_dispatch(base);
}

typedef struct client {
    pace pace;
    const char *method;
    const ProtobufCMessage *request;
    Bench__EchoMessage echo;
    struct flight *calls;
    int timer;
} client;

typedef struct flight { /* one call */
    pace_slot slot;     /* first */
    struct bufferevent *bev;
} flight;

static void begin_calls(client *c, uint64_t now)
{
    flight *f;

    while ((f = (flight *)pace_take(&c->pace, now)) != NULL)
        send_frame(f->bev, (uint64_t)(f - c->calls), c->method, c->request);
}

static void on_reply(struct bufferevent *bev, void *user)
{
    client *c = user;
    uint64_t now = echo_now_ns();
    Bench__Frame *frame;

    while ((frame = next_frame(bev)) != NULL) {
        ProtobufCMessage *message =
            protobuf_c_message_unpack(c->request->descriptor, NULL,
                                      frame->payload.len, frame->payload.data);

        pace_give(&c->pace, &c->calls[frame->id].slot, now, message != NULL);
        protobuf_c_message_free_unpacked(message, NULL);
        bench__frame__free_unpacked(frame, NULL);
        begin_calls(c, now);
    }
}

static void on_lost(struct bufferevent *bev, short what, void *user)
{
    (void)bev, (void)user;
    if ((what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) != 0)
        echo_die("connection");
}

static void on_tick(evutil_socket_t fd, short what, void *user)
{
    client *c = user;

    (void)fd, (void)what;
    pace_tick(c->timer);
    begin_calls(c, echo_now_ns());
}

static struct bufferevent *dial(struct event_base *base, uint16_t port,
                                client *c)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct bufferevent *bev =
        bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

    bufferevent_setcb(bev, on_reply, NULL, on_lost, c);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(bev, (struct sockaddr *)&in, sizeof(in)) !=
        0)
        echo_die("connect");
    no_delay(bev);
    return bev;
}

void echo_client(echo_shared *shared)
{
    const echo_load *load = &shared->load;
    size_t calls = (size_t)load->connections * load->in_flight;
    struct bufferevent **bevs = calloc(load->connections, sizeof(*bevs));
    struct event_base *base = event_base_new();
    client c = {.method =
                    load->order ? "/bench.Orders/Echo" : "/bench.Echo/Echo",
                .echo = BENCH__ECHO_MESSAGE__INIT,
                .calls = calloc(calls, sizeof(flight))};

    c.echo.data.len = load->payload_bytes;
    c.echo.data.data = calloc(1, load->payload_bytes);
    c.request = load->order ? &order_message()->base : &c.echo.base;
    for (uint32_t i = 0; i < load->connections; i++)
        bevs[i] = dial(base, shared->port, &c);
    pace_init(&c.pace, shared);
    for (size_t i = 0; i < calls; i++) {
        c.calls[i].bev = bevs[i % load->connections];
        pace_add(&c.pace, &c.calls[i].slot);
    }
    if ((c.timer = pace_timer(&c.pace)) >= 0)
        event_add(event_new(base, c.timer, EV_READ | EV_PERSIST, on_tick, &c),
                  NULL);
    begin_calls(&c, echo_now_ns());
    event_base_dispatch(base);
}
