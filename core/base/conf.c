/* conf.c - the four uses of a table of options. */
#include <weft/conf.h>

#include <string.h>

static const weft_conf_field *find(const weft_conf_spec *spec, const char *name)
{
    size_t i;

    for (i = 0; i < spec->n_fields; i++)
        if (strcmp(spec->fields[i].name, name) == 0)
            return &spec->fields[i];
    return NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* What a unit multiplies by for this option (m is a minute or a mebibyte), or
 * 0: no such unit. */
static uint64_t unit_of(const char *name, const char *unit)
{
    static const struct {
        const char *end, *unit;
        uint64_t factor;
    } units[] = {
        {"_ms", "ms", 1},         {"_ms", "s", 1000},
        {"_ms", "m", 60000},      {"_ms", "h", 3600000},
        {"_bytes", "k", 1 << 10}, {"_bytes", "m", 1 << 20},
        {"_bytes", "g", 1 << 30},
    };
    size_t i;

    if (unit[0] == '\0')
        return 1;
    for (i = 0; i < sizeof units / sizeof units[0]; i++)
        if (ends_with(name, units[i].end) && strcmp(unit, units[i].unit) == 0)
            return units[i].factor;
    return 0;
}

static const char *parse_number(const char *name, const char *s, uint32_t *out)
{
    uint64_t n = 0, factor;

    if (strcmp(s, "off") == 0) {
        *out = WEFT_OFF;
        return NULL;
    }
    if (*s < '0' || *s > '9')
        return "the value is not a number, nor \"off\"";
    for (; *s >= '0' && *s <= '9'; s++) {
        n = n * 10 + (uint64_t)(*s - '0');
        if (n >= WEFT_OFF)
            return "the number is too large";
    }
    if ((factor = unit_of(name, s)) == 0)
        return ends_with(name, "_ms")
                   ? "the unit is none of ms, s, m (minutes), h"
               : ends_with(name, "_bytes")
                   ? "the unit is none of k, m, g (KiB, MiB, GiB)"
                   : "the number is followed by something; it has no unit";
    if (n * factor >= WEFT_OFF) /* the product of two of 32 bits fits */
        return "the number is too large";
    *out = (uint32_t)(n * factor);
    return NULL;
}

static const char *parse_flag(const char *s, bool *out)
{
    if (strcmp(s, "true") == 0)
        *out = true;
    else if (strcmp(s, "false") == 0 || strcmp(s, "off") == 0)
        *out = false;
    else
        return "the value is neither \"true\" nor \"false\"";
    return NULL;
}

/* Members are read and written by copying, for a spec may lie about types. */
weft_status weft_conf_set_field(const weft_conf_spec *spec, void *conf,
                                const char *name, const char *value,
                                const char **why)
{
    const weft_conf_field *field = find(spec, name);
    const char *problem = NULL;
    uint32_t number = 0;
    bool flag = false;
    char *member;

    if (field == NULL) {
        problem = "there is no such option";
        goto out;
    }
    member = (char *)conf + field->offset;
    switch (field->type) {
    case WEFT_CONF_u32:
        if ((problem = parse_number(name, value, &number)) == NULL)
            memcpy(member, &number, sizeof number);
        break;
    case WEFT_CONF_flag:
        if ((problem = parse_flag(value, &flag)) == NULL)
            memcpy(member, &flag, sizeof flag);
        break;
    case WEFT_CONF_str:
        memcpy(member, &value, sizeof value);
        break;
    }
out:
    if (why != NULL)
        *why = problem;
    return problem == NULL ? WEFT_OK : WEFT_EINVAL;
}

static const char *text_default(const weft_conf_field *field)
{
    return field->text != NULL && field->text[0] != '\0' ? field->text : NULL;
}

static bool is_secret(const char *name)
{
    return strstr(name, "token") != NULL || strstr(name, "password") != NULL ||
           strstr(name, "secret") != NULL;
}

void weft_conf_dump(const weft_conf_spec *spec, const void *conf, FILE *file)
{
    size_t i;

    for (i = 0; i < spec->n_fields; i++) {
        const weft_conf_field *field = &spec->fields[i];
        const char *member = (const char *)conf + field->offset;
        uint32_t number;
        const char *text;
        bool flag;

        fprintf(file, "%s=", field->name);
        switch (field->type) {
        case WEFT_CONF_u32:
            memcpy(&number, member, sizeof number);
            if (number == 0)
                number = field->number;
            if (number == WEFT_OFF)
                fputs("off\n", file);
            else
                fprintf(file, "%u\n", number);
            break;
        case WEFT_CONF_flag:
            memcpy(&flag, member, sizeof flag);
            fprintf(file, "%s\n", flag ? "true" : "false");
            break;
        case WEFT_CONF_str:
            memcpy(&text, member, sizeof text);
            if (text == NULL)
                text = text_default(field);
            if (text != NULL && is_secret(field->name))
                text = "(hidden)";
            fprintf(file, "%s\n", text != NULL ? text : "");
            break;
        }
    }
}

void weft_conf_document(const weft_conf_spec *spec, FILE *file)
{
    size_t i;

    fputs("| option | default | meaning |\n|---|---|---|\n", file);
    for (i = 0; i < spec->n_fields; i++) {
        const weft_conf_field *field = &spec->fields[i];

        fprintf(file, "| `%s` | ", field->name);
        if (field->type == WEFT_CONF_flag)
            fputs("false", file);
        else if (field->type == WEFT_CONF_str)
            fputs(text_default(field) != NULL ? field->text : "none", file);
        else if (field->number == WEFT_OFF)
            fputs("off", file);
        else
            fprintf(file, "%u", field->number);
        fprintf(file, " | %s |\n", field->help);
    }
}

void weft_conf_resolve(const weft_conf_spec *spec, void *dst, const void *src,
                       size_t src_size)
{
    size_t i;

    memset(dst, 0, spec->size);
    if (src != NULL)
        memcpy(dst, src, src_size < spec->size ? src_size : spec->size);
    for (i = 0; i < spec->n_fields; i++) {
        const weft_conf_field *field = &spec->fields[i];
        char *member = (char *)dst + field->offset;
        uint32_t number;
        const char *text;

        if (field->type == WEFT_CONF_u32) {
            memcpy(&number, member, sizeof number);
            if (number == 0)
                memcpy(member, &field->number, sizeof number);
        } else if (field->type == WEFT_CONF_str) {
            memcpy(&text, member, sizeof text);
            if (text == NULL || text[0] == '\0')
                text = text_default(field);
            memcpy(member, &text, sizeof text);
        }
    }
}
