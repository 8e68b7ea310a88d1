/* loop_batch.c - what runs once at the end of a batch of callbacks. */
#include "reactor_internal.h"

/* What the last one of a list points to, and nothing else is it for: who is
 * queued points to something. */
static weft__task nothing;

static void batch_reset(weft__batch *batch)
{
    batch->head = &nothing;
    batch->tail = &batch->head;
}

/* A loop that dispatches a base of its own looks for the end of the batch
 * after each round, which costs less than an event. */
static bool looked_for(const weft_loop *loop)
{
    return loop->in_run && loop->own_base;
}

/* Behind the callbacks of this round. */
void weft__round_look(weft_loop *loop)
{
    if (!loop->staying || loop->looks)
        return;
    loop->looks = true;
    event_active(&loop->batch_event, EV_TIMEOUT, 0);
}

void weft__batch_wake(weft_loop *loop)
{
    static const struct timeval at_once;

    /* I2: activating itself would keep everything else from running.  (But it
     * cannot fail, and libevent may be out of memory.) */
    if (!loop->batch_running || event_add(&loop->batch_event, &at_once) != 0)
        event_active(&loop->batch_event, EV_TIMEOUT, 0);
}

static void queue(weft_loop *loop, weft__batch *batch, weft__task *task,
                  void (*fn)(weft__task *))
{
    if (weft__task_queued(task))
        return;
    *task = (weft__task){.next = &nothing, .fn = fn};
    *batch->tail = task;
    batch->tail = &task->next;
    if (loop->batch_queued)
        return;
    loop->batch_queued = true;
    if (!looked_for(loop))
        weft__batch_wake(loop);
    else if (loop->depth == 0) /* else the callback's end sees to it */
        weft__round_look(loop);
}

void weft__loop_flush_later(weft_loop *loop, weft__task *task,
                            void (*fn)(weft__task *))
{
    queue(loop, &loop->flushes, task, fn);
}

void weft__loop_defer_task(weft_loop *loop, weft__task *task,
                           void (*fn)(weft__task *))
{
    queue(loop, &loop->deferred, task, fn);
}

static void run_deferred(weft__task *task)
{
    weft__deferred *d = (weft__deferred *)task;

    d->fn(d->arg);
}

void weft__loop_defer(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                      void *arg)
{
    if (weft__task_queued(&d->task))
        return;
    d->fn = fn;
    d->arg = arg;
    weft__loop_defer_task(loop, &d->task, run_deferred);
}

static bool take_out(weft__batch *batch, weft__task *task)
{
    weft__task **p;

    for (p = &batch->head; *p != &nothing; p = &(*p)->next) {
        if (*p != task)
            continue;
        if ((*p = task->next) == &nothing)
            batch->tail = p;
        task->next = NULL;
        return true;
    }
    return false;
}

void weft__loop_undefer(weft_loop *loop, weft__deferred *d)
{
    weft__task *task = &d->task;

    if (!weft__task_queued(task))
        return;
    (void)(take_out(&loop->flushes, task) || take_out(&loop->deferred, task) ||
           take_out(&loop->flushes_running, task) ||
           take_out(&loop->deferred_running, task));
}

static void move(weft__batch *to, weft__batch *from)
{
    if (from->head == &nothing)
        return;
    to->head = from->head;
    to->tail = from->tail;
    batch_reset(from);
}

/* Each is taken out before it runs: its function may free it, queue it again,
 * or undefer any other. */
static void run(weft__batch *batch)
{
    weft__task *task;

    while ((task = batch->head) != &nothing) {
        if ((batch->head = task->next) == &nothing)
            batch->tail = &batch->head;
        task->next = NULL;
        task->fn(task);
    }
}

void weft__batch_run(weft_loop *loop)
{
    if (loop->batch_running)
        return;
    loop->batch_running = true;
    loop->batch_queued = loop->batch_open = false;
    loop->batch_chunks = 0;
    move(&loop->flushes_running, &loop->flushes);
    move(&loop->deferred_running, &loop->deferred);
    run(&loop->flushes_running);
    run(&loop->deferred_running);
    loop->batch_running = false;
    /* Who queues himself again and again does not put off the others' end. */
    if (loop->batch_queued && loop->times_end > loop->times)
        weft__loop_settle_times(loop);
}

bool weft__batch_empty(const weft_loop *loop)
{
    return loop->flushes.head == &nothing && loop->deferred.head == &nothing &&
           loop->flushes_running.head == &nothing &&
           loop->deferred_running.head == &nothing;
}

bool weft__batch_due(const weft_loop *loop)
{
    return loop->batch_open && loop->batch_queued;
}

/* So much output waits that it is written now, for all: one by one, each write
 * would wake its reader, which on the same CPU takes over at once, for the one
 * connection that has something. */
static bool full(const weft_loop *loop)
{
    return loop->batch_chunks >= WEFT__CHUNKS_WARM && loop->batch_queued;
}

/* libevent has taken the callback that runs out of what is active. */
bool weft__loop_in_last(const weft_loop *loop)
{
    return loop->batch_open && loop->depth == 1 &&
           event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) ==
               loop->looks;
}

bool weft__batch_due_now(const weft_loop *loop)
{
    return full(loop) || (loop->batch_queued && weft__loop_in_last(loop));
}

void weft__batch_run_part(weft_loop *loop)
{
    bool open = loop->batch_open && full(loop);

    weft__batch_run(loop);
    /* Others of the round may follow, or another round. */
    loop->batch_open = open || loop->staying;
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
    loop->looks = false;
    if (!looked_for(loop)) {
        weft__batch_end(loop);
    } else if (loop->staying && !weft__run_may_stay(loop)) {
        if (weft__batch_due(loop)) /* now: it may tell the base to end */
            weft__batch_end(loop);
        loop->broke = !event_base_got_break(loop->base);
        event_base_loopbreak(loop->base);
    }
}

void weft__batch_init(weft_loop *loop)
{
    batch_reset(&loop->flushes);
    batch_reset(&loop->deferred);
    batch_reset(&loop->flushes_running);
    batch_reset(&loop->deferred_running);
    evtimer_assign(&loop->batch_event, loop->base, on_batch, loop);
}
