/* server_reply.c - what a peer is told: replies that cannot be sent become
 * failures, calls that are not taken are refused. */
#include "server_internal.h"

#include <stdarg.h>

const char weft__v0_failure[] = "server internal error";

const char *weft__printable(weft__slice s, char *buf, size_t size)
{
    size_t i, n = s.len < size - 1 ? s.len : size - 1;

    for (i = 0; i < n; i++) {
        uint8_t c = s.data[i];

        buf[i] = c > ' ' && c < 0x7f && c != '"' ? (char)c : '?';
    }
    buf[n] = '\0';
    return buf;
}

void weft__drop_payload(const weft__wire_response *r)
{
    if (r->payload.release != NULL)
        r->payload.release(r->payload.arg);
}

/* A failure in place of r, which could not be sent; the last resort is to close
 * the connection, for a peer without an answer would wait for ever. */
static void respond_instead(weft__conn *conn, weft__stream_id stream,
                            weft_status status, const char *text)
{
    weft__wire_response r = {.status = status, .message = weft__text(text)};

    status = weft__conn_respond(conn, stream, &r);
    if (status == WEFT_ENOMEM)
        weft__conn_abort(conn, status, "out of memory for a reply");
}

weft_status weft__respond(weft__conn *conn, weft__stream_id stream,
                          const weft__wire_response *r)
{
    weft_status status = weft__conn_respond(conn, stream, r);
    char text[WEFT__FAILURE_TEXT];

    if (status == WEFT_OK)
        return r->status;
    weft__drop_payload(r);
    switch (status) {
    case WEFT_ENOENT: /* reset by the peer */
    case WEFT_ECLOSED:
        return WEFT_CANCELLED;
    case WEFT_ENOMEM:
        respond_instead(conn, stream, WEFT_RESOURCE_EXHAUSTED,
                        "out of memory for the reply");
        return WEFT_RESOURCE_EXHAUSTED;
    case WEFT_ELIMIT:
        snprintf(text, sizeof(text),
                 "reply: a message of %zu bytes is over the peer's frame size",
                 r->payload.len);
        respond_instead(conn, stream, WEFT_RESOURCE_EXHAUSTED, text);
        return WEFT_RESOURCE_EXHAUSTED;
    default:
        snprintf(text, sizeof(text), "reply: %s", weft_status_text(status));
        respond_instead(conn, stream, WEFT_INTERNAL, text);
        return WEFT_INTERNAL;
    }
}

void weft__server_observe(weft_server *s, const char *path, const char *peer,
                          weft_status status, size_t request, size_t reply,
                          uint64_t begun_ns)
{
    weft_observation o = {.server = true,
                          .path = path,
                          .peer = peer,
                          .status = status,
                          .request_bytes = request,
                          .reply_bytes = status == WEFT_OK ? reply : 0};

    o.waiting_us = (weft_loop_now_ns(s->loop) - begun_ns) / 1000;
    weft__observe_emit(s->loop, &o);
}

void weft__server_count_refusal(weft__server_conn *sc,
                                const weft__wire_event *event,
                                weft_status status)
{
    weft_server *s = sc->server;

    s->stats.calls++;
    s->stats.failed++;
    s->stats.refused += status == WEFT_RESOURCE_EXHAUSTED;
    weft__shard_changed(s);
    if (weft__observed(s->loop)) {
        char path[256], peer[WEFT_ADDRESS_TEXT];

        weft__server_observe(
            s, weft__printable(event->path, path, sizeof(path)),
            weft__conn_peer(weft__conn_of(sc), peer, sizeof(peer)), status,
            event->payload.len, 0, weft_loop_now_ns(s->loop));
    }
}

static void refuse(weft__server_conn *sc, const weft__wire_event *event,
                   const weft__wire_response *r)
{
    weft__respond(weft__conn_of(sc), event->stream, r);
    weft__server_count_refusal(sc, event, r->status);
}

void weft__server_refuse(weft__server_conn *sc, const weft__wire_event *event,
                         weft_status status, const char *fmt, ...)
{
    char text[WEFT__FAILURE_TEXT];
    weft__wire_response r = {.status = status};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r.message = weft__text(text);
    refuse(sc, event, &r);
}

void weft__server_refuse_v0(weft__server_conn *sc,
                            const weft__wire_event *event, weft_status status,
                            const char *fmt, ...)
{
    char text[WEFT__FAILURE_TEXT];
    weft__wire_response r = {.status = status};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r.message = weft__text(text);
    if (event->v0) {
        r.message = weft__text(weft__v0_failure);
        r.raw_code = 100;
    }
    refuse(sc, event, &r);
}

void weft__server_refuse_bad_path(weft__server_conn *sc,
                                  const weft__wire_event *event)
{
    char path[128];

    if (!event->v0) {
        weft__server_refuse(sc, event, WEFT_INVALID_ARGUMENT,
                            "request: the path %s is not /service/method",
                            weft__printable(event->path, path, sizeof(path)));
        return;
    }
    refuse(sc, event,
           &(weft__wire_response){.status = WEFT_INVALID_ARGUMENT,
                                  .raw_code = 301,
                                  .message = weft__text("method is invalid")});
}
