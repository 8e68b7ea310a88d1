/* watch_test.c - targets, who shares a watch, and who is told what when. */
#include "support.h"
#include "test_loop.h"

#include <stdio.h>
#include <string.h>
#include <weft/watch.h>

static test_loop t;

/* A resolver that does what the test says. */
typedef struct puppet {
    weft_watch *watch;
} puppet;

static puppet *current; /* the last one started */
static unsigned started, closed;

static weft_status puppet_start(void *self, weft_watch *watch)
{
    if (weft_watch_param(watch, "refuse") != NULL) {
        weft_watch_fail(watch, WEFT_EINVAL, "refused: %s",
                        weft_watch_path(watch));
        return WEFT_EINVAL;
    }
    current = self;
    current->watch = watch;
    started++;
    return WEFT_OK;
}

static void puppet_close(void *self)
{
    puppet *p = self;

    if (p->watch != NULL)
        closed++;
    if (current == p)
        current = NULL;
}

static void puppet_info(void *self, weft_watch_info *info)
{
    (void)self;
    info->state = "dancing";
    info->index = 7;
}

static const weft_resolver_ops puppet_ops = {
    .scheme = "puppet",
    .self_size = sizeof(puppet),
    .start = puppet_start,
    .close = puppet_close,
    .info = puppet_info,
};

/* A subscriber that remembers what it was told. */
typedef struct listener {
    weft__watch_sub *sub;
    unsigned updates, errors;
    size_t count;
    char first[64], text[256];
    weft_status status;
    void (*then)(struct listener *l);
} listener;

static void on_update(const weft_endpoints *list, weft_status status,
                      const char *text, void *user)
{
    listener *l = user;

    if (list != NULL) {
        assert_int_equal(status, WEFT_OK);
        l->updates++;
        l->count = weft_endpoints_count(list);
        snprintf(l->first, sizeof(l->first), "%s",
                 l->count > 0 ? weft_endpoints_at(list, 0)->text : "");
    } else {
        l->errors++;
        l->status = status;
        snprintf(l->text, sizeof(l->text), "%s", text);
    }
    if (l->then != NULL)
        l->then(l);
}

static void listen_to(listener *l, const char *target)
{
    char why[256] = "";

    *l = (listener){.then = l->then};
    assert_int_equal(weft__watch_subscribe(&l->sub, t.loop, target, on_update,
                                           l, why, sizeof(why)),
                     WEFT_OK);
}

static weft_endpoints *list_of(const char *texts)
{
    char copy[256], *save = NULL;
    weft_endpoints_builder *builder;
    weft_endpoints *list;

    snprintf(copy, sizeof(copy), "%s", texts);
    assert_int_equal(weft_endpoints_builder_new(&builder), WEFT_OK);
    for (char *one = strtok_r(copy, ",", &save); one != NULL;
         one = strtok_r(NULL, ",", &save)) {
        weft_endpoint e = {.node = "", .id = ""};

        assert_int_equal(weft_address_parse(&e.address, one, NULL), WEFT_OK);
        assert_int_equal(weft_endpoints_builder_add(builder, &e), WEFT_OK);
    }
    assert_int_equal(weft_endpoints_builder_finish(builder, &list), WEFT_OK);
    return list;
}

static int setup(void **state)
{
    (void)state;
    started = closed = 0;
    current = NULL;
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_loop_fini(&t);
    return 0;
}

static void refuses(const char *target, const char *expected)
{
    char why[512] = "";
    weft__watch_sub *sub = NULL;
    weft_status status = weft__watch_subscribe(&sub, t.loop, target, on_update,
                                               NULL, why, sizeof(why));

    assert_int_not_equal(status, WEFT_OK);
    assert_null(sub);
    if (strstr(why, expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, expected);
}

static void a_bad_target_is_refused_with_a_sentence(void **state)
{
    (void)state;
    refuses("", "empty");
    refuses("greeter", "neither scheme://... nor an address");
    refuses("consull:///greeter", "unknown scheme \"consull\" (known: static,");
    refuses("static:///a%zz", "two hexadecimal digits");
    refuses("static:///", "no address");
    refuses("static:///10.0.0.1", "\"10.0.0.1\"");
    refuses("static:///example.com:80", "example.com:80");
    refuses("static:///10.0.0.1:80;weight=0", "weight=1 to 65535");
    refuses("static:///10.0.0.1:80;heavy", "weight=1 to 65535");
    refuses("static:///10.0.0.1:80?tag=x", "no parameter \"tag\"");
    refuses("static://10.0.0.1:80/10.0.0.2:80", "separated by commas");
    refuses("unix://run/x", "three slashes");
    refuses("inproc:///", "inproc:///");
    refuses("puppet:///x?refuse", "refused: x");
}

static void check_says_what_subscribe_says(void **state)
{
    char why[256] = "";

    (void)state;
    assert_int_equal(weft__watch_check("static:///10.0.0.1:80", why, 256),
                     WEFT_OK);
    assert_int_equal(weft__watch_check("nope:///x", why, sizeof(why)),
                     WEFT_EINVAL);
    assert_non_null(strstr(why, "unknown scheme \"nope\""));
}

static void static_gives_its_list_later_with_weights(void **state)
{
    listener l = {0};
    weft_watch_info info;

    (void)state;
    listen_to(&l, "static:///10.0.0.2:80,10.0.0.1:80;weight=5,[::1]:9");
    assert_int_equal(l.updates, 0); /* never on the stack of subscribe */
    test_loop_settle(&t);
    assert_int_equal(l.updates, 1);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.first, "10.0.0.1:80");
    weft__watch_sub_info(l.sub, &info);
    assert_true(info.has_list);
    assert_int_equal(info.count, 3);
    assert_int_equal(info.subscribers, 1);
    assert_string_equal(info.state, "fixed");
    weft__watch_unsubscribe(l.sub);
}

static unsigned weight_seen;
static void on_weight(const weft_endpoints *list, weft_status status,
                      const char *text, void *user)
{
    (void)status, (void)text, (void)user;
    weight_seen = weft_endpoints_at(list, 0)->weight;
}

static void a_weight_stands_behind_a_semicolon(void **state)
{
    weft__watch_sub *sub;

    (void)state;
    assert_int_equal(weft__watch_subscribe(&sub, t.loop,
                                           "tcp://10.0.0.1:80;weight=5",
                                           on_weight, NULL, NULL, 0),
                     WEFT_OK);
    test_loop_settle(&t);
    assert_int_equal(weight_seen, 5);
    weft__watch_unsubscribe(sub);
}

static void one_address_is_a_target_of_any_local_kind(void **state)
{
    static const char *const targets[][2] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"tcp://127.0.0.1:81", "127.0.0.1:81"},
        {"unix:///run/a%20b.sock", "unix:///run/a b.sock"},
        {"inproc:///greeter", "inproc:///greeter"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        listener l = {0};

        listen_to(&l, targets[i][0]);
        test_loop_settle(&t);
        assert_int_equal(l.count, 1);
        assert_string_equal(l.first, targets[i][1]);
        weft__watch_unsubscribe(l.sub);
    }
}

static void equal_targets_share_one_watch_until_the_last_leaves(void **state)
{
    listener a = {0}, b = {0}, other = {0};

    (void)state;
    listen_to(&a, "puppet://x/s?b=2&a=1");
    listen_to(&b, "PUPPET://x/s?a=1&b=2");
    assert_int_equal(started, 1);
    listen_to(&other, "puppet://x/s?a=1");
    assert_int_equal(started, 2);
    weft__watch_unsubscribe(a.sub);
    assert_int_equal(closed, 0);
    weft__watch_unsubscribe(b.sub);
    assert_int_equal(closed, 1);
    weft__watch_unsubscribe(other.sub);
    assert_int_equal(closed, 2);
}

static void a_late_subscriber_is_told_the_list_there_is(void **state)
{
    listener a = {0}, b = {0};

    (void)state;
    listen_to(&a, "puppet:///s");
    weft_watch_publish(current->watch, list_of("10.0.0.1:1,10.0.0.2:1"));
    assert_int_equal(a.updates, 0);
    test_loop_settle(&t);
    assert_int_equal(a.updates, 1);
    listen_to(&b, "puppet:///s");
    assert_int_equal(b.updates, 0);
    test_loop_settle(&t);
    assert_int_equal(b.updates, 1);
    assert_int_equal(b.count, 2);
    assert_int_equal(a.updates, 1); /* heard it before */
    weft__watch_unsubscribe(a.sub);
    weft__watch_unsubscribe(b.sub);
}

static void an_equal_list_confirms_and_is_not_told(void **state)
{
    listener l = {0};
    weft_watch_info info;

    (void)state;
    listen_to(&l, "puppet:///s");
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_settle(&t);
    test_loop_advance(&t, 500);
    weft__watch_sub_info(l.sub, &info);
    assert_int_equal(info.age_ms, 500);
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_settle(&t);
    assert_int_equal(l.updates, 1);
    weft__watch_sub_info(l.sub, &info);
    assert_int_equal(info.age_ms, 0);
    assert_int_equal(info.changed_ms, 500);
    assert_int_equal(info.changes, 1);
    weft_watch_publish(current->watch, list_of("10.0.0.2:1"));
    test_loop_settle(&t);
    assert_int_equal(l.updates, 2);
    assert_string_equal(l.first, "10.0.0.2:1");
    weft__watch_unsubscribe(l.sub);
}

static void an_error_is_told_only_while_there_is_no_list(void **state)
{
    listener l = {0};
    weft_watch_info info;

    (void)state;
    listen_to(&l, "puppet:///s");
    weft_watch_fail(current->watch, WEFT_UNAVAILABLE, "no answer from %d", 7);
    assert_int_equal(l.errors, 0);
    test_loop_settle(&t);
    assert_int_equal(l.errors, 1);
    assert_int_equal(l.status, WEFT_UNAVAILABLE);
    assert_string_equal(l.text, "no answer from 7");
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_settle(&t);
    weft_watch_fail(current->watch, WEFT_UNAVAILABLE, "down");
    test_loop_settle(&t);
    assert_int_equal(l.errors, 1);
    assert_int_equal(l.updates, 1);
    test_loop_advance(&t, 30);
    weft__watch_sub_info(l.sub, &info);
    assert_int_equal(info.error, WEFT_UNAVAILABLE);
    assert_string_equal(info.error_text, "down");
    assert_int_equal(info.error_ms, 30);
    assert_int_equal(info.count, 1);
    assert_int_equal(info.index, 7);
    assert_string_equal(info.state, "dancing");
    weft__watch_unsubscribe(l.sub);
}

static listener *victim;
static void leave_and_take_the_other_along(listener *l)
{
    weft__watch_unsubscribe(l->sub);
    weft__watch_unsubscribe(victim->sub);
    l->sub = victim->sub = NULL;
}

static void leaving_inside_the_callback_is_legal(void **state)
{
    listener a = {.then = leave_and_take_the_other_along}, b = {0};

    (void)state;
    listen_to(&a, "puppet:///s");
    a.then = leave_and_take_the_other_along;
    listen_to(&b, "puppet:///s");
    victim = &b;
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_settle(&t);
    assert_int_equal(a.updates, 1);
    assert_int_equal(b.updates, 0);
    assert_int_equal(closed, 1);
}

static listener newcomer;
static void bring_a_newcomer(listener *l)
{
    l->then = NULL;
    listen_to(&newcomer, "puppet:///s");
    assert_int_equal(newcomer.updates, 0);
    weft_watch_publish(current->watch, list_of("10.0.0.9:1"));
}

static void
subscribing_and_publishing_inside_the_callback_is_legal(void **state)
{
    listener l = {.then = bring_a_newcomer};

    (void)state;
    newcomer = (listener){0};
    listen_to(&l, "puppet:///s");
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_settle(&t);
    assert_int_equal(l.updates, 2);
    assert_string_equal(l.first, "10.0.0.9:1");
    assert_string_equal(newcomer.first, "10.0.0.9:1");
    weft__watch_unsubscribe(l.sub);
    weft__watch_unsubscribe(newcomer.sub);
}

static void a_loop_that_closes_ends_its_watches(void **state)
{
    listener l = {0};
    weft_watch_info info;

    (void)state;
    listen_to(&l, "puppet:///s");
    weft_watch_publish(current->watch, list_of("10.0.0.1:1"));
    test_loop_fini(&t);
    assert_int_equal(closed, 1);
    weft__watch_sub_info(l.sub, &info);
    assert_string_equal(info.state, "closed");
    weft__watch_unsubscribe(l.sub); /* legal after the loop, and frees */
    test_loop_init(&t);
}

static unsigned enumerated;
static void count_watch(const weft_watch_info *info, void *user)
{
    (void)user;
    enumerated += info->subscribers > 0 ? 1 : 100;
}

static void watches_can_be_listed_and_asked_for(void **state)
{
    listener a = {0}, b = {0};
    weft_watch_info info;

    (void)state;
    enumerated = 0;
    weft_watch_each(t.loop, count_watch, NULL);
    assert_int_equal(enumerated, 0);
    listen_to(&a, "puppet:///s?b&a");
    listen_to(&b, "static:///10.0.0.1:1");
    weft_watch_each(t.loop, count_watch, NULL);
    assert_int_equal(enumerated, 2);
    assert_int_equal(weft_watch_find_info(t.loop, "puppet:///s?a&b", &info),
                     WEFT_OK);
    assert_string_equal(info.target, "puppet:///s?a&b");
    assert_false(info.has_list);
    assert_int_equal(info.age_ms, UINT64_MAX);
    assert_int_equal(weft_watch_find_info(t.loop, "puppet:///other", &info),
                     WEFT_ENOENT);
    weft__watch_unsubscribe(a.sub);
    weft__watch_unsubscribe(b.sub);
}

static void a_scheme_is_registered_once_and_whole(void **state)
{
    static const weft_resolver_ops half = {.scheme = "half"};

    (void)state;
    assert_int_equal(weft_resolver_register(&puppet_ops), WEFT_EEXIST);
    assert_int_equal(weft_resolver_register(&half), WEFT_EINVAL);
    assert_int_equal(weft_resolver_register(NULL), WEFT_EINVAL);
}

/* ENOMEM, or it works; never a leak. */
static void subscribe_once(void *user)
{
    listener l = {0};

    (void)user;
    if (weft__watch_subscribe(&l.sub, t.loop,
                              "static:///10.0.0.1:80,10.0.0.2:80;weight=3",
                              on_update, &l, NULL, 0) != WEFT_OK)
        return;
    weft_loop_poll(t.loop);
    weft_loop_poll(t.loop);
    assert_int_equal(l.count, 2);
    weft__watch_unsubscribe(l.sub);
    weft_loop_poll(t.loop);
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(subscribe_once, NULL) > 5);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_bad_target_is_refused_with_a_sentence),
        T(check_says_what_subscribe_says),
        T(static_gives_its_list_later_with_weights),
        T(a_weight_stands_behind_a_semicolon),
        T(one_address_is_a_target_of_any_local_kind),
        T(equal_targets_share_one_watch_until_the_last_leaves),
        T(a_late_subscriber_is_told_the_list_there_is),
        T(an_equal_list_confirms_and_is_not_told),
        T(an_error_is_told_only_while_there_is_no_list),
        T(leaving_inside_the_callback_is_legal),
        T(subscribing_and_publishing_inside_the_callback_is_legal),
        T(a_loop_that_closes_ends_its_watches),
        T(watches_can_be_listed_and_asked_for),
        T(a_scheme_is_registered_once_and_whole),
        T(every_allocation_may_fail_once),
    };

    if (weft_resolver_register(&puppet_ops) != WEFT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
