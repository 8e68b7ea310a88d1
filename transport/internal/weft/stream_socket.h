/* weft/stream_socket.h - bytes over something that has a descriptor: TCP, unix,
 * inproc; TLS will be one more.
 *
 * Calls never block.  A socket says what it waits for: a TLS read may want to
 * write first, and decrypted bytes may be pending that poll does not show. */
#ifndef WEFT_STREAM_SOCKET_H
#define WEFT_STREAM_SOCKET_H

#include <sys/uio.h>
#include <weft/address.h>
#include <weft/loop_internal.h>

typedef struct weft__stream_socket weft__stream_socket;

typedef struct weft__stream_socket_ops {
    const char *name;
    /* Fills the iov in order, as far as one read goes.  OK and *n > 0; EAGAIN;
     * EOF; ECONNRESET, EIO.  read_wants_write tells what EAGAIN waits for
     * (default: readable); pending that a further read finds more without the
     * descriptor turning readable; drained, which may stay false, that the
     * descriptor has nothing more now. */
    weft_status (*readv)(weft__stream_socket *s, const struct iovec *iov,
                         int count, size_t *n);
    /* As above; fewer bytes than given mean that the next call would say
     * EAGAIN. After EAGAIN or less the same bytes come again. */
    weft_status (*writev)(weft__stream_socket *s, const struct iovec *iov,
                          int count, size_t *n);
    /* Bytes that were written and that the peer has not taken yet, as far as
     * the system tells; else 0. */
    size_t (*unsent)(const weft__stream_socket *s);
    void (*shutdown_write)(weft__stream_socket *s);
    void (*close)(weft__stream_socket *s); /* releases what s owns, not s */
} weft__stream_socket_ops;

/* A value: whoever holds it may move it. */
struct weft__stream_socket {
    const weft__stream_socket_ops *ops;
    int fd;
    bool read_wants_write, write_wants_read, pending, drained;
};

/* Plain descriptors: TCP, unix, and inproc, which is a socket pair. */
extern const weft__stream_socket_ops weft__fd_socket;

/* Takes fd, which must be non-blocking. */
void weft__socket_init(weft__stream_socket *out, int fd);

/* Begins a connect; *connecting tells whether it is still under way (then wait
 * until writable and ask weft__socket_connected).  Tunes it (below).  On
 * failure nothing is left open: ECONNREFUSED (for inproc also: nobody listens
 * under that name; for unix also: no such file, or the backlog is full), EADDR,
 * ELIMIT (no descriptor left), EIO. */
weft_status weft__socket_connect(weft__stream_socket *out,
                                 const weft_address *address, bool *connecting,
                                 const char **why);
weft_status weft__socket_connected(weft__stream_socket *s, const char **why);

/* errno as a phrase in lower case; valid until the thread's next one. */
const char *weft__errno_text(int err);

/* Sets what RPC wants of a TCP socket, nothing on others: TCP_NODELAY, and Reno
 * instead of the system's congestion control when `end`, its peer or what it is
 * bound to, is a loopback address.  Before connect() or listen() if that can
 * be: a connection that was paced once goes on to ask for times. */
void weft__socket_tune(int fd, const weft_address *end);

#endif /* WEFT_STREAM_SOCKET_H */
