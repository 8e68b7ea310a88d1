#include "http_server_support.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/sys.h>

fixture f;

bool handle(const char *path, int *code, char *body, size_t size, void *user)
{
    assert_ptr_equal(user, &f);
    f.handled++;
    snprintf(f.path, sizeof(f.path), "%s", path);
    if (f.close_in_handler) {
        weft__http_server_close(f.server);
        f.server = NULL;
    }
    if (strcmp(path, "/health") == 0) {
        *code = 503;
        snprintf(body, size, "starting\n");
        return true;
    }
    if (strcmp(path, "/big") == 0) {
        memset(body, 'x', size);
        return true;
    }
    snprintf(body, size, "ok %s\n", path);
    return strcmp(path, "/none") != 0;
}

void on_gone(void *user)
{
    (*(unsigned *)user)++;
}

void open_server(void)
{
    assert_int_equal(
        weft__http_server_new(&f.server, f.loop, &f.conf, handle, &f), WEFT_OK);
}

int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.fd = -1;
    f.clock.ns = 1000000000;
    if (weft_loop_new(&f.loop, &(weft_loop_conf){.clock = weft_fake(
                                                     &f.clock)}) != WEFT_OK ||
        weft_address_parse(&f.peer, "127.0.0.1:1", NULL) != WEFT_OK)
        return -1;
    open_server();
    return 0;
}

void hang_up(void)
{
    if (f.fd >= 0)
        close(f.fd);
    f.fd = -1;
}

int teardown(void **state)
{
    (void)state;
    hang_up();
    weft__http_server_close(f.server);
    weft_loop_free(f.loop);
    return 0;
}

void turns(int n)
{
    while (n-- > 0)
        weft_loop_poll(f.loop);
}

void adopt_with(const char *first, size_t len)
{
    int fds[2];

    hang_up();
    assert_int_equal(weft__sys_socketpair(fds), 0);
    f.fd = fds[0];
    f.have = 0;
    f.in[0] = '\0';
    f.eof = false;
    weft__http_server_adopt(f.server, fds[1], &f.peer, first, len, on_gone,
                            &f.gone);
}

void adopt(void)
{
    adopt_with("", 0);
}

void receive(void)
{
    ssize_t n = 0;

    turns(3);
    while (f.have < sizeof(f.in) - 1 &&
           (n = recv(f.fd, f.in + f.have, sizeof(f.in) - 1 - f.have,
                     MSG_DONTWAIT)) > 0) {
        f.have += (size_t)n;
        turns(2);
    }
    f.in[f.have] = '\0';
    f.eof = n == 0 || (n < 0 && errno != EAGAIN);
}

void put(const char *data, size_t len)
{
    assert_int_equal(send(f.fd, data, len, MSG_NOSIGNAL), len);
}

void say(const char *text)
{
    put(text, strlen(text));
    receive();
}

void ask(const char *text)
{
    adopt();
    say(text);
}

unsigned count(const char *needle)
{
    unsigned n = 0;

    for (const char *at = f.in; (at = strstr(at, needle)) != NULL; at++)
        n++;
    return n;
}

void expect(int code, bool ended)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", code);
    if (strncmp(f.in, line, strlen(line)) != 0 || count("HTTP/1.1 ") != 1)
        fail_msg("expected %d, got: %s", code, f.in);
    if (f.eof != ended)
        fail_msg("%d, ended: %d", code, f.eof);
}
