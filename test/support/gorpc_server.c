/* gorpc_server.c - gorpc's server: a thread per connection, one call after the
 * other on each. */
#include "gorpc_bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS 2048

typedef struct serving {
    gorpc_server *server;
    pthread_t thread;
    int fd; /* -1: it has ended */
} serving;

struct gorpc_server {
    int listener;
    uint16_t port;
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool holds, stops;
    serving conns[CONNS]; /* never reused: a thread to join each */
    unsigned n_conns;
    gorpc_server_counts counts;
};

/* ---- The greeter ---- */

typedef struct answer {
    gorpc_envelope e; /* points into what follows */
    uint8_t *payload;
    char text[256];
    bool cut, drop;
} answer;

static void answer_fail(answer *a, uint32_t code, const char *text)
{
    snprintf(a->text, sizeof(a->text), "%s", text);
    a->e.code = code;
    a->e.text = (gorpc_span){(const uint8_t *)a->text, strlen(a->text)};
}

static void answer_text(answer *a, const char *text, size_t len)
{
    a->payload = gorpc_hello(text, len, &a->e.payload.len);
    a->e.payload.data = a->payload;
}

static void answer_metadata(answer *a, const gorpc_envelope *request)
{
    char text[1024] = "";
    size_t n = 0;

    for (size_t i = 0; i < request->n_pairs && n < 900; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s;",
                              (int)request->pairs[i].key.len,
                              (const char *)request->pairs[i].key.data,
                              (int)request->pairs[i].value.len,
                              (const char *)request->pairs[i].value.data);
    answer_text(a, text, n);
}

static void wait_until_released(gorpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->holds && !s->stops)
        pthread_cond_wait(&s->released, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void answer_big(answer *a, size_t n)
{
    char *text = malloc(n + 1);

    if (text != NULL) {
        memset(text, 'x', n);
        answer_text(a, text, n);
    }
    free(text);
}

static void greet(gorpc_server *s, answer *a, const gorpc_envelope *request,
                  const char *msg, size_t len)
{
    char start[512], text[600];
    unsigned code = 0;
    size_t n = 0;
    int at = 0;

    snprintf(start, sizeof(start), "%.*s", (int)(len < 500 ? len : 500), msg);
    if (strcmp(start, "slow") == 0)
        wait_until_released(s);
    a->cut = strcmp(start, "cut") == 0;
    a->drop = strcmp(start, "drop") == 0;
    if (sscanf(start, "fail %u %n", &code, &at) == 1 && at > 0) {
        answer_fail(a, code, start + at);
    } else if (strcmp(start, "plain") == 0) {
        answer_fail(a, 100, "server internal error");
    } else if (strcmp(start, "empty") == 0) {
        answer_text(a, "", 0);
    } else if (strcmp(start, "metadata") == 0) {
        answer_metadata(a, request);
    } else if (sscanf(start, "give %zu", &n) == 1) {
        answer_big(a, n);
    } else if (strncmp(start, "count", 5) == 0) {
        snprintf(text, sizeof(text), "%zu", len);
        answer_text(a, text, strlen(text));
    } else {
        snprintf(text, sizeof(text), "hello %s", start);
        answer_text(a, text, strlen(text));
    }
}

/* gorpc's way through a request, failures in its order. */
static void handle(gorpc_server *s, answer *a, const uint8_t *body, size_t len)
{
    gorpc_envelope request;
    const uint8_t *slash;
    const char *msg;
    size_t msg_len, method_len;

    memset(a, 0, sizeof(*a));
    a->e.text = (gorpc_span){(const uint8_t *)"success", 7};
    if (!gorpc_envelope_read(&request, body, len)) {
        answer_fail(a, 100, "server internal error");
        return;
    }
    slash = request.text.len > 0
                ? memrchr(request.text.data, '/', request.text.len)
                : NULL;
    if (slash == NULL || slash == request.text.data ||
        request.text.data[0] != '/') {
        answer_fail(a, 301, "method is invalid");
        return;
    }
    method_len = (size_t)(request.text.data + request.text.len - slash) - 1;
    if (method_len != 8 || memcmp(slash + 1, "SayHello", 8) != 0 ||
        request.payload.len == 0 ||
        !gorpc_hello_text(request.payload.data, request.payload.len, &msg,
                          &msg_len)) {
        answer_fail(a, 100, "server internal error");
        return;
    }
    greet(s, a, &request, msg, msg_len);
}

/* ---- Connections ---- */

static void count_request(gorpc_server *s, const uint8_t *header,
                          const uint8_t *body, size_t len)
{
    gorpc_envelope e;

    pthread_mutex_lock(&s->lock);
    s->counts.frames++;
    s->counts.noisy += len > 0 && !gorpc_frame_is_plain(header);
    if (len > 0 && gorpc_envelope_read(&e, body, len)) {
        size_t n = e.payload.len;

        s->counts.calls++;
        s->counts.payload_len = n;
        if (n > sizeof(s->counts.payload))
            n = sizeof(s->counts.payload);
        if (n > 0)
            memcpy(s->counts.payload, e.payload.data, n);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Before its reply nothing may have followed a request. */
static void count_pushed(gorpc_server *s, int fd)
{
    uint8_t byte;

    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return;
    pthread_mutex_lock(&s->lock);
    s->counts.pushed++;
    pthread_mutex_unlock(&s->lock);
}

/* One request and its reply; false: the connection ends. */
static bool serve_one(gorpc_server *s, int fd)
{
    uint8_t header[GORPC_HEADER], *body, *frame;
    uint32_t length;
    size_t size = 0;
    bool ok = false;
    answer a;

    if (!gorpc_recv_all(fd, header, sizeof(header)) || header[0] != 0x11 ||
        (length = gorpc_frame_length(header)) > GORPC_MAX_BODY ||
        (body = malloc(length + 1u)) == NULL)
        return false;
    if (gorpc_recv_all(fd, body, length)) {
        count_request(s, header, body, length);
        handle(s, &a, body, length);
        count_pushed(s, fd);
        frame = gorpc_envelope_frame(&a.e, &size);
        if (frame != NULL && !a.drop)
            ok = gorpc_send_all(fd, frame, a.cut ? size / 2 : size) && !a.cut;
        free(frame);
        free(a.payload);
    }
    free(body);
    return ok;
}

static void *serve(void *arg)
{
    serving *conn = arg;
    gorpc_server *s = conn->server;
    int fd = conn->fd;

    while (serve_one(s, fd))
        ;
    pthread_mutex_lock(&s->lock);
    conn->fd = -1;
    s->counts.open--;
    close(fd); /* under the lock: drop_all() must not meet another's number */
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *accept_all(void *arg)
{
    gorpc_server *s = arg;

    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        serving *conn;

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        pthread_mutex_lock(&s->lock);
        if (fd < 0 || s->stops || s->n_conns == CONNS) {
            pthread_mutex_unlock(&s->lock);
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        conn = &s->conns[s->n_conns];
        *conn = (serving){.server = s, .fd = fd};
        if (pthread_create(&conn->thread, NULL, serve, conn) == 0) {
            s->n_conns++;
            s->counts.accepted++;
            s->counts.open++;
        } else {
            close(fd);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

gorpc_server *gorpc_server_start(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(a);
    gorpc_server *s = calloc(1, sizeof(*s));
    int yes = 1;

    if (s == NULL)
        return NULL;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->released, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(s->listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(s->listener, 1024) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0)
        goto fail;
    s->port = ntohs(a.sin_port);
    if (pthread_create(&s->acceptor, NULL, accept_all, s) == 0)
        return s;
fail:
    close(s->listener);
    free(s);
    return NULL;
}

uint16_t gorpc_server_port(const gorpc_server *s)
{
    return s->port;
}

gorpc_server_counts gorpc_server_look(gorpc_server *s)
{
    gorpc_server_counts counts;

    pthread_mutex_lock(&s->lock);
    counts = s->counts;
    pthread_mutex_unlock(&s->lock);
    return counts;
}

void gorpc_server_hold(gorpc_server *s, bool hold)
{
    pthread_mutex_lock(&s->lock);
    s->holds = hold;
    pthread_cond_broadcast(&s->released);
    pthread_mutex_unlock(&s->lock);
}

void gorpc_server_drop_all(gorpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_conns; i++)
        if (s->conns[i].fd >= 0)
            shutdown(s->conns[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
}

void gorpc_server_stop(gorpc_server *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stops = true;
    pthread_cond_broadcast(&s->released);
    pthread_mutex_unlock(&s->lock);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->listener);
    gorpc_server_drop_all(s);
    for (unsigned i = 0; i < s->n_conns; i++)
        pthread_join(s->conns[i].thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->released);
    free(s);
}
