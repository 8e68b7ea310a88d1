/* wire_peer.c - one end of a connection without a connection. */
#include "wire_peer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/mem.h>

void *weft__loop_chunk_get(weft_loop *loop)
{
    (void)loop;
    return weft_malloc(WEFT__CHUNK_BYTES);
}

void weft__loop_chunk_put(weft_loop *loop, void *chunk)
{
    (void)loop;
    weft_free(chunk);
}

void *weft__loop_block_get(weft_loop *loop, size_t *size)
{
    (void)loop;
    return weft_malloc(*size);
}

void weft__loop_block_put(weft_loop *loop, void *block, size_t size)
{
    (void)loop;
    (void)size;
    weft_free(block);
}

const weft__wire_conf peer_server_conf = {.server = true,
                                          .max_frame_bytes = 4 << 20,
                                          .max_metadata = 128,
                                          .max_metadata_bytes = 16384,
                                          .max_in_flight = 1000};
const weft__wire_conf peer_client_conf = {.max_frame_bytes = 4 << 20,
                                          .max_metadata = 128,
                                          .max_metadata_bytes = 16384,
                                          .max_in_flight = 1000};

static char *text(weft__slice s)
{
    char *copy = malloc(s.len + 1);

    if (s.len != 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

static void hear(void *user, const weft__wire_event *e)
{
    wire_peer *peer = user;
    const weft__pair none = {{NULL, 0}, {NULL, 0}};
    const weft__pair *pair = e->n_metadata != 0 ? &e->metadata[0] : &none;

    if (peer->n_seen == peer->max_seen) {
        peer->max_seen = peer->max_seen != 0 ? peer->max_seen * 2 : 16;
        peer->seen = realloc(peer->seen, peer->max_seen * sizeof(seen));
    }
    peer->seen[peer->n_seen++] = (seen){.parts = e->parts,
                                        .stream = e->stream,
                                        .kind = e->kind,
                                        .status = e->status,
                                        .raw_code = e->raw_code,
                                        .timeout_ms = e->timeout_ms,
                                        .user = e->user,
                                        .v0 = e->v0,
                                        .unprocessed = e->unprocessed,
                                        .n_metadata = e->n_metadata,
                                        .payload_len = e->payload.len,
                                        .path = text(e->path),
                                        .message = text(e->message),
                                        .payload = text(e->payload),
                                        .details = text(e->details),
                                        .content_type = text(e->content_type),
                                        .trace = text(e->trace),
                                        .key = text(pair->key),
                                        .value = text(pair->value)};
    if (peer->on_event != NULL)
        peer->on_event(peer, e);
}

bool peer_init(wire_peer *peer, const weft__wire_ops *ops,
               const weft__wire_conf *conf, bool server)
{
    memset(peer, 0, sizeof(*peer));
    if (ops == NULL)
        ops = &weft__native_wire;
    if (conf == NULL)
        conf = server ? &peer_server_conf : &peer_client_conf;
    peer->conf = *conf;
    peer->wire = calloc(1, ops->size);
    return weft__wire_init(peer->wire, ops, &peer->conf, NULL) == WEFT_OK;
}

void peer_fini(wire_peer *peer)
{
    peer->wire->ops->fini(peer->wire);
    weft__outq_fini(&peer->wire->out);
    peer_forget(peer);
    free(peer->seen);
    free(peer->in);
    free(peer->wire);
}

weft__wire_input peer_input(wire_peer *peer, const void *bytes, size_t len)
{
    return (weft__wire_input){
        .data = bytes, .len = len, .sink = hear, .user = peer};
}

weft_status peer_feed(wire_peer *peer, const void *bytes, size_t len)
{
    /* An exact copy, so that ASan sees a read past the end. */
    uint8_t *all = malloc(peer->in_len + len + (peer->in_len + len == 0));
    weft__wire_input input;

    if (peer->in_len != 0)
        memcpy(all, peer->in, peer->in_len);
    if (len != 0)
        memcpy(all + peer->in_len, bytes, len);
    free(peer->in);
    peer->in = all;
    peer->in_len += len;
    do {
        input = peer_input(peer, peer->in, peer->in_len);
        input.max_frames = peer->max_frames;
        peer->fed = peer->wire->ops->feed(peer->wire, &input);
        assert_true(input.consumed <= input.len);
        peer->in_len -= input.consumed;
        memmove(peer->in, peer->in + input.consumed, peer->in_len);
    } while (peer->fed == WEFT_OK && input.consumed != 0 &&
             !peer->wire->paused);
    if (peer->fed == WEFT_OK && !peer->wire->paused && peer->in_len != 0)
        assert_true(input.need > peer->in_len);
    return peer->fed;
}

uint8_t *peer_take(wire_peer *peer, size_t *len)
{
    uint8_t *bytes = malloc(peer->wire->out.bytes + 1);
    struct iovec iov[16];
    int n;

    *len = 0;
    while ((n = weft__outq_iov(&peer->wire->out, iov, 16)) > 0) {
        size_t round = 0;

        for (int i = 0; i < n; i++) {
            memcpy(bytes + *len, iov[i].iov_base, iov[i].iov_len);
            *len += iov[i].iov_len;
            round += iov[i].iov_len;
        }
        weft__outq_consume(&peer->wire->out, round);
    }
    return bytes;
}

static bool carry(wire_peer *from, wire_peer *to, size_t step)
{
    size_t len, n;
    uint8_t *bytes = peer_take(from, &len);

    for (size_t i = 0; i < len && to->fed == WEFT_OK; i += n) {
        n = step != 0 && step < len - i ? step : len - i;
        peer_feed(to, bytes + i, n);
    }
    free(bytes);
    return len != 0;
}

void peers_pump(wire_peer *a, wire_peer *b, size_t step)
{
    while (carry(a, b, step) || carry(b, a, step))
        ;
}

const seen *peer_last(const wire_peer *peer)
{
    static char empty[1];
    static const seen none = {.path = empty,
                              .message = empty,
                              .payload = empty,
                              .details = empty,
                              .content_type = empty,
                              .trace = empty,
                              .key = empty,
                              .value = empty};

    return peer->n_seen != 0 ? &peer->seen[peer->n_seen - 1] : &none;
}

void peer_forget(wire_peer *peer)
{
    for (size_t i = 0; i < peer->n_seen; i++) {
        seen *s = &peer->seen[i];
        char *texts[] = {s->path,         s->message, s->payload, s->details,
                         s->content_type, s->trace,   s->key,     s->value};

        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
            free(texts[j]);
    }
    peer->n_seen = 0;
}

weft__wire_info peer_info(const wire_peer *peer)
{
    weft__wire_info info;

    peer->wire->ops->info(peer->wire, &info);
    return info;
}

uint8_t *hex_bytes(const char *s, size_t *len)
{
    uint8_t *bytes = malloc(strlen(s) + 1);

    for (*len = 0; *s != '\0';) {
        if (isspace((unsigned char)*s)) {
            s++;
        } else if (*s == '#') {
            s += strcspn(s, "\n");
        } else if (*s == '"') {
            for (s++; *s != '"' && *s != '\0'; s++)
                bytes[(*len)++] = (uint8_t)*s;
            s += *s == '"';
        } else {
            char pair[3] = {s[0], s[1], '\0'};
            char *end;

            bytes[(*len)++] = (uint8_t)strtoul(pair, &end, 16);
            if (end != pair + 2)
                fail_msg("not hex: %s", s);
            s += 2;
        }
    }
    return bytes;
}

weft_status peer_feed_hex(wire_peer *peer, const char *s)
{
    size_t len;
    uint8_t *bytes = hex_bytes(s, &len);
    weft_status status = peer_feed(peer, bytes, len);

    free(bytes);
    return status;
}

static void dump(const char *what, const uint8_t *bytes, size_t len)
{
    print_error("%s (%zu):", what, len);
    for (size_t i = 0; i < len && i < 200; i++)
        print_error(" %02x", bytes[i]);
    print_error("\n");
}

void peer_assert_output(wire_peer *peer, const char *s, const char *file,
                        int line)
{
    size_t want_len, got_len;
    uint8_t *want = hex_bytes(s, &want_len), *got = peer_take(peer, &got_len);
    bool same = want_len == got_len && memcmp(want, got, want_len) == 0;

    if (!same) {
        dump("want", want, want_len);
        dump("got ", got, got_len);
    }
    free(want);
    free(got);
    _assert_true(same, "output as expected", file, line);
}
