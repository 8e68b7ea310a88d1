/* weft/plugin.h - what is started before a server serves and ended after it.
 *
 * A server runs its plugins' init in the order of weft_server_use(), one after
 * the other, each under its own deadline; only when all have finished well does
 * it serve.  A failure ends the start: plugins whose init had been called are
 * closed in reverse order.  At the drain `draining` runs, and `close` in
 * reverse order when the last call has finished. */
#ifndef WEFT_PLUGIN_H
#define WEFT_PLUGIN_H

#include <weft/address.h>
#include <weft/loop.h>

WEFT_BEGIN_DECLS

typedef struct weft_plugin weft_plugin;

/* What a plugin may know of its server; borrowed until close has finished. */
typedef struct weft_plugin_host {
    weft_loop *loop;
    const char *const *services; /* names under which it serves */
    size_t n_services;
    const weft_address *addresses; /* real ones: port 0 is replaced */
    size_t n_addresses;
} weft_plugin_host;

/* Finishes the phase that was begun with it: exactly once, at once or later, on
 * the loop's thread.  message (borrowed, may be NULL) tells why it failed.  A
 * call that comes after the phase's deadline is ignored. */
typedef struct weft_plugin_done weft_plugin_done;
WEFT_API void weft_plugin_finish(weft_plugin_done *done, weft_status status,
                                 const char *message);

/* Base struct first: a plugin is any struct that starts with weft_plugin. Every
 * entry but name and free may be NULL, which finishes at once. */
typedef struct weft_plugin_ops {
    const char *name;
    uint32_t init_timeout_ms; /* 0: 10000 */
    void (*init)(weft_plugin *self, const weft_plugin_host *host,
                 weft_plugin_done *done);
    /* All plugins are initialised and the server serves. */
    void (*serving)(weft_plugin *self);
    /* The drain begins: leave discovery.  Cut off after 3 s. */
    void (*draining)(weft_plugin *self, weft_plugin_done *done);
    /* The last call has finished, or the start failed.  Also called when init
     * had not finished; it is then cancelled.  Cut off after 3 s. */
    void (*close)(weft_plugin *self, weft_plugin_done *done);
    /* Releases self; nothing of it is called any more. */
    void (*free)(weft_plugin *self);
} weft_plugin_ops;

struct weft_plugin {
    const weft_plugin_ops *ops;
};

WEFT_END_DECLS

#endif /* WEFT_PLUGIN_H */
