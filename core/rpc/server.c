/* server.c - a server's setup, facts, and the end of its memory. */
#include "server_internal.h"

#include <stdarg.h>
#include <string.h>
#include <weft/mem.h>

#define X(type, name, dflt, help)                                              \
    WEFT_CONF_FIELD(weft_server_conf, type, name, dflt, help)
static const weft_conf_field fields[] = {WEFT_SERVER_CONF(X)};
#undef X
const weft_conf_spec weft_server_conf_spec = {
    "weft_server_conf", sizeof(weft_server_conf), fields,
    sizeof(fields) / sizeof(fields[0])};

enum {
    LINGER_MS = 2000,       /* of a graceful close */
    FRAMES_PER_WAKEUP = 64, /* then others have their turn */
    ACCEPTS_PER_WAKEUP = 16,
    NAME_MAX_BYTES = 255
};

/* ---- The first error ---- */

weft_status weft__server_fail(weft_server *s, weft_status status,
                              const char *fmt, ...)
{
    va_list ap;

    if (s->status != WEFT_OK)
        return status;
    s->status = status;
    va_start(ap, fmt);
    vsnprintf(s->error, sizeof(s->error), fmt, ap);
    va_end(ap);
    return status;
}

/* Whether a setup call may do its work. */
static weft_status setup_status(const weft_server *s)
{
    if (s == NULL)
        return WEFT_EINVAL;
    if (s->status != WEFT_OK)
        return s->status;
    return s->phase == WEFT__PHASE_NEW && !s->freed ? WEFT_OK : WEFT_ESTATE;
}

/* ---- Memory ---- */

static void destroy(weft_server *s)
{
    weft__server_listener *sl;
    weft__server_waiter *w;

    weft_timer_stop(&s->timer);
    weft__loop_undefer(s->loop, &s->advance);
    weft__loop_undefer(s->loop, &s->resume);
    weft__loop_undefer(s->loop, &s->reap);
    weft__loop_undefer(s->loop, &s->publish);
    weft__server_calls_free_all(s);
    weft__plugins_free(s);
    weft__http_server_close(s->http);
    while ((sl = s->listeners) != NULL) {
        s->listeners = sl->next;
        weft__listener_close(sl->listener);
        weft_free(sl);
    }
    while ((w = s->drain_waiters) != NULL) {
        s->drain_waiters = w->next;
        weft_free(w);
    }
    weft_free(s->start_waiter);
    weft__latency_free(s);
    weft__services_fini(&s->services);
    weft_free(s->host_services);
    weft_free(s->host_addresses);
    weft_free(s->forward);
    weft__shards_free(s);
    weft__dump_remove(&s->dumpable);
    weft__loop_child_remove(s->loop, &s->child);
    weft_free(s);
}

static void on_reap(void *arg)
{
    destroy(arg);
}

void weft__server_reap_if_done(weft_server *s)
{
    if (s->phase != WEFT__PHASE_CLOSED || s->advancing)
        return;
    if (s->loop_ends || (s->freed && weft__ring_empty(&s->calls)))
        weft__loop_defer(s->loop, &s->reap, on_reap, s);
}

/* ---- New and free ---- */

/* The loop ends: everything by deferred functions, nothing is waited for. */
static void on_loop_close(weft__loop_child *child)
{
    weft_server *s = WEFT__OF(weft_server, child, child);

    s->loop_ends = true;
    s->hurry = true;
    weft__server_end_now(s, WEFT_CANCELLED);
}

static weft_status copy_strings(weft_server *s)
{
    if (s->conf.forward_metadata == NULL)
        return WEFT_OK;
    s->forward = weft_strdup(s->conf.forward_metadata);
    s->conf.forward_metadata = s->forward;
    return s->forward == NULL ? WEFT_ENOMEM : WEFT_OK;
}

static void make_conn_conf(weft_server *s)
{
    const weft_server_conf *c = &s->conf;

    s->conn_conf = (weft__conn_conf){
        .wire = &weft__native_wire,
        .handler = &weft__server_conn_handler,
        .wire_conf = {.server = true,
                      .max_frame_bytes = c->max_frame_bytes,
                      .max_metadata = c->max_metadata,
                      .max_metadata_bytes = c->max_metadata_bytes,
                      .max_in_flight = c->max_in_flight_per_connection},
        .connect_ms = WEFT_OFF,
        .handshake_ms = c->handshake_ms,
        .idle_ms = c->idle_ms,
        .keepalive_ms = c->keepalive_ms,
        .keepalive_timeout_ms = c->keepalive_timeout_ms,
        .stall_ms = c->stall_ms,
        .linger_ms = LINGER_MS,
        .max_unsent_bytes = c->max_unsent_bytes,
        .frames_per_wakeup = FRAMES_PER_WAKEUP,
        .share = &s->conn_share};
    s->conn_share.max_bytes =
        c->max_buffered_bytes == WEFT_OFF ? SIZE_MAX : c->max_buffered_bytes;
}

weft_status weft_server_new_sized(weft_server **out, weft_loop *loop,
                                  const weft_server_conf *conf,
                                  size_t conf_size)
{
    weft_server *s;

    if (out == NULL)
        return WEFT_EINVAL;
    *out = NULL; /* the calls that follow tolerate it */
    if (loop == NULL)
        return WEFT_EINVAL;
    if ((s = weft_calloc(1, sizeof(*s))) == NULL)
        return WEFT_ENOMEM;
    s->loop = loop;
    weft_conf_resolve(&weft_server_conf_spec, &s->conf, conf, conf_size);
    make_conn_conf(s);
    s->listeners_tail = &s->listeners;
    s->finish_by_ms = UINT64_MAX;
    s->end_status = WEFT_UNAVAILABLE;
    s->drain_ms = s->conf.drain_ms;
    weft__ring_init(&s->conns);
    weft__ring_init(&s->paused);
    weft__ring_init(&s->calls);
    weft__phase_init(s);
    s->dumpable.dump = weft__server_dump;
    if (copy_strings(s) != WEFT_OK ||
        weft__dump_add(loop, &s->dumpable) != WEFT_OK) {
        weft_free(s->forward);
        weft_free(s);
        return WEFT_ENOMEM;
    }
    s->child.close = on_loop_close;
    weft__loop_child_add(loop, &s->child);
    *out = s;
    return WEFT_OK;
}

weft_status weft_server_new_group_sized(weft_server **out, weft_group *group,
                                        const weft_server_conf *conf,
                                        size_t conf_size)
{
    weft_status status =
        weft_server_new_sized(out, weft_group_loop(group, 0), conf, conf_size);

    if (status == WEFT_OK &&
        (status = weft__shards_make(*out, group)) != WEFT_OK) {
        weft_server_free(*out);
        *out = NULL;
    }
    return status;
}

void weft_server_free(weft_server *s)
{
    if (s == NULL || s->freed)
        return;
    s->freed = true;
    weft__server_end_now(s, WEFT_UNAVAILABLE);
}

/* ---- Services ---- */

weft_status weft_server_add_service_as(weft_server *s, const char *name,
                                       ProtobufCService *service)
{
    weft_status status = setup_status(s);
    const char *why;

    if (status != WEFT_OK)
        return status;
    if (name != NULL && strlen(name) > NAME_MAX_BYTES)
        return weft__server_fail(s, WEFT_EINVAL,
                                 "service %.40s...: the name is over %d bytes",
                                 name, NAME_MAX_BYTES);
    status = weft__services_add(&s->services, name, service, &why);
    if (status == WEFT_OK)
        return WEFT_OK;
    if (name == NULL && service != NULL && service->descriptor != NULL)
        name = service->descriptor->name;
    return weft__server_fail(s, status, "service %s: %s",
                             name == NULL ? "without a name" : name, why);
}

weft_status weft_server_add_service(weft_server *s, ProtobufCService *service)
{
    return weft_server_add_service_as(s, NULL, service);
}

weft_status weft_server_add_service_per_loop(
    weft_server *s, weft_service_maker make,
    void (*release)(ProtobufCService *service, void *user), void *user)
{
    weft_status status = setup_status(s);
    ProtobufCService *service;

    if (status != WEFT_OK)
        return status;
    if (make == NULL)
        return weft__server_fail(s, WEFT_EINVAL,
                                 "service: no function to "
                                 "make it");
    if ((service = make(s->loop, user)) == NULL)
        return weft__server_fail(s, WEFT_ENOMEM, "service: not made");
    status = weft_server_add_service_as(s, NULL, service);
    if (status == WEFT_OK) {
        s->services.last_added->make = make;
        s->services.last_added->release = release;
        s->services.last_added->user = user;
    } else if (release != NULL) {
        release(service, user);
    }
    return status;
}

weft_status weft_server_set_fallback(weft_server *s, weft_raw_handler handler,
                                     void *user)
{
    weft_status status = setup_status(s);

    if (status != WEFT_OK)
        return status;
    s->fallback = handler;
    s->fallback_user = user;
    return WEFT_OK;
}

/* ---- Listeners ---- */

static weft_status open_listener(weft_server *s, weft__server_listener *sl,
                                 const char **why)
{
    weft__listener_conf conf = {.conn = &sl->conn_conf,
                                .backlog = s->conf.backlog,
                                .max_connections = s->conf.max_connections,
                                .accepts_per_wakeup = ACCEPTS_PER_WAKEUP,
                                .reuse_port =
                                    s->shards != NULL || s->shard != NULL,
                                .exclusive = s->shards != NULL};

    sl->conn_conf = s->conn_conf;
    return weft__listener_open(&sl->listener, s->loop, sl->uri, &conf,
                               &weft__server_listener_handler, sl, why);
}

weft_status weft_server_listen(weft_server *s, const char *uri)
{
    weft_status status = setup_status(s);
    weft__server_listener *sl;
    const char *why = NULL;
    size_t len;

    if (status != WEFT_OK)
        return status;
    if (uri == NULL)
        return weft__server_fail(s, WEFT_EINVAL, "listen: the address is NULL");
    if (s->http == NULL && weft__server_health_open(s) != WEFT_OK)
        return weft__server_fail(s, WEFT_ENOMEM, "listen %s: out of memory",
                                 uri);
    len = strlen(uri) + 1;
    if ((sl = weft_calloc(1, sizeof(*sl) + len)) == NULL)
        return weft__server_fail(s, WEFT_ENOMEM, "listen %s: out of memory",
                                 uri);
    sl->server = s;
    memcpy(sl->uri, uri, len);
    status = open_listener(s, sl, &why);
    if (status != WEFT_OK) {
        weft_free(sl);
        return weft__server_fail(s, status, "listen %s: %s", uri,
                                 why == NULL ? weft_status_text(status) : why);
    }
    *s->listeners_tail = sl;
    s->listeners_tail = &sl->next;
    s->n_listeners++;
    return WEFT_OK;
}

const weft_address *weft_server_address(const weft_server *s, size_t i)
{
    const weft__server_listener *sl = s == NULL ? NULL : s->listeners;

    while (sl != NULL && i-- > 0)
        sl = sl->next;
    return sl == NULL || sl->listener == NULL
               ? NULL
               : weft__listener_address(sl->listener);
}

size_t weft__server_connections(const weft_server *s)
{
    const weft__server_listener *sl;
    size_t n = 0;

    for (sl = s->listeners; sl != NULL; sl = sl->next)
        n += sl->listener == NULL ? 0 : weft__listener_count(sl->listener);
    return n;
}

/* ---- Plugins ---- */

weft_status weft_server_use(weft_server *s, weft_plugin *plugin)
{
    weft_status status = setup_status(s);
    weft__server_plugin *sp = NULL;

    if (status == WEFT_OK && plugin == NULL)
        return weft__server_fail(s, WEFT_ENOMEM, "plugin: out of memory");
    if (status == WEFT_OK && (sp = weft_calloc(1, sizeof(*sp))) == NULL)
        status = weft__server_fail(s, WEFT_ENOMEM, "plugin %s: out of memory",
                                   plugin->ops->name);
    if (status != WEFT_OK) {
        if (plugin != NULL)
            plugin->ops->free(plugin); /* taken, whatever happens */
        return status;
    }
    sp->plugin = plugin;
    sp->prev = s->plugins_last;
    if (s->plugins_last != NULL)
        s->plugins_last->next = sp;
    else
        s->plugins = sp;
    s->plugins_last = sp;
    return WEFT_OK;
}

/* ---- Facts ---- */

void weft_server_set_health(weft_server *s, bool healthy)
{
    if (s == NULL)
        return;
    s->unhealthy = !healthy;
    weft__shards_phase(s);
}

weft_server_state weft_server_get_state(const weft_server *s)
{
    if (s == NULL || s->phase == WEFT__PHASE_CLOSED)
        return WEFT_SERVER_CLOSED;
    if (s->phase > WEFT__PHASE_SERVING)
        return WEFT_SERVER_DRAINING;
    if (s->phase == WEFT__PHASE_SERVING)
        return WEFT_SERVER_SERVING;
    return s->phase == WEFT__PHASE_NEW ? WEFT_SERVER_NEW : WEFT_SERVER_STARTING;
}

const char *weft_server_error(const weft_server *s)
{
    return s == NULL ? "the server could not be made" : s->error;
}

weft_server_stats weft_server_get_stats(const weft_server *s)
{
    weft_server_stats stats;

    if (s == NULL)
        return (weft_server_stats){0};
    stats = s->stats;
    stats.in_flight = s->n_calls;
    stats.in_flight_bytes = s->in_flight_bytes;
    stats.connections = weft__server_connections(s);
    stats.stale_answers = weft__handle_stale_count(s->loop);
    weft__shards_add_stats(s, &stats);
    return stats;
}
