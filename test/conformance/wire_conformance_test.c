/* wire_conformance_test.c - what every weft__wire_ops promises (weft/wire.h).
 *
 * A client and a server of the same wire, in memory.  Only the contract is
 * used: no bytes, no frames.  To run it over another wire, add it to wires[].
 */
#include "fail_nth.h"
#include "wire_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const weft__wire_ops *const wires[] = {&weft__native_wire};
static const weft__wire_ops *ops;

typedef struct pair {
    wire_peer client, server;
} pair;

static weft_status request(pair *p, const char *payload, weft__stream_id *id)
{
    weft__wire_request r = {
        .path = "/pkg.Service/Method",
        .path_len = 19,
        .payload = {.data = payload, .len = strlen(payload)}};

    return ops->request(p->client.wire, &r, id);
}

static weft_status respond(pair *p, weft__stream_id id, const char *payload)
{
    weft__wire_response r = {
        .payload = {.data = payload, .len = strlen(payload)}};

    return ops->respond(p->server.wire, id, &r);
}

static void pump(pair *p)
{
    peers_pump(&p->client, &p->server, 0);
    assert_int_equal(p->client.fed, WEFT_OK);
    assert_int_equal(p->server.fed, WEFT_OK);
}

static void begin(pair *p, const weft__wire_conf *server_conf)
{
    assert_true(peer_init(&p->server, ops, server_conf, true));
    assert_true(peer_init(&p->client, ops, NULL, false));
    assert_int_equal(ops->start(p->client.wire), WEFT_OK);
}

static int setup(void **state)
{
    static pair p;

    begin(&p, NULL);
    *state = &p;
    return 0;
}

/* Past the handshake. */
static int setup_ready(void **state)
{
    setup(state);
    pump(*state);
    peer_forget(&((pair *)*state)->client);
    peer_forget(&((pair *)*state)->server);
    return 0;
}

static int teardown(void **state)
{
    pair *p = *state;

    peer_fini(&p->client);
    peer_fini(&p->server);
    return 0;
}

/* The event of a stream with these parts; fails if there is not exactly one. */
static const seen *only(const wire_peer *peer, weft__stream_id id,
                        unsigned parts)
{
    const seen *found = NULL;

    for (size_t i = 0; i < peer->n_seen; i++)
        if (peer->seen[i].stream == id && (peer->seen[i].parts & parts) != 0) {
            assert_null(found);
            found = &peer->seen[i];
        }
    assert_non_null(found);
    return found;
}

static void no_call_begins_before_the_client_is_ready(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    assert_int_equal(peer_info(&p->client).window, 0);
    assert_int_equal(request(p, "x", &id), WEFT_EAGAIN);
    pump(p);
    assert_int_equal(p->client.seen[0].parts, WEFT__READY);
    assert_true(peer_info(&p->client).window > 0);
    assert_int_equal(request(p, "x", &id), WEFT_OK);
}

static void a_unary_call_is_one_event_each_way(void **state)
{
    pair *p = *state;
    weft__stream_id id;
    const seen *e;

    assert_int_equal(request(p, "ping", &id), WEFT_OK);
    assert_int_equal(peer_info(&p->client).in_flight, 1);
    pump(p);
    assert_int_equal(p->server.n_seen, 1);
    e = only(&p->server, id, WEFT__HEADERS);
    assert_int_equal(e->parts, WEFT__HEADERS | WEFT__MESSAGE | WEFT__END);
    assert_int_equal(e->kind, WEFT__UNARY);
    assert_string_equal(e->path, "/pkg.Service/Method");
    assert_string_equal(e->payload, "ping");
    assert_int_equal(peer_info(&p->server).in_flight, 1);
    assert_int_equal(respond(p, id, "pong"), WEFT_OK);
    assert_int_equal(peer_info(&p->server).in_flight, 0);
    pump(p);
    assert_int_equal(p->client.n_seen, 1);
    e = only(&p->client, id, WEFT__END);
    assert_int_equal(e->parts, WEFT__MESSAGE | WEFT__END);
    assert_int_equal(e->status, WEFT_OK);
    assert_string_equal(e->payload, "pong");
    assert_int_equal(peer_info(&p->client).in_flight, 0);
}

static void what_ends_a_call_brings_what_its_request_left(void **state)
{
    enum { CALLS = 41 };
    pair *p = *state;
    weft__stream_id ids[CALLS];
    weft__wire_request r = {.path = "/a/b", .path_len = 4};
    char marks[CALLS];

    for (int i = 0; i < CALLS; i++) {
        r.user = &marks[i];
        assert_int_equal(ops->request(p->client.wire, &r, &ids[i]), WEFT_OK);
    }
    pump(p);
    for (int i = 0; i < CALLS; i++) { /* in another order */
        int n = i * 12 % CALLS;

        if (n % 4 == 0)
            ops->reset(p->server.wire, ids[n], WEFT_UNAVAILABLE);
        else if (n % 4 == 1)
            ops->reset(p->client.wire, ids[n], WEFT_CANCELLED);
        else
            assert_int_equal(respond(p, ids[n], "x"), WEFT_OK);
    }
    pump(p);
    for (int i = 0; i < CALLS; i++)
        if (i % 4 != 1)
            assert_ptr_equal(
                only(&p->client, ids[i], WEFT__END | WEFT__RESET)->user,
                &marks[i]);
    assert_int_equal(p->client.n_seen, CALLS - CALLS / 4);
}

static void headers_and_trailers_arrive_as_they_were_sent(void **state)
{
    pair *p = *state;
    weft_metadatum item = {"key", "a\0b", 3};
    weft__wire_request r = {.path = "/a/b",
                            .path_len = 4,
                            .timeout_ms = 1234,
                            .metadata = {&item, 1},
                            .content_type = SLICE("json"),
                            .trace = SLICE("trace")};
    weft__wire_response reply = {.status = WEFT_ABORTED,
                                 .message = SLICE("text"),
                                 .details = SLICE("details"),
                                 .metadata = {&item, 1}};
    weft__stream_id id;
    const seen *e;

    assert_int_equal(ops->request(p->client.wire, &r, &id), WEFT_OK);
    pump(p);
    e = only(&p->server, id, WEFT__HEADERS);
    assert_int_equal(e->timeout_ms, 1234);
    assert_string_equal(e->content_type, "json");
    assert_string_equal(e->trace, "trace");
    assert_int_equal(e->n_metadata, 1);
    assert_string_equal(e->key, "key");
    assert_memory_equal(e->value, "a\0b", 4);
    assert_int_equal(e->payload_len, 0);
    assert_int_equal(ops->respond(p->server.wire, id, &reply), WEFT_OK);
    pump(p);
    e = only(&p->client, id, WEFT__END);
    assert_int_equal(e->parts, WEFT__END);
    assert_int_equal(e->status, WEFT_ABORTED);
    assert_string_equal(e->message, "text");
    assert_string_equal(e->details, "details");
    assert_int_equal(e->n_metadata, 1);
}

static void
many_calls_are_answered_in_any_order_however_bytes_are_cut(void **state)
{
    static const size_t steps[] = {0, 1, 7, 1000};
    enum { CALLS = 60 };
    weft__stream_id ids[CALLS];
    char text[16];

    (void)state;
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        pair p;

        begin(&p, NULL);
        peers_pump(&p.client, &p.server, steps[s]);
        for (int i = 0; i < CALLS; i++) {
            snprintf(text, sizeof(text), "call %d", i);
            assert_int_equal(request(&p, text, &ids[i]), WEFT_OK);
            assert_true(i == 0 || ids[i] > ids[i - 1]);
        }
        peers_pump(&p.client, &p.server, steps[s]);
        for (int i = 0; i < CALLS; i++) {
            int j = (i * 37) % CALLS;

            snprintf(text, sizeof(text), "call %d", j);
            assert_string_equal(only(&p.server, ids[j], WEFT__HEADERS)->payload,
                                text);
            assert_int_equal(respond(&p, ids[j], text), WEFT_OK);
        }
        peers_pump(&p.client, &p.server, steps[s]);
        for (int i = 0; i < CALLS; i++) {
            snprintf(text, sizeof(text), "call %d", i);
            assert_string_equal(only(&p.client, ids[i], WEFT__END)->payload,
                                text);
        }
        peer_fini(&p.client);
        peer_fini(&p.server);
    }
}

static void a_second_answer_finds_no_call(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    request(p, "x", &id);
    pump(p);
    assert_int_equal(respond(p, id + 1, "y"), WEFT_ENOENT);
    assert_int_equal(respond(p, 0, "y"), WEFT_ENOENT);
    assert_int_equal(respond(p, id, "y"), WEFT_OK);
    assert_int_equal(respond(p, id, "y"), WEFT_ENOENT);
    pump(p);
    only(&p->client, id, WEFT__END);
}

static void a_cancelled_call_has_no_event_any_more(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    request(p, "x", &id);
    pump(p);
    respond(p, id, "on its way");
    ops->reset(p->client.wire, id, WEFT_CANCELLED);
    ops->reset(p->client.wire, id, WEFT_CANCELLED);
    pump(p);
    assert_int_equal(p->client.n_seen, 0);
    assert_int_equal(p->server.n_seen, 1);

    request(p, "x", &id);
    pump(p);
    ops->reset(p->client.wire, id, WEFT_CANCELLED);
    pump(p);
    assert_int_equal(only(&p->server, id, WEFT__RESET)->status, WEFT_CANCELLED);
    assert_int_equal(respond(p, id, "late"), WEFT_ENOENT);
    pump(p);
    assert_int_equal(p->client.n_seen, 0);
    assert_int_equal(peer_info(&p->server).in_flight, 0);
}

static void the_server_may_give_a_call_up(void **state)
{
    pair *p = *state;
    weft__stream_id id;

    request(p, "x", &id);
    pump(p);
    ops->reset(p->server.wire, id, WEFT_DEADLINE_EXCEEDED);
    ops->reset(p->server.wire, id, WEFT_CANCELLED);
    pump(p);
    assert_int_equal(only(&p->client, id, WEFT__RESET | WEFT__END)->status,
                     WEFT_DEADLINE_EXCEEDED);
    assert_false(peer_last(&p->client)->unprocessed);
    assert_int_equal(peer_info(&p->client).in_flight, 0);

    request(p, "x", &id);
    pump(p);
    ops->reset(p->server.wire, id, WEFT_UNAVAILABLE);
    pump(p);
    assert_true(only(&p->client, id, WEFT__RESET)->unprocessed);
}

static void the_window_is_what_the_server_allows(void **state)
{
    weft__wire_conf conf = peer_server_conf;
    weft__stream_id ids[3];
    pair p;

    (void)state;
    conf.max_in_flight = 2;
    begin(&p, &conf);
    pump(&p);
    assert_int_equal(request(&p, "1", &ids[0]), WEFT_OK);
    assert_int_equal(request(&p, "2", &ids[1]), WEFT_OK);
    assert_int_equal(request(&p, "3", &ids[2]), WEFT_EAGAIN);
    pump(&p);
    respond(&p, ids[1], "");
    pump(&p);
    assert_int_equal(peer_info(&p.client).window, 1);
    assert_int_equal(request(&p, "3", &ids[2]), WEFT_OK);
    peer_fini(&p.client);
    peer_fini(&p.server);
}

static void go_away_names_the_last_call_that_is_processed(void **state)
{
    pair *p = *state;
    weft__stream_id begun, late;

    request(p, "x", &begun);
    pump(p);
    ops->goaway(p->server.wire, WEFT_UNAVAILABLE, "drain");
    request(p, "x", &late);
    pump(p);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__GOAWAY);
    assert_int_equal(peer_last(&p->client)->stream, begun);
    assert_int_equal(peer_info(&p->client).window, 0);
    assert_int_equal(peer_info(&p->client).in_flight, 1);
    assert_int_equal(peer_info(&p->server).in_flight, 1);
    assert_int_equal(respond(p, begun, "y"), WEFT_OK);
    pump(p);
    only(&p->client, begun, WEFT__END);
    assert_true(peer_info(&p->client).goaway_received);
    assert_true(peer_info(&p->server).goaway_sent);
}

static void a_ping_is_answered(void **state)
{
    pair *p = *state;

    assert_true(ops->ping(p->client.wire));
    pump(p);
    assert_int_equal(peer_last(&p->client)->parts, WEFT__PONG);
}

static void a_message_over_the_peers_size_is_refused_by_the_sender(void **state)
{
    pair *p = *state;
    size_t big = (4 << 20) + 1;
    char *text = malloc(big + 1);
    weft__stream_id id, none;

    memset(text, 'x', big);
    text[big] = '\0';
    assert_int_equal(request(p, "x", &id), WEFT_OK);
    assert_int_equal(request(p, text, &none), WEFT_ELIMIT);
    pump(p);
    assert_int_equal(respond(p, id, text), WEFT_ELIMIT);
    assert_int_equal(respond(p, id, "small"), WEFT_OK);
    pump(p);
    assert_string_equal(only(&p->client, id, WEFT__END)->payload, "small");
    free(text);
}

static int released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

static void fill(const void *message, uint8_t *out, size_t len)
{
    memset(out, *(const char *)message, len);
}

static void a_payload_is_released_once_or_packs_itself(void **state)
{
    pair *p = *state;
    static char bytes[10000];
    weft__wire_request r = {
        .path = "/a/b",
        .path_len = 4,
        .payload = {.data = bytes, .len = sizeof(bytes), .release = release}};
    weft__stream_id id;

    released = 0;
    memset(bytes, 'd', sizeof(bytes));
    assert_int_equal(ops->request(p->client.wire, &r, &id), WEFT_OK);
    pump(p);
    assert_int_equal(released, 1);
    assert_int_equal(only(&p->server, id, WEFT__MESSAGE)->payload_len, 10000);
    assert_int_equal(peer_last(&p->server)->payload[9999], 'd');
    r.payload = (weft__payload){.len = 10000, .pack = fill, .message = "m"};
    assert_int_equal(ops->request(p->client.wire, &r, &id), WEFT_OK);
    pump(p);
    assert_int_equal(only(&p->server, id, WEFT__MESSAGE)->payload_len, 10000);
    assert_int_equal(peer_last(&p->server)->payload[9999], 'm');
    /* what is never written is released with the queue */
    r.payload = (weft__payload){
        .data = bytes, .len = sizeof(bytes), .release = release};
    assert_int_equal(ops->request(p->client.wire, &r, &id), WEFT_OK);
    weft__outq_fini(&p->client.wire->out);
    assert_int_equal(released, 2);
}

static void out_of_memory_leaves_the_wire_as_it_was(void **state)
{
    enum { CALLS = 1000 }; /* over many chunks of output */
    weft__stream_id ids[CALLS];
    static char bytes[5000];
    pair *p = *state;
    /* of many lengths, so that chunks fill up at every place */
    static const char path[] = "/a/0123456789012345678901234567890123456789";
    weft__wire_request r = {
        .path = path,
        .payload = {.data = bytes, .len = sizeof(bytes), .release = release}};
    weft__wire_response reply = {.payload = r.payload};
    int failed = 0;

    released = 0;
    for (int i = 0; i < CALLS; i++) {
        weft_status status;
        size_t before = p->client.wire->out.bytes;

        r.path_len = 4 + (size_t)i % (sizeof(path) - 4);
        for (unsigned nth = 1;; nth++) {
            weft_mem_fail_nth(nth);
            status = ops->request(p->client.wire, &r, &ids[i]);
            weft_mem_fail_nth(0);
            if (status == WEFT_OK)
                break;
            assert_int_equal(status, WEFT_ENOMEM);
            assert_int_equal(p->client.wire->out.bytes, before);
            assert_int_equal(peer_info(&p->client).in_flight, i);
            failed++;
        }
    }
    assert_true(failed > 1);
    assert_int_equal(released, 0);
    pump(p);
    assert_int_equal(released, CALLS);
    for (int i = 0, round = 0; i < CALLS; i++, round = 0) {
        reply.message =
            (weft__slice){(const uint8_t *)path, (size_t)i % sizeof(path)};
        do {
            weft_mem_fail_nth((unsigned)++round);
        } while (ops->respond(p->server.wire, ids[i], &reply) == WEFT_ENOMEM);
        weft_mem_fail_nth(0);
    }
    pump(p);
    assert_int_equal(released, 2 * CALLS);
    for (int i = 0; i < CALLS; i++)
        only(&p->client, ids[i], WEFT__END);
}

static void feeding_may_run_out_of_memory_and_go_on(void **state)
{
    enum { CALLS = 40 };
    pair *p = *state;
    weft__stream_id id;
    uint8_t *bytes;
    size_t len, at = 0;

    for (int i = 0; i < CALLS; i++)
        request(p, "x", &id);
    bytes = peer_take(&p->client, &len);
    for (unsigned nth = 1; at < len; nth = nth % 3 + 1) {
        weft__wire_input in = peer_input(&p->server, bytes + at, len - at);
        weft_status status;

        weft_mem_fail_nth(nth);
        status = ops->feed(p->server.wire, &in);
        weft_mem_fail_nth(0);
        assert_true(status == WEFT_OK || status == WEFT_ENOMEM);
        at += in.consumed;
    }
    assert_int_equal(p->server.n_seen, CALLS);
    free(bytes);
}

static wire_peer *nested;

static void answer_and_pause(wire_peer *peer, const weft__wire_event *event)
{
    weft__wire_response r = {0};

    nested = peer;
    peer->wire->paused = true;
    assert_int_equal(ops->respond(peer->wire, event->stream, &r), WEFT_OK);
}

static void the_sink_may_answer_and_pause(void **state)
{
    pair *p = *state;
    weft__stream_id first, second;
    size_t seen_before;

    p->server.on_event = answer_and_pause;
    request(p, "x", &first);
    request(p, "x", &second);
    pump(p);
    assert_ptr_equal(nested, &p->server);
    seen_before = p->server.n_seen;
    assert_int_equal(seen_before, 1);
    only(&p->client, first, WEFT__END);
    p->server.wire->paused = false;
    assert_int_equal(peer_feed(&p->server, NULL, 0), WEFT_OK);
    assert_int_equal(p->server.n_seen, 2);
}

static void rubbish_ends_the_connection_with_a_reason(void **state)
{
    pair *p = *state;

    assert_true(peer_feed(&p->server, "\xff\xfe\xfd", 3) < 0);
    assert_non_null(peer_info(&p->server).why);
    assert_true(peer_feed(&p->server, "", 0) < 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_ready, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            no_call_begins_before_the_client_is_ready, setup, teardown),
        T(a_unary_call_is_one_event_each_way),
        T(what_ends_a_call_brings_what_its_request_left),
        T(headers_and_trailers_arrive_as_they_were_sent),
        cmocka_unit_test(
            many_calls_are_answered_in_any_order_however_bytes_are_cut),
        T(a_second_answer_finds_no_call),
        T(a_cancelled_call_has_no_event_any_more),
        T(the_server_may_give_a_call_up),
        cmocka_unit_test(the_window_is_what_the_server_allows),
        T(go_away_names_the_last_call_that_is_processed),
        T(a_ping_is_answered),
        T(a_message_over_the_peers_size_is_refused_by_the_sender),
        T(a_payload_is_released_once_or_packs_itself),
        T(out_of_memory_leaves_the_wire_as_it_was),
        T(feeding_may_run_out_of_memory_and_go_on),
        T(the_sink_may_answer_and_pause),
        T(rubbish_ends_the_connection_with_a_reason),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        ops = wires[i];
        print_message("wire: %s\n", ops->name);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
