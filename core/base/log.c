/* log.c - one record is one line: time, level, event, fields. */
#include <weft/log.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log_internal.h"
#include <weft/sys.h>

enum { RECORD_BYTES = 1024, DEFAULT_BURST = 5, DEFAULT_WINDOW_MS = 10000 };

/* The pair changes together; it is copied out before the sink is called, so a
 * sink that logs cannot lock itself out. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weft_log_cb sink;
static void *sink_user;
static atomic_int level_now = WEFT_LOG_INFO;

void weft_log_set_sink(weft_log_cb cb, void *user)
{
    pthread_mutex_lock(&lock);
    sink = cb;
    sink_user = user;
    pthread_mutex_unlock(&lock);
}

void weft_log_set_level(weft_log_level level)
{
    atomic_store(&level_now, (int)level);
}

weft_log_level weft_log_get_level(void)
{
    return (weft_log_level)atomic_load_explicit(&level_now,
                                                memory_order_relaxed);
}

const char *weft_log_level_name(weft_log_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR",
                                        "OFF"};

    return (unsigned)level <= WEFT_LOG_OFF ? names[level] : "UNKNOWN";
}

static void to_stderr(weft_log_level level, const char *event,
                      const char *fields)
{
    char line[RECORD_BYTES + 256];
    char when[32];
    struct timespec now;
    struct tm tm;
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(line, sizeof line, "%s.%03ldZ %-5s weft: %.200s%s%s\n", when,
                 now.tv_nsec / 1000000, weft_log_level_name(level), event,
                 fields[0] != '\0' ? " " : "", fields);
    if (n >= (int)sizeof line)
        line[sizeof line - 2] = '\n';
    fputs(line, stderr); /* unbuffered: one write, so lines do not mix */
}

/* Fields may quote a peer, who shall not begin a new line in our log. */
static void defuse(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void emit(weft_log_level level, const char *event, const char *fields,
                 va_list args, uint32_t suppressed)
{
    char text[RECORD_BYTES];
    size_t used = 0;
    weft_log_cb cb;
    void *user;

    text[0] = '\0';
    if (suppressed > 0)
        used = (size_t)snprintf(text, sizeof text, "suppressed=%u%s",
                                suppressed, fields != NULL ? " " : "");
    if (fields != NULL) {
        int n = vsnprintf(text + used, sizeof text - used, fields, args);

        if (n >= (int)(sizeof text - used))
            strcpy(text + sizeof text - sizeof "...", "...");
    }
    defuse(text);
    pthread_mutex_lock(&lock);
    cb = sink;
    user = sink_user;
    pthread_mutex_unlock(&lock);
    if (cb != NULL)
        cb(level, event, text, user);
    else
        to_stderr(level, event, text);
}

void weft_log_write(weft_log_level level, const char *event, const char *fields,
                    ...)
{
    va_list args;

    if (level < weft_log_get_level() || level >= WEFT_LOG_OFF)
        return;
    va_start(args, fields);
    emit(level, event, fields, args, 0);
    va_end(args);
}

bool weft__log_limit_take(weft_log_limit *limit, uint64_t now_ms,
                          uint32_t *suppressed)
{
    uint32_t burst = limit->burst != 0 ? limit->burst : DEFAULT_BURST;
    uint32_t window_ms =
        limit->window_ms != 0 ? limit->window_ms : DEFAULT_WINDOW_MS;

    if (limit->used == 0 || now_ms - limit->window_start_ms >= window_ms) {
        limit->window_start_ms = now_ms;
        limit->used = 0;
    }
    if (limit->used >= burst) {
        limit->suppressed++;
        return false;
    }
    limit->used++;
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}

void weft_log_limited(weft_log_limit *limit, weft_log_level level,
                      const char *event, const char *fields, ...)
{
    uint32_t suppressed;
    va_list args;

    if (level < weft_log_get_level() || level >= WEFT_LOG_OFF)
        return;
    if (!weft__log_limit_take(limit, weft__sys_coarse_ns() / 1000000u,
                              &suppressed))
        return;
    va_start(args, fields);
    emit(level, event, fields, args, suppressed);
    va_end(args);
}
