/* tls_internal.h - TLS for the HTTP client; OpenSSL is seen by tls_context.c
 * alone. */
#ifndef WEFT_TLS_INTERNAL_H
#define WEFT_TLS_INTERNAL_H

#include <weft/status.h>

struct bufferevent;
struct event_base;

typedef struct weft__tls_context weft__tls_context;

/* Gives *out.  Files are PEM and may be NULL: without ca_file the system's
 * authorities hold, without key_file the key stands in cert_file.  name is the
 * server's, as its certificate must say: a host name or an IP literal.  At
 * least TLS 1.2; certificate and name are always verified.  ENOMEM; EIO: a file
 * cannot be used, *why (static) says which. */
weft_status weft__tls_context_new(weft__tls_context **out, const char *ca_file,
                                  const char *cert_file, const char *key_file,
                                  const char *name, const char **why);
void weft__tls_context_free(weft__tls_context *c); /* NULL is fine */

/* Gives an unconnected bufferevent that does the handshake once it is; it keeps
 * what it needs of c.  NULL: out of memory.  An end without close_notify shows
 * as BEV_EVENT_ERROR, never as EOF, so that a body that ends with the
 * connection cannot be cut short unnoticed. */
struct bufferevent *weft__tls_bufferevent(weft__tls_context *c,
                                          struct event_base *base);

#endif /* WEFT_TLS_INTERNAL_H */
