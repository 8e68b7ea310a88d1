/* uri.c - "scheme://authority/path?a=1&b=2".
 *
 * The text is copied once and cut in place: separators become NULs, and escapes
 * only shrink it. */
#include <weft/mem.h>
#include <weft/uri.h>

#include <string.h>

static weft_status refuse(const char **why, const char *text)
{
    if (why != NULL)
        *why = text;
    return WEFT_ESYNTAX;
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static weft_status decode(char *s, const char **why)
{
    char *to = s;

    for (; *s != '\0'; s++, to++) {
        if (*s == '%') {
            int hi = hex(s[1]), lo = hi < 0 ? -1 : hex(s[2]);

            if (lo < 0)
                return refuse(why, "% wants two hexadecimal digits behind it");
            if (is_control((unsigned char)(hi * 16 + lo)))
                return refuse(why, "an escape stands for a control byte");
            *to = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *to = *s;
        }
    }
    *to = '\0';
    return WEFT_OK;
}

/* Lower-cases the scheme, ends it, and gives what follows "://". */
static weft_status cut_scheme(char *text, char **rest, const char **why)
{
    char *colon = strstr(text, "://");

    if (colon == NULL)
        return refuse(why, "there is no \"://\" behind a scheme");
    if (colon == text)
        return refuse(why, "the scheme is missing");
    for (char *c = text; c < colon; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        if (!(*c >= 'a' && *c <= 'z') &&
            (c == text || !((*c >= '0' && *c <= '9') || *c == '+' ||
                            *c == '-' || *c == '.')))
            return refuse(why, "the scheme has a character that none may have");
    }
    *colon = '\0';
    *rest = colon + 3;
    return WEFT_OK;
}

static weft_status cut_params(weft__uri *uri, char *query, const char **why)
{
    weft_status status;
    char *next;

    for (; query != NULL; query = next) {
        char *value;

        if ((next = strchr(query, '&')) != NULL)
            *next++ = '\0';
        if (*query == '\0')
            continue;
        if (uri->n_params == WEFT__URI_PARAMS)
            return refuse(why, "there are more than 32 parameters");
        if ((value = strchr(query, '=')) != NULL)
            *value++ = '\0';
        else
            value = query + strlen(query);
        if (*query == '\0')
            return refuse(why, "a parameter has no name");
        if ((status = decode(query, why)) != WEFT_OK ||
            (status = decode(value, why)) != WEFT_OK)
            return status;
        uri->params[uri->n_params++] = (weft__uri_param){query, value};
    }
    return WEFT_OK;
}

static weft_status cut(weft__uri *uri, const char **why)
{
    char *rest, *path, *query;
    weft_status status;

    for (const char *c = uri->text; *c != '\0'; c++) {
        if (is_control((unsigned char)*c))
            return refuse(why, "there are control bytes in it");
        if (*c == '#')
            return refuse(why, "a fragment (\"#\") has no meaning here; an "
                               "escaped one is %23");
    }
    if ((status = cut_scheme(uri->text, &rest, why)) != WEFT_OK)
        return status;
    uri->scheme = uri->text;
    if ((query = strchr(rest, '?')) != NULL)
        *query++ = '\0';
    if ((path = strchr(rest, '/')) != NULL)
        *path++ = '\0';
    else
        path = rest + strlen(rest);
    if (strchr(rest, ' ') != NULL)
        return refuse(why, "there is a space in the authority");
    uri->authority = rest;
    uri->path = path;
    if ((status = decode(path, why)) != WEFT_OK)
        return status;
    return cut_params(uri, query, why);
}

weft_status weft__uri_parse(weft__uri *out, const char *text, const char **why)
{
    weft__uri uri = {0};
    weft_status status;
    size_t len;

    if (text == NULL || *text == '\0')
        return refuse(why, "it is empty");
    if ((len = strnlen(text, WEFT__URI_BYTES + 1)) > WEFT__URI_BYTES)
        return refuse(why, "it is longer than 8192 bytes");
    if ((uri.text = weft_strndup(text, len)) == NULL)
        return WEFT_ENOMEM;
    if ((status = cut(&uri, why)) != WEFT_OK) {
        weft__uri_fini(&uri);
        return status;
    }
    *out = uri;
    return WEFT_OK;
}

void weft__uri_fini(weft__uri *uri)
{
    weft_free(uri->text);
    *uri = (weft__uri){0};
}

const char *weft__uri_param_get(const weft__uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->n_params; i++)
        if (strcmp(uri->params[i].name, name) == 0)
            return uri->params[i].value;
    return NULL;
}
