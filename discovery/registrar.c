/* registrar.c - any registrar as a server's plugin. */
#include <weft/registrar.h>

#include <stdarg.h>
#include <stdio.h>
#include <weft/log.h>
#include <weft/loop_internal.h>
#include <weft/mem.h>
#include <weft/timer.h>

#include "discovery_internal.h"

struct weft_registrar {
    weft_plugin base;           /* first */
    weft_plugin_ops plugin_ops; /* its own: the time-out is this plugin's */
    weft_registrar_plugin_conf conf;
    weft_loop *loop; /* NULL before init */
    void *self;      /* the registrar's, owned */
    bool started, ready;
    weft_plugin_done *init_done, *drain_done; /* of a phase that goes on */
    weft_timer wait;
    weft_status error;
    char error_text[256];
    weft__deferred reap;
};

static void finish(weft_plugin_done **at, weft_status status, const char *text)
{
    weft_plugin_done *done = *at;

    *at = NULL;
    if (done != NULL)
        weft_plugin_finish(done, status, text);
}

static void on_wait_over(weft_timer *timer, void *user)
{
    weft_registrar *r = user;

    (void)timer;
    if (r->conf.required) {
        finish(&r->init_done, r->error != WEFT_OK ? r->error : WEFT_ETIMEDOUT,
               r->error_text[0] != '\0' ? r->error_text
                                        : "no answer to the registration");
        return;
    }
    weft_log_warn("registration goes on in the background",
                  "registrar=%s error=\"%s\"", r->conf.ops->name,
                  r->error_text[0] != '\0' ? r->error_text : "no answer yet");
    finish(&r->init_done, WEFT_OK, NULL);
}

static void on_init(weft_plugin *self, const weft_plugin_host *host,
                    weft_plugin_done *done)
{
    weft_registrar *r = (weft_registrar *)self;
    weft_status status;

    r->loop = host->loop;
    weft_timer_init(&r->wait, r->loop, on_wait_over, r);
    r->wait.name = "registration";
    if ((r->self = weft_calloc(1, r->conf.ops->self_size)) == NULL) {
        weft_plugin_finish(done, WEFT_ENOMEM, weft_status_text(WEFT_ENOMEM));
        return;
    }
    r->started = true;
    r->init_done = done;
    status = r->conf.ops->start(r->self, r, host, r->conf.conf);
    if (status != WEFT_OK)
        finish(&r->init_done, status,
               r->error_text[0] != '\0' ? r->error_text
                                        : weft_status_text(status));
    else if (r->init_done != NULL)
        weft_timer_start(&r->wait, r->conf.wait_ms);
}

static void on_serving(weft_plugin *self)
{
    weft_registrar *r = (weft_registrar *)self;

    if (r->started)
        r->conf.ops->serving(r->self);
}

static void on_draining(weft_plugin *self, weft_plugin_done *done)
{
    weft_registrar *r = (weft_registrar *)self;

    r->drain_done = done;
    if (r->started)
        r->conf.ops->leave(r->self);
    else
        finish(&r->drain_done, WEFT_OK, NULL);
}

static void on_close(weft_plugin *self, weft_plugin_done *done)
{
    weft_registrar *r = (weft_registrar *)self;

    r->init_done = r->drain_done = NULL; /* cut off */
    weft_timer_stop(&r->wait);
    if (r->started)
        r->conf.ops->close(r->self);
    r->started = false;
    weft_plugin_finish(done, WEFT_OK, NULL);
}

static void registrar_free(void *arg)
{
    weft_registrar *r = arg;

    if (r->conf.conf_free != NULL)
        r->conf.conf_free((void *)(uintptr_t)r->conf.conf);
    weft_free(r->self);
    weft_free(r);
}

/* From the end of the round: this may be the stack of the registrar itself. */
static void on_free(weft_plugin *self)
{
    weft_registrar *r = (weft_registrar *)self;

    if (r->loop == NULL) {
        registrar_free(r);
        return;
    }
    weft_timer_stop(&r->wait);
    if (r->started)
        r->conf.ops->close(r->self);
    r->started = false;
    weft__loop_defer(r->loop, &r->reap, registrar_free, r);
}

weft_plugin *weft_registrar_plugin(const weft_registrar_plugin_conf *conf)
{
    weft_registrar *r = weft_calloc(1, sizeof(*r));

    if (r == NULL) {
        if (conf->conf_free != NULL)
            conf->conf_free((void *)(uintptr_t)conf->conf);
        return NULL;
    }
    r->conf = *conf;
    if (r->conf.wait_ms == 0)
        r->conf.wait_ms = 3000;
    r->plugin_ops = (weft_plugin_ops){
        .name = conf->ops->name,
        .init_timeout_ms =
            r->conf.wait_ms < UINT32_MAX - 5000 ? r->conf.wait_ms + 5000 : 0,
        .init = on_init,
        .serving = on_serving,
        .draining = on_draining,
        .close = on_close,
        .free = on_free,
    };
    r->base.ops = &r->plugin_ops;
    return &r->base;
}

weft_loop *weft_registrar_loop(const weft_registrar *r)
{
    return r->loop;
}

void weft_registrar_ready(weft_registrar *r)
{
    r->error = WEFT_OK;
    r->error_text[0] = '\0';
    weft_timer_stop(&r->wait);
    finish(&r->init_done, WEFT_OK, NULL);
}

void weft_registrar_fail(weft_registrar *r, weft_status status, const char *fmt,
                         ...)
{
    va_list ap;

    r->error = status;
    va_start(ap, fmt);
    vsnprintf(r->error_text, sizeof(r->error_text), fmt, ap);
    va_end(ap);
}

void weft_registrar_left(weft_registrar *r)
{
    finish(&r->drain_done, WEFT_OK, NULL);
}
