/* TLS against `openssl s_server`, which answers with whole files.  The
 * certificates are made by the openssl command, in a folder that goes with the
 * test. */
#include "http_client_support.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "server.dc1.consul"
#define SERVERS 4

static char dir[] = "/tmp/weft-tls-XXXXXX";
static pid_t servers[SERVERS];
static unsigned ports[SERVERS];
enum { PLAIN, MUTUAL, OLD, PIPED };
static int pipe_to_server = -1; /* what PIPED says */

static int shell(const char *command)
{
    char line[1024];

    snprintf(line, sizeof(line), "cd %s && { %s; } >>log 2>&1", dir, command);
    return system(line);
}

static const char *in_dir(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Starts one server and reads its port from what it prints. */
static int serve(int which, const char *extra)
{
    char path[128], line[256], args[512];
    int fds[2];
    FILE *log;

    if (pipe(fds) != 0)
        return -1;
    snprintf(path, sizeof(path), "%s/out%d", dir, which);
    snprintf(args, sizeof(args),
             "exec openssl s_server -accept 127.0.0.1:0 -cert server.pem "
             "-key server.key %s >out%d 2>&1",
             extra, which);
    servers[which] = fork();
    if (servers[which] == 0) {
        close(fds[1]);
        if (chdir(dir) == 0 && dup2(fds[0], 0) == 0)
            execl("/bin/sh", "sh", "-c", args, NULL);
        _exit(127);
    }
    close(fds[0]);
    if (which == PIPED)
        pipe_to_server = fds[1];
    else
        close(fds[1]);
    for (int tries = 0; tries < 500 && ports[which] == 0; tries++) {
        usleep(10000);
        if ((log = fopen(path, "r")) == NULL)
            continue;
        while (fgets(line, sizeof(line), log) != NULL)
            sscanf(line, "ACCEPT 127.0.0.1:%u", &ports[which]);
        fclose(log);
    }
    return ports[which] != 0 ? 0 : -1;
}

#define NEW_KEY                                                                \
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "    \
    "-days 2 "

static int group_setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    write_file("ok", ANSWER);
    write_file("until-end", "HTTP/1.0 200 OK\r\n\r\nhello");
    write_file("cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    if (shell(NEW_KEY "-subj /CN=ca -keyout ca.key -out ca.pem") != 0 ||
        shell(NEW_KEY "-subj /CN=ca2 -keyout ca2.key -out ca2.pem") != 0 ||
        shell(NEW_KEY "-subj /CN=server -CA ca.pem -CAkey ca.key -addext "
                      "subjectAltName=DNS:" NAME ",IP:127.0.0.1 "
                      "-keyout server.key -out server.pem") != 0 ||
        shell(NEW_KEY "-subj /CN=client -CA ca.pem -CAkey ca.key "
                      "-keyout client.key -out client.pem") != 0 ||
        shell("openssl ec -in client.key -aes128 -passout pass:x "
              "-out locked.key") != 0)
        return -1;
    /* Else the system's defaults, not ours, would refuse old versions. */
    write_file("openssl.cnf", "openssl_conf = a\n[a]\nssl_conf = b\n"
                              "[b]\nsystem_default = c\n"
                              "[c]\nMinProtocol = TLSv1\n"
                              "CipherString = DEFAULT@SECLEVEL=0\n");
    setenv("OPENSSL_CONF", in_dir("openssl.cnf"), 1);
    return serve(PLAIN, "-HTTP") |
           serve(MUTUAL, "-HTTP -Verify 1 -CAfile ca.pem "
                         "-verify_return_error") |
           serve(OLD, "-HTTP -tls1_1 -cipher ALL:@SECLEVEL=0") |
           serve(PIPED, "");
}

static int group_teardown(void **state)
{
    char command[64];

    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        if (servers[i] > 0) {
            kill(servers[i], SIGKILL);
            waitpid(servers[i], NULL, 0);
        }
    }
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static void connect_to(int server, const char *ca, const char *cert,
                       const char *name)
{
    weft__http_client_conf conf = {
        .host = "127.0.0.1",
        .port = (uint16_t)ports[server],
        .connect_ms = 5000,
        .tls = true,
        .tls_ca_file = ca != NULL ? in_dir(ca) : NULL,
        .tls_cert_file = cert != NULL ? in_dir(cert) : NULL,
        .tls_key_file = cert != NULL ? in_dir("client.key") : NULL,
        .tls_server_name = name,
    };

    weft__http_client_close(f.client);
    f.client = NULL;
    assert_int_equal(weft__http_client_new(&f.client, f.loop, &conf, NULL),
                     WEFT_OK);
}

static weft__http_error get(int server, const char *ca, const char *cert,
                            const char *name, const char *path)
{
    connect_to(server, ca, cert, name);
    fetch(path);
    return f.x.error;
}

static void a_verified_server_answers(void **s)
{
    (void)s;
    assert_int_equal(get(PLAIN, "ca.pem", NULL, NULL, "/ok"), WEFT__HTTP_OK);
    expect_hello();
    assert_int_equal(get(PLAIN, "ca.pem", NULL, NAME, "/ok"), WEFT__HTTP_OK);
    expect_hello();
}

static void a_wrong_name_or_authority_is_no_connection(void **s)
{
    (void)s;
    assert_int_equal(get(PLAIN, "ca.pem", NULL, "other.dc1.consul", "/ok"),
                     WEFT__HTTP_CONNECT);
    assert_int_equal(get(PLAIN, "ca.pem", NULL, "127.0.0.2", "/ok"),
                     WEFT__HTTP_CONNECT);
    assert_int_equal(get(PLAIN, "ca2.pem", NULL, NULL, "/ok"),
                     WEFT__HTTP_CONNECT);
    assert_int_equal(get(PLAIN, NULL, NULL, NULL, "/ok"), WEFT__HTTP_CONNECT);
}

static void a_client_certificate_is_shown(void **s)
{
    (void)s;
    assert_int_equal(get(MUTUAL, "ca.pem", "client.pem", NAME, "/ok"),
                     WEFT__HTTP_OK);
    expect_hello();
    /* TLS 1.3 refuses it only after the client's handshake is done. */
    assert_int_not_equal(get(MUTUAL, "ca.pem", NULL, NAME, "/ok"),
                         WEFT__HTTP_OK);
}

static void old_versions_are_refused(void **s)
{
    (void)s;
    assert_int_equal(get(OLD, "ca.pem", NULL, NAME, "/ok"), WEFT__HTTP_CONNECT);
}

static void only_an_orderly_end_ends_a_body(void **s)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\n\r\nhello\n";

    (void)s;
    assert_int_equal(get(PLAIN, "ca.pem", NULL, NAME, "/cut"), WEFT__HTTP_CUT);
    /* s_server says close_notify after a file ... */
    assert_int_equal(get(PLAIN, "ca.pem", NULL, NAME, "/until-end"),
                     WEFT__HTTP_OK);
    expect_hello();
    /* ... but not when it is killed. */
    connect_to(PIPED, "ca.pem", NULL, NAME);
    start(&f.x, "/");
    assert_int_equal(write(pipe_to_server, answer, strlen(answer)),
                     strlen(answer));
    assert_int_equal(weft_loop_run_until(f.loop, &f.x.done, 300),
                     WEFT_ETIMEDOUT);
    kill(servers[PIPED], SIGKILL);
    finish(&f.x);
    assert_int_equal(f.x.error, WEFT__HTTP_CUT);
}

static void plain_http_on_a_tls_port_is_no_connection(void **s)
{
    static const raw_step script[] = {
        RAW_TEXT("HTTP/1.0 400 Bad Request\r\n\r\n"), RAW_DO(RAW_CLOSE)};
    unsigned port = ports[PLAIN];

    (void)s;
    f.server.scripts[0] = script;
    ports[PLAIN] = f.server.port;
    assert_int_equal(get(PLAIN, "ca.pem", NULL, NAME, "/ok"),
                     WEFT__HTTP_CONNECT);
    ports[PLAIN] = port;
}

static void a_file_that_cannot_be_used_is_named(void **s)
{
    static const struct {
        const char *ca, *cert, *key, *word;
    } bad[] = {
        {"missing", NULL, NULL, "CA"},
        {"client.key", NULL, NULL, "CA"},
        {"ca.pem", "missing", NULL, "certificate"},
        {"ca.pem", "client.pem", NULL, "key"},
        {"ca.pem", "client.pem", "missing", "key"},
        {"ca.pem", "client.pem", "server.key", "key"},
        {"ca.pem", "client.pem", "locked.key", "key"},
        {"ca.pem", NULL, "client.key", "key"},
    };
    weft__http_client *c = NULL;
    const char *why;

    (void)s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft__http_client_conf conf = {
            .host = "127.0.0.1",
            .port = 1,
            .tls = true,
            .tls_ca_file = in_dir(bad[i].ca),
            .tls_cert_file = bad[i].cert ? in_dir(bad[i].cert) : NULL,
            .tls_key_file = bad[i].key ? in_dir(bad[i].key) : NULL,
        };

        why = "";
        assert_int_equal(weft__http_client_new(&c, f.loop, &conf, &why),
                         WEFT_EIO);
        if (strstr(why, bad[i].word) == NULL)
            fail_msg("%zu: %s", i, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_verified_server_answers),
        T(a_wrong_name_or_authority_is_no_connection),
        T(a_client_certificate_is_shown),
        T(old_versions_are_refused),
        T(only_an_orderly_end_ends_a_body),
        T(plain_http_on_a_tls_port_is_no_connection),
        T(a_file_that_cannot_be_used_is_named),
    };

    return cmocka_run_group_tests_name("http_client_tls", tests, group_setup,
                                       group_teardown);
}
