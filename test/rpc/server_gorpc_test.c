/* What gorpc's clients see of a server: raw bytes both ways, row by row. */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct peer {
    int fd;
    uint8_t in[65536];
    size_t len;
} peer;

static void serve(fixture *f, peer *p)
{
    fixture_server(f, NULL, NULL);
    fixture_start(f);
    p->fd = plain_connect(weft_server_address(f->server, 0));
    p->len = 0;
}

/* A version 0 frame around the body. */
static void send_frame(peer *p, const void *body, size_t len)
{
    uint8_t frame[1024] = {0x11};

    frame[9] = (uint8_t)(len >> 8);
    frame[10] = (uint8_t)len;
    memcpy(frame + 15, body, len);
    plain_send(p->fd, frame, len + 15);
}

static void send_call(peer *p, const char *path, const void *payload,
                      size_t len)
{
    uint8_t body[512] = {0x12, (uint8_t)strlen(path)};
    size_t n = 2 + strlen(path);

    memcpy(body + 2, path, strlen(path));
    if (payload != NULL) {
        body[n++] = 0x22;
        body[n++] = (uint8_t)len;
        memcpy(body + n, payload, len);
        n += len;
    }
    send_frame(p, body, n);
}

static bool whole(peer *p)
{
    long n = plain_recv(p->fd, p->in + p->len, sizeof(p->in) - p->len);

    if (n > 0)
        p->len += (size_t)n;
    return p->len >= 15 && p->len >= 15u + ((size_t)p->in[9] << 8) + p->in[10];
}

/* Takes the next frame, whose body is exactly this. */
static void expect(fixture *f, peer *p, const void *body, size_t len)
{
    uint8_t head[15] = {0x11};

    run_while(f, !whole(p));
    head[10] = (uint8_t)len;
    assert_memory_equal(p->in, head, 15);
    assert_memory_equal(p->in + 15, body, len);
    p->len -= len + 15;
    memmove(p->in, p->in + len + 15, p->len);
}

#define EXPECT(f, p, text) expect(f, p, text, sizeof(text) - 1)
#define SERVER_ERROR "\x08\x64\x12\x15server internal error"
#define METHOD_INVALID "\x08\xad\x02\x12\x11method is invalid"

static void a_call_is_answered_byte_for_byte(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    send_call(&p, HELLO, "\x0a\x05world", 7);
    EXPECT(f, &p, "\x12\x07success\x22\x0d\x0a\x0bhello world");
    close(p.fd);
}

static void only_what_follows_the_last_slash_counts(void **state)
{
    static const char *const paths[] = {"/any.Service/SayHello",
                                        "/a/b/c/SayHello", "//SayHello"};
    fixture *f = *state;
    size_t i;
    peer p;

    serve(f, &p);
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        send_call(&p, paths[i], "\x0a\x01x", 3);
        EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello x");
    }
    close(p.fd);
}

static void with_two_services_an_unknown_one_is_an_error(void **state)
{
    fixture *f = *state;
    peer p;

    fixture_server(f, NULL, NULL);
    weft_server_add_service_as(f->server, "second", &f->greeter.base);
    fixture_start(f);
    p.fd = plain_connect(weft_server_address(f->server, 0));
    p.len = 0;
    send_call(&p, "/any.Service/SayHello", "\x0a\x01x", 3);
    EXPECT(f, &p, SERVER_ERROR);
    send_call(&p, "/second/SayHello", "\x0a\x01x", 3);
    EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello x");
    close(p.fd);
}

static void paths_without_a_method_are_invalid(void **state)
{
    static const char *const paths[] = {"", "/M", "x/M", "M"};
    fixture *f = *state;
    size_t i;
    peer p;

    serve(f, &p);
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        send_call(&p, paths[i], "\x0a\x01x", 3);
        EXPECT(f, &p, METHOD_INVALID);
    }
    send_frame(&p, "", 0); /* an empty body, a heartbeat too */
    EXPECT(f, &p, METHOD_INVALID);
    close(p.fd);
}

static void what_gorpc_cannot_serve_is_server_internal_error(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    send_call(&p, "/helloworld.Greeter/NoSuch", "\x0a\x01x", 3);
    EXPECT(f, &p, SERVER_ERROR);
    send_call(&p, HELLO, "\x0a\x05x", 3); /* not a HelloRequest */
    EXPECT(f, &p, SERVER_ERROR);
    send_call(&p, HELLO, "", 0); /* an empty payload */
    EXPECT(f, &p, SERVER_ERROR);
    send_call(&p, HELLO, NULL, 0); /* none */
    EXPECT(f, &p, SERVER_ERROR);
    send_frame(&p, "\x12\xff\xff\xff\xff\x0f", 6); /* a broken envelope */
    EXPECT(f, &p, SERVER_ERROR);
    f->greeting = ANSWER_NULL; /* a plain error */
    send_call(&p, HELLO, "\x0a\x01x", 3);
    EXPECT(f, &p, SERVER_ERROR);
    assert_int_equal(f->n_handled, 1);
    close(p.fd);
}

static void an_empty_slot_is_server_internal_error(void **state)
{
    fixture *f = *state;
    peer p;

    f->greeter.say_hello = NULL;
    serve(f, &p);
    send_call(&p, HELLO, "\x0a\x01x", 3);
    EXPECT(f, &p, SERVER_ERROR);
    close(p.fd);
}

static void a_handler_s_own_failure_keeps_code_and_text(void **state)
{
    fixture *f = *state;
    weft_result foreign = {
        .status = WEFT_UNKNOWN, .raw_code = 4711, .message = "from far away"};
    peer p;
    char body[64];
    uint32_t code = weft_status_to_gorpc(WEFT_NOT_FOUND);

    serve(f, &p);
    f->greeting = FAIL;
    f->fail_status = WEFT_NOT_FOUND;
    f->fail_text = "no such thing";
    send_call(&p, HELLO, "\x0a\x01x", 3);
    assert_true(code < 128);
    snprintf(body, sizeof(body), "\x08%c\x12\x0dno such thing", (char)code);
    expect(f, &p, body, strlen(body));
    /* A code of the application's, forwarded from another gorpc server. */
    f->greeting = HOLD;
    send_call(&p, HELLO, "\x0a\x01x", 3);
    run_while(f, f->n_held == 0);
    weft_call_finish(f->held[0].call, &foreign);
    EXPECT(f, &p,
           "\x08\xe7\x24\x12\x0d"
           "from far away");
    close(p.fd);
}

static void replies_come_in_the_order_of_the_requests(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    f->greeting = HOLD;
    send_call(&p, HELLO,
              "\x0a\x01"
              "1",
              3);
    send_call(&p, HELLO,
              "\x0a\x01"
              "2",
              3);
    send_call(&p, HELLO,
              "\x0a\x01"
              "3",
              3);
    run_while(f, f->n_held < 3);
    answer_held(f, 2, "c");
    answer_held(f, 1, "b");
    test_loop_settle(&f->t);
    assert_false(whole(&p));
    answer_held(f, 0, "a");
    EXPECT(f, &p,
           "\x12\x07success\x22\x03\x0a\x01"
           "a");
    EXPECT(f, &p,
           "\x12\x07success\x22\x03\x0a\x01"
           "b");
    EXPECT(f, &p,
           "\x12\x07success\x22\x03\x0a\x01"
           "c");
    close(p.fd);
}

static void a_passed_deadline_is_told_in_order_too(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    f->greeting = HOLD;
    send_call(&p, HELLO,
              "\x0a\x01"
              "1",
              3);
    run_while(f, f->n_held < 1);
    f->greeting = GREET;
    send_call(&p, HELLO,
              "\x0a\x01"
              "2",
              3);
    run_while(f, f->n_handled < 2);
    test_loop_advance(&f->t, 4999);
    assert_false(whole(&p));
    test_loop_advance(&f->t, 1);
    run_while(f, !whole(&p));
    assert_int_equal(p.in[15], 0x08); /* a code, not a success */
    assert_non_null(memmem(p.in, p.len, "deadline 5000 ms", 16));
    assert_non_null(memmem(p.in, p.len, "hello 2", 7));
    close(p.fd);
}

static void a_successful_empty_reply_is_not_empty(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    f->greeting = HOLD;
    send_call(&p, HELLO, "\x0a\x01x", 3);
    run_while(f, f->n_held < 1);
    answer_held(f, 0, "");
    EXPECT(f, &p, "\x12\x07success\x22\x06\xf8\xff\xff\xff\x0f\x00");
    close(p.fd);
}

static void a_reply_over_4_mib_is_told_as_a_failure(void **state)
{
    fixture *f = *state;
    char *big = malloc(4200001);
    peer p;

    memset(big, 'b', 4200000);
    big[4200000] = '\0';
    serve(f, &p);
    f->greeting = HOLD;
    send_call(&p, HELLO, "\x0a\x01x", 3);
    run_while(f, f->n_held < 1);
    answer_held(f, 0, big);
    run_while(f, !whole(&p));
    assert_int_equal(p.in[15], 0x08);
    assert_non_null(memmem(p.in, p.len, "reply: a message of 42000", 25));
    free(big);
    close(p.fd);
}

static void an_idle_connection_lives_longer_than_65_seconds(void **state)
{
    fixture *f = *state;
    peer p;

    serve(f, &p);
    send_call(&p, HELLO, "\x0a\x01x", 3);
    EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello x");
    test_loop_advance(&f->t, 66000);
    assert_int_equal(plain_recv(p.fd, p.in, 1), -1); /* no heartbeat either */
    send_call(&p, HELLO, "\x0a\x01y", 3);
    EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello y");
    close(p.fd);
}

static void a_limit_is_told_by_name(void **state)
{
    fixture *f = *state;
    peer p;

    fixture_server(f, &(weft_server_conf){.max_in_flight = 1}, NULL);
    fixture_start(f);
    p.fd = plain_connect(weft_server_address(f->server, 0));
    p.len = 0;
    f->greeting = HOLD;
    send_call(&p, HELLO, "\x0a\x01x", 3);
    send_call(&p, HELLO, "\x0a\x01y", 3);
    run_while(f, weft_server_get_stats(f->server).refused == 0);
    answer_held(f, 0, "ok");
    EXPECT(f, &p, "\x12\x07success\x22\x04\x0a\x02ok");
    run_while(f, !whole(&p));
    assert_non_null(memmem(p.in, p.len, "max_in_flight", 13));
    close(p.fd);
}

static void a_frame_cut_at_every_byte_is_served(void **state)
{
    static const uint8_t frame[] = "\x11\0\0\0\0\0\0\0\0\0\x23\0\0\0\0"
                                   "\x12\x1c/helloworld.Greeter/SayHello"
                                   "\x22\x03\x0a\x01x";
    fixture *f = *state;
    size_t cut;
    peer p;

    serve(f, &p);
    for (cut = 1; cut < sizeof(frame) - 1; cut++) {
        plain_send(p.fd, frame, cut);
        test_loop_settle(&f->t);
        assert_false(whole(&p));
        plain_send(p.fd, frame + cut, sizeof(frame) - 1 - cut);
        EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello x");
    }
    close(p.fd);
}

static void echo_raw(weft_call *call, const weft_raw_request *request,
                     void *user)
{
    (void)user;
    weft_call_reply_bytes(call, request->payload, request->payload_len);
}

static void a_fallback_takes_what_is_unknown(void **state)
{
    fixture *f = *state;
    peer p;

    fixture_server(f, NULL, NULL);
    weft_server_set_fallback(f->server, echo_raw, NULL);
    fixture_start(f);
    p.fd = plain_connect(weft_server_address(f->server, 0));
    p.len = 0;
    send_call(&p, "/other.Service/SayHello", "raw", 3);
    EXPECT(f, &p, "\x12\x07success\x22\x03raw");
    send_call(&p, HELLO, "\x0a\x01x", 3);
    EXPECT(f, &p, "\x12\x07success\x22\x09\x0a\x07hello x");
    close(p.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_call_is_answered_byte_for_byte),
        FIXTURE_TEST(only_what_follows_the_last_slash_counts),
        FIXTURE_TEST(with_two_services_an_unknown_one_is_an_error),
        FIXTURE_TEST(paths_without_a_method_are_invalid),
        FIXTURE_TEST(what_gorpc_cannot_serve_is_server_internal_error),
        FIXTURE_TEST(an_empty_slot_is_server_internal_error),
        FIXTURE_TEST(a_handler_s_own_failure_keeps_code_and_text),
        FIXTURE_TEST(replies_come_in_the_order_of_the_requests),
        FIXTURE_TEST(a_passed_deadline_is_told_in_order_too),
        FIXTURE_TEST(a_successful_empty_reply_is_not_empty),
        FIXTURE_TEST(a_reply_over_4_mib_is_told_as_a_failure),
        FIXTURE_TEST(an_idle_connection_lives_longer_than_65_seconds),
        FIXTURE_TEST(a_limit_is_told_by_name),
        FIXTURE_TEST(a_frame_cut_at_every_byte_is_served),
        FIXTURE_TEST(a_fallback_takes_what_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
