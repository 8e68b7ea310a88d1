#include "order.h"

#include "order_bytes.h"

#define TEXT(s) (char *)(s)

const Bench__Order *order_message(void)
{
    static Bench__Customer customer = BENCH__CUSTOMER__INIT;
    static Bench__Address billing = BENCH__ADDRESS__INIT;
    static Bench__Address shipping = BENCH__ADDRESS__INIT;
    static Bench__Item items[3] = {BENCH__ITEM__INIT, BENCH__ITEM__INIT,
                                   BENCH__ITEM__INIT};
    static Bench__Item *item_list[] = {&items[0], &items[1], &items[2]};
    static Bench__Attribute attributes[2] = {BENCH__ATTRIBUTE__INIT,
                                             BENCH__ATTRIBUTE__INIT};
    static Bench__Attribute *attribute_list[] = {&attributes[0],
                                                 &attributes[1]};
    static char *tags[] = {TEXT("returning"), TEXT("newsletter"), TEXT("eu")};
    static uint32_t warehouses[] = {17, 240, 3021};
    static uint8_t signature[32] = "0123456789abcdef0123456789abcde";
    static Bench__Order o = BENCH__ORDER__INIT;

    customer.id = 90210331;
    customer.name = TEXT("Margarethe Lindqvist");
    customer.email = TEXT("margarethe.lindqvist@example.org");
    customer.phone = TEXT("+46 8 5550 1234");
    billing.street = TEXT("Drottninggatan 71 A");
    billing.city = TEXT("Stockholm");
    billing.zip = TEXT("111 36");
    billing.country = TEXT("SE");
    shipping = billing;
    shipping.street = TEXT("Odengatan 4, c/o Bergman");
    for (size_t i = 0; i < 3; i++) {
        static const char *const titles[] = {"Loom shuttle, beech, 34 cm",
                                             "Linen yarn 16/2, unbleached",
                                             "Reed hook"};
        items[i].sku = TEXT("WV-20448-B");
        items[i].title = TEXT(titles[i]);
        items[i].quantity = (uint32_t)i + 1;
        items[i].price = 12.5 * (double)(i + 1);
    }
    attributes[0].key = TEXT("source");
    attributes[0].value = TEXT("spring-campaign");
    attributes[1].key = TEXT("device");
    attributes[1].value = TEXT("tablet");

    o.id = 7340032119ULL;
    o.number = TEXT("SE-2024-0073400");
    o.status = BENCH__ORDER__STATUS__PAID;
    o.created_us = 1713355200123456;
    o.updated_us = 1713355260654321;
    o.customer = &customer;
    o.billing = &billing;
    o.shipping = &shipping;
    o.n_items = 3;
    o.items = item_list;
    o.total = 75.25;
    o.currency = TEXT("SEK");
    o.paid = 1;
    o.gift = 1;
    o.note = TEXT("Please leave with the neighbour on the second floor.");
    o.priority = 2;
    o.n_tags = 3;
    o.tags = tags;
    o.signature.len = sizeof(signature);
    o.signature.data = signature;
    o.trace = 0x1234567890abcdefULL;
    o.adjustment = -250;
    o.n_warehouses = 3;
    o.warehouses = warehouses;
    o.channel = TEXT("web");
    o.locale = TEXT("sv-SE");
    o.weight = 1.75F;
    o.points = 1480;
    o.coupon = TEXT("SPRING10");
    o.carrier = TEXT("PostNord");
    o.tracking = TEXT("00370730254738291046");
    o.deliver_by_us = 1713700800000000;
    o.n_attributes = 2;
    o.attributes = attribute_list;
    o.tax = 15.05;
    return &o;
}

size_t order_packed_size(void)
{
    return bench__order__get_packed_size(order_message());
}

const void *order_bytes(size_t *len)
{
    static uint8_t bytes[2048];

    *len = order_packed_size() <= sizeof(bytes)
               ? bench__order__pack(order_message(), bytes)
               : 0;
    return bytes;
}
