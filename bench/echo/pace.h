/* pace.h - when a client's calls begin, and what their ends add up to.
 *
 * A call in flight takes a slot, of which there are connections x in_flight.
 * In a closed loop every free slot begins a call at once.  In an open one calls
 * are due at a fixed rate, whatever the server does, and latency counts from
 * the time when a call was due: one that waits for a slot, or for its turn in
 * the client, is charged for that.  At more than 10,000 calls/s several are due
 * together every 100 us, which is as fine as a timer gets.
 *
 * Times are those of echo_now_ns(), read once per wake-up where the kind's loop
 * allows.  When the measured window is over the figures go to the driver and
 * the process ends, calls in flight or not.  Not locked. */
#ifndef WEFT_BENCH_PACE_H
#define WEFT_BENCH_PACE_H

#include "echo.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pace_slot { /* first in a kind's own struct */
    struct pace_slot *next;
    uint64_t from_ns; /* when the call began, or was due */
} pace_slot;

typedef struct pace {
    echo_shared *shared;
    pace_slot *free, **free_end; /* first in, first out */
    uint64_t measure_ns, end_ns; /* when warm-up and window are over */
    uint64_t tick_ns, due_ns;    /* open loop: the next calls */
    uint32_t per_tick, due_left; /* so many of them, so many still to begin */
    bool measuring;
    uint64_t began_ns, server_cpu_ns, client_cpu_ns, syscalls;
} pace;

void pace_init(pace *p, echo_shared *shared);
void pace_add(pace *p, pace_slot *slot);

/* A slot whose call is to begin now; NULL: none is free, or nothing is due. */
pace_slot *pace_take(pace *p, uint64_t now_ns);

/* Its call has ended. */
void pace_give(pace *p, pace_slot *slot, uint64_t now_ns, bool ok);

/* The same for clients with a thread per call: the time, maybe still to come,
 * when the next call of any thread is due; and its end. */
uint64_t pace_reserve(pace *p, uint64_t now_ns);
void pace_record(pace *p, uint64_t from_ns, uint64_t now_ns, bool ok);

/* Open loop: a timerfd that becomes readable whenever calls are due; -1 in a
 * closed one.  pace_tick() reads it. */
int pace_timer(const pace *p);
void pace_tick(int timer);

#ifdef __cplusplus
}
#endif

#endif /* WEFT_BENCH_PACE_H */
