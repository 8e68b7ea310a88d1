/* http_internal.h - the head of an HTTP/1 request, looked at before any library
 * does (RFC 9112). */
#ifndef WEFT_HTTP_INTERNAL_H
#define WEFT_HTTP_INTERNAL_H

#include <weft/api.h>

/* Longest line, the end not counted; libevhtp's own limit is 8191. */
#define WEFT__HTTP_LINE_BYTES 8000

typedef struct weft__http_limits {
    uint32_t max_header_bytes; /* of the whole head */
    uint32_t max_headers;
    uint32_t max_body_bytes;
} weft__http_limits;

/* Where the search for the end of a head stands; zero it for each request. */
typedef struct weft__http_scan {
    size_t at, line_start;
    uint32_t lines;
} weft__http_scan;

/* Goes on with data, which holds the request from its first byte.  0: *head_len
 * is the length of the head, its empty line included, or 0 when that has not
 * come yet.  Otherwise the status to refuse the request with: 400 for a line
 * that does not end in CRLF, 414, 431. */
int weft__http_scan_head(weft__http_scan *scan, const char *data, size_t len,
                         const weft__http_limits *limits, size_t *head_len);

typedef struct weft__http_head {
    size_t body_bytes;
    bool head;            /* HEAD, not GET */
    bool keep_alive;      /* the connection may be used again */
    bool expect_continue; /* the client waits for "100 Continue" */
} weft__http_head;

/* Checks a whole head.  0: it is unambiguous and wanted.  Otherwise the status
 * to refuse it with: 400 (syntax; Host missing or twice; Content-Length twice,
 * not a number, or beside Transfer-Encoding; folded lines), 405 (neither GET
 * nor HEAD), 411 (chunked), 413, 417, 501 (another transfer coding), 505.
 * out->head is set in any case. */
int weft__http_check_head(const char *data, size_t len,
                          const weft__http_limits *limits,
                          weft__http_head *out);

/* Undoes percent-encoding; out has room for strlen(path) + 1 bytes and may be
 * path itself.  false: not encoded properly, or a NUL. */
bool weft__http_decode_path(const char *path, char *out);

/* "Not Found"; "Error" for what we never send. */
const char *weft__http_reason(int code);

#endif /* WEFT_HTTP_INTERNAL_H */
