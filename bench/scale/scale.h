/* scale.h - what the benchmarks of the house's bounds share: processes,
 * pinning, what both sides see of each other, and the lines that they print.
 *
 * Each program measures one bound.  Its parent holds no loop: it forks a server
 * and clients, which share memory with it, and prints a JSON object per round
 * for report.py, whose table of bounds says what is to hold. */
#ifndef WEFT_BENCH_SCALE_H
#define WEFT_BENCH_SCALE_H

#include "echo.h"

#include <weft/weft.h>

#include "echo.pb-c.h"

#define SCALE_SERVER_CPU 0 /* and what is to be measured on the other one */
#define SCALE_CLIENT_CPU 1

/* The i-th argument as a number, or dflt. */
uint32_t scale_arg(int argc, char **argv, int i, uint32_t dflt);

/* Zeroed, and shared with children that are forked later. */
void *scale_share(size_t size);

/* This thread, where there is such a CPU; -1: anywhere. */
void scale_pin(int cpu);

/* Runs run(arg), which is not to return, in a child that dies with us, pinned.
 */
pid_t scale_fork(int cpu, void (*run)(void *arg), void *arg);
/* Puts this process before all that else runs on the machine, which is not to
 * be measured, if that is allowed.  Not for longer than a second of work: then
 * the kernel lets others have their turn. */
void scale_be_first(void);
/* Ends it, however busy it is. */
void scale_kill(pid_t pid);
/* Waits until it has ended by itself; dies if that was no good end, or takes
 * longer. */
void scale_wait_exit(pid_t pid, uint32_t ms, const char *what);
/* Waits until another process has set *port; dies after 10 s. */
void scale_wait_port(const volatile uint16_t *port);
/* The same for a flag, for as long as it takes up to ms. */
void scale_wait(const volatile bool *flag, uint32_t ms, const char *what);

/* How late a process is that does nothing but sleep for 1 ms on the server's
 * CPU: in memory that is shared. */
typedef struct scale_probe {
    volatile uint64_t late_ns; /* at most, so far */
} scale_probe;
pid_t scale_probe_start(scale_probe *probe); /* scale_kill() */

extern Bench__Echo_Service scale_echo; /* answers with what it is asked */

/* A server of service that says no more than errors, on a loop of its own. */
weft_server *scale_server(weft_loop **loop, const weft_server_conf *conf,
                          ProtobufCService *service);
/* Starts server on a port of its own, which goes to *port when it serves; or
 * dies. */
void scale_listen(weft_server *server, volatile uint16_t *port);
/* A stub of a channel to it. */
weft_stub scale_stub(weft_loop *loop, uint16_t port,
                     const weft_channel_conf *conf);

/* ---- The latency of others (latency.c) ----
 *
 * Of calls at a fixed rate, from a process and connections of their own. */

/* Shared; zero calls and no server yet. */
echo_shared *scale_others(uint32_t measured_ms, uint32_t rate);
/* Forks their server and waits until serve(arg) has set their port. */
pid_t scale_others_server(echo_shared *others, void (*serve)(void *arg),
                          void *arg);
/* Makes the calls, and dies if one fails. */
void scale_others_call(echo_shared *others);
/* The time that this share of them took at most. */
double scale_others_us(const echo_shared *others, double share);

/* Dies with a sentence unless it holds. */
void scale_check(bool holds, const char *what);

#endif /* WEFT_BENCH_SCALE_H */
