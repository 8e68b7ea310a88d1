/* raw_server.c - the limit: a bare epoll loop that sends back what it reads.
 *
 * It reads up to 256 KiB at a time and writes once per read, so that it cannot
 * be beaten by batching; its system calls are counted, and the report voids the
 * figure when they are too many.  What does not fit the socket is kept, and
 * nothing more is read from that connection until it has gone. */
#include "raw.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[RAW_READ_BYTES];

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
    put = raw_write(c->fd, buffer, (size_t)got);
    ++*syscalls;
    if (put == (size_t)got)
        return;
    c->at = 0;
    c->len = (size_t)got - put;
    c->rest = malloc(c->len);
    if (c->rest == NULL)
        echo_die("malloc");
    memcpy(c->rest, buffer + put, c->len);
    raw_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    ++*syscalls;
}

static void serve_rest(int ep, server_conn *c, uint64_t *syscalls)
{
    c->at += raw_write(c->fd, c->rest + c->at, c->len - c->at);
    ++*syscalls;
    if (c->at < c->len)
        return;
    free(c->rest);
    c->rest = NULL;
    raw_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    ++*syscalls;
}

/* It has what the listener was tuned to. */
static void accept_one(int ep, int listener)
{
    server_conn *c = calloc(1, sizeof(*c));

    if (c == NULL || (c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        echo_die("accept");
    raw_watch(ep, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

void echo_server(echo_shared *shared)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    uint64_t syscalls = 0;

    raw_tune(listener, &shared->load);
    if (bind(listener, (struct sockaddr *)&in, len) != 0 ||
        listen(listener, 512) != 0 ||
        getsockname(listener, (struct sockaddr *)&in, &len) != 0)
        echo_die("listen");
    raw_watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    shared->port = ntohs(in.sin_port);
    for (;;) {
        struct epoll_event events[RAW_EVENTS];
        int n = epoll_wait(ep, events, RAW_EVENTS, -1);

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
