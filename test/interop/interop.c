#include "interop.h"

#include <poll.h>

static void say(Helloworld__HelloReply_Closure reply, weft_call *call,
                const char *text)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    char *copy = strdup(text);

    out.msg = copy;
    reply(&out, call);
    free(copy);
}

static void say_hello(Helloworld__HelloReply_Closure reply, weft_call *call,
                      const char *name)
{
    char text[256];

    snprintf(text, sizeof(text), "hello %s", name);
    say(reply, call, text);
}

static void say_metadata(Helloworld__HelloReply_Closure reply, weft_call *call)
{
    const weft_metadata *md = weft_call_metadata(call);
    char text[1024] = "";
    size_t n = 0;

    for (size_t i = 0; i < md->n && n < 900; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s=%.*s;",
                              md->items[i].key, (int)md->items[i].value_len,
                              (const char *)md->items[i].value);
    say(reply, call, text);
}

static void say_much(Helloworld__HelloReply_Closure reply, weft_call *call,
                     size_t n)
{
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    say(reply, call, text);
    free(text);
}

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    interop *f = (interop *)(void *)self;
    unsigned code = 0;
    char text[32];
    size_t n = 0;
    int at = 0;

    if (sscanf(in->msg, "fail %u %n", &code, &at) == 1 && at > 0) {
        weft_call_fail(call, (weft_status)code, in->msg + at);
    } else if (strcmp(in->msg, "plain") == 0) {
        reply(NULL, call);
    } else if (strcmp(in->msg, "empty") == 0) {
        say(reply, call, "");
    } else if (strcmp(in->msg, "metadata") == 0) {
        say_metadata(reply, call);
    } else if (sscanf(in->msg, "give %zu", &n) == 1) {
        say_much(reply, call, n);
    } else if (strncmp(in->msg, "count", 5) == 0) {
        snprintf(text, sizeof(text), "%zu", strlen(in->msg));
        say(reply, call, text);
    } else if (strcmp(in->msg, "slow") == 0) {
        assert_true(f->n_held < INTEROP_HELD);
        f->held[f->n_held].call = call;
        f->held[f->n_held++].reply = reply;
    } else {
        say_hello(reply, call, in->msg);
    }
}

void interop_answer(interop *f, unsigned i, const char *text)
{
    assert_true(i < f->n_held);
    say_hello(f->held[i].reply, f->held[i].call, text);
}

int interop_setup(void **state)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);
    interop *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -1;
    f->greeter = greeter;
    test_loop_init(&f->t);
    weft_log_set_level(WEFT_LOG_OFF);
    *state = f;
    return 0;
}

int interop_teardown(void **state)
{
    interop *f = *state;

    weft_server_free(f->server);
    test_loop_settle(&f->t);
    test_loop_fini(&f->t);
    free(f);
    return 0;
}

void interop_turn(interop *f)
{
    test_loop_settle(&f->t);
    poll(NULL, 0, 1);
}

static void on_started(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    (void)server, (void)message;
    assert_int_equal(status, WEFT_OK);
    *(bool *)user = true;
}

void interop_serve(interop *f, const weft_server_conf *conf,
                   weft_plugin *plugin)
{
    bool started = false;

    assert_int_equal(weft_server_new(&f->server, f->t.loop, conf), WEFT_OK);
    assert_int_equal(weft_server_add_service(f->server, &f->greeter.base),
                     WEFT_OK);
    assert_int_equal(weft_server_listen(f->server, "tcp://127.0.0.1:0"),
                     WEFT_OK);
    if (plugin != NULL)
        assert_int_equal(weft_server_use(f->server, plugin), WEFT_OK);
    assert_int_equal(weft_server_start(f->server, on_started, &started),
                     WEFT_OK);
    interop_until(f, started);
    f->port = weft_address_port(weft_server_address(f->server, 0));
}

static void on_drained(weft_server *server, weft_status status,
                       const char *message, void *user)
{
    interop *f = user;

    (void)server, (void)message;
    f->drain_status = status;
    f->drained = true;
}

void interop_drain(interop *f)
{
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f), WEFT_OK);
}

typedef struct job {
    void (*fn)(void *arg);
    void *arg;
    weft_loop *loop;
    bool done;
} job;

static void on_done(void *arg)
{
    *(bool *)arg = true;
}

static void run(void *arg)
{
    job *j = arg;

    j->fn(j->arg);
    weft_loop_post(j->loop, on_done, &j->done);
}

void interop_run(interop *f, void (*fn)(void *arg), void *arg)
{
    job j = {.fn = fn, .arg = arg, .loop = f->t.loop};
    gorpc_job thread;

    weft_loop_hold(f->t.loop);
    assert_true(gorpc_job_start(&thread, run, &j));
    if (weft_loop_run_until(f->t.loop, &j.done, 60000) != WEFT_OK) {
        /* The thread goes on using this stack, so no other test may. */
        print_error("a gorpc peer waits for ever\n");
        exit(1);
    }
    gorpc_job_join(&thread);
    weft_loop_unhold(f->t.loop);
}

typedef struct hello {
    gorpc_client *client;
    const char *msg, *want;
    uint32_t result;
} hello;

static void run_hello(void *arg)
{
    hello *h = arg;

    h->result = gorpc_client_hello(h->client, h->msg, h->want);
}

uint32_t interop_hello(interop *f, gorpc_client *c, const char *msg,
                       const char *want)
{
    hello h = {.client = c, .msg = msg, .want = want};

    interop_run(f, run_hello, &h);
    return h.result;
}
