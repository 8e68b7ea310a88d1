/* protobuf_random.h - bytes that are almost a message: made by its descriptor,
 * with all that an encoder may choose, and now and then something wrong. */
#ifndef WEFT_TEST_PROTOBUF_RANDOM_H
#define WEFT_TEST_PROTOBUF_RANDOM_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* Returns how many of size bytes (at least 256) it has written; the same for
 * the same seed. */
size_t protobuf_random(const ProtobufCMessageDescriptor *desc, uint64_t seed,
                       uint8_t *data, size_t size);

#endif /* WEFT_TEST_PROTOBUF_RANDOM_H */
