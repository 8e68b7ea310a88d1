/* consul_internal.h - the parts of the Consul client.
 *
 *     consul_conf.c       where the agent is: URI, conf, environment
 *     consul_agent.c      one agent: its HTTP client, its slots, whose turn it
 * is consul_json.c       JSON by events, in slices (yajl stays here)
 *     consul_catalog.c    an answer of Consul's becomes endpoints
 *     consul_cache.c      the last good list in a file
 *     consul_target.c     a target becomes a query
 *     consul_watch.c      the resolver
 *     consul_registrar.c  the registrar; consul_instance.c writes its texts */
#ifndef WEFT_CONSUL_INTERNAL_H
#define WEFT_CONSUL_INTERNAL_H

#include <weft/consul.h>
#include <weft/endpoint.h>
#include <weft/http_client.h>
#include <weft/timer.h>

#include "discovery_internal.h"

/* --- consul_conf.c --- */

/* A resolved copy of conf with its strings, in one block: weft_free().  NULL:
 * out of memory. */
weft_consul_conf *weft__consul_conf_dup(const weft_consul_conf *conf,
                                        size_t conf_size);

/* How to reach an agent; strings are owned. */
typedef struct weft__consul_settings {
    char *host;
    uint16_t port;
    bool tls, loopback;
    char *token, *ca_file, *cert_file, *key_file, *server_name;
} weft__consul_settings;

/* From the URI's authority (may be ""), conf, the environment.  On failure why
 * holds a sentence and nothing is owned. */
weft_status weft__consul_settings_init(weft__consul_settings *s,
                                       const char *authority,
                                       const weft_consul_conf *conf, char *why,
                                       size_t size);
void weft__consul_settings_fini(weft__consul_settings *s);

/* 1 to 128 of [A-Za-z0-9._-], which every part of Consul can bear. */
bool weft__consul_name_valid(const char *name);

/* --- consul_target.c --- */

/* What a watch asks for. */
typedef struct weft__consul_target {
    weft_watch *watch;
    char *path; /* of the query, with the parameters that never change; owned */
    bool kv, warnings, stale;
    uint32_t wait_ms;
} weft__consul_target;

/* On failure the watch has been told why; fini all the same. */
weft_status weft__consul_target_init(weft__consul_target *t, weft_watch *watch,
                                     bool kv, uint32_t wait_ms);
void weft__consul_target_fini(weft__consul_target *t);

/* --- consul_agent.c --- */

typedef struct weft__consul_agent weft__consul_agent;
typedef struct weft__consul_call weft__consul_call; /* one exchange */

/* The loop's conf for watching: borrowed until the next
 * weft_consul_configure(), NULL when there is none. */
const weft_consul_conf *weft__consul_conf_of(weft_loop *loop);

/* One agent of a loop, shared by everyone with the same settings.  Takes
 * settings, on failure too.  Gives a reference. */
weft_status weft__consul_agent_get(weft__consul_agent **out, weft_loop *loop,
                                   weft__consul_settings *settings,
                                   const weft_consul_conf *conf, char *why,
                                   size_t size);
void weft__consul_agent_unref(weft__consul_agent *agent); /* NULL is fine */
const weft__consul_settings *
weft__consul_agent_settings(const weft__consul_agent *agent);

/* As weft__http_request_send(), but cancel is silent: cb does not run after it.
 */
weft_status weft__consul_send(weft__consul_agent *agent, const char *method,
                              const char *path, const void *body,
                              size_t body_len, uint32_t deadline_ms,
                              weft__http_cb cb, void *user,
                              weft__consul_call **call);
void weft__consul_cancel(weft__consul_call *call); /* NULL is fine */

/* A slot allows one blocking query.  take: false when all are taken.  keep:
 * false (and the slot is gone) when the agent has become narrower meanwhile. */
bool weft__consul_slot_take(weft__consul_agent *agent);
bool weft__consul_slot_keep(weft__consul_agent *agent);
void weft__consul_slot_put(weft__consul_agent *agent);

/* The agent or its server has refused us for the number of our connections:
 * fewer slots for a while. */
void weft__consul_shed(weft__consul_agent *agent);

/* Those without a slot stand in a ring and are told their turn, each once in
 * poll_ms.  Embedded; turn may leave the ring. */
typedef struct weft__consul_poller weft__consul_poller;
struct weft__consul_poller {
    weft__consul_poller *next, *prev; /* NULL: not in the ring */
    void (*turn)(weft__consul_poller *poller);
};
void weft__consul_poll_join(weft__consul_agent *agent,
                            weft__consul_poller *poller);
void weft__consul_poll_leave(weft__consul_agent *agent,
                             weft__consul_poller *poller);

/* --- consul_json.c --- */

typedef enum weft__json_type {
    WEFT__JSON_NULL,
    WEFT__JSON_BOOL,
    WEFT__JSON_NUMBER, /* its text */
    WEFT__JSON_STRING,
    WEFT__JSON_ARRAY,
    WEFT__JSON_OBJECT
} weft__json_type;

#define WEFT__JSON_DEPTH 32 /* deeper is refused */
#define WEFT__JSON_KEYS 6
#define WEFT__JSON_KEY_BYTES 160
#define WEFT__JSON_SLICE 262144
#define WEFT__JSON_TOKEN 1048576 /* longest string */

/* Where something stands.  key[i] is the key in the container of depth i + 1;
 * "" in an array, and for a key too long to matter. */
typedef struct weft__json_at {
    unsigned depth; /* containers open around it */
    char key[WEFT__JSON_KEYS][WEFT__JSON_KEY_BYTES];
} weft__json_at;

/* An error ends the parse with that status.  text is borrowed and not
 * NUL-terminated.  end: at is where the container stood. */
typedef struct weft__json_visitor {
    weft_status (*value)(void *user, const weft__json_at *at,
                         weft__json_type type, const char *text, size_t len);
    weft_status (*begin)(void *user, const weft__json_at *at,
                         weft__json_type type);
    weft_status (*end)(void *user, const weft__json_at *at,
                       weft__json_type type);
} weft__json_visitor;

/* Gives the next bytes of a text: up to n, 0 at its end. */
typedef size_t (*weft__json_source)(void *from, void *out, size_t n);

typedef struct weft__json weft__json;

/* ENOMEM. */
weft_status weft__json_new(weft__json **out, const weft__json_visitor *visitor,
                           void *user, weft__json_source source, void *from);

/* Reads and parses the next slice, cut between tokens.  EAGAIN: more to do; OK:
 * the whole text was one JSON value; ESYNTAX, ELIMIT, ENOMEM, or a visitor's
 * status. */
weft_status weft__json_step(weft__json *json);
size_t weft__json_offset(const weft__json *json); /* bytes done; for errors */
void weft__json_free(weft__json *json);           /* NULL is fine */

/* The whole of a short text at once. */
weft_status weft__json_parse(const weft__json_visitor *visitor, void *user,
                             const void *body, size_t len);

/* Digits only, no sign; false when it does not fit. */
bool weft__json_u64(const char *text, size_t len, uint64_t *out);

/* --- consul_catalog.c --- */

typedef struct weft__catalog_conf {
    bool kv;       /* the answer is a list of keys, not of instances */
    bool warnings; /* instances with warnings too */
    const char *find_id, *find_node; /* look for this instance; may be NULL */
} weft__catalog_conf;

typedef struct weft__catalog weft__catalog;

/* Copies text; conf's strings are borrowed.  ENOMEM. */
weft_status weft__catalog_new(weft__catalog **out,
                              const weft__catalog_conf *conf, const void *text,
                              size_t len);

/* The same with a body, which it takes; on failure too. */
weft_status weft__catalog_new_body(weft__catalog **out,
                                   const weft__catalog_conf *conf,
                                   weft__http_body *body);

/* One slice; as weft__json_step().  On an error weft__catalog_error() says
 * what. */
weft_status weft__catalog_step(weft__catalog *catalog);
const char *weft__catalog_error(const weft__catalog *catalog);

/* After OK, once.  Gives the list. */
weft_status weft__catalog_finish(weft__catalog *catalog, weft_endpoints **out);
size_t weft__catalog_skipped(const weft__catalog *catalog); /* bad entries */
bool weft__catalog_found(const weft__catalog *catalog);
void weft__catalog_free(weft__catalog *catalog); /* NULL is fine */

/* --- consul_cache.c --- */

/* Gives the name of the cache file for what is watched at an agent, and makes
 * its folder.  NULL: no cache. */
char *weft__cache_path(const char *dir, const weft__consul_settings *agent,
                       const char *target);

/* Both work in steps that do not hold the loop: EAGAIN means that there is more
 * to do, and anything else that only free may follow. */
typedef struct weft__cache_writer weft__cache_writer;
typedef struct weft__cache_reader weft__cache_reader;

/* Replaces the file as a whole: another reader sees the old or the new one.
 * Shares list.  EIO, ENOMEM. */
weft_status weft__cache_writer_new(weft__cache_writer **out, const char *path,
                                   const char *target,
                                   const weft_endpoints *list, int64_t now_s);
weft_status weft__cache_writer_step(weft__cache_writer *w); /* or ELIMIT */
void weft__cache_writer_free(weft__cache_writer *w);        /* NULL is fine */

/* ENOENT: there is none; from step also ESYNTAX: cut off or damaged; ETIMEDOUT:
 * too old. */
weft_status weft__cache_reader_new(weft__cache_reader **out, const char *path,
                                   const char *target, int64_t now_s,
                                   uint32_t max_age_ms);
weft_status weft__cache_reader_step(weft__cache_reader *r,
                                    weft_endpoints **out);
void weft__cache_reader_free(weft__cache_reader *r); /* NULL is fine */

/* The same at once, for what is small. */
weft_status weft__cache_write(const char *path, const char *target,
                              const weft_endpoints *list, int64_t now_s);
weft_status weft__cache_read(const char *path, const char *target,
                             int64_t now_s, uint32_t max_age_ms,
                             weft_endpoints **out);

#endif /* WEFT_CONSUL_INTERNAL_H */
