/* native_client_test.c - a client that finds a gorpc server. */
#include "wire_peer.h"

#include <stdlib.h>
#include <string.h>

#define PROBE "11 01 01 00 00 0000 00000000 00000000"
#define METHOD_INVALID                                                         \
    "11 00 00 00 00 0000 00000016 00000000"                                    \
    "08 ad 02 12 11 \"method is invalid\""
#define REQUEST                                                                \
    "11 00 00 00 00 0000 00000027 00000000"                                    \
    "12 1c \"/helloworld.Greeter/SayHello\" 22 07 0a 05 \"hello\""
#define RESPONSE                                                               \
    "11 00 00 00 00 0000 00000018 00000000"                                    \
    "12 07 \"success\" 22 0d 0a 0b \"hello world\""

static const weft__wire_request hello = {
    .path = "/helloworld.Greeter/SayHello",
    .path_len = 28,
    .timeout_ms = 5000,
    .content_type = {(const uint8_t *)"protobuf", 8},
    .trace = {(const uint8_t *)"00-1", 4},
    .payload = {.data = "\x0a\x05hello", .len = 7},
    .user = "hello's"};

static weft_status request(wire_peer *peer, const weft__wire_request *r,
                           weft__stream_id *id)
{
    return peer->wire->ops->request(peer->wire, r, id);
}

static int setup(void **state)
{
    static wire_peer peer;

    peer_init(&peer, NULL, NULL, false);
    *state = &peer;
    return peer.wire->ops->start(peer.wire);
}

/* As above, and the server has shown that it is gorpc's. */
static int setup_met(void **state)
{
    wire_peer *peer;

    setup(state);
    peer = *state;
    assert_output(peer, PROBE);
    assert_int_equal(peer_feed_hex(peer, METHOD_INVALID), WEFT_OK);
    return 0;
}

static int teardown(void **state)
{
    peer_fini(*state);
    return 0;
}

static void an_answer_of_version_0_to_the_probe_makes_it_ready(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id id;

    assert_output(peer, PROBE);
    assert_int_equal(peer_info(peer).version, -1);
    assert_int_equal(peer_info(peer).window, 0);
    assert_int_equal(request(peer, &hello, &id), WEFT_EAGAIN);
    assert_int_equal(peer_feed_hex(peer, METHOD_INVALID), WEFT_OK);
    assert_int_equal(peer_last(peer)->parts, WEFT__READY);
    assert_int_equal(peer_info(peer).version, 0);
    assert_int_equal(peer_info(peer).window, 1);
    assert_int_equal(peer_info(peer).max_frame_bytes, 4 << 20);
    assert_output(peer, ""); /* settings would be a call to it */
}

static void a_call_is_written_byte_for_byte_and_its_reply_read(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id id;
    const seen *e;

    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    assert_output(peer, REQUEST);
    assert_int_equal(peer_feed_hex(peer, RESPONSE), WEFT_OK);
    e = peer_last(peer);
    assert_int_equal(e->parts, WEFT__MESSAGE | WEFT__END);
    assert_int_equal(e->stream, id);
    assert_int_equal(e->status, WEFT_OK);
    assert_string_equal(e->payload, "\x0a\x0bhello world");
    assert_ptr_equal(e->user, hello.user);
}

static void metadata_goes_out_as_gorpc_writes_it(void **state)
{
    wire_peer *peer = *state;
    weft_metadatum items[] = {{"a", "1", 1}, {"a", NULL, 0}};
    weft__wire_request r = hello;
    weft__stream_id id;

    r.path = "/s/M";
    r.path_len = 4;
    r.metadata = (weft_metadata){items, 2};
    assert_int_equal(request(peer, &r, &id), WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 0000001c 00000000"
                        "12 04 \"/s/M\" 1a 06 0a 01 61 12 01 31"
                        "1a 03 0a 01 61 22 07 0a 05 \"hello\"");
}

static void an_empty_message_is_filled_and_the_filler_taken_out(void **state)
{
    wire_peer *peer = *state;
    weft__wire_request r = hello;
    weft__stream_id id;

    r.payload.len = 0;
    assert_int_equal(request(peer, &r, &id), WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 00000026 00000000"
                        "12 1c \"/helloworld.Greeter/SayHello\""
                        "22 06 f8 ff ff ff 0f 00");
    assert_int_equal(peer_feed_hex(peer, "11 00 00 00 00 0000 00000011 00000000"
                                         "12 07 \"success\""
                                         "22 06 f8 ff ff ff 0f 00"),
                     WEFT_OK);
    assert_int_equal(peer_last(peer)->parts, WEFT__MESSAGE | WEFT__END);
    assert_int_equal(peer_last(peer)->payload_len, 0);
}

static void gorpcs_codes_become_ours_and_stay_beside_them(void **state)
{
    static const struct {
        const char *reply;
        uint32_t raw;
        weft_status status;
    } rows[] = {
        {"11 00 00 00 00 0000 00000019 00000000 08 64 12 15"
         "\"server internal error\"",
         100, WEFT_INTERNAL},
        {METHOD_INVALID, 301, WEFT_INVALID_ARGUMENT},
        {"11 00 00 00 00 0000 00000003 00000000 08 91 03", 401,
         WEFT_UNAUTHENTICATED},
        {"11 00 00 00 00 0000 00000002 00000000 08 05", 5, WEFT_NOT_FOUND},
        {"11 00 00 00 00 0000 00000003 00000000 08 89 06", 777, WEFT_UNKNOWN}};
    wire_peer *peer = *state;
    weft__stream_id id;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(request(peer, &hello, &id), WEFT_OK);
        assert_int_equal(peer_feed_hex(peer, rows[i].reply), WEFT_OK);
        assert_int_equal(peer_last(peer)->parts, WEFT__END);
        assert_int_equal(peer_last(peer)->stream, id);
        assert_int_equal(peer_last(peer)->status, rows[i].status);
        assert_int_equal(peer_last(peer)->raw_code, rows[i].raw);
    }
}

static void there_is_one_call_at_a_time(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id first, second;

    assert_int_equal(request(peer, &hello, &first), WEFT_OK);
    assert_int_equal(peer_info(peer).window, 0);
    assert_int_equal(request(peer, &hello, &second), WEFT_EAGAIN);
    assert_int_equal(peer_feed_hex(peer, RESPONSE), WEFT_OK);
    assert_int_equal(request(peer, &hello, &second), WEFT_OK);
    assert_true(second > first);
}

static void an_abandoned_call_keeps_its_place_until_it_is_answered(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id id;

    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    assert_output(peer, REQUEST);
    peer->wire->ops->reset(peer->wire, id, WEFT_CANCELLED);
    assert_output(peer, "");
    assert_int_equal(peer_info(peer).in_flight, 1);
    assert_int_equal(peer_info(peer).window, 0);
    peer_forget(peer);
    assert_int_equal(peer_feed_hex(peer, RESPONSE), WEFT_OK);
    assert_int_equal(peer->n_seen, 1);
    assert_int_equal(peer_last(peer)->parts, WEFT__DISCARDED);
    assert_null(peer_last(peer)->user);
    assert_int_equal(peer_info(peer).in_flight, 0);
    assert_int_equal(peer_info(peer).window, 1);
}

static void a_reply_to_no_call_is_dropped(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id id;

    peer_forget(peer);
    assert_int_equal(peer_feed_hex(peer, RESPONSE), WEFT_OK);
    assert_int_equal(peer->n_seen, 0);
    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    /* a frame of version 1 cannot come from this server */
    assert_int_equal(
        peer_feed_hex(peer, "11 01 00 00 00 0000 00000003 00000001 22 01 61"),
        WEFT_OK);
    assert_int_equal(peer->n_seen, 0);
    assert_int_equal(peer_info(peer).strays, 2);
}

static void a_reply_that_is_none_fails_its_call_alone(void **state)
{
    static const char *const replies[] = {
        "11 00 00 00 00 0000 00000002 00000000 12 7f",
        "11 00 00 00 00 0000 00000002 00000000 0a 00",
        "11 00 00 00 00 0000 00000002 00000000 20 00"};
    wire_peer *peer = *state;
    weft__stream_id id;

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        assert_int_equal(request(peer, &hello, &id), WEFT_OK);
        assert_int_equal(peer_feed_hex(peer, replies[i]), WEFT_OK);
        assert_int_equal(peer_last(peer)->parts, WEFT__END);
        assert_int_equal(peer_last(peer)->status, WEFT_INTERNAL);
        assert_true(strlen(peer_last(peer)->message) > 0);
        assert_ptr_equal(peer_last(peer)->user, hello.user);
    }
    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
}

static void gorpc_is_never_sent_what_it_cannot_know(void **state)
{
    wire_peer *peer = *state;
    weft__wire_request r = hello;
    weft__stream_id id;

    r.kind = WEFT__ONE_WAY;
    assert_int_equal(request(peer, &r, &id), WEFT_ENOTSUP);
    r.kind = WEFT__SERVER_STREAM;
    assert_int_equal(request(peer, &r, &id), WEFT_ENOTSUP);
    r = hello;
    r.payload.len = 4 << 20;
    assert_int_equal(request(peer, &r, &id), WEFT_ELIMIT);
    assert_false(peer->wire->ops->ping(peer->wire));
    peer->wire->ops->goaway(peer->wire, WEFT_OK, "bye");
    assert_output(peer, "");
}

static void a_reply_with_too_much_metadata_fails_its_call_alone(void **state)
{
    wire_peer *peer = *state;
    weft__wire_conf conf = peer_client_conf;
    weft__stream_id id;

    peer_fini(peer);
    conf.max_metadata = 1;
    conf.max_metadata_bytes = 3;
    peer_init(peer, NULL, &conf, false);
    assert_int_equal(peer_feed_hex(peer, METHOD_INVALID), WEFT_OK);
    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    peer_feed_hex(peer, "11 00 00 00 00 0000 0000000a 00000000"
                        "1a 03 0a 01 61 1a 03 0a 01 62");
    assert_int_equal(peer_last(peer)->status, WEFT_RESOURCE_EXHAUSTED);
    assert_string_equal(peer_last(peer)->message,
                        "more metadata pairs than max_metadata");
    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    peer_feed_hex(peer, "11 00 00 00 00 0000 00000009 00000000"
                        "1a 07 0a 01 61 12 02 62 63");
    assert_int_equal(peer_last(peer)->status, WEFT_OK);
    assert_int_equal(request(peer, &hello, &id), WEFT_OK);
    peer_feed_hex(peer, "11 00 00 00 00 0000 0000000a 00000000"
                        "1a 08 0a 01 61 12 03 62 63 64");
    assert_int_equal(peer_last(peer)->status, WEFT_RESOURCE_EXHAUSTED);
}

#define MET(name) cmocka_unit_test_setup_teardown(name, setup_met, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_answer_of_version_0_to_the_probe_makes_it_ready, setup,
            teardown),
        MET(a_call_is_written_byte_for_byte_and_its_reply_read),
        MET(metadata_goes_out_as_gorpc_writes_it),
        MET(an_empty_message_is_filled_and_the_filler_taken_out),
        MET(gorpcs_codes_become_ours_and_stay_beside_them),
        MET(there_is_one_call_at_a_time),
        MET(an_abandoned_call_keeps_its_place_until_it_is_answered),
        MET(a_reply_to_no_call_is_dropped),
        MET(a_reply_that_is_none_fails_its_call_alone),
        MET(gorpc_is_never_sent_what_it_cannot_know),
        MET(a_reply_with_too_much_metadata_fails_its_call_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
