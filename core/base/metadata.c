/* metadata.c - key and value pairs that travel beside a message. */
#include <weft/metadata.h>

#include <string.h>
#include <strings.h>

#define KEY_MAX 255

bool weft_metadata_key_valid(const char *key, size_t len)
{
    if (len == 0 || len > KEY_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = key[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

const char *weft_metadata_get(const weft_metadata *md, const char *key,
                              size_t *len)
{
    for (size_t i = 0; i < md->n; i++) {
        const weft_metadatum *item = &md->items[i];

        if (strcasecmp(item->key, key) == 0) {
            if (len != NULL)
                *len = item->value_len;
            /* An empty value may have no bytes, but it is there. */
            return item->value != NULL ? item->value : "";
        }
    }
    return NULL;
}

/* Room for n more items behind md's.  Only an array that the arena itself grew
 * last, and that nobody extended since, has room behind it; any other is a view
 * of who knows what, and is copied. */
static weft_metadatum *grow(const weft_metadata *md, weft_arena *arena,
                            size_t n)
{
    weft_metadatum *items;
    size_t cap;

    if (n > SIZE_MAX / sizeof(*items) / 2 - md->n)
        return NULL;
    if (md->items != NULL && md->items == arena->array &&
        md->n == arena->array_used && n <= arena->array_cap - md->n)
        return (weft_metadatum *)(uintptr_t)md->items;
    cap = md->n + n > 2 * md->n ? md->n + n : 2 * md->n;
    if (cap < 4)
        cap = 4;
    if ((items = weft_arena_alloc(arena, cap * sizeof(*items))) == NULL)
        return NULL;
    if (md->n > 0)
        memcpy(items, md->items, md->n * sizeof(*items));
    arena->array = items;
    arena->array_used = md->n;
    arena->array_cap = cap;
    return items;
}

static bool copy(weft_metadatum *out, weft_arena *arena, const char *key,
                 size_t key_len, const void *value, size_t value_len)
{
    char *p;

    if (value_len > SIZE_MAX - KEY_MAX - 2 ||
        (p = weft_arena_alloc(arena, key_len + value_len + 2)) == NULL)
        return false;
    memcpy(p, key, key_len + 1);
    if (value_len > 0)
        memcpy(p + key_len + 1, value, value_len);
    p[key_len + 1 + value_len] = '\0';
    *out = (weft_metadatum){p, p + key_len + 1, value_len};
    return true;
}

weft_status weft_metadata_add(weft_metadata *md, weft_arena *arena,
                              const char *key, const void *value,
                              size_t value_len)
{
    weft_metadatum one = {key, value, value_len};

    return weft_metadata_add_all(md, arena, &(weft_metadata){&one, 1});
}

weft_status weft_metadata_add_all(weft_metadata *md, weft_arena *arena,
                                  const weft_metadata *src)
{
    weft_metadatum *items;
    size_t n = src->n; /* src may be md */

    if (n == 0)
        return WEFT_OK;
    for (size_t i = 0; i < n; i++) {
        const char *key = src->items[i].key;

        if (key == NULL ||
            !weft_metadata_key_valid(key, strnlen(key, KEY_MAX + 1)))
            return WEFT_EINVAL;
    }
    if ((items = grow(md, arena, n)) == NULL)
        return WEFT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const weft_metadatum *from = &src->items[i];

        if (!copy(&items[md->n + i], arena, from->key, strlen(from->key),
                  from->value, from->value_len))
            return WEFT_ENOMEM;
    }
    *md = (weft_metadata){items, md->n + n};
    /* copy() allocates but grows no array: this is still the last one. */
    arena->array_used = md->n;
    return WEFT_OK;
}
