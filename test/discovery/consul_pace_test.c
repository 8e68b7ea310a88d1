/* consul_pace_test.c - how often the watcher asks, its slots, its cache, large
 * answers, and what it leaves behind. */
#include "support.h"
#include "watch_scene.h"

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
        weft_consul_configure(t.loop, &(weft_consul_conf){.max_watches = 2,
                                                          .wait_ms = 600000,
                                                          .poll_ms = 5000}),
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
    assert_in_range(polls, 26, 38); /* four watches, one poll each in 5 s */
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
