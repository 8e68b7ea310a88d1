/* conn_write.c - bytes out, and the close that gets them there. */
#include "conn_internal.h"

enum {
    IOV_COUNT = 64,
    FLUSH_BYTES = 512 << 10, /* at once; the rest in the next round */
    DISCARD_BYTES = 16 << 20 /* and of what a closing connection throws away */
};

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

/* Into where most writes are: each return behind one costs 7 ns, for the kernel
 * has made the CPU forget where they lead. */
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
        weft_status status =
            conn->socket.ops->writev(&conn->socket, iov, count, &n);

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

void weft__conn_discard(weft__conn *conn)
{
    uint8_t *shared = weft__loop_read_buffer(weft__loop_of(conn));
    struct iovec iov = {shared, WEFT__READ_BYTES};
    weft_status status = WEFT_ENOMEM;
    size_t n = 0;

    if (conn->state == WEFT__CONN_CLOSED || conn->eof)
        return;
    if (shared != NULL)
        status = conn->socket.ops->readv(&conn->socket, &iov, 1, &n);
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

/* ---- the end of a callback ---- */

/* One write for all that was queued since conn->servicing. */
void weft__conn_end_service(weft__conn *conn)
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
