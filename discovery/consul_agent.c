/* consul_agent.c - one agent as a loop sees it: connections, slots, turns.
 *
 * Consul counts connections by client address and frees the one of a blocking
 * query only when its wait has passed, even if we hang up.  So queries wait
 * short, are not cancelled and sent again, and their number has a cap: who gets
 * no slot stands in a ring and polls when its turn comes. */
#include "consul_internal.h"

#include <stdio.h>
#include <string.h>
#include <weft/mem.h>

#define REGAIN_MS 10000 /* a narrowed agent gets one slot back in each */
#define TURN_MIN_MS 5
#define FLAT_BYTES 65536 /* longer answers are read in slices */

/* Everything of Consul's on one loop. */
typedef struct consul_local {
    weft_consul_conf *conf; /* owned, or NULL */
    weft__consul_agent *agents;
} consul_local;

struct weft__consul_call {
    weft__consul_call *next, **pprev;
    weft__consul_agent *agent;
    weft__http_request *request;
    weft__http_cb cb; /* NULL: cancelled */
    void *user;
};

struct weft__consul_agent {
    weft__consul_agent *next, **pprev;
    weft_loop *loop;
    unsigned refs;
    weft__consul_settings settings;
    weft__http_client *client;
    weft__consul_call *calls; /* in flight */
    uint32_t slots_max, poll_ms;
    uint32_t slots, blocking; /* allowed now, taken */
    uint64_t narrowed_at;     /* by shed, or by the last regain */
    weft__consul_poller ring; /* head */
    size_t n_ring;
    weft_timer turn;
};

/* --- all agents of a loop --- */

static void local_free(void *object)
{
    consul_local *local = object;

    weft_free(local->conf);
    weft_free(local);
}

static consul_local *local_of(weft_loop *loop)
{
    consul_local *local = weft__loop_local_get(loop, WEFT__LOCAL_CONSUL);

    if (local == NULL && (local = weft_calloc(1, sizeof(*local))) != NULL)
        weft__loop_local_set(loop, WEFT__LOCAL_CONSUL, local, local_free);
    return local;
}

weft_status weft_consul_configure_sized(weft_loop *loop,
                                        const weft_consul_conf *conf,
                                        size_t conf_size)
{
    weft_consul_conf *copy;
    consul_local *local;

    if (weft__loop_closing(loop))
        return WEFT_ECLOSED;
    if ((local = local_of(loop)) == NULL ||
        (copy = weft__consul_conf_dup(conf, conf_size)) == NULL)
        return WEFT_ENOMEM;
    weft_free(local->conf);
    local->conf = copy;
    return WEFT_OK;
}

const weft_consul_conf *weft__consul_conf_of(weft_loop *loop)
{
    consul_local *local = weft__loop_local_get(loop, WEFT__LOCAL_CONSUL);

    return local != NULL ? local->conf : NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same(const weft__consul_settings *a, const weft__consul_settings *b)
{
    return a->port == b->port && a->tls == b->tls &&
           same_text(a->host, b->host) && same_text(a->token, b->token) &&
           same_text(a->ca_file, b->ca_file) &&
           same_text(a->cert_file, b->cert_file) &&
           same_text(a->key_file, b->key_file) &&
           same_text(a->server_name, b->server_name);
}

static void on_turn(weft_timer *timer, void *user);

static weft_status agent_new(weft__consul_agent **out, weft_loop *loop,
                             weft__consul_settings *settings,
                             const weft_consul_conf *conf, char *why,
                             size_t size)
{
    const weft__http_client_conf http = {
        .host = settings->host,
        .port = settings->port,
        .token = settings->token,
        .max_body_bytes = conf->max_body_bytes,
        .flat_body_bytes = FLAT_BYTES,
        .tls = settings->tls,
        .tls_ca_file = settings->ca_file,
        .tls_cert_file = settings->cert_file,
        .tls_key_file = settings->key_file,
        .tls_server_name = settings->server_name,
    };
    weft__consul_agent *agent = weft_calloc(1, sizeof(*agent));
    const char *reason = NULL;
    weft_status status;

    if (agent == NULL) {
        snprintf(why, size, "%s", weft_status_text(WEFT_ENOMEM));
        return WEFT_ENOMEM;
    }
    status = weft__http_client_new(&agent->client, loop, &http, &reason);
    if (status != WEFT_OK) {
        snprintf(why, size, "Consul agent %s:%u: %s", settings->host,
                 settings->port,
                 reason != NULL ? reason : weft_status_text(status));
        weft_free(agent);
        return status;
    }
    agent->loop = loop;
    agent->settings = *settings;
    *settings = (weft__consul_settings){0};
    agent->slots_max = agent->slots = conf->max_watches;
    agent->poll_ms = conf->poll_ms;
    agent->ring.next = agent->ring.prev = &agent->ring;
    weft_timer_init(&agent->turn, loop, on_turn, agent);
    agent->turn.name = "consul poll";
    *out = agent;
    return WEFT_OK;
}

weft_status weft__consul_agent_get(weft__consul_agent **out, weft_loop *loop,
                                   weft__consul_settings *settings,
                                   const weft_consul_conf *conf, char *why,
                                   size_t size)
{
    consul_local *local = local_of(loop);
    weft__consul_agent *agent = local != NULL ? local->agents : NULL;
    weft_status status = WEFT_OK;

    while (agent != NULL && !same(&agent->settings, settings))
        agent = agent->next;
    if (local == NULL) {
        snprintf(why, size, "%s", weft_status_text(WEFT_ENOMEM));
        status = WEFT_ENOMEM;
    } else if (agent == NULL &&
               (status = agent_new(&agent, loop, settings, conf, why, size)) ==
                   WEFT_OK) {
        agent->next = local->agents;
        agent->pprev = &local->agents;
        if (agent->next != NULL)
            agent->next->pprev = &agent->next;
        local->agents = agent;
    }
    weft__consul_settings_fini(settings);
    if (status != WEFT_OK)
        return status;
    agent->refs++;
    *out = agent;
    return WEFT_OK;
}

void weft__consul_agent_unref(weft__consul_agent *agent)
{
    if (agent == NULL || --agent->refs > 0)
        return;
    weft_timer_stop(&agent->turn);
    *agent->pprev = agent->next;
    if (agent->next != NULL)
        agent->next->pprev = agent->pprev;
    weft__http_client_close(agent->client);
    while (agent->calls != NULL) { /* cancelled ones: nobody will tell them */
        weft__consul_call *call = agent->calls;

        agent->calls = call->next;
        weft_free(call);
    }
    weft__consul_settings_fini(&agent->settings);
    weft_free(agent);
}

const weft__consul_settings *
weft__consul_agent_settings(const weft__consul_agent *agent)
{
    return &agent->settings;
}

/* --- exchanges --- */

static void call_free(weft__consul_call *call)
{
    *call->pprev = call->next;
    if (call->next != NULL)
        call->next->pprev = call->pprev;
    weft_free(call);
}

static void on_answer(const weft__http_answer *answer, void *user)
{
    weft__consul_call *call = user;
    weft__http_cb cb = call->cb;
    void *cb_user = call->user;

    call_free(call);
    if (cb != NULL)
        cb(answer, cb_user);
}

weft_status weft__consul_send(weft__consul_agent *agent, const char *method,
                              const char *path, const void *body,
                              size_t body_len, uint32_t deadline_ms,
                              weft__http_cb cb, void *user,
                              weft__consul_call **out)
{
    weft__consul_call *call = weft_calloc(1, sizeof(*call));
    weft_status status;

    if (call == NULL)
        return WEFT_ENOMEM;
    *call = (weft__consul_call){
        .next = agent->calls,
        .pprev = &agent->calls,
        .agent = agent,
        .cb = cb,
        .user = user,
    };
    if (call->next != NULL)
        call->next->pprev = &call->next;
    agent->calls = call;
    status =
        weft__http_request_send(agent->client, method, path, body, body_len,
                                deadline_ms, on_answer, call, &call->request);
    if (status != WEFT_OK) {
        call_free(call);
        return status;
    }
    *out = call;
    return WEFT_OK;
}

void weft__consul_cancel(weft__consul_call *call)
{
    if (call == NULL)
        return;
    call->cb = NULL;
    weft__http_request_cancel(call->request);
}

/* --- slots --- */

static void regain(weft__consul_agent *agent)
{
    uint64_t now = weft_loop_now_ms(agent->loop);

    while (agent->slots < agent->slots_max &&
           now - agent->narrowed_at >= REGAIN_MS) {
        agent->slots++;
        agent->narrowed_at += REGAIN_MS;
    }
}

bool weft__consul_slot_take(weft__consul_agent *agent)
{
    regain(agent);
    if (agent->blocking >= agent->slots)
        return false;
    agent->blocking++;
    return true;
}

bool weft__consul_slot_keep(weft__consul_agent *agent)
{
    regain(agent);
    if (agent->blocking <= agent->slots)
        return true;
    agent->blocking--;
    return false;
}

void weft__consul_slot_put(weft__consul_agent *agent)
{
    agent->blocking--;
}

void weft__consul_shed(weft__consul_agent *agent)
{
    uint32_t in_use =
        agent->blocking < agent->slots ? agent->blocking : agent->slots;

    agent->slots = in_use > 1 ? in_use / 2 : 1;
    agent->narrowed_at = weft_loop_now_ms(agent->loop);
}

/* --- turns --- */

static void arm(weft__consul_agent *agent)
{
    uint32_t each;

    if (agent->n_ring == 0) {
        weft_timer_stop(&agent->turn);
        return;
    }
    each = agent->poll_ms / (uint32_t)agent->n_ring;
    if (each < TURN_MIN_MS)
        each = TURN_MIN_MS;
    weft_timer_start(
        &agent->turn,
        each - each / 10 +
            (uint32_t)(weft__loop_random(agent->loop) % (each / 5 + 1)));
}

static void on_turn(weft_timer *timer, void *user)
{
    weft__consul_agent *agent = user;
    weft__consul_poller *first = agent->ring.next;

    (void)timer;
    /* to the end of the ring first: turn may leave it, and end the agent */
    weft__consul_poll_leave(agent, first);
    weft__consul_poll_join(agent, first); /* arms the next turn */
    first->turn(first);
}

void weft__consul_poll_join(weft__consul_agent *agent, weft__consul_poller *p)
{
    if (p->next != NULL)
        return;
    p->next = &agent->ring;
    p->prev = agent->ring.prev;
    p->prev->next = p;
    p->next->prev = p;
    agent->n_ring++;
    if (!weft_timer_armed(&agent->turn))
        arm(agent);
}

void weft__consul_poll_leave(weft__consul_agent *agent, weft__consul_poller *p)
{
    if (p->next == NULL)
        return;
    p->prev->next = p->next;
    p->next->prev = p->prev;
    p->next = p->prev = NULL;
    if (--agent->n_ring == 0)
        arm(agent);
}
