/* driver.c - runs a fuzz target without a fuzzer: a fixed number of inputs,
 * each mutated from a seed by a fixed sequence, so that a failure comes again.
 *
 *     wire_fuzz                the fixed run
 *     wire_fuzz ROUNDS SEED    another one
 *     wire_fuzz FILE...        these inputs, one after the other */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 50000
#define MOST 4096

static uint64_t state = UINT64_C(0x9E3779B97F4A7C15);

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

static size_t mutate(uint8_t *data, size_t len)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x11};
    size_t at = below(len), n = 1 + below(16);

    switch (below(6)) {
    case 0:
        data[at] ^= (uint8_t)(1 << below(8));
        return len;
    case 1:
        data[at] = edges[below(sizeof(edges))];
        return len;
    case 2: /* cut out */
        n = n < len - at ? n : len - at;
        memmove(data + at, data + at + n, len - at - n);
        return len - n > 2 ? len - n : 3;
    case 3: /* double a piece */
        n = n < len - at ? n : len - at;
        if (len + n > MOST)
            return len;
        memmove(data + at + n, data + at, len - at);
        return len + n;
    case 4: /* the whole again, behind */
        if (2 * len > MOST)
            return len;
        memcpy(data + len, data, len);
        return 2 * len;
    default:
        data[at] = (uint8_t)below(256);
        return len;
    }
}

static void run(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len != 0 ? len : 1); /* ASan watches its end */

    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static int replay(const char *name)
{
    static uint8_t data[1 << 22];
    FILE *file = fopen(name, "rb");
    size_t len;

    if (file == NULL) {
        perror(name);
        return 1;
    }
    len = fread(data, 1, sizeof(data), file);
    fclose(file);
    run(data, len);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long rounds = ROUNDS;
    uint8_t data[MOST];

    if (argc == 3 && argv[1][0] >= '1' && argv[1][0] <= '9') {
        rounds = strtoul(argv[1], NULL, 10);
        state ^= strtoul(argv[2], NULL, 10) * UINT64_C(0xD1342543DE82EF95);
    } else if (argc > 1) {
        for (int i = 1; i < argc; i++)
            if (replay(argv[i]) != 0)
                return 1;
        return 0;
    }
    for (; rounds > 0; rounds--) {
        size_t len = fuzz_seed(below((size_t)1 << 30), data, sizeof(data));

        for (size_t n = below(2) * below(6); n > 0; n--)
            len = mutate(data, len);
        run(data, len);
    }
    return 0;
}
