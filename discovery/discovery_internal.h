/* discovery_internal.h - what the files of this folder share. */
#ifndef WEFT_DISCOVERY_INTERNAL_H
#define WEFT_DISCOVERY_INTERNAL_H

#include <weft/buf.h>
#include <weft/resolver.h>

/* Built-in resolvers, registered on first use. */
extern const weft_resolver_ops weft__resolver_static, weft__resolver_tcp;
extern const weft_resolver_ops weft__resolver_unix, weft__resolver_inproc;
extern const weft_resolver_ops weft__resolver_consul, weft__resolver_consul_kv;

/* NULL when there is none for the scheme. */
const weft_resolver_ops *weft__resolver_find(const char *scheme);
const char *weft__resolver_names(char *buf, size_t size); /* "a, b, c" */

/* Appends text with everything but unreserved characters (RFC 3986) and those
 * in keep as %XX. */
weft_status weft__escape(weft__buf *out, const char *text, const char *keep);

/* The seconds or milliseconds of "30s", "1500ms", "2m"; false: none of these.
 */
bool weft__parse_ms(const char *text, uint32_t *ms);

#endif /* WEFT_DISCOVERY_INTERNAL_H */
