/* consul.h - real Consul agents for tests, and a plain blocking client to set
 * the scene with.  After support.h.
 *
 * The program is WEFT_CONSUL, else build/tools/consul of this tree
 * (script/setup puts it there), else the one in PATH.  Without one a test
 * fails, unless WEFT_SKIP_CONSUL=1 says that it may be skipped. */
#ifndef WEFT_TEST_CONSUL_H
#define WEFT_TEST_CONSUL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct consul_agent {
    char name[32], ip[32], folder[128];
    uint16_t http, serf, rpc; /* ports */
    bool server;
    unsigned expect; /* servers */
    char join[256];  /* "\"ip:port\", ..." */
    char extra[512]; /* more of the configuration: ", \"key\": value" */
    pid_t pid;
} consul_agent;

/* First thing in main: whether there is none.  Then main ends with *code, which
 * is 77 (ctest calls that skipped) with WEFT_SKIP_CONSUL=1, else a failure. */
bool consul_missing(int *code);

/* Chooses free ports and a fresh folder under /tmp.  The caller may then change
 * expect, join and extra. */
void consul_init(consul_agent *a, const char *name, const char *ip,
                 bool server);

/* Starts it on its folder, which may hold an earlier life's data. */
void consul_start(consul_agent *a);

/* Waits until it answers and knows a leader; fails the test after ms. */
void consul_wait_leader(const consul_agent *a, unsigned ms);

/* One server, ready. */
void consul_single(consul_agent *a);

/* Sends a signal; SIGKILL and SIGTERM are waited for. */
void consul_signal(consul_agent *a, int signal);

/* Forgets its data; it must be stopped. */
void consul_wipe(const consul_agent *a);

/* Kills it if it runs, and removes its folder. */
void consul_end(consul_agent *a);

/* A blocking request; returns the status code, 0 when there was no whole
 * answer. body may be NULL.  answer (size bytes, may be NULL) gets the answer's
 * body. */
int consul_request(const consul_agent *a, const char *method, const char *path,
                   const char *body, char *answer, size_t size);

/* The same, and fails the test if it is not 200. */
void consul_put(const consul_agent *a, const char *path, const char *body);

/* Registers a service with a TTL check "c-<id>" that passes. */
void consul_register(const consul_agent *a, const char *service, const char *id,
                     const char *ip, unsigned port);

uint64_t consul_now_ms(void);
void consul_sleep_ms(unsigned ms);

#endif /* WEFT_TEST_CONSUL_H */
