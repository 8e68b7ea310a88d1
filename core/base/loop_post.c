/* loop_post.c - how other threads reach a loop.
 *
 * Producers push on a lock-free stack (Treiber, 1986); the loop takes all of it
 * with one exchange, so that there is no ABA, and turns it round.  Only the
 * push that finds the stack empty writes to the wakeup.  A closing loop leaves
 * a mark in the stack's place: a push either came before it and will run, or
 * sees it and is refused.
 *
 *  P1. A thread inside weft_loop_post() is counted, and the loop's memory and
 *      descriptors stay until the count is zero. */
#include "reactor_internal.h"

#include <sched.h>
#include <weft/mem.h>

enum { POSTS_PER_WAKEUP = 256 };

static weft__post closed_mark;

static weft_status push(weft_loop *loop, weft__post *post)
{
    weft__post *head = atomic_load(&loop->posted);

    do {
        if (head == &closed_mark)
            return WEFT_ECLOSED;
        post->next = head;
    } while (!atomic_compare_exchange_weak(&loop->posted, &head, post));
    if (head == NULL)
        weft__wakeup_signal(&loop->wakeup);
    return WEFT_OK;
}

weft_status weft_loop_post(weft_loop *loop, void (*fn)(void *arg), void *arg)
{
    weft__post *post;
    weft_status status = WEFT_ENOMEM;

    if (loop == NULL || fn == NULL)
        return WEFT_EINVAL;
    if (weft__loop_forked(loop, "weft_loop_post"))
        return WEFT_ESTATE;
    atomic_fetch_add(&loop->posters, 1);
    if ((post = weft_malloc(sizeof *post)) != NULL) {
        *post = (weft__post){.fn = fn, .arg = arg};
        if ((status = push(loop, post)) != WEFT_OK)
            weft_free(post);
    }
    atomic_fetch_sub(&loop->posters,
                     1); /* P1: the loop may be gone from here */
    return status;
}

weft_status weft__loop_post_node(weft_loop *loop, weft__post *post,
                                 void (*fn)(void *arg), void *arg)
{
    weft_status status;

    if (weft__loop_forked(loop, "a post"))
        return WEFT_ESTATE;
    *post = (weft__post){.fn = fn, .arg = arg, .borrowed = true};
    atomic_fetch_add(&loop->posters, 1);
    status = push(loop, post);
    atomic_fetch_sub(&loop->posters, 1); /* P1 */
    return status;
}

/* Appends what was taken from the stack, oldest first. */
static void append(weft_loop *loop, weft__post *newest)
{
    weft__post *oldest = NULL;
    weft__post *last = newest;

    if (newest == NULL)
        return;
    while (newest != NULL) {
        weft__post *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    *loop->posts_tail = oldest;
    loop->posts_tail = &last->next;
}

static void take(weft_loop *loop)
{
    weft__post *head = atomic_load(&loop->posted);

    do {
        if (head == NULL || head == &closed_mark)
            return;
    } while (!atomic_compare_exchange_weak(&loop->posted, &head, NULL));
    append(loop, head);
}

static void run_first(weft_loop *loop)
{
    weft__post *post = loop->posts;
    void (*fn)(void *arg) = post->fn;
    void *arg = post->arg;

    if ((loop->posts = post->next) == NULL)
        loop->posts_tail = &loop->posts;
    if (!post->borrowed)
        weft_free(post);
    weft__loop_span_begin(loop, "posted function");
    fn(arg);
    weft__loop_span_end(loop);
}

static void on_wakeup(evutil_socket_t fd, short what, void *arg)
{
    weft_loop *loop = arg;
    int n;

    (void)fd;
    (void)what;
    weft__loop_enter(loop, "posts");
    weft__wakeup_drain(&loop->wakeup); /* before take(): nothing gets lost */
    take(loop);
    for (n = 0; n < POSTS_PER_WAKEUP && loop->posts != NULL; n++)
        run_first(loop);
    if (loop->posts != NULL)
        weft__wakeup_signal(&loop->wakeup); /* go on in the next round */
    weft__loop_leave_last(loop);
}

weft_status weft__posts_init(weft_loop *loop)
{
    weft_status status = weft__wakeup_init(&loop->wakeup);

    if (status != WEFT_OK)
        return status;
    atomic_init(&loop->posted, NULL);
    atomic_init(&loop->posters, 0);
    loop->posts_tail = &loop->posts;
    event_assign(&loop->wakeup_event, loop->base, loop->wakeup.read_fd,
                 EV_READ | EV_PERSIST, on_wakeup, loop);
    if (event_add(&loop->wakeup_event, NULL) != 0) {
        weft__wakeup_fini(&loop->wakeup);
        return WEFT_EIO;
    }
    loop->helpers++;
    return WEFT_OK;
}

bool weft__posts_pending(const weft_loop *loop)
{
    weft__post *head = atomic_load(&((weft_loop *)loop)->posted);

    return loop->posts != NULL || (head != NULL && head != &closed_mark);
}

void weft__posts_refuse(weft_loop *loop)
{
    weft__post *head = atomic_exchange(&loop->posted, &closed_mark);

    if (head != &closed_mark)
        append(loop, head);
}

void weft__posts_run_all(weft_loop *loop)
{
    take(loop);
    while (loop->posts != NULL)
        run_first(loop);
}

void weft__posts_fini(weft_loop *loop)
{
    while (atomic_load(&loop->posters) > 0)
        sched_yield(); /* P1: a few instructions of another thread */
    weft__event_fini(&loop->wakeup_event);
    weft__wakeup_fini(&loop->wakeup);
}
