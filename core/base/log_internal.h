/* log_internal.h - the rate limit with time as an argument. */
#ifndef WEFT_LOG_INTERNAL_H
#define WEFT_LOG_INTERNAL_H

#include <weft/log.h>

/* May this record be written?  If so, *suppressed says how many were not since
 * the last one. */
bool weft__log_limit_take(weft_log_limit *limit, uint64_t now_ms,
                          uint32_t *suppressed);

#endif /* WEFT_LOG_INTERNAL_H */
