#include "names.h"

#include "text.h"

#include <ctype.h>
#include <string.h>

static bool in(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static const char *const C_KEYWORDS[] = {
    "auto",     "break",  "case",     "char",  "const",   "continue",
    "default",  "do",     "double",   "else",  "enum",    "extern",
    "float",    "for",    "goto",     "if",    "inline",  "int",
    "long",     "return", "register", "short", "signed",  "sizeof",
    "static",   "struct", "switch",   "union", "typedef", "unsigned",
    "restrict", "void",   "volatile", "while", NULL,
};

static const char *const GNU_WORDS[] = {
    "asm", "typeof", "unix", "linux", NULL,
};

/* Macros of headers that the generated code, or any user of it, includes. */
static const char *const MACROS[] = {
    "bool",     "true",     "false",    "static_assert", "errno", "h_errno",
    "st_atime", "st_ctime", "st_mtime", "s6_addr",       NULL,
};

static const char *const C23_KEYWORDS[] = {
    "alignas",      "alignof",       "constexpr", "nullptr",
    "thread_local", "typeof_unqual", NULL,
};

static const char *const CXX_KEYWORDS[] = {
    "and",       "and_eq",    "bitand",      "bitor",
    "catch",     "char16_t",  "char32_t",    "char8_t",
    "class",     "co_await",  "co_return",   "co_yield",
    "compl",     "concept",   "const_cast",  "consteval",
    "constinit", "decltype",  "delete",      "dynamic_cast",
    "explicit",  "export",    "friend",      "mutable",
    "namespace", "new",       "noexcept",    "not",
    "not_eq",    "operator",  "or",          "or_eq",
    "private",   "protected", "public",      "reinterpret_cast",
    "requires",  "template",  "static_cast", "this",
    "throw",     "try",       "typeid",      "typename",
    "using",     "virtual",   "wchar_t",     "xor",
    "xor_eq",    NULL,
};

/* Words of C++98 to which protoc-gen-c appends '_' in a field's name. */
static bool is_escaped(const char *word)
{
    static const char *const NOT_CXX98[] = {
        "restrict",  "char16_t", "char32_t", "char8_t",  "co_await",
        "co_return", "co_yield", "concept",  "decltype", "consteval",
        "constinit", "export",   "noexcept", "requires", NULL,
    };
    static const char *const MORE[] = {"asm", "bool", "true", "false", NULL};

    if (in(word, NOT_CXX98))
        return false;
    return in(word, C_KEYWORDS) || in(word, CXX_KEYWORDS) || in(word, MORE);
}

/* A word starts at a capital that follows something else: AbcDEf -> abc_def. */
static char *split(const char *full_name, int (*to_case)(int))
{
    struct text out = {0};
    bool was_upper = true;
    char *result;

    text_append(&out, "", 0);
    for (const char *p = full_name; *p != '\0'; p++) {
        bool is_upper = isupper((unsigned char)*p) != 0;

        if (*p == '.') {
            if (out.len > 0)
                text_append(&out, "__", 2);
            was_upper = true;
            continue;
        }
        if (is_upper && !was_upper)
            text_append(&out, "_", 1);
        text_append(&out, &(char){(char)to_case((unsigned char)*p)}, 1);
        was_upper = is_upper;
    }
    result = text_format("%s", out.bytes);
    text_fini(&out);
    return result;
}

char *name_lower(const char *full_name)
{
    return split(full_name, tolower);
}

char *name_upper(const char *full_name)
{
    return split(full_name, toupper);
}

char *name_type(const char *full_name)
{
    char *out = text_format("%s%s", full_name, full_name), *end = out;
    bool word = true;

    /* The result is never longer than twice the name: '.' becomes "__". */
    for (const char *p = full_name; *p != '\0'; p++) {
        if (*p == '.' || *p == '_') {
            word = true;
            if (*p == '.' && end != out) {
                *end++ = '_';
                *end++ = '_';
            }
        } else {
            *end++ = word ? (char)toupper((unsigned char)*p) : *p;
            word = false;
        }
    }
    *end = '\0';
    return out;
}

char *name_of_field(const char *field)
{
    char *name = text_format("%s_", field);
    size_t len = strlen(field);

    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    name[len] = '\0';
    if (is_escaped(name))
        name[len] = '_';
    return name;
}

enum name_verdict name_check(const char *c_name, const char **why)
{
    if (in(c_name, C_KEYWORDS)) {
        *why = "a keyword of C";
        return NAME_BROKEN;
    }
    if (in(c_name, GNU_WORDS)) {
        *why = "a keyword or macro of GNU C (-std=gnu11)";
        return NAME_BROKEN;
    }
    if (in(c_name, MACROS)) {
        *why = "a macro of a standard header";
        return NAME_BROKEN;
    }
    if (in(c_name, C23_KEYWORDS)) {
        *why = "a keyword of C23 and C++";
        return NAME_NOTE;
    }
    if (in(c_name, CXX_KEYWORDS)) {
        *why = "a keyword of C++";
        return NAME_NOTE;
    }
    *why = NULL;
    return NAME_GOOD;
}
