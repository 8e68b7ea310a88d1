/* weft/http_client.h - HTTP/1.1 requests on the loop, for Consul.
 *
 * libevent's evhttp behind an interface of ours: chunked and EOF-delimited
 * bodies, keep-alive, long blocking queries, a total deadline of our own
 * (evhttp knows only inactivity), caps on body and headers, TLS by option (at
 * least 1.2, certificate and name always verified).  IP literals and
 * "localhost" only: nothing here looks up a name, for that would block.
 *
 * libevent and OpenSSL write without MSG_NOSIGNAL: from the first request on,
 * SIGPIPE is blocked in the loop's thread (no handler is touched). */
#ifndef WEFT_HTTP_CLIENT_H
#define WEFT_HTTP_CLIENT_H

#include <weft/loop_internal.h>

typedef struct weft__http_client weft__http_client;   /* one origin */
typedef struct weft__http_request weft__http_request; /* one exchange */

typedef struct weft__http_client_conf {
    const char *host; /* "127.0.0.1", "::1", "localhost" */
    uint16_t port;
    const char *token;       /* X-Consul-Token, or NULL; never logged */
    uint32_t connect_ms;     /* 0: 1000 */
    size_t max_body_bytes;   /* 0: 32 MiB */
    size_t max_header_bytes; /* 0: 64 KiB */
    size_t flat_body_bytes;  /* a longer body is not made contiguous, for that
                                holds the loop: it has to be taken; 0: any is */
    bool tls;                /* CA, certificate, key: PEM files or NULL; no key:
                                it stands in the certificate's file */
    const char *tls_ca_file, *tls_cert_file, *tls_key_file;
    const char *tls_server_name; /* NULL: host */
} weft__http_client_conf;

typedef enum weft__http_error {
    WEFT__HTTP_OK,       /* a whole answer came, whatever its status code */
    WEFT__HTTP_CONNECT,  /* no connection, or no TLS on it, within connect_ms */
    WEFT__HTTP_EOF,      /* closed before a byte of the answer */
    WEFT__HTTP_CUT,      /* closed or reset in the middle of it */
    WEFT__HTTP_DEADLINE, /* the total deadline passed */
    WEFT__HTTP_TOO_BIG,  /* a cap was reached */
    WEFT__HTTP_INVALID,  /* not HTTP */
    WEFT__HTTP_CANCELLED
} weft__http_error;
const char *weft__http_error_text(weft__http_error error);

/* Borrowed for the callback; without error OK the rest is zero, but for fresh:
 * it was the first on its connection. */
typedef struct weft__http_answer {
    weft__http_error error;
    int code;
    const uint8_t *body; /* NULL if longer than flat_body_bytes */
    size_t body_len;
    bool fresh;
    const void *headers; /* for weft__http_header */
    void *parts;         /* for weft__http_take_body */
} weft__http_answer;

/* The body of an answer in pieces, which outlives the answer. */
typedef struct weft__http_body weft__http_body;

/* Gives the body, without a copy; once, inside the callback.  ENOMEM. */
weft_status weft__http_take_body(const weft__http_answer *answer,
                                 weft__http_body **out);

/* Moves up to n bytes to out and releases their memory; returns how many. */
size_t weft__http_body_read(weft__http_body *body, void *out, size_t n);
void weft__http_body_free(weft__http_body *body); /* NULL is fine */

/* Case-insensitive; NULL when absent. */
const char *weft__http_header(const weft__http_answer *answer,
                              const char *name);

typedef void (*weft__http_cb)(const weft__http_answer *answer, void *user);

/* Copies conf.  EINVAL: host is not a literal, port is 0 or the token has
 * control characters; EIO: a TLS file cannot be used.  *why (may be NULL) says
 * which, a static phrase. */
weft_status weft__http_client_new(weft__http_client **out, weft_loop *loop,
                                  const weft__http_client_conf *conf,
                                  const char **why);

/* method: "GET", "PUT", "POST" or "DELETE".  path begins with "/" and holds the
 * query, percent-encoded.  body may be NULL; it is copied.  cb runs exactly
 * once, later, from a fresh stack; it may close the client.  request (may be
 * NULL) is borrowed until then.  Each request in flight has its own connection;
 * up to four idle ones are kept for half a minute and used again.  When such a
 * one turns out to be closed (EOF), the request is sent again, once, on a fresh
 * one.  deadline_ms counts from now to the last byte.  EINVAL, ENOMEM. */
weft_status weft__http_request_send(weft__http_client *client,
                                    const char *method, const char *path,
                                    const void *body, size_t body_len,
                                    uint32_t deadline_ms, weft__http_cb cb,
                                    void *user, weft__http_request **request);

/* cb runs later with CANCELLED; the connection is closed.  NULL is fine. */
void weft__http_request_cancel(weft__http_request *request);

/* Takes client (NULL is fine): no callback follows.  Legal in a callback. */
void weft__http_client_close(weft__http_client *client);

#endif /* WEFT_HTTP_CLIENT_H */
