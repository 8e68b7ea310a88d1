#include "symbols.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

void symbols_add(struct symbols *table, const char *name, struct origin by)
{
    if (table->n == table->capacity) {
        table->capacity = table->capacity < 64 ? 64 : table->capacity * 2;
        table->all = grow(table->all, table->capacity, sizeof(*table->all));
    }
    table->all[table->n++] = (struct symbol){.name = name, .by = by};
}

static int compare_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b);
}

/* By name, then by place, so that the second of two is the one to complain of.
 */
static int compare(const void *left, const void *right)
{
    const struct symbol *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    if (order == 0)
        order = (int)a->by.generated - (int)b->by.generated;
    if (order == 0)
        order = compare_text(a->by.file, b->by.file);
    if (order == 0)
        order = a->by.line - b->by.line;
    if (order == 0)
        order = strcmp(a->by.what, b->by.what);
    return order;
}

static bool same_origin(const struct origin *a, const struct origin *b)
{
    return a->line == b->line && strcmp(a->what, b->what) == 0 &&
           compare_text(a->file, b->file) == 0;
}

struct pair {
    const struct origin *first, *second;
};

static bool seen(const struct pair *pairs, size_t n, struct pair pair)
{
    for (size_t i = 0; i < n; i++)
        if (same_origin(pairs[i].first, pair.first) &&
            same_origin(pairs[i].second, pair.second))
            return true;
    return false;
}

void symbols_clashes(struct symbols *table,
                     void (*clash)(const char *name, const struct origin *first,
                                   const struct origin *second, void *user),
                     void *user)
{
    struct pair *pairs = NULL;
    size_t n = 0;

    if (table->n > 0)
        qsort(table->all, table->n, sizeof(*table->all), compare);
    for (size_t i = 1; i < table->n; i++) {
        const struct symbol *a = &table->all[i - 1], *b = &table->all[i];
        struct pair pair = {&a->by, &b->by};

        if (strcmp(a->name, b->name) != 0 || !b->by.generated ||
            same_origin(&a->by, &b->by) || seen(pairs, n, pair))
            continue;
        pairs = grow(pairs, n + 1, sizeof(*pairs));
        pairs[n++] = pair;
        clash(a->name, &a->by, &b->by, user);
    }
    free(pairs);
}

void symbols_fini(struct symbols *table)
{
    free(table->all);
    memset(table, 0, sizeof(*table));
}
