/* message_codec.c - encodings of messages, by content type. */
#include <weft/message_codec.h>

#include <string.h>
#include <strings.h>
#include <weft/protobuf.h>
#include <weft/registry.h>

static size_t protobuf_size(const ProtobufCMessage *message)
{
    return weft__protobuf_size(message);
}

static void protobuf_pack(const ProtobufCMessage *message, uint8_t *out,
                          size_t size)
{
    weft__protobuf_pack(message, out, size);
}

static const weft_message_codec protobuf = {
    .name = "protobuf",
    .media_type = "application/protobuf",
    .size = protobuf_size,
    .pack = protobuf_pack,
    .decode = weft__protobuf_decode,
};

static weft__registry by_name, by_media_type;

weft_status weft_message_codec_register(const weft_message_codec *codec)
{
    weft_status status;

    if (codec == NULL || codec->name == NULL || codec->media_type == NULL ||
        codec->size == NULL || codec->pack == NULL || codec->decode == NULL ||
        strchr(codec->media_type, '/') == NULL)
        return WEFT_EINVAL;
    if (weft_message_codec_find(codec->name, strlen(codec->name)) != NULL ||
        weft_message_codec_find(codec->media_type, strlen(codec->media_type)) !=
            NULL)
        return WEFT_EEXIST;
    status = weft__registry_add(&by_name, codec->name, codec);
    return status != WEFT_OK
               ? status
               : weft__registry_add(&by_media_type, codec->media_type, codec);
}

static bool is(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

const weft_message_codec *weft_message_codec_find(const char *content_type,
                                                  size_t len)
{
    const char *end = len != 0 ? memchr(content_type, ';', len) : NULL;

    if (end != NULL)
        len = (size_t)(end - content_type);
    while (len != 0 && content_type[len - 1] == ' ')
        len--;
    if (len == 0 || is(content_type, len, protobuf.name) ||
        is(content_type, len, protobuf.media_type))
        return &protobuf;
    return weft__registry_find(
        memchr(content_type, '/', len) != NULL ? &by_media_type : &by_name,
        content_type, len);
}
