/* native_client.c - the native wire of a client.
 *
 * The probe goes out first and nothing else until it is answered: a version 1
 * answer brings the server's settings, a version 0 answer says that the server
 * is gorpc's, which then gets one call at a time. */
#include "native_internal.h"

uint32_t weft__client_in_flight(const weft__native *w)
{
    return weft__idset_count(&w->sent.ids);
}

WEFT__INLINE uint32_t window(const weft__native *w)
{
    uint32_t n = weft__idset_count(&w->sent.ids);

    if (!w->ready || w->going || w->goaway_received ||
        w->fault != WEFT__NATIVE_ALIVE || w->last_id >= WEFT__MAX_ID)
        return 0;
    if (w->version == 0)
        return n == 0;
    return w->peer_in_flight > n ? w->peer_in_flight - n : 0;
}

uint32_t weft__client_window(const weft__native *w)
{
    return window(w);
}

weft_status weft__client_start(weft__wire *wire)
{
    weft__frame probe = {.version = 1, .type = WEFT__FRAME_HEARTBEAT};

    return weft__native_send((weft__native *)wire, &probe, NULL);
}

weft_status weft__client_request(weft__wire *wire,
                                 const weft__wire_request *request,
                                 weft__stream_id *stream)
{
    weft__native *w = (weft__native *)wire;
    const weft__payload *payload = &request->payload;
    weft__slice lent = weft__payload_lent(payload);
    weft__request_head head = {
        .request = request, .payload_len = payload->len, .v0 = w->version == 0};
    weft__frame frame = {0};
    size_t head_size, copied;
    weft_status status;
    uint8_t *p;

    if (window(w) == 0)
        return WEFT_EAGAIN;
    if (request->kind > WEFT__ONE_WAY ||
        request->compression != WEFT__IDENTITY ||
        (head.v0 && request->kind != WEFT__UNARY))
        return WEFT_ENOTSUP;
    if (head.v0 && payload->len == 0 &&
        weft__is_protobuf(request->content_type))
        head.payload_len = WEFT__V0_FILLER_BYTES;
    if ((status = weft__request_head_size(&head, &head_size)) != WEFT_OK)
        return status;
    if (head_size + head.payload_len >
        (head.v0 ? WEFT__V0_MAX_BODY : w->peer_frame_bytes))
        return WEFT_ELIMIT;
    if ((status = weft__idmap_reserve(&w->sent)) != WEFT_OK)
        return status;

    frame.length = (uint32_t)(head_size + head.payload_len);
    if (!head.v0) {
        frame.version = 1;
        frame.req_type = (uint8_t)request->kind;
        frame.id = w->last_id + 1;
    }
    copied = WEFT__FRAME_HEADER + head_size + head.payload_len - lent.len;
    if ((p = weft__outq_reserve(&w->wire.out, copied)) == NULL)
        return WEFT_ENOMEM;
    p = weft__request_head_put(weft__frame_put(p, &frame), &head);
    status = weft__payload_queue(w, p, payload, head.payload_len, lent, copied);
    if (status != WEFT_OK)
        return status;

    *stream = ++w->last_id;
    if (request->kind == WEFT__UNARY)
        weft__idmap_add(&w->sent, w->last_id, request->user);
    return WEFT_OK;
}

void weft__client_reset(weft__native *w, weft__stream_id stream,
                        weft_status why)
{
    weft__reason reason = {.code = (uint32_t)weft_status_to_rpc(why)};
    void *user;

    if (w->version == 0) {
        if (weft__idset_find(&w->sent.ids, stream) != NULL)
            w->v0_abandoned = true;
        return;
    }
    /* If there is no memory to say it, the server finishes a call for nobody.
     */
    if (weft__idmap_remove(&w->sent, stream, &user))
        (void)weft__native_send_reason(w, WEFT__FRAME_RESET, stream, &reason);
}

/* A reply whose envelope we cannot take ends its call like any other failure.
 */
static WEFT__COLD void refuse(const weft__envelope *env, weft_status status)
{
    weft__wire_event event = {.parts = WEFT__END,
                              .stream = env->event.stream,
                              .user = env->event.user,
                              .input = env->event.input,
                              .v0 = env->event.v0,
                              .status = status == WEFT_ELIMIT
                                            ? WEFT_RESOURCE_EXHAUSTED
                                            : WEFT_INTERNAL,
                              .message = weft__text(env->why)};

    event.input->sink(event.input->user, &event);
}

/* A reply, by the status that its code stands for. */
static inline void end(weft__wire_event *event, weft_status status)
{
    event->parts = WEFT__END;
    event->status = status;
    if (status == WEFT_OK)
        event->parts |= WEFT__MESSAGE;
    else
        event->payload = (weft__slice){NULL, 0};
    event->input->sink(event->input->user, event);
}

void weft__client_data(weft__native *w, const weft__frame *frame,
                       const uint8_t *body, weft__wire_input *in)
{
    weft__pair pairs[WEFT__MAX_PAIRS];
    weft__envelope env = weft__native_envelope(w, pairs, frame->id, in);
    uint32_t code;
    weft_status status;

    if (!weft__idmap_remove(&w->sent, frame->id, &env.event.user)) {
        w->strays++;
        return;
    }
    if (frame->compress != WEFT__IDENTITY) {
        env.why = "the reply is compressed, which was not asked for";
        refuse(&env, WEFT_EPROTO);
        return;
    }
    status = weft__response_decode(&env, body, frame->length);
    if (status != WEFT_OK) {
        refuse(&env, status);
        return;
    }
    code = env.event.raw_code;
    end(&env.event, code <= 16 ? (weft_status)code : WEFT_UNKNOWN);
}

void weft__client_v0(weft__native *w, const weft__frame *frame,
                     const uint8_t *body, weft__wire_input *in)
{
    weft__pair pairs[WEFT__MAX_PAIRS];
    weft__envelope env = weft__native_envelope(w, pairs, 0, in);
    weft__wire_event *event = &env.event;
    weft_status status;
    bool abandoned = w->v0_abandoned;

    event->v0 = true;
    if (w->version == -1) { /* "method is invalid": the answer to the probe */
        w->version = 0;
        w->ready = true;
        event->parts = WEFT__READY;
        event->input->sink(event->input->user, event);
        return;
    }
    event->stream = w->sent.ids.one;
    if (w->version != 0 ||
        !weft__idmap_remove(&w->sent, event->stream, &event->user)) {
        w->strays++;
        return;
    }
    w->v0_abandoned = false;
    if (abandoned) {
        event->user = NULL;
        event->parts = WEFT__DISCARDED; /* the window is open again */
        event->input->sink(event->input->user, event);
        return;
    }
    status = weft__response_decode(&env, body, frame->length);
    if (status != WEFT_OK) {
        refuse(&env, status);
        return;
    }
    if (event->payload.len == WEFT__V0_FILLER_BYTES &&
        memcmp(event->payload.data, weft__v0_filler, WEFT__V0_FILLER_BYTES) ==
            0)
        event->payload.len = 0;
    end(event, weft_status_from_gorpc(event->raw_code));
}

void weft__client_reset_frame(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in)
{
    weft__wire_event event = {
        .parts = WEFT__RESET, .input = in, .stream = frame->id};
    weft__reason reason;

    if (!weft__idmap_remove(&w->sent, frame->id, &event.user)) {
        w->strays++;
        return;
    }
    weft__reason_decode(&reason, body, frame->length);
    /* A call cannot be given up with success. */
    event.status = reason.code >= 1 && reason.code <= 16
                       ? (weft_status)reason.code
                       : WEFT_UNKNOWN;
    event.raw_code = reason.code;
    event.message = reason.text;
    event.unprocessed = reason.unprocessed;
    in->sink(in->user, &event);
}
