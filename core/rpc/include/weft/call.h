/* weft/call.h - what a handler holds of the call that it answers.
 *
 * weft_call * is a handle in a pointer's clothes: loop, slot and generation in
 * 64 bits.  It is never dereferenced, so a stale one is harmless: functions
 * that return a status say ENOENT, others return nothing, zero or NULL, and a
 * second answer is counted.  The closure's last argument in generated code,
 * void *, is this handle.  All of it belongs to the call's loop; another thread
 * answers through weft_loop_post().
 *
 * A handler that runs on a pool (weft_server_offload()) may use, on its own
 * thread and until it returns, everything but weft_call_on_end() (ESTATE; ask
 * weft_call_active()) and stubs.  What weft_call_alloc() gives there goes when
 * the answer has left. */
#ifndef WEFT_CALL_H
#define WEFT_CALL_H

#include <weft/loop.h>
#include <weft/result.h>

WEFT_BEGIN_DECLS

typedef struct weft_call weft_call;

/* A handler answers exactly once: by its closure, or by one of these.  The
 * request, the arena and the handle live until then, even when the framework
 * has answered first (deadline, cancel, drain); that late answer is discarded.
 */
WEFT_API weft_status weft_call_fail(weft_call *call, weft_status status,
                                    const char *message);
WEFT_API weft_status weft_call_failf(weft_call *call, weft_status status,
                                     const char *fmt, ...) WEFT_PRINTF(3, 4);

/* Forwards another call's outcome: status, message, details, metadata, and the
 * reply, packed or raw. */
WEFT_API weft_status weft_call_finish(weft_call *call,
                                      const weft_result *result);

/* Answers with packed bytes, which are copied. */
WEFT_API weft_status weft_call_reply_bytes(weft_call *call, const void *data,
                                           size_t len);

/* The same without a copy: data stays valid until release(arg), which runs
 * exactly once, whatever happens.  It may run inside any function of the
 * library, so it answers no call, makes none and closes nothing; it may post.
 */
WEFT_API weft_status weft_call_reply_ref(weft_call *call, const void *data,
                                         size_t len, void (*release)(void *arg),
                                         void *arg);

/* Memory that goes with the call; not zeroed.  NULL: none, or over the call's
 * budget.  A reply's longest bytes field (4 KiB or more, not repeated, not
 * required) is sent from it without a copy. */
WEFT_API void *weft_call_alloc(weft_call *call, size_t size);

/* Tells once how the call ended: OK or what the peer was told; CANCELLED when
 * the client gave up or went away, DEADLINE_EXCEEDED, UNAVAILABLE at the end of
 * a drain.  Runs from a fresh stack.  A handler that is still working should
 * stop and answer (anything: it is discarded). ENOMEM, ENOENT. */
typedef void (*weft_call_end_cb)(weft_call *call, weft_status status,
                                 void *user);
WEFT_API weft_status weft_call_on_end(weft_call *call, weft_call_end_cb cb,
                                      void *user);

/* False: the framework has answered (deadline, cancel, drain): nobody listens.
 */
WEFT_API bool weft_call_active(weft_call *call);

/* What came with it; borrowed from the call. */
WEFT_API const weft_metadata *weft_call_metadata(weft_call *call);
WEFT_API const char *weft_call_service(weft_call *call);
WEFT_API const char *weft_call_method(weft_call *call);
WEFT_API const char *weft_call_peer(weft_call *call);
WEFT_API const char *weft_call_content_type(weft_call *call);
WEFT_API const char *weft_call_trace(weft_call *call); /* traceparent, or "" */
WEFT_API weft_loop *weft_call_loop(weft_call *call);

/* What is left; WEFT_NO_DEADLINE; 0 when it has passed. */
WEFT_API uint32_t weft_call_time_left_ms(weft_call *call);

/* Goes out with the answer; copied. */
WEFT_API weft_status weft_call_add_metadata(weft_call *call, const char *key,
                                            const void *value,
                                            size_t value_len);
WEFT_API weft_status weft_call_set_details(weft_call *call, const void *data,
                                           size_t len);

WEFT_END_DECLS

#endif /* WEFT_CALL_H */
