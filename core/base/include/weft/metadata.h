/* weft/metadata.h - key and value pairs that travel beside a message.
 *
 * A weft_metadata is a view: an array of pairs.  Those that come from a call
 * are borrowed from it; for those that go out, any array will do:
 *
 *     weft_metadatum items[] = {{"tenant", "blue", 4}};
 *     stub.metadata = (weft_metadata){items, 1};
 *
 * Keys are 1 to 255 bytes of [0-9a-z_.-] or upper case letters (which gorpc
 * peers use; look-up ignores case); values are any bytes.  A key may repeat. */
#ifndef WEFT_METADATA_H
#define WEFT_METADATA_H

#include <weft/arena.h>

WEFT_BEGIN_DECLS

typedef struct weft_metadatum {
    const char *key; /* NUL-terminated */
    const void
        *value; /* has a NUL behind value_len when it comes from a call */
    size_t value_len;
} weft_metadatum;

typedef struct weft_metadata {
    const weft_metadatum *items;
    size_t n;
} weft_metadata;

/* The first value of key, or NULL; borrowed from md.  len may be NULL. */
WEFT_API const char *weft_metadata_get(const weft_metadata *md, const char *key,
                                       size_t *len);

/* Appends a copy of the pair, all memory from arena; md->items moves.  md may
 * be any view, also of a constant array, which stays as it is.  EINVAL: a bad
 * key. ENOMEM also when the arena's budget is used up. */
WEFT_API weft_status weft_metadata_add(weft_metadata *md, weft_arena *arena,
                                       const char *key, const void *value,
                                       size_t value_len);

/* Appends copies of all of src, or nothing.  EINVAL and ENOMEM as above. */
WEFT_API weft_status weft_metadata_add_all(weft_metadata *md, weft_arena *arena,
                                           const weft_metadata *src);

/* Whether key (len bytes) may be one. */
WEFT_API bool weft_metadata_key_valid(const char *key, size_t len);

WEFT_END_DECLS

#endif /* WEFT_METADATA_H */
