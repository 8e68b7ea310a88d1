/* plugin.c - the plugin's end of a phase. */
#include <weft/plugin_internal.h>

void weft_plugin_finish(weft_plugin_done *done, weft_status status,
                        const char *message)
{
    void (*finish)(weft_plugin_done *, weft_status, const char *);

    if (done == NULL || (finish = done->finish) == NULL)
        return;
    done->finish = NULL; /* once; finish may begin the next phase with done */
    finish(done, status, message);
}
