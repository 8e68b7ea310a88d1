/* protobuf_reference.h - protobuf-c's own unpack as what ours must agree with.
 */
#ifndef WEFT_TEST_PROTOBUF_REFERENCE_H
#define WEFT_TEST_PROTOBUF_REFERENCE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* What has been compared. */
typedef struct reference_counts {
    unsigned long long inputs, decoded, refused;
    unsigned long long bounded; /* refused by ours alone: a security bound */
} reference_counts;

/* Decodes data with both, in a few ways, packs what comes out with both, and
 * compares everything.  NULL: they agree; else what differs (static). */
const char *reference_compare(const ProtobufCMessageDescriptor *desc,
                              const uint8_t *data, size_t len,
                              reference_counts *counts);

#endif /* WEFT_TEST_PROTOBUF_REFERENCE_H */
