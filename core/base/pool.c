/* pool.c - a bounded queue and the threads that empty it. */
#include <weft/pool_internal.h>

#include <pthread.h>
#include <signal.h>
#include <weft/mem.h>
#include <weft/sys.h>

#define X(type, name, dflt, help)                                              \
    WEFT_CONF_FIELD(weft_pool_conf, type, name, dflt, help)
static const weft_conf_field fields[] = {WEFT_POOL_CONF(X)};
#undef X
const weft_conf_spec weft_pool_conf_spec = {.name = "weft_pool_conf",
                                            .size = sizeof(weft_pool_conf),
                                            .fields = fields,
                                            .n_fields = sizeof(fields) /
                                                        sizeof(fields[0])};

enum { THREADS_MAX = 256 };

struct weft_pool {
    weft_pool_conf conf;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;  /* a job has come, or the end */
    pthread_cond_t settled;
    weft__job queue; /* a ring's head */
    weft_pool_stats stats;
    bool ends;
    uint32_t n_threads;
    pthread_t threads[];
};

static void unlink_job(weft_pool *p, weft__job *job)
{
    job->prev->next = job->next;
    job->next->prev = job->prev;
    p->stats.queued--;
}

static void run_first(weft_pool *p)
{
    weft__job *job = p->queue.next;

    unlink_job(p, job);
    job->state = WEFT__JOB_RUNNING;
    p->stats.running++;
    pthread_mutex_unlock(&p->lock);
    job->run(job);
    pthread_mutex_lock(&p->lock);
    p->stats.running--;
    p->stats.done++;
    job->state = WEFT__JOB_OUT;
    /* Under the lock, so that who waits for the job may free what done uses. */
    job->done(job);
    pthread_cond_broadcast(&p->settled);
}

static void *work(void *arg)
{
    weft_pool *p = arg;

    if (p->conf.background)
        weft__sys_background();
    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (p->queue.next != &p->queue)
            run_first(p);
        else if (p->ends)
            break;
        else
            pthread_cond_wait(&p->work, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static weft_status make(weft_pool **out, const weft_pool_conf *conf)
{
    weft_pool *p =
        weft_calloc(1, sizeof(*p) + conf->threads * sizeof(p->threads[0]));

    if (p == NULL)
        return WEFT_ENOMEM;
    p->conf = *conf;
    p->queue.next = p->queue.prev = &p->queue;
    if (pthread_mutex_init(&p->lock, NULL) != 0)
        goto fail;
    if (pthread_cond_init(&p->work, NULL) != 0)
        goto fail_lock;
    if (pthread_cond_init(&p->settled, NULL) != 0)
        goto fail_work;
    *out = p;
    return WEFT_OK;
fail_work:
    pthread_cond_destroy(&p->work);
fail_lock:
    pthread_mutex_destroy(&p->lock);
fail:
    weft_free(p);
    return WEFT_ENOMEM;
}

weft_status weft_pool_new_sized(weft_pool **out, const weft_pool_conf *conf,
                                size_t conf_size)
{
    weft_pool_conf resolved;
    sigset_t all, before;
    weft_status status;
    weft_pool *p;

    if (out == NULL)
        return WEFT_EINVAL;
    *out = NULL;
    weft_conf_resolve(&weft_pool_conf_spec, &resolved, conf, conf_size);
    if (resolved.threads > THREADS_MAX)
        return WEFT_EINVAL;
    if ((status = make(&p, &resolved)) != WEFT_OK)
        return status;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->n_threads < p->conf.threads &&
           pthread_create(&p->threads[p->n_threads], NULL, work, p) == 0)
        p->n_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (p->n_threads < p->conf.threads) {
        weft_pool_free(p);
        return WEFT_ELIMIT;
    }
    *out = p;
    return WEFT_OK;
}

void weft_pool_free(weft_pool *p)
{
    uint32_t i;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->ends = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->settled);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    weft_free(p);
}

weft_pool_stats weft_pool_get_stats(weft_pool *p)
{
    weft_pool_stats stats = {0};

    if (p == NULL)
        return stats;
    pthread_mutex_lock(&p->lock);
    stats = p->stats;
    pthread_mutex_unlock(&p->lock);
    return stats;
}

weft_status weft__pool_submit(weft_pool *p, weft__job *job)
{
    bool full;

    pthread_mutex_lock(&p->lock);
    full = p->stats.queued >= p->conf.max_queue;
    if (full) {
        p->stats.refused++;
    } else {
        job->state = WEFT__JOB_QUEUED;
        job->next = &p->queue;
        job->prev = p->queue.prev;
        p->queue.prev->next = job;
        p->queue.prev = job;
        p->stats.queued++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return full ? WEFT_ELIMIT : WEFT_OK;
}

static bool withdraw(weft_pool *p, weft__job *job)
{
    if (job->state != WEFT__JOB_QUEUED)
        return false;
    unlink_job(p, job);
    job->state = WEFT__JOB_OUT;
    return true;
}

bool weft__pool_withdraw(weft_pool *p, weft__job *job)
{
    bool yes;

    pthread_mutex_lock(&p->lock);
    yes = withdraw(p, job);
    pthread_mutex_unlock(&p->lock);
    return yes;
}

void weft__pool_settle(weft_pool *p, weft__job *job)
{
    pthread_mutex_lock(&p->lock);
    (void)withdraw(p, job);
    while (job->state != WEFT__JOB_OUT)
        pthread_cond_wait(&p->settled, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

uint32_t weft__pool_max_queue(const weft_pool *p)
{
    return p->conf.max_queue;
}
