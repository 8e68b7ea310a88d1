/* native_v0_test.c - a server of version 0 peers, row by row as gorpc behaves.
 */
#include "wire_peer.h"

#include <stdlib.h>
#include <string.h>

#include "frame_internal.h"

#define REQUEST                                                                \
    "11 00 00 00 00 0000 00000027 00000000"                                    \
    "12 1c \"/helloworld.Greeter/SayHello\" 22 07 0a 05 \"hello\""
#define RESPONSE                                                               \
    "11 00 00 00 00 0000 00000018 00000000"                                    \
    "12 07 \"success\" 22 0d 0a 0b \"hello world\""
#define SERVER_ERROR                                                           \
    "11 00 00 00 00 0000 00000019 00000000"                                    \
    "08 64 12 15 \"server internal error\""
#define METHOD_INVALID                                                         \
    "11 00 00 00 00 0000 00000016 00000000"                                    \
    "08 ad 02 12 11 \"method is invalid\""
#define TOO_MANY                                                               \
    "11 00 00 00 00 0000 0000002b 00000000"                                    \
    "08 08 12 27 \"over max_in_flight_per_connection calls\""

static weft_status answer(wire_peer *peer, weft__stream_id stream,
                          const char *payload)
{
    weft__wire_response response = {
        .payload = {.data = payload, .len = strlen(payload)}};

    return peer->wire->ops->respond(peer->wire, stream, &response);
}

static void answer_hello(wire_peer *peer, const weft__wire_event *event)
{
    if (event->parts & WEFT__HEADERS)
        answer(peer, event->stream, "\x0a\x0bhello world");
}

/* Feeds text, and expects this output. */
static void check(wire_peer *peer, const char *in, const char *out)
{
    assert_int_equal(peer_feed_hex(peer, in), WEFT_OK);
    assert_output(peer, out);
}

static int setup(void **state)
{
    static wire_peer peer;

    peer_init(&peer, NULL, NULL, true);
    peer.on_event = answer_hello;
    *state = &peer;
    return 0;
}

static int teardown(void **state)
{
    peer_fini(*state);
    return 0;
}

static void a_call_is_answered_byte_for_byte(void **state)
{
    wire_peer *peer = *state;
    const seen *e;

    check(peer, REQUEST, RESPONSE);
    e = peer_last(peer);
    assert_int_equal(e->parts, WEFT__HEADERS | WEFT__MESSAGE | WEFT__END);
    assert_string_equal(e->path, "/helloworld.Greeter/SayHello");
    assert_string_equal(e->payload, "\x0a\x05hello");
    assert_int_equal(e->kind, WEFT__UNARY);
    assert_true(e->v0);
    assert_true(e->stream > WEFT__MAX_ID);
    assert_int_equal(peer_info(peer).version, 0);
    assert_int_equal(peer_info(peer).in_flight, 0);
}

static void a_msgpack_payload_passes_as_it_is(void **state)
{
    wire_peer *peer = *state;

    check(peer,
          "11 00 00 00 00 0000 00000018 00000000"
          "12 0b \"/h.Greeter/\" 22 09 81 a3 4d 73 67 a5 \"hel\"",
          RESPONSE);
    assert_memory_equal(peer_last(peer)->payload, "\x81\xa3\x4d\x73\x67\xa5hel",
                        9);
}

static void metadata_comes_with_and_without_values(void **state)
{
    wire_peer *peer = *state;
    const seen *e;

    check(peer,
          "11 00 00 00 00 0000 0000001b 00000000"
          "12 04 \"/s/M\" 1a 06 0a 01 61 12 01 31 1a 03 0a 01 61 22 06"
          "0a 04 \"abcd\"",
          RESPONSE);
    e = peer_last(peer);
    assert_int_equal(e->n_metadata, 2);
    assert_string_equal(e->key, "a");
    assert_string_equal(e->value, "1");
}

static void header_fields_are_ignored_and_not_echoed(void **state)
{
    static const char *const headers[] = {
        "11 00 00 00 00 1234 00000027 89abcdef",
        "11 00 01 00 00 0000 00000027 00000000", /* heartbeat with a body */
        "11 00 07 00 00 0000 00000027 00000000",
        "11 00 00 01 00 0000 00000027 00000000", /* one-way has a reply */
        "11 00 00 04 00 0000 00000027 00000000",
        "11 00 00 00 01 0000 00000027 00000000", /* not compressed at all */
        "11 07 00 00 00 0000 00000027 00000000", /* a version nobody defined */
        "11 ff ff ff ff ffff 00000027 ffffffff"};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        peer_feed_hex(*state, headers[i]);
        check(*state, &REQUEST[strlen(headers[0])], RESPONSE);
    }
}

static void what_is_no_method_is_invalid(void **state)
{
    check(*state, "11 00 00 00 00 0000 00000000 00000000", METHOD_INVALID);
    assert_int_equal(peer_last(*state)->parts, WEFT__REFUSED);
    check(*state, "11 00 01 00 00 0000 00000000 00000000", METHOD_INVALID);
    check(*state, "11 00 00 00 00 0000 00000003 00000000 22 01 61",
          METHOD_INVALID);
    check(*state, "11 00 00 00 00 0000 00000005 00000000 12 00 22 01 61",
          METHOD_INVALID);
    check(*state, "11 00 00 00 00 0000 00000007 00000000 12 02 \"/M\" 22 01 61",
          METHOD_INVALID);
    check(*state,
          "11 00 00 00 00 0000 00000008 00000000 12 03 \"x/M\" 22 01 61",
          METHOD_INVALID);
}

static void only_the_last_slash_divides_a_path(void **state)
{
    wire_peer *peer = *state;

    check(peer,
          "11 00 00 00 00 0000 0000000a 00000000 12 05 \"/s//M\" 22 01 61",
          RESPONSE);
    check(peer, "11 00 00 00 00 0000 00000008 00000000 12 03 \"//M\" 22 01 61",
          RESPONSE);
    check(peer, "11 00 00 00 00 0000 00000008 00000000 12 03 \"/s/\" 22 01 61",
          RESPONSE);
}

static void a_bad_envelope_or_an_empty_payload_is_a_server_error(void **state)
{
    static const char *const bodies[] = {
        "11 00 00 00 00 0000 00000003 00000000 ff ff ff",
        "11 00 00 00 00 0000 00000005 00000000 12 7f \"/sM\"",
        "11 00 00 00 00 0000 00000002 00000000 10 01", /* path a number */
        "11 00 00 00 00 0000 00000008 00000000 12 04 \"/s/M\" 20 01",
        "11 00 00 00 00 0000 00000006 00000000 12 04 \"/s/M\"",
        "11 00 00 00 00 0000 00000008 00000000 12 04 \"/s/M\" 22 00"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        check(*state, bodies[i], SERVER_ERROR);
    check(*state, REQUEST, RESPONSE);
}

static void unknown_fields_and_an_explicit_zero_are_accepted(void **state)
{
    check(*state,
          "11 00 00 00 00 0000 0000001c 00000000"
          "08 00 12 04 \"/s/M\" 42 01 78 49 0102030405060708 55 01020304"
          "22 01 61",
          RESPONSE);
}

static void an_empty_reply_is_filled(void **state)
{
    wire_peer *peer = *state;

    peer->on_event = NULL;
    check(peer, REQUEST, "");
    assert_int_equal(answer(peer, peer_last(peer)->stream, ""), WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 00000011 00000000"
                        "12 07 \"success\" 22 06 f8 ff ff ff 0f 00");
}

static void failures_carry_gorpcs_codes(void **state)
{
    wire_peer *peer = *state;
    const weft__wire_ops *ops = peer->wire->ops;
    weft__wire_response mapped = {.status = WEFT_INTERNAL,
                                  .message = SLICE("server internal error")};
    weft__wire_response raw = {
        .status = WEFT_UNKNOWN, .raw_code = 777, .message = SLICE("no")};
    weft__wire_response silent = {.status = WEFT_NOT_FOUND,
                                  .details = SLICE("dropped")};

    peer->on_event = NULL;
    check(peer, REQUEST, "");
    assert_int_equal(ops->respond(peer->wire, peer_last(peer)->stream, &mapped),
                     WEFT_OK);
    assert_output(peer, SERVER_ERROR);
    check(peer, REQUEST, "");
    assert_int_equal(ops->respond(peer->wire, peer_last(peer)->stream, &raw),
                     WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 00000007 00000000"
                        "08 89 06 12 02 \"no\"");
    check(peer, REQUEST, "");
    assert_int_equal(ops->respond(peer->wire, peer_last(peer)->stream, &silent),
                     WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 0000000d 00000000"
                        "08 05 12 09 \"not found\"");
}

static void replies_go_out_in_the_order_of_the_requests(void **state)
{
    wire_peer *peer = *state;
    weft__stream_id id[5];

    peer->on_event = NULL;
    for (int i = 0; i < 5; i++) {
        check(peer, REQUEST, "");
        id[i] = peer_last(peer)->stream;
        assert_true(i == 0 || id[i] > id[i - 1]);
    }
    assert_int_equal(peer_info(peer).in_flight, 5);
    assert_int_equal(answer(peer, id[2], "c"), WEFT_OK);
    assert_int_equal(answer(peer, id[1], "b"), WEFT_OK);
    assert_int_equal(answer(peer, id[2], "again"), WEFT_ENOENT);
    assert_output(peer, "");
    assert_int_equal(answer(peer, id[0], "a"), WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 61"
                        "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 62"
                        "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 63");
    assert_int_equal(answer(peer, id[4], "e"), WEFT_OK);
    assert_output(peer, "");
    /* a refusal waits for its turn too */
    check(peer, "11 00 00 00 00 0000 00000000 00000000", "");
    peer->wire->ops->reset(peer->wire, id[3], WEFT_CANCELLED);
    assert_output(peer, "11 00 00 00 00 0000 0000001a 00000000"
                        "08 01 12 16 \"the call was cancelled\""
                        "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 65" METHOD_INVALID);
    assert_int_equal(peer_info(peer).in_flight, 0);
    assert_int_equal(answer(peer, id[0], "late"), WEFT_ENOENT);
}

static int released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

static void a_large_reply_by_reference_keeps_its_place_too(void **state)
{
    wire_peer *peer = *state;
    static uint8_t bytes[5000];
    weft__wire_response big = {
        .payload = {.data = bytes, .len = sizeof(bytes), .release = release}};
    weft__stream_id first;
    size_t len;
    uint8_t *out;

    peer->on_event = NULL;
    released = 0;
    check(peer, REQUEST REQUEST, "");
    first = peer_last(peer)->stream - 1;
    assert_int_equal(answer(peer, first + 1, "b"), WEFT_OK);
    assert_int_equal(peer->wire->ops->respond(peer->wire, first, &big),
                     WEFT_OK);
    assert_int_equal(released, 1);
    out = peer_take(peer, &len);
    assert_int_equal(len, 15 + 9 + 3 + 5000 + 15 + 9 + 3);
    assert_int_equal(out[len - 1], 'b');
    free(out);
    /* alone, it is not copied; parked, it is */
    check(peer, REQUEST REQUEST, "");
    assert_int_equal(peer->wire->ops->respond(peer->wire, first + 2, &big),
                     WEFT_OK);
    assert_int_equal(released, 1);
    free(peer_take(peer, &len));
    assert_int_equal(released, 2);
    check(peer, REQUEST, "");
    assert_int_equal(peer->wire->ops->respond(peer->wire, first + 4, &big),
                     WEFT_OK);
    assert_int_equal(released, 3);
}

static void a_body_of_4_mib_is_served_and_one_byte_more_closes(void **state)
{
    wire_peer *peer = *state;
    size_t body = 4 << 20, head = 6 + 5, len;
    uint8_t *frame = calloc(1, 15 + body + 1),
            *start = hex_bytes("11 00 00 00 00 0000 00400000 00000000"
                               "12 04 \"/s/M\" 22 f5 ff ff 01",
                               &len);

    assert_int_equal(len, 15 + head);
    memcpy(frame, start, len);
    assert_int_equal(peer_feed(peer, frame, 15 + body), WEFT_OK);
    assert_output(peer, RESPONSE);
    assert_int_equal(peer_last(peer)->payload_len, body - head);
    frame[10] = 1;
    assert_int_equal(peer_feed(peer, frame, 15), WEFT_ELIMIT);
    assert_output(peer, "");
    assert_non_null(peer_info(peer).why);
    free(frame);
    free(start);
}

static void a_reply_over_4_mib_is_refused_and_the_call_stays_open(void **state)
{
    wire_peer *peer = *state;
    weft__wire_response big = {.payload = {.len = 4 << 20}};
    void *bytes = calloc(1, 4 << 20);
    size_t len;
    uint8_t *out;

    peer->on_event = NULL;
    check(peer, REQUEST, "");
    big.payload.data = bytes;
    assert_int_equal(
        peer->wire->ops->respond(peer->wire, peer_last(peer)->stream, &big),
        WEFT_ELIMIT);
    assert_output(peer, "");
    big.payload.len -= 9 + 5; /* "success", and the payload's own head */
    assert_int_equal(
        peer->wire->ops->respond(peer->wire, peer_last(peer)->stream, &big),
        WEFT_OK);
    out = peer_take(peer, &len);
    assert_int_equal(len, 15 + (4 << 20));
    free(out);
    free(bytes);
}

static void bad_magic_closes_without_a_word(void **state)
{
    assert_int_equal(peer_feed_hex(*state, REQUEST "12"), WEFT_EPROTO);
    assert_output((wire_peer *)*state, RESPONSE);
    assert_int_equal(peer_feed_hex(*state, REQUEST), WEFT_EPROTO);
    assert_output((wire_peer *)*state, "");
}

static void nothing_is_ever_pushed(void **state)
{
    wire_peer *peer = *state;

    check(peer, REQUEST, RESPONSE);
    assert_false(peer->wire->ops->ping(peer->wire));
    peer->wire->ops->goaway(peer->wire, WEFT_UNAVAILABLE, "draining");
    assert_output(peer, "");
    check(peer, REQUEST, RESPONSE); /* it cannot know, so it is served */
}

static void too_many_at_once_are_refused_in_order_and_then_closed(void **state)
{
    wire_peer *peer = *state;
    weft__wire_conf conf = peer_server_conf;
    weft__stream_id first;

    peer_fini(peer);
    conf.max_in_flight = 2;
    peer_init(peer, NULL, &conf, true);
    check(peer, REQUEST, "");
    first = peer_last(peer)->stream;
    check(peer, REQUEST REQUEST, "");
    assert_int_equal(peer_last(peer)->parts, WEFT__REFUSED);
    assert_int_equal(peer_info(peer).in_flight, 2);
    assert_int_equal(answer(peer, first + 1, "b"), WEFT_OK);
    assert_int_equal(answer(peer, first, "a"), WEFT_OK);
    assert_output(peer, "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 61"
                        "11 00 00 00 00 0000 0000000c 00000000"
                        "12 07 \"success\" 22 01 62" TOO_MANY);
    for (int i = 0; i < 64 + 2 * 2; i++)
        assert_int_equal(peer_feed_hex(peer, REQUEST), WEFT_OK);
    assert_int_equal(peer_feed_hex(peer, REQUEST), WEFT_ELIMIT);
}

static void a_frame_may_be_cut_anywhere(void **state)
{
    wire_peer *peer = *state;
    size_t len;
    uint8_t *bytes = hex_bytes(REQUEST REQUEST, &len);

    for (size_t cut = 0; cut <= len; cut++) {
        assert_int_equal(peer_feed(peer, bytes, cut), WEFT_OK);
        assert_int_equal(peer_feed(peer, bytes + cut, len - cut), WEFT_OK);
        assert_output(peer, RESPONSE RESPONSE);
    }
    for (size_t i = 0; i < len; i++)
        assert_int_equal(peer_feed(peer, bytes + i, 1), WEFT_OK);
    assert_output(peer, RESPONSE RESPONSE);
    free(bytes);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_answered_byte_for_byte),
        T(a_msgpack_payload_passes_as_it_is),
        T(metadata_comes_with_and_without_values),
        T(header_fields_are_ignored_and_not_echoed),
        T(what_is_no_method_is_invalid),
        T(only_the_last_slash_divides_a_path),
        T(a_bad_envelope_or_an_empty_payload_is_a_server_error),
        T(unknown_fields_and_an_explicit_zero_are_accepted),
        T(an_empty_reply_is_filled),
        T(failures_carry_gorpcs_codes),
        T(replies_go_out_in_the_order_of_the_requests),
        T(a_large_reply_by_reference_keeps_its_place_too),
        T(a_body_of_4_mib_is_served_and_one_byte_more_closes),
        T(a_reply_over_4_mib_is_refused_and_the_call_stays_open),
        T(bad_magic_closes_without_a_word),
        T(nothing_is_ever_pushed),
        T(too_many_at_once_are_refused_in_order_and_then_closed),
        T(a_frame_may_be_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
