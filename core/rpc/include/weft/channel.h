/* weft/channel.h - calls to a service, wherever it is.
 *
 * A channel never blocks and needs no connection to be made: it resolves its
 * target, keeps connections to what it finds, and lets a balancer choose for
 * each call.  A NULL channel is tolerated everywhere: calls on it fail. */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/call.h>
#include <weft/group.h>
#include <weft/histogram.h>
#include <weft/resolver.h>

WEFT_BEGIN_DECLS

typedef struct weft_channel weft_channel;

#define WEFT_CHANNEL_CONF(X)                                                   \
    X(str, balancer, "least_request",                                          \
      "random, round_robin, weighted_round_robin, least_request, or one of "   \
      "yours")                                                                 \
    X(u32, timeout_ms, 5000,                                                   \
      "deadline of calls that name none; WEFT_OFF: "                           \
      "none")                                                                  \
    X(flag, eager, false, "resolve and connect now, not at the first call")    \
    X(flag, wait_for_ready, false,                                             \
      "calls wait for a connection up to their deadline instead of failing "   \
      "when every endpoint is down")                                           \
    X(u32, max_waiting, 10000, "calls that wait for a connection")             \
    X(u32, max_in_flight, 100000, "calls at once, waiting ones included")      \
    X(u32, max_in_flight_per_connection, 1000, "before one more is opened")    \
    X(u32, max_connections_per_endpoint, 4, "multiplexed ones")                \
    X(u32, max_gorpc_connections_per_endpoint, 100,                            \
      "to version 0 peers, which take one call at a time")                     \
    X(u32, max_pending_bytes, 67108864,                                        \
      "requests of all calls that have not ended")                             \
    X(u32, max_frame_bytes, 4194304, "body of one frame")                      \
    X(u32, max_unsent_bytes, 4194304,                                          \
      "requests that one connection's peer has not read")                      \
    X(u32, max_metadata, 128, "pairs in one reply")                            \
    X(u32, max_metadata_bytes, 16384, "keys and values in one reply")          \
    X(u32, max_decode_bytes, 67108864, "memory of one decoded reply")          \
    X(u32, max_decode_depth, 64, "nested messages")                            \
    X(u32, connect_ms, 3000, "until a connection is made")                     \
    X(u32, handshake_ms, 3000, "until the peer has said its version")          \
    X(u32, backoff_min_ms, 100, "after a failed connect, doubling, jittered")  \
    X(u32, backoff_max_ms, 10000, "its ceiling")                               \
    X(u32, max_connecting, 32, "endpoints being connected to at once")         \
    X(u32, keepalive_ms, 30000, "silence before a heartbeat")                  \
    X(u32, keepalive_timeout_ms, 10000, "and until it must be answered")       \
    X(u32, idle_ms, 300000, "without a call before a connection closes")

typedef struct weft_channel_conf {
    WEFT_CHANNEL_CONF(WEFT_CONF_MEMBER)
} weft_channel_conf;
WEFT_API extern const weft_conf_spec weft_channel_conf_spec;

/* target: "consul:///service", "consul+kv:///service", "static:///a:1,b:2",
 * "unix:///path", "inproc:///name", or an address alone.  conf may be NULL.
 * Gives *out: weft_channel_close().  A target or balancer that does not exist
 * is EINVAL or ESYNTAX with a sentence in weft_channel_error(); *out is then
 * set, and every call on it fails with that sentence.  What the resolver alone
 * can judge (a missing service, a parameter) is told by the calls.  ENOMEM sets
 * NULL. */
#define weft_channel_new(out, loop, target, ... /* conf */)                    \
    weft_channel_new_sized(out, loop, target, __VA_ARGS__,                     \
                           sizeof(weft_channel_conf))
WEFT_API weft_status weft_channel_new_sized(weft_channel **out, weft_loop *loop,
                                            const char *target,
                                            const weft_channel_conf *conf,
                                            size_t conf_size);

/* The same on all loops of group: stubs of it may be shared and used on each,
 * and a call is made, and calls back, on the loop that it is made on, with
 * connections of that loop's own.  The first loop finds the endpoints, for all
 * of them.  Limits hold, and statistics are told, for the calling loop.  On any
 * other thread calls are refused: ESTATE; those of generated stubs call back at
 * once.  Close it on the first loop, when no other will use it any more: there
 * its calls end as soon as the close has reached them. */
#define weft_channel_new_group(out, group, target, ... /* conf */)             \
    weft_channel_new_group_sized(out, group, target, __VA_ARGS__,              \
                                 sizeof(weft_channel_conf))
WEFT_API weft_status weft_channel_new_group_sized(weft_channel **out,
                                                  weft_group *group,
                                                  const char *target,
                                                  const weft_channel_conf *conf,
                                                  size_t conf_size);

/* Takes channel (NULL is fine; also in any callback): calls that have not ended
 * call back with CANCELLED, later. */
WEFT_API void weft_channel_close(weft_channel *channel);

WEFT_API const char *weft_channel_error(const weft_channel *channel);

/* What the discovery watch knows; ENOENT before the first use of a lazy one. */
WEFT_API weft_status weft_channel_watch_info(const weft_channel *channel,
                                             weft_watch_info *out);

typedef struct weft_channel_stats {
    uint64_t calls, failed; /* finished */
    uint64_t in_flight, waiting, pending_bytes;
    uint64_t endpoints, ready_endpoints, connections;
    uint64_t connects, connect_failures, moved; /* unsent calls that moved on */
} weft_channel_stats;
WEFT_API weft_channel_stats weft_channel_get_stats(const weft_channel *channel);

/* How long the calls took that stats.calls counts, however they ended: from
 * their start until the callback began that read their end, so what
 * weft_result's phases add up to.  Writes *out, 18 KB.  ENOENT: there is no
 * channel, or none on this thread. */
WEFT_API weft_status weft_channel_get_latency(const weft_channel *channel,
                                              weft_histogram *out);

/* What the channel knows of one endpoint; borrowed for the callback. */
typedef struct weft_endpoint_stats {
    const char *address; /* "10.0.0.7:8000" */
    const char *state; /* "idle", "queued", "connecting", "ready", "backoff" */
    const char *last_error; /* of the last failed connect or loss, or "" */
    bool ready;
    uint32_t weight, connections, in_flight;
    uint32_t failures; /* connects that failed in a row */
} weft_endpoint_stats;

/* Calls fn for each endpoint; fn may close the channel, which is the end of it.
 */
WEFT_API void
weft_channel_each_endpoint(const weft_channel *channel,
                           void (*fn)(const weft_endpoint_stats *e, void *user),
                           void *user);

/* ---- Calls ---- */

/* A call in flight; 0 is none.  Stale ones are harmless. */
typedef uint64_t weft_handle;

/* Options of one call; zero is the channel's default.  What it points to is
 * copied before the call function returns.
 *
 * release lends the request, or its largest part: its longest bytes field (512
 * bytes or more, not repeated, not required), or raw bytes as many as that, are
 * not copied, but sent from where they lie.  They stay as they are until
 * release(release_arg), which runs exactly once for each call that is made,
 * whatever becomes of it: before the call function returns if nothing is lent,
 * else when the call has ended and nothing of it waits to be written, which may
 * be before its callback or after it.  It may run inside any function of the
 * library, so it answers no call, makes none and closes nothing; it may post.
 */
typedef struct weft_call_options {
    uint32_t timeout_ms; /* WEFT_NO_DEADLINE: none */
    bool wait_for_ready;
    bool fail_fast; /* do not wait, not even for the first resolution */
    bool one_way;   /* no reply: the callback says that it was written */
    weft_metadata metadata;
    const void *hash_key; /* for balancers that hash */
    size_t hash_key_len;
    weft_call *parent;          /* see weft_stub_under() */
    weft_handle *handle;        /* out, may be NULL: for weft_cancel(); 0 if the
                                   call was refused */
    const char *content_type;   /* raw calls; NULL: protobuf */
    const char *service;        /* another name than the descriptor's */
    void (*release)(void *arg); /* NULL: all is copied */
    void *release_arg;
    uint64_t reserved[4];
} weft_call_options;

/* A stub is a small value: copy it to give one call options of its own.
 *
 *     weft_stub quick = stub;
 *     quick.options.timeout_ms = 200;
 *     helloworld__greeter__say_hello(&quick.base, &request, on_reply, user);
 *
 * The request is packed before the generated function returns.  The callback
 * runs exactly once, and later, whatever happens; with NULL on failure, and
 * weft_current_result() says why.  (Only when even the records reserved for
 * failures run out does it run inline, with RESOURCE_EXHAUSTED.) */
typedef struct weft_stub {
    ProtobufCService base;
    weft_channel *channel;
    weft_call_options options;
} weft_stub;

WEFT_API weft_stub weft_stub_for(weft_channel *channel,
                                 const ProtobufCServiceDescriptor *service);

/* A copy that makes calls on behalf of parent: they inherit what is left of its
 * deadline, are cancelled when it ends, and carry on its trace context and the
 * metadata that the server's forward_metadata names. */
WEFT_API weft_stub weft_stub_under(const weft_stub *stub, weft_call *parent);

/* Runs once, later, on the channel's loop; result is borrowed for its time. May
 * close anything. */
typedef void (*weft_result_cb)(const weft_result *result, void *user);

/* By descriptor: what stubs do, with a status.  If it is OK, cb runs exactly
 * once; otherwise never. ECLOSED, EINVAL (method is out of range), ENOMEM,
 * ELIMIT (a limit of the channel or an over-long request), ESTATE. */
WEFT_API weft_status weft_stub_call(const weft_stub *stub, unsigned method,
                                    const ProtobufCMessage *request,
                                    weft_result_cb cb, void *user);

/* By raw bytes, which are copied: path is "/package.Service/Method".  options
 * may be NULL. */
WEFT_API weft_status weft_call_bytes(weft_channel *channel,
                                     const weft_call_options *options,
                                     const char *path, const void *data,
                                     size_t len, weft_result_cb cb, void *user);

/* Ends the call with CANCELLED: its callback runs later, never on this stack,
 * and the server is told.  A handle that is no call any more is ignored. */
WEFT_API void weft_cancel(weft_handle handle);

WEFT_END_DECLS

#endif /* WEFT_CHANNEL_H */
