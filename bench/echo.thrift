// The same messages for Thrift.
namespace c_glib bench

enum Status { FRESH = 0, PAID = 1, SENT = 2 }

struct Customer { 1: i64 id, 2: string name, 3: string email, 4: string phone }
struct Address { 1: string street, 2: string city, 3: string zip, 4: string country }
struct Item { 1: string sku, 2: string title, 3: i32 quantity, 4: double price }
struct Attribute { 1: string key, 2: string value }

struct Order {
  1: i64 id,
  2: string number,
  3: Status status,
  4: i64 created_us,
  5: i64 updated_us,
  6: Customer customer,
  7: Address billing,
  8: Address shipping,
  9: list<Item> items,
  10: double total,
  11: string currency,
  12: bool paid,
  13: bool gift,
  14: string note,
  15: i32 priority,
  16: list<string> tags,
  17: binary signature,
  18: i64 trace,
  19: i32 adjustment,
  20: list<i32> warehouses,
  21: string channel,
  22: string locale,
  23: double weight,
  24: i32 points,
  25: string coupon,
  26: string carrier,
  27: string tracking,
  28: i64 deliver_by_us,
  29: list<Attribute> attributes,
  30: double tax
}

service Echo {
  binary echo(1: binary data),
  Order echo_order(1: Order order)
}
