/* outq.c - bytes that wait to be written.
 *
 * Chunks from the loop's pool are filled from the front with segment records
 * and the small pieces themselves, so that in the steady state nothing is
 * allocated:
 *
 *     chunk: | head | record | bytes bytes bytes | record (ref) | record |
 * bytes
 *
 *  I1. A chunk counts the segments in it, and goes back when the last one is
 *      consumed.  Segments are consumed in order, so only the tail's chunk is
 *      ever written to.
 *  I2. Bytes of a chunk are only ever appended: what weft__outq_iov() handed
 * out stays where and what it was, though its segment may have grown since. I3.
 * A piece that fits no chunk is a segment with memory of its own. */
#include <weft/mem.h>
#include <weft/outq.h>

#include <assert.h>
#include <string.h>

typedef weft__outq_chunk chunk;

#define ALIGN_UP(n)                                                            \
    (((n) + _Alignof(weft__segment) - 1) & ~(_Alignof(weft__segment) - 1))
#define PIECE_MAX                                                              \
    (WEFT__CHUNK_BYTES - ALIGN_UP(sizeof(chunk)) - sizeof(weft__segment))

void weft__outq_init(weft__outq *q, weft_loop *loop)
{
    *q = (weft__outq){.loop = loop};
}

static void push(weft__outq *q, weft__segment *s)
{
    weft__segment *last = q->tail;

    s->next = last != NULL ? last->next : s;
    if (last != NULL)
        last->next = s;
    q->tail = s;
    q->bytes += s->len;
}

static void pop(weft__outq *q)
{
    weft__segment *last = q->tail, *s = last->next;
    void (*release)(void *) = s->release;
    void *arg = s->arg;
    chunk *c = s->chunk;

    q->bytes -= s->len;
    last->next = s->next;
    if (s == last)
        q->tail = NULL;
    if (c == NULL)
        weft__loop_block_put(q->loop, s, s->block_size);
    else if (--c->segments == 0)
        weft__loop_chunk_put(q->loop, c);
    if (release != NULL)
        release(arg);
}

/* A record in the tail's chunk, or in a new one, with n bytes behind it.  The
 * caller pushes it. */
static weft__segment *carve(weft__outq *q, size_t n)
{
    chunk *c = q->tail != NULL ? q->tail->chunk : NULL;
    size_t at = c != NULL ? ALIGN_UP(c->used) : 0;
    weft__segment *s;

    if (c == NULL || at + sizeof(*s) + n > WEFT__CHUNK_BYTES) {
        if ((c = weft__loop_chunk_get(q->loop)) == NULL)
            return NULL;
        *c = (chunk){0};
        at = ALIGN_UP(sizeof(*c));
    }
    s = (weft__segment *)(void *)((uint8_t *)c + at);
    *s = (weft__segment){.chunk = c, .data = (uint8_t *)(s + 1), .len = n};
    c->segments++;
    c->used = (uint32_t)(at + sizeof(*s) + n);
    return s;
}

uint8_t *weft__outq_reserve_segment(weft__outq *q, size_t n)
{
    weft__segment *s;
    size_t size = sizeof(*s) + n;

    if (n <= PIECE_MAX) {
        s = carve(q, n);
    } else if (n <= SIZE_MAX - sizeof(*s) &&
               (s = weft__loop_block_get(q->loop, &size)) != NULL) {
        *s = (weft__segment){
            .data = (uint8_t *)(s + 1), .len = n, .block_size = size};
    } else {
        s = NULL;
    }
    if (s == NULL)
        return NULL;
    s->packed = true;
    push(q, s);
    return s->data;
}

void weft__outq_trim(weft__outq *q, size_t n)
{
    weft__segment *s = q->tail;

    if (n == 0)
        return;
    assert(s != NULL && s->packed && n <= s->len);
    s->len -= n;
    q->bytes -= n;
    if (s->chunk != NULL)
        s->chunk->used -= (uint32_t)n;
    if (q->bytes == 0)
        weft__outq_fini(q); /* an empty queue holds no memory */
}

weft_status weft__outq_ref(weft__outq *q, const void *data, size_t n,
                           void (*release)(void *arg), void *arg)
{
    weft__segment *s;

    if (n == 0) {
        if (release != NULL)
            release(arg);
        return WEFT_OK;
    }
    if ((s = carve(q, 0)) == NULL)
        return WEFT_ENOMEM;
    /* An iovec has no const; nothing of ours writes there. */
    s->data = (uint8_t *)(uintptr_t)data;
    s->len = n;
    s->release = release;
    s->arg = arg;
    push(q, s);
    return WEFT_OK;
}

int weft__outq_iov(const weft__outq *q, struct iovec *iov, int max)
{
    const weft__segment *s = q->tail;
    int n = 0;

    if (s == NULL)
        return 0;
    do {
        s = s->next;
        if (s->len > 0)
            iov[n++] = (struct iovec){s->data, s->len};
    } while (s != q->tail && n < max);
    return n;
}

void weft__outq_consume(weft__outq *q, size_t n)
{
    assert(n <= q->bytes);
    while (q->tail != NULL && n >= q->tail->next->len) {
        n -= q->tail->next->len;
        pop(q);
    }
    if (n > 0) {
        q->tail->next->data += n;
        q->tail->next->len -= n;
        q->bytes -= n;
    }
}

void weft__outq_fini(weft__outq *q)
{
    while (q->tail != NULL)
        pop(q);
}
