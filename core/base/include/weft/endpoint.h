/* weft/endpoint.h - what a resolver finds and a balancer chooses from.
 *
 * A list is immutable, counted and shared: made by a resolver, kept by
 * channels. It is sorted by text and holds no address twice. */
#ifndef WEFT_ENDPOINT_H
#define WEFT_ENDPOINT_H

#include <weft/address.h>
#include <weft/metadata.h>

WEFT_BEGIN_DECLS

/* Strings are NUL-terminated and borrowed from the list. */
typedef struct weft_endpoint {
    weft_address address;
    const char *text; /* weft_address_format() of it; the identity */
    uint32_t weight;  /* 1 to 65535; 100 unless the resolver knows better */
    const char *node; /* Consul's node name, or "" */
    const char *id;   /* Consul's service id, or "" */
    weft_metadata metadata; /* Consul's Meta, and "tag" once for each tag */
} weft_endpoint;

typedef struct weft_endpoints weft_endpoints;

WEFT_API size_t weft_endpoints_count(const weft_endpoints *list);
WEFT_API const weft_endpoint *weft_endpoints_at(const weft_endpoints *list,
                                                size_t i);

/* Hash over everything that matters to a channel: equal lists hash alike. */
WEFT_API uint64_t weft_endpoints_hash(const weft_endpoints *list);

/* Counted from any thread. */
WEFT_API weft_endpoints *weft_endpoints_ref(const weft_endpoints *list);
WEFT_API void weft_endpoints_unref(weft_endpoints *list); /* NULL is fine */

/* Making one: new, add ..., finish.  add copies all of e: text is made from
 * address, weight 0 is 100, one over 65535 is that, NULL strings are "",
 * metadata with a key that is none is left out.  EINVAL: the address is none
 * that one could connect to (kind NONE, port 0).  After an error b is as before
 * the call.  The first of two equal addresses stays. */
typedef struct weft_endpoints_builder weft_endpoints_builder;
WEFT_API weft_status weft_endpoints_builder_new(weft_endpoints_builder **out);
WEFT_API weft_status weft_endpoints_builder_add(weft_endpoints_builder *b,
                                                const weft_endpoint *e);
/* Takes b and gives *out; on ENOMEM b is gone too. */
WEFT_API weft_status weft_endpoints_builder_finish(weft_endpoints_builder *b,
                                                   weft_endpoints **out);
WEFT_API void weft_endpoints_builder_free(weft_endpoints_builder *b);

WEFT_END_DECLS

#endif /* WEFT_ENDPOINT_H */
