/* protobuf_test.c - decoding what a peer may have made on purpose. */
#include "fail_nth.h"

#include <stdlib.h>
#include <string.h>
#include <weft/protobuf.h>

#include "shapes.pb-c.h"
#include "varint_internal.h"

/* Bytes under construction; the test's own memory. */
typedef struct bytes {
    uint8_t *data;
    size_t len, cap;
} bytes;

static void put(bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->cap + len) * 2;
        b->data = realloc(b->data, b->cap);
    }
    if (len != 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_varint(bytes *b, uint64_t v)
{
    uint8_t buf[10];

    put(b, buf, (size_t)(weft__varint_put(buf, v) - buf));
}

static void put_field(bytes *b, uint32_t number, const void *data, size_t len)
{
    put_varint(b, number << 3 | WEFT__WIRE_BYTES);
    put_varint(b, len);
    put(b, data, len);
}

/* Node in Node in Node …: `depth` of them inside the outermost. */
static bytes nested(size_t depth)
{
    bytes b = {0};
    size_t *sizes = calloc(depth + 1, sizeof(*sizes));

    for (size_t i = 1; i <= depth; i++)
        sizes[i] = 1 + weft__varint_size(sizes[i - 1]) + sizes[i - 1];
    for (size_t i = depth; i > 0; i--) {
        put_varint(&b, 1 << 3 | WEFT__WIRE_BYTES);
        put_varint(&b, sizes[i - 1]);
    }
    free(sizes);
    return b;
}

static weft_status decode(const ProtobufCMessageDescriptor *desc,
                          const void *data, size_t len,
                          const weft_decode_limits *limits, weft_arena *arena,
                          ProtobufCMessage **out, const char **why)
{
    const char *none = NULL;
    weft_status status;

    *out = NULL;
    *why = "";
    status = weft__protobuf_decode(desc, data, len, limits, arena, out, &none);
    if (status != WEFT_OK) {
        assert_null(*out);
        assert_non_null(none);
        *why = none;
    }
    return status;
}

/* The status of decoding a Node; the limit of memory holds, whatever it is. */
static weft_status decode_node(const bytes *b, const weft_decode_limits *limits)
{
    weft_arena arena;
    ProtobufCMessage *message;
    const char *why;
    weft_status status;

    weft_arena_init(&arena, NULL, 0, 0);
    status = decode(&shapes__node__descriptor, b->data, b->len, limits, &arena,
                    &message, &why);
    assert_true(
        arena.used <=
        (limits != NULL && limits->memory != 0 ? limits->memory : 64 << 20));
    weft_arena_fini(&arena);
    return status;
}

static void a_message_survives_the_way_there_and_back(void **state)
{
    int32_t numbers[] = {1, -2, 300000};
    char *texts[] = {"x", ""};
    Shapes__Bag bag = SHAPES__BAG__INIT;
    Shapes__Node node = SHAPES__NODE__INIT, *back;
    ProtobufCMessage *message;
    weft_arena arena;
    uint8_t *packed;
    const char *why;
    size_t len;

    (void)state;
    bag.numbers = numbers;
    bag.n_numbers = 3;
    bag.texts = texts;
    bag.n_texts = 2;
    node.bag = &bag;
    node.text = "hello";
    node.number = INT64_MIN;
    node.has_number = 1;
    len = weft__protobuf_size(&node.base);
    packed = malloc(len);
    weft__protobuf_pack(&node, packed, len);
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(decode(&shapes__node__descriptor, packed, len, NULL,
                            &arena, &message, &why),
                     WEFT_OK);
    memset(packed, 0xee, len); /* nothing points there */
    back = (Shapes__Node *)message;
    assert_string_equal(back->text, "hello");
    assert_int_equal(back->bag->n_numbers, 3);
    assert_int_equal(back->bag->numbers[2], 300000);
    assert_string_equal(back->bag->texts[0], "x");
    assert_true(back->number == INT64_MIN);
    free(packed);
    weft_arena_fini(&arena);
}

static void no_bytes_are_an_empty_message(void **state)
{
    bytes none = {0};

    (void)state;
    assert_int_equal(decode_node(&none, NULL), WEFT_OK);
}

static void depth_is_bounded_before_the_stack_is(void **state)
{
    weft_decode_limits most = {.depth = UINT32_MAX};
    bytes b = nested(64);

    (void)state;
    assert_int_equal(decode_node(&b, NULL), WEFT_OK);
    free(b.data);
    b = nested(65);
    assert_int_equal(decode_node(&b, NULL), WEFT_ELIMIT);
    free(b.data);
    b = nested(14000); /* 40 KB */
    assert_true(b.len > 40000);
    assert_int_equal(decode_node(&b, NULL), WEFT_ELIMIT);
    assert_int_equal(decode_node(&b, &most), WEFT_ELIMIT);
    free(b.data);
    b = nested(1000);
    assert_int_equal(decode_node(&b, &most), WEFT_OK);
    free(b.data);
}

/* protobuf-c copies the array each time, which is quadratic. */
static void a_merge_bomb_costs_what_its_size_explains(void **state)
{
    static const uint8_t bag[] = {0x08, 1, 0x08, 2, 0x12, 1, 'x'};
    bytes b = {0};
    size_t n = 0;
    weft_arena arena;
    ProtobufCMessage *message;
    const Shapes__Node *node;
    const char *why;

    (void)state;
    for (; b.len < 512 << 10; n++)
        put_field(&b, 2, bag, sizeof(bag));
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(decode(&shapes__node__descriptor, b.data, b.len, NULL,
                            &arena, &message, &why),
                     WEFT_OK);
    node = (const Shapes__Node *)message;
    assert_int_equal(node->bag->n_numbers, 2 * n);
    assert_int_equal(node->bag->numbers[2 * n - 1], 2);
    assert_int_equal(node->bag->n_texts, n);
    assert_string_equal(node->bag->texts[n - 1], "x");
    assert_true(arena.used < 300 * n);
    weft_arena_fini(&arena);
    free(b.data);
}

static void a_memory_bomb_is_refused(void **state)
{
    static const uint8_t unknown[] = {0x80, 0x7d, 0};
    bytes empty = {0}, fields = {0}, one = {0};

    (void)state;
    while (empty.len < 4 << 20)
        put_field(&empty, 3, NULL, 0); /* Wide: 2 bytes make 160 */
    assert_int_equal(decode_node(&empty, NULL), WEFT_ELIMIT);
    while (fields.len < 4 << 20)
        put(&fields, unknown, sizeof(unknown));
    assert_int_equal(decode_node(&fields, NULL), WEFT_ELIMIT);
    while (one.len < 4 << 20) {
        put_varint(&one, 14 << 3); /* the same bool again and again */
        put_varint(&one, 1);
    }
    assert_int_equal(decode_node(&one, NULL), WEFT_OK); /* costs nothing */
    free(empty.data);
    free(fields.data);
    free(one.data);
}

static void large_honest_messages_pass(void **state)
{
    bytes b = {0}, packed = {0};
    uint8_t *blob = calloc(1, 4 << 20);

    (void)state;
    put_field(&b, 6, blob, 4 << 20);
    assert_int_equal(decode_node(&b, NULL), WEFT_OK);
    put_field(&packed, 8, blob, 4 << 20); /* four million flags */
    assert_int_equal(decode_node(&packed, NULL), WEFT_ELIMIT);
    packed.len = 0;
    put_field(&packed, 8, blob, 3 << 20);
    assert_int_equal(decode_node(&packed, NULL), WEFT_OK);
    packed.len = 0;
    put_field(&packed, 11, blob, 4 << 20);
    assert_int_equal(decode_node(&packed, NULL), WEFT_OK);
    b.len = 0;
    for (int i = 0; i < 100000; i++)
        put_field(&b, 5, "\x1a\x04name", 6);
    assert_int_equal(decode_node(&b, NULL), WEFT_OK);
    free(blob);
    free(b.data);
    free(packed.data);
}

static void limits_of_memory_and_elements_are_exact(void **state)
{
    bytes b = {0};
    weft_decode_limits limits = {.memory = 0};
    weft_arena arena;
    ProtobufCMessage *message;
    const char *why;

    (void)state;
    for (int i = 0; i < 10; i++)
        put_field(&b, 200, "blob", 4);
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(decode(&shapes__node__descriptor, b.data, b.len, NULL,
                            &arena, &message, &why),
                     WEFT_OK);
    limits.memory = arena.used;
    weft_arena_fini(&arena);
    assert_int_equal(decode_node(&b, &limits), WEFT_OK);
    limits.memory--;
    assert_int_equal(decode_node(&b, &limits), WEFT_ELIMIT);
    limits = (weft_decode_limits){.max_elements = 10};
    assert_int_equal(decode_node(&b, &limits), WEFT_OK);
    limits.max_elements = 9;
    assert_int_equal(decode_node(&b, &limits), WEFT_ELIMIT);
    free(b.data);
}

static void twice_the_same_sub_message_is_merged(void **state)
{
    bytes b = {0};
    weft_arena arena;
    ProtobufCMessage *message;
    Shapes__Node *node;
    const char *why;

    (void)state;
    put_field(&b, 2, "\x08\x01\x1a\x01x", 5);
    put_field(&b, 2, "\x08\x02", 2);
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(decode(&shapes__node__descriptor, b.data, b.len, NULL,
                            &arena, &message, &why),
                     WEFT_OK);
    node = (Shapes__Node *)message;
    assert_int_equal(node->bag->n_numbers, 2);
    assert_int_equal(node->bag->numbers[0], 1);
    assert_int_equal(node->bag->numbers[1], 2);
    assert_string_equal(node->bag->name, "x");
    weft_arena_fini(&arena);
    free(b.data);
}

static void messages_with_oneofs_are_merged(void **state)
{
    bytes b = {0};
    weft_arena arena;
    ProtobufCMessage *message;
    const Shapes__Node *node;
    const char *why;

    (void)state;
    put_field(&b, 4, "\x08\x07", 2);
    put_field(&b, 4, NULL, 0);
    put_field(&b, 1, "\x70\x01\x62\x00", 4); /* recursive, and has one */
    put_field(&b, 1, NULL, 0);
    put_field(&b, 12, "\x08\x01", 2); /* in a oneof: the last one counts */
    put_field(&b, 12, "\x08\x02", 2);
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(decode(&shapes__node__descriptor, b.data, b.len, NULL,
                            &arena, &message, &why),
                     WEFT_OK);
    node = (const Shapes__Node *)message;
    assert_int_equal(node->choice->it_case, SHAPES__CHOICE__IT_NUMBER);
    assert_int_equal(node->choice->number, 7);
    assert_true(node->child->has_flag && node->child->flag);
    assert_int_equal(node->either_case, SHAPES__NODE__EITHER_LEFT);
    assert_int_equal(node->left->n_numbers, 1);
    assert_int_equal(node->left->numbers[0], 2);
    weft_arena_fini(&arena);
    b.len = 0;
    put_field(&b, 4, NULL, 0); /* as protobuf-c has it */
    put_field(&b, 4, NULL, 0);
    assert_int_equal(decode_node(&b, NULL), WEFT_EPROTO);
    free(b.data);
}

static void what_is_no_such_message_is_a_protocol_error(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } rows[] = {{"\x08\x01", 2}, /* child: a number */
                {"\x35"
                 "abcd",
                 5}, /* blob: fixed32 */
                {"\x3a\x05"
                 "abc",
                 5}, /* text: cut off */
                {"\x3a\xff\xff\xff\xff\x0f"
                 "a",
                 7},
                {"\x0b\x0c", 2},         /* a group */
                {"\x07", 1},             /* wire type 7 */
                {"\x80", 1},             /* a tag cut off */
                {"\x70", 2 - 1},         /* a number cut off */
                {"\x00\x00", 2},         /* field 0 */
                {"\x4a\x02\x08\x01", 4}, /* strict: without its name */
                {"\x4a\x00", 2},
                {"\x5a\x03"
                 "abc",
                 5}}; /* reals: not a multiple of 8 */

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bytes b = {(uint8_t *)(uintptr_t)rows[i].data, rows[i].len, 0};

        if (decode_node(&b, NULL) != WEFT_EPROTO)
            fail_msg("row %zu is not refused", i);
    }
}

/* A Node with everything in it. */
static bytes sample(void)
{
    static const uint8_t bag[] = {0x08, 1,    0x0a, 2,   3,    4, 0x12, 1,
                                  'x',  0x1a, 1,    'n', 0x22, 8, 1,    2,
                                  3,    4,    5,    6,   7,    8};
    bytes b = {0}, inner = {0};

    put_field(&inner, 2, bag, sizeof(bag));
    put_field(&inner, 7, "inner", 5);
    put_field(&b, 1, inner.data, inner.len);
    put_field(&b, 2, bag, sizeof(bag));
    put_field(&b, 3, "\x0a\x01y\x38\x07", 5);
    put_field(&b, 4, "\x12\x02hi", 4);
    for (int i = 0; i < 3; i++)
        put_field(&b, 5, bag, sizeof(bag));
    put_field(&b, 6, "blob", 4);
    put_field(&b, 8, "\x01\x00\x01", 3);
    put_field(&b, 9, "\x08\x01\x12\x01z", 5);
    put_field(&b, 10, "\x0a\x01k\x10\x05", 5);
    put_field(&b, 11, "12345678", 8);
    put_field(&b, 12, bag, sizeof(bag));
    put(&b, "\x70\x01\x78\x01", 4);
    put_field(&b, 200, "b", 1);
    put_field(&b, 300, "unknown", 7);
    free(inner.data);
    return b;
}

static void a_message_cut_anywhere_is_refused_or_a_shorter_one(void **state)
{
    bytes b = sample();

    (void)state;
    assert_int_equal(decode_node(&b, NULL), WEFT_OK);
    for (size_t cut = 0; cut < b.len; cut++) {
        bytes part = {malloc(cut != 0 ? cut : 1), cut, cut};
        weft_status status;

        memcpy(part.data, b.data, cut);
        status = decode_node(&part, NULL);
        assert_true(status == WEFT_OK || status == WEFT_EPROTO);
        free(part.data);
    }
    free(b.data);
}

static weft_status decode_sample(void *user)
{
    const bytes *b = user;
    weft_arena arena;
    ProtobufCMessage *message;
    const char *why;
    weft_status status;

    weft_arena_init(&arena, NULL, 0, 0);
    status = decode(&shapes__node__descriptor, b->data, b->len, NULL, &arena,
                    &message, &why);
    weft_arena_fini(&arena);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    bytes b = sample();
    uint8_t *blob = calloc(1, 100000);

    (void)state;
    for (int i = 0; i < 3; i++)
        put_field(&b, 200, blob, 100000);
    assert_true(fail_each_allocation(decode_sample, &b) >= 3);
    free(blob);
    free(b.data);
}

static void the_budget_of_the_arena_is_a_limit(void **state)
{
    bytes b = sample();
    weft_arena arena;
    ProtobufCMessage *message;
    const char *why;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 600);
    assert_int_equal(decode(&shapes__node__descriptor, b.data, b.len, NULL,
                            &arena, &message, &why),
                     WEFT_ELIMIT);
    assert_string_equal(why, "it takes more memory than the call may have");
    weft_arena_fini(&arena);
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_survives_the_way_there_and_back),
        cmocka_unit_test(no_bytes_are_an_empty_message),
        cmocka_unit_test(depth_is_bounded_before_the_stack_is),
        cmocka_unit_test(a_merge_bomb_costs_what_its_size_explains),
        cmocka_unit_test(a_memory_bomb_is_refused),
        cmocka_unit_test(large_honest_messages_pass),
        cmocka_unit_test(limits_of_memory_and_elements_are_exact),
        cmocka_unit_test(twice_the_same_sub_message_is_merged),
        cmocka_unit_test(messages_with_oneofs_are_merged),
        cmocka_unit_test(what_is_no_such_message_is_a_protocol_error),
        cmocka_unit_test(a_message_cut_anywhere_is_refused_or_a_shorter_one),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_budget_of_the_arena_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
