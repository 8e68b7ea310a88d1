/* fake_consul.c - an agent that says what the test says. */
#include "support.h"
#include "fake_consul.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_conn {
    fake_conn *next, **pprev;
    fake_consul *fake;
    int fd;
    struct event *event;
    char in[65536];
    size_t n;
    char method[16], path[2048];
    const char *body;
    char *out; /* what is still to be sent */
    size_t out_len, out_at;
    bool hang_up;
};

static void conn_free(fake_conn *c)
{
    fake_consul *f = c->fake;

    for (size_t i = 0; i < f->n_pending; i++)
        if (f->pending[i] == c) {
            memmove(&f->pending[i], &f->pending[i + 1],
                    (f->n_pending - i - 1) * sizeof(f->pending[0]));
            f->n_pending--;
            break;
        }
    *c->pprev = c->next;
    if (c->next != NULL)
        c->next->pprev = c->pprev;
    event_free(c->event);
    close(c->fd);
    free(c->out);
    free(c);
}

/* Whether a whole request is in c->in; then it waits. */
static void take_request(fake_conn *c)
{
    fake_consul *f = c->fake;
    const char *end = strstr(c->in, "\r\n\r\n");
    const char *length = strcasestr(c->in, "\r\nContent-Length:");
    size_t need = length != NULL && length < end
                      ? (size_t)strtoul(length + 17, NULL, 10)
                      : 0;

    if (end == NULL || c->n < (size_t)(end + 4 - c->in) + need)
        return;
    assert_int_equal(sscanf(c->in, "%15s %2047s", c->method, c->path), 2);
    c->body = end + 4;
    f->requests++;
    if (f->hang_up) {
        conn_free(c);
        return;
    }
    assert_true(f->n_pending < FAKE_PENDING);
    f->pending[f->n_pending++] = c;
}

static void send_more(fake_conn *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno != EAGAIN)
                conn_free(c);
            else
                event_add(c->event, NULL);
            return;
        }
        c->out_at += (size_t)n;
    }
    if (c->hang_up)
        conn_free(c);
}

static void on_conn(evutil_socket_t fd, short what, void *arg)
{
    fake_conn *c = arg;
    ssize_t n;

    (void)fd;
    if (what & EV_READ) {
        n = recv(c->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            conn_free(c);
            return;
        }
        if (n > 0) {
            c->n += (size_t)n;
            c->in[c->n] = '\0';
            take_request(c);
            return;
        }
    }
    if ((what & EV_WRITE) && c->out_at < c->out_len)
        send_more(c);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    fake_consul *f = arg;
    int client = accept(fd, NULL, NULL);
    fake_conn *c;

    (void)what;
    if (client < 0)
        return;
    f->accepted++;
    c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->fake = f;
    c->fd = client;
    c->next = f->conns;
    c->pprev = &f->conns;
    if (c->next != NULL)
        c->next->pprev = &c->next;
    f->conns = c;
    c->event = event_new(f->base, client,
                         EV_READ | EV_WRITE | EV_PERSIST | EV_ET, on_conn, c);
    event_add(c->event, NULL);
}

void fake_open(fake_consul *f, struct event_base *base)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);

    *f = (fake_consul){.base = base};
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(f->fd, 128), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&sin, &len), 0);
    f->port = ntohs(sin.sin_port);
    f->accept = event_new(base, f->fd, EV_READ | EV_PERSIST, on_accept, f);
    event_add(f->accept, NULL);
}

void fake_close(fake_consul *f)
{
    while (f->conns != NULL)
        conn_free(f->conns);
    event_free(f->accept);
    close(f->fd);
}

static fake_conn *waiting(const fake_consul *f, size_t i)
{
    assert_true(i < f->n_pending);
    return f->pending[i];
}

const char *fake_method(const fake_consul *f, size_t i)
{
    return waiting(f, i)->method;
}

const char *fake_path(const fake_consul *f, size_t i)
{
    return waiting(f, i)->path;
}

const char *fake_head(const fake_consul *f, size_t i)
{
    return waiting(f, i)->in;
}

const char *fake_body(const fake_consul *f, size_t i)
{
    return waiting(f, i)->body;
}

void fake_raw(fake_consul *f, size_t i, const void *bytes, size_t n,
              bool hang_up)
{
    fake_conn *c = waiting(f, i);

    memmove(&f->pending[i], &f->pending[i + 1],
            (f->n_pending - i - 1) * sizeof(f->pending[0]));
    f->n_pending--;
    c->n = 0;
    free(c->out);
    c->out = malloc(n + 1);
    memcpy(c->out, bytes, n);
    c->out_len = n;
    c->out_at = 0;
    c->hang_up = hang_up;
    send_more(c);
}

void fake_answer(fake_consul *f, size_t i, int code, uint64_t index,
                 const char *headers, const char *body)
{
    size_t room = strlen(body) + 1024;
    char *text = malloc(room), number[64] = "";
    int n;

    if (index != 0)
        snprintf(number, sizeof(number), "X-Consul-Index: %llu\r\n",
                 (unsigned long long)index);
    n = snprintf(text, room,
                 "HTTP/1.1 %d Text\r\n%s%sContent-Length: %zu\r\n\r\n%s", code,
                 number, headers != NULL ? headers : "", strlen(body), body);
    assert_true(n > 0 && (size_t)n < room);
    fake_raw(f, i, text, (size_t)n, false);
    free(text);
}
