/* consul_json.c - JSON by events, a slice at a time; the one file that uses
 * yajl.
 *
 *  I1. yajl never sees a token in two pieces: it would read a long one again
 *      from its start with every piece.  A scanner of ours cuts between tokens;
 *      what is behind the last cut waits in the buffer.
 *
 *  I2. yajl does not check its allocations.  They come from a list of ours, and
 *      when there is no memory, on_* jumps out over the frames of yajl, which
 *      own nothing else; weft__json_free() then drops the list.
 *
 *  I3. yajl has no limit to depth: we count.  Its tree API recurses and is not
 *      used.
 */
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
    weft__json_source source;
    void *from;
    weft__buf buf;           /* read, and not yet parsed */
    size_t scanned;          /* of buf, by the scanner */
    bool in_string, escaped; /* the scanner's, there */
    size_t done;             /* bytes parsed */
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
                           void *user, weft__json_source source, void *from)
{
    weft__json *j = weft_calloc(1, sizeof(*j));

    if (j == NULL)
        return WEFT_ENOMEM;
    j->visitor = visitor;
    j->user = user;
    j->source = source;
    j->from = from;
    j->memory = (yajl_alloc_funcs){on_malloc, on_realloc, on_free, j};
    if (setjmp(j->no_memory) != 0) {
        weft__json_free(j);
        return WEFT_ENOMEM;
    }
    j->yajl = yajl_alloc(&callbacks, &j->memory, j);
    *out = j;
    return WEFT_OK;
}

/* Scans what is new in the buffer; returns the last place between two tokens
 * (I1), 0 when there is none. */
static size_t last_cut(weft__json *j)
{
    size_t cut = 0;

    for (; j->scanned < j->buf.len; j->scanned++) {
        uint8_t c = j->buf.data[j->scanned];

        if (j->in_string) {
            if (j->escaped)
                j->escaped = false;
            else if (c == '\\')
                j->escaped = true;
            else if (c == '"')
                j->in_string = false;
        } else if (c == '"') {
            j->in_string = true;
        } else if (c == ',' || c == ']' || c == '}' || c == '[') {
            cut = j->scanned + 1;
        }
    }
    return cut;
}

/* Hands the first n bytes of the buffer to yajl; at the end it must have been
 * one whole value. */
static weft_status parse(weft__json *j, size_t n, bool at_end)
{
    yajl_status status;

    if (setjmp(j->no_memory) != 0)
        return WEFT_ENOMEM;
    status = n > 0 ? yajl_parse(j->yajl, j->buf.data, n) : yajl_status_ok;
    if (status != yajl_status_ok) {
        j->done += yajl_get_bytes_consumed(j->yajl);
    } else {
        j->done += n;
        if (at_end)
            status = yajl_complete_parse(j->yajl);
    }
    if (status == yajl_status_client_canceled)
        return j->status;
    return status == yajl_status_ok ? WEFT_OK : WEFT_ESYNTAX;
}

weft_status weft__json_step(weft__json *j)
{
    weft_status status;
    size_t got, cut;

    if (weft__buf_reserve(&j->buf, WEFT__JSON_SLICE) != WEFT_OK)
        return WEFT_ENOMEM;
    got = j->source(j->from, j->buf.data + j->buf.len, WEFT__JSON_SLICE);
    j->buf.len += got;
    cut = last_cut(j);
    if (got == 0)
        cut = j->buf.len;
    else if (cut == 0 && j->buf.len > WEFT__JSON_TOKEN)
        return WEFT_ELIMIT;
    status = parse(j, cut, got == 0);
    weft__buf_consume(&j->buf, cut);
    j->scanned -= cut;
    return status == WEFT_OK && got > 0 ? WEFT_EAGAIN : status;
}

size_t weft__json_offset(const weft__json *j)
{
    return j->done;
}

void weft__json_free(weft__json *j)
{
    if (j == NULL)
        return;
    while (j->blocks != NULL)
        on_free(j, j->blocks + 1);
    weft__buf_fini(&j->buf);
    weft_free(j);
}

typedef struct short_text {
    const uint8_t *at;
    size_t left;
} short_text;

static size_t read_short(void *from, void *out, size_t n)
{
    short_text *text = from;

    if (n > text->left)
        n = text->left;
    if (n > 0)
        memcpy(out, text->at, n);
    text->at += n;
    text->left -= n;
    return n;
}

weft_status weft__json_parse(const weft__json_visitor *visitor, void *user,
                             const void *body, size_t len)
{
    short_text text = {body, len};
    weft__json *j;
    weft_status status = weft__json_new(&j, visitor, user, read_short, &text);

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
