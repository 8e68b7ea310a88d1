/* order_bytes.h - the 30-field message as bytes, for those who decode it with
 * another library. */
#ifndef WEFT_BENCH_ORDER_BYTES_H
#define WEFT_BENCH_ORDER_BYTES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

const void *order_bytes(size_t *len); /* static */

#ifdef __cplusplus
}
#endif

#endif /* WEFT_BENCH_ORDER_BYTES_H */
