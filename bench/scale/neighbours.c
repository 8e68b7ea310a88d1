/* neighbours.c - what a bad neighbour does to the others' latency.
 *
 *     scale_neighbours [MEASURED_MS [CALLS_PER_S]]
 *
 * The others (latency.c) are measured alone, then beside a bad one, which gets
 * what their client leaves of its core, and so for each of these:
 *
 *   slow reader  asks for 8 replies of 1 MiB, and reads 256 KiB each 20 ms;
 *                also 200 of them, one of which does so each 5 ms
 *   slow writer  200 connections, on which calls arrive byte by byte
 *   flood        one connection, on which calls are sent as fast as they go
 */
#include "scale.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE_BYTES 1048576
#define LARGE_CALLS 8
#define READERS 200
#define WRITERS 200

static echo_shared *others;

/* ---- The server ---- */

static void large_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                       Bench__EchoMessage_Closure reply, void *call)
{
    static uint8_t bytes[LARGE_BYTES];
    Bench__EchoMessage out = BENCH__ECHO_MESSAGE__INIT;

    (void)self, (void)in;
    out.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
    reply(&out, call);
}

static void serve(void *arg)
{
    static Bench__Echo_Service large = BENCH__ECHO__INIT(large_);
    weft_server *server;
    weft_loop *loop;

    (void)arg;
    scale_be_first();
    server = scale_server(&loop, NULL, &scale_echo.base);
    weft_server_add_service_as(server, "bench.Large", &large.base);
    scale_listen(server, &others->port);
    weft_loop_run(loop);
}

/* ---- The bad neighbours ---- */

static weft_stub connect_to_server(weft_loop *loop)
{
    weft_channel_conf conf = {.max_frame_bytes = 2 * LARGE_BYTES};

    return scale_stub(loop, others->port, &conf);
}

static void ask_again(const Bench__EchoMessage *reply, void *user)
{
    weft_stub *stub = user;
    Bench__EchoMessage request = BENCH__ECHO_MESSAGE__INIT;

    (void)reply; /* one that was refused or cut off is asked for again */
    bench__echo__echo(&stub->base, &request, ask_again, user);
}

/* Each on a loop of its own, so that they read one after the other. */
static void read_slowly(uint32_t readers, useconds_t every_us)
{
    weft_loop *loops[READERS];
    weft_stub stubs[READERS];

    for (uint32_t i = 0; i < readers; i++) {
        weft_loop_new(&loops[i], NULL);
        stubs[i] = connect_to_server(loops[i]);
        stubs[i].options.service = "bench.Large";
        stubs[i].options.timeout_ms = 60000;
        for (int n = 0; n < LARGE_CALLS; n++)
            ask_again(NULL, &stubs[i]);
    }
    for (uint32_t i = 0;; i = (i + 1) % readers) {
        (void)weft_loop_poll(loops[i]);
        usleep(every_us);
    }
}

static void read_slowly_alone(void *arg)
{
    (void)arg;
    read_slowly(1, 20000);
}

static void read_slowly_together(void *arg)
{
    (void)arg;
    read_slowly(READERS, 5000);
}

/* A call of "/bench.Echo/Echo" as version 0 has it. */
static size_t frame(uint8_t out[128])
{
    static const char path[] = "/bench.Echo/Echo";
    const uint8_t path_len = sizeof(path) - 1, data_len = 32;
    uint8_t *at = out + 15;

    memset(out, 0, 128);
    *at++ = 0x12;
    *at++ = path_len;
    memcpy(at, path, path_len);
    at += path_len;
    *at++ = 0x22; /* payload: an EchoMessage with data */
    *at++ = (uint8_t)(data_len + 2);
    *at++ = 0x0a;
    *at++ = data_len;
    at += data_len;
    out[0] = 0x11;
    out[10] = (uint8_t)(at - out - 15);
    return (size_t)(at - out);
}

static int raw_socket(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(others->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        echo_die("connect");
    return fd;
}

static void read_away(int fd)
{
    static uint8_t bytes[262144];

    scale_check(read(fd, bytes, sizeof(bytes)) != 0, "the server has left");
}

static void write_slowly(void *arg)
{
    uint8_t bytes[128];
    size_t len = frame(bytes), at[WRITERS];
    int fds[WRITERS];

    (void)arg;
    for (int i = 0; i < WRITERS; i++) {
        fds[i] = raw_socket();
        at[i] = (size_t)i % len; /* or all would be whole at the same time */
        scale_check(write(fds[i], bytes, at[i]) == (ssize_t)at[i], "write");
    }
    for (;;)
        for (int i = 0; i < WRITERS; i++) {
            if (write(fds[i], bytes + at[i], 1) == 1)
                at[i] = (at[i] + 1) % len;
            if (at[i] == 0)
                read_away(fds[i]);
        }
}

static void flood(void *arg)
{
    static uint8_t bytes[2048 * 128];
    size_t len = frame(bytes), all = 2048 * len, at = 0;
    int fd = raw_socket();

    (void)arg;
    for (size_t i = 1; i < 2048; i++)
        memcpy(bytes + i * len, bytes, len);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
        ssize_t n = 0;

        (void)poll(&p, 1, -1);
        if ((p.revents & POLLOUT) != 0)
            n = write(fd, bytes + at, all - at);
        if (n > 0)
            at = (at + (size_t)n) % all;
        if ((p.revents & POLLIN) != 0)
            read_away(fd);
    }
}

/* ---- Rounds ---- */

static const struct {
    const char *name;
    void (*run)(void *arg); /* NULL: nobody */
} cases[] = {{"alone", NULL},
             {"slow reader", read_slowly_alone},
             {"200 slow readers", read_slowly_together},
             {"slow writer", write_slowly},
             {"flood", flood}};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* Of the others, in us. */
typedef struct latency {
    double p50, p99, p999, server_busy;
} latency;

static latency measure(int which)
{
    pid_t server = scale_others_server(others, serve, NULL), bad = 0;

    if (cases[which].run != NULL)
        bad = scale_fork(SCALE_CLIENT_CPU, cases[which].run, NULL);
    scale_others_call(others);
    if (bad != 0)
        scale_kill(bad);
    scale_kill(server);
    return (latency){scale_others_us(others, 0.5),
                     scale_others_us(others, 0.99),
                     scale_others_us(others, 0.999),
                     others->server_us * 1e3 / (double)others->window_ns};
}

int main(int argc, char **argv)
{
    others = scale_others(scale_arg(argc, argv, 1, 500),
                          scale_arg(argc, argv, 2, 4000));
    for (int which = 1; which < CASES; which++) {
        latency alone = measure(0), beside = measure(which);

        printf("{\"scale\": \"neighbours\", \"case\": \"%s\", "
               "\"alone_p50_us\": %.1f, \"alone_p99_us\": %.1f, "
               "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
               "\"p99_ratio\": %.3f, \"server_busy\": %.3f}\n",
               cases[which].name, alone.p50, alone.p99, beside.p50, beside.p99,
               beside.p999, beside.p99 / alone.p99, beside.server_busy);
        fflush(stdout);
    }
    return 0;
}
