#include "support.h"

#include <stdlib.h>

#include "common/money.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "order.pb-c.h"
#include "streams.pb-c.h"

/* Packs and unpacks; the result is given. */
static Shop__Order *round_trip(const Shop__Order *order, size_t *len)
{
    uint8_t bytes[512];

    *len = shop__order__pack(order, bytes);
    assert_true(*len <= sizeof(bytes));
    return shop__order__unpack(NULL, *len, bytes);
}

static void optional_keeps_a_zero_apart_from_nothing(void **state)
{
    Shop__Order order = SHOP__ORDER__INIT, *back;
    size_t len;

    (void)state;
    back = round_trip(&order, &len);
    assert_int_equal(len, 0);
    assert_int_equal(back->_x_case, SHOP__ORDER___X__NOT_SET);
    shop__order__free_unpacked(back, NULL);

    order._x_case = SHOP__ORDER___X_X;
    order.x = 0;
    back = round_trip(&order, &len);
    assert_int_equal(len, 2); /* 08 00 */
    assert_int_equal(back->_x_case, SHOP__ORDER___X_X);
    assert_int_equal(back->x, 0);
    shop__order__free_unpacked(back, NULL);
}

static void optional_strings_and_messages_round_trip(void **state)
{
    Shop__Order order = SHOP__ORDER__INIT, *back;
    Common__Money tip = COMMON__MONEY__INIT;
    size_t len;

    (void)state;
    order._note_case = SHOP__ORDER___NOTE_NOTE;
    order.note = "";
    order._tip_case = SHOP__ORDER___TIP_TIP;
    order.tip = &tip;
    tip.units = 7;
    back = round_trip(&order, &len);
    assert_int_equal(back->_note_case, SHOP__ORDER___NOTE_NOTE);
    assert_string_equal(back->note, "");
    assert_int_equal(back->tip->units, 7);
    shop__order__free_unpacked(back, NULL);
}

static void imported_and_well_known_types_link(void **state)
{
    Shop__Order order = SHOP__ORDER__INIT, *back;
    Common__Money price = COMMON__MONEY__INIT;
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    size_t len;

    (void)state;
    price.currency = "EUR";
    at.seconds = 1;
    order.price = &price;
    order.at = &at;
    order.class_ = "first";
    back = round_trip(&order, &len);
    assert_string_equal(back->price->currency, "EUR");
    assert_int_equal(back->at->seconds, 1);
    assert_string_equal(back->class_, "first");
    shop__order__free_unpacked(back, NULL);
}

static void services_have_names_to_call_by(void **state)
{
    const ProtobufCServiceDescriptor *orders = &shop__orders__descriptor;

    (void)state;
    assert_string_equal(orders->name, "shop.Orders");
    assert_int_equal(orders->n_methods, 3);
    assert_string_equal(orders->methods[2].name, "GetHTTPInfo");
}

static void allow_streams_generates_the_unary_functions(void **state)
{
    (void)state;
    assert_int_equal(shop__ticker__descriptor.n_methods, 1);
    assert_non_null(shop__ticker__watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optional_keeps_a_zero_apart_from_nothing),
        cmocka_unit_test(optional_strings_and_messages_round_trip),
        cmocka_unit_test(imported_and_well_known_types_link),
        cmocka_unit_test(services_have_names_to_call_by),
        cmocka_unit_test(allow_streams_generates_the_unary_functions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
