/* conn_read.c - bytes in: where they are read to.
 *
 * Most reads go into the loop's buffer, are fed from there, and leave nothing.
 * What they may leave is kept in conn->in (see weft__inbuf): frames for which
 * the budget did not last, the beginning of a small frame, or a block for a big
 * one (conn_block.c). */
#include "conn_internal.h"

#include <string.h>

/* What a connection may read at once whose last read was more than it may work
 * on in one go: it would only be put aside, and the others would wait for that.
 */
#define GREEDY_BYTES 65536u

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
    status = conn->socket.ops->readv(&conn->socket, &iov, 1, &n);
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
        conn->socket.ops->readv(&conn->socket, row->iov, row->n_iov, &n);

    if (status == WEFT_OK)
        was_read(conn, n);
    weft__row_read(row, conn, n, shared);
    if (status != WEFT_OK)
        read_failed(conn, status);
}

void weft__conn_readable(weft__conn *conn)
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
