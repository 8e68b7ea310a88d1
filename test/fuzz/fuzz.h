/* fuzz.h - between a fuzz target and whoever runs it (libFuzzer, or driver.c).
 * A target aborts when something is wrong. */
#ifndef WEFT_TEST_FUZZ_H
#define WEFT_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the which-th (modulo their number) good input, at least 3 bytes. */
size_t fuzz_seed(size_t which, uint8_t *data, size_t size);

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif /* WEFT_TEST_FUZZ_H */
