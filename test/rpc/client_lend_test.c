/* client_lend_test.c - requests that the caller lends: what is not copied, and
 * when it is given back; and replies whose bytes are taken along. */
#include "client_fixture.h"

#include "client_script.h"
#include "fail_nth.h"

#include <blob.pb-c.h>
#include <stdlib.h>

#define COPIED 511u /* bytes: too few to be lent */
#define KEPT 1000u  /* lent, and copied by the wire */
#define BIG 100000u /* written from where it lies */

static uint8_t bytes[BIG];
static int released;

static void release(void *arg)
{
    assert_ptr_equal(arg, bytes);
    released++;
}

typedef struct blob_call {
    Blob__Blob blob;
    weft_stub stub;
    outcome o;
    uint8_t *packed; /* as the peer sees it */
    size_t packed_len;
    int released_before; /* when the callback ran */
} blob_call;

static void on_blob(const Blob__Blob *reply, void *user)
{
    blob_call *c = user;

    (void)reply;
    c->released_before = released;
    note_result(&c->o, weft_current_result(), NULL);
}

/* len bytes, which are sent behind all other fields. */
static void blob_init(blob_call *c, const weft_stub *stub, size_t len)
{
    Blob__Blob rest = BLOB__BLOB__INIT;
    size_t n;

    *c = (blob_call){.blob = BLOB__BLOB__INIT, .stub = *stub};
    c->stub.base.descriptor = &blob__store__descriptor;
    c->stub.options.release = release;
    c->stub.options.release_arg = bytes;
    c->stub.options.handle = &c->o.handle;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    c->blob.name = rest.name = "a name";
    c->blob.label = rest.label = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    c->blob.data = (ProtobufCBinaryData){len, bytes};
    c->packed_len = blob__blob__get_packed_size(&c->blob);
    c->packed = malloc(c->packed_len);
    assert_non_null(c->packed);
    n = blob__blob__pack(&rest, c->packed);
    if (len >= 512) { /* the length has two bytes, or three */
        c->packed[n++] = 0x0a;
        for (size_t v = len; v > 0; v >>= 7)
            c->packed[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        memcpy(c->packed + n, bytes, len);
        assert_int_equal(n + len, c->packed_len);
    } else {
        blob__blob__pack(&c->blob, c->packed);
    }
    released = 0;
}

static void swap(blob_call *c)
{
    blob__store__swap(&c->stub.base, &c->blob, on_blob, c);
}

static void assert_arrived(const fixture *f, int i, const blob_call *c)
{
    assert_int_equal(f->p.calls[i].payload_len, c->packed_len);
    assert_true(f->p.calls[i].payload_sum ==
                peer_sum(c->packed, c->packed_len));
}

static void one_by_one(fixture *f, size_t len, int released_by_the_call)
{
    static int calls;
    blob_call c;

    calls = f->p.n_calls;
    blob_init(&c, &f->stub, len);
    swap(&c);
    assert_int_equal(released, released_by_the_call);
    until_calls(f, calls + 1);
    assert_int_equal(released, released_by_the_call);
    assert_arrived(f, calls, &c);
    peer_reply_bytes(&f->p, calls, "", 0);
    until_ended(f, &c.o);
    assert_int_equal(c.o.status, WEFT_OK);
    assert_int_equal(released, 1);
    free(c.packed);
}

static void what_is_lent_is_given_back_when_its_call_has_ended(void **state)
{
    fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        one_by_one(f, COPIED, 1);
        one_by_one(f, COPIED + 1, 0);
        one_by_one(f, KEPT, 0);
        one_by_one(f, BIG, 0);
        one_by_one(f, 4095, 0);
        one_by_one(f, 4096, 0);
    }
    assert_int_equal(weft_channel_get_stats(f->channel).pending_bytes, 0);
}

static void a_message_of_nothing_else_is_lent_whole(void **state)
{
    fixture *f = *state;
    blob_call c;

    blob_init(&c, &f->stub, KEPT);
    c.blob.name = (char *)protobuf_c_empty_string;
    c.blob.label.len = 0;
    c.packed_len = blob__blob__pack(&c.blob, c.packed);
    swap(&c);
    until_calls(f, 1);
    assert_arrived(f, 0, &c);
    peer_reply_bytes(&f->p, 0, "", 0);
    until_ended(f, &c.o);
    assert_int_equal(released, 1);
    free(c.packed);
}

static void long_fields_beside_what_is_lent_are_copied(void **state)
{
    fixture *f = *state;
    char *name = malloc(BIG);
    blob_call c;

    blob_init(&c, &f->stub, KEPT);
    memset(name, 'n', BIG);
    name[BIG - 1] = '\0';
    c.blob.name = name;
    swap(&c);
    memset(name, 'm', BIG - 1);
    c.packed_len = blob__blob__get_packed_size(&c.blob);
    until_calls(f, 1);
    assert_int_equal(f->p.calls[0].payload_len, c.packed_len);
    assert_memory_equal(f->p.calls[0].payload + 8, "nnnn", 4);
    peer_reply_bytes(&f->p, 0, "", 0);
    until_ended(f, &c.o);
    assert_int_equal(released, 1);
    free(name);
    free(c.packed);
}

/* Under ASan, this sees who writes from memory that has gone. */
static void what_waits_to_be_written_stays_lent(void **state)
{
    fixture *f = *state;
    static outcome first, before[3];
    static char text[200001];
    blob_call c;

    call_with(&f->stub, "x", &first);
    until_calls(f, 1);
    weft__conn_pause(f->p.conns[0]);
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 3; i++) /* more than the way there takes */
        call_with(&f->stub, text, &before[i]);
    blob_init(&c, &f->stub, BIG);
    swap(&c);
    test_loop_settle(&f->t);
    weft_cancel(c.o.handle);
    test_loop_settle(&f->t);
    assert_int_equal(c.o.status, WEFT_CANCELLED);
    assert_int_equal(released, 0);
    weft__conn_resume(f->p.conns[0]);
    test_loop_settle(&f->t);
    assert_int_equal(released, 1);
    free(c.packed);
}

static void it_goes_along_when_its_call_moves(void **state)
{
    fixture *f = *state;
    static peer other;
    blob_call kept, big;

    weft_resolver_register(&script);
    reopen(f, "script:///x", &(weft_channel_conf){.wait_for_ready = true});
    blob_init(&kept, &f->stub, KEPT);
    blob_init(&big, &f->stub, KEPT * 5);
    swap(&kept);
    swap(&big);
    publish((const char *const[]){"inproc:///peer", NULL});
    until_calls(f, 2);
    peer_open(&other, f->t.loop, "inproc:///other");
    publish((const char *const[]){"inproc:///other", NULL});
    peer_reset(&f->p, 0, WEFT_UNAVAILABLE); /* not processed */
    peer_reset(&f->p, 1, WEFT_UNAVAILABLE);
    for (int i = 0; i < 200 && other.n_calls < 2; i++)
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
    assert_int_equal(other.n_calls, 2);
    assert_int_equal(released, 0);
    for (int i = 0; i < 2; i++) {
        const blob_call *c =
            other.calls[i].payload_len == kept.packed_len ? &kept : &big;

        assert_int_equal(other.calls[i].payload_len, c->packed_len);
        assert_true(other.calls[i].payload_sum ==
                    peer_sum(c->packed, c->packed_len));
        peer_reply_bytes(&other, i, "", 0);
    }
    until_ended(f, &kept.o);
    until_ended(f, &big.o);
    assert_int_equal(released, 2);
    peer_close(&other);
    free(kept.packed);
    free(big.packed);
}

/* ---- Refusals ---- */

static void expect_given_back(fixture *f, weft_stub stub)
{
    blob_call c;

    blob_init(&c, &stub, BIG);
    c.stub.channel = stub.channel;
    swap(&c);
    assert_int_equal(released, 1);
    test_loop_settle(&f->t);
    assert_int_equal(c.o.calls, 1);
    assert_int_equal(released, 1);
    free(c.packed);
}

static void a_refused_call_gives_it_back_at_once(void **state)
{
    fixture *f = *state;
    static outcome o;
    blob_call c;
    weft_stub stub;

    blob_init(&c, &f->stub, BIG);
    assert_int_equal(
        weft_stub_call(&c.stub, 7, &c.blob.base, on_generic_result, &o),
        WEFT_EINVAL);
    assert_int_equal(released, 1);
    assert_int_equal(weft_stub_call(&c.stub, 0, NULL, on_generic_result, &o),
                     WEFT_EINVAL);
    assert_int_equal(released, 2);
    assert_int_equal(weft_stub_call(&c.stub, 0, &c.blob.base, NULL, &o),
                     WEFT_EINVAL);
    assert_int_equal(released, 3);
    assert_int_equal(weft_call_bytes(f->channel, &c.stub.options, "no path",
                                     bytes, BIG, on_generic_result, &o),
                     WEFT_EINVAL);
    assert_int_equal(released, 4);
    free(c.packed);

    stub = f->stub;
    stub.channel = NULL;
    expect_given_back(f, stub);
    reopen(f, "inproc:///peer", &(weft_channel_conf){.max_frame_bytes = 2000});
    expect_given_back(f, f->stub);
    reopen(f, "inproc:///peer",
           &(weft_channel_conf){.max_pending_bytes = 2000});
    expect_given_back(f, f->stub);
}

static void a_channel_that_closes_gives_back_what_waits(void **state)
{
    fixture *f = *state;
    blob_call kept, big;

    weft_resolver_register(&script);
    reopen(f, "script:///x", NULL);
    blob_init(&kept, &f->stub, KEPT);
    blob_init(&big, &f->stub, BIG);
    swap(&kept);
    swap(&big);
    test_loop_settle(&f->t);
    assert_int_equal(released, 0);
    weft_channel_close(f->channel);
    f->channel = NULL;
    test_loop_settle(&f->t);
    assert_int_equal(released, 2);
    assert_int_equal(kept.o.status, WEFT_CANCELLED);
    assert_int_equal(big.o.status, WEFT_CANCELLED);
    free(kept.packed);
    free(big.packed);
}

static void raw_bytes_are_lent_as_well(void **state)
{
    static const size_t sizes[] = {COPIED, KEPT, BIG};
    fixture *f = *state;
    blob_call c;

    for (int i = 0; i < 3; i++) {
        blob_init(&c, &f->stub, sizes[i]);
        assert_int_equal(weft_call_bytes(f->channel, &c.stub.options, "/a.B/C",
                                         bytes, sizes[i], on_generic_result,
                                         &c.o),
                         WEFT_OK);
        assert_int_equal(released, sizes[i] == COPIED);
        until_calls(f, i + 1);
        assert_int_equal(f->p.calls[i].payload_len, sizes[i]);
        assert_true(f->p.calls[i].payload_sum == peer_sum(bytes, sizes[i]));
        peer_reply_bytes(&f->p, i, "", 0);
        until_ended(f, &c.o);
        assert_int_equal(released, 1);
        free(c.packed);
    }
}

/* The record of the next call, and what stands for its request, lie here. */
#define APART 8192u
static _Alignas(max_align_t) uint8_t area[APART * 2];
static int placed;

static void *placing_realloc(void *p, size_t size)
{
    if (p == NULL && placed < 2 && size <= APART)
        return area + (placed++ == 0 ? APART : 0);
    return realloc(p, size);
}

static void placing_free(void *p)
{
    if ((uint8_t *)p < area || (uint8_t *)p >= area + sizeof(area))
        free(p);
}

static void on_failure(const weft_result *r, void *user)
{
    const uint8_t *message = (const uint8_t *)r->message;

    assert_true(message >= area + APART && message < area + sizeof(area));
    ((outcome *)user)->calls++;
}

/* A long path makes for a large record, in which no request lies. */
static void beside_a_large_record_it_is_none_of_its_memory(void **state)
{
    static const weft_mem_hooks placing = {.realloc = placing_realloc,
                                           .free = placing_free};
    static char path[301], text[100];
    fixture *f = *state;
    outcome o;
    blob_call c;

    blob_init(&c, &f->stub, BIG);
    c.stub.options.handle = NULL;
    memset(path, 'x', sizeof(path) - 1);
    path[0] = path[2] = '/';
    memset(text, 't', sizeof(text) - 1);
    one_by_one(f, COPIED, 1);
    weft_mem_set_hooks(&placing);
    for (size_t len = APART; len < APART + 1280; len += 16) {
        int n = f->p.n_calls;

        o = (outcome){0};
        assert_int_equal(weft_call_bytes(f->channel, &c.stub.options, path,
                                         bytes, len, on_failure, &o),
                         WEFT_OK);
        assert_int_equal(placed, 2);
        until_calls(f, n + 1);
        peer_fail(&f->p, n, WEFT_INTERNAL, text);
        until_ended(f, &o);
    }
    free(c.packed);
}

static void a_one_way_call_gives_it_back_when_it_is_written(void **state)
{
    fixture *f = *state;
    blob_call c;

    blob_init(&c, &f->stub, BIG);
    c.stub.options.one_way = true;
    swap(&c);
    until_calls(f, 1);
    assert_arrived(f, 0, &c);
    until_ended(f, &c.o);
    assert_int_equal(released, 1);
    free(c.packed);
}

static weft_status one_life(void *user)
{
    static const size_t sizes[] = {COPIED, KEPT, BIG};
    static fixture f;
    static blob_call calls[3];
    unsigned pending = weft_mem_fail_nth(0);
    weft_status result = WEFT_OK;

    (void)user;
    memset(&f, 0, sizeof(f));
    test_loop_init(&f.t);
    peer_open(&f.p, f.t.loop, "inproc:///memory");
    open_channel(&f, "inproc:///memory", NULL);
    for (int i = 0; i < 3; i++)
        blob_init(&calls[i], &f.stub, sizes[i]);
    (void)weft_mem_fail_nth(pending);
    for (int i = 0; i < 3; i++)
        swap(&calls[i]);
    test_loop_settle(&f.t);
    pending = weft_mem_fail_nth(0);
    for (int i = 0; i < 8; i++) {
        for (int c = 0; c < f.p.n_calls; c++)
            if (!f.p.calls[c].ended && f.p.calls[c].conn != NULL)
                peer_reply_bytes(&f.p, c, "", 0);
        test_loop_advance(&f.t, 1000);
    }
    weft_channel_close(f.channel);
    peer_close(&f.p);
    test_loop_settle(&f.t);
    test_loop_fini(&f.t);
    assert_int_equal(released, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].o.calls, 1);
        if (calls[i].o.status != WEFT_OK)
            result = WEFT_ENOMEM;
        free(calls[i].packed);
    }
    (void)weft_mem_fail_nth(pending);
    return result;
}

static void without_memory_it_is_given_back_once_all_the_same(void **state)
{
    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    assert_in_range(fail_each_allocation(one_life, NULL), 5, 500);
    weft_log_set_level(WEFT_LOG_WARN);
}

/* ---- Replies ---- */

static weft_result *taken;

static void take(const Blob__Blob *reply, void *user)
{
    outcome *o = user;

    assert_non_null(reply);
    assert_memory_equal(reply->label.data, "label", 5);
    taken = weft_result_keep();
    o->calls++;
}

static void the_bytes_of_a_reply_can_be_taken_along(void **state)
{
    static uint8_t packed[1024];
    fixture *f = *state;
    Blob__Blob reply = BLOB__BLOB__INIT, part = BLOB__BLOB__INIT;
    Blob__Blob *parts[] = {&part};
    const Blob__Blob *kept;
    static outcome o, other;
    blob_call c;
    size_t len;

    part.data = (ProtobufCBinaryData){4, (uint8_t *)"part"};
    reply.label = (ProtobufCBinaryData){5, (uint8_t *)"label"};
    reply.name = "name";
    reply.n_parts = 1;
    reply.parts = parts;
    len = blob__blob__pack(&reply, packed);
    o = (outcome){0};
    blob_init(&c, &f->stub, COPIED);
    blob__store__swap(&c.stub.base, &c.blob, take, &o);
    until_calls(f, 1);
    peer_reply_bytes(&f->p, 0, packed, len);
    until_ended(f, &o);
    call_with(&f->stub, "another", &other); /* into the same buffer */
    until_calls(f, 2);
    peer_reply(&f->p, 1, "........................................");
    until_ended(f, &other);
    kept = (const Blob__Blob *)taken->reply;
    assert_string_equal(kept->name, "name");
    assert_memory_equal(kept->label.data, "label", 5);
    assert_int_equal(kept->parts[0]->data.len, 4);
    assert_memory_equal(kept->parts[0]->data.data, "part", 4);
    weft_result_free(taken);
    free(c.packed);
}

#define T(test)                                                                \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_lent_is_given_back_when_its_call_has_ended),
        T(a_message_of_nothing_else_is_lent_whole),
        T(long_fields_beside_what_is_lent_are_copied),
        T(what_waits_to_be_written_stays_lent),
        T(it_goes_along_when_its_call_moves),
        T(a_refused_call_gives_it_back_at_once),
        T(a_channel_that_closes_gives_back_what_waits),
        T(raw_bytes_are_lent_as_well),
        T(beside_a_large_record_it_is_none_of_its_memory),
        T(a_one_way_call_gives_it_back_when_it_is_written),
        cmocka_unit_test(without_memory_it_is_given_back_once_all_the_same),
        T(the_bytes_of_a_reply_can_be_taken_along),
    };

    return cmocka_run_group_tests_name("lent requests", tests, NULL, NULL);
}
