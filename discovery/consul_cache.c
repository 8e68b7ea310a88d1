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
#define CACHE_HEAD "weft-cache 1\n"

static uint64_t fnv1a(const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325u;

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
        uint64_t hash = fnv1a(name.data, name.len);

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

static weft_status write_file(const char *path, const weft__buf *text)
{
    weft__buf other = {0};
    weft_status status =
        weft__buf_printf(&other, "%s.%ld", path, (long)getpid());
    const char *temporary = (const char *)other.data;
    size_t done = 0;
    int fd;

    if (status != WEFT_OK)
        return status;
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0600);
    while (fd >= 0 && done < text->len) {
        ssize_t n = write(fd, text->data + done, text->len - done);

        if (n <= 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd < 0 || (close(fd), done < text->len) ||
        rename(temporary, path) != 0) {
        (void)unlink(temporary);
        status = WEFT_EIO;
    }
    weft__buf_fini(&other);
    return status;
}

weft_status weft__cache_write(const char *path, const char *target,
                              const weft_endpoints *list, int64_t now_s)
{
    weft__buf text = {0};
    weft_status status = weft__buf_printf(
        &text, CACHE_HEAD "target %s\nsaved %lld\n", target, (long long)now_s);

    for (size_t i = 0; i < weft_endpoints_count(list) && status == WEFT_OK; i++)
        status = text.len < CACHE_BYTES - 65536
                     ? put_endpoint(&text, weft_endpoints_at(list, i))
                     : WEFT_ELIMIT;
    if (status == WEFT_OK)
        status =
            weft__buf_printf(&text, "end %016llx\n",
                             (unsigned long long)fnv1a(text.data, text.len));
    if (status == WEFT_OK)
        status = write_file(path, &text);
    weft__buf_fini(&text);
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

/* text is NUL-terminated and cut into pieces. */
static weft_status parse(char *text, size_t len, const char *target,
                         int64_t now_s, uint32_t max_age_ms,
                         weft_endpoints_builder *builder)
{
    const size_t tail = sizeof("end 0123456789abcdef\n") - 1;
    char expected[32], *save = NULL, *line;
    int64_t saved;
    weft_status status = WEFT_OK;

    if (len < tail || strlen(text) != len)
        return WEFT_ESYNTAX;
    snprintf(expected, sizeof(expected), "end %016llx\n",
             (unsigned long long)fnv1a(text, len - tail));
    if (strcmp(text + len - tail, expected) != 0 ||
        strncmp(text, CACHE_HEAD, strlen(CACHE_HEAD)) != 0)
        return WEFT_ESYNTAX;
    text[len - tail] = '\0';
    strtok_r(text, "\n", &save);
    line = strtok_r(NULL, "\n", &save);
    if (line == NULL || strncmp(line, "target ", 7) != 0 ||
        strcmp(line + 7, target) != 0)
        return WEFT_ESYNTAX;
    line = strtok_r(NULL, "\n", &save);
    if (line == NULL || !parse_saved(line, &saved))
        return WEFT_ESYNTAX;
    if (max_age_ms != WEFT_OFF &&
        (now_s < saved - 3600 || now_s - saved > (int64_t)max_age_ms / 1000))
        return WEFT_ETIMEDOUT;
    while (status == WEFT_OK && (line = strtok_r(NULL, "\n", &save)) != NULL)
        status = strncmp(line, "endpoint ", 9) == 0
                     ? take_endpoint(builder, line + 9)
                     : WEFT_ESYNTAX;
    return status;
}

static weft_status read_file(const char *path, char **out, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    char *text;
    size_t done = 0;

    if (fd < 0)
        return errno == ENOENT ? WEFT_ENOENT : WEFT_EIO;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size > CACHE_BYTES) {
        close(fd);
        return WEFT_ESYNTAX;
    }
    if ((text = weft_malloc((size_t)st.st_size + 1)) == NULL) {
        close(fd);
        return WEFT_ENOMEM;
    }
    while (done < (size_t)st.st_size) {
        ssize_t n = read(fd, text + done, (size_t)st.st_size - done);

        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    text[done] = '\0';
    *out = text;
    *len = done;
    return WEFT_OK;
}

weft_status weft__cache_read(const char *path, const char *target,
                             int64_t now_s, uint32_t max_age_ms,
                             weft_endpoints **out)
{
    weft_endpoints_builder *builder = NULL;
    char *text = NULL;
    size_t len;
    weft_status status = read_file(path, &text, &len);

    if (status == WEFT_OK)
        status = weft_endpoints_builder_new(&builder);
    if (status == WEFT_OK)
        status = parse(text, len, target, now_s, max_age_ms, builder);
    if (status == WEFT_OK) {
        status = weft_endpoints_builder_finish(builder, out);
        builder = NULL;
    }
    weft_endpoints_builder_free(builder);
    weft_free(text);
    return status;
}
