#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/http_server.h>
#include <weft/mem.h>
#include <weft/sys.h>

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

static fixture f;

static bool handle(const char *path, int *code, char *body, size_t size,
                   void *user)
{
    assert_ptr_equal(user, &f);
    f.handled++;
    snprintf(f.path, sizeof(f.path), "%s", path);
    if (f.close_in_handler) {
        weft__http_server_close(f.server);
        f.server = NULL;
    }
    if (strcmp(path, "/health") == 0) {
        *code = 503;
        snprintf(body, size, "starting\n");
        return true;
    }
    if (strcmp(path, "/big") == 0) {
        memset(body, 'x', size);
        return true;
    }
    snprintf(body, size, "ok %s\n", path);
    return strcmp(path, "/none") != 0;
}

static void on_gone(void *user)
{
    (*(unsigned *)user)++;
}

static void open_server(void)
{
    assert_int_equal(
        weft__http_server_new(&f.server, f.loop, &f.conf, handle, &f), WEFT_OK);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.fd = -1;
    f.clock.ns = 1000000000;
    if (weft_loop_new(&f.loop, &(weft_loop_conf){.clock = weft_fake(
                                                     &f.clock)}) != WEFT_OK ||
        weft_address_parse(&f.peer, "127.0.0.1:1", NULL) != WEFT_OK)
        return -1;
    open_server();
    return 0;
}

static void hang_up(void)
{
    if (f.fd >= 0)
        close(f.fd);
    f.fd = -1;
}

static int teardown(void **state)
{
    (void)state;
    hang_up();
    weft__http_server_close(f.server);
    weft_loop_free(f.loop);
    return 0;
}

static void turns(int n)
{
    while (n-- > 0)
        weft_loop_poll(f.loop);
}

static void adopt_with(const char *first, size_t len)
{
    int fds[2];

    hang_up();
    assert_int_equal(weft__sys_socketpair(fds), 0);
    f.fd = fds[0];
    f.have = 0;
    f.in[0] = '\0';
    f.eof = false;
    weft__http_server_adopt(f.server, fds[1], &f.peer, first, len, on_gone,
                            &f.gone);
}

static void adopt(void)
{
    adopt_with("", 0);
}

static void receive(void)
{
    ssize_t n = 0;

    turns(3);
    while (f.have < sizeof(f.in) - 1 &&
           (n = recv(f.fd, f.in + f.have, sizeof(f.in) - 1 - f.have,
                     MSG_DONTWAIT)) > 0) {
        f.have += (size_t)n;
        turns(2);
    }
    f.in[f.have] = '\0';
    f.eof = n == 0 || (n < 0 && errno != EAGAIN);
}

static void put(const char *data, size_t len)
{
    assert_int_equal(send(f.fd, data, len, MSG_NOSIGNAL), len);
}

static void say(const char *text)
{
    put(text, strlen(text));
    receive();
}

static void ask(const char *text)
{
    adopt();
    say(text);
}

static unsigned count(const char *needle)
{
    unsigned n = 0;

    for (const char *at = f.in; (at = strstr(at, needle)) != NULL; at++)
        n++;
    return n;
}

/* Exactly one reply, with this status; and whether the connection ended. */
static void expect(int code, bool ended)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", code);
    if (strncmp(f.in, line, strlen(line)) != 0 || count("HTTP/1.1 ") != 1)
        fail_msg("expected %d, got: %s", code, f.in);
    if (f.eof != ended)
        fail_msg("%d, ended: %d", code, f.eof);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ------------------------------------------------------------- requests */

static void a_request_is_answered_and_the_connection_stays(void **s)
{
    (void)s;
    ask(GET("/health"));
    expect(503, false);
    assert_non_null(strstr(f.in, "Content-Length: 9\r\n"));
    assert_non_null(strstr(f.in, "Content-Type: text/plain"));
    assert_non_null(strstr(f.in, "\r\n\r\nstarting\n"));
    f.have = 0;
    say(GET("/livez?a=b&c=%zz&&d"));
    expect(200, false);
    assert_string_equal(f.path, "/livez");
    f.have = 0;
    say(GET("/none"));
    expect(404, false);
    assert_int_equal(f.gone, 0);
    assert_int_equal(weft__http_server_count(f.server), 1);
    hang_up();
    turns(3);
    assert_int_equal(f.gone, 1);
    assert_int_equal(weft__http_server_count(f.server), 0);
}

static void a_request_may_be_split_at_every_byte(void **s)
{
    static const char text[] =
        "GET /health/of/all%20things?x=1&y=2 HTTP/1.1\r\n"
        "Host: 127.0.0.1:8500\r\nUser-Agent: Consul Health Check\r\n"
        "Accept: text/plain, text/*, */*\r\nContent-Length: 4\r\n\r\nbody";
    size_t len = sizeof(text) - 1;

    (void)s;
    for (size_t at = 0; at <= len; at++) {
        adopt_with(text, at); /* the first part has been read by the sniffer */
        turns(3);
        put(text + at, len - at);
        receive();
        expect(200, false);
        assert_string_equal(f.path, "/health/of/all things");
    }
    for (size_t at = 1; at < len; at++) {
        adopt();
        put(text, at);
        turns(3);
        put(text + at, len - at);
        receive();
        expect(200, false);
        assert_string_equal(f.path, "/health/of/all things");
    }
    adopt();
    for (size_t at = 0; at < len; at++) {
        put(text + at, 1);
        turns(1);
    }
    receive();
    expect(200, false);
}

static void pipelined_requests_are_answered_in_order(void **s)
{
    (void)s;
    ask(GET("/1") GET("/2") GET("/3"));
    assert_int_equal(count("HTTP/1.1 200 OK"), 3);
    assert_true(strstr(f.in, "ok /1\n") < strstr(f.in, "ok /2\n"));
    assert_true(strstr(f.in, "ok /2\n") < strstr(f.in, "ok /3\n"));
    say(GET("/4"));
    assert_int_equal(count("HTTP/1.1 200 OK"), 4);
}

static void a_flood_of_pipelined_requests_is_answered_whole(void **s)
{
    unsigned n = 5000;

    (void)s;
    adopt();
    for (unsigned i = 0; i < n; i++) {
        put(GET("/x"), sizeof(GET("/x")) - 1);
        if (i % 100 == 0)
            receive();
    }
    for (int i = 0; i < 500 && f.handled < n; i++)
        receive();
    receive();
    assert_int_equal(f.handled, n);
    assert_int_equal(count("HTTP/1.1 200 OK"), n);
}

static void a_peer_that_does_not_read_is_not_read_from(void **s)
{
    unsigned sent = 0;

    (void)s;
    adopt();
    while (sent < 100000 && send(f.fd, GET("/big"), sizeof(GET("/big")) - 1,
                                 MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        sent++;
        turns(1);
    }
    assert_in_range(sent, 10, 99999); /* at some point it was full */
    assert_in_range(f.handled, 1, 50);
    weft_fake_advance(&f.clock, 10001);
    turns(3);
    assert_int_equal(f.gone, 1);
}

static void head_has_no_body(void **s)
{
    (void)s;
    ask("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(503, false);
    assert_non_null(strstr(f.in, "Content-Length: 9\r\n"));
    assert_string_equal(f.in + f.have - 4, "\r\n\r\n");
    assert_null(strstr(f.in, "starting"));
    f.have = 0;
    say("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(404, false);
    assert_string_equal(f.in + f.have - 4, "\r\n\r\n");
}

static void the_client_may_ask_to_close(void **s)
{
    (void)s;
    ask("GET /a HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n");
    expect(200, true);
    assert_non_null(strstr(f.in, "Connection: close\r\n"));
    ask("GET /a HTTP/1.0\r\n\r\n");
    assert_int_equal(strncmp(f.in, "HTTP/1.0 200", 12), 0);
    assert_true(f.eof);
    ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(strncmp(f.in, "HTTP/1.0 200", 12), 0);
    assert_false(f.eof);
}

static void a_half_closed_peer_gets_its_answers(void **s)
{
    (void)s;
    adopt();
    put(GET("/1") GET("/2") "GET /3", sizeof(GET("/1") GET("/2") "GET /3") - 1);
    shutdown(f.fd, SHUT_WR);
    receive();
    assert_int_equal(count("HTTP/1.1 200 OK"), 2);
    assert_true(f.eof);
    turns(3);
    assert_int_equal(f.gone, 1);
}

static void an_expected_100_is_sent(void **s)
{
    (void)s;
    ask("GET /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 4\r\n\r\n");
    expect(100, false);
    f.have = 0;
    say("body");
    expect(200, false);
    f.have = 0;
    say(GET("/b"));
    expect(200, false);
    assert_string_equal(f.path, "/b");
}

/* --------------------------------------------------------------- access */

static void only_health_is_public(void **s)
{
    static const struct {
        const char *peer;
        int admin;
    } peers[] = {{"127.0.0.1:1", 200}, {"127.9.9.9:1", 200},
                 {"[::1]:1", 200},     {"unix:///x", 200},
                 {"10.0.0.1:1", 403},  {"[2001:db8::1]:1", 403}};

    (void)s;
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        assert_int_equal(weft_address_parse(&f.peer, peers[i].peer, NULL),
                         WEFT_OK);
        ask(GET("/admin"));
        expect(peers[i].admin, false);
        f.have = 0;
        say(GET("/health"));
        expect(503, false);
        f.have = 0;
        say(GET("/livez"));
        expect(200, false);
        f.have = 0;
        say(GET("/%6civez"));
        expect(200, false);
        f.have = 0;
        say(GET("/health/../admin"));
        expect(peers[i].admin, false);
    }
    weft__http_server_close(f.server);
    f.conf.public_paths = true;
    open_server();
    ask(GET("/admin"));
    expect(200, false);
}

/* ------------------------------------------------------------- refusals */

static void what_is_ambiguous_or_unwanted_is_refused(void **s)
{
#define H "Host: a\r\n"
    static const struct {
        int code;
        const char *request;
    } bad[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 4\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 4\r\n"
              "Content-Length: 4\r\n\r\nbody"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 4, 4\r\n\r\nbody"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: +4\r\n\r\nbody"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length : 4\r\n\r\nbody"},
        {400, "GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "\tfolded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H ": x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "A: x\ry\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "A: x\x01y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "A: x\n\r\n"},
        {400, "GET / HTTP/1.1\n" H "\r\n"},
        {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\r\n\r\n"},
        {400, "GET a HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%zz HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%00 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\x80 HTTP/1.1\r\n" H "\r\n"},
        {400, "G\x01T / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET / HTTP/1.10\r\n" H "\r\n"},
        {400, "GET / http/1.1\r\n" H "\r\n"},
        {505, "GET / HTTP/2.0\r\n" H "\r\n"},
        {505, "GET / HTTP/1.2\r\n" H "\r\n"},
        {405, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody"},
        {405, "CONNECT a:1 HTTP/1.1\r\n" H "\r\n"},
        {405, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
        {405, "get / HTTP/1.1\r\n" H "\r\n"},
        {411, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
        {501, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"},
        {400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\n" H "Content-Length: 65537\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\n" H
              "Content-Length: 99999999999999999999999\r\n\r\n"},
        {417, "GET / HTTP/1.1\r\n" H "Expect: magic\r\n\r\n"},
    };

    (void)s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        adopt();
        put(bad[i].request, strlen(bad[i].request));
        put(GET("/smuggled"), sizeof(GET("/smuggled")) - 1);
        receive();
        if (strncmp(f.in, "HTTP/1.1 ", 9) != 0 || atoi(f.in + 9) != bad[i].code)
            fail_msg("%s: %s", bad[i].request, f.in);
        expect(bad[i].code, true);
        assert_non_null(strstr(f.in, "Connection: close\r\n"));
        hang_up();
        turns(3);
        assert_int_equal(f.gone, i + 1);
    }
    assert_int_equal(f.handled, 0);
}

static void sizes_are_capped(void **s)
{
    static char text[300000];
    size_t n;

    (void)s;
    /* A line without an end, first and later. */
    memset(text, 'a', 9000);
    memcpy(text, "GET /", 5);
    text[9000] = '\0';
    ask(text);
    expect(414, true);
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
    memset(text + n, 'a', 9000);
    text[n + 9000] = '\0';
    ask(text);
    expect(431, true);
    /* Too many lines, each of them small. */
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 64; i++)
        n += (size_t)sprintf(text + n, "A: %d\r\n", i);
    ask(text);
    expect(431, true);
    /* Too much together. */
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 3; i++) {
        n += (size_t)sprintf(text + n, "A: ");
        memset(text + n, 'a', 7000);
        n += 7000;
        n += (size_t)sprintf(text + n, "\r\n");
    }
    ask(text);
    expect(431, true);
    /* Just below each of them. */
    n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'a', 7900);
    n += 7900;
    n += (size_t)sprintf(text + n, " HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 63; i++)
        n += (size_t)sprintf(text + n, "A: %d\r\n", i);
    sprintf(text + n, "\r\n");
    ask(text);
    expect(200, false);
}

static void two_hundred_thousand_headers_cost_no_more_than_the_cap(void **s)
{
    int sent = 0;

    (void)s;
    adopt();
    put("GET / HTTP/1.1\r\nHost: a\r\n", 25);
    for (; sent < 200000; sent++) {
        if (send(f.fd, "A: b\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        if (sent % 64 == 0)
            turns(1);
    }
    assert_in_range(sent, 64, 199999); /* it was cut off */
    receive();
    expect(431, true);
    turns(3);
    assert_int_equal(f.gone, 1);
}

static void empty_lines_before_a_request_are_skipped(void **s)
{
    (void)s;
    ask("\r\n" GET("/a") "\r\n" GET("/b"));
    assert_int_equal(count("HTTP/1.1 200 OK"), 2);
}

/* --------------------------------------------------------------- clocks */

static void a_request_has_a_total_deadline(void **s)
{
    (void)s;
    adopt();
    put("GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
    turns(3);
    for (int i = 0; i < 10; i++) { /* one byte a second does not help */
        put("x", 1);
        turns(3);
        weft_fake_advance(&f.clock, 999);
        turns(3);
    }
    assert_int_equal(f.gone, 0);
    weft_fake_advance(&f.clock, 20);
    receive();
    expect(408, true);
    weft_fake_advance(&f.clock, 2000);
    turns(3);
    assert_int_equal(f.gone, 1);
}

static void the_bytes_of_the_sniffer_start_the_clock(void **s)
{
    (void)s;
    adopt_with("GET", 3);
    turns(3);
    weft_fake_advance(&f.clock, 10001);
    receive();
    expect(408, true);
}

static void an_idle_connection_is_closed(void **s)
{
    (void)s;
    ask(GET("/a"));
    weft_fake_advance(&f.clock, 59000);
    turns(3);
    say(GET("/b"));
    assert_int_equal(count("HTTP/1.1 200 OK"), 2);
    weft_fake_advance(&f.clock, 59000);
    turns(3);
    assert_int_equal(f.gone, 0);
    weft_fake_advance(&f.clock, 2000);
    receive();
    assert_true(f.eof);
    assert_int_equal(f.gone, 1);
}

static void a_refused_peer_that_keeps_sending_is_cut_off(void **s)
{
    static char junk[65536];
    ssize_t n = 0;

    (void)s;
    ask("BAD\r\n\r\n");
    expect(400, true);
    for (int i = 0; i < 100 && n >= 0; i++) {
        n = send(f.fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
        turns(8);
    }
    assert_int_equal(n, -1);
    turns(3);
    assert_int_equal(f.gone, 1);
    ask("BAD\r\n\r\n");
    weft_fake_advance(&f.clock, 1001); /* or at the latest */
    turns(3);
    assert_int_equal(f.gone, 2);
}

/* ------------------------------------------------------------- lifetime */

static void connections_are_capped(void **s)
{
    int fds[2];
    unsigned gone = 0;

    (void)s;
    weft__http_server_close(f.server);
    f.conf.max_connections = 1;
    open_server();
    adopt();
    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__http_server_adopt(f.server, fds[1], &f.peer, "", 0, on_gone, &gone);
    assert_int_equal(gone, 0);
    turns(3);
    assert_int_equal(gone, 1);
    close(fds[0]);
    say(GET("/a"));
    expect(200, false);
}

static void a_peer_may_leave_at_any_time(void **s)
{
    static const char text[] = GET("/a") GET("/big") "GET /c";

    (void)s;
    for (size_t at = 0; at < sizeof(text); at++) {
        adopt();
        put(text, at);
        if (at % 2 == 0)
            turns(2);
        hang_up();
        turns(5);
        assert_int_equal(f.gone, at + 1);
    }
    assert_int_equal(weft__http_server_count(f.server), 0);
}

static void closing_the_server_ends_every_connection(void **s)
{
    unsigned gone = 0;
    int fds[2];

    (void)s;
    adopt();
    put("GET /", 5);
    turns(3);
    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__http_server_adopt(f.server, fds[1], &f.peer, "GET", 3, on_gone,
                            &gone); /* has not had its turn yet */
    weft__http_server_close(f.server);
    f.server = NULL;
    assert_int_equal(f.gone, 1);
    assert_int_equal(gone, 1);
    close(fds[0]);
    turns(3);
    assert_int_equal(f.gone, 1);
}

static void the_handler_may_close_the_server(void **s)
{
    (void)s;
    f.close_in_handler = true;
    ask(GET("/1") GET("/2"));
    turns(3);
    assert_null(f.server);
    assert_int_equal(f.handled, 1);
    assert_int_equal(f.gone, 1);
    assert_true(f.eof);
}

/* ----------------------------------------------------- noise and memory */

/* Mutated requests: no crash, an end for each, and not a word on stderr. */
static void mutated_requests_are_survived_in_silence(void **s)
{
    static const char text[] =
        "GET http://a:80/x/y.z?a=b&c HTTP/1.1\r\nHost: a\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        "Connection: keep-alive\r\nExpect: 100-continue\r\n"
        "Content-Length: 7\r\n\r\na=b&%zz" GET("/");
    char mutated[sizeof(text)];
    FILE *noise = tmpfile();
    int saved = dup(2);
    unsigned seed = 1;
    long said;

    (void)s;
    assert_non_null(noise);
    dup2(fileno(noise), 2);
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(mutated, text, sizeof(text));
        for (unsigned i = round % 4; i > 0; i--) {
            seed = seed * 1103515245 + 12345;
            mutated[(seed >> 8) % (sizeof(text) - 1)] =
                "\r\n :%/?&=;\0\xff"[(seed >> 20) % 12];
        }
        adopt();
        put(mutated, sizeof(text) - 1);
        shutdown(f.fd, SHUT_WR);
        receive();
        turns(2);
    }
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    fseek(noise, 0, SEEK_END);
    said = ftell(noise);
    fclose(noise);
    assert_int_equal(said, 0);
    assert_int_equal(f.gone, 3000);
    assert_true(f.handled > 300);
}

static void every_allocation_may_fail_once(void **s)
{
    unsigned n;

    (void)s;
    weft__http_server_close(f.server);
    f.server = NULL;
    for (n = 1; n < 100; n++) {
        weft_mem_fail_nth(n);
        f.gone = 0;
        if (weft__http_server_new(&f.server, f.loop, &f.conf, handle, &f) ==
            WEFT_OK) {
            adopt_with("GET /", 5);
            turns(3);
            send(f.fd, " HTTP/1.1\r\nHost: a\r\n\r\n", 22, MSG_NOSIGNAL);
            receive();
            hang_up();
            turns(5);
            assert_int_equal(f.gone, 1);
            weft__http_server_close(f.server);
            f.server = NULL;
        }
        if (weft_mem_fail_nth(0) > 0)
            break;
    }
    assert_in_range(n, 4, 99);
    assert_int_equal(strncmp(f.in, "HTTP/1.1 200", 12), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_request_is_answered_and_the_connection_stays),
        T(a_request_may_be_split_at_every_byte),
        T(pipelined_requests_are_answered_in_order),
        T(a_flood_of_pipelined_requests_is_answered_whole),
        T(a_peer_that_does_not_read_is_not_read_from),
        T(head_has_no_body),
        T(the_client_may_ask_to_close),
        T(a_half_closed_peer_gets_its_answers),
        T(an_expected_100_is_sent),
        T(only_health_is_public),
        T(what_is_ambiguous_or_unwanted_is_refused),
        T(sizes_are_capped),
        T(two_hundred_thousand_headers_cost_no_more_than_the_cap),
        T(empty_lines_before_a_request_are_skipped),
        T(a_request_has_a_total_deadline),
        T(the_bytes_of_the_sniffer_start_the_clock),
        T(an_idle_connection_is_closed),
        T(a_refused_peer_that_keeps_sending_is_cut_off),
        T(connections_are_capped),
        T(a_peer_may_leave_at_any_time),
        T(closing_the_server_ends_every_connection),
        T(the_handler_may_close_the_server),
        T(mutated_requests_are_survived_in_silence),
        T(every_allocation_may_fail_once),
    };

    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
