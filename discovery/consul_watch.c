/* consul_watch.c - the resolvers consul:// and consul+kv://.
 *
 * A watch asks, is answered, waits, asks again:
 *
 *     starting -> asking -> reading -> pausing -> blocking -> reading ...
 *     any error -> backing off -> asking
 *     no slot for a blocking query -> polling, in the agent's ring
 *
 *  I1. One of these is set, and no two of the first three: a call in flight, a
 *      catalog being read, an armed timer; else a place in the ring.
 *
 *  I2. index is taken from good answers alone; every error and every index that
 *      goes backwards sets it to 0, which asks without blocking.  (A server
 *      that lost its data counts from the start again; a watch that kept its
 *      index was blind for as long as one query waits.)
 *
 *  I3. A list is replaced by another list, or by an empty one that was seen
 *      twice, the second time consistently, and not within grace_ms of any
 *      trouble (an error, an index that went backwards).  Never by an error.
 *
 *  I4. Every query has a deadline of ours: Consul itself can be silent for as
 *      long as its own timeouts (18 to 40 s were seen).
 *
 * The index rules are those of Consul's documentation of blocking queries. */
#include "consul_internal.h"

#include <stdio.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <weft/log.h>
#include <weft/mem.h>

#define START_JITTER_MS 50
#define PLAIN_DEADLINE_MS 10000 /* of a query that does not block */
#define CHANGED_PAUSE_MS 100
#define SPURIOUS_MIN_MS 100
#define SPURIOUS_MAX_MS 5000
#define BACKOFF_BASE_MS 250u
#define BACKOFF_MAX_MS 10000u
#define REFUSED_MIN_MS 1000
#define REFUSED_WITHIN_MS 1000 /* later it is a server that died */
#define CONFIRM_MS 1000
#define WAIT_MIN_MS 1000
#define CACHE_DELAY_MS 1000
#define CACHE_AT_ONCE 1000 /* endpoints */

typedef struct consul_watch {
    weft_watch *watch;
    weft_loop *loop;
    weft_consul_conf *conf; /* owned */
    weft__consul_agent *agent;
    weft__consul_target target;
    char *cache_path; /* NULL: none */

    /* I1 */
    const char *state;
    weft__consul_call *call;
    weft__catalog *catalog;
    weft__deferred slice;
    weft_timer timer;
    weft__consul_poller poller;
    bool slot;

    /* of the query in flight */
    uint64_t sent_at;
    uint32_t waits_ms;   /* 0: it does not block */
    uint64_t next_index; /* that the answer came with */
    bool asked_stale;
    bool filtered; /* the answer was cut down by ACLs */

    uint64_t index;
    uint32_t spurious_ms;
    uint64_t trouble_until; /* the grace of I3 */
    bool confirming, unconfirmed_empty;
    bool catching_up; /* was behind: ask the leader once */
    bool degraded, from_cache, cache_tried;
    uint32_t failures;
    uint64_t requests;
    size_t skipped;
    weft_timer cache_timer;
    weft__cache_writer *cache_writer;
    weft__cache_reader *cache_reader;
    weft__deferred cache_step; /* of either */
    weft_status fail_status;   /* told when the cache has been tried */
    char fail_text[256];
    weft_log_limit log_limit;
} consul_watch;

static void ask(consul_watch *c);
static void fail(consul_watch *c, weft_status status, uint32_t least_ms,
                 const char *fmt, ...) WEFT_PRINTF(4, 5);

/* from to to, evenly. */
static uint32_t between(consul_watch *c, uint32_t from, uint32_t to)
{
    return from + (uint32_t)(weft__loop_random(c->loop) % (to - from + 1));
}

static void wait_then_ask(consul_watch *c, uint32_t ms, const char *state)
{
    c->state = state;
    weft_timer_start(&c->timer, ms);
}

/* --- the last good list --- */

static void cache_not_written(consul_watch *c, weft_status status)
{
    weft_log_limited(&c->log_limit, WEFT_LOG_WARN,
                     "discovery cache not written", "file=%s error=\"%s\"",
                     c->cache_path, weft_status_text(status));
}

static void on_cache_write(void *arg)
{
    consul_watch *c = arg;
    weft_status status = weft__cache_writer_step(c->cache_writer);

    if (status == WEFT_EAGAIN) {
        weft__loop_defer(c->loop, &c->cache_step, on_cache_write, c);
        return;
    }
    weft__cache_writer_free(c->cache_writer);
    c->cache_writer = NULL;
    if (status != WEFT_OK)
        cache_not_written(c, status);
}

/* An empty list is not written: the last good one stays. */
static void on_cache_timer(weft_timer *timer, void *user)
{
    consul_watch *c = user;
    const weft_endpoints *list = weft_watch_list(c->watch);
    weft_status status;

    if (c->cache_writer != NULL || c->cache_reader != NULL) {
        weft_timer_start(timer, CACHE_DELAY_MS);
        return;
    }
    if (weft_endpoints_count(list) == 0)
        return;
    status =
        weft__cache_writer_new(&c->cache_writer, c->cache_path,
                               weft_watch_target(c->watch), list, time(NULL));
    if (status == WEFT_OK)
        on_cache_write(c);
    else
        cache_not_written(c, status);
}

/* At the end there are no more rounds: what is small is written at once. */
static void cache_close(consul_watch *c)
{
    const weft_endpoints *list = weft_watch_list(c->watch);
    bool due = weft_timer_armed(&c->cache_timer) || c->cache_writer != NULL;

    weft_timer_stop(&c->cache_timer);
    weft__loop_undefer(c->loop, &c->cache_step);
    weft__cache_writer_free(c->cache_writer);
    weft__cache_reader_free(c->cache_reader);
    if (due && weft_endpoints_count(list) > 0 &&
        weft_endpoints_count(list) <= CACHE_AT_ONCE)
        (void)weft__cache_write(c->cache_path, weft_watch_target(c->watch),
                                list, time(NULL));
}

static void tell_failure(consul_watch *c)
{
    weft_watch_fail(c->watch, c->fail_status, "%s", c->fail_text);
}

static void cache_was_read(consul_watch *c, weft_status status,
                           weft_endpoints *list)
{
    if (status == WEFT_OK && weft_endpoints_count(list) > 0 &&
        weft_watch_list(c->watch) == NULL) {
        weft_log_info("discovery starts from the cache",
                      "target=\"%s\" endpoints=%zu",
                      weft_watch_target(c->watch), weft_endpoints_count(list));
        c->from_cache = true;
        weft_watch_publish(c->watch, list);
    } else {
        weft_endpoints_unref(list);
    }
    if (status != WEFT_OK && status != WEFT_ENOENT)
        weft_log_warn("discovery cache ignored", "file=%s error=\"%s\"",
                      c->cache_path,
                      status == WEFT_ESYNTAX     ? "cut off or damaged"
                      : status == WEFT_ETIMEDOUT ? "too old"
                                                 : weft_status_text(status));
    if (c->failures > 0)
        tell_failure(c);
}

static void on_cache_read(void *arg)
{
    consul_watch *c = arg;
    weft_endpoints *list = NULL;
    weft_status status = weft__cache_reader_step(c->cache_reader, &list);

    if (status == WEFT_EAGAIN) {
        weft__loop_defer(c->loop, &c->cache_step, on_cache_read, c);
        return;
    }
    weft__cache_reader_free(c->cache_reader);
    c->cache_reader = NULL;
    cache_was_read(c, status, list);
}

/* Once, when the first question has failed. */
static void start_from_cache(consul_watch *c)
{
    weft_status status;

    c->cache_tried = true;
    status = weft__cache_reader_new(&c->cache_reader, c->cache_path,
                                    weft_watch_target(c->watch), time(NULL),
                                    c->conf->cache_max_age_ms);
    if (status == WEFT_OK)
        on_cache_read(c);
    else
        cache_was_read(c, status, NULL);
}

/* --- trouble --- */

static void fail(consul_watch *c, weft_status status, uint32_t least_ms,
                 const char *fmt, ...)
{
    uint32_t shift = c->failures < 6 ? c->failures + 1 : 6;
    uint32_t base = BACKOFF_BASE_MS << shift, delay;
    const weft__consul_settings *agent = weft__consul_agent_settings(c->agent);
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    weft__catalog_free(c->catalog);
    c->catalog = NULL;
    c->index = 0;
    c->confirming = c->catching_up = false;
    c->failures++;
    c->trouble_until = weft_loop_now_ms(c->loop) + c->conf->grace_ms;
    if (c->failures == 1)
        weft_log_limited(&c->log_limit, WEFT_LOG_WARN, "consul watch failed",
                         "target=\"%s\" agent=%s:%u error=\"%s\"",
                         weft_watch_target(c->watch), agent->host, agent->port,
                         text);
    c->fail_status = status;
    snprintf(c->fail_text, sizeof(c->fail_text), "consul %s:%u: %s",
             agent->host, agent->port, text);
    if (weft_watch_list(c->watch) == NULL && !c->cache_tried &&
        c->cache_path != NULL)
        start_from_cache(c);
    else if (c->cache_reader == NULL)
        tell_failure(c);
    if (base > BACKOFF_MAX_MS)
        base = BACKOFF_MAX_MS;
    delay = between(c, base / 2, base + base / 2);
    wait_then_ask(c, delay > least_ms ? delay : least_ms, "backing off");
}

/* Too many connections, or too many calls: fewer of ours. */
static void refused(consul_watch *c, const char *text)
{
    weft__consul_shed(c->agent);
    fail(c, WEFT_UNAVAILABLE, REFUSED_MIN_MS, "%s", text);
}

/* --- asking --- */

static weft_status query(const consul_watch *c, weft__buf *out)
{
    weft_status status = weft__buf_printf(out, "%s%s", c->target.path,
                                          c->confirming    ? "&consistent"
                                          : c->asked_stale ? "&stale"
                                                           : "");

    if (status == WEFT_OK && c->waits_ms != 0)
        status = weft__buf_printf(out, "&index=%llu&wait=%ums",
                                  (unsigned long long)c->index,
                                  (unsigned)c->waits_ms);
    return status;
}

/* How long the next query may wait for news: not beyond the end of a grace, for
 * then an empty answer is believed. */
static uint32_t wait_of(const consul_watch *c)
{
    uint64_t now = weft_loop_now_ms(c->loop), left;

    if (!c->unconfirmed_empty || c->trouble_until <= now)
        return c->target.wait_ms;
    left = c->trouble_until - now;
    if (left < WAIT_MIN_MS)
        left = WAIT_MIN_MS;
    return left < c->target.wait_ms ? (uint32_t)left : c->target.wait_ms;
}

static void on_answer(const weft__http_answer *answer, void *user);

static void send_query(consul_watch *c, bool blocking)
{
    uint32_t wait = blocking ? wait_of(c) : 0;
    uint32_t deadline =
        PLAIN_DEADLINE_MS + (uint32_t)((uint64_t)wait * 17 / 16);
    weft__buf path = {0};
    weft_status status;

    c->waits_ms = wait;
    c->sent_at = weft_loop_now_ms(c->loop);
    c->state = blocking ? "blocking" : "asking";
    c->asked_stale = c->target.stale && !c->confirming && !c->catching_up;
    status = query(c, &path);
    if (status == WEFT_OK)
        status = weft__consul_send(c->agent, "GET", (const char *)path.data,
                                   NULL, 0, deadline, on_answer, c, &c->call);
    weft__buf_fini(&path);
    if (status == WEFT_OK)
        c->requests++;
    else
        fail(c, status, 0, "%s", weft_status_text(status));
}

static void leave_slot(consul_watch *c)
{
    if (c->slot)
        weft__consul_slot_put(c->agent);
    c->slot = false;
}

/* index 0 answers at once and needs no slot; with one we block; without, we
 * wait for our turn in the ring. */
static void ask(consul_watch *c)
{
    if (c->slot && !weft__consul_slot_keep(c->agent))
        c->slot = false;
    if (c->index == 0) {
        send_query(c, false);
    } else if (c->slot || (c->slot = weft__consul_slot_take(c->agent))) {
        weft__consul_poll_leave(c->agent, &c->poller);
        send_query(c, true);
    } else {
        c->state = "polling";
        weft__consul_poll_join(c->agent, &c->poller);
    }
}

static void on_timer(weft_timer *timer, void *user)
{
    (void)timer;
    ask(user);
}

/* A slot may have become free; else poll. */
static void on_turn(weft__consul_poller *poller)
{
    consul_watch *c = (consul_watch *)(void *)((char *)poller -
                                               offsetof(consul_watch, poller));

    if (c->call != NULL || c->catalog != NULL || weft_timer_armed(&c->timer))
        return;
    if ((c->slot = weft__consul_slot_take(c->agent))) {
        weft__consul_poll_leave(c->agent, poller);
        send_query(c, true);
    } else {
        send_query(c, false);
    }
}

/* --- reading --- */

/* The pause before the next query: a burst of changes is taken in few steps,
 * and answers without news (Consul wakes watches for more than they asked for)
 * are slowed down. */
static void pause_then_ask(consul_watch *c, bool changed)
{
    uint64_t took = weft_loop_now_ms(c->loop) - c->sent_at;
    bool same_index = c->waits_ms != 0 && c->next_index == c->index;

    c->index = c->next_index;
    if (changed) {
        c->spurious_ms = 0;
        wait_then_ask(c, between(c, CHANGED_PAUSE_MS, CHANGED_PAUSE_MS + 20),
                      "pausing");
    } else if (took < 1000 || (same_index && took < c->waits_ms)) {
        c->spurious_ms =
            c->spurious_ms == 0 ? SPURIOUS_MIN_MS : c->spurious_ms * 2;
        if (c->spurious_ms > SPURIOUS_MAX_MS)
            c->spurious_ms = SPURIOUS_MAX_MS;
        wait_then_ask(c, c->spurious_ms, "pausing");
    } else {
        c->spurious_ms = 0;
        ask(c);
    }
}

/* An empty answer where there was a list (I3).  Returns whether it is believed.
 */
static bool believe_empty(consul_watch *c)
{
    uint64_t now = weft_loop_now_ms(c->loop);

    if (c->conf->keep_last_on_empty) {
        c->degraded = true;
        pause_then_ask(c, false);
        return false;
    }
    if (!c->confirming && !c->unconfirmed_empty) {
        c->confirming = true;
        c->index = 0;
        wait_then_ask(c, CONFIRM_MS, "confirming");
        return false;
    }
    c->confirming = false;
    if (now < c->trouble_until) {
        c->unconfirmed_empty = true;
        c->degraded = true;
        pause_then_ask(c, false);
        return false;
    }
    return true;
}

static void apply(consul_watch *c)
{
    const weft_endpoints *old = weft_watch_list(c->watch);
    size_t had = old != NULL ? weft_endpoints_count(old) : 0, has;
    uint64_t old_hash = old != NULL ? weft_endpoints_hash(old) : 0;
    weft_endpoints *list;
    weft_status status = weft__catalog_finish(c->catalog, &list);
    bool changed;

    if (status != WEFT_OK) {
        fail(c, status, 0, "%s", weft_status_text(status));
        return;
    }
    c->skipped = weft__catalog_skipped(c->catalog);
    weft__catalog_free(c->catalog);
    c->catalog = NULL;
    has = weft_endpoints_count(list);
    if (has == 0 && c->filtered) {
        weft_endpoints_unref(list);
        fail(c, WEFT_PERMISSION_DENIED, 0,
             "the ACL token may not see any instance");
        return;
    }
    if (c->failures > 0)
        weft_log_info("consul watch recovered", "target=\"%s\" failures=%u",
                      weft_watch_target(c->watch), (unsigned)c->failures);
    c->failures = 0;
    if (c->skipped > 0)
        weft_log_limited(&c->log_limit, WEFT_LOG_WARN, "consul entries skipped",
                         "target=\"%s\" entries=%zu",
                         weft_watch_target(c->watch), c->skipped);
    if (has == 0 && had > 0 && !believe_empty(c)) {
        weft_endpoints_unref(list);
        return;
    }
    c->confirming = c->unconfirmed_empty = false;
    changed =
        old == NULL || had != has || old_hash != weft_endpoints_hash(list);
    c->from_cache = false;
    c->cache_tried = true;
    weft_watch_publish(c->watch, list);
    if (changed && has > 0 && c->cache_path != NULL)
        weft_timer_start(&c->cache_timer, CACHE_DELAY_MS);
    pause_then_ask(c, changed);
}

static void on_slice(void *arg)
{
    consul_watch *c = arg;
    weft_status status = weft__catalog_step(c->catalog);

    if (status == WEFT_EAGAIN)
        weft__loop_defer(c->loop, &c->slice, on_slice, c);
    else if (status == WEFT_OK)
        apply(c);
    else
        fail(c, status, 0, "%s", weft__catalog_error(c->catalog));
}

/* What Consul says in plain text with an error, made fit for a log. */
static const char *plain(const weft__http_answer *answer, char *out,
                         size_t size)
{
    size_t n = 0;

    while (answer->body != NULL && n < answer->body_len && n + 1 < size &&
           answer->body[n] != '\n' && answer->body[n] != '\r') {
        uint8_t ch = answer->body[n];

        out[n++] = ch >= 32 && ch < 127 && ch != '"' ? (char)ch : '?';
    }
    out[n] = '\0';
    return out;
}

static void on_status(consul_watch *c, const weft__http_answer *answer)
{
    char text[120];

    plain(answer, text, sizeof(text));
    if (answer->code == 429) {
        refused(c, "status 429: too many requests");
    } else if (answer->code == 403) {
        /* asking often does not mend a token */
        fail(c, WEFT_PERMISSION_DENIED, between(c, 10000, 30000),
             "status 403: %s", text);
    } else {
        fail(c, WEFT_UNAVAILABLE, 0, "status %d: %s", answer->code, text);
    }
}

static bool header_is(const weft__http_answer *answer, const char *name,
                      const char *value)
{
    const char *text = weft__http_header(answer, name);

    return text != NULL && strcasecmp(text, value) == 0;
}

static uint64_t header_number(const weft__http_answer *answer, const char *name)
{
    const char *text = weft__http_header(answer, name);
    uint64_t n;

    return text != NULL && weft__json_u64(text, strlen(text), &n) ? n : 0;
}

/* I2; the answer is a good one. */
static void take_index(consul_watch *c, const weft__http_answer *answer)
{
    uint64_t index = header_number(answer, "X-Consul-Index");

    if (index == 0)
        index = 1;
    if (index < c->index) {
        weft_log_limited(
            &c->log_limit, WEFT_LOG_WARN, "consul index went backwards",
            "target=\"%s\" from=%llu to=%llu", weft_watch_target(c->watch),
            (unsigned long long)c->index, (unsigned long long)index);
        c->trouble_until = weft_loop_now_ms(c->loop) + c->conf->grace_ms;
        index = 0;
    }
    c->degraded =
        header_is(answer, "X-Consul-KnownLeader", "false") ||
        header_number(answer, "X-Consul-LastContact") > c->conf->max_stale_ms;
    c->catching_up = c->degraded;
    if (c->degraded && c->asked_stale)
        index = 0; /* ask again at once, and the leader */
    c->next_index = index;
    c->filtered =
        header_is(answer, "X-Consul-Results-Filtered-By-ACLs", "true");
}

static void on_answer(const weft__http_answer *answer, void *user)
{
    static const char none[] = "[]"; /* a key that is missing: the empty set */
    consul_watch *c = user;
    const weft__catalog_conf conf = {.kv = c->target.kv,
                                     .warnings = c->target.warnings};
    weft__http_body *body = NULL;
    bool missing;
    weft_status status;

    c->call = NULL;
    if (answer->error == WEFT__HTTP_EOF && answer->fresh &&
        weft_loop_now_ms(c->loop) - c->sent_at < REFUSED_WITHIN_MS) {
        refused(c, "closed without an answer: too many connections?");
        return;
    }
    if (answer->error != WEFT__HTTP_OK) {
        fail(c, WEFT_UNAVAILABLE, 0, "%s",
             weft__http_error_text(answer->error));
        return;
    }
    missing = c->target.kv && answer->code == 404 &&
              weft__http_header(answer, "X-Consul-Index") != NULL;
    if (answer->code != 200 && !missing) {
        on_status(c, answer);
        return;
    }
    if (answer->body_len == 0 && !missing) {
        fail(c, WEFT_EPROTO, 0, "an answer without a body");
        return;
    }
    take_index(c, answer);
    c->state = "reading";
    if (missing)
        status = weft__catalog_new(&c->catalog, &conf, none, sizeof(none) - 1);
    else if ((status = weft__http_take_body(answer, &body)) == WEFT_OK)
        status = weft__catalog_new_body(&c->catalog, &conf, body);
    if (status != WEFT_OK)
        fail(c, status, 0, "%s", weft_status_text(status));
    else
        on_slice(c);
}

/* --- the resolvers --- */

static weft_status start(consul_watch *c, weft_watch *watch, bool kv)
{
    const weft_consul_conf *conf;
    weft__consul_settings settings;
    char why[200] = "";
    weft_status status;

    c->watch = watch;
    c->loop = weft_watch_loop(watch);
    c->state = "starting";
    conf = weft__consul_conf_of(c->loop);
    c->conf = weft__consul_conf_dup(conf, sizeof(*conf));
    if (c->conf == NULL)
        return WEFT_ENOMEM;
    if (c->conf->grace_ms == WEFT_OFF)
        c->conf->grace_ms = 0;
    status = weft__consul_target_init(&c->target, watch, kv, c->conf->wait_ms);
    if (status != WEFT_OK)
        return status;
    status = weft__consul_settings_init(&settings, weft_watch_authority(watch),
                                        c->conf, why, sizeof(why));
    if (status == WEFT_OK)
        status = weft__consul_agent_get(&c->agent, c->loop, &settings, c->conf,
                                        why, sizeof(why));
    if (status != WEFT_OK) {
        weft_watch_fail(watch, status, "target \"%s\": %s",
                        weft_watch_target(watch), why);
        return status;
    }
    c->cache_path = weft__cache_path(c->conf->cache_dir,
                                     weft__consul_agent_settings(c->agent),
                                     weft_watch_target(watch));
    weft_timer_init(&c->timer, c->loop, on_timer, c);
    c->timer.name = "consul watch";
    weft_timer_init(&c->cache_timer, c->loop, on_cache_timer, c);
    c->cache_timer.name = "consul cache";
    c->poller.turn = on_turn;
    wait_then_ask(c, between(c, 0, START_JITTER_MS), "starting");
    return WEFT_OK;
}

static weft_status start_catalog(void *self, weft_watch *watch)
{
    return start(self, watch, false);
}

static weft_status start_kv(void *self, weft_watch *watch)
{
    return start(self, watch, true);
}

static void on_close(void *self)
{
    consul_watch *c = self;

    if (c->agent != NULL) {
        cache_close(c);
        weft_timer_stop(&c->timer);
        weft__loop_undefer(c->loop, &c->slice);
        weft__consul_cancel(c->call);
        weft__consul_poll_leave(c->agent, &c->poller);
        leave_slot(c);
    }
    weft__catalog_free(c->catalog);
    weft__consul_agent_unref(c->agent);
    weft__consul_target_fini(&c->target);
    weft_free(c->cache_path);
    weft_free(c->conf);
}

static void on_info(void *self, weft_watch_info *info)
{
    const consul_watch *c = self;

    info->state = c->state;
    info->from_cache = c->from_cache;
    info->degraded = c->degraded;
    info->index = c->index;
    info->requests = c->requests;
    info->skipped = c->skipped;
    info->failures = c->failures;
}

const weft_resolver_ops weft__resolver_consul = {
    .scheme = "consul",
    .self_size = sizeof(consul_watch),
    .start = start_catalog,
    .close = on_close,
    .info = on_info,
};

const weft_resolver_ops weft__resolver_consul_kv = {
    .scheme = "consul+kv",
    .self_size = sizeof(consul_watch),
    .start = start_kv,
    .close = on_close,
    .info = on_info,
};
