#include "fail_nth.h"

#include <weft/uri.h>

#include <stdio.h>
#include <string.h>

static weft__uri parsed(const char *text)
{
    const char *why = NULL;
    weft__uri uri;

    if (weft__uri_parse(&uri, text, &why) != WEFT_OK)
        fail_msg("%s: %s", text, why);
    return uri;
}

static void a_target_has_its_parts(void **state)
{
    static const struct {
        const char *text, *scheme, *authority, *path;
        size_t n_params;
    } rows[] = {
        {"consul:///helloworld.Greeter", "consul", "", "helloworld.Greeter", 0},
        {"consul://agent:8500/web?dc=eu&tag=v1", "consul", "agent:8500", "web",
         2},
        {"CONSUL+KV://[::1]:8500/a/b", "consul+kv", "[::1]:8500", "a/b", 0},
        {"static:///a:1,b:2", "static", "", "a:1,b:2", 0},
        {"unix:///run/w.sock", "unix", "", "run/w.sock", 0},
        {"file:////etc/list", "file", "", "/etc/list", 0},
        {"dns://x", "dns", "x", "", 0},
        {"dns://x?", "dns", "x", "", 0},
        {"dns://x?&&a=1&", "dns", "x", "", 1},
        {"dns:///%E2%82%ac%20a", "dns", "", "\xe2\x82\xac a", 0},
        {"dns:///a?b=/c?d", "dns", "", "a", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft__uri uri = parsed(rows[i].text);

        assert_string_equal(uri.scheme, rows[i].scheme);
        assert_string_equal(uri.authority, rows[i].authority);
        assert_string_equal(uri.path, rows[i].path);
        assert_int_equal(uri.n_params, rows[i].n_params);
        weft__uri_fini(&uri);
    }
}

static void parameters_are_decoded(void **state)
{
    weft__uri uri = parsed("consul:///s?passing&filter=a%3D%3d%22b%22 and c"
                           "&tag=x&tag=y&e=&a=b=c&p=1+1&n%61me=v");

    (void)state;
    assert_string_equal(weft__uri_param_get(&uri, "passing"), "");
    assert_string_equal(weft__uri_param_get(&uri, "filter"), "a==\"b\" and c");
    assert_string_equal(weft__uri_param_get(&uri, "tag"), "x");
    assert_string_equal(uri.params[3].value, "y");
    assert_string_equal(weft__uri_param_get(&uri, "e"), "");
    assert_string_equal(weft__uri_param_get(&uri, "a"), "b=c");
    assert_string_equal(weft__uri_param_get(&uri, "p"), "1+1");
    assert_string_equal(weft__uri_param_get(&uri, "name"), "v");
    assert_null(weft__uri_param_get(&uri, "pass"));
    weft__uri_fini(&uri);
}

static void what_is_no_target_is_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "",
        "consul",
        "consul:",
        "consul:/x",
        "://x",
        "1consul://x",
        "+x://x",
        "con sul://x",
        "con_sul://x",
        "\xc3\xa9://x",
        "a:b://x",
        "127.0.0.1:80",
        "consul:///a\nb",
        "consul:///a\x7f",
        "consul:///a\x01",
        "con\tsul:///a",
        "consul:///%00",
        "consul:///%0a",
        "consul:///%7f",
        "consul:///%1F",
        "consul:///%",
        "consul:///%4",
        "consul:///%4g",
        "consul:///%g4",
        "consul:///a?b=%",
        "consul:///a?b=%0",
        "consul:///a?b=%zz",
        "consul:///a?b=%00",
        "consul:///a?%00=b",
        "consul:///a?=b",
        "consul:///a?x=1&=b",
        "consul:///a#b",
        "consul:///a?b#c",
        "consul://a b/c",
    };
    weft__uri uri;

    (void)state;
    memset(&uri, 0x55, sizeof(uri));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;

        if (weft__uri_parse(&uri, bad[i], &why) != WEFT_ESYNTAX)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(why);
        assert_int_equal(weft__uri_parse(&uri, bad[i], NULL), WEFT_ESYNTAX);
    }
    assert_int_equal(weft__uri_parse(&uri, NULL, NULL), WEFT_ESYNTAX);
    for (size_t i = 0; i < sizeof(uri); i++)
        assert_int_equal(((uint8_t *)&uri)[i], 0x55);
}

static void lengths_and_counts_have_a_limit(void **state)
{
    char text[9000] = "s:///x?";
    weft__uri uri;
    size_t at = strlen(text);

    (void)state;
    for (int i = 0; i < 32; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "p%d=%d&", i, i);
    uri = parsed(text);
    assert_int_equal(uri.n_params, 32);
    assert_string_equal(weft__uri_param_get(&uri, "p31"), "31");
    weft__uri_fini(&uri);
    (void)snprintf(text + at, sizeof(text) - at, "q");
    assert_int_equal(weft__uri_parse(&uri, text, NULL), WEFT_ESYNTAX);

    memcpy(text, "s:///", 5);
    memset(text + 5, 'x', 8993);
    text[8192] = '\0';
    uri = parsed(text);
    assert_int_equal(strlen(uri.path), 8187);
    weft__uri_fini(&uri);
    text[8192] = 'x';
    text[8193] = '\0';
    assert_int_equal(weft__uri_parse(&uri, text, NULL), WEFT_ESYNTAX);
}

static void fini_tolerates_zeroes(void **state)
{
    weft__uri uri = {0};

    (void)state;
    weft__uri_fini(&uri);
    assert_null(weft__uri_param_get(&uri, "x"));
}

static weft_status parse_one(void *user)
{
    weft__uri uri = {0};
    weft_status status = weft__uri_parse(&uri, user, NULL);

    weft__uri_fini(&uri);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation(parse_one, "a://b/c?d=e"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_has_its_parts),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(what_is_no_target_is_refused_with_a_reason),
        cmocka_unit_test(lengths_and_counts_have_a_limit),
        cmocka_unit_test(fini_tolerates_zeroes),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
