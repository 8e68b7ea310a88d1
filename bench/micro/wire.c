/* wire.c - the native wire alone: frames, envelopes and ids, without sockets.
 *
 *     micro_wire [times]
 *
 * A client's wire and a server's hand their bytes to each other, 64 calls at a
 * time, as in a loop's round; each of the four steps is timed for itself. */
#include <string.h>
#include <weft/loop.h>
#include <weft/wire.h>

#include "micro.h"

#define BATCH 64
#define PATH "/bench.Echo/Echo"
#define BATCH_BYTES (BATCH * (65536 + 1024))

typedef struct end {
    weft__wire_conf conf;
    weft__wire *wire;
    weft__stream_id seen[BATCH];
    size_t n_seen;
} end;

static uint8_t bytes[BATCH_BYTES];

static void on_event(void *user, const weft__wire_event *event)
{
    end *e = user;

    if ((event->parts & WEFT__MESSAGE) != 0 && e->n_seen < BATCH)
        e->seen[e->n_seen++] = event->stream;
}

static void begin(end *e, weft_loop *loop, bool server)
{

    e->conf = (weft__wire_conf){.server = server,
                                .max_frame_bytes = 4U << 20,
                                .max_metadata = 64,
                                .max_metadata_bytes = 16384,
                                .max_in_flight = 1024};
    e->wire = calloc(1, weft__native_wire.size);
    micro_check(e->wire != NULL && weft__wire_init(e->wire, &weft__native_wire,
                                                   &e->conf, loop) == WEFT_OK,
                "no wire");
}

/* What `from` has to say, as one piece. */
static size_t gather(end *from)
{
    struct iovec iov[64];
    size_t len = 0;
    int n;

    while ((n = weft__outq_iov(&from->wire->out, iov, 64)) > 0) {
        size_t part = 0;

        for (int i = 0; i < n; i++) {
            micro_check(len + iov[i].iov_len <= sizeof(bytes), "too much");
            memcpy(bytes + len, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
            part += iov[i].iov_len;
        }
        weft__outq_consume(&from->wire->out, part);
    }
    return len;
}

static void feed(end *to, size_t len)
{
    weft__wire_input input = {
        .data = bytes, .len = len, .sink = on_event, .user = to};

    to->n_seen = 0;
    micro_check(weft__native_wire.feed(to->wire, &input) == WEFT_OK &&
                    input.consumed == len,
                "a frame is refused");
}

static void shake_hands(end *client, end *server)
{
    micro_check(weft__native_wire.start(client->wire) == WEFT_OK, "no probe");
    feed(server, gather(client));
    feed(client, gather(server));
    feed(server, gather(client));
}

/* Adds what each step of BATCH calls took to ns[4]. */
static void batch(end *client, end *server, const weft__wire_request *request,
                  double ns[4])
{
    const weft__wire_response response = {.payload = request->payload};
    double t[5], gathering = 0;
    size_t len;

    t[0] = micro_now_ns();
    for (int i = 0; i < BATCH; i++) {
        weft__stream_id id;

        micro_check(weft__native_wire.request(client->wire, request, &id) ==
                        WEFT_OK,
                    "a request is refused");
    }
    t[1] = micro_now_ns();
    len = gather(client);
    gathering = micro_now_ns();
    feed(server, len);
    t[2] = micro_now_ns();
    ns[0] += t[1] - t[0];
    ns[1] += t[2] - gathering;
    micro_check(server->n_seen == BATCH, "requests are lost");
    t[2] = micro_now_ns();
    for (int i = 0; i < BATCH; i++)
        micro_check(weft__native_wire.respond(server->wire, server->seen[i],
                                              &response) == WEFT_OK,
                    "a reply is refused");
    t[3] = micro_now_ns();
    len = gather(server);
    gathering = micro_now_ns();
    feed(client, len);
    t[4] = micro_now_ns();
    ns[2] += t[3] - t[2];
    ns[3] += t[4] - gathering;
    micro_check(client->n_seen == BATCH, "replies are lost");
}

static void measure(weft_loop *loop, size_t payload, size_t pairs,
                    uint64_t times)
{
    static const weft_metadatum items[] = {{"tenant", "blue", 4},
                                           {"x-request-id", "7f3c9a1e", 8},
                                           {"locale", "sv-SE", 5},
                                           {"client", "shop", 4}};
    static uint8_t data[65536];
    const weft__wire_request request = {
        .path = PATH,
        .path_len = strlen(PATH),
        .timeout_ms = 5000,
        .metadata = {items, pairs},
        .payload = {.len = payload, .data = data},
    };
    double best[4] = {1e18, 1e18, 1e18, 1e18};
    end client = {.n_seen = 0}, server = {.n_seen = 0};

    begin(&client, loop, false);
    begin(&server, loop, true);
    shake_hands(&client, &server);
    times = 1 + times / (1 + payload / 1024) / BATCH;
    for (int round = 0; round < 5; round++) {
        double ns[4] = {0};

        for (uint64_t i = 0; i < times; i++)
            batch(&client, &server, &request, ns);
        for (int i = 0; i < 4; i++) {
            double each = ns[i] / (double)(times * BATCH);

            best[i] = each < best[i] ? each : best[i];
        }
    }
    printf("%8zu %6zu %12.1f %12.1f %12.1f %12.1f\n", payload, pairs, best[0],
           best[1], best[2], best[3]);
    weft__native_wire.fini(client.wire), weft__native_wire.fini(server.wire);
    weft__outq_fini(&client.wire->out), weft__outq_fini(&server.wire->out);
    free(client.wire), free(server.wire);
}

int main(int argc, char **argv)
{
    uint64_t times = micro_times(argc, argv, 500000);
    weft_loop *loop;

    micro_check(weft_loop_new(&loop, NULL) == WEFT_OK, "no loop");
    printf("%8s %6s %12s %12s %12s %12s   (ns per call, 64 at a time)\n",
           "payload", "pairs", "request", "its frame", "reply", "its frame");
    measure(loop, 32, 0, times);
    measure(loop, 32, 4, times);
    measure(loop, 1024, 0, times);
    measure(loop, 65536, 0, times);
    weft_loop_free(loop);
    return 0;
}
