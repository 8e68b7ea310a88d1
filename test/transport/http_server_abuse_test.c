#include "http_server_support.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

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

/* On TCP an unread byte turns a close into a reset, which overtakes the reply.
 */
static void a_refusal_arrives_although_input_is_unread(void **s)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int listener = weft__sys_socket(AF_INET, SOCK_STREAM), fd;
    char more[5000] = "";

    (void)s;
    assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
    f.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(f.fd, (struct sockaddr *)&sin, len), 0);
    assert_true((fd = weft__sys_accept(listener, NULL, NULL)) >= 0);
    weft__http_server_adopt(f.server, fd, &f.peer, "BAD\r\n\r\n", 7, on_gone,
                            &f.gone);
    put(more, sizeof(more)); /* before and after the refusal */
    turns(3);
    put(more, sizeof(more));
    turns(3);
    receive();
    expect(400, true);
    assert_int_equal(f.gone, 0);
    hang_up();
    turns(3);
    assert_int_equal(f.gone, 1);
    close(listener);
}

/* The 408 of a later request is not that of the HEAD before it. */
static void a_refusal_after_head_has_a_body(void **s)
{
    (void)s;
    ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /");
    f.have = 0;
    weft_fake_advance(&f.clock, 10001);
    receive();
    expect(408, true);
    assert_non_null(strstr(f.in, "\r\n\r\nRequest Timeout\n"));
}

static void what_is_read_ahead_is_bounded(void **s)
{
    size_t sent = 0, len = sizeof(GET("/x")) - 1;
    static char many[(sizeof(GET("/x")) - 1) * 1000];

    (void)s;
    for (size_t i = 0; i < 1000; i++)
        memcpy(many + i * len, GET("/x"), len);
    adopt();
    for (int i = 0; i < 300; i++) { /* far more than is answered in a turn */
        ssize_t n = send(f.fd, many + sent % len, sizeof(many) - sent % len,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        turns(1);
        while (recv(f.fd, f.in, sizeof(f.in), MSG_DONTWAIT) > 0)
            continue;
    }
    assert_in_range(f.handled, 1000, 1000000);
    assert_in_range(sent - f.handled * len, 0, 700000); /* most in the socket */
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
    int fds[2];
    unsigned gone = 0;

    (void)s;
    f.close_in_handler = true;
    assert_int_equal(weft__sys_socketpair(fds), 0);
    weft__http_server_adopt(f.server, fds[1], &f.peer, GET("/other"),
                            sizeof(GET("/other")) - 1, on_gone, &gone);
    ask(GET("/1") GET("/2"));
    turns(3);
    assert_null(f.server);
    close(fds[0]);
    assert_int_equal(gone, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_ambiguous_or_unwanted_is_refused),
        T(sizes_are_capped),
        T(two_hundred_thousand_headers_cost_no_more_than_the_cap),
        T(empty_lines_before_a_request_are_skipped),
        T(a_request_has_a_total_deadline),
        T(the_bytes_of_the_sniffer_start_the_clock),
        T(an_idle_connection_is_closed),
        T(a_refused_peer_that_keeps_sending_is_cut_off),
        T(a_refusal_arrives_although_input_is_unread),
        T(a_refusal_after_head_has_a_body),
        T(what_is_read_ahead_is_bounded),
        T(connections_are_capped),
        T(a_peer_may_leave_at_any_time),
        T(closing_the_server_ends_every_connection),
        T(the_handler_may_close_the_server),
        T(mutated_requests_are_survived_in_silence),
        T(every_allocation_may_fail_once),
    };

    return cmocka_run_group_tests_name("http_server_abuse", tests, NULL, NULL);
}
