/* protocol_test.c - the hex dumps of docs/protocol.md, against the code.
 *
 * A dump is a fenced block "```hex name".  Each has a row in dumps[], which
 * says how the code makes the same bytes or, for what Weft reads but never
 * sends, what becomes of them; each row has a dump. */
#include "wire_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALID                                                                \
    "11 00 00 00 00 0000 00000016 00000000"                                    \
    "08 ad 02 12 11 \"method is invalid\""

static wire_peer server, client;

static weft__wire_request hello(void)
{
    return (weft__wire_request){.path = "/helloworld.Greeter/SayHello",
                                .path_len = 28,
                                .payload = {.data = "\x0a\x05hello", .len = 7}};
}

static weft__stream_id call(const weft__wire_request *r)
{
    weft__stream_id id = 0;

    assert_int_equal(client.wire->ops->request(client.wire, r, &id), WEFT_OK);
    return id;
}

static void drop(wire_peer *peer)
{
    weft__outq_consume(&peer->wire->out, peer->wire->out.bytes);
}

/* Client and server have met in version 1, or the client gorpc's server. */
static void meet(void)
{
    client.wire->ops->start(client.wire);
    peers_pump(&client, &server, 0);
}

static void meet_v0(void)
{
    client.wire->ops->start(client.wire);
    drop(&client);
    peer_feed_hex(&client, INVALID);
}

static void respond(const weft__wire_response *r)
{
    assert_int_equal(
        server.wire->ops->respond(server.wire, peer_last(&server)->stream, r),
        WEFT_OK);
}

static const weft__wire_response world = {
    .payload = {.data = "\x0a\x0bhello world", .len = 13}};

static wire_peer *v0_request(void)
{
    weft__wire_request r = hello();

    meet_v0();
    call(&r);
    return &client;
}

static wire_peer *v0_metadata(void)
{
    weft_metadatum items[] = {{"a", "1", 1}, {"b", "", 0}};
    weft__wire_request r = hello();

    r.metadata = (weft_metadata){items, 2};
    meet_v0();
    call(&r);
    return &client;
}

static void serve_v0(void)
{
    size_t len;
    uint8_t *bytes = peer_take(v0_request(), &len);

    assert_int_equal(peer_feed(&server, bytes, len), WEFT_OK);
    free(bytes);
}

static wire_peer *v0_response(void)
{
    serve_v0();
    respond(&world);
    return &server;
}

static wire_peer *v0_empty_response(void)
{
    serve_v0();
    respond(&(weft__wire_response){0});
    return &server;
}

static wire_peer *v0_error(void)
{
    serve_v0();
    respond(&(weft__wire_response){.status = WEFT_INTERNAL,
                                   .message = SLICE("server internal error")});
    return &server;
}

static wire_peer *v0_method_invalid(void)
{
    peer_feed_hex(&server, "11 00 00 00 00 0000 00000000 00000000");
    return &server;
}

static wire_peer *v1_probe(void)
{
    client.wire->ops->start(client.wire);
    return &client;
}

static wire_peer *v1_server_settings(void)
{
    peer_feed_hex(&server, "11 01 01 00 00 0000 00000000 00000000");
    return &server;
}

static wire_peer *v1_client_settings(void)
{
    size_t len;
    uint8_t *bytes = peer_take(v1_server_settings(), &len);

    peer_feed(&client, bytes, len);
    free(bytes);
    return &client;
}

static wire_peer *v1_request(void)
{
    weft_metadatum item = {"tenant", "blue", 4};
    weft__wire_request r = hello();

    r.metadata = (weft_metadata){&item, 1};
    r.timeout_ms = 4994;
    r.content_type = SLICE("protobuf");
    meet();
    call(&r);
    return &client;
}

static wire_peer *v1_one_way(void)
{
    weft__wire_request r = hello();

    r.kind = WEFT__ONE_WAY;
    meet();
    call(&r);
    return &client;
}

static void serve_v1(void)
{
    v1_request();
    peers_pump(&client, &server, 0);
}

static wire_peer *v1_response(void)
{
    serve_v1();
    respond(&world);
    return &server;
}

static wire_peer *v1_error(void)
{
    serve_v1();
    respond(&(weft__wire_response){.status = WEFT_NOT_FOUND,
                                   .message = SLICE("no such order"),
                                   .details = SLICE("details")});
    return &server;
}

static wire_peer *v1_reset(void)
{
    serve_v1();
    client.wire->ops->reset(client.wire, 1, WEFT_DEADLINE_EXCEEDED);
    return &client;
}

static wire_peer *v1_refused(void)
{
    weft__wire_conf conf = peer_server_conf;

    peer_fini(&server);
    conf.max_in_flight = 1;
    peer_init(&server, NULL, &conf, true);
    serve_v1();
    peer_feed_hex(&server,
                  "11 01 00 00 00 0000 00000006 00000002 12 04 \"/s/M\"");
    return &server;
}

static wire_peer *v1_goaway(void)
{
    serve_v1();
    server.wire->ops->goaway(server.wire, WEFT_UNAVAILABLE, "draining");
    return &server;
}

static wire_peer *v1_ping(void)
{
    meet();
    client.wire->ops->ping(client.wire);
    return &client;
}

static wire_peer *v1_pong(void)
{
    size_t len;
    uint8_t *bytes = peer_take(v1_ping(), &len);

    peer_feed(&server, bytes, len);
    free(bytes);
    return &server;
}

static const struct dump {
    const char *name;
    wire_peer *(*make)(void); /* leaves the bytes in the output of a peer */
    unsigned read_as;         /* else: events that they cause on a server */
} dumps[] = {
    {"v0-request", v0_request, 0},
    {"v0-response", v0_response, 0},
    {"v0-metadata", v0_metadata, 0},
    {"v0-error", v0_error, 0},
    {"v0-empty-response", v0_empty_response, 0},
    {"v0-method-invalid", v0_method_invalid, 0},
    {"v1-probe", v1_probe, 0},
    {"v1-server-settings", v1_server_settings, 0},
    {"v1-client-settings", v1_client_settings, 0},
    {"v1-request", v1_request, 0},
    {"v1-response", v1_response, 0},
    {"v1-one-way", v1_one_way, 0},
    {"v1-error", v1_error, 0},
    {"v1-reset", v1_reset, 0},
    {"v1-refused", v1_refused, 0},
    {"v1-goaway", v1_goaway, 0},
    {"v1-ping", v1_ping, 0},
    {"v1-pong", v1_pong, 0},
    {"v1-stream-open", NULL, WEFT__REFUSED},
    {"v1-stream-end", NULL, WEFT__REFUSED},
    {"v1-window-update", NULL, 0},
};

#define DUMPS (sizeof(dumps) / sizeof(dumps[0]))

static void check(const struct dump *d, const char *text)
{
    print_message("%s\n", d->name);
    peer_init(&server, NULL, NULL, true);
    peer_init(&client, NULL, NULL, false);
    if (d->make != NULL) {
        assert_output(d->make(), text);
    } else {
        assert_int_equal(peer_feed_hex(&server, text), WEFT_OK);
        assert_int_equal(peer_last(&server)->parts, d->read_as);
        assert_int_equal(server.in_len, 0);
    }
    peer_fini(&server);
    peer_fini(&client);
}

static void every_dump_of_the_document_is_what_the_code_does(void **state)
{
    FILE *file = fopen(WEFT_PROTOCOL_MD, "r");
    char line[512], name[64], text[4096];
    bool seen_dump[DUMPS] = {false};

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t i;

        if (sscanf(line, "```hex %63s", name) != 1)
            continue;
        for (text[0] = '\0'; fgets(line, sizeof(line), file) != NULL &&
                             strncmp(line, "```", 3) != 0;) {
            assert_true(strlen(text) + strlen(line) < sizeof(text));
            strcat(text, line);
        }
        for (i = 0; i < DUMPS && strcmp(dumps[i].name, name) != 0; i++)
            ;
        if (i == DUMPS || seen_dump[i])
            fail_msg("%s: a dump without a row, or twice", name);
        seen_dump[i] = true;
        check(&dumps[i], text);
    }
    fclose(file);
    for (size_t i = 0; i < DUMPS; i++)
        if (!seen_dump[i])
            fail_msg("%s is not in the document", dumps[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dump_of_the_document_is_what_the_code_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
