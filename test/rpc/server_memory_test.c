/* Memory: every allocation failing once over setup and a call, and how many
 * there are when things are warm. */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

static void hold(Helloworld__Greeter_Service *self,
                 const Helloworld__HelloRequest *in,
                 Helloworld__HelloReply_Closure reply, void *call)
{
    fixture *f = (fixture *)(void *)self;

    assert_int_equal(strlen(in->msg), 299);
    f->held[0] = (held_call){call, reply, in};
    f->n_held = 1;
}

/* A server, a client, a call with metadata: whatever fails, everything ends. */
static void life(void *user)
{
    fixture *f = user;
    weft_metadatum pair = {"k", "v", 1};
    static char msg[300];
    uint8_t bytes[400];
    weft__wire_request request = {
        .path = HELLO, .path_len = strlen(HELLO), .metadata = {&pair, 1}};
    weft_address address;
    int call = -1, i;

    memset(msg, 'm', sizeof(msg) - 1);
    request.payload.data = bytes;
    request.payload.len = hello_bytes(msg, bytes, sizeof(bytes));
    f->n_held = f->n_started = f->n_drained = 0;
    memset(&f->client, 0, sizeof(f->client));
    f->t.loop = NULL;
    if (weft_loop_new(&f->t.loop,
                      &(weft_loop_conf){.clock = weft_fake(&f->t.clock)}) !=
        WEFT_OK)
        return;
    weft_server_new(&f->server, f->t.loop,
                    &(weft_server_conf){.forward_metadata = "k"});
    weft_server_add_service(f->server, &f->greeter.base);
    weft_server_listen(f->server, "tcp://127.0.0.1:0");
    if (weft_server_start(f->server, on_started, f) == WEFT_OK) {
        test_loop_settle(&f->t);
        address = *weft_server_address(f->server, 0);
        if (!raw_try_open(&f->client, f->t.loop, &address))
            goto end;
        for (i = 0; i < 50 && f->client.conn != NULL && !f->client.ready; i++)
            test_loop_advance(&f->t, 10);
        if (f->client.ready)
            call = raw_call(&f->client, &request);
        for (i = 0; i < 50 && call >= 0 && f->n_held == 0; i++)
            test_loop_settle(&f->t);
        if (f->n_held > 0)
            answer_held(f, 0, "y");
        test_loop_settle(&f->t);
        assert_int_equal(f->n_started, 1);
    }
end:
    raw_abort(&f->client);
    weft_server_free(f->server);
    for (i = 0; i < 20; i++)
        test_loop_settle(&f->t);
    test_loop_fini(&f->t);
    raw_fini(&f->client);
}

static void every_allocation_of_a_server_s_life_may_fail(void **state)
{
    fixture *f = *state;
    unsigned n;

    weft_log_set_level(WEFT_LOG_OFF);
    f->greeter.say_hello = hold;
    test_loop_fini(&f->t);
    n = test_each_allocation_fails(life, f);
    print_message("%u allocations\n", n);
    assert_true(n > 20);
    assert_int_equal(f->n_held, 1); /* the last one went through */
}

static size_t allocations;

static void *counting_realloc(void *p, size_t size)
{
    allocations++;
    return realloc(p, size);
}

static const weft_mem_hooks hooks = {counting_realloc, free};

static void a_warm_server_allocates_nothing_for_a_call(void **state)
{
    fixture *f = *state;
    int round, i, calls[32];

    fixture_serve(f, NULL);
    for (round = 0; round < 30; round++) {
        if (round == 10)
            allocations = 0;
        for (i = 0; i < 32; i++)
            calls[i] = say_hello(f, "steady", 1000);
        run_while(f, f->client.n_done < (unsigned)(32 * (round + 1)));
        for (i = 0; i < 32; i++)
            assert_int_equal(f->client.replies[calls[i]].status, WEFT_OK);
    }
    assert_int_equal(allocations, 0);
}

static void a_warm_server_allocates_nothing_for_a_late_reply(void **state)
{
    fixture *f = *state;
    static char msg[400];
    int round, i;

    memset(msg, 'm', sizeof(msg) - 1);
    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    for (round = 0; round < 30; round++) {
        if (round == 10)
            allocations = 0;
        f->n_held = 0;
        for (i = 0; i < 32; i++)
            say_hello(f, msg, 1000);
        run_while(f, f->n_held < 32);
        for (i = 0; i < 32; i++)
            answer_held(f, (unsigned)i, "late");
        run_while(f, f->client.n_done < (unsigned)(32 * (round + 1)));
    }
    assert_int_equal(allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_allocation_of_a_server_s_life_may_fail),
        FIXTURE_TEST(a_warm_server_allocates_nothing_for_a_call),
        FIXTURE_TEST(a_warm_server_allocates_nothing_for_a_late_reply),
    };

    weft_mem_set_hooks(&hooks);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
