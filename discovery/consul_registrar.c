/* consul_registrar.c - keeps a server's instances registered with Consul.
 *
 * What is so and what should be so are compared by pump(), which starts the
 * next request that brings them closer, or arms the timer for the time at which
 * there will be something to do.  Nothing else sends requests.
 *
 *  I1. One write is in flight at most: while one hangs (9 to 22 s were seen
 *      when a leader is lost), the agent holds up the others behind it as well.
 *
 *  I2. "registered" means that the agent said so once; it is taken back by a
 *      beat or a look that it answers with "unknown".
 *
 *  I3. After leave() nothing registers any more.
 *
 * Catalogue: register as critical, beat if under a TTL, look every 15 s whether
 * the agent still knows us, every 60 s whether the catalogue lists us; at the
 * end maintenance, then deregister.  Key-value store: write the key when
 * serving, by option under a session that is renewed; look every 15 s; delete
 * it at the end. */
#include "consul_registrar_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <weft/log.h>
#include <weft/mem.h>
#include <weft/registrar.h>

#define WRITE_MS 30000
#define READ_MS 10000
#define LEAVE_MS 2000 /* each of maintenance, deregister, delete */
#define RETRY_MS 1000u
#define RETRY_MAX_MS 10000u
#define LOOK_MS 15000 /* +-20 % */
#define CATALOG_MS 60000
#define FLAGS "3304740253564472344" /* gorpc's */

typedef enum phase { REGISTERING, SERVING, LEAVING, LEFT } phase;

typedef enum work {
    NOTHING,
    REGISTER,
    BEAT,
    MAINTENANCE,
    DEREGISTER,
    SESSION_NEW,
    SESSION_RENEW,
    SESSION_END,
    KEY_WRITE,
    KEY_DELETE,
    LOOK,        /* a read: does the agent, or the store, still know us? */
    WHO,         /* the agent's own id */
    LOOK_CATALOG /* does the catalogue list us? */
} work;

typedef struct consul_registrar {
    weft_registrar *registrar;
    weft_loop *loop;
    const weft_consul_conf *conf; /* the plugin's */
    weft__consul_agent *agent;
    weft_arena arena;
    weft__consul_instance *instances;
    size_t n;
    phase phase;

    weft__consul_call *write, *read;
    work writing, reading;
    size_t write_at, read_at; /* of which instance */
    weft_timer timer;
    uint64_t retry_at, look_at, catalog_at;
    uint32_t failures;
    size_t look_next, catalog_next;
    size_t left; /* instances that have left */
    char session[64], node[64];
    uint64_t renew_at;
    weft_log_limit log_limit;
} consul_registrar;

static void pump(consul_registrar *r);

static uint64_t now_of(const consul_registrar *r)
{
    return weft_loop_now_ms(r->loop);
}

/* ms, more or less by so many percent. */
static uint64_t later(consul_registrar *r, uint64_t ms, uint64_t percent)
{
    uint64_t span = ms * percent / 100;

    return now_of(r) + ms - span + weft__loop_random(r->loop) % (2 * span + 1);
}

static bool is_ttl(const consul_registrar *r)
{
    return !r->conf->kv && strcmp(r->conf->check, "ttl") == 0;
}

/* --- answers --- */

static bool says(const weft__http_answer *answer, const char *text)
{
    return answer->body != NULL &&
           memmem(answer->body, answer->body_len, text, strlen(text)) != NULL;
}

static bool good(const weft__http_answer *answer)
{
    return answer->error == WEFT__HTTP_OK && answer->code == 200;
}

static void describe(const weft__http_answer *answer, char *out, size_t size)
{
    char text[120];
    size_t n = 0;

    for (; answer->body != NULL && n < answer->body_len &&
           n + 1 < sizeof(text) && answer->body[n] != '\n';
         n++)
        text[n] = answer->body[n] >= 32 && answer->body[n] < 127 &&
                          answer->body[n] != '"'
                      ? (char)answer->body[n]
                      : '?';
    text[n] = '\0';
    if (answer->error != WEFT__HTTP_OK)
        snprintf(out, size, "%s", weft__http_error_text(answer->error));
    else
        snprintf(out, size, "status %d%s%s", answer->code, n > 0 ? ": " : "",
                 text);
}

static void try_later(consul_registrar *r, const char *what,
                      const weft__http_answer *answer)
{
    const weft__consul_settings *agent = weft__consul_agent_settings(r->agent);
    uint32_t shift = r->failures < 4 ? r->failures : 4, ms = RETRY_MS << shift;
    char text[160];

    describe(answer, text, sizeof(text));
    if (answer->code == 403)
        ms = 2 * RETRY_MAX_MS;
    else if (ms > RETRY_MAX_MS)
        ms = RETRY_MAX_MS;
    r->retry_at = later(r, ms, 25);
    if (r->failures++ == 0)
        weft_log_limited(&r->log_limit, WEFT_LOG_WARN,
                         "consul registration failed",
                         "agent=%s:%u request=\"%s\" error=\"%s\"", agent->host,
                         agent->port, what, text);
    weft_registrar_fail(r->registrar, WEFT_UNAVAILABLE, "consul %s:%u: %s: %s",
                        agent->host, agent->port, what, text);
}

static void recovered(consul_registrar *r)
{
    if (r->failures > 0)
        weft_log_info("consul registration recovered", "failures=%u",
                      (unsigned)r->failures);
    r->failures = 0;
    r->retry_at = 0;
}

/* --- small JSON answers --- */

typedef struct lookup {
    const char *section, *key; /* section NULL: at the top */
    char *out;
    size_t size;
} lookup;

static weft_status lookup_value(void *user, const weft__json_at *at,
                                weft__json_type type, const char *text,
                                size_t len)
{
    const lookup *l = user;
    unsigned depth = l->section != NULL ? 2 : 1;

    if (type == WEFT__JSON_STRING && at->depth == depth && len < l->size &&
        strcmp(at->key[depth - 1], l->key) == 0 &&
        (l->section == NULL || strcmp(at->key[0], l->section) == 0)) {
        memcpy(l->out, text, len);
        l->out[len] = '\0';
    }
    return WEFT_OK;
}

static weft_status lookup_nest(void *user, const weft__json_at *at,
                               weft__json_type type)
{
    (void)user, (void)at, (void)type;
    return WEFT_OK;
}

static bool find_text(const weft__http_answer *answer, const char *section,
                      const char *key, char *out, size_t size)
{
    static const weft__json_visitor visitor = {lookup_value, lookup_nest,
                                               lookup_nest};
    lookup l = {section, key, out, size};

    out[0] = '\0';
    return weft__json_parse(&visitor, &l, answer->body, answer->body_len) ==
               WEFT_OK &&
           out[0] != '\0';
}

/* --- what an answer changes --- */

static void check_ready(consul_registrar *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->instances[i].confirmed)
            return;
    if (!r->conf->kv || !r->conf->kv_session || r->session[0] != '\0')
        weft_registrar_ready(r->registrar);
}

static void after_register(consul_registrar *r, weft__consul_instance *i,
                           const weft__http_answer *answer)
{
    if (!good(answer)) {
        try_later(r, "register", answer);
        return;
    }
    recovered(r);
    weft_log_info("registered with consul", "service=%s id=%s%s", i->service,
                  i->id, i->confirmed ? " again=true" : "");
    i->registered = i->confirmed = true;
    i->beat_at = 0;
    check_ready(r);
}

static void after_beat(consul_registrar *r, weft__consul_instance *i,
                       const weft__http_answer *answer)
{
    if (good(answer)) {
        recovered(r);
        i->beat_at = later(r, r->conf->ttl_ms / 3, 10);
        return;
    }
    if (answer->error == WEFT__HTTP_OK &&
        (answer->code == 404 ||
         (answer->code == 500 &&
          (says(answer, i->check_id) || says(answer, "Unknown check"))))) {
        i->registered = false; /* the agent has forgotten us */
        return;
    }
    try_later(r, "pass", answer);
}

static void forget_session(consul_registrar *r)
{
    r->session[0] = '\0';
    for (size_t i = 0; i < r->n; i++)
        r->instances[i].registered = false;
}

static void after_key(consul_registrar *r, weft__consul_instance *i,
                      const weft__http_answer *answer)
{
    bool session = r->conf->kv_session;

    if (good(answer) && session && says(answer, "false")) {
        /* held under a session of an earlier life of this address */
        i->blocked = true;
        return;
    }
    if (good(answer)) {
        recovered(r);
        weft_log_info("written to consul's keys", "key=%s/%s", i->service,
                      i->text);
        i->registered = true;
        return;
    }
    if (session && answer->error == WEFT__HTTP_OK && answer->code == 500 &&
        says(answer, "invalid session"))
        forget_session(r);
    else
        try_later(r, "write key", answer);
}

static void after_session(consul_registrar *r, const weft__http_answer *answer)
{
    if (!good(answer) || answer->body == NULL ||
        !find_text(answer, NULL, "ID", r->session, sizeof(r->session))) {
        r->session[0] = '\0';
        try_later(r, "make session", answer);
        return;
    }
    recovered(r);
    r->renew_at = later(r, r->conf->kv_session_ttl_ms / 3, 10);
    check_ready(r);
}

static void after_renew(consul_registrar *r, const weft__http_answer *answer)
{
    if (good(answer)) {
        recovered(r);
        r->renew_at = later(r, r->conf->kv_session_ttl_ms / 3, 10);
    } else if (answer->error == WEFT__HTTP_OK && answer->code == 404) {
        forget_session(r);
    } else {
        try_later(r, "renew session", answer);
    }
}

/* Leaving is tried once: an agent that does not answer one will not answer the
 * next, and a drain must not wait for it. */
static void after_leave(consul_registrar *r, const weft__http_answer *answer)
{
    weft__consul_instance *i = &r->instances[r->write_at];
    const weft__consul_settings *agent = weft__consul_agent_settings(r->agent);
    char text[160];

    if (r->writing == MAINTENANCE && answer->error == WEFT__HTTP_OK) {
        i->hidden = true;
    } else if (answer->error != WEFT__HTTP_OK) {
        describe(answer, text, sizeof(text));
        weft_log_warn("consul not told that we leave",
                      "agent=%s:%u error=\"%s\"", agent->host, agent->port,
                      text);
        r->left = r->n;
        r->session[0] = '\0';
    } else if (r->writing != SESSION_END) {
        r->left++;
    } else {
        r->session[0] = '\0';
    }
}

static void on_written(const weft__http_answer *answer, void *user)
{
    consul_registrar *r = user;
    weft__consul_instance *i = &r->instances[r->write_at];

    r->write = NULL;
    switch (r->writing) {
    case REGISTER:
        after_register(r, i, answer);
        break;
    case BEAT:
        after_beat(r, i, answer);
        break;
    case SESSION_NEW:
        after_session(r, answer);
        break;
    case SESSION_RENEW:
        after_renew(r, answer);
        break;
    case KEY_WRITE:
        after_key(r, i, answer);
        break;
    case KEY_DELETE:
        if (r->phase != LEAVING) { /* a foreign session's: now it is free */
            i->blocked = !good(answer);
            if (!good(answer))
                try_later(r, "delete key", answer);
            break;
        } /* fall through */
    default:
        after_leave(r, answer);
    }
    pump(r);
}

static void after_look(consul_registrar *r, weft__consul_instance *i,
                       const weft__http_answer *answer)
{
    if (answer->error != WEFT__HTTP_OK || answer->code == 403 ||
        answer->code == 500) {
        if (r->conf->kv && !i->confirmed)
            try_later(r, "look", answer);
        return;
    }
    if (r->conf->kv && !i->confirmed) { /* the store answers: that will do */
        i->confirmed = true;
        recovered(r);
        check_ready(r);
    }
    if (answer->code == 404 && i->registered) {
        weft_log_warn("consul has forgotten us", "service=%s id=%s", i->service,
                      i->id);
        i->registered = false;
    }
}

static void after_catalog(consul_registrar *r, weft__consul_instance *i,
                          const weft__http_answer *answer)
{
    const weft__catalog_conf conf = {.find_id = i->id, .find_node = r->node};
    weft__catalog *catalog;
    weft_status status;

    if (!good(answer) || answer->body == NULL ||
        weft__catalog_new(&catalog, &conf, answer->body, answer->body_len) !=
            WEFT_OK)
        return;
    do
        status = weft__catalog_step(catalog);
    while (status == WEFT_EAGAIN); /* small: the query names one id */
    if (status == WEFT_OK && !weft__catalog_found(catalog)) {
        /* the agent says yes and the servers do not know: a rate limit, or the
         * name of a node that is still taken.  Registering again makes it sync.
         */
        weft_log_limited(
            &r->log_limit, WEFT_LOG_WARN, "consul's catalogue does not list us",
            "service=%s id=%s node=%s", i->service, i->id, r->node);
        i->registered = false;
    }
    weft__catalog_free(catalog);
}

static void on_read(const weft__http_answer *answer, void *user)
{
    consul_registrar *r = user;
    weft__consul_instance *i = &r->instances[r->read_at];

    r->read = NULL;
    if (r->reading == LOOK)
        after_look(r, i, answer);
    else if (r->reading == WHO && good(answer) && answer->body != NULL)
        find_text(answer, "Config", "NodeID", r->node, sizeof(r->node));
    else if (r->reading == LOOK_CATALOG)
        after_catalog(r, i, answer);
    pump(r);
}

/* --- requests --- */

static weft_status key_path(weft__buf *path, const weft__consul_instance *i)
{
    weft_status status = weft__buf_printf(path, "/v1/kv/%s/", i->service);

    return status == WEFT_OK ? weft__escape(path, i->text, ":") : status;
}

/* Names have nothing to escape; ids may hold the colons of IPv6. */
static weft_status with_id(weft__buf *path, const char *head, const char *id,
                           const char *tail)
{
    weft_status status = weft__buf_printf(path, "%s", head);

    if (status == WEFT_OK)
        status = weft__escape(path, id, ":");
    return status == WEFT_OK ? weft__buf_printf(path, "%s", tail) : status;
}

/* Writes path, body and method of an action. */
static weft_status request_of(consul_registrar *r, work action,
                              const weft__consul_instance *i, weft__buf *path,
                              weft__buf *body, const char **method)
{
    const char *first = r->phase == SERVING && i->confirmed && !is_ttl(r)
                            ? "passing" /* again, after it was lost */
                            : "critical";
    weft_status status;

    *method = "PUT";
    switch (action) {
    case REGISTER:
        status = weft__buf_printf(
            path, "/v1/agent/service/register?replace-existing-checks=true");
        return status == WEFT_OK ? weft__consul_body(body, r->conf, i, first)
                                 : status;
    case BEAT:
        return with_id(path, "/v1/agent/check/pass/", i->check_id, "");
    case MAINTENANCE:
        return with_id(path, "/v1/agent/service/maintenance/", i->id,
                       "?enable=true&reason=draining");
    case DEREGISTER:
        return with_id(path, "/v1/agent/service/deregister/", i->id, "");
    case SESSION_NEW:
        status = weft__buf_printf(path, "/v1/session/create");
        return status == WEFT_OK
                   ? weft__buf_printf(body,
                                      "{\"Name\":\"weft\",\"TTL\":\"%ums\","
                                      "\"Behavior\":\"delete\","
                                      "\"LockDelay\":\"0s\"}",
                                      (unsigned)r->conf->kv_session_ttl_ms)
                   : status;
    case SESSION_RENEW:
        return with_id(path, "/v1/session/renew/", r->session, "");
    case SESSION_END:
        return with_id(path, "/v1/session/destroy/", r->session, "");
    case KEY_WRITE:
        status = key_path(path, i);
        if (status == WEFT_OK)
            status =
                weft__buf_printf(path, "?%s%s%sflags=" FLAGS,
                                 r->session[0] != '\0' ? "acquire=" : "",
                                 r->session, r->session[0] != '\0' ? "&" : "");
        return status == WEFT_OK ? weft__buf_printf(body, "%s", i->text)
                                 : status;
    case KEY_DELETE:
        *method = "DELETE";
        return key_path(path, i);
    case LOOK:
        *method = "GET";
        return r->conf->kv
                   ? key_path(path, i)
                   : with_id(path, "/v1/agent/health/service/id/", i->id, "");
    case WHO:
        *method = "GET";
        return weft__buf_printf(path, "/v1/agent/self");
    default: /* LOOK_CATALOG */
        *method = "GET";
        status = weft__buf_printf(path,
                                  "/v1/health/service/%s?filter=Service.ID"
                                  "%%20%%3D%%3D%%20%%22",
                                  i->service);
        if (status == WEFT_OK)
            status = weft__escape(path, i->id, "");
        return status == WEFT_OK ? weft__buf_printf(path, "%%22") : status;
    }
}

static bool send_request(consul_registrar *r, work action, size_t at)
{
    bool reads = action == LOOK || action == WHO || action == LOOK_CATALOG;
    uint32_t deadline = reads                 ? READ_MS
                        : r->phase == LEAVING ? LEAVE_MS
                                              : WRITE_MS;
    weft__buf path = {0}, body = {0};
    const char *method;
    weft_status status =
        request_of(r, action, &r->instances[at], &path, &body, &method);

    if (status == WEFT_OK)
        status = weft__consul_send(r->agent, method, (const char *)path.data,
                                   body.len > 0 ? body.data : NULL, body.len,
                                   deadline, reads ? on_read : on_written, r,
                                   reads ? &r->read : &r->write);
    weft__buf_fini(&path);
    weft__buf_fini(&body);
    if (status != WEFT_OK) {
        r->retry_at = now_of(r) + RETRY_MS;
        weft_registrar_fail(r->registrar, status, "consul: %s",
                            weft_status_text(status));
        return false;
    }
    if (reads) {
        r->reading = action;
        r->read_at = at;
    } else {
        r->writing = action;
        r->write_at = at;
    }
    return true;
}

/* --- what to do next --- */

/* The next write for one instance, or NOTHING; *due: when that may change. */
static work next_write_of(consul_registrar *r, weft__consul_instance *i,
                          uint64_t *due)
{
    if (r->conf->kv) {
        if (r->phase != SERVING || i->registered || !i->confirmed)
            return NOTHING;
        return i->blocked ? KEY_DELETE : KEY_WRITE;
    }
    if (!i->registered)
        return REGISTER;
    if (!is_ttl(r) || r->phase != SERVING)
        return NOTHING;
    if (i->beat_at <= now_of(r))
        return BEAT;
    if (i->beat_at < *due)
        *due = i->beat_at;
    return NOTHING;
}

static work next_write(consul_registrar *r, size_t *at, uint64_t *due)
{
    bool session = r->conf->kv && r->conf->kv_session;
    work action = NOTHING;

    if (r->retry_at > now_of(r)) {
        *due = r->retry_at < *due ? r->retry_at : *due;
        return NOTHING;
    }
    *at = 0;
    if (session && r->session[0] == '\0')
        return SESSION_NEW;
    if (session && r->renew_at <= now_of(r))
        return SESSION_RENEW;
    if (session && r->renew_at < *due)
        *due = r->renew_at;
    for (size_t i = 0; i < r->n && action == NOTHING; i++) {
        action = next_write_of(r, &r->instances[i], due);
        *at = i;
    }
    return action;
}

static work next_read(consul_registrar *r, size_t *at, uint64_t *due)
{
    uint64_t now = now_of(r);

    if (r->conf->kv && r->phase == REGISTERING && r->retry_at <= now)
        for (*at = 0; *at < r->n; ++*at)
            if (!r->instances[*at].confirmed)
                return LOOK;
    if (r->look_at <= now) {
        *at = r->look_next++ % r->n;
        r->look_at = later(r, LOOK_MS / r->n, 20);
        return LOOK;
    }
    *due = r->look_at < *due ? r->look_at : *due;
    if (r->conf->kv)
        return NOTHING;
    if (r->catalog_at <= now) {
        *at = r->catalog_next % r->n;
        if (r->node[0] == '\0') {
            r->catalog_at = later(r, RETRY_MAX_MS, 20);
            return WHO;
        }
        r->catalog_next++;
        r->catalog_at = later(r, CATALOG_MS / r->n, 20);
        return LOOK_CATALOG;
    }
    *due = r->catalog_at < *due ? r->catalog_at : *due;
    return NOTHING;
}

/* The next step of leaving; NOTHING: it is done. */
static work next_leave(consul_registrar *r, size_t *at)
{
    *at = r->left;
    if (r->left < r->n) {
        if (r->conf->kv)
            return KEY_DELETE;
        return r->instances[r->left].hidden ? DEREGISTER : MAINTENANCE;
    }
    *at = 0;
    return r->session[0] != '\0' && r->left == r->n ? SESSION_END : NOTHING;
}

static void pump(consul_registrar *r)
{
    uint64_t due = UINT64_MAX;
    work action;
    size_t at = 0;

    weft_timer_stop(&r->timer);
    if (r->phase == LEFT)
        return;
    if (r->phase == LEAVING) {
        if (r->write != NULL)
            return;
        action = next_leave(r, &at);
        if (action == NOTHING || !send_request(r, action, at)) {
            r->phase = LEFT;
            weft_registrar_left(r->registrar);
        }
        return;
    }
    if (r->write == NULL && (action = next_write(r, &at, &due)) != NOTHING)
        send_request(r, action, at);
    if (r->read == NULL && (action = next_read(r, &at, &due)) != NOTHING)
        send_request(r, action, at);
    if (r->write == NULL && r->retry_at > now_of(r) && r->retry_at < due)
        due = r->retry_at;
    if (due != UINT64_MAX)
        weft_timer_start_at(&r->timer, due);
}

static void on_timer(weft_timer *timer, void *user)
{
    (void)timer;
    pump(user);
}

/* --- the phases --- */

static weft_status on_start(void *self, weft_registrar *registrar,
                            const weft_plugin_host *host, const void *conf)
{
    consul_registrar *r = self;
    weft__consul_settings settings;
    char why[256] = "";
    weft_status status;

    r->registrar = registrar;
    r->loop = host->loop;
    r->conf = conf;
    weft_timer_init(&r->timer, r->loop, on_timer, r);
    r->timer.name = "consul registrar";
    status =
        weft__consul_settings_init(&settings, "", r->conf, why, sizeof(why));
    if (status == WEFT_OK)
        status = weft__consul_agent_get(&r->agent, r->loop, &settings, r->conf,
                                        why, sizeof(why));
    weft_arena_init(&r->arena, NULL, 0, 0);
    if (status == WEFT_OK)
        status = weft__consul_instances(
            r->conf, weft__consul_agent_settings(r->agent), host, &r->arena,
            &r->instances, &r->n, why, sizeof(why));
    if (status != WEFT_OK) {
        weft_registrar_fail(registrar, status, "%s",
                            why[0] != '\0' ? why : weft_status_text(status));
        return status;
    }
    r->look_at = later(r, LOOK_MS, 20);
    r->catalog_at = later(r, CATALOG_MS, 20);
    pump(r);
    return WEFT_OK;
}

static void on_serving(void *self)
{
    consul_registrar *r = self;

    if (r->phase != REGISTERING)
        return;
    r->phase = SERVING;
    pump(r);
}

static void on_leave(void *self)
{
    consul_registrar *r = self;

    if (r->phase >= LEAVING)
        return;
    /* a write that hangs would hold us up; what it did is undone by ours */
    weft__consul_cancel(r->write);
    weft__consul_cancel(r->read);
    r->write = r->read = NULL;
    r->phase = LEAVING;
    pump(r);
}

static void on_close(void *self)
{
    consul_registrar *r = self;

    r->phase = LEFT;
    weft_timer_stop(&r->timer);
    weft__consul_cancel(r->write);
    weft__consul_cancel(r->read);
    r->write = r->read = NULL;
    weft__consul_agent_unref(r->agent);
    r->agent = NULL;
    weft_arena_fini(&r->arena);
}

static const weft_registrar_ops consul_ops = {
    .name = "consul",
    .self_size = sizeof(consul_registrar),
    .start = on_start,
    .serving = on_serving,
    .leave = on_leave,
    .close = on_close,
};

weft_plugin *weft_consul_plugin_sized(const weft_consul_conf *conf,
                                      size_t conf_size)
{
    weft_consul_conf *copy = weft__consul_conf_dup(conf, conf_size);

    if (copy == NULL)
        return NULL;
    return weft_registrar_plugin(&(weft_registrar_plugin_conf){
        .ops = &consul_ops,
        .conf = copy,
        .conf_free = weft_free,
        .wait_ms = copy->register_wait_ms,
        .required = copy->require_registration,
    });
}
