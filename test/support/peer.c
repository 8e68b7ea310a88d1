/* peer.c - a server that the test plays by hand. */
#include "support.h"

#include "peer.h"

#include <stdio.h>
#include <string.h>

uint64_t peer_sum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + p[i];
    return sum;
}

static void copy_text(char *out, size_t size, weft__slice s)
{
    snprintf(out, size, "%.*s", (int)s.len, (const char *)s.data);
}

static int index_of(const peer *p, const weft__conn *conn)
{
    for (int i = 0; i < p->n_conns; i++)
        if (p->conns[i] == conn)
            return i;
    return -1;
}

static void note_call(peer *p, weft__conn *conn, const weft__wire_event *e)
{
    peer_call *c = &p->calls[p->n_calls++];
    size_t at = 0;

    assert_true(p->n_calls <= PEER_CALLS);
    *c = (peer_call){.conn = conn,
                     .conn_index = index_of(p, conn),
                     .stream = e->stream,
                     .timeout_ms = e->timeout_ms,
                     .one_way = e->kind == WEFT__ONE_WAY};
    copy_text(c->path, sizeof(c->path), e->path);
    copy_text(c->trace, sizeof(c->trace), e->trace);
    c->payload_len = e->payload.len;
    c->payload_sum = peer_sum(e->payload.data, e->payload.len);
    memcpy(c->payload, e->payload.data,
           e->payload.len < sizeof(c->payload) ? e->payload.len
                                               : sizeof(c->payload));
    for (size_t i = 0; i < e->n_metadata; i++)
        at += (size_t)snprintf(c->metadata + at, sizeof(c->metadata) - at,
                               "%.*s=%.*s;", (int)e->metadata[i].key.len,
                               (const char *)e->metadata[i].key.data,
                               (int)e->metadata[i].value.len,
                               (const char *)e->metadata[i].value.data);
}

static void on_event(weft__conn *conn, const weft__wire_event *e, void *user)
{
    peer *p = user;

    if (e->parts & WEFT__HEADERS)
        note_call(p, conn, e);
    if (e->parts & WEFT__RESET) {
        p->n_resets++;
        p->last_reset = e->status;
    }
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    peer *p = user;
    int i = index_of(p, conn);

    (void)status, (void)why;
    p->conns[i] = NULL;
    p->n_open--;
    for (int c = 0; c < p->n_calls; c++)
        if (p->calls[c].conn == conn)
            p->calls[c].conn = NULL;
    if (p->listener != NULL)
        weft__listener_conn_gone(p->listener);
}

static void on_ready(weft__conn *conn, void *user)
{
    (void)conn, (void)user;
}

static const weft__conn_handler conn_handler = {
    .on_ready = on_ready, .on_event = on_event, .on_closed = on_closed};

static bool on_native(weft__listener *l, void **conn_user, void *user)
{
    (void)l;
    *conn_user = user;
    return true;
}

static void on_conn(weft__listener *l, weft__conn *conn, void *conn_user,
                    void *user)
{
    peer *p = user;

    (void)l, (void)conn_user;
    if (conn == NULL) /* out of memory, which a test may have ordered */
        return;
    assert_true(p->n_conns < PEER_CONNS);
    p->conns[p->n_conns++] = conn;
    p->n_open++;
}

void peer_open(peer *p, weft_loop *loop, const char *uri)
{
    static const weft__listener_handler handler = {.on_native = on_native,
                                                   .on_conn = on_conn};
    const char *why = "";
    char text[WEFT_ADDRESS_TEXT];

    memset(p, 0, sizeof(*p));
    p->loop = loop;
    p->conf = (weft__conn_conf){.handler = &conn_handler,
                                .wire = &weft__native_wire,
                                .wire_conf = {.server = true,
                                              .max_frame_bytes = 4 << 20,
                                              .max_metadata = 64,
                                              .max_metadata_bytes = 16384,
                                              .max_in_flight = 1000},
                                .connect_ms = WEFT_OFF,
                                .handshake_ms = WEFT_OFF,
                                .idle_ms = WEFT_OFF,
                                .keepalive_ms = WEFT_OFF,
                                .keepalive_timeout_ms = WEFT_OFF,
                                .stall_ms = WEFT_OFF,
                                .linger_ms = 1000,
                                .max_unsent_bytes = 8 << 20,
                                .frames_per_wakeup = 256};
    if (weft__listener_open(&p->listener, loop, uri,
                            &(weft__listener_conf){.conn = &p->conf,
                                                   .backlog = 64,
                                                   .max_connections = 64,
                                                   .accepts_per_wakeup = 16},
                            &handler, p, &why) != WEFT_OK)
        fail_msg("%s: %s", uri, why);
    weft__listener_release(p->listener);
    weft_address_format(weft__listener_address(p->listener), text,
                        sizeof(text));
    snprintf(p->uri, sizeof(p->uri), "%s", text);
}

static void respond(peer *p, int i, const weft__wire_response *response)
{
    assert_true(i < p->n_calls);
    assert_false(p->calls[i].ended);
    assert_non_null(p->calls[i].conn);
    p->calls[i].ended = true;
    assert_int_equal(
        weft__conn_respond(p->calls[i].conn, p->calls[i].stream, response),
        WEFT_OK);
}

void peer_reply_bytes(peer *p, int i, const void *data, size_t len)
{
    respond(p, i,
            &(weft__wire_response){.payload = {.data = data, .len = len}});
}

void peer_reply(peer *p, int i, const char *msg)
{
    uint8_t bytes[128];
    size_t len = strlen(msg);

    assert_true(len < 120);
    bytes[0] = 0x0a;
    bytes[1] = (uint8_t)len;
    memcpy(bytes + 2, msg, len);
    peer_reply_bytes(p, i, bytes, len + 2);
}

void peer_fail(peer *p, int i, weft_status status, const char *message)
{
    respond(p, i,
            &(weft__wire_response){
                .status = status,
                .message = {(const uint8_t *)message, strlen(message)}});
}

void peer_reset(peer *p, int i, weft_status status)
{
    p->calls[i].ended = true;
    weft__conn_reset(p->calls[i].conn, p->calls[i].stream, status);
}

void peer_goaway(peer *p, int conn, const char *text)
{
    weft__conn_goaway(p->conns[conn], WEFT_UNAVAILABLE, text);
}

void peer_drop(peer *p, int conn)
{
    weft__conn_abort(p->conns[conn], WEFT_OK, "dropped by the test");
}

void peer_close(peer *p)
{
    for (int i = 0; i < p->n_conns; i++)
        if (p->conns[i] != NULL)
            weft__conn_abort(p->conns[i], WEFT_OK, "closed by the test");
    weft__listener_close(p->listener);
    p->listener = NULL;
}
