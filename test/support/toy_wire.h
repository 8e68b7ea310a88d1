/* toy_wire.h - the smallest wire there is, to test connections with.
 *
 * A frame: 0x11, its type (a letter), a stream (u16), a length (u32), a body;
 * numbers are big endian.  H hello and W welcome are the handshake, Q a request
 * and A its answer, P and O a heartbeat and its answer, G a go-away.  X is
 * never understood.  Statuses and metadata do not exist. */
#ifndef WEFT_TEST_TOY_WIRE_H
#define WEFT_TEST_TOY_WIRE_H

#include <weft/wire.h>

#define TOY_HEADER 8
#define TOY_MAX_FRAME (1u << 24)

extern const weft__wire_ops toy_wire;

/* A peer that knows no heartbeats, like version 0 of the native wire. */
extern const weft__wire_ops toy_wire_without_ping;

/* Writes a header. */
void toy_header(uint8_t *out, char type, unsigned stream, size_t len);

#endif
