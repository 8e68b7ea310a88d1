/* http_server_support.h - a server, and a client's end of one connection. */
#ifndef WEFT_TEST_HTTP_SERVER_SUPPORT_H
#define WEFT_TEST_HTTP_SERVER_SUPPORT_H

#include "support.h"

#include <stdio.h>
#include <weft/http_server.h>

typedef struct fixture {
    weft_loop *loop;
    weft_fake_clock clock;
    weft__http_server *server;
    weft__http_server_conf conf;
    weft_address peer;
    int fd; /* the client's end */
    unsigned gone, handled;
    bool close_in_handler;
    char path[256]; /* what the handler saw last */
    char in[1000000];
    size_t have;
    bool eof;
} fixture;

extern fixture f;

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

int setup(void **state);
int teardown(void **state);

/* "/health" is 503, "/big" 64 KiB, "/none" 404, the rest 200. */
bool handle(const char *path, int *code, char *body, size_t size, void *user);
void on_gone(void *user); /* counts */
void open_server(void);   /* with f.conf */

/* A new connection, whose first bytes have been read by the sniffer. */
void adopt_with(const char *first, size_t len);
void adopt(void);
void hang_up(void);

void turns(int n); /* of the loop */
void put(const char *data, size_t len);
void receive(void);         /* all there is, into f.in */
void say(const char *text); /* both */
void ask(const char *text); /* on a new connection */

unsigned count(const char *needle); /* in f.in */
/* Exactly one reply, with this status; and whether the connection ended. */
void expect(int code, bool ended);

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif /* WEFT_TEST_HTTP_SERVER_SUPPORT_H */
