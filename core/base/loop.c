/* loop.c - making a loop and running it.
 *
 * A run goes round by round (EVLOOP_ONCE), because libevent has no event that
 * does not count: before each round we look whether anything but our own
 * helpers (the wakeup, the wheel's timer) is left that could happen.  As long
 * as a timer of ours is armed there is, and then libevent goes on by itself:
 * where little is to do in a round, leaving and entering it is a good part of
 * that.  Whoever needs a look after the round asks for it
 * (weft__round_look()). */
#include "reactor_internal.h"

#include <unistd.h>
#include <weft/hint.h>
#include <weft/mem.h>

#define X(type, name, dflt, help)                                              \
    WEFT_CONF_FIELD(weft_loop_conf, type, name, dflt, help)
static const weft_conf_field conf_fields[] = {WEFT_LOOP_CONF(X)};
#undef X

const weft_conf_spec weft_loop_conf_spec = {
    .name = "weft_loop_conf",
    .size = sizeof(weft_loop_conf),
    .fields = conf_fields,
    .n_fields = sizeof conf_fields / sizeof conf_fields[0],
};

void weft__loop_read_clock(weft_loop *loop)
{
    uint64_t now = loop->conf.clock.now_ns(loop->conf.clock.user);

    if (now > loop->now_ns) { /* a clock that steps back stands still here */
        loop->now_ns = now;
        loop->now_ms = now / 1000000u;
    }
}

/* One thread uses it; and timers are the wheel's, so libevent needs no time of
 * its own in every round. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config != NULL &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
        base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    return base;
}

static weft_status make(weft_loop **out, struct event_base *base,
                        const weft_loop_conf *conf, size_t conf_size)
{
    weft_loop *loop;
    weft_status status = WEFT_ENOMEM;

    if (out == NULL)
        return WEFT_EINVAL;
    if ((loop = weft_calloc(1, sizeof *loop)) == NULL)
        return WEFT_ENOMEM;
    weft_conf_resolve(&weft_loop_conf_spec, &loop->conf, conf, conf_size);
    if (loop->conf.clock.now_ns == NULL)
        loop->conf.clock = weft_clock_monotonic;
    loop->coarse = loop->conf.clock.now_ns == weft_clock_monotonic.now_ns;
    if (loop->conf.lag_warn_ms != WEFT_OFF)
        loop->warn_ns = (uint64_t)loop->conf.lag_warn_ms * 1000000u;
    loop->pid = getpid();
    loop->wakeup = (weft__wakeup){.read_fd = -1, .write_fd = -1};
    weft__sys_random(&loop->random, sizeof loop->random);
    loop->random |= 1; /* xorshift stands still at 0 */
    weft__loop_read_clock(loop);

    loop->own_base = base == NULL;
    if ((loop->base = base != NULL ? base : new_base()) == NULL)
        goto fail;
    if ((status = weft__index_take(loop)) != WEFT_OK)
        goto fail_base;
    weft__close_init(loop);
    weft__batch_init(loop);
    weft__times_init(loop);
    weft__wheel_init(loop);
    if ((status = weft__posts_init(loop)) != WEFT_OK)
        goto fail_index;
    *out = loop;
    return WEFT_OK;

fail_index:
    weft__wheel_fini(loop);
    weft__index_drop(loop);
fail_base:
    if (loop->own_base)
        event_base_free(loop->base);
fail:
    weft_free(loop);
    return status;
}

weft_status weft_loop_new_sized(weft_loop **out, const weft_loop_conf *conf,
                                size_t conf_size)
{
    return make(out, NULL, conf, conf_size);
}

weft_status weft_loop_wrap_sized(weft_loop **out, struct event_base *base,
                                 const weft_loop_conf *conf, size_t conf_size)
{
    return base != NULL ? make(out, base, conf, conf_size) : WEFT_EINVAL;
}

void weft__event_fini(struct event *event)
{
    event_del(event);
    event_debug_unassign(event); /* for applications in libevent's debug mode */
}

bool weft__loop_forked(weft_loop *loop, const char *doing)
{
    if (getpid() == loop->pid)
        return false;
    weft_log_limited(&loop->fork_limit, WEFT_LOG_ERROR,
                     "a loop was used after fork",
                     "doing=%s made_by=%ld used_by=%ld "
                     "hint=\"make the loop in the child\"",
                     doing, (long)loop->pid, (long)getpid());
    return true;
}

static bool alive(const weft_loop *loop)
{
    int events;

    if (loop->wheel.count > 0 || loop->batch_queued || loop->holds > 0 ||
        loop->closed || weft__posts_pending(loop))
        return true;
    events = event_base_get_num_events(
        loop->base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_VIRTUAL);
    return events > loop->helpers + weft__wheel_events(loop);
}

static weft_status begin(weft_loop *loop, const char *doing)
{
    if (loop == NULL)
        return WEFT_EINVAL;
    if (weft__loop_forked(loop, doing) || loop->depth > 0 || loop->in_run)
        return WEFT_ESTATE;
    weft__index_own(loop);
    loop->in_run = true;
    return WEFT_OK;
}

/* Nothing has to be looked at after a round: all of it is seen by someone who
 * would ask. */
bool weft__run_may_stay(const weft_loop *loop)
{
    return loop->own_base && loop->coarse && loop->wheel.count > 0 &&
           !loop->batch_queued && !loop->stop && !loop->closed;
}

/* One pass over what is ready, or more where the run may stay (flags: 0).
 * libevent knows only the system's clock, so with an injected one (and for a
 * poll) due timers are run from here; on_wheel() then leaves those that became
 * due since to the next round. */
static weft_status round_once(weft_loop *loop, int flags)
{
    int result;

    if (!loop->coarse || flags == WEFT__ROUND) {
        weft__loop_read_clock(loop);
        if (weft__wheel_due(loop)) {
            weft__loop_enter(loop, "timers");
            weft__wheel_expire(loop);
            weft__loop_leave(loop);
            loop->expired = true;
            flags = WEFT__ROUND; /* they may have changed what we wait for */
        }
    }
    if (loop->batch_queued)
        flags = WEFT__ROUND;
    loop->batch_open = loop->own_base;
    loop->staying = flags == 0;
    loop->broke = false;
    result = event_base_loop(loop->base, flags);
    loop->staying = loop->expired = false;
    if (weft__batch_due(loop))
        weft__batch_end(loop);
    loop->batch_open = false;
    return result < 0 ? WEFT_EIO : WEFT_OK;
}

/* The application may end its own base's dispatching, and so this run. */
static bool told_to_end(const weft_loop *loop)
{
    return loop->stop || loop->closed ||
           (event_base_got_break(loop->base) && !loop->broke) ||
           event_base_got_exit(loop->base);
}

static void end(weft_loop *loop)
{
    loop->in_run = false;
    loop->stop = false;
    if (loop->closed)
        weft__loop_finalize(loop);
    else if (loop->batch_queued)
        weft__batch_wake(loop); /* whoever dispatches next */
}

weft_status weft_loop_run(weft_loop *loop)
{
    weft_status status = begin(loop, "weft_loop_run");

    if (status != WEFT_OK)
        return status;
    while (status == WEFT_OK && !loop->stop && !loop->closed && alive(loop)) {
        status = round_once(loop, weft__run_may_stay(loop) ? 0 : EVLOOP_ONCE);
        if (told_to_end(loop))
            break;
    }
    end(loop);
    return status;
}

weft_status weft_loop_poll(weft_loop *loop)
{
    weft_status status = begin(loop, "weft_loop_poll");

    if (status != WEFT_OK)
        return status;
    if (!loop->closed)
        status = round_once(loop, WEFT__ROUND);
    end(loop);
    return status;
}

static void on_until(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

weft_status weft_loop_run_until(weft_loop *loop, const bool *done, uint32_t ms)
{
    weft_status status = begin(loop, "weft_loop_run_until");
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    struct event until;
    bool late = false;
    bool timed = ms != 0;

    if (status != WEFT_OK)
        return status;
    evtimer_assign(&until, loop->base, on_until, &late);
    if (timed && event_add(&until, &tv) != 0) {
        weft__event_fini(&until);
        end(loop);
        return WEFT_ENOMEM;
    }
    if (timed)
        loop->helpers++;
    while (status == WEFT_OK && !*done) {
        if (late)
            status = WEFT_ETIMEDOUT;
        else if (loop->closed)
            status = WEFT_ECLOSED;
        else if (loop->stop || !alive(loop))
            status = WEFT_ESTATE;
        else
            status = round_once(loop, EVLOOP_ONCE);
    }
    if (timed)
        loop->helpers--;
    weft__event_fini(&until);
    end(loop);
    return status;
}

void weft_loop_stop(weft_loop *loop)
{
    if (loop == NULL)
        return;
    loop->stop = true;
    weft__round_look(loop);
}

void weft_loop_hold(weft_loop *loop)
{
    loop->holds++;
}

void weft_loop_unhold(weft_loop *loop)
{
    if (loop->holds > 0)
        loop->holds--;
}

weft_clock weft__loop_clock(const weft_loop *loop)
{
    return loop->conf.clock;
}

/* Outside of our callbacks the cached clock may be old. */
static WEFT__APART uint64_t outside_ns(const weft_loop *loop)
{
    uint64_t now = loop->conf.clock.now_ns(loop->conf.clock.user);

    return now > loop->now_ns ? now : loop->now_ns;
}

uint64_t weft_loop_now_ns(const weft_loop *loop)
{
    return loop->depth > 0 ? loop->now_ns : outside_ns(loop);
}

uint64_t weft_loop_now_ms(const weft_loop *loop)
{
    return loop->depth > 0 ? loop->now_ms : weft_loop_now_ns(loop) / 1000000u;
}

struct event_base *weft_loop_base(const weft_loop *loop)
{
    return loop->base;
}
