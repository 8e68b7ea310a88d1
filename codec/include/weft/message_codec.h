/* weft/message_codec.h - encodings of messages, by content type.
 *
 * A codec turns protobuf-c messages into bytes and back, driven by their
 * descriptors.  "protobuf" is there from the start; an application may register
 * more.  As yet servers and channels decode protobuf alone: another content
 * type is refused with UNIMPLEMENTED, or reaches the fallback handler as bytes.
 *
 * What is decoded comes from a peer: a codec keeps to the limits, whatever the
 * bytes say, and its result lies in the arena, none of it in the input. */
#ifndef WEFT_MESSAGE_CODEC_H
#define WEFT_MESSAGE_CODEC_H

#include <protobuf-c/protobuf-c.h>
#include <weft/arena.h>

WEFT_BEGIN_DECLS

typedef struct weft_decode_limits {
    uint32_t depth; /* nested messages; 0: 64 */
    size_t memory;  /* bytes that the decoded message may take; 0: 64 MiB */
    uint32_t max_elements; /* fields and elements altogether; 0: 4 million */
    /* The input outlives the arena: bytes fields (and unknown ones) may point
     * into it instead of being copied. */
    bool borrow;
} weft_decode_limits;

typedef struct weft_message_codec {
    const char *name;       /* as the native wire carries it: "protobuf" */
    const char *media_type; /* as HTTP carries it: "application/protobuf" */

    /* Exactly as many bytes as pack() then writes, who is told. */
    size_t (*size)(const ProtobufCMessage *message);
    void (*pack)(const ProtobufCMessage *message, uint8_t *out, size_t size);

    /* EPROTO: not a message of that type (*why, a static phrase, says what);
     * ELIMIT: over a limit, *why names it; ENOMEM.  limits may be NULL. */
    weft_status (*decode)(const ProtobufCMessageDescriptor *descriptor,
                          const void *data, size_t len,
                          const weft_decode_limits *limits, weft_arena *arena,
                          ProtobufCMessage **out, const char **why);
} weft_message_codec;

/* Borrows codec for the life of the process.  EEXIST: one of that name is
 * there; ELIMIT: too many; EINVAL: something is missing. */
WEFT_API weft_status
weft_message_codec_register(const weft_message_codec *codec);

/* By name, or by media type (parameters behind ";" are not looked at); len 0 is
 * protobuf.  NULL: there is none.  Static or borrowed from whoever registered
 * it. */
WEFT_API const weft_message_codec *
weft_message_codec_find(const char *content_type, size_t len);

WEFT_END_DECLS

#endif /* WEFT_MESSAGE_CODEC_H */
