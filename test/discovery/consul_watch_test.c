/* consul_watch_test.c - what the watcher asks, and what it makes of answers:
 * errors, indexes, empty lists. */
#include "support.h"
#include "watch_scene.h"

/* --- asking --- */

static void
the_first_query_does_not_block_and_the_next_waits_for_news(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, WEB);
    until_request(60);
    assert_string_equal(fake_path(&fake, 0), "/v1/health/service/web?passing");
    assert_false(has(fake_head(&fake, 0), "Accept-Encoding"));
    fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
    until_request(300);
    assert_string_equal(fake_path(&fake, 0), "/v1/health/service/web?passing"
                                             "&index=10&wait=30000ms");
    assert_int_equal(l.weight, 7);
    assert_string_equal(info_of(&l).state, "blocking");
    assert_int_equal(info_of(&l).index, 10);
    fake_answer(&fake, 0, 200, 11, NULL, LIST_AB);
    until_request(300);
    assert_string_equal(l.all, "10.0.0.1:80 10.0.0.2:80");
    assert_true(has(fake_path(&fake, 0), "index=11"));
    weft__watch_unsubscribe(l.sub);
}

static void parameters_reach_consul(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, WEB "?tag=blue&tag=a%%26b&dc=far&near=_agent&stale&wait=5s"
                      "&passing=false&filter=Service.Port%%20==%%2080");
    until_request(60);
    assert_string_equal(
        fake_path(&fake, 0),
        "/v1/health/service/web?passing=false&dc=far"
        "&filter=Service.Port%20%3D%3D%2080&near=_agent&tag=a%26b&tag=blue"
        "&stale");
    fake_answer(&fake, 0, 200, 3, NULL, LIST_A);
    until_request(300);
    assert_true(has(fake_path(&fake, 0), "&stale&index=3&wait=5000ms"));
    weft__watch_unsubscribe(l.sub);
}

static void a_token_travels_in_a_header_only(void **state)
{
    listener l;

    (void)state;
    assert_int_equal(
        weft_consul_configure(t.loop, &(weft_consul_conf){.token = "s3cret"}),
        WEFT_OK);
    listen_to(&l, WEB);
    until_request(60);
    assert_true(has(fake_head(&fake, 0), "X-Consul-Token: s3cret\r\n"));
    assert_false(has(fake_path(&fake, 0), "s3cret"));
    fake_answer(&fake, 0, 403, 0, NULL, "Permission denied");
    settle();
    assert_false(has(l.text, "s3cret"));
    assert_false(has(last_fields, "s3cret"));
    weft__watch_unsubscribe(l.sub);
}

static void refuses(const char *target, const char *expected)
{
    char why[512] = "";
    weft__watch_sub *sub;

    assert_int_not_equal(weft__watch_subscribe(&sub, t.loop, target, on_update,
                                               NULL, why, sizeof(why)),
                         WEFT_OK);
    if (!has(why, expected))
        fail_msg("%s: \"%s\" does not say \"%s\"", target, why, expected);
    assert_false(has(why, "s3cret"));
}

static void a_bad_target_is_refused_with_a_sentence(void **state)
{
    (void)state;
    refuses("consul:///", "the service is missing");
    refuses("consul:///a/b", "\"a/b\" is not the name of a service");
    refuses("consul+kv:///a/", "\"a/\" is not the name of a service");
    refuses("consul:///web?colour=x",
            "unknown parameter \"colour\" (known: dc");
    refuses("consul+kv:///web?tag=x", "unknown parameter \"tag\" (known: dc, ");
    refuses("consul:///web?token=s3cret", "CONSUL_HTTP_TOKEN");
    refuses("consul:///web?a=1&token=s3cret", "CONSUL_HTTP_TOKEN");
    refuses("consul://me:s3cret@127.0.0.1/web", "may not hold a secret");
    refuses("consul:///web?wait=1", "wait=1 is not a time from 1s to 10m");
    refuses("consul:///web?wait=20m", "is not a time from 1s to 10m");
    refuses("consul:///web?stale=maybe", "neither true nor false");
    refuses("consul:///web?tag", "parameter \"tag\" has no value");
    refuses("consul://agent.example/web", "names are not looked up");
}

/* --- keys --- */

static void
keys_are_asked_for_with_a_slash_and_404_is_an_empty_set(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, "consul+kv://127.0.0.1:%u/helloworld.Greeter");
    until_request(60);
    assert_string_equal(fake_path(&fake, 0),
                        "/v1/kv/helloworld.Greeter/?recurse");
    fake_answer(&fake, 0, 404, 5, NULL, "");
    until_request(300);
    assert_int_equal(l.updates, 1);
    assert_int_equal(l.count, 0);
    fake_answer(&fake, 0, 200, 6, NULL,
                "[{\"Key\":\"helloworld.Greeter/127.0.0.1:9111\"}]");
    until_request(300);
    assert_string_equal(l.all, "127.0.0.1:9111");
    fake_answer(&fake, 0, 404, 0, NULL, ""); /* not Consul's own */
    settle();
    assert_int_equal(info_of(&l).failures, 1);
    assert_int_equal(l.count, 1);
    weft__watch_unsubscribe(l.sub);
}

/* --- everything that is no answer --- */

typedef struct fault {
    const char *bytes;
    bool hang_up;
    const char *said;
} fault;

#define HEAD "HTTP/1.1 200 OK\r\nX-Consul-Index: 99\r\n"
static const fault faults[] = {
    {HEAD "Content-Length: 0\r\n\r\n", false, "an answer without a body"},
    {HEAD "Content-Length: 6\r\n\r\n<html>", false, "not JSON"},
    {HEAD "Content-Length: 1\r\n\r\n[", false, "not JSON, or cut off"},
    {HEAD "Content-Length: 2\r\n\r\n{}", false, "not a list"},
    {HEAD "Content-Length: 7\r\n\r\n[1,2,3]", false, "none of 3 entries"},
    {HEAD "Content-Length: 500\r\n\r\n[", true, ""},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n", true, ""},
    {"", true, ""},
    {"HTTP/1.1 20", true, ""},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", true, ""},
    {"HTTP/1.1 500 E\r\nX-Consul-Index: 1\r\nContent-Length: 17\r\n\r\n"
     "No cluster leader",
     false, "status 500: No cluster leader"},
    {"HTTP/1.1 400 E\r\nContent-Length: 0\r\n\r\n", false, "status 400"},
    {"HTTP/1.1 301 E\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", false,
     "status 301"},
    {"HTTP/1.1 204 E\r\n\r\n", false, "status 204"},
    {"HTTP/1.1 404 E\r\nX-Consul-Index: 7\r\nContent-Length: 0\r\n\r\n", false,
     "status 404"},
    {"HTTP/1.1 503 E\r\nContent-Length: 3\r\n\r\n\x01\xff\"", false,
     "status 503: ???"},
    {"HTTP/1.1 999 E\r\nContent-Length: 0\r\n\r\n", false, "status 999"},
};

static void an_error_keeps_the_list_and_starts_from_index_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        weft_watch_info info;
        listener l;

        begin(&l, WEB);
        fake_raw(&fake, 0, faults[i].bytes, strlen(faults[i].bytes),
                 faults[i].hang_up);
        settle();
        /* a kept connection may just have been old: it is tried once more */
        if (fake.n_pending > 0)
            fake_raw(&fake, 0, faults[i].bytes, strlen(faults[i].bytes),
                     faults[i].hang_up);
        settle();
        info = info_of(&l);
        if (info.failures != 1 || !has(info.error_text, faults[i].said))
            fail_msg("%.40s: %u failures, \"%s\"", faults[i].bytes,
                     info.failures, info.error_text);
        assert_string_equal(info.state, "backing off");
        assert_int_equal(info.index, 0);
        assert_int_equal(l.updates, 1);
        assert_int_equal(l.errors, 0);
        assert_int_equal(info.count, 1);
        assert_true(until_request(1600) >= 240);
        assert_string_equal(fake_path(&fake, 0),
                            "/v1/health/service/web?passing");
        fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
        settle();
        assert_int_equal(info_of(&l).failures, 0);
        assert_int_equal(l.updates, 1);
        weft__watch_unsubscribe(l.sub);
        settle();
    }
}

static void failures_back_off_to_ten_seconds_with_jitter(void **state)
{
    static const uint32_t most[] = {750, 1500, 3000, 6000, 12000, 15000, 15000};
    listener l;

    (void)state;
    listen_to(&l, WEB);
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        uint32_t waited = until_request(16000);

        if (i > 0) {
            assert_true(waited <= most[i - 1] + 10);
            assert_true(waited + 10 >= most[i - 1] / 3);
        }
        fake_answer(&fake, 0, 500, 0, NULL, "no");
        settle();
    }
    assert_int_equal(l.updates, 0);
    assert_true(l.errors >= 1);
    assert_true(has(l.text, "status 500: no"));
    assert_int_equal(logged, 1); /* once, not with each attempt */
    assert_true(has(last_event, "consul watch failed"));
    weft__watch_unsubscribe(l.sub);
}

static void a_denied_token_is_tried_seldom_and_said_once(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    for (int i = 0; i < 3; i++) {
        fake_answer(&fake, 0, 403, 0, NULL, "Permission denied: Missing");
        settle();
        assert_true(until_request(31000) >= 9900);
    }
    assert_int_equal(logged, 1);
    assert_true(has(info_of(&l).error_text, "status 403: Permission denied"));
    assert_int_equal(info_of(&l).count, 1);
    weft__watch_unsubscribe(l.sub);
}

static void silence_has_a_deadline_of_our_own(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    advance(41500); /* 30 s * 17/16 + 10 s = 41.875 s */
    assert_int_equal(info_of(&l).failures, 0);
    advance(500);
    assert_int_equal(info_of(&l).failures, 1);
    assert_true(has(info_of(&l).error_text, "deadline"));
    weft__watch_unsubscribe(l.sub);
    settle();
    listen_to(&l, WEB "2");
    fake.requests = 0;
    advance(60);
    assert_int_equal(fake.requests, 1);
    advance(9800);
    assert_int_equal(l.errors, 0);
    advance(300);
    assert_int_equal(l.errors, 1); /* 10 s for one that does not block */
    weft__watch_unsubscribe(l.sub);
}

static void an_agent_that_is_not_there_is_an_error_at_once(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, "consul://127.0.0.1:1/web");
    advance(100);
    assert_int_equal(l.errors, 1);
    assert_true(has(l.text, "consul 127.0.0.1:1: "));
    weft__watch_unsubscribe(l.sub);
}

/* --- the index --- */

static void an_index_that_goes_backwards_starts_again(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    fake_answer(&fake, 0, 200, 3, NULL, LIST_AB);
    until_request(300);
    assert_int_equal(l.count, 2); /* the list is good */
    assert_string_equal(fake_path(&fake, 0), "/v1/health/service/web?passing");
    fake_answer(&fake, 0, 200, 3, NULL, LIST_AB);
    until_request(300);
    assert_true(has(fake_path(&fake, 0), "index=3&"));
    weft__watch_unsubscribe(l.sub);
}

static void a_missing_zero_or_unreadable_index_counts_as_1(void **state)
{
    static const char *const headers[] = {
        NULL,
        "X-Consul-Index: 0\r\n",
        "X-Consul-Index: -5\r\n",
        "X-Consul-Index: many\r\n",
        "X-Consul-Index: 99999999999999999999999\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        listener l;

        listen_to(&l, WEB);
        until_request(100);
        fake_answer(&fake, 0, 200, 0, headers[i], LIST_A);
        until_request(300);
        assert_true(has(fake_path(&fake, 0), "&index=1&"));
        weft__watch_unsubscribe(l.sub);
        settle();
    }
}

static void a_huge_index_is_carried_and_survives_its_loss(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, WEB);
    until_request(100);
    fake_answer(&fake, 0, 200, UINT64_MAX, NULL, LIST_A);
    until_request(300);
    assert_true(has(fake_path(&fake, 0), "&index=18446744073709551615&"));
    fake_answer(&fake, 0, 200, 4, NULL, LIST_A);
    until_request(300);
    assert_false(has(fake_path(&fake, 0), "index="));
    weft__watch_unsubscribe(l.sub);
}

/* --- empty answers --- */

static void an_empty_answer_needs_a_second_consistent_look(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB "?stale");
    fake_answer(&fake, 0, 200, 11, NULL, "[]");
    settle();
    assert_string_equal(info_of(&l).state, "confirming");
    assert_true(until_request(1100) >= 990);
    assert_string_equal(fake_path(&fake, 0),
                        "/v1/health/service/web?passing&consistent");
    assert_int_equal(l.count, 1);
    fake_answer(&fake, 0, 200, 11, NULL, "[]");
    settle();
    assert_int_equal(l.count, 0);
    assert_int_equal(l.updates, 2);
    weft__watch_unsubscribe(l.sub);
}

static void a_second_look_that_finds_something_keeps_it(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    fake_answer(&fake, 0, 200, 11, NULL, "[]");
    until_request(1100);
    fake_answer(&fake, 0, 200, 12, NULL, LIST_AB);
    until_request(300);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.updates, 2);
    assert_true(has(fake_path(&fake, 0), "index=12&wait=30000ms"));
    weft__watch_unsubscribe(l.sub);
}

static void after_an_outage_an_empty_answer_waits_for_the_grace(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    fake_answer(&fake, 0, 500, 0, NULL, "rpc error: EOF");
    until_request(1600);
    empty_for(50000, 20);
    assert_int_equal(l.count, 1);
    assert_true(info_of(&l).degraded);
    empty_for(20000, 20);
    assert_int_equal(l.count, 0); /* 60 s after the trouble it is the truth */
    assert_int_equal(l.updates, 2);
    weft__watch_unsubscribe(l.sub);
}

static void a_server_that_lost_its_data_does_not_empty_the_list(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    fake_answer(&fake, 0, 200, 2, NULL, "[]"); /* index 10 -> 2 */
    empty_for(30000, 2);
    assert_int_equal(l.count, 1);
    until_request(35000);
    fake_answer(&fake, 0, 200, 3, NULL, LIST_AB); /* they have come back */
    settle();
    assert_int_equal(l.count, 2);
    assert_int_equal(l.updates, 2);
    weft__watch_unsubscribe(l.sub);
}

static void an_empty_answer_can_be_told_never_to_count(void **state)
{
    listener l;

    (void)state;
    assert_int_equal(
        weft_consul_configure(t.loop,
                              &(weft_consul_conf){.keep_last_on_empty = true}),
        WEFT_OK);
    begin(&l, WEB);
    empty_for(200000, 30);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.updates, 1);
    weft__watch_unsubscribe(l.sub);
}

static void the_grace_is_an_option(void **state)
{
    listener l;

    (void)state;
    assert_int_equal(
        weft_consul_configure(t.loop, &(weft_consul_conf){.grace_ms = 5000}),
        WEFT_OK);
    begin(&l, WEB);
    fake_answer(&fake, 0, 500, 0, NULL, "rpc error: EOF");
    until_request(1600);
    empty_for(3000, 20);
    assert_int_equal(l.count, 1);
    empty_for(7000, 20);
    assert_int_equal(l.count, 0);
    weft__watch_unsubscribe(l.sub);
}

static void
a_server_behind_by_more_than_max_stale_ms_is_passed_over(void **state)
{
    listener l;

    (void)state;
    assert_int_equal(
        weft_consul_configure(t.loop, &(weft_consul_conf){.max_stale_ms = 500}),
        WEFT_OK);
    listen_to(&l, WEB "?stale");
    until_request(60);
    fake_answer(&fake, 0, 200, 7, "X-Consul-LastContact: 500\r\n", LIST_A);
    until_request(300);
    assert_false(info_of(&l).degraded);
    assert_true(has(fake_path(&fake, 0), "&stale&index=7"));
    fake_answer(&fake, 0, 200, 8, "X-Consul-LastContact: 501\r\n", LIST_AB);
    until_request(300);
    assert_true(info_of(&l).degraded);
    assert_false(has(fake_path(&fake, 0), "stale")); /* the leader, at once */
    assert_false(has(fake_path(&fake, 0), "index="));
    fake_answer(&fake, 0, 200, 8, "X-Consul-LastContact: 0\r\n", LIST_AB);
    until_request(300);
    assert_false(info_of(&l).degraded);
    assert_true(has(fake_path(&fake, 0), "&stale&index=8"));
    weft__watch_unsubscribe(l.sub);
}

static void what_acls_hide_is_no_empty_list(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    fake_answer(&fake, 0, 200, 11,
                "X-Consul-Results-Filtered-By-ACLs: true\r\n", "[]");
    until_request(1100);
    fake_answer(&fake, 0, 200, 11,
                "X-Consul-Results-Filtered-By-ACLs: true\r\n", "[]");
    settle();
    assert_int_equal(l.count, 1);
    assert_true(has(info_of(&l).error_text, "ACL token"));
    weft__watch_unsubscribe(l.sub);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_first_query_does_not_block_and_the_next_waits_for_news),
        T(parameters_reach_consul),
        T(a_token_travels_in_a_header_only),
        T(a_bad_target_is_refused_with_a_sentence),
        T(keys_are_asked_for_with_a_slash_and_404_is_an_empty_set),
        T(an_error_keeps_the_list_and_starts_from_index_0),
        T(failures_back_off_to_ten_seconds_with_jitter),
        T(a_denied_token_is_tried_seldom_and_said_once),
        T(silence_has_a_deadline_of_our_own),
        T(an_agent_that_is_not_there_is_an_error_at_once),
        T(an_index_that_goes_backwards_starts_again),
        T(a_missing_zero_or_unreadable_index_counts_as_1),
        T(a_huge_index_is_carried_and_survives_its_loss),
        T(an_empty_answer_needs_a_second_consistent_look),
        T(a_second_look_that_finds_something_keeps_it),
        T(after_an_outage_an_empty_answer_waits_for_the_grace),
        T(a_server_that_lost_its_data_does_not_empty_the_list),
        T(an_empty_answer_can_be_told_never_to_count),
        T(the_grace_is_an_option),
        T(a_server_behind_by_more_than_max_stale_ms_is_passed_over),
        T(what_acls_hide_is_no_empty_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
