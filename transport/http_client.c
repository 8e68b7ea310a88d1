/* http_client.c - requests to one origin, over evhttp; the one file that sees
 * it.
 *
 * evhttp is sound at HTTP and careless about lifetimes, so it is kept at arm's
 * length:
 *
 *  H1. It calls back on its own stack, where its connection cannot always be
 *      freed. Our callbacks only settle the request (note how it ended); what
 *      follows, the user's callback included, runs deferred or from our timer.
 *
 *  H2. Every evhttp_request is owned by us (evhttp_request_own), so that none
 *      of evhttp's paths frees it.
 *
 *  H3. A connection is used again only after a whole answer with a length,
 *      with nothing behind it.  After anything else it is freed: leftover
 *      bytes would be taken for the next answer.
 *
 *  H4. Time is ours: evhttp's timeouts are libevent timeouts on I/O events,
 *      which lose data that comes together with them, so they are pushed far
 *      away.
 *
 *  H5. The body's cap is ours: evhttp tells a chunk over its cap and a chunk
 *      that is no chunk by one and the same error.
 *
 * Chunk extensions ("5;x=y") are refused by evhttp (INVALID), trailers are read
 * and dropped.  "100 Continue" is skipped, every other 1xx is INVALID. */
#include "tls_internal.h"
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weft/http_client.h>
#include <weft/mem.h>
#include <weft/timer.h>

#define MAX_IDLE 4        /* connections kept without a request */
#define MAX_IDLE_MS 30000 /* an older one may be dead without our knowing */
#define MAX_INTERIM 4     /* "100 Continue" before one answer */
#define READ_SLACK 65536  /* framing and one read beyond the body's cap */
#define NEVER_SECONDS 31536000 /* H4 */

typedef struct http_conn {
    weft__http_client *client;
    struct evhttp_connection *evcon;
    weft__http_request *request; /* in flight, or NULL: idle */
    uint64_t idle_since_ms;
    bool used;   /* has carried an answer */
    bool broken; /* evhttp has closed it */
} http_conn;

struct weft__http_request {
    weft__http_request *next, **pprev; /* among its client's */
    weft__http_client *client;
    http_conn *conn;
    struct evhttp_request *evreq;
    weft_timer timer;
    weft__deferred deferred;
    weft__http_cb cb;
    void *user;
    uint64_t connect_due_ms, due_ms;
    size_t body_len, bytes_in;
    const uint8_t *body;
    enum evhttp_cmd_type method;
    weft__http_error error;
    unsigned interim;
    bool fresh;     /* first on its connection */
    bool retried;   /* a stale connection has been forgiven */
    bool connected; /* evhttp has begun to write the request */
    bool settled;   /* error says how it ended */
    bool calling;   /* cb is running */
    bool framed;    /* the answer says where it ends */
    bool keep;      /* and that more may follow */
    char path[];    /* then the body */
};

struct weft__http_client {
    weft_loop *loop;
    weft__tls_context *tls;
    weft__http_request *requests;
    http_conn *idle[MAX_IDLE];
    size_t idle_count;
    weft__deferred sweep; /* of idle connections that broke */
    char *token;
    uint32_t connect_ms;
    size_t max_body_bytes, max_header_bytes, flat_body_bytes;
    uint16_t port;
    char address[INET6_ADDRSTRLEN];
    char host_header[INET6_ADDRSTRLEN + 10];
};

static const char loop_name[] = "http client";

static void finish(void *arg);

const char *weft__http_error_text(weft__http_error error)
{
    switch (error) {
    case WEFT__HTTP_OK:
        return "answered";
    case WEFT__HTTP_CONNECT:
        return "no connection";
    case WEFT__HTTP_EOF:
        return "closed before an answer";
    case WEFT__HTTP_CUT:
        return "answer cut off";
    case WEFT__HTTP_DEADLINE:
        return "deadline passed";
    case WEFT__HTTP_TOO_BIG:
        return "answer too big";
    case WEFT__HTTP_INVALID:
        return "answer is not HTTP";
    case WEFT__HTTP_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}

const char *weft__http_header(const weft__http_answer *answer, const char *name)
{
    return answer->headers == NULL ? NULL
                                   : evhttp_find_header(answer->headers, name);
}

/* libevent and OpenSSL write without MSG_NOSIGNAL.  SIGPIPE goes to the thread
 * that wrote, so it is enough, and disturbs nobody else's handling of signals,
 * that the loop's thread does not take it. */
static void mask_sigpipe(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* ------------------------------------------------------ how requests end */

static void settle(weft__http_request *r, weft__http_error error)
{
    weft_loop *loop = r->client->loop;

    if (r->settled)
        return;
    r->settled = true;
    r->error = error;
    weft_timer_stop(&r->timer);
    weft__loop_enter(loop, loop_name);
    weft__loop_defer(loop, &r->deferred, finish, r);
    weft__loop_leave(loop);
}

static weft__http_error broken_off(const weft__http_request *r)
{
    if (!r->connected)
        return WEFT__HTTP_CONNECT;
    return r->bytes_in == 0 ? WEFT__HTTP_EOF : WEFT__HTTP_CUT;
}

static void on_error(enum evhttp_request_error error, void *arg)
{
    weft__http_request *r = arg;

    switch (error) {
    case EVREQ_HTTP_INVALID_HEADER: /* also: more of them than the cap */
        settle(r, r->bytes_in > r->client->max_header_bytes
                      ? WEFT__HTTP_TOO_BIG
                      : WEFT__HTTP_INVALID);
        break;
    case EVREQ_HTTP_DATA_TOO_LONG: /* not a chunk (H5) */
        settle(r, WEFT__HTTP_INVALID);
        break;
    case EVREQ_HTTP_TIMEOUT:
    case EVREQ_HTTP_EOF:
    case EVREQ_HTTP_BUFFER_ERROR:
    case EVREQ_HTTP_REQUEST_CANCEL:
    default:
        settle(r, broken_off(r));
    }
}

/* evreq NULL: on_error has run.  Code 0: it never was connected. */
static void on_done(struct evhttp_request *evreq, void *arg)
{
    weft__http_request *r = arg;
    struct bufferevent *bev;

    if (r->settled)
        return;
    if (evreq == NULL || evhttp_request_get_response_code(evreq) == 0) {
        settle(r, broken_off(r));
        return;
    }
    bev = evhttp_connection_get_bufferevent(r->conn->evcon);
    if (evbuffer_get_length(bufferevent_get_input(bev)) != 0)
        r->keep = false; /* H3 */
    settle(r, WEFT__HTTP_OK);
}

/* evhttp takes the first of several. */
static bool lengths_differ(const struct evkeyvalq *headers, const char *length)
{
    const struct evkeyval *h;

    for (h = headers->tqh_first; h != NULL; h = h->next.tqe_next)
        if (strcasecmp(h->key, "Content-Length") == 0 &&
            strcmp(h->value, length) != 0)
            return true;
    return false;
}

/* Runs for each "100 Continue" too.  -1 ends it. */
static int on_headers(struct evhttp_request *evreq, void *arg)
{
    weft__http_request *r = arg;
    struct evkeyvalq *headers = evhttp_request_get_input_headers(evreq);
    const char *length = evhttp_find_header(headers, "Content-Length");
    const char *connection = evhttp_find_header(headers, "Connection");
    int code = evhttp_request_get_response_code(evreq);
    long long announced;

    if (code == 100 && r->interim++ < MAX_INTERIM) {
        evhttp_clear_headers(headers); /* else they would join the answer's */
        return 0;
    }
    if (code < 200 || code > 999 ||
        (length != NULL && lengths_differ(headers, length)) ||
        (evhttp_find_header(headers, "Transfer-Encoding") != NULL &&
         !evreq->chunked)) {
        settle(r, WEFT__HTTP_INVALID);
        return -1;
    }
    announced = length != NULL ? strtoll(length, NULL, 10) : 0;
    if (!evreq->chunked && announced > 0 && /* evhttp looks at the rest of it */
        (uint64_t)announced > r->client->max_body_bytes) {
        settle(r, WEFT__HTTP_TOO_BIG);
        return -1;
    }
    r->framed = evreq->chunked || length != NULL || code == 204 || code == 304;
    r->keep = r->framed && evreq->major == 1 && evreq->minor >= 1 &&
              (connection == NULL || strcasecmp(connection, "close") != 0);
    /* Without a length the body lasts until the end of the connection.  evhttp
     * thinks that it is empty if there is a Connection header. */
    if (!r->framed && connection != NULL)
        evhttp_remove_header(headers, "Connection");
    return 0;
}

/* ----------------------------------------------------------- connections */

static void on_input(struct evbuffer *input,
                     const struct evbuffer_cb_info *info, void *arg)
{
    weft__http_request *r = ((http_conn *)arg)->request;
    size_t held;

    (void)input;
    if (r == NULL || r->settled || info->n_added == 0)
        return;
    r->bytes_in += info->n_added;
    held = info->orig_size + info->n_added - info->n_deleted +
           evbuffer_get_length(evhttp_request_get_input_buffer(r->evreq));
    if (held >
        r->client->max_body_bytes + r->client->max_header_bytes + READ_SLACK)
        settle(r, WEFT__HTTP_TOO_BIG);
}

/* evhttp writes the request when it is connected, over TLS after the handshake:
 * from here on only the total deadline counts. */
static void on_output(struct evbuffer *output,
                      const struct evbuffer_cb_info *info, void *arg)
{
    weft__http_request *r = ((http_conn *)arg)->request;

    (void)output;
    if (r == NULL || r->connected || r->settled || info->n_added == 0)
        return;
    r->connected = true;
    weft_timer_start_at(&r->timer, r->due_ms);
}

static void conn_free(http_conn *c)
{
    struct bufferevent *bev;

    if (c == NULL)
        return;
    if (c->evcon != NULL) {
        bev = evhttp_connection_get_bufferevent(c->evcon);
        evbuffer_remove_cb(bufferevent_get_input(bev), on_input, c);
        evbuffer_remove_cb(bufferevent_get_output(bev), on_output, c);
        evhttp_connection_set_closecb(c->evcon, NULL, NULL);
        evhttp_connection_free(c->evcon);
    }
    weft_free(c);
}

static void sweep_idle(void *arg)
{
    weft__http_client *client = arg;
    size_t kept = 0;

    for (size_t i = 0; i < client->idle_count; i++) {
        if (client->idle[i]->broken)
            conn_free(client->idle[i]);
        else
            client->idle[kept++] = client->idle[i];
    }
    client->idle_count = kept;
}

/* The peer has closed, or sent what nobody asked for. */
static void on_conn_closed(struct evhttp_connection *evcon, void *arg)
{
    http_conn *c = arg;
    weft__http_client *client = c->client;

    (void)evcon;
    c->broken = true;
    if (c->request != NULL)
        return;
    weft__loop_enter(client->loop, loop_name);
    weft__loop_defer(client->loop, &client->sweep, sweep_idle, client);
    weft__loop_leave(client->loop);
}

static http_conn *conn_new(weft__http_client *client)
{
    struct event_base *base = weft_loop_base(client->loop);
    const struct timeval never = {.tv_sec = NEVER_SECONDS};
    struct bufferevent *bev = NULL;
    http_conn *c = weft_calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->client = client;
    bev = client->tls != NULL ? weft__tls_bufferevent(client->tls, base)
                              : bufferevent_socket_new(base, -1, 0);
    if (bev == NULL)
        goto fail;
    c->evcon = evhttp_connection_base_bufferevent_new(
        base, NULL, bev, client->address, client->port);
    if (c->evcon == NULL) {
        bufferevent_free(bev);
        goto fail;
    }
    if (evbuffer_add_cb(bufferevent_get_input(bev), on_input, c) == NULL ||
        evbuffer_add_cb(bufferevent_get_output(bev), on_output, c) == NULL)
        goto fail;
    evhttp_connection_set_timeout_tv(c->evcon, &never);
    evhttp_connection_set_max_headers_size(
        c->evcon, (ev_ssize_t)client->max_header_bytes);
    evhttp_connection_set_closecb(c->evcon, on_conn_closed, c);
    return c;

fail:
    conn_free(c);
    return NULL;
}

/* The youngest idle connection, if any is young enough. */
static http_conn *conn_take_idle(weft__http_client *client)
{
    uint64_t now_ms = weft_loop_now_ms(client->loop);
    http_conn *c;

    while (client->idle_count > 0) {
        c = client->idle[--client->idle_count];
        if (!c->broken && now_ms - c->idle_since_ms <= MAX_IDLE_MS)
            return c;
        conn_free(c);
    }
    return NULL;
}

static void conn_release(http_conn *c, bool keep)
{
    weft__http_client *client = c->client;

    c->request = NULL;
    c->used = true;
    if (!keep || c->broken || client->idle_count == MAX_IDLE) {
        conn_free(c);
        return;
    }
    c->idle_since_ms = weft_loop_now_ms(client->loop);
    client->idle[client->idle_count++] = c;
}

/* -------------------------------------------------------------- requests */

static struct evhttp_request *make_evreq(weft__http_request *r)
{
    const weft__http_client *client = r->client;
    struct evhttp_request *evreq = evhttp_request_new(on_done, r);
    struct evkeyvalq *headers;

    if (evreq == NULL)
        return NULL;
    evhttp_request_own(evreq); /* H2 */
    evhttp_request_set_error_cb(evreq, on_error);
    evhttp_request_set_header_cb(evreq, on_headers);
    headers = evhttp_request_get_output_headers(evreq);
    if (evhttp_add_header(headers, "Host", client->host_header) != 0 ||
        (client->token != NULL &&
         evhttp_add_header(headers, "X-Consul-Token", client->token) != 0) ||
        (r->body_len > 0 &&
         evbuffer_add(evhttp_request_get_output_buffer(evreq), r->body,
                      r->body_len) != 0)) {
        evhttp_request_free(evreq);
        return NULL;
    }
    return evreq;
}

static void on_deadline(weft_timer *timer, void *arg)
{
    weft__http_request *r = arg;

    (void)timer;
    r->settled = true;
    r->error = !r->connected && weft_loop_now_ms(r->client->loop) < r->due_ms
                   ? WEFT__HTTP_CONNECT
                   : WEFT__HTTP_DEADLINE;
    finish(r);
}

/* Begins r on a connection: an idle one if reuse allows. */
static weft_status begin(weft__http_request *r, bool reuse)
{
    weft__http_client *client = r->client;
    http_conn *c = reuse ? conn_take_idle(client) : NULL;
    evutil_socket_t fd;

    if (c == NULL && (c = conn_new(client)) == NULL)
        return WEFT_ENOMEM;
    if ((r->evreq = make_evreq(r)) == NULL) {
        conn_release(c, c->used);
        return WEFT_ENOMEM;
    }
    r->conn = c;
    c->request = r;
    r->fresh = !c->used;
    r->settled = r->connected = r->framed = r->keep = false;
    r->bytes_in = 0;
    r->interim = 0;
    r->connect_due_ms = weft_loop_now_ms(client->loop) + client->connect_ms;
    weft_timer_start_at(&r->timer, r->connect_due_ms < r->due_ms
                                       ? r->connect_due_ms
                                       : r->due_ms);
    if (evhttp_make_request(c->evcon, r->evreq, r->method, r->path) != 0) {
        weft_timer_stop(&r->timer);
        r->conn = NULL;
        conn_release(c, false);
        evhttp_request_free(r->evreq);
        r->evreq = NULL;
        return WEFT_ENOMEM;
    }
    fd = bufferevent_getfd(evhttp_connection_get_bufferevent(c->evcon));
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return WEFT_OK;
}

static void unlink_request(weft__http_request *r)
{
    *r->pprev = r->next;
    if (r->next != NULL)
        r->next->pprev = r->pprev;
}

/* Lets go of everything but r itself. */
static void drop_attempt(weft__http_request *r, bool keep_conn)
{
    weft_timer_stop(&r->timer);
    if (r->conn != NULL)
        conn_release(r->conn, keep_conn);
    r->conn = NULL;
    if (r->evreq != NULL)
        evhttp_request_free(r->evreq);
    r->evreq = NULL;
}

static weft__http_answer make_answer(weft__http_request *r)
{
    weft__http_answer a = {.fresh = r->fresh};
    struct evbuffer *body;
    bool flat;

    if (r->error == WEFT__HTTP_OK) {
        body = evhttp_request_get_input_buffer(r->evreq);
        a.body_len = evbuffer_get_length(body);
        flat = r->client->flat_body_bytes == 0 ||
               a.body_len <= r->client->flat_body_bytes;
        if (a.body_len > 0 && flat)
            a.body = evbuffer_pullup(body, -1);
        a.parts = body;
        /* Out of memory is a cap, too. */
        if (a.body_len > r->client->max_body_bytes ||
            (a.body_len > 0 && flat && a.body == NULL)) {
            a.parts = NULL;
            r->error = WEFT__HTTP_TOO_BIG;
            a.body_len = 0;
            a.body = NULL;
        }
    }
    a.error = r->error;
    if (a.error == WEFT__HTTP_OK) {
        a.code = evhttp_request_get_response_code(r->evreq);
        a.headers = evhttp_request_get_input_headers(r->evreq);
    }
    return a;
}

/* A body is an evbuffer by another name. */
weft_status weft__http_take_body(const weft__http_answer *answer,
                                 weft__http_body **out)
{
    struct evbuffer *body = evbuffer_new();

    if (body == NULL)
        return WEFT_ENOMEM;
    if (answer->parts != NULL &&
        evbuffer_add_buffer(body, answer->parts) != 0) {
        evbuffer_free(body);
        return WEFT_ENOMEM;
    }
    *out = (weft__http_body *)body;
    return WEFT_OK;
}

size_t weft__http_body_read(weft__http_body *body, void *out, size_t n)
{
    int got = evbuffer_remove((struct evbuffer *)body, out, n);

    return got > 0 ? (size_t)got : 0;
}

void weft__http_body_free(weft__http_body *body)
{
    if (body != NULL)
        evbuffer_free((struct evbuffer *)body);
}

/* From a fresh stack: retries, or tells the user. */
static void finish(void *arg)
{
    weft__http_request *r = arg;
    struct evhttp_request *evreq;
    weft__http_answer answer;

    /* A kept connection that the peer closed meanwhile: not its answer. */
    if (r->error == WEFT__HTTP_EOF && !r->fresh && !r->retried) {
        r->retried = true;
        drop_attempt(r, false);
        if (begin(r, false) == WEFT_OK)
            return;
        r->error = WEFT__HTTP_EOF;
        r->fresh = false;
    }
    answer = make_answer(r);
    evreq = r->evreq; /* answer points into it */
    r->evreq = NULL;
    drop_attempt(r, answer.error == WEFT__HTTP_OK && r->keep);
    unlink_request(r);
    r->calling = true;
    r->cb(&answer, r->user); /* may close the client */
    if (evreq != NULL)
        evhttp_request_free(evreq);
    weft_free(r);
}

static bool find_method(const char *name, enum evhttp_cmd_type *out)
{
    static const struct {
        const char *name;
        enum evhttp_cmd_type type;
    } methods[] = {{"GET", EVHTTP_REQ_GET},
                   {"PUT", EVHTTP_REQ_PUT},
                   {"POST", EVHTTP_REQ_POST},
                   {"DELETE", EVHTTP_REQ_DELETE}};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(methods[i].name, name) == 0) {
            *out = methods[i].type;
            return true;
        }
    }
    return false;
}

/* Nothing that could end the line, or the header, that it stands in. */
static bool printable(const char *s, unsigned char lowest)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < lowest || *s == 0x7f)
            return false;
    return true;
}

weft_status weft__http_request_send(weft__http_client *client,
                                    const char *method, const char *path,
                                    const void *body, size_t body_len,
                                    uint32_t deadline_ms, weft__http_cb cb,
                                    void *user, weft__http_request **request)
{
    size_t path_size = strlen(path) + 1;
    enum evhttp_cmd_type type;
    weft__http_request *r;
    weft_status status;

    if (path[0] != '/' || !printable(path, '!') || !find_method(method, &type))
        return WEFT_EINVAL;
    mask_sigpipe();
    weft__loop_touch(client->loop);
    if ((r = weft_calloc(1, sizeof(*r) + path_size + body_len)) == NULL)
        return WEFT_ENOMEM;
    r->client = client;
    r->method = type;
    r->cb = cb;
    r->user = user;
    r->due_ms = weft_loop_now_ms(client->loop) + deadline_ms;
    r->body_len = body_len;
    r->body = (const uint8_t *)r->path + path_size;
    memcpy(r->path, path, path_size);
    if (body_len > 0)
        memcpy(r->path + path_size, body, body_len);
    weft_timer_init(&r->timer, client->loop, on_deadline, r);
    r->timer.name = loop_name;
    if ((status = begin(r, true)) != WEFT_OK) {
        weft_free(r);
        return status;
    }
    r->next = client->requests;
    r->pprev = &client->requests;
    if (r->next != NULL)
        r->next->pprev = &r->next;
    client->requests = r;
    if (request != NULL)
        *request = r;
    return WEFT_OK;
}

void weft__http_request_cancel(weft__http_request *request)
{
    if (request == NULL || request->calling)
        return;
    settle(request, WEFT__HTTP_CANCELLED);
    request->error =
        WEFT__HTTP_CANCELLED; /* also if it had just been answered */
}

/* ---------------------------------------------------------------- client */

/* The canonical text of an IP literal. */
static bool parse_host(weft__http_client *c, const char *host)
{
    struct in_addr in4;
    struct in6_addr in6;
    char text[INET6_ADDRSTRLEN];
    size_t n;

    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']' && n - 2 < sizeof(text)) {
        memcpy(text, host + 1, n - 2);
        text[n - 2] = '\0';
        host = text;
    }
    if (inet_pton(AF_INET, host, &in4) == 1) {
        inet_ntop(AF_INET, &in4, c->address, sizeof(c->address));
        snprintf(c->host_header, sizeof(c->host_header), "%s:%u", c->address,
                 c->port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6) != 1)
        return false;
    inet_ntop(AF_INET6, &in6, c->address, sizeof(c->address));
    snprintf(c->host_header, sizeof(c->host_header), "[%s]:%u", c->address,
             c->port);
    return true;
}

weft_status weft__http_client_new(weft__http_client **out, weft_loop *loop,
                                  const weft__http_client_conf *conf,
                                  const char **why)
{
    weft__http_client *c = weft_calloc(1, sizeof(*c));
    weft_status status = WEFT_EINVAL;
    const char *trouble = NULL;

    if (c == NULL)
        return WEFT_ENOMEM;
    c->loop = loop;
    c->port = conf->port;
    c->connect_ms = conf->connect_ms != 0 ? conf->connect_ms : 1000;
    c->max_body_bytes =
        conf->max_body_bytes != 0 ? conf->max_body_bytes : (size_t)32 << 20;
    c->flat_body_bytes = conf->flat_body_bytes;
    c->max_header_bytes =
        conf->max_header_bytes != 0 ? conf->max_header_bytes : 65536;
    if (conf->host == NULL || !parse_host(c, conf->host))
        trouble = "the host is neither an IP literal nor localhost";
    else if (c->port == 0)
        trouble = "the port is missing";
    else if (conf->token != NULL && !printable(conf->token, ' '))
        trouble = "the token has control characters";
    if (trouble != NULL)
        goto fail;
    status = WEFT_ENOMEM;
    if (conf->token != NULL && (c->token = weft_strdup(conf->token)) == NULL)
        goto fail;
    if (conf->tls && (status = weft__tls_context_new(
                          &c->tls, conf->tls_ca_file, conf->tls_cert_file,
                          conf->tls_key_file,
                          conf->tls_server_name != NULL ? conf->tls_server_name
                          : strcmp(conf->host, "localhost") == 0 ? conf->host
                                                                 : c->address,
                          &trouble)) != WEFT_OK)
        goto fail;
    *out = c;
    return WEFT_OK;

fail:
    if (trouble != NULL && why != NULL)
        *why = trouble;
    weft__http_client_close(c);
    return status;
}

void weft__http_client_close(weft__http_client *client)
{
    weft__http_request *r;

    if (client == NULL)
        return;
    while ((r = client->requests) != NULL) {
        unlink_request(r);
        if (weft__task_queued(&r->deferred.task))
            weft__loop_undefer(client->loop, &r->deferred);
        drop_attempt(r, false);
        weft_free(r);
    }
    while (client->idle_count > 0)
        conn_free(client->idle[--client->idle_count]);
    if (weft__task_queued(&client->sweep.task))
        weft__loop_undefer(client->loop, &client->sweep);
    weft__tls_context_free(client->tls);
    weft_free(client->token);
    weft_free(client);
}
