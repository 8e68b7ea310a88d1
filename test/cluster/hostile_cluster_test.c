/* hostile_cluster_test.c - agents that answer with every kind of nonsense, in a
 * process of their own, while the ticker watches the loop: nothing they say may
 * crash the watcher, change its list, or hold the loop. */
#include "support.h"
#include "consul.h"
#include "watcher.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOOD                                                                   \
    "[{\"Node\":{\"Node\":\"n\",\"Address\":\"10.0.0.1\"},\"Service\":{"       \
    "\"ID\":\"i\",\"Port\":80},\"Checks\":[{\"Status\":\"passing\"}]}]"

static pid_t server;
static uint16_t port;
static char folder[64];

static void say(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* 200 with a body of n bytes, by Content-Length. */
static void say_body(int fd, const char *body, size_t n)
{
    char head[256];

    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: %zu\r\n"
             "\r\n",
             n);
    say_text(fd, head);
    say(fd, body, n);
}

static char *filled(size_t n, char with)
{
    char *body = malloc(n);

    memset(body, with, n);
    return body;
}

#define LINE "HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\n"

#define INSTANCES 20000
static char *catalogue(size_t *n)
{
    char *body = malloc(INSTANCES * 700), *at = body;

    *at++ = '[';
    for (int i = 0; i < INSTANCES; i++)
        at += sprintf(at,
                      "%s{\"Node\":{\"Address\":\"10.0.0.1\"},\"Service\":{"
                      "\"ID\":\"%d\",\"Address\":\"10.1.%d.%d\",\"Port\":80,"
                      "\"Tags\":[\"a\",\"b\"],\"Meta\":{\"x\":\"%0450d\"}}}",
                      i > 0 ? "," : "", i, i >> 8, i & 255, 0);
    *at++ = ']';
    *n = (size_t)(at - body);
    return body;
}

/* The n-th misdeed. */
static void misbehave(int fd, int n)
{
    const size_t large = 30 << 20;
    size_t n_bytes;
    char *body;

    switch (n) {
    case 0: /* 20,000 instances in 12 MB, cut off at the end */
        body = catalogue(&n_bytes);
        say_body(fd, body, n_bytes - 1);
        break;
    case 1: /* one string of 30 MB */
        body = filled(large, 'x');
        body[0] = '"';
        say_body(fd, body, large);
        break;
    case 2: /* brackets */
        body = filled(large, '[');
        say_body(fd, body, large);
        break;
    case 3: /* numbers: 15 million bad entries */
        body = filled(large, '1');
        for (size_t i = 2; i < large; i += 2)
            body[i] = ',';
        body[0] = '[';
        body[large - 1] = ']';
        say_body(fd, body, large);
        break;
    case 4: /* more than the cap */
        body = filled((32 << 20) + 1, ' ');
        say_body(fd, body, (32 << 20) + 1);
        break;
    case 5:
        say_text(fd, LINE "Content-Length: 99999999999999999999\r\n\r\n[]");
        return;
    case 6:
        say_text(fd, LINE "Content-Length: -1\r\n\r\n[]");
        return;
    case 7:
        say_text(fd, LINE "Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n[]");
        return;
    case 8:
        say_text(fd, LINE "Transfer-Encoding: chunked\r\n\r\nzz\r\n[]");
        return;
    case 9: /* a header without end */
        body = filled(1 << 20, 'h');
        say_text(fd, LINE "X: ");
        say(fd, body, 1 << 20);
        break;
    case 10: /* 100,000 headers */
        say_text(fd, LINE);
        for (int i = 0; i < 100000; i++)
            say_text(fd, "A: b\r\n");
        return;
    case 11:
        say_text(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n"
                     "Content-Length: 0\r\n\r\n");
        return;
    case 12: /* two answers to one question */
        say_text(fd, LINE "Content-Length: 2\r\n\r\n{}" LINE
                          "Content-Length: 2\r\n\r\n{}");
        return;
    case 13: /* zeros */
        body = filled(65536, '\0');
        say(fd, body, 65536);
        break;
    case 14: /* a byte at a time, and never whole */
        for (int i = 0; i < 40; i++) {
            say(fd, &LINE[i % 20], 1);
            consul_sleep_ms(5);
        }
        return;
    case 15: {
        const struct linger hard = {1, 0};

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        return;
    }
    default: /* in the end, the same 20,000, and all of it */
        body = catalogue(&n_bytes);
        say_body(fd, body, n_bytes);
        prctl(PR_SET_NAME, "weft-done"); /* a sign for the test */
    }
    free(body);
}

/* The watch "web" has one good answer and then none; the others have misdeeds,
 * each the next one. */
static void serve(int listener)
{
    static char request[65536];
    bool first = true;

    for (int n = 0;;) {
        int fd = accept(listener, NULL, NULL);
        ssize_t got = fd >= 0 ? recv(fd, request, sizeof(request) - 1, 0) : 0;

        request[got > 0 ? got : 0] = '\0';
        if (strstr(request, "/web?") == NULL) {
            if (got > 0)
                misbehave(fd, n++);
        } else if (first) {
            say_text(fd, LINE "Connection: close\r\n\r\n" GOOD);
            first = false;
        }
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static int start_hostile(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t parent = getpid();

    (void)state;
    strcpy(folder, "/tmp/weft-hostile-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    setenv("WEFT_CACHE_DIR", folder, 1);
    if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
        listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
        return -1;
    port = ntohs(sin.sin_port);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            serve(fd);
        _exit(0);
    }
    close(fd);
    return server < 0;
}

static int end_hostile(void **state)
{
    char command[128];

    (void)state;
    watcher_stop_all();
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static bool through(void)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)server);
    file = fopen(path, "r");
    if (file == NULL || fgets(name, sizeof(name), file) == NULL)
        name[0] = '\0';
    if (file != NULL)
        fclose(file);
    return strncmp(name, "weft-done", 9) == 0;
}

/* Another target is another watch, whose first question is due at once. */
static watcher *another(const char *target, unsigned number)
{
    char other[160];

    snprintf(other, sizeof(other), "%s%u", target, number);
    return watcher_start(other, NULL, NULL);
}

static void no_answer_crashes_stalls_or_changes_the_list(void **state)
{
    watcher *w, *extra;
    char target[128];
    unsigned n = 0;

    (void)state;
    snprintf(target, sizeof(target), "consul://127.0.0.1:%u/web",
             (unsigned)port);
    w = watcher_start(target, NULL, NULL);
    watcher_wait(w, "10.0.0.1:80", 5000);
    while (!through() && n < 60) {
        extra = another(target, n++);
        for (int i = 0; i < 200 && watcher_look(extra).requests == 0; i++)
            consul_sleep_ms(10);
        consul_sleep_ms(300);
        assert_int_equal(watcher_look(extra).empties, 0);
        watcher_stop(extra);
    }
    assert_true(through());
    /* a good one of that size does not hold the loop either */
    extra = another(target, n);
    for (int i = 0; i < 500 && watcher_look(extra).updates == 0; i++)
        consul_sleep_ms(10);
    assert_int_equal(watcher_look(extra).count, INSTANCES);
    consul_sleep_ms(1500); /* nor does its cache file, a second later */
    watcher_stop(extra);
    assert_string_equal(watcher_look(w).list, "10.0.0.1:80");
    assert_int_equal(watcher_look(w).updates, 1);
    watcher_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            no_answer_crashes_stalls_or_changes_the_list, start_hostile,
            end_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
