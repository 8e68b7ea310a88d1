/* consul_registrar_internal.h - what a server registers with Consul: one
 * instance for each service and address, and the texts that say so. */
#ifndef WEFT_CONSUL_REGISTRAR_INTERNAL_H
#define WEFT_CONSUL_REGISTRAR_INTERNAL_H

#include "consul_internal.h"

/* One service on one address; strings lie in the registrar's arena. */
typedef struct weft__consul_instance {
    const char *service, *id, *check_id, *check_url;
    const char *ip;   /* "" when the agent's own is meant */
    const char *text; /* "ip:port"; the key's last part and its value */
    uint16_t port;

    bool registered; /* as far as we know */
    bool confirmed;  /* the agent or the store has said so once */
    bool blocked;    /* the key is held by somebody else's session */
    bool hidden;     /* in maintenance */
    uint64_t beat_at;
} weft__consul_instance;

/* Checks conf and gives the instances of a server, allocated from arena.  On
 * failure why holds a sentence. */
weft_status weft__consul_instances(const weft_consul_conf *conf,
                                   const weft__consul_settings *agent,
                                   const weft_plugin_host *host,
                                   weft_arena *arena,
                                   weft__consul_instance **out, size_t *n,
                                   char *why, size_t size);

/* The body of a registration; status is the check's first ("critical"). */
weft_status weft__consul_body(weft__buf *out, const weft_consul_conf *conf,
                              const weft__consul_instance *instance,
                              const char *status);

/* Appends text as a JSON string. */
weft_status weft__consul_json_string(weft__buf *out, const char *text,
                                     size_t len);

#endif /* WEFT_CONSUL_REGISTRAR_INTERNAL_H */
