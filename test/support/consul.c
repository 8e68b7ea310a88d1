/* consul.c - real Consul agents, and a plain blocking client. */
#include "support.h"
#include "consul.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t consul_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void consul_sleep_ms(unsigned ms)
{
    const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

static const char *program(void)
{
    static char path[4096];
    const char *named = getenv("WEFT_CONSUL");

    if (named != NULL && named[0] != '\0')
        return access(named, X_OK) == 0 ? named : NULL;
    snprintf(path, sizeof(path), "%s/build/tools/consul", WEFT_SOURCE_DIR);
    if (access(path, X_OK) == 0)
        return path;
    return system("command -v consul >/dev/null 2>&1") == 0 ? "consul" : NULL;
}

bool consul_missing(int *code)
{
    const char *may_skip = getenv("WEFT_SKIP_CONSUL");

    if (program() != NULL)
        return false;
    if (may_skip != NULL && strcmp(may_skip, "1") == 0) {
        *code = 77;
        fprintf(stderr, "skipped, as WEFT_SKIP_CONSUL=1 says\n");
    } else {
        *code = 1;
        fprintf(stderr, "there is no Consul: run script/setup, or set "
                        "WEFT_CONSUL, or WEFT_SKIP_CONSUL=1 to go without "
                        "these tests\n");
    }
    return true;
}

/* Held until all are chosen, so that they differ. */
static void free_ports(const char *ip, uint16_t *out, size_t n)
{
    int fds[8];

    for (size_t i = 0; i < n; i++) {
        struct sockaddr_in sin = {.sin_family = AF_INET};
        socklen_t len = sizeof(sin);

        assert_int_equal(inet_pton(AF_INET, ip, &sin.sin_addr), 1);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(
            bind(fds[i], (const struct sockaddr *)&sin, sizeof(sin)), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&sin, &len), 0);
        out[i] = ntohs(sin.sin_port);
    }
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

void consul_init(consul_agent *a, const char *name, const char *ip, bool server)
{
    uint16_t ports[3];

    *a = (consul_agent){.server = server, .expect = server ? 1 : 0};
    snprintf(a->name, sizeof(a->name), "%s", name);
    snprintf(a->ip, sizeof(a->ip), "%s", ip);
    snprintf(a->folder, sizeof(a->folder), "/tmp/weft-consul-XXXXXX");
    assert_non_null(mkdtemp(a->folder));
    free_ports(ip, ports, 3);
    a->http = ports[0];
    a->serf = ports[1];
    a->rpc = ports[2];
}

static void write_configuration(const consul_agent *a)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/agent.json", a->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "{\"node_name\": \"%s\", \"bind_addr\": \"%s\", "
            "\"client_addr\": \"%s\", \"data_dir\": \"%s/data\", "
            "\"server\": %s, \"disable_update_check\": true, "
            "\"log_level\": \"warn\", "
            "\"ports\": {\"http\": %u, \"dns\": -1, \"grpc\": -1, "
            "\"https\": -1, \"serf_lan\": %u, \"serf_wan\": -1, "
            "\"server\": %u}, "
            "\"performance\": {\"raft_multiplier\": 1}, "
            "\"retry_interval\": \"1s\", \"retry_join\": [%s]",
            a->name, a->ip, a->ip, a->folder, a->server ? "true" : "false",
            a->http, a->serf, a->rpc, a->join);
    if (a->server)
        fprintf(file, ", \"bootstrap_expect\": %u", a->expect);
    fprintf(file, "%s}\n", a->extra);
    assert_int_equal(fclose(file), 0);
}

void consul_start(consul_agent *a)
{
    char option[256], log[256];
    const char *consul = program();
    pid_t parent = getpid();

    write_configuration(a);
    snprintf(option, sizeof(option), "-config-file=%s/agent.json", a->folder);
    snprintf(log, sizeof(log), "%s/log", a->folder);
    a->pid = fork();
    assert_true(a->pid >= 0);
    if (a->pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        /* it goes when the test does, however that ends */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || fd < 0)
            _exit(126);
        dup2(fd, 1);
        dup2(fd, 2);
        execlp(consul, "consul", "agent", option, (char *)NULL);
        _exit(127);
    }
}

void consul_wait_leader(const consul_agent *a, unsigned ms)
{
    uint64_t until = consul_now_ms() + ms;
    char leader[128];

    while (consul_now_ms() < until) {
        if (consul_request(a, "GET", "/v1/status/leader", NULL, leader,
                           sizeof(leader)) == 200 &&
            strchr(leader, ':') != NULL)
            return;
        consul_sleep_ms(20);
    }
    fail_msg("consul %s has no leader after %u ms (log: %s/log)", a->name, ms,
             a->folder);
}

void consul_single(consul_agent *a)
{
    consul_init(a, "solo", "127.0.0.1", true);
    consul_start(a);
    consul_wait_leader(a, 20000);
}

void consul_signal(consul_agent *a, int signal)
{
    if (a->pid <= 0)
        return;
    kill(a->pid, signal);
    if (signal == SIGKILL || signal == SIGTERM) {
        while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        a->pid = 0;
    }
}

/* Only what consul_init() made. */
static void remove_tree(const char *folder)
{
    char command[256];

    assert_memory_equal(folder, "/tmp/weft-consul-", 17);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

void consul_wipe(const consul_agent *a)
{
    char data[256];

    assert_int_equal(a->pid, 0);
    snprintf(data, sizeof(data), "%s/data", a->folder);
    remove_tree(data);
}

void consul_end(consul_agent *a)
{
    if (a->folder[0] == '\0')
        return;
    consul_signal(a, SIGKILL);
    remove_tree(a->folder);
    a->folder[0] = '\0';
}

static int open_agent(const consul_agent *a)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons(a->http)};
    /* beside a server that hangs, an agent has been seen silent for 40 s */
    const struct timeval limit = {.tv_sec = 90};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, a->ip, &sin.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* HTTP/1.0, so that the body ends with the connection. */
int consul_request(const consul_agent *a, const char *method, const char *path,
                   const char *body, char *answer, size_t size)
{
    static char text[1 << 20];
    size_t len = 0, body_len = body != NULL ? strlen(body) : 0;
    int fd = open_agent(a), code = 0;
    const char *end;
    ssize_t n;

    if (fd < 0)
        return 0;
    n = snprintf(text, sizeof(text),
                 "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", method,
                 path, body_len, body != NULL ? body : "");
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) == n)
        while (len + 1 < sizeof(text) &&
               (n = recv(fd, text + len, sizeof(text) - len - 1, 0)) > 0)
            len += (size_t)n;
    close(fd);
    text[len] = '\0';
    end = strstr(text, "\r\n\r\n");
    if (end == NULL || sscanf(text, "HTTP/1.%*d %d", &code) != 1)
        return 0;
    if (answer != NULL)
        snprintf(answer, size, "%s", end + 4);
    return code;
}

void consul_put(const consul_agent *a, const char *path, const char *body)
{
    char answer[512] = "";
    int code = consul_request(a, "PUT", path, body, answer, sizeof(answer));

    if (code != 200)
        fail_msg("PUT %s: status %d: %s", path, code, answer);
}

void consul_register(const consul_agent *a, const char *service, const char *id,
                     const char *ip, unsigned port)
{
    char body[1024];

    snprintf(body, sizeof(body),
             "{\"ID\": \"%s\", \"Name\": \"%s\", \"Address\": \"%s\", "
             "\"Port\": %u, \"Tags\": [\"blue\", \"%s\"], "
             "\"Meta\": {\"zone\": \"a\"}, "
             "\"Weights\": {\"Passing\": 7, \"Warning\": 2}, "
             "\"Checks\": [{\"CheckID\": \"c-%s\", \"Name\": \"c\", "
             "\"TTL\": \"10m\", \"Status\": \"passing\"}]}",
             id, service, ip, port, id, id);
    consul_put(a, "/v1/agent/service/register?replace-existing-checks=true",
               body);
    /* the status in a registration does not outlive the agent; a pass does */
    snprintf(body, sizeof(body), "/v1/agent/check/pass/c-%s", id);
    consul_put(a, body, "");
}
