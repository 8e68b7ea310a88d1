/* client_memory_test.c - every allocation on a call's way fails once. */
#include "client_fixture.h"

#include "client_counting.h"
#include "client_script.h"
#include "fail_nth.h"

#include <stdlib.h>
#include <weft/loop_internal.h>

/* One whole life: channel, two calls, replies, close.  Whatever fails, each
 * callback runs once, nothing is left, and a failure says RESOURCE_EXHAUSTED or
 * that nobody could be reached. */
static weft_status one_life(void *user)
{
    static fixture f;
    static outcome a, b;
    unsigned pending =
        weft_mem_fail_nth(0); /* the fixture is not the subject */
    weft_status result = WEFT_OK;

    (void)user;
    memset(&f, 0, sizeof(f));
    test_loop_init(&f.t);
    peer_open(&f.p, f.t.loop, "inproc:///memory");
    (void)weft_mem_fail_nth(pending);

    if (weft_channel_new(&f.channel, f.t.loop, "inproc:///memory", NULL) ==
        WEFT_OK) {
        f.stub = weft_stub_for(f.channel, &helloworld__greeter__descriptor);
        f.stub.options.metadata =
            (weft_metadata){(weft_metadatum[]){{"k", "v", 1}}, 1};
        call_with(&f.stub, "a", &a);
        call_with(&f.stub, "b", &b);
        for (int i = 0; i < 8; i++) {
            pending = weft_mem_fail_nth(0); /* nor is the peer */
            for (int c = 0; c < f.p.n_calls; c++)
                if (!f.p.calls[c].ended && f.p.calls[c].conn != NULL)
                    peer_reply(&f.p, c, "x");
            (void)weft_mem_fail_nth(pending);
            test_loop_settle(&f.t);
        }
        for (int ms = 0; ms < 60 && (a.calls == 0 || b.calls == 0); ms++)
            test_loop_advance(&f.t, 100); /* back-off, at worst the deadline */
        assert_int_equal(a.calls, 1);
        assert_int_equal(b.calls, 1);
        if (a.status != WEFT_OK || b.status != WEFT_OK)
            result = WEFT_ENOMEM;
    } else {
        result = WEFT_ENOMEM;
    }
    pending = weft_mem_fail_nth(0);
    weft_channel_close(f.channel);
    peer_close(&f.p);
    test_loop_settle(&f.t);
    test_loop_fini(&f.t);
    (void)weft_mem_fail_nth(pending);
    return result;
}

/* Some connection may be on its way out, or have no such call any more. */
static void answer_all(peer *p)
{
    static const weft__wire_response response = {
        .payload = {.data = "\x0a\x01x", .len = 3}};
    unsigned pending = weft_mem_fail_nth(0);

    for (int c = 0; c < p->n_calls; c++) {
        if (p->calls[c].ended || p->calls[c].conn == NULL)
            continue;
        p->calls[c].ended = true;
        (void)weft__conn_respond(p->calls[c].conn, p->calls[c].stream,
                                 &response);
    }
    (void)weft_mem_fail_nth(pending);
}

static void publish_safely(const char *const *list)
{
    unsigned pending = weft_mem_fail_nth(0);

    if (script_watch != NULL)
        publish(list);
    (void)weft_mem_fail_nth(pending);
}

static void take(const Helloworld__HelloReply *reply, void *user)
{
    note_result(user, weft_current_result(), reply);
    weft_result_free(weft_result_keep());
}

#define BUSY_CALLS 8

/* A busier one: lists that change, a cancel, a go-away, results that are kept,
 * several connections.  counting_fini() sees that each pick is given back. */
static weft_status busy_life(void *user)
{
    static fixture f;
    static peer other;
    static outcome o[BUSY_CALLS];
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    unsigned pending = weft_mem_fail_nth(0);
    weft_status result = WEFT_OK;

    (void)user;
    memset(&f, 0, sizeof(f));
    memset(o, 0, sizeof(o));
    test_loop_init(&f.t);
    peer_open(&f.p, f.t.loop, "inproc:///memory");
    peer_open(&other, f.t.loop, "inproc:///other");
    (void)weft_mem_fail_nth(pending);

    if (weft_channel_new(
            &f.channel, f.t.loop, "script:///x",
            &(weft_channel_conf){.balancer = "counting",
                                 .wait_for_ready = true,
                                 .max_in_flight_per_connection = 2}) != WEFT_OK)
        result = WEFT_ENOMEM;
    f.stub = weft_stub_for(f.channel, &helloworld__greeter__descriptor);
    request.msg = "x";
    for (int i = 0; f.channel != NULL && i < BUSY_CALLS; i++) {
        weft_stub stub = f.stub;
        stub.options.handle = &o[i].handle;
        helloworld__greeter__say_hello(&stub.base, &request, take, &o[i]);
        if (i == 1)
            publish_safely((const char *const[]){"inproc:///memory", NULL});
        if (i == 3)
            publish_safely((const char *const[]){"inproc:///memory",
                                                 "inproc:///other", NULL});
        if (i == 4)
            weft_cancel(o[2].handle);
        if (i == 5 && f.p.n_conns > 0 && f.p.conns[0] != NULL)
            peer_goaway(&f.p, 0, "bye");
        if (i == 6)
            publish_safely((const char *const[]){"inproc:///other", NULL});
        test_loop_settle(&f.t);
    }
    for (int ms = 0; f.channel != NULL && ms < 60; ms++) {
        answer_all(&f.p);
        answer_all(&other);
        test_loop_advance(&f.t, 100);
    }
    for (int i = 0; f.channel != NULL && i < BUSY_CALLS; i++) {
        assert_int_equal(o[i].calls, 1);
        if (o[i].status != WEFT_OK && i != 2)
            result = WEFT_ENOMEM;
    }
    assert_int_equal(weft_channel_get_stats(f.channel).in_flight, 0);
    assert_int_equal(weft_channel_get_stats(f.channel).pending_bytes, 0);
    pending = weft_mem_fail_nth(0);
    weft_channel_close(f.channel);
    peer_close(&f.p);
    peer_close(&other);
    test_loop_settle(&f.t);
    test_loop_fini(&f.t);
    (void)weft_mem_fail_nth(pending);
    return result;
}

static void a_busy_channel_survives_each_failure(void **state)
{
    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    weft_resolver_register(&script);
    weft_balancer_register(&counting_balancer);
    assert_in_range(fail_each_allocation(busy_life, NULL), 30, 1000);
    assert_true(counting.ended > 30);
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    assert_in_range(fail_each_allocation(one_life, NULL), 10, 500);
}

/* What calls take, apart from the output that they share. */
static struct taken {
    size_t blocks, bytes;
} taken;

static void *count_and_realloc(void *p, size_t size)
{
    if (p == NULL && size < WEFT__CHUNK_BYTES) {
        taken.blocks++;
        taken.bytes += size;
    }
    return realloc(p, size);
}

static void a_call_of_1_KiB_in_flight_takes_one_block(void **state)
{
    enum { CALLS = 32, BYTES = 1024 };
    static const weft_mem_hooks counting_hooks = {.realloc = count_and_realloc,
                                                  .free = free};
    static outcome first, outcomes[CALLS];
    fixture *f = *state;
    char text[BYTES + 1];

    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    call_with(&f->stub, "connects", &first);
    until_calls(f, 1);
    peer_reply(&f->p, 0, "x");
    until_ended(f, &first);

    weft_mem_set_hooks(&counting_hooks);
    taken = (struct taken){0};
    for (size_t i = 0; i < CALLS; i++) {
        Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;

        request.msg = text;
        helloworld__greeter__say_hello(&f->stub.base, &request, on_stub_reply,
                                       &outcomes[i]);
    }
    weft_mem_set_hooks(NULL);
    /* Beside them, tables that have grown with the calls. */
    assert_in_range(taken.blocks, CALLS, CALLS + 8);
    assert_in_range(taken.bytes, CALLS * BYTES, CALLS * (BYTES + 1024));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_once),
        cmocka_unit_test(a_busy_channel_survives_each_failure),
        cmocka_unit_test_setup_teardown(
            a_call_of_1_KiB_in_flight_takes_one_block, fixture_setup,
            fixture_teardown),
    };
    return cmocka_run_group_tests_name("client memory", tests, NULL, NULL);
}
