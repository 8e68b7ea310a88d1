/* raw.h - what both sides of the raw echo have. */
#ifndef WEFT_BENCH_RAW_H
#define WEFT_BENCH_RAW_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "echo.h"

#define RAW_READ_BYTES (256 * 1024)
#define RAW_EVENTS 128

static inline void raw_watch(int ep, int op, int fd, uint32_t events, void *ptr)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};

    if (epoll_ctl(ep, op, fd, &event) != 0)
        echo_die("epoll_ctl");
}

/* TCP_NODELAY; and the variant names a congestion control, as "reno", which
 * counts from before listen() or connect(). */
static inline void raw_tune(int fd, const echo_load *load)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (load->variant[0] != '\0' &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, load->variant,
                   (socklen_t)strlen(load->variant)) != 0)
        echo_die(load->variant);
}

/* How much of it was written now; what was not waits for EPOLLOUT.  A peer that
 * went takes everything. */
static inline size_t raw_write(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return len; /* reading says so next */
    return n < 0 ? 0 : (size_t)n;
}

#endif /* WEFT_BENCH_RAW_H */
