/* weft/server.h - services, listeners, plugins; start, serve, drain, close.
 *
 * Setup calls return a status, and the server remembers the first failure:
 * later ones do nothing, and run or start reports it in a sentence.  So a short
 * program may check once.  A NULL server is tolerated everywhere. */
#ifndef WEFT_SERVER_H
#define WEFT_SERVER_H

#include <weft/call.h>
#include <weft/group.h>
#include <weft/histogram.h>
#include <weft/plugin.h>
#include <weft/pool.h>

WEFT_BEGIN_DECLS

typedef struct weft_server weft_server;

#define WEFT_SERVER_CONF(X)                                                    \
    X(u32, drain_ms, 10000, "calls in flight may take this long at a drain")   \
    X(u32, lame_duck_ms, 500,                                                  \
      "between leaving discovery and refusing connections; 0 without plugins") \
    X(u32, default_timeout_ms, 5000,                                           \
      "deadline of calls whose client names none; WEFT_OFF: none")             \
    X(u32, max_timeout_ms, 3600000, "ceiling of what a client may ask for")    \
    X(u32, max_in_flight, 10000, "calls at once, all connections")             \
    X(u32, max_in_flight_per_connection, 1000, "calls at once on one")         \
    X(u32, max_in_flight_bytes, 268435456,                                     \
      "requests in flight, all connections; reading pauses above")             \
    X(u32, max_connections, 20000, "native, HTTP and undecided together")      \
    X(u32, max_frame_bytes, 4194304, "body of one frame")                      \
    X(u32, max_unsent_bytes, 4194304,                                          \
      "replies that a connection's peer has not read; reading pauses above")   \
    X(u32, max_buffered_bytes, 536870912,                                      \
      "held until peers send the rest or read, all connections; above, who "   \
      "has not moved for longest is closed; WEFT_OFF: no bound")               \
    X(u32, max_metadata, 128, "pairs in one call")                             \
    X(u32, max_metadata_bytes, 16384, "keys and values in one call")           \
    X(u32, max_call_bytes, 67108864, "arena of one call, request included")    \
    X(u32, max_decode_bytes, 67108864, "memory of one decoded request")        \
    X(u32, max_decode_depth, 64, "nested messages")                            \
    X(u32, handshake_ms, 10000, "until a connection shows what it speaks")     \
    X(u32, idle_ms, 600000,                                                    \
      "silence without a call before a connection closes; over 65 s if gorpc " \
      "clients pool connections; WEFT_OFF: never")                             \
    X(u32, keepalive_ms, 30000, "silence before a heartbeat")                  \
    X(u32, keepalive_timeout_ms, 10000, "and until it must be answered")       \
    X(u32, stall_ms, 30000, "a frame or a reply begun must move within")       \
    X(u32, late_loop_ms, 2000,                                                 \
      "a loop of a group that has not answered /health's question for so "     \
      "long makes it 503")                                                     \
    X(u32, backlog, 1024, "of listen()")                                       \
    X(u32, max_http_connections, 256, "of those, HTTP")                        \
    X(u32, http_request_ms, 5000, "a whole HTTP request")                      \
    X(str, forward_metadata, "",                                               \
      "keys, comma-separated, that calls under a call carry on")               \
    X(flag, http_public, false,                                                \
      "HTTP paths beyond /health and /livez answer "                           \
      "from anywhere, not from loopback alone")

typedef struct weft_server_conf {
    WEFT_SERVER_CONF(WEFT_CONF_MEMBER)
} weft_server_conf;
WEFT_API extern const weft_conf_spec weft_server_conf_spec;

typedef enum weft_server_state {
    WEFT_SERVER_NEW,
    WEFT_SERVER_STARTING, /* bound; plugins initialise; nothing is served */
    WEFT_SERVER_SERVING,
    WEFT_SERVER_DRAINING,
    WEFT_SERVER_CLOSED
} weft_server_state;

/* Makes a server on loop, which is borrowed.  Gives *out: weft_server_free(); a
 * server that is left when its loop ends goes with it.  conf may be NULL.
 * ENOMEM and EINVAL set NULL. */
#define weft_server_new(out, loop, ... /* conf */)                             \
    weft_server_new_sized(out, loop, __VA_ARGS__, sizeof(weft_server_conf))
WEFT_API weft_status weft_server_new_sized(weft_server **out, weft_loop *loop,
                                           const weft_server_conf *conf,
                                           size_t conf_size);

/* The same on all loops of group: it listens on each (SO_REUSEPORT; unix and
 * inproc sockets on the first alone), and a call is served on the loop that its
 * connection came to.  All of this interface belongs to the first loop: the
 * server starts when every loop can serve, drains on all of them, and sums up
 * what they count (as of the end of their last callbacks).  Limits of all
 * connections hold for each loop.  /health asks all of them, whichever it came
 * to.  Handlers of a service run on all loops at the same time; weft_observe()
 * and weft_dump() are per loop. */
#define weft_server_new_group(out, group, ... /* conf */)                      \
    weft_server_new_group_sized(out, group, __VA_ARGS__,                       \
                                sizeof(weft_server_conf))
WEFT_API weft_status weft_server_new_group_sized(weft_server **out,
                                                 weft_group *group,
                                                 const weft_server_conf *conf,
                                                 size_t conf_size);

/* Borrows service (protoc-gen-c's, maybe inside a struct of yours) until the
 * server has closed.  EINVAL: generated with optimize_for = CODE_SIZE, which
 * leaves no names.  EEXIST.  A NULL slot answers UNIMPLEMENTED. */
WEFT_API weft_status weft_server_add_service(weft_server *server,
                                             ProtobufCService *service);
/* The same under another name. */
WEFT_API weft_status weft_server_add_service_as(weft_server *server,
                                                const char *name,
                                                ProtobufCService *service);

/* One of its own for each loop of a group, so that handlers need no locks: make
 * is called on the loop's thread, at once for the first loop, at the start for
 * the others (NULL: the start fails), and release (may be NULL) there too, when
 * the server has closed. */
typedef ProtobufCService *(*weft_service_maker)(weft_loop *loop, void *user);
WEFT_API weft_status weft_server_add_service_per_loop(
    weft_server *server, weft_service_maker make,
    void (*release)(ProtobufCService *service, void *user), void *user);

/* Calls of this registered method ("/package.Service/Method") run on pool,
 * which is borrowed and outlives the loop: the handler has the same signature
 * and may block.  It answers before it returns, and the answer leaves then.
 * What it may call meanwhile is in weft/call.h.  A call that finds max_queue
 * jobs waiting is refused with RESOURCE_EXHAUSTED; one whose deadline passes,
 * or whose client leaves, before it gets a thread is dropped.  The handler of a
 * group's server may run on several threads at a time, also when it was made
 * per loop.  A drain waits for jobs as for other calls; a loop that ends waits
 * for handlers that run.  ENOENT: there is no such method. */
WEFT_API weft_status weft_server_offload(weft_server *server, const char *path,
                                         weft_pool *pool);

/* Calls of services and methods that nobody has registered, as bytes: a proxy.
 * Everything is borrowed until the handler answers the call. */
typedef struct weft_raw_request {
    const char *service, *method; /* as in "/service/method" */
    const weft_metadata *metadata;
    const char *content_type;
    const void *payload;
    size_t payload_len;
} weft_raw_request;
typedef void (*weft_raw_handler)(weft_call *call,
                                 const weft_raw_request *request, void *user);
WEFT_API weft_status weft_server_set_fallback(weft_server *server,
                                              weft_raw_handler handler,
                                              void *user);

/* Listens at once, serves after the start.  uri: "tcp://127.0.0.1:8000" (port 0
 * picks one), "tcp://[::]:8000", "unix:///path", "inproc:///name".  Several. */
WEFT_API weft_status weft_server_listen(weft_server *server, const char *uri);

/* The i-th listener's real address; NULL when there is none. */
WEFT_API const weft_address *weft_server_address(const weft_server *server,
                                                 size_t i);

/* Takes plugin (NULL, as a constructor's failure, is ENOMEM). */
WEFT_API weft_status weft_server_use(weft_server *server, weft_plugin *plugin);

/* Starts: plugins, then serving.  If OK, cb (may be NULL) runs once, later: OK
 * when it serves, else why not, and the server is closed.  For programs that
 * run their own loop; touches no signals. */
typedef void (*weft_server_cb)(weft_server *server, weft_status status,
                               const char *message, void *user);
WEFT_API weft_status weft_server_start(weft_server *server, weft_server_cb cb,
                                       void *user);

/* Leaves discovery, waits the lame-duck time, stops accepting, tells every peer
 * to go away, finishes what is in flight within drain_ms (0: the conf's;
 * WEFT_OFF waits for ever), cancels the rest, closes plugins.  cb (may be NULL)
 * runs once, later, when the server is closed: OK, or DEADLINE_EXCEEDED when
 * calls had to be cancelled.  A second drain shortens the first if its time is
 * less. ESTATE: not started, or closed. */
WEFT_API weft_status weft_server_drain(weft_server *server, uint32_t drain_ms,
                                       weft_server_cb cb, void *user);

/* Start, serve, drain at SIGTERM or SIGINT (a second one ends at once,
 * unless it comes within 100 ms: then it is the first, passed on twice), close:
 * the whole life on this loop.  Returns an exit code: 0, or 1 with a logged
 * sentence when the start failed, calls had to be cancelled or the second
 * signal came.  Not on a loop that wraps the application's event_base: signals
 * are its own there. */
WEFT_API int weft_server_run(weft_server *server);

/* Takes server (NULL is fine; also in any callback of its): ends at once what
 * runs, peers are told UNAVAILABLE, plugins are closed, memory goes when the
 * stack has unwound. */
WEFT_API void weft_server_free(weft_server *server);

/* Lets the application speak on /health: false answers 503. */
WEFT_API void weft_server_set_health(weft_server *server, bool healthy);

WEFT_API weft_server_state weft_server_get_state(const weft_server *server);
/* The first setup failure or why the start failed; "" when there is none. */
WEFT_API const char *weft_server_error(const weft_server *server);

typedef struct weft_server_stats {
    uint64_t calls, failed; /* finished; failed are those with another status */
    uint64_t in_flight, in_flight_bytes, connections;
    uint64_t refused;       /* limits */
    uint64_t expired;       /* deadline passed before the handler began */
    uint64_t late_answers;  /* answers after the framework's own: discarded */
    uint64_t stale_answers; /* second answers, by all servers of the loop */
    uint64_t unanswered;    /* ended by deadline, cancel or drain, and the
                               handler has not answered yet */
} weft_server_stats;
WEFT_API weft_server_stats weft_server_get_stats(const weft_server *server);

/* How long the calls of a method took ("/package.Service/Method"; NULL: all,
 * the fallback's too) on all loops, however they ended: from when the callback
 * began that read the request until the round of the loop ended in which the
 * call did, its reply written.  So handler, pool and queueing behind others of
 * the round count, and the network does not.  Calls that got no handler do not,
 * and those of the present round not yet.  Writes *out, 18 KB.  ENOENT: there
 * is no such method, or no server. */
WEFT_API weft_status weft_server_get_latency(const weft_server *server,
                                             const char *path,
                                             weft_histogram *out);

WEFT_END_DECLS

#endif /* WEFT_SERVER_H */
