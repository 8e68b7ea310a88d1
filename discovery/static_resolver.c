/* static_resolver.c - a list that stands in the target itself:
 * "static:///10.0.0.7:80,10.0.0.8:80;weight=5", or "tcp://10.0.0.7:80". */
#include "discovery_internal.h"

#include <stdlib.h>
#include <string.h>
#include <weft/mem.h>

typedef struct fixed {
    char *text; /* the list, cut into pieces */
    weft_endpoints_builder *builder;
} fixed;

static void fixed_close(void *self)
{
    fixed *f = self;

    weft_endpoints_builder_free(f->builder);
    weft_free(f->text);
}

static bool parse_weight(const char *option, uint32_t *weight)
{
    const char *digits = option + strlen("weight=");
    char *end;
    long n;

    if (strncmp(option, "weight=", strlen("weight=")) != 0 || digits[0] < '0' ||
        digits[0] > '9')
        return false;
    n = strtol(digits, &end, 10);
    if (*end != '\0' || n < 1 || n > 65535)
        return false;
    *weight = (uint32_t)n;
    return true;
}

static weft_status add_item(fixed *f, weft_watch *watch, char *item)
{
    char *option = strchr(item, ';');
    weft_endpoint e = {.node = "", .id = ""};
    const char *why = "";

    if (option != NULL)
        *option++ = '\0';
    if (weft_address_parse(&e.address, item, &why) != WEFT_OK) {
        weft_watch_fail(watch, WEFT_ESYNTAX, "target \"%s\": \"%s\": %s",
                        weft_watch_target(watch), item, why);
        return WEFT_ESYNTAX;
    }
    if (option != NULL && !parse_weight(option, &e.weight)) {
        weft_watch_fail(watch, WEFT_ESYNTAX,
                        "target \"%s\": \"%s\" is not weight=1 to 65535",
                        weft_watch_target(watch), option);
        return WEFT_ESYNTAX;
    }
    return weft_endpoints_builder_add(f->builder, &e);
}

/* The list may stand before or behind the third slash. */
static weft_status fixed_start(void *self, weft_watch *watch)
{
    fixed *f = self;
    const char *path = weft_watch_path(watch);
    const char *list = path[0] != '\0' ? path : weft_watch_authority(watch);
    const char *name, *value;
    char *save = NULL;
    weft_endpoints *endpoints;
    weft_status status;

    if (weft_watch_param_at(watch, 0, &name, &value)) {
        weft_watch_fail(watch, WEFT_EINVAL,
                        "target \"%s\": no parameter \"%s\" here",
                        weft_watch_target(watch), name);
        return WEFT_EINVAL;
    }
    if (path[0] != '\0' && weft_watch_authority(watch)[0] != '\0') {
        weft_watch_fail(watch, WEFT_ESYNTAX,
                        "target \"%s\": addresses are separated by commas",
                        weft_watch_target(watch));
        return WEFT_ESYNTAX;
    }
    if ((f->text = weft_strdup(list)) == NULL)
        return WEFT_ENOMEM;
    if ((status = weft_endpoints_builder_new(&f->builder)) != WEFT_OK)
        return status;
    for (char *item = strtok_r(f->text, ",", &save); item != NULL;
         item = strtok_r(NULL, ",", &save))
        if ((status = add_item(f, watch, item)) != WEFT_OK)
            return status;
    status = weft_endpoints_builder_finish(f->builder, &endpoints);
    f->builder = NULL;
    if (status != WEFT_OK)
        return status;
    if (weft_endpoints_count(endpoints) == 0) {
        weft_endpoints_unref(endpoints);
        weft_watch_fail(watch, WEFT_ESYNTAX, "target \"%s\": no address",
                        weft_watch_target(watch));
        return WEFT_ESYNTAX;
    }
    weft_watch_publish(watch, endpoints);
    return WEFT_OK;
}

static void fixed_info(void *self, weft_watch_info *info)
{
    (void)self;
    info->state = "fixed";
}

const weft_resolver_ops weft__resolver_static = {
    .scheme = "static",
    .self_size = sizeof(fixed),
    .start = fixed_start,
    .close = fixed_close,
    .info = fixed_info,
};

const weft_resolver_ops weft__resolver_tcp = {
    .scheme = "tcp",
    .self_size = sizeof(fixed),
    .start = fixed_start,
    .close = fixed_close,
    .info = fixed_info,
};
