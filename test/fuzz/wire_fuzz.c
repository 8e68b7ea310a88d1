/* wire_fuzz.c - a native wire fed with anything, in pieces.
 *
 * The first byte chooses the role and how the application behaves, the second
 * how the rest is cut.  Whatever comes: events only for calls that are in
 * flight, one end for each, output and calls bounded by the input. */
#include "wire_peer.h"

#include "fuzz.h"

#include <string.h>

enum { CLIENT = 1, OLD = 2, LATE = 4, PAUSE = 8, MAX_CALLS = 64 };

typedef struct app {
    uint8_t mode;
    uint64_t open[MAX_CALLS]; /* 0: free */
    unsigned n_open, handled;
} app;

static uint64_t *find(app *a, uint64_t id)
{
    for (size_t i = 0; i < MAX_CALLS; i++)
        if (a->open[i] == id)
            return &a->open[i];
    return NULL;
}

static void forget(app *a, uint64_t id)
{
    uint64_t *slot = find(a, id);

    CHECK(slot != NULL);
    *slot = 0;
    a->n_open--;
}

static void answer(wire_peer *peer, uint64_t id)
{
    weft__wire_response r = {.payload = {.data = "reply", .len = 5}};

    if (id % 3 == 0) {
        peer->wire->ops->reset(peer->wire, id, WEFT_CANCELLED);
    } else {
        r.status = id % 3 == 1 ? WEFT_OK : WEFT_ABORTED;
        weft_status status = peer->wire->ops->respond(peer->wire, id, &r);

        CHECK(status == WEFT_OK || status == WEFT_ELIMIT); /* its settings */
        if (status == WEFT_ELIMIT)
            peer->wire->ops->reset(peer->wire, id, WEFT_RESOURCE_EXHAUSTED);
    }
    CHECK(peer->wire->ops->respond(peer->wire, id, &r) == WEFT_ENOENT);
    forget(peer->user, id);
}

static void on_event(wire_peer *peer, const weft__wire_event *e)
{
    app *a = peer->user;
    uint64_t *slot;

    a->handled++;
    CHECK(e->n_metadata <= 128);
    CHECK(e->payload.len <= e->input->len);
    if ((e->parts & WEFT__HEADERS) != 0) {
        CHECK((a->mode & CLIENT) == 0 && e->stream != 0);
        CHECK(find(a, e->stream) == NULL);
        slot = find(a, 0);
        CHECK(slot != NULL); /* max_in_flight holds */
        *slot = e->stream;
        a->n_open++;
        if ((a->mode & LATE) == 0)
            answer(peer, e->stream);
        else if (a->handled % 4 == 0)
            answer(peer, a->open[(size_t)e->stream % MAX_CALLS] != 0
                             ? a->open[(size_t)e->stream % MAX_CALLS]
                             : e->stream);
    } else if ((e->parts & (WEFT__END | WEFT__RESET)) != 0) {
        if ((a->mode & CLIENT) != 0)
            CHECK(e->user == find(a, e->stream));
        forget(a, e->stream);
    } else if ((e->parts & WEFT__GOAWAY) != 0 && (a->mode & CLIENT) != 0) {
        for (size_t i = 0; i < MAX_CALLS; i++)
            if (a->open[i] > e->stream) {
                a->open[i] = 0;
                a->n_open--;
            }
    }
    peer->wire->paused = (a->mode & PAUSE) != 0;
}

/* A client with some calls in flight, one of them given up. */
static void begin_calls(wire_peer *peer, app *a)
{
    weft__wire_request r = {
        .path = "/s/M", .path_len = 4, .payload = {.data = "x", .len = 1}};
    weft__stream_id id;
    uint64_t last = 0;

    peer->wire->ops->start(peer->wire);
    peer_feed_hex(peer, (a->mode & OLD) != 0
                            ? "11 00 00 00 00 0000 00000000 00000000"
                            : "11 01 01 01 00 0000 00000000 00000000");
    for (int i = 0; i < 8; i++) {
        r.user = find(a, 0);
        if (peer->wire->ops->request(peer->wire, &r, &id) != WEFT_OK)
            break;
        CHECK(id > last);
        last = *(uint64_t *)r.user = id;
        a->n_open++;
    }
    if (a->n_open > 2) {
        peer->wire->ops->reset(peer->wire, 2, WEFT_CANCELLED);
        forget(a, 2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    app a = {0};
    wire_peer peer;
    weft__wire_conf conf = peer_server_conf;
    size_t step, n;

    if (size < 3)
        return 0;
    a.mode = data[0];
    step = data[1] % 32 + 1;
    conf.server = (a.mode & CLIENT) == 0;
    conf.max_in_flight = MAX_CALLS;
    conf.max_frame_bytes = 2048;
    CHECK(peer_init(&peer, NULL, &conf, conf.server));
    peer.on_event = on_event;
    peer.user = &a;
    if (!conf.server)
        begin_calls(&peer, &a);
    for (size_t i = 2; i < size && peer.fed == WEFT_OK; i += n) {
        n = step < size - i ? step : size - i;
        peer_feed(&peer, data + i, n);
        peer.wire->paused = false;
    }
    while (peer.fed == WEFT_OK && a.handled != 0) { /* what pauses held back */
        a.handled = 0;
        peer.wire->paused = false;
        peer_feed(&peer, NULL, 0);
    }
    CHECK(peer.fed != WEFT_ENOMEM);
    if ((a.mode & OLD) == 0 || conf.server)
        CHECK(peer_info(&peer).in_flight == a.n_open);
    CHECK(peer.in_len < 15 + 2048 || peer.fed != WEFT_OK);
    CHECK(peer.wire->out.bytes <= 1024 + 8 * size);
    if (conf.server)
        for (size_t i = MAX_CALLS; i-- > 0;)
            if (a.open[i] != 0)
                answer(&peer, a.open[i]);
    peer_fini(&peer);
    return 0;
}

size_t fuzz_seed(size_t which, uint8_t *data, size_t size)
{
#define CALL "12 04 \"/s/M\" 1a 06 0a 01 61 12 01 31 28 05 22 01 61"
#define REPLY "08 05 12 01 \"x\" 1a 06 0a 01 61 12 01 31 22 01 61"
    static const char *const seeds[] = {
        "00 1f 11 00 00 00 00 0000 00000013 00000000" CALL
        "11 00 00 00 00 0000 00000013 00000000" CALL
        "11 00 00 00 00 0000 00000000 00000000",
        "00 05 11 01 01 00 00 0000 00000000 00000000"
        "11 01 01 01 00 0000 00000002 00000000 08 64"
        "11 01 00 00 00 0000 00000013 00000001" CALL
        "11 01 00 01 00 0000 00000013 00000002" CALL
        "11 01 02 00 00 0000 00000002 00000001 08 01"
        "11 01 04 00 00 0000 00000002 00000001 08 01",
        "04 1f 11 01 00 00 00 0000 00000013 00000001" CALL
        "11 01 00 00 00 0000 00000013 00000003" CALL
        "11 01 00 00 01 0000 00000013 00000004" CALL
        "11 01 00 84 00 0000 00000013 00000005" CALL
        "11 01 03 00 00 0000 00000000 00000000",
        "08 03 11 01 00 00 00 0000 00000013 00000001" CALL
        "11 00 00 00 00 0000 00000013 00000000" CALL,
        "01 1f 11 01 00 00 00 0000 00000010 00000001" REPLY
        "11 01 02 00 00 0000 00000004 00000003 08 08 18 01"
        "11 01 00 00 00 0000 00000010 00000004" REPLY
        "11 01 01 00 00 0000 00000000 00000007"
        "11 01 03 00 00 0000 00000004 00000005 08 0e 12 00",
        "03 02 11 00 00 00 00 0000 00000010 00000000" REPLY
        "11 00 00 00 00 0000 00000010 00000000" REPLY};
    size_t len;
    uint8_t *bytes =
        hex_bytes(seeds[which % (sizeof(seeds) / sizeof(seeds[0]))], &len);

    CHECK(len <= size);
    memcpy(data, bytes, len);
    free(bytes);
    return len;
}
