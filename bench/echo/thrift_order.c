#include "thrift_order.h"

#include "order.h"

benchOrder *thrift_order(void)
{
    const Bench__Order *o = order_message();
    GPtrArray *items = g_ptr_array_new(), *tags = g_ptr_array_new();
    GPtrArray *attributes = g_ptr_array_new();
    GArray *warehouses = g_array_new(FALSE, FALSE, sizeof(gint32));
    GByteArray *signature = g_byte_array_new();
    benchAddress *addresses[2];

    for (int i = 0; i < 2; i++) {
        const Bench__Address *a = i == 0 ? o->billing : o->shipping;
        addresses[i] =
            g_object_new(BENCH_TYPE_ADDRESS, "street", a->street, "city",
                         a->city, "zip", a->zip, "country", a->country, NULL);
    }
    for (size_t i = 0; i < o->n_items; i++)
        g_ptr_array_add(items,
                        g_object_new(BENCH_TYPE_ITEM, "sku", o->items[i]->sku,
                                     "title", o->items[i]->title, "quantity",
                                     (gint)o->items[i]->quantity, "price",
                                     o->items[i]->price, NULL));
    for (size_t i = 0; i < o->n_tags; i++)
        g_ptr_array_add(tags, g_strdup(o->tags[i]));
    for (size_t i = 0; i < o->n_attributes; i++)
        g_ptr_array_add(attributes,
                        g_object_new(BENCH_TYPE_ATTRIBUTE, "key",
                                     o->attributes[i]->key, "value",
                                     o->attributes[i]->value, NULL));
    for (size_t i = 0; i < o->n_warehouses; i++) {
        gint32 one = (gint32)o->warehouses[i];
        g_array_append_val(warehouses, one);
    }
    g_byte_array_append(signature, o->signature.data, (guint)o->signature.len);
    return g_object_new(
        BENCH_TYPE_ORDER, "id", (gint64)o->id, "number", o->number, "status",
        (gint)o->status, "created_us", (gint64)o->created_us, "updated_us",
        (gint64)o->updated_us, "customer",
        g_object_new(BENCH_TYPE_CUSTOMER, "id", (gint64)o->customer->id, "name",
                     o->customer->name, "email", o->customer->email, "phone",
                     o->customer->phone, NULL),
        "billing", addresses[0], "shipping", addresses[1], "items", items,
        "total", o->total, "currency", o->currency, "paid", (gboolean)o->paid,
        "gift", (gboolean)o->gift, "note", o->note, "priority",
        (gint)o->priority, "tags", tags, "signature", signature, "trace",
        (gint64)o->trace, "adjustment", (gint)o->adjustment, "warehouses",
        warehouses, "channel", o->channel, "locale", o->locale, "weight",
        (gdouble)o->weight, "points", (gint)o->points, "coupon", o->coupon,
        "carrier", o->carrier, "tracking", o->tracking, "deliver_by_us",
        (gint64)o->deliver_by_us, "attributes", attributes, "tax", o->tax,
        NULL);
}
