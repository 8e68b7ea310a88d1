/* weft/listener.h - accepts, sniffs, and hands over.
 *
 * A few accepts per wake-up; at EMFILE a reserve descriptor is spent to refuse
 * one, and accepting sleeps a moment.  An accepted socket has handshake_ms to
 * show what it speaks: native goes to a connection, HTTP/1 to the HTTP server,
 * TLS and HTTP/2 get a refusal that they understand, anything else is closed.
 */
#ifndef WEFT_LISTENER_H
#define WEFT_LISTENER_H

#include <weft/conn.h>

typedef struct weft__listener weft__listener;

typedef struct weft__listener_conf {
    /* Borrowed until the listener is closed and its connections have gone; wire
     * is what native connections speak. */
    const weft__conn_conf *conn;
    uint32_t backlog;
    uint32_t max_connections; /* RPC, HTTP and undecided together; what is over
                                 it is closed as soon as it is accepted */
    uint32_t accepts_per_wakeup;
    bool reuse_port; /* TCP: listeners of this process share the address ... */
    bool exclusive;  /* ... and this is the first: nobody else listens there */
} weft__listener_conf;

typedef struct weft__listener_handler {
    /* A native connection.  Return false to close it. */
    bool (*on_native)(weft__listener *l, void **conn_user, void *user);
    /* It has been made, or conn is NULL: out of memory. */
    void (*on_conn)(weft__listener *l, weft__conn *conn, void *conn_user,
                    void *user);
    /* Takes fd (non-blocking); first are the bytes that were read already. */
    void (*on_http)(weft__listener *l, int fd, const weft_address *peer,
                    const void *first, size_t first_len, void *user);
} weft__listener_handler;

/* Binds and listens at once.  Copies conf, borrows handler.  uri: see
 * weft/address.h; an old unix socket that nobody listens on is replaced.  On
 * failure (ESYNTAX, EADDR, ELIMIT, EIO, ENOMEM) *why says what: "address
 * already in use"; it is valid until the next failure on this thread. */
weft_status weft__listener_open(weft__listener **out, weft_loop *loop,
                                const char *uri,
                                const weft__listener_conf *conf,
                                const weft__listener_handler *handler,
                                void *user, const char **why);

/* The real address: port 0 is replaced. */
const weft_address *weft__listener_address(const weft__listener *l);

/* While held, native connections are accepted and wait, but for their first
 * bytes unread (their handshake clock stands still); HTTP goes through.  A
 * listener starts held.  Those that waited are handed over from the end of the
 * batch, some at a time. */
void weft__listener_release(weft__listener *l);

/* Accepts what the backlog holds, until EAGAIN, then stops listening; closing
 * it right away would reset those.  Undecided connections stay until decided.
 */
void weft__listener_stop(weft__listener *l);

/* Takes l (NULL is fine), undecided connections included; legal in its own
 * callbacks.  A unix socket's file goes with it. */
void weft__listener_close(weft__listener *l);

/* One connection of this listener's has gone, native or HTTP.  Not after its
 * close. */
void weft__listener_conn_gone(weft__listener *l);
size_t weft__listener_count(const weft__listener *l);

#endif /* WEFT_LISTENER_H */
