/* symbols.h - C names and who makes them, to find two that are the same. */
#ifndef PROTOC_GEN_WEFT_SYMBOLS_H
#define PROTOC_GEN_WEFT_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

/* What a .proto file declares, as messages to its author name it. */
struct origin {
    const char *what; /* rpc "SayHello" */
    const char *file; /* NULL: nobody's file, see `what` */
    int line;         /* 0: unknown */
    bool generated;   /* its code is made in this run */
};

struct symbol {
    const char *name;
    struct origin by;
};

struct symbols {
    struct symbol *all;
    size_t n, capacity;
};

/* Both strings must outlive the table. */
void symbols_add(struct symbols *table, const char *name, struct origin by);

/* Calls `clash` for two origins of one name, of which the second is generated
 * in this run; once a pair of origins, however many names they share.  Sorts.
 */
void symbols_clashes(struct symbols *table,
                     void (*clash)(const char *name, const struct origin *first,
                                   const struct origin *second, void *user),
                     void *user);

void symbols_fini(struct symbols *table);

#endif
