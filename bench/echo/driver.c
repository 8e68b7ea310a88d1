/* driver.c - echo_bench: runs kinds of echo against each other, round by round.
 *
 *     echo_bench [--kinds raw,weft,...] [--loads 32:1x64,order:64x8,...]
 *                [--placements same,different] [--rounds N] [--rate CALLS/S]
 *                [--warm-up MS] [--measure MS] [--strace FILE]
 *
 * A load is a payload in bytes, or "order", then connections x calls in flight
 * on each.  Within a round every kind runs the same load, one after the other,
 * so that what disturbs the machine disturbs all of them.  Prints one JSON
 * object per run, which report.py makes a table of.  A kind is the program
 * echo_<kind> beside this one; "weft:observed" runs echo_weft with a variant.
 * With --strace servers run under strace(1), which counts their system calls
 * into FILE; the other figures of such a run mean nothing.
 * Exits with 1 when a run fails; what is not there is said and left out. */
#include "echo.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 10000 /* for a server to listen, or a client to end late */

typedef struct options {
    char *kinds, *loads, *placements;
    const char *strace; /* or NULL */
    unsigned rounds, warm_up_ms, measured_ms;
    double rate;
    char dir[4096];
} options;

typedef struct run {
    const char *kind, *load, *placement, *strace;
    unsigned round;
    char path[4200];
    int server_cpu, client_cpu;
} run;

static void sleep_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000L};

    nanosleep(&ts, NULL);
}

static pid_t start(const run *r, const char *role, int cpu, int fd)
{
    pid_t parent = getpid(), pid = fork();
    cpu_set_t set;
    char number[16];

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL);
    if (getppid() != parent)
        _exit(1); /* it died before that */
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
    snprintf(number, sizeof(number), "%d", fd);
    if (r->strace != NULL && strcmp(role, "server") == 0)
        execlp("strace", "strace", "-f", "-c", "-U", "calls,name", "-o",
               r->strace, r->path, role, number, (char *)NULL);
    execl(r->path, r->path, role, number, (char *)NULL);
    _exit(127);
}

static bool wait_until(volatile uint16_t *port, pid_t pid)
{
    for (unsigned ms = 0; ms < START_MS && *port == 0; ms++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return false;
        sleep_ms(1);
    }
    return *port != 0;
}

static bool wait_for_end(pid_t pid, unsigned ms)
{
    for (unsigned waited = 0; waited < ms; waited += 5) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return true;
        sleep_ms(5);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

/* The sum of what strace has written: lines of a count and a name. */
static uint64_t traced_calls(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned long long count, total = 0;
    char line[128], name[64];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "%llu %63s", &count, name) == 2 &&
            strcmp(name, "total") != 0)
            total += count;
    fclose(file);
    return total;
}

static void print(const run *r, const echo_shared *s)
{
    double calls = s->calls > 0 ? (double)s->calls : 1;
    double seconds = (double)s->window_ns / 1e9;

    printf("{\"kind\": \"%s\", \"load\": \"%s\", \"placement\": \"%s\", "
           "\"round\": %u, \"rate\": %.0f, \"calls\": %llu, \"failed\": %llu, "
           "\"not_begun\": %llu, \"seconds\": %.4f, \"calls_per_s\": %.1f",
           r->kind, r->load, r->placement, r->round, s->load.rate,
           (unsigned long long)s->calls, (unsigned long long)s->failed,
           (unsigned long long)s->not_begun, seconds,
           (double)s->calls / seconds);
    printf(", \"server_us\": %.4f, \"client_us\": %.4f, \"p50_us\": %.3f, "
           "\"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f",
           s->server_us / calls, s->client_us / calls,
           (double)weft_histogram_quantile_ns(&s->latency, 0.5) / 1e3,
           (double)weft_histogram_quantile_ns(&s->latency, 0.99) / 1e3,
           (double)weft_histogram_quantile_ns(&s->latency, 0.999) / 1e3,
           (double)s->latency.max_ns / 1e3);
    if (r->strace != NULL)
        printf(", \"server_syscalls\": %.4f",
               (double)traced_calls(r->strace) / (double)s->calls_ever);
    else if (s->syscalls > 0)
        printf(", \"server_syscalls\": %.4f", (double)s->syscalls / calls);
    printf(", \"server_rss_kb\": %llu, \"client_rss_kb\": %llu}\n",
           (unsigned long long)s->server_rss_kb,
           (unsigned long long)s->client_rss_kb);
    fflush(stdout);
}

static bool run_once(const run *r, const echo_load *load)
{
    int fd = memfd_create("echo", 0);
    echo_shared *shared;
    bool good = false;
    pid_t server, client;

    if (fd < 0 || ftruncate(fd, sizeof(*shared)) != 0)
        return false;
    shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        return false;
    shared->load = *load;
    server = start(r, "server", r->server_cpu, fd);
    if (wait_until(&shared->port, server)) {
        client = start(r, "client", r->client_cpu, fd);
        good = wait_for_end(client,
                            load->warm_up_ms + load->measured_ms + START_MS) &&
               shared->finished && shared->failed == 0 && shared->calls > 0;
    }
    if (shared->server_pid != 0)
        kill(shared->server_pid, SIGKILL); /* not strace, which then reports */
    else
        kill(server, SIGKILL);
    (void)wait_for_end(server, START_MS);
    if (good)
        print(r, shared);
    else
        fprintf(stderr, "%s, %s, %s: failed (%llu calls, %llu failed)\n",
                r->kind, r->load, r->placement,
                (unsigned long long)shared->calls,
                (unsigned long long)shared->failed);
    munmap(shared, sizeof(*shared));
    close(fd);
    return good;
}

/* "weft:observed": echo_weft, and what its variant is. */
static bool find_kind(run *r, const options *o, echo_load *load)
{
    const char *colon = strchr(r->kind, ':');
    size_t len = colon != NULL ? (size_t)(colon - r->kind) : strlen(r->kind);

    snprintf(r->path, sizeof(r->path), "%s/echo_%.*s", o->dir, (int)len,
             r->kind);
    snprintf(load->variant, sizeof(load->variant), "%s",
             colon != NULL ? colon + 1 : "");
    return access(r->path, X_OK) == 0;
}

static bool parse_load(const char *text, echo_load *load)
{
    unsigned connections, in_flight, bytes = 0;
    char payload[16];

    if (sscanf(text, "%15[^:]:%ux%u", payload, &connections, &in_flight) != 3)
        return false;
    load->order = strcmp(payload, "order") == 0;
    if (!load->order && sscanf(payload, "%u", &bytes) != 1)
        return false;
    load->connections = connections;
    load->in_flight = in_flight;
    load->payload_bytes = bytes;
    return connections > 0 && connections <= 1024 && in_flight > 0 &&
           in_flight <= 1024 && bytes <= 1024 * 1024;
}

static bool place(run *r)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

    r->server_cpu = cpus - 1;
    r->client_cpu = r->server_cpu;
    if (strcmp(r->placement, "same") == 0)
        return true;
    r->client_cpu--;
    return strcmp(r->placement, "different") == 0 && r->client_cpu >= 0;
}

/* All kinds, one after the other. */
static bool round_of(run *r, const options *o, echo_load *load)
{
    char *kinds = strdup(o->kinds), *rest = kinds;
    bool good = kinds != NULL;

    while (good && (r->kind = strtok_r(rest, ",", &rest)) != NULL) {
        if (!find_kind(r, o, load)) {
            if (r->round == 0)
                fprintf(stderr, "%s: %s is not there\n", r->kind, r->path);
            continue;
        }
        good = run_once(r, load);
    }
    free(kinds);
    return good;
}

/* All rounds of one load in one placement. */
static bool measure(const options *o, const char *load_text,
                    const char *placement)
{
    run r = {.load = load_text, .placement = placement, .strace = o->strace};
    echo_load load = {.rate = o->rate,
                      .warm_up_ms = o->warm_up_ms,
                      .measured_ms = o->measured_ms};
    bool good = true;

    if (!parse_load(load_text, &load) || !place(&r)) {
        fprintf(stderr, "cannot run load %s in placement %s\n", load_text,
                placement);
        return false;
    }
    for (r.round = 0; r.round < o->rounds; r.round++)
        good = round_of(&r, o, &load) && good;
    return good;
}

static bool set_option(options *o, const char *name, char *value)
{
    if (strcmp(name, "--kinds") == 0)
        o->kinds = value;
    else if (strcmp(name, "--loads") == 0)
        o->loads = value;
    else if (strcmp(name, "--placements") == 0)
        o->placements = value;
    else if (strcmp(name, "--strace") == 0)
        o->strace = value;
    else if (strcmp(name, "--rounds") == 0)
        o->rounds = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--rate") == 0)
        o->rate = strtod(value, NULL);
    else if (strcmp(name, "--warm-up") == 0)
        o->warm_up_ms = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--measure") == 0)
        o->measured_ms = (unsigned)strtoul(value, NULL, 10);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static char kinds[] = "raw,bufferevent,weft";
    static char loads[] = "32:1x1,32:1x64,32:64x8,65536:1x64";
    static char placements[] = "same";
    options o = {.kinds = kinds,
                 .loads = loads,
                 .placements = placements,
                 .rounds = 5,
                 .warm_up_ms = 300,
                 .measured_ms = 1000};
    bool good = true;
    char *rest, *load;
    ssize_t len = readlink("/proc/self/exe", o.dir, sizeof(o.dir) - 1);

    if (len <= 0)
        return 1;
    *strrchr(o.dir, '/') = '\0';
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !set_option(&o, argv[i], argv[i + 1])) {
            fprintf(stderr, "what is %s?\n", argv[i]);
            return 2;
        }
    rest = o.loads;
    while ((load = strtok_r(rest, ",", &rest)) != NULL) {
        char *all = strdup(o.placements), *next = all, *placement;

        while (all != NULL && (placement = strtok_r(next, ",", &next)) != NULL)
            good = measure(&o, load, placement) && good;
        free(all);
    }
    return good ? 0 : 1;
}
