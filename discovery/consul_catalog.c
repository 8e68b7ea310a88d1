/* consul_catalog.c - an answer of Consul's becomes endpoints.
 *
 * Two shapes (Consul HTTP API, "health/service" and "kv?recurse"):
 *
 *     [{"Node": {"ID", "Node", "Address"},
 *       "Service": {"ID", "Address", "Port", "Tags": [], "Meta": {},
 *                   "Weights": {"Passing", "Warning"}},
 *       "Checks": [{"CheckID", "Status"}]}]
 *     [{"Key": "service/10.0.0.7:80", ...}]
 *
 * An entry that cannot be used is skipped and counted; when there is none that
 * can, the answer as a whole is refused.  Unknown keys are ignored. */
#include "consul_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

#define ENTRY_BUDGET 262144 /* tags and metadata of one instance */

typedef enum health { PASSING, WARNING, CRITICAL } health;

typedef struct entry {
    char node[WEFT__JSON_KEY_BYTES], node_id[64], node_address[64];
    char id[512], address[64];
    uint64_t port, passing, warning; /* UINT64_MAX: not a number */
    health health;
    bool has_service, bad;
    char key[1024]; /* of the key-value store */
    weft_metadata metadata;
} entry;

struct weft__catalog {
    weft__catalog_conf conf;
    weft__http_body *body; /* or text */
    uint8_t *text;
    size_t text_len, text_at;
    weft__json *json;
    weft_endpoints_builder *builder;
    entry entry;
    weft_arena arena; /* of the entry's metadata */
    bool is_list, found;
    size_t entries, usable, bad;
    char error[128];
};

/* --- fields --- */

static bool copy_text(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool is_key(const weft__json_at *at, unsigned depth, const char *key)
{
    return strcmp(at->key[depth - 1], key) == 0;
}

static void take_text(entry *e, char *out, size_t size, weft__json_type type,
                      const char *text, size_t len)
{
    if (type != WEFT__JSON_NULL &&
        (type != WEFT__JSON_STRING || !copy_text(out, size, text, len)))
        e->bad = true;
}

static void take_number(uint64_t *out, weft__json_type type, const char *text,
                        size_t len)
{
    if (type != WEFT__JSON_NUMBER || !weft__json_u64(text, len, out))
        *out = UINT64_MAX;
}

/* What a key or value cannot be in metadata is left out; what does not fit the
 * budget makes the entry bad. */
static weft_status take_metadata(weft__catalog *c, const char *key,
                                 const char *text, size_t len)
{
    weft_status status;

    if (!weft_metadata_key_valid(key, strlen(key)) ||
        memchr(text, '\0', len) != NULL)
        return WEFT_OK;
    if (c->arena.used + len > ENTRY_BUDGET / 2) {
        c->entry.bad = true;
        return WEFT_OK;
    }
    status = weft_metadata_add(&c->entry.metadata, &c->arena, key, text, len);
    return status == WEFT_ENOMEM ? status : WEFT_OK;
}

static weft_status service_value(weft__catalog *c, const weft__json_at *at,
                                 weft__json_type type, const char *text,
                                 size_t len)
{
    entry *e = &c->entry;

    if (at->depth == 4) {
        if (is_key(at, 3, "Tags") && type == WEFT__JSON_STRING)
            return take_metadata(c, "tag", text, len);
        if (is_key(at, 3, "Meta") && type == WEFT__JSON_STRING)
            return take_metadata(c, at->key[3], text, len);
        if (is_key(at, 3, "Weights") && is_key(at, 4, "Passing"))
            take_number(&e->passing, type, text, len);
        if (is_key(at, 3, "Weights") && is_key(at, 4, "Warning"))
            take_number(&e->warning, type, text, len);
        return WEFT_OK;
    }
    if (is_key(at, 3, "ID"))
        take_text(e, e->id, sizeof(e->id), type, text, len);
    else if (is_key(at, 3, "Address"))
        take_text(e, e->address, sizeof(e->address), type, text, len);
    else if (is_key(at, 3, "Port"))
        take_number(&e->port, type, text, len);
    return WEFT_OK;
}

static void node_value(entry *e, const weft__json_at *at, weft__json_type type,
                       const char *text, size_t len)
{
    if (is_key(at, 3, "Node"))
        take_text(e, e->node, sizeof(e->node), type, text, len);
    else if (is_key(at, 3, "ID"))
        take_text(e, e->node_id, sizeof(e->node_id), type, text, len);
    else if (is_key(at, 3, "Address"))
        take_text(e, e->node_address, sizeof(e->node_address), type, text, len);
}

/* Maintenance is a critical check like any other.  A status that nobody knows
 * counts as critical. */
static void check_status(entry *e, weft__json_type type, const char *text,
                         size_t len)
{
    health seen = CRITICAL;

    if (type == WEFT__JSON_STRING && len == 7 &&
        memcmp(text, "passing", 7) == 0)
        seen = PASSING;
    else if (type == WEFT__JSON_STRING && len == 7 &&
             memcmp(text, "warning", 7) == 0)
        seen = WARNING;
    if (seen > e->health)
        e->health = seen;
}

static weft_status on_value(void *user, const weft__json_at *at,
                            weft__json_type type, const char *text, size_t len)
{
    weft__catalog *c = user;

    if (at->depth == 0)
        return WEFT_EPROTO; /* not a list */
    if (at->depth == 1) {
        c->entries++;
        c->bad++; /* a scalar where an instance should be */
        return WEFT_OK;
    }
    if (c->conf.kv) {
        if (at->depth == 2 && is_key(at, 2, "Key"))
            take_text(&c->entry, c->entry.key, sizeof(c->entry.key), type, text,
                      len);
        return WEFT_OK;
    }
    if (at->depth < 3)
        return WEFT_OK;
    if (is_key(at, 2, "Service") && at->depth <= 4)
        return service_value(c, at, type, text, len);
    if (is_key(at, 2, "Node") && at->depth == 3)
        node_value(&c->entry, at, type, text, len);
    else if (is_key(at, 2, "Checks") && at->depth == 4 &&
             is_key(at, 4, "Status"))
        check_status(&c->entry, type, text, len);
    return WEFT_OK;
}

/* --- entries --- */

static weft_status on_begin(void *user, const weft__json_at *at,
                            weft__json_type type)
{
    weft__catalog *c = user;

    if (at->depth == 0) {
        if (type != WEFT__JSON_ARRAY)
            return WEFT_EPROTO;
        c->is_list = true;
    } else if (at->depth == 1) {
        weft_arena_fini(&c->arena);
        weft_arena_init(&c->arena, NULL, 0, ENTRY_BUDGET);
        c->entry = (entry){.port = UINT64_MAX,
                           .passing = 100,
                           .warning = 1,
                           .bad = type != WEFT__JSON_OBJECT};
        c->entries++;
    } else if (at->depth == 2 && is_key(at, 2, "Service") &&
               type == WEFT__JSON_OBJECT) {
        c->entry.has_service = true;
    }
    return WEFT_OK;
}

/* Nothing but an IP address or "localhost": a name would have to be looked up,
 * and weft_address_parse() knows kinds of addresses that are not Consul's. */
static bool parse_ip(const char *text, uint64_t port, weft_address *out)
{
    char full[96];

    if (port < 1 || port > 65535 || text[0] == '\0' ||
        (strcmp(text, "localhost") != 0 &&
         text[strspn(text, "0123456789abcdefABCDEF:.")] != '\0'))
        return false;
    snprintf(full, sizeof(full),
             strchr(text, ':') != NULL ? "[%s]:%u" : "%s:%u", text,
             (unsigned)port);
    return weft_address_parse(out, full, NULL) == WEFT_OK &&
           out->kind == WEFT_ADDRESS_TCP;
}

/* gorpc: the address is the key's text behind the last slash.  *folder: the key
 * ends in a slash, and is no instance. */
static bool parse_key(const char *key, weft_address *out, bool *folder)
{
    const char *text = strrchr(key, '/');

    text = text != NULL ? text + 1 : key;
    if ((*folder = text[0] == '\0' && key[0] != '\0'))
        return false;
    return (isdigit((unsigned char)text[0]) || text[0] == '[' ||
            strncmp(text, "localhost:", 10) == 0) &&
           weft_address_parse(out, text, NULL) == WEFT_OK &&
           out->kind == WEFT_ADDRESS_TCP && weft_address_port(out) != 0;
}

static weft_status add(weft__catalog *c, const weft_address *address,
                       uint64_t weight)
{
    weft_endpoint e = {
        .address = *address,
        .weight = weight > 65535 ? 65535 : (uint32_t)weight,
        .node = c->entry.node,
        .id = c->entry.id,
        .metadata = c->entry.metadata,
    };

    c->usable++;
    return weft_endpoints_builder_add(c->builder, &e);
}

static weft_status end_instance(weft__catalog *c)
{
    entry *e = &c->entry;
    weft_address address;
    uint64_t weight = e->health == WARNING ? e->warning : e->passing;

    if (!e->has_service || e->bad || weight == UINT64_MAX ||
        !parse_ip(e->address[0] != '\0' ? e->address : e->node_address, e->port,
                  &address)) {
        c->bad++;
        return WEFT_OK;
    }
    if (c->conf.find_id != NULL && strcmp(e->id, c->conf.find_id) == 0 &&
        strcmp(e->node_id, c->conf.find_node) == 0)
        c->found = true;
    if (e->health == CRITICAL || weight == 0 ||
        (e->health == WARNING && !c->conf.warnings)) {
        c->usable++; /* well-formed, and not for us */
        return WEFT_OK;
    }
    return add(c, &address, weight);
}

static weft_status end_key(weft__catalog *c)
{
    weft_address address;
    bool folder;

    if (!c->entry.bad && parse_key(c->entry.key, &address, &folder))
        return add(c, &address, 100);
    if (c->entry.bad || !folder)
        c->bad++;
    return WEFT_OK;
}

static weft_status on_end(void *user, const weft__json_at *at,
                          weft__json_type type)
{
    weft__catalog *c = user;

    (void)type;
    if (at->depth != 1)
        return WEFT_OK;
    return c->conf.kv ? end_key(c) : end_instance(c);
}

static const weft__json_visitor visitor = {on_value, on_begin, on_end};

/* --- the whole --- */

static size_t read_more(void *from, void *out, size_t n)
{
    weft__catalog *c = from;

    if (c->body != NULL)
        return weft__http_body_read(c->body, out, n);
    if (n > c->text_len - c->text_at)
        n = c->text_len - c->text_at;
    memcpy(out, c->text + c->text_at, n);
    c->text_at += n;
    return n;
}

static weft_status start(weft__catalog **out, weft__catalog *c,
                         const weft__catalog_conf *conf)
{
    weft_status status;

    c->conf = *conf;
    if ((status = weft_endpoints_builder_new(&c->builder)) != WEFT_OK ||
        (status = weft__json_new(&c->json, &visitor, c, read_more, c)) !=
            WEFT_OK) {
        weft__catalog_free(c);
        return status;
    }
    *out = c;
    return WEFT_OK;
}

weft_status weft__catalog_new(weft__catalog **out,
                              const weft__catalog_conf *conf, const void *text,
                              size_t len)
{
    weft__catalog *c = weft_calloc(1, sizeof(*c));

    if (c == NULL || (c->text = weft_malloc(len)) == NULL) {
        weft_free(c);
        return WEFT_ENOMEM;
    }
    if (len > 0)
        memcpy(c->text, text, len);
    c->text_len = len;
    return start(out, c, conf);
}

weft_status weft__catalog_new_body(weft__catalog **out,
                                   const weft__catalog_conf *conf,
                                   weft__http_body *body)
{
    weft__catalog *c = weft_calloc(1, sizeof(*c));

    if (c == NULL) {
        weft__http_body_free(body);
        return WEFT_ENOMEM;
    }
    c->body = body;
    return start(out, c, conf);
}

weft_status weft__catalog_step(weft__catalog *c)
{
    weft_status status = weft__json_step(c->json);
    size_t offset = weft__json_offset(c->json);

    switch (status) {
    case WEFT_EAGAIN:
        return status;
    case WEFT_OK:
        if (c->bad == 0 || c->usable > 0)
            return WEFT_OK;
        snprintf(c->error, sizeof(c->error), "none of %zu entries is usable",
                 c->entries);
        return WEFT_EPROTO;
    case WEFT_EPROTO:
        snprintf(c->error, sizeof(c->error), "the answer is not a list");
        return status;
    case WEFT_ELIMIT:
        snprintf(c->error, sizeof(c->error),
                 "nested too deep or a string too long near byte %zu", offset);
        return status;
    case WEFT_ENOMEM:
        snprintf(c->error, sizeof(c->error), "out of memory");
        return status;
    default:
        snprintf(c->error, sizeof(c->error),
                 "not JSON, or cut off, near byte %zu", offset);
        return status;
    }
}

const char *weft__catalog_error(const weft__catalog *c)
{
    return c->error;
}

weft_status weft__catalog_finish(weft__catalog *c, weft_endpoints **out)
{
    weft_endpoints_builder *builder = c->builder;

    c->builder = NULL;
    return weft_endpoints_builder_finish(builder, out);
}

size_t weft__catalog_skipped(const weft__catalog *c)
{
    return c->bad;
}

bool weft__catalog_found(const weft__catalog *c)
{
    return c->found;
}

void weft__catalog_free(weft__catalog *c)
{
    if (c == NULL)
        return;
    weft__json_free(c->json);
    weft_endpoints_builder_free(c->builder);
    weft_arena_fini(&c->arena);
    weft__http_body_free(c->body);
    weft_free(c->text);
    weft_free(c);
}
