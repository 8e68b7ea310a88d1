/* signal.c - SIGTERM and SIGINT on one loop of the process. */
#include <weft/signal.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdatomic.h>
#include <weft/log.h>
#include <weft/mem.h>

#include "reactor_internal.h"

static atomic_bool taken;

struct weft__signals {
    weft_loop *loop;
    weft__signal_cb cb; /* NULL: closed */
    void *user;
    struct event term, intr;
    weft__deferred release;
};

static void on_signal(evutil_socket_t signum, short what, void *arg)
{
    weft__signals *s = arg;
    weft_loop *loop = s->loop;

    (void)what;
    weft__loop_enter(loop, "signal");
    if (s->cb != NULL)
        s->cb((int)signum, s->user);
    weft__loop_leave(loop);
}

weft_status weft__signals_new(weft__signals **out, weft_loop *loop,
                              weft__signal_cb cb, void *user)
{
    weft__signals *s;
    bool expected = false;

    if (!loop->own_base)
        return WEFT_ENOTSUP;
    if (!atomic_compare_exchange_strong(&taken, &expected, true))
        return WEFT_ESTATE;
    if ((s = weft_calloc(1, sizeof *s)) == NULL)
        goto fail;
    s->loop = loop;
    s->cb = cb;
    s->user = user;
    evsignal_assign(&s->term, loop->base, SIGTERM, on_signal, s);
    evsignal_assign(&s->intr, loop->base, SIGINT, on_signal, s);
    if (event_add(&s->term, NULL) != 0 || event_add(&s->intr, NULL) != 0) {
        weft__event_fini(&s->term);
        weft__event_fini(&s->intr);
        goto fail;
    }
    *out = s;
    return WEFT_OK;

fail:
    weft_free(s);
    atomic_store(&taken, false);
    return WEFT_ENOMEM;
}

void weft__signals_close(weft__signals *s)
{
    if (s == NULL || s->cb == NULL)
        return;
    s->cb = NULL;
    weft__event_fini(&s->term);
    weft__event_fini(&s->intr);
    atomic_store(&taken, false);
    weft__loop_defer(s->loop, &s->release, weft_free, s);
}
