/* consul_instance.c - what a server registers, and the texts that say so.
 *
 * Consul accepts port 70000 and the name "a/b c"; what nobody can call is
 * refused here. */
#include "consul_registrar_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    const weft_consul_conf *conf;
    const weft__consul_settings *agent;
    weft_arena *arena;
    weft__consul_instance *instances;
    size_t n;
    char *why;
    size_t size;
} maker;

/* --- conf --- */

typedef weft_status (*item_fn)(weft__buf *out, const char *item, size_t len);

/* Calls fn for each item of "a, b,c", separated by commas in out as well. */
static weft_status each_item(weft__buf *out, const char *list, item_fn fn)
{
    bool first = true;
    weft_status status = WEFT_OK;

    for (const char *at = list != NULL ? list : ""; *at != '\0';) {
        size_t n = strcspn(at, ","), skip = strspn(at, " "), len;

        for (len = n; len > skip && at[len - 1] == ' '; len--)
            ;
        if (len > skip) {
            if (!first)
                status = weft__buf_append(out, ",", 1);
            first = false;
            if (status == WEFT_OK)
                status = fn(out, at + skip, len - skip);
            if (status != WEFT_OK)
                return status;
        }
        at += n + (at[n] == ',');
    }
    return status;
}

static weft_status meta_item(weft__buf *out, const char *item, size_t len)
{
    const char *equals = memchr(item, '=', len);
    weft_status status;

    if (equals == NULL || equals == item || equals - item > 128)
        return WEFT_EINVAL;
    for (const char *c = item; c < equals; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return WEFT_EINVAL;
    status = weft__consul_json_string(out, item, (size_t)(equals - item));
    if (status == WEFT_OK)
        status = weft__buf_append(out, ":", 1);
    return status == WEFT_OK
               ? weft__consul_json_string(out, equals + 1,
                                          len - (size_t)(equals - item) - 1)
               : status;
}

static bool is_ttl(const weft_consul_conf *conf)
{
    return strcmp(conf->check, "ttl") == 0;
}

static weft_status check_conf(const weft_consul_conf *conf, char *why,
                              size_t size)
{
    weft__buf scratch = {0};
    weft_status status = each_item(&scratch, conf->meta, meta_item);

    weft__buf_fini(&scratch);
    if (status == WEFT_ENOMEM)
        return status;
    if (status != WEFT_OK)
        snprintf(why, size,
                 "consul: meta=\"%.100s\": expected key=value,... with keys of "
                 "letters, digits, _ and -",
                 conf->meta);
    else if (strcmp(conf->check, "http") != 0 && !is_ttl(conf))
        snprintf(why, size, "consul: check=\"%.40s\": expected http or ttl",
                 conf->check);
    else if (conf->weight < 1 || conf->weight > 65535 ||
             conf->warning_weight < 1 || conf->warning_weight > 65535)
        snprintf(why, size, "consul: weights are 1 to 65535");
    else if (is_ttl(conf) && (conf->ttl_ms < 3000 || conf->ttl_ms == WEFT_OFF))
        snprintf(why, size, "consul: ttl_ms is 3000 at least");
    else if (conf->kv_session && (conf->kv_session_ttl_ms < 10000 ||
                                  conf->kv_session_ttl_ms > 86400000))
        snprintf(why, size, "consul: kv_session_ttl_ms is 10000 to 86400000");
    else if (conf->service != NULL && !weft__consul_name_valid(conf->service))
        snprintf(why, size,
                 "consul: service=\"%.80s\": expected 1 to 128 letters, "
                 "digits, \".\", \"_\" and \"-\"",
                 conf->service);
    else
        return WEFT_OK;
    return WEFT_EINVAL;
}

/* --- addresses --- */

/* "10.0.0.7", "10.0.0.7:80", "::1", "[::1]:80"; port 0 when there is none. */
static weft_status parse_advertise(const maker *m, weft_address *out)
{
    const char *text = m->conf->advertise, *why = "";
    struct in6_addr v6;
    char full[WEFT_ADDRESS_TEXT];
    bool bare = inet_pton(AF_INET, text, &v6) == 1 ||
                inet_pton(AF_INET6, text, &v6) == 1;

    snprintf(full, sizeof(full),
             !bare                       ? "%s"
             : strchr(text, ':') != NULL ? "[%s]:0"
                                         : "%s:0",
             text);
    if (weft_address_parse(out, full, &why) != WEFT_OK ||
        out->kind != WEFT_ADDRESS_TCP || weft_address_is_wildcard(out)) {
        snprintf(m->why, m->size,
                 "consul: advertise=\"%.80s\": expected IP or IP:port%s%s",
                 text, why[0] != '\0' ? ": " : "", why);
        return WEFT_EADDR;
    }
    return WEFT_OK;
}

static const char *ip_of(const weft_address *address, char *buf, size_t size)
{
    const void *bytes = address->u.sa.sa_family == AF_INET6
                            ? (const void *)&address->u.in6.sin6_addr
                            : (const void *)&address->u.in4.sin_addr;

    return inet_ntop(address->u.sa.sa_family, bytes, buf, (socklen_t)size);
}

#define bracketed(ip) (strchr((ip), ':') != NULL ? "[%s]:%u" : "%s:%u")

static weft_status add(maker *m, const char *service, const char *ip,
                       uint16_t port, const char *check_ip, uint16_t check_port)
{
    weft__consul_instance *i = &m->instances[m->n];
    const char *id = weft_arena_printf(m->arena, "%s-%s-%u", service,
                                       ip[0] != '\0' ? ip : "any", port);

    if (id == NULL)
        return WEFT_ENOMEM;
    for (size_t k = 0; k < m->n; k++)
        if (strcmp(m->instances[k].id, id) == 0)
            return WEFT_OK; /* listeners that share a port */
    *i = (weft__consul_instance){
        .service = weft_arena_strndup(m->arena, service, strlen(service)),
        .ip = weft_arena_strndup(m->arena, ip, strlen(ip)),
        .id = id,
        .check_id = weft_arena_printf(m->arena, "service:%s:%s", id,
                                      is_ttl(m->conf) ? "ttl" : "http"),
        .text = weft_arena_printf(m->arena, bracketed(ip), ip, port),
        .port = port,
    };
    if (m->conf->check_url != NULL) {
        i->check_url = m->conf->check_url;
    } else {
        const char *at = weft_arena_printf(m->arena, bracketed(check_ip),
                                           check_ip, check_port);

        i->check_url = at != NULL
                           ? weft_arena_printf(m->arena, "http://%s/health", at)
                           : NULL;
    }
    if (i->service == NULL || i->ip == NULL || i->check_id == NULL ||
        i->text == NULL || i->check_url == NULL)
        return WEFT_ENOMEM;
    m->n++;
    return WEFT_OK;
}

/* One service on one listener. */
static weft_status add_listener(maker *m, const char *service,
                                const weft_address *bound)
{
    char bound_ip[INET6_ADDRSTRLEN], ip[INET6_ADDRSTRLEN] = "";
    char bound_text[WEFT_ADDRESS_TEXT];
    bool wildcard = weft_address_is_wildcard(bound);
    uint16_t bound_port = weft_address_port(bound), port = bound_port;
    weft_address advertise;
    const char *check_ip;

    ip_of(bound, bound_ip, sizeof(bound_ip));
    weft_address_format(bound, bound_text, sizeof(bound_text));
    if (m->conf->advertise != NULL) {
        if (parse_advertise(m, &advertise) != WEFT_OK)
            return WEFT_EADDR;
        ip_of(&advertise, ip, sizeof(ip));
        if (weft_address_port(&advertise) != 0)
            port = weft_address_port(&advertise);
    } else if (!m->agent->loopback &&
               (wildcard || weft_address_is_loopback(bound))) {
        snprintf(
            m->why, m->size,
            "consul: the listener is bound to %s and the agent %s:%u is on "
            "another host, which cannot reach that: set advertise",
            bound_text, m->agent->host, m->agent->port);
        return WEFT_EADDR;
    } else if (wildcard && m->conf->kv) {
        snprintf(m->why, m->size,
                 "consul: a key needs an address, and the listener is bound to "
                 "%s: set advertise",
                 bound_text);
        return WEFT_EADDR;
    } else if (!wildcard) {
        memcpy(ip, bound_ip, sizeof(ip));
    }
    if (!m->agent->loopback)
        return add(m, service, ip, port, ip, port);
    /* an agent on this host asks the listener itself */
    check_ip = !wildcard                           ? bound_ip
               : bound->u.sa.sa_family == AF_INET6 ? "::1"
                                                   : "127.0.0.1";
    return add(m, service, ip, port, check_ip, bound_port);
}

weft_status weft__consul_instances(const weft_consul_conf *conf,
                                   const weft__consul_settings *agent,
                                   const weft_plugin_host *host,
                                   weft_arena *arena,
                                   weft__consul_instance **out, size_t *n,
                                   char *why, size_t size)
{
    const char *const *names = host->services;
    size_t n_names = host->n_services;
    maker m = {
        .conf = conf, .agent = agent, .arena = arena, .why = why, .size = size};
    weft_status status = check_conf(conf, why, size);

    if (status != WEFT_OK)
        return status;
    if (conf->service != NULL) {
        names = &conf->service;
        n_names = 1;
    }
    m.instances = weft_arena_calloc(arena, n_names * host->n_addresses + 1,
                                    sizeof(*m.instances));
    if (m.instances == NULL)
        return WEFT_ENOMEM;
    for (size_t s = 0; s < n_names; s++) {
        if (!weft__consul_name_valid(names[s])) {
            snprintf(why, size,
                     "consul: \"%.80s\" cannot be the name of a service: set "
                     "service",
                     names[s]);
            return WEFT_EINVAL;
        }
        for (size_t a = 0; a < host->n_addresses; a++)
            if (host->addresses[a].kind == WEFT_ADDRESS_TCP &&
                (status = add_listener(&m, names[s], &host->addresses[a])) !=
                    WEFT_OK)
                return status;
    }
    if (m.n == 0) {
        snprintf(why, size, "consul: nothing to register: the server has no %s",
                 n_names == 0 ? "service" : "TCP listener");
        return WEFT_EINVAL;
    }
    *out = m.instances;
    *n = m.n;
    return WEFT_OK;
}

/* --- bodies --- */

weft_status weft__consul_json_string(weft__buf *out, const char *text,
                                     size_t len)
{
    weft_status status = weft__buf_append(out, "\"", 1);

    for (size_t i = 0; i < len && status == WEFT_OK; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            status = weft__buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            status = weft__buf_printf(out, "\\u%04x", c);
        else
            status = weft__buf_append(out, text + i, 1);
    }
    return status == WEFT_OK ? weft__buf_append(out, "\"", 1) : status;
}

static weft_status put(weft__buf *out, const char *label, const char *text)
{
    weft_status status = weft__buf_printf(out, "%s", label);

    return status == WEFT_OK ? weft__consul_json_string(out, text, strlen(text))
                             : status;
}

static weft_status put_check(weft__buf *out, const weft_consul_conf *conf,
                             const weft__consul_instance *i, const char *first)
{
    weft_status status = put(out, "[{\"CheckID\":", i->check_id);

    if (status == WEFT_OK)
        status = put(out, ",\"Name\":", i->check_id);
    if (status == WEFT_OK && is_ttl(conf)) {
        status =
            weft__buf_printf(out, ",\"TTL\":\"%ums\"", (unsigned)conf->ttl_ms);
    } else if (status == WEFT_OK) {
        status = put(out, ",\"HTTP\":", i->check_url);
        if (status == WEFT_OK)
            status = weft__buf_printf(out,
                                      ",\"Interval\":\"%ums\",\"Timeout\":"
                                      "\"%ums\",\"FailuresBeforeCritical\":2",
                                      (unsigned)conf->check_interval_ms,
                                      (unsigned)conf->check_timeout_ms);
    }
    if (status == WEFT_OK && conf->deregister_after_ms != WEFT_OFF)
        status = weft__buf_printf(
            out, ",\"DeregisterCriticalServiceAfter\":\"%ums\"",
            (unsigned)conf->deregister_after_ms);
    return status == WEFT_OK
               ? weft__buf_printf(out, ",\"Status\":\"%s\"}]", first)
               : status;
}

static weft_status tag_item(weft__buf *out, const char *item, size_t len)
{
    return weft__consul_json_string(out, item, len);
}

weft_status weft__consul_body(weft__buf *out, const weft_consul_conf *conf,
                              const weft__consul_instance *i, const char *first)
{
    weft_status status = put(out, "{\"ID\":", i->id);

    if (status == WEFT_OK)
        status = put(out, ",\"Name\":", i->service);
    if (status == WEFT_OK)
        status = put(out, ",\"Address\":", i->ip);
    if (status == WEFT_OK)
        status = weft__buf_printf(out, ",\"Port\":%u,\"Tags\":[", i->port);
    if (status == WEFT_OK)
        status = each_item(out, conf->tags, tag_item);
    if (status == WEFT_OK)
        status = weft__buf_printf(out, "],\"Meta\":{");
    if (status == WEFT_OK)
        status = each_item(out, conf->meta, meta_item);
    if (status == WEFT_OK)
        status = weft__buf_printf(
            out,
            "},\"Weights\":{\"Passing\":%u,\"Warning\":%u},"
            "\"EnableTagOverride\":false,\"Checks\":",
            (unsigned)conf->weight, (unsigned)conf->warning_weight);
    if (status == WEFT_OK)
        status = put_check(out, conf, i, first);
    return status == WEFT_OK ? weft__buf_append(out, "}", 1) : status;
}
