/* service.c - methods by path. */
#include "server_internal.h"

#include <string.h>

static void service_free(weft__services *s, weft__service *service)
{
    unsigned i;

    for (i = 0; i < service->n_methods; i++) {
        weft__method *m = &service->methods[i];

        if (m->hh.tbl != NULL)
            HASH_DEL(s->by_path, m);
        weft_free(m->path);
    }
    if (service->release != NULL)
        service->release(service->impl, service->user);
    weft_free(service->name);
    weft_free(service);
}

static const char *check(const ProtobufCService *impl, const char *name)
{
    const ProtobufCServiceDescriptor *d;
    unsigned i;

    if (impl == NULL || (d = impl->descriptor) == NULL)
        return "the service is NULL or has no descriptor";
    if (d->name == NULL)
        return "generated with optimize_for = CODE_SIZE, which leaves no names";
    for (i = 0; i < d->n_methods; i++) {
        if (d->methods[i].name == NULL)
            return "generated with optimize_for = CODE_SIZE, which leaves no "
                   "names";
    }
    if (name != NULL && (name[0] == '\0' || name[0] == '/'))
        return "a service's name may not be empty nor begin with a slash";
    return NULL;
}

static weft__service *find_service(const weft__services *s, const char *name,
                                   size_t len)
{
    weft__service *service;

    for (service = s->first; service != NULL; service = service->next) {
        if (strlen(service->name) == len &&
            memcmp(service->name, name, len) == 0)
            return service;
    }
    return NULL;
}

static bool add_method(weft__services *s, weft__service *service,
                       ProtobufCService *impl, unsigned i)
{
    weft__method *m = &service->methods[i];
    size_t len;

    m->impl = impl;
    m->desc = &impl->descriptor->methods[i];
    m->index = i;
    m->service = service->name;
    len = strlen(service->name) + strlen(m->desc->name) + 2;
    if ((m->path = weft_malloc(len + 1)) == NULL)
        return false;
    snprintf(m->path, len + 1, "/%s/%s", service->name, m->desc->name);
    m->path_len = len;
    HASH_ADD_KEYPTR(hh, s->by_path, m->path, m->path_len, m);
    return m->hh.tbl != NULL;
}

weft_status weft__services_add(weft__services *s, const char *name,
                               ProtobufCService *impl, const char **why)
{
    weft__service *service, **link;
    unsigned i, n;

    if ((*why = check(impl, name)) != NULL)
        return WEFT_EINVAL;
    if (name == NULL)
        name = impl->descriptor->name;
    if (find_service(s, name, strlen(name)) != NULL) {
        *why = "a service of this name is registered already";
        return WEFT_EEXIST;
    }
    n = impl->descriptor->n_methods;
    *why = "out of memory";
    service =
        weft_calloc(1, sizeof(*service) + n * sizeof(service->methods[0]));
    if (service == NULL)
        return WEFT_ENOMEM;
    service->n_methods = n;
    service->impl = impl;
    if ((service->name = weft_strdup(name)) == NULL)
        goto fail;
    for (i = 0; i < n; i++) {
        if (!add_method(s, service, impl, i))
            goto fail;
    }
    for (link = &s->first; *link != NULL; link = &(*link)->next)
        ;
    *link = s->last_added = service;
    s->n++;
    return WEFT_OK;
fail:
    service_free(s, service);
    return WEFT_ENOMEM;
}

void weft__services_fini(weft__services *s)
{
    weft__service *service;

    while ((service = s->first) != NULL) {
        s->first = service->next;
        service_free(s, service);
    }
    s->n = 0;
}

static const weft__method *find_in(const weft__service *service,
                                   weft__slice name)
{
    unsigned i;

    for (i = 0; i < service->n_methods; i++) {
        const char *its = service->methods[i].desc->name;

        if (strlen(its) == name.len && memcmp(its, name.data, name.len) == 0)
            return &service->methods[i];
    }
    return NULL;
}

static WEFT__APART const weft__method *find_other(weft__services *s,
                                                  weft__slice path)
{
    weft__method *m;

    HASH_FIND(hh, s->by_path, path.data, path.len, m);
    if (m != NULL)
        s->last = m;
    return m;
}

/* Calls come in runs of the same method: the last one's path is looked at
 * before anything is hashed. */
static const weft__method *find_path(weft__services *s, weft__slice path)
{
    const weft__method *m = s->last;

    if (m != NULL && m->path_len == path.len &&
        memcmp(m->path, path.data, path.len) == 0)
        return m;
    return find_other(s, path);
}

weft__method *weft__services_method(const weft__services *s, const char *path)
{
    weft__method *m;

    HASH_FIND_STR(s->by_path, path, m);
    return m;
}

weft__lookup weft__services_find(weft__services *s, weft__slice path, bool v0,
                                 const weft__method **method,
                                 weft__slice *service, weft__slice *name)
{
    const uint8_t *last;

    if ((*method = find_path(s, path)) != NULL)
        return WEFT__FOUND;
    if (path.len < 2 || path.data[0] != '/' ||
        (last = memrchr(path.data, '/', path.len)) == path.data)
        return WEFT__BAD_PATH;
    *service = (weft__slice){path.data + 1, (size_t)(last - path.data) - 1};
    *name = (weft__slice){last + 1, path.len - service->len - 2};
    if (find_service(s, (const char *)service->data, service->len) != NULL)
        return WEFT__NO_METHOD;
    if (!v0 || s->n != 1)
        return WEFT__NO_SERVICE;
    *method = find_in(s->first, *name);
    return *method != NULL ? WEFT__FOUND : WEFT__NO_METHOD;
}

weft__handler weft__method_handler(const weft__method *method)
{
    /* Generated structs are a ProtobufCService and then one pointer a method.
     */
    const weft__handler *slots = (const void *)(method->impl + 1);

    return slots[method->index];
}
