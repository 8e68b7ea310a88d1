/* address.c - where a peer is. */
#include <weft/address.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static weft_status refuse(const char **why, const char *text)
{
    if (why != NULL)
        *why = text;
    return WEFT_ESYNTAX;
}

static bool has_control(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

/* Skips prefix, or gives NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static weft_status parse_unix(weft_address *out, const char *path,
                              const char **why)
{
    size_t n = strlen(path);

    if (n == 0)
        return refuse(why, "the path of the socket is missing");
    if (n > PATH_MAX_BYTES)
        return refuse(why, "the path of the socket is too long");
    *out = (weft_address){
        .kind = WEFT_ADDRESS_UNIX,
        .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1)};
    out->u.un.sun_family = AF_UNIX;
    memcpy(out->u.un.sun_path, path, n + 1);
    return WEFT_OK;
}

static weft_status parse_inproc(weft_address *out, const char *name,
                                const char **why)
{
    size_t n = strlen(name);

    if (n == 0)
        return refuse(why, "the name behind inproc:/// is missing");
    if (n > PATH_MAX_BYTES)
        return refuse(why, "the name behind inproc:/// is too long");
    *out = (weft_address){.kind = WEFT_ADDRESS_INPROC};
    out->u.un.sun_family = AF_UNSPEC;
    memcpy(out->u.un.sun_path, name, n + 1);
    return WEFT_OK;
}

static bool parse_port(const char *text, in_port_t *out)
{
    unsigned port = 0;
    size_t n = 0;

    for (; text[n] != '\0'; n++) {
        if (text[n] < '0' || text[n] > '9' || n == 5)
            return false;
        port = port * 10 + (unsigned)(text[n] - '0');
    }
    if (n == 0 || port > 65535)
        return false;
    *out = htons((uint16_t)port);
    return true;
}

static weft_status parse_in6(weft_address *out, const char *text,
                             const char **why)
{
    const char *close = strchr(text, ']');
    char host[INET6_ADDRSTRLEN];
    size_t n;

    if (close == NULL)
        return refuse(why, "the bracket of an IPv6 address is not closed");
    n = (size_t)(close - text) - 1;
    if (memchr(text, '%', n) != NULL)
        return refuse(why, "IPv6 zones are not supported");
    if (n >= sizeof(host))
        return refuse(why, "not an IPv6 address");
    memcpy(host, text + 1, n);
    host[n] = '\0';
    *out = (weft_address){.kind = WEFT_ADDRESS_TCP,
                          .len = sizeof(struct sockaddr_in6)};
    out->u.in6.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, host, &out->u.in6.sin6_addr) != 1)
        return refuse(why, "not an IPv6 address");
    if (close[1] != ':')
        return refuse(why, "the port is missing");
    if (!parse_port(close + 2, &out->u.in6.sin6_port))
        return refuse(why, "the port is not a number from 0 to 65535");
    return WEFT_OK;
}

static weft_status parse_in4(weft_address *out, const char *text,
                             const char **why)
{
    const char *colon = strchr(text, ':');
    char host[INET_ADDRSTRLEN];
    size_t n;

    if (colon == NULL)
        return refuse(why, "the port is missing");
    if (strchr(colon + 1, ':') != NULL)
        return refuse(why, "an IPv6 address wants brackets, like [::1]:80");
    n = (size_t)(colon - text);
    if (n == 0)
        return refuse(why, "the host is missing; 0.0.0.0 is every interface");
    *out = (weft_address){.kind = WEFT_ADDRESS_TCP,
                          .len = sizeof(struct sockaddr_in)};
    out->u.in4.sin_family = AF_INET;
    if (n == 9 && memcmp(text, "localhost", 9) == 0) {
        out->u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        if (n >= sizeof(host))
            return refuse(why, "the host is not an IP address");
        memcpy(host, text, n);
        host[n] = '\0';
        if (inet_pton(AF_INET, host, &out->u.in4.sin_addr) != 1)
            return refuse(why, "the host is not an IP address");
    }
    if (!parse_port(colon + 1, &out->u.in4.sin_port))
        return refuse(why, "the port is not a number from 0 to 65535");
    return WEFT_OK;
}

static weft_status parse(weft_address *out, const char *text, const char **why)
{
    const char *rest;

    if (text == NULL || *text == '\0')
        return refuse(why, "the address is empty");
    if (has_control(text))
        return refuse(why, "the address has control bytes");
    if ((rest = after(text, "unix://")) != NULL) {
        if (*rest != '/')
            return refuse(why, "unix:// wants an absolute path, like "
                               "unix:///run/weft.sock");
        return parse_unix(out, rest, why);
    }
    if ((rest = after(text, "unix:")) != NULL)
        return parse_unix(out, rest, why);
    if ((rest = after(text, "inproc:///")) != NULL)
        return parse_inproc(out, rest, why);
    if ((rest = after(text, "tcp://")) != NULL)
        text = rest;
    else if (strstr(text, "://") != NULL)
        return refuse(why, "the scheme is none of tcp, unix, inproc");
    return *text == '[' ? parse_in6(out, text, why) : parse_in4(out, text, why);
}

weft_status weft_address_parse(weft_address *out, const char *text,
                               const char **why)
{
    weft_address addr;
    weft_status status = parse(&addr, text, why);

    if (status == WEFT_OK)
        *out = addr;
    return status;
}

/* A peer names its own socket: its path may hold anything. */
static const char *format_path(const weft_address *addr, char *buf, size_t size)
{
    const char *path = addr->u.un.sun_path;
    const char *prefix = *path == '/' ? "unix://" : "unix:";

    if (addr->len <= offsetof(struct sockaddr_un, sun_path))
        path = "";
    else if (*path == '\0') /* an abstract one, by Linux's convention */
        prefix = "unix:@", path++;
    (void)snprintf(buf, size, "%s%s", prefix, path);
    for (char *c = buf; size > 0 && *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return buf;
}

/* "255.255.255.255:65535" and a colon need 22 bytes.  By hand: a list of ten
 * thousand endpoints is formatted on the loop, and snprintf would be half of
 * its cost.
 */
static size_t format_in4(const struct sockaddr_in *in4, char *out)
{
    uint32_t host = ntohl(in4->sin_addr.s_addr);
    char digits[5], *p = out;

    for (int i = 0; i < 5; i++) {
        unsigned v = i < 4 ? host >> (24 - 8 * i) & 0xff : ntohs(in4->sin_port);
        size_t n = 0;

        do
            digits[n++] = (char)('0' + v % 10);
        while ((v /= 10) != 0);
        while (n > 0)
            *p++ = digits[--n];
        *p++ = i < 3 ? '.' : ':';
    }
    return (size_t)(p - out) - 1; /* without the last colon */
}

const char *weft_address_format(const weft_address *addr, char *buf,
                                size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";

    switch (addr->kind) {
    case WEFT_ADDRESS_TCP:
        if (addr->u.sa.sa_family == AF_INET6) {
            (void)inet_ntop(AF_INET6, &addr->u.in6.sin6_addr, host,
                            sizeof(host));
            (void)snprintf(buf, size, "[%s]:%u", host,
                           ntohs(addr->u.in6.sin6_port));
        } else {
            char whole[INET6_ADDRSTRLEN];
            size_t n = format_in4(&addr->u.in4, whole);

            if (size == 0)
                return buf;
            n = n < size ? n : size - 1;
            memcpy(buf, whole, n);
            buf[n] = '\0';
        }
        return buf;
    case WEFT_ADDRESS_UNIX:
        return format_path(addr, buf, size);
    case WEFT_ADDRESS_INPROC:
        (void)snprintf(buf, size, "inproc:///%s", addr->u.un.sun_path);
        return buf;
    default:
        (void)snprintf(buf, size, "%s", "");
        return buf;
    }
}

bool weft_address_equal(const weft_address *a, const weft_address *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case WEFT_ADDRESS_TCP:
        if (a->u.sa.sa_family != b->u.sa.sa_family)
            return false;
        if (a->u.sa.sa_family == AF_INET6)
            return a->u.in6.sin6_port == b->u.in6.sin6_port &&
                   a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
                   memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr,
                          sizeof(a->u.in6.sin6_addr)) == 0;
        return a->u.in4.sin_port == b->u.in4.sin_port &&
               a->u.in4.sin_addr.s_addr == b->u.in4.sin_addr.s_addr;
    case WEFT_ADDRESS_UNIX:
        /* Bytes behind the text are zero in both; abstract names hold NULs. */
        return a->len == b->len && memcmp(a->u.un.sun_path, b->u.un.sun_path,
                                          sizeof(a->u.un.sun_path)) == 0;
    case WEFT_ADDRESS_INPROC:
        return strcmp(a->u.un.sun_path, b->u.un.sun_path) == 0;
    default:
        return true;
    }
}

/* The IPv4 address in host order, also of an IPv4-mapped IPv6 one, which is
 * what a dual-stack listener sees. */
static bool in4_of(const weft_address *addr, uint32_t *out)
{
    if (addr->u.sa.sa_family == AF_INET) {
        *out = ntohl(addr->u.in4.sin_addr.s_addr);
        return true;
    }
    if (IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr)) {
        memcpy(out, addr->u.in6.sin6_addr.s6_addr + 12, sizeof(*out));
        *out = ntohl(*out);
        return true;
    }
    return false;
}

bool weft_address_is_loopback(const weft_address *addr)
{
    uint32_t in4;

    if (addr->kind != WEFT_ADDRESS_TCP)
        return addr->kind != WEFT_ADDRESS_NONE; /* never leaves the machine */
    if (in4_of(addr, &in4))
        return in4 >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&addr->u.in6.sin6_addr);
}

bool weft_address_is_wildcard(const weft_address *addr)
{
    uint32_t in4;

    if (addr->kind != WEFT_ADDRESS_TCP)
        return false;
    if (in4_of(addr, &in4))
        return in4 == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&addr->u.in6.sin6_addr);
}

uint16_t weft_address_port(const weft_address *addr)
{
    if (addr->kind != WEFT_ADDRESS_TCP)
        return 0;
    return ntohs(addr->u.sa.sa_family == AF_INET6 ? addr->u.in6.sin6_port
                                                  : addr->u.in4.sin_port);
}

weft_status weft_address_from_sockaddr(weft_address *out,
                                       const struct sockaddr *sa, socklen_t len)
{
    const size_t path = offsetof(struct sockaddr_un, sun_path);
    weft_address addr = {.kind = WEFT_ADDRESS_TCP};
    size_t take;

    if (sa == NULL || len < sizeof(sa->sa_family))
        return WEFT_EINVAL;
    switch (sa->sa_family) {
    case AF_INET:
        take = sizeof(addr.u.in4);
        break;
    case AF_INET6:
        take = sizeof(addr.u.in6);
        break;
    case AF_UNIX:
        addr.kind = WEFT_ADDRESS_UNIX;
        take = len;
        /* Linux may fill the path to the brim, without a NUL. */
        if (take > sizeof(addr.u.un) ||
            (take == sizeof(addr.u.un) &&
             ((const struct sockaddr_un *)sa)->sun_path[PATH_MAX_BYTES] != 0))
            return WEFT_EINVAL;
        break;
    default:
        return WEFT_ENOTSUP;
    }
    if (len < take)
        return WEFT_EINVAL;
    memcpy(&addr.u, sa, take);
    addr.len = (socklen_t)take;
    /* One length for one path, whatever padding the kernel counted. */
    if (addr.kind == WEFT_ADDRESS_UNIX && take > path &&
        addr.u.un.sun_path[0] != '\0') {
        size_t n = strlen(addr.u.un.sun_path);

        memset(addr.u.un.sun_path + n, 0, sizeof(addr.u.un.sun_path) - n);
        addr.len = (socklen_t)(path + n + 1);
    }
    *out = addr;
    return WEFT_OK;
}
