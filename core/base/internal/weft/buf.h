/* weft/buf.h - bytes that grow. */
#ifndef WEFT_BUF_H
#define WEFT_BUF_H

#include <stdarg.h>
#include <weft/status.h>

/* Zeroed is empty.  data is owned, from weft_malloc. */
typedef struct weft__buf {
    uint8_t *data;
    size_t len, cap;
} weft__buf;

/* Room for n more bytes behind len; grows by half at least.  ENOMEM leaves it
 * alone. */
weft_status weft__buf_reserve(weft__buf *buf, size_t n);
weft_status weft__buf_append(weft__buf *buf, const void *data, size_t n);
/* Appends text; the buffer is NUL-terminated behind len after it. */
weft_status weft__buf_printf(weft__buf *buf, const char *fmt, ...)
    WEFT_PRINTF(2, 3);
void weft__buf_consume(weft__buf *buf, size_t n); /* drops the first n bytes */
void weft__buf_fini(weft__buf *buf);              /* back to zeroed */

#endif /* WEFT_BUF_H */
