/* weft/log.h - what the library has to say: an event and key=value pairs.
 *
 *     weft_log_warn("accept failed", "listener=%s error=\"%s\"", uri, text);
 *
 * Bad input from a peer never logs above debug without a rate limit. */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <weft/api.h>

WEFT_BEGIN_DECLS

typedef enum weft_log_level {
    WEFT_LOG_DEBUG,
    WEFT_LOG_INFO,
    WEFT_LOG_WARN,
    WEFT_LOG_ERROR,
    WEFT_LOG_OFF
} weft_log_level;

/* event: what happened, in lower case.  fields: "key=value key=value", maybe
 * empty.  Both are borrowed for the call.  May run on any thread that uses
 * Weft; may not call back into Weft. */
typedef void (*weft_log_cb)(weft_log_level level, const char *event,
                            const char *fields, void *user);

/* cb NULL restores the default sink: one line each on stderr. */
WEFT_API void weft_log_set_sink(weft_log_cb cb, void *user);

/* What is below is dropped before it is formatted.  The default is INFO. */
WEFT_API void weft_log_set_level(weft_log_level level);
WEFT_API weft_log_level weft_log_get_level(void);
WEFT_API const char *weft_log_level_name(weft_log_level level);

/* Writes one record; longer than 1 KiB is cut.  fields may be NULL. */
WEFT_API void weft_log_write(weft_log_level level, const char *event,
                             const char *fields, ...) WEFT_PRINTF(3, 4);

/* A site that may repeat: at most `burst` records in each `window_ms`, and the
 * first one after a silence says how many were dropped (suppressed=N).  A
 * zeroed limit is ready for use: 5 in 10 s. */
typedef struct weft_log_limit {
    uint32_t burst, window_ms;
    uint64_t window_start_ms;
    uint32_t used, suppressed;
} weft_log_limit;
WEFT_API void weft_log_limited(weft_log_limit *limit, weft_log_level level,
                               const char *event, const char *fields, ...)
    WEFT_PRINTF(4, 5);

#define weft_log_debug(...)                                                    \
    (weft_log_get_level() <= WEFT_LOG_DEBUG                                    \
         ? weft_log_write(WEFT_LOG_DEBUG, __VA_ARGS__)                         \
         : (void)0)
#define weft_log_info(...) weft_log_write(WEFT_LOG_INFO, __VA_ARGS__)
#define weft_log_warn(...) weft_log_write(WEFT_LOG_WARN, __VA_ARGS__)
#define weft_log_error(...) weft_log_write(WEFT_LOG_ERROR, __VA_ARGS__)

WEFT_END_DECLS

#endif /* WEFT_LOG_H */
