/* stream_socket.c - plain descriptors: TCP, unix, and the socket pairs of
 * inproc. */
#include <weft/stream_socket.h>

#include "fd_socket_internal.h"
#include "inproc_internal.h"
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/sys.h>

static size_t fd_unsent(const weft__stream_socket *s)
{
    return weft__sys_unsent(s->fd);
}

static void fd_shutdown_write(weft__stream_socket *s)
{
    (void)shutdown(s->fd, SHUT_WR);
}

static void fd_close(weft__stream_socket *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

const weft__stream_socket_ops weft__fd_socket = {
    .name = "fd",
    .readv = weft__fd_readv,
    .writev = weft__fd_writev,
    .unsent = fd_unsent,
    .shutdown_write = fd_shutdown_write,
    .close = fd_close,
};

void weft__socket_init(weft__stream_socket *out, int fd)
{
    *out = (weft__stream_socket){.ops = &weft__fd_socket, .fd = fd};
}

/* Between two ends of one host there is no path whose capacity is to be found,
 * and where BBR is the system's choice its pacing takes most of a big call's
 * time.  Every Linux has Reno and lets everybody choose it; it does not pace.
 */
static void leave_pacing(int fd)
{
#ifdef TCP_CONGESTION
    static const char reno[] = "reno";

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof reno - 1);
#else
    (void)fd;
#endif
}

void weft__socket_tune(int fd, const weft_address *end)
{
    int on = 1;

    if (end->kind != WEFT_ADDRESS_TCP)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (weft_address_is_loopback(end))
        leave_pacing(fd);
}

const char *weft__errno_text(int err)
{
    static _Thread_local char buf[128];

    snprintf(buf, sizeof buf, "%s", strerror(err));
    buf[0] = (char)tolower((unsigned char)buf[0]);
    return buf;
}

/* weft__sys_status knows reads and writes; a connect fails in ways of its own.
 */
static weft_status connect_status(int err, const char **why)
{
    *why = weft__errno_text(err == EAGAIN ? ECONNREFUSED : err);
    switch (err) {
    case EAGAIN: /* unix: the backlog is full */
    case ENOENT: /* unix: no such file */
    case ECONNREFUSED:
        return WEFT_ECONNREFUSED;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EACCES:
    case EPERM:
    case ENOTSOCK:
    case EPROTOTYPE:
        return WEFT_EADDR;
    case ETIMEDOUT:
        return WEFT_ETIMEDOUT;
    case EMFILE:
    case ENFILE:
        return WEFT_ELIMIT;
    case ECONNRESET:
        return WEFT_ECONNRESET;
    default:
        return WEFT_EIO;
    }
}

weft_status weft__socket_connect(weft__stream_socket *out,
                                 const weft_address *address, bool *connecting,
                                 const char **why)
{
    int fd;

    if (address->kind == WEFT_ADDRESS_INPROC) {
        weft_status status = weft__inproc_connect(address->u.un.sun_path, &fd);

        *why = weft_status_text(status);
        if (status != WEFT_OK)
            return status;
        weft__socket_init(out, fd);
        *connecting = false;
        return WEFT_OK;
    }
    if (address->kind == WEFT_ADDRESS_NONE)
        return connect_status(EAFNOSUPPORT, why);
    if ((fd = weft__sys_socket(address->u.sa.sa_family, SOCK_STREAM)) < 0)
        return connect_status(errno, why);
    weft__socket_tune(fd, address);
    if (connect(fd, &address->u.sa, address->len) == 0) {
        *connecting = false;
    } else if (errno == EINPROGRESS || errno == EINTR) {
        *connecting = true;
    } else {
        weft_status status = connect_status(errno, why);

        (void)close(fd);
        return status;
    }
    weft__socket_init(out, fd);
    return WEFT_OK;
}

weft_status weft__socket_connected(weft__stream_socket *s, const char **why)
{
    int err = 0;
    socklen_t len = sizeof err;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    return err == 0 ? WEFT_OK : connect_status(err, why);
}
