/* conn_block.c - big frames: each is read into a block of its own, which its
 * receiver may keep, so that no payload is copied on its way in.
 *
 * Nobody gets memory for what was only announced: a block grows with what has
 * arrived, to four times as much at most.  But big frames come in rows of one
 * size, more often than not.  One that is as large as the last frame of its
 * connection, which did arrive, gets its block at once, and those behind it get
 * theirs in advance: one read is for several.  What is not as it was foreseen
 * is copied, once, and fed like any other input. */
#include "conn_internal.h"

#include <string.h>

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* It cannot be fed now. */
static void feed_later(weft__conn *conn, weft__inbuf *in)
{
    in->raw = true;
    conn->in = in;
    if (weft__conn_reading(conn))
        weft__conn_service_later(conn);
}

/* Behind what waits already. */
static void append(weft__conn *conn, const uint8_t *data, size_t len)
{
    if (weft__conn_resize_in(conn, conn->in->len + len) != WEFT_OK) {
        weft__conn_cannot_keep(conn);
        return;
    }
    memcpy(conn->in->data + conn->in->len, data, len);
    conn->in->len += len;
}

/* Feeds one frame.  True: it was all that the block held, and the block is gone
 * or has a new owner.  Else off says how far that came, and need is the size of
 * the frame that begins there, if that is known. */
static bool feed_block(weft__conn *conn, weft__inbuf *in)
{
    size_t before = conn->wire->out.bytes, len = in->len;
    weft__wire_input input = {.data = in->data,
                              .len = len,
                              .max_frames = 1,
                              .block = len == in->cap ? in : NULL,
                              .block_bytes = in->size};

    (void)weft__conn_feed_wire(conn, &input);
    weft__conn_fed(conn, before);
    if (!input.block_taken) {
        in->off = input.consumed;
        in->need = input.need;
    }
    if (input.consumed == len && !input.block_taken)
        weft__inbuf_free(conn, in);
    return input.consumed == len;
}

/* ---- a frame that nobody has foreseen ---- */

static void grow(weft__conn *conn, size_t at_least)
{
    weft__inbuf *in = conn->in;

    (void)weft__conn_resize_in(
        conn, weft__least(in->need, most(2 * in->cap, at_least)));
}

/* rest bytes behind the block's came into the shared buffer.  Takes those that
 * are the frame's; false: it is not whole yet, or cannot be kept. */
static bool complete(weft__conn *conn, const uint8_t **shared, size_t *rest)
{
    weft__inbuf *in = conn->in;

    if (*rest > 0 && in->cap < in->need) {
        size_t got = weft__least(*rest, in->need - in->len);

        grow(conn, in->len + *rest);
        in = conn->in;
        if (in->cap - in->len < got) {
            weft__conn_cannot_keep(conn);
            return false;
        }
        memcpy(in->data + in->len, *shared, got);
        in->len += got;
        *shared += got;
        *rest -= got;
    }
    if (in->len < in->need && in->cap < in->need && in->len > in->cap / 2)
        grow(conn, 0);
    return conn->in->len == conn->in->need;
}

static void one_read(weft__conn *conn, const uint8_t *shared, size_t rest)
{
    weft__inbuf *in;

    if (!complete(conn, &shared, &rest))
        return;
    in = conn->in;
    conn->in = NULL;
    if (!feed_block(conn, in)) {
        if (conn->state == WEFT__CONN_OPEN)
            feed_later(conn, in);
        else
            weft__inbuf_free(conn, in);
    }
    if (rest == 0 || conn->state != WEFT__CONN_OPEN)
        return;
    if (conn->in != NULL)
        append(conn, shared, rest);
    else
        weft__conn_feed_shared(conn, shared, rest, NULL);
}

/* ---- a row of them ---- */

bool weft__row_make(weft__row *row, weft__conn *conn, uint8_t *shared)
{
    weft__inbuf *in = conn->in;
    size_t size = conn->row_bytes, room;

    row->n = 0;
    row->begun = in != NULL;
    row->foreseen =
        size != 0 &&
        (in == NULL || (in->block && in->cap == size && in->need == size));
    if (in != NULL && in->block)
        row->blocks[row->n++] = in;
    while (row->foreseen && row->n < WEFT__ROW_MAX &&
           ((size_t)row->n + 1) * size <= WEFT__READ_BYTES &&
           (row->blocks[row->n] = weft__inbuf_block(conn, size)) != NULL)
        row->n++;
    if (row->n == 0)
        return false;
    for (int i = 0; i < row->n; i++)
        row->iov[i] = (struct iovec){row->blocks[i]->data + row->blocks[i]->len,
                                     row->blocks[i]->cap - row->blocks[i]->len};
    row->n_iov = row->n;
    if (row->foreseen) {
        conn->in = NULL;
        return true;
    }
    room = weft__least(row->iov[0].iov_len, WEFT__READ_BYTES);
    row->iov[0].iov_len = room;
    if (room < WEFT__READ_BYTES)
        row->iov[row->n_iov++] =
            (struct iovec){shared, WEFT__READ_BYTES - room};
    return true;
}

/* Something else has come than was foreseen: on from the first of n blocks. */
static void spill(weft__conn *conn, weft__inbuf **blocks, int n)
{
    uint8_t *shared =
        weft__loop_read_buffer(weft__loop_of(conn)); /* there it is */
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        weft__inbuf *in = blocks[i];

        memcpy(shared + len, in->data + in->off, in->len - in->off);
        len += in->len - in->off;
        weft__inbuf_free(conn, in);
    }
    weft__conn_feed_shared(conn, shared, len, NULL);
}

/* One of a row, with what was read into it. */
static bool take(weft__conn *conn, weft__inbuf *in)
{
    if (conn->in != NULL) { /* one before it could not be fed */
        append(conn, in->data, in->len);
        weft__inbuf_free(conn, in);
        return true;
    }
    if (!weft__conn_reading(conn)) {
        feed_later(conn, in);
        return true;
    }
    if (feed_block(conn, in))
        return true;
    if (conn->state != WEFT__CONN_OPEN) {
        weft__inbuf_free(conn, in);
    } else if (!weft__conn_reading(conn)) {
        feed_later(conn, in);
    } else if (in->off == 0 && in->need == in->cap &&
               in->len > WEFT__TINY_PART) {
        conn->in = in;
        weft__conn_partial_kept(conn, in->need, NULL);
    } else {
        return false;
    }
    return true;
}

void weft__row_read(weft__row *row, weft__conn *conn, size_t bytes,
                    const uint8_t *shared)
{
    int i;

    for (i = 0; i < row->n; i++) {
        size_t got = weft__least(bytes, row->iov[i].iov_len);

        row->blocks[i]->len += got;
        bytes -= got;
    }
    if (!row->foreseen) {
        one_read(conn, shared, bytes);
        return;
    }
    while (row->n > 0 && row->blocks[row->n - 1]->len == 0)
        weft__inbuf_free(conn, row->blocks[--row->n]);
    if (row->begun && row->blocks[0]->len < row->blocks[0]->cap) {
        conn->in = row->blocks[0]; /* still not whole */
        return;
    }
    for (i = 0; i < row->n; i++) {
        if (conn->state != WEFT__CONN_OPEN) {
            weft__inbuf_free(conn, row->blocks[i]);
        } else if (!take(conn, row->blocks[i])) {
            spill(conn, row->blocks + i, row->n - i);
            return;
        }
    }
}
