/* weft/address.h - where a peer is: IPv4, IPv6, unix, or inproc.
 *
 * Texts: "127.0.0.1:80", "[::1]:80", "localhost:80" (127.0.0.1; no other name
 * is ever looked up here), with or without "tcp://"; "unix:///path/to/socket",
 * "unix:path"; "inproc:///name" (within this process, for tests).  Port 0 is
 * for listeners: any free one.  IPv6 zones ("fe80::1%eth0") are refused. */
#ifndef WEFT_ADDRESS_H
#define WEFT_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <weft/status.h>

WEFT_BEGIN_DECLS

typedef enum weft_address_kind {
    WEFT_ADDRESS_NONE,
    WEFT_ADDRESS_TCP,
    WEFT_ADDRESS_UNIX,
    WEFT_ADDRESS_INPROC
} weft_address_kind;

typedef struct weft_address {
    weft_address_kind kind;
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un; /* inproc: the name stands in sun_path */
    } u;
    socklen_t len; /* of the sockaddr; 0 for inproc */
} weft_address;

/* Longest text plus NUL. */
#define WEFT_ADDRESS_TEXT 128

/* ESYNTAX: *why (may be NULL) says what is wrong, a static phrase. */
WEFT_API weft_status weft_address_parse(weft_address *out, const char *text,
                                        const char **why);

/* "10.0.0.7:8000", "[::1]:80", "unix:///path", "unix:relative/path",
 * "inproc:///name", "unix:" for a socket without a name, "" for none; cut to
 * size. Control bytes in a peer's path read "?".  Returns buf. */
WEFT_API const char *weft_address_format(const weft_address *addr, char *buf,
                                         size_t size);

WEFT_API bool weft_address_equal(const weft_address *a, const weft_address *b);
WEFT_API bool weft_address_is_loopback(const weft_address *addr);
WEFT_API bool weft_address_is_wildcard(const weft_address *addr);
WEFT_API uint16_t weft_address_port(const weft_address *addr); /* 0: none */

/* From what accept() or getsockname() gave.  ENOTSUP: another family.  EINVAL:
 * len does not fit it. */
WEFT_API weft_status weft_address_from_sockaddr(weft_address *out,
                                                const struct sockaddr *sa,
                                                socklen_t len);

WEFT_END_DECLS

#endif /* WEFT_ADDRESS_H */
