/* weft/status.h - one enum for every outcome.
 *
 * 0 is success, 1 to 16 are the canonical RPC codes (the numbers of gRPC's
 * status codes), negatives are failures of the library itself.  Code, name and
 * text stand in one table. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#include <weft/api.h>

WEFT_BEGIN_DECLS

#define WEFT_STATUS_TABLE(X)                                                   \
    X(OK, 0, "success")                                                        \
    X(CANCELLED, 1, "the call was cancelled")                                  \
    X(UNKNOWN, 2, "unknown error")                                             \
    X(INVALID_ARGUMENT, 3, "the request is not valid")                         \
    X(DEADLINE_EXCEEDED, 4, "the deadline passed before the call finished")    \
    X(NOT_FOUND, 5, "not found")                                               \
    X(ALREADY_EXISTS, 6, "already exists")                                     \
    X(PERMISSION_DENIED, 7, "permission denied")                               \
    X(RESOURCE_EXHAUSTED, 8, "a limit was reached")                            \
    X(FAILED_PRECONDITION, 9, "the system is not in the state required")       \
    X(ABORTED, 10, "aborted")                                                  \
    X(OUT_OF_RANGE, 11, "out of range")                                        \
    X(UNIMPLEMENTED, 12, "not implemented")                                    \
    X(INTERNAL, 13, "internal error")                                          \
    X(UNAVAILABLE, 14, "the service is unavailable")                           \
    X(DATA_LOSS, 15, "data was lost")                                          \
    X(UNAUTHENTICATED, 16, "not authenticated")                                \
    X(ENOMEM, -1, "out of memory")                                             \
    X(EINVAL, -2, "invalid argument")                                          \
    X(ESTATE, -3, "not possible in this state")                                \
    X(EEXIST, -4, "already exists")                                            \
    X(ENOENT, -5, "not found")                                                 \
    X(EIO, -6, "input or output error")                                        \
    X(EADDR, -7, "the address cannot be used")                                 \
    X(ELIMIT, -8, "a limit was reached")                                       \
    X(EPROTO, -9, "the peer broke the protocol")                               \
    X(EAGAIN, -10, "not ready, try again")                                     \
    X(EOF, -11, "the peer closed the connection")                              \
    X(ETIMEDOUT, -12, "timed out")                                             \
    X(ENOTSUP, -13, "not supported")                                           \
    X(ECLOSED, -14, "closed")                                                  \
    X(ECONNREFUSED, -15, "connection refused")                                 \
    X(ECONNRESET, -16, "connection reset by the peer")                         \
    X(ESYNTAX, -17, "the text does not parse")

typedef enum weft_status {
#define WEFT_STATUS_ENUM(name, code, text) WEFT_##name = code,
    WEFT_STATUS_TABLE(WEFT_STATUS_ENUM)
#undef WEFT_STATUS_ENUM
} weft_status;

/* The constant's name without its prefix ("UNAVAILABLE", "ENOMEM"), or
 * "UNKNOWN_STATUS" for a number that is none.  Static storage. */
WEFT_API const char *weft_status_name(int status);

/* What it means, as a phrase in lower case.  Static storage. */
WEFT_API const char *weft_status_text(int status);

/* The RPC code (0 to 16) that tells a remote peer of a local failure: ENOMEM
 * and ELIMIT become RESOURCE_EXHAUSTED, connection trouble UNAVAILABLE, EINVAL
 * and ESYNTAX INVALID_ARGUMENT, the rest INTERNAL.  RPC codes map to
 * themselves, any other number to UNKNOWN. */
WEFT_API weft_status weft_status_to_rpc(int status);

/* gorpc's codes (docs/protocol.md, "Codes"), kept beside ours. */
WEFT_API uint32_t weft_status_to_gorpc(weft_status status);
WEFT_API weft_status weft_status_from_gorpc(uint32_t code);

WEFT_END_DECLS

#endif /* WEFT_STATUS_H */
