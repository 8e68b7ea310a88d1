#include "http_client_support.h"
#include <string.h>
#include <weft/mem.h>

/* --------------------------------------------------------------- clocks */

static void advance(uint32_t ms)
{
    weft_fake_advance(&f.clock, ms);
    turns(20);
}

static void the_deadline_is_total(void **s)
{
    /* Never silent for long, never done. */
    static const raw_step script[] = {RAW_DO(RAW_WAIT),
                                      RAW_TEXT("HTTP/1.1 200 OK\r\n"
                                               "Content-Length: 5"
                                               "\r\n\r\nhell"),
                                      RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = script;
    start(&f.x, "/");
    turns(20);
    advance(WAIT_MS - 10);
    assert_int_equal(f.x.calls, 0);
    advance(20);
    assert_int_equal(f.x.calls, 1);
    assert_int_equal(f.x.error, WEFT__HTTP_DEADLINE);
    turns(20);
    assert_int_equal(f.server.closed_by_peer, 1);
}

static void a_handshake_that_hangs_is_no_connection(void **s)
{
    static const raw_step silent[] = {RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = silent;
    weft__http_client_close(f.client);
    f.conf.tls = true;
    f.conf.connect_ms = 300;
    open_client();
    start(&f.x, "/");
    turns(20);
    advance(290);
    assert_int_equal(f.x.calls, 0);
    advance(20);
    assert_int_equal(f.x.error, WEFT__HTTP_CONNECT);
    assert_int_equal(f.x.calls, 1);
}

static void an_old_idle_connection_is_not_trusted(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = script;
    start(&f.x, "/");
    turns(20);
    expect_hello();
    advance(29000);
    start(&f.x, "/");
    turns(20);
    expect_hello();
    assert_int_equal(f.server.accepted, 1);
    advance(31000);
    start(&f.x, "/");
    turns(20);
    expect_hello();
    assert_int_equal(f.server.accepted, 2);
}

/* ----------------------------------------------------------- keep-alive */

static void a_connection_is_used_again(void **s)
{
    static const raw_step script[] = {
        RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER), RAW_DO(RAW_WAIT), RAW_TEXT(CHUNKED),
        RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER), RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = script;
    fetch("/1");
    assert_true(f.x.fresh);
    expect_hello();
    fetch("/2");
    assert_false(f.x.fresh);
    expect_hello();
    fetch("/3");
    expect_hello();
    assert_int_equal(f.server.accepted, 1);
    assert_int_equal(f.server.requests, 3);
}

static void requests_in_flight_have_connections_of_their_own(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};
    static exchange all[64];

    (void)s;
    f.server.scripts[0] = script;
    for (size_t i = 0; i < 64; i++)
        start(&all[i], "/");
    for (size_t i = 0; i < 64; i++) {
        finish(&all[i]);
        assert_int_equal(all[i].error, WEFT__HTTP_OK);
    }
    turns(10);
    assert_int_equal(f.server.accepted, 64);
    assert_int_equal(f.server.closed_by_peer, 60); /* four stay */
}

static void a_kept_connection_that_was_closed_is_replaced(void **s)
{
    static const raw_step closes[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_CLOSE)};
    static const raw_step stays[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                     RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = closes;
    f.server.scripts[1] = stays;
    fetch("/");
    turns(10);
    fetch("/");
    expect_hello();
    assert_true(f.x.fresh);
    assert_int_equal(f.server.accepted, 2);
}

static void a_request_lost_on_a_stale_connection_is_sent_again_once(void **s)
{
    static const raw_step stale[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                     RAW_DO(RAW_WAIT), RAW_DO(RAW_CLOSE)};
    static const raw_step stays[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                     RAW_DO(RAW_END)};
    static const raw_step closes[] = {RAW_DO(RAW_WAIT), RAW_DO(RAW_CLOSE)};

    (void)s;
    f.server.scripts[0] = stale;
    f.server.scripts[1] = stays;
    fetch("/1");
    fetch("/2");
    expect_hello();
    assert_int_equal(f.server.requests, 3);
    weft__http_client_close(f.client);
    open_client();
    f.server.accepted = 0;
    f.server.scripts[1] = closes;
    fetch("/3");
    expect_hello();
    fetch("/4");
    assert_int_equal(f.x.error, WEFT__HTTP_EOF);
    assert_true(f.x.fresh);
    assert_int_equal(f.server.accepted, 2);
}

static void bytes_behind_an_answer_never_become_the_next(void **s)
{
    static const raw_step more[] = {
        RAW_DO(RAW_WAIT),
        RAW_TEXT(ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        RAW_DO(RAW_END)};
    static const raw_step later[] = {
        RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
        RAW_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        RAW_DO(RAW_END)};
    static const raw_step good[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                    RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = more;
    f.server.scripts[1] = good;
    fetch("/");
    expect_hello();
    fetch("/");
    expect_hello();
    assert_int_equal(f.server.accepted, 2);
    weft__http_client_close(f.client);
    open_client();
    f.server.accepted = 0;
    f.server.scripts[0] = later;
    fetch("/");
    turns(20);
    fetch("/");
    expect_hello();
    assert_int_equal(f.server.accepted, 2);
}

static void connection_close_is_obeyed(void **s)
{
    static const raw_step script[] = {
        RAW_DO(RAW_WAIT),
        RAW_TEXT("HTTP/1.1 200 OK\r\nConnection: Close\r\n"
                 "Content-Length: 5\r\n\r\nhello"),
        RAW_DO(RAW_END)};

    (void)s;
    f.server.scripts[0] = script;
    fetch("/");
    expect_hello();
    fetch("/");
    expect_hello();
    assert_int_equal(f.server.accepted, 2);
}

/* ------------------------------------------------------------- lifetime */

static void a_cancelled_request_calls_back_once_and_later(void **s)
{
    static const raw_step silent[] = {RAW_DO(RAW_WAIT), RAW_DO(RAW_END)};
    weft__http_request *r = NULL;

    (void)s;
    f.server.scripts[0] = silent;
    for (int when = 0; when < 10; when++) {
        f.x = (exchange){0};
        assert_int_equal(weft__http_request_send(f.client, "GET", "/", NULL, 0,
                                                 WAIT_MS, on_answer, &f.x, &r),
                         WEFT_OK);
        turns(when);
        weft__http_request_cancel(r);
        weft__http_request_cancel(r);
        assert_int_equal(f.x.calls, 0);
        finish(&f.x);
        assert_int_equal(f.x.error, WEFT__HTTP_CANCELLED);
    }
    turns(20);
    assert_null(f.server.conns);
}

static weft__http_request *pair[2];
static weft__http_error ends[2];

static void cancel_the_other(const weft__http_answer *a, void *user)
{
    size_t me = (size_t)(uintptr_t)user;

    ends[me] = a->error;
    pair[me] = NULL;
    weft__http_request_cancel(pair[1 - me]);
}

static void an_answer_that_waits_for_its_callback_can_be_cancelled(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};
    static exchange first[2];

    (void)s;
    f.server.scripts[0] = script;
    for (size_t i = 0; i < 2; i++)
        start(&first[i], "/");
    for (size_t i = 0; i < 2; i++)
        finish(&first[i]);
    /* Both connections stand: these two are answered in the same batch. */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(weft__http_request_send(
                             f.client, "GET", "/", NULL, 0, WAIT_MS,
                             cancel_the_other, (void *)(uintptr_t)i, &pair[i]),
                         WEFT_OK);
    turns(30);
    assert_int_equal(f.server.requests, 4);
    assert_null(pair[0]);
    assert_null(pair[1]);
    assert_int_not_equal(ends[0], ends[1]);
    assert_int_equal(ends[0] + ends[1], WEFT__HTTP_CANCELLED); /* OK is 0 */
}

static void the_client_may_be_closed_in_a_callback(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};
    static exchange other;

    (void)s;
    f.server.scripts[0] = script;
    other.close_in_callback = NULL;
    f.x.close_in_callback = &f.client;
    start(&f.x, "/");
    start(&other, "/");
    finish(&f.x);
    turns(20);
    assert_null(f.client);
    expect_hello();
    assert_true(other.calls <= 1); /* it may have been first */
    /* The same after a failure. */
    raw_server_close(&f.server);
    open_client();
    fetch("/");
    assert_int_equal(f.x.error, WEFT__HTTP_CONNECT);
    assert_null(f.client);
}

static void a_closed_client_calls_nobody_back(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_DRIP_TEXT(ANSWER),
                                      RAW_DO(RAW_END)};
    static exchange others[3];

    (void)s;
    f.server.scripts[0] = script;
    for (int when = 0; when < 40; when++) {
        if (f.client == NULL)
            open_client();
        for (int i = 0; i < 3; i++)
            start(&others[i], "/");
        turns(when);
        weft__http_client_close(f.client);
        f.client = NULL;
        for (int i = 0; i < 3; i++)
            others[i].calls = 0;
        turns(20);
        for (int i = 0; i < 3; i++)
            assert_int_equal(others[i].calls, 0);
    }
}

/* ---------------------------------------------------------------- abuse */

static void a_server_that_stops_reading_kills_nobody(void **s)
{
    static const raw_step scripts[][2] = {{RAW_DO(RAW_CLOSE)},
                                          {RAW_DO(RAW_RESET)},
                                          {RAW_TEXT("x"), RAW_DO(RAW_CLOSE)}};
    static char body[4000000];

    (void)s;
    for (size_t i = 0; i < 30; i++) { /* SIGPIPE's action is the default */
        f.server.scripts[0] = scripts[i % 3];
        f.x = (exchange){0};
        assert_int_equal(weft__http_request_send(f.client, "PUT", "/", body,
                                                 sizeof(body), WAIT_MS,
                                                 on_answer, &f.x, NULL),
                         WEFT_OK);
        finish(&f.x);
        assert_int_not_equal(f.x.error, WEFT__HTTP_OK);
    }
}

/* evhttp leaves the process when it is confused: it must not be. */
static void mutated_answers_are_survived(void **s)
{
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n"
        "Transfer-Encoding: chunked\r\nX-Consul-Index: 7\r\n\r\n"
        "5\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n" ANSWER;
    static char mutated[sizeof(text)];
    static raw_step script[] = {RAW_DO(RAW_WAIT),
                                {RAW_SEND, mutated, sizeof(text) - 1},
                                RAW_DO(RAW_WAIT),
                                {RAW_SEND, mutated, sizeof(text) - 1},
                                RAW_DO(RAW_CLOSE)};
    unsigned seed = 1, answered = 0;

    (void)s;
    f.server.scripts[0] = script;
    for (unsigned round = 0; round < 1500; round++) {
        memcpy(mutated, text, sizeof(text));
        for (unsigned i = round % 4; i > 0; i--) {
            seed = seed * 1103515245 + 12345;
            mutated[(seed >> 8) % (sizeof(text) - 1)] =
                "\r\n :19-;\0\xff"[(seed >> 20) % 10];
        }
        f.server.split_at = round % 7 * 30;
        start(&f.x, "/");
        weft_loop_run_until(f.loop, &f.x.done, 10);
        if (f.x.done) {
            answered += f.x.error == WEFT__HTTP_OK;
            continue;
        }
        weft__http_client_close(f.client); /* it waits for more */
        open_client();
        assert_int_equal(f.x.calls, 0);
    }
    assert_in_range(answered, 350, 1499);
}

/* ----------------------------------------------------------- allocation */

static bool exchange_survives(void)
{
    weft_status status;

    f.x = (exchange){0};
    status = weft__http_request_send(f.client, "PUT", "/", "body", 4, WAIT_MS,
                                     on_answer, &f.x, NULL);
    if (status == WEFT_OK)
        finish(&f.x);
    else
        assert_int_equal(status, WEFT_ENOMEM);
    assert_int_equal(f.x.calls, status == WEFT_OK ? 1 : 0);
    return status == WEFT_OK && f.x.error == WEFT__HTTP_OK;
}

static void every_allocation_may_fail_once(void **s)
{
    static const raw_step script[] = {RAW_DO(RAW_WAIT), RAW_TEXT(CHUNKED),
                                      RAW_DO(RAW_WAIT), RAW_TEXT(ANSWER),
                                      RAW_DO(RAW_CLOSE)};
    weft__http_client *c;
    unsigned n;

    (void)s;
    f.server.scripts[0] = script;
    for (n = 1; n < 100; n++) {
        weft_mem_fail_nth(n);
        c = NULL;
        f.conf.token = "t";
        if (weft__http_client_new(&c, f.loop, &f.conf, NULL) == WEFT_OK) {
            weft__http_client_close(f.client);
            f.client = c;
            exchange_survives();
            exchange_survives();
        }
        if (weft_mem_fail_nth(0) > 0)
            break;
    }
    assert_in_range(n, 4, 99);
    f.conf.token = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(the_deadline_is_total),
        FAKE(a_handshake_that_hangs_is_no_connection),
        FAKE(an_old_idle_connection_is_not_trusted),
        T(a_connection_is_used_again),
        T(requests_in_flight_have_connections_of_their_own),
        T(a_kept_connection_that_was_closed_is_replaced),
        T(a_request_lost_on_a_stale_connection_is_sent_again_once),
        T(bytes_behind_an_answer_never_become_the_next),
        T(connection_close_is_obeyed),
        T(a_cancelled_request_calls_back_once_and_later),
        T(an_answer_that_waits_for_its_callback_can_be_cancelled),
        T(the_client_may_be_closed_in_a_callback),
        T(a_closed_client_calls_nobody_back),
        T(a_server_that_stops_reading_kills_nobody),
        T(mutated_answers_are_survived),
        T(every_allocation_may_fail_once),
    };

    return cmocka_run_group_tests_name("http_client_life", tests, NULL, NULL);
}
