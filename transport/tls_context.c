/* tls_context.c - certificates, names and the TLS side of a bufferevent. */
#include "tls_internal.h"
#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <weft/mem.h>

struct weft__tls_context {
    SSL_CTX *ctx;
    char *name;
    bool name_is_ip;
};

/* An encrypted key must fail, not ask on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return 0;
}

static const char *load_files(SSL_CTX *ctx, const char *ca_file,
                              const char *cert_file, const char *key_file)
{
    if (ca_file != NULL) {
        if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1)
            return "the CA file cannot be used";
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return "the system's certificate authorities cannot be used";
    }
    if (cert_file == NULL)
        return key_file == NULL ? NULL : "a key file without a certificate";
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return "the certificate file cannot be used";
    if (SSL_CTX_use_PrivateKey_file(ctx,
                                    key_file != NULL ? key_file : cert_file,
                                    SSL_FILETYPE_PEM) != 1)
        return "the key file cannot be used";
    if (SSL_CTX_check_private_key(ctx) != 1)
        return "the key does not belong to the certificate";
    return NULL;
}

weft_status weft__tls_context_new(weft__tls_context **out, const char *ca_file,
                                  const char *cert_file, const char *key_file,
                                  const char *name, const char **why)
{
    weft__tls_context *c = weft_calloc(1, sizeof(*c));
    unsigned char ip[sizeof(struct in6_addr)];
    const char *trouble;

    if (c == NULL)
        return WEFT_ENOMEM;
    c->name = weft_strdup(name);
    c->ctx = SSL_CTX_new(TLS_client_method());
    if (c->name == NULL || c->ctx == NULL)
        goto fail;
    c->name_is_ip =
        inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
    if (SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1)
        goto fail;
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(c->ctx, no_password);
    trouble = load_files(c->ctx, ca_file, cert_file, key_file);
    ERR_clear_error();
    if (trouble != NULL) {
        if (why != NULL)
            *why = trouble;
        weft__tls_context_free(c);
        return WEFT_EIO;
    }
    *out = c;
    return WEFT_OK;

fail:
    ERR_clear_error();
    weft__tls_context_free(c);
    return WEFT_ENOMEM;
}

void weft__tls_context_free(weft__tls_context *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    weft_free(c->name);
    weft_free(c);
}

static bool expect_name(SSL *ssl, const weft__tls_context *c)
{
    if (c->name_is_ip)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), c->name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, c->name) == 1 &&
           SSL_set_tlsext_host_name(ssl, c->name) == 1;
}

struct bufferevent *weft__tls_bufferevent(weft__tls_context *c,
                                          struct event_base *base)
{
    SSL *ssl = SSL_new(c->ctx);
    struct bufferevent *bev;

    if (ssl == NULL || !expect_name(ssl, c)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    /* Takes ssl, also when it fails. */
    bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    ERR_clear_error();
    if (bev != NULL)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 0);
    return bev;
}
