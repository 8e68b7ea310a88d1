/* consul_conf.c - where the agent is and how to speak to it. */
#include "consul_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/mem.h>

#define X(t, n, d, h) WEFT_CONF_FIELD(weft_consul_conf, t, n, d, h)
static const weft_conf_field fields[] = {WEFT_CONSUL_CONF(X)};
#undef X

const weft_conf_spec weft_consul_conf_spec = {
    .name = "weft_consul_conf",
    .size = sizeof(weft_consul_conf),
    .fields = fields,
    .n_fields = sizeof(fields) / sizeof(fields[0]),
};

static const char **string_at(weft_consul_conf *conf, size_t i)
{
    return (const char **)(void *)((char *)conf + fields[i].offset);
}

weft_consul_conf *weft__consul_conf_dup(const weft_consul_conf *conf,
                                        size_t conf_size)
{
    size_t n_fields = weft_consul_conf_spec.n_fields, size = sizeof(*conf);
    weft_consul_conf resolved, *copy;
    char *at;

    weft_conf_resolve(&weft_consul_conf_spec, &resolved, conf, conf_size);
    for (size_t i = 0; i < n_fields; i++)
        if (fields[i].type == WEFT_CONF_str && *string_at(&resolved, i) != NULL)
            size += strlen(*string_at(&resolved, i)) + 1;
    if ((copy = weft_malloc(size)) == NULL)
        return NULL;
    *copy = resolved;
    at = (char *)(copy + 1);
    for (size_t i = 0; i < n_fields; i++) {
        const char *text;

        if (fields[i].type != WEFT_CONF_str ||
            (text = *string_at(&resolved, i)) == NULL)
            continue;
        *string_at(copy, i) = at;
        at = stpcpy(at, text) + 1;
    }
    return copy;
}

bool weft__consul_name_valid(const char *name)
{
    size_t n = 0;

    for (; name[n] != '\0'; n++)
        if (!isalnum((unsigned char)name[n]) && strchr("._-", name[n]) == NULL)
            return false;
    return n >= 1 && n <= 128;
}

/* conf's text, else the environment's; NULL for none. */
static const char *choose(const char *text, const char *variable)
{
    if (text == NULL || text[0] == '\0')
        text = getenv(variable);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool copy_text(char **out, const char *text)
{
    return text == NULL || (*out = weft_strdup(text)) != NULL;
}

/* The first line of a token file, which is a secret: never in a message. */
static weft_status read_token(char **out, const char *path, char *why,
                              size_t size)
{
    char line[512] = "";
    FILE *file = fopen(path, "re");
    size_t n;

    if (file == NULL || fgets(line, sizeof(line), file) == NULL) {
        snprintf(why, size, "CONSUL_HTTP_TOKEN_FILE %s: %s", path,
                 file == NULL ? strerror(errno) : "nothing in it");
        if (file != NULL)
            fclose(file);
        return WEFT_EIO;
    }
    fclose(file);
    n = strcspn(line, "\r\n \t");
    *out = weft_strndup(line, n);
    explicit_bzero(line, sizeof(line));
    return *out != NULL ? WEFT_OK : WEFT_ENOMEM;
}

/* "host", "host:port", "[::1]:port", with or without http:// or https://. */
static weft_status parse_agent(weft__consul_settings *s, const char *text,
                               char *why, size_t size)
{
    const char *agent = text, *reason = "", *host;
    char full[WEFT_ADDRESS_TEXT + 8];
    weft_address address;
    size_t n;

    if (strncmp(agent, "https://", 8) == 0) {
        s->tls = true;
        agent += 8;
    } else if (strncmp(agent, "http://", 7) == 0) {
        agent += 7;
    }
    n = strcspn(agent, "/");
    if (strstr(agent, "://") != NULL || agent[n] != '\0' ||
        strchr(agent, '@') != NULL || n > WEFT_ADDRESS_TEXT - 8) {
        snprintf(why, size,
                 "Consul agent \"%s\": expected host:port; a user, a path or a "
                 "unix socket is not supported",
                 strchr(text, '@') != NULL ? "..." : text);
        return WEFT_ESYNTAX;
    }
    /* a port is what follows the last colon, outside of brackets */
    host = strrchr(agent, ']') != NULL ? strrchr(agent, ']') : agent;
    snprintf(full, sizeof(full), "%s%s", agent,
             strchr(host, ':') != NULL ? "" : ":8500");
    if (weft_address_parse(&address, full, &reason) != WEFT_OK ||
        address.kind != WEFT_ADDRESS_TCP || weft_address_port(&address) == 0) {
        snprintf(why, size,
                 "Consul agent \"%s\": %s (an IP address or localhost; names "
                 "are not looked up)",
                 text, reason[0] != '\0' ? reason : "not usable");
        return WEFT_EADDR;
    }
    s->port = weft_address_port(&address);
    s->loopback = weft_address_is_loopback(&address);
    *strrchr(full, ':') = '\0';
    if (full[0] == '[')
        full[strlen(full) - 1] = '\0';
    s->host = weft_strdup(full[0] == '[' ? full + 1 : full);
    return s->host != NULL ? WEFT_OK : WEFT_ENOMEM;
}

weft_status weft__consul_settings_init(weft__consul_settings *s,
                                       const char *authority,
                                       const weft_consul_conf *conf, char *why,
                                       size_t size)
{
    const char *agent, *token, *file, *ssl = getenv("CONSUL_HTTP_SSL");
    weft_status status;

    *s = (weft__consul_settings){.tls = conf->tls};
    if (ssl != NULL && (strcmp(ssl, "true") == 0 || strcmp(ssl, "1") == 0))
        s->tls = true;
    agent = authority[0] != '\0' ? authority
                                 : choose(conf->agent, "CONSUL_HTTP_ADDR");
    if ((status = parse_agent(s, agent != NULL ? agent : "127.0.0.1:8500", why,
                              size)) != WEFT_OK)
        goto fail;
    token = choose(conf->token, "CONSUL_HTTP_TOKEN");
    file = choose(NULL, "CONSUL_HTTP_TOKEN_FILE");
    if (token == NULL && file != NULL &&
        (status = read_token(&s->token, file, why, size)) != WEFT_OK)
        goto fail;
    status = WEFT_ENOMEM;
    if (copy_text(&s->token, token) &&
        copy_text(&s->ca_file, choose(conf->tls_ca_file, "CONSUL_CACERT")) &&
        copy_text(&s->cert_file,
                  choose(conf->tls_cert_file, "CONSUL_CLIENT_CERT")) &&
        copy_text(&s->key_file,
                  choose(conf->tls_key_file, "CONSUL_CLIENT_KEY")) &&
        copy_text(&s->server_name,
                  choose(conf->tls_server_name, "CONSUL_TLS_SERVER_NAME")))
        return WEFT_OK;
fail:
    if (status == WEFT_ENOMEM)
        snprintf(why, size, "%s", weft_status_text(status));
    weft__consul_settings_fini(s);
    return status;
}

void weft__consul_settings_fini(weft__consul_settings *s)
{
    if (s->token != NULL)
        explicit_bzero(s->token, strlen(s->token));
    weft_free(s->host);
    weft_free(s->token);
    weft_free(s->ca_file);
    weft_free(s->cert_file);
    weft_free(s->key_file);
    weft_free(s->server_name);
    *s = (weft__consul_settings){0};
}
