#include "conn_harness.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

enum { TURNS = 20000 };

static void on_ready(weft__conn *conn, void *user)
{
    recorder *r = user;

    r->conn = conn;
    r->ready++;
    if (r->on_ready != NULL)
        r->on_ready(r);
}

static void release_copy(void *copy)
{
    weft_free(copy);
}

static void answer(recorder *r, const weft__wire_event *event)
{
    weft__wire_response response = {
        .payload = {.len = event->payload.len, .data = event->payload.data}};
    void *copy = NULL;

    if (r->answer_bytes > 0) {
        copy = weft_calloc(1, r->answer_bytes);
        assert_non_null(copy);
        response.payload = (weft__payload){.len = r->answer_bytes,
                                           .data = copy,
                                           .release = release_copy,
                                           .arg = copy};
    }
    if (weft__conn_respond(r->conn, event->stream, &response) != WEFT_OK)
        weft_free(copy);
}

static void on_event(weft__conn *conn, const weft__wire_event *event,
                     void *user)
{
    recorder *r = user;

    assert_int_equal(r->closed, 0);
    r->conn = conn;
    r->events++;
    r->last = event->stream;
    if ((event->parts & WEFT__GOAWAY) != 0)
        r->goaways++;
    if ((event->parts & WEFT__MESSAGE) != 0) {
        r->messages++;
        r->bytes += event->payload.len;
        for (size_t i = 0; i < event->payload.len; i++)
            r->sum = r->sum * 31 + event->payload.data[i];
    }
    if (r->take_blocks) {
        size_t bytes;
        void *block = NULL;

        if (event->input->block != NULL &&
            event->input->consumed == event->input->len) {
            block = event->input->block;
            bytes = event->input->block_bytes;
            assert_true(bytes >= event->payload.len);
            event->input->block_taken = true;
            r->blocks++;
        }
        weft_free(block);
    } else if ((event->parts & WEFT__HEADERS) != 0 && r->echo) {
        answer(r, event);
    }
    if (r->on_event != NULL)
        r->on_event(r, event);
}

static void on_unblocked(weft__conn *conn, void *user)
{
    recorder *r = user;

    (void)conn;
    r->unblocked++;
    if (r->on_unblocked != NULL)
        r->on_unblocked(r);
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    recorder *r = user;

    (void)conn;
    r->closed++;
    r->conn = NULL;
    r->status = status;
    snprintf(r->why, sizeof r->why, "%s", why);
}

const weft__conn_handler recorder_handler = {.on_ready = on_ready,
                                             .on_event = on_event,
                                             .on_unblocked = on_unblocked,
                                             .on_closed = on_closed};

int harness_setup(void **state)
{
    harness *h = calloc(1, sizeof *h);
    weft_loop_conf conf = {0};

    if (h == NULL)
        return -1;
    h->clock.ns = 1000000000;
    conf.clock = weft_fake(&h->clock);
    h->server = (weft__conn_conf){
        .handler = &recorder_handler,
        .wire = &toy_wire,
        .wire_conf = {.server = true, .max_frame_bytes = TOY_MAX_FRAME},
        .connect_ms = 1000,
        .handshake_ms = 1000,
        .idle_ms = WEFT_OFF,
        .keepalive_ms = WEFT_OFF,
        .keepalive_timeout_ms = 500,
        .stall_ms = WEFT_OFF,
        .linger_ms = 2000,
        .max_unsent_bytes = 1 << 20,
        .frames_per_wakeup = 256};
    h->client = h->server;
    h->client.wire_conf.server = false;
    *state = h;
    return weft_loop_new(&h->loop, &conf) == WEFT_OK ? 0 : -1;
}

int harness_teardown(void **state)
{
    harness *h = *state;

    weft_loop_free(h->loop);
    free(h);
    return 0;
}

void turn(harness *h)
{
    assert_int_equal(weft_loop_poll(h->loop), WEFT_OK);
}

void turn_until(harness *h, const unsigned *value, unsigned n)
{
    for (int i = 0; i < TURNS && *value < n; i++) {
        turn(h);
        if (i > 100)
            sched_yield(); /* the kernel's side of the loopback */
    }
    assert_true(*value >= n);
}

void settle(harness *h)
{
    for (int i = 0; i < 50; i++)
        turn(h);
}

void later(harness *h, uint32_t ms)
{
    weft_fake_advance(&h->clock, ms);
    settle(h);
}

static int conn_on(harness *h, recorder *r, const weft__conn_conf *conf)
{
    weft_address peer = {.kind = WEFT_ADDRESS_INPROC};
    weft__stream_socket socket;
    weft__conn *conn;
    int fds[2];

    strcpy(peer.u.un.sun_path, "test");
    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__socket_init(&socket, fds[0]);
    assert_int_equal(weft__conn_accept(&conn, h->loop, &socket, &peer, NULL, 0,
                                       conf->wire, conf, r),
                     WEFT_OK);
    r->conn = conn;
    return fds[1];
}

int server_of(harness *h, recorder *r)
{
    return conn_on(h, r, &h->server);
}

int client_of(harness *h, recorder *r)
{
    uint8_t hello[TOY_HEADER];
    int fd = conn_on(h, r, &h->client);

    settle(h);
    assert_int_equal(get_bytes(fd, hello, sizeof hello), sizeof hello);
    put_frame(fd, 'W', 0, 0);
    turn_until(h, &r->ready, 1);
    return fd;
}

/* ---- listeners ---- */

static recorder *recorder_of(service *s)
{
    assert_true(s->n < SERVICE_CONNS);
    s->conns[s->n] = s->like;
    return &s->conns[s->n++];
}

static bool on_native(weft__listener *l, void **conn_user, void *user)
{
    (void)l;
    *conn_user = recorder_of(user);
    return true;
}

static void on_conn(weft__listener *l, weft__conn *conn, void *conn_user,
                    void *user)
{
    recorder *r = conn_user;

    (void)l;
    (void)user;
    r->conn = conn;
    if (conn == NULL)
        r->closed++;
}

static void on_http(weft__listener *l, int fd, const weft_address *peer,
                    const void *first, size_t first_len, void *user)
{
    service *s = user;

    (void)peer;
    assert_true(first_len <= sizeof s->first);
    memcpy(s->first, first, first_len);
    s->first_len = first_len;
    s->http++;
    close(fd);
    weft__listener_conn_gone(l);
}

static const weft__listener_handler service_handler = {
    .on_native = on_native, .on_conn = on_conn, .on_http = on_http};

void service_open(harness *h, service *s, const char *uri)
{
    const char *why = "no reason";
    weft_status status;

    if (s->conf.conn == NULL)
        s->conf = (weft__listener_conf){.conn = &h->server,
                                        .backlog = 64,
                                        .max_connections = 100000,
                                        .accepts_per_wakeup = 16};
    status = weft__listener_open(&s->listener, h->loop, uri, &s->conf,
                                 &service_handler, s, &why);
    if (status != WEFT_OK)
        print_error("%s: %s\n", uri, why);
    assert_int_equal(status, WEFT_OK);
    weft_address_format(weft__listener_address(s->listener), s->uri,
                        sizeof s->uri);
}

void service_close(harness *h, service *s)
{
    weft__listener_close(s->listener);
    for (unsigned i = 0; i < s->n; i++)
        if (s->conns[i].conn != NULL)
            weft__conn_abort(s->conns[i].conn, WEFT_OK, "test over");
    settle(h);
}

void connect_to(harness *h, recorder *r, const char *uri)
{
    weft_address address;

    assert_int_equal(weft_address_parse(&address, uri, NULL), WEFT_OK);
    assert_int_equal(
        weft__conn_connect(&r->conn, h->loop, &address, &h->client, r),
        WEFT_OK);
    assert_int_equal(r->closed, 0);
    for (int i = 0; i < TURNS && r->ready == 0 && r->closed == 0; i++)
        turn(h);
}

int raw_connect(harness *h, const char *uri)
{
    weft__stream_socket socket;
    weft_address address;
    const char *why;
    bool connecting;

    (void)h;
    assert_int_equal(weft_address_parse(&address, uri, NULL), WEFT_OK);
    assert_int_equal(weft__socket_connect(&socket, &address, &connecting, &why),
                     WEFT_OK);
    return socket.fd;
}

/* ---- raw peers ---- */

void put_bytes(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT),
                     (ssize_t)len);
}

void put_frame(int fd, char type, unsigned stream, size_t len)
{
    uint8_t *frame = malloc(TOY_HEADER + len);

    assert_non_null(frame);
    toy_header(frame, type, stream, len);
    for (size_t i = 0; i < len; i++)
        frame[TOY_HEADER + i] = (uint8_t)(i * 7 + stream);
    put_bytes(fd, frame, TOY_HEADER + len);
    free(frame);
}

ssize_t get_bytes(int fd, void *data, size_t size)
{
    ssize_t n = recv(fd, data, size, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return 0;
    return n > 0 ? n : -1;
}

size_t drain(harness *h, int fd, size_t n, bool *end)
{
    static uint8_t sink[1 << 16];
    size_t total = 0;

    *end = false;
    for (int i = 0; i < TURNS && total < n && !*end; i++) {
        size_t left = n - total;
        ssize_t got =
            get_bytes(fd, sink, left < sizeof sink ? left : sizeof sink);

        if (got < 0)
            *end = true;
        else
            total += (size_t)got;
        turn(h);
    }
    return total;
}

weft_status ask(recorder *r, const void *data, size_t len)
{
    weft__wire_request request = {.payload = {.len = len, .data = data}};
    weft__stream_id stream;

    return weft__conn_request(r->conn, &request, &stream);
}

/* ---- a socket that counts ---- */

unsigned reads, writes;

static weft_status count_readv(weft__stream_socket *s, const struct iovec *iov,
                               int count, size_t *n)
{
    reads++;
    return weft__fd_socket.readv(s, iov, count, n);
}

static weft_status count_writev(weft__stream_socket *s, const struct iovec *iov,
                                int count, size_t *n)
{
    writes++;
    return weft__fd_socket.writev(s, iov, count, n);
}

static size_t count_unsent(const weft__stream_socket *s)
{
    return weft__fd_socket.unsent(s);
}

static void count_close(weft__stream_socket *s)
{
    weft__fd_socket.close(s);
}

static void count_shutdown(weft__stream_socket *s)
{
    weft__fd_socket.shutdown_write(s);
}

const weft__stream_socket_ops counting = {.name = "counting",
                                          .readv = count_readv,
                                          .writev = count_writev,
                                          .unsent = count_unsent,
                                          .shutdown_write = count_shutdown,
                                          .close = count_close};
