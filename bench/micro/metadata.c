/* metadata.c - adding pairs, and finding the last of them.
 *
 *     micro_metadata [times] */
#include <weft/metadata.h>

#include "micro.h"

#define PAIRS_MAX 16

static char keys[PAIRS_MAX][24];

typedef struct sample {
    size_t pairs;
    weft_metadata view;
} sample;

/* All pairs into an arena, as a handler's reply or a forwarded call does. */
static void add(void *arg, uint64_t times)
{
    static _Alignas(16) uint8_t first[8192];
    const sample *s = arg;

    for (uint64_t i = 0; i < times; i++) {
        weft_metadata md = {NULL, 0};
        weft_arena arena;

        weft_arena_init(&arena, first, sizeof(first), 0);
        for (size_t n = 0; n < s->pairs; n++)
            micro_check(weft_metadata_add(&md, &arena, keys[n], "blue", 4) ==
                            WEFT_OK,
                        "does not add");
        weft_arena_fini(&arena);
    }
}

static void get(void *arg, uint64_t times)
{
    const sample *s = arg;
    size_t len;

    for (uint64_t i = 0; i < times; i++)
        micro_check(weft_metadata_get(&s->view, keys[s->pairs - 1], &len) !=
                        NULL,
                    "does not find");
}

int main(int argc, char **argv)
{
    static weft_metadatum items[PAIRS_MAX];
    static const size_t pairs[] = {1, 4, PAIRS_MAX};
    uint64_t times = micro_times(argc, argv, 1000000);

    for (size_t n = 0; n < PAIRS_MAX; n++) {
        snprintf(keys[n], sizeof(keys[n]), "x-request-part-%zu", n);
        items[n] = (weft_metadatum){keys[n], "blue", 4};
    }
    printf("%6s %12s %14s   (ns)\n", "pairs", "add all", "get the last");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        sample s = {pairs[i], {items, pairs[i]}};

        printf("%6zu %12.1f %14.1f\n", pairs[i], micro_best(add, &s, times),
               micro_best(get, &s, times));
    }
    return 0;
}
