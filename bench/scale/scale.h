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

/* Starts server on a port of its own, which goes to *port when it serves; or
 * dies. */
void scale_listen(weft_server *server, volatile uint16_t *port);
void scale_target(char target[32], uint16_t port);

/* Dies with a sentence unless it holds. */
void scale_check(bool holds, const char *what);

#endif /* WEFT_BENCH_SCALE_H */
