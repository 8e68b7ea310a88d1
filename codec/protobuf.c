/* protobuf.c - protobuf-c messages from untrusted bytes: first what it would
 * cost (protobuf_scan.c), then protobuf-c itself with an arena for memory. */
#include <weft/protobuf.h>

#include "protobuf_scan_internal.h"

#define DEFAULT_DEPTH 64
#define DEFAULT_MEMORY ((size_t)64 << 20)
#define DEFAULT_ELEMENTS (4u << 20)

/* Both scan and protobuf-c recurse, at about a kilobyte a level. */
#define MAX_DEPTH 1000

typedef struct arena_allocator {
    ProtobufCAllocator base;
    weft_arena *arena;
    weft_status status; /* why an allocation failed */
} arena_allocator;

static void *arena_alloc(void *data, size_t size)
{
    arena_allocator *a = data;
    void *p = weft_arena_alloc(a->arena, size);

    if (p == NULL)
        a->status =
            a->arena->budget != 0 && size > a->arena->budget - a->arena->used
                ? WEFT_ELIMIT
                : WEFT_ENOMEM;
    return p;
}

static void arena_free(void *data, void *p)
{
    (void)data;
    (void)p; /* goes with the arena */
}

static weft_decode_limits resolve(const weft_decode_limits *limits)
{
    weft_decode_limits l = limits != NULL ? *limits : (weft_decode_limits){0};

    if (l.depth == 0)
        l.depth = DEFAULT_DEPTH;
    if (l.depth > MAX_DEPTH)
        l.depth = MAX_DEPTH;
    if (l.memory == 0)
        l.memory = DEFAULT_MEMORY;
    if (l.max_elements == 0)
        l.max_elements = DEFAULT_ELEMENTS;
    return l;
}

weft_status weft__protobuf_decode(const ProtobufCMessageDescriptor *desc,
                                  const void *data, size_t len,
                                  const weft__decode_limits *limits,
                                  weft_arena *arena, ProtobufCMessage **out,
                                  const char **why)
{
    weft_decode_limits l = resolve(limits);
    arena_allocator a = {.arena = arena, .status = WEFT_EPROTO};
    ProtobufCMessage *message;
    weft_status status;
    uint64_t memory;

    status = weft__protobuf_scan(desc, data, len, &l, &memory, why);
    if (status != WEFT_OK)
        return status;
    a.base = (ProtobufCAllocator){arena_alloc, arena_free, &a};
    message = protobuf_c_message_unpack(desc, &a.base, len, data);
    if (message != NULL) {
        *out = message;
        return WEFT_OK;
    }
    if (a.status == WEFT_EPROTO)
        *why = "a field has a wrong type, or a required one is missing";
    else if (a.status == WEFT_ELIMIT)
        *why = "it takes more memory than the call may have";
    else
        *why = "out of memory";
    return a.status;
}

size_t weft__protobuf_size(const ProtobufCMessage *message)
{
    return protobuf_c_message_get_packed_size(message);
}

void weft__protobuf_pack(const void *message, uint8_t *out)
{
    protobuf_c_message_pack(message, out);
}
