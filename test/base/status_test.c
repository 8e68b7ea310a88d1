#include "support.h"

#include <weft/status.h>

#include <ctype.h>
#include <string.h>

static const int every[] = {
#define CODE(name, code, text) code,
    WEFT_STATUS_TABLE(CODE)
#undef CODE
};

#define EVERY (sizeof(every) / sizeof(every[0]))

static void no_code_and_no_name_stands_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY; i++)
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(every[i], every[k]);
            assert_string_not_equal(weft_status_name(every[i]),
                                    weft_status_name(every[k]));
        }
}

static void each_status_has_a_name_and_a_phrase(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY; i++) {
        assert_string_not_equal(weft_status_name(every[i]), "UNKNOWN_STATUS");
        assert_true(islower((unsigned char)weft_status_text(every[i])[0]));
    }
    assert_string_equal(weft_status_name(WEFT_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(weft_status_name(WEFT_ENOMEM), "ENOMEM");
}

static void a_number_that_is_none_still_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(weft_status_name(17), "UNKNOWN_STATUS");
    assert_string_equal(weft_status_name(-1000), "UNKNOWN_STATUS");
    assert_string_equal(weft_status_text(INT32_MAX), "unknown status");
}

static void the_rpc_codes_are_grpcs(void **state)
{
    static const char *const names[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };

    (void)state;
    for (int code = 0; code <= 16; code++) {
        assert_string_equal(weft_status_name(code), names[code]);
        assert_int_equal(weft_status_to_rpc(code), code);
    }
}

static void every_failure_of_ours_is_an_rpc_code(void **state)
{
    static const struct {
        weft_status ours, rpc;
    } rows[] = {
        {WEFT_ENOMEM, WEFT_RESOURCE_EXHAUSTED},
        {WEFT_ELIMIT, WEFT_RESOURCE_EXHAUSTED},
        {WEFT_EINVAL, WEFT_INVALID_ARGUMENT},
        {WEFT_ESYNTAX, WEFT_INVALID_ARGUMENT},
        {WEFT_EIO, WEFT_UNAVAILABLE},
        {WEFT_EADDR, WEFT_UNAVAILABLE},
        {WEFT_ECONNREFUSED, WEFT_UNAVAILABLE},
        {WEFT_ECONNRESET, WEFT_UNAVAILABLE},
        {WEFT_ECLOSED, WEFT_UNAVAILABLE},
        {WEFT_EOF, WEFT_UNAVAILABLE},
        {WEFT_ETIMEDOUT, WEFT_UNAVAILABLE},
        {WEFT_EPROTO, WEFT_UNAVAILABLE},
        {WEFT_ENOTSUP, WEFT_UNIMPLEMENTED},
        {WEFT_ESTATE, WEFT_INTERNAL},
        {WEFT_EEXIST, WEFT_INTERNAL},
        {WEFT_ENOENT, WEFT_INTERNAL},
        {WEFT_EAGAIN, WEFT_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(weft_status_to_rpc(rows[i].ours), rows[i].rpc);
    for (size_t i = 0; i < EVERY; i++) {
        assert_true(weft_status_to_rpc(every[i]) >= 0);
        assert_true(weft_status_to_rpc(every[i]) <= 16);
        /* A failure is never told as a success. */
        assert_int_equal(weft_status_to_rpc(every[i]) == WEFT_OK,
                         every[i] == 0);
    }
    assert_int_equal(weft_status_to_rpc(17), WEFT_UNKNOWN);
    assert_int_equal(weft_status_to_rpc(-1000), WEFT_INTERNAL);
}

static void gorpcs_codes_have_a_meaning(void **state)
{
    static const struct {
        uint32_t gorpc;
        weft_status ours;
    } rows[] = {
        {0, WEFT_OK},
        {100, WEFT_INTERNAL},
        {101, WEFT_FAILED_PRECONDITION},
        {201, WEFT_UNIMPLEMENTED},
        {301, WEFT_INVALID_ARGUMENT},
        {401, WEFT_UNAUTHENTICATED},
        {14, WEFT_UNAVAILABLE},
        {17, WEFT_UNKNOWN},
        {9999, WEFT_UNKNOWN},
        {UINT32_MAX, WEFT_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(weft_status_from_gorpc(rows[i].gorpc), rows[i].ours);
}

static void codes_survive_the_way_through_gorpc(void **state)
{
    (void)state;
    for (int code = 0; code <= 16; code++) {
        uint32_t wire = weft_status_to_gorpc((weft_status)code);
        weft_status back = weft_status_from_gorpc(wire);

        assert_int_equal(wire == 0, code == 0);
        if (code == WEFT_UNKNOWN || code == WEFT_UNIMPLEMENTED)
            assert_int_equal(back, WEFT_INTERNAL); /* gorpc's 100 is all */
        else
            assert_int_equal(back, code);
    }
    assert_int_equal(weft_status_to_gorpc(WEFT_UNKNOWN), 100);
    assert_int_equal(weft_status_to_gorpc(WEFT_UNIMPLEMENTED), 100);
    assert_int_equal(weft_status_to_gorpc(WEFT_UNAUTHENTICATED), 401);
    for (size_t i = 0; i < EVERY; i++)
        assert_int_equal(weft_status_to_gorpc((weft_status)every[i]) == 0,
                         every[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_code_and_no_name_stands_twice),
        cmocka_unit_test(each_status_has_a_name_and_a_phrase),
        cmocka_unit_test(a_number_that_is_none_still_has_a_name),
        cmocka_unit_test(the_rpc_codes_are_grpcs),
        cmocka_unit_test(every_failure_of_ours_is_an_rpc_code),
        cmocka_unit_test(gorpcs_codes_have_a_meaning),
        cmocka_unit_test(codes_survive_the_way_through_gorpc),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
