/* watch_scene.h - a watcher and an agent that does everything wrong, by a clock
 * that only the test moves.  Included by one file of each test program. */
#ifndef WEFT_TEST_WATCH_SCENE_H
#define WEFT_TEST_WATCH_SCENE_H

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

static inline void on_update(const weft_endpoints *list, weft_status status,
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

static inline void listen_to(listener *l, const char *rest)
{
    char target[512], why[512] = "";

    *l = (listener){0};
    snprintf(target, sizeof(target), rest, (unsigned)fake.port);
    if (weft__watch_subscribe(&l->sub, t.loop, target, on_update, l, why,
                              sizeof(why)) != WEFT_OK)
        fail_msg("%s: %s", target, why);
}

static inline weft_watch_info info_of(const listener *l)
{
    weft_watch_info info;

    weft__watch_sub_info(l->sub, &info);
    return info;
}

/* --- time --- */

static inline void settle(void)
{
    for (int i = 0; i < 6; i++)
        test_loop_settle(&t);
}

static inline void advance(uint32_t ms)
{
    test_loop_advance(&t, ms);
    settle();
}

/* Lets up to ms pass until a request waits; returns how many passed. */
static inline uint32_t until_request(uint32_t ms)
{
    uint32_t passed = 0;

    settle();
    for (; fake.n_pending == 0 && passed < ms; passed += 10)
        advance(10);
    if (fake.n_pending == 0)
        fail_msg("no request within %u ms", ms);
    return passed;
}

static inline bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* --- logs --- */

static unsigned logged;
static char last_event[128], last_fields[1024];
static inline void on_log(weft_log_level level, const char *event,
                          const char *fields, void *user)
{
    (void)user;
    if (level < WEFT_LOG_WARN)
        return;
    logged++;
    snprintf(last_event, sizeof(last_event), "%s", event);
    snprintf(last_fields, sizeof(last_fields), "%s", fields);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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
static inline void begin(listener *l, const char *rest)
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

/* Answers every request with "[]" for ms. */
static inline void empty_for(uint32_t ms, uint64_t index)
{
    for (uint32_t passed = 0; passed < ms; passed += 100) {
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, index, NULL, "[]");
        advance(100);
    }
}

#endif /* WEFT_TEST_WATCH_SCENE_H */
