/* consul_cache.c - the last good list in a file, from which a cold start works.
 *
 *     weft-cache 1
 *     target consul:///greeter
 *     saved 1700000000
 *     endpoint 10.0.0.7:80 weight=10 node=n1 id=greeter-1 m.tag=blue
 *     end 0123456789abcdef          FNV-1a, 64 bits, of all bytes before it
 *
 * Written to a file beside it and renamed, so that a reader sees the old one or
 * the new one.  There is no fsync, which could block the loop for seconds: what
 * a power failure leaves behind is caught by the sum.  Mode 0600. */
#include "consul_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/mem.h>

#define CACHE_BYTES (16u << 20)
#define CACHE_MAGIC "weft-cache 1"
#define CACHE_SLICE 131072 /* bytes in one step */
#define CACHE_LINE (2u << 20)
#define FNV_BASIS 0xcbf29ce484222325u

static uint64_t fnv1a(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* --- where it is --- */

static bool ensure_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool default_folder(char *out, size_t size)
{
    const char *own = getenv("WEFT_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n;

    if (own != NULL && own[0] != '\0') {
        n = snprintf(out, size, "%s", own);
    } else if (xdg != NULL && xdg[0] == '/') {
        n = snprintf(out, size, "%s/weft", xdg);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(out, size, "%s/.cache", home);
        if (n < 0 || (size_t)n >= size || !ensure_folder(out))
            return false;
        n = snprintf(out, size, "%s/.cache/weft", home);
    } else {
        return false;
    }
    return n > 0 && (size_t)n < size;
}

char *weft__cache_path(const char *dir, const weft__consul_settings *agent,
                       const char *target)
{
    char folder[512], *path = NULL;
    weft__buf name = {0};

    if (dir == NULL || dir[0] == '\0') {
        if (!default_folder(folder, sizeof(folder)))
            return NULL;
        dir = folder;
    }
    if (strcmp(dir, "off") == 0 || !ensure_folder(dir))
        return NULL;
    if (weft__buf_printf(&name, "%s:%u %s", agent->host, agent->port, target) ==
        WEFT_OK) {
        uint64_t hash = fnv1a(FNV_BASIS, name.data, name.len);

        name.len = 0;
        if (weft__buf_printf(&name, "%s/%016llx.consul", dir,
                             (unsigned long long)hash) == WEFT_OK)
            path = weft_strdup((const char *)name.data);
    }
    weft__buf_fini(&name);
    return path;
}

/* --- writing --- */

static weft_status put_field(weft__buf *out, const char *name, const char *key,
                             const char *text)
{
    weft_status status = weft__buf_printf(out, " %s", name);

    if (status == WEFT_OK)
        status = weft__escape(out, key, "");
    if (status == WEFT_OK)
        status = weft__buf_append(out, "=", 1);
    if (status == WEFT_OK)
        status = weft__escape(out, text, "/:,;@[]");
    return status;
}

static weft_status put_endpoint(weft__buf *out, const weft_endpoint *e)
{
    weft_status status = weft__buf_printf(out, "endpoint %s weight=%u", e->text,
                                          (unsigned)e->weight);

    if (status == WEFT_OK && e->node[0] != '\0')
        status = put_field(out, "node", "", e->node);
    if (status == WEFT_OK && e->id[0] != '\0')
        status = put_field(out, "id", "", e->id);
    for (size_t i = 0; i < e->metadata.n && status == WEFT_OK; i++) {
        const weft_metadatum *m = &e->metadata.items[i];
        char *text = weft_strndup(m->value, m->value_len);

        status =
            text != NULL ? put_field(out, "m.", m->key, text) : WEFT_ENOMEM;
        weft_free(text);
    }
    return status == WEFT_OK ? weft__buf_append(out, "\n", 1) : status;
}

struct weft__cache_writer {
    char *path, *temporary;
    weft_endpoints *list;
    size_t at; /* the next endpoint */
    weft__buf text;
    uint64_t sum;
    size_t total;
    int fd;
    bool exists; /* the temporary file */
};

weft_status weft__cache_writer_new(weft__cache_writer **out, const char *path,
                                   const char *target,
                                   const weft_endpoints *list, int64_t now_s)
{
    weft__cache_writer *w = weft_calloc(1, sizeof(*w));
    weft__buf name = {0};
    weft_status status = WEFT_ENOMEM;

    if (w == NULL)
        return WEFT_ENOMEM;
    w->fd = -1;
    w->sum = FNV_BASIS;
    w->list = weft_endpoints_ref(list);
    if ((w->path = weft_strdup(path)) == NULL ||
        weft__buf_printf(&name, "%s.%ld", path, (long)getpid()) != WEFT_OK)
        goto fail;
    w->temporary = (char *)name.data;
    status = weft__buf_printf(&w->text, CACHE_MAGIC "\ntarget %s\nsaved %lld\n",
                              target, (long long)now_s);
    if (status != WEFT_OK)
        goto fail;
    (void)unlink(w->temporary);
    w->fd = open(w->temporary,
                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd >= 0) {
        w->exists = true;
        *out = w;
        return WEFT_OK;
    }
    status = WEFT_EIO;
fail:
    weft__cache_writer_free(w);
    return status;
}

/* Writes what is in the buffer. */
static weft_status flush(weft__cache_writer *w)
{
    size_t done = 0;

    while (done < w->text.len) {
        ssize_t n = write(w->fd, w->text.data + done, w->text.len - done);

        if (n <= 0 && errno != EINTR)
            return WEFT_EIO;
        done += n > 0 ? (size_t)n : 0;
    }
    w->total += w->text.len;
    w->text.len = 0;
    return w->total <= CACHE_BYTES ? WEFT_OK : WEFT_ELIMIT;
}

static weft_status put_last(weft__cache_writer *w)
{
    weft_status status =
        weft__buf_printf(&w->text, "end %016llx\n", (unsigned long long)w->sum);

    if (status == WEFT_OK)
        status = flush(w);
    if (status != WEFT_OK)
        return status;
    close(w->fd);
    w->fd = -1;
    if (rename(w->temporary, w->path) != 0)
        return WEFT_EIO;
    w->exists = false;
    return WEFT_OK;
}

weft_status weft__cache_writer_step(weft__cache_writer *w)
{
    size_t n = weft_endpoints_count(w->list);
    weft_status status = WEFT_OK;

    while (w->at < n && w->text.len < CACHE_SLICE && status == WEFT_OK)
        status = put_endpoint(&w->text, weft_endpoints_at(w->list, w->at++));
    if (status != WEFT_OK)
        return status;
    w->sum = fnv1a(w->sum, w->text.data, w->text.len);
    if ((status = flush(w)) != WEFT_OK)
        return status;
    return w->at < n ? WEFT_EAGAIN : put_last(w);
}

void weft__cache_writer_free(weft__cache_writer *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->exists)
        (void)unlink(w->temporary);
    weft__buf_fini(&w->text);
    weft_endpoints_unref(w->list);
    weft_free(w->temporary);
    weft_free(w->path);
    weft_free(w);
}

weft_status weft__cache_write(const char *path, const char *target,
                              const weft_endpoints *list, int64_t now_s)
{
    weft__cache_writer *w;
    weft_status status = weft__cache_writer_new(&w, path, target, list, now_s);

    if (status != WEFT_OK)
        return status;
    do
        status = weft__cache_writer_step(w);
    while (status == WEFT_EAGAIN);
    weft__cache_writer_free(w);
    return status;
}

/* --- reading --- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool unescape(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        int high, low;

        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        if ((high = hex_digit(text[1])) < 0 || (low = hex_digit(text[2])) < 0)
            return false;
        *out++ = (char)(high * 16 + low);
        text += 2;
    }
    *out = '\0';
    return true;
}

/* One "name=value" of an endpoint; unknown names are of a newer version. */
static weft_status take_field(weft_endpoint *e, weft_arena *arena, char *field)
{
    char *value = strchr(field, '=');
    uint64_t weight;

    if (value == NULL)
        return WEFT_ESYNTAX;
    *value++ = '\0';
    if (!unescape(field) || !unescape(value))
        return WEFT_ESYNTAX;
    if (strcmp(field, "weight") == 0) {
        if (!weft__json_u64(value, strlen(value), &weight) || weight < 1 ||
            weight > 65535)
            return WEFT_ESYNTAX;
        e->weight = (uint32_t)weight;
    } else if (strcmp(field, "node") == 0) {
        e->node = value;
    } else if (strcmp(field, "id") == 0) {
        e->id = value;
    } else if (strncmp(field, "m.", 2) == 0) {
        return weft_metadata_add(&e->metadata, arena, field + 2, value,
                                 strlen(value));
    }
    return WEFT_OK;
}

static weft_status take_endpoint(weft_endpoints_builder *builder, char *line)
{
    char *save = NULL, *field = strtok_r(line, " ", &save);
    weft_endpoint e = {.node = "", .id = ""};
    weft_arena arena;
    weft_status status = WEFT_OK;

    if (field == NULL || weft_address_parse(&e.address, field, NULL) != WEFT_OK)
        return WEFT_ESYNTAX;
    weft_arena_init(&arena, NULL, 0, 0);
    while (status == WEFT_OK && (field = strtok_r(NULL, " ", &save)) != NULL)
        status = take_field(&e, &arena, field);
    if (status == WEFT_OK)
        status = weft_endpoints_builder_add(builder, &e);
    weft_arena_fini(&arena);
    return status;
}

/* Bounded, so that the age can be reckoned without overflow. */
static bool parse_saved(const char *line, int64_t *out)
{
    static const int64_t LATEST = INT64_C(1) << 40;
    long long value;
    char *end;

    if (strncmp(line, "saved ", 6) != 0)
        return false;
    errno = 0;
    value = strtoll(line + 6, &end, 10);
    if (end == line + 6 || *end != '\0' || errno != 0 || value < 0 ||
        value > LATEST)
        return false;
    *out = value;
    return true;
}

struct weft__cache_reader {
    char *target;
    int64_t now_s;
    uint32_t max_age_ms;
    weft_endpoints_builder *builder;
    weft__buf text; /* read, and not yet parsed */
    uint64_t sum;
    size_t total;
    unsigned line; /* 0: the next is the first */
    bool complete; /* the last line fitted; nothing may follow */
    int fd;
};

weft_status weft__cache_reader_new(weft__cache_reader **out, const char *path,
                                   const char *target, int64_t now_s,
                                   uint32_t max_age_ms)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    weft__cache_reader *r;
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? WEFT_ENOENT : WEFT_EIO;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return WEFT_ESYNTAX;
    }
    if ((r = weft_calloc(1, sizeof(*r))) == NULL) {
        close(fd);
        return WEFT_ENOMEM;
    }
    r->fd = fd;
    r->now_s = now_s;
    r->max_age_ms = max_age_ms;
    r->sum = FNV_BASIS;
    if ((r->target = weft_strdup(target)) == NULL ||
        weft_endpoints_builder_new(&r->builder) != WEFT_OK) {
        weft__cache_reader_free(r);
        return WEFT_ENOMEM;
    }
    *out = r;
    return WEFT_OK;
}

/* One line without its end, NUL-terminated and cut into pieces. */
static weft_status take_line(weft__cache_reader *r, char *line)
{
    char expected[32];
    int64_t saved;

    switch (r->line++) {
    case 0:
        return strcmp(line, CACHE_MAGIC) == 0 ? WEFT_OK : WEFT_ESYNTAX;
    case 1:
        return strncmp(line, "target ", 7) == 0 &&
                       strcmp(line + 7, r->target) == 0
                   ? WEFT_OK
                   : WEFT_ESYNTAX;
    case 2:
        if (!parse_saved(line, &saved))
            return WEFT_ESYNTAX;
        return r->max_age_ms == WEFT_OFF ||
                       (saved - 3600 <= r->now_s &&
                        r->now_s - saved <= (int64_t)r->max_age_ms / 1000)
                   ? WEFT_OK
                   : WEFT_ETIMEDOUT;
    default:
        if (strncmp(line, "endpoint ", 9) == 0)
            return take_endpoint(r->builder, line + 9);
        snprintf(expected, sizeof(expected), "end %016llx",
                 (unsigned long long)r->sum);
        r->complete = strcmp(line, expected) == 0;
        return r->complete ? WEFT_OK : WEFT_ESYNTAX;
    }
}

/* The whole lines of the buffer. */
static weft_status take_lines(weft__cache_reader *r)
{
    size_t done = 0;
    weft_status status = WEFT_OK;

    while (status == WEFT_OK && done < r->text.len) {
        uint8_t *line = r->text.data + done;
        uint8_t *end = memchr(line, '\n', r->text.len - done);
        size_t n;

        if (end == NULL)
            break;
        n = (size_t)(end - line) + 1;
        if (r->complete || memchr(line, '\0', n) != NULL)
            return WEFT_ESYNTAX;
        if (strncmp((const char *)line, "end ", 4) != 0)
            r->sum = fnv1a(r->sum, line, n);
        *end = '\0';
        status = take_line(r, (char *)line);
        done += n;
    }
    weft__buf_consume(&r->text, done);
    return status;
}

weft_status weft__cache_reader_step(weft__cache_reader *r, weft_endpoints **out)
{
    weft_endpoints_builder *builder = r->builder;
    weft_status status = weft__buf_reserve(&r->text, CACHE_SLICE);
    ssize_t n;

    if (status != WEFT_OK)
        return status;
    n = read(r->fd, r->text.data + r->text.len, CACHE_SLICE);
    if (n < 0)
        return errno == EINTR ? WEFT_EAGAIN : WEFT_EIO;
    r->text.len += (size_t)n;
    r->total += (size_t)n;
    if ((status = take_lines(r)) != WEFT_OK)
        return status;
    if (n > 0)
        return r->total <= CACHE_BYTES && r->text.len <= CACHE_LINE
                   ? WEFT_EAGAIN
                   : WEFT_ESYNTAX;
    if (!r->complete || r->text.len > 0)
        return WEFT_ESYNTAX;
    r->builder = NULL;
    return weft_endpoints_builder_finish(builder, out);
}

void weft__cache_reader_free(weft__cache_reader *r)
{
    if (r == NULL)
        return;
    close(r->fd);
    weft__buf_fini(&r->text);
    weft_endpoints_builder_free(r->builder);
    weft_free(r->target);
    weft_free(r);
}

weft_status weft__cache_read(const char *path, const char *target,
                             int64_t now_s, uint32_t max_age_ms,
                             weft_endpoints **out)
{
    weft__cache_reader *r;
    weft_status status =
        weft__cache_reader_new(&r, path, target, now_s, max_age_ms);

    if (status != WEFT_OK)
        return status;
    do
        status = weft__cache_reader_step(r, out);
    while (status == WEFT_EAGAIN);
    weft__cache_reader_free(r);
    return status;
}
