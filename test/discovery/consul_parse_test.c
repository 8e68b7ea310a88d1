/* consul_parse_test.c - what Consul says, and what is no answer at all. */
#include "support.h"
#include "test_loop.h"

#include "consul_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/mem.h>

/* --- catalogue --- */

static char error[128];
static size_t skipped;
static unsigned slices;

static weft_status read_catalog(const weft__catalog_conf *conf,
                                const char *body, size_t len,
                                weft_endpoints **out)
{
    weft__catalog *catalog;
    weft_status status = weft__catalog_new(&catalog, conf, body, len);

    if (status != WEFT_OK)
        return status;
    slices = 0;
    do {
        status = weft__catalog_step(catalog);
        slices++;
    } while (status == WEFT_EAGAIN);
    snprintf(error, sizeof(error), "%s", weft__catalog_error(catalog));
    skipped = weft__catalog_skipped(catalog);
    if (status == WEFT_OK)
        status = weft__catalog_finish(catalog, out);
    weft__catalog_free(catalog);
    return status;
}

static weft_endpoints *read_text(const char *body, bool warnings)
{
    const weft__catalog_conf conf = {.warnings = warnings};
    weft_endpoints *list = NULL;

    assert_int_equal(read_catalog(&conf, body, strlen(body), &list), WEFT_OK);
    return list;
}

#define NODE                                                                   \
    "\"Node\":{\"ID\":\"n-id\",\"Node\":\"n1\",\"Address\":\"10.1.1.1\"}"
#define SERVICE(id, address, port)                                             \
    "\"Service\":{\"ID\":\"" id "\",\"Service\":\"s\",\"Tags\":[\"blue\"],"    \
    "\"Address\":\"" address "\",\"Meta\":{\"zone\":\"a\"},\"Port\":" port     \
    ",\"Weights\":{\"Passing\":7,\"Warning\":2},\"Unknown\":{\"x\":[1,{}]}}"
#define CHECKS(status)                                                         \
    "\"Checks\":[{\"CheckID\":\"c\",\"Status\":\"" status "\"}]"
#define ENTRY(id, address, port, status)                                       \
    "{" NODE "," SERVICE(id, address, port) "," CHECKS(status) "}"

static void an_instance_becomes_an_endpoint(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "10.0.0.1", "80", "passing") "]", false);
    const weft_endpoint *e = weft_endpoints_at(list, 0);

    (void)state;
    assert_int_equal(weft_endpoints_count(list), 1);
    assert_string_equal(e->text, "10.0.0.1:80");
    assert_string_equal(e->node, "n1");
    assert_string_equal(e->id, "a");
    assert_int_equal(e->weight, 7);
    assert_string_equal(weft_metadata_get(&e->metadata, "zone", NULL), "a");
    assert_string_equal(weft_metadata_get(&e->metadata, "tag", NULL), "blue");
    weft_endpoints_unref(list);
}

static void an_instance_without_an_address_has_its_nodes(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "", "80", "passing") "]", false);

    (void)state;
    assert_string_equal(weft_endpoints_at(list, 0)->text, "10.1.1.1:80");
    weft_endpoints_unref(list);
}

static void null_tags_meta_and_checks_are_fine(void **state)
{
    weft_endpoints *list = read_text(
        "[{" NODE ",\"Service\":{\"ID\":\"a\",\"Address\":\"::1\",\"Port\":80,"
        "\"Tags\":null,\"Meta\":null},\"Checks\":null}]",
        false);

    (void)state;
    assert_string_equal(weft_endpoints_at(list, 0)->text, "[::1]:80");
    assert_int_equal(weft_endpoints_at(list, 0)->weight, 100);
    weft_endpoints_unref(list);
}

static void a_warning_counts_with_its_own_weight_where_asked_for(void **state)
{
    static const char body[] = "[" ENTRY("a", "10.0.0.1", "80", "warning") "]";
    weft_endpoints *list = read_text(body, true);

    (void)state;
    assert_int_equal(weft_endpoints_count(list), 1);
    assert_int_equal(weft_endpoints_at(list, 0)->weight, 2);
    weft_endpoints_unref(list);
    list = read_text(body, false);
    assert_int_equal(weft_endpoints_count(list), 0);
    weft_endpoints_unref(list);
}

static void critical_maintenance_and_unknown_states_never_count(void **state)
{
    static const char *const bodies[] = {
        "[" ENTRY("a", "10.0.0.1", "80", "critical") "]",
        "[" ENTRY("a", "10.0.0.1", "80", "resting") "]",
        "[{" NODE "," SERVICE(
            "a", "10.0.0.1",
            "80") ",\"Checks\":[{\"Status\":\"passing\"},{\"CheckID\":"
                  "\"_service_maintenance:a\",\"Status\":\"critical\"}]}]",
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        weft_endpoints *list = read_text(bodies[i], true);

        assert_int_equal(weft_endpoints_count(list), 0);
        assert_int_equal(skipped, 0);
        weft_endpoints_unref(list);
    }
}

static void the_same_address_counts_once(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "10.0.0.1", "80", "passing") "," ENTRY(
                      "b", "10.0.0.1", "80", "passing") "]",
                  false);

    (void)state;
    assert_int_equal(weft_endpoints_count(list), 1);
    weft_endpoints_unref(list);
}

static void one_bad_entry_is_skipped_and_the_others_stay(void **state)
{
    static const char *const bad[] = {
        ENTRY("a", "10.0.0.2", "70000", "passing"),
        ENTRY("a", "10.0.0.2", "0", "passing"),
        ENTRY("a", "10.0.0.2", "-1", "passing"),
        ENTRY("a", "10.0.0.2", "1e400", "passing"),
        ENTRY("a", "10.0.0.2", "\"80\"", "passing"),
        ENTRY("a", "10.0.0.2", "99999999999999999999999", "passing"),
        ENTRY("a", "some.host", "80", "passing"),
        ENTRY("a", "unix:/x", "80", "passing"),
        ENTRY("a", "10.0.0.999", "80", "passing"),
        ENTRY("a", "10.0.0.2\\u0000", "80", "passing"),
        "{" NODE "}",
        "{\"Service\":7}",
        "{}",
        "17",
        "null",
        "\"x\"",
        "[[]]",
        "[{\"Service\":{\"Port\":80}}]",
    };
    char body[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_endpoints *list;

        snprintf(body, sizeof(body), "[%s,%s]", bad[i],
                 ENTRY("g", "10.0.0.1", "80", "passing"));
        list = read_text(body, false);
        if (weft_endpoints_count(list) != 1 || skipped != 1)
            fail_msg("%s: %zu endpoints, %zu skipped", bad[i],
                     weft_endpoints_count(list), skipped);
        weft_endpoints_unref(list);
    }
}

static void an_answer_of_the_wrong_shape_is_refused_and_said(void **state)
{
    static const char *const bodies[][2] = {
        {"", "not JSON, or cut off"},
        {"<html>", "not JSON, or cut off, near byte"},
        {"[", "not JSON, or cut off"},
        {"[]]", "not JSON, or cut off"},
        {"[] x", "not JSON, or cut off"},
        {"{}", "not a list"},
        {"7", "not a list"},
        {"null", "not a list"},
        {"\"No cluster leader\"", "not a list"},
        {"[1,2,3]", "none of 3 entries is usable"},
        {"[" ENTRY("a", "nowhere", "80", "passing") "]",
         "none of 1 entries is usable"},
    };
    const weft__catalog_conf conf = {0};
    weft_endpoints *list = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_not_equal(
            read_catalog(&conf, bodies[i][0], strlen(bodies[i][0]), &list),
            WEFT_OK);
        if (strstr(error, bodies[i][1]) == NULL)
            fail_msg("%s: \"%s\"", bodies[i][0], error);
    }
}

static void an_answer_cut_off_at_any_byte_is_refused(void **state)
{
    static const char body[] = "[" ENTRY("a", "10.0.0.1", "80", "passing") "]";
    const weft__catalog_conf conf = {0};
    weft_endpoints *list = NULL;

    (void)state;
    for (size_t n = 0; n < sizeof(body) - 1; n++)
        assert_int_not_equal(read_catalog(&conf, body, n, &list), WEFT_OK);
    assert_int_equal(read_catalog(&conf, body, sizeof(body) - 1, &list),
                     WEFT_OK);
    weft_endpoints_unref(list);
}

static void nesting_has_an_end(void **state)
{
    const weft__catalog_conf conf = {0};
    const size_t n = 1000000;
    char *body = malloc(n);
    weft_endpoints *list = NULL;

    (void)state;
    memset(body, '[', n);
    assert_int_equal(read_catalog(&conf, body, n, &list), WEFT_ELIMIT);
    assert_non_null(strstr(error, "too deep"));
    free(body);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* 64 strings of half a megabyte: in 32 MB yajl alone, fed in pieces, would read
 * each many times over. */
static void long_strings_are_read_once_and_too_long_ones_refused(void **state)
{
    const weft__catalog_conf conf = {0};
    const size_t each = 512 * 1024, n = 64;
    char *body = malloc(n * (each + 3) + 2), *at = body;
    weft_endpoints *list = NULL;
    uint64_t begun;

    (void)state;
    *at++ = '[';
    for (size_t i = 0; i < n; i++) {
        *at++ = '"';
        memset(at, 'x', each);
        at += each;
        *at++ = '"';
        *at++ = i + 1 < n ? ',' : ']';
    }
    begun = now_us();
    assert_int_equal(read_catalog(&conf, body, (size_t)(at - body), &list),
                     WEFT_EPROTO);
    assert_non_null(strstr(error, "none of 64"));
    assert_true(slices > 30);
    assert_true(now_us() - begun < 5000000); /* quadratic: minutes */
    memset(body + 1, 'x', n * each);
    body[1] = '"';
    assert_int_equal(read_catalog(&conf, body, n * each, &list), WEFT_ELIMIT);
    assert_true(slices <= WEFT__JSON_TOKEN / WEFT__JSON_SLICE + 1);
    free(body);
}

static void a_large_catalogue_is_read_in_slices(void **state)
{
    const size_t n = 20000;
    char *body = malloc(n * 512), *at = body;
    weft_endpoints *list;

    (void)state;
    *at++ = '[';
    for (size_t i = 0; i < n; i++)
        at += sprintf(at,
                      "%s{" NODE ",\"Service\":{\"ID\":\"s-%zu\","
                      "\"Address\":\"10.%zu.%zu.%zu\",\"Port\":80,"
                      "\"Tags\":[\"a\"],\"Meta\":{\"k\":\"a\\\"b\"}}}",
                      i > 0 ? "," : "", i, i >> 16, (i >> 8) & 255, i & 255);
    strcpy(at, "]");
    list = read_text(body, false);
    assert_int_equal(weft_endpoints_count(list), n);
    assert_true(slices >= strlen(body) / (WEFT__JSON_SLICE * 2));
    weft_endpoints_unref(list);
    free(body);
}

/* --- keys --- */

static void a_key_is_the_address_behind_its_last_slash(void **state)
{
    static const char body[] =
        "[{\"LockIndex\":0,\"Key\":\"s/\",\"Flags\":0,\"Value\":null},"
        "{\"Key\":\"s/10.0.0.2:80\",\"Flags\":18446744073709551615,"
        "\"Value\":\"eA==\",\"Session\":\"q\",\"ModifyIndex\":7},"
        "{\"Key\":\"s/deep/er/10.0.0.1:80\",\"Value\":\"\"},"
        "{\"Key\":\"s/name:80\"},{\"Key\":\"s/10.0.0.3:0\"},"
        "{\"Key\":\"s/unix:x\"},{\"Key\":7},{\"NoKey\":\"x\"}]";
    const weft__catalog_conf conf = {.kv = true};
    weft_endpoints *list = NULL;

    (void)state;
    assert_int_equal(read_catalog(&conf, body, sizeof(body) - 1, &list),
                     WEFT_OK);
    assert_int_equal(weft_endpoints_count(list), 2);
    assert_int_equal(skipped, 5);
    assert_string_equal(weft_endpoints_at(list, 0)->text, "10.0.0.1:80");
    assert_int_equal(weft_endpoints_at(list, 0)->weight, 100);
    weft_endpoints_unref(list);
}

/* --- memory --- */

static void read_with_failures(void *user)
{
    static const char body[] =
        "[" ENTRY("a", "10.0.0.1", "80", "passing") "," //
        ENTRY("b", "10.0.0.2", "80", "passing") "]";
    const weft__catalog_conf conf = {0};
    weft_endpoints *list = NULL;
    weft_status status = read_catalog(&conf, body, sizeof(body) - 1, &list);

    (void)user;
    if (status == WEFT_OK) {
        assert_int_equal(weft_endpoints_count(list), 2);
        weft_endpoints_unref(list);
    } else {
        assert_int_equal(status, WEFT_ENOMEM);
    }
}

static void every_allocation_of_a_parse_may_fail_once(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(read_with_failures, NULL) > 10);
}

/* --- the cache --- */

static char folder[] = "/tmp/weft-cache-test-XXXXXX";
static const weft__consul_settings agent = {.host = (char *)"127.0.0.1",
                                            .port = 8500};

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weft-cache-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void write_bytes(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    fclose(file);
}

static size_t read_bytes(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t n;

    assert_non_null(file);
    n = fread(text, 1, size, file);
    fclose(file);
    return n;
}

static void what_is_cached_is_read_back_the_same(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a b", "10.0.0.1", "80", "passing") "," ENTRY(
                      "c=%\\n\\u00e4", "::1", "81", "passing") "]",
                  false);
    char *path = weft__cache_path(folder, &agent, "consul:///s");
    weft_endpoints *back = NULL;

    (void)state;
    assert_non_null(path);
    assert_int_equal(weft__cache_write(path, "consul:///s", list, 1000),
                     WEFT_OK);
    assert_int_equal(weft__cache_read(path, "consul:///s", 1010, 20000, &back),
                     WEFT_OK);
    assert_int_equal(weft_endpoints_count(back), 2);
    assert_int_equal(weft_endpoints_hash(back), weft_endpoints_hash(list));
    assert_string_equal(weft_endpoints_at(back, 1)->id,
                        weft_endpoints_at(list, 1)->id);
    weft_endpoints_unref(back);
    weft_endpoints_unref(list);
    weft_free(path);
}

static void a_cache_file_is_private_and_leaves_no_other(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "10.0.0.1", "80", "passing") "]", false);
    char *path = weft__cache_path(folder, &agent, "consul:///s");
    char command[256];

    (void)state;
    assert_int_equal(weft__cache_write(path, "consul:///s", list, 1), WEFT_OK);
    snprintf(command, sizeof(command),
             "test \"$(ls '%s' | wc -l) $(stat -c %%a '%s')\" = '1 600'",
             folder, path);
    assert_int_equal(system(command), 0);
    weft_endpoints_unref(list);
    weft_free(path);
}

static void a_cache_file_cut_or_changed_anywhere_is_ignored(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "10.0.0.1", "80", "passing") "]", false);
    char *path = weft__cache_path(folder, &agent, "consul:///s");
    char text[1024];
    weft_endpoints *back = NULL;
    size_t n;

    (void)state;
    assert_int_equal(weft__cache_write(path, "consul:///s", list, 1), WEFT_OK);
    n = read_bytes(path, text, sizeof(text));
    assert_true(n > 100 && n < sizeof(text));
    for (size_t cut = 0; cut < n; cut++) {
        write_bytes(path, text, cut);
        assert_int_equal(
            weft__cache_read(path, "consul:///s", 1, WEFT_OFF, &back),
            WEFT_ESYNTAX);
    }
    for (size_t at = 0; at < n; at++) {
        text[at] ^= 0x20;
        write_bytes(path, text, n);
        assert_int_equal(
            weft__cache_read(path, "consul:///s", 1, WEFT_OFF, &back),
            WEFT_ESYNTAX);
        text[at] ^= 0x20;
    }
    weft_endpoints_unref(list);
    weft_free(path);
}

static void a_cache_of_another_target_or_time_is_ignored(void **state)
{
    weft_endpoints *list =
        read_text("[" ENTRY("a", "10.0.0.1", "80", "passing") "]", false);
    char *path = weft__cache_path(folder, &agent, "consul:///s");
    char *other = weft__cache_path(folder, &agent, "consul:///t");
    weft_endpoints *back = NULL;

    (void)state;
    assert_string_not_equal(path, other);
    assert_int_equal(weft__cache_read(path, "consul:///s", 1, 1, &back),
                     WEFT_ENOENT);
    assert_int_equal(weft__cache_write(path, "consul:///s", list, 100000),
                     WEFT_OK);
    assert_int_equal(
        weft__cache_read(path, "consul:///t", 100000, WEFT_OFF, &back),
        WEFT_ESYNTAX);
    assert_int_equal(
        weft__cache_read(path, "consul:///s", 100061, 60000, &back),
        WEFT_ETIMEDOUT);
    assert_int_equal(weft__cache_read(path, "consul:///s", 1, 60000, &back),
                     WEFT_ETIMEDOUT); /* from the future */
    assert_null(weft__cache_path("off", &agent, "consul:///s"));
    assert_null(
        weft__cache_path("/proc/no/such/folder", &agent, "consul:///s"));
    weft_endpoints_unref(list);
    weft_free(path);
    weft_free(other);
}

/* --- where the agent is --- */

static weft_status settings_of(const char *authority, const char *conf_agent,
                               weft__consul_settings *out, char *why)
{
    weft_consul_conf *conf = weft__consul_conf_dup(
        &(weft_consul_conf){.agent = conf_agent}, sizeof(weft_consul_conf));
    weft_status status =
        weft__consul_settings_init(out, authority, conf, why, 256);

    weft_free(conf);
    return status;
}

static void expect_agent(const char *authority, const char *conf_agent,
                         const char *host, uint16_t port, bool tls)
{
    weft__consul_settings s;
    char why[256] = "";

    assert_int_equal(settings_of(authority, conf_agent, &s, why), WEFT_OK);
    assert_string_equal(s.host, host);
    assert_int_equal(s.port, port);
    assert_int_equal(s.tls, tls);
    weft__consul_settings_fini(&s);
}

static void the_agent_is_the_uris_or_confs_or_the_environments(void **state)
{
    (void)state;
    unsetenv("CONSUL_HTTP_ADDR");
    expect_agent("", NULL, "127.0.0.1", 8500, false);
    setenv("CONSUL_HTTP_ADDR", "https://10.9.9.9:8501", 1);
    expect_agent("", NULL, "10.9.9.9", 8501, true);
    expect_agent("", "10.0.0.2", "10.0.0.2", 8500, false);
    expect_agent("10.0.0.1:1", "10.0.0.2", "10.0.0.1", 1, false);
    expect_agent("[::1]:7", NULL, "::1", 7, false);
    expect_agent("[::1]", NULL, "::1", 8500, false);
    setenv("CONSUL_HTTP_SSL", "true", 1);
    expect_agent("10.0.0.1", NULL, "10.0.0.1", 8500, true);
    unsetenv("CONSUL_HTTP_SSL");
    unsetenv("CONSUL_HTTP_ADDR");
}

static void an_agent_that_cannot_be_is_refused_with_a_sentence(void **state)
{
    static const char *const agents[][2] = {
        {"consul.example:8500", "names are not looked up"},
        {"unix:///run/consul.sock", "unix socket is not supported"},
        {"user:secret@10.0.0.1:1", "is not supported"},
        {"http://10.0.0.1:1/path", "is not supported"},
        {"10.0.0.1:70000", "names are not looked up"},
        {"[::1:8500", "names are not looked up"},
    };
    weft__consul_settings s;

    (void)state;
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        char why[256] = "";

        assert_int_not_equal(settings_of("", agents[i][0], &s, why), WEFT_OK);
        if (strstr(why, agents[i][1]) == NULL)
            fail_msg("%s: \"%s\"", agents[i][0], why);
        assert_null(strstr(why, "secret"));
    }
}

static void a_token_comes_from_conf_environment_or_file(void **state)
{
    char path[128], why[256] = "";
    weft__consul_settings s;

    (void)state;
    snprintf(path, sizeof(path), "%s/token", folder);
    write_bytes(path, "from-file\n", 10);
    setenv("CONSUL_HTTP_TOKEN_FILE", path, 1);
    assert_int_equal(settings_of("", NULL, &s, why), WEFT_OK);
    assert_string_equal(s.token, "from-file");
    weft__consul_settings_fini(&s);
    setenv("CONSUL_HTTP_TOKEN", "from-environment", 1);
    assert_int_equal(settings_of("", NULL, &s, why), WEFT_OK);
    assert_string_equal(s.token, "from-environment");
    weft__consul_settings_fini(&s);
    unsetenv("CONSUL_HTTP_TOKEN");
    setenv("CONSUL_HTTP_TOKEN_FILE", "/no/such/file", 1);
    assert_int_equal(settings_of("", NULL, &s, why), WEFT_EIO);
    assert_non_null(strstr(why, "/no/such/file: No such file"));
    unsetenv("CONSUL_HTTP_TOKEN_FILE");
}

static void times_have_units(void **state)
{
    uint32_t ms;

    (void)state;
    assert_true(weft__parse_ms("30s", &ms) && ms == 30000);
    assert_true(weft__parse_ms("1500ms", &ms) && ms == 1500);
    assert_true(weft__parse_ms("2m", &ms) && ms == 120000);
    assert_false(weft__parse_ms("30", &ms));
    assert_false(weft__parse_ms("s", &ms));
    assert_false(weft__parse_ms("-1s", &ms));
    assert_false(weft__parse_ms("5000000s", &ms));
    assert_false(weft__parse_ms("99999999999999999999s", &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_becomes_an_endpoint),
        cmocka_unit_test(an_instance_without_an_address_has_its_nodes),
        cmocka_unit_test(null_tags_meta_and_checks_are_fine),
        cmocka_unit_test(a_warning_counts_with_its_own_weight_where_asked_for),
        cmocka_unit_test(critical_maintenance_and_unknown_states_never_count),
        cmocka_unit_test(the_same_address_counts_once),
        cmocka_unit_test(one_bad_entry_is_skipped_and_the_others_stay),
        cmocka_unit_test(an_answer_of_the_wrong_shape_is_refused_and_said),
        cmocka_unit_test(an_answer_cut_off_at_any_byte_is_refused),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(long_strings_are_read_once_and_too_long_ones_refused),
        cmocka_unit_test(a_large_catalogue_is_read_in_slices),
        cmocka_unit_test(a_key_is_the_address_behind_its_last_slash),
        cmocka_unit_test(every_allocation_of_a_parse_may_fail_once),
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        T(what_is_cached_is_read_back_the_same),
        T(a_cache_file_is_private_and_leaves_no_other),
        T(a_cache_file_cut_or_changed_anywhere_is_ignored),
        T(a_cache_of_another_target_or_time_is_ignored),
        T(the_agent_is_the_uris_or_confs_or_the_environments),
        T(an_agent_that_cannot_be_is_refused_with_a_sentence),
        T(a_token_comes_from_conf_environment_or_file),
        cmocka_unit_test(times_have_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
