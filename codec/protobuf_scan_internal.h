/* protobuf_scan_internal.h - what decoding a message would cost. */
#ifndef WEFT_PROTOBUF_SCAN_INTERNAL_H
#define WEFT_PROTOBUF_SCAN_INTERNAL_H

#include <weft/message_codec.h>

/* All of limits is set.  *memory: an upper bound of what protobuf-c will take
 * from an arena; where a limit is hit, what had been counted by then. */
weft_status weft__protobuf_scan(const ProtobufCMessageDescriptor *desc,
                                const void *data, size_t len,
                                const weft_decode_limits *limits,
                                uint64_t *memory, const char **why);

#endif /* WEFT_PROTOBUF_SCAN_INTERNAL_H */
