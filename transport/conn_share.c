/* conn_share.c - the bound of what connections hold for their peers (C6).
 *
 * Least recently moved goes first: whoever sends or reads at any speed is
 * behind all those who sit still. */
#include "conn_internal.h"

size_t weft__conn_unsent(const weft__conn *conn)
{
    return conn->out.bytes + conn->wire->held;
}

/* Output that the socket has not refused yet is on its way. */
static uint32_t held_now(const weft__conn *conn)
{
    size_t bytes = (conn->write_blocked ? conn->out.bytes : 0) +
                   conn->wire->held + (conn->in != NULL ? conn->in->cap : 0);

    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

/* What the peer has to move for less to be held; wraps. */
static uint32_t mark_of(const weft__conn *conn)
{
    return (uint32_t)(conn->write_blocked ? conn->bytes_out : conn->bytes_in);
}

static void link_last(weft__conn_share *share, weft__conn *conn)
{
    conn->held_next = NULL;
    conn->held_prev = share->last;
    *(share->last != NULL ? &share->last->held_next : &share->first) = conn;
    share->last = conn;
}

static void link_out(weft__conn_share *share, weft__conn *conn)
{
    weft__conn *next = conn->held_next, *prev = conn->held_prev;

    *(next != NULL ? &next->held_prev : &share->last) = prev;
    *(prev != NULL ? &prev->held_next : &share->first) = next;
}

void weft__conn_unaccount(weft__conn *conn)
{
    weft__conn_share *share = conn->conf->share;

    if (conn->held_bytes == 0)
        return;
    link_out(share, conn);
    share->bytes -= conn->held_bytes;
    conn->held_bytes = 0;
}

/* What it holds goes now: its last callback, and the rest of its memory, come
 * at the end of the batch, before which many more may have to go. */
static void evict(weft__conn *conn)
{
    weft__conn_lost(conn, WEFT_ELIMIT,
                    "the peer holds up %u bytes, and all connections "
                    "together are over max_buffered_bytes",
                    conn->held_bytes);
    weft__outq_fini(&conn->out);
    weft__outq_init(&conn->out, conn->out.loop);
}

void weft__conn_account(weft__conn *conn)
{
    weft__conn_share *share = conn->conf->share;
    uint32_t mark, now = held_now(conn);

    if (share == NULL || conn->state == WEFT__CONN_CLOSED ||
        (now == 0 && conn->held_bytes == 0))
        return;
    mark = mark_of(conn);
    if (now == 0) {
        weft__conn_unaccount(conn);
        return;
    }
    if (conn->held_bytes == 0) {
        link_last(share, conn);
    } else if (mark != conn->held_mark) {
        link_out(share, conn);
        link_last(share, conn);
    }
    share->bytes += now;
    share->bytes -= conn->held_bytes;
    conn->held_bytes = now;
    conn->held_mark = mark;
    while (share->bytes > share->max_bytes)
        evict(share->first);
}
