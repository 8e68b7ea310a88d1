/* http_client_support.h - a client, a scripted server and one exchange. */
#ifndef WEFT_TEST_HTTP_CLIENT_SUPPORT_H
#define WEFT_TEST_HTTP_CLIENT_SUPPORT_H

#include "support.h"

#include "raw_server.h"
#include <weft/http_client.h>

#define WAIT_MS 5000

typedef struct exchange {
    bool done;
    unsigned calls;
    weft__http_error error;
    int code;
    bool fresh;
    size_t body_len;
    char body[256]; /* its beginning */
    char header[64];
    weft__http_client **close_in_callback;
} exchange;

typedef struct fixture {
    weft_loop *loop;
    weft_fake_clock clock;
    raw_server server;
    weft__http_client *client;
    weft__http_client_conf conf;
    exchange x;
} fixture;

extern fixture f;

#define ANSWER                                                                 \
    "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 5\r\n\r\nhello"
#define CHUNKED                                                                \
    "HTTP/1.1 200 OK\r\nx-consul-index: 7\r\nTransfer-Encoding: chunked\r\n"   \
    "\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"

int setup(void **state);
int setup_fake(void **state); /* with a clock that stands still */
int teardown(void **state);

void open_client(void); /* with f.conf, to f.server */
void on_answer(const weft__http_answer *a, void *user);
void start(exchange *x, const char *path);
void finish(exchange *x);     /* waits */
void fetch(const char *path); /* both, with f.x */
void turns(int n);            /* of the loop */
void expect_hello(void);      /* f.x is ANSWER, or CHUNKED */

/* One answer, then the end of the connection; what came of it? */
weft__http_error outcome(const char *answer, raw_op end);

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FAKE(f) cmocka_unit_test_setup_teardown(f, setup_fake, teardown)

#endif /* WEFT_TEST_HTTP_CLIENT_SUPPORT_H */
