/* request.c - the packed request of a call.
 *
 * A call keeps it until its end, for it may have to go elsewhere.  A small one
 * lies in the call's arena, and the wire copies it.  A large one has memory of
 * its own, from which it is written: that may still be going on when the call
 * has ended, so those who hold it are counted.  What the caller lends of either
 * stays where it is. */
#include "client_internal.h"

struct weft__request {
    weft_loop *loop;
    size_t size; /* of the block that this heads; 0: it is in the arena */
    uint32_t refs;
    weft__slice lent; /* by the caller: the request's last bytes */
    void (*release)(void *arg);
    void *arg;
    _Alignas(max_align_t) uint8_t data[];
};

static void unref(void *arg)
{
    weft__request *r = arg;
    void (*release)(void *) = r->release;

    if (--r->refs > 0)
        return;
    arg = r->arg;
    if (r->size > 0)
        weft__loop_block_put(r->loop, r, r->size);
    if (release != NULL)
        release(arg);
}

uint8_t *weft__request_new(weft__client_call *call, size_t n, size_t len)
{
    weft_loop *loop = call->channel->loop;
    bool copied = len < WEFT__REF_BYTES;
    size_t size = sizeof(weft__request) + n;
    weft__request *r = copied     ? weft_arena_alloc(&call->arena, size)
                       : size > n ? weft__loop_block_get(loop, &size)
                                  : NULL;

    if (r == NULL)
        return NULL;
    *r = (weft__request){.loop = loop, .size = copied ? 0 : size, .refs = 1};
    call->shared = r;
    return r->data;
}

void weft__request_lend(weft__client_call *call, weft__slice lent,
                        void (*release)(void *arg), void *arg)
{
    call->shared->lent = lent;
    call->shared->release = release;
    call->shared->arg = arg;
}

void weft__request_share(weft__request *shared, weft__payload *payload)
{
    payload->tail = shared->lent;
    if (shared->size == 0)
        return; /* the wire copies it */
    shared->refs++;
    payload->release = unref;
    payload->arg = shared;
}

void weft__request_drop(weft__client_call *call)
{
    unref(call->shared);
    call->shared = NULL;
}
