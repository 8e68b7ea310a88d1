/* protobuf_diff_test.c - what protobuf-c decodes, ours decodes to the same, and
 * what it refuses, ours refuses; test/fuzz/protobuf_diff goes on from here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <weft/protobuf.h>

#include "every2.pb-c.h"
#include "every3.pb-c.h"
#include "protobuf_random.h"
#include "protobuf_reference.h"
#include "shapes.pb-c.h"

static reference_counts counts;

static void agree(const ProtobufCMessageDescriptor *desc, const void *data,
                  size_t len)
{
    const char *differs = reference_compare(desc, data, len, &counts);

    if (differs != NULL)
        fail_msg("%s, %zu bytes: %s", desc->name, len, differs);
}

typedef struct row {
    const ProtobufCMessageDescriptor *desc;
    const char *data;
    size_t len;
} row;

#define ROW(type, text)                                                        \
    {                                                                          \
        &type##__descriptor, text, sizeof(text) - 1                            \
    }

static void agree_on(const row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        agree(rows[i].desc, rows[i].data, rows[i].len);
}

#define AGREE_ON(rows) agree_on(rows, sizeof(rows) / sizeof(rows[0]))

static void random_messages_decode_alike(void **state)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &every2__root__descriptor,     &every3__root__descriptor,
        &shapes__node__descriptor,     &every2__scalars__descriptor,
        &every2__defaults__descriptor, &every2__lists__descriptor,
        &every2__packed__descriptor,   &every2__pick__descriptor,
        &every2__must__descriptor,     &every2__sparse__descriptor,
        &every3__plain__descriptor,    &every3__optionals__descriptor,
        &every3__pick__descriptor,     &every3__lists__descriptor};
    static uint8_t data[4096];

    (void)state;
    counts = (reference_counts){0};
    for (size_t seed = 0; seed < 28000; seed++) {
        const ProtobufCMessageDescriptor *desc =
            types[seed % (sizeof(types) / sizeof(types[0]))];

        agree(desc, data, protobuf_random(desc, seed, data, sizeof(data)));
    }
    assert_true(counts.decoded > counts.inputs / 3);
    assert_true(counts.refused > counts.inputs / 20);
    assert_true(counts.bounded < counts.inputs / 100);
}

static void every_cut_of_a_message_decodes_alike(void **state)
{
    static uint8_t data[1024];

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        size_t len =
            protobuf_random(&every2__root__descriptor, seed, data, 1024);

        for (size_t cut = 0; cut < len; cut++)
            agree(&every2__root__descriptor, data, cut);
    }
}

static void numbers_are_cut_to_their_types(void **state)
{
    static const row rows[] = {
        ROW(every2__scalars, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ROW(every2__scalars, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ROW(every2__scalars,
            "\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        ROW(every2__scalars, "\x28\xff\xff\xff\xff\x1f"),
        ROW(every2__scalars, "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ROW(every2__scalars, "\x70\xab\xcd\x7f"),
        /* negative zeros: not there in proto3 */
        ROW(every3__plain, "\x5d\x00\x00\x00\x80"),
        ROW(every3__plain, "\x61\x00\x00\x00\x00\x00\x00\x00\x80"),
        ROW(every2__packed,
            "\x0a\x0b\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03")};

    (void)state;
    AGREE_ON(rows);
}

static void bools_are_any_bit_of_any_wire_type(void **state)
{
    static const row rows[] = {
        ROW(every2__scalars, "\x68\x02"),
        ROW(every2__scalars, "\x68\x80\x00"),
        ROW(every2__scalars, "\x68\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
        ROW(every2__scalars, "\x6d\x80\x80\x80\x80"),
        ROW(every2__scalars, "\x69\x80\x80\x80\x80\x80\x80\x80\x01"),
        ROW(every2__scalars, "\x6a\x00"),
        ROW(every2__scalars, "\x6a\x02\x80\x00"),
        ROW(every2__lists, "\x6a\x03\x04\x80\x00"),
        ROW(every2__lists, "\x6a\x02\x04\x80"),
        ROW(every2__lists, "\x6d\x80\x80\x80\x80\x68\x01")};

    (void)state;
    AGREE_ON(rows);
}

static void arrays_may_come_in_pieces_of_either_kind(void **state)
{
    static const row rows[] = {
        ROW(every2__lists, "\x08\x01\x0a\x02\x02\x03\x10\x01\x08\x04\x08\x05"),
        ROW(every2__packed, "\x0a\x00\x0a\x01\x07\x08\x08\x0a\x00"),
        ROW(every2__packed, "\x3a\x05\x01\x02\x03\x04\x05"),
        ROW(every2__lists, "\x7a\x01x\x82\x01\x00\x7a\x00\x82\x01\x01y"),
        ROW(every2__lists, "\x88\x80\x00\x01"), /* a padded tag */
        ROW(every2__lists, "\x88\x00\x01\x08\x02\x88\x00\x03"),
        ROW(every2__lists, "\x8a\x01\x00\x8a\x01\x02\x08\x01\x8a\x01\x01\x08")};

    (void)state;
    AGREE_ON(rows);
}

static void of_a_oneof_the_last_one_counts(void **state)
{
    static const row rows[] = {
        ROW(every2__pick, "\x42\x05"
                          "bytes\x08\x01"),
        ROW(every2__pick, "\x3a\x01x\x4a\x02\x08\x01\x4a\x02\x08\x02"),
        ROW(every2__pick, "\x52\x02\x08\x01\x52\x00\x3a\x00"),
        ROW(every2__pick, "\x42\x00\x72\x00\x7a\x00"),
        ROW(every2__pick, "\x82\x01\x00"), /* lacks what it requires */
        ROW(every3__pick, "\x32\x00"),
        ROW(every3__optionals, "\x1a\x00\x22\x00\x08\x00\x10\x00")};

    (void)state;
    AGREE_ON(rows);
}

static void what_comes_twice_is_merged_alike(void **state)
{
    static const row rows[] = {
        /* scalars, lists, both */
        ROW(every2__root, "\x0a\x04\x08\x01\x10\x02\x0a\x02\x08\x03"),
        ROW(every2__root, "\x1a\x02\x08\x01\x1a\x05\x08\x02\x7a\x01x"),
        ROW(every2__root, "\x1a\x02\x08\x01\x1a\x00\x1a\x02\x08\x02"),
        /* strings and bytes, empty ones and defaults */
        ROW(every2__root, "\x0a\x05\x7a\x01x\x82\x01\x0a\x03\x7a\x01x\x0a\x00"),
        ROW(every2__root, "\x0a\x04\x82\x01\x01x\x0a\x03\x82\x01\x00"),
        ROW(every2__root, "\x0a\x03\x82\x01\x00\x0a\x00"),
        ROW(every2__root, "\x12\x05\x4a\x01x\x62\x00\x12\x02\x62\x00"),
        ROW(every2__root, "\x12\x06\x4a\x01x\x62\x01y\x12\x03\x52\x01z"),
        /* proto3 without presence */
        ROW(every3__root, "\x0a\x04\x08\x01\x10\x02\x0a\x02\x08\x03"),
        ROW(every3__root, "\x0a\x03\x7a\x01x\x0a\x00"),
        ROW(every3__root, "\x0a\x05\x8a\x01\x02\x08\x01\x0a\x03\x8a\x01\x00"),
        /* oneofs: neither, the first, the second, both; strings */
        ROW(every3__root, "\x1a\x00\x1a\x00"),
        ROW(every3__root, "\x1a\x02\x08\x01\x1a\x00"),
        ROW(every3__root, "\x1a\x00\x1a\x02\x08\x01"),
        ROW(every3__root, "\x1a\x02\x10\x01\x1a\x02\x08\x01"),
        ROW(every3__root, "\x1a\x03\x32\x01x\x1a\x00"),
        ROW(every3__root, "\x1a\x03\x32\x01x\x1a\x00\x1a\x00"),
        ROW(every3__root, "\x1a\x02\x3a\x00\x1a\x00"),
        ROW(every3__root, "\x1a\x03\x42\x01\x08\x1a\x00"),
        ROW(every3__root, "\x1a\x04\x42\x02\x08\x01\x1a\x04\x42\x02\x10\x01"),
        /* unknown fields of the first are lost */
        ROW(every2__root, "\x0a\x03\xb8\x17\x01\x0a\x03\xb8\x17\x02"),
        ROW(every2__root, "\x0a\x03\xb8\x17\x01\x0a\x00"),
        /* levels */
        ROW(every2__root,
            "\x4a\x06\x0a\x04\x08\x01\x10\x02\x4a\x04\x0a\x02\x08\x03"),
        ROW(every2__root, "\x4a\x04\x1a\x02\x08\x01\x4a\x00"),
        ROW(every2__root, "\x42\x03\xf8\x7f\x01\x42\x00")};

    (void)state;
    AGREE_ON(rows);
}

static void required_fields_are_asked_of_each_message(void **state)
{
    static const row rows[] = {
        ROW(shapes__strict, "\x08\x01\x12\x01x"),
        ROW(shapes__strict, "\x08\x01"),
        ROW(shapes__strict, "\x12\x00"),
        ROW(shapes__strict, ""),
        ROW(every2__defaults, ""), /* have defaults */
        ROW(every2__sparse, "\xf8\x7f\x01"),
        ROW(every2__sparse, "\x10\x01"),
        ROW(shapes__node, "\x4a\x05\x08\x01\x12\x01z\x4a\x02\x08\x01")};

    (void)state;
    AGREE_ON(rows);
}

static void unknown_fields_are_kept(void **state)
{
    static const row rows[] = {
        ROW(every2__nothing, "\x08\x01\x12\x03xyz\x1d"
                             "abcd\x21"
                             "abcdefgh"),
        ROW(every2__nothing, "\x88\x80\x80\x80\x01\x80\x80\x00"),
        ROW(every2__nothing, "\x12\x83\x80\x80\x80\x00xyz"),
        ROW(every2__nothing, "\x12\x83\x80\x80\x80\x80\x00xyz"),
        ROW(every2__nothing, "\x0b\x0c"),
        ROW(every2__nothing, "\x0e"),
        ROW(every2__nothing, "\x12\x04xyz"),
        ROW(every2__sparse,
            "\xf8\x7f\x01\xf8\xff\xff\xff\x0f\x05\xf0\xff\xff\xff\x0f\x05")};

    (void)state;
    AGREE_ON(rows);
}

/* What ours refuses and protobuf-c does not: docs of protobuf_decode.c. */
static void differences_are_those_that_are_documented(void **state)
{
    static const row rows[] = {
        ROW(every2__nothing, "\x00\x01"),                 /* field 0 */
        ROW(every2__nothing, "\x80\x80\x80\x80\x10\x01"), /* over 2^29 - 1 */
        ROW(every2__nothing, "\x12\x83\x80\x80\x80\x10xyz")}; /* 2^32 + 3 */

    (void)state;
    counts = (reference_counts){0};
    for (size_t i = 0; i < 3; i++) {
        ProtobufCMessage *message = NULL;
        const char *why = NULL;
        weft_arena arena;

        weft_arena_init(&arena, NULL, 0, 0);
        assert_int_equal(weft__protobuf_decode(rows[i].desc, rows[i].data,
                                               rows[i].len, NULL, &arena,
                                               &message, &why),
                         WEFT_EPROTO);
        weft_arena_fini(&arena);
    }
    AGREE_ON(rows);
    assert_int_equal(counts.decoded, 0);
}

enum { MANY = 300 };

/* A type with more required fields than are tracked without memory. */
static void each_of_many_required_fields_is_asked(void **state)
{
    static ProtobufCFieldDescriptor fields[MANY];
    static const ProtobufCIntRange ranges[] = {{1, 0}, {0, MANY}};
    ProtobufCMessageDescriptor desc = every2__nothing__descriptor;
    uint8_t data[3 * MANY];

    (void)state;
    desc.message_init = NULL;
    desc.n_fields = MANY;
    desc.fields = fields;
    desc.n_field_ranges = 1;
    desc.field_ranges = ranges;
    desc.sizeof_message = sizeof(ProtobufCMessage) + 4 * MANY;
    for (unsigned i = 0; i < MANY; i++) {
        fields[i] = (ProtobufCFieldDescriptor){
            .name = "f",
            .id = i + 1,
            .label = PROTOBUF_C_LABEL_REQUIRED,
            .type = PROTOBUF_C_TYPE_INT32,
            .offset = (unsigned)sizeof(ProtobufCMessage) + 4 * i};
    }
    counts = (reference_counts){0};
    for (unsigned lacking = 0; lacking <= MANY; lacking++) {
        size_t len = 0;

        for (unsigned i = 0; i < MANY; i++) {
            uint32_t tag = (i + 1) << 3;

            if (i == lacking)
                continue;
            data[len++] = (uint8_t)(tag | (tag >= 0x80 ? 0x80 : 0));
            if (tag >= 0x80)
                data[len++] = (uint8_t)(tag >> 7);
            data[len++] = (uint8_t)(i & 0x7f);
        }
        agree(&desc, data, len);
    }
    assert_int_equal(counts.decoded, 1);
    assert_int_equal(counts.refused, MANY);
}

static void bytes_are_borrowed_only_where_the_caller_says_so(void **state)
{
    static const uint8_t data[] = "\x82\x01\x03xyz\xb8\x17\x05";
    const weft_decode_limits limits = {.borrow = true};
    const Every2__Scalars *scalars;
    ProtobufCMessage *message;
    const char *why;
    weft_arena arena;

    (void)state;
    weft_arena_init(&arena, NULL, 0, 0);
    assert_int_equal(weft__protobuf_decode(&every2__scalars__descriptor, data,
                                           sizeof(data) - 1, &limits, &arena,
                                           &message, &why),
                     WEFT_OK);
    scalars = (const Every2__Scalars *)message;
    assert_ptr_equal(scalars->p.data, data + 3);
    assert_ptr_equal(message->unknown_fields[0].data, data + 8);
    assert_int_equal(weft__protobuf_decode(&every2__scalars__descriptor, data,
                                           sizeof(data) - 1, NULL, &arena,
                                           &message, &why),
                     WEFT_OK);
    scalars = (const Every2__Scalars *)message;
    assert_ptr_not_equal(scalars->p.data, data + 3);
    assert_memory_equal(scalars->p.data, "xyz", 3);
    assert_ptr_not_equal(message->unknown_fields[0].data, data + 8);
    weft_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_messages_decode_alike),
        cmocka_unit_test(every_cut_of_a_message_decodes_alike),
        cmocka_unit_test(numbers_are_cut_to_their_types),
        cmocka_unit_test(bools_are_any_bit_of_any_wire_type),
        cmocka_unit_test(arrays_may_come_in_pieces_of_either_kind),
        cmocka_unit_test(of_a_oneof_the_last_one_counts),
        cmocka_unit_test(what_comes_twice_is_merged_alike),
        cmocka_unit_test(required_fields_are_asked_of_each_message),
        cmocka_unit_test(unknown_fields_are_kept),
        cmocka_unit_test(differences_are_those_that_are_documented),
        cmocka_unit_test(each_of_many_required_fields_is_asked),
        cmocka_unit_test(bytes_are_borrowed_only_where_the_caller_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
