/* loop_close.c - the end of a loop, in this order:
 *
 *  1. Posts are refused; those accepted before run.
 *  2. Children are told to close, youngest first; each removes itself when it
 * has ended, at once or later.
 *  3. What is queued for the end of the batch runs, until nothing is queued.
 *  4. The locals go, then the timers, what was buried, the events and the
 * memory.
 *  5. on_closed.
 *
 * Steps 1 and 2 run deferred, so from a fresh stack.  Step 4 cannot happen
 * while our base dispatches: there it is left to the run that is on the stack.
 */
#include "reactor_internal.h"

#include <unistd.h>
#include <weft/mem.h>

enum { FREE_ROUNDS = 1000 };

static void list_init(weft__loop_child *sentinel)
{
    sentinel->next = sentinel->prev = sentinel;
}

static void list_push(weft__loop_child *sentinel, weft__loop_child *child)
{
    child->next = sentinel->next;
    child->prev = sentinel;
    sentinel->next->prev = child;
    sentinel->next = child;
}

static void list_unlink(weft__loop_child *child)
{
    child->prev->next = child->next;
    child->next->prev = child->prev;
    child->next = child->prev = NULL;
}

static bool childless(const weft_loop *loop)
{
    return loop->children.next == &loop->children &&
           loop->ending.next == &loop->ending;
}

static void on_close_step(void *arg)
{
    weft_loop *loop = arg;

    weft__posts_run_all(loop);
    while (loop->children.next != &loop->children) {
        weft__loop_child *child = loop->children.next;

        list_unlink(child);
        list_push(&loop->ending, child);
        child->close(child);
    }
    loop->ended = childless(loop);
}

void weft__close_init(weft_loop *loop)
{
    list_init(&loop->children);
    list_init(&loop->ending);
}

void weft__loop_child_add(weft_loop *loop, weft__loop_child *child)
{
    list_push(&loop->children, child);
    if (loop->closing) /* a late one: it is closed too */
        weft__loop_defer(loop, &loop->close_step, on_close_step, loop);
}

void weft__loop_child_remove(weft_loop *loop, weft__loop_child *child)
{
    if (child->next == NULL)
        return;
    list_unlink(child);
    if (loop->closing && childless(loop))
        weft__loop_defer(loop, &loop->close_step, on_close_step, loop);
}

bool weft__loop_closing(const weft_loop *loop)
{
    return loop->closing;
}

void weft__loop_bury(weft_loop *loop, weft__deferred *d, void (*fn)(void *),
                     void *arg)
{
    *d = (weft__deferred){.fn = fn, .arg = arg};
    d->task.next = loop->buried;
    loop->buried = &d->task;
}

void weft_loop_close(weft_loop *loop, void (*on_closed)(void *user), void *user)
{
    if (loop == NULL || loop->closing)
        return;
    loop->closing = true;
    loop->on_closed = on_closed;
    loop->on_closed_user = user;
    weft__posts_refuse(loop);
    weft__loop_defer(loop, &loop->close_step, on_close_step, loop);
}

static bool may_go(const weft_loop *loop)
{
    return loop->ended && childless(loop) && weft__batch_empty(loop);
}

void weft__loop_after_batch(weft_loop *loop)
{
    if (!may_go(loop))
        return;
    if (loop->own_base || loop->in_run) {
        loop->closed = true;
        event_base_loopbreak(loop->base);
    } else {
        weft__loop_finalize(loop);
    }
}

static void run_batch(weft_loop *loop)
{
    weft__loop_enter(loop, "end of batch");
    weft__batch_run(loop);
    weft__loop_leave(loop);
}

void weft__loop_finalize(weft_loop *loop)
{
    void (*on_closed)(void *user) = loop->on_closed;
    void *user = loop->on_closed_user;
    int i;

    for (i = WEFT__LOCAL_COUNT - 1; i >= 0; i--) {
        void *object = loop->locals[i].object;

        loop->locals[i].object = NULL;
        if (object != NULL && loop->locals[i].fini != NULL)
            loop->locals[i].fini(object);
    }
    for (i = 0; i < FREE_ROUNDS && !weft__batch_empty(loop); i++)
        run_batch(loop); /* what the locals left behind */
    weft__wheel_fini(loop);
    while (loop->buried != NULL) {
        weft__deferred *d = (weft__deferred *)loop->buried;

        loop->buried = d->task.next;
        d->fn(d->arg);
    }
    weft__posts_fini(loop);
    weft__event_fini(&loop->batch_event);
    weft__store_fini(loop);
    weft__index_drop(loop);
    if (loop->own_base)
        event_base_free(loop->base);
    weft_free(loop);
    if (on_closed != NULL)
        on_closed(user);
}

void weft_loop_free(weft_loop *loop)
{
    int i;

    if (loop == NULL)
        return;
    weft_loop_close(loop, NULL, NULL);
    if (loop->depth > 0 || loop->in_run)
        return;
    /* The child shares the parent's epoll: taking it apart here would take it
     * apart there. */
    if (weft__loop_forked(loop, "weft_loop_free"))
        return;
    for (i = 0; i < FREE_ROUNDS && !loop->closed && !may_go(loop); i++) {
        run_batch(loop);
        if (may_go(loop) || !loop->own_base)
            continue;
        loop->in_run = true;
        event_base_loop(loop->base, WEFT__ROUND);
        loop->in_run = false;
    }
    if (loop->closed || may_go(loop)) {
        weft__loop_finalize(loop);
        return;
    }
    weft_log_error("a loop could not be freed",
                   "reason=\"something on it has not ended\"");
}
