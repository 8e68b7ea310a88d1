/* server_plugins.c - plugins through init, serving, draining and close.
 *
 *  P1. Inits run one after the other; each plugin's close mirrors its init, in
 *      reverse order, and only if that had been called.
 *  P2. A phase of a plugin ends once: by weft_plugin_finish() or by its
 * deadline, after which the plugin speaks to nobody. */
#include "server_internal.h"

#include <string.h>
#include <weft/mem.h>

enum { INIT_MS = 10000, DRAINING_MS = 3000, CLOSE_MS = 3000 };

weft_status weft__plugins_make_host(weft_server *s)
{
    const weft__service *service = s->services.first;
    size_t i;

    if (s->plugins == NULL)
        return WEFT_OK;
    s->host_services = weft_calloc(s->services.n + 1, sizeof(char *));
    s->host_addresses = weft_calloc(s->n_listeners, sizeof(weft_address));
    if (s->host_services == NULL || s->host_addresses == NULL)
        return WEFT_ENOMEM;
    for (i = 0; service != NULL; service = service->next)
        s->host_services[i++] = service->name;
    for (i = 0; i < s->n_listeners; i++)
        s->host_addresses[i] = *weft_server_address(s, i);
    s->host = (weft_plugin_host){.loop = s->loop,
                                 .services = s->host_services,
                                 .n_services = s->services.n,
                                 .addresses = s->host_addresses,
                                 .n_addresses = s->n_listeners};
    return WEFT_OK;
}

static void on_finish(weft_plugin_done *done, weft_status status,
                      const char *message)
{
    weft__plugin_phase *phase = WEFT__OF(weft__plugin_phase, done, done);

    phase->ended = true;
    phase->status = status;
    snprintf(phase->message, sizeof(phase->message), "%s",
             message == NULL ? weft_status_text(status) : message);
    weft__server_advance_later(phase->server);
}

static void begin(weft_server *s, weft__plugin_phase *phase)
{
    phase->server = s;
    phase->called = true;
    phase->done.finish = on_finish;
}

/* P2: whoever comes later is not heard. */
static void cut_off(weft__plugin_phase *phase, const char *why)
{
    phase->done.finish = NULL;
    if (!phase->called || phase->ended)
        return;
    phase->ended = true;
    phase->status = WEFT_DEADLINE_EXCEEDED;
    snprintf(phase->message, sizeof(phase->message), "%s", why);
}

/* ---- Init ---- */

static uint32_t init_ms(const weft_plugin_ops *ops)
{
    return ops->init_timeout_ms == 0 ? INIT_MS : ops->init_timeout_ms;
}

static void call_init(weft_server *s, weft__server_plugin *sp)
{
    const weft_plugin_ops *ops = sp->plugin->ops;

    s->timed_out = false;
    begin(s, &sp->init);
    if (ops->init == NULL) {
        weft_plugin_finish(&sp->init.done, WEFT_OK, NULL);
        return;
    }
    if (init_ms(ops) != WEFT_OFF)
        weft_timer_start(&s->timer, init_ms(ops));
    ops->init(sp->plugin, &s->host, &sp->init.done);
}

void weft__plugins_begin_init(weft_server *s)
{
    s->at = s->plugins;
}

bool weft__plugins_initialised(weft_server *s)
{
    weft__server_plugin *sp;
    char text[64];

    while ((sp = s->at) != NULL) {
        if (!sp->init.called)
            call_init(s, sp);
        if (s->timed_out) {
            snprintf(text, sizeof(text), "init has not finished within %u ms",
                     init_ms(sp->plugin->ops));
            cut_off(&sp->init, text);
        }
        if (!sp->init.ended)
            return false;
        weft_timer_stop(&s->timer);
        if (sp->init.status != WEFT_OK) {
            s->start_failed = true;
            weft__server_fail(s, sp->init.status, "plugin %s: %s",
                              sp->plugin->ops->name, sp->init.message);
            return false;
        }
        s->at = sp->next;
    }
    return true;
}

void weft__plugins_serving(weft_server *s)
{
    weft__server_plugin *sp;

    for (sp = s->plugins; sp != NULL; sp = sp->next) {
        if (sp->plugin->ops->serving != NULL)
            sp->plugin->ops->serving(sp->plugin);
    }
}

/* ---- Leaving: all at the same time ---- */

void weft__plugins_begin_leave(weft_server *s)
{
    weft__server_plugin *sp;

    if (s->shard == NULL)
        weft_log_info("draining", "drain_ms=%u in_flight=%u", s->drain_ms,
                      s->n_calls);
    if (s->plugins != NULL)
        weft_timer_start(&s->timer, DRAINING_MS);
    for (sp = s->plugins; sp != NULL; sp = sp->next) {
        begin(s, &sp->draining);
        if (sp->plugin->ops->draining != NULL)
            sp->plugin->ops->draining(sp->plugin, &sp->draining.done);
        else
            weft_plugin_finish(&sp->draining.done, WEFT_OK, NULL);
    }
}

static void log_if_failed(const weft__server_plugin *sp,
                          const weft__plugin_phase *phase, const char *name)
{
    if (phase->status != WEFT_OK)
        weft_log_warn("plugin failed", "plugin=%s phase=%s why=\"%s\"",
                      sp->plugin->ops->name, name, phase->message);
}

bool weft__plugins_left(weft_server *s)
{
    weft__server_plugin *sp;

    for (sp = s->plugins; sp != NULL; sp = sp->next) {
        if (!sp->draining.ended && !s->timed_out)
            return false;
    }
    for (sp = s->plugins; sp != NULL; sp = sp->next) {
        cut_off(&sp->draining, "draining has not finished within 3000 ms");
        log_if_failed(sp, &sp->draining, "draining");
    }
    return true;
}

/* ---- Close ---- */

void weft__plugins_begin_close(weft_server *s)
{
    s->at = s->plugins_last;
}

static void call_close(weft_server *s, weft__server_plugin *sp)
{
    s->timed_out = false;
    cut_off(&sp->init, "cancelled");
    cut_off(&sp->draining, "cancelled");
    begin(s, &sp->close);
    if (!sp->init.called || sp->plugin->ops->close == NULL) {
        weft_plugin_finish(&sp->close.done, WEFT_OK, NULL);
        return;
    }
    weft_timer_start(&s->timer, CLOSE_MS);
    sp->plugin->ops->close(sp->plugin, &sp->close.done);
}

bool weft__plugins_closed(weft_server *s)
{
    weft__server_plugin *sp;

    while ((sp = s->at) != NULL) {
        if (!sp->close.called)
            call_close(s, sp);
        if (s->timed_out)
            cut_off(&sp->close, "close has not finished within 3000 ms");
        if (s->hurry)
            cut_off(&sp->close, "close was not waited for");
        if (!sp->close.ended)
            return false;
        weft_timer_stop(&s->timer);
        log_if_failed(sp, &sp->close, "close");
        s->at = sp->prev;
    }
    return true;
}

void weft__plugins_free(weft_server *s)
{
    weft__server_plugin *sp;

    while ((sp = s->plugins) != NULL) {
        s->plugins = sp->next;
        cut_off(&sp->init, "");
        cut_off(&sp->draining, "");
        cut_off(&sp->close, "");
        sp->plugin->ops->free(sp->plugin);
        weft_free(sp);
    }
}
