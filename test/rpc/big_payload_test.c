/* big_payload_test.c - a big frame is read into a block of its own, and its
 * bytes fields stay there: neither decoding it, on either side, nor sending it
 * back copies the payload.  A big request is written from where it was packed.
 */
#include "support.h"
#include "test_loop.h"

#include <blob.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#define BIG (1u << 20)

/* Allocations, not growths, that a copy of the payload would fit into. */
static unsigned big_ones;

static void *counting_realloc(void *p, size_t size)
{
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

static void a_big_payload_is_copied_where_it_is_packed_alone(void **state)
{
    static Blob__Store_Service store = BLOB__STORE__INIT(store_);
    Blob__Blob blob = BLOB__BLOB__INIT;
    weft_server *server;
    weft_channel *channel;
    weft_stub stub;
    weft_loop *loop;
    char target[WEFT_ADDRESS_TEXT];
    bool done = false;

    (void)state;
    assert_int_equal(weft_loop_new(&loop, NULL), WEFT_OK);
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &store.base);
    weft_server_listen(server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(server, NULL, NULL), WEFT_OK);
    weft_address_format(weft_server_address(server, 0), target, sizeof(target));
    weft_channel_new(&channel, loop, target,
                     &(weft_channel_conf){.eager = true});
    stub = weft_stub_for(channel, &blob__store__descriptor);
    blob.data.len = BIG;
    blob.data.data = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        blob.data.data[i] = (uint8_t)(i >> 12);
    for (int i = 0; i < 1000; i++) { /* so that sending needs no waiting */
        weft_loop_run_until(loop, &(bool){false}, 5);
        if (weft_channel_get_stats(channel).ready_endpoints == 1)
            break;
    }
    big_ones = 0;
    blob__store__swap(&stub.base, &blob, on_reply, &done);
    assert_int_equal(big_ones, 1); /* packed, and written from there */
    big_ones = 0;
    assert_int_equal(weft_loop_run_until(loop, &done, 10000), WEFT_OK);
    assert_true(intact);
    assert_int_equal(before_handler, 0);
    assert_int_equal(before_callback, 0);
    free(blob.data.data);
    weft_loop_free(loop);
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
        cmocka_unit_test(a_big_request_that_does_not_decode_is_refused),
    };

    weft_mem_set_hooks(&counting);
    return cmocka_run_group_tests_name("big payloads", tests, NULL, NULL);
}
