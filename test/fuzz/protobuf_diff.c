/* protobuf_diff.c - our decoder and encoder against protobuf-c's, on anything.
 * The first byte chooses the type. */
#include "fuzz.h"

#include "protobuf_random.h"
#include "protobuf_reference.h"

#include "every2.pb-c.h"
#include "every3.pb-c.h"
#include "shapes.pb-c.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &every2__root__descriptor,     &every3__root__descriptor,
    &shapes__node__descriptor,     &every2__scalars__descriptor,
    &every2__defaults__descriptor, &every2__lists__descriptor,
    &every2__packed__descriptor,   &every2__pick__descriptor,
    &every2__must__descriptor,     &every2__sparse__descriptor,
    &every3__plain__descriptor,    &every3__optionals__descriptor,
    &every3__pick__descriptor,     &every3__lists__descriptor};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static reference_counts counts;

static void report(void)
{
    printf("protobuf_diff: %llu inputs, %llu decode, %llu do not, %llu are "
           "over a bound\n",
           counts.inputs, counts.decoded, counts.refused, counts.bounded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *differs;

    if (size < 1 || size > 1 << 16)
        return 0;
    if (counts.inputs == 0)
        atexit(report);
    differs = reference_compare(types[data[0] % N_TYPES], data + 1, size - 1,
                                &counts);
    if (differs != NULL) {
        fprintf(stderr, "%s: %s\n", types[data[0] % N_TYPES]->name, differs);
        for (size_t i = 1; i < size; i++)
            fprintf(stderr, "%02x", data[i]);
        fprintf(stderr, "\n");
        abort();
    }
    return 0;
}

size_t fuzz_seed(size_t which, uint8_t *data, size_t size)
{
    size_t len;

    data[0] = (uint8_t)(which % N_TYPES);
    len = 1 + protobuf_random(types[data[0]], which, data + 1, size / 2);
    while (len < 3)
        data[len++] = 0; /* refused: field 0 */
    return len;
}
