/* echo_bench.h - a pair of processes that echo, and what they cost.
 *
 * The driver forks a server and a client for each round, both pinned, reads the
 * CPU clocks of both when the client says that the warm-up is over and again
 * when it is done, and compares Weft with a bare epoll loop in the same run. */
#ifndef WEFT_ECHO_BENCH_H
#define WEFT_ECHO_BENCH_H

#include <stdint.h>

typedef struct echo_load {
    uint32_t connections, in_flight; /* calls at once on each */
    uint32_t payload_bytes;
    uint64_t warm_up, calls;
} echo_load;

/* What a process tells the driver, in memory that they share. */
typedef struct echo_shared {
    uint16_t port;             /* by the server, once it listens */
    uint64_t server_syscalls;  /* raw only: read, write, epoll_wait */
    volatile uint64_t replies; /* by the client */
} echo_shared;

/* The servers never return.  The clients call mark() after the warm-up and
 * after the last reply. */
void raw_echo_server(echo_shared *shared);
void raw_echo_client(echo_shared *shared, const echo_load *load,
                     void (*mark)(void));
void weft_echo_server(echo_shared *shared);
void weft_echo_client(echo_shared *shared, const echo_load *load,
                      void (*mark)(void));

#endif /* WEFT_ECHO_BENCH_H */
