/* protobuf_encode.c - protobuf-c messages into bytes, by protobuf-c. */
#include <weft/protobuf.h>

size_t weft__protobuf_size(const ProtobufCMessage *message)
{
    return protobuf_c_message_get_packed_size(message);
}

void weft__protobuf_pack(const void *message, uint8_t *out)
{
    protobuf_c_message_pack(message, out);
}
