/* demo.h - what the demo counts, and how it is drawn. */
#ifndef WEFT_DEMO_H
#define WEFT_DEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DEMO_SERVERS 3
#define DEMO_BUCKETS                                                           \
    256 /* of a millisecond each; the last one holds the rest */

typedef struct demo_server {
    char name;
    int port;
    char address[32]; /* "127.0.0.1:port", as results name their peer */
    pid_t pid;        /* 0: not running */
    const char *note; /* what happened to it last */
    bool killed;      /* by SIGKILL: calls in flight there may be lost */
    uint32_t in_flight;
    uint32_t lost_bound; /* most in flight between the kill and its discovery */
    bool ready;
    /* of this interval */
    uint32_t calls;
    /* of the whole run */
    uint64_t ok, failed;
} demo_server;

typedef struct demo_latency {
    uint32_t buckets[DEMO_BUCKETS];
    uint32_t n;
} demo_latency;

typedef struct demo_board {
    demo_server servers[DEMO_SERVERS];
    demo_latency interval, whole;
    uint64_t started, ok, failed, failed_elsewhere;
    uint32_t interval_calls, interval_ms;
    double seconds;
    const char *discovery; /* "Consul", or "a static list" */
    char event[96];
    char first_failure[256];
    bool live; /* a terminal: redraw in place */
} demo_board;

void demo_latency_add(demo_latency *l, uint64_t us);
uint32_t demo_latency_ms(const demo_latency *l, double quantile);
void demo_draw(const demo_board *board);
/* Prints the verdict; returns the exit code. */
int demo_summary(const demo_board *board);

#endif /* WEFT_DEMO_H */
