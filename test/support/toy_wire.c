#include "toy_wire.h"

#include <string.h>

typedef struct toy {
    weft__wire wire;
    bool server;
    const char *why;
    uint32_t max_frame;
    unsigned last, in_flight;
    weft__stream_id given_up; /* the last one; its answer is dropped */
    bool ready, going, gone;
} toy;

void toy_header(uint8_t *out, char type, unsigned stream, size_t len)
{
    out[0] = 0x11;
    out[1] = (uint8_t)type;
    out[2] = (uint8_t)(stream >> 8);
    out[3] = (uint8_t)stream;
    out[4] = (uint8_t)(len >> 24);
    out[5] = (uint8_t)(len >> 16);
    out[6] = (uint8_t)(len >> 8);
    out[7] = (uint8_t)len;
}

static weft_status put(toy *t, char type, unsigned stream,
                       const weft__payload *payload)
{
    size_t len = payload != NULL ? payload->len : 0;
    bool ref = len > 65536 && payload->release != NULL;
    uint8_t *p = weft__outq_reserve(&t->wire.out, TOY_HEADER + (ref ? 0 : len));

    if (p == NULL)
        return WEFT_ENOMEM;
    toy_header(p, type, stream, len);
    if (ref) {
        weft_status status = weft__outq_ref(&t->wire.out, payload->data, len,
                                            payload->release, payload->arg);

        if (status != WEFT_OK)
            weft__outq_trim(&t->wire.out, TOY_HEADER);
        return status;
    }
    if (len > 0)
        memcpy(p + TOY_HEADER, payload->data, len);
    if (payload != NULL && payload->release != NULL)
        payload->release(payload->arg);
    return WEFT_OK;
}

static weft_status init(weft__wire *wire)
{
    toy *t = (toy *)wire;

    t->server = wire->conf->server;
    t->max_frame = wire->conf->max_frame_bytes;
    return WEFT_OK;
}

static void fini(weft__wire *wire)
{
    (void)wire;
}

static weft_status start(weft__wire *wire)
{
    return put((toy *)wire, 'H', 0, NULL);
}

static weft_status frame(toy *t, weft__wire_input *input, const uint8_t *p,
                         size_t len)
{
    weft__wire_event event = {.input = input,
                              .stream = (weft__stream_id)(p[2] << 8 | p[3]),
                              .payload = {p + TOY_HEADER, len}};

    switch (p[1]) {
    case 'H':
        if (put(t, 'W', 0, NULL) != WEFT_OK)
            return WEFT_ENOMEM;
        event.parts = WEFT__READY;
        break;
    case 'W':
        event.parts = WEFT__READY;
        t->ready = true;
        break;
    case 'Q':
        event.parts = WEFT__HEADERS | WEFT__MESSAGE | WEFT__END;
        t->in_flight++;
        break;
    case 'A':
        event.parts = WEFT__MESSAGE | WEFT__END;
        t->in_flight--;
        if (event.stream == t->given_up)
            return WEFT_OK;
        break;
    case 'P':
        return put(t, 'O', 0, NULL);
    case 'O':
        event.parts = WEFT__PONG;
        break;
    case 'G':
        event.parts = WEFT__GOAWAY;
        t->gone = true;
        break;
    default:
        t->why = "an unknown frame";
        (void)put(t, 'G', 0, NULL);
        return WEFT_EPROTO;
    }
    input->sink(input->user, &event);
    return WEFT_OK;
}

static weft_status feed(weft__wire *wire, weft__wire_input *in)
{
    toy *t = (toy *)wire;

    in->consumed = in->need = 0;
    in->block_taken = false;
    for (uint32_t n = 0; in->consumed < in->len; n++) {
        const uint8_t *p = in->data + in->consumed;
        size_t left = in->len - in->consumed, len;
        weft_status status;

        if (wire->paused || in->block_taken ||
            (in->max_frames != 0 && n == in->max_frames))
            return WEFT_OK;
        in->need = TOY_HEADER;
        if (left < TOY_HEADER)
            return WEFT_OK;
        len =
            (size_t)p[4] << 24 | (size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7];
        if (len > t->max_frame)
            return WEFT_ELIMIT;
        in->need = TOY_HEADER + len;
        if (left < in->need)
            return WEFT_OK;
        in->consumed += in->need;
        in->last = in->need;
        in->need = 0;
        status = frame(t, in, p, len);
        if (status == WEFT_ENOMEM)
            in->consumed -= TOY_HEADER + len;
        if (status != WEFT_OK)
            return status;
    }
    return WEFT_OK;
}

static weft_status request(weft__wire *wire, const weft__wire_request *request,
                           weft__stream_id *stream)
{
    toy *t = (toy *)wire;
    weft_status status;

    if (!t->ready)
        return WEFT_EAGAIN;
    status = put(t, 'Q', t->last + 1, &request->payload);
    if (status != WEFT_OK)
        return status;
    *stream = ++t->last;
    t->in_flight++;
    return WEFT_OK;
}

static weft_status respond(weft__wire *wire, weft__stream_id stream,
                           const weft__wire_response *response)
{
    toy *t = (toy *)wire;
    weft_status status = put(t, 'A', (unsigned)stream, &response->payload);

    if (status == WEFT_OK)
        t->in_flight--;
    return status;
}

static void reset(weft__wire *wire, weft__stream_id stream, weft_status why)
{
    (void)why;
    ((toy *)wire)->given_up = stream;
}

static void goaway(weft__wire *wire, weft_status why, const char *text)
{
    toy *t = (toy *)wire;

    (void)why;
    (void)text;
    t->going = put(t, 'G', t->last, NULL) == WEFT_OK;
}

static bool ping(weft__wire *wire)
{
    (void)put((toy *)wire, 'P', 0, NULL);
    return true;
}

static bool no_ping(weft__wire *wire)
{
    (void)wire;
    return false;
}

static void info(const weft__wire *wire, weft__wire_info *out)
{
    const toy *t = (const toy *)wire;

    *out = (weft__wire_info){.version = 1,
                             .max_frame_bytes = TOY_MAX_FRAME,
                             .window = t->ready ? 1000 : 0,
                             .in_flight = t->in_flight,
                             .goaway_received = t->gone,
                             .goaway_sent = t->going,
                             .why = t->why};
}

static void trim(weft__wire *wire)
{
    (void)wire;
}

#define TOY(ping_fn)                                                           \
    {                                                                          \
        .name = "toy", .size = sizeof(toy), .init = init, .fini = fini,        \
        .start = start, .feed = feed, .request = request, .respond = respond,  \
        .reset = reset, .goaway = goaway, .ping = ping_fn, .info = info,       \
        .trim = trim                                                           \
    }

const weft__wire_ops toy_wire = TOY(ping);
const weft__wire_ops toy_wire_without_ping = TOY(no_ping);
