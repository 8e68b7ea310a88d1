/* conn_io.c - what a connection does when its descriptor is ready: bytes in,
 * bytes out, and the close that gets them there.
 *
 * Most reads go into the loop's buffer, are fed from there, and leave nothing.
 * What they may leave is kept in conn->in (see weft__inbuf): frames for which
 * the budget did not last, the beginning of a small frame, or a block for a big
 * one (conn_block.c).
 *
 * What leads to a read or a write is inlined into on_io(): each return behind a
 * system call costs 7 ns, for the kernel has made the CPU forget where it
 * leads. */
#include "conn_internal.h"
#include "fd_socket_internal.h"

#include <string.h>

enum {
    IOV_COUNT = 64,
    FLUSH_BYTES = 512 << 10, /* at once; the rest in the next round */
    DISCARD_BYTES = 16 << 20 /* and of what a closing connection throws away */
};

/* What a connection may read at once whose last read was more than it may work
 * on in one go: it would only be put aside, and the others would wait for that.
 */
#define GREEDY_BYTES 65536u

/* ---- what is waited for ---- */

#define EDGE (EV_READ | EV_ET | EV_CLOSED)

static short wanted(const weft__conn *conn)
{
    const weft__stream_socket *s = &conn->socket;
    bool reads = false, writes = false;
    short mask;

    switch (conn->state) {
    case WEFT__CONN_CONNECTING:
        return EV_WRITE;
    case WEFT__CONN_OPEN:
        reads = weft__conn_reading(conn);
        writes = conn->write_blocked;
        break;
    case WEFT__CONN_FLUSHING:
    case WEFT__CONN_LINGERING:
        reads = !conn->eof;
        writes = conn->write_blocked;
        break;
    default:
        return 0;
    }
    mask = (short)(((reads && !s->read_wants_write) ||
                            (writes && s->write_wants_read)
                        ? EV_READ
                        : 0) |
                   ((writes && !s->write_wants_read) ||
                            (reads && s->read_wants_write)
                        ? EV_WRITE
                        : 0));
    return mask == EV_READ && conn->state == WEFT__CONN_OPEN && !conn->level
               ? EDGE
               : mask;
}

static void on_io(evutil_socket_t fd, short what, void *arg);

static void arm(weft__conn *conn, short mask)
{
    if (mask == conn->armed)
        return;
    if (conn->armed != 0)
        event_del(weft__conn_event(conn));
    conn->armed = 0;
    if (mask == 0)
        return;
    event_assign(weft__conn_event(conn), weft_loop_base(weft__loop_of(conn)),
                 conn->socket.fd, (short)(mask | EV_PERSIST), on_io, conn);
    if (event_add(weft__conn_event(conn), NULL) == 0)
        conn->armed = (uint8_t)mask;
    else
        weft__conn_lost(conn, WEFT_ENOMEM, "the descriptor cannot be watched");
}

/* Takes effect at once where something more is waited for.  What is no longer
 * waited for stays armed until it fires: most pauses are over before that, and
 * so cost no system call. */
void weft__conn_interest(weft__conn *conn)
{
    short want = wanted(conn);

    if (conn->state == WEFT__CONN_OPEN)
        conn->wire->paused = !weft__conn_reading(conn);
    if ((want & (EV_READ | EV_WRITE) & ~conn->armed) != 0 ||
        (want != 0 && (conn->armed & ~want & EV_ET) != 0))
        arm(conn, want);
}

/* ---- bytes in ---- */

static void was_read(weft__conn *conn, size_t n)
{
    conn->bytes_in += n;
    conn->last_in_ms = conn->quiet_ms = weft__conn_now(conn);
    conn->pinged = false;
}

static void read_failed(weft__conn *conn, weft_status status)
{
    if (status == WEFT_EAGAIN) {
        weft__conn_interest(conn);
        return;
    }
    if (status != WEFT_EOF) {
        weft__conn_lost(conn, status, "read: %s", weft_status_text(status));
        return;
    }
    conn->eof = true;
    if (conn->write_broken)
        weft__conn_lost(conn, WEFT_ECONNRESET, "write: %s",
                        weft_status_text(WEFT_ECONNRESET));
    else
        weft__conn_fail(conn, WEFT_EOF, "%s",
                        conn->in != NULL
                            ? "peer closed in the middle of a frame"
                            : "peer closed");
}

/* The first bytes of a frame go in front of those that follow: into *iov what
 * is left of the shared buffer. */
static weft_status put_prefix(weft__conn *conn, uint8_t *shared,
                              struct iovec *iov)
{
    size_t prefix = conn->in != NULL ? conn->in->len : 0;
    size_t room = WEFT__READ_BYTES - prefix;

    if (prefix >= WEFT__READ_BYTES / 2) {
        weft__conn_fail(conn, WEFT_INTERNAL,
                        "a frame that does not say its size");
        return WEFT_INTERNAL;
    }
    if (prefix > 0)
        memcpy(shared, conn->in->data, prefix);
    if (conn->greedy && room > GREEDY_BYTES)
        room = GREEDY_BYTES;
    *iov = (struct iovec){shared + prefix, room};
    return WEFT_OK;
}

static void read_shared(weft__conn *conn, uint8_t *shared)
{
    weft__inbuf begun = {0};
    struct iovec iov;
    size_t n = 0, prefix;
    weft_status status;

    if (put_prefix(conn, shared, &iov) != WEFT_OK)
        return;
    status = weft__socket_readv(&conn->socket, &iov, 1, &n);
    if (status != WEFT_OK) {
        read_failed(conn, status);
        return;
    }
    was_read(conn, n);
    prefix = (size_t)((uint8_t *)iov.iov_base - shared);
    if (prefix > 0)
        begun = *conn->in;
    weft__conn_drop_in(conn);
    weft__conn_feed_shared(conn, shared, prefix + n,
                           prefix > 0 ? &begun : NULL);
}

static void read_row(weft__conn *conn, weft__row *row, const uint8_t *shared)
{
    size_t n = 0;
    weft_status status =
        weft__socket_readv(&conn->socket, row->iov, row->n_iov, &n);

    if (status == WEFT_OK)
        was_read(conn, n);
    weft__row_read(row, conn, n, shared);
    if (status != WEFT_OK)
        read_failed(conn, status);
}

WEFT__INLINE void readable(weft__conn *conn)
{
    weft__inbuf *in = conn->in;
    uint8_t *shared;
    weft__row row;

    if (!weft__conn_reading(conn) || (in != NULL && in->raw) ||
        weft__conn_stopped(conn))
        return;
    if ((shared = weft__loop_read_buffer(weft__loop_of(conn))) == NULL) {
        weft__conn_starve(conn);
        return;
    }
    if ((conn->row_bytes != 0 || (in != NULL && in->block)) &&
        weft__row_make(&row, conn, shared))
        read_row(conn, &row, shared);
    else
        read_shared(conn, shared);
    if (conn->socket.pending && conn->state == WEFT__CONN_OPEN)
        weft__conn_service_later(conn);
}

/* ---- bytes out ---- */

/* Nobody takes what we write.  The peer may have said why before it left, so
 * what it sent is still read; its end comes with it, or with the timer. */
static void write_failed(weft__conn *conn, weft_status status)
{
    weft_loop *loop = weft__loop_of(conn);

    if (conn->state != WEFT__CONN_OPEN || conn->eof) {
        weft__conn_lost(conn, status, "write: %s", weft_status_text(status));
        return;
    }
    conn->write_broken = true;
    conn->write_blocked = conn->stalling = false;
    weft__outq_fini(&conn->wire->out);
    weft__outq_init(&conn->wire->out, loop);
    conn->state_ms = weft__conn_now(conn);
    weft__conn_interest(conn);
    weft__conn_rearm(conn);
    if (conn->over)
        weft__conn_service_later(conn);
}

/* A socket becomes writable again when a good part of its buffer is free, which
 * a slow reader may take minutes for.  So what it has left there tells whether
 * the peer reads. */
uint32_t weft__conn_taken(const weft__conn *conn)
{
    return (uint32_t)(conn->bytes_out -
                      conn->socket.ops->unsent(&conn->socket));
}

static void block(weft__conn *conn)
{
    conn->write_blocked = true;
    weft__conn_interest(conn);
    if (conn->stalling)
        return;
    if (weft__conn_held(conn) == NULL) {
        weft__conn_lost(conn, WEFT_ENOMEM, "write: %s",
                        weft_status_text(WEFT_ENOMEM));
        return;
    }
    conn->stalling = true;
    conn->held->stall_ms = weft__conn_now(conn);
    conn->held->stall_bytes = weft__conn_taken(conn);
    weft__conn_rearm(conn);
}

WEFT__INLINE void flush(weft__conn *conn)
{
    struct iovec iov[IOV_COUNT];
    size_t total = 0;

    if (conn->state == WEFT__CONN_CONNECTING ||
        conn->state == WEFT__CONN_CLOSED || conn->write_blocked ||
        conn->write_broken)
        return;
    while (conn->wire->out.bytes > 0 && total < FLUSH_BYTES) {
        int count = weft__outq_iov(&conn->wire->out, iov, IOV_COUNT);
        size_t offered = 0, n = 0;
        weft_status status = weft__socket_writev(&conn->socket, iov, count, &n);

        if (status == WEFT_EAGAIN) {
            block(conn);
            return;
        }
        if (status != WEFT_OK) {
            write_failed(conn, status);
            return;
        }
        for (int i = 0; i < count; i++)
            offered += iov[i].iov_len;
        weft__outq_consume(&conn->wire->out, n);
        conn->bytes_out += n;
        total += n;
        if (n < offered) {
            block(conn);
            return;
        }
    }
    conn->stalling = conn->stalling && conn->wire->out.bytes > 0;
    if (conn->wire->out.bytes > 0)
        weft__conn_service_later(conn);
}

void weft__conn_flush(weft__conn *conn)
{
    flush(conn);
}

void weft__conn_queued(weft__conn *conn)
{
    if (conn->write_broken) {
        /* The wire answers by itself: nobody will take it. */
        weft__outq_fini(&conn->wire->out);
        weft__outq_init(&conn->wire->out, weft__loop_of(conn));
        return;
    }
    if (conn->wire->out.bytes >= WEFT__FLUSH_AT)
        weft__conn_flush(conn);
    if (weft__conn_unsent(conn) > weft__conf_of(conn)->max_unsent_bytes &&
        !conn->over && conn->state == WEFT__CONN_OPEN) {
        conn->over = true;
        weft__conn_interest(conn); /* a server reads no more */
    }
    if (conn->wire->out.bytes > 0 || conn->over)
        weft__conn_service_later(conn);
    if (conn->write_blocked || conn->wire->held > 0)
        weft__conn_account(conn);
}

void weft__conn_unblock(weft__conn *conn)
{
    if (!conn->over ||
        weft__conn_unsent(conn) > weft__conf_of(conn)->max_unsent_bytes / 2)
        return;
    conn->over = false;
    if (conn->held != NULL)
        conn->held->unheard_bytes = 0;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    weft__conn_listens_again(conn);
    if (weft__conf_of(conn)->handler->on_unblocked != NULL &&
        !conn->write_broken)
        weft__conf_of(conn)->handler->on_unblocked(conn, weft__conn_user(conn));
}

/* ---- the graceful close (C3) ---- */

void weft__conn_begin_close(weft__conn *conn)
{
    if (conn->write_broken) {
        weft__conn_finish(conn);
        return;
    }
    conn->state = WEFT__CONN_FLUSHING;
    conn->wire->paused = true;
    conn->state_ms = weft__conn_now(conn);
    conn->discarded_bytes = 0;
    weft__conn_interest(conn);
    weft__conn_rearm(conn);
    weft__conn_service_later(conn);
}

void weft__conn_advance_close(weft__conn *conn)
{
    if (conn->state != WEFT__CONN_FLUSHING || conn->wire->out.bytes > 0)
        return;
    conn->socket.ops->shutdown_write(&conn->socket);
    conn->state = WEFT__CONN_LINGERING;
    if (conn->eof)
        weft__conn_finish(conn);
}

static void discard(weft__conn *conn)
{
    uint8_t *shared = weft__loop_read_buffer(weft__loop_of(conn));
    struct iovec iov = {shared, WEFT__READ_BYTES};
    weft_status status = WEFT_ENOMEM;
    size_t n = 0;

    if (conn->state == WEFT__CONN_CLOSED || conn->eof)
        return;
    if (shared != NULL)
        status = weft__socket_readv(&conn->socket, &iov, 1, &n);
    if (status == WEFT_EAGAIN)
        return;
    if (status == WEFT_EOF)
        conn->eof = true;
    conn->bytes_in += n;
    conn->discarded_bytes += (uint32_t)n;
    if ((status == WEFT_EOF && conn->state == WEFT__CONN_LINGERING) ||
        (status != WEFT_OK && status != WEFT_EOF) ||
        conn->discarded_bytes > DISCARD_BYTES)
        weft__conn_finish(conn);
}

/* ---- events ---- */

/* The end of the batch writes, unless it were too much then.  A thousand
 * connections that answer in one batch would hold a chunk each until its end,
 * and what larger replies lie in would not be warm any more; this is one write
 * per read as well. */
static void end_read(weft__conn *conn)
{
    if (conn->wire->out.bytes >= WEFT__FLUSH_SOON ||
        (conn->wire->out.bytes > 0 &&
         weft__loop_chunks_scarce(weft__loop_of(conn))))
        weft__conn_flush(conn);
    weft__conn_advance_close(conn);
    weft__conn_account(conn);
}

/* One write for all that was queued since conn->servicing. */
WEFT__INLINE void end_service(weft__conn *conn)
{
    flush(conn);
    weft__conn_unblock(conn);
    weft__conn_advance_close(conn);
    weft__conn_account(conn);
    conn->servicing = false;
    if (conn->state == WEFT__CONN_CLOSED)
        weft__conn_goodbye_later(conn);
    else if ((conn->wire->out.bytes > 0 && !conn->write_blocked) ||
             (weft__conn_reading(conn) &&
              (conn->socket.pending || (conn->in != NULL && conn->in->raw))))
        weft__conn_service_later(conn);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    weft__conn *conn = arg;
    weft__stream_socket *s = &conn->socket;
    weft_loop *loop = weft__loop_of(conn);

    (void)fd;
    weft__loop_enter(loop, "connection");
    if (conn->state == WEFT__CONN_CONNECTING) {
        weft__conn_connected(conn);
    } else {
        /* With nobody else left in the round, this is the end of its batch. */
        conn->servicing = weft__loop_in_last(loop);
        if (conn->write_blocked &&
            (what & (s->write_wants_read ? EV_READ : EV_WRITE)) != 0) {
            conn->write_blocked = false;
            weft__conn_flush(conn);
            weft__conn_unblock(conn);
        }
        if ((what & (s->read_wants_write ? EV_WRITE : EV_READ | EV_CLOSED)) !=
            0) {
            s->drained = false;
            if (conn->state == WEFT__CONN_OPEN)
                readable(conn);
            else
                discard(conn);
            conn->level |= !s->drained || (what & EV_CLOSED) != 0;
        }
        if (conn->servicing)
            end_service(conn);
        else
            end_read(conn);
    }
    if ((what & conn->armed & ~wanted(conn)) != 0)
        arm(conn, wanted(conn));
    weft__loop_leave_last(loop);
}

static void on_service(weft__task *service)
{
    weft__conn *conn = weft__conn_of(service);

    conn->servicing = true;
    if (conn->in != NULL && conn->in->raw)
        weft__conn_feed_raw(conn);
    else if (conn->socket.pending)
        readable(conn);
    end_service(conn);
}

void weft__conn_service_later(weft__conn *conn)
{
    if (!conn->servicing && !weft__task_queued(&conn->service))
        weft__loop_flush_later(weft__loop_of(conn), &conn->service, on_service);
}
