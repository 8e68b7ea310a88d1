/* weft/protobuf.h - protobuf-c messages from untrusted bytes.
 *
 * protobuf-c's own unpack has no depth limit, merges quadratically and
 * amplifies memory; here every decode is bounded in depth, memory and time
 * while it runs, and lands in an arena.  What was decoded is never given to
 * free_unpacked. */
#ifndef WEFT_PROTOBUF_H
#define WEFT_PROTOBUF_H

#include <protobuf-c/protobuf-c.h>
#include <weft/message_codec.h>
#include <weft/outq.h>

typedef weft_decode_limits weft__decode_limits;

/* Decodes len bytes into arena.  EPROTO: not a valid message (*why, a static
 * phrase, says what); ELIMIT: a limit, by its name; ENOMEM.
 * limits may be NULL; nothing of the result points into data, unless they say
 * borrow.  What a decode that fails has taken stays in the arena. */
weft_status weft__protobuf_decode(const ProtobufCMessageDescriptor *desc,
                                  const void *data, size_t len,
                                  const weft__decode_limits *limits,
                                  weft_arena *arena, ProtobufCMessage **out,
                                  const char **why);

size_t weft__protobuf_size(const ProtobufCMessage *message);
/* For weft__payload.pack: message is a ProtobufCMessage, and size what it was
 * found to take. */
void weft__protobuf_pack(const void *message, uint8_t *out, size_t size);

#endif /* WEFT_PROTOBUF_H */
