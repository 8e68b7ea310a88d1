/* embed.c - Weft inside a libevent program that already runs its own loop.
 *
 *     embed [tcp://127.0.0.1:8000]
 *
 * The program keeps its base, its signals and its own events; Weft is a guest:
 * it is started, drained, and closed asynchronously. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct app {
    struct event_base *base;
    struct event *ticker, *on_sigterm;
    weft_loop *loop;
    weft_server *server;
    int ticks;
} app;

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)self, (void)in;
    out.msg = "hello from a guest";
    reply(&out, call);
}

static Helloworld__Greeter_Service greeter =
    HELLOWORLD__GREETER__INIT(greeter_);

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    app *a = arg;

    (void)fd, (void)what;
    a->ticks++; /* the program's own work goes on */
}

static void on_loop_closed(void *user)
{
    app *a = user;

    event_del(a->ticker);
    event_del(a->on_sigterm);
    printf("closed after %d ticks\n", a->ticks);
}

static void on_drained(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    app *a = user;

    (void)message;
    printf("drained: %s\n", weft_status_name(status));
    weft_server_free(server);
    weft_loop_close(a->loop, on_loop_closed, a);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    app *a = arg;

    (void)fd, (void)what;
    weft_server_drain(a->server, 5000, on_drained, a);
}

static void on_started(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    char text[WEFT_ADDRESS_TEXT];

    if (status != WEFT_OK) {
        fprintf(stderr, "%s\n", message);
        event_base_loopbreak(((app *)user)->base);
        return;
    }
    printf("listening on %s\n",
           weft_address_format(weft_server_address(server, 0), text,
                               sizeof(text)));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    app a = {.base = event_base_new()};
    struct timeval tick = {.tv_usec = 10000};

    a.ticker = event_new(a.base, -1, EV_PERSIST, on_tick, &a);
    event_add(a.ticker, &tick);
    a.on_sigterm = evsignal_new(a.base, SIGTERM, on_signal, &a);
    event_add(a.on_sigterm, NULL);

    if (weft_loop_wrap(&a.loop, a.base, NULL) != WEFT_OK)
        return 1;
    weft_server_new(&a.server, a.loop, NULL);
    weft_server_add_service(a.server, &greeter.base);
    weft_server_listen(a.server, argc > 1 ? argv[1] : "tcp://127.0.0.1:8000");
    if (weft_server_start(a.server, on_started, &a) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(a.server));
        return 1;
    }
    event_base_dispatch(a.base);
    event_free(a.ticker);
    event_free(a.on_sigterm);
    event_base_free(a.base);
    return 0;
}
