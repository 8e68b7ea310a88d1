/* text.h - strings of a short-lived program: made with a format, kept until
 * text_free_all().  Running out of memory ends the program with a message. */
#ifndef PROTOC_GEN_WEFT_TEXT_H
#define PROTOC_GEN_WEFT_TEXT_H

#include <stddef.h>

/* Shares: valid until text_free_all(). */
char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void text_free_all(void);

/* A text that grows; zero is an empty one. */
struct text {
    char *bytes; /* always ends with a NUL that `len` does not count */
    size_t len, capacity;
};

void text_append(struct text *text, const void *bytes, size_t len);
void text_appendf(struct text *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void text_fini(struct text *text);

/* realloc of n elements that does not fail. */
void *grow(void *old, size_t n, size_t size);

#endif
