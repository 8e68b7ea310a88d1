/* conf_test.c - one table, four uses. */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <weft/conf.h>

#define TEST_CONF(X)                                                           \
    X(u32, drain_ms, 5000, "how long a drain may take")                        \
    X(u32, idle_ms, WEFT_OFF, "close idle connections after")                  \
    X(u32, max_frame_bytes, 4194304, "largest frame")                          \
    X(u32, max_calls, 100, "calls in flight")                                  \
    X(flag, eager, false, "connect at once")                                   \
    X(str, balancer, "least_request", "policy by name")                        \
    X(str, token, "", "for the agent")

typedef struct test_conf {
    TEST_CONF(WEFT_CONF_MEMBER)
    void *tail; /* not an option; copied all the same */
} test_conf;

#define X(t, n, d, h) WEFT_CONF_FIELD(test_conf, t, n, d, h)
static const weft_conf_field fields[] = {TEST_CONF(X)};
#undef X
static const weft_conf_spec spec = {"test_conf", sizeof(test_conf), fields,
                                    sizeof fields / sizeof fields[0]};

static weft_status set(test_conf *conf, const char *name, const char *value)
{
    const char *why = "untouched";
    weft_status status = weft_conf_set_field(&spec, conf, name, value, &why);

    assert_true((status == WEFT_OK) == (why == NULL));
    assert_int_equal(weft_conf_set_field(&spec, conf, name, value, NULL),
                     status);
    return status;
}

static void zero_takes_the_default_and_off_stays_off(void **state)
{
    test_conf src = {.max_calls = WEFT_OFF, .drain_ms = 7, .tail = &src};
    test_conf dst;

    (void)state;
    memset(&dst, 0xee, sizeof dst);
    weft_conf_resolve(&spec, &dst, &src, sizeof src);
    assert_int_equal(dst.drain_ms, 7);
    assert_int_equal(dst.idle_ms, WEFT_OFF);
    assert_int_equal(dst.max_frame_bytes, 4194304);
    assert_int_equal(dst.max_calls, WEFT_OFF);
    assert_false(dst.eager);
    assert_string_equal(dst.balancer, "least_request");
    assert_null(dst.token);
    assert_ptr_equal(dst.tail, &src);
    weft_conf_resolve(&spec, &dst, NULL, sizeof dst);
    assert_int_equal(dst.drain_ms, 5000);
    assert_null(dst.tail);
}

static void an_empty_string_reads_as_the_default(void **state)
{
    test_conf src = {.balancer = "", .token = ""}, dst;

    (void)state;
    weft_conf_resolve(&spec, &dst, &src, sizeof src);
    assert_string_equal(dst.balancer, "least_request");
    assert_null(dst.token);
}

static void an_older_struct_gets_defaults_for_what_it_lacks(void **state)
{
    test_conf dst;
    uint32_t *older = malloc(offsetof(test_conf, idle_ms));

    (void)state;
    *older = 9; /* drain_ms, the only member that it has: ASan watches */
    weft_conf_resolve(&spec, &dst, older, offsetof(test_conf, idle_ms));
    assert_int_equal(dst.drain_ms, 9);
    assert_int_equal(dst.max_calls, 100);
    free(older);
}

static void a_newer_struct_loses_what_we_do_not_know(void **state)
{
    struct {
        test_conf known;
        char more[64];
    } newer = {.known = {.drain_ms = 9}, .more = "more"};
    struct {
        test_conf conf;
        char after[8];
    } dst = {.after = "intact"};

    (void)state;
    weft_conf_resolve(&spec, &dst.conf, &newer, sizeof newer);
    assert_int_equal(dst.conf.drain_ms, 9);
    assert_string_equal(dst.after, "intact");
}

static void numbers_take_the_units_of_their_option(void **state)
{
    static const struct {
        const char *name, *text;
        uint32_t number;
    } good[] = {
        {"drain_ms", "250", 250},
        {"drain_ms", "250ms", 250},
        {"drain_ms", "5s", 5000},
        {"drain_ms", "2m", 120000},
        {"drain_ms", "1h", 3600000},
        {"drain_ms", "off", WEFT_OFF},
        {"drain_ms", "0", 0},
        {"max_frame_bytes", "64k", 65536},
        {"max_frame_bytes", "2m", 2097152},
        {"max_frame_bytes", "1g", 1 << 30},
        {"max_calls", "4294967294", 4294967294u},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        test_conf conf = {0};

        assert_int_equal(set(&conf, good[i].name, good[i].text), WEFT_OK);
        assert_int_equal(strcmp(good[i].name, "drain_ms") == 0 ? conf.drain_ms
                         : strcmp(good[i].name, "max_calls") == 0
                             ? conf.max_calls
                             : conf.max_frame_bytes,
                         good[i].number);
    }
}

static void what_is_no_value_is_refused_and_changes_nothing(void **state)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"drain_ms", ""},
        {"drain_ms", "-1"},
        {"drain_ms", "+1"},
        {"drain_ms", " 1"},
        {"drain_ms", "1 "},
        {"drain_ms", "1.5s"},
        {"drain_ms", "64k"},
        {"drain_ms", "5sec"},
        {"drain_ms", "s"},
        {"drain_ms", "2000h"},
        {"drain_ms", "0x10"},
        {"drain_ms", "OFF"},
        {"max_frame_bytes", "5s"},
        {"max_frame_bytes", "4g"},
        {"max_calls", "1k"},
        {"max_calls", "4294967295"},
        {"max_calls", "18446744073709551617"},
        {"eager", "1"},
        {"eager", ""},
        {"nothing", "1"},
        {"", "1"},
        {"tail", "1"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_conf conf = {.drain_ms = 3}, before = conf;

        assert_int_equal(set(&conf, bad[i].name, bad[i].text), WEFT_EINVAL);
        assert_memory_equal(&conf, &before, sizeof conf);
    }
}

static void flags_and_strings_are_set_from_text(void **state)
{
    test_conf conf = {0};

    (void)state;
    assert_int_equal(set(&conf, "eager", "true"), WEFT_OK);
    assert_true(conf.eager);
    assert_int_equal(set(&conf, "eager", "false"), WEFT_OK);
    assert_false(conf.eager);
    assert_int_equal(set(&conf, "balancer", "random"), WEFT_OK);
    assert_string_equal(conf.balancer, "random");
}

static void what_is_refused_is_explained(void **state)
{
    test_conf conf = {0};
    const char *why = NULL;

    (void)state;
    weft_conf_set_field(&spec, &conf, "drian_ms", "1", &why);
    assert_string_equal(why, "there is no such option");
    weft_conf_set_field(&spec, &conf, "drain_ms", "64k", &why);
    assert_string_equal(why, "the unit is none of ms, s, m (minutes), h");
    weft_conf_set_field(&spec, &conf, "max_frame_bytes", "4MiB", &why);
    assert_string_equal(why, "the unit is none of k, m, g (KiB, MiB, GiB)");
    weft_conf_set_field(&spec, &conf, "max_calls", "4k", &why);
    assert_string_equal(why,
                        "the number is followed by something; it has no unit");
}

static char *written(void (*write)(const weft_conf_spec *, const void *,
                                   FILE *),
                     const void *conf)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    write(&spec, conf, file);
    fclose(file);
    return text;
}

static void the_dump_resolves_defaults_and_hides_tokens(void **state)
{
    test_conf conf = {.drain_ms = 7, .token = "s3cr3t", .eager = true};
    char *text = written(weft_conf_dump, &conf);

    (void)state;
    assert_string_equal(text, "drain_ms=7\n"
                              "idle_ms=off\n"
                              "max_frame_bytes=4194304\n"
                              "max_calls=100\n"
                              "eager=true\n"
                              "balancer=least_request\n"
                              "token=(hidden)\n");
    free(text);
}

static void document(const weft_conf_spec *s, const void *conf, FILE *file)
{
    (void)conf;
    weft_conf_document(s, file);
}

static void the_document_is_a_table_of_the_options(void **state)
{
    char *text = written(document, NULL);

    (void)state;
    assert_string_equal(text,
                        "| option | default | meaning |\n|---|---|---|\n"
                        "| `drain_ms` | 5000 | how long a drain may take |\n"
                        "| `idle_ms` | off | close idle connections after |\n"
                        "| `max_frame_bytes` | 4194304 | largest frame |\n"
                        "| `max_calls` | 100 | calls in flight |\n"
                        "| `eager` | false | connect at once |\n"
                        "| `balancer` | least_request | policy by name |\n"
                        "| `token` | none | for the agent |\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_takes_the_default_and_off_stays_off),
        cmocka_unit_test(an_empty_string_reads_as_the_default),
        cmocka_unit_test(an_older_struct_gets_defaults_for_what_it_lacks),
        cmocka_unit_test(a_newer_struct_loses_what_we_do_not_know),
        cmocka_unit_test(numbers_take_the_units_of_their_option),
        cmocka_unit_test(what_is_no_value_is_refused_and_changes_nothing),
        cmocka_unit_test(flags_and_strings_are_set_from_text),
        cmocka_unit_test(what_is_refused_is_explained),
        cmocka_unit_test(the_dump_resolves_defaults_and_hides_tokens),
        cmocka_unit_test(the_document_is_a_table_of_the_options),
    };
    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
