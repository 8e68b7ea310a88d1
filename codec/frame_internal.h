/* frame_internal.h - the 15 bytes in front of every frame (docs/protocol.md,
 * "Frame"). */
#ifndef WEFT_FRAME_INTERNAL_H
#define WEFT_FRAME_INTERNAL_H

#include <stdint.h>
#include <string.h>

#define WEFT__FRAME_MAGIC 0x11
#define WEFT__FRAME_HEADER 15
#define WEFT__V0_MAX_BODY (4u << 20) /* what gorpc peers accept */
#define WEFT__MAX_ID ((UINT64_C(1) << 48) - 1)

enum {
    WEFT__FRAME_DATA = 0,
    WEFT__FRAME_HEARTBEAT = 1,
    WEFT__FRAME_RESET = 2,
    WEFT__FRAME_GOAWAY = 3,
    WEFT__FRAME_WINDOW = 4
};

enum {
    WEFT__KIND_MASK = 0x0f,  /* data: weft__call_kind */
    WEFT__FLAG_END = 0x80,   /* data: the last one of this side */
    WEFT__FLAG_ANSWER = 0x01 /* heartbeat: wants no answer, is one */
};

typedef struct weft__frame {
    uint8_t version, type, req_type,
        compress;    /* as on the wire, copied whole */
    uint32_t length; /* of the body */
    uint64_t id;     /* 48 bits: stream_id << 32 | reserved */
} weft__frame;

static inline uint16_t weft__get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap16(v);
#endif
    return v;
}

static inline void weft__put16(uint8_t *p, uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap16(v);
#endif
    memcpy(p, &v, sizeof(v));
}

static inline uint32_t weft__get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline void weft__put32(uint8_t *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, sizeof(v));
}

/* p has WEFT__FRAME_HEADER bytes, the first of which is the magic. */
static inline void weft__frame_get(const uint8_t *p, weft__frame *f)
{
    memcpy(f, p + 1, 4);
    f->length = weft__get32(p + 7);
    f->id = (uint64_t)weft__get16(p + 5) << 32 | weft__get32(p + 11);
}

/* Returns the byte behind the header. */
static inline uint8_t *weft__frame_put(uint8_t *p, const weft__frame *f)
{
    p[0] = WEFT__FRAME_MAGIC;
    memcpy(p + 1, f, 4);
    weft__put16(p + 5, (uint16_t)(f->id >> 32));
    weft__put32(p + 7, f->length);
    weft__put32(p + 11, (uint32_t)f->id);
    return p + WEFT__FRAME_HEADER;
}

#endif /* WEFT_FRAME_INTERNAL_H */
