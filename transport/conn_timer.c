/* conn_timer.c - every deadline of a connection, on one timer.
 *
 * Each deadline is a beginning and a length.  Activity moves a beginning and
 * leaves the timer alone: when it fires it looks at all of them, and is set for
 * the nearest.  Only what may bring one nearer calls weft__conn_rearm(). */
#include "conn_internal.h"

enum { HUNGRY_MS = 20, HUNGRY_TIMES = 100 };

#define NEVER UINT32_MAX

/* Milliseconds that are left of ms since start; both wrap. */
static uint32_t left(uint32_t now, uint32_t start, uint32_t ms)
{
    uint32_t gone = now - start;

    if (ms == WEFT_OFF)
        return NEVER;
    return gone < ms ? ms - gone : 0;
}

/* What is left of each; NEVER where it does not apply. */
static uint32_t state_left(const weft__conn *conn, uint32_t now)
{
    const weft__conn_conf *conf = weft__conf_of(conn);

    switch (conn->state) {
    case WEFT__CONN_CONNECTING:
        return left(now, conn->state_ms, conf->connect_ms);
    case WEFT__CONN_OPEN:
        if (conn->write_broken)
            return left(now, conn->state_ms, conf->linger_ms);
        if (conn->ready || conn->server)
            return NEVER;
        return left(now, conn->state_ms, conf->handshake_ms);
    case WEFT__CONN_FLUSHING:
    case WEFT__CONN_LINGERING:
        return left(now, conn->state_ms, conf->linger_ms);
    default:
        return NEVER;
    }
}

static uint32_t hungry_left(const weft__conn *conn, uint32_t now)
{
    return conn->hungry ? left(now, conn->quiet_ms, HUNGRY_MS) : NEVER;
}

static uint32_t idle_left(const weft__conn *conn, uint32_t now)
{
    return left(now, conn->active_ms, weft__conf_of(conn)->idle_ms);
}

static uint32_t quiet_left(const weft__conn *conn, uint32_t now)
{
    if (!conn->ready || conn->write_broken || !weft__conn_reading(conn))
        return NEVER;
    return left(now, conn->quiet_ms,
                conn->pinged ? weft__conf_of(conn)->keepalive_timeout_ms
                             : weft__conf_of(conn)->keepalive_ms);
}

static uint32_t in_left(const weft__conn *conn, uint32_t now)
{
    if (conn->in == NULL || conn->in->raw || !weft__conn_reading(conn))
        return NEVER;
    return left(now, conn->in->stall_ms, weft__conf_of(conn)->stall_ms);
}

static uint32_t out_left(const weft__conn *conn, uint32_t now)
{
    if (!conn->stalling)
        return NEVER;
    return left(now, conn->held->stall_ms, weft__conf_of(conn)->stall_ms);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void weft__conn_rearm(weft__conn *conn)
{
    uint32_t now = weft__conn_now(conn);
    uint32_t delay = state_left(conn, now);
    uint64_t due;

    if (conn->state == WEFT__CONN_OPEN) {
        delay = least(delay, hungry_left(conn, now));
        delay = least(delay, idle_left(conn, now));
        delay = least(delay, quiet_left(conn, now));
        delay = least(delay, in_left(conn, now));
        delay = least(delay, out_left(conn, now));
    }
    if (conn->state == WEFT__CONN_CLOSED || delay == NEVER)
        return;
    due = weft_loop_now_ms(weft__loop_of(conn)) + delay;
    if (!weft__alarm_armed(&conn->alarm) || conn->alarm.due_ms > due)
        weft__alarm_start_at(weft__loop_of(conn), &conn->alarm, due);
}

void weft__conn_starve(weft__conn *conn)
{
    if (conn->state != WEFT__CONN_OPEN)
        return;
    if (++conn->starved > HUNGRY_TIMES) {
        weft__conn_lost(conn, WEFT_ENOMEM, "read: %s",
                        weft_status_text(WEFT_ENOMEM));
        return;
    }
    conn->hungry = true;
    /* As for any time in which we do not listen. */
    conn->quiet_ms = weft__conn_now(conn);
    conn->pinged = false;
    weft__conn_interest(conn);
    weft__conn_rearm(conn);
}

/* ---- when they are due ---- */

static void state_due(weft__conn *conn)
{
    switch (conn->state) {
    case WEFT__CONN_CONNECTING:
        weft__conn_lost(conn, WEFT_ETIMEDOUT,
                        "connect: timed out after %u ms (connect_ms)",
                        weft__conf_of(conn)->connect_ms);
        break;
    case WEFT__CONN_OPEN:
        if (conn->write_broken)
            weft__conn_lost(conn, WEFT_ECONNRESET, "write: %s",
                            weft_status_text(WEFT_ECONNRESET));
        else
            weft__conn_lost(conn, WEFT_ETIMEDOUT,
                            "handshake: no answer in %u ms (handshake_ms)",
                            weft__conf_of(conn)->handshake_ms);
        break;
    default:
        weft__conn_finish(conn);
    }
}

static void hungry_due(weft__conn *conn)
{
    conn->hungry = false;
    weft__conn_interest(conn);
    if (conn->in != NULL && conn->in->raw)
        weft__conn_service_later(conn);
}

static void idle_due(weft__conn *conn, uint32_t now)
{
    weft__wire_info info;

    weft__conn_wire_info(conn, &info);
    if (info.in_flight > 0 || conn->wire->out.bytes > 0 ||
        !weft__conn_reading(conn))
        conn->active_ms = now;
    else
        weft__conn_close(conn, WEFT_OK, "idle (idle_ms)");
}

static void quiet_due(weft__conn *conn, uint32_t now)
{
    if (conn->pinged) {
        weft__conn_lost(conn, WEFT_ETIMEDOUT,
                        "keep-alive: no answer in %u ms (keepalive_timeout_ms)",
                        weft__conf_of(conn)->keepalive_timeout_ms);
        return;
    }
    conn->quiet_ms = now;
    conn->pinged = conn->wire->ops->ping(conn->wire);
    if (conn->pinged)
        weft__conn_queued(conn);
}

/* Both wrap. */
static bool has_moved(uint32_t bytes, uint32_t *since)
{
    bool moved = (int32_t)(bytes - *since) >= WEFT__STALL_BYTES;

    *since = bytes;
    return moved;
}

static void in_due(weft__conn *conn, uint32_t now)
{
    if (has_moved((uint32_t)conn->bytes_in, &conn->in->stall_bytes))
        conn->in->stall_ms = now;
    else
        weft__conn_fail(
            conn, WEFT_ETIMEDOUT,
            "the peer sends too slowly: %zu of %zu bytes of a frame "
            "(stall_ms)",
            conn->in->len, conn->in->need);
}

static void out_due(weft__conn *conn, uint32_t now)
{
    if (has_moved(weft__conn_taken(conn), &conn->held->stall_bytes))
        conn->held->stall_ms = now;
    else
        weft__conn_lost(conn, WEFT_ETIMEDOUT,
                        "the peer reads too slowly: %zu bytes wait (stall_ms)",
                        conn->wire->out.bytes);
}

void weft__conn_on_alarm(weft__alarm *alarm)
{
    weft__conn *conn =
        (weft__conn *)(void *)((char *)alarm - offsetof(weft__conn, alarm));
    uint32_t now = weft__conn_now(conn);

    conn->wire->ops->trim(conn->wire);
    weft__conn_trim_held(conn);
    if (state_left(conn, now) == 0)
        state_due(conn);
    if (conn->state == WEFT__CONN_OPEN && hungry_left(conn, now) == 0)
        hungry_due(conn);
    if (conn->state == WEFT__CONN_OPEN && out_left(conn, now) == 0)
        out_due(conn, now);
    if (conn->state == WEFT__CONN_OPEN && in_left(conn, now) == 0)
        in_due(conn, now);
    if (conn->state == WEFT__CONN_OPEN && idle_left(conn, now) == 0)
        idle_due(conn, now);
    if (conn->state == WEFT__CONN_OPEN && quiet_left(conn, now) == 0)
        quiet_due(conn, now);
    /* Thousands may be asked whether they live in one batch. */
    if (conn->wire->out.bytes > 0 &&
        weft__loop_chunks_scarce(weft__loop_of(conn)))
        weft__conn_flush(conn);
    weft__conn_rearm(conn);
}
