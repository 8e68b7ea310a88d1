/* process.c - the clock, and what processes use. */
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void echo_die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts = {0};

    if (clock_gettime(id, &ts) != 0)
        echo_die("clock_gettime");
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t echo_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t echo_cpu_ns(pid_t pid)
{
    clockid_t id;

    if (clock_getcpuclockid(pid, &id) != 0) {
        fprintf(stderr, "process %d is gone\n", (int)pid);
        exit(1);
    }
    return read_ns(id);
}

uint64_t echo_rss_kb(pid_t pid)
{
    char name[64], line[128];
    unsigned long kb = 0;
    FILE *file;

    snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
    if ((file = fopen(name, "r")) == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %lu", &kb) == 1)
            break;
    fclose(file);
    return kb;
}
