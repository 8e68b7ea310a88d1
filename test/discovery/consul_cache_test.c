/* The cache file against whatever a disk or a hand may have put into it. */
#include "consul_internal.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET "consul:///greeter"
#define NOW 1700000000

static char folder[] = "/tmp/weft-cache-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/list", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Writes body with a sum that fits, and reads it as a cache of TARGET. */
static weft_status read_back(const char *body)
{
    uint64_t sum = 0xcbf29ce484222325u;
    weft_endpoints *list = NULL;
    weft_status status;
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (const char *p = body; *p != '\0'; p++)
        sum = (sum ^ (uint8_t)*p) * 0x100000001b3u;
    fprintf(file, "%send %016llx\n", body, (unsigned long long)sum);
    assert_int_equal(fclose(file), 0);
    status = weft__cache_read(path, TARGET, NOW, 3600 * 1000, &list);
    if (status == WEFT_OK)
        weft_endpoints_unref(list);
    return status;
}

#define CACHE(saved)                                                           \
    "weft-cache 1\ntarget " TARGET "\n" saved "endpoint 10.0.0.7:80 "          \
    "weight=1\n"

static void a_list_that_is_young_enough_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_back(CACHE("saved 1700000000\n")), WEFT_OK);
    assert_int_equal(read_back(CACHE("saved 1699990000\n")), WEFT_ETIMEDOUT);
}

static void a_time_that_is_none_is_refused(void **state)
{
    static const char *const BODIES[] = {
        CACHE(""),
        CACHE("saved\n"),
        CACHE("saved \n"),
        CACHE("saved x\n"),
        CACHE("saved 1700000000x\n"),
        CACHE("saved -1\n"),
        CACHE("saved -9223372036854775808\n"),
        CACHE("saved 9223372036854775807\n"),
        CACHE("saved 99999999999999999999\n"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++)
        assert_int_equal(read_back(BODIES[i]), WEFT_ESYNTAX);
}

static void a_target_or_version_of_another_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_back("weft-cache 1\ntarget consul:///other\n"
                               "saved 1700000000\n"),
                     WEFT_ESYNTAX);
    assert_int_equal(read_back("weft-cache 2\ntarget " TARGET "\n"
                               "saved 1700000000\n"),
                     WEFT_ESYNTAX);
    assert_int_equal(read_back(""), WEFT_ESYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_is_young_enough_is_read),
        cmocka_unit_test(a_time_that_is_none_is_refused),
        cmocka_unit_test(a_target_or_version_of_another_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
