/* loop_time.c - times that end with the batch. */
#include "reactor_internal.h"

#include <weft/hint.h>

void weft__times_init(weft_loop *loop)
{
    loop->times_end = loop->times;
}

void weft__times_settle(weft_loop *loop, uint64_t now)
{
    weft__time *t = loop->times, *end = loop->times_end;

    loop->times_end = t;
    for (; t < end; t++) {
        weft_histogram_add(t->into, now > t->begun_ns ? now - t->begun_ns : 0,
                           t->n);
        t->into = NULL;
    }
}

/* The cached clock says when the callback began. */
void weft__loop_settle_times(weft_loop *loop)
{
    weft__times_settle(loop, loop->conf.clock.now_ns(loop->conf.clock.user));
}

/* No end of a callback will tell: the application answers from an event of its
 * own.  Or there is room for no more. */
static WEFT__APART weft__time *settle_now(weft_loop *loop, weft__time *t)
{
    weft__loop_settle_times(loop);
    return t;
}

weft__time *weft__loop_time(weft_loop *loop, weft_histogram *into,
                            uint64_t begun_ns)
{
    weft__time *t = loop->times_end++;

    *t = (weft__time){into, begun_ns, 1};
    if (loop->depth == 0 || t == &loop->times[WEFT__TIMES - 1])
        return settle_now(loop, t);
    return t;
}
