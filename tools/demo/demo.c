/* demo.c - calls three greeters at a steady rate while they come and go.
 *
 *     demo DEMO_SERVER consul|static [seconds]
 *
 * It starts the servers itself, so that it knows what was in flight when it
 * kills one: A gets SIGTERM and comes back, B gets SIGKILL.  script/demo starts
 * Consul and this. */
#include "demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

#define RATE 2500 /* calls per second */
#define TICK_MS 4
#define DRAW_MS 500

typedef struct demo {
    const char *server_path;
    bool consul;
    double length; /* seconds of load */
    demo_board board;
    weft_loop *loop;
    weft_channel *channel;
    weft_stub stub;
    weft_timer tick, draw;
    uint64_t begun_ms, drawn_ms, left;
    int act; /* what has been done to the servers */
    bool loading, done;
} demo;

static demo_server *server_of(demo *d, const char *peer)
{
    for (int i = 0; i < DEMO_SERVERS; i++)
        if (strcmp(d->board.servers[i].address, peer) == 0)
            return &d->board.servers[i];
    return NULL;
}

/* ---- Servers ---- */

static int free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) != 0) {
        perror("demo: no free port");
        exit(1);
    }
    close(fd);
    return ntohs(in.sin_port);
}

static void start_server(demo *d, demo_server *s)
{
    char port[16], name[2] = {s->name, '\0'};

    snprintf(port, sizeof(port), "%d", s->port);
    if ((s->pid = fork()) == 0) {
        execl(d->server_path, d->server_path, port, name,
              d->consul ? "consul" : (char *)NULL, (char *)NULL);
        perror(d->server_path);
        _exit(127);
    }
    s->note = "";
}

static void end_server(demo_server *s, int sig, const char *note)
{
    if (s->pid > 0)
        kill(s->pid, sig);
    s->note = note;
}

/* The script of the evening: what happens when, in parts of the whole. */
static void act(demo *d, double at)
{
    demo_server *a = &d->board.servers[0], *b = &d->board.servers[1];
    static const double when[] = {.25, .50, .70};

    if (d->act >= 3 || at < when[d->act])
        return;
    switch (d->act++) {
    case 0:
        end_server(a, SIGTERM, "SIGTERM: drains");
        break;
    case 1:
        waitpid(a->pid, NULL, 0);
        start_server(d, a);
        a->note = "is back";
        break;
    case 2:
        b->killed = true;
        end_server(b, SIGKILL, "SIGKILL");
        break;
    }
    for (int i = 0; i < DEMO_SERVERS; i++)
        if (d->board.servers[i].note[0] != '\0')
            snprintf(d->board.event, sizeof(d->board.event), "%c: %s",
                     d->board.servers[i].name, d->board.servers[i].note);
}

static void on_endpoint(const weft_endpoint_stats *e, void *user)
{
    demo_server *s = server_of(user, e->address);

    if (s == NULL)
        return;
    s->in_flight = e->in_flight;
    s->ready = e->ready;
    if (s->killed && e->in_flight > s->lost_bound && s->failed == 0)
        s->lost_bound = e->in_flight;
}

/* ---- Calls ---- */

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    demo *d = user;
    demo_board *b = &d->board;
    demo_server *s = server_of(d, r->peer);

    if (reply != NULL) {
        uint64_t us = r->resolving_us + r->connecting_us + r->waiting_us;
        b->ok++;
        b->interval_calls++;
        demo_latency_add(&b->interval, us);
        demo_latency_add(&b->whole, us);
        if (s != NULL) {
            s->ok++;
            s->calls++;
        }
    } else {
        b->failed++;
        if (s != NULL)
            s->failed++;
        else
            b->failed_elsewhere++;
        if (b->first_failure[0] == '\0')
            snprintf(b->first_failure, sizeof(b->first_failure), "%s: %s",
                     weft_status_name(r->status), r->message);
    }
    if (--d->left == 0 && !d->loading)
        d->done = true;
}

static void on_tick(weft_timer *timer, void *user)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    demo *d = user;
    uint64_t elapsed = weft_loop_now_ms(d->loop) - d->begun_ms;
    uint64_t due = elapsed * RATE / 1000;

    d->board.seconds = (double)elapsed / 1000;
    request.msg = "demo";
    for (; d->board.started < due; d->board.started++) {
        d->left++;
        helloworld__greeter__say_hello(&d->stub.base, &request, on_reply, d);
    }
    act(d, d->board.seconds / d->length);
    weft_channel_each_endpoint(d->channel, on_endpoint, d);
    d->loading = d->board.seconds < d->length;
    if (d->loading)
        weft_timer_start(timer, TICK_MS);
}

static void on_draw(weft_timer *timer, void *user)
{
    demo *d = user;
    uint64_t now = weft_loop_now_ms(d->loop);

    d->board.interval_ms = (uint32_t)(now - d->drawn_ms);
    d->drawn_ms = now;
    demo_draw(&d->board);
    d->board.interval_calls = 0;
    d->board.interval = (demo_latency){0};
    for (int i = 0; i < DEMO_SERVERS; i++)
        d->board.servers[i].calls = 0;
    weft_timer_start(timer, DRAW_MS);
}

/* ---- main ---- */

static bool wait_until_all_ready(demo *d)
{
    for (int i = 0; i < 150; i++) {
        uint64_t ready = weft_channel_get_stats(d->channel).ready_endpoints;
        if (ready == DEMO_SERVERS)
            return true;
        weft_loop_run_until(d->loop, &(bool){false}, 100);
    }
    weft_dump(d->loop, stderr);
    return false;
}

static void set_up(demo *d)
{
    char target[256] = "static:///";

    for (int i = 0; i < DEMO_SERVERS; i++) {
        demo_server *s = &d->board.servers[i];
        s->name = (char)('A' + i);
        s->port = free_port();
        snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", s->port);
        start_server(d, s);
        strncat(target, i > 0 ? "," : "", sizeof(target) - strlen(target) - 1);
        strncat(target, s->address, sizeof(target) - strlen(target) - 1);
    }
    d->board.discovery = d->consul ? "Consul" : "a static list";
    d->board.live = isatty(STDOUT_FILENO) != 0;
    weft_channel_new(
        &d->channel, d->loop,
        d->consul ? "consul:///helloworld.Greeter" : target,
        &(weft_channel_conf){.eager = true, .backoff_max_ms = 500});
    d->stub = weft_stub_for(d->channel, &helloworld__greeter__descriptor);
    weft_timer_init(&d->tick, d->loop, on_tick, d);
    weft_timer_init(&d->draw, d->loop, on_draw, d);
}

int main(int argc, char **argv)
{
    static demo d;
    int code = 1;

    if (argc < 3 || weft_loop_new(&d.loop, NULL) != WEFT_OK)
        return 2;
    d.server_path = argv[1];
    d.consul = strcmp(argv[2], "consul") == 0;
    d.length = argc > 3 ? atof(argv[3]) : 20;
    weft_log_set_level(WEFT_LOG_ERROR);
    set_up(&d);
    if (wait_until_all_ready(&d)) {
        d.begun_ms = d.drawn_ms = weft_loop_now_ms(d.loop);
        d.loading = true;
        weft_timer_start(&d.tick, TICK_MS);
        weft_timer_start(&d.draw, DRAW_MS);
        weft_loop_run_until(d.loop, &d.done,
                            (uint32_t)(d.length * 1000) + 10000);
        code = demo_summary(&d.board);
        if (d.left > 0) {
            printf("FAILED: %llu calls never ended\n",
                   (unsigned long long)d.left);
            code = 1;
        }
    } else {
        fprintf(stderr, "demo: the servers were not found\n");
    }
    weft_timer_stop(&d.tick);
    weft_timer_stop(&d.draw);
    weft_channel_close(d.channel);
    weft_loop_free(d.loop);
    for (int i = 0; i < DEMO_SERVERS; i++)
        end_server(&d.board.servers[i], SIGTERM, "");
    for (int i = 0; i < DEMO_SERVERS; i++)
        if (d.board.servers[i].pid > 0)
            waitpid(d.board.servers[i].pid, NULL, 0);
    return code;
}
