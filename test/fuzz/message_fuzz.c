/* message_fuzz.c - protobuf decoding of anything: within its limits. */
#include "fuzz.h"

#include <string.h>
#include <weft/protobuf.h>

#include "shapes.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const weft_decode_limits limits = {.depth = 20, .memory = 1 << 18};
    ProtobufCMessage *message = NULL;
    const char *why = NULL;
    weft_arena arena;
    weft_status status;

    weft_arena_init(&arena, NULL, 0, 1 << 20);
    status = weft__protobuf_decode(&shapes__node__descriptor, data, size,
                                   &limits, &arena, &message, &why);
    if (status == WEFT_OK) {
        size_t len = weft__protobuf_size(message);
        uint8_t *packed = malloc(len != 0 ? len : 1);

        weft__protobuf_pack(message, packed, len);
        free(packed);
    } else {
        CHECK(why != NULL);
        CHECK(status == WEFT_EPROTO || status == WEFT_ELIMIT);
    }
    CHECK(arena.used <= 1 << 18);
    weft_arena_fini(&arena);
    return 0;
}

size_t fuzz_seed(size_t which, uint8_t *data, size_t size)
{
    int32_t numbers[] = {1, -1, 70000};
    char *texts[] = {"x", "yy"};
    uint64_t wide[] = {1, 2};
    ProtobufCBinaryData blob = {4, (uint8_t *)"blob"};
    Shapes__Bag bag = SHAPES__BAG__INIT, *bags[] = {&bag, &bag};
    Shapes__Node inner = SHAPES__NODE__INIT, node = SHAPES__NODE__INIT;
    Shapes__Choice choice = SHAPES__CHOICE__INIT;
    size_t len;

    bag.n_numbers = 3;
    bag.numbers = numbers;
    bag.n_texts = 2;
    bag.texts = texts;
    bag.n_wide = 2;
    bag.wide = wide;
    bag.name = "n";
    choice.it_case = SHAPES__CHOICE__IT_TEXT;
    choice.text = "hi";
    node.bag = &bag;
    node.n_bags = 2;
    node.bags = bags;
    node.n_blobs = 1;
    node.blobs = &blob;
    node.either_case = SHAPES__NODE__EITHER_LEFT;
    node.left = &bag;
    inner = node;
    if (which % 2 == 0) {
        node.child = &inner;
        node.choice = &choice;
    }
    len = weft__protobuf_size(&node.base);
    CHECK(len >= 3 && 2 * len <= size);
    weft__protobuf_pack(&node, data, len);
    if (which % 3 == 0) { /* twice: all of it is merged */
        memcpy(data + len, data, len);
        len *= 2;
    }
    return len;
}
