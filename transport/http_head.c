/* http_head.c - finds the end of a request's head and says whether to take it.
 *
 * Strict where readers differ (RFC 9112 2.2, 3, 5, 6.3), because what two
 * readers understand differently is how requests are smuggled: CRLF only, one
 * space, no folding, one length. */
#include "http_internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct text {
    const char *s;
    size_t n;
} text;

static bool is(text t, const char *word)
{
    return t.n == strlen(word) && strncasecmp(t.s, word, t.n) == 0;
}

static bool equals(text t, const char *word)
{
    return t.n == strlen(word) && memcmp(t.s, word, t.n) == 0;
}

static bool starts(text t, const char *prefix)
{
    return t.n >= strlen(prefix) && memcmp(t.s, prefix, strlen(prefix)) == 0;
}

static bool is_token(text t)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.s[i];
        unsigned char letter = c | 0x20;

        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return t.n > 0;
}

static text trim(text t)
{
    while (t.n > 0 && (t.s[0] == ' ' || t.s[0] == '\t'))
        t.s++, t.n--;
    while (t.n > 0 && (t.s[t.n - 1] == ' ' || t.s[t.n - 1] == '\t'))
        t.n--;
    return t;
}

/* Up to the first c, which is dropped; the rest stays.  All when there is none.
 */
static text cut(text *rest, char c)
{
    const char *at = memchr(rest->s, c, rest->n);
    text t = {rest->s, at != NULL ? (size_t)(at - rest->s) : rest->n};
    size_t used = at != NULL ? t.n + 1 : t.n;

    rest->s += used;
    rest->n -= used;
    return t;
}

static text next_line(text *rest)
{
    text line = cut(rest, '\n');

    if (line.n > 0)
        line.n--; /* the scan has seen the CR */
    return line;
}

int weft__http_scan_head(weft__http_scan *scan, const char *data, size_t len,
                         const weft__http_limits *limits, size_t *head_len)
{
    const char *lf;
    size_t line_len;

    *head_len = 0;
    while ((lf = memchr(data + scan->at, '\n', len - scan->at)) != NULL) {
        size_t end = (size_t)(lf - data);

        if (end == scan->line_start || data[end - 1] != '\r')
            return 400;
        line_len = end - 1 - scan->line_start;
        if (line_len > WEFT__HTTP_LINE_BYTES)
            return scan->lines == 0 ? 414 : 431;
        scan->at = scan->line_start = end + 1;
        if (scan->at > limits->max_header_bytes)
            return 431;
        if (line_len == 0) {
            *head_len = scan->at;
            return 0;
        }
        if (scan->lines++ > limits->max_headers)
            return 431;
    }
    scan->at = len;
    if (len - scan->line_start > WEFT__HTTP_LINE_BYTES + 1)
        return scan->lines == 0 ? 414 : 431;
    return len > limits->max_header_bytes ? 431 : 0;
}

static int check_target(text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.s[i] <= ' ' || t.s[i] > '~' || t.s[i] == '#')
            return 400;
    return starts(t, "/") || starts(t, "http://") ? 0 : 400;
}

/* "GET /path HTTP/1.1" */
static int check_first_line(text line, weft__http_head *out, bool *version_1_1)
{
    text method = cut(&line, ' ');
    text target = cut(&line, ' ');

    out->head = equals(method, "HEAD");
    if (!is_token(method) || !starts(line, "HTTP/") || line.n != 8 ||
        line.s[6] != '.')
        return 400;
    *version_1_1 = equals(line, "HTTP/1.1");
    if (!*version_1_1 && !equals(line, "HTTP/1.0"))
        return 505;
    if (!out->head && !equals(method, "GET"))
        return 405;
    return check_target(target);
}

typedef struct facts {
    unsigned hosts, lengths, codings;
    text length, coding;
    bool close, keep_alive;
    bool expect, expect_other;
} facts;

static void note_connection(facts *f, text value)
{
    while (value.n > 0) {
        text token = trim(cut(&value, ','));

        f->close = f->close || is(token, "close");
        f->keep_alive = f->keep_alive || is(token, "keep-alive");
    }
}

static int note_header(facts *f, text line)
{
    text name, value;

    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.s[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return 400;
    }
    if (memchr(line.s, ':', line.n) == NULL)
        return 400;
    name = cut(&line, ':');
    if (!is_token(name)) /* folded lines begin with a space */
        return 400;
    value = trim(line);
    if (is(name, "Host")) {
        f->hosts++;
    } else if (is(name, "Content-Length")) {
        f->lengths++;
        f->length = value;
    } else if (is(name, "Transfer-Encoding")) {
        f->codings++;
        f->coding = value;
    } else if (is(name, "Connection")) {
        note_connection(f, value);
    } else if (is(name, "Expect")) {
        if (is(value, "100-continue"))
            f->expect = true;
        else
            f->expect_other = true;
    }
    return 0;
}

static int check_length(text digits, uint32_t max, size_t *out)
{
    uint64_t n = 0;

    if (digits.n == 0)
        return 400;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.s[i] < '0' || digits.s[i] > '9')
            return 400;
        if (n <= UINT32_MAX) /* stops at "too much" */
            n = n * 10 + (uint64_t)(digits.s[i] - '0');
    }
    if (n > max)
        return 413;
    *out = (size_t)n;
    return 0;
}

static int check_framing(const facts *f, bool version_1_1, uint32_t max_body,
                         weft__http_head *out)
{
    if (f->hosts > 1 || (f->hosts == 0 && version_1_1) || f->lengths > 1 ||
        f->codings > 1 || (f->lengths > 0 && f->codings > 0))
        return 400;
    if (f->codings > 0 && !version_1_1)
        return 400;
    if (f->codings > 0)
        return is(f->coding, "chunked") ? 411 : 501;
    if (f->lengths > 0)
        return check_length(f->length, max_body, &out->body_bytes);
    return 0;
}

int weft__http_check_head(const char *data, size_t len,
                          const weft__http_limits *limits, weft__http_head *out)
{
    text rest = {data, len};
    facts f = {0};
    bool version_1_1 = false;
    text line;
    int why;

    memset(out, 0, sizeof(*out));
    why = check_first_line(next_line(&rest), out, &version_1_1);
    if (why != 0)
        return why;
    while ((line = next_line(&rest)).n > 0)
        if ((why = note_header(&f, line)) != 0)
            return why;
    why = check_framing(&f, version_1_1, limits->max_body_bytes, out);
    if (why != 0)
        return why;
    if (f.expect_other)
        return 417;
    out->keep_alive = !f.close && (version_1_1 || f.keep_alive);
    out->expect_continue = f.expect && version_1_1;
    return 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool weft__http_decode_path(const char *path, char *out)
{
    for (; *path != '\0'; path++) {
        if (*path == '%') {
            int high = hex(path[1]), low = high >= 0 ? hex(path[2]) : -1;

            if (low < 0 || high * 16 + low == 0)
                return false;
            *out++ = (char)(high * 16 + low);
            path += 2;
        } else {
            *out++ = *path;
        }
    }
    *out = '\0';
    return true;
}

const char *weft__http_reason(int code)
{
    static const struct {
        int code;
        const char *reason;
    } all[] = {
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].code == code)
            return all[i].reason;
    return "Error";
}
