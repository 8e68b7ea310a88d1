/* result.c - the current result, and taking it along. */
#include "client_internal.h"

#include <string.h>
#include <weft/arena_internal.h>
#include <weft/mem.h>

_Thread_local weft__client_call *weft__current_call;
_Thread_local const weft_result *weft__current_result;

const weft_result *weft_current_result(void)
{
    return weft__current_result;
}

/* A refused call has no record; its result gets one when it is kept. */
static weft_result *keep_refusal(const weft_result *r)
{
    weft__client_call *copy = weft_calloc(1, WEFT__CALL_BYTES);
    char *message;

    if (copy == NULL)
        return NULL;
    weft__arena_init(&copy->arena, NULL, copy->first_chunk, WEFT__CALL_ARENA,
                     0);
    message = weft_arena_strndup(&copy->arena, r->message, strlen(r->message));
    if (message == NULL) {
        weft_result_free(&copy->result);
        return NULL;
    }
    copy->result = *r;
    copy->result.message = message;
    return &copy->result;
}

/* From the buffer that the reply came in. */
static bool take_bytes(weft__client_call *call)
{
    weft_result *r = &call->result;
    weft__slice from = call->borrowed;
    uint8_t *to;

    if (from.len == 0)
        return true;
    if ((to = weft_arena_alloc(&call->arena, from.len)) == NULL)
        return false;
    memcpy(to, from.data, from.len);
    if (call->output != NULL)
        weft__protobuf_moved((ProtobufCMessage *)(uintptr_t)r->reply, from, to);
    else
        r->payload = to;
    return true;
}

weft_result *weft_result_keep(void)
{
    weft__client_call *call = weft__current_call;
    weft_result *r;

    if (weft__current_result == NULL)
        return NULL;
    if (call == NULL)
        return keep_refusal(weft__current_result);
    if (call->kept)
        return NULL; /* it is owned already */
    r = &call->result;
    if (r->peer[0] != '\0') { /* it lies in the subchannel, which may go */
        const char *peer =
            weft_arena_strndup(&call->arena, r->peer, strlen(r->peer));
        if (peer == NULL)
            return NULL;
        r->peer = peer;
    }
    if ((r->reply != NULL || r->payload != NULL) && !take_bytes(call))
        return NULL;
    weft__arena_leave_loop(&call->arena);
    call->kept = true;
    return r;
}

void weft_result_free(weft_result *result)
{
    weft__client_call *call = (weft__client_call *)result;

    if (call == NULL)
        return;
    if (call->telling) { /* in its own callback: it goes after that */
        call->kept = false;
        return;
    }
    weft_arena_fini(&call->arena);
    weft_free(call);
}
