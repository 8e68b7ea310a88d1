/* server_fallback_test.c - calls of services that nobody has registered, as
 * bytes. */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

static weft_raw_request raw_seen;
static weft_call *raw_call_seen;

static void keep_raw(weft_call *call, const weft_raw_request *request,
                     void *user)
{
    assert_string_equal(user, "user");
    raw_seen = *request;
    raw_call_seen = call;
}

static void fallback(void **state, size_t payload_len)
{
    fixture *f = *state;
    uint8_t *payload = malloc(payload_len + 1);
    weft_metadatum pair = {"k", "v", 1};
    weft__wire_request request = {
        .path = "/any.Service/Method",
        .path_len = 19,
        .metadata = {&pair, 1},
        .content_type = {(const uint8_t *)"json", 4},
        .payload = {.data = payload, .len = payload_len}};
    int call;

    memset(payload, 'p', payload_len + 1);
    fixture_server(f, NULL, NULL);
    weft_server_set_fallback(f->server, keep_raw, "user");
    fixture_start(f);
    fixture_connect(f);
    raw_call_seen = NULL;
    call = raw_call(&f->client, &request);
    run_while(f, raw_call_seen == NULL);
    /* Something else goes over the connection before the bytes are looked at.
     */
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_string_equal(raw_seen.service, "any.Service");
    assert_string_equal(raw_seen.method, "Method");
    assert_string_equal(raw_seen.content_type, "json");
    assert_string_equal(weft_metadata_get(raw_seen.metadata, "k", NULL), "v");
    assert_int_equal(raw_seen.payload_len, payload_len);
    assert_memory_equal(raw_seen.payload, payload, payload_len);
    weft_call_reply_bytes(raw_call_seen, raw_seen.payload,
                          raw_seen.payload_len);
    assert_int_equal(reply_to(f, call)->status, WEFT_OK);
    assert_string_equal(reply_to(f, call)->content_type, "json");
    assert_int_equal(reply_to(f, call)->payload_len, payload_len);
    assert_memory_equal(reply_to(f, call)->payload, payload, payload_len);
    free(payload);
}

static void a_fallback_sees_and_answers_raw_bytes(void **state)
{
    fallback(state, 100);
}

static void a_fallback_sees_empty_payloads(void **state)
{
    fallback(state, 0);
}

static void a_fallback_keeps_big_payloads(void **state)
{
    fallback(state, 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_fallback_sees_and_answers_raw_bytes),
        FIXTURE_TEST(a_fallback_sees_empty_payloads),
        FIXTURE_TEST(a_fallback_keeps_big_payloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
