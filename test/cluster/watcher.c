/* watcher.c - a watch, and a ticker beside it, on a thread of their own. */
#include "support.h"
#include "watcher.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/timer.h>

#define TICK_MS 10

static watcher *running;

typedef struct ticker {
    uint64_t kept_us; /* by the machine, up to the last tick */
    weft_timer timer;
    watcher *w;
    uint64_t last_us;
} ticker;

uint64_t watcher_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Loop and sleeper share a processor, for a virtual machine's may be stopped
 * one by one.  The sleeper comes first: a loop that computes does not delay it.
 * Refused without the privilege, which is fine on a quiet machine. */
static void ask_for_priority(const watcher *w, int priority)
{
    const struct sched_param param = {.sched_priority = priority};
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)w->cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
    (void)pthread_setschedparam(pthread_self(), SCHED_RR, &param);
}

static void on_update(const weft_endpoints *list, weft_status status,
                      const char *text, void *user)
{
    watcher *w = user;

    (void)status, (void)text;
    if (list == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->updates++;
    w->count = weft_endpoints_count(list);
    w->empties += w->count == 0 ? 1 : 0;
    w->updated_us = watcher_now_us();
    w->list[0] = '\0';
    for (size_t i = 0; i < w->count && i < 16; i++) {
        strcat(w->list, i > 0 ? " " : "");
        strcat(w->list, weft_endpoints_at(list, i)->text);
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* How long this thread has been ready to run and was not let, in all. */
static uint64_t kept_waiting_us(void)
{
    unsigned long long ran_ns, waited_ns = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "r");

    if (f != NULL) {
        if (fscanf(f, "%llu %llu", &ran_ns, &waited_ns) != 2)
            waited_ns = 0;
        fclose(f);
    }
    return waited_ns / 1000;
}

/* A gap is the loop's own fault but for the time in which the machine kept the
 * thread from running. */
static void on_tick(weft_timer *timer, void *user)
{
    ticker *t = user;
    watcher *w = t->w;
    uint64_t now = watcher_now_us(), gap = now - t->last_us;
    uint64_t kept = kept_waiting_us(), excused = kept - t->kept_us;
    weft_watch_info info;

    gap -= excused < gap ? excused : gap;
    t->kept_us = kept;

    weft__watch_sub_info(w->sub, &info);
    pthread_mutex_lock(&w->lock);
    if (t->last_us != 0) {
        if (gap > w->max_gap_us)
            w->max_gap_us = gap;
        if (gap >= WATCHER_GAP_US && w->n_stalls < WATCHER_STALLS)
            w->stalls[w->n_stalls++] = (watcher_stall){t->last_us, now};
    }
    w->ticks++;
    w->requests = info.requests;
    w->failures = info.failures;
    w->degraded = info.degraded;
    w->from_cache = info.from_cache;
    snprintf(w->state, sizeof(w->state), "%s", info.state);
    pthread_cond_broadcast(&w->changed);
    if (w->stop)
        weft_loop_stop(w->loop);
    pthread_mutex_unlock(&w->lock);
    t->last_us = now;
    weft_timer_start(timer, TICK_MS);
}

static void *run_loop(void *arg)
{
    watcher *w = arg;
    ticker t = {.w = w};

    ask_for_priority(w, 10);
    weft_timer_init(&t.timer, w->loop, on_tick, &t);
    weft_timer_start(&t.timer, TICK_MS);
    weft_loop_run(w->loop);
    weft_timer_stop(&t.timer);
    weft__watch_unsubscribe(w->sub);
    weft_loop_free(w->loop);
    return NULL;
}

static void *run_sleeper(void *arg)
{
    watcher *w = arg;
    const struct timespec pause = {.tv_nsec = 5000000};
    uint64_t last = watcher_now_us();
    bool stop = false;

    ask_for_priority(w, 11);
    while (!stop) {
        uint64_t now;

        nanosleep(&pause, NULL);
        now = watcher_now_us();
        pthread_mutex_lock(&w->lock);
        if (now - last >= 10000 && w->n_machine < WATCHER_STALLS)
            w->machine[w->n_machine++] = (watcher_stall){last, now};
        stop = w->stop;
        pthread_mutex_unlock(&w->lock);
        last = now;
    }
    return NULL;
}

watcher *watcher_start(const char *target,
                       void (*setup)(weft_loop *loop, void *user), void *user)
{
    watcher *w = calloc(1, sizeof(*w));
    char why[256] = "";

    assert_non_null(w);
    strcpy(w->list, "-");
    snprintf(w->target, sizeof(w->target), "%s", target);
    w->cpu = sched_getcpu();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    assert_int_equal(weft_loop_new(&w->loop, NULL), WEFT_OK);
    if (setup != NULL)
        setup(w->loop, user);
    if (weft__watch_subscribe(&w->sub, w->loop, target, on_update, w, why,
                              sizeof(why)) != WEFT_OK)
        fail_msg("%s", why);
    assert_int_equal(pthread_create(&w->sleeper, NULL, run_sleeper, w), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, run_loop, w), 0);
    w->next = running;
    running = w;
    return w;
}

uint64_t watcher_wait(watcher *w, const char *list, unsigned ms)
{
    uint64_t until = watcher_now_us() + (uint64_t)ms * 1000, at;
    char has[sizeof(w->list)];
    bool same;

    pthread_mutex_lock(&w->lock);
    while (!(same = strcmp(w->list, list) == 0) && watcher_now_us() < until) {
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 1;
        pthread_cond_timedwait(&w->changed, &w->lock, &limit);
    }
    at = w->updated_us;
    strcpy(has, w->list);
    pthread_mutex_unlock(&w->lock);
    if (!same)
        fail_msg("after %u ms the list is \"%s\", not \"%s\"", ms, has, list);
    return at;
}

watcher watcher_look(watcher *w)
{
    watcher copy;

    pthread_mutex_lock(&w->lock);
    copy = *w;
    pthread_mutex_unlock(&w->lock);
    return copy;
}

/* Stalls of the loop during which the sleeper slept well. */
static size_t own_stalls(const watcher *w)
{
    size_t own = 0;

    for (size_t i = 0; i < w->n_stalls; i++) {
        bool excused = false;

        for (size_t k = 0; k < w->n_machine; k++)
            if (w->machine[k].from_us < w->stalls[i].to_us &&
                w->stalls[i].from_us < w->machine[k].to_us)
                excused = true;
        own += !excused;
    }
    return own;
}

static void end(watcher *w)
{
    watcher **at = &running;

    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_join(w->sleeper, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

void watcher_stop(watcher *w)
{
    double gap_ms;
    size_t own;

    end(w);
    own = own_stalls(w);
    gap_ms = (double)w->max_gap_us / 1000;
    print_message("             %s: %llu ticks, largest gap %.1f ms, %llu "
                  "requests, %u updates\n",
                  w->target, (unsigned long long)w->ticks, gap_ms,
                  (unsigned long long)w->requests, w->updates);
    free(w);
    if (own > 0)
        fail_msg("the loop stalled %zu times; the largest gap of a 10 ms "
                 "ticker was %.1f ms",
                 own, gap_ms);
}

void watcher_stop_all(void)
{
    while (running != NULL) {
        watcher *w = running;

        end(w);
        free(w);
    }
}
