#include "conn_harness.h"
#include "conn_internal.h"
#include "fail_nth.h"
#include "listener_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/log.h>
#include <weft/sys.h>

/* ---- what a connection speaks ---- */

static void http_is_handed_on_with_all_its_bytes(void **state)
{
    harness *h = *state;
    service s = {0};
    int fd;

    service_open(h, &s, "127.0.0.1:0"); /* HTTP does not wait for a release */
    fd = raw_connect(h, s.uri);
    settle(h);
    put_bytes(fd, "P", 1);
    settle(h);
    put_bytes(fd, "OS", 2);
    settle(h);
    assert_int_equal(s.http, 0);
    put_bytes(fd, "T / HTTP/1.1\r\n", 14);
    turn_until(h, &s.http, 1);
    assert_int_equal(s.first_len, 17);
    assert_memory_equal(s.first, "POST / HTTP/1.1\r\n", 17);
    assert_int_equal(weft__listener_count(s.listener), 0);
    close(fd);
    service_close(h, &s);
}

static void an_undecided_byte_is_taken_so_that_it_wakes_nobody(void **state)
{
    harness *h = *state;
    service s = {0};
    char uri[100];
    int fd;

    snprintf(uri, sizeof uri, "unix:///tmp/weft-listener-%ld.sock",
             (long)getpid());
    service_open(h, &s, uri);
    fd = raw_connect(h, s.uri);
    settle(h);
    put_bytes(fd, "P", 1);
    assert_true(weft__sys_unsent(fd) > 0);
    settle(h);
    assert_int_equal(weft__sys_unsent(fd), 0);
    assert_int_equal(weft__listener_count(s.listener), 1);
    close(fd);
    settle(h);
    assert_int_equal(weft__listener_count(s.listener), 0);
    service_close(h, &s);
}

static void tls_gets_an_alert(void **state)
{
    static const uint8_t alert[] = {0x15, 3, 1, 0, 2, 2, 0x28};
    harness *h = *state;
    service s = {0};
    uint8_t hello[300] = {0x16, 3, 1, 1, 0x23}, got[100];
    int fd;

    service_open(h, &s, "127.0.0.1:0");
    fd = raw_connect(h, s.uri);
    settle(h);
    put_bytes(fd, hello, sizeof hello);
    settle(h);
    put_bytes(fd, hello, sizeof hello); /* after the shutdown */
    settle(h);
    assert_int_equal(get_bytes(fd, got, sizeof got), sizeof alert);
    assert_memory_equal(got, alert, sizeof alert);
    assert_int_equal(get_bytes(fd, got, 1), -1);
    assert_int_equal(weft__listener_count(s.listener), 1);
    close(fd);
    settle(h);
    assert_int_equal(weft__listener_count(s.listener), 0);
    service_close(h, &s);
}

static void http2_gets_a_goaway(void **state)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    harness *h = *state;
    service s = {0};
    uint8_t got[200];
    ssize_t n;
    int fd;

    service_open(h, &s, "127.0.0.1:0");
    fd = raw_connect(h, s.uri);
    settle(h);
    put_bytes(fd, preface, sizeof preface - 1);
    settle(h);
    n = get_bytes(fd, got, sizeof got);
    assert_true(n > 9 + 9 + 8);
    assert_memory_equal(got, "\0\0\0\4\0\0\0\0\0", 9); /* SETTINGS */
    assert_int_equal(got[9 + 3], 7);                   /* GOAWAY */
    assert_int_equal((got[9] << 16) + (got[10] << 8) + got[11], n - 18);
    assert_memory_equal(got + 18, "\0\0\0\0\0\0\0\x0d", 8);
    assert_int_equal(get_bytes(fd, got, 1), -1);
    /* It does not close: it is left to itself when the time is up. */
    later(h, 2000);
    assert_int_equal(weft__listener_count(s.listener), 0);
    close(fd);
    service_close(h, &s);
}

static void what_is_no_protocol_is_closed(void **state)
{
    static const char *const junk[] = {"\x80\x00\x00\x00", "hello", "G3T /",
                                       "\x16\x02\x01", " GET /"};
    harness *h = *state;
    service s = {0};

    service_open(h, &s, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        int fd = raw_connect(h, s.uri);
        uint8_t byte;

        settle(h);
        put_bytes(fd, junk[i], 4);
        settle(h);
        assert_int_equal(get_bytes(fd, &byte, 1), -1);
        close(fd);
    }
    assert_int_equal(weft__listener_count(s.listener), 0);
    assert_int_equal(s.n + s.http, 0);
    service_close(h, &s);
}

static void who_does_not_say_what_it_speaks_is_closed(void **state)
{
    harness *h = *state;
    service s = {0};
    int silent, slow;
    uint8_t byte;

    service_open(h, &s, "127.0.0.1:0");
    silent = raw_connect(h, s.uri);
    slow = raw_connect(h, s.uri);
    settle(h);
    later(h, 900);
    put_bytes(slow, "PO", 2); /* gains no time by it */
    settle(h);
    later(h, 99);
    assert_int_equal(weft__listener_count(s.listener), 2);
    later(h, 1);
    assert_int_equal(weft__listener_count(s.listener), 0);
    assert_int_equal(get_bytes(silent, &byte, 1), -1);
    assert_int_equal(get_bytes(slow, &byte, 1), -1);
    close(silent);
    close(slow);
    service_close(h, &s);
}

/* ---- limits ---- */

static unsigned logged;

static void count_log(weft_log_level level, const char *event,
                      const char *fields, void *user)
{
    (void)level;
    (void)event;
    (void)fields;
    (void)user;
    logged++;
}

static void connections_over_the_limit_are_closed(void **state)
{
    harness *h = *state;
    service s = {.conf = {.conn = &h->server,
                          .backlog = 64,
                          .max_connections = 3,
                          .accepts_per_wakeup = 16}};
    int fds[20];
    unsigned open = 0;
    uint8_t byte;

    logged = 0;
    weft_log_set_sink(count_log, NULL);
    service_open(h, &s, "127.0.0.1:0");
    for (int i = 0; i < 20; i++)
        fds[i] = raw_connect(h, s.uri);
    settle(h);
    for (int i = 0; i < 20; i++)
        open += get_bytes(fds[i], &byte, 1) == 0;
    assert_int_equal(open, 3);
    assert_in_range(logged, 1, 5); /* not once for each */
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    settle(h);
    fds[0] = raw_connect(h, s.uri);
    settle(h);
    assert_int_equal(weft__listener_count(s.listener), 1);
    close(fds[0]);
    service_close(h, &s);
    weft_log_set_sink(NULL, NULL);
}

static void without_descriptors_it_refuses_sleeps_and_recovers(void **state)
{
    enum { PEERS = 30, ROOM = 3 };
    harness *h = *state;
    service s = {0};
    struct rlimit limit, low;
    int fds[PEERS], next;
    unsigned refused = 0;
    uint8_t byte;

    logged = 0;
    weft_log_set_sink(count_log, NULL);
    service_open(h, &s, "127.0.0.1:0");
    for (int i = 0; i < PEERS; i++)
        fds[i] = raw_connect(h, s.uri);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    next = dup(0);
    close(next);
    low = limit;
    low.rlim_cur = (rlim_t)(next + ROOM);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);

    settle(h);
    assert_int_equal(weft__listener_count(s.listener), ROOM);
    for (int i = 0; i < PEERS; i++)
        refused += get_bytes(fds[i], &byte, 1) < 0;
    assert_int_equal(refused, 1); /* and then it sleeps */
    later(h, 99);
    assert_int_equal(weft__listener_count(s.listener), ROOM);
    later(h, 1);
    refused = 0;
    for (int i = 0; i < PEERS; i++)
        refused += get_bytes(fds[i], &byte, 1) < 0;
    assert_int_equal(refused, 2);
    assert_in_range(logged, 1, 5);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    later(h, 100);
    assert_int_equal(weft__listener_count(s.listener), PEERS - 2);
    for (int i = 0; i < PEERS; i++)
        close(fds[i]);
    service_close(h, &s);
    weft_log_set_sink(NULL, NULL);
}

/* The peers live in a process of their own, which has descriptors of its own.
 */
static void hold_connections(const char *path, unsigned n, int go)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char byte;

    strcpy(un.sun_path, path);
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof un) != 0)
            _exit(1);
    }
    _exit(read(go, &byte, 1) == 1 ? 0 : 1);
}

static void ten_thousand_silent_connections_cost_nobody_else(void **state)
{
    harness *h = *state;
    service s = {.like = {.echo = true}};
    recorder r = {0};
    struct rlimit limit, raised;
    unsigned n = 10000;
    char uri[100];
    int pipes[2], result = -1;
    pid_t child;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    raised = limit;
    raised.rlim_cur = raised.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
    if (raised.rlim_max < n + 100) {
        n = (unsigned)raised.rlim_max - 100;
        print_message("only %u connections: the hard limit of open files\n", n);
    }
    snprintf(uri, sizeof uri, "unix:///tmp/weft-silent-%ld.sock",
             (long)getpid());
    h->server.handshake_ms = 60000;
    service_open(h, &s, uri);
    weft__listener_release(s.listener);
    assert_int_equal(pipe(pipes), 0);
    if ((child = fork()) == 0)
        hold_connections(uri + strlen("unix://"), n, pipes[0]);
    for (long i = 0; i < 10000000 && weft__listener_count(s.listener) < n; i++)
        turn(h);
    assert_int_equal(weft__listener_count(s.listener), n);

    connect_to(h, &r, s.uri);
    assert_int_equal(r.ready, 1);
    for (unsigned i = 1; i <= 100; i++) {
        assert_int_equal(ask(&r, "hello", 5), WEFT_OK);
        turn_until(h, &r.messages, i);
    }
    for (int i = 0; i < 70; i++)
        later(h, 1000);
    assert_int_equal(weft__listener_count(s.listener), 1);
    assert_int_equal(ask(&r, "hello", 5), WEFT_OK);
    turn_until(h, &r.messages, 101);

    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    weft__conn_abort(r.conn, WEFT_OK, "done");
    turn_until(h, &r.closed, 1);
    service_close(h, &s);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- addresses ---- */

static weft_status open_at(harness *h, const char *uri, const char **why)
{
    static const weft__listener_handler none;
    const weft__listener_conf conf = {.conn = &h->server, .backlog = 4};
    weft__listener *l;
    weft_status status =
        weft__listener_open(&l, h->loop, uri, &conf, &none, NULL, why);

    if (status == WEFT_OK)
        weft__listener_close(l);
    return status;
}

static void an_address_that_cannot_be_is_told_in_words(void **state)
{
    harness *h = *state;
    const char *why = NULL;

    assert_int_equal(open_at(h, "127.0.0.1:99999", &why), WEFT_ESYNTAX);
    assert_non_null(why);
    assert_int_equal(open_at(h, "unix:///no/such/folder/socket", &why),
                     WEFT_EADDR);
    assert_string_equal(why, "no such file or directory");
    assert_int_equal(open_at(h, "192.0.2.1:0", &why), WEFT_EADDR);
    assert_string_equal(why, "cannot assign requested address");
}

static void a_port_of_zero_becomes_a_real_one(void **state)
{
    harness *h = *state;
    service s = {0};

    service_open(h, &s, "127.0.0.1:0");
    assert_int_not_equal(weft_address_port(weft__listener_address(s.listener)),
                         0);
    service_close(h, &s);
}

static void a_connection_knows_its_peer(void **state)
{
    static const char *const uris[] = {"127.0.0.1:0", "inproc:///peer"};
    harness *h = *state;

    for (int i = 0; i < 2; i++) {
        service s = {0};
        char text[WEFT_ADDRESS_TEXT];
        weft_address peer;
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        int fd;

        service_open(h, &s, uris[i]);
        weft__listener_release(s.listener);
        fd = raw_connect(h, s.uri);
        settle(h);
        put_frame(fd, 'Q', 1, 1);
        turn_until(h, &s.n, 1);
        turn_until(h, &s.conns[0].messages, 1);
        weft__conn_peer(s.conns[0].conn, text, sizeof text);
        if (i == 0) {
            assert_int_equal(weft_address_parse(&peer, text, NULL), WEFT_OK);
            assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
            assert_int_equal(weft_address_port(&peer), ntohs(in.sin_port));
            assert_true(weft_address_is_loopback(&peer));
        } else {
            assert_string_equal(text, "inproc:///peer");
        }
        close(fd);
        service_close(h, &s);
    }
}

/* Its congestion control, in text. */
static const char *control_of(int fd, char text[16])
{
    socklen_t len = 15;

    memset(text, 0, 16);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len),
                     0);
    return text;
}

static void
only_connections_over_loopback_leave_the_systems_control(void **state)
{
    static const char *const others[] = {"cubic", "bbr"};
    weft_address far, near;
    char before[16], after[16];
    int fd = weft__sys_socket(AF_INET, SOCK_STREAM), on = 0;
    socklen_t len = sizeof on;

    (void)state;
    /* One that is not Reno, if there is one. */
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, others[i],
                         (socklen_t)strlen(others[i]));
    weft_address_parse(&far, "192.0.2.1:1", NULL);
    weft_address_parse(&near, "127.0.0.7:1", NULL);
    control_of(fd, before);
    weft__socket_tune(fd, &far);
    assert_string_equal(control_of(fd, after), before);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    weft__socket_tune(fd, &near);
    assert_string_equal(control_of(fd, after), "reno");
    close(fd);
}

static void neither_end_over_loopback_is_paced(void **state)
{
    static const char *const uris[] = {"127.0.0.1:0", "0.0.0.0:0"};
    harness *h = *state;

    for (int i = 0; i < 2; i++) {
        service s = {0};
        char uri[WEFT_ADDRESS_TEXT], control[16];
        int fd;

        service_open(h, &s, uris[i]);
        if (i == 0) /* before its connections are: they never begin to pace */
            assert_string_equal(control_of(s.listener->fd, control), "reno");
        weft__listener_release(s.listener);
        snprintf(uri, sizeof uri, "127.0.0.1%s", strchr(s.uri, ':'));
        fd = raw_connect(h, uri);
        settle(h);
        put_frame(fd, 'Q', 1, 1);
        turn_until(h, &s.n, 1);
        assert_string_equal(control_of(fd, control), "reno");
        assert_string_equal(control_of(s.conns[0].conn->socket.fd, control),
                            "reno");
        close(fd);
        service_close(h, &s);
    }
}

static void listeners_may_share_a_port_if_they_say_so(void **state)
{
    harness *h = *state;
    service a = {.conf = {.conn = &h->server,
                          .backlog = 64,
                          .max_connections = 10,
                          .accepts_per_wakeup = 16,
                          .reuse_port = true}};
    service b = a;

    service_open(h, &a, "127.0.0.1:0");
    service_open(h, &b, a.uri);
    assert_string_equal(a.uri, b.uri);
    service_close(h, &a);
    service_close(h, &b);
}

static void a_unix_sockets_file_comes_and_goes_with_its_listener(void **state)
{
    harness *h = *state;
    service s = {0};
    struct stat st;
    char path[100], uri[120];
    const char *why = NULL;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int dead;

    snprintf(path, sizeof path, "/tmp/weft-file-%ld.sock", (long)getpid());
    snprintf(uri, sizeof uri, "unix://%s", path);
    /* What a process that crashed has left. */
    dead = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(un.sun_path, path);
    assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof un), 0);
    close(dead);
    service_open(h, &s, uri);
    assert_int_equal(open_at(h, uri, &why), WEFT_EADDR); /* it lives */
    assert_int_equal(stat(path, &st), 0);
    service_close(h, &s);
    assert_int_equal(stat(path, &st), -1);

    /* What is no socket is nobody's to remove. */
    dead = open(path, O_CREAT | O_RDWR, 0600);
    close(dead);
    assert_int_equal(open_at(h, uri, &why), WEFT_EADDR);
    assert_string_equal(why, "address already in use");
    assert_int_equal(stat(path, &st), 0);
    unlink(path);

    /* Nor is another's socket of the same name. */
    service_open(h, &s, uri);
    unlink(path);
    dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof un), 0);
    service_close(h, &s);
    assert_int_equal(stat(path, &st), 0);
    close(dead);
    unlink(path);
}

/* ---- closing ---- */

static weft__listener *to_close;
static unsigned told_null;

static bool close_listener_in_native(weft__listener *l, void **conn_user,
                                     void *user)
{
    *conn_user = user;
    weft__listener_close(l);
    to_close = NULL;
    return true;
}

static bool accept_native(weft__listener *l, void **conn_user, void *user)
{
    (void)l;
    *conn_user = user;
    return true;
}

static bool refuse_native(weft__listener *l, void **conn_user, void *user)
{
    (void)l;
    (void)conn_user;
    (*(unsigned *)user)++;
    return false;
}

static void remember_conn(weft__listener *l, weft__conn *conn, void *conn_user,
                          void *user)
{
    recorder *r = conn_user;

    (void)l;
    (void)user;
    r->conn = conn;
    told_null += conn == NULL;
}

static void a_listener_may_be_closed_in_its_own_callback(void **state)
{
    static const weft__listener_handler handler = {
        .on_native = close_listener_in_native, .on_conn = remember_conn};
    harness *h = *state;
    const weft__listener_conf conf = {.conn = &h->server,
                                      .backlog = 4,
                                      .max_connections = 9,
                                      .accepts_per_wakeup = 4};

    for (int held = 0; held < 2; held++) {
        recorder r = {.echo = true};
        char uri[WEFT_ADDRESS_TEXT];
        int fd, other;

        assert_int_equal(weft__listener_open(&to_close, h->loop, "127.0.0.1:0",
                                             &conf, &handler, &r, NULL),
                         WEFT_OK);
        weft_address_format(weft__listener_address(to_close), uri, sizeof uri);
        if (!held)
            weft__listener_release(to_close);
        fd = raw_connect(h, uri);
        other = raw_connect(h, uri);
        settle(h);
        put_frame(fd, 'Q', 1, 10);
        settle(h);
        if (held) {
            assert_null(r.conn);
            weft__listener_release(to_close);
        }
        turn_until(h, &r.messages, 1); /* the connection outlives it */
        assert_null(to_close);
        weft__conn_abort(r.conn, WEFT_OK, "done");
        turn_until(h, &r.closed, 1);
        close(fd);
        close(other);
    }
}

static void who_is_not_wanted_is_closed(void **state)
{
    static const weft__listener_handler handler = {.on_native = refuse_native,
                                                   .on_conn = remember_conn};
    harness *h = *state;
    const weft__listener_conf conf = {.conn = &h->server,
                                      .backlog = 4,
                                      .max_connections = 9,
                                      .accepts_per_wakeup = 4};
    weft__listener *l;
    char uri[WEFT_ADDRESS_TEXT];
    unsigned asked = 0;
    uint8_t byte;
    int fd;

    assert_int_equal(weft__listener_open(&l, h->loop, "127.0.0.1:0", &conf,
                                         &handler, &asked, NULL),
                     WEFT_OK);
    weft__listener_release(l);
    weft_address_format(weft__listener_address(l), uri, sizeof uri);
    fd = raw_connect(h, uri);
    settle(h);
    put_frame(fd, 'Q', 1, 10);
    turn_until(h, &asked, 1);
    settle(h);
    assert_int_equal(get_bytes(fd, &byte, 1), -1);
    assert_int_equal(weft__listener_count(l), 0);
    close(fd);
    weft__listener_close(l);
}

static void many_that_wait_are_handed_over_some_at_a_time(void **state)
{
    harness *h = *state;
    service s = {0};
    int fds[SERVICE_CONNS];

    service_open(h, &s, "inproc:///held");
    for (unsigned i = 0; i < SERVICE_CONNS; i++) {
        fds[i] = raw_connect(h, s.uri);
        put_frame(fds[i], 'Q', i + 1, 100000); /* most of it stays unread */
    }
    settle(h);
    later(h, 100000);
    assert_int_equal(weft__listener_count(s.listener), SERVICE_CONNS);
    assert_int_equal(s.n, 0);
    weft__listener_release(s.listener);
    for (unsigned i = 0; i < SERVICE_CONNS; i++) {
        turn_until(h, &s.n, i + 1);
        turn_until(h, &s.conns[i].messages, 1);
        assert_int_equal(s.conns[i].bytes, 100000);
        assert_int_equal(s.conns[i].last, i + 1); /* in order of arrival */
        close(fds[i]);
    }
    service_close(h, &s);
}

/* ---- every allocation fails once ---- */

typedef struct run_with {
    harness *h;
    const char *uri;
} run_with;

static weft_status serve_one(void *user)
{
    static const weft__listener_handler handler = {.on_native = accept_native,
                                                   .on_conn = remember_conn};
    run_with *run = user;
    harness *h = run->h;
    const weft__listener_conf conf = {.conn = &h->server,
                                      .backlog = 4,
                                      .max_connections = 9,
                                      .accepts_per_wakeup = 4};
    recorder r = {.echo = true}, client = {0};
    weft__listener *l;
    weft_address address;
    const char *why = "";
    weft_status status =
        weft__listener_open(&l, h->loop, run->uri, &conf, &handler, &r, &why);

    if (status != WEFT_OK) {
        assert_string_equal(why, weft_status_text(WEFT_ENOMEM));
        return status;
    }
    address = *weft__listener_address(l);
    status = weft__conn_connect(&client.conn, h->loop, &address, &h->client,
                                &client);
    settle(h);
    weft__listener_release(l);
    for (int i = 0; i < 100 && status == WEFT_OK && client.ready == 0 &&
                    client.closed == 0;
         i++)
        later(h, 1);
    if (client.ready == 0 && status == WEFT_OK)
        status = WEFT_ENOMEM; /* one connection, and its peer is told */
    assert_true(client.ready > 0 || client.closed > 0 || client.conn == NULL);
    if (client.conn != NULL)
        weft__conn_abort(client.conn, WEFT_OK, "done");
    settle(h);
    if (r.conn != NULL)
        weft__conn_abort(r.conn, WEFT_OK, "done");
    weft__listener_close(l);
    settle(h);
    return status;
}

static void
no_allocation_that_fails_costs_more_than_one_connection(void **state)
{
    run_with tcp = {*state, "127.0.0.1:0"}, inproc = {*state, "inproc:///x"};

    assert_true(fail_each_allocation(serve_one, &tcp) >= 4);
    assert_true(fail_each_allocation(serve_one, &inproc) >= 6);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(http_is_handed_on_with_all_its_bytes),
        T(an_undecided_byte_is_taken_so_that_it_wakes_nobody),
        T(tls_gets_an_alert),
        T(http2_gets_a_goaway),
        T(what_is_no_protocol_is_closed),
        T(who_does_not_say_what_it_speaks_is_closed),
        T(connections_over_the_limit_are_closed),
        T(without_descriptors_it_refuses_sleeps_and_recovers),
        T(ten_thousand_silent_connections_cost_nobody_else),
        T(an_address_that_cannot_be_is_told_in_words),
        T(a_port_of_zero_becomes_a_real_one),
        T(a_connection_knows_its_peer),
        T(only_connections_over_loopback_leave_the_systems_control),
        T(neither_end_over_loopback_is_paced),
        T(listeners_may_share_a_port_if_they_say_so),
        T(a_unix_sockets_file_comes_and_goes_with_its_listener),
        T(a_listener_may_be_closed_in_its_own_callback),
        T(who_is_not_wanted_is_closed),
        T(many_that_wait_are_handed_over_some_at_a_time),
        T(no_allocation_that_fails_costs_more_than_one_connection),
    };
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
