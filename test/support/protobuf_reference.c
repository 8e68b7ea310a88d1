/* protobuf_reference.c - protobuf-c's own unpack, and the comparison. */
#include "protobuf_reference.h"

#include <stdlib.h>
#include <string.h>
#include <weft/protobuf.h>

#define MOST_TYPES 32
#define DEPTH 300

/* Copies of types without an init function: as if made at run time. */
static struct {
    const ProtobufCMessageDescriptor *from;
    ProtobufCMessageDescriptor to;
} types[MOST_TYPES];
static size_t n_types;

static const ProtobufCMessageDescriptor *
generic(const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessageDescriptor *copy;
    ProtobufCFieldDescriptor *fields;

    for (size_t i = 0; i < n_types; i++)
        if (types[i].from == desc)
            return &types[i].to;
    fields = calloc(desc->n_fields + 1, sizeof(*fields));
    if (fields == NULL || n_types == MOST_TYPES)
        abort();
    if (desc->n_fields != 0)
        memcpy(fields, desc->fields, desc->n_fields * sizeof(*fields));
    types[n_types].from = desc;
    copy = &types[n_types++].to;
    *copy = *desc;
    copy->fields = fields;
    copy->message_init = NULL;
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            fields[i].descriptor = generic(fields[i].descriptor);
    return copy;
}

/* Memory for protobuf-c: from one piece, all given back at once. */
static uint8_t pool[64 << 20];
static size_t pool_used;

static void *pool_alloc(void *data, size_t size)
{
    void *p = pool + pool_used;

    (void)data;
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof(pool) - pool_used)
        abort(); /* inputs are small */
    pool_used += size;
    return p;
}

static void pool_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

static bool equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

/* One value: a member, or an element of an array. */
static bool equal_value(const ProtobufCFieldDescriptor *f, const void *a,
                        const void *b)
{
    const ProtobufCBinaryData *x = a, *y = b;
    const ProtobufCMessage *const *m = a, *const *n = b;
    const char *const *s = a, *const *t = b;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (*s == NULL || *t == NULL || *s == f->default_value ||
            *t == f->default_value)
            return *s == *t;
        return strcmp(*s, *t) == 0;
    case PROTOBUF_C_TYPE_BYTES:
        return x->len == y->len && (x->data == NULL) == (y->data == NULL) &&
               (x->len == 0 || memcmp(x->data, y->data, x->len) == 0);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (*m == NULL || *n == NULL)
            return *m == *n;
        return equal(*m, *n);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return memcmp(a, b, 8) == 0;
    default:
        return memcmp(a, b, 4) == 0;
    }
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

/* Bytes of the union that f lies in. */
static size_t size_of_oneof(const ProtobufCMessageDescriptor *desc,
                            const ProtobufCFieldDescriptor *f)
{
    size_t most = 0;

    for (unsigned i = 0; i < desc->n_fields; i++)
        if (desc->fields[i].offset == f->offset &&
            size_of(desc->fields[i].type) > most)
            most = size_of(desc->fields[i].type);
    return most;
}

static bool equal_field(const ProtobufCFieldDescriptor *f,
                        const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    const char *x = (const char *)a + f->offset;
    const char *y = (const char *)b + f->offset;
    const char *p = (const char *)a + f->quantifier_offset;
    const char *q = (const char *)b + f->quantifier_offset;
    size_t n, m, size = size_of(f->type);
    uint32_t which;

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&n, p, sizeof(n));
        memcpy(&m, q, sizeof(m));
        memcpy(&x, x, sizeof(void *));
        memcpy(&y, y, sizeof(void *));
        if (n != m || (x == NULL) != (y == NULL))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!equal_value(f, x + i * size, y + i * size))
                return false;
        return true;
    }
    if (f->quantifier_offset != 0 && memcmp(p, q, sizeof(which)) != 0)
        return false;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(&which, p, sizeof(which));
        if (which != 0 && which != f->id)
            return true;
        if (which == 0)
            return memcmp(x, y, size) == 0;
        /* what was there before was cleared */
        if (memcmp(x + size, y + size,
                   size_of_oneof(a->descriptor, f) - size) != 0)
            return false;
    }
    return equal_value(f, x, y);
}

static bool equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    const ProtobufCMessageDescriptor *desc = a->descriptor;

    if (b->descriptor->name != desc->name ||
        a->n_unknown_fields != b->n_unknown_fields ||
        (a->unknown_fields == NULL) != (b->unknown_fields == NULL))
        return false;
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (!equal_field(&desc->fields[i], a, b))
            return false;
    for (unsigned i = 0; i < a->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *x = &a->unknown_fields[i];
        const ProtobufCMessageUnknownField *y = &b->unknown_fields[i];

        if (x->tag != y->tag || x->wire_type != y->wire_type ||
            x->len != y->len || memcmp(x->data, y->data, x->len) != 0)
            return false;
    }
    return true;
}

/* Whether there is a field number or a length that ours refuses (and protobuf-c
 * may cut); data is otherwise as protobuf-c takes it. */
static bool out_of_range(const ProtobufCMessageDescriptor *desc,
                         const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        const ProtobufCFieldDescriptor *f;
        uint64_t tag = 0, len = 0;
        unsigned shift = 0;

        do {
            tag |= (uint64_t)(*p & 0x7f) << shift;
            shift += 7;
        } while (*p++ >= 0x80 && p < end);
        if (tag >> 3 == 0 || tag > UINT32_MAX)
            return true;
        switch (tag & 7) {
        case 0:
            while (p < end && *p++ >= 0x80)
                ;
            break;
        case 1:
            p += 8;
            break;
        case 5:
            p += 4;
            break;
        default:
            shift = 0;
            do {
                len |= (uint64_t)(*p & 0x7f) << shift;
                shift += 7;
            } while (*p++ >= 0x80 && p < end);
            if (len > INT32_MAX)
                return true;
            f = protobuf_c_message_descriptor_get_field(desc,
                                                        (unsigned)(tag >> 3));
            if (f != NULL && f->type == PROTOBUF_C_TYPE_MESSAGE &&
                out_of_range(f->descriptor, p, p + len))
                return true;
            p += len;
        }
    }
    return false;
}

static const char *compare_packed(const ProtobufCMessage *theirs,
                                  const ProtobufCMessage *ours)
{
    static uint8_t a[1 << 20], b[1 << 20];
    size_t len = protobuf_c_message_get_packed_size(theirs);

    if (weft__protobuf_size(ours) != len)
        return "the packed sizes differ";
    if (len >= sizeof(a))
        return NULL;
    memset(b + len, 0x5a, 1);
    protobuf_c_message_pack(theirs, a);
    weft__protobuf_pack(ours, b, len);
    if (b[len] != 0x5a)
        return "more is packed than was promised";
    return memcmp(a, b, len) == 0 ? NULL : "the packed bytes differ";
}

/* What is sent in two parts is the same message: protobuf-c's unpack and pack
 * bring it into order. */
static const char *compare_split(const ProtobufCMessage *theirs,
                                 const ProtobufCMessage *ours,
                                 weft_arena *arena)
{
    static uint8_t a[1 << 20], b[1 << 20];
    ProtobufCAllocator allocator = {pool_alloc, pool_free, NULL};
    weft__protobuf_split split;
    ProtobufCMessage *joined;
    size_t head, len = weft__protobuf_size(ours);

    if (len >= sizeof(a) || !weft__protobuf_split_find(&split, ours, 1) ||
        !weft__protobuf_split_rest(&split, ours, len, arena))
        return NULL;
    head = len - split.lent.len;
    weft__protobuf_split_pack(&split, a, head);
    memcpy(a + head, split.lent.data, split.lent.len);
    joined = protobuf_c_message_unpack(theirs->descriptor, &allocator, len, a);
    if (joined == NULL)
        return "the parts are no message";
    if (protobuf_c_message_get_packed_size(joined) != len)
        return "the parts are another message";
    protobuf_c_message_pack(joined, a);
    weft__protobuf_pack(ours, b, len);
    return memcmp(a, b, len) == 0 ? NULL : "the parts are another message";
}

static uint8_t lent_from[1 << 20], lent_to[1 << 20];

/* Decodes a copy that does not stay: what borrows of it is moved. */
static weft_status decode_moved(const ProtobufCMessageDescriptor *desc,
                                const uint8_t *data, size_t len,
                                const weft_decode_limits *limits,
                                weft_arena *arena, ProtobufCMessage **out,
                                const char **why)
{
    weft_status status;

    memcpy(lent_from, data, len);
    status =
        weft__protobuf_decode(desc, lent_from, len, limits, arena, out, why);
    if (status == WEFT_OK) {
        memcpy(lent_to, data, len);
        weft__protobuf_moved(*out, (weft__slice){lent_from, len}, lent_to);
        memset(lent_from, 0x5a, len);
    }
    return status;
}

static const char *compare_once(const ProtobufCMessageDescriptor *desc,
                                const uint8_t *data, size_t len, bool borrow,
                                const ProtobufCMessage *theirs, bool *bounded)
{
    const weft_decode_limits limits = {.depth = DEPTH, .borrow = borrow};
    static _Alignas(max_align_t) uint8_t first[2048];
    ProtobufCMessage *ours = NULL;
    const char *why = NULL, *differs = NULL;
    weft_arena arena;
    weft_status status;

    weft_arena_init(&arena, first, len * 37 % sizeof(first), 0);
    status = borrow && len > 0 && len <= sizeof(lent_from)
                 ? decode_moved(desc, data, len, &limits, &arena, &ours, &why)
                 : weft__protobuf_decode(desc, data, len, &limits, &arena,
                                         &ours, &why);
    if ((status == WEFT_OK) != (ours != NULL) ||
        (status == WEFT_OK) != (why == NULL))
        differs = "the outputs do not fit the status";
    else if (status == WEFT_OK && theirs == NULL)
        differs = "ours takes what protobuf-c refuses";
    else if (status == WEFT_OK)
        differs = !equal(theirs, ours) ? "the messages differ"
                                       : compare_packed(theirs, ours);
    else if (status == WEFT_ELIMIT)
        *bounded = strcmp(why, "it is nested over max_decode_depth") == 0 &&
                   len > 2 * DEPTH;
    else if (theirs != NULL)
        *bounded = out_of_range(desc, data, data + len);
    if (differs == NULL && status != WEFT_OK && status != WEFT_EPROTO &&
        status != WEFT_ELIMIT)
        differs = "the status is another than EPROTO and ELIMIT";
    if (differs == NULL && status != WEFT_OK && theirs != NULL && !*bounded)
        differs = "ours refuses what protobuf-c takes";
    if (differs == NULL && status == WEFT_OK)
        differs = compare_split(theirs, ours, &arena);
    if (differs == NULL &&
        (uintptr_t)weft_arena_alloc(&arena, 1) % _Alignof(max_align_t) != 0)
        differs = "the arena is left out of line";
    weft_arena_fini(&arena);
    return differs;
}

const char *reference_compare(const ProtobufCMessageDescriptor *desc,
                              const uint8_t *data, size_t len,
                              reference_counts *counts)
{
    ProtobufCAllocator allocator = {pool_alloc, pool_free, NULL};
    const ProtobufCMessage *theirs;
    const char *differs;
    bool bounded = false;

    pool_used = 0;
    theirs = protobuf_c_message_unpack(desc, &allocator, len, data);
    differs = compare_once(desc, data, len, false, theirs, &bounded);
    if (differs == NULL)
        differs =
            compare_once(generic(desc), data, len, true, theirs, &bounded);
    counts->inputs++;
    counts->decoded += theirs != NULL && !bounded;
    counts->refused += theirs == NULL;
    counts->bounded += theirs != NULL && bounded;
    return differs;
}
