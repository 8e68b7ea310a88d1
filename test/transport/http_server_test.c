#include "http_server_support.h"
#include <string.h>
#include <sys/socket.h>

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
    };

    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
