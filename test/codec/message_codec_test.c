#include "support.h"

#include <string.h>
#include <weft/message_codec.h>

#define FIND(text) weft_message_codec_find(text, strlen(text))

static size_t size(const ProtobufCMessage *message)
{
    (void)message;
    return 0;
}

static void pack(const ProtobufCMessage *message, uint8_t *out, size_t len)
{
    (void)message;
    (void)out;
    (void)len;
}

static weft_status decode(const ProtobufCMessageDescriptor *descriptor,
                          const void *data, size_t len,
                          const weft_decode_limits *limits, weft_arena *arena,
                          ProtobufCMessage **out, const char **why)
{
    (void)descriptor;
    (void)data;
    (void)len;
    (void)limits;
    (void)arena;
    (void)out;
    *why = "a toy";
    return WEFT_EPROTO;
}

static const weft_message_codec toy = {.name = "toy",
                                       .media_type = "application/x-toy",
                                       .size = size,
                                       .pack = pack,
                                       .decode = decode};

static void protobuf_is_there_and_the_default(void **state)
{
    const weft_message_codec *protobuf = weft_message_codec_find(NULL, 0);

    (void)state;
    assert_string_equal(protobuf->name, "protobuf");
    assert_ptr_equal(FIND("protobuf"), protobuf);
    assert_ptr_equal(FIND("application/protobuf"), protobuf);
    assert_ptr_equal(FIND("Application/Protobuf; charset=x"), protobuf);
    assert_null(FIND("protobuff"));
    assert_null(FIND("proto"));
}

static void one_that_is_registered_is_found_by_both_names(void **state)
{
    (void)state;
    assert_null(FIND("toy"));
    assert_int_equal(weft_message_codec_register(&toy), WEFT_OK);
    assert_ptr_equal(FIND("toy"), &toy);
    assert_ptr_equal(FIND("application/x-toy ; q=1"), &toy);
    assert_int_equal(weft_message_codec_register(&toy), WEFT_EEXIST);
}

static void one_that_lacks_something_or_takes_a_name_is_refused(void **state)
{
    weft_message_codec codec = toy;

    (void)state;
    assert_int_equal(weft_message_codec_register(NULL), WEFT_EINVAL);
    codec.decode = NULL;
    assert_int_equal(weft_message_codec_register(&codec), WEFT_EINVAL);
    codec = toy;
    codec.media_type = "no slash";
    assert_int_equal(weft_message_codec_register(&codec), WEFT_EINVAL);
    codec = toy;
    codec.name = "protobuf";
    assert_int_equal(weft_message_codec_register(&codec), WEFT_EEXIST);
    codec.name = "other";
    codec.media_type = "application/protobuf";
    assert_int_equal(weft_message_codec_register(&codec), WEFT_EEXIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_is_there_and_the_default),
        cmocka_unit_test(one_that_is_registered_is_found_by_both_names),
        cmocka_unit_test(one_that_lacks_something_or_takes_a_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
