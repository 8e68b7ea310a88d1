/* handle.c - handles: numbers that lead to calls, and harmlessly to nothing.
 *
 * Each loop has a table of slots in pages that never move.  A handle is the
 * loop's index (8 bits), the slot (24) and the slot's generation (32), which
 * rises each time the slot is freed: a stale handle meets another generation. A
 * slot whose generations are used up is not used again. */
#include "rpc_internal.h"

#include <string.h>
#include <weft/mem.h>

enum {
    PAGE_BITS = 10,
    PAGE_SLOTS = 1 << PAGE_BITS,
    PAGES_MAX = (1 << 24) / PAGE_SLOTS,
    NO_SLOT = 0xffffff /* the last one is never used */
};

typedef struct slot {
    void *object; /* NULL: free */
    uint32_t generation;
    uint32_t kind_or_next; /* its kind; the next free slot */
} slot;

typedef struct handle_table {
    uint8_t loop_index;
    uint32_t n_slots, n_pages, cap_pages, first_free;
    uint64_t stale;
    slot **pages;
} handle_table;

static uint32_t slot_of(uint64_t handle)
{
    return (uint32_t)(handle >> 32) & 0xffffff;
}

static slot *slot_at(const handle_table *t, uint32_t i)
{
    return &t->pages[i >> PAGE_BITS][i & (PAGE_SLOTS - 1)];
}

static void table_free(void *object)
{
    handle_table *t = object;
    uint32_t i;

    for (i = 0; i < t->n_pages; i++)
        weft_free(t->pages[i]);
    weft_free(t->pages);
    weft_free(t);
}

static handle_table *table_of(weft_loop *loop)
{
    handle_table *t = weft__loop_local_get(loop, WEFT__LOCAL_CALLS);

    if (t != NULL || (t = weft_calloc(1, sizeof(*t))) == NULL)
        return t;
    t->loop_index = weft__loop_index(loop);
    t->first_free = NO_SLOT;
    weft__loop_local_set(loop, WEFT__LOCAL_CALLS, t, table_free);
    return t;
}

static bool add_page(handle_table *t)
{
    slot *page;

    if (t->n_pages == PAGES_MAX)
        return false;
    if (t->n_pages == t->cap_pages) {
        uint32_t cap = t->cap_pages == 0 ? 8 : 2 * t->cap_pages;
        slot **pages = weft_realloc(t->pages, cap * sizeof(slot *));

        if (pages == NULL)
            return false;
        t->pages = pages;
        t->cap_pages = cap;
    }
    if ((page = weft_calloc(PAGE_SLOTS, sizeof(slot))) == NULL)
        return false;
    t->pages[t->n_pages++] = page;
    return true;
}

/* Index of a free slot, or NO_SLOT. */
static uint32_t take_slot(handle_table *t)
{
    uint32_t i = t->first_free;

    if (i != NO_SLOT) {
        t->first_free = slot_at(t, i)->kind_or_next;
        return i;
    }
    if (t->n_slots == NO_SLOT ||
        (t->n_slots == t->n_pages << PAGE_BITS && !add_page(t)))
        return NO_SLOT;
    slot_at(t, t->n_slots)->generation = 1; /* so that no handle is 0 */
    return t->n_slots++;
}

uint64_t weft__handle_new(weft_loop *loop, weft__handle_kind kind, void *object)
{
    handle_table *t = table_of(loop);
    uint32_t i;
    slot *s;

    if (t == NULL || (i = take_slot(t)) == NO_SLOT)
        return 0;
    s = slot_at(t, i);
    s->object = object;
    s->kind_or_next = kind;
    return (uint64_t)t->loop_index << 56 | (uint64_t)i << 32 | s->generation;
}

/* The live slot of handle; NULL: stale. */
static slot *find(const handle_table *t, uint64_t handle)
{
    uint32_t i = slot_of(handle);
    slot *s;

    if (t == NULL || i >= t->n_slots)
        return NULL;
    s = slot_at(t, i);
    return s->generation == (uint32_t)handle && s->object != NULL ? s : NULL;
}

/* Of the loop that handle names, if that is this thread's. */
static handle_table *table_by_handle(uint64_t handle)
{
    weft_loop *loop = weft__loop_by_index((uint8_t)(handle >> 56));

    return loop == NULL ? NULL : weft__loop_local_get(loop, WEFT__LOCAL_CALLS);
}

void *weft__handle_get(uint64_t handle, weft__handle_kind kind)
{
    slot *s = find(table_by_handle(handle), handle);

    return s != NULL && s->kind_or_next == (uint32_t)kind ? s->object : NULL;
}

static void drop(handle_table *t, uint64_t handle)
{
    slot *s = find(t, handle);

    if (s == NULL)
        return;
    s->object = NULL;
    if (++s->generation == 0)
        return; /* used up */
    s->kind_or_next = t->first_free;
    t->first_free = slot_of(handle);
}

void weft__handle_free(uint64_t handle)
{
    drop(table_by_handle(handle), handle);
}

void weft__handle_drop(weft_loop *loop, uint64_t handle)
{
    drop(weft__loop_local_get(loop, WEFT__LOCAL_CALLS), handle);
}

uint64_t weft__handle_renew(weft_loop *loop, uint64_t handle)
{
    const handle_table *t = weft__loop_local_get(loop, WEFT__LOCAL_CALLS);
    slot *s = slot_at(t, slot_of(handle));

    /* The handle is live, so it says what the slot does, without a wait for it.
     */
    s->generation = (uint32_t)handle + 1;
    if (s->generation != 0)
        return handle + 1;
    s->object = NULL; /* used up */
    return 0;
}

bool weft__handle_stale(uint64_t handle)
{
    handle_table *t = table_by_handle(handle);

    if (t == NULL)
        return false;
    t->stale++;
    return true;
}

uint64_t weft__handle_stale_count(const weft_loop *loop)
{
    const handle_table *t = weft__loop_local_get(loop, WEFT__LOCAL_CALLS);

    return t == NULL ? 0 : t->stale;
}
