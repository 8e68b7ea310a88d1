/* weft/registrar.h - makes a server known to those who look for it.
 *
 * A registrar is driven by the server's plugin phases: it registers as "not
 * ready" before the server serves, becomes ready with it, leaves when the drain
 * begins.  weft_registrar_plugin() turns one into a plugin.  Consul's is built
 * in (weft/consul.h); to write one, copy the shape of
 * discovery/consul_registrar.c. */
#ifndef WEFT_REGISTRAR_H
#define WEFT_REGISTRAR_H

#include <weft/plugin.h>

WEFT_BEGIN_DECLS

/* The framework's side of one registrar; borrowed from start until close. */
typedef struct weft_registrar weft_registrar;

/* All entries run on the loop's thread. */
typedef struct weft_registrar_ops {
    const char *name;
    size_t self_size; /* the framework zero-allocates self for you */

    /* Begins to register every service on every address of host as not ready,
     * and goes on in the background until it has: then weft_registrar_ready().
     * conf is the plugin's, borrowed until close.  An error says that it can
     * never work; call weft_registrar_fail() for the sentence. */
    weft_status (*start)(void *self, weft_registrar *registrar,
                         const weft_plugin_host *host, const void *conf);

    void (*serving)(void *self); /* ready for calls */
    void (*leave)(void *self);   /* then weft_registrar_left() */

    /* Stops at once and releases what self owns; also after start failed.  self
     * goes when the stack has unwound. */
    void (*close)(void *self);
} weft_registrar_ops;

WEFT_API weft_loop *weft_registrar_loop(const weft_registrar *registrar);

/* Everything is registered.  More than once is fine. */
WEFT_API void weft_registrar_ready(weft_registrar *registrar);

/* The reason why it is not registered (yet): text is copied. */
WEFT_API void weft_registrar_fail(weft_registrar *registrar, weft_status status,
                                  const char *fmt, ...) WEFT_PRINTF(3, 4);

/* It has left, or given up trying. */
WEFT_API void weft_registrar_left(weft_registrar *registrar);

typedef struct weft_registrar_plugin_conf {
    const weft_registrar_ops *ops; /* borrowed for the life of the process */
    const void *conf;              /* for ops->start */
    void (*conf_free)(void *conf); /* called with conf when the plugin goes */
    /* How long init waits for weft_registrar_ready(); then the server serves
     * and the registration goes on in the background, or, if it is required,
     * the start fails.  0: 3000. */
    uint32_t wait_ms;
    bool required;
} weft_registrar_plugin_conf;

/* Gives a plugin for weft_server_use(), which takes it.  NULL: out of memory,
 * and conf_free has been called. */
WEFT_API weft_plugin *
weft_registrar_plugin(const weft_registrar_plugin_conf *conf);

WEFT_END_DECLS

#endif /* WEFT_REGISTRAR_H */
