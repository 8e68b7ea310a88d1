/* native_v0.c - replies to version 0 peers, in the order of their requests.
 *
 * gorpc knows no ids: a reply belongs to the oldest request that has none.  The
 * application may answer in any order; what comes too early is encoded and
 * parked until everything before it has been answered.  The replies that an
 * answer sets free are queued in one piece together with it, so that being out
 * of memory leaves all of them where they were. */
#include "native_internal.h"

#include <weft/mem.h>

static weft__v0_reply *at(weft__v0_fifo *fifo, uint64_t number)
{
    return &fifo->ring[number & (fifo->cap - 1)];
}

uint32_t weft__v0_open(const weft__native *w)
{
    return w->v0 != NULL ? w->v0->open : 0;
}

uint32_t weft__v0_pending(const weft__native *w)
{
    return w->v0 != NULL ? w->v0->n : 0;
}

static bool is_open(weft__v0_fifo *fifo, uint64_t number)
{
    return fifo != NULL && number >= fifo->first &&
           number - fifo->first < fifo->n && at(fifo, number)->frame == NULL;
}

/* The same ring, twice as large; or the first one. */
static weft__v0_fifo *grow(weft__v0_fifo *old)
{
    uint32_t cap = old != NULL ? old->cap * 2 : 4;
    weft__v0_fifo *fifo =
        weft_malloc(sizeof(*fifo) + cap * sizeof(fifo->ring[0]));

    if (fifo == NULL)
        return NULL;
    *fifo = (weft__v0_fifo){.cap = cap};
    if (old == NULL)
        return fifo;
    fifo->first = old->first;
    fifo->n = old->n;
    fifo->open = old->open;
    for (uint64_t i = old->first; i < old->first + old->n; i++)
        *at(fifo, i) = *at(old, i);
    weft_free(old);
    return fifo;
}

weft_status weft__v0_push(weft__native *w, uint64_t *number)
{
    weft__v0_fifo *fifo = w->v0;

    if (fifo == NULL || fifo->n == fifo->cap) {
        if ((fifo = grow(fifo)) == NULL)
            return WEFT_ENOMEM;
        w->v0 = fifo;
    }
    *number = fifo->first + fifo->n;
    *at(fifo, *number) = (weft__v0_reply){0};
    fifo->n++;
    fifo->open++;
    return WEFT_OK;
}

void weft__v0_undo(weft__native *w)
{
    w->v0->n--;
    w->v0->open--;
}

/* The frame of one reply, whole. */
typedef struct encoded {
    weft__response_head head;
    weft__frame frame;
    size_t head_size;
} encoded;

static weft_status encode(encoded *e, const weft__wire_response *r)
{
    bool ok = r->status == WEFT_OK && r->raw_code == 0;
    weft_status status;

    e->head = (weft__response_head){
        .response = r, .message = r->message, .has_payload = ok, .v0 = true};
    e->frame = (weft__frame){0};
    if (ok) {
        e->head.message = weft__text("success");
        e->head.payload_len = r->payload.len;
        if (r->payload.len == 0 && weft__is_protobuf(r->content_type))
            e->head.payload_len = WEFT__V0_FILLER_BYTES;
    } else {
        e->head.code =
            r->raw_code != 0 ? r->raw_code : weft_status_to_gorpc(r->status);
        if (r->message.len == 0)
            e->head.message = weft__text(weft_status_text(r->status));
    }
    status = weft__response_head_size(&e->head, &e->head_size);
    if (status != WEFT_OK)
        return status;
    if (e->head_size + e->head.payload_len > WEFT__V0_MAX_BODY)
        return WEFT_ELIMIT;
    e->frame.length = (uint32_t)(e->head_size + e->head.payload_len);
    return WEFT_OK;
}

static uint8_t *put_head(uint8_t *p, const encoded *e)
{
    return weft__response_head_put(weft__frame_put(p, &e->frame), &e->head);
}

static uint8_t *put_whole(uint8_t *p, const encoded *e)
{
    const weft__payload *payload = &e->head.response->payload;

    p = put_head(p, e);
    if (e->head.has_payload)
        p = weft__payload_put(p, payload, e->head.payload_len);
    weft__payload_done(payload);
    return p;
}

static weft_status park(weft__native *w, weft__v0_reply *reply,
                        const encoded *e)
{
    uint32_t size = WEFT__FRAME_HEADER + e->frame.length;
    uint8_t *p;

    if (size > UINT32_MAX - w->wire.held || (p = weft_malloc(size)) == NULL)
        return WEFT_ENOMEM;
    put_whole(p, e);
    reply->frame = p;
    reply->size = size;
    w->wire.held += size;
    return WEFT_OK;
}

/* Queues e, the oldest call's, and the parked replies behind it. */
static weft_status send_run(weft__native *w, const encoded *e)
{
    weft__v0_fifo *fifo = w->v0;
    const weft__payload *payload = &e->head.response->payload;
    uint64_t i = fifo->first + 1, end = fifo->first + fifo->n;
    size_t parked = 0, own = WEFT__FRAME_HEADER + (size_t)e->frame.length;
    weft__slice lent = {0};
    uint8_t *p;

    for (; i < end && at(fifo, i)->frame != NULL; i++)
        parked += at(fifo, i)->size;
    if (e->head.has_payload && parked == 0)
        lent = weft__payload_lent(payload);
    own -= lent.len;
    if ((p = weft__outq_reserve(&w->wire.out, own + parked)) == NULL)
        return WEFT_ENOMEM;
    if (lent.len == 0)
        p = put_whole(p, e);
    else if (weft__payload_queue(w, put_head(p, e), payload, payload->len, lent,
                                 own) != WEFT_OK)
        return WEFT_ENOMEM;
    for (end = i, i = fifo->first + 1; i < end; i++) {
        weft__v0_reply *reply = at(fifo, i);

        memcpy(p, reply->frame, reply->size);
        p += reply->size;
        weft_free(reply->frame);
    }
    w->wire.held -= (uint32_t)parked;
    fifo->n -= (uint32_t)(end - fifo->first);
    fifo->first = end;
    return WEFT_OK;
}

weft_status weft__v0_answer(weft__native *w, uint64_t number,
                            const weft__wire_response *response)
{
    weft__v0_fifo *fifo = w->v0;
    weft_status status;
    encoded e;

    if (!is_open(fifo, number))
        return WEFT_ENOENT;
    if ((status = encode(&e, response)) != WEFT_OK)
        return status;
    status =
        number == fifo->first ? send_run(w, &e) : park(w, at(fifo, number), &e);
    if (status == WEFT_OK)
        fifo->open--;
    return status;
}

void weft__v0_fini(weft__native *w)
{
    weft__v0_fifo *fifo = w->v0;

    if (fifo == NULL)
        return;
    for (uint64_t i = fifo->first; i < fifo->first + fifo->n; i++)
        weft_free(at(fifo, i)->frame);
    weft_free(fifo);
    w->v0 = NULL;
}
