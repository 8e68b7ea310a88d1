/* main.c - echo_<kind> server|client DESCRIPTOR: what all kinds begin with. */
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

uint64_t echo_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

void echo_die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    echo_shared *shared;

    if (argc != 3) {
        fprintf(stderr, "%s is run by echo_bench\n", argv[0]);
        return 2;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
                  atoi(argv[2]), 0);
    if (shared == MAP_FAILED)
        echo_die("mmap");
    if (strcmp(argv[1], "server") == 0) {
        shared->server_pid = getpid();
        echo_server(shared);
    } else {
        echo_client(shared);
    }
    return 1; /* neither returns */
}
