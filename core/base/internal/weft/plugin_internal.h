/* weft/plugin_internal.h - the server's side of weft_plugin_finish(). */
#ifndef WEFT_PLUGIN_INTERNAL_H
#define WEFT_PLUGIN_INTERNAL_H

#include <weft/plugin.h>

/* finish is NULL once the phase has ended (finished, or cut off): a plugin that
 * speaks too late talks to nobody. */
struct weft_plugin_done {
    void (*finish)(weft_plugin_done *done, weft_status status,
                   const char *message);
};

#endif /* WEFT_PLUGIN_INTERNAL_H */
