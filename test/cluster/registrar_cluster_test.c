/* registrar_cluster_test.c - a server's registration with a real Consul, seen
 * by a watcher on the same loop: it comes, is looked after, and goes. */
#include "support.h"
#include "consul.h"
#include "watcher.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/consul.h>
#include <weft/plugin_internal.h>

static consul_agent solo;

/* --- a server, as its plugin and Consul see it --- */

typedef struct phase {
    weft_plugin_done done; /* first */
    atomic_uint finished;
    weft_status status;
} phase;

typedef struct server {
    uint16_t port;
    weft_address address;
    weft_plugin_host host;
    weft_consul_conf conf;
    char agent[64];
    weft_plugin *plugin;
    phase init, drain, close;
    watcher *w;
    /* what /health says, from a thread of its own */
    pthread_t health;
    int listener;
    atomic_int code; /* 0: end */
} server;

static void on_finish(weft_plugin_done *done, weft_status status,
                      const char *message)
{
    phase *p = (phase *)done;

    (void)message;
    done->finish = NULL;
    p->status = status;
    p->finished++;
}

static void wait_for(phase *p, unsigned ms)
{
    for (unsigned i = 0; i < ms / 5 && p->finished == 0; i++)
        consul_sleep_ms(5);
    assert_int_equal(p->finished, 1);
    assert_int_equal(p->status, WEFT_OK);
}

static void *run_health(void *arg)
{
    server *s = arg;

    while (s->code != 0) {
        char text[512];
        int fd = accept(s->listener, NULL, NULL);

        if (fd < 0)
            continue;
        if (recv(fd, text, sizeof(text), 0) > 0) {
            int n = snprintf(text, sizeof(text),
                             "HTTP/1.1 %d Health\r\nContent-Length: 0\r\n"
                             "Connection: close\r\n\r\n",
                             s->code);

            (void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static void open_health(server *s)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    const struct timeval limit = {.tv_usec = 50000};

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(bind(s->listener, (struct sockaddr *)&sin, sizeof(sin)),
                     0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&sin, &len),
                     0);
    s->port = ntohs(sin.sin_port);
    assert_int_equal(
        weft_address_from_sockaddr(&s->address, (struct sockaddr *)&sin, len),
        WEFT_OK);
    s->code = 503;
    assert_int_equal(pthread_create(&s->health, NULL, run_health, s), 0);
}

static void begin_init(weft_loop *loop, void *user)
{
    static const char *const names[] = {"t.Service"};
    server *s = user;

    s->host = (weft_plugin_host){.loop = loop,
                                 .services = names,
                                 .n_services = 1,
                                 .addresses = &s->address,
                                 .n_addresses = 1};
    s->plugin = weft_consul_plugin(&s->conf);
    assert_non_null(s->plugin);
    s->init.done.finish = on_finish;
    s->plugin->ops->init(s->plugin, &s->host, &s->init.done);
}

static void begin_serving(void *arg)
{
    server *s = arg;

    s->plugin->ops->serving(s->plugin);
}

static void begin_drain(void *arg)
{
    server *s = arg;

    s->drain.done.finish = on_finish;
    s->plugin->ops->draining(s->plugin, &s->drain.done);
}

static void begin_close(void *arg)
{
    server *s = arg;

    s->close.done.finish = on_finish;
    s->plugin->ops->close(s->plugin, &s->close.done);
    s->plugin->ops->free(s->plugin);
}

/* Registered, not yet serving; watched on the same loop. */
static server *start_server(weft_consul_conf conf)
{
    server *s = calloc(1, sizeof(*s));
    char target[128];

    assert_non_null(s);
    open_health(s);
    snprintf(s->agent, sizeof(s->agent), "%s:%u", solo.ip, solo.http);
    s->conf = conf;
    s->conf.agent = s->agent;
    snprintf(target, sizeof(target), "consul%s://%s/t.Service",
             conf.kv ? "+kv" : "", s->agent);
    s->w = watcher_start(target, begin_init, s);
    wait_for(&s->init, 3500);
    return s;
}

static void own_list(const server *s, char *out, size_t size)
{
    snprintf(out, size, "127.0.0.1:%u", (unsigned)s->port);
}

static void expect_listed(server *s, unsigned ms, const char *what)
{
    uint64_t begun = watcher_now_us(), at;
    char list[64];

    own_list(s, list, sizeof(list));
    at = watcher_wait(s->w, list, ms);
    print_message("             %s after %.0f ms\n", what,
                  at > begun ? (double)(at - begun) / 1000 : 0.0);
}

/* Without a drain, if it is to have died. */
static void end_server(server *s, bool drain)
{
    if (drain) {
        weft_loop_post(s->w->loop, begin_drain, s);
        wait_for(&s->drain, 5000);
    }
    weft_loop_post(s->w->loop, begin_close, s);
    wait_for(&s->close, 1000);
    watcher_stop(s->w);
    s->code = 0;
    pthread_join(s->health, NULL);
    close(s->listener);
    free(s);
}

static int start_solo(void **state)
{
    (void)state;
    setenv("WEFT_CACHE_DIR", "off", 1);
    consul_single(&solo);
    return 0;
}

static int end_solo(void **state)
{
    (void)state;
    watcher_stop_all();
    consul_end(&solo);
    return 0;
}

/* --- tests --- */

/* An interval of the check, 500 ms here, and the 1 s of the empty guard bound
 * what is waited for. */
static void a_server_is_found_when_healthy_and_gone_when_it_drains(void **state)
{
    server *s = start_server((weft_consul_conf){.check_interval_ms = 500});

    (void)state;
    watcher_wait(s->w, "", 2000);
    weft_loop_post(s->w->loop, begin_serving, s);
    consul_sleep_ms(1200);
    assert_int_equal(watcher_look(s->w).count, 0); /* /health says 503 */
    s->code = 200;
    expect_listed(s, 3000, "found");
    s->code = 500;
    watcher_wait(s->w, "", 5000);
    s->code = 200;
    expect_listed(s, 3000, "found again");
    weft_loop_post(s->w->loop, begin_drain, s);
    wait_for(&s->drain, 2000);
    watcher_wait(s->w, "", 3000);
    assert_int_equal(consul_request(&solo, "GET",
                                    "/v1/agent/service/t.Service-nobody", NULL,
                                    NULL, 0),
                     404);
    end_server(s, false);
}

static void
a_ttl_is_found_at_once_and_comes_back_after_an_agent_forgot_it(void **state)
{
    server *s =
        start_server((weft_consul_conf){.check = "ttl", .ttl_ms = 10000});
    char path[128];

    (void)state;
    weft_loop_post(s->w->loop, begin_serving, s);
    expect_listed(s, 1000, "found");
    snprintf(path, sizeof(path),
             "/v1/agent/service/deregister/t.Service-127.0.0.1-%u",
             (unsigned)s->port);
    consul_put(&solo, path, ""); /* the next beat notices */
    watcher_wait(s->w, "", 3000);
    expect_listed(s, 6000, "back");
    consul_signal(&solo, SIGKILL);
    consul_wipe(&solo);
    consul_start(&solo);
    consul_wait_leader(&solo, 20000);
    for (int i = 0;; i++) { /* the agent is told again, by a beat or a look */
        snprintf(path, sizeof(path),
                 "/v1/agent/health/service/id/t.Service-127.0.0.1-%u",
                 (unsigned)s->port);
        if (consul_request(&solo, "GET", path, NULL, NULL, 0) == 200)
            break;
        assert_true(i < 200);
        consul_sleep_ms(100);
    }
    /* and all the while nobody was without the list */
    assert_int_equal(watcher_look(s->w).count, 1);
    end_server(s, true);
}

static void key_of(const server *s, char *out, size_t size)
{
    snprintf(out, size, "/v1/kv/t.Service/127.0.0.1:%u", (unsigned)s->port);
}

static void a_key_is_what_gorpc_writes_and_goes_with_the_drain(void **state)
{
    server *s = start_server((weft_consul_conf){.kv = true});
    char key[128], raw[160], answer[1024];

    (void)state;
    watcher_wait(s->w, "", 2000);
    key_of(s, key, sizeof(key));
    assert_int_equal(consul_request(&solo, "GET", key, NULL, NULL, 0), 404);
    weft_loop_post(s->w->loop, begin_serving, s);
    expect_listed(s, 1000, "found");
    assert_int_equal(
        consul_request(&solo, "GET", key, NULL, answer, sizeof(answer)), 200);
    assert_non_null(strstr(answer, "\"Flags\":3304740253564472344"));
    assert_null(strstr(answer, "Session"));
    snprintf(raw, sizeof(raw), "%s?raw", key);
    consul_request(&solo, "GET", raw, NULL, answer, sizeof(answer));
    assert_string_equal(answer, key + strlen("/v1/kv/t.Service/"));
    weft_loop_post(s->w->loop, begin_drain, s);
    wait_for(&s->drain, 2000);
    watcher_wait(s->w, "", 3000);
    assert_int_equal(consul_request(&solo, "GET", key, NULL, NULL, 0), 404);
    end_server(s, false);
}

/* Consul ends a session at twice its TTL, which is 10 s at least. */
static void a_key_under_a_session_vanishes_with_its_process(void **state)
{
    const weft_consul_conf conf = {
        .kv = true, .kv_session = true, .kv_session_ttl_ms = 10000};
    server *s = start_server(conf);
    char key[128];
    int i = 0;

    (void)state;
    key_of(s, key, sizeof(key));
    weft_loop_post(s->w->loop, begin_serving, s);
    expect_listed(s, 1000, "found");
    consul_sleep_ms(12000); /* longer than the TTL: it is renewed */
    assert_int_equal(consul_request(&solo, "GET", key, NULL, NULL, 0), 200);
    end_server(s, false);
    for (; consul_request(&solo, "GET", key, NULL, NULL, 0) == 200; i++) {
        assert_true(i < 300);
        consul_sleep_ms(100);
    }
    print_message("             gone after %d s\n", i / 10);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start_solo, end_solo)
    const struct CMUnitTest tests[] = {
        T(a_server_is_found_when_healthy_and_gone_when_it_drains),
        T(a_ttl_is_found_at_once_and_comes_back_after_an_agent_forgot_it),
        T(a_key_is_what_gorpc_writes_and_goes_with_the_drain),
        T(a_key_under_a_session_vanishes_with_its_process),
    };
    int code;

    if (consul_missing(&code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
