/* echo_bench.c - what a call costs, as a ratio to a bare epoll echo.
 *
 *     echo_bench [ROUNDS [CALLS]]
 *
 * Server and client share one core, so that only the software path counts. Each
 * round runs the raw echo and Weft one after the other; the ratio is taken
 * within the round, and the median of the rounds is printed.  Exits with 1 when
 * a figure is void: failed calls, or a raw echo with more than 0.05 system
 * calls per message at 1 x 64. */
#include "echo_bench.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 31

static int marks[2];

static void mark(void)
{
    char c;

    if (write(marks[1], "m", 1) != 1)
        _exit(1);
    (void)c;
}

typedef struct cost {
    double server_us, client_us, calls_per_s, syscalls;
} cost;

typedef struct kind {
    const char *name;
    void (*server)(echo_shared *);
    void (*client)(echo_shared *, const echo_load *, void (*)(void));
} kind;

static const kind kinds[] = {{"raw epoll", raw_echo_server, raw_echo_client},
                             {"weft", weft_echo_server, weft_echo_client}};

static void pin(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static double clock_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double process_us(pid_t pid)
{
    clockid_t id;

    return clock_getcpuclockid(pid, &id) == 0 ? clock_us(id) : 0;
}

static bool run(const kind *k, const echo_load *load, size_t cpu, cost *out)
{
    echo_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double server, client, wall;
    uint64_t syscalls;
    pid_t s, c;
    char byte;
    bool good;

    if ((s = fork()) == 0) {
        pin(cpu);
        k->server(shared);
        _exit(1);
    }
    while (*(volatile uint16_t *)&shared->port == 0)
        usleep(1000);
    if (pipe(marks) != 0)
        return false;
    if ((c = fork()) == 0) {
        pin(cpu);
        k->client(shared, load, mark);
        pause(); /* its clock is still to be read */
        _exit(0);
    }
    close(marks[1]);
    good = read(marks[0], &byte, 1) == 1;
    server = process_us(s), client = process_us(c);
    wall = clock_us(CLOCK_MONOTONIC);
    syscalls = shared->server_syscalls;
    good = good && read(marks[0], &byte, 1) == 1;
    out->server_us = (process_us(s) - server) / (double)load->calls;
    out->client_us = (process_us(c) - client) / (double)load->calls;
    out->calls_per_s =
        (double)load->calls * 1e6 / (clock_us(CLOCK_MONOTONIC) - wall);
    out->syscalls =
        (double)(shared->server_syscalls - syscalls) / (double)load->calls;
    good = good && shared->replies == load->warm_up + load->calls;
    close(marks[0]);
    kill(s, SIGKILL), kill(c, SIGKILL);
    waitpid(s, NULL, 0), waitpid(c, NULL, 0);
    munmap(shared, sizeof(*shared));
    return good;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), by_value);
    return v[n / 2];
}

static bool bench(const char *name, const echo_load *load, int rounds,
                  size_t cpu)
{
    double server[2][ROUNDS_MAX], client[2][ROUNDS_MAX], rate[2][ROUNDS_MAX];
    double ratio[ROUNDS_MAX], client_ratio[ROUNDS_MAX];
    bool good = true;

    for (int r = 0; r < rounds; r++) {
        cost c[2];
        for (int k = 0; k < 2; k++) {
            if (!run(&kinds[k], load, cpu, &c[k])) {
                printf("%s: calls failed, the figure is void\n", kinds[k].name);
                return false;
            }
            server[k][r] = c[k].server_us;
            client[k][r] = c[k].client_us;
            rate[k][r] = c[k].calls_per_s;
        }
        ratio[r] = c[1].server_us / c[0].server_us;
        client_ratio[r] = c[1].client_us / c[0].client_us;
        if (load->connections == 1 && load->in_flight == 64 &&
            load->payload_bytes == 32 && c[0].syscalls > 0.05) {
            printf(
                "raw epoll: %.3f system calls per call, the figure is void\n",
                c[0].syscalls);
            good = false;
        }
    }
    for (int k = 0; k < 2; k++)
        printf("%-16s %-10s %9.3f %9.3f %11.0f", k == 0 ? name : "",
               kinds[k].name, median(server[k], rounds),
               median(client[k], rounds), median(rate[k], rounds)),
            printf(k == 0 ? "\n" : "   x %.2f server, x %.2f client\n",
                   median(ratio, rounds), median(client_ratio, rounds));
    return good;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    uint64_t calls = argc > 2 ? (uint64_t)atoll(argv[2]) : 400000;
    size_t cpu = (size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
    bool good = true;
    const struct {
        const char *name;
        echo_load load;
    } loads[] = {
        {"32 B, 64 x 8", {64, 8, 32, calls / 4, calls}},
        {"32 B, 1 x 64", {1, 64, 32, calls / 4, calls}},
        {"32 B, 1 x 1", {1, 1, 32, calls / 40, calls / 10}},
        {"64 KiB, 1 x 64", {1, 64, 65536, calls / 160, calls / 40}},
    };

    if (rounds < 1 || rounds > ROUNDS_MAX || calls < 1000)
        return 2;
    printf("both on core %zu, %d rounds, medians\n", cpu, rounds);
    printf("%-16s %-10s %9s %9s %11s\n", "load", "echo", "server us",
           "client us", "calls/s");
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
        good = bench(loads[i].name, &loads[i].load, rounds, cpu) && good;
    return good ? 0 : 1;
}
