/* conn_internal.h - the inside of a connection, for the files that are its
 * parts: conn.c (life, the public functions), conn_io.c (events; bytes in and
 * out; the graceful close), conn_feed.c (from input to the wire), conn_block.c
 * (big frames), conn_share.c (what is held for peers), conn_timer.c (every
 * deadline).
 *
 * Rules between them:
 *
 *  N1. weft__conn_fail() and weft__conn_finish() never call the handler: they
 *      change the state and leave on_closed to the end of the batch.  Whoever
 *      has called something that may end in them looks at the state again.
 *
 *  N2. The memory is valid for as long as any function of ours is on the
 *      stack: it goes in the deferred function alone.
 *
 *  N3. `service` is the one thing that a connection queues on the loop: while
 *      alive it flushes, then goes on with input that was put aside; when
 *      CLOSED it says goodbye.
 *
 *  N4. The event's mask is a function of the state: change the state, then
 *      call weft__conn_interest().
 *
 *  N5. An edge is told once.  The event is edge-triggered while input is all
 *      that is waited for and each event so far has led to a read that drained
 *      the descriptor.  The first that has not, for whatever reason, or that
 *      told of the peer's end, makes the connection level-triggered for good:
 *      then what is left there is told again. */
#ifndef WEFT_CONN_INTERNAL_H
#define WEFT_CONN_INTERNAL_H

#include <event2/event.h>
#include <stddef.h>
#include <weft/conn.h>
#include <weft/hint.h>

typedef enum weft__conn_state {
    WEFT__CONN_CONNECTING,
    WEFT__CONN_OPEN,
    WEFT__CONN_FLUSHING,  /* closing: output first */
    WEFT__CONN_LINGERING, /* our side is shut down, the peer's is discarded */
    WEFT__CONN_CLOSED     /* no descriptor any more, on_closed is to come */
} weft__conn_state;

/* Bytes that were read and not consumed, of one of three kinds:
 *   raw:   whole frames, put aside when a budget was used up; off of them are
 *          consumed.  Nothing is read before they are.
 *   block: the beginning of a big frame of `need` bytes, which is read into
 *          right here.
 *   else:  the beginning of a frame, of `need` bytes if that is known.  It
 *          goes before the next bytes into the loop's buffer. */
typedef struct weft__inbuf {
    size_t size; /* of the block of the loop's that this is; 0: it is none */
    size_t len, cap, off, need;
    /* of a frame's beginning: since when it has not grown enough, and how many
     * bytes had come then; both wrap */
    uint32_t stall_ms, stall_bytes;
    bool raw, block;
    uint8_t data[];
} weft__inbuf;

/* A block is for frames over SMALL of which more than TINY has come: who only
 * announces gets nothing. */
#define WEFT__SMALL_FRAME 4096
#define WEFT__TINY_PART 1024

/* Frames from MIN on are expected to come in rows of one size, which are read
 * together, up to MAX of them. */
#define WEFT__ROW_MIN 16384
#define WEFT__ROW_MAX 16

/* Output from SOON on is written when the connection has been read, to recycle
 * what it lies in while that is warm; from AT on at once.  Less than that lies
 * in one chunk, and is written with what others have. */
#define WEFT__FLUSH_SOON WEFT__CHUNK_BYTES
#define WEFT__FLUSH_AT 524288

/* What a connection needs while its peer makes it wait, and when it ends: most
 * idle, without any of that. */
typedef struct weft__held {
    weft__conn *conn;
    struct weft__held *next, *prev; /* C6: in the share's list, if bytes > 0 */
    uint32_t bytes;                 /* what is more than 4 GiB counts as that */
    uint32_t mark;          /* what the peer had moved when last looked at */
    uint32_t stall_ms;      /* output waits since then, if stalling ... */
    uint32_t stall_bytes;   /* ... when this had been taken; both wrap */
    uint32_t unheard_bytes; /* a client: answered while over the limit (C2) */
    char *why;              /* of the close, or NULL: the status's text */
} weft__held;

struct weft__conn {
    /* What every batch needs; also the wire's output, whose loop is ours, and
     * its conf, which lies in ours. */
    weft__inbuf *in; /* NULL while there is nothing to keep */
    weft__stream_socket socket;
    weft__task service; /* N3 */
    uint64_t bytes_in, bytes_out;
    /* Times are wrapping milliseconds: when a byte came last, and when what the
     * timer watches began. */
    uint32_t last_in_ms;
    uint32_t active_ms; /* idle */
    union {
        uint32_t quiet_ms; /* while OPEN: keep-alive; of the heartbeat when
                              pinged; of the pause when hungry */
        uint32_t discarded_bytes; /* in a graceful close */
    };
    uint32_t state_ms;  /* connect, handshake, linger */
    uint32_t row_bytes; /* size of the last frame if it was big, else 0 */
    uint16_t pauses;
    uint8_t state;   /* weft__conn_state */
    uint8_t armed;   /* the event's mask */
    uint8_t starved; /* attempts in a row that found no memory */
    int8_t status;   /* weft_status of the close */
    bool server : 1;
    bool ready : 1;
    bool over : 1;          /* C2 */
    bool hungry : 1;        /* starved, and waiting for the next attempt */
    bool write_blocked : 1; /* EAGAIN: wait for EV_WRITE */
    bool write_broken : 1;  /* nobody takes it; read what there still is */
    bool eof : 1;
    bool pinged : 1;
    bool ponged : 1, used : 1; /* what was fed was a heartbeat's answer; more */
    bool servicing : 1;
    bool greedy : 1;   /* the last read was more than a turn's work */
    bool reasoned : 1; /* status and why are decided */
    bool peer_in4 : 1;
    bool stalling : 1; /* output waits since held->stall_ms */
    bool level : 1;    /* N5 */
    uint32_t opened_s;

    weft__held *held; /* NULL: nothing is, and its memory is not kept */
    weft__alarm alarm;

    /* Behind it: the event, and the peer's address. */
    weft__wire wire[];
};

static inline weft_loop *weft__loop_of(const weft__conn *conn)
{
    return conn->wire->out.loop;
}

static inline const weft__conn_conf *weft__conf_of(const weft__conn *conn)
{
    return (
        const weft__conn_conf *)(const void *)((const char *)conn->wire->conf -
                                               offsetof(weft__conn_conf,
                                                        wire_conf));
}

static inline size_t weft__conn_unsent(const weft__conn *conn)
{
    return conn->wire->out.bytes + conn->wire->held;
}

static inline uint32_t weft__conn_now(const weft__conn *conn)
{
    return (uint32_t)weft_loop_now_ms(weft__loop_of(conn));
}

static inline size_t weft__event_offset(const weft__wire_ops *wire)
{
    return offsetof(weft__conn, wire) + wire->size;
}

static inline struct event *weft__conn_event(const weft__conn *conn)
{
    return (struct event *)(void *)((char *)(uintptr_t)conn +
                                    weft__event_offset(conn->wire->ops));
}

static inline weft__conn *weft__conn_of(weft__task *its_service)
{
    return (weft__conn *)(void *)((char *)its_service -
                                  offsetof(weft__conn, service));
}

static inline bool weft__conn_reading(const weft__conn *conn)
{
    return conn->state == WEFT__CONN_OPEN && conn->pauses == 0 &&
           !(conn->server && conn->over) && !conn->hungry && !conn->eof;
}

/* conn.c */
void weft__conn_listens_again(weft__conn *conn); /* after any kind of pause */
/* The connection is of no use any more, at once. */
WEFT__COLD void weft__conn_lost(weft__conn *conn, weft_status status,
                                const char *fmt, ...) WEFT_PRINTF(3, 4);
/* The same, but what is queued is written, as far as that goes: a server's
 * within linger_ms, a client's if the socket takes it now. */
WEFT__COLD void weft__conn_fail(weft__conn *conn, weft_status status,
                                const char *fmt, ...) WEFT_PRINTF(3, 4);
void weft__conn_finish(weft__conn *conn);
void weft__conn_goodbye_later(weft__conn *conn); /* on_closed, and its memory */
WEFT__APART void weft__conn_connected(weft__conn *conn); /* or not: it ends */

static inline size_t weft__least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* conn_feed.c */
/* Bytes in the loop's buffer.  begun: what the first frame's beginning was kept
 * in until now, without the bytes; NULL: none of it was kept. */
void weft__conn_feed_shared(weft__conn *conn, const uint8_t *data, size_t len,
                            const weft__inbuf *begun);
void weft__conn_feed_raw(weft__conn *conn); /* what was put aside */
weft_status weft__conn_put_aside(weft__conn *conn, const void *data,
                                 size_t len);
/* conn->in holds the beginning of a frame of `need` bytes; begun as above. */
void weft__conn_partial_kept(weft__conn *conn, size_t need,
                             const weft__inbuf *begun);
weft__inbuf *weft__inbuf_block(weft__conn *conn, size_t cap);
void weft__inbuf_free(weft__conn *conn, weft__inbuf *in);
/* conn->in's; ENOMEM leaves it as it was. */
weft_status weft__conn_resize_in(weft__conn *conn, size_t cap);
void weft__conn_drop_in(weft__conn *conn);
WEFT__COLD void
weft__conn_cannot_keep(weft__conn *conn);  /* no memory: it is lost */
bool weft__conn_stopped(weft__conn *conn); /* by the share; tells it */
/* Gives the wire the input, whose sink it sets, and sees to what the wire says
 * of it; ECLOSED once that ended the connection. */
weft_status weft__conn_feed_wire(weft__conn *conn, weft__wire_input *input);
/* After a feed, given the unsent bytes before it. */
void weft__conn_fed(weft__conn *conn, size_t unsent_before);

/* conn_block.c: where a read for big frames goes. */
typedef struct weft__row {
    weft__inbuf *blocks[WEFT__ROW_MAX];
    struct iovec iov[WEFT__ROW_MAX + 1];
    int n, n_iov;
    bool begun;    /* the first block is conn->in */
    bool foreseen; /* else what follows the block goes into the shared buffer */
} weft__row;
/* False: nothing is known of what comes, or there is no memory. */
bool weft__row_make(weft__row *row, weft__conn *conn, uint8_t *shared);
/* That many bytes came, maybe none. */
void weft__row_read(weft__row *row, weft__conn *conn, size_t bytes,
                    const uint8_t *shared);

/* conn_io.c */
void weft__conn_interest(weft__conn *conn);
void weft__conn_service_later(weft__conn *conn);
void weft__conn_flush(weft__conn *conn);
void weft__conn_queued(weft__conn *conn); /* something was: flush soon */
uint32_t weft__conn_taken(const weft__conn *conn); /* by the peer; wraps */
void weft__conn_unblock(weft__conn *conn);         /* C2; calls the handler */
void weft__conn_begin_close(weft__conn *conn);
void weft__conn_advance_close(weft__conn *conn);

/* conn_share.c */
weft__held *weft__conn_held(weft__conn *conn); /* conn->held, made if need be;
                                                  NULL: out of memory */
/* Frees what is held no more, for good if the connection goes. */
void weft__conn_trim_held(weft__conn *conn);
/* What is held has changed, maybe.  Closes others, or conn itself. */
void weft__conn_account(weft__conn *conn);
void weft__conn_unaccount(weft__conn *conn);

/* conn_timer.c */
void weft__conn_on_alarm(weft__alarm *alarm);
/* After a change that may have brought a deadline nearer. */
void weft__conn_rearm(weft__conn *conn);
/* No memory: leaves the connection alone for a moment (C5). */
WEFT__COLD void weft__conn_starve(weft__conn *conn);

#endif /* WEFT_CONN_INTERNAL_H */
