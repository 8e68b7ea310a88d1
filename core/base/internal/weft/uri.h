/* weft/uri.h - "scheme://authority/path?a=1&b=2", the shape of targets
 * (RFC 3986, the parts that targets need). */
#ifndef WEFT_URI_H
#define WEFT_URI_H

#include <weft/status.h>

typedef struct weft__uri_param {
    const char *name, *value; /* percent-decoded */
} weft__uri_param;

#define WEFT__URI_PARAMS 32
#define WEFT__URI_BYTES 8192 /* longest text */

/* All strings lie in text, which the struct owns. */
typedef struct weft__uri {
    char *text;
    const char *scheme;    /* lower case */
    const char *authority; /* "" when there is none; not decoded */
    const char *path;      /* without the leading slash; percent-decoded */
    weft__uri_param params[WEFT__URI_PARAMS];
    size_t n_params;
} weft__uri;

/* ESYNTAX: *why (may be NULL) says what; also for control bytes (escaped ones
 * too), bad escapes, a fragment, and more than fits.  ENOMEM.  A "+" is a plus;
 * a parameter may repeat.  On success release with fini. */
weft_status weft__uri_parse(weft__uri *out, const char *text, const char **why);
void weft__uri_fini(weft__uri *uri); /* zeroed is fine */

/* The value of a parameter, or NULL.  "?passing" has the value "". */
const char *weft__uri_param_get(const weft__uri *uri, const char *name);

#endif /* WEFT_URI_H */
