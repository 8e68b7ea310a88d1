/* consul_target.c - a consul:// or consul+kv:// target becomes a query. */
#include "consul_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

#define WAIT_MIN_MS 1000
#define WAIT_MAX_MS 600000 /* Consul's own cap */

typedef struct parameter {
    const char *name;
    bool kv; /* consul+kv knows it too */
} parameter;

static const parameter parameters[] = {
    {"dc", true},       {"tag", false},  {"near", false}, {"filter", false},
    {"passing", false}, {"stale", true}, {"wait", true},
};

static bool is_true(const char *value)
{
    return value[0] == '\0' || strcmp(value, "true") == 0 ||
           strcmp(value, "1") == 0;
}

static bool is_false(const char *value)
{
    return strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

static weft_status refuse(weft__consul_target *t, const char *fmt, ...)
    WEFT_PRINTF(2, 3);
static weft_status refuse(weft__consul_target *t, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    weft_watch_fail(t->watch, WEFT_EINVAL, "target \"%s\": %s",
                    weft_watch_target(t->watch), text);
    return WEFT_EINVAL;
}

static const parameter *known(const weft__consul_target *t, const char *name)
{
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
        if (strcmp(parameters[i].name, name) == 0 &&
            (parameters[i].kv || !t->kv))
            return &parameters[i];
    return NULL;
}

static weft_status take_parameter(weft__consul_target *t, weft__buf *path,
                                  const char *name, const char *value)
{
    weft_status status;

    if (known(t, name) == NULL)
        return refuse(t, "unknown parameter \"%s\" (known: %s)", name,
                      t->kv ? "dc, stale, wait"
                            : "dc, tag, near, filter, passing, stale, wait");
    if (strcmp(name, "wait") == 0) {
        if (!weft__parse_ms(value, &t->wait_ms) || t->wait_ms < WAIT_MIN_MS ||
            t->wait_ms > WAIT_MAX_MS)
            return refuse(t, "wait=%s is not a time from 1s to 10m", value);
        return WEFT_OK;
    }
    if (strcmp(name, "stale") == 0 || strcmp(name, "passing") == 0) {
        if (!is_true(value) && !is_false(value))
            return refuse(t, "%s=%s is neither true nor false", name, value);
        if (strcmp(name, "stale") == 0)
            t->stale = is_true(value);
        else
            t->warnings = is_false(value);
        return WEFT_OK;
    }
    if (value[0] == '\0')
        return refuse(t, "parameter \"%s\" has no value", name);
    status = weft__buf_printf(path, "&%s=", name);
    return status == WEFT_OK ? weft__escape(path, value, "") : status;
}

weft_status weft__consul_target_init(weft__consul_target *t, weft_watch *watch,
                                     bool kv, uint32_t wait_ms)
{
    const char *service = weft_watch_path(watch), *name, *value;
    weft__buf path = {0}, parameters_text = {0};
    weft_status status = WEFT_OK;
    size_t n = strlen(service);

    *t = (weft__consul_target){.watch = watch, .kv = kv, .wait_ms = wait_ms};
    if (wait_ms < WAIT_MIN_MS || wait_ms > WAIT_MAX_MS)
        t->wait_ms = wait_ms < WAIT_MIN_MS ? WAIT_MIN_MS : WAIT_MAX_MS;
    if (strchr(weft_watch_authority(watch), '@') != NULL ||
        weft_watch_param(watch, "token") != NULL) {
        /* and the target is not repeated here */
        weft_watch_fail(watch, WEFT_EINVAL,
                        "a consul target may not hold a secret: use "
                        "CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE or "
                        "weft_consul_conf.token");
        return WEFT_EINVAL;
    }
    if (n == 0)
        return refuse(t, "the service is missing: consul%s://agent/service",
                      t->kv ? "+kv" : "");
    if (n > 512 || service[n - 1] == '/' || service[0] == '/' ||
        (!t->kv && strchr(service, '/') != NULL))
        return refuse(t, "\"%.80s\" is not the name of a service", service);
    for (size_t i = 0;
         status == WEFT_OK && weft_watch_param_at(t->watch, i, &name, &value);
         i++)
        status = take_parameter(t, &parameters_text, name, value);
    if (status == WEFT_OK)
        status =
            weft__buf_printf(&path, "/v1/%s/", t->kv ? "kv" : "health/service");
    if (status == WEFT_OK)
        status = weft__escape(&path, service, t->kv ? "/" : "");
    /* the slash: without it "service" would also be the prefix of "service2" */
    if (status == WEFT_OK)
        status = weft__buf_printf(
            &path, "%s%s",
            t->kv         ? "/?recurse"
            : t->warnings ? "?passing=false"
                          : "?passing",
            parameters_text.len > 0 ? (const char *)parameters_text.data : "");
    weft__buf_fini(&parameters_text);
    if (status != WEFT_OK) {
        weft__buf_fini(&path);
        return status;
    }
    t->path = (char *)path.data;
    return WEFT_OK;
}

void weft__consul_target_fini(weft__consul_target *t)
{
    weft_free(t->path);
    t->path = NULL;
}
