/* weft/conf.h - options as tables.
 *
 * Each _conf struct lists its options once, in an X-macro: type, name, default,
 * what it says.  The struct, its defaults, the table in docs/guide.md, the
 * start-up dump and weft_conf_set() come from that list.  Zero means the
 * default; WEFT_OFF in a number means none.  _conf structs are copied when the
 * object is made, strings included.  Constructors are macros that pass the size
 * of the struct, so that it can grow without breaking programs that were
 * compiled with an older one; conf is their variable rest, so that a compound
 * literal may have commas. */
#ifndef WEFT_CONF_H
#define WEFT_CONF_H

#include <stdio.h>
#include <weft/status.h>

WEFT_BEGIN_DECLS

typedef enum weft_conf_type {
    WEFT_CONF_u32,
    WEFT_CONF_str, /* const char *; default "" reads as NULL */
    WEFT_CONF_flag /* bool; the default is always false */
} weft_conf_type;

typedef uint32_t weft_conf_c_u32;
typedef const char *weft_conf_c_str;
typedef bool weft_conf_c_flag;

typedef struct weft_conf_field {
    const char *name;
    weft_conf_type type;
    size_t offset;
    uint32_t number;  /* default of a u32 */
    const char *text; /* default of a str, or NULL */
    const char *help;
} weft_conf_field;

typedef struct weft_conf_spec {
    const char *name; /* "weft_server_conf" */
    size_t size;
    const weft_conf_field *fields;
    size_t n_fields;
} weft_conf_spec;

#define WEFT_CONF_MEMBER(type, name, dflt, help) weft_conf_c_##type name;

#define WEFT_CONF_NUMBER_u32(dflt) (dflt)
#define WEFT_CONF_NUMBER_str(dflt) 0
#define WEFT_CONF_NUMBER_flag(dflt) 0
#define WEFT_CONF_TEXT_u32(dflt) NULL
#define WEFT_CONF_TEXT_str(dflt) (dflt)
#define WEFT_CONF_TEXT_flag(dflt) NULL

/* Defines conf##_spec from the table; used once per conf, in a .c file:
 * #define X(t, n, d, h) WEFT_CONF_FIELD(weft_loop_conf, t, n, d, h) */
#define WEFT_CONF_FIELD(conf, type, name, dflt, help)                          \
    {#name,                                                                    \
     WEFT_CONF_##type,                                                         \
     offsetof(conf, name),                                                     \
     WEFT_CONF_NUMBER_##type(dflt),                                            \
     WEFT_CONF_TEXT_##type(dflt),                                              \
     help},

/* Sets the option `name` from text: a number with an optional unit (ms, s, m,
 * h; k, m, g for bytes: 64k = 65536), "off", "true"/"false", or any string,
 * which is borrowed.  EINVAL: no such option or not a value for it; *why (may
 * be NULL) is then a static sentence. */
WEFT_API weft_status weft_conf_set_field(const weft_conf_spec *spec, void *conf,
                                         const char *name, const char *value,
                                         const char **why);

/* Writes `name=value` lines, defaults resolved, tokens hidden. */
WEFT_API void weft_conf_dump(const weft_conf_spec *spec, const void *conf,
                             FILE *file);

/* Writes a Markdown table of the options. */
WEFT_API void weft_conf_document(const weft_conf_spec *spec, FILE *file);

/* Copies src (src_size bytes of an older or newer struct; NULL is all zero)
 * over dst, which has spec->size bytes, and puts the defaults where it says
 * zero. Strings stay borrowed. */
WEFT_API void weft_conf_resolve(const weft_conf_spec *spec, void *dst,
                                const void *src, size_t src_size);

WEFT_END_DECLS

#endif /* WEFT_CONF_H */
