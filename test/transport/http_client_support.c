#include "http_client_support.h"
#include <stdio.h>
#include <string.h>

fixture f;

void open_client(void)
{
    f.conf.host = "127.0.0.1";
    f.conf.port = f.server.port;
    assert_int_equal(weft__http_client_new(&f.client, f.loop, &f.conf, NULL),
                     WEFT_OK);
}

int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    if (weft_loop_new(&f.loop, NULL) != WEFT_OK ||
        !raw_server_open(&f.server, weft_loop_base(f.loop)))
        return -1;
    open_client();
    return 0;
}

int setup_fake(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.clock.ns = 1000000000;
    if (weft_loop_new(&f.loop, &(weft_loop_conf){.clock = weft_fake(
                                                     &f.clock)}) != WEFT_OK ||
        !raw_server_open(&f.server, weft_loop_base(f.loop)))
        return -1;
    open_client();
    return 0;
}

int teardown(void **state)
{
    (void)state;
    weft__http_client_close(f.client);
    raw_server_close(&f.server);
    weft_loop_free(f.loop);
    return 0;
}

void on_answer(const weft__http_answer *a, void *user)
{
    exchange *x = user;
    const char *header = weft__http_header(a, "x-consul-index");
    size_t n =
        a->body_len < sizeof(x->body) - 1 ? a->body_len : sizeof(x->body) - 1;

    x->done = true;
    x->calls++;
    x->error = a->error;
    x->code = a->code;
    x->fresh = a->fresh;
    x->body_len = a->body_len;
    if (n > 0)
        memcpy(x->body, a->body, n);
    x->body[n] = '\0';
    snprintf(x->header, sizeof(x->header), "%s", header ? header : "");
    if (x->close_in_callback != NULL) {
        weft__http_client_close(*x->close_in_callback);
        *x->close_in_callback = NULL;
    }
}

void start(exchange *x, const char *path)
{
    *x = (exchange){.close_in_callback = x->close_in_callback};
    assert_int_equal(weft__http_request_send(f.client, "GET", path, NULL, 0,
                                             WAIT_MS, on_answer, x, NULL),
                     WEFT_OK);
    assert_int_equal(x->calls, 0);
}

void finish(exchange *x)
{
    assert_int_equal(weft_loop_run_until(f.loop, &x->done, 2 * WAIT_MS),
                     WEFT_OK);
    assert_int_equal(x->calls, 1);
}

void fetch(const char *path)
{
    start(&f.x, path);
    finish(&f.x);
}

void turns(int n)
{
    while (n-- > 0)
        weft_loop_poll(f.loop);
}

void expect_hello(void)
{
    assert_int_equal(f.x.error, WEFT__HTTP_OK);
    assert_int_equal(f.x.code, 200);
    assert_int_equal(f.x.body_len, 5);
    assert_string_equal(f.x.body, "hello");
}

weft__http_error outcome(const char *answer, raw_op end)
{
    raw_step script[] = {
        RAW_DO(RAW_WAIT), {RAW_SEND, answer, strlen(answer)}, RAW_DO(end)};

    f.server.scripts[0] = script;
    fetch("/");
    turns(20); /* the script is ours: let the connection go */
    raw_server_close(&f.server);
    assert_true(raw_server_open(&f.server, weft_loop_base(f.loop)));
    weft__http_client_close(f.client);
    open_client();
    return f.x.error;
}
