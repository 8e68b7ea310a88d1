/* weft/api.h - what every public header needs: visibility, linkage, the two
 * values that say what zero cannot. */
#ifndef WEFT_API_H
#define WEFT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

/* In a _conf, zero means "the default"; WEFT_OFF means none: no limit, no
 * timeout, the feature switched off. */
#define WEFT_OFF UINT32_MAX

/* A call that may take for ever (timeouts are milliseconds). */
#define WEFT_NO_DEADLINE UINT32_MAX

#endif /* WEFT_API_H */
