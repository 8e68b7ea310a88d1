/* local_resolver.c - one endpoint that needs no looking up: "unix:///path" and
 * "inproc:///name". */
#include "discovery_internal.h"

#include <string.h>

/* The address is read by weft_address_parse() from the target without its
 * escapes. */
static weft_status local_start(weft_watch *watch, const char *prefix)
{
    weft_endpoints_builder *builder = NULL;
    weft_endpoint e = {.node = "", .id = ""};
    weft_endpoints *list;
    const char *why = "";
    weft__buf text = {0};
    weft_status status;

    if (weft_watch_authority(watch)[0] != '\0') {
        weft_watch_fail(watch, WEFT_ESYNTAX,
                        "target \"%s\": three slashes, please: %s...",
                        weft_watch_target(watch), prefix);
        return WEFT_ESYNTAX;
    }
    status = weft__buf_printf(&text, "%s%s", prefix, weft_watch_path(watch));
    if (status != WEFT_OK)
        return status;
    status = weft_address_parse(&e.address, (const char *)text.data, &why);
    weft__buf_fini(&text);
    if (status != WEFT_OK) {
        weft_watch_fail(watch, status, "target \"%s\": %s",
                        weft_watch_target(watch), why);
        return status;
    }
    if ((status = weft_endpoints_builder_new(&builder)) != WEFT_OK)
        return status;
    if ((status = weft_endpoints_builder_add(builder, &e)) != WEFT_OK) {
        weft_endpoints_builder_free(builder);
        return status;
    }
    if ((status = weft_endpoints_builder_finish(builder, &list)) == WEFT_OK)
        weft_watch_publish(watch, list);
    return status;
}

static weft_status unix_start(void *self, weft_watch *watch)
{
    (void)self;
    return local_start(watch, "unix:///");
}

static weft_status inproc_start(void *self, weft_watch *watch)
{
    (void)self;
    return local_start(watch, "inproc:///");
}

static void local_close(void *self)
{
    (void)self;
}

static void local_info(void *self, weft_watch_info *info)
{
    (void)self;
    info->state = "fixed";
}

const weft_resolver_ops weft__resolver_unix = {
    .scheme = "unix",
    .start = unix_start,
    .close = local_close,
    .info = local_info,
};

const weft_resolver_ops weft__resolver_inproc = {
    .scheme = "inproc",
    .start = inproc_start,
    .close = local_close,
    .info = local_info,
};
