/* gorpc_bytes.h - the frames and envelopes of gorpc_peer.h, read and written as
 * Go's protobuf does. */
#ifndef WEFT_TEST_GORPC_BYTES_H
#define WEFT_TEST_GORPC_BYTES_H

#include "gorpc_peer.h"

#define GORPC_ENVELOPE_PAIRS 64

typedef struct gorpc_span {
    const uint8_t *data;
    size_t len;
} gorpc_span;

/* Request {2 path, 3 metadata, 4 payload}, Response {1 code, 2 message, 3, 4}.
 */
typedef struct gorpc_envelope {
    uint32_t code;
    gorpc_span text; /* path or message */
    gorpc_span payload;
    struct {
        gorpc_span key, value;
    } pairs[GORPC_ENVELOPE_PAIRS];
    size_t n_pairs;
} gorpc_envelope;

/* False: Go's protobuf would refuse it. */
bool gorpc_envelope_read(gorpc_envelope *e, const uint8_t *data, size_t len);
/* The whole frame; free() it. */
uint8_t *gorpc_envelope_frame(const gorpc_envelope *e, size_t *size);

uint32_t gorpc_frame_length(const uint8_t header[GORPC_HEADER]);
/* Whether all but magic and length is 0. */
bool gorpc_frame_is_plain(const uint8_t header[GORPC_HEADER]);

#endif /* WEFT_TEST_GORPC_BYTES_H */
