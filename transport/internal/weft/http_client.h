/* weft/http_client.h - HTTP/1.1 requests on the loop, for Consul.
 *
 * libevent's evhttp behind an interface of ours: chunked and EOF-delimited
 * bodies, keep-alive, long blocking queries, a total deadline of our own (evhttp
 * knows only inactivity), a cap on the body, TLS by option.  IP literals and
 * "localhost" only: nothing here looks up a name, for that would block. */
#ifndef WEFT_HTTP_CLIENT_H
#define WEFT_HTTP_CLIENT_H

#include <weft/loop_internal.h>

typedef struct weft__http_client weft__http_client;   /* one origin */
typedef struct weft__http_request weft__http_request; /* one exchange */

typedef struct weft__http_client_conf {
    const char *host; /* "127.0.0.1", "::1", "localhost" */
    uint16_t port;
    const char *token;        /* X-Consul-Token, or NULL; never logged */
    uint32_t connect_ms;      /* 0: 1000 */
    size_t max_body_bytes;    /* 0: 32 MiB */
    size_t max_header_bytes;  /* 0: 64 KiB */
    bool tls;                 /* CA, certificate, key: PEM files or NULL */
    const char *tls_ca_file, *tls_cert_file, *tls_key_file;
    const char *tls_server_name; /* NULL: host */
} weft__http_client_conf;

typedef enum weft__http_error {
    WEFT__HTTP_OK,       /* a whole answer came, whatever its status code */
    WEFT__HTTP_CONNECT,  /* no connection */
    WEFT__HTTP_EOF,      /* closed before a byte of the answer */
    WEFT__HTTP_CUT,      /* closed or reset in the middle of it */
    WEFT__HTTP_DEADLINE, /* the total deadline passed */
    WEFT__HTTP_TOO_BIG,  /* a cap was reached */
    WEFT__HTTP_INVALID,  /* not HTTP */
    WEFT__HTTP_CANCELLED
} weft__http_error;
const char *weft__http_error_text(weft__http_error error);

/* Borrowed for the callback.  fresh: it was the first on its connection. */
typedef struct weft__http_answer {
    weft__http_error error;
    int code;
    const uint8_t *body;
    size_t body_len;
    bool fresh;
    const void *headers; /* for weft__http_header */
} weft__http_answer;

/* Case-insensitive; NULL when absent. */
const char *weft__http_header(const weft__http_answer *answer,
                              const char *name);

typedef void (*weft__http_cb)(const weft__http_answer *answer, void *user);

/* Copies conf.  EINVAL: host is not a literal; EIO: a TLS file cannot be used
 * (*why says which). */
weft_status weft__http_client_new(weft__http_client **out, weft_loop *loop,
                                  const weft__http_client_conf *conf,
                                  const char **why);

/* method: "GET" or "PUT".  path begins with "/" and holds the query.  body may be
 * NULL; it is copied.  cb runs exactly once, later; request (may be NULL) is
 * borrowed until then.  Each request in flight has its own connection; idle ones
 * are kept and used again. */
weft_status weft__http_request_send(weft__http_client *client,
                                    const char *method, const char *path,
                                    const void *body, size_t body_len,
                                    uint32_t deadline_ms, weft__http_cb cb,
                                    void *user, weft__http_request **request);

/* cb runs later with CANCELLED; the connection is closed. */
void weft__http_request_cancel(weft__http_request *request);

/* Takes client (NULL is fine): no callback follows. */
void weft__http_client_close(weft__http_client *client);

#endif /* WEFT_HTTP_CLIENT_H */
