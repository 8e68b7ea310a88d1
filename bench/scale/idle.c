/* idle.c - what connections that idle cost a server: memory, and the latency of
 * the others.
 *
 *     scale_idle [CONNECTIONS [MEASURED_MS [CALLS_PER_S]]]
 *
 * Each connection has made one call, as real ones have, and stays.  0
 * connections are as many as a process may have descriptors.  They come from
 * several processes and source addresses.  The server's memory is compared with
 * what it was after the first WARM_UP ones.
 *
 * The others (latency.c) are measured alone, then beside the idle ones. */
#include "scale.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WARM_UP 500
#define HOLDERS 8
#define SPARE 200 /* descriptors for anything else */
#define LIMIT_BYTES 450

typedef struct shared {
    volatile bool ask, told; /* for allocated: the server looks now and then */
    volatile uint64_t allocated;
    volatile bool leave; /* holders: look whether all are still there */
    struct holder {
        uint32_t i, connections;
        volatile bool ready;
    } holders[HOLDERS + 1]; /* the last one's are the first */
} shared;

static echo_shared *others;
static shared *all;

/* ---- The server ---- */

static void look(weft_timer *timer, void *user)
{
    struct mallinfo2 info;

    (void)user;
    if (all->ask) {
        info = mallinfo2();
        all->allocated = info.uordblks + info.hblkhd;
        all->ask = false;
        all->told = true;
    }
    weft_timer_start(timer, 20);
}

static void serve(void *arg)
{
    weft_server_conf conf = {.max_connections = UINT32_MAX - 1};
    weft_server *server;
    weft_timer timer;
    weft_loop *loop;

    (void)arg;
    scale_be_first();
    server = scale_server(&loop, &conf, &scale_echo.base);
    weft_timer_init(&timer, loop, look, NULL);
    weft_timer_start(&timer, 0);
    scale_listen(server, &others->port);
    weft_loop_run(loop);
}

static uint64_t allocated(void)
{
    all->told = false;
    all->ask = true;
    scale_wait(&all->told, 10000, "the server does not look");
    return all->allocated;
}

/* ---- Those that idle ---- */

/* docs/protocol.md: a probe; then "/bench.Echo/Echo" with 4 bytes. */
static const uint8_t probe[] = {0x11, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t one_call[] = {
    0x11, 1,    0,   0,   0,   0,    0,   0,    0,   0,   26,  0,   0,   0,
    1,    0x12, 16,  '/', 'b', 'e',  'n', 'c',  'h', '.', 'E', 'c', 'h', 'o',
    '/',  'E',  'c', 'h', 'o', 0x22, 6,   0x0a, 4,   'i', 'd', 'l', 'e'};

/* Its answer, or the beginning of it, which is one write. */
static void ask(int fd, const void *bytes, size_t len)
{
    uint8_t answer[256];

    scale_check(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
    scale_check(recv(fd, answer, sizeof(answer), 0) > 15, "no answer");
}

static int connect_from(uint32_t holder)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(others->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + holder);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        echo_die("connect");
    return fd;
}

static void hold(void *arg)
{
    struct holder *h = arg;
    int *fds = calloc(h->connections, sizeof(*fds));
    uint8_t byte;

    scale_check(fds != NULL, "no memory");
    for (uint32_t i = 0; i < h->connections; i++) {
        fds[i] = connect_from(h->i);
        ask(fds[i], probe, sizeof(probe));
        ask(fds[i], one_call, sizeof(one_call));
    }
    h->ready = true;
    scale_wait(&all->leave, 600000, "nobody says when to leave");
    for (uint32_t i = 0; i < h->connections; i++)
        scale_check(recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
                    "an idle connection was closed");
    _exit(0);
}

static pid_t start_holder(uint32_t i, uint32_t connections)
{
    struct holder *h = &all->holders[i];

    h->i = i;
    h->connections = connections;
    h->ready = false;
    return scale_fork(SCALE_CLIENT_CPU, hold, h);
}

/* ---- Rounds ---- */

/* Of the others, in us. */
typedef struct latency {
    double p50, p99;
} latency;

static latency measure(void)
{
    scale_others_call(others);
    return (latency){scale_others_us(others, 0.5),
                     scale_others_us(others, 0.99)};
}

static uint32_t most_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        echo_die("getrlimit");
    limit.rlim_cur = limit.rlim_max; /* for the children, too */
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        echo_die("setrlimit");
    return (uint32_t)(limit.rlim_cur < 1000000 ? limit.rlim_cur : 1000000) -
           WARM_UP - SPARE;
}

int main(int argc, char **argv)
{
    uint32_t most = most_connections(), n = scale_arg(argc, argv, 1, 10000);
    const char *which = n == 0 ? "most" : "some";
    pid_t server, holders[HOLDERS + 1];
    latency alone, beside;
    double rss, heap;

    n = n == 0 || n > most ? most : n;
    all = scale_share(sizeof(*all));
    others = scale_others(scale_arg(argc, argv, 2, 3000),
                          scale_arg(argc, argv, 3, 1000));
    server = scale_others_server(others, serve, NULL);
    alone = measure();
    holders[HOLDERS] = start_holder(HOLDERS, WARM_UP);
    scale_wait(&all->holders[HOLDERS].ready, 30000, "no connections");
    rss = (double)echo_rss_kb(server);
    heap = (double)allocated();
    for (uint32_t i = 0; i < HOLDERS; i++)
        holders[i] = start_holder(i, n / HOLDERS + (i < n % HOLDERS ? 1 : 0));
    for (uint32_t i = 0; i < HOLDERS; i++)
        scale_wait(&all->holders[i].ready, 60000, "no connections");
    rss = ((double)echo_rss_kb(server) - rss) * 1024 / n;
    heap = ((double)allocated() - heap) / n;
    beside = measure();
    all->leave = true;
    for (uint32_t i = 0; i <= HOLDERS; i++)
        scale_wait_exit(holders[i], 10000, "idle connections have been lost");
    scale_kill(server);
    printf("{\"scale\": \"idle\", \"case\": \"%s\", \"connections\": %u, "
           "\"server_bytes\": %.1f, \"allocated_bytes\": %.1f, "
           "\"limit_bytes\": %d, \"alone_p50_us\": %.1f, "
           "\"alone_p99_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p99_ratio\": %.3f}\n",
           which, n, rss, heap, LIMIT_BYTES, alone.p50, alone.p99, beside.p50,
           beside.p99, beside.p99 / alone.p99);
    return 0;
}
