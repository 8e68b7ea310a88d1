/* consul_json.c - JSON by events, a slice at a time; the one file that uses
 * yajl.
 *
 *  I1. yajl never sees a token in two pieces: it would read a long one again
 * from its start with every piece.  A scanner of ours cuts between tokens. I2.
 * yajl does not check its allocations.  They come from a list of ours, and when
 * there is no memory, on_* jumps out over yajl's frames, which own nothing
 * else; weft__json_free() then drops the list. I3. yajl has no limit to depth:
 * we count.  Its tree API recurses and is not used. */
#include "consul_internal.h"

#include <setjmp.h>
#include <string.h>
#include <weft/mem.h>
#include <yajl/yajl_parse.h>

typedef union block block; /* precedes each allocation of yajl's */
union block {
    struct {
        block *next, **pprev;
    } link;
    max_align_t align;
};

struct weft__json {
    const weft__json_visitor *visitor;
    void *user;
    const uint8_t *body;
    size_t len, pos;
    bool in_string, escaped; /* the scanner, at pos */
    yajl_handle yajl;
    yajl_alloc_funcs memory;
    block *blocks;
    jmp_buf no_memory;
    weft_status status; /* why a callback stopped */
    weft__json_at at;
    weft__json_type inside[WEFT__JSON_DEPTH];
};

static void link_block(weft__json *j, block *b)
{
    b->link.next = j->blocks;
    b->link.pprev = &j->blocks;
    if (j->blocks != NULL)
        j->blocks->link.pprev = &b->link.next;
    j->blocks = b;
}

static void unlink_block(block *b)
{
    *b->link.pprev = b->link.next;
    if (b->link.next != NULL)
        b->link.next->link.pprev = b->link.pprev;
}

static void *on_realloc(void *ctx, void *p, size_t size)
{
    weft__json *j = ctx;
    block *old = p != NULL ? (block *)p - 1 : NULL, *b;

    if (old != NULL)
        unlink_block(old);
    b = size < SIZE_MAX / 2 ? weft_realloc(old, sizeof(*b) + size) : NULL;
    if (b == NULL) {
        if (old != NULL)
            link_block(j, old);
        longjmp(j->no_memory, 1);
    }
    link_block(j, b);
    return b + 1;
}

static void *on_malloc(void *ctx, size_t size)
{
    return on_realloc(ctx, NULL, size);
}

static void on_free(void *ctx, void *p)
{
    block *b = p != NULL ? (block *)p - 1 : NULL;

    (void)ctx;
    if (b != NULL)
        unlink_block(b);
    weft_free(b);
}

static int verdict(weft__json *j, weft_status status)
{
    j->status = status;
    return status == WEFT_OK;
}

/* Keys of arrays are "". */
static int value(weft__json *j, weft__json_type type, const char *text,
                 size_t len)
{
    return verdict(j, j->visitor->value(j->user, &j->at, type, text, len));
}

static int on_null(void *ctx)
{
    return value(ctx, WEFT__JSON_NULL, "null", 4);
}

static int on_boolean(void *ctx, int yes)
{
    return value(ctx, WEFT__JSON_BOOL, yes ? "true" : "false", yes ? 4 : 5);
}

static int on_number(void *ctx, const char *text, size_t len)
{
    return value(ctx, WEFT__JSON_NUMBER, text, len);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    return value(ctx, WEFT__JSON_STRING, (const char *)text, len);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    weft__json *j = ctx;

    if (j->at.depth > WEFT__JSON_KEYS)
        return 1;
    if (len >= WEFT__JSON_KEY_BYTES || memchr(text, '\0', len) != NULL)
        len = 0;
    memcpy(j->at.key[j->at.depth - 1], text, len);
    j->at.key[j->at.depth - 1][len] = '\0';
    return 1;
}

static int begin(weft__json *j, weft__json_type type)
{
    if (j->at.depth >= WEFT__JSON_DEPTH)
        return verdict(j, WEFT_ELIMIT);
    if (!verdict(j, j->visitor->begin(j->user, &j->at, type)))
        return 0;
    j->inside[j->at.depth++] = type;
    if (j->at.depth <= WEFT__JSON_KEYS)
        j->at.key[j->at.depth - 1][0] = '\0';
    return 1;
}

static int end(weft__json *j)
{
    j->at.depth--;
    return verdict(j, j->visitor->end(j->user, &j->at, j->inside[j->at.depth]));
}

static int on_begin_map(void *ctx)
{
    return begin(ctx, WEFT__JSON_OBJECT);
}

static int on_begin_array(void *ctx)
{
    return begin(ctx, WEFT__JSON_ARRAY);
}

static int on_end(void *ctx)
{
    return end(ctx);
}

static yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_begin_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_begin_array,
    .yajl_end_array = on_end,
};

weft_status weft__json_new(weft__json **out, const weft__json_visitor *visitor,
                           void *user, const void *body, size_t len)
{
    weft__json *j = weft_calloc(1, sizeof(*j));

    if (j == NULL)
        return WEFT_ENOMEM;
    j->visitor = visitor;
    j->user = user;
    j->body = body;
    j->len = len;
    j->memory = (yajl_alloc_funcs){on_malloc, on_realloc, on_free, j};
    if (setjmp(j->no_memory) != 0) {
        weft__json_free(j);
        return WEFT_ENOMEM;
    }
    j->yajl = yajl_alloc(&callbacks, &j->memory, j);
    *out = j;
    return WEFT_OK;
}

/* The end of the next slice (I1), or 0 when a token is too long. */
static size_t slice_end(weft__json *j)
{
    size_t limit = WEFT__JSON_SLICE + WEFT__JSON_TOKEN;

    for (size_t i = j->pos; i < j->len; i++) {
        uint8_t c = j->body[i];

        if (i - j->pos >= limit)
            return 0;
        if (j->in_string) {
            if (j->escaped)
                j->escaped = false;
            else if (c == '\\')
                j->escaped = true;
            else if (c == '"')
                j->in_string = false;
        } else if (c == '"') {
            j->in_string = true;
        } else if (i - j->pos >= WEFT__JSON_SLICE &&
                   (c == ',' || c == ']' || c == '}')) {
            return i + 1;
        }
    }
    return j->len;
}

weft_status weft__json_step(weft__json *j)
{
    yajl_status status;
    size_t to;

    if (setjmp(j->no_memory) != 0)
        return WEFT_ENOMEM;
    if (j->len == 0)
        return WEFT_ESYNTAX;
    if ((to = slice_end(j)) == 0)
        return WEFT_ELIMIT;
    status = yajl_parse(j->yajl, j->body + j->pos, to - j->pos);
    if (status == yajl_status_ok) {
        j->pos = to;
        if (to < j->len)
            return WEFT_EAGAIN;
        status = yajl_complete_parse(j->yajl);
    } else {
        j->pos += yajl_get_bytes_consumed(j->yajl);
    }
    if (status == yajl_status_client_canceled)
        return j->status;
    return status == yajl_status_ok ? WEFT_OK : WEFT_ESYNTAX;
}

size_t weft__json_offset(const weft__json *j)
{
    return j->pos;
}

void weft__json_free(weft__json *j)
{
    if (j == NULL)
        return;
    while (j->blocks != NULL)
        on_free(j, j->blocks + 1);
    weft_free(j);
}

weft_status weft__json_parse(const weft__json_visitor *visitor, void *user,
                             const void *body, size_t len)
{
    weft__json *j;
    weft_status status = weft__json_new(&j, visitor, user, body, len);

    if (status != WEFT_OK)
        return status;
    do
        status = weft__json_step(j);
    while (status == WEFT_EAGAIN);
    weft__json_free(j);
    return status;
}

bool weft__json_u64(const char *text, size_t len, uint64_t *out)
{
    uint64_t n = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}
