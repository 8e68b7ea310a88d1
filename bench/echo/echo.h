/* echo.h - a pair of processes that echo, and what the driver and they share.
 *
 * driver.c forks and executes echo_<kind> twice for each run, once as the
 * server and once as the client, both pinned.  The load and the figures lie in
 * memory that the three share, so that nothing of the measurement goes over
 * the sockets. */
#ifndef WEFT_BENCH_ECHO_H
#define WEFT_BENCH_ECHO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <weft/histogram.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct echo_load {
    uint32_t connections, in_flight; /* calls at once on each */
    bool order;                      /* the 30-field message instead of: */
    uint32_t payload_bytes;
    double
        rate; /* calls/s; 0: a closed loop, each reply begins the next call */
    uint32_t warm_up_ms, measured_ms;
    char variant[16]; /* what is special about this kind, or "" */
} echo_load;

typedef struct echo_shared {
    echo_load load;
    volatile pid_t server_pid;         /* by the server */
    volatile uint16_t port;            /* by the server, once it listens */
    volatile uint64_t server_syscalls; /* only raw counts its own */

    /* Of the measured window, by the client, when it is over. */
    bool finished;
    uint64_t calls, failed, not_begun, window_ns, syscalls;
    uint64_t calls_ever;         /* warm-up included */
    double server_us, client_us; /* CPU time */
    uint64_t server_rss_kb, client_rss_kb;
    weft_histogram latency; /* grows meanwhile */
} echo_shared;

/* What each kind implements.  The server never returns; the client ends with
 * the window (pace.h). */
void echo_server(echo_shared *shared);
void echo_client(echo_shared *shared);

/* process.c */
uint64_t echo_now_ns(void);
uint64_t echo_cpu_ns(pid_t pid); /* all threads; gone: ends this one */
uint64_t echo_rss_kb(pid_t pid); /* 0: gone */

/* Says what failed, with errno, and ends the process. */
void echo_die(const char *what) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#endif /* WEFT_BENCH_ECHO_H */
