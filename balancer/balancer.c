/* balancer.c - the policies by name. */
#include "balancer_internal.h"

#include <weft/registry.h>

#include <string.h>

static weft__registry registry = {
    .entries = {{"random", &weft__balancer_random},
                {"round_robin", &weft__balancer_round_robin},
                {"weighted_round_robin", &weft__balancer_weighted_round_robin},
                {"least_request", &weft__balancer_least_request}},
    .n = 4,
};

weft_status weft_balancer_register(const weft_balancer_ops *ops)
{
    if (ops == NULL || ops->self_size == 0 || ops->update == NULL ||
        ops->pick == NULL || ops->done == NULL)
        return WEFT_EINVAL;
    return weft__registry_add(&registry, ops->name, ops);
}

const weft_balancer_ops *weft_balancer_find(const char *name)
{
    return name != NULL ? weft__registry_find(&registry, name, strlen(name))
                        : NULL;
}

const char *weft_balancer_names(char *buf, size_t size)
{
    return weft__registry_names(&registry, buf, size);
}
