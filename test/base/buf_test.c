#include "fail_nth.h"

#include <weft/buf.h>

#include <string.h>

static void bytes_are_kept_in_order(void **state)
{
    weft__buf buf = {0};

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(
            weft__buf_append(&buf, &(uint8_t){(uint8_t)(i % 253)}, 1), WEFT_OK);
    assert_int_equal(buf.len, 10000);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(buf.data[i], i % 253);
    weft__buf_fini(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.cap, 0);
}

static void it_grows_by_half_at_least(void **state)
{
    weft__buf buf = {0};
    unsigned grown = 0;
    size_t cap = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(weft__buf_append(&buf, "x", 1), WEFT_OK);
        grown += buf.cap != cap;
        cap = buf.cap;
    }
    assert_in_range(grown, 1, 25);
    weft__buf_fini(&buf);
}

static void text_is_ended_but_not_counted(void **state)
{
    weft__buf buf = {0};

    (void)state;
    assert_int_equal(weft__buf_printf(&buf, "%s=%d", "weight", 7), WEFT_OK);
    assert_int_equal(weft__buf_printf(&buf, ",%c", 'x'), WEFT_OK);
    assert_int_equal(buf.len, 10);
    assert_string_equal((char *)buf.data, "weight=7,x");
    assert_int_equal(weft__buf_printf(&buf, "%s", ""), WEFT_OK);
    assert_string_equal((char *)buf.data, "weight=7,x");
    weft__buf_fini(&buf);
}

static void what_is_consumed_is_gone(void **state)
{
    weft__buf buf = {0};

    (void)state;
    weft__buf_consume(&buf, 3);
    assert_int_equal(weft__buf_append(&buf, "abcdef", 6), WEFT_OK);
    weft__buf_consume(&buf, 0);
    weft__buf_consume(&buf, 2);
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "cdef", 4);
    weft__buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    weft__buf_fini(&buf);
}

static void a_size_that_overflows_is_out_of_memory(void **state)
{
    weft__buf buf = {0};

    (void)state;
    assert_int_equal(weft__buf_append(&buf, "x", 1), WEFT_OK);
    assert_int_equal(weft__buf_reserve(&buf, SIZE_MAX), WEFT_ENOMEM);
    assert_int_equal(weft__buf_reserve(&buf, SIZE_MAX - 1), WEFT_ENOMEM);
    assert_int_equal(buf.len, 1);
    assert_int_equal(buf.data[0], 'x');
    weft__buf_fini(&buf);
}

static weft_status fill(void *user)
{
    weft__buf buf = {0};
    weft_status status = WEFT_OK;
    size_t len = 0;

    (void)user;
    for (int i = 0; i < 500 && status == WEFT_OK; i++) {
        status = weft__buf_printf(&buf, "%04d", i);
        if (status == WEFT_OK)
            len += 4;
        assert_int_equal(buf.len, len); /* a failure leaves it alone */
    }
    if (len > 0)
        assert_memory_equal(buf.data, "0000", 4);
    weft__buf_fini(&buf);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(fill, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_kept_in_order),
        cmocka_unit_test(it_grows_by_half_at_least),
        cmocka_unit_test(text_is_ended_but_not_counted),
        cmocka_unit_test(what_is_consumed_is_gone),
        cmocka_unit_test(a_size_that_overflows_is_out_of_memory),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
