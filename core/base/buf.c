/* buf.c - bytes that grow. */
#include <weft/buf.h>
#include <weft/mem.h>

#include <stdio.h>
#include <string.h>

weft_status weft__buf_reserve(weft__buf *buf, size_t n)
{
    size_t need, cap;
    uint8_t *data;

    if (n <= buf->cap - buf->len)
        return WEFT_OK;
    if (n > SIZE_MAX / 2 - buf->len)
        return WEFT_ENOMEM;
    need = buf->len + n;
    cap = buf->cap + buf->cap / 2;
    if (cap < need)
        cap = need;
    if (cap < 64)
        cap = 64;
    if ((data = weft_realloc(buf->data, cap)) == NULL)
        return WEFT_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return WEFT_OK;
}

weft_status weft__buf_append(weft__buf *buf, const void *data, size_t n)
{
    weft_status status;

    if (n == 0)
        return WEFT_OK;
    if ((status = weft__buf_reserve(buf, n)) != WEFT_OK)
        return status;
    memcpy(buf->data + buf->len, data, n);
    buf->len += n;
    return WEFT_OK;
}

weft_status weft__buf_printf(weft__buf *buf, const char *fmt, ...)
{
    weft_status status;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return WEFT_EINVAL;
    if ((status = weft__buf_reserve(buf, (size_t)n + 1)) != WEFT_OK)
        return status;
    va_start(ap, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)n;
    return WEFT_OK;
}

void weft__buf_consume(weft__buf *buf, size_t n)
{
    if (n >= buf->len) {
        buf->len = 0;
        return;
    }
    if (n > 0)
        memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
}

void weft__buf_fini(weft__buf *buf)
{
    weft_free(buf->data);
    *buf = (weft__buf){0};
}
