#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

static void on_end(weft_call *call, weft_status status, void *user)
{
    fixture *f = user;

    f->n_ended++;
    f->ended_status = status;
    f->ended_call = call;
}

static void greet(const Helloworld__HelloRequest *in,
                  Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    char text[512];

    snprintf(text, sizeof(text), "hello %s", in->msg);
    out.msg = text;
    reply(&out, call);
}

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    fixture *f = (fixture *)(void *)self;

    f->n_handled++;
    if (f->in_handler != NULL)
        f->in_handler(f, call);
    switch (f->greeting) {
    case GREET:
        greet(in, reply, call);
        break;
    case HOLD_AND_HEAR:
        assert_int_equal(weft_call_on_end(call, on_end, f), WEFT_OK);
        /* fall through */
    case HOLD:
        assert_true(f->n_held < HELD_MAX);
        f->held[f->n_held++] = (held_call){call, reply, in};
        break;
    case ANSWER_NULL:
        reply(NULL, call);
        break;
    case FAIL:
        assert_int_equal(weft_call_fail(call, f->fail_status, f->fail_text),
                         WEFT_OK);
        break;
    case ANSWER_TWICE:
        greet(in, reply, call);
        greet(in, reply, call);
        assert_int_equal(weft_call_fail(call, WEFT_ABORTED, "third"),
                         WEFT_ENOENT);
        break;
    }
}

void fixture_init(fixture *f)
{
    static const Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);

    memset(f, 0, sizeof(*f));
    f->greeter = greeter;
    f->start_status = f->drain_status = (weft_status)99;
    test_loop_init(&f->t);
}

void fixture_fini(fixture *f)
{
    raw_abort(&f->client);
    if (f->t.loop != NULL) {
        test_loop_settle(&f->t);
        test_loop_fini(&f->t);
    }
    raw_fini(&f->client);
}

int fixture_setup(void **state)
{
    fixture *f = malloc(sizeof(*f));

    if (f == NULL)
        return -1;
    fixture_init(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

void fixture_server(fixture *f, const weft_server_conf *conf, const char *uri)
{
    weft_log_set_level(WEFT_LOG_OFF);
    assert_int_equal(weft_server_new(&f->server, f->t.loop, conf), WEFT_OK);
    assert_int_equal(weft_server_add_service(f->server, &f->greeter.base),
                     WEFT_OK);
    assert_int_equal(
        weft_server_listen(f->server, uri == NULL ? "tcp://127.0.0.1:0" : uri),
        WEFT_OK);
}

void on_started(weft_server *server, weft_status status, const char *message,
                void *user)
{
    fixture *f = user;

    (void)server;
    f->n_started++;
    f->start_status = status;
    snprintf(f->start_message, sizeof(f->start_message), "%s", message);
}

void on_drained(weft_server *server, weft_status status, const char *message,
                void *user)
{
    fixture *f = user;

    (void)server;
    (void)message;
    f->n_drained++;
    f->drain_status = status;
}

void fixture_start(fixture *f)
{
    assert_int_equal(weft_server_start(f->server, on_started, f), WEFT_OK);
    run_while(f, f->n_started == 0);
    assert_int_equal(f->start_status, WEFT_OK);
}

void fixture_connect(fixture *f)
{
    raw_open(&f->client, f->t.loop, weft_server_address(f->server, 0));
    run_while(f, !f->client.ready);
}

void fixture_serve(fixture *f, const weft_server_conf *conf)
{
    fixture_server(f, conf, NULL);
    fixture_start(f);
    fixture_connect(f);
}

size_t hello_bytes(const char *msg, uint8_t *out, size_t size)
{
    Helloworld__HelloRequest in = HELLOWORLD__HELLO_REQUEST__INIT;
    char *text = strdup(msg);
    size_t n;

    in.msg = text;
    n = helloworld__hello_request__get_packed_size(&in);
    assert_true(n <= size);
    helloworld__hello_request__pack(&in, out);
    free(text);
    return n;
}

int say_hello(fixture *f, const char *msg, uint32_t timeout_ms)
{
    uint8_t bytes[512];
    size_t n = hello_bytes(msg, bytes, sizeof(bytes));
    int call = raw_unary(&f->client, HELLO, bytes, n, timeout_ms);

    assert_true(call >= 0);
    return call;
}

int said_hello(fixture *f, const char *msg, uint32_t timeout_ms)
{
    int call = say_hello(f, msg, timeout_ms);

    test_loop_settle(&f->t);
    return call;
}

raw_reply *reply_to(fixture *f, int call)
{
    raw_reply *r = &f->client.replies[call];

    run_while(f, !r->done);
    return r;
}

void assert_said(fixture *f, int call, const char *msg)
{
    raw_reply *r = reply_to(f, call);
    Helloworld__HelloReply *reply;

    assert_string_equal(r->message, "");
    assert_int_equal(r->status, WEFT_OK);
    reply = helloworld__hello_reply__unpack(NULL, r->payload_len, r->payload);
    assert_non_null(reply);
    assert_string_equal(reply->msg, msg);
    helloworld__hello_reply__free_unpacked(reply, NULL);
}

void assert_failed(fixture *f, int call, weft_status status, const char *text)
{
    raw_reply *r = reply_to(f, call);

    assert_string_equal(r->message, text);
    assert_int_equal(r->status, status);
}

void answer_held(fixture *f, unsigned i, const char *msg)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    char *text = strdup(msg);

    out.msg = text;
    f->held[i].reply(&out, f->held[i].call);
    free(text);
}
