/* alloc_test.c - a call in the steady state allocates nothing, on either side.
 *
 * The C library's allocator is replaced for this program and the libraries
 * under it (protobuf-c, libevent) by one that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

#define WARM_UP 1000
#define CALLS 10000
#define SMALL 45

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

/* Libraries look for their symbols here first. */
#define EVERYWHERE __attribute__((visibility("default")))

static size_t taken, given_back;

EVERYWHERE void *malloc(size_t size)
{
    taken++;
    return __libc_malloc(size);
}

EVERYWHERE void *calloc(size_t n, size_t size)
{
    taken++;
    return __libc_calloc(n, size);
}

EVERYWHERE void *realloc(void *p, size_t size)
{
    taken++;
    return __libc_realloc(p, size);
}

EVERYWHERE void free(void *p)
{
    given_back += p != NULL;
    __libc_free(p);
}

typedef struct run {
    weft_loop *loop;
    weft_stub stub;
    Helloworld__HelloRequest request;
    size_t started, ended, wanted;
    bool failed, done;
} run;

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)self;
    out.msg = in->msg;
    reply(&out, call);
}

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    run *r = user;

    r->failed |= reply == NULL || strcmp(reply->msg, r->request.msg) != 0;
    r->ended++;
    if (r->started < r->wanted) {
        r->started++;
        helloworld__greeter__say_hello(&r->stub.base, &r->request, on_reply, r);
    }
    r->done = r->ended == r->wanted;
}

static void make_calls(run *r, size_t calls, size_t in_flight)
{
    r->wanted += calls;
    r->done = false;
    for (size_t i = 0; i < in_flight; i++) {
        r->started++;
        helloworld__greeter__say_hello(&r->stub.base, &r->request, on_reply, r);
    }
    assert_int_equal(weft_loop_run_until(r->loop, &r->done, 20000), WEFT_OK);
    assert_false(r->failed);
}

static void check(size_t in_flight, size_t bytes,
                  const weft_call_options *options)
{
    static Helloworld__Greeter_Service greeter =
        HELLOWORLD__GREETER__INIT(greeter_);
    run r = {.request = HELLOWORLD__HELLO_REQUEST__INIT};
    weft_server *server;
    weft_channel *channel;
    size_t before, after;
    char target[32], *text = __libc_malloc(bytes + 1);

    assert_non_null(text);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    r.request.msg = text;
    assert_int_equal(weft_loop_new(&r.loop, NULL), WEFT_OK);
    assert_int_equal(weft_server_new(&server, r.loop, NULL), WEFT_OK);
    weft_server_add_service(server, &greeter.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(server, NULL, NULL), WEFT_OK);
    snprintf(target, sizeof(target), "127.0.0.1:%u",
             weft_address_port(weft_server_address(server, 0)));
    assert_int_equal(weft_channel_new(&channel, r.loop, target, NULL), WEFT_OK);
    r.stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    if (options != NULL)
        r.stub.options = *options;

    make_calls(&r, WARM_UP, in_flight);
    make_calls(&r, WARM_UP, in_flight); /* connected from the first call on */
    before = taken + given_back;
    make_calls(&r, CALLS, in_flight);
    after = taken + given_back;
    assert_int_equal(after, before);
    weft_loop_free(r.loop);
    __libc_free(text);
}

static void the_count_sees_what_the_libraries_take(void **state)
{
    size_t before = taken;
    struct event_base *base;

    (void)state;
    base = event_base_new();
    assert_non_null(base);
    assert_true(taken > before);
    event_base_free(base);
}

static void one_call_at_a_time_allocates_nothing(void **state)
{
    (void)state;
    check(1, SMALL, NULL);
}

static void calls_in_a_pipeline_allocate_nothing(void **state)
{
    (void)state;
    check(64, SMALL, NULL);
}

static void metadata_and_a_deadline_allocate_nothing(void **state)
{
    weft_metadatum pairs[] = {{"tenant", "blue", 4}, {"user", "42", 2}};
    weft_call_options options = {.timeout_ms = 1000, .metadata = {pairs, 2}};

    (void)state;
    check(16, SMALL, &options);
}

static void calls_of_1_KiB_allocate_nothing(void **state)
{
    (void)state;
    check(1, 1024, NULL);
    check(64, 1024, NULL);
}

static void calls_of_16_KiB_allocate_nothing(void **state)
{
    (void)state;
    check(1, 16384, NULL);
    check(8, 16384, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_count_sees_what_the_libraries_take),
        cmocka_unit_test(one_call_at_a_time_allocates_nothing),
        cmocka_unit_test(calls_in_a_pipeline_allocate_nothing),
        cmocka_unit_test(metadata_and_a_deadline_allocate_nothing),
        cmocka_unit_test(calls_of_1_KiB_allocate_nothing),
        cmocka_unit_test(calls_of_16_KiB_allocate_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
