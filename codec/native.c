/* native.c - the native wire: framing, heartbeats, go-away (docs/protocol.md).
 */
#include "native_internal.h"

#include <string.h>
#include <weft/arena_internal.h>

const uint8_t weft__v0_filler[WEFT__V0_FILLER_BYTES] = {0xf8, 0xff, 0xff,
                                                        0xff, 0x0f, 0x00};

static weft__native *native(weft__wire *wire)
{
    return (weft__native *)wire;
}

weft_status weft__native_send(weft__native *w, const weft__frame *frame,
                              const void *body)
{
    uint8_t *p =
        weft__outq_reserve(&w->wire.out, WEFT__FRAME_HEADER + frame->length);

    if (p == NULL)
        return WEFT_ENOMEM;
    p = weft__frame_put(p, frame);
    if (body != NULL)
        memcpy(p, body, frame->length);
    return WEFT_OK;
}

weft_status weft__native_send_reason(weft__native *w, uint8_t type, uint64_t id,
                                     const weft__reason *reason)
{
    weft__frame frame = {.version = 1,
                         .type = type,
                         .id = id,
                         .length = (uint32_t)weft__reason_size(reason)};
    uint8_t *p =
        weft__outq_reserve(&w->wire.out, WEFT__FRAME_HEADER + frame.length);

    if (p == NULL)
        return WEFT_ENOMEM;
    weft__reason_put(weft__frame_put(p, &frame), reason);
    return WEFT_OK;
}

static const struct {
    weft_status status;
    const char *why;
} faults[] = {
#define WEFT__FAULT(name, status, why) {status, why},
    WEFT__NATIVE_FAULTS(WEFT__FAULT)
#undef WEFT__FAULT
};

weft_status weft__native_fail(weft__native *w, weft__native_fault fault)
{
    weft_status status = faults[fault].status;
    weft__reason reason = {
        .code = status == WEFT_ELIMIT ? WEFT_RESOURCE_EXHAUSTED : WEFT_INTERNAL,
        .text = weft__text(faults[fault].why)};

    w->fault = (uint8_t)fault;
    if (w->version == 1) /* the connection closes, whether or not it is told */
        (void)weft__native_send_reason(w, WEFT__FRAME_GOAWAY,
                                       w->wire.conf->server ? w->last_id : 0,
                                       &reason);
    return status;
}

weft_status weft__payload_lend(weft__native *w, const weft__payload *payload,
                               weft__slice lent, size_t reserved)
{
    if (weft__outq_ref(&w->wire.out, lent.data, lent.len, payload->release,
                       payload->arg) == WEFT_OK)
        return WEFT_OK;
    weft__outq_trim(&w->wire.out, reserved);
    return WEFT_ENOMEM;
}

static weft_status init(weft__wire *wire)
{
    weft__native *w = native(wire);

    w->version = -1;
    w->peer_frame_bytes = WEFT__V0_MAX_BODY;
    w->peer_in_flight = UINT32_MAX;
    return WEFT_OK;
}

static weft__idset *ids(weft__native *w)
{
    return w->wire.conf->server ? &w->calls : &w->sent.ids;
}

static void fini(weft__wire *wire)
{
    weft__native *w = native(wire);

    weft__idset_fini(ids(w));
    if (w->wire.conf->server)
        weft__v0_fini(w);
}

static weft_status send_goaway(weft__native *w)
{
    weft__reason reason = {.code = (uint32_t)weft_status_to_rpc(w->going_why),
                           .text = weft__text(weft_status_text(w->going_why))};
    weft_status status;

    status = weft__native_send_reason(
        w, WEFT__FRAME_GOAWAY, w->wire.conf->server ? w->last_id : 0, &reason);
    if (status != WEFT_OK)
        return status;
    w->goaway_sent = true;
    return WEFT_OK;
}

static void goaway(weft__wire *wire, weft_status why, const char *text)
{
    weft__native *w = native(wire);
    weft__reason reason = {.code = (uint32_t)weft_status_to_rpc(why)};

    if (w->going)
        return;
    w->going = true;
    w->going_why = (int8_t)why;
    if (w->version != 1)
        return;
    reason.text = weft__text(text != NULL ? text : weft_status_text(why));
    /* A peer that could not be told has its calls refused all the same. */
    (void)weft__native_send_reason(
        w, WEFT__FRAME_GOAWAY, w->wire.conf->server ? w->last_id : 0, &reason);
    w->goaway_sent = true;
}

static uint32_t max_frame_bytes(const weft__wire_conf *conf)
{
    return conf->max_frame_bytes > WEFT__MIN_FRAME_BYTES
               ? conf->max_frame_bytes
               : WEFT__MIN_FRAME_BYTES;
}

static weft_status send_settings(weft__native *w)
{
    weft__settings own = {
        .max_frame_bytes = max_frame_bytes(w->wire.conf),
        .max_in_flight = w->wire.conf->server ? w->wire.conf->max_in_flight : 0,
        .compressions = 1u << WEFT__IDENTITY};
    uint8_t body[WEFT__SETTINGS_MAX];
    weft__frame frame = {.version = 1,
                         .type = WEFT__FRAME_HEARTBEAT,
                         .req_type = WEFT__FLAG_ANSWER};

    frame.length = (uint32_t)(weft__settings_put(body, &own) - body);
    return weft__native_send(w, &frame, body);
}

static void take_settings(weft__native *w, const weft__settings *peer)
{
    w->peer_frame_bytes = peer->max_frame_bytes;
    w->peer_in_flight = peer->max_in_flight;
}

/* The peer asks: our settings the first time, an empty answer from then on. */
static weft_status answer_heartbeat(weft__native *w, const weft__frame *asked)
{
    weft__frame frame = {.version = 1,
                         .type = WEFT__FRAME_HEARTBEAT,
                         .req_type = WEFT__FLAG_ANSWER,
                         .id = asked->id};
    weft_status status;

    if (w->wire.out.bytes > WEFT__PONG_UNSENT_MAX)
        return WEFT_OK;
    if (!w->wire.conf->server || w->settings_sent)
        return weft__native_send(w, &frame, NULL);
    if ((status = send_settings(w)) != WEFT_OK)
        return status;
    w->settings_sent = true;
    /* The drain began before this peer had said what it is. */
    return w->going && !w->goaway_sent ? send_goaway(w) : WEFT_OK;
}

static WEFT__APART weft_status on_heartbeat(weft__native *w,
                                            const weft__frame *frame,
                                            const uint8_t *body,
                                            weft__wire_input *in)
{
    weft__wire_event event = {.parts = WEFT__PONG, .input = in};
    weft__settings peer = {.max_frame_bytes = w->peer_frame_bytes,
                           .max_in_flight = w->peer_in_flight};
    weft_status status;

    if (!weft__settings_decode(&peer, body, frame->length))
        return weft__native_fail(w, WEFT__NATIVE_BAD_SETTINGS);
    if ((frame->req_type & WEFT__FLAG_ANSWER) == 0) {
        if ((status = answer_heartbeat(w, frame)) != WEFT_OK)
            return status;
        take_settings(w, &peer);
        return WEFT_OK;
    }
    if (!w->ready && (!w->wire.conf->server || frame->length != 0)) {
        if (!w->wire.conf->server && (status = send_settings(w)) != WEFT_OK)
            return status;
        w->ready = true;
        event.parts = WEFT__READY;
    }
    take_settings(w, &peer);
    in->sink(in->user, &event);
    return WEFT_OK;
}

static WEFT__COLD void on_goaway(weft__native *w, const weft__frame *frame,
                                 const uint8_t *body, weft__wire_input *in)
{
    weft__wire_event event = {
        .parts = WEFT__GOAWAY, .input = in, .stream = frame->id};
    weft__reason reason;

    weft__reason_decode(&reason, body, frame->length);
    event.raw_code = reason.code;
    event.status = weft_status_to_rpc((int)(reason.code & 0xffff));
    event.message = reason.text;
    w->goaway_received = true;
    if (!w->wire.conf->server)
        weft__idset_remove_above(&w->sent.ids, frame->id);
    in->sink(in->user, &event);
}

static weft_status on_frame(weft__native *w, const weft__frame *frame,
                            const uint8_t *body, weft__wire_input *in)
{
    bool server = w->wire.conf->server;

    /* A version that nobody has defined yet is read as gorpc reads it, unless
     * the peer has shown that it speaks version 1. */
    if (frame->version == 0 || (frame->version > 1 && w->version != 1)) {
        if (server)
            return weft__server_v0(w, frame, body, in);
        weft__client_v0(w, frame, body, in);
        return WEFT_OK;
    }
    if (!server && w->version == 0) {
        w->strays++;
        return WEFT_OK;
    }
    w->version = 1;
    switch (frame->type) {
    case WEFT__FRAME_DATA:
        if (server)
            return weft__server_data(w, frame, body, in);
        weft__client_data(w, frame, body, in);
        return WEFT_OK;
    case WEFT__FRAME_HEARTBEAT:
        return on_heartbeat(w, frame, body, in);
    case WEFT__FRAME_RESET:
        (server ? weft__server_reset_frame
                : weft__client_reset_frame)(w, frame, body, in);
        return WEFT_OK;
    case WEFT__FRAME_GOAWAY:
        on_goaway(w, frame, body, in);
        return WEFT_OK;
    default: /* credit for streams, of which there are none, and what is new */
        return WEFT_OK;
    }
}

static weft_status feed(weft__wire *wire, weft__wire_input *in)
{
    weft__native *w = native(wire);
    uint32_t frames = 0;
    weft__frame frame;
    weft_status status;

    in->consumed = in->need = 0;
    in->block_taken = false;
    if (w->fault != WEFT__NATIVE_ALIVE)
        return faults[w->fault].status;
    while (!wire->paused && in->consumed < in->len) {
        const uint8_t *p = in->data + in->consumed;
        size_t left = in->len - in->consumed, size;

        if (p[0] != WEFT__FRAME_MAGIC)
            return weft__native_fail(w, WEFT__NATIVE_NO_MAGIC);
        if (left < WEFT__FRAME_HEADER) {
            in->need = WEFT__FRAME_HEADER;
            break;
        }
        weft__frame_get(p, &frame);
        if (frame.length > w->wire.conf->max_frame_bytes &&
            frame.length > WEFT__MIN_FRAME_BYTES) {
            if (frame.version == 1)
                w->version = 1; /* it will understand the reason */
            return weft__native_fail(w, WEFT__NATIVE_BIG_FRAME);
        }
        size = WEFT__FRAME_HEADER + (size_t)frame.length;
        if (left < size) {
            in->need = size;
            break;
        }
        in->consumed += size; /* W3 */
        in->last = size;
        status = on_frame(w, &frame, p + WEFT__FRAME_HEADER, in);
        if (status == WEFT_ENOMEM)
            in->consumed -= size;
        if (status != WEFT_OK)
            return status;
        if (w->fault != WEFT__NATIVE_ALIVE)
            return faults[w->fault].status;
        if (in->block_taken || ++frames == in->max_frames)
            break;
    }
    return WEFT_OK;
}

bool weft__wire_take_block(weft__wire_input *in, weft_arena *arena)
{
    if (in->block_taken || in->consumed != in->len ||
        weft__arena_adopt_block(arena, in->block, in->block_bytes) != WEFT_OK)
        return false;
    in->block_taken = true;
    return true;
}

static void reset(weft__wire *wire, weft__stream_id stream, weft_status why)
{
    weft__native *w = native(wire);

    (w->wire.conf->server ? weft__server_reset : weft__client_reset)(w, stream,
                                                                     why);
}

static bool ping(weft__wire *wire)
{
    weft__native *w = native(wire);
    weft__frame frame = {.version = 1, .type = WEFT__FRAME_HEARTBEAT};

    if (w->version != 1)
        return false;
    /* One that could not be sent is not answered, which is what happens to a
     * connection that has no memory to live on. */
    (void)weft__native_send(w, &frame, NULL);
    return true;
}

static void info(const weft__wire *wire, weft__wire_info *out)
{
    const weft__native *w = (const weft__native *)wire;
    bool server = w->wire.conf->server;

    *out = (weft__wire_info){.version = w->version,
                             .max_frame_bytes = w->version == 1
                                                    ? w->peer_frame_bytes
                                                    : WEFT__V0_MAX_BODY,
                             .window = server ? 0 : weft__client_window(w),
                             .in_flight = server ? weft__server_in_flight(w)
                                                 : weft__client_in_flight(w),
                             .goaway_received = w->goaway_received,
                             .goaway_sent = w->going,
                             .strays = w->strays,
                             .why = faults[w->fault].why};
}

static void trim(weft__wire *wire)
{
    weft__idset_trim(ids(native(wire)));
}

const weft__wire_ops weft__native_wire = {
    .name = "native",
    .size = sizeof(weft__native),
    .init = init,
    .fini = fini,
    .start = weft__client_start,
    .feed = feed,
    .request = weft__client_request,
    .respond = weft__server_respond,
    .reset = reset,
    .goaway = goaway,
    .ping = ping,
    .info = info,
    .trim = trim,
};
