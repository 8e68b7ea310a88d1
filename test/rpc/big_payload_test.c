/* big_payload_test.c - a big frame is read into a block of its own, and its
 * bytes fields stay there: neither decoding it, on either side, nor sending it
 * back copies the payload.  A big request is written from where it was packed,
 * or from where it lies if that is lent. */
#include "support.h"
#include "test_loop.h"

#include <blob.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#define BIG (1u << 20)

/* Allocations, not growths, that a copy of the payload would fit into. */
static unsigned big_ones, all;

static void *counting_realloc(void *p, size_t size)
{
    all++;
    if (p == NULL && size >= BIG)
        big_ones++;
    return realloc(p, size);
}

static const weft_mem_hooks counting = {.realloc = counting_realloc,
                                        .free = free};

static unsigned before_handler, before_callback;
static bool intact;

static bool is_intact(const Blob__Blob *blob)
{
    if (blob == NULL || blob->data.len != BIG)
        return false;
    for (size_t i = 0; i < BIG; i += 4096)
        if (blob->data.data[i] != (uint8_t)(i >> 12))
            return false;
    return true;
}

static void store_swap(Blob__Store_Service *self, const Blob__Blob *in,
                       Blob__Blob_Closure reply, void *call)
{
    (void)self;
    before_handler = big_ones;
    intact = is_intact(in);
    reply(in, call);
}

static void on_reply(const Blob__Blob *reply, void *user)
{
    before_callback = big_ones;
    intact = intact && is_intact(reply);
    *(bool *)user = true;
}

typedef struct setup {
    weft_loop *loop;
    weft_stub stub;
} setup;

static void set_up(setup *s)
{
    static Blob__Store_Service store = BLOB__STORE__INIT(store_);
    weft_server *server;
    weft_channel *channel;
    char target[WEFT_ADDRESS_TEXT];

    assert_int_equal(weft_loop_new(&s->loop, NULL), WEFT_OK);
    weft_server_new(&server, s->loop, NULL);
    weft_server_add_service(server, &store.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(server, NULL, NULL), WEFT_OK);
    weft_address_format(weft_server_address(server, 0), target, sizeof(target));
    weft_channel_new(&channel, s->loop, target,
                     &(weft_channel_conf){.eager = true});
    s->stub = weft_stub_for(channel, &blob__store__descriptor);
    for (int i = 0; i < 1000; i++) { /* so that sending needs no waiting */
        weft_loop_run_until(s->loop, &(bool){false}, 5);
        if (weft_channel_get_stats(channel).ready_endpoints == 1)
            break;
    }
}

static void on_released(void *arg)
{
    ++*(int *)arg;
}

static void check_copies(unsigned packed, int *released)
{
    Blob__Blob blob = BLOB__BLOB__INIT;
    bool done = false;
    setup s;

    set_up(&s);
    blob.data.len = BIG;
    blob.data.data = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        blob.data.data[i] = (uint8_t)(i >> 12);
    if (released != NULL) {
        s.stub.options.release = on_released;
        s.stub.options.release_arg = released;
    }
    big_ones = 0;
    blob__store__swap(&s.stub.base, &blob, on_reply, &done);
    assert_int_equal(big_ones, packed);
    big_ones = 0;
    assert_int_equal(weft_loop_run_until(s.loop, &done, 10000), WEFT_OK);
    assert_true(intact);
    assert_int_equal(before_handler, 0);
    assert_int_equal(before_callback, 0);
    free(blob.data.data);
    weft_loop_free(s.loop);
}

static void a_big_payload_is_copied_where_it_is_packed_alone(void **state)
{
    (void)state;
    check_copies(1, NULL); /* packed, and written from there */
}

static void a_big_payload_that_is_lent_is_never_copied(void **state)
{
    int released = 0;

    (void)state;
    check_copies(0, &released);
    assert_int_equal(released, 1);
}

static void on_small(const Blob__Blob *reply, void *user)
{
    assert_non_null(reply);
    *(bool *)user = true;
}

static void calls_that_lend_allocate_nothing(void **state)
{
    static const size_t sizes[] = {1024, 100000};
    static uint8_t data[100000];
    Blob__Blob blob = BLOB__BLOB__INIT;
    int released = 0;
    setup s;

    (void)state;
    set_up(&s);
    s.stub.options.release = on_released;
    s.stub.options.release_arg = &released;
    for (int i = 0; i < 400; i++) {
        bool done = false;

        if (i == 200) /* all that it takes is there */
            all = 0;
        blob.data = (ProtobufCBinaryData){sizes[i % 2], data};
        blob__store__swap(&s.stub.base, &blob, on_small, &done);
        assert_int_equal(weft_loop_run_until(s.loop, &done, 10000), WEFT_OK);
    }
    assert_int_equal(all, 0);
    assert_int_equal(released, 400);
    weft_loop_free(s.loop);
}

typedef struct failure {
    weft_status status;
    bool done;
} failure;

static void on_failure(const weft_result *result, void *user)
{
    failure *f = user;

    f->status = result->status;
    f->done = true;
}

/* Its block belongs to a call that is refused: the refusal still reads it. */
static void a_big_request_that_does_not_decode_is_refused(void **state)
{
    static Blob__Store_Service store = BLOB__STORE__INIT(store_);
    weft_server *server;
    weft_channel *channel;
    weft_loop *loop;
    uint8_t *junk = malloc(BIG);
    failure f = {0};

    (void)state;
    memset(junk, 0xff, BIG);
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &store.base);
    weft_server_listen(server, "inproc:///store");
    assert_int_equal(weft_server_start(server, NULL, NULL), WEFT_OK);
    weft_channel_new(&channel, loop, "inproc:///store", NULL);
    assert_int_equal(weft_call_bytes(channel, NULL, "/blob.Store/Swap", junk,
                                     BIG, on_failure, &f),
                     WEFT_OK);
    assert_int_equal(weft_loop_run_until(loop, &f.done, 10000), WEFT_OK);
    assert_int_equal(f.status, WEFT_INVALID_ARGUMENT);
    free(junk);
    weft_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_big_payload_is_copied_where_it_is_packed_alone),
        cmocka_unit_test(a_big_payload_that_is_lent_is_never_copied),
        cmocka_unit_test(calls_that_lend_allocate_nothing),
        cmocka_unit_test(a_big_request_that_does_not_decode_is_refused),
    };

    weft_mem_set_hooks(&counting);
    return cmocka_run_group_tests_name("big payloads", tests, NULL, NULL);
}
