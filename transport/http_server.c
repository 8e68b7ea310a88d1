/* http_server.c - HTTP/1 by libevhtp; the one file that includes it.
 *
 * libevhtp 1.2.18 is unmaintained.  As a server it misreads a URI that is split
 * across reads, stalls pipelined replies, accepts ambiguous framing, never says
 * why it closes, does not see the peer of a waiting request leave, raises
 * SIGPIPE, and prints to stderr.  As a parser of one whole request, and as a
 * maker of one reply, it is sound.  So that is all it does here:
 *
 *  S1. Sockets, buffers, timers and order are ours. A request is read whole,
 *      head and body, and its head is checked (http_head.c) before libevhtp
 *      sees a byte. What is refused gets a status from us, and the connection
 *      ends.
 *
 *  S2. For each request an evhtp_connection_t is made, fed the whole request
 *      by its own read callback, and freed: it never waits, owns no descriptor
 *      and never writes. Its bufferevent is a vessel, one per server, that is
 *      never enabled.
 *
 *  S3. The read callback is static in libevhtp. harvest() asks a connection
 *      for it that libevhtp itself has accepted, on an unnamed unix socket and
 *      an event_base of its own.  Like the struct, it stands with version
 *      1.2.18.
 *
 *  S4. A connection answers in order, at most REQUESTS_PER_TURN requests a
 *      turn, and none while more than MAX_OUT_BYTES wait to be written: then
 *      it stops reading.
 *
 *  S5. Each close is shutdown, a bounded discard of input, then close: an
 *      unread byte would turn the close into a reset that overtakes the reply.
 *
 *  S6. The memory of a connection goes in reap(), from a fresh stack, with
 *      on_gone.
 *
 * Where libevhtp stands in the way: it aborts when malloc fails inside of it,
 * and a chunked request body cannot be cut exactly from outside, so it is
 * refused (411). */
#include "http_internal.h"
#include <errno.h>
#include <event2/event_struct.h>
#include <evhtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/http_server.h>
#include <weft/mem.h>
#include <weft/sys.h>
#include <weft/timer.h>

#if EVHTP_VERSION_MAJOR != 1 || EVHTP_VERSION_MINOR != 2
#error "S3 holds for libevhtp 1.2 only"
#endif

#define REQUESTS_PER_TURN 16
#define MAX_OUT_BYTES 65536
#define READ_BYTES 16384
#define REPLY_BYTES 65536 /* of the handler's body */
#define LINGER_MS 1000
#define LINGER_BYTES 262144

typedef enum phase {
    IDLE,      /* between requests */
    RECEIVING, /* a request has begun */
    WRITING,
    LINGERING, /* S5 */
    GONE
} phase;

typedef struct http_conn {
    struct http_conn *next, **pprev; /* among its server's */
    weft__http_server *server;
    weft_loop *loop;
    struct event readable, writable;
    struct evbuffer *out;
    weft_timer timer;
    weft__deferred turn, reap;
    void (*on_gone)(void *user);
    void *user;
    char *in;
    size_t have, capacity;
    weft__http_scan scan;
    weft__http_head head;
    size_t need; /* length of the whole request, once its head is whole */
    size_t discarded;
    int fd;
    phase phase;
    bool local;   /* the peer is on this machine */
    bool eof;     /* the peer sends no more */
    bool closing; /* when out is written */
} http_conn;

struct weft__http_server {
    weft_loop *loop;
    weft__http_handler handler;
    void *user;
    weft__http_limits limits;
    weft__http_server_conf conf;
    evhtp_t *evhtp;
    struct bufferevent *vessel;
    bufferevent_data_cb feed; /* libevhtp's read callback */
    http_conn *conns;
    http_conn *current; /* whose request libevhtp has */
    size_t count;
    weft__deferred destroy;
    bool closed; /* inside a handler: destroy waits */
    bool evhtp_freed;
    char body[REPLY_BYTES];
};

static const char loop_name[] = "http server";

static void server_destroy(void *arg);
static void on_turn(void *arg);

/* ---------------------------------------------------------- libevhtp (S2, S3)
 */

/* Runs first in evhtp_connection_free: the vessel is not its to free. */
static evhtp_res on_evhtp_fini(evhtp_connection_t *h, void *arg)
{
    weft__http_server *s = arg;

    h->bev = NULL;
    s->evhtp_freed = true;
    return EVHTP_RES_OK;
}

/* libevhtp frees with free(), so this is not weft_malloc()'s. */
static evhtp_connection_t *evhtp_conn_new(weft__http_server *s)
{
    evhtp_connection_t *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->evbase = s->evhtp->evbase;
    h->htp = s->evhtp;
    h->type = evhtp_type_server;
    h->flags = EVHTP_CONN_FLAG_OWNER;
    h->sock = -1;
    h->hooks = calloc(1, sizeof(*h->hooks));
    h->parser = htparser_new();
    h->scratch_buf = evbuffer_new();
    if (h->hooks == NULL || h->parser == NULL || h->scratch_buf == NULL) {
        evhtp_connection_free(h);
        return NULL;
    }
    h->hooks->on_connection_fini = on_evhtp_fini;
    h->hooks->on_connection_fini_arg = s;
    h->bev = s->vessel;
    htparser_init(h->parser, htp_type_request);
    htparser_set_userdata(h->parser, h);
    return h;
}

/* Feeds one whole request; the reply is in the vessel's output.  false:
 * libevhtp did not take it. */
static bool evhtp_run(weft__http_server *s, const char *data, size_t len)
{
    struct evbuffer *input = bufferevent_get_input(s->vessel);
    evhtp_connection_t *h = evhtp_conn_new(s);
    bool replied = false;

    if (h == NULL)
        return false;
    evbuffer_unfreeze(input, 0);
    s->evhtp_freed = evbuffer_add(input, data, len) != 0;
    if (s->evhtp_freed) {
        evhtp_connection_free(h);
    } else {
        s->feed(s->vessel, h);
        if (!s->evhtp_freed) {
            replied = h->request != NULL &&
                      (h->request->flags & EVHTP_REQ_FLAG_FINISHED) != 0;
            evhtp_connection_free(h);
        }
    }
    evbuffer_drain(input, evbuffer_get_length(input));
    evbuffer_freeze(input, 0);
    return replied;
}

static void add_header(evhtp_request_t *req, const char *key, const char *value)
{
    evhtp_headers_add_header(req->headers_out,
                             evhtp_header_new(key, value, 0, 1));
}

static int find_answer(weft__http_server *s, const http_conn *c,
                       evhtp_request_t *req)
{
    char path[WEFT__HTTP_LINE_BYTES + 1];
    int code = 200;

    s->body[0] = '\0';
    if (req->uri == NULL || req->uri->path == NULL ||
        strlen(req->uri->path->full) >= sizeof(path) ||
        !weft__http_decode_path(req->uri->path->full, path))
        return 400;
    if (!c->local && !s->conf.public_paths && strcmp(path, "/health") != 0 &&
        strcmp(path, "/livez") != 0)
        return 403;
    if (!s->handler(path, &code, s->body, sizeof(s->body), s->user))
        return 404;
    s->body[sizeof(s->body) - 1] = '\0';
    return code;
}

/* libevhtp's callback for every path. */
static void on_request(evhtp_request_t *req, void *arg)
{
    weft__http_server *s = arg;
    http_conn *c = s->current;
    char digits[24];
    int code = find_answer(s, c, req);
    size_t len;

    if (s->body[0] == '\0' && code >= 400)
        snprintf(s->body, sizeof(s->body), "%s\n", weft__http_reason(code));
    if (code == 400)
        c->head.keep_alive = false;
    len = strlen(s->body);
    snprintf(digits, sizeof(digits), "%zu", len);
    add_header(req, "Content-Type", "text/plain; charset=utf-8");
    add_header(req, "Cache-Control", "no-store");
    add_header(req, "Content-Length", digits);
    if (!c->head.head)
        evbuffer_add(req->buffer_out, s->body, len);
    /* evhtp_request_set_keepalive() can only switch it on. */
    if (c->head.keep_alive)
        req->flags |= EVHTP_REQ_FLAG_KEEPALIVE;
    else
        req->flags &= (uint16_t)~EVHTP_REQ_FLAG_KEEPALIVE;
    evhtp_send_reply(req, (evhtp_res)code);
}

static evhtp_res on_harvest(evhtp_connection_t *h, void *arg)
{
    bufferevent_getcb(h->bev, arg, NULL, NULL, NULL);
    return EVHTP_RES_ERROR; /* it has served */
}

/* An unnamed listener: the kernel picks a free abstract address. */
static int unnamed_listener(struct sockaddr_un *sun, socklen_t *len)
{
    int fd = weft__sys_socket(AF_UNIX, SOCK_STREAM);

    *sun = (struct sockaddr_un){.sun_family = AF_UNIX};
    *len = sizeof(*sun);
    if (fd >= 0 &&
        (bind(fd, (struct sockaddr *)sun, sizeof(sa_family_t)) != 0 ||
         listen(fd, 1) != 0 ||
         getsockname(fd, (struct sockaddr *)sun, len) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* S3: all of it happens in this call; a unix socket connects at once. */
static bufferevent_data_cb harvest(void)
{
    struct event_base *base = event_base_new();
    evhtp_t *evhtp = base != NULL ? evhtp_new(base, NULL) : NULL;
    bufferevent_data_cb feed = NULL;
    struct sockaddr_un sun;
    socklen_t len;
    int listener = -1, fd = -1;

    if (evhtp == NULL || (listener = unnamed_listener(&sun, &len)) < 0)
        goto done;
    evhtp_set_post_accept_cb(evhtp, on_harvest, &feed);
    if (evhtp_accept_socket(evhtp, listener, 1) != 0)
        goto done;
    listener = -1; /* libevhtp's */
    if ((fd = weft__sys_socket(AF_UNIX, SOCK_STREAM)) >= 0 &&
        connect(fd, (struct sockaddr *)&sun, len) == 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
done:
    if (fd >= 0)
        close(fd);
    if (listener >= 0)
        close(listener);
    if (evhtp != NULL) {
        evhtp_unbind_socket(evhtp);
        evhtp_free(evhtp);
    }
    if (base != NULL)
        event_base_free(base);
    return feed;
}

/* ------------------------------------------------------------------ the end */

static void reap(void *arg)
{
    http_conn *c = arg;
    void (*on_gone)(void *user) = c->on_gone;
    void *user = c->user;

    *c->pprev = c->next;
    if (c->next != NULL)
        c->next->pprev = c->pprev;
    if (c->out != NULL)
        evbuffer_free(c->out);
    weft_free(c->in);
    weft_free(c);
    if (on_gone != NULL)
        on_gone(user);
}

/* c is not to be touched after it, but may be. */
static void conn_end(http_conn *c)
{
    if (c->phase == GONE)
        return;
    c->phase = GONE;
    c->server->count--;
    weft_timer_stop(&c->timer);
    event_del(&c->readable);
    event_del(&c->writable);
    close(c->fd);
    if (weft__task_queued(&c->turn.task))
        weft__loop_undefer(c->loop, &c->turn);
    weft__loop_defer(c->loop, &c->reap, reap, c);
}

static void conn_linger(http_conn *c)
{
    if (c->eof) {
        conn_end(c);
        return;
    }
    shutdown(c->fd, SHUT_WR);
    c->phase = LINGERING;
    c->have = 0;
    weft_timer_start(&c->timer, LINGER_MS);
    event_add(&c->readable, NULL);
}

/* ------------------------------------------------------------------ output */

/* Our own replies; nothing follows on this connection. */
static void refuse(http_conn *c, int code)
{
    const char *reason = weft__http_reason(code);

    if (evbuffer_add_printf(c->out,
                            "HTTP/1.1 %d %s\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: %zu\r\n%sConnection: close\r\n\r\n"
                            "%s%s",
                            code, reason, strlen(reason) + 1,
                            code == 405 ? "Allow: GET, HEAD\r\n" : "",
                            c->head.head ? "" : reason,
                            c->head.head ? "" : "\n") < 0)
        conn_end(c);
    c->closing = true;
    c->have = 0;
}

/* Writes what can be written; false: the peer has gone. */
static bool flush(http_conn *c)
{
    struct evbuffer_iovec iov[16];
    ssize_t sent;
    int n;

    while (evbuffer_get_length(c->out) > 0) {
        n = evbuffer_peek(c->out, -1, NULL, iov, 16);
        sent = weft__sys_writev(c->fd, iov, n < 16 ? n : 16);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        evbuffer_drain(c->out, (size_t)sent);
    }
    return true;
}

/* ---------------------------------------------------------------- requests */

static void answer(http_conn *c)
{
    weft__http_server *s = c->server;
    struct evbuffer *output = bufferevent_get_output(s->vessel);
    bool replied;

    s->current = c;
    replied = evhtp_run(s, c->in, c->need);
    s->current = NULL;
    evbuffer_unfreeze(output, 1);
    if (replied && evbuffer_add_buffer(c->out, output) == 0) {
        c->have -= c->need;
        memmove(c->in, c->in + c->need, c->have);
        c->closing = !c->head.keep_alive;
    } else {
        evbuffer_drain(output, evbuffer_get_length(output));
        refuse(c, 400);
    }
    evbuffer_freeze(output, 1);
    c->need = 0;
    c->scan = (weft__http_scan){0};
    c->head = (weft__http_head){0};
}

/* Clients may send an empty line before a request (RFC 9112 2.2). */
static void skip_empty_line(http_conn *c)
{
    if (c->scan.at == 0 && c->have >= 2 && memcmp(c->in, "\r\n", 2) == 0) {
        c->have -= 2;
        memmove(c->in, c->in + 2, c->have);
    }
}

/* True when a whole request stands at the head of in. */
static bool request_is_whole(http_conn *c)
{
    const weft__http_limits *limits = &c->server->limits;
    size_t head_len = 0;
    int why;

    if (c->need == 0) {
        skip_empty_line(c);
        if (c->have == 0 || (c->have == 1 && c->in[0] == '\r'))
            return false;
        why = weft__http_scan_head(&c->scan, c->in, c->have, limits, &head_len);
        if (why == 0 && head_len == 0)
            return false;
        if (why == 0)
            why = weft__http_check_head(c->in, head_len, limits, &c->head);
        if (why != 0) {
            refuse(c, why);
            return false;
        }
        c->need = head_len + c->head.body_bytes;
        if (c->head.expect_continue && c->have < c->need)
            evbuffer_add_printf(c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return c->have >= c->need;
}

/* Sets what c waits for, and for how long. */
static void conn_wait(http_conn *c)
{
    const weft__http_server_conf *conf = &c->server->conf;
    bool unsent = evbuffer_get_length(c->out) > 0;
    phase now = unsent ? WRITING : c->have > 0 ? RECEIVING : IDLE;
    uint32_t ms = now == IDLE ? conf->idle_ms : conf->request_ms;

    if (unsent)
        event_add(&c->writable, NULL);
    if (c->eof || c->closing || weft__task_queued(&c->turn.task) ||
        evbuffer_get_length(c->out) > MAX_OUT_BYTES)
        event_del(&c->readable);
    else
        event_add(&c->readable, NULL);
    if (c->phase == now && weft_timer_armed(&c->timer))
        return;
    c->phase = now;
    if (ms == WEFT_OFF)
        weft_timer_stop(&c->timer);
    else
        weft_timer_start(&c->timer, ms);
    if (c->have == 0) { /* an idle connection holds no buffer */
        weft_free(c->in);
        c->in = NULL;
        c->capacity = 0;
    }
}

/* Answers what has come, writes, and says what to wait for. */
static void conn_turn(http_conn *c)
{
    weft__http_server *s = c->server;
    int answered = 0;

    if (s->closed)
        return;
    while (!c->closing && c->phase != GONE && answered < REQUESTS_PER_TURN &&
           evbuffer_get_length(c->out) <= MAX_OUT_BYTES &&
           request_is_whole(c)) {
        answered++;
        weft_timer_stop(&c->timer); /* the next has its own time */
        answer(c);
        if (s->closed)
            return; /* by the handler: s goes, and c with it */
    }
    if (c->phase == GONE)
        return;
    if (!flush(c)) {
        conn_end(c);
        return;
    }
    if (answered == REQUESTS_PER_TURN && !c->closing)
        weft__loop_defer(c->loop, &c->turn, on_turn, c);
    else if (c->eof && evbuffer_get_length(c->out) <= MAX_OUT_BYTES)
        c->closing = true;
    if (c->closing && evbuffer_get_length(c->out) == 0) {
        conn_linger(c);
        return;
    }
    conn_wait(c);
}

static void on_turn(void *arg)
{
    conn_turn(arg);
}

/* ------------------------------------------------------------------ events */

static bool take_input(http_conn *c, const void *data, size_t n)
{
    size_t capacity = c->capacity != 0 ? c->capacity : 1024;
    char *in;

    while (capacity < c->have + n)
        capacity *= 2;
    if (capacity > c->capacity) {
        if ((in = weft_realloc(c->in, capacity)) == NULL)
            return false;
        c->in = in;
        c->capacity = capacity;
    }
    memcpy(c->in + c->have, data, n);
    c->have += n;
    return true;
}

static void discard(http_conn *c, ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && (c->discarded += (size_t)n) < LINGER_BYTES)
        return;
    conn_end(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    http_conn *c = arg;
    weft_loop *loop = c->loop;
    uint8_t *buffer;
    ssize_t n;

    (void)what;
    weft__loop_enter(loop, loop_name);
    if ((buffer = weft__loop_read_buffer(loop)) == NULL) {
        conn_end(c);
        weft__loop_leave(loop);
        return;
    }
    n = recv(fd, buffer, READ_BYTES, MSG_DONTWAIT);
    if (c->phase == LINGERING) {
        discard(c, n);
    } else if (n > 0) {
        if (take_input(c, buffer, (size_t)n))
            conn_turn(c);
        else
            conn_end(c);
    } else if (n == 0) {
        c->eof = true;
        conn_turn(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_end(c);
    }
    weft__loop_leave(loop);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    http_conn *c = arg;
    weft_loop *loop = c->loop;

    (void)fd, (void)what;
    weft__loop_enter(loop, loop_name);
    conn_turn(c);
    weft__loop_leave(loop);
}

static void on_timer(weft_timer *timer, void *arg)
{
    http_conn *c = arg;

    (void)timer;
    if (c->phase != RECEIVING) {
        conn_end(c);
        return;
    }
    refuse(c, 408);
    conn_turn(c);
}

/* ------------------------------------------------------------------ server */

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value != 0 ? value : standard;
}

weft_status weft__http_server_new(weft__http_server **out, weft_loop *loop,
                                  const weft__http_server_conf *conf,
                                  weft__http_handler handler, void *user)
{
    struct event_base *base = weft_loop_base(loop);
    weft__http_server *s = weft_calloc(1, sizeof(*s));

    if (s == NULL)
        return WEFT_ENOMEM;
    s->loop = loop;
    s->handler = handler;
    s->user = user;
    s->conf = *conf;
    s->conf.max_connections = or_default(conf->max_connections, 256);
    s->conf.request_ms = or_default(conf->request_ms, 10000);
    s->conf.idle_ms = or_default(conf->idle_ms, 60000);
    s->limits.max_header_bytes = or_default(conf->max_header_bytes, 16384);
    s->limits.max_headers = or_default(conf->max_headers, 64);
    s->limits.max_body_bytes = or_default(conf->max_body_bytes, 65536);
    s->feed = harvest();
    s->vessel = bufferevent_socket_new(base, -1, 0);
    s->evhtp = evhtp_new(base, NULL);
    if (s->feed == NULL || s->vessel == NULL || s->evhtp == NULL) {
        server_destroy(s);
        return WEFT_ENOMEM;
    }
    bufferevent_disable(s->vessel, EV_READ | EV_WRITE);
    evhtp_disable_flag(s->evhtp, EVHTP_FLAG_ENABLE_100_CONT);
    evhtp_set_parser_flags(s->evhtp, EVHTP_PARSE_QUERY_FLAG_LENIENT);
    evhtp_set_gencb(s->evhtp, on_request, s);
    *out = s;
    return WEFT_OK;
}

void weft__http_server_adopt(weft__http_server *s, int fd,
                             const weft_address *peer, const void *first,
                             size_t first_len, void (*on_gone)(void *user),
                             void *user)
{
    struct event_base *base = weft_loop_base(s->loop);
    http_conn *c = weft_calloc(1, sizeof(*c));

    if (c == NULL) { /* nothing is left to wait with */
        close(fd);
        if (on_gone != NULL)
            on_gone(user);
        return;
    }
    weft__loop_touch(s->loop);
    c->server = s;
    c->loop = s->loop;
    c->fd = fd;
    c->on_gone = on_gone;
    c->user = user;
    c->local = peer != NULL && (peer->kind != WEFT_ADDRESS_TCP ||
                                weft_address_is_loopback(peer));
    c->next = s->conns;
    c->pprev = &s->conns;
    if (c->next != NULL)
        c->next->pprev = &c->next;
    s->conns = c;
    weft_timer_init(&c->timer, s->loop, on_timer, c);
    c->timer.name = loop_name;
    event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, base, fd, EV_WRITE, on_writable, c);
    s->count++;
    if (s->count > s->conf.max_connections ||
        (c->out = evbuffer_new()) == NULL || !take_input(c, first, first_len)) {
        conn_end(c);
        return;
    }
    weft__loop_defer(s->loop, &c->turn, on_turn, c);
}

size_t weft__http_server_count(const weft__http_server *s)
{
    return s->count;
}

static void server_destroy(void *arg)
{
    weft__http_server *s = arg;
    http_conn *c;

    while ((c = s->conns) != NULL) {
        conn_end(c);
        weft__loop_undefer(s->loop, &c->reap);
        reap(c);
    }
    if (s->evhtp != NULL)
        evhtp_free(s->evhtp);
    if (s->vessel != NULL)
        bufferevent_free(s->vessel);
    weft_free(s);
}

void weft__http_server_close(weft__http_server *s)
{
    if (s == NULL || s->closed)
        return;
    s->closed = true;
    if (s->current != NULL)
        weft__loop_defer(s->loop, &s->destroy, server_destroy, s);
    else
        server_destroy(s);
}
