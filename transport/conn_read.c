/* conn_read.c - bytes in: where they are read to, and what is kept of them.
 *
 * Most reads go into the loop's buffer, are fed from there, and leave nothing.
 * What they may leave is kept in conn->in (see weft__inbuf): frames for which
 * the budget did not last, the beginning of a small frame, or a block for a big
 * one. The block grows with what has arrived, to four times as much at most,
 * never by what was announced; when its frame is whole it is fed alone, so that
 * the receiver may keep the block. */
#include "conn_internal.h"

#include <string.h>
#include <weft/mem.h>

typedef enum fed {
    FED_ALL,
    FED_PARTIAL, /* what is left is the beginning of a frame */
    FED_MORE,    /* what is left has not been looked at */
    FED_DEAD     /* the connection is not open any more */
} fed;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static weft__inbuf *inbuf_new(size_t cap)
{
    weft__inbuf *in = weft_malloc(sizeof *in + cap);

    if (in != NULL)
        *in = (weft__inbuf){.cap = cap};
    return in;
}

/* ENOMEM leaves it as it was. */
static weft_status resize(weft__conn *conn, size_t cap)
{
    weft__inbuf *in = weft_realloc(conn->in, sizeof *in + cap);

    if (in == NULL)
        return WEFT_ENOMEM;
    in->cap = cap;
    conn->in = in;
    return WEFT_OK;
}

static void drop(weft__conn *conn)
{
    weft_free(conn->in);
    conn->in = NULL;
}

static weft_status keep(weft__conn *conn, const void *data, size_t len,
                        size_t cap)
{
    weft__inbuf *in = inbuf_new(cap);

    if (in == NULL)
        return WEFT_ENOMEM;
    memcpy(in->data, data, len);
    in->len = len;
    conn->in = in;
    return WEFT_OK;
}

weft_status weft__conn_put_aside(weft__conn *conn, const void *data, size_t len)
{
    weft_status status = keep(conn, data, len, len);

    if (status == WEFT_OK)
        conn->in->raw = true;
    return status;
}

static void no_memory(weft__conn *conn)
{
    weft__conn_lost(conn, WEFT_ENOMEM, "read: %s",
                    weft_status_text(WEFT_ENOMEM));
}

static bool is_block(size_t len, size_t need)
{
    return need > WEFT__SMALL_FRAME && len > WEFT__TINY_PART;
}

/* The size of what is to hold the first len bytes of a frame of need. */
static size_t first_cap(size_t len, size_t need)
{
    return is_block(len, need) ? least(need, 4 * len) : len;
}

/* fresh: no byte of this frame has been kept before. */
static void partial_kept(weft__conn *conn, size_t need, bool fresh)
{
    conn->in->raw = false;
    conn->in->off = 0;
    conn->in->need = need;
    conn->in->block = is_block(conn->in->len, need);
    if (fresh) {
        conn->in_stall_ms = weft__conn_now(conn);
        conn->in_stall_bytes = (uint32_t)conn->bytes_in;
        weft__conn_rearm(conn);
    }
}

/* ---- what the wire says ---- */

static void on_wire(void *user, const weft__wire_event *event)
{
    weft__conn *conn = user;
    unsigned rest = event->parts & ~(unsigned)(WEFT__READY | WEFT__PONG);

    if (conn->state != WEFT__CONN_OPEN)
        return;
    if ((event->parts & WEFT__PONG) != 0)
        conn->ponged = true;
    if (event->parts != WEFT__PONG)
        conn->used = true;
    if (!conn->ready && (event->parts & (WEFT__READY | WEFT__HEADERS)) != 0) {
        conn->ready = true;
        weft__conn_rearm(conn);
        if (conn->handler->on_ready != NULL)
            conn->handler->on_ready(conn, weft__conn_user(conn));
    }
    if (rest == 0 || conn->state != WEFT__CONN_OPEN)
        return;
    conn->handler->on_event(conn, event, weft__conn_user(conn));
}

/* ---- feeding ---- */

static void wire_failed(weft__conn *conn, weft_status status)
{
    weft__wire_info info;

    weft__conn_wire_info(conn, &info);
    weft__conn_fail(conn, status, "%s",
                    info.why != NULL ? info.why : weft_status_text(status));
}

static fed feed(weft__conn *conn, const uint8_t *data, size_t len,
                size_t *consumed, size_t *need)
{
    weft__wire *wire = conn->wire;
    uint32_t frames = conn->conf->frames_per_wakeup;
    size_t at = 0;

    *consumed = *need = 0;
    /* The second pass tells a frame that is not whole from a used up budget. */
    for (int pass = 0;; pass++) {
        weft__wire_input input = {.data = data + at,
                                  .len = len - at,
                                  .max_frames = frames,
                                  .sink = on_wire,
                                  .user = conn};
        weft_status status = wire->ops->feed(wire, &input);

        at += input.consumed;
        *consumed = at;
        if (conn->state != WEFT__CONN_OPEN)
            return FED_DEAD;
        if (status == WEFT_ENOMEM) {
            weft__conn_starve(conn);
            return FED_MORE;
        }
        if (status != WEFT_OK) {
            wire_failed(conn, status);
            return FED_DEAD;
        }
        conn->starved = 0;
        if (at == len)
            return FED_ALL;
        if (wire->paused)
            return FED_MORE;
        if (input.consumed == 0 || input.need > len - at) {
            *need = input.need;
            return FED_PARTIAL;
        }
        if (pass > 0)
            return FED_MORE;
        frames = 1;
    }
}

/* Around every feed: what came of it that is not an event.  A client that is
 * over its limit reads on, so what the peer makes it answer has a bound. */
static void fed_once(weft__conn *conn, size_t unsent_before)
{
    if (conn->used || !conn->ponged)
        conn->active_ms = weft__conn_now(conn);
    conn->used = conn->ponged = false;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    if (conn->over && !conn->server && conn->out.bytes > unsent_before) {
        conn->unheard_bytes += (uint32_t)(conn->out.bytes - unsent_before);
        if (conn->unheard_bytes > conn->conf->max_unsent_bytes) {
            weft__conn_lost(conn, WEFT_ELIMIT,
                            "the peer asks and does not read "
                            "(max_unsent_bytes)");
            return;
        }
    }
    weft__conn_queued(conn); /* answers of the wire's own */
}

static void feed_shared(weft__conn *conn, const uint8_t *data, size_t len,
                        bool fresh)
{
    size_t before = conn->out.bytes, consumed = 0, need = 0;
    fed result = FED_MORE;

    if (weft__conn_reading(conn)) {
        result = feed(conn, data, len, &consumed, &need);
        fed_once(conn, before);
    }
    data += consumed;
    len -= consumed;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    if (result == FED_MORE) {
        if (weft__conn_put_aside(conn, data, len) != WEFT_OK)
            no_memory(conn);
        else if (weft__conn_reading(conn))
            weft__conn_service_later(conn);
    } else if (result == FED_PARTIAL) {
        if (keep(conn, data, len, first_cap(len, need)) != WEFT_OK)
            no_memory(conn);
        else
            partial_kept(conn, need, fresh || consumed > 0);
    }
}

/* Who has nothing to say is not asked, so a stop costs nothing for each. */
static bool stopped(weft__conn *conn)
{
    const weft__conn_share *share = conn->conf->share;

    if (share == NULL || !share->stop)
        return false;
    conn->handler->on_stopped(conn, weft__conn_user(conn));
    return true;
}

void weft__conn_feed_raw(weft__conn *conn)
{
    weft__inbuf *in = conn->in;
    size_t before = conn->out.bytes, consumed, need, left, cap;
    fed result;

    if (!weft__conn_reading(conn) || stopped(conn))
        return;
    result =
        feed(conn, in->data + in->off, in->len - in->off, &consumed, &need);
    fed_once(conn, before);
    in->off += consumed;
    if (conn->state != WEFT__CONN_OPEN || result == FED_DEAD)
        return;
    if (result == FED_ALL) {
        drop(conn);
        return;
    }
    if (result == FED_MORE)
        return; /* the service looks whether to go on */
    left = in->len - in->off;
    memmove(in->data, in->data + in->off, left);
    in->len = left;
    cap = first_cap(left, need);
    if (resize(conn, cap) != WEFT_OK)
        in->cap = least(in->cap, cap); /* smaller than wished: it can grow */
    partial_kept(conn, need, true);
}

/* The block holds one whole frame. */
static void feed_block(weft__conn *conn)
{
    weft__inbuf *in = conn->in;
    size_t before = conn->out.bytes;
    weft__wire_input input = {.data = in->data,
                              .len = in->len,
                              .max_frames = 1,
                              .block = in,
                              .block_bytes = sizeof *in + in->cap,
                              .sink = on_wire,
                              .user = conn};
    weft_status status;

    conn->in = NULL;
    status = conn->wire->ops->feed(conn->wire, &input);
    if (status == WEFT_ENOMEM && !input.block_taken &&
        conn->state == WEFT__CONN_OPEN) {
        in->raw = true;
        conn->in = in;
        weft__conn_starve(conn);
        return;
    }
    if (conn->state == WEFT__CONN_OPEN) {
        if (status != WEFT_OK)
            wire_failed(conn, status);
        else if (input.consumed != input.len)
            weft__conn_fail(conn, WEFT_INTERNAL, "a frame changed its size");
    }
    if (!input.block_taken)
        weft_free(in);
    conn->starved = 0;
    fed_once(conn, before);
}

/* ---- reading ---- */

static void grow(weft__conn *conn, size_t at_least)
{
    weft__inbuf *in = conn->in;

    (void)resize(conn, least(in->need, most(2 * in->cap, at_least)));
}

/* n bytes were read: the first into the block, the others into shared. */
static void block_read(weft__conn *conn, size_t n, const uint8_t *shared)
{
    weft__inbuf *in = conn->in;
    size_t got = least(n, in->cap - in->len), rest = n - got;

    in->len += got;
    if (rest > 0 && in->cap < in->need) {
        grow(conn, in->len + rest);
        in = conn->in;
        got = least(rest, in->need - in->len);
        if (in->cap - in->len < got) {
            no_memory(conn);
            return;
        }
        memcpy(in->data + in->len, shared, got);
        in->len += got;
        shared += got;
        rest -= got;
    }
    if (in->len < in->need) {
        if (in->cap < in->need && in->len > in->cap / 2)
            grow(conn, 0);
        return;
    }
    feed_block(conn);
    if (rest == 0 || conn->state != WEFT__CONN_OPEN)
        return;
    if (conn->in == NULL) {
        feed_shared(conn, shared, rest, true);
        return;
    }
    /* The frame itself waits for memory: what follows goes behind it. */
    in = conn->in;
    if (resize(conn, in->len + rest) != WEFT_OK) {
        no_memory(conn);
        return;
    }
    in = conn->in;
    memcpy(in->data + in->len, shared, rest);
    in->len += rest;
}

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

void weft__conn_readable(weft__conn *conn)
{
    weft__inbuf *in = conn->in;
    uint8_t *shared;
    struct iovec iov[2];
    size_t prefix = 0, n = 0;
    int count = 1;
    bool block = in != NULL && in->block;
    weft_status status;

    if (!weft__conn_reading(conn) || (in != NULL && in->raw) || stopped(conn))
        return;
    if ((shared = weft__loop_read_buffer(conn->out.loop)) == NULL) {
        weft__conn_starve(conn);
        return;
    }
    if (block) {
        size_t room = least(in->cap - in->len, WEFT__READ_BYTES);

        iov[0] = (struct iovec){in->data + in->len, room};
        if (room < WEFT__READ_BYTES)
            iov[count++] = (struct iovec){shared, WEFT__READ_BYTES - room};
    } else {
        if (in != NULL) {
            prefix = in->len;
            if (prefix >= WEFT__READ_BYTES / 2) {
                weft__conn_fail(conn, WEFT_INTERNAL,
                                "a frame that does not say its size");
                return;
            }
            memcpy(shared, in->data, prefix);
        }
        iov[0] = (struct iovec){shared + prefix, WEFT__READ_BYTES - prefix};
    }
    status = conn->socket.ops->readv(&conn->socket, iov, count, &n);
    if (status != WEFT_OK) {
        read_failed(conn, status);
        return;
    }
    was_read(conn, n);
    if (block) {
        block_read(conn, n, shared);
    } else {
        drop(conn);
        feed_shared(conn, shared, prefix + n, prefix == 0);
    }
    if (conn->socket.pending && conn->state == WEFT__CONN_OPEN)
        weft__conn_service_later(conn);
}
