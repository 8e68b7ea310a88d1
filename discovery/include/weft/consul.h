/* weft/consul.h - Consul: finding services, and being found.
 *
 * Finding.  consul://agent:8500/service watches the catalogue's healthy
 * instances; consul+kv://agent:8500/service watches keys "service/address",
 * gorpc's layout.  An empty authority means conf.agent, else CONSUL_HTTP_ADDR,
 * else 127.0.0.1:8500.  Parameters:
 *
 *     dc=NAME        another datacenter
 *     tag=NAME       only instances with that tag; may repeat (all of them)
 *     near=NODE      passed on ("_agent": ours); lists are sorted by address
 *     filter=EXPR    Consul's filter language
 *     passing=false  instances with warnings too, with their warning weight;
 *                    critical ones and those in maintenance never
 *     stale          any server may answer, while it is not too far behind
 *     wait=30s       how long one blocking query waits (1s to 10m)
 *
 * consul+kv knows dc, stale and wait.  A token is never part of a URI: it comes
 * from conf.token, CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE.  TLS comes from
 * conf or CONSUL_HTTP_SSL, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY
 * and CONSUL_TLS_SERVER_NAME; a CONSUL_HTTP_ADDR may begin with "https://".
 *
 * A good list is never replaced by an error, nor by a sudden empty answer that
 * has not been confirmed.  The last one is kept in a file, from which a start
 * works while Consul is down.
 *
 * Being found.  weft_consul_plugin() registers a server's services with the
 * agent, under a check on the server's own /health or under a TTL, looks after
 * the registration, and takes it back at the drain. */
#ifndef WEFT_CONSUL_H
#define WEFT_CONSUL_H

#include <weft/conf.h>
#include <weft/plugin.h>

WEFT_BEGIN_DECLS

#define WEFT_CONSUL_CONF(X)                                                    \
    X(str, agent, "",                                                          \
      "address of the agent; empty: CONSUL_HTTP_ADDR, else 127.0.0.1:8500")    \
    X(str, token, "", "ACL token; empty: CONSUL_HTTP_TOKEN or its _FILE")      \
    X(flag, tls, false, "speak TLS to the agent; also CONSUL_HTTP_SSL=true")   \
    X(str, tls_ca_file, "", "PEM file; empty: CONSUL_CACERT")                  \
    X(str, tls_cert_file, "", "PEM file; empty: CONSUL_CLIENT_CERT")           \
    X(str, tls_key_file, "", "PEM file; empty: CONSUL_CLIENT_KEY")             \
    X(str, tls_server_name, "",                                                \
      "name in the agent's certificate; empty: CONSUL_TLS_SERVER_NAME")        \
    /* finding */                                                              \
    X(u32, wait_ms, 30000, "how long one blocking query waits")                \
    X(u32, max_watches, 64,                                                    \
      "blocking queries to one agent; further watches poll in turn")           \
    X(u32, poll_ms, 10000, "how often a watch beyond max_watches polls")       \
    X(u32, max_body_bytes, 32u << 20, "largest answer that is read")           \
    X(u32, grace_ms, 60000,                                                    \
      "how long after an outage an empty answer does not replace a list")      \
    X(flag, keep_last_on_empty, false, "an empty answer never does")           \
    X(u32, max_stale_ms, 10000,                                                \
      "a server further behind than this marks the watch as degraded")         \
    X(str, cache_dir, "",                                                      \
      "folder of the cache files; empty: WEFT_CACHE_DIR, else weft in "        \
      "XDG_CACHE_HOME or ~/.cache; off: none")                                 \
    X(u32, cache_max_age_ms, 86400000,                                         \
      "a cache file older than this is not used; WEFT_OFF: of any age")        \
    /* being found */                                                          \
    X(str, service, "",                                                        \
      "name to register; empty: the name of each service served")              \
    X(str, advertise, "",                                                      \
      "IP or IP:port under which others reach us; empty: the listener's")      \
    X(str, tags, "", "separated by commas")                                    \
    X(str, meta, "", "key=value, separated by commas")                         \
    X(u32, weight, 10, "weight while passing, 1 to 65535")                     \
    X(u32, warning_weight, 1, "weight while warning, 1 to 65535")              \
    X(str, check, "http",                                                      \
      "http: the agent asks our /health; ttl: we tell the agent")              \
    X(str, check_url, "",                                                      \
      "what the agent asks; empty: http://address:port/health")                \
    X(u32, check_interval_ms, 2000, "between two checks")                      \
    X(u32, check_timeout_ms, 1000, "of one check")                             \
    X(u32, ttl_ms, 30000, "told three times in each; at least 3000")           \
    X(u32, deregister_after_ms, 600000,                                        \
      "the agent forgets us when critical for this long; WEFT_OFF: never")     \
    X(flag, kv, false, "write gorpc's key service/address, and no service")    \
    X(flag, kv_session, false,                                                 \
      "under a session, so that the key vanishes with the process")            \
    X(u32, kv_session_ttl_ms, 15000, "of that session, 10000 to 86400000")     \
    X(u32, register_wait_ms, 3000,                                             \
      "how long a start waits for the registration")                           \
    X(flag, require_registration, false,                                       \
      "a start without registration fails; else it goes on in the background")

typedef struct weft_consul_conf {
    WEFT_CONSUL_CONF(WEFT_CONF_MEMBER)
} weft_consul_conf;
WEFT_API extern const weft_conf_spec weft_consul_conf_spec;

/* Sets what consul:// and consul+kv:// targets of this loop go by that are
 * watched from now on (the fields about finding and the agent; the rest is
 * ignored).  Without it the defaults hold.  Copies conf.  ENOMEM, ECLOSED. */
#define weft_consul_configure(loop, ... /* conf */)                            \
    weft_consul_configure_sized(loop, __VA_ARGS__, sizeof(weft_consul_conf))
WEFT_API weft_status weft_consul_configure_sized(weft_loop *loop,
                                                 const weft_consul_conf *conf,
                                                 size_t conf_size);

/* Gives a plugin that registers a server with Consul: weft_server_use() takes
 * it.  Copies conf (NULL: all defaults); what is wrong with it is said when the
 * server starts.  NULL: out of memory. */
#define weft_consul_plugin(... /* conf */)                                     \
    weft_consul_plugin_sized(__VA_ARGS__, sizeof(weft_consul_conf))
WEFT_API weft_plugin *weft_consul_plugin_sized(const weft_consul_conf *conf,
                                               size_t conf_size);

WEFT_END_DECLS

#endif /* WEFT_CONSUL_H */
