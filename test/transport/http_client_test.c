#include "http_client_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- requests */

static void a_get_names_host_and_token_and_never_asks_for_compression(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};
    char host[64];

    (void)s;
    f.server.scripts[0] = script;
    weft__http_client_close(f.client);
    f.conf.token = "secret-token";
    open_client();
    fetch("/v1/health/service/a?passing");
    expect_hello();
    assert_string_equal(f.x.header, "7");
    snprintf(host, sizeof(host), "Host: 127.0.0.1:%u\r\n", f.server.port);
    assert_ptr_equal(
        strstr(f.server.last, "GET /v1/health/service/a?passing HTTP/1.1\r\n"),
        f.server.last);
    assert_non_null(strstr(f.server.last, host));
    assert_non_null(strstr(f.server.last, "X-Consul-Token: secret-token\r\n"));
    assert_null(strcasestr(f.server.last, "accept-encoding"));
}

static void put_and_delete_carry_their_bodies(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = script;
    assert_int_equal(weft__http_request_send(f.client, "PUT", "/v1/kv/a", "{}",
                                             2, WAIT_MS, on_answer, &f.x, NULL),
                     WEFT_OK);
    finish(&f.x);
    expect_hello();
    assert_non_null(strstr(f.server.last, "PUT /v1/kv/a HTTP/1.1\r\n"));
    assert_non_null(strstr(f.server.last, "Content-Length: 2\r\n"));
    assert_non_null(strstr(f.server.last, "\r\n\r\n{}"));
    f.x = (exchange){0};
    assert_int_equal(weft__http_request_send(f.client, "DELETE", "/v1/kv/a",
                                             NULL, 0, WAIT_MS, on_answer, &f.x,
                                             NULL),
                     WEFT_OK);
    finish(&f.x);
    assert_non_null(strstr(f.server.last, "DELETE /v1/kv/a HTTP/1.1\r\n"));
}

static void what_cannot_be_sent_is_refused(void **s)
{
    static const struct {
        const char *method, *path;
    } bad[] = {{"GET", "no-slash"}, {"GET", "/a b"}, {"GET", "/a\r\nX: y"},
               {"GET", "/a\x7f"},   {"BREW", "/"},   {"GET", ""}};
    static const char *hosts[] = {
        "consul.example.com", "", "127.0.0.1.", "1.2.3", "[::1", NULL};
    weft__http_client *c = NULL;
    const char *why = NULL;

    (void)s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(weft__http_request_send(f.client, bad[i].method,
                                                 bad[i].path, NULL, 0, WAIT_MS,
                                                 on_answer, &f.x, NULL),
                         WEFT_EINVAL);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        f.conf.host = hosts[i];
        assert_int_equal(weft__http_client_new(&c, f.loop, &f.conf, &why),
                         WEFT_EINVAL);
        assert_non_null(why);
    }
    f.conf.host = "127.0.0.1";
    f.conf.token = "a\r\nb";
    assert_int_equal(weft__http_client_new(&c, f.loop, &f.conf, &why),
                     WEFT_EINVAL);
    assert_int_equal(f.x.calls, 0);
}

static void localhost_and_bracketed_ipv6_are_literals(void **s)
{
    static const char *hosts[] = {"localhost", "::1", "[::1]"};
    weft__http_client *c = NULL;

    (void)s;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        f.conf.host = hosts[i];
        assert_int_equal(weft__http_client_new(&c, f.loop, &f.conf, NULL),
                         WEFT_OK);
        weft__http_client_close(c);
    }
}

/* -------------------------------------------------------------- framing */

static void an_answer_may_be_split_at_every_byte(void **s)
{
    static const raw_step with_length[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                           RAW_DO(RAW_CLOSE)};
    static const raw_step chunked[] = {RAW_DO(RAW_WAIT), RAW_TEXT(CHUNKED),
                                       RAW_DO(RAW_CLOSE)};

    (void)s;
    f.server.scripts[0] = with_length;
    for (f.server.split_at = 1; f.server.split_at < sizeof(ANSWER);
         f.server.split_at++) {
        fetch("/");
        expect_hello();
        assert_string_equal(f.x.header, "7");
    }
    f.server.scripts[0] = chunked;
    for (f.server.split_at = 1; f.server.split_at < sizeof(CHUNKED);
         f.server.split_at++) {
        fetch("/");
        expect_hello();
    }
}

static void an_answer_may_come_byte_by_byte(void **s)
{
    static const raw_step with_length[] = {
        RAW_DO(RAW_WAIT), RAW_DRIP_TEXT(ANSWER), RAW_DO(RAW_END)};
    static const raw_step chunked[] = {RAW_DO(RAW_WAIT), RAW_DRIP_TEXT(CHUNKED),
                                       RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = with_length;
    f.server.scripts[1] = chunked;
    fetch("/");
    expect_hello();
    weft__http_client_close(f.client);
    open_client();
    fetch("/");
    expect_hello();
}

static void a_body_may_end_with_the_connection(void **s)
{
    (void)s;
    assert_int_equal(outcome("HTTP/1.0 200 OK\r\n\r\nhello", RAW_CLOSE),
                     WEFT__HTTP_OK);
    expect_hello();
    assert_int_equal(
        outcome("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", RAW_CLOSE),
        WEFT__HTTP_OK);
    expect_hello();
    /* evhttp alone would call this one empty. */
    assert_int_equal(
        outcome("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
                RAW_CLOSE),
        WEFT__HTTP_OK);
    expect_hello();
    assert_int_equal(outcome("HTTP/1.0 200 OK\r\n\r\nhello", RAW_RESET),
                     WEFT__HTTP_CUT);
}

static void an_answer_may_be_empty(void **s)
{
    (void)s;
    assert_int_equal(
        outcome("HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", RAW_END),
        WEFT__HTTP_OK);
    assert_int_equal(f.x.code, 429);
    assert_int_equal(f.x.body_len, 0);
    assert_int_equal(outcome("HTTP/1.1 204 No Content\r\n\r\n", RAW_END),
                     WEFT__HTTP_OK);
    assert_int_equal(f.x.code, 204);
}

static void five_megabytes_come_whole(void **s)
{
    size_t n = 5000000;
    char *text = malloc(n + 200);
    int head =
        sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    raw_step script[] = {
        RAW_DO(RAW_WAIT), {RAW_SEND, text, (size_t)head + n}, RAW_DO(RAW_END)};

    (void)s;
    memset(text + head, 'x', n);
    f.server.scripts[0] = script;
    fetch("/");
    assert_int_equal(f.x.error, WEFT__HTTP_OK);
    assert_int_equal(f.x.body_len, n);
    /* And in one chunk, as Consul sends it. */
    head = sprintf(text,
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx"
                   "\r\n",
                   n);
    memset(text + head, 'x', n);
    memcpy(text + head + n, "\r\n0\r\n\r\n", 7);
    script[1].len = (size_t)head + n + 7;
    weft__http_client_close(f.client);
    open_client();
    fetch("/");
    assert_int_equal(f.x.error, WEFT__HTTP_OK);
    assert_int_equal(f.x.body_len, n);
    free(text);
}

static void a_trailer_is_dropped_and_a_chunk_extension_refused(void **s)
{
    (void)s;
    assert_int_equal(
        outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "5\r\nhello\r\n0\r\nX-Consul-Index: 9\r\n\r\n",
                RAW_END),
        WEFT__HTTP_OK);
    expect_hello();
    assert_string_equal(f.x.header, "");
    assert_int_equal(
        outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "5;a=b\r\nhello\r\n0\r\n\r\n",
                RAW_END),
        WEFT__HTTP_INVALID);
}

static void interim_answers_are_skipped_or_refused(void **s)
{
    (void)s;
    assert_int_equal(outcome("HTTP/1.1 100 Continue\r\nX-Consul-Index: 9\r\n"
                             "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
                             "hello",
                             RAW_END),
                     WEFT__HTTP_OK);
    expect_hello();
    assert_string_equal(f.x.header, "");
    assert_int_equal(
        outcome("HTTP/1.1 103 Early Hints\r\n\r\n" ANSWER, RAW_END),
        WEFT__HTTP_INVALID);
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
    assert_int_equal(
        outcome(CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE ANSWER,
                RAW_END),
        WEFT__HTTP_INVALID);
}

/* ------------------------------------------------------------- failures */

static void what_is_not_http_is_invalid(void **s)
{
    static const char *bad[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: "
        "6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        "\x16\x03\x01\x02\r\n",
    };

    (void)s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (outcome(bad[i], RAW_END) != WEFT__HTTP_INVALID)
            fail_msg("%s: %s", bad[i], weft__http_error_text(f.x.error));
}

static void each_way_to_break_off_has_its_class(void **s)
{
    static const raw_step reset_at_once[] = {RAW_DO(RAW_RESET)};
    static const char *cut[] = {
        "H",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nX-Consul-In",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
    };

    (void)s;
    assert_int_equal(outcome("", RAW_CLOSE), WEFT__HTTP_EOF);
    assert_true(f.x.fresh);
    assert_int_equal(outcome("", RAW_RESET), WEFT__HTTP_EOF);
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        if (outcome(cut[i], RAW_CLOSE) != WEFT__HTTP_CUT)
            fail_msg("%s: %s", cut[i], weft__http_error_text(f.x.error));
        if (outcome(cut[i], RAW_RESET) != WEFT__HTTP_CUT)
            fail_msg("%s, reset: %s", cut[i], weft__http_error_text(f.x.error));
    }
    f.server.scripts[0] = reset_at_once;
    fetch("/");
    assert_true(f.x.error == WEFT__HTTP_EOF || f.x.error == WEFT__HTTP_CONNECT);
    raw_server_close(&f.server); /* nobody listens */
    fetch("/");
    assert_int_equal(f.x.error, WEFT__HTTP_CONNECT);
    assert_int_equal(f.x.body_len, 0);
}

static void a_body_over_the_cap_is_too_big(void **s)
{
    static char text[400000];
    size_t head;

    (void)s;
    weft__http_client_close(f.client);
    f.conf.max_body_bytes = 1000;
    f.conf.max_header_bytes = 1000;
    open_client();
    /* Announced. */
    assert_int_equal(
        outcome("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", RAW_END),
        WEFT__HTTP_TOO_BIG);
    assert_int_equal(outcome("HTTP/1.1 200 OK\r\nContent-Length: "
                             "9223372036854775807\r\n\r\n",
                             RAW_END),
                     WEFT__HTTP_TOO_BIG);
    /* Until the end of the connection, which never comes. */
    memset(text, 'x', sizeof(text) - 1);
    head = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n\r\n");
    text[head] = 'x';
    assert_int_equal(outcome(text, RAW_END), WEFT__HTTP_TOO_BIG);
    /* A chunk that never ends. */
    head = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
                                 "\r\n\r\nfffffff\r\n");
    text[head] = 'x';
    assert_int_equal(outcome(text, RAW_END), WEFT__HTTP_TOO_BIG);
    /* Whole, and yet too big. */
    memset(text + head, 'x', 1200);
    memcpy(text, "HTTP/1.1 200 OK\r\n\r\n", 19);
    text[19 + 1001] = '\0';
    assert_int_equal(outcome(text, RAW_CLOSE), WEFT__HTTP_TOO_BIG);
}

static void headers_are_capped(void **s)
{
    static char text[200000];
    int n = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Big: ");

    (void)s;
    memset(text + n, 'x', 20000);
    strcpy(text + n + 20000, "\r\n\r\nhello");
    assert_int_equal(outcome(text, RAW_END), WEFT__HTTP_OK);
    expect_hello();
    memset(text + n, 'x', 100000); /* over 64 KiB, no end of line */
    text[n + 100000] = '\0';
    assert_int_equal(outcome(text, RAW_END), WEFT__HTTP_TOO_BIG);
    memset(text, 'x', 100000); /* not even a status line */
    assert_int_equal(outcome(text, RAW_END), WEFT__HTTP_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_get_names_host_and_token_and_never_asks_for_compression),
        T(put_and_delete_carry_their_bodies),
        T(what_cannot_be_sent_is_refused),
        T(localhost_and_bracketed_ipv6_are_literals),
        T(an_answer_may_be_split_at_every_byte),
        T(an_answer_may_come_byte_by_byte),
        T(a_body_may_end_with_the_connection),
        T(an_answer_may_be_empty),
        T(five_megabytes_come_whole),
        T(a_trailer_is_dropped_and_a_chunk_extension_refused),
        T(interim_answers_are_skipped_or_refused),
        T(what_is_not_http_is_invalid),
        T(each_way_to_break_off_has_its_class),
        T(a_body_over_the_cap_is_too_big),
        T(headers_are_capped),
    };

    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
