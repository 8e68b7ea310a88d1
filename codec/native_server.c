/* native_server.c - the native wire of a server.
 *
 * What cannot be a call is refused here, each by itself, so that the rest of
 * the connection is not disturbed: version 1 gets a reset that says
 * "unprocessed", version 0 the reply that gorpc would give. */
#include "native_internal.h"

/* gorpc's own refusals. */
enum { GORPC_SERVER_ERROR = 100, GORPC_CLIENT_ERROR = 301 };

uint32_t weft__server_in_flight(const weft__native *w)
{
    return weft__idset_count(&w->calls) + weft__v0_open(w);
}

/* As gorpc has it: "/service/method", cut at the last slash. */
static bool path_valid(weft__slice path)
{
    return path.len >= 2 && path.data[0] == '/' &&
           memrchr(path.data + 1, '/', path.len - 1) != NULL;
}

static const char *compression_text(uint8_t compression)
{
    switch (compression) {
    case WEFT__GZIP:
        return "compression gzip is not supported";
    case WEFT__ZSTD:
        return "compression zstd is not supported";
    default:
        return "the compression is not known";
    }
}

static inline void emit_call(weft__wire_event *event)
{
    event->parts = WEFT__HEADERS | WEFT__MESSAGE | WEFT__END;
    event->input->sink(event->input->user, event);
}

static void emit_refused(weft__wire_event *event)
{
    event->parts = WEFT__REFUSED;
    event->input->sink(event->input->user, event);
}

/* Why a version 1 frame that begins a call cannot be one; OK: it can. */
static weft_status judge(weft__native *w, const weft__frame *frame,
                         const uint8_t *body, weft__envelope *env)
{
    weft_status status;

    if (w->going) {
        env->why = "not processed: the server had said go-away";
        return WEFT_UNAVAILABLE;
    }
    if (frame->compress != WEFT__IDENTITY) {
        env->why = compression_text(frame->compress);
        return WEFT_UNIMPLEMENTED;
    }
    switch (frame->req_type & WEFT__KIND_MASK) {
    case WEFT__UNARY:
    case WEFT__ONE_WAY:
        break;
    case WEFT__CLIENT_STREAM:
    case WEFT__SERVER_STREAM:
    case WEFT__BIDI_STREAM:
        env->why = "streams are not implemented";
        return WEFT_UNIMPLEMENTED;
    default:
        env->why = "the kind of call is not known";
        return WEFT_UNIMPLEMENTED;
    }
    if (weft__server_in_flight(w) >= w->wire.conf->max_in_flight) {
        env->why = "over max_in_flight_per_connection calls";
        return WEFT_RESOURCE_EXHAUSTED;
    }
    status = weft__request_decode(env, body, frame->length);
    if (status != WEFT_OK)
        return status == WEFT_ELIMIT ? WEFT_RESOURCE_EXHAUSTED
                                     : WEFT_INVALID_ARGUMENT;
    if (!path_valid(env->event.path)) {
        env->why = "the path is not /service/method";
        return WEFT_INVALID_ARGUMENT;
    }
    return WEFT_OK;
}

/* Tells the peer, and the owner for its statistics. */
static WEFT__COLD weft_status refuse(weft__native *w, weft__envelope *env,
                                     weft_status status)
{
    weft__wire_event event = {.stream = env->event.stream,
                              .input = env->event.input,
                              .kind = env->event.kind,
                              .path = env->event.path,
                              .status = status,
                              .raw_code = (uint32_t)status,
                              .message = weft__text(env->why)};
    weft__reason reason = {
        .code = (uint32_t)status, .text = event.message, .unprocessed = true};

    /* Nobody waits for the outcome of a one-way call. */
    if (event.kind != WEFT__ONE_WAY &&
        (status = weft__native_send_reason(w, WEFT__FRAME_RESET, event.stream,
                                           &reason)) != WEFT_OK)
        return status;
    w->last_id = event.stream;
    emit_refused(&event);
    return WEFT_OK;
}

weft_status weft__server_data(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in)
{
    uint8_t kind = frame->req_type & WEFT__KIND_MASK;
    weft__pair pairs[WEFT__MAX_PAIRS];
    weft__envelope env = weft__native_envelope(w, pairs, frame->id, in);
    weft_status status;

    if (frame->id <= w->last_id) {
        if (kind <= WEFT__ONE_WAY)
            return weft__native_fail(w, WEFT__NATIVE_OLD_ID);
        w->strays++; /* more of a stream that was refused */
        return WEFT_OK;
    }
    env.event.kind = (weft__call_kind)kind;
    if ((status = judge(w, frame, body, &env)) != WEFT_OK)
        return refuse(w, &env, status);
    if ((status = weft__idset_reserve(&w->calls)) != WEFT_OK)
        return status;
    weft__idset_add(&w->calls, frame->id, kind == WEFT__ONE_WAY);
    w->last_id = frame->id;
    emit_call(&env.event);
    return WEFT_OK;
}

/* What gorpc would answer by itself; raw_code 0: nothing, it is a call. */
static void judge_v0(weft__native *w, const weft__frame *frame,
                     const uint8_t *body, weft__envelope *env,
                     weft__wire_response *answer)
{
    weft_status status = weft__request_decode(env, body, frame->length);

    if (status == WEFT_ELIMIT) {
        answer->raw_code = WEFT_RESOURCE_EXHAUSTED;
    } else if (status == WEFT_OK && !path_valid(env->event.path)) {
        answer->raw_code = GORPC_CLIENT_ERROR;
        env->why = "method is invalid";
    } else if (status != WEFT_OK || env->event.payload.len == 0) {
        answer->raw_code = GORPC_SERVER_ERROR;
        env->why = "server internal error";
    } else if (weft__server_in_flight(w) >= w->wire.conf->max_in_flight) {
        answer->raw_code = WEFT_RESOURCE_EXHAUSTED;
        env->why = "over max_in_flight_per_connection calls";
    }
    if (answer->raw_code != 0) {
        answer->status = weft_status_from_gorpc(answer->raw_code);
        answer->message = weft__text(env->why);
    }
}

weft_status weft__server_v0(weft__native *w, const weft__frame *frame,
                            const uint8_t *body, weft__wire_input *in)
{
    weft__pair pairs[WEFT__MAX_PAIRS];
    weft__envelope env = weft__native_envelope(w, pairs, 0, in);
    weft__wire_response answer = {0};
    weft_status status;
    uint64_t number;

    /* Refused calls wait for their turn too, which must not cost without end.
     */
    if (weft__v0_pending(w) >= 64 + 2 * (uint64_t)w->wire.conf->max_in_flight)
        return weft__native_fail(w, WEFT__NATIVE_PIPELINED);
    judge_v0(w, frame, body, &env, &answer);
    if ((status = weft__v0_push(w, &number)) != WEFT_OK)
        return status;
    if (answer.raw_code == 0) {
        if (w->version == -1)
            w->version = 0;
        env.event.stream = WEFT__V0_ID | number;
        env.event.v0 = true;
        env.event.timeout_ms = 0; /* gorpc's requests name none */
        emit_call(&env.event);
        return WEFT_OK;
    }
    if ((status = weft__v0_answer(w, number, &answer)) != WEFT_OK) {
        weft__v0_undo(w);
        return status;
    }
    if (w->version == -1)
        w->version = 0;

    weft__wire_event event = {.stream = WEFT__V0_ID | number,
                              .input = in,
                              .v0 = true,
                              .path = env.event.path,
                              .status = answer.status,
                              .raw_code = answer.raw_code,
                              .message = answer.message};

    emit_refused(&event);
    return WEFT_OK;
}

void weft__server_reset_frame(weft__native *w, const weft__frame *frame,
                              const uint8_t *body, weft__wire_input *in)
{
    weft__wire_event event = {
        .parts = WEFT__RESET, .input = in, .stream = frame->id};
    weft__reason reason;

    if (!weft__idset_remove(&w->calls, frame->id)) {
        w->strays++; /* answered in the meantime, most likely */
        return;
    }
    weft__reason_decode(&reason, body, frame->length);
    event.status = reason.code >= 1 && reason.code <= 16
                       ? (weft_status)reason.code
                       : WEFT_CANCELLED;
    event.raw_code = reason.code;
    event.message = reason.text;
    in->sink(in->user, &event);
}

weft_status weft__server_respond(weft__wire *wire, weft__stream_id stream,
                                 const weft__wire_response *response)
{
    weft__native *w = (weft__native *)wire;
    const weft__payload *payload = &response->payload;
    bool ok = response->status == WEFT_OK;
    weft__slice lent = {0};
    weft__response_head head = {
        .response = response, .message = response->message, .has_payload = ok};
    weft__frame frame = {.version = 1, .id = stream};
    size_t head_size, copied;
    weft_status status;
    uint64_t *found;
    uint8_t *p;

    if (response->compression != WEFT__IDENTITY)
        return WEFT_ENOTSUP;
    if ((stream & WEFT__V0_ID) != 0)
        return weft__v0_answer(w, stream & (WEFT__V0_ID - 1), response);
    if ((found = weft__idset_find(&w->calls, stream)) == NULL)
        return WEFT_ENOENT;
    if (weft__idset_bit(found)) { /* one-way: nobody waits for it */
        weft__idset_remove_found(&w->calls, found);
        weft__payload_done(payload);
        return WEFT_OK;
    }
    if (ok) {
        head.payload_len = payload->len;
        lent = weft__payload_lent(payload);
    } else {
        head.code = (uint32_t)weft_status_to_rpc(response->status);
    }
    if ((status = weft__response_head_size(&head, &head_size)) != WEFT_OK)
        return status;
    if (head_size + head.payload_len > w->peer_frame_bytes)
        return WEFT_ELIMIT;

    frame.length = (uint32_t)(head_size + head.payload_len);
    copied = WEFT__FRAME_HEADER + head_size + head.payload_len - lent.len;
    if ((p = weft__outq_reserve(&w->wire.out, copied)) == NULL)
        return WEFT_ENOMEM;
    p = weft__response_head_put(weft__frame_put(p, &frame), &head);
    if (!ok)
        weft__payload_done(payload);
    else if ((status = weft__payload_queue(w, p, payload, payload->len, lent,
                                           copied)) != WEFT_OK)
        return status;
    weft__idset_remove_found(&w->calls, found);
    return WEFT_OK;
}

void weft__server_reset(weft__native *w, weft__stream_id stream,
                        weft_status why)
{
    weft__reason reason = {.code = (uint32_t)weft_status_to_rpc(why),
                           .text = weft__text(weft_status_text(why)),
                           .unprocessed = why == WEFT_UNAVAILABLE};
    weft__wire_response answer = {.status = why, .message = reason.text};
    weft_status status;
    uint64_t *found;
    bool one_way;

    if ((stream & WEFT__V0_ID) != 0) {
        status = weft__v0_answer(w, stream & (WEFT__V0_ID - 1), &answer);
    } else {
        if ((found = weft__idset_find(&w->calls, stream)) == NULL)
            return;
        one_way = weft__idset_bit(found);
        weft__idset_remove_found(&w->calls, found);
        status = one_way ? WEFT_OK
                         : weft__native_send_reason(w, WEFT__FRAME_RESET,
                                                    stream, &reason);
    }
    /* A client that is never told would wait for ever. */
    if (status == WEFT_ENOMEM)
        weft__native_fail(w, WEFT__NATIVE_UNANSWERED);
}
