/* server_group.c - a server on a group of loops.
 *
 * The server that the user holds, the master, lives on the first loop, with the
 * plugins and all that is decided.  On each other loop it has a shard: an
 * ordinary server, with the same services and listeners at the same addresses.
 *
 *  N1. A shard is made, and lives and ends, on its own loop's thread.  The two
 *      sides share the atomics below, and nudge each other to look at them.
 *  N2. What the master wants only rises.  Shards start when its plugins have
 *      been initialised, before it serves; it closes when all of them have.
 *  N3. The master's setup does not change once it has started and it outlives
 *      all shards' being open, so they read it without a lock.  It also has the
 *      histograms of latency, each of which one shard writes. */
#include "server_internal.h"

#include <weft/group_internal.h>
#include <weft/mem.h>

enum { STATS = sizeof(weft_server_stats) / sizeof(uint64_t) };
_Static_assert(sizeof(weft_server_stats) == STATS * sizeof(uint64_t),
               "statistics are counters, all of one size");

enum { WANT_NOTHING, WANT_SERVING, WANT_DRAINED, WANT_ENDED };

enum { SHARD_IDLE, SHARD_STARTING, SHARD_SERVING, SHARD_CLOSED, SHARD_FAILED };

struct weft__shard {
    struct weft__shards *all;
    size_t i;
    weft_server *server; /* its loop's; NULL: none, or closed */
    weft__nudge command, ping;
    atomic_uint_least64_t asked_ns; /* by a ping on its way; 0: none is */
    atomic_int state;
    weft_status status; /* FAILED: why; written before the state */
    char error[256];
    atomic_bool cancelled_calls;
    atomic_uint_least64_t stats[STATS];
};

struct weft__shards {
    weft__team team; /* first */
    weft_server *master;
    bool master_gone; /* the first loop's */
    weft__group_member member;
    weft__nudge report;
    atomic_int want;
    atomic_uint drain_ms;
    atomic_int end_status;
    atomic_bool hurry;
    atomic_int phase; /* the master's */
    atomic_bool unhealthy;
    size_t n;
    struct weft__shard shard[]; /* [0] is the master, which is only pinged */
};

/* ---- A shard, on its loop ---- */

static void set_state(struct weft__shard *sh, int state)
{
    atomic_store(&sh->state, state);
    (void)weft__nudge_send(&sh->all->report);
}

static void fail(struct weft__shard *sh, weft_status status, const char *why)
{
    sh->status = status;
    snprintf(sh->error, sizeof(sh->error), "%s", why);
    set_state(sh, SHARD_FAILED);
}

static void on_started(weft_server *s, weft_status status, const char *message,
                       void *user)
{
    struct weft__shard *sh = user;

    (void)s;
    (void)message;
    if (status == WEFT_OK) /* else it has closed, and said why */
        set_state(sh, SHARD_SERVING);
}

static bool spreads(const weft__server_listener *sl)
{
    return weft__listener_address(sl->listener)->kind == WEFT_ADDRESS_TCP;
}

/* Failures are the shard's to remember. */
static void copy_setup(weft_server *s, const weft_server *master)
{
    const weft__service *it;
    const weft__server_listener *sl;
    unsigned i;
    char text[WEFT_ADDRESS_TEXT], uri[WEFT_ADDRESS_TEXT + 8];

    for (it = master->services.first; it != NULL; it = it->next) {
        if (it->make != NULL)
            weft_server_add_service_per_loop(s, it->make, it->release,
                                             it->user);
        else
            weft_server_add_service_as(s, it->name, it->impl);
        for (i = 0; s->status == WEFT_OK && i < it->n_methods; i++) {
            weft__method *m = &s->services.last_added->methods[i];

            m->pool = it->methods[i].pool;
            m->latency = &it->methods[i].latency[s->shard->i];
        }
    }
    weft_server_set_fallback(s, master->fallback, master->fallback_user);
    s->latency = &master->latency[s->shard->i];
    for (sl = master->listeners; sl != NULL; sl = sl->next) {
        if (!spreads(sl))
            continue;
        weft_address_format(weft__listener_address(sl->listener), text,
                            sizeof(text));
        snprintf(uri, sizeof(uri), "tcp://%s", text);
        weft_server_listen(s, uri);
    }
}

static void start(struct weft__shard *sh)
{
    const weft_server *master = sh->all->master;
    weft_loop *loop = weft_group_loop(sh->all->team.group, sh->i);
    weft_status status;

    if (loop == NULL)
        return; /* it ends, and the group says so */
    atomic_store(&sh->state, SHARD_STARTING);
    status = weft_server_new_sized(&sh->server, loop, &master->conf,
                                   sizeof(master->conf));
    if (status != WEFT_OK) {
        fail(sh, status, weft_status_text(status));
        return;
    }
    weft__team_ref(&sh->all->team);
    sh->server->shard = sh;
    copy_setup(sh->server, master);
    if (weft_server_start(sh->server, on_started, sh) != WEFT_OK)
        weft_server_free(sh->server);
}

static void on_command(void *arg)
{
    struct weft__shard *sh = arg;
    struct weft__shards *all = sh->all;
    int want = atomic_load(&all->want);

    if (want == WANT_ENDED && sh->server != NULL) {
        sh->server->hurry |= atomic_load(&all->hurry);
        sh->server->freed = true; /* nothing in flight is waited for */
        weft__server_end_now(sh->server,
                             (weft_status)atomic_load(&all->end_status));
    } else if (want == WANT_DRAINED && sh->server != NULL) {
        weft__server_want_drain(sh->server, atomic_load(&all->drain_ms));
    } else if (atomic_load(&sh->state) == SHARD_IDLE) {
        if (want == WANT_SERVING)
            start(sh);
        else
            set_state(sh, SHARD_CLOSED);
    }
}

static void publish(void *arg)
{
    weft_server *s = arg;
    weft_server_stats stats = weft_server_get_stats(s);
    uint64_t values[STATS];
    size_t i;

    memcpy(values, &stats, sizeof(values));
    for (i = 0; i < STATS; i++)
        atomic_store_explicit(&s->shard->stats[i], values[i],
                              memory_order_relaxed);
}

void weft__shard_publish_later(weft_server *s)
{
    weft__loop_defer(s->loop, &s->publish, publish, s);
}

void weft__shard_closed(weft_server *s)
{
    struct weft__shard *sh = s->shard;

    publish(s);
    weft__loop_settle_times(s->loop); /* N3: the histograms may go */
    sh->server = NULL;
    s->freed = true; /* it is nobody's now */
    atomic_store(&sh->cancelled_calls, s->cancelled_calls);
    if (s->status != WEFT_OK)
        fail(sh, s->status, s->error);
    else
        set_state(sh, SHARD_CLOSED);
}

static void on_ping(void *arg)
{
    struct weft__shard *sh = arg;

    atomic_store(&sh->asked_ns, 0);
}

/* ---- The master, on the first loop ---- */

static void on_report(void *arg)
{
    struct weft__shards *all = arg;

    if (!all->master_gone)
        weft__server_advance_later(all->master);
}

/* Every shard that was open has closed with its loop. */
static void on_group_ended(weft__group_member *member)
{
    struct weft__shards *all = WEFT__OF(struct weft__shards, member, member);
    size_t i;

    for (i = 1; i < all->n; i++) {
        if (atomic_load(&all->shard[i].state) == SHARD_IDLE)
            atomic_store(&all->shard[i].state, SHARD_CLOSED);
    }
    on_report(all);
}

static void free_shards(weft__team *team)
{
    weft_free(team);
}

weft_status weft__shards_make(weft_server *s, weft_group *group)
{
    size_t i, n = weft_group_size(group);
    struct weft__shards *all =
        weft_calloc(1, sizeof(*all) + n * sizeof(all->shard[0]));

    if (all == NULL)
        return WEFT_ENOMEM;
    weft__team_init(&all->team, group, free_shards);
    all->master = s;
    all->n = n;
    all->member.ended = on_group_ended;
    weft__nudge_init(&all->report, &all->team, 0, on_report, all);
    for (i = 0; i < n; i++) {
        struct weft__shard *sh = &all->shard[i];

        sh->all = all;
        sh->i = i;
        weft__nudge_init(&sh->command, &all->team, i, on_command, sh);
        weft__nudge_init(&sh->ping, &all->team, i, on_ping, sh);
    }
    s->shards = all;
    return weft__group_join(group, &all->member) ? WEFT_OK : WEFT_ECLOSED;
}

void weft__shards_free(weft_server *s)
{
    struct weft__shards *all = s->shards;

    if (s->shard != NULL)
        weft__team_unref(&s->shard->all->team);
    if (all == NULL)
        return;
    all->master_gone = true;
    weft__group_leave(&all->member);
    weft__team_unref(&all->team);
}

static void command(struct weft__shards *all, int want)
{
    size_t i;

    if (want > atomic_load(&all->want))
        atomic_store(&all->want, want);
    for (i = 1; i < all->n; i++)
        (void)weft__nudge_send(&all->shard[i].command);
}

void weft__shards_begin_start(weft_server *s)
{
    const weft__server_listener *sl;

    for (sl = s->listeners; sl != NULL && s->shards != NULL; sl = sl->next) {
        if (!spreads(sl))
            continue;
        command(s->shards, WANT_SERVING);
        return;
    }
}

static bool asked_to_serve(const struct weft__shards *all)
{
    return all != NULL && atomic_load(&all->want) != WANT_NOTHING;
}

bool weft__shards_started(weft_server *s)
{
    size_t i;

    if (!asked_to_serve(s->shards))
        return true;
    for (i = 1; i < s->shards->n; i++) {
        const struct weft__shard *sh = &s->shards->shard[i];
        int state = atomic_load(&sh->state);

        if (state == SHARD_SERVING)
            continue;
        if (state < SHARD_SERVING)
            return false;
        s->start_failed = true;
        if (state == SHARD_FAILED)
            weft__server_fail(s, sh->status, "loop %zu: %s", i, sh->error);
        else
            weft__server_fail(s, WEFT_ECLOSED, "loop %zu has ended", i);
        return false;
    }
    return true;
}

void weft__shards_phase(weft_server *s)
{
    if (s->shards == NULL)
        return;
    atomic_store(&s->shards->phase, (int)s->phase);
    atomic_store(&s->shards->unhealthy, s->unhealthy);
}

void weft__shards_drain(weft_server *s)
{
    if (!asked_to_serve(s->shards))
        return;
    atomic_store(&s->shards->drain_ms, s->drain_ms);
    command(s->shards, WANT_DRAINED);
}

void weft__shards_end(weft_server *s, weft_status status)
{
    if (!asked_to_serve(s->shards))
        return;
    atomic_store(&s->shards->end_status, (int)status);
    atomic_store(&s->shards->hurry, s->hurry);
    command(s->shards, WANT_ENDED);
}

bool weft__shards_closed(weft_server *s)
{
    size_t i;

    if (!asked_to_serve(s->shards))
        return true;
    for (i = 1; i < s->shards->n; i++) {
        if (atomic_load(&s->shards->shard[i].state) < SHARD_CLOSED)
            return false;
    }
    for (i = 1; i < s->shards->n; i++)
        s->cancelled_calls |= atomic_load(&s->shards->shard[i].cancelled_calls);
    return true;
}

size_t weft__shards_loops(const weft_server *s)
{
    return s->shards == NULL ? 1 : s->shards->n;
}

void weft__shards_add_stats(const weft_server *s, weft_server_stats *sum)
{
    uint64_t values[STATS];
    size_t i, k;

    if (s->shards == NULL)
        return;
    memcpy(values, sum, sizeof(values));
    for (i = 1; i < s->shards->n; i++) {
        for (k = 0; k < STATS; k++)
            values[k] += atomic_load_explicit(&s->shards->shard[i].stats[k],
                                              memory_order_relaxed);
    }
    memcpy(sum, values, sizeof(values));
}

/* ---- Health, on the loop that was asked ---- */

/* Asks loop i for a sign of life; true: it owes one for too long. */
static bool late(weft_server *s, struct weft__shard *sh)
{
    uint64_t now = weft_loop_now_ns(s->loop);
    uint64_t asked = atomic_load(&sh->asked_ns);
    uint64_t limit = (uint64_t)s->conf.late_loop_ms * 1000000u;

    if (asked != 0)
        return s->conf.late_loop_ms != WEFT_OFF && now > asked &&
               now - asked > limit;
    atomic_store(&sh->asked_ns, now);
    return !weft__nudge_send(&sh->ping);
}

bool weft__shards_ill(weft_server *s, char *text, size_t size)
{
    struct weft__shards *all = s->shards != NULL  ? s->shards
                               : s->shard == NULL ? NULL
                                                  : s->shard->all;
    size_t i, here = s->shard == NULL ? 0 : s->shard->i;
    weft__phase phase;

    if (!asked_to_serve(all))
        return false;
    phase = (weft__phase)atomic_load(&all->phase);
    if (phase != WEFT__PHASE_SERVING) {
        snprintf(text, size, "%s", weft__phase_text(phase));
        return true;
    }
    if (atomic_load(&all->unhealthy)) {
        snprintf(text, size, "unhealthy");
        return true;
    }
    for (i = 0; i < all->n; i++) {
        if (i != here && late(s, &all->shard[i])) {
            snprintf(text, size, "loop %zu is late", i);
            return true;
        }
    }
    return false;
}
