/* weft/http_server.h - HTTP/1 on sniffed connections: /health and /livez now.
 *
 * GET and HEAD, one request after the other, pipelined or not, each within a
 * total deadline.  Requests are read whole and checked before libevhtp parses
 * them: ambiguous framing (two lengths, a length beside Transfer-Encoding), a
 * missing Host, folded lines and other syntax errors get 400; 405, 408, 411 (a
 * chunked body), 413, 414, 417, 431, 501 and 505 mean what they say; each of
 * these ends the connection.  The one user of libevhtp. */
#ifndef WEFT_HTTP_SERVER_H
#define WEFT_HTTP_SERVER_H

#include <weft/address.h>
#include <weft/loop_internal.h>

typedef struct weft__http_server weft__http_server; /* one per server object */

/* Answers one request: sets *code (it is 200) and writes a text/plain body
 * (NUL-terminated, at most size bytes).  path is decoded, without the query.
 * Return false: 404.  May close the server. */
typedef bool (*weft__http_handler)(const char *path, int *code, char *body,
                                   size_t size, void *user);

/* Zero means the default in brackets; WEFT_OFF in a time, no limit. */
typedef struct weft__http_server_conf {
    uint32_t max_connections; /* [256] what is beyond is closed */
    uint32_t request_ms; /* [10000] first byte of a request to its last; and
                            its reply, until it is written */
    uint32_t idle_ms;    /* [60000] keep-alive */
    uint32_t max_header_bytes; /* [16384] request line included */
    uint32_t max_headers;      /* [64] */
    uint32_t max_body_bytes;   /* [65536] read, and dropped */
    bool public_paths; /* anything but /health and /livez from anywhere, not
                          from loopback and unix sockets only (403) */
} weft__http_server_conf;

/* Gives *out; copies conf.  ENOMEM, also when libevhtp cannot be set up. */
weft_status weft__http_server_new(weft__http_server **out, weft_loop *loop,
                                  const weft__http_server_conf *conf,
                                  weft__http_handler handler, void *user);

/* Takes fd (non-blocking), whose first bytes have been read; they are copied.
 * peer may be NULL: somewhere else.  on_gone(user), which may be NULL, runs
 * once, from a fresh stack, when the connection has gone, also when it could
 * not be adopted; before this returns only if there is no memory at all. */
void weft__http_server_adopt(weft__http_server *s, int fd,
                             const weft_address *peer, const void *first,
                             size_t first_len, void (*on_gone)(void *user),
                             void *user);

size_t weft__http_server_count(const weft__http_server *s);

/* Takes s (NULL is fine); its connections are closed, their on_gone runs before
 * this returns.  Called by the handler, it does so at the end of the batch. */
void weft__http_server_close(weft__http_server *s);

#endif /* WEFT_HTTP_SERVER_H */
