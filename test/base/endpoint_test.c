#include "fail_nth.h"

#include <weft/endpoint.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static weft_endpoint at(const char *text)
{
    weft_endpoint e = {0};

    assert_int_equal(weft_address_parse(&e.address, text, NULL), WEFT_OK);
    return e;
}

static weft_endpoints *list_of(const weft_endpoint *e, size_t n)
{
    weft_endpoints_builder *b;
    weft_endpoints *list;

    assert_int_equal(weft_endpoints_builder_new(&b), WEFT_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(weft_endpoints_builder_add(b, &e[i]), WEFT_OK);
    assert_int_equal(weft_endpoints_builder_finish(b, &list), WEFT_OK);
    return list;
}

static void a_list_is_sorted_and_holds_no_address_twice(void **state)
{
    weft_endpoint e[] = {at("10.0.0.2:80"), at("[::1]:80"), at("10.0.0.1:80"),
                         at("10.0.0.2:80"), at("unix:///x")};
    weft_endpoints *list;

    (void)state;
    e[0].weight = 7;
    e[3].weight = 9;
    list = list_of(e, 5);
    assert_int_equal(weft_endpoints_count(list), 4);
    assert_string_equal(weft_endpoints_at(list, 0)->text, "10.0.0.1:80");
    assert_string_equal(weft_endpoints_at(list, 1)->text, "10.0.0.2:80");
    assert_string_equal(weft_endpoints_at(list, 2)->text, "[::1]:80");
    assert_string_equal(weft_endpoints_at(list, 3)->text, "unix:///x");
    assert_int_equal(weft_endpoints_at(list, 1)->weight, 7); /* the first */
    assert_null(weft_endpoints_at(list, 4));
    weft_endpoints_unref(list);
}

static void everything_is_copied(void **state)
{
    char node[] = "node-1", id[] = "web-1", key[] = "zone", value[] = "eu";
    weft_metadatum items[] = {
        {key, value, 2}, {"bad key", "x", 1}, {"tag", "v1", 2}};
    weft_endpoint e = at("10.0.0.1:80");
    weft_endpoints *list;
    const weft_endpoint *got;

    (void)state;
    e.node = node;
    e.id = id;
    e.weight = 100000;
    e.metadata = (weft_metadata){items, 3};
    list = list_of(&e, 1);
    node[0] = id[0] = key[0] = value[0] = 'X';
    got = weft_endpoints_at(list, 0);
    assert_string_equal(got->node, "node-1");
    assert_string_equal(got->id, "web-1");
    assert_int_equal(got->weight, 65535);
    assert_int_equal(got->metadata.n, 2); /* without the one that is none */
    assert_string_equal(weft_metadata_get(&got->metadata, "zone", NULL), "eu");
    assert_string_equal(weft_metadata_get(&got->metadata, "tag", NULL), "v1");
    assert_true(weft_address_equal(&got->address, &e.address));
    weft_endpoints_unref(list);
}

static void defaults_stand_for_what_is_not_known(void **state)
{
    weft_endpoint e = at("10.0.0.1:80");
    weft_endpoints *list = list_of(&e, 1);

    (void)state;
    assert_int_equal(weft_endpoints_at(list, 0)->weight, 100);
    assert_string_equal(weft_endpoints_at(list, 0)->node, "");
    assert_string_equal(weft_endpoints_at(list, 0)->id, "");
    weft_endpoints_unref(list);
}

static void where_nobody_can_connect_is_refused(void **state)
{
    weft_endpoint none = {0}, zero = at("10.0.0.1:0");
    weft_endpoints_builder *b;
    weft_endpoints *list;

    (void)state;
    assert_int_equal(weft_endpoints_builder_new(&b), WEFT_OK);
    assert_int_equal(weft_endpoints_builder_add(b, &none), WEFT_EINVAL);
    assert_int_equal(weft_endpoints_builder_add(b, &zero), WEFT_EINVAL);
    assert_int_equal(weft_endpoints_builder_finish(b, &list), WEFT_OK);
    assert_int_equal(weft_endpoints_count(list), 0);
    weft_endpoints_unref(list);
}

static void equal_lists_hash_alike_and_others_do_not(void **state)
{
    weft_metadatum ab = {"ab", "c", 1}, a = {"a", "bc", 2};
    weft_endpoint e[] = {at("10.0.0.1:80"), at("10.0.0.2:80")};
    weft_endpoint turned[] = {e[1], e[0]};
    weft_endpoint heavy = e[0], noded = e[0], named = e[0], with_ab = e[0],
                  with_a = e[0];
    weft_endpoints *lists[8];

    (void)state;
    heavy.weight = 5;
    noded.node = "x";
    named.id = "x";
    with_ab.metadata = (weft_metadata){&ab, 1};
    with_a.metadata = (weft_metadata){&a, 1};
    lists[0] = list_of(NULL, 0);
    lists[1] = list_of(e, 2);
    lists[2] = list_of(e, 1);
    lists[3] = list_of(&heavy, 1);
    lists[4] = list_of(&noded, 1);
    lists[5] = list_of(&named, 1);
    lists[6] = list_of(&with_ab, 1);
    lists[7] = list_of(&with_a, 1);
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(weft_endpoints_hash(lists[i]) !=
                        weft_endpoints_hash(lists[k]));
    for (size_t i = 0; i < 8; i++)
        if (i != 1)
            weft_endpoints_unref(lists[i]);
    lists[0] = list_of(turned, 2);
    assert_true(weft_endpoints_hash(lists[0]) == weft_endpoints_hash(lists[1]));
    weft_endpoints_unref(lists[0]);
    weft_endpoints_unref(lists[1]);
}

static void no_list_is_an_empty_list(void **state)
{
    (void)state;
    assert_int_equal(weft_endpoints_count(NULL), 0);
    assert_null(weft_endpoints_at(NULL, 0));
    assert_null(weft_endpoints_ref(NULL));
    weft_endpoints_unref(NULL);
    weft_endpoints_builder_free(NULL);
}

static void *ref_and_unref(void *arg)
{
    for (int i = 0; i < 20000; i++)
        weft_endpoints_unref(weft_endpoints_ref(arg));
    weft_endpoints_unref(arg);
    return NULL;
}

static void threads_share_a_list(void **state)
{
    weft_endpoint e = at("10.0.0.1:80");
    weft_endpoints *list = list_of(&e, 1);
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref,
                                        weft_endpoints_ref(list)),
                         0);
    weft_endpoints_unref(list); /* the last one out frees: ASan, TSan look */
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* In the worst order, each twice. */
static void ten_thousand_are_taken_quickly(void **state)
{
    enum { N = 10000 };
    weft_endpoint e = at("10.0.0.1:80");
    weft_endpoints_builder *b;
    weft_endpoints *list;
    clock_t begin = clock();

    (void)state;
    assert_int_equal(weft_endpoints_builder_new(&b), WEFT_OK);
    for (unsigned i = 2 * N; i-- > 0;) {
        e.address.u.in4.sin_addr.s_addr = htonl(0x0a000000u + i % N);
        assert_int_equal(weft_endpoints_builder_add(b, &e), WEFT_OK);
    }
    assert_int_equal(weft_endpoints_builder_finish(b, &list), WEFT_OK);
    assert_int_equal(weft_endpoints_count(list), N);
    for (size_t i = 1; i < N; i++)
        assert_true(strcmp(weft_endpoints_at(list, i - 1)->text,
                           weft_endpoints_at(list, i)->text) < 0);
    weft_endpoints_unref(list);
    /* Some 15 ms; a quadratic way takes seconds, also under sanitizers. */
    assert_true((clock() - begin) < CLOCKS_PER_SEC);
}

static weft_status build(void *user)
{
    weft_metadatum item = {"zone", "eu", 2};
    weft_endpoints_builder *b;
    weft_endpoints *list;
    weft_status status = weft_endpoints_builder_new(&b);

    (void)user;
    if (status != WEFT_OK)
        return status;
    for (unsigned i = 1; i <= 40; i++) {
        weft_endpoint e = at("10.0.0.1:80");

        e.address.u.in4.sin_port = htons((uint16_t)i);
        e.node = "node";
        e.id = "id";
        e.metadata = (weft_metadata){&item, 1};
        if ((status = weft_endpoints_builder_add(b, &e)) != WEFT_OK) {
            weft_endpoints_builder_free(b);
            return status;
        }
    }
    if ((status = weft_endpoints_builder_finish(b, &list)) == WEFT_OK) {
        assert_int_equal(weft_endpoints_count(list), 40);
        weft_endpoints_unref(list);
    }
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(build, NULL) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_sorted_and_holds_no_address_twice),
        cmocka_unit_test(everything_is_copied),
        cmocka_unit_test(defaults_stand_for_what_is_not_known),
        cmocka_unit_test(where_nobody_can_connect_is_refused),
        cmocka_unit_test(equal_lists_hash_alike_and_others_do_not),
        cmocka_unit_test(no_list_is_an_empty_list),
        cmocka_unit_test(threads_share_a_list),
        cmocka_unit_test(ten_thousand_are_taken_quickly),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
