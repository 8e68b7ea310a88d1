/* fd_socket_internal.h - reads and writes of plain descriptors, for their table
 * (stream_socket.c) and for who reads and writes: nearly every socket is one,
 * and neither the call by the table nor the return from it, behind a system
 * call, is cheap (docs/internals.md, "A call that is alone"). */
#ifndef WEFT_FD_SOCKET_INTERNAL_H
#define WEFT_FD_SOCKET_INTERNAL_H

#include <errno.h>
#include <sys/socket.h>
#include <weft/stream_socket.h>
#include <weft/sys.h>

static inline weft_status weft__fd_readv(weft__stream_socket *s,
                                         const struct iovec *iov, int count,
                                         size_t *n)
{
    size_t room = iov->iov_len;
    ssize_t got;

    do
        got = count == 1 ? recv(s->fd, iov->iov_base, iov->iov_len, 0)
                         : readv(s->fd, iov, count);
    while (got < 0 && errno == EINTR);
    s->drained = got < 0;
    if (got < 0)
        return weft__sys_status(errno);
    for (int i = 1; i < count; i++)
        room += iov[i].iov_len;
    s->drained = (size_t)got < room;
    if (got == 0)
        return WEFT_EOF;
    *n = (size_t)got;
    return WEFT_OK;
}

static inline weft_status weft__fd_writev(weft__stream_socket *s,
                                          const struct iovec *iov, int count,
                                          size_t *n)
{
    ssize_t put;

    do
        put = count == 1
                  ? send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                  : weft__sys_writev(s->fd, iov, count);
    while (put < 0 && errno == EINTR);
    if (put < 0)
        return weft__sys_status(errno);
    *n = (size_t)put;
    return WEFT_OK;
}

/* ---- any socket's ---- */

static inline weft_status weft__socket_readv(weft__stream_socket *s,
                                             const struct iovec *iov, int count,
                                             size_t *n)
{
    return s->ops == &weft__fd_socket ? weft__fd_readv(s, iov, count, n)
                                      : s->ops->readv(s, iov, count, n);
}

static inline weft_status weft__socket_writev(weft__stream_socket *s,
                                              const struct iovec *iov,
                                              int count, size_t *n)
{
    return s->ops == &weft__fd_socket ? weft__fd_writev(s, iov, count, n)
                                      : s->ops->writev(s, iov, count, n);
}

#endif /* WEFT_FD_SOCKET_INTERNAL_H */
