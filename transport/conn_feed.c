/* conn_feed.c - input goes to the wire, whose events go to the handler; what
 * the wire does not take yet is kept. */
#include "conn_internal.h"

#include <string.h>
#include <weft/mem.h>

typedef enum fed {
    FED_ALL,
    FED_PARTIAL, /* what is left is the beginning of a frame */
    FED_MORE,    /* what is left has not been looked at */
    FED_DEAD     /* the connection is not open any more */
} fed;

/* ---- what is kept ---- */

weft__inbuf *weft__inbuf_block(weft__conn *conn, size_t cap)
{
    size_t size = sizeof(weft__inbuf) + cap;
    weft__inbuf *in = weft__loop_block_get(weft__loop_of(conn), &size);

    if (in != NULL)
        *in = (weft__inbuf){.size = size, .cap = cap, .need = cap};
    return in;
}

static weft__inbuf *inbuf_new(weft__conn *conn, size_t cap)
{
    weft__inbuf *in;

    if (cap > WEFT__SMALL_FRAME)
        return weft__inbuf_block(conn, cap);
    if ((in = weft_malloc(sizeof *in + cap)) != NULL)
        *in = (weft__inbuf){.cap = cap};
    return in;
}

void weft__inbuf_free(weft__conn *conn, weft__inbuf *in)
{
    if (in != NULL && in->size != 0)
        weft__loop_block_put(weft__loop_of(conn), in, in->size);
    else
        weft_free(in);
}

/* Between a small one and a block. */
static weft__inbuf *inbuf_copy(weft__conn *conn, const weft__inbuf *from,
                               size_t cap)
{
    weft__inbuf *in = inbuf_new(conn, cap);
    size_t size = in != NULL ? in->size : 0;

    if (in == NULL)
        return NULL;
    *in = *from;
    in->size = size;
    memcpy(in->data, from->data, from->len);
    return in;
}

weft_status weft__conn_resize_in(weft__conn *conn, size_t cap)
{
    weft__inbuf *old = conn->in, *in = old;
    size_t size = sizeof *in + cap;

    if (old->size != 0 && cap > WEFT__SMALL_FRAME) {
        if (old->size < size || old->size / 2 > size) {
            in = weft__loop_block_resize(weft__loop_of(conn), old, old->size,
                                         &size);
            if (in != NULL)
                in->size = size;
        }
    } else if ((in = inbuf_copy(conn, old, cap)) != NULL) {
        weft__inbuf_free(conn, old);
    }
    if (in == NULL)
        return WEFT_ENOMEM;
    in->cap = cap;
    conn->in = in;
    return WEFT_OK;
}

void weft__conn_drop_in(weft__conn *conn)
{
    weft__inbuf_free(conn, conn->in);
    conn->in = NULL;
}

static weft_status keep(weft__conn *conn, const void *data, size_t len,
                        size_t cap)
{
    weft__inbuf *in = inbuf_new(conn, cap);

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

void weft__conn_cannot_keep(weft__conn *conn)
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
    return is_block(len, need) ? weft__least(need, 4 * len) : len;
}

void weft__conn_partial_kept(weft__conn *conn, size_t need,
                             const weft__inbuf *begun)
{
    conn->in->raw = false;
    conn->in->off = 0;
    conn->in->need = need;
    conn->in->block = is_block(conn->in->len, need);
    if (begun != NULL) {
        conn->in->stall_ms = begun->stall_ms;
        conn->in->stall_bytes = begun->stall_bytes;
        return;
    }
    conn->in->stall_ms = weft__conn_now(conn);
    conn->in->stall_bytes = (uint32_t)conn->bytes_in;
    weft__conn_rearm(conn);
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
        if (weft__conf_of(conn)->handler->on_ready != NULL)
            weft__conf_of(conn)->handler->on_ready(conn, weft__conn_user(conn));
    }
    if (rest == 0 || conn->state != WEFT__CONN_OPEN)
        return;
    weft__conf_of(conn)->handler->on_event(conn, event, weft__conn_user(conn));
}

/* ---- feeding ---- */

static void wire_failed(weft__conn *conn, weft_status status)
{
    weft__wire_info info;

    weft__conn_wire_info(conn, &info);
    weft__conn_fail(conn, status, "%s",
                    info.why != NULL ? info.why : weft_status_text(status));
}

static void expect_row(weft__conn *conn, size_t size)
{
    conn->row_bytes =
        size >= WEFT__ROW_MIN && size <= WEFT__READ_BYTES ? (uint32_t)size : 0;
}

weft_status weft__conn_feed_wire(weft__conn *conn, weft__wire_input *input)
{
    weft_status status;

    input->sink = on_wire;
    input->user = conn;
    status = conn->wire->ops->feed(conn->wire, input);
    if (input->consumed > 0)
        expect_row(conn, input->last);
    if (conn->state != WEFT__CONN_OPEN)
        return WEFT_ECLOSED;
    if (status == WEFT_OK)
        conn->starved = 0;
    else if (status == WEFT_ENOMEM)
        weft__conn_starve(conn);
    else
        wire_failed(conn, status);
    return status;
}

static fed feed(weft__conn *conn, const uint8_t *data, size_t len,
                size_t *consumed, size_t *need)
{
    uint32_t frames = weft__conf_of(conn)->frames_per_wakeup;
    size_t at = 0;

    *consumed = *need = 0;
    /* The second pass tells a frame that is not whole from a used up budget. */
    for (int pass = 0;; pass++) {
        weft__wire_input input = {
            .data = data + at, .len = len - at, .max_frames = frames};
        weft_status status = weft__conn_feed_wire(conn, &input);

        at += input.consumed;
        *consumed = at;
        if (status != WEFT_OK)
            return status == WEFT_ENOMEM ? FED_MORE : FED_DEAD;
        if (at == len)
            return FED_ALL;
        if (conn->wire->paused)
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

/* A client that is over its limit reads on, so what the peer makes it answer
 * has a bound.  False: that is reached. */
static bool answered_unheard(weft__conn *conn, size_t bytes)
{
    weft__held *held = weft__conn_held(conn);

    if (held == NULL) {
        weft__conn_cannot_keep(conn);
        return false;
    }
    held->unheard_bytes += (uint32_t)bytes;
    if (held->unheard_bytes <= weft__conf_of(conn)->max_unsent_bytes)
        return true;
    weft__conn_lost(conn, WEFT_ELIMIT,
                    "the peer asks and does not read (max_unsent_bytes)");
    return false;
}

/* Around every feed: what came of it that is not an event. */
void weft__conn_fed(weft__conn *conn, size_t unsent_before)
{
    if (conn->used || !conn->ponged)
        conn->active_ms = weft__conn_now(conn);
    conn->used = conn->ponged = false;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    if (conn->over && !conn->server && conn->wire->out.bytes > unsent_before &&
        !answered_unheard(conn, conn->wire->out.bytes - unsent_before))
        return;
    weft__conn_queued(conn); /* answers of the wire's own */
}

void weft__conn_feed_shared(weft__conn *conn, const uint8_t *data, size_t len,
                            const weft__inbuf *begun)
{
    size_t before = conn->wire->out.bytes, consumed = 0, need = 0;
    fed result = FED_MORE;

    if (weft__conn_reading(conn)) {
        result = feed(conn, data, len, &consumed, &need);
        weft__conn_fed(conn, before);
    }
    data += consumed;
    len -= consumed;
    if (conn->state != WEFT__CONN_OPEN)
        return;
    conn->greedy = result == FED_MORE;
    if (result == FED_MORE) {
        if (weft__conn_put_aside(conn, data, len) != WEFT_OK)
            weft__conn_cannot_keep(conn);
        else if (weft__conn_reading(conn))
            weft__conn_service_later(conn);
    } else if (result == FED_PARTIAL) {
        if (keep(conn, data, len, first_cap(len, need)) != WEFT_OK)
            weft__conn_cannot_keep(conn);
        else
            weft__conn_partial_kept(conn, need, consumed > 0 ? NULL : begun);
    }
}

/* Who has nothing to say is not asked, so a stop costs nothing for each. */
bool weft__conn_stopped(weft__conn *conn)
{
    const weft__conn_share *share = weft__conf_of(conn)->share;

    if (share == NULL || !share->stop)
        return false;
    weft__conf_of(conn)->handler->on_stopped(conn, weft__conn_user(conn));
    return true;
}

void weft__conn_feed_raw(weft__conn *conn)
{
    weft__inbuf *in = conn->in;
    size_t before = conn->wire->out.bytes, consumed, need, left, cap;
    fed result;

    if (!weft__conn_reading(conn) || weft__conn_stopped(conn))
        return;
    result =
        feed(conn, in->data + in->off, in->len - in->off, &consumed, &need);
    weft__conn_fed(conn, before);
    in->off += consumed;
    if (conn->state != WEFT__CONN_OPEN || result == FED_DEAD)
        return;
    if (result == FED_ALL) {
        weft__conn_drop_in(conn);
        return;
    }
    if (result == FED_MORE)
        return; /* the service looks whether to go on */
    left = in->len - in->off;
    memmove(in->data, in->data + in->off, left);
    in->len = left;
    cap = first_cap(left, need);
    if (weft__conn_resize_in(conn, cap) != WEFT_OK)
        in->cap =
            weft__least(in->cap, cap); /* smaller than wished: it can grow */
    weft__conn_partial_kept(conn, need, NULL);
}
