/* loop_lag.c - the clock at the door: enter and leave, and who held the loop.
 */
#include "reactor_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <weft/hint.h>

static WEFT__COLD void say_late(weft_loop *loop, const char *name,
                                uint64_t held_ns)
{
    loop->lag.late++;
    snprintf(loop->late_name, sizeof loop->late_name, "%s", name);
    loop->lag.late_name = loop->late_name;
    weft_log_limited(
        &loop->lag_limit, WEFT_LOG_WARN, "a callback held the loop",
        "name=\"%s\" held_ms=%" PRIu64 " lag_warn_ms=%u", loop->late_name,
        held_ns / 1000000u, loop->conf.lag_warn_ms);
}

void weft__loop_enter(weft_loop *loop, const char *name)
{
    if (loop->depth++ > 0)
        return;
    if (!loop->in_run) /* a run has said so at its beginning */
        weft__index_own(loop);
    weft__loop_read_clock(loop);
    loop->entered_ns = loop->span_seen_ns = loop->now_ns;
    loop->entered_name = name;
    loop->late_said = false;
    loop->n_spans = 0;
}

void weft__loop_leave(weft_loop *loop)
{
    uint64_t held_ns;

    assert(loop->depth > 0);
    if (--loop->depth > 0)
        return;
    weft__loop_read_clock(loop);
    if (loop->batch_queued)
        weft__round_look(loop);
    else if (loop->times_end > loop->times)
        weft__times_settle(loop, loop->now_ns);
    held_ns = loop->now_ns - loop->entered_ns;
    loop->lag.last_us = held_ns / 1000u;
    if (loop->lag.last_us > loop->lag.max_us)
        loop->lag.max_us = loop->lag.last_us;
    if (loop->warn_ns != 0 && held_ns > loop->warn_ns && !loop->late_said)
        say_late(loop, loop->entered_name, held_ns);
}

void weft__loop_leave_last(weft_loop *loop)
{
    bool ends = loop->depth == 1 && weft__batch_due_now(loop);

    if (ends)
        weft__batch_run_part(loop);
    weft__loop_leave(loop);
    if (ends)
        weft__loop_after_batch(loop);
}

void weft__loop_touch(weft_loop *loop)
{
    if (loop->depth == 0)
        weft__loop_read_clock(loop);
}

static uint64_t span_ns(const weft_loop *loop)
{
    return loop->coarse ? weft__sys_coarse_ns()
                        : loop->conf.clock.now_ns(loop->conf.clock.user);
}

/* User code always runs in a span, so what lies between two of them is ours and
 * short: one reading serves as the end of a span and the beginning of the next.
 */
void weft__loop_span_begin(weft_loop *loop, const char *name)
{
    unsigned n = loop->n_spans++;

    if (n >= WEFT__SPANS)
        return;
    loop->spans[n].name = name;
    loop->spans[n].start_ns =
        loop->coarse && n == 0 ? loop->span_seen_ns : span_ns(loop);
}

void weft__loop_span_end(weft_loop *loop)
{
    uint64_t now, start;
    unsigned n;

    assert(loop->n_spans > 0);
    n = --loop->n_spans;
    if (n >= WEFT__SPANS || loop->warn_ns == 0)
        return;
    now = loop->span_seen_ns = span_ns(loop);
    start = loop->spans[n].start_ns;
    /* The innermost names it; those around it would only repeat that. */
    if (now > start && now - start > loop->warn_ns && !loop->late_said) {
        loop->late_said = true;
        say_late(loop, loop->spans[n].name, now - start);
    }
}

weft_loop_lag weft_loop_get_lag(const weft_loop *loop)
{
    return loop->lag;
}
