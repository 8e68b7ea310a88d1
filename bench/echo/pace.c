#include "pace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 100000.0

void pace_init(pace *p, echo_shared *shared)
{
    const echo_load *load = &shared->load;
    uint64_t now = echo_now_ns();

    memset(p, 0, sizeof(*p));
    p->shared = shared;
    p->free_end = &p->free;
    p->measure_ns = now + load->warm_up_ms * 1000000ULL;
    p->end_ns = p->measure_ns + load->measured_ms * 1000000ULL;
    if (load->rate > 0) {
        p->per_tick = 1 + (uint32_t)(load->rate * TICK_NS / 1e9);
        p->tick_ns = (uint64_t)(p->per_tick * 1e9 / load->rate);
        p->due_ns = now + p->tick_ns;
        p->due_left = p->per_tick;
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

static void begin_window(pace *p, uint64_t now_ns)
{
    p->measuring = true;
    p->began_ns = now_ns;
    p->end_ns = now_ns + p->shared->load.measured_ms * 1000000ULL;
    p->syscalls = p->shared->server_syscalls;
    p->server_cpu_ns = echo_cpu_ns(p->shared->server_pid);
    p->client_cpu_ns = echo_cpu_ns(getpid());
}

static void next_due(pace *p)
{
    if (--p->due_left == 0) {
        p->due_ns += p->tick_ns;
        p->due_left = p->per_tick;
    }
}

static _Noreturn void end_window(pace *p, uint64_t now_ns)
{
    echo_shared *s = p->shared;

    s->client_us = (double)(echo_cpu_ns(getpid()) - p->client_cpu_ns) / 1e3;
    s->server_us =
        (double)(echo_cpu_ns(s->server_pid) - p->server_cpu_ns) / 1e3;
    s->syscalls = s->server_syscalls - p->syscalls;
    s->window_ns = now_ns - p->began_ns;
    /* Due and never begun: they have waited at least until now. */
    for (; p->tick_ns > 0 && p->due_ns <= now_ns; next_due(p)) {
        weft_histogram_add(&s->latency, now_ns - p->due_ns, 1);
        s->not_begun++;
    }
    s->server_rss_kb = echo_rss_kb(s->server_pid);
    s->client_rss_kb = echo_rss_kb(getpid());
    s->finished = true;
    _exit(0);
}

static void watch_window(pace *p, uint64_t now_ns)
{
    if (now_ns >= p->end_ns && p->measuring)
        end_window(p, now_ns);
    if (now_ns >= p->measure_ns && !p->measuring)
        begin_window(p, now_ns);
}

void pace_add(pace *p, pace_slot *slot)
{
    slot->next = NULL;
    *p->free_end = slot;
    p->free_end = &slot->next;
}

pace_slot *pace_take(pace *p, uint64_t now_ns)
{
    pace_slot *slot = p->free;

    if (p->tick_ns > 0) {
        watch_window(p, now_ns);
        if (p->due_ns > now_ns || slot == NULL)
            return NULL;
        slot->from_ns = p->due_ns;
        next_due(p);
    } else if (slot != NULL) {
        slot->from_ns = now_ns;
    } else {
        return NULL;
    }
    p->free = slot->next;
    if (p->free == NULL)
        p->free_end = &p->free;
    return slot;
}

void pace_give(pace *p, pace_slot *slot, uint64_t now_ns, bool ok)
{
    pace_record(p, slot->from_ns, now_ns, ok);
    pace_add(p, slot);
}

uint64_t pace_reserve(pace *p, uint64_t now_ns)
{
    uint64_t due = p->due_ns;

    if (p->tick_ns == 0)
        return now_ns;
    next_due(p);
    return due;
}

void pace_record(pace *p, uint64_t from_ns, uint64_t now_ns, bool ok)
{
    watch_window(p, now_ns);
    p->shared->calls_ever++;
    if (!p->measuring)
        return;
    if (!ok) {
        p->shared->failed++;
        return;
    }
    p->shared->calls++;
    weft_histogram_add(&p->shared->latency, now_ns - from_ns, 1);
}

int pace_timer(const pace *p)
{
    struct itimerspec every = {0};
    int fd;

    if (p->tick_ns == 0)
        return -1;
    every.it_interval.tv_sec = (time_t)(p->tick_ns / 1000000000U);
    every.it_interval.tv_nsec = (long)(p->tick_ns % 1000000000U);
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    /* The first tick is the first due time, so that a call is not waiting for
     * the timer. */
    every.it_value.tv_sec = (time_t)(p->due_ns / 1000000000U);
    every.it_value.tv_nsec = (long)(p->due_ns % 1000000000U);
    if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &every, NULL) != 0)
        echo_die("timerfd");
    return fd;
}

void pace_tick(int timer)
{
    uint64_t ticks;

    if (read(timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
        echo_die("timerfd");
}
