/* weft/http_server.h - HTTP/1 on sniffed connections: /health and /livez now.
 *
 * libevhtp behind the read gate and hooks that make it safe (docs/internals.md,
 * "Where HTTP lives"): bytes of a new request wait until its first line is whole,
 * ambiguous framing is refused, counts and sizes are capped, HEAD has no body,
 * pipelined requests are all answered, and a total deadline per request is ours.
 * The one file that includes evhtp. */
#ifndef WEFT_HTTP_SERVER_H
#define WEFT_HTTP_SERVER_H

#include <weft/address.h>
#include <weft/loop_internal.h>

typedef struct weft__http_server weft__http_server; /* one per server object */

/* Answers one request: sets *code and writes a text/plain body (NUL-terminated,
 * at most size bytes).  path is decoded.  Return false: 404. */
typedef bool (*weft__http_handler)(const char *path, int *code, char *body,
                                   size_t size, void *user);

typedef struct weft__http_server_conf {
    uint32_t max_connections;
    uint32_t request_ms; /* first byte of a request to its last */
    uint32_t idle_ms;    /* keep-alive */
    uint32_t max_header_bytes, max_headers, max_body_bytes;
    bool public_paths; /* anything but /health and /livez from anywhere, not from
                          loopback only */
} weft__http_server_conf;

weft_status weft__http_server_new(weft__http_server **out, weft_loop *loop,
                                  const weft__http_server_conf *conf,
                                  weft__http_handler handler, void *user);

/* Takes fd, whose first bytes have been read.  on_gone(user) runs once, when the
 * connection has gone; also when it could not be adopted. */
void weft__http_server_adopt(weft__http_server *s, int fd,
                             const weft_address *peer, const void *first,
                             size_t first_len, void (*on_gone)(void *user),
                             void *user);

size_t weft__http_server_count(const weft__http_server *s);

/* Takes s (NULL is fine); its connections are closed. */
void weft__http_server_close(weft__http_server *s);

#endif /* WEFT_HTTP_SERVER_H */
