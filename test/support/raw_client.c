#include "raw_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void copy(char *to, size_t size, weft__slice from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;

    if (n > 0)
        memcpy(to, from.data, n);
    to[n] = '\0';
}

static void on_ready(weft__conn *conn, void *user)
{
    (void)conn;
    ((raw_client *)user)->ready = true;
}

static raw_reply *find(raw_client *c, weft__stream_id stream)
{
    unsigned i;

    for (i = 0; i < c->n_replies; i++) {
        if (c->replies[i].stream == stream)
            return &c->replies[i];
    }
    return NULL;
}

/* The wire has forgotten them: nobody will process them. */
static void give_up_above(raw_client *c, const weft__wire_event *event)
{
    unsigned i;

    for (i = 0; i < c->n_replies; i++) {
        raw_reply *r = &c->replies[i];

        if (r->done || r->stream <= event->stream)
            continue;
        r->done = r->reset = r->unprocessed = true;
        r->status = event->status;
        copy(r->message, sizeof(r->message), event->message);
        c->n_done++;
    }
}

static void on_event(weft__conn *conn, const weft__wire_event *event,
                     void *user)
{
    raw_client *c = user;
    raw_reply *r;

    (void)conn;
    if ((event->parts & WEFT__GOAWAY) != 0) {
        c->goaway = true;
        c->goaway_stream = event->stream;
        give_up_above(c, event);
        return;
    }
    if ((event->parts & (WEFT__END | WEFT__RESET)) == 0)
        return;
    r = find(c, event->stream);
    assert_non_null(r);
    assert_false(r->done);
    r->done = true;
    r->reset = (event->parts & WEFT__RESET) != 0;
    r->unprocessed = event->unprocessed;
    r->status = event->status;
    r->raw_code = event->raw_code;
    copy(r->message, sizeof(r->message), event->message);
    copy(r->details, sizeof(r->details), event->details);
    copy(r->content_type, sizeof(r->content_type), event->content_type);
    if (event->n_metadata > 0) {
        copy(r->key, sizeof(r->key), event->metadata[0].key);
        copy(r->value, sizeof(r->value), event->metadata[0].value);
    }
    if ((event->parts & WEFT__MESSAGE) != 0) {
        r->payload_len = event->payload.len;
        r->payload = malloc(event->payload.len + 1);
        assert_non_null(r->payload);
        if (event->payload.len > 0)
            memcpy(r->payload, event->payload.data, event->payload.len);
    }
    c->n_done++;
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    raw_client *c = user;

    (void)conn;
    c->conn = NULL;
    c->closed_status = status;
    snprintf(c->closed_why, sizeof(c->closed_why), "%s", why);
}

static const weft__conn_handler handler = {
    .on_ready = on_ready, .on_event = on_event, .on_closed = on_closed};

bool raw_try_open(raw_client *c, weft_loop *loop, const weft_address *address)
{
    memset(c, 0, sizeof(*c));
    c->conf = (weft__conn_conf){.handler = &handler,
                                .wire = &weft__native_wire,
                                .wire_conf = {.max_frame_bytes = 4194304,
                                              .max_metadata = 128,
                                              .max_metadata_bytes = 16384},
                                .connect_ms = WEFT_OFF,
                                .handshake_ms = WEFT_OFF,
                                .idle_ms = WEFT_OFF,
                                .keepalive_ms = WEFT_OFF,
                                .keepalive_timeout_ms = WEFT_OFF,
                                .stall_ms = WEFT_OFF,
                                .linger_ms = 1000,
                                .max_unsent_bytes = 64u << 20,
                                .frames_per_wakeup = 1000};
    return weft__conn_connect(&c->conn, loop, address, &c->conf, c) == WEFT_OK;
}

void raw_open(raw_client *c, weft_loop *loop, const weft_address *address)
{
    assert_true(raw_try_open(c, loop, address));
}

void raw_abort(raw_client *c)
{
    if (c->conn != NULL)
        weft__conn_abort(c->conn, WEFT_CANCELLED, "the test has ended");
}

void raw_fini(raw_client *c)
{
    unsigned i;

    for (i = 0; i < c->n_replies; i++)
        free(c->replies[i].payload);
    c->n_replies = 0;
}

int raw_call(raw_client *c, const weft__wire_request *request)
{
    raw_reply *r = &c->replies[c->n_replies];

    assert_true(c->n_replies < RAW_REPLIES);
    if (c->conn == NULL ||
        weft__conn_request(c->conn, request, &r->stream) != WEFT_OK)
        return -1;
    return (int)c->n_replies++;
}

int raw_unary(raw_client *c, const char *path, const void *payload, size_t len,
              uint32_t timeout_ms)
{
    return raw_call(
        c, &(weft__wire_request){.path = path,
                                 .path_len = strlen(path),
                                 .timeout_ms = timeout_ms,
                                 .payload = {.data = payload, .len = len}});
}

void raw_reset(raw_client *c, int call)
{
    weft__conn_reset(c->conn, c->replies[call].stream, WEFT_CANCELLED);
}

int plain_connect(const weft_address *address)
{
    int fd = socket(address->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address->u.sa, address->len), 0);
    /* What is sent arrives, without waiting for delayed acknowledgements. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void plain_send(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

long plain_recv(int fd, void *buf, size_t size)
{
    ssize_t n = recv(fd, buf, size, 0);

    if (n < 0 && errno == ECONNRESET)
        return 0;
    return n;
}
