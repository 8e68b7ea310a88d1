/* watch.c - targets that are being watched, and who is told.
 *
 *  I1. A watch has a subscriber, or it is closed: the last one to leave closes
 *      the resolver at once; memory goes from the end of the round.
 *
 *  I2. Subscribers are told from on_deliver alone, a deferred function: never
 *      on the stack of subscribe, publish or fail.
 *
 *  I3. generation counts what there was to tell; a subscriber whose told
 *      differs is behind.  While on_deliver walks, those that leave are only
 *      marked.
 */
#include <weft/watch.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/loop_internal.h>
#include <weft/mem.h>
#include <weft/uri.h>

#include "discovery_internal.h"

typedef struct watches watches;

struct weft__watch_sub {
    weft__watch_sub *next;
    weft_watch *watch; /* NULL once the loop has closed it */
    weft__watch_cb on_update;
    void *user;
    uint64_t told;
    bool gone;
};

struct weft_watch {
    weft_watch *next, **pprev;
    watches *home;
    weft_loop *loop;
    const weft_resolver_ops *ops;
    void *self; /* the resolver's, owned */
    weft__uri uri;
    char *target; /* canonical, owned */
    weft__watch_sub *subs;
    size_t n_subs;
    weft_endpoints *list;
    uint64_t list_at, changed_at, changes;
    weft_status error;
    char error_text[256];
    uint64_t error_at;
    uint64_t generation;
    weft__deferred deliver, reap;
    bool delivering, closed;
};

/* All watches of one loop. */
struct watches {
    weft__loop_child child;
    weft_loop *loop;
    weft_watch *first, **last;
};

static void set_why(char *why, size_t size, const char *fmt, ...)
    WEFT_PRINTF(3, 4);
static void set_why(char *why, size_t size, const char *fmt, ...)
{
    va_list ap;

    if (why == NULL || size == 0)
        return;
    va_start(ap, fmt);
    vsnprintf(why, size, fmt, ap);
    va_end(ap);
}

/* --- targets --- */

static int by_name(const void *a, const void *b)
{
    const weft__uri_param *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : strcmp(x->value, y->value);
}

/* Two texts that mean the same give the same canonical one. */
static weft_status canonical(weft__uri *uri, char **out)
{
    weft__buf buf = {0};
    weft_status status;

    qsort(uri->params, uri->n_params, sizeof(uri->params[0]), by_name);
    status = weft__buf_printf(&buf, "%s://%s/", uri->scheme, uri->authority);
    if (status == WEFT_OK)
        status = weft__escape(&buf, uri->path, "/:,;=@[]");
    for (size_t i = 0; i < uri->n_params && status == WEFT_OK; i++) {
        status = weft__buf_append(&buf, i == 0 ? "?" : "&", 1);
        if (status == WEFT_OK)
            status = weft__escape(&buf, uri->params[i].name, "");
        if (status == WEFT_OK && uri->params[i].value[0] != '\0')
            status = weft__buf_append(&buf, "=", 1);
        if (status == WEFT_OK)
            status = weft__escape(&buf, uri->params[i].value, "/:,;@");
    }
    if (status != WEFT_OK) {
        weft__buf_fini(&buf);
        return status;
    }
    *out = (char *)buf.data;
    return WEFT_OK;
}

/* "127.0.0.1:80" stands for "tcp://127.0.0.1:80". */
static weft_status parse(const char *target, weft__uri *uri, char **text,
                         const weft_resolver_ops **ops, char *why, size_t size)
{
    const char *reason = "not a target";
    char names[256], *full = NULL;
    weft_address address;
    weft_status status;

    if (target == NULL || target[0] == '\0') {
        set_why(why, size, "the target is empty");
        return WEFT_ESYNTAX;
    }
    if (strstr(target, "://") == NULL) {
        if (weft_address_parse(&address, target, &reason) != WEFT_OK) {
            set_why(why, size,
                    "target \"%s\": neither scheme://... nor an address: %s",
                    target, reason);
            return WEFT_ESYNTAX;
        }
        full = weft_malloc(strlen(target) + sizeof("static:///"));
        if (full == NULL)
            goto no_memory;
        sprintf(full, "static:///%s", target);
        target = full;
    }
    status = weft__uri_parse(uri, target, &reason);
    if (status == WEFT_ENOMEM)
        goto no_memory;
    if (status != WEFT_OK) {
        set_why(why, size, "target \"%s\": %s", target, reason);
        weft_free(full);
        return status;
    }
    weft_free(full);
    full = NULL;
    if ((*ops = weft__resolver_find(uri->scheme)) == NULL) {
        set_why(why, size, "target \"%s\": unknown scheme \"%s\" (known: %s)",
                target, uri->scheme,
                weft__resolver_names(names, sizeof(names)));
        weft__uri_fini(uri);
        return WEFT_EINVAL;
    }
    if (canonical(uri, text) == WEFT_OK)
        return WEFT_OK;
    weft__uri_fini(uri);
no_memory:
    weft_free(full);
    set_why(why, size, "%s", weft_status_text(WEFT_ENOMEM));
    return WEFT_ENOMEM;
}

weft_status weft__watch_check(const char *target, char *why, size_t size)
{
    const weft_resolver_ops *ops;
    weft__uri uri = {0};
    char *text = NULL;
    weft_status status = parse(target, &uri, &text, &ops, why, size);

    if (status == WEFT_OK) {
        weft__uri_fini(&uri);
        weft_free(text);
    }
    return status;
}

/* --- the life of a watch --- */

static void watch_free(void *arg)
{
    weft_watch *w = arg;

    weft__uri_fini(&w->uri);
    weft_free(w->target);
    weft_free(w->self);
    weft_endpoints_unref(w->list);
    weft_free(w);
}

/* Stops the resolver; nothing finds w any more. */
static void watch_close(weft_watch *w)
{
    if (w->closed)
        return;
    w->closed = true;
    if (w->pprev != NULL) {
        *w->pprev = w->next;
        if (w->next != NULL)
            w->next->pprev = w->pprev;
        else
            w->home->last = w->pprev;
        w->pprev = NULL;
    }
    w->ops->close(w->self);
    weft__loop_undefer(w->loop, &w->deliver);
    weft__loop_defer(w->loop, &w->reap, watch_free, w);
}

static void sweep(weft_watch *w)
{
    weft__watch_sub **at = &w->subs;

    while (*at != NULL) {
        weft__watch_sub *sub = *at;

        if (!sub->gone) {
            at = &sub->next;
            continue;
        }
        *at = sub->next;
        weft_free(sub);
    }
    if (w->subs == NULL)
        watch_close(w);
}

static void on_deliver(void *arg)
{
    weft_watch *w = arg;

    w->delivering = true;
    for (weft__watch_sub *sub = w->subs; sub != NULL; sub = sub->next) {
        weft_endpoints *list;
        weft_status error = w->error;

        if (sub->gone || sub->told == w->generation)
            continue;
        sub->told = w->generation;
        /* the callback may make the watch publish the next one */
        list = w->list != NULL ? weft_endpoints_ref(w->list) : NULL;
        weft__loop_span_begin(w->loop, "watch update");
        if (list != NULL)
            sub->on_update(list, WEFT_OK, NULL, sub->user);
        else
            sub->on_update(NULL, error, w->error_text, sub->user);
        weft__loop_span_end(w->loop);
        weft_endpoints_unref(list);
    }
    w->delivering = false;
    sweep(w);
}

static void deliver_later(weft_watch *w)
{
    weft__loop_defer(w->loop, &w->deliver, on_deliver, w);
}

/* --- all watches of a loop --- */

/* Subscribers may outlive this: their channels close in their own time. */
static void on_loop_close(weft__loop_child *child)
{
    watches *all = (watches *)child;

    while (all->first != NULL) {
        weft_watch *w = all->first;

        for (weft__watch_sub *sub = w->subs; sub != NULL; sub = sub->next)
            sub->watch = NULL;
        w->subs = NULL;
        watch_close(w);
    }
    weft__loop_child_remove(all->loop, child);
}

static weft_status watches_of(weft_loop *loop, watches **out)
{
    watches *all = weft__loop_local_get(loop, WEFT__LOCAL_WATCHES);

    if (all == NULL) {
        if ((all = weft_calloc(1, sizeof(*all))) == NULL)
            return WEFT_ENOMEM;
        all->loop = loop;
        all->last = &all->first;
        all->child.close = on_loop_close;
        weft__loop_child_add(loop, &all->child);
        weft__loop_local_set(loop, WEFT__LOCAL_WATCHES, all, weft_free);
    }
    *out = all;
    return WEFT_OK;
}

static weft_watch *find(const watches *all, const char *target)
{
    weft_watch *w = all->first;

    while (w != NULL && strcmp(w->target, target) != 0)
        w = w->next;
    return w;
}

/* Takes uri and target, on failure too. */
static weft_status watch_new(weft_watch **out, watches *all, weft__uri *uri,
                             char *target, const weft_resolver_ops *ops,
                             char *why, size_t size)
{
    weft_watch *w = weft_calloc(1, sizeof(*w));
    weft_status status;

    if (w == NULL) {
        weft__uri_fini(uri);
        weft_free(target);
        set_why(why, size, "%s", weft_status_text(WEFT_ENOMEM));
        return WEFT_ENOMEM;
    }
    *w = (weft_watch){.home = all,
                      .loop = all->loop,
                      .ops = ops,
                      .uri = *uri,
                      .target = target};
    if ((w->self = weft_calloc(1, ops->self_size)) == NULL) {
        watch_free(w);
        set_why(why, size, "%s", weft_status_text(WEFT_ENOMEM));
        return WEFT_ENOMEM;
    }
    w->pprev = all->last;
    *all->last = w;
    all->last = &w->next;
    status = ops->start(w->self, w);
    if (status != WEFT_OK) {
        set_why(why, size, "%s",
                w->error_text[0] != '\0' ? w->error_text
                                         : weft_status_text(status));
        watch_close(w);
        return status;
    }
    *out = w;
    return WEFT_OK;
}

weft_status weft__watch_subscribe(weft__watch_sub **out, weft_loop *loop,
                                  const char *target, weft__watch_cb on_update,
                                  void *user, char *why, size_t size)
{
    const weft_resolver_ops *ops;
    weft__watch_sub *sub, **end;
    weft__uri uri = {0};
    char *text = NULL;
    watches *all;
    weft_watch *w;
    weft_status status;

    weft__loop_touch(loop);
    if (weft__loop_closing(loop)) {
        set_why(why, size, "the loop is closing");
        return WEFT_ECLOSED;
    }
    if ((status = parse(target, &uri, &text, &ops, why, size)) != WEFT_OK)
        return status;
    sub = weft_calloc(1, sizeof(*sub));
    if (sub == NULL || watches_of(loop, &all) != WEFT_OK) {
        set_why(why, size, "%s", weft_status_text(WEFT_ENOMEM));
        weft__uri_fini(&uri);
        weft_free(text);
        weft_free(sub);
        return WEFT_ENOMEM;
    }
    if ((w = find(all, text)) != NULL) {
        weft__uri_fini(&uri);
        weft_free(text);
    } else if ((status = watch_new(&w, all, &uri, text, ops, why, size)) !=
               WEFT_OK) {
        weft_free(sub);
        return status;
    }
    *sub = (weft__watch_sub){.watch = w, .on_update = on_update, .user = user};
    for (end = &w->subs; *end != NULL; end = &(*end)->next)
        ;
    *end = sub;
    w->n_subs++;
    if (w->generation != 0)
        deliver_later(w);
    *out = sub;
    return WEFT_OK;
}

void weft__watch_unsubscribe(weft__watch_sub *sub)
{
    weft_watch *w;

    if (sub == NULL)
        return;
    if ((w = sub->watch) == NULL) {
        weft_free(sub);
        return;
    }
    weft__loop_touch(w->loop);
    sub->gone = true;
    w->n_subs--;
    if (!w->delivering)
        sweep(w);
}

/* --- the resolver's side --- */

weft_loop *weft_watch_loop(const weft_watch *w)
{
    return w->loop;
}

const char *weft_watch_target(const weft_watch *w)
{
    return w->target;
}

const char *weft_watch_authority(const weft_watch *w)
{
    return w->uri.authority;
}

const char *weft_watch_path(const weft_watch *w)
{
    return w->uri.path;
}

const char *weft_watch_param(const weft_watch *w, const char *name)
{
    return weft__uri_param_get(&w->uri, name);
}

bool weft_watch_param_at(const weft_watch *w, size_t i, const char **name,
                         const char **value)
{
    if (i >= w->uri.n_params)
        return false;
    *name = w->uri.params[i].name;
    *value = w->uri.params[i].value;
    return true;
}

const weft_endpoints *weft_watch_list(const weft_watch *w)
{
    return w->list;
}

void weft_watch_publish(weft_watch *w, weft_endpoints *list)
{
    w->list_at = weft_loop_now_ms(w->loop);
    if (w->list != NULL &&
        weft_endpoints_count(w->list) == weft_endpoints_count(list) &&
        weft_endpoints_hash(w->list) == weft_endpoints_hash(list)) {
        weft_endpoints_unref(list);
        return;
    }
    weft_endpoints_unref(w->list);
    w->list = list;
    w->changed_at = w->list_at;
    w->changes++;
    w->generation++;
    deliver_later(w);
}

void weft_watch_fail(weft_watch *w, weft_status status, const char *fmt, ...)
{
    va_list ap;

    w->error = status != WEFT_OK ? status : WEFT_UNKNOWN;
    w->error_at = weft_loop_now_ms(w->loop);
    va_start(ap, fmt);
    vsnprintf(w->error_text, sizeof(w->error_text), fmt, ap);
    va_end(ap);
    if (w->list == NULL) {
        w->generation++;
        deliver_later(w);
    }
}

/* --- what is known --- */

static void fill_info(const weft_watch *w, weft_watch_info *out)
{
    uint64_t now = weft_loop_now_ms(w->loop);

    *out = (weft_watch_info){
        .target = w->target,
        .state = "",
        .subscribers = w->n_subs,
        .has_list = w->list != NULL,
        .count = w->list != NULL ? weft_endpoints_count(w->list) : 0,
        .age_ms = w->list != NULL ? now - w->list_at : UINT64_MAX,
        .changed_ms = w->list != NULL ? now - w->changed_at : UINT64_MAX,
        .changes = w->changes,
        .error = w->error,
        .error_text = w->error_text,
        .error_ms = w->error != WEFT_OK ? now - w->error_at : UINT64_MAX,
    };
    if (w->ops->info != NULL)
        w->ops->info(w->self, out);
}

void weft__watch_sub_info(const weft__watch_sub *sub, weft_watch_info *out)
{
    if (sub->watch != NULL)
        fill_info(sub->watch, out);
    else
        *out = (weft_watch_info){.target = "",
                                 .state = "closed",
                                 .age_ms = UINT64_MAX,
                                 .changed_ms = UINT64_MAX,
                                 .error = WEFT_ECLOSED,
                                 .error_text = "the loop is closing"};
}

weft_status weft_watch_find_info(weft_loop *loop, const char *target,
                                 weft_watch_info *out)
{
    const watches *all = weft__loop_local_get(loop, WEFT__LOCAL_WATCHES);
    const weft_resolver_ops *ops;
    weft__uri uri = {0};
    char *text = NULL;
    weft_watch *w;
    weft_status status = parse(target, &uri, &text, &ops, NULL, 0);

    if (status != WEFT_OK)
        return status;
    w = all != NULL ? find(all, text) : NULL;
    weft__uri_fini(&uri);
    weft_free(text);
    if (w == NULL)
        return WEFT_ENOENT;
    weft__loop_touch(loop);
    fill_info(w, out);
    return WEFT_OK;
}

void weft_watch_each(weft_loop *loop,
                     void (*fn)(const weft_watch_info *info, void *user),
                     void *user)
{
    const watches *all = weft__loop_local_get(loop, WEFT__LOCAL_WATCHES);
    weft_watch_info info;

    weft__loop_touch(loop);
    for (const weft_watch *w = all != NULL ? all->first : NULL; w != NULL;
         w = w->next) {
        fill_info(w, &info);
        fn(&info, user);
    }
}
