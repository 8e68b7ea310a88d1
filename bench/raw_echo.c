/* raw_echo.c - the floor: a bare epoll loop that sends back what it reads.
 *
 * It reads up to 256 KiB at a time and writes once per read, so that it cannot
 * be beaten by batching; the driver checks its system calls per message. */
#include "echo_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define HEADER 4

static char buffer[READ_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void write_all(int fd, const char *data, size_t len, uint64_t *calls)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        ++*calls;
        if (n < 0 && errno != EAGAIN)
            die("write");
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

void raw_echo_server(echo_shared *shared)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int l = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), one = 1;

    if (bind(l, (struct sockaddr *)&in, len) != 0 || listen(l, 512) != 0 ||
        getsockname(l, (struct sockaddr *)&in, &len) != 0)
        die("listen");
    epoll_ctl(ep, EPOLL_CTL_ADD, l,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = l});
    shared->port = ntohs(in.sin_port);
    for (;;) {
        struct epoll_event events[128];
        int n = epoll_wait(ep, events, 128, -1);

        shared->server_syscalls++;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            ssize_t got;

            if (fd == l) {
                fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                epoll_ctl(
                    ep, EPOLL_CTL_ADD, fd,
                    &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                continue;
            }
            got = read(fd, buffer, sizeof(buffer));
            shared->server_syscalls++;
            if (got > 0)
                write_all(fd, buffer, (size_t)got, &shared->server_syscalls);
            else if (got == 0 || errno != EAGAIN)
                close(fd);
        }
    }
}

typedef struct raw_conn {
    int fd;
    size_t have; /* bytes of replies that are not whole yet */
} raw_conn;

/* Messages are all alike, so replies are counted by their bytes. */
void raw_echo_client(echo_shared *shared, const echo_load *load,
                     void (*mark)(void))
{
    size_t size = HEADER + load->payload_bytes;
    size_t burst = size * load->in_flight;
    char *out = calloc(1, burst);
    raw_conn *conns = calloc(load->connections, sizeof(*conns));
    int ep = epoll_create1(0), one = 1;
    uint64_t total = load->warm_up + load->calls, started = 0, done = 0;
    uint64_t ignored = 0;

    for (uint32_t i = 0; i < load->connections; i++) {
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons(shared->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        raw_conn *c = &conns[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&in, sizeof(in)) != 0)
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
        write_all(c->fd, out, burst, &ignored);
        started += load->in_flight;
    }
    while (done < total) {
        struct epoll_event events[128];
        int n = epoll_wait(ep, events, 128, -1);
        for (int i = 0; i < n; i++) {
            raw_conn *c = events[i].data.ptr;
            ssize_t got = read(c->fd, buffer, sizeof(buffer));
            size_t replies;

            if (got <= 0)
                die("read");
            c->have += (size_t)got;
            replies = c->have / size;
            c->have %= size;
            if (done < load->warm_up && done + replies >= load->warm_up)
                mark();
            done += replies;
            if (started < total && replies > 0) {
                size_t again =
                    replies < total - started ? replies : total - started;
                while (again > 0) {
                    size_t part =
                        again < load->in_flight ? again : load->in_flight;
                    write_all(c->fd, out, part * size, &ignored);
                    started += part;
                    again -= part;
                }
            }
        }
    }
    shared->replies = done;
    mark();
}
