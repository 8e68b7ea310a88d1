/* weft/conn.h - one connection: socket, wire, buffers, timers, limits.
 *
 * Reads go into the loop's buffer, one per readiness, and frames are parsed
 * there; only a partial tail is kept, and a big frame gets a block of its own,
 * grown as bytes arrive.  Writes are gathered: one per loop iteration, from the
 * loop's flush list; EV_WRITE is armed only after EAGAIN.  One libevent event
 * and one timer per connection.
 *
 *  C1. on_closed runs exactly once, last, from a fresh stack; the memory goes
 *      after it.  The handler may close the connection in any callback.
 *
 *  C2. A server's connection whose output is over max_unsent_bytes stops
 *      reading until it has fallen to half; a client's never does, it refuses
 *      (RESOURCE_EXHAUSTED) and reads on, else two full peers would deadlock.
 *      A server that makes a client answer (heartbeats) more than
 *      max_unsent_bytes meanwhile, without reading, is closed.
 *      Replies that a wire keeps for their turn count as output.
 *
 *  C3. Every close with output is shutdown(SHUT_WR), a bounded discard of
 *      input, then close: an unread byte turns a close into a reset.
 *
 *  C4. When the peer ends its side (EOF), what is queued is still written,
 *      then the connection closes; calls in flight are lost.  A peer that
 *      wants its replies keeps its side open until it has them.
 *
 *  C5. No memory for a read or an event delays the connection; it is lost only
 *      when bytes that were read cannot be kept.
 *
 *  C6. Frames that are not whole, input that waits and output that is not taken
 *      are held in memory until the peer moves.  Connections that share a bound
 *      never hold more than that together: the one whose peer has not moved for
 *      the longest time is lost (ELIMIT), so that the others can go on. */
#ifndef WEFT_CONN_H
#define WEFT_CONN_H

#include <weft/address.h>
#include <weft/stream_socket.h>
#include <weft/wire.h>

typedef struct weft__conn weft__conn;
struct weft__held; /* what a connection holds for its peer */

/* What connections share.  C6.  Zeroed but for max_bytes; outlives them. */
typedef struct weft__conn_share {
    size_t max_bytes; /* SIZE_MAX: no bound */
    size_t bytes;
    bool stop; /* the owner's: nobody is to read, see on_stopped */
    struct weft__held *first, *last; /* least lately moved first */
} weft__conn_share;

typedef struct weft__conn_handler {
    /* Memory of the owner's, zeroed, which lies right in front of each
     * connection and goes with it after on_closed: the callbacks' user is a
     * pointer to it.  A multiple of a pointer's size.  0: user is what is
     * given with the connection. */
    size_t owner_bytes;
    /* Client: connected and the wire READY.  Server: first READY or call. */
    void (*on_ready)(weft__conn *conn, void *user);
    /* Whatever the wire yields but READY and PONG. */
    void (*on_event)(weft__conn *conn, const weft__wire_event *event,
                     void *user);
    /* It would read, or go on with what it has read, but share->stop is set:
     * pauses it, until the owner resumes it.  Not optional then. */
    void (*on_stopped)(weft__conn *conn, void *user);
    /* Output has fallen under half of the limit again; optional. */
    void (*on_unblocked)(weft__conn *conn, void *user);
    /* why: a phrase such as "connect: connection refused", "peer closed";
     * borrowed for the callback. */
    void (*on_closed)(weft__conn *conn, weft_status status, const char *why,
                      void *user);
} weft__conn_handler;

/* All values are final (no zero-means-default); WEFT_OFF switches off. */
typedef struct weft__conn_conf {
    const weft__conn_handler *handler;
    const weft__wire_ops *wire; /* of connects, and of native accepts */
    weft__wire_conf wire_conf;
    uint32_t connect_ms;   /* client: until connected */
    uint32_t handshake_ms; /* client: until READY; listener: until sniffed */
    uint32_t idle_ms;      /* no stream open and no byte (heartbeats of our own
                              do not count): close */
    uint32_t keepalive_ms; /* silence after which a heartbeat goes out; stands
                              still while reading is paused */
    uint32_t keepalive_timeout_ms; /* and until which a byte must come */
    uint32_t stall_ms;  /* within it a frame that was begun must end or grow by
                           WEFT__STALL_BYTES, and output that waits must shrink
                           by as much or go */
    uint32_t linger_ms; /* bound of the graceful close */
    uint32_t max_unsent_bytes;
    uint32_t frames_per_wakeup;
    weft__conn_share *share; /* C6; NULL: alone, without a bound */
} weft__conn_conf;

/* What a slow peer has to move within stall_ms. */
#define WEFT__STALL_BYTES 4096

/* Connects.  Gives *out until on_closed.  Borrows conf until then.
 * No callback runs before it has returned.  Errors that are known at once are
 * still told by on_closed, later; only ENOMEM is returned. */
weft_status weft__conn_connect(weft__conn **out, weft_loop *loop,
                               const weft_address *address,
                               const weft__conn_conf *conf, void *user);

/* Takes an accepted socket (moved out of *socket; on ENOMEM it stays) whose
 * first bytes (may be none) have been read.  Else as above. */
weft_status weft__conn_accept(weft__conn **out, weft_loop *loop,
                              const weft__stream_socket *socket,
                              const weft_address *peer, const void *first,
                              size_t first_len, const weft__wire_ops *wire,
                              const weft__conn_conf *conf, void *user);

/* The wire's functions; each queues a flush.  RESOURCE_EXHAUSTED: C2 (requests
 * alone).  ECLOSED: closing, or not connected yet.  After a reset no event of
 * the stream comes, whatever state the connection is in. */
weft_status weft__conn_request(weft__conn *conn,
                               const weft__wire_request *request,
                               weft__stream_id *stream);
weft_status weft__conn_respond(weft__conn *conn, weft__stream_id stream,
                               const weft__wire_response *response);
void weft__conn_reset(weft__conn *conn, weft__stream_id stream,
                      weft_status why);
void weft__conn_goaway(weft__conn *conn, weft_status why, const char *text);

/* Stops and resumes reading (counted): byte budgets of the owner. */
void weft__conn_pause(weft__conn *conn);
void weft__conn_resume(weft__conn *conn);

/* Graceful (C3): what is queued is written first, all of it within linger_ms.
 * No events follow, on_closed comes at the end of it.  why is copied.  The
 * first close decides status and why. */
void weft__conn_close(weft__conn *conn, weft_status status, const char *why);
/* At once; on_closed follows later. */
void weft__conn_abort(weft__conn *conn, weft_status status, const char *why);

void *weft__conn_user(const weft__conn *conn);
const weft__conn_conf *weft__conn_get_conf(const weft__conn *conn);

/* Facts. */
typedef struct weft__conn_stats {
    uint64_t bytes_in, bytes_out;
    size_t unsent_bytes, buffered_bytes;
    uint32_t age_s;
    bool ready, paused, closing;
} weft__conn_stats;
void weft__conn_get_stats(const weft__conn *conn, weft__conn_stats *out);
/* Since the last byte came; wraps. */
uint32_t weft__conn_silent_ms(const weft__conn *conn);
/* What bytes_out will be when all that is queued now has been written. */
uint64_t weft__conn_bytes_end(const weft__conn *conn);
void weft__conn_wire_info(const weft__conn *conn, weft__wire_info *out);
/* Writes the text of the peer's address to buf, which is returned. */
const char *weft__conn_peer(const weft__conn *conn, char *buf, size_t size);

#endif /* WEFT_CONN_H */
