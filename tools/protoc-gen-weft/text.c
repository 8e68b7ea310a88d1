#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct kept *next;
    char bytes[];
};

static struct kept *kept_all;

static void out_of_memory(void)
{
    fputs("protoc-gen-weft: out of memory\n", stderr);
    exit(1);
}

void *grow(void *old, size_t n, size_t size)
{
    void *p = n <= SIZE_MAX / size ? realloc(old, n * size) : NULL;

    if (p == NULL)
        out_of_memory();
    return p;
}

static struct kept *keep(size_t len)
{
    struct kept *kept = grow(NULL, sizeof(*kept) + len + 1, 1);

    kept->next = kept_all;
    kept_all = kept;
    return kept;
}

char *text_format(const char *fmt, ...)
{
    struct kept *kept;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    kept = keep((size_t)len);
    va_start(args, fmt);
    vsnprintf(kept->bytes, (size_t)len + 1, fmt, args);
    va_end(args);
    return kept->bytes;
}

void text_free_all(void)
{
    while (kept_all != NULL) {
        struct kept *next = kept_all->next;

        free(kept_all);
        kept_all = next;
    }
}

static void reserve(struct text *text, size_t more)
{
    size_t need = text->len + more + 1;

    if (need <= text->capacity)
        return;
    text->capacity = need < 4096 ? 4096 : need * 2;
    text->bytes = grow(text->bytes, text->capacity, 1);
}

void text_append(struct text *text, const void *bytes, size_t len)
{
    reserve(text, len);
    if (len > 0)
        memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void text_appendf(struct text *text, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    reserve(text, (size_t)len);
    va_start(args, fmt);
    vsnprintf(text->bytes + text->len, (size_t)len + 1, fmt, args);
    va_end(args);
    text->len += (size_t)len;
}

void text_fini(struct text *text)
{
    free(text->bytes);
    memset(text, 0, sizeof(*text));
}
