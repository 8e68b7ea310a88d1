/* thrift_order.h - the 30-field message as Thrift's objects. */
#ifndef WEFT_BENCH_THRIFT_ORDER_H
#define WEFT_BENCH_THRIFT_ORDER_H

#include <bench_echo.h> /* generated */

benchOrder *thrift_order(void); /* gives a reference */

#endif /* WEFT_BENCH_THRIFT_ORDER_H */
