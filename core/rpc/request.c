/* request.c - the packed request of a call.
 *
 * A call keeps it until its end, for it may have to go elsewhere.  A small one
 * lies in the call's arena, and the wire copies it.  A large one has memory of
 * its own, from which it is written: that may still be going on when the call
 * has ended, so those who hold it are counted. */
#include "client_internal.h"

struct weft__request {
    weft_loop *loop;
    size_t size; /* of the block that this heads */
    uint32_t refs;
    _Alignas(max_align_t) uint8_t data[];
};

static void unref(void *arg)
{
    weft__request *r = arg;

    if (--r->refs == 0)
        weft__loop_block_put(r->loop, r, r->size);
}

uint8_t *weft__request_new(weft__client_call *call, size_t len)
{
    weft_loop *loop = call->channel->loop;
    size_t size = sizeof(weft__request) + len;
    weft__request *r = size > len ? weft__loop_block_get(loop, &size) : NULL;

    if (r == NULL)
        return NULL;
    *r = (weft__request){.loop = loop, .size = size, .refs = 1};
    call->shared = r;
    return r->data;
}

void weft__request_share(weft__request *shared, weft__payload *payload)
{
    shared->refs++;
    payload->release = unref;
    payload->arg = shared;
}

void weft__request_drop(weft__client_call *call)
{
    unref(call->shared);
    call->shared = NULL;
}
