/* group.c - the threads of a group, and how the parts of a team talk.
 *
 *  G1. loops[i] is the loop of member i as long as it takes posts; the lock is
 *      held for a post, so that a loop is not freed under it.  Nothing on the
 *      way of a call takes the lock.
 *  G2. A further loop is closed by its own thread, when the first thread has
 *      asked it to, or when its backend fails. */
#include <weft/group_internal.h>

#include "reactor_internal.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <weft/mem.h>

typedef struct member {
    weft_group *group;
    size_t i;
    pthread_t thread;
    weft__post close_post;
    weft_loop *loop; /* its thread's */
    bool closed;     /* its thread's */
    bool up;         /* under the lock: made, or failed */
    weft_status status;
} member;

struct weft_group {
    atomic_uint refs;
    size_t n;
    pthread_mutex_t lock;
    pthread_cond_t came_up;
    uint8_t first_index;
    weft_loop *first; /* the first thread's */
    bool ended;       /* the first thread's */
    weft_loop_conf conf;
    weft__loop_child child;
    weft__group_member *members;
    weft_loop *loops[WEFT_GROUP_MAX]; /* G1 */
    member threads[];                 /* [0] is not used */
};

/* Which loop of which group this thread was started for. */
static _Thread_local const weft_group *here_group;
static _Thread_local size_t here_index;

static void set_loop(weft_group *g, size_t i, weft_loop *loop)
{
    pthread_mutex_lock(&g->lock);
    g->loops[i] = loop;
    pthread_mutex_unlock(&g->lock);
}

/* ---- A thread ---- */

static void on_closed(void *user)
{
    member *m = user;

    m->closed = true;
}

static void close_loop(void *arg)
{
    member *m = arg;

    set_loop(m->group, m->i, NULL);
    weft_loop_close(m->loop, on_closed, m);
}

static void come_up(member *m)
{
    weft_group *g = m->group;

    m->status = weft_loop_new_sized(&m->loop, &g->conf, sizeof(g->conf));
    if (m->status == WEFT_OK)
        weft_loop_hold(m->loop);
    pthread_mutex_lock(&g->lock);
    g->loops[m->i] = m->loop;
    m->up = true;
    pthread_cond_signal(&g->came_up);
    pthread_mutex_unlock(&g->lock);
}

static void *run(void *arg)
{
    member *m = arg;
    weft_status status = WEFT_OK;

    here_group = m->group;
    here_index = m->i;
    come_up(m);
    if (m->loop == NULL)
        return NULL;
    while (!m->closed && status == WEFT_OK)
        status = weft_loop_run(m->loop); /* a stop does not end it */
    if (!m->closed) {
        weft_log_error("a loop of a group failed", "loop=%zu why=\"%s\"", m->i,
                       weft_status_text(status));
        set_loop(m->group, m->i, NULL);
        weft_loop_free(m->loop);
    }
    return NULL;
}

/* Its signals are the first thread's. */
static int start_thread(member *m)
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&m->thread, NULL, run, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static weft_status start(member *m)
{
    weft_group *g = m->group;

    if (start_thread(m) != 0)
        return WEFT_ELIMIT;
    pthread_mutex_lock(&g->lock);
    while (!m->up)
        pthread_cond_wait(&g->came_up, &g->lock);
    pthread_mutex_unlock(&g->lock);
    if (m->status != WEFT_OK)
        pthread_join(m->thread, NULL);
    return m->status;
}

/* ---- Life ---- */

static void stop_threads(weft_group *g, size_t n)
{
    size_t i;

    for (i = 1; i < n; i++) {
        member *m = &g->threads[i];

        pthread_mutex_lock(&g->lock);
        if (g->loops[i] != NULL)
            (void)weft__loop_post_node(g->loops[i], &m->close_post, close_loop,
                                       m);
        pthread_mutex_unlock(&g->lock);
    }
    for (i = 1; i < n; i++)
        pthread_join(g->threads[i].thread, NULL);
}

static void end(weft_group *g)
{
    weft__group_member *m;

    if (g->ended)
        return;
    g->ended = true;
    stop_threads(g, g->n);
    set_loop(g, 0, NULL);
    weft__loop_child_remove(g->first, &g->child);
    while ((m = g->members) != NULL) {
        weft__group_leave(m);
        m->ended(m);
    }
    weft__group_unref(g);
}

static void on_loop_close(weft__loop_child *child)
{
    end((weft_group *)(void *)((char *)child - offsetof(weft_group, child)));
}

static size_t cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > WEFT_GROUP_MAX ? WEFT_GROUP_MAX : (size_t)n;
}

static weft_status make(weft_group **out, size_t n)
{
    weft_group *g = weft_calloc(1, sizeof(*g) + n * sizeof(member));
    size_t i;

    if (g == NULL)
        return WEFT_ENOMEM;
    if (pthread_mutex_init(&g->lock, NULL) != 0)
        goto fail;
    if (pthread_cond_init(&g->came_up, NULL) != 0)
        goto fail_lock;
    atomic_init(&g->refs, 1);
    g->n = n;
    for (i = 0; i < n; i++) {
        g->threads[i].group = g;
        g->threads[i].i = i;
    }
    *out = g;
    return WEFT_OK;
fail_lock:
    pthread_mutex_destroy(&g->lock);
fail:
    weft_free(g);
    return WEFT_ENOMEM;
}

weft_status weft_group_new_sized(weft_group **out, weft_loop *loop, size_t n,
                                 const weft_loop_conf *conf, size_t conf_size)
{
    weft_status status;
    weft_group *g;
    size_t i;

    if (out == NULL)
        return WEFT_EINVAL;
    *out = NULL;
    if (loop == NULL || n > WEFT_GROUP_MAX)
        return WEFT_EINVAL;
    if (weft__loop_closing(loop))
        return WEFT_ECLOSED;
    if ((status = make(&g, n == 0 ? cpus() : n)) != WEFT_OK)
        return status;
    weft_conf_resolve(&weft_loop_conf_spec, &g->conf, conf, conf_size);
    g->first = g->loops[0] = loop;
    g->first_index = weft__loop_index(loop);
    for (i = 1; i < g->n; i++) {
        if ((status = start(&g->threads[i])) == WEFT_OK)
            continue;
        stop_threads(g, i);
        weft__group_unref(g);
        return status;
    }
    g->child.close = on_loop_close;
    weft__loop_child_add(loop, &g->child);
    *out = g;
    return WEFT_OK;
}

void weft_group_free(weft_group *g)
{
    if (g == NULL || weft__loop_forked(g->first, "weft_group_free"))
        return;
    if (weft_group_here(g) != 0) {
        weft_log_error("weft_group_free on the wrong thread",
                       "advice=\"it belongs to the first loop's\"");
        return;
    }
    end(g);
}

size_t weft_group_size(const weft_group *g)
{
    return g == NULL ? 0 : g->n;
}

weft_loop *weft_group_loop(const weft_group *g, size_t i)
{
    weft_group *self = (weft_group *)(uintptr_t)g;
    weft_loop *loop;

    if (g == NULL || i >= g->n)
        return NULL;
    pthread_mutex_lock(&self->lock);
    loop = self->loops[i];
    pthread_mutex_unlock(&self->lock);
    return loop;
}

int weft_group_here(const weft_group *g)
{
    if (g == NULL)
        return -1;
    if (here_group == g)
        return (int)here_index;
    return weft__loop_by_index(g->first_index) != NULL ? 0 : -1;
}

weft_group *weft__group_ref(weft_group *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void weft__group_unref(weft_group *g)
{
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_cond_destroy(&g->came_up);
    pthread_mutex_destroy(&g->lock);
    weft_free(g);
}

bool weft__group_join(weft_group *g, weft__group_member *m)
{
    if (g->ended)
        return false;
    m->next = g->members;
    m->pprev = &g->members;
    if (m->next != NULL)
        m->next->pprev = &m->next;
    g->members = m;
    return true;
}

void weft__group_leave(weft__group_member *m)
{
    if (m->pprev == NULL)
        return;
    *m->pprev = m->next;
    if (m->next != NULL)
        m->next->pprev = m->pprev;
    m->next = NULL;
    m->pprev = NULL;
}

/* ---- Teams ---- */

void weft__team_init(weft__team *team, weft_group *group,
                     void (*free_team)(weft__team *team))
{
    atomic_init(&team->refs, 1);
    team->group = weft__group_ref(group);
    team->free = free_team;
}

void weft__team_ref(weft__team *team)
{
    atomic_fetch_add_explicit(&team->refs, 1, memory_order_relaxed);
}

void weft__team_unref(weft__team *team)
{
    weft_group *group;

    if (team == NULL ||
        atomic_fetch_sub_explicit(&team->refs, 1, memory_order_acq_rel) != 1)
        return;
    group = team->group;
    team->free(team);
    weft__group_unref(group);
}

void weft__nudge_init(weft__nudge *n, weft__team *team, size_t to,
                      void (*fn)(void *arg), void *arg)
{
    *n = (weft__nudge){.team = team, .to = to, .fn = fn, .arg = arg};
}

static void on_nudge(void *arg)
{
    weft__nudge *n = arg;
    weft__team *team = n->team;

    atomic_store(&n->queued, false); /* before fn looks at what has changed */
    n->fn(n->arg);
    weft__team_unref(team);
}

bool weft__nudge_send(weft__nudge *n)
{
    weft_group *g = n->team->group;
    weft_status status = WEFT_ECLOSED;

    if (atomic_exchange(&n->queued, true))
        return true; /* it will see what has changed */
    weft__team_ref(n->team);
    pthread_mutex_lock(&g->lock);
    if (g->loops[n->to] != NULL)
        status = weft__loop_post_node(g->loops[n->to], &n->post, on_nudge, n);
    pthread_mutex_unlock(&g->lock);
    if (status == WEFT_OK)
        return true;
    atomic_store(&n->queued, false);
    weft__team_unref(n->team);
    return false;
}
