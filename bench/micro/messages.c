/* messages.c - decoding and encoding, Weft's beside protobuf-c's own.
 *
 *     micro_messages [times]
 *
 * Weft decodes into an arena whose first chunk is there already, as in a call;
 * protobuf-c takes its memory from malloc() and gives it back.  Encoding is
 * finding out the size, and packing. */
#include <string.h>
#include <weft/message_codec.h>

#include "micro.h"
#include <order.h> /* beside the echoes */

typedef struct sample {
    const char *name;
    const ProtobufCMessage *message;
    uint8_t *bytes, *out;
    size_t len;
    const weft_message_codec *codec;
    weft_decode_limits limits;
} sample;

static void decode(void *arg, uint64_t times)
{
    static _Alignas(16) uint8_t first[4096];
    sample *s = arg;

    for (uint64_t i = 0; i < times; i++) {
        ProtobufCMessage *message;
        weft_arena arena;
        const char *why;

        weft_arena_init(&arena, first, sizeof(first), 0);
        micro_check(s->codec->decode(s->message->descriptor, s->bytes, s->len,
                                     &s->limits, &arena, &message,
                                     &why) == WEFT_OK,
                    "does not decode");
        weft_arena_fini(&arena);
    }
}

static void unpack(void *arg, uint64_t times)
{
    sample *s = arg;

    for (uint64_t i = 0; i < times; i++) {
        ProtobufCMessage *message = protobuf_c_message_unpack(
            s->message->descriptor, NULL, s->len, s->bytes);

        micro_check(message != NULL, "does not unpack");
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void encode(void *arg, uint64_t times)
{
    sample *s = arg;

    for (uint64_t i = 0; i < times; i++) {
        micro_check(s->codec->size(s->message) == s->len, "another size");
        s->codec->pack(s->message, s->out, s->len);
    }
}

static void pack(void *arg, uint64_t times)
{
    sample *s = arg;

    for (uint64_t i = 0; i < times; i++) {
        micro_check(protobuf_c_message_get_packed_size(s->message) == s->len,
                    "another size");
        (void)protobuf_c_message_pack(s->message, s->out);
    }
}

static void measure(const char *name, const ProtobufCMessage *message,
                    uint64_t times)
{
    sample s = {.name = name,
                .message = message,
                .len = protobuf_c_message_get_packed_size(message),
                .codec = weft_message_codec_find(NULL, 0)};
    double copied;

    s.bytes = malloc(s.len);
    s.out = malloc(s.len);
    micro_check(s.bytes != NULL && s.out != NULL, "out of memory");
    (void)protobuf_c_message_pack(message, s.bytes);
    times = 1 + times / (1 + s.len / 1024);
    copied = micro_best(decode, &s, times);
    s.limits.borrow = true;
    printf("%-14s %7zu %10.1f %10.1f %10.1f %10.1f %10.1f\n", name, s.len,
           copied, micro_best(decode, &s, times), micro_best(unpack, &s, times),
           micro_best(encode, &s, times), micro_best(pack, &s, times));
    micro_check(memcmp(s.bytes, s.out, s.len) == 0, "other bytes");
    free(s.bytes), free(s.out);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t len;
    } sizes[] = {
        {"bytes, 32 B", 32}, {"bytes, 1 KiB", 1024}, {"bytes, 64 KiB", 65536}};
    static uint8_t data[65536];
    uint64_t times = micro_times(argc, argv, 1000000);

    printf("%-14s %7s %10s %10s %10s %10s %10s   (ns)\n", "message", "bytes",
           "decode", "borrowing", "unpack", "encode", "pack");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        Bench__EchoMessage message = BENCH__ECHO_MESSAGE__INIT;

        message.data.len = sizes[i].len;
        message.data.data = data;
        measure(sizes[i].name, &message.base, times);
    }
    measure("30 fields", &order_message()->base, times / 10);
    return 0;
}
