/* weft_server_run and signals, each in a process of its own; embedding, which
 * leaves signals alone; /health. */
#include "rpc_fixture.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs in a child; its exit code is the test's. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        weft_log_set_level(WEFT_LOG_OFF);
        alarm(20);
        exit(fn()); /* with a look for leaks, where there is one */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static weft_loop *loop;
static weft_server *server;
static Helloworld__Greeter_Service greeter;
static weft_call *held;

static void hold_say_hello(Helloworld__Greeter_Service *self,
                           const Helloworld__HelloRequest *in,
                           Helloworld__HelloReply_Closure reply, void *call)
{
    (void)self;
    (void)in;
    (void)reply;
    held = call;
}

static void make(const weft_server_conf *conf)
{
    static const Helloworld__Greeter_Service init =
        HELLOWORLD__GREETER__INIT(hold_);

    greeter = init;
    weft_loop_new(&loop, NULL);
    weft_server_new(&server, loop, conf);
    weft_server_add_service(server, &greeter.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
}

static int end(int code)
{
    weft_server_free(server);
    weft_loop_free(loop);
    return code;
}

/* Sends signals while the loop runs. */
static weft_timer timer;
static int signals_left;

static void on_tick(weft_timer *t, void *user)
{
    (void)user;
    kill(getpid(), SIGTERM);
    if (--signals_left > 0)
        weft_timer_start(t, 150); /* or it would be the same one, twice */
}

static void signal_in(uint32_t ms, int n)
{
    weft_timer_init(&timer, loop, on_tick, NULL);
    signals_left = n;
    weft_timer_start(&timer, ms);
}

static raw_client client;

static int run_and_term(void)
{
    make(NULL);
    signal_in(10, 1);
    return end(weft_server_run(server));
}

static void sigterm_drains_and_exits_with_0(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_and_term), 0);
}

static void signal_twice(weft_timer *t, void *user)
{
    (void)t;
    (void)user;
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGTERM);
}

static int run_and_term_twice(void)
{
    make(NULL);
    weft_timer_init(&timer, loop, signal_twice, NULL);
    weft_timer_start(&timer, 10);
    return end(weft_server_run(server));
}

static void a_signal_that_is_sent_twice_at_once_is_one(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_and_term_twice), 0);
}

/* Connects, and makes a call that its handler holds. */
static void connect_from_timer(weft_timer *t, void *user)
{
    if (client.conn == NULL) {
        raw_open(&client, loop, weft_server_address(server, 0));
    } else if (client.ready) {
        raw_unary(&client, HELLO, "\x0a\x01x", 3, WEFT_NO_DEADLINE);
        return;
    }
    (void)user;
    weft_timer_start(t, 5);
}

static int held_run(int n_signals, uint32_t drain_ms, int expected)
{
    static weft_timer up;
    int code;

    make(&(weft_server_conf){.drain_ms = drain_ms});
    weft_timer_init(&up, loop, connect_from_timer, NULL);
    weft_timer_start(&up, 5);
    signal_in(100, n_signals);
    code = weft_server_run(server);
    if (held == NULL || client.replies[0].status != WEFT_UNAVAILABLE)
        code = 77;
    end(0);
    raw_fini(&client);
    return code == expected ? 0 : 10 + code;
}

static int cancelled_calls(void)
{
    return held_run(1, 50, 1);
}

static void calls_that_had_to_be_cancelled_exit_with_1(void **state)
{
    (void)state;
    assert_int_equal(in_child(cancelled_calls), 0);
}

static int second_signal(void)
{
    return held_run(2, 15000, 1);
}

static void a_second_signal_ends_at_once_with_1(void **state)
{
    (void)state;
    assert_int_equal(in_child(second_signal), 0);
}

static void hanging_init(weft_plugin *self, const weft_plugin_host *host,
                         weft_plugin_done *done)
{
    (void)self;
    (void)host;
    (void)done;
}

static void failing_init(weft_plugin *self, const weft_plugin_host *host,
                         weft_plugin_done *done)
{
    (void)self;
    (void)host;
    weft_plugin_finish(done, WEFT_INTERNAL, "broken");
}

static void no_free(weft_plugin *self)
{
    (void)self;
}

static int signal_while_starting(void)
{
    static const weft_plugin_ops ops = {
        .name = "hangs", .init = hanging_init, .free = no_free};
    static weft_plugin plugin = {&ops};

    make(NULL);
    weft_server_use(server, &plugin);
    signal_in(10, 1);
    return end(weft_server_run(server));
}

static void a_signal_while_starting_ends_the_start_at_once(void **state)
{
    (void)state;
    assert_int_equal(in_child(signal_while_starting), 0);
}

static int failing_plugin(void)
{
    static const weft_plugin_ops ops = {
        .name = "fails", .init = failing_init, .free = no_free};
    static weft_plugin plugin = {&ops};

    make(NULL);
    weft_server_use(server, &plugin);
    return end(weft_server_run(server));
}

static void a_start_that_fails_exits_with_1(void **state)
{
    (void)state;
    assert_int_equal(in_child(failing_plugin), 1);
}

static void free_server(weft_timer *t, void *user)
{
    (void)t;
    (void)user;
    weft_server_free(server);
}

static int freed_while_running(void)
{
    static weft_timer t;
    int code;

    make(NULL);
    weft_timer_init(&t, loop, free_server, NULL);
    weft_timer_start(&t, 20);
    code = weft_server_run(server);
    weft_loop_free(loop);
    return code;
}

static void a_server_freed_in_a_callback_ends_its_run(void **state)
{
    (void)state;
    assert_int_equal(in_child(freed_while_running), 0);
}

static void close_loop(weft_timer *t, void *user)
{
    (void)t;
    (void)user;
    weft_loop_close(loop, NULL, NULL);
}

static int loop_closed_while_running(void)
{
    static weft_timer t;

    make(NULL);
    weft_timer_init(&t, loop, close_loop, NULL);
    weft_timer_start(&t, 20);
    return weft_server_run(server);
}

static void a_loop_closed_in_a_callback_ends_the_run(void **state)
{
    (void)state;
    assert_int_equal(in_child(loop_closed_while_running), 0);
}

static int run_ends_without_leftovers(void)
{
    struct sigaction before, after;
    int code;

    make(NULL);
    sigaction(SIGTERM, NULL, &before);
    signal_in(10, 1);
    code = weft_server_run(server);
    sigaction(SIGTERM, NULL, &after);
    if (before.sa_handler != after.sa_handler)
        code = 50;
    if (weft_loop_run(loop) != WEFT_OK) /* nothing is left: it returns */
        code = 51;
    return end(code);
}

static void after_the_run_signals_and_loop_are_as_before(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_ends_without_leftovers), 0);
}

/* ---- Embedding ---- */

static void stop_base(weft_server *s, weft_status status, const char *message,
                      void *user)
{
    (void)s;
    (void)status;
    (void)message;
    event_base_loopbreak(user);
}

static int embedded(void)
{
    struct event_base *base = event_base_new();
    struct sigaction before, after;
    bool failed;

    sigaction(SIGTERM, NULL, &before);
    weft_loop_wrap(&loop, base, NULL);
    weft_server_new(&server, loop, NULL);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    if (weft_server_run(server) != 1) /* refused: use start */
        return 60;
    weft_server_free(server);
    weft_server_new(&server, loop, NULL);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    weft_server_start(server, stop_base, base);
    event_base_dispatch(base);
    if (weft_server_get_state(server) != WEFT_SERVER_SERVING)
        return 61;
    sigaction(SIGTERM, NULL, &after);
    failed = before.sa_handler != after.sa_handler;
    weft_server_drain(server, 0, stop_base, base);
    event_base_dispatch(base);
    if (weft_server_get_state(server) != WEFT_SERVER_CLOSED)
        return 62;
    weft_server_free(server);
    weft_loop_free(loop);
    event_base_free(base);
    return failed ? 63 : 0;
}

static void an_embedded_server_touches_no_signals(void **state)
{
    (void)state;
    assert_int_equal(in_child(embedded), 0);
}

/* ---- Health ---- */

static void ask(fixture *f, const char *path, char *answer, size_t size)
{
    int fd = plain_connect(weft_server_address(f->server, 0));
    char request[128];
    size_t len = 0;
    long n = -1;
    int i;

    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);
    plain_send(fd, request, strlen(request));
    for (i = 0; i < 500 && n != 0; i++) {
        test_loop_settle(&f->t);
        n = plain_recv(fd, answer + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    answer[len] = '\0';
    close(fd);
    test_loop_settle(&f->t);
}

#define ASSERT_HTTP(f, path, code)                                             \
    do {                                                                       \
        char answer_[2048];                                                    \
        ask(f, path, answer_, sizeof(answer_));                                \
        assert_memory_equal(answer_, "HTTP/1.1 " code, 12);                    \
    } while (0)

static weft_plugin_done *init_done;

static void later_init(weft_plugin *self, const weft_plugin_host *host,
                       weft_plugin_done *done)
{
    (void)self;
    (void)host;
    init_done = done;
}

static void health_is_200_while_serving_and_503_otherwise(void **state)
{
    static const weft_plugin_ops ops = {
        .name = "later", .init = later_init, .free = no_free};
    static weft_plugin plugin = {&ops};
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    weft_server_use(f->server, &plugin);
    weft_server_start(f->server, on_started, f);
    test_loop_settle(&f->t);
    ASSERT_HTTP(f, "/health", "503");
    ASSERT_HTTP(f, "/livez", "200");
    weft_plugin_finish(init_done, WEFT_OK, NULL);
    test_loop_settle(&f->t);
    ASSERT_HTTP(f, "/health", "200");
    ASSERT_HTTP(f, "/livez", "200");
    ASSERT_HTTP(f, "/other", "404");
    weft_server_set_health(f->server, false);
    ASSERT_HTTP(f, "/health", "503");
    weft_server_set_health(f->server, true);
    ASSERT_HTTP(f, "/health", "200");
    weft_server_drain(f->server, 0, on_drained, f);
    test_loop_settle(&f->t);
    assert_string_equal(weft__phase_name(f->server), "lame duck");
    ASSERT_HTTP(f, "/health", "503");
    ASSERT_HTTP(f, "/livez", "200");
}

static void http_connections_count_and_close_with_the_server(void **state)
{
    fixture *f = *state;
    char byte;
    int fd;

    fixture_server(f, NULL, NULL);
    fixture_start(f);
    fd = plain_connect(weft_server_address(f->server, 0));
    plain_send(fd, "GET /health HTTP/1.1\r\n", 22);
    test_loop_settle(&f->t);
    assert_int_equal(weft_server_get_stats(f->server).connections, 1);
    weft_server_drain(f->server, 0, on_drained, f);
    test_loop_advance(&f->t, 100);
    run_while(f, f->n_drained == 0);
    assert_int_equal(plain_recv(fd, &byte, 1), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_drains_and_exits_with_0),
        cmocka_unit_test(calls_that_had_to_be_cancelled_exit_with_1),
        cmocka_unit_test(a_signal_that_is_sent_twice_at_once_is_one),
        cmocka_unit_test(a_second_signal_ends_at_once_with_1),
        cmocka_unit_test(a_signal_while_starting_ends_the_start_at_once),
        cmocka_unit_test(a_start_that_fails_exits_with_1),
        cmocka_unit_test(a_server_freed_in_a_callback_ends_its_run),
        cmocka_unit_test(a_loop_closed_in_a_callback_ends_the_run),
        cmocka_unit_test(after_the_run_signals_and_loop_are_as_before),
        cmocka_unit_test(an_embedded_server_touches_no_signals),
        FIXTURE_TEST(health_is_200_while_serving_and_503_otherwise),
        FIXTURE_TEST(http_connections_count_and_close_with_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
