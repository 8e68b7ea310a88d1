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
#include <weft/wire.h>

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

/* What a message borrows of `from`, which has been copied, it borrows of `to`
 * from now on; it was decoded, so its depth has a bound. */
void weft__protobuf_moved(ProtobufCMessage *message, weft__slice from,
                          uint8_t *to);

size_t weft__protobuf_size(const ProtobufCMessage *message);
/* For weft__payload.pack: message is a ProtobufCMessage, and size what it was
 * found to take. */
void weft__protobuf_pack(const void *message, uint8_t *out, size_t size);

/* A message, borrowed, into a zeroed payload. */
static inline void weft__payload_set_message(weft__payload *payload,
                                             const ProtobufCMessage *message)
{
    payload->len = weft__protobuf_size(message);
    payload->pack = weft__protobuf_pack;
    payload->message = message;
}

/* A message whose longest bytes field is sent from where it lies, behind all
 * others: the order of fields means nothing to who reads it. */
typedef struct weft__protobuf_split {
    const ProtobufCFieldDescriptor *field;
    weft__slice lent;       /* its bytes */
    ProtobufCMessage *rest; /* the message without that field */
    size_t rest_len;        /* of rest when packed; 0: there is none */
} weft__protobuf_split;

/* Finds a bytes field, not a repeated or required one, of at least min bytes;
 * there is no rest yet.  False: there is none. */
bool weft__protobuf_split_find(weft__protobuf_split *out,
                               const ProtobufCMessage *message, size_t min);
/* Puts the rest, a copy of the struct, into arena, unless nothing is left of
 * the size bytes that message takes.  False: no memory. */
bool weft__protobuf_split_rest(weft__protobuf_split *split,
                               const ProtobufCMessage *message, size_t size,
                               weft_arena *arena);
/* For weft__payload.pack: all that stands before the bytes lent, which is what
 * the whole message takes less those. */
void weft__protobuf_split_pack(const void *split, uint8_t *out, size_t size);

#endif /* WEFT_PROTOBUF_H */
