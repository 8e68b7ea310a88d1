/* server_health.c - /health and /livez: whether it serves, whether it lives. */
#include "server_internal.h"

#include <string.h>

enum { HTTP_IDLE_MS = 60000 };

static bool on_http(const char *path, int *code, char *body, size_t size,
                    void *user)
{
    weft_server *s = user;

    char why[64];

    if (strcmp(path, "/livez") == 0) {
        *code = 200;
        snprintf(body, size, "alive\n");
        return true;
    }
    if (strcmp(path, "/health") != 0)
        return false;
    *code = 503;
    if (s->phase != WEFT__PHASE_SERVING) {
        snprintf(body, size, "%s\n", weft__phase_name(s));
    } else if (s->unhealthy) {
        snprintf(body, size, "unhealthy\n");
    } else if (weft__shards_ill(s, why, sizeof(why))) {
        snprintf(body, size, "%s\n", why);
    } else {
        *code = 200;
        snprintf(body, size, "serving\n");
    }
    return true;
}

weft_status weft__server_health_open(weft_server *s)
{
    weft__http_server_conf conf = {.max_connections =
                                       s->conf.max_http_connections,
                                   .request_ms = s->conf.http_request_ms,
                                   .idle_ms = HTTP_IDLE_MS,
                                   .max_header_bytes = 16384,
                                   .max_headers = 64,
                                   .max_body_bytes = 4096,
                                   .public_paths = s->conf.http_public};

    return weft__http_server_new(&s->http, s->loop, &conf, on_http, s);
}
