/* loop_batch.c - what runs once at the end of a batch of callbacks. */
#include "reactor_internal.h"

static void batch_reset(weft__batch *batch)
{
    batch->head = NULL;
    batch->tail = &batch->head;
}

/* A loop that dispatches a base of its own looks for the end of the batch in
 * each round, which costs less than an event. */
static bool looked_for(const weft_loop *loop)
{
    return loop->in_run && loop->own_base;
}

void weft__batch_wake(weft_loop *loop)
{
    static const struct timeval at_once;

    /* I2: activating itself would keep everything else from running.  (But it
     * cannot fail, and libevent may be out of memory.) */
    if (!loop->batch_running || event_add(&loop->batch_event, &at_once) != 0)
        event_active(&loop->batch_event, EV_TIMEOUT, 0);
}

static void queue(weft_loop *loop, weft__batch *batch, weft__deferred *d,
                  void (*fn)(void *), void *arg)
{
    if (d->queued)
        return;
    *d = (weft__deferred){.queued = true, .fn = fn, .arg = arg};
    *batch->tail = d;
    batch->tail = &d->next;
    if (loop->batch_queued)
        return;
    loop->batch_queued = true;
    if (!looked_for(loop))
        weft__batch_wake(loop);
}

void weft__loop_flush_later(weft_loop *loop, weft__deferred *d,
                            void (*fn)(void *), void *arg)
{
    queue(loop, &loop->flushes, d, fn, arg);
}

void weft__loop_defer(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                      void *arg)
{
    queue(loop, &loop->deferred, d, fn, arg);
}

static bool take_out(weft__batch *batch, weft__deferred *d)
{
    weft__deferred **p;

    for (p = &batch->head; *p != NULL; p = &(*p)->next) {
        if (*p != d)
            continue;
        if ((*p = d->next) == NULL)
            batch->tail = p;
        d->next = NULL;
        d->queued = false;
        return true;
    }
    return false;
}

void weft__loop_undefer(weft_loop *loop, weft__deferred *d)
{
    if (!d->queued)
        return;
    (void)(take_out(&loop->flushes, d) || take_out(&loop->deferred, d) ||
           take_out(&loop->flushes_running, d) ||
           take_out(&loop->deferred_running, d));
}

static void move(weft__batch *to, weft__batch *from)
{
    if (from->head == NULL)
        return;
    to->head = from->head;
    to->tail = from->tail;
    batch_reset(from);
}

/* Each is taken out before it runs: its function may free it, queue it again,
 * or undefer any other. */
static void run(weft__batch *batch)
{
    weft__deferred *d;

    while ((d = batch->head) != NULL) {
        take_out(batch, d); /* the first: O(1) */
        d->fn(d->arg);
    }
}

void weft__batch_run(weft_loop *loop)
{
    if (loop->batch_running)
        return;
    loop->batch_running = true;
    loop->batch_queued = loop->batch_open = false;
    move(&loop->flushes_running, &loop->flushes);
    move(&loop->deferred_running, &loop->deferred);
    run(&loop->flushes_running);
    run(&loop->deferred_running);
    loop->batch_running = false;
}

bool weft__batch_empty(const weft_loop *loop)
{
    return loop->flushes.head == NULL && loop->deferred.head == NULL &&
           loop->flushes_running.head == NULL &&
           loop->deferred_running.head == NULL;
}

bool weft__batch_due(const weft_loop *loop)
{
    return loop->batch_open && loop->batch_queued;
}

/* libevent has taken the callback that runs out of what is active. */
bool weft__batch_due_now(const weft_loop *loop)
{
    return weft__batch_due(loop) &&
           event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) == 0;
}

void weft__batch_end(weft_loop *loop)
{
    weft__loop_enter(loop, "end of batch");
    weft__batch_run(loop);
    weft__loop_leave(loop);
    weft__loop_after_batch(loop);
}

static void on_batch(evutil_socket_t fd, short what, void *arg)
{
    weft_loop *loop = arg;

    (void)fd;
    (void)what;
    if (!looked_for(loop))
        weft__batch_end(loop);
}

void weft__batch_init(weft_loop *loop)
{
    batch_reset(&loop->flushes);
    batch_reset(&loop->deferred);
    batch_reset(&loop->flushes_running);
    batch_reset(&loop->deferred_running);
    evtimer_assign(&loop->batch_event, loop->base, on_batch, loop);
}
