/* endpoint.c - immutable, counted, sorted lists of endpoints. */
#include <weft/endpoint.h>
#include <weft/mem.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_DEFAULT 100
#define WEIGHT_MAX 65535

struct weft_endpoints {
    atomic_size_t refs;
    uint64_t hash;
    size_t n;
    weft_endpoint *items; /* owned; all that they point to lies in arena */
    weft_arena arena;
};

/* Hashed when it is added, so that finish has less to do at once. */
typedef struct pending {
    weft_endpoint e;
    uint64_t hash;
} pending;

struct weft_endpoints_builder {
    pending *items; /* in the order of add */
    size_t n, cap;
    weft_arena arena;
};

size_t weft_endpoints_count(const weft_endpoints *list)
{
    return list != NULL ? list->n : 0;
}

const weft_endpoint *weft_endpoints_at(const weft_endpoints *list, size_t i)
{
    return i < weft_endpoints_count(list) ? &list->items[i] : NULL;
}

uint64_t weft_endpoints_hash(const weft_endpoints *list)
{
    return list != NULL ? list->hash : 0;
}

weft_endpoints *weft_endpoints_ref(const weft_endpoints *list)
{
    weft_endpoints *self = (weft_endpoints *)(uintptr_t)list;

    if (self != NULL)
        atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

void weft_endpoints_unref(weft_endpoints *list)
{
    if (list == NULL ||
        atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1)
        return;
    weft_arena_fini(&list->arena);
    weft_free(list->items);
    weft_free(list);
}

weft_status weft_endpoints_builder_new(weft_endpoints_builder **out)
{
    weft_endpoints_builder *b = weft_calloc(1, sizeof(*b));

    if (b == NULL)
        return WEFT_ENOMEM;
    *out = b;
    return WEFT_OK;
}

static const char *copy_text(weft_arena *arena, const char *s)
{
    return s == NULL || *s == '\0' ? ""
                                   : weft_arena_strndup(arena, s, strlen(s));
}

static weft_status copy_metadata(weft_metadata *out, weft_arena *arena,
                                 const weft_metadata *src)
{
    for (size_t i = 0; i < src->n; i++) {
        const weft_metadatum *item = &src->items[i];
        weft_status status = weft_metadata_add(out, arena, item->key,
                                               item->value, item->value_len);

        if (status != WEFT_OK && status != WEFT_EINVAL)
            return status;
    }
    return WEFT_OK;
}

/* Eight bytes at a time, multiplied and folded.  The length goes in first, so
 * that "ab","c" is not "a","bc". */
static uint64_t mix_word(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t word;

    h = mix_word(h, n);
    for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = mix_word(h, word);
    }
    if (n > 0) {
        word = 0;
        memcpy(&word, p, n);
        h = mix_word(h, word);
    }
    return h;
}

static uint64_t hash_endpoint(const weft_endpoint *e)
{
    uint64_t h = 0xcbf29ce484222325u;

    h = mix(h, e->text, strlen(e->text));
    h = mix_word(h, e->weight);
    h = mix(h, e->node, strlen(e->node));
    h = mix(h, e->id, strlen(e->id));
    h = mix_word(h, e->metadata.n);
    for (size_t i = 0; i < e->metadata.n; i++) {
        const weft_metadatum *item = &e->metadata.items[i];

        h = mix(h, item->key, strlen(item->key));
        h = mix(h, item->value, item->value_len);
    }
    return h;
}

weft_status weft_endpoints_builder_add(weft_endpoints_builder *b,
                                       const weft_endpoint *e)
{
    char text[WEFT_ADDRESS_TEXT];
    weft_endpoint copy = {.address = e->address};
    weft_status status;

    if (e->address.kind == WEFT_ADDRESS_NONE ||
        (e->address.kind == WEFT_ADDRESS_TCP &&
         weft_address_port(&e->address) == 0))
        return WEFT_EINVAL;
    if (b->n == b->cap) {
        size_t cap = b->cap != 0 ? 2 * b->cap : 16;
        pending *items = weft_realloc(b->items, cap * sizeof(*items));

        if (items == NULL)
            return WEFT_ENOMEM;
        b->items = items;
        b->cap = cap;
    }
    copy.weight = e->weight == 0           ? WEIGHT_DEFAULT
                  : e->weight > WEIGHT_MAX ? WEIGHT_MAX
                                           : e->weight;
    copy.text = copy_text(&b->arena,
                          weft_address_format(&e->address, text, sizeof(text)));
    copy.node = copy_text(&b->arena, e->node);
    copy.id = copy_text(&b->arena, e->id);
    if (copy.text == NULL || copy.node == NULL || copy.id == NULL)
        return WEFT_ENOMEM;
    if ((status = copy_metadata(&copy.metadata, &b->arena, &e->metadata)) !=
        WEFT_OK)
        return status;
    b->items[b->n++] = (pending){copy, hash_endpoint(&copy)};
    return WEFT_OK;
}

/* What is sorted: small, for an endpoint is some 200 bytes. */
typedef struct sort_key {
    const char *text;
    size_t i; /* in the order of add */
} sort_key;

static int by_text(const void *a, const void *b)
{
    const sort_key *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    return order != 0 ? order : x->i < y->i ? -1 : 1;
}

weft_status weft_endpoints_builder_finish(weft_endpoints_builder *b,
                                          weft_endpoints **out)
{
    sort_key *order = weft_malloc(b->n * sizeof(*order));
    weft_endpoints *list = weft_calloc(1, sizeof(*list));
    weft_endpoint *items = weft_malloc(b->n * sizeof(*items));

    if (order == NULL || list == NULL || items == NULL) {
        weft_free(order);
        weft_free(list);
        weft_free(items);
        weft_endpoints_builder_free(b);
        return WEFT_ENOMEM;
    }
    for (size_t i = 0; i < b->n; i++)
        order[i] = (sort_key){b->items[i].e.text, i};
    if (b->n > 1)
        qsort(order, b->n, sizeof(*order), by_text);
    list->hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b->n; i++) {
        if (list->n > 0 && strcmp(items[list->n - 1].text, order[i].text) == 0)
            continue;
        items[list->n++] = b->items[order[i].i].e;
        list->hash = mix_word(list->hash, b->items[order[i].i].hash);
    }
    list->items = items;
    list->arena = b->arena;
    atomic_init(&list->refs, 1);
    b->arena = (weft_arena){0};
    weft_free(order);
    weft_endpoints_builder_free(b);
    *out = list;
    return WEFT_OK;
}

void weft_endpoints_builder_free(weft_endpoints_builder *b)
{
    if (b == NULL)
        return;
    weft_arena_fini(&b->arena);
    weft_free(b->items);
    weft_free(b);
}
