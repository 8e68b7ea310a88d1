/* order.h - the 30-field message, filled. */
#ifndef WEFT_BENCH_ORDER_H
#define WEFT_BENCH_ORDER_H

#include <stddef.h>

#include "echo.pb-c.h"

/* Static; nobody's to free. */
const Bench__Order *order_message(void);
size_t order_packed_size(void);

#endif /* WEFT_BENCH_ORDER_H */
