#include "support.h"

#include <string.h>
#include <weft/wire.h>

static weft__protocol sniff(const char *s)
{
    return weft__sniff((const uint8_t *)s, strlen(s));
}

static void one_byte_tells_the_native_wire(void **state)
{
    (void)state;
    assert_int_equal(sniff("\x11"), WEFT__PROTOCOL_NATIVE);
    assert_int_equal(sniff("\x11 anything"), WEFT__PROTOCOL_NATIVE);
}

static void http1_is_known_by_its_method_and_the_space_behind_it(void **state)
{
    static const char *const methods[] = {
        "GET /health", "POST /",    "PUT /",   "HEAD /",   "PATCH /",
        "DELETE /",    "OPTIONS *", "TRACE /", "CONNECT a"};

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        size_t known = strcspn(methods[i], " ") + 1;

        for (size_t n = 1; n <= strlen(methods[i]); n++)
            assert_int_equal(weft__sniff((const uint8_t *)methods[i], n),
                             n < known ? WEFT__PROTOCOL_MORE
                                       : WEFT__PROTOCOL_HTTP1);
    }
}

static void http2_is_told_from_post_put_and_patch(void **state)
{
    (void)state;
    assert_int_equal(sniff("P"), WEFT__PROTOCOL_MORE);
    assert_int_equal(sniff("PR"), WEFT__PROTOCOL_MORE);
    assert_int_equal(sniff("PRI * HTTP/2.0\r\n\r\nSM"), WEFT__PROTOCOL_HTTP2);
}

static void tls_is_a_handshake_record_of_any_version(void **state)
{
    (void)state;
    assert_int_equal(sniff("\x16"), WEFT__PROTOCOL_MORE);
    assert_int_equal(sniff("\x16\x03\x01"), WEFT__PROTOCOL_TLS);
    assert_int_equal(sniff("\x16\x04"), WEFT__PROTOCOL_UNKNOWN);
}

static void nothing_is_undecided_and_anything_else_unknown(void **state)
{
    static const char *const others[] = {"\x12", "get /", "SSH-2.0", "GETS /",
                                         "\r\n", "PRX",   "HELO x"};

    (void)state;
    assert_int_equal(weft__sniff(NULL, 0), WEFT__PROTOCOL_MORE);
    assert_int_equal(weft__sniff((const uint8_t *)"", 1),
                     WEFT__PROTOCOL_UNKNOWN);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(sniff(others[i]), WEFT__PROTOCOL_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_byte_tells_the_native_wire),
        cmocka_unit_test(http1_is_known_by_its_method_and_the_space_behind_it),
        cmocka_unit_test(http2_is_told_from_post_put_and_patch),
        cmocka_unit_test(tls_is_a_handshake_record_of_any_version),
        cmocka_unit_test(nothing_is_undecided_and_anything_else_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
