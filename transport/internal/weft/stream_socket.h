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
    /* OK and *n > 0; EAGAIN; EOF; ECONNRESET, EIO.  want_write tells what EAGAIN
     * waits for (default: readable); pending that a further read finds more
     * without the descriptor turning readable. */
    weft_status (*read)(weft__stream_socket *s, void *data, size_t size,
                        size_t *n);
    weft_status (*writev)(weft__stream_socket *s, const struct iovec *iov,
                          int count, size_t *n);
    void (*shutdown_write)(weft__stream_socket *s);
    void (*close)(weft__stream_socket *s); /* releases what s owns, not s */
} weft__stream_socket_ops;

struct weft__stream_socket {
    const weft__stream_socket_ops *ops;
    int fd;
    bool read_wants_write, write_wants_read, pending;
};

/* Plain descriptors: TCP, unix, and inproc, which is a socket pair. */
extern const weft__stream_socket_ops weft__fd_socket;

/* Begins a connect; *connecting tells whether it is still under way (then wait
 * until writable and ask weft__socket_connected).  Sets TCP_NODELAY. */
weft_status weft__socket_connect(weft__stream_socket *out, weft_loop *loop,
                                 const weft_address *address, bool *connecting);
weft_status weft__socket_connected(weft__stream_socket *s);

#endif /* WEFT_STREAM_SOCKET_H */
