/* weft/result.h - how a client call ended. */
#ifndef WEFT_RESULT_H
#define WEFT_RESULT_H

#include <protobuf-c/protobuf-c.h>
#include <weft/metadata.h>

WEFT_BEGIN_DECLS

/* Whether the server may have begun to work on the call. */
typedef enum weft_sent {
    WEFT_SENT_NEVER,  /* it never left: trying again is safe */
    WEFT_SENT_MAYBE,  /* it did leave: only idempotent calls may try again */
    WEFT_SENT_REFUSED /* the server said that it did not process it: safe */
} weft_sent;

typedef struct weft_result {
    weft_status status; /* 0 to 16 */
    weft_sent sent;
    uint32_t raw_code;   /* as on the wire; gorpc servers use their own */
    const char *message; /* never NULL; on failure it names phase and cause */
    const char *peer;    /* "10.0.0.7:8000", or "" when none was chosen */
    const void *details; /* status details, opaque bytes */
    size_t details_len;
    weft_metadata metadata; /* what the server sent along */
    const ProtobufCMessage
        *reply;          /* decoded; NULL on failure and in raw calls */
    const void *payload; /* the reply's bytes, raw calls only */
    size_t payload_len;
    const char *content_type; /* of payload; never NULL */
    /* Microseconds by phase; their sum is the call's life. */
    uint64_t resolving_us, connecting_us, waiting_us;
} weft_result;

/* The result whose callback runs on this thread, also for calls by stub; NULL
 * outside of one.  Borrowed until the callback returns. */
WEFT_API const weft_result *weft_current_result(void);

/* Takes the current result along, reply and all.  Bytes that lie in the buffer
 * which they came in are copied, so pointers to them, payload and the data of
 * bytes fields, are taken from the result after this; everything else stays
 * where it is.  Gives it: weft_result_free(), on any thread once the callback
 * has returned.  NULL outside of a callback, or out of memory. */
WEFT_API weft_result *weft_result_keep(void);
WEFT_API void weft_result_free(weft_result *result); /* NULL is fine */

WEFT_END_DECLS

#endif /* WEFT_RESULT_H */
