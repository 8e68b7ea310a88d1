/* consul_watch_test.c - the watcher against an agent that does everything
 * wrong, by a clock that only the test moves. */
#include "support.h"
#include "test_loop.h"

#include "fake_consul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/consul.h>
#include <weft/log.h>
#include <weft/watch.h>

static test_loop t;
static fake_consul fake;
static char folder[64];

/* --- a subscriber --- */

typedef struct listener {
    weft__watch_sub *sub;
    unsigned updates, errors;
    size_t count;
    uint32_t weight;
    char all[512], text[256];
} listener;

static void on_update(const weft_endpoints *list, weft_status status,
                      const char *text, void *user)
{
    listener *l = user;

    (void)status;
    if (list == NULL) {
        l->errors++;
        snprintf(l->text, sizeof(l->text), "%s", text);
        return;
    }
    l->updates++;
    l->count = weft_endpoints_count(list);
    l->weight = l->count > 0 ? weft_endpoints_at(list, 0)->weight : 0;
    l->all[0] = '\0';
    for (size_t i = 0; i < l->count && i < 8; i++) {
        strcat(l->all, i > 0 ? " " : "");
        strcat(l->all, weft_endpoints_at(list, i)->text);
    }
}

static void listen_to(listener *l, const char *rest)
{
    char target[512], why[512] = "";

    *l = (listener){0};
    snprintf(target, sizeof(target), rest, (unsigned)fake.port);
    if (weft__watch_subscribe(&l->sub, t.loop, target, on_update, l, why,
                              sizeof(why)) != WEFT_OK)
        fail_msg("%s: %s", target, why);
}

static weft_watch_info info_of(const listener *l)
{
    weft_watch_info info;

    weft__watch_sub_info(l->sub, &info);
    return info;
}

/* --- time --- */

static void settle(void)
{
    for (int i = 0; i < 6; i++)
        test_loop_settle(&t);
}

static void advance(uint32_t ms)
{
    test_loop_advance(&t, ms);
    settle();
}

/* Lets up to ms pass until a request waits; returns how many passed. */
static uint32_t until_request(uint32_t ms)
{
    uint32_t passed = 0;

    settle();
    for (; fake.n_pending == 0 && passed < ms; passed += 10)
        advance(10);
    if (fake.n_pending == 0)
        fail_msg("no request within %u ms", ms);
    return passed;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* --- logs --- */

static unsigned logged;
static char last_event[128], last_fields[1024];
static void on_log(weft_log_level level, const char *event, const char *fields,
                   void *user)
{
    (void)user;
    if (level < WEFT_LOG_WARN)
        return;
    logged++;
    snprintf(last_event, sizeof(last_event), "%s", event);
    snprintf(last_fields, sizeof(last_fields), "%s", fields);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weft-watch-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    setenv("WEFT_CACHE_DIR", folder, 1);
    unsetenv("CONSUL_HTTP_ADDR");
    unsetenv("CONSUL_HTTP_TOKEN");
    logged = 0;
    weft_log_set_sink(on_log, NULL);
    test_loop_init(&t);
    fake_open(&fake, weft_loop_base(t.loop));
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    fake_close(&fake);
    test_loop_fini(&t);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/* --- answers --- */

#define ONE(address, port)                                                     \
    "{\"Node\":{\"Node\":\"n\",\"Address\":\"10.9.9.9\"},\"Service\":{\"ID\":" \
    "\"i\",\"Address\":\"" address "\",\"Port\":" port                         \
    ",\"Weights\":{\"Passing\":7,\"Warning\":2}},\"Checks\":[{\"Status\":"     \
    "\"passing\"}]}"
#define LIST_A "[" ONE("10.0.0.1", "80") "]"
#define LIST_AB "[" ONE("10.0.0.2", "80") "," ONE("10.0.0.1", "80") "]"

/* A watch that has LIST_A and a blocking query in flight, index 10. */
static void begin(listener *l, const char *rest)
{
    listen_to(l, rest);
    until_request(100);
    fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
    until_request(300);
    assert_string_equal(l->all, "10.0.0.1:80");
    assert_int_equal(l->updates, 1);
    assert_true(has(fake_path(&fake, 0), "&index=10&wait=30000ms"));
}

#define WEB "consul://127.0.0.1:%u/web"

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

/* Answers every request with "[]" for ms. */
static void empty_for(uint32_t ms, uint64_t index)
{
    for (uint32_t passed = 0; passed < ms; passed += 100) {
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, index, NULL, "[]");
        advance(100);
    }
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

/* --- pace --- */

static void answers_without_news_are_slowed_down(void **state)
{
    listener l;
    unsigned before;

    (void)state;
    begin(&l, WEB);
    before = fake.requests;
    for (uint32_t passed = 0; passed < 60000; passed += 10) {
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
        advance(10);
    }
    /* 100 ms, 200, 400 ... then one in 5 s */
    assert_true(fake.requests - before <= 18);
    assert_true(fake.requests - before >= 12);
    assert_int_equal(l.updates, 1);
    weft__watch_unsubscribe(l.sub);
}

static void a_server_that_ends_is_asked_three_times_in_a_second(void **state)
{
    listener l;
    unsigned before;

    (void)state;
    begin(&l, WEB);
    advance(20000);
    before = fake.requests;
    fake_answer(&fake, 0, 200, 10, NULL, LIST_A); /* pending queries return */
    for (int i = 0; i < 100; i++) {
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, 10, NULL, LIST_A); /* at once */
        if (i == 20)
            fake.hang_up = true; /* then nobody is there */
        advance(10);
    }
    assert_true(fake.requests - before <= 3);
    weft__watch_unsubscribe(l.sub);
}

static void a_query_that_waited_in_vain_is_followed_at_once(void **state)
{
    listener l;

    (void)state;
    begin(&l, WEB);
    advance(31000);
    fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
    assert_int_equal(until_request(20), 0);
    weft__watch_unsubscribe(l.sub);
}

/* --- what is known about the source --- */

static void
a_server_that_is_behind_marks_the_watch_and_the_leader_is_asked(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, WEB "?stale");
    until_request(100);
    fake_answer(&fake, 0, 200, 10, "X-Consul-Knownleader: false\r\n", LIST_A);
    until_request(300);
    assert_int_equal(l.count, 1);
    assert_true(info_of(&l).degraded);
    assert_string_equal(fake_path(&fake, 0), "/v1/health/service/web?passing");
    fake_answer(&fake, 0, 200, 10, "X-Consul-Lastcontact: 10001\r\n", LIST_A);
    until_request(300);
    assert_true(info_of(&l).degraded);
    assert_false(has(fake_path(&fake, 0), "stale"));
    fake_answer(&fake, 0, 200, 11, "X-Consul-Knownleader: true\r\n", LIST_A);
    until_request(300);
    assert_false(info_of(&l).degraded);
    assert_true(has(fake_path(&fake, 0), "&stale&index=11"));
    weft__watch_unsubscribe(l.sub);
}

static void bad_entries_are_counted_and_the_good_ones_used(void **state)
{
    listener l;

    (void)state;
    listen_to(&l, WEB);
    until_request(100);
    fake_answer(&fake, 0, 200, 10, NULL,
                "[" ONE("nowhere", "80") "," ONE("10.0.0.1", "80") ",7]");
    settle();
    assert_int_equal(l.count, 1);
    assert_int_equal(info_of(&l).skipped, 2);
    weft__watch_unsubscribe(l.sub);
}

/* --- slots --- */

#define MANY 6

static void beyond_the_cap_watches_poll_in_turn(void **state)
{
    listener l[MANY];
    unsigned blocking = 0, polls = 0;

    (void)state;
    assert_int_equal(
        weft_consul_configure(
            t.loop, &(weft_consul_conf){.max_watches = 2, .wait_ms = 600000}),
        WEFT_OK);
    for (int i = 0; i < MANY; i++) {
        char rest[64];

        snprintf(rest, sizeof(rest), "consul://127.0.0.1:%%u/s%d", i);
        listen_to(&l[i], rest);
    }
    advance(60);
    assert_int_equal(fake.n_pending, MANY); /* the first look is for all */
    while (fake.n_pending > 0)
        fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
    advance(200);
    for (size_t i = 0; i < fake.n_pending; i++)
        blocking += has(fake_path(&fake, i), "index=10");
    assert_int_equal(blocking, 2);
    for (uint32_t passed = 0; passed < 40000; passed += 50) {
        for (size_t i = 0; i < fake.n_pending; i++)
            if (!has(fake_path(&fake, i), "index=")) {
                polls++;
                fake_answer(&fake, i--, 200, 10, NULL,
                            passed > 20000 ? LIST_AB : LIST_A);
            }
        advance(50);
    }
    assert_in_range(polls, 12, 20); /* four watches, one poll each in 10 s */
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(l[i].updates, 1 + (l[i].count == 2));
        if (strcmp(info_of(&l[i]).state, "polling") == 0)
            assert_int_equal(l[i].count, 2);
    }
    weft__watch_unsubscribe(l[0].sub); /* had a slot: another takes it */
    advance(11000);
    blocking = 0;
    for (size_t i = 0; i < fake.n_pending; i++)
        blocking += has(fake_path(&fake, i), "index=10");
    assert_int_equal(blocking, 2);
    for (int i = 1; i < MANY; i++)
        weft__watch_unsubscribe(l[i].sub);
}

static void refused_for_connections_watches_become_fewer(void **state)
{
    listener l[MANY];
    unsigned blocking = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        char rest[64];

        snprintf(rest, sizeof(rest), "consul://127.0.0.1:%%u/s%d", i);
        listen_to(&l[i], rest);
    }
    advance(60);
    while (fake.n_pending > 0)
        fake_answer(&fake, 0, 200, 10, NULL, LIST_A);
    advance(200);
    assert_int_equal(fake.n_pending, MANY);
    fake_answer(&fake, 0, 429, 0, NULL, "");
    settle();
    while (fake.n_pending > 0)
        fake_answer(&fake, 0, 200, 11, NULL, LIST_A);
    for (int i = 0; i < 30; i++) {
        for (size_t k = 0; k < fake.n_pending; k++)
            if (!has(fake_path(&fake, k), "index="))
                fake_answer(&fake, k--, 200, 11, NULL, LIST_A);
        advance(100);
    }
    for (size_t k = 0; k < fake.n_pending; k++)
        blocking += has(fake_path(&fake, k), "index=11");
    assert_int_equal(blocking, MANY / 2);
    for (int i = 0; i < MANY; i++)
        weft__watch_unsubscribe(l[i].sub);
}

static void a_connection_closed_without_a_byte_waits_a_second(void **state)
{
    listener l;

    (void)state;
    fake.hang_up = true;
    listen_to(&l, WEB);
    advance(60);
    assert_true(has(l.text, "too many connections"));
    assert_int_equal(fake.requests, 1);
    advance(930);
    assert_int_equal(fake.requests, 1);
    advance(130);
    assert_int_equal(fake.requests, 2);
    weft__watch_unsubscribe(l.sub);
}

/* --- the cache --- */

static void a_cold_start_works_from_the_last_list(void **state)
{
    listener l;
    char target[64];

    (void)state;
    snprintf(target, sizeof(target), WEB, (unsigned)fake.port);
    begin(&l, WEB);
    weft__watch_unsubscribe(l.sub);
    settle();
    fake.hang_up = true;
    listen_to(&l, WEB);
    advance(60);
    assert_int_equal(l.errors, 0);
    assert_string_equal(l.all, "10.0.0.1:80");
    assert_int_equal(l.weight, 7);
    assert_true(info_of(&l).from_cache);
    fake.hang_up = false;
    until_request(2000);
    fake_answer(&fake, 0, 200, 5, NULL, "[]"); /* it has just been started */
    empty_for(20000, 5);
    assert_int_equal(l.count, 1);
    until_request(35000);
    fake_answer(&fake, 0, 200, 6, NULL, LIST_AB);
    settle();
    assert_int_equal(l.count, 2);
    assert_false(info_of(&l).from_cache);
    weft__watch_unsubscribe(l.sub);
}

static void a_cache_file_cut_off_is_ignored_with_one_line(void **state)
{
    listener l;
    char command[256];

    (void)state;
    begin(&l, WEB);
    weft__watch_unsubscribe(l.sub);
    settle();
    snprintf(command, sizeof(command),
             "for f in '%s'/*.consul; do truncate -s -9 \"$f\"; done", folder);
    assert_int_equal(system(command), 0);
    fake.hang_up = true;
    logged = 0;
    listen_to(&l, WEB);
    advance(30000);
    assert_int_equal(l.updates, 0);
    assert_true(l.errors >= 1);
    assert_int_equal(logged, 2); /* that the watch failed, and this */
    assert_true(has(last_event, "discovery cache ignored"));
    assert_true(has(last_fields, "cut off or damaged"));
    weft__watch_unsubscribe(l.sub);
}

static void the_cache_can_be_switched_off(void **state)
{
    listener l;
    char command[256];

    (void)state;
    assert_int_equal(
        weft_consul_configure(t.loop, &(weft_consul_conf){.cache_dir = "off"}),
        WEFT_OK);
    begin(&l, WEB);
    advance(2000);
    weft__watch_unsubscribe(l.sub);
    snprintf(command, sizeof(command), "test -z \"$(ls '%s')\"", folder);
    assert_int_equal(system(command), 0);
}

/* --- size --- */

static char *large_catalogue(size_t n)
{
    char *body = malloc(n * 768 + 16), *at = body;

    *at++ = '[';
    for (size_t i = 0; i < n; i++)
        at += sprintf(
            at,
            "%s{\"Node\":{\"Node\":\"n%zu\",\"Address\":\"10.9.9.9\"},"
            "\"Service\":{\"ID\":\"s%zu\",\"Address\":"
            "\"10.%zu.%zu.%zu\",\"Port\":80,\"Tags\":[\"a\"],"
            "\"Meta\":{\"padding\":\"%0400d\"}}}",
            i > 0 ? "," : "", i, i, i >> 16, (i >> 8) & 255, i & 255, 7);
    strcpy(at, "]");
    return body;
}

static void five_megabytes_are_read_in_many_short_steps(void **state)
{
    char *body = large_catalogue(11000);
    listener l;

    (void)state;
    assert_true(strlen(body) > 5000000);
    listen_to(&l, WEB);
    until_request(100);
    fake_answer(&fake, 0, 200, 10, NULL, body);
    for (int i = 0; i < 200; i++)
        settle();
    assert_int_equal(l.count, 11000);
    /* the longest time that one callback held the loop, on a real clock in
     * test/cluster; here only that there were many */
    weft__watch_unsubscribe(l.sub);
    free(body);
}

static void an_answer_beyond_the_cap_is_an_error(void **state)
{
    char *body = large_catalogue(200);
    listener l;

    (void)state;
    assert_int_equal(weft_consul_configure(
                         t.loop, &(weft_consul_conf){.max_body_bytes = 65536}),
                     WEFT_OK);
    listen_to(&l, WEB);
    until_request(100);
    fake_answer(&fake, 0, 200, 10, NULL, body);
    settle();
    assert_int_equal(l.updates, 0);
    assert_int_equal(l.errors, 1);
    weft__watch_unsubscribe(l.sub);
    free(body);
}

static void leaving_in_any_state_leaves_nothing(void **state)
{
    char *body = large_catalogue(5000);
    listener l;

    (void)state;
    listen_to(&l, WEB); /* starting */
    weft__watch_unsubscribe(l.sub);
    settle();
    listen_to(&l, WEB); /* asking */
    until_request(100);
    weft__watch_unsubscribe(l.sub);
    settle();
    listen_to(&l, WEB); /* reading */
    until_request(100);
    fake_answer(&fake, 0, 200, 10, NULL, body);
    for (int i = 0; i < 1000 && strcmp(info_of(&l).state, "reading") != 0; i++)
        weft_loop_poll(t.loop);
    assert_string_equal(info_of(&l).state, "reading");
    weft__watch_unsubscribe(l.sub);
    settle();
    begin(&l, WEB); /* blocking, while the loop itself goes */
    test_loop_fini(&t);
    weft__watch_unsubscribe(l.sub);
    fake.n_pending = 0;
    free(body);
    test_loop_init(&t);
}

/* --- memory --- */

static void watch_with_failures(void *user)
{
    unsigned *nth = user;
    listener l;
    char target[64];

    (void)nth;
    l = (listener){0};
    snprintf(target, sizeof(target), WEB, (unsigned)fake.port);
    if (weft__watch_subscribe(&l.sub, t.loop, target, on_update, &l, NULL, 0) !=
        WEFT_OK) {
        settle();
        return;
    }
    advance(60);
    for (int i = 0; i < 40 && l.count != 2; i++) {
        while (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, 10, NULL, LIST_AB);
        advance(500);
    }
    assert_int_equal(l.count, 2); /* it came through, sooner or later */
    weft__watch_unsubscribe(l.sub);
    settle();
    fake.n_pending = 0;
}

static void every_allocation_of_a_watch_may_fail_once(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(watch_with_failures, NULL) > 30);
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
        T(what_acls_hide_is_no_empty_list),
        T(answers_without_news_are_slowed_down),
        T(a_server_that_ends_is_asked_three_times_in_a_second),
        T(a_query_that_waited_in_vain_is_followed_at_once),
        T(a_server_that_is_behind_marks_the_watch_and_the_leader_is_asked),
        T(bad_entries_are_counted_and_the_good_ones_used),
        T(beyond_the_cap_watches_poll_in_turn),
        T(refused_for_connections_watches_become_fewer),
        T(a_connection_closed_without_a_byte_waits_a_second),
        T(a_cold_start_works_from_the_last_list),
        T(a_cache_file_cut_off_is_ignored_with_one_line),
        T(the_cache_can_be_switched_off),
        T(five_megabytes_are_read_in_many_short_steps),
        T(an_answer_beyond_the_cap_is_an_error),
        T(leaving_in_any_state_leaves_nothing),
        T(every_allocation_of_a_watch_may_fail_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
