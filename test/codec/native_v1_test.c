/* native_v1_test.c - the native wire, version 1, byte by byte. */
#include "fail_nth.h"
#include "wire_peer.h"

#include <stdlib.h>
#include <string.h>

#include "frame_internal.h"

#define PROBE "11 01 01 00 00 0000 00000000 00000000"
/* 4 MiB frames, 1000 calls in flight, no streams, no compression */
#define SERVER_SETTINGS                                                        \
    "11 01 01 01 00 0000 00000010 00000000"                                    \
    "08 80 80 80 02 10 e8 07 18 00 20 00 28 01 30 00"
#define CLIENT_SETTINGS                                                        \
    "11 01 01 01 00 0000 0000000f 00000000"                                    \
    "08 80 80 80 02 10 00 18 00 20 00 28 01 30 00"
#define CALL(id)                                                               \
    "11 01 00 00 00 0000 00000009 000000" id "12 04 \"/s/M\" 22 01 61"
#define REPLY(id) "11 01 00 00 00 0000 00000003 000000" id "22 01 61"

typedef struct pair {
    wire_peer server, client;
} pair;

static void respond_ok(wire_peer *peer, weft__stream_id stream)
{
    weft__wire_response response = {.payload = {.data = "a", .len = 1}};

    assert_int_equal(peer->wire->ops->respond(peer->wire, stream, &response),
                     WEFT_OK);
}

static weft_status request(wire_peer *peer, weft__call_kind kind,
                           const char *payload, weft__stream_id *id)
{
    weft__wire_request r = {
        .kind = kind,
        .path = "/s/M",
        .path_len = 4,
        .payload = {.data = payload, .len = strlen(payload)}};

    return peer->wire->ops->request(peer->wire, &r, id);
}

static int setup(void **state)
{
    static pair p;

    peer_init(&p.server, NULL, NULL, true);
    peer_init(&p.client, NULL, NULL, false);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    pair *p = *state;

    peer_fini(&p->server);
    peer_fini(&p->client);
    return 0;
}

/* Past the probe on both sides. */
static void meet(pair *p)
{
    assert_int_equal(p->client.wire->ops->start(p->client.wire), WEFT_OK);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__READY);
    assert_int_equal(peer_last(&p->server)->parts, WEFT__READY);
    peer_forget(&p->client);
    peer_forget(&p->server);
}

static void check(wire_peer *peer, const char *in, const char *out)
{
    assert_int_equal(peer_feed_hex(peer, in), WEFT_OK);
    assert_output(peer, out);
}

static void
the_probe_is_answered_with_settings_and_those_with_ours(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    assert_int_equal(p->client.wire->ops->start(p->client.wire), WEFT_OK);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &id), WEFT_EAGAIN);
    assert_output(&p->client, PROBE);
    check(&p->server, PROBE, SERVER_SETTINGS);
    assert_int_equal(p->server.n_seen, 0);
    check(&p->client, SERVER_SETTINGS, CLIENT_SETTINGS);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__READY);
    check(&p->server, CLIENT_SETTINGS, "");
    assert_int_equal(peer_last(&p->server)->parts, WEFT__READY);
    assert_int_equal(peer_info(&p->client).version, 1);
    assert_int_equal(peer_info(&p->client).window, 1000);
    assert_int_equal(peer_info(&p->server).version, 1);
}

static void a_call_carries_everything_there_and_back(void **state)
{
    pair *p = *state;
    weft_metadatum items[] = {{"tenant", "blue", 4}, {"flag", NULL, 0}};
    weft__wire_request request = {.path = "/s/M",
                                  .path_len = 4,
                                  .timeout_ms = 4994,
                                  .metadata = {items, 1},
                                  .more_metadata = {items + 1, 1},
                                  .content_type = SLICE("json"),
                                  .trace = SLICE("00-4bf92f-01"),
                                  .payload = {.data = "{}", .len = 2}};
    weft__wire_response response = {.status = WEFT_NOT_FOUND,
                                    .message = SLICE("no such order"),
                                    .details = SLICE("bytes"),
                                    .content_type = SLICE("json"),
                                    .metadata = {items, 2}};
    weft__stream_id id;
    const seen *e;

    meet(p);
    assert_int_equal(
        p->client.wire->ops->request(p->client.wire, &request, &id), WEFT_OK);
    peers_pump(&p->client, &p->server, 1);
    e = peer_last(&p->server);
    assert_int_equal(e->parts, WEFT__HEADERS | WEFT__MESSAGE | WEFT__END);
    assert_int_equal(e->stream, id);
    assert_int_equal(e->timeout_ms, 4994);
    assert_int_equal(e->n_metadata, 2);
    assert_string_equal(e->key, "tenant");
    assert_string_equal(e->value, "blue");
    assert_string_equal(e->content_type, "json");
    assert_string_equal(e->trace, "00-4bf92f-01");
    assert_string_equal(e->payload, "{}");
    assert_false(e->v0);

    assert_int_equal(
        p->server.wire->ops->respond(p->server.wire, id, &response), WEFT_OK);
    peers_pump(&p->client, &p->server, 1);
    e = peer_last(&p->client);
    assert_int_equal(e->parts, WEFT__END);
    assert_int_equal(e->status, WEFT_NOT_FOUND);
    assert_int_equal(e->raw_code, 5);
    assert_string_equal(e->message, "no such order");
    assert_string_equal(e->details, "bytes");
    assert_string_equal(e->content_type, "json");
    assert_int_equal(e->n_metadata, 2);
    assert_int_equal(peer_info(&p->client).in_flight, 0);
    assert_int_equal(peer_info(&p->server).in_flight, 0);
}

static void an_empty_message_is_a_message(void **state)
{
    pair *p = *state;
    weft__wire_response empty = {0};

    check(&p->server,
          "11 01 00 00 00 0000 00000008 00000001 12 04 \"/s/M\" 22 00", "");
    assert_int_equal(p->server.wire->ops->respond(p->server.wire, 1, &empty),
                     WEFT_OK);
    assert_output(&p->server, "11 01 00 00 00 0000 00000002 00000001 22 00");
    /* encoders of proto3 leave an empty field out */
    check(&p->server, "11 01 00 00 00 0000 00000006 00000002 12 04 \"/s/M\"",
          "");
    assert_int_equal(peer_last(&p->server)->parts,
                     WEFT__HEADERS | WEFT__MESSAGE | WEFT__END);
}

static void ids_use_all_48_bits_and_replies_may_come_in_any_order(void **state)
{
    pair *p = *state;

    check(&p->server, CALL("01"), "");
    check(&p->server,
          "11 01 00 00 00 1234 00000009 56789abc 12 04 \"/s/M\" 22 01 61", "");
    assert_true(peer_last(&p->server)->stream == UINT64_C(0x123456789abc));
    respond_ok(&p->server, UINT64_C(0x123456789abc));
    respond_ok(&p->server, 1);
    assert_output(&p->server,
                  "11 01 00 00 00 1234 00000003 56789abc 22 01 61" REPLY("01"));
}

static void an_id_that_does_not_rise_ends_the_connection(void **state)
{
    pair *p = *state;

    check(&p->server, CALL("02"), "");
    respond_ok(&p->server, 2);
    assert_output(&p->server, REPLY("02"));
    assert_int_equal(peer_feed_hex(&p->server, CALL("02")), WEFT_EPROTO);
    assert_output(&p->server, "11 01 03 00 00 0000 0000001b 00000002"
                              "08 0d 12 17 \"an id that did not rise\"");
    assert_int_equal(peer_feed_hex(&p->server, CALL("03")), WEFT_EPROTO);
}

static void a_one_way_call_is_never_answered(void **state)
{
    pair *p = *state;
    weft__wire_response response = {0};
    weft__stream_id id;

    meet(p);
    assert_int_equal(request(&p->client, WEFT__ONE_WAY, "a", &id), WEFT_OK);
    assert_int_equal(peer_info(&p->client).in_flight, 0);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->server)->kind, WEFT__ONE_WAY);
    assert_int_equal(peer_info(&p->server).in_flight, 1);
    assert_int_equal(
        p->server.wire->ops->respond(p->server.wire, id, &response), WEFT_OK);
    assert_int_equal(
        p->server.wire->ops->respond(p->server.wire, id, &response),
        WEFT_ENOENT);
    assert_output(&p->server, "");
    /* nor is its refusal */
    check(&p->server, "11 01 00 01 00 0000 00000001 00000009 ff", "");
    assert_int_equal(peer_last(&p->server)->parts, WEFT__REFUSED);
}

static void a_reset_cancels_the_call_on_the_server(void **state)
{
    pair *p = *state;
    weft__stream_id id;
    weft__wire_response response = {0};

    meet(p);
    request(&p->client, WEFT__UNARY, "a", &id);
    peers_pump(&p->client, &p->server, 0);
    p->client.wire->ops->reset(p->client.wire, id, WEFT_DEADLINE_EXCEEDED);
    p->client.wire->ops->reset(p->client.wire, id, WEFT_CANCELLED);
    assert_int_equal(peer_info(&p->client).in_flight, 0);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->server)->parts, WEFT__RESET);
    assert_int_equal(peer_last(&p->server)->status, WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(
        p->server.wire->ops->respond(p->server.wire, id, &response),
        WEFT_ENOENT);
    assert_int_equal(p->server.n_seen, 2);
}

static void a_reset_of_the_server_ends_the_call_on_the_client(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    meet(p);
    request(&p->client, WEFT__UNARY, "a", &id);
    peers_pump(&p->client, &p->server, 0);
    p->server.wire->ops->reset(p->server.wire, id, WEFT_ABORTED);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__RESET);
    assert_int_equal(peer_last(&p->client)->status, WEFT_ABORTED);
    assert_string_equal(peer_last(&p->client)->message, "aborted");
    assert_false(peer_last(&p->client)->unprocessed);
    assert_int_equal(peer_info(&p->client).in_flight, 0);
}

static void a_reply_to_no_call_and_a_second_reply_are_dropped(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    meet(p);
    request(&p->client, WEFT__UNARY, "a", &id);
    check(&p->client, REPLY("07"), CALL("01"));
    assert_int_equal(p->client.n_seen, 0);
    check(&p->client, REPLY("01") REPLY("01"), "");
    assert_int_equal(p->client.n_seen, 1);
    check(&p->client, "11 01 02 00 00 0000 00000002 00000001 08 01", "");
    check(&p->client, "11 00 00 00 00 0000 00000003 00000001 22 01 61", "");
    assert_int_equal(p->client.n_seen, 1);
    assert_int_equal(peer_info(&p->client).strays, 4);
}

static void heartbeats_are_answered_with_their_id(void **state)
{
    pair *p = *state;

    meet(p);
    check(&p->server, "11 01 01 00 00 0001 00000000 00000002",
          "11 01 01 01 00 0001 00000000 00000002");
    assert_true(p->client.wire->ops->ping(p->client.wire));
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__PONG);
    assert_true(p->server.wire->ops->ping(p->server.wire));
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->server)->parts, WEFT__PONG);
}

static void heartbeats_of_one_who_does_not_read_cost_no_memory(void **state)
{
    pair *p = *state;
    size_t n = 100000;
    uint8_t *pings = malloc(15 * n), *one;
    size_t len;

    meet(p);
    one = hex_bytes(PROBE, &len);
    for (size_t i = 0; i < n; i++)
        memcpy(pings + 15 * i, one, 15);
    assert_int_equal(peer_feed(&p->client, pings, 15 * n), WEFT_OK);
    assert_true(p->client.wire->out.bytes < (1 << 20) + 100);
    free(pings);
    free(one);
}

static void window_follows_the_servers_limit(void **state)
{
    pair *p = *state;
    weft__wire_conf conf = peer_server_conf;
    weft__stream_id id;

    peer_fini(&p->server);
    conf.max_in_flight = 2;
    peer_init(&p->server, NULL, &conf, true);
    meet(p);
    assert_int_equal(peer_info(&p->client).window, 2);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &id), WEFT_OK);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &id), WEFT_OK);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &id), WEFT_EAGAIN);
    peers_pump(&p->client, &p->server, 0);
    respond_ok(&p->server, id);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_info(&p->client).window, 1);
    /* the server may think better of it, though one is in flight */
    check(&p->client, "11 01 01 01 00 0000 00000002 00000000 10 00", "");
    assert_int_equal(peer_info(&p->client).in_flight, 1);
    assert_int_equal(peer_info(&p->client).window, 0);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &id), WEFT_EAGAIN);
}

static void a_call_over_max_in_flight_is_refused_by_itself(void **state)
{
    pair *p = *state;
    weft__wire_conf conf = peer_server_conf;

    peer_fini(&p->server);
    conf.max_in_flight = 1;
    peer_init(&p->server, NULL, &conf, true);
    check(&p->server, CALL("01"), "");
    check(&p->server, CALL("02"),
          "11 01 02 00 00 0000 0000002d 00000002"
          "08 08 12 27 \"over max_in_flight_per_connection calls\" 18 01");
    assert_int_equal(peer_last(&p->server)->parts, WEFT__REFUSED);
    respond_ok(&p->server, 1);
    assert_output(&p->server, REPLY("01"));
    check(&p->server, CALL("03"), "");
}

static void go_away_lets_begun_calls_finish_and_refuses_later_ones(void **state)
{
    pair *p = *state;
    weft__stream_id first, late;
    const seen *e;

    meet(p);
    request(&p->client, WEFT__UNARY, "a", &first);
    peers_pump(&p->client, &p->server, 0);
    p->server.wire->ops->goaway(p->server.wire, WEFT_UNAVAILABLE, "draining");
    p->server.wire->ops->goaway(p->server.wire, WEFT_UNAVAILABLE, "again");
    /* this one crosses it on the way */
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &late), WEFT_OK);
    peers_pump(&p->client, &p->server, 0);
    e = peer_last(&p->client);
    assert_int_equal(e->parts, WEFT__GOAWAY);
    assert_int_equal(e->stream, first);
    assert_int_equal(e->status, WEFT_UNAVAILABLE);
    assert_string_equal(e->message, "draining");
    assert_int_equal(peer_last(&p->server)->parts, WEFT__REFUSED);
    assert_int_equal(peer_info(&p->client).in_flight, 1);
    assert_int_equal(peer_info(&p->client).window, 0);
    assert_true(peer_info(&p->client).goaway_received);
    assert_true(peer_info(&p->server).goaway_sent);
    assert_int_equal(request(&p->client, WEFT__UNARY, "a", &late), WEFT_EAGAIN);
    respond_ok(&p->server, first);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->client)->stream, first);
    assert_int_equal(peer_last(&p->client)->status, WEFT_OK);
}

static void
one_refused_for_go_away_hears_that_it_was_not_processed(void **state)
{
    pair *p = *state;

    check(&p->server, CALL("01"), "");
    p->server.wire->ops->goaway(p->server.wire, WEFT_OK, NULL);
    check(&p->server, CALL("02"),
          "11 01 03 00 00 0000 0000000b 00000001 08 00 12 07 \"success\""
          "11 01 02 00 00 0000 00000030 00000002"
          "08 0e 12 2a \"not processed: the server had said go-away\" 18 01");
    meet(p); /* fails below if the state were lost */
}

static void go_away_before_the_probe_follows_its_answer(void **state)
{
    pair *p = *state;

    p->server.wire->ops->goaway(p->server.wire, WEFT_UNAVAILABLE, "x");
    assert_output(&p->server, "");
    check(&p->server, PROBE,
          SERVER_SETTINGS "11 01 03 00 00 0000 0000001e 00000000"
                          "08 0e 12 1a \"the service is unavailable\"");
}

static void
a_frame_over_the_limit_is_refused_before_its_body_comes(void **state)
{
    pair *p = *state;

    assert_int_equal(
        peer_feed_hex(&p->server, "11 01 00 00 00 0000 ffffffff 00000001"),
        WEFT_ELIMIT);
    assert_output(&p->server, "11 01 03 00 00 0000 00000020 00000000"
                              "08 08 12 1c \"a frame over max_frame_bytes\"");
    assert_string_equal(peer_info(&p->server).why,
                        "a frame over max_frame_bytes");
}

static void lost_framing_is_told_and_ends_the_connection(void **state)
{
    pair *p = *state;

    meet(p);
    assert_int_equal(peer_feed_hex(&p->server, "12"), WEFT_EPROTO);
    assert_output(&p->server, "11 01 03 00 00 0000 00000019 00000000"
                              "08 0d 12 15 \"a frame without magic\"");
    assert_int_equal(peer_feed_hex(&p->client, "99"), WEFT_EPROTO);
}

static void sizes_over_the_peers_limit_are_refused_here(void **state)
{
    pair *p = *state;
    static char bytes[2048];
    weft__wire_conf conf = peer_server_conf;
    weft__wire_response big = {.payload = {.data = bytes, .len = 1022}};
    weft__stream_id id;

    peer_fini(&p->server);
    peer_fini(&p->client);
    conf.max_frame_bytes = 1100;
    peer_init(&p->server, NULL, &conf, true);
    conf.server = false;
    conf.max_frame_bytes = 5; /* settings must fit, so 1024 it is */
    peer_init(&p->client, NULL, &conf, false);
    meet(p);
    memset(bytes, 'a', sizeof(bytes));
    bytes[1100 - 9] = '\0';
    assert_int_equal(request(&p->client, WEFT__UNARY, bytes, &id), WEFT_OK);
    bytes[1100 - 9] = 'a';
    bytes[1100 - 8] = '\0';
    assert_int_equal(request(&p->client, WEFT__UNARY, bytes, &id), WEFT_ELIMIT);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(p->server.wire->ops->respond(p->server.wire, 1, &big),
                     WEFT_ELIMIT);
    big.payload.len = 1021;
    assert_int_equal(p->server.wire->ops->respond(p->server.wire, 1, &big),
                     WEFT_OK);
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(peer_last(&p->client)->payload_len, 1021);
}

static void what_cannot_be_sent_is_not_supported(void **state)
{
    pair *p = *state;
    weft__wire_request r = {.path = "/s/M",
                            .path_len = 4,
                            .compression = WEFT__GZIP,
                            .payload = {.data = "", .len = 0}};
    weft_metadatum bad = {"", "x", 1};
    weft__stream_id id;

    meet(p);
    assert_int_equal(request(&p->client, WEFT__BIDI_STREAM, "", &id),
                     WEFT_ENOTSUP);
    assert_int_equal(p->client.wire->ops->request(p->client.wire, &r, &id),
                     WEFT_ENOTSUP);
    r.compression = WEFT__IDENTITY;
    r.metadata = (weft_metadata){&bad, 1};
    assert_int_equal(p->client.wire->ops->request(p->client.wire, &r, &id),
                     WEFT_EINVAL);
    assert_output(&p->client, "");
}

/* Frames of a peer that is newer than we are; none disturbs the others. */
static void a_newer_peer_is_refused_call_by_call(void **state)
{
    pair *p = *state;

    check(&p->server, /* probe with an unknown setting and flag */
          "11 01 01 e0 00 0000 00000005 00000000 f8 3f 01 08 64",
          SERVER_SETTINGS);
    check(&p->server, "11 01 09 00 00 0000 00000003 00000000 \"new\"", "");
    check(&p->server, "11 01 04 00 00 0000 00000002 00000000 08 05", "");
    check(&p->server, "11 01 00 05 00 0000 00000003 00000001 22 01 61",
          "11 01 02 00 00 0000 00000023 00000001"
          "08 0c 12 1d \"the kind of call is not known\" 18 01");
    check(&p->server, "11 01 00 04 00 0000 00000006 00000002 12 04 \"/s/M\"",
          "11 01 02 00 00 0000 00000021 00000002"
          "08 0c 12 1b \"streams are not implemented\" 18 01");
    check(&p->server, /* it had sent more before it heard that */
          "11 01 00 84 00 0000 00000003 00000002 22 01 61", "");
    check(&p->server,
          "11 01 00 00 01 0000 00000009 00000003 12 04 \"/s/M\" 22 01 61",
          "11 01 02 00 00 0000 00000027 00000003"
          "08 0c 12 21 \"compression gzip is not supported\" 18 01");
    check(&p->server,
          "11 01 00 00 02 0000 00000009 00000004 12 04 \"/s/M\" 22 01 61",
          "11 01 02 00 00 0000 00000027 00000004"
          "08 0c 12 21 \"compression zstd is not supported\" 18 01");
    check(&p->server,
          "11 01 00 00 77 0000 00000009 00000005 12 04 \"/s/M\" 22 01 61",
          "11 01 02 00 00 0000 00000022 00000005"
          "08 0c 12 1c \"the compression is not known\" 18 01");
    check(&p->server, /* unknown envelope field; unknown flag of a data frame */
          "11 01 00 40 00 0000 0000000c 00000006 12 04 \"/s/M\" 7a 01 78"
          "22 01 61",
          "");
    respond_ok(&p->server, 6);
    assert_output(&p->server, REPLY("06"));
    check(&p->server, /* version 2, on a connection that has said 1 */
          "11 02 00 00 00 0000 00000009 00000007 12 04 \"/s/M\" 22 01 61", "");
    assert_false(peer_last(&p->server)->v0);
}

static void a_bad_call_is_refused_by_itself(void **state)
{
    pair *p = *state;

    check(&p->server, "11 01 00 00 00 0000 00000002 00000001 10 01",
          "11 01 02 00 00 0000 00000028 00000001"
          "08 03 12 22 \"an envelope field has a wrong type\" 18 01");
    check(&p->server, "11 01 00 00 00 0000 00000002 00000002 12 7f",
          "11 01 02 00 00 0000 0000001f 00000002"
          "08 03 12 19 \"the envelope is malformed\" 18 01");
    check(&p->server, "11 01 00 00 00 0000 00000004 00000003 12 02 \"/M\"",
          "11 01 02 00 00 0000 00000025 00000003"
          "08 03 12 1f \"the path is not /service/method\" 18 01");
    check(&p->server, CALL("04"), "");
}

static void malformed_settings_end_the_connection(void **state)
{
    pair *p = *state;

    assert_int_equal(
        peer_feed_hex(&p->server,
                      "11 01 01 00 00 0000 00000002 00000000 0a 05"),
        WEFT_EPROTO);
}

static void feed_yields_after_max_frames_and_when_paused(void **state)
{
    pair *p = *state;
    size_t len;
    uint8_t *bytes = hex_bytes(CALL("01") CALL("02") CALL("03"), &len);
    weft__wire_input in = peer_input(&p->server, bytes, len);
    weft__wire *wire = p->server.wire;

    in.max_frames = 2;
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_int_equal(in.consumed, 48);
    assert_int_equal(p->server.n_seen, 2);
    wire->paused = true;
    in = peer_input(&p->server, bytes + 48, len - 48);
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_int_equal(in.consumed, 0);
    wire->paused = false;
    in = peer_input(&p->server, bytes + 48, 20);
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_int_equal(in.consumed, 0);
    assert_int_equal(in.need, 24);
    in = peer_input(&p->server, bytes + 48, 14);
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_int_equal(in.need, 15);
    free(bytes);
}

static weft_arena keeper;
static bool kept;

static void keep(wire_peer *peer, const weft__wire_event *event)
{
    (void)peer;
    kept = weft__wire_keep_block(event, &keeper);
    assert_false(kept && weft__wire_keep_block(event, &keeper));
}

static void a_block_is_kept_only_with_its_last_frame(void **state)
{
    pair *p = *state;
    weft__wire *wire = p->server.wire;
    size_t len;
    uint8_t *two = hex_bytes(CALL("01") CALL("02"), &len);
    weft__wire_input in = peer_input(&p->server, two, len);

    in.block = two;
    in.block_bytes = 100;
    weft_arena_init(&keeper, NULL, 0, 0);
    p->server.on_event = keep;
    in.max_frames = 1;
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_false(kept);
    assert_false(in.block_taken);
    in.data += in.consumed;
    in.len -= in.consumed;
    assert_int_equal(wire->ops->feed(wire, &in), WEFT_OK);
    assert_true(kept);
    assert_true(in.block_taken);
    weft_arena_fini(&keeper); /* the block goes with it */
}

static int released;

static void release(void *arg)
{
    assert_ptr_equal(arg, &released);
    released++;
}

static void large_payloads_go_by_reference_and_are_released_once(void **state)
{
    pair *p = *state;
    static char bytes[5000];
    weft__wire_response r = {.payload = {.data = bytes,
                                         .len = sizeof(bytes),
                                         .release = release,
                                         .arg = &released}};
    struct iovec iov[4];
    weft__wire *wire = p->server.wire;

    released = 0;
    check(&p->server, CALL("01") CALL("02") CALL("03"), "");
    assert_int_equal(wire->ops->respond(wire, 1, &r), WEFT_OK);
    assert_int_equal(released, 0);
    assert_int_equal(weft__outq_iov(&p->server.wire->out, iov, 4), 2);
    assert_ptr_equal(iov[1].iov_base, bytes);
    weft__outq_consume(&p->server.wire->out, p->server.wire->out.bytes);
    assert_int_equal(released, 1);
    assert_int_equal(wire->ops->respond(wire, 1, &r), WEFT_ENOENT);
    assert_int_equal(released, 1);
    r.payload.len = 100; /* small: copied, so done with at once */
    assert_int_equal(wire->ops->respond(wire, 2, &r), WEFT_OK);
    assert_int_equal(released, 2);
    r.status = WEFT_ABORTED; /* no payload then, but the promise holds */
    assert_int_equal(wire->ops->respond(wire, 3, &r), WEFT_OK);
    assert_int_equal(released, 3);
}

static void an_answer_that_cannot_be_given_ends_the_connection(void **state)
{
    pair *p = *state;

    check(&p->server, CALL("01"), "");
    weft_mem_fail_nth(1);
    p->server.wire->ops->reset(p->server.wire, 1, WEFT_ABORTED);
    assert_int_equal(weft_mem_fail_nth(0), 0);
    assert_int_equal(peer_feed_hex(&p->server, CALL("02")), WEFT_EIO);
    assert_string_equal(peer_info(&p->server).why,
                        "no memory to answer a call");
}

/* Everything that can be done, with whatever allocation fails: nothing leaks,
 * and what says OK has happened. */
static weft_status live(void *user)
{
    pair p;
    weft_status status = WEFT_OK;
    weft__stream_id id = 0;
    weft__wire_response response = {.payload = {.data = "a", .len = 1}};
    size_t len;
    uint8_t *v0 = hex_bytes("11 00 00 00 00 0000 00000009 00000000"
                            "12 04 \"/s/M\" 22 01 61",
                            &len);

    (void)user;
    if (!peer_init(&p.server, NULL, NULL, true) ||
        !peer_init(&p.client, NULL, NULL, false))
        fail_msg("init allocates");
    status = p.client.wire->ops->start(p.client.wire);
    for (int i = 0; i < 3 && status == WEFT_OK; i++) {
        peers_pump(&p.client, &p.server, 0);
        status = p.client.fed != WEFT_OK ? p.client.fed : p.server.fed;
    }
    for (int i = 0; i < 20 && status == WEFT_OK; i++)
        status = request(&p.client, WEFT__UNARY, "a", &id);
    if (status == WEFT_OK) {
        peers_pump(&p.client, &p.server, 0);
        status = p.server.fed;
    }
    for (weft__stream_id i = 1; i <= id && status == WEFT_OK; i++)
        if (i % 5 != 0)
            status = p.server.wire->ops->respond(p.server.wire, i, &response);
    for (int i = 0; i < 5 && status == WEFT_OK; i++)
        status = peer_feed(&p.server, v0, len);
    for (weft__stream_id i = 5; i-- > 0 && status == WEFT_OK;)
        status = p.server.wire->ops->respond(
            p.server.wire, (UINT64_C(1) << 48) | i, &response);
    if (status == WEFT_OK)
        p.server.wire->ops->goaway(p.server.wire, WEFT_UNAVAILABLE, NULL);
    free(v0);
    peer_fini(&p.server);
    peer_fini(&p.client);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(live, NULL) > 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_probe_is_answered_with_settings_and_those_with_ours),
        T(a_call_carries_everything_there_and_back),
        T(an_empty_message_is_a_message),
        T(ids_use_all_48_bits_and_replies_may_come_in_any_order),
        T(an_id_that_does_not_rise_ends_the_connection),
        T(a_one_way_call_is_never_answered),
        T(a_reset_cancels_the_call_on_the_server),
        T(a_reset_of_the_server_ends_the_call_on_the_client),
        T(a_reply_to_no_call_and_a_second_reply_are_dropped),
        T(heartbeats_are_answered_with_their_id),
        T(heartbeats_of_one_who_does_not_read_cost_no_memory),
        T(window_follows_the_servers_limit),
        T(a_call_over_max_in_flight_is_refused_by_itself),
        T(go_away_lets_begun_calls_finish_and_refuses_later_ones),
        T(one_refused_for_go_away_hears_that_it_was_not_processed),
        T(go_away_before_the_probe_follows_its_answer),
        T(a_frame_over_the_limit_is_refused_before_its_body_comes),
        T(lost_framing_is_told_and_ends_the_connection),
        T(sizes_over_the_peers_limit_are_refused_here),
        T(what_cannot_be_sent_is_not_supported),
        T(a_newer_peer_is_refused_call_by_call),
        T(a_bad_call_is_refused_by_itself),
        T(malformed_settings_end_the_connection),
        T(feed_yields_after_max_frames_and_when_paused),
        T(a_block_is_kept_only_with_its_last_frame),
        T(large_payloads_go_by_reference_and_are_released_once),
        T(an_answer_that_cannot_be_given_ends_the_connection),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
