/* envelope_test.c - the envelope's codec against every shape of bad input. */
#include "wire_peer.h"

#include <stdlib.h>
#include <string.h>

#include "envelope_internal.h"
#include "varint_internal.h"

static weft__pair pairs[8];

static weft_status request(const uint8_t *bytes, size_t len,
                           weft__envelope *env)
{
    *env =
        (weft__envelope){.pairs = pairs, .max_pairs = 8, .max_pair_bytes = 64};
    return weft__request_decode(env, bytes, len);
}

static weft_status request_hex(const char *text)
{
    weft__envelope env;
    size_t len;
    uint8_t *bytes = hex_bytes(text, &len),
            *exact = malloc(len + 1); /* ASan watches its end */
    weft_status status;

    memcpy(exact, bytes, len);
    exact = realloc(exact, len != 0 ? len : 1);
    status = request(exact, len, &env);
    free(bytes);
    free(exact);
    return status;
}

static weft_status response_hex(const char *text, weft__envelope *env)
{
    size_t len;
    uint8_t *bytes = hex_bytes(text, &len);
    weft_status status;

    *env =
        (weft__envelope){.pairs = pairs, .max_pairs = 8, .max_pair_bytes = 64};
    status = weft__response_decode(env, bytes, len);
    free(bytes);
    return status;
}

static void every_field_may_come_in_any_order_and_the_last_counts(void **state)
{
    weft__envelope env;
    size_t len;
    uint8_t *bytes = hex_bytes(
        "3a 01 \"t\" 32 01 \"c\" 28 05 22 01 \"p\" 1a 06 0a 01 61 12 01 31"
        "12 01 \"x\" 12 02 \"ab\" 28 06 08 07",
        &len);

    (void)state;
    assert_int_equal(request(bytes, len, &env), WEFT_OK);
    assert_int_equal(env.event.path.len, 2);
    assert_memory_equal(env.event.path.data, "ab", 2);
    assert_int_equal(env.event.timeout_ms, 6);
    assert_memory_equal(env.event.trace.data, "t", 1);
    assert_memory_equal(env.event.content_type.data, "c", 1);
    assert_memory_equal(env.event.payload.data, "p", 1);
    assert_int_equal(env.event.n_metadata, 1);
    free(bytes);
}

/* What is written longer than need be is still the same. */
static void padded_numbers_and_tags_say_the_same(void **state)
{
    weft__envelope env;
    size_t len;
    uint8_t *bytes = hex_bytes("92 00 82 00 \"ab\" a8 80 00 86 80 80 00"
                               "a2 80 00 01 \"p\" 9a 00 84 00 0a 81 00 61",
                               &len);

    (void)state;
    assert_int_equal(request(bytes, len, &env), WEFT_OK);
    assert_memory_equal(env.event.path.data, "ab", 2);
    assert_int_equal(env.event.timeout_ms, 6);
    assert_memory_equal(env.event.payload.data, "p", 1);
    assert_int_equal(env.event.n_metadata, 1);
    assert_memory_equal(env.event.metadata[0].key.data, "a", 1);
    free(bytes);
    bytes = hex_bytes("28 86 80 80 00 28 88 27", &len);
    assert_int_equal(request(bytes, 5, &env), WEFT_OK);
    assert_int_equal(env.event.timeout_ms, 6);
    assert_int_equal(request(bytes, len, &env), WEFT_OK);
    assert_int_equal(env.event.timeout_ms, 5000);
    free(bytes);
}

static void a_wrong_wire_type_is_an_error_in_a_known_field_only(void **state)
{
    static const struct {
        const char *bytes;
        weft_status status;
    } rows[] = {{"10 01", WEFT_EPROTO},       /* path: a number */
                {"15 01020304", WEFT_EPROTO}, /* path: fixed32 */
                {"18 01", WEFT_EPROTO},       /* metadata */
                {"20 01", WEFT_EPROTO},       /* payload */
                {"2a 01 31", WEFT_EPROTO},    /* timeout: bytes */
                {"29 0102030405060708", WEFT_EPROTO},
                {"30 01", WEFT_EPROTO}, /* content type */
                {"38 01", WEFT_EPROTO}, /* trace */
                {"13 14", WEFT_EPROTO}, /* groups are nothing we know */
                {"16", WEFT_EPROTO},
                {"17", WEFT_EPROTO},
                {"0a 01 31", WEFT_OK}, /* field 1 is unknown in requests */
                {"42 00", WEFT_OK},
                {"40 ff ff ff ff ff ff ff ff ff 01", WEFT_OK},
                {"f8 ff ff ff 0f 00", WEFT_OK}, /* the largest field number */
                {"00 00", WEFT_EPROTO},         /* there is no field 0 */
                {"02 00", WEFT_EPROTO},
                {"f8 ff ff ff 1f 00", WEFT_EPROTO}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(request_hex(rows[i].bytes), rows[i].status);
}

static void cut_off_and_overlong_input_is_an_error(void **state)
{
    static const char *const rows[] = {
        "12",
        "12 05 61",
        "12 02 61",
        "12 ff ff ff ff ff ff ff ff ff 01", /* 2^64 - 1 bytes */
        "12 ff ff ff ff 0f",                /* 2^32 - 1 */
        "12 ff ff ff ff ff ff ff ff ff ff 01",
        "28",
        "28 80",
        "28 ff ff ff ff ff ff ff ff ff ff 01",
        "41 01020304050607",
        "45 010203",
        "ff",
        "ff ff ff ff ff 0f 00",
        "1a 05 0a 7f 61 62 63", /* a key that leaves its entry */
        "1a 03 08 01 61",       /* a key that is a number */
        "1a 02 10 01"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(request_hex(rows[i]), WEFT_EPROTO);
}

static void a_valid_envelope_is_never_read_past_any_cut(void **state)
{
    weft__envelope env;
    size_t len;
    uint8_t *bytes = hex_bytes(
        "12 04 \"/s/M\" 1a 06 0a 01 61 12 01 31 28 88 27 32 04 \"json\""
        "3a 04 \"00-1\" 22 03 \"abc\"",
        &len);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t *part = malloc(cut != 0 ? cut : 1);
        weft_status status;

        memcpy(part, bytes, cut);
        status = request(part, cut, &env);
        assert_true(status == WEFT_OK || status == WEFT_EPROTO);
        if (status == WEFT_OK)
            assert_true(env.event.path.len + env.event.trace.len +
                            env.event.payload.len <=
                        cut);
        free(part);
    }
    free(bytes);
}

static void metadata_is_bounded_in_pairs_and_bytes(void **state)
{
    static const char pair[] = "1a 06 0a 01 61 12 01 31";
    char text[9 * sizeof(pair) + 1] = "";

    (void)state;
    for (int i = 0; i < 8; i++)
        strcat(text, pair);
    assert_int_equal(request_hex(text), WEFT_OK);
    strcat(text, pair);
    assert_int_equal(request_hex(text), WEFT_ELIMIT);
    assert_int_equal(request_hex("1a 44 0a 01 61 12 3f"
                                 "\"0123456789012345678901234567890123456789"
                                 "01234567890123456789012\""),
                     WEFT_OK); /* 64 bytes */
    assert_int_equal(request_hex("1a 45 0a 01 61 12 40"
                                 "\"0123456789012345678901234567890123456789"
                                 "012345678901234567890123\""),
                     WEFT_ELIMIT);
}

static void numbers_are_taken_as_far_as_they_fit(void **state)
{
    weft__envelope env;
    const uint8_t far[] = {0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};

    (void)state;
    assert_int_equal(request(far, sizeof(far), &env), WEFT_OK);
    assert_int_equal(env.event.timeout_ms, UINT32_MAX);
    assert_int_equal(response_hex("08 ad 02", &env), WEFT_OK);
    assert_int_equal(env.event.raw_code, 301);
    /* gorpc's code is a uint32, of which protobuf keeps the low bits */
    assert_int_equal(response_hex("08 81 80 80 80 10", &env), WEFT_OK);
    assert_int_equal(env.event.raw_code, 1);
}

static void varints_of_every_size_survive(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t values[] = {UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1};

        for (size_t i = 0; i < 2; i++) {
            uint8_t bytes[10];
            size_t n = (size_t)(weft__varint_put(bytes, values[i]) - bytes);
            uint64_t back = 0;

            assert_int_equal(n, weft__varint_size(values[i]));
            assert_ptr_equal(weft__varint_get(bytes, bytes + n, &back),
                             bytes + n);
            assert_true(back == values[i]);
            assert_null(weft__varint_get(bytes, bytes + n - 1, &back));
        }
    }
}

static void reasons_and_settings_skip_what_they_do_not_know(void **state)
{
    weft__reason reason;
    weft__settings settings = {.max_in_flight = 9};
    size_t len;
    uint8_t *bytes = hex_bytes("78 01 08 0e 0a 01 61 12 02 \"no\" 18 01", &len);

    (void)state;
    weft__reason_decode(&reason, bytes, len);
    assert_int_equal(reason.code, 14);
    assert_int_equal(reason.text.len, 2);
    assert_true(reason.unprocessed);
    free(bytes);
    bytes = hex_bytes("ff", &len);
    weft__reason_decode(&reason, bytes, len);
    assert_int_equal(reason.code, WEFT_UNKNOWN);
    assert_false(weft__settings_decode(&settings, bytes, len));
    free(bytes);
    bytes = hex_bytes("08 ff ff ff ff ff 01 7a 01 61 28 07", &len);
    assert_true(weft__settings_decode(&settings, bytes, len));
    assert_int_equal(settings.max_frame_bytes, UINT32_MAX);
    assert_int_equal(settings.max_in_flight, 9);
    assert_int_equal(settings.compressions, 7);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_may_come_in_any_order_and_the_last_counts),
        cmocka_unit_test(padded_numbers_and_tags_say_the_same),
        cmocka_unit_test(a_wrong_wire_type_is_an_error_in_a_known_field_only),
        cmocka_unit_test(cut_off_and_overlong_input_is_an_error),
        cmocka_unit_test(a_valid_envelope_is_never_read_past_any_cut),
        cmocka_unit_test(metadata_is_bounded_in_pairs_and_bytes),
        cmocka_unit_test(numbers_are_taken_as_far_as_they_fit),
        cmocka_unit_test(varints_of_every_size_survive),
        cmocka_unit_test(reasons_and_settings_skip_what_they_do_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
