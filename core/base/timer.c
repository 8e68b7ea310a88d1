/* timer.c - a hierarchical timing wheel (Varghese & Lauck, 1987, scheme 7).
 *
 * Level 0 has a slot for each of 64 milliseconds, level 1 one for each of 64
 * times 64, and so on; a bit for each slot says whether it is in use.  A timer
 * goes to the level of the highest digit (base 64) in which its due time
 * differs from elapsed_ms, and to the slot of its own digit there.  When time
 * reaches a slot, its timers fire or move down a level.  Hence
 *
 *  W1. In every occupied slot the digit is greater than elapsed_ms' digit of
 *      that level, and all higher digits are the same.
 *
 *  W2. So the next slot is the lowest bit of the lowest level in use, however
 *      far the clock has jumped, and timers of the same millisecond fire in
 *      the order of their start: unless a wake-up has left some on their way
 *      down, and a callback then starts one beside them.
 *
 *  W3. Whoever is not in a slot is in `ready`, `ahead_ready` or `firing`; a
 *      timer that a callback starts with a delay of 0 waits in `ready` for the
 *      next wake-up.
 *
 *  W4. What levels 0 and 1 hold is a turn, 4096 ms.  All timers of the next
 *      turn are in one slot of a level above.  If there may be many, each
 *      wake-up before it begins moves some of them to rows of their own, where
 *      W1 will have them at ahead_ms, when the turn begins: or all would have
 *      to move before the first one fires.  Then the rows become the wheel's,
 *      whose own are empty by W2, and what is left in the slot follows.  It was
 *      started later, so the order stays.
 *
 * A timer is touched once per level at most, where the plain hashed wheel
 * visits one that is far off in each revolution, and wakes the process for it.
 *
 * What wakes the wheel stays armed when the timer that it waits for is stopped:
 * re-arming it for each call would cost more than one idle wake-up, after which
 * an empty wheel arms nothing.
 *
 * It is a descriptor where the system has one: a timer of libevent's gives each
 * epoll_wait() a timeout, for which the kernel starts and stops a timer of its
 * own in every round. */
#include "reactor_internal.h"

#include <unistd.h>
#include <weft/hint.h>

#define MAX_DUE_MS (UINT64_MAX >> 1)

enum {
    /* Work per wake-up, then the loop sees to others. */
    BUDGET = 8192,
    FIRE_COST = 16, /* as against 1 for moving down a level */
    LOOK_AHEAD = 32,

    /* W4. */
    TURN_LEVEL = 2,
    TURN_MS = 1 << TURN_LEVEL * WEFT__WHEEL_BITS,
    AHEAD = 2048,   /* moved per wake-up; with fewer timers, none is */
    AHEAD_MS = 1024 /* before its turn begins a timer wakes the wheel */
};

#define NS_PER_MS 1000000u
#define MAX_WAIT_MS 86400000u /* a day; then we look again */

static void list_init(weft__timer_link *list)
{
    list->next = list->prev = list;
}

static bool list_empty(const weft__timer_link *list)
{
    return list->next == list;
}

static void list_append(weft__timer_link *list, weft__timer_link *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

static void list_splice(weft__timer_link *to, weft__timer_link *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Each is the other's first member. */
static weft__alarm *alarm_of(weft__timer_link *link)
{
    return (weft__alarm *)link;
}

static weft_timer *timer_of(weft__alarm *alarm)
{
    return (weft_timer *)alarm;
}

/* The level and the slot there of a time after elapsed_ms. */
WEFT__INLINE unsigned level_of(uint64_t ms, uint64_t elapsed_ms, unsigned *slot)
{
    uint64_t differs = ms ^ elapsed_ms;
    unsigned level =
        (63u - (unsigned)__builtin_clzll(differs)) / WEFT__WHEEL_BITS;

    *slot = (unsigned)(ms >> (level * WEFT__WHEEL_BITS)) % WEFT__WHEEL_SLOTS;
    return level;
}

WEFT__INLINE void append(weft__wheel *w, unsigned row, unsigned slot,
                         weft__alarm *alarm)
{
    list_append(&w->slots[row][slot], &alarm->link);
    w->occupied[row] |= UINT64_C(1) << slot;
}

WEFT__INLINE void place(weft__wheel *w, weft__alarm *alarm)
{
    unsigned level, slot;

    if (alarm->due_ms <= w->elapsed_ms) {
        list_append(&w->ready, &alarm->link);
        return;
    }
    level = level_of(alarm->due_ms, w->elapsed_ms, &slot);
    append(w, level, slot, alarm);
}

/* Clears the bit of a slot, which its head tells; no-op for the other lists. */
static void vacate(weft__wheel *w, const weft__timer_link *head)
{
    const weft__timer_link *first = &w->slots[0][0];

    if (head >= first && head < first + WEFT__WHEEL_ROWS * WEFT__WHEEL_SLOTS) {
        size_t i = (size_t)(head - first);

        w->occupied[i / WEFT__WHEEL_SLOTS] &=
            ~(UINT64_C(1) << i % WEFT__WHEEL_SLOTS);
    }
}

static void unlink_alarm(weft__wheel *w, weft__alarm *alarm)
{
    weft__timer_link *next = alarm->link.next;

    next->prev = alarm->link.prev;
    alarm->link.prev->next = next;
    alarm->link.next = alarm->link.prev = NULL;
    /* Then the list is empty, and what is left is its head. */
    if (next->next == next)
        vacate(w, next);
}

/* The slot of the next turn, W4. */
static weft__timer_link *turn_slot(weft__wheel *w, uint64_t *begins_ms)
{
    unsigned level, slot;

    *begins_ms = (w->elapsed_ms | (TURN_MS - 1)) + 1;
    level = level_of(*begins_ms, w->elapsed_ms, &slot);
    return &w->slots[level][slot];
}

/* The next slot in time.  Gives its head and the time at which it begins. */
static weft__timer_link *next_slot(weft__wheel *w, uint64_t *begins_ms)
{
    unsigned level;

    for (level = 0; level < WEFT__WHEEL_LEVELS; level++) {
        unsigned shift = level * WEFT__WHEEL_BITS;
        unsigned slot;
        uint64_t above;

        if (level == TURN_LEVEL && w->ahead_ms != 0)
            return turn_slot(w, begins_ms);
        if (w->occupied[level] == 0)
            continue;
        slot = (unsigned)__builtin_ctzll(w->occupied[level]);
        above = shift + WEFT__WHEEL_BITS < 64
                    ? w->elapsed_ms >> (shift + WEFT__WHEEL_BITS)
                                           << (shift + WEFT__WHEEL_BITS)
                    : 0;
        *begins_ms = above | (uint64_t)slot << shift;
        return &w->slots[level][slot];
    }
    return NULL;
}

/* When a timer that is due then wakes the wheel: among many, before its turn.
 */
WEFT__INLINE uint64_t wakes_ms(const weft__wheel *w, uint64_t due_ms)
{
    uint64_t turn_ms = due_ms & ~(uint64_t)(TURN_MS - 1);

    if (w->count <= AHEAD || turn_ms <= w->elapsed_ms)
        return due_ms;
    return turn_ms - AHEAD_MS > w->elapsed_ms ? turn_ms - AHEAD_MS
                                              : w->elapsed_ms + 1;
}

/* No later than the first timer of a slot is due; exact if it has few. */
static uint64_t first_due_ms(const weft__timer_link *slot, uint64_t begins_ms)
{
    const weft__timer_link *link;
    uint64_t due_ms = UINT64_MAX;
    int n = 0;

    for (link = slot->next; link != slot; link = link->next) {
        const weft__alarm *alarm = (const weft__alarm *)link;

        if (++n > LOOK_AHEAD)
            return begins_ms;
        if (alarm->due_ms < due_ms)
            due_ms = alarm->due_ms;
    }
    return due_ms;
}

/* When there is something to do: no later than the next timer is due. */
static uint64_t next_due_ms(weft__wheel *w)
{
    uint64_t begins_ms, due_ms, turn_ms;
    const weft__timer_link *slot, *turn;

    if (!list_empty(&w->ready) || !list_empty(&w->firing))
        return w->elapsed_ms;
    if ((slot = next_slot(w, &begins_ms)) == NULL)
        return UINT64_MAX;
    due_ms = begins_ms == w->ahead_ms
                 ? begins_ms
                 : wakes_ms(w, first_due_ms(slot, begins_ms));
    turn = turn_slot(w, &turn_ms);
    if (w->count <= AHEAD || list_empty(turn) || wakes_ms(w, turn_ms) > due_ms)
        return due_ms;
    return wakes_ms(w, turn_ms);
}

static WEFT__APART void arm_at(weft_loop *loop, uint64_t due_ms)
{
    uint64_t now_ms = loop->now_ns / NS_PER_MS;
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    uint64_t into_us = loop->now_ns % NS_PER_MS / 1000; /* since now_ms began */
    uint64_t wait_us;
    struct timeval tv;
    bool armed = true;

    if (wait_ms > MAX_WAIT_MS)
        wait_ms = MAX_WAIT_MS;
    wait_us = wait_ms * 1000;
    wait_us -= wait_us > into_us ? into_us : wait_us;
    if (loop->wheel_fd >= 0) {
        weft__sys_timer_set(loop->wheel_fd, wait_us * 1000);
    } else {
        tv.tv_sec = (time_t)(wait_us / 1000000);
        tv.tv_usec = (suseconds_t)(wait_us % 1000000);
        armed = event_add(&loop->wheel_event, &tv) == 0;
    }
    /* Out of memory in libevent: the next start tries again. */
    loop->wheel.armed_ms = armed ? due_ms : UINT64_MAX;
}

int weft__wheel_events(const weft_loop *loop)
{
    return loop->wheel_fd >= 0 || loop->wheel.armed_ms != UINT64_MAX;
}

void weft__wheel_arm(weft_loop *loop)
{
    uint64_t due_ms = next_due_ms(&loop->wheel);

    if (due_ms != UINT64_MAX) {
        arm_at(loop, due_ms);
    } else if (loop->wheel.armed_ms != UINT64_MAX) {
        loop->wheel.armed_ms = UINT64_MAX;
        if (loop->wheel_fd < 0)
            event_del(&loop->wheel_event);
    }
}

bool weft__wheel_due(const weft_loop *loop)
{
    const weft__wheel *w = &loop->wheel;

    return w->count > 0 && w->armed_ms <= loop->now_ns / NS_PER_MS;
}

/* What a run may stay for (loop.c). */
static void one_less(weft_loop *loop)
{
    if (--loop->wheel.count == 0)
        weft__round_look(loop);
}

/* The alarm may be gone after this. */
static void fire(weft_loop *loop, weft__alarm *alarm)
{
    weft__wheel *w = &loop->wheel;
    weft_timer *timer;

    one_less(loop);
    if (alarm->bare) {
        weft__loop_span_begin(loop, w->bare_name);
        w->bare_fn(alarm);
    } else {
        timer = timer_of(alarm);
        weft__loop_span_begin(loop,
                              timer->name != NULL ? timer->name : "timer");
        timer->cb(timer, timer->user);
    }
    weft__loop_span_end(loop);
}

/* W4: as much of the next turn as one wake-up may. */
static void prepare_turn(weft__wheel *w)
{
    uint64_t begins_ms;
    weft__timer_link *turn;
    int n;

    if (w->count <= AHEAD)
        return;
    turn = turn_slot(w, &begins_ms);
    for (n = 0; n < AHEAD && !list_empty(turn); n++) {
        weft__alarm *alarm = alarm_of(turn->next);
        unsigned level, slot;

        w->ahead_ms = begins_ms;
        unlink_alarm(w, alarm);
        if (alarm->due_ms == begins_ms) {
            list_append(&w->ahead_ready, &alarm->link);
            continue;
        }
        level = level_of(alarm->due_ms, begins_ms, &slot);
        append(w, WEFT__WHEEL_LEVELS + level, slot, alarm);
    }
}

/* W4: it begins. */
static void begin_turn(weft__wheel *w)
{
    unsigned level;

    w->ahead_ms = 0;
    list_splice(&w->firing, &w->ahead_ready);
    for (level = 0; level < WEFT__WHEEL_LEVELS; level++) {
        unsigned row = WEFT__WHEEL_LEVELS + level;

        w->occupied[level] |= w->occupied[row];
        for (; w->occupied[row] != 0;
             w->occupied[row] &= w->occupied[row] - 1) {
            int slot = __builtin_ctzll(w->occupied[row]);

            list_splice(&w->slots[level][slot], &w->slots[row][slot]);
        }
    }
}

void weft__wheel_expire(weft_loop *loop)
{
    weft__wheel *w = &loop->wheel;
    uint64_t now_ms = loop->now_ns / NS_PER_MS;
    uint64_t begins_ms;
    weft__timer_link *slot;
    int budget = BUDGET;

    w->armed_ms = 0; /* what callbacks start needs no arming of its own */
    list_splice(&w->firing, &w->ready);
    for (;;) {
        while (!list_empty(&w->firing) && budget > 0) {
            weft__alarm *alarm = alarm_of(w->firing.next);

            unlink_alarm(w, alarm);
            if (alarm->due_ms <= w->elapsed_ms) {
                budget -= FIRE_COST;
                fire(loop, alarm);
            } else {
                budget--;
                place(w, alarm);
            }
        }
        if (budget <= 0)
            break;
        slot = next_slot(w, &begins_ms);
        if (slot == NULL || begins_ms > now_ms) {
            if (w->elapsed_ms < now_ms)
                w->elapsed_ms = now_ms;
            break;
        }
        w->elapsed_ms = begins_ms;
        if (begins_ms == w->ahead_ms)
            begin_turn(w);
        vacate(w, slot);
        list_splice(&w->firing, slot);
    }
    prepare_turn(w);
    weft__wheel_arm(loop);
}

static void on_wheel(evutil_socket_t fd, short what, void *arg)
{
    weft_loop *loop = arg;

    (void)what;
    weft__loop_enter(loop, "timers");
    if (loop->wheel_fd >= 0)
        weft__sys_timer_drain(fd);
    if (loop->expired)
        weft__wheel_arm(loop);
    else
        weft__wheel_expire(loop);
    weft__loop_leave_last(loop);
}

void weft__wheel_init(weft_loop *loop)
{
    weft__wheel *w = &loop->wheel;
    int row, slot;

    w->elapsed_ms = loop->now_ns / NS_PER_MS;
    w->armed_ms = UINT64_MAX;
    list_init(&w->ready);
    list_init(&w->firing);
    list_init(&w->ahead_ready);
    for (row = 0; row < WEFT__WHEEL_ROWS; row++)
        for (slot = 0; slot < WEFT__WHEEL_SLOTS; slot++)
            list_init(&w->slots[row][slot]);
    if ((loop->wheel_fd = weft__sys_timer_new()) >= 0) {
        event_assign(&loop->wheel_event, loop->base, loop->wheel_fd,
                     EV_READ | EV_PERSIST, on_wheel, loop);
        if (event_add(&loop->wheel_event, NULL) == 0)
            return;
        close(loop->wheel_fd);
        loop->wheel_fd = -1;
    }
    evtimer_assign(&loop->wheel_event, loop->base, on_wheel, loop);
}

static void drop_all(weft__wheel *w, weft__timer_link *list)
{
    while (!list_empty(list))
        unlink_alarm(w, alarm_of(list->next));
}

void weft__wheel_fini(weft_loop *loop)
{
    weft__wheel *w = &loop->wheel;
    int row, slot;

    drop_all(w, &w->ready);
    drop_all(w, &w->firing);
    drop_all(w, &w->ahead_ready);
    for (row = 0; row < WEFT__WHEEL_ROWS; row++)
        for (slot = 0; slot < WEFT__WHEEL_SLOTS; slot++)
            drop_all(w, &w->slots[row][slot]);
    w->count = 0;
    w->armed_ms = UINT64_MAX;
    weft__event_fini(&loop->wheel_event);
    if (loop->wheel_fd >= 0)
        close(loop->wheel_fd);
}

/* ---- alarms, and timers made of them ---- */

static void stop(weft_loop *loop, weft__alarm *alarm)
{
    unlink_alarm(&loop->wheel, alarm);
    one_less(loop);
}

/* The clock has been touched. */
WEFT__INLINE void start(weft_loop *loop, weft__alarm *alarm, uint64_t due_ms)
{
    weft__wheel *w = &loop->wheel;
    uint64_t wake_ms;

    if (weft__alarm_armed(alarm))
        stop(loop, alarm);
    /* An empty wheel may catch up with the clock, which saves moves later. */
    if (w->count == 0 && list_empty(&w->firing) &&
        w->elapsed_ms < loop->now_ms) {
        w->elapsed_ms = loop->now_ms;
        w->ahead_ms = 0;
    }
    if (due_ms > MAX_DUE_MS)
        due_ms = MAX_DUE_MS;
    alarm->due_ms = due_ms & MAX_DUE_MS; /* says so to the compiler */
    place(w, alarm);
    w->count++;
    wake_ms = wakes_ms(w, due_ms);
    if (wake_ms < w->armed_ms)
        arm_at(loop, wake_ms);
}

void weft__loop_set_alarm(weft_loop *loop, void (*fn)(weft__alarm *alarm),
                          const char *name)
{
    loop->wheel.bare_fn = fn;
    loop->wheel.bare_name = name;
}

void weft__alarm_start_at(weft_loop *loop, weft__alarm *alarm, uint64_t due_ms)
{
    weft__loop_touch(loop);
    alarm->bare = true;
    start(loop, alarm, due_ms);
}

void weft__alarm_stop(weft_loop *loop, weft__alarm *alarm)
{
    if (weft__alarm_armed(alarm))
        stop(loop, alarm);
}

void weft_timer_init(weft_timer *timer, weft_loop *loop, weft_timer_cb cb,
                     void *user)
{
    *timer = (weft_timer){.loop = loop, .cb = cb, .user = user};
}

void weft_timer_start_at(weft_timer *timer, uint64_t due_ms)
{
    weft__loop_touch(timer->loop);
    start(timer->loop, &timer->alarm, due_ms);
}

void weft_timer_start(weft_timer *timer, uint32_t delay_ms)
{
    weft_loop *loop = timer->loop;

    weft__loop_touch(loop);
    /* Rounded up: a part of a millisecond may have passed already. */
    start(loop, &timer->alarm,
          loop->now_ms + (loop->now_ms * NS_PER_MS < loop->now_ns) + delay_ms);
}

void weft_timer_stop(weft_timer *timer)
{
    if (weft__alarm_armed(&timer->alarm))
        stop(timer->loop, &timer->alarm);
}

bool weft_timer_armed(const weft_timer *timer)
{
    return weft__alarm_armed(&timer->alarm);
}
