/* conn_share.c - the bound of what connections hold for their peers (C6).
 *
 * Least recently moved goes first: whoever sends or reads at any speed is
 * behind all those who sit still. */
#include "conn_internal.h"

#include <weft/mem.h>

/* A block counts whole, though a part of it may be all that is used. */
static size_t kept(const weft__inbuf *in)
{
    if (in == NULL)
        return 0;
    return in->size != 0 ? in->size : in->cap;
}

/* Output that the socket has not refused yet is on its way. */
static uint32_t held_now(const weft__conn *conn)
{
    size_t bytes = (conn->write_blocked ? conn->wire->out.bytes : 0) +
                   conn->wire->held + kept(conn->in);

    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

static bool holds_nothing(const weft__conn *conn)
{
    return !conn->write_blocked && conn->wire->held == 0 && conn->in == NULL;
}

/* What the peer has to move for less to be held; wraps. */
static uint32_t mark_of(const weft__conn *conn)
{
    return (uint32_t)(conn->write_blocked ? conn->bytes_out : conn->bytes_in);
}

weft__held *weft__conn_held(weft__conn *conn)
{
    if (conn->held == NULL &&
        (conn->held = weft_calloc(1, sizeof *conn->held)) != NULL)
        conn->held->conn = conn;
    return conn->held;
}

/* Once it was needed it is kept until there is silence, or bursts would fetch
 * it again and again. */
void weft__conn_trim_held(weft__conn *conn)
{
    weft__held *held = conn->held;

    if (held == NULL || held->bytes > 0 || conn->stalling || conn->over ||
        held->why != NULL)
        return;
    weft_free(held);
    conn->held = NULL;
}

static void link_last(weft__conn_share *share, weft__held *held)
{
    held->next = NULL;
    held->prev = share->last;
    *(share->last != NULL ? &share->last->next : &share->first) = held;
    share->last = held;
}

static void link_out(weft__conn_share *share, weft__held *held)
{
    weft__held *next = held->next, *prev = held->prev;

    *(next != NULL ? &next->prev : &share->last) = prev;
    *(prev != NULL ? &prev->next : &share->first) = next;
}

void weft__conn_unaccount(weft__conn *conn)
{
    weft__conn_share *share = weft__conf_of(conn)->share;
    weft__held *held = conn->held;

    if (held == NULL || held->bytes == 0)
        return;
    link_out(share, held);
    share->bytes -= held->bytes;
    held->bytes = 0;
}

/* What it holds goes now: its last callback, and the rest of its memory, come
 * at the end of the batch, before which many more may have to go.  (What is in
 * the middle of being fed stays until then; there is one such at a time.) */
static WEFT__COLD void evict(weft__conn *conn)
{
    weft__conn_lost(conn, WEFT_ELIMIT,
                    "the peer holds up %u bytes, and all connections "
                    "together are over max_buffered_bytes",
                    conn->held->bytes);
    weft__outq_fini(&conn->wire->out);
    weft__outq_init(&conn->wire->out, weft__loop_of(conn));
    if (!conn->servicing)
        weft__conn_drop_in(conn);
}

void weft__conn_account(weft__conn *conn)
{
    weft__conn_share *share = weft__conf_of(conn)->share;
    weft__held *held = conn->held;
    uint32_t mark, now;

    if (held == NULL && holds_nothing(conn))
        return; /* nearly always, after each read and write */
    if (share == NULL || conn->state == WEFT__CONN_CLOSED)
        return;
    now = held_now(conn);
    if (now == 0) {
        weft__conn_unaccount(conn);
        return;
    }
    /* What cannot be counted cannot be bounded. */
    if ((held = weft__conn_held(conn)) == NULL) {
        weft__conn_cannot_keep(conn);
        return;
    }
    mark = mark_of(conn);
    if (held->bytes == 0) {
        link_last(share, held);
    } else if (mark != held->mark) {
        link_out(share, held);
        link_last(share, held);
    }
    share->bytes += now;
    share->bytes -= held->bytes;
    held->bytes = now;
    held->mark = mark;
    while (share->bytes > share->max_bytes)
        evict(share->first->conn);
}
