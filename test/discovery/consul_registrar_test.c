/* consul_registrar_test.c - a server's registration, against an agent that
 * forgets, refuses, hangs. */
#include "support.h"
#include "test_loop.h"

#include "fake_consul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/consul.h>
#include <weft/log.h>
#include <weft/plugin_internal.h>

static test_loop t;
static fake_consul fake;

/* --- the server's side of a plugin --- */

typedef struct phase {
    weft_plugin_done done; /* first */
    unsigned finished;
    weft_status status;
    char message[512];
} phase;

static void on_finish(weft_plugin_done *done, weft_status status,
                      const char *message)
{
    phase *p = (phase *)done;

    p->finished++;
    p->status = status;
    snprintf(p->message, sizeof(p->message), "%s",
             message != NULL ? message : "");
    done->finish = NULL;
}

static weft_plugin *plugin;
static phase init, drain, closing;
static weft_address addresses[3];
static weft_plugin_host host;

static void begin_phase(phase *p)
{
    *p = (phase){.done = {.finish = on_finish}};
}

static const char *const greeter[] = {"helloworld.Greeter", "other.Service"};

static void listeners(const char *first, const char *second)
{
    assert_int_equal(weft_address_parse(&addresses[0], first, NULL), WEFT_OK);
    host.n_addresses = 1;
    if (second != NULL) {
        assert_int_equal(weft_address_parse(&addresses[1], second, NULL),
                         WEFT_OK);
        host.n_addresses = 2;
    }
}

static void settle(void)
{
    for (int i = 0; i < 4; i++)
        test_loop_settle(&t);
}

static void advance(uint32_t ms)
{
    test_loop_advance(&t, ms);
    settle();
}

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

static void start(weft_consul_conf conf)
{
    char agent[64];

    if (conf.agent == NULL) {
        snprintf(agent, sizeof(agent), "127.0.0.1:%u", fake.port);
        conf.agent = agent;
    }
    plugin = weft_consul_plugin(&conf);
    assert_non_null(plugin);
    begin_phase(&init);
    plugin->ops->init(plugin, &host, &init.done);
    settle();
}

static void stop(void)
{
    begin_phase(&closing);
    plugin->ops->close(plugin, &closing.done);
    assert_int_equal(closing.finished, 1);
    plugin->ops->free(plugin);
    plugin = NULL;
    settle();
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* The oldest request is this one, and gets this answer. */
static void expect(const char *method, const char *path, int code,
                   const char *body)
{
    until_request(40000);
    if (strcmp(fake_method(&fake, 0), method) != 0 ||
        strcmp(fake_path(&fake, 0), path) != 0)
        fail_msg("%s %s instead of %s %s", fake_method(&fake, 0),
                 fake_path(&fake, 0), method, path);
    if (code != 0)
        fake_answer(&fake, 0, code, 0, NULL, body);
    settle();
}

static unsigned logged;
static char last_event[128];
static void on_log(weft_log_level level, const char *event, const char *fields,
                   void *user)
{
    (void)fields, (void)user;
    if (level < WEFT_LOG_WARN)
        return;
    logged++;
    snprintf(last_event, sizeof(last_event), "%s", event);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("CONSUL_HTTP_ADDR");
    unsetenv("CONSUL_HTTP_TOKEN");
    logged = 0;
    weft_log_set_sink(on_log, NULL);
    test_loop_init(&t);
    fake_open(&fake, weft_loop_base(t.loop));
    host = (weft_plugin_host){.loop = t.loop,
                              .services = greeter,
                              .n_services = 1,
                              .addresses = addresses};
    listeners("127.0.0.1:8000", NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (plugin != NULL)
        stop();
    fake_close(&fake);
    test_loop_fini(&t);
    return 0;
}

#define REGISTER_PATH "/v1/agent/service/register?replace-existing-checks=true"
#define ID "helloworld.Greeter-127.0.0.1-8000"
#define LOOK_PATH "/v1/agent/health/service/id/" ID
#define PASS_PATH "/v1/agent/check/pass/service:" ID ":ttl"

/* --- registering --- */

static void
a_service_is_registered_as_critical_with_a_check_on_health(void **state)
{
    (void)state;
    start((weft_consul_conf){
        .tags = "blue, v1.2", .meta = "zone=a,note=x=\"y\"", .weight = 42});
    expect("PUT", REGISTER_PATH, 0, NULL);
    assert_string_equal(
        fake_body(&fake, 0),
        "{\"ID\":\"" ID "\",\"Name\":\"helloworld.Greeter\","
        "\"Address\":\"127.0.0.1\",\"Port\":8000,\"Tags\":[\"blue\",\"v1.2\"],"
        "\"Meta\":{\"zone\":\"a\",\"note\":\"x=\\\"y\\\"\"},"
        "\"Weights\":{\"Passing\":42,\"Warning\":1},"
        "\"EnableTagOverride\":false,\"Checks\":[{"
        "\"CheckID\":\"service:" ID ":http\",\"Name\":\"service:" ID ":http\","
        "\"HTTP\":\"http://127.0.0.1:8000/health\",\"Interval\":\"2000ms\","
        "\"Timeout\":\"1000ms\",\"FailuresBeforeCritical\":2,"
        "\"DeregisterCriticalServiceAfter\":\"600000ms\","
        "\"Status\":\"critical\"}]}");
    assert_int_equal(init.finished, 0);
    fake_answer(&fake, 0, 200, 0, NULL, "");
    settle();
    assert_int_equal(init.finished, 1);
    assert_int_equal(init.status, WEFT_OK);
}

static void several_services_are_registered_one_after_the_other(void **state)
{
    (void)state;
    host.n_services = 2;
    listeners("127.0.0.1:8000", "[::1]:8001");
    start((weft_consul_conf){0});
    for (int i = 0; i < 4; i++) {
        until_request(10);
        assert_int_equal(fake.n_pending, 1); /* one write in flight */
        if (i == 3)
            assert_true(
                has(fake_body(&fake, 0), "\"ID\":\"other.Service-::1-8001\""));
        if (i == 3)
            assert_true(has(fake_body(&fake, 0), "http://[::1]:8001/health"));
        assert_int_equal(init.finished, 0);
        fake_answer(&fake, 0, 200, 0, NULL, "");
        settle();
    }
    assert_int_equal(init.finished, 1);
}

static void
a_start_does_not_wait_longer_than_three_seconds_for_consul(void **state)
{
    (void)state;
    start((weft_consul_conf){0});
    expect("PUT", REGISTER_PATH, 500, "No cluster leader");
    advance(2900);
    assert_int_equal(init.finished, 0);
    advance(200);
    assert_int_equal(init.finished, 1);
    assert_int_equal(init.status, WEFT_OK);
    assert_true(has(last_event, "goes on in the background"));
    plugin->ops->serving(plugin);
    for (int i = 0; i < 5; i++)
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, 0, NULL, "");
        else
            advance(1000);
    assert_true(fake.requests >= 2); /* and it does go on */
}

static void how_long_a_start_waits_is_an_option(void **state)
{
    (void)state;
    start((weft_consul_conf){.register_wait_ms = 700});
    expect("PUT", REGISTER_PATH, 0, NULL);
    advance(690);
    assert_int_equal(init.finished, 0);
    advance(20);
    assert_int_equal(init.finished, 1);
    assert_int_equal(init.status, WEFT_OK);
}

static void
a_required_registration_fails_the_start_with_its_reason(void **state)
{
    (void)state;
    start((weft_consul_conf){.require_registration = true});
    expect("PUT", REGISTER_PATH, 403, "Permission denied: Missing");
    advance(3100);
    assert_int_equal(init.finished, 1);
    assert_int_equal(init.status, WEFT_UNAVAILABLE);
    assert_true(has(init.message, "register: status 403: Permission denied"));
}

static void a_write_that_hangs_has_a_deadline_of_30_seconds(void **state)
{
    (void)state;
    start((weft_consul_conf){0});
    expect("PUT", REGISTER_PATH, 0, NULL);
    advance(29900);
    /* reads go on beside it */
    for (size_t i = 0; i < fake.n_pending; i++)
        assert_true(i == 0 || strcmp(fake_method(&fake, i), "GET") == 0);
    assert_int_equal(logged, 1); /* "goes on in the background" */
    advance(300);
    assert_true(has(last_event, "consul registration failed"));
}

static void refuses(weft_consul_conf conf, const char *said)
{
    start(conf);
    assert_int_equal(init.finished, 1);
    assert_int_not_equal(init.status, WEFT_OK);
    if (!has(init.message, said))
        fail_msg("\"%s\" does not say \"%s\"", init.message, said);
    assert_int_equal(fake.requests, 0);
    stop();
}

static void what_nobody_could_call_is_refused_with_a_sentence(void **state)
{
    static const char *const odd[] = {"a/b c"};

    (void)state;
    refuses((weft_consul_conf){.check = "tcp"}, "expected http or ttl");
    refuses((weft_consul_conf){.meta = "novalue"}, "expected key=value");
    refuses((weft_consul_conf){.meta = "a b=c"}, "expected key=value");
    refuses((weft_consul_conf){.weight = 70000}, "weights are 1 to 65535");
    refuses((weft_consul_conf){.check = "ttl", .ttl_ms = 5}, "3000 at least");
    refuses((weft_consul_conf){.kv_session = true, .kv_session_ttl_ms = 5},
            "10000 to 86400000");
    refuses((weft_consul_conf){.service = "a/b"}, "service=\"a/b\"");
    refuses((weft_consul_conf){.advertise = "some.host:80"},
            "expected IP or IP:port");
    refuses((weft_consul_conf){.advertise = "0.0.0.0"}, "expected IP");
    refuses((weft_consul_conf){.agent = "consul.example"},
            "names are not looked up");
    refuses((weft_consul_conf){.agent = "10.0.0.1:8500"},
            "bound to 127.0.0.1:8000 and the agent 10.0.0.1:8500 is on another "
            "host");
    listeners("0.0.0.0:8000", NULL);
    refuses((weft_consul_conf){.agent = "10.0.0.1:8500"}, "set advertise");
    refuses((weft_consul_conf){.kv = true}, "a key needs an address");
    host.services = odd;
    refuses((weft_consul_conf){0}, "cannot be the name of a service");
    host.services = greeter;
    listeners("unix:///run/x.sock", NULL);
    refuses((weft_consul_conf){0}, "no TCP listener");
    host.n_services = 0;
    refuses((weft_consul_conf){0}, "no service");
}

static void expect_registered(weft_consul_conf conf, const char *part)
{
    start(conf);
    until_request(10);
    if (!has(fake_body(&fake, 0), part))
        fail_msg("%s\nhas not\n%s", fake_body(&fake, 0), part);
    stop();
}

static void what_is_registered_can_be_reached(void **state)
{
    (void)state;
    expect_registered((weft_consul_conf){.service = "greeter"},
                      "\"ID\":\"greeter-127.0.0.1-8000\",\"Name\":\"greeter\"");
    expect_registered((weft_consul_conf){.advertise = "10.0.0.5"},
                      "\"Address\":\"10.0.0.5\",\"Port\":8000");
    expect_registered((weft_consul_conf){.advertise = "10.0.0.5:90"},
                      "\"Address\":\"10.0.0.5\",\"Port\":90");
    /* the agent is on this host, and asks the listener itself */
    expect_registered((weft_consul_conf){.advertise = "10.0.0.5:90"},
                      "http://127.0.0.1:8000/health");
    expect_registered((weft_consul_conf){.check_url = "http://x/y"},
                      "\"HTTP\":\"http://x/y\"");
    listeners("0.0.0.0:8000", NULL);
    expect_registered((weft_consul_conf){0},
                      "-any-8000\",\"Name\":\"helloworld.Greeter\","
                      "\"Address\":\"\"");
    expect_registered((weft_consul_conf){0}, "http://127.0.0.1:8000/health");
    listeners("[::]:8000", NULL);
    expect_registered((weft_consul_conf){.advertise = "fd00::1"},
                      "\"Address\":\"fd00::1\"");
    expect_registered((weft_consul_conf){0}, "http://[::1]:8000/health");
    listeners("10.1.2.3:8000", "unix:///run/x.sock");
    expect_registered((weft_consul_conf){.deregister_after_ms = WEFT_OFF},
                      "\"FailuresBeforeCritical\":2,\"Status\"");
}

/* --- looking after it --- */

static void serve(weft_consul_conf conf)
{
    start(conf);
    expect("PUT", REGISTER_PATH, 200, "");
    assert_int_equal(init.finished, 1);
    plugin->ops->serving(plugin);
    settle();
}

static void an_agent_that_forgot_us_is_told_again(void **state)
{
    uint32_t waited;

    (void)state;
    serve((weft_consul_conf){0});
    waited = until_request(19000);
    assert_true(waited >= 11900); /* 15 s +- 20 % */
    expect("GET", LOOK_PATH, 429, "warning is fine");
    waited = until_request(19000);
    assert_true(waited >= 11900);
    expect("GET", LOOK_PATH, 503, "critical is fine");
    until_request(19000);
    if (has(fake_path(&fake, 0), "/v1/agent/self")) /* its minute is over */
        expect("GET", "/v1/agent/self", 500, "");
    expect("GET", LOOK_PATH, 404, "");
    expect("PUT", REGISTER_PATH, 0, NULL);
    assert_true(has(fake_body(&fake, 0), "\"Status\":\"passing\""));
    assert_true(has(last_event, "consul has forgotten us"));
}

static void the_catalogue_is_asked_whether_it_lists_us(void **state)
{
    unsigned looks = 0;

    (void)state;
    serve((weft_consul_conf){0});
    for (int i = 0; i < 12; i++) {
        until_request(19000);
        if (!has(fake_path(&fake, 0), "health/service/id"))
            break;
        looks++;
        fake_answer(&fake, 0, 200, 0, NULL, "{}");
        settle();
    }
    assert_in_range(looks, 2, 6); /* after a minute */
    expect("GET", "/v1/agent/self", 200,
           "{\"Config\":{\"NodeName\":\"n\",\"NodeID\":\"node-7\"},"
           "\"Member\":{\"NodeID\":\"wrong\"}}");
    while (until_request(19000), !has(fake_path(&fake, 0), "filter"))
        expect("GET", LOOK_PATH, 200, "{}");
    /* our id, on another node: a ghost */
    expect("GET",
           "/v1/health/service/helloworld.Greeter?filter=Service.ID%20%3D%3D%20"
           "%22helloworld.Greeter-127.0.0.1-8000%22",
           200,
           "[{\"Node\":{\"ID\":\"node-6\",\"Address\":\"10.0.0.1\"},"
           "\"Service\":{\"ID\":\"" ID "\",\"Port\":8000},\"Checks\":[]}]");
    assert_true(has(last_event, "does not list us"));
    expect("PUT", REGISTER_PATH, 200, "");
    logged = 0;
    while (until_request(19000), !has(fake_path(&fake, 0), "filter"))
        expect("GET", LOOK_PATH, 200, "{}");
    fake_answer(&fake, 0, 200, 0, NULL,
                "[{\"Node\":{\"ID\":\"node-7\",\"Address\":\"10.0.0.1\"},"
                "\"Service\":{\"ID\":\"" ID "\",\"Port\":8000},\"Checks\":"
                "[{\"Status\":\"critical\"}]}]");
    settle();
    assert_int_equal(logged, 0);
}

static void a_ttl_is_passed_at_once_and_three_times_in_each(void **state)
{
    uint32_t waited;

    (void)state;
    start((weft_consul_conf){.check = "ttl"});
    expect("PUT", REGISTER_PATH, 0, NULL);
    assert_true(has(fake_body(&fake, 0), "\"TTL\":\"30000ms\""));
    fake_answer(&fake, 0, 200, 0, NULL, "");
    advance(1000);
    assert_int_equal(fake.n_pending, 0); /* not before it serves */
    plugin->ops->serving(plugin);
    settle();
    expect("PUT", PASS_PATH, 200, "");
    waited = until_request(12000);
    assert_in_range(waited, 8900, 11100);
    expect("PUT", PASS_PATH, 500, "rpc error: No cluster leader");
    waited = until_request(2000);
    if (has(fake_path(&fake, 0), "health")) { /* a look comes in between */
        expect("GET", LOOK_PATH, 200, "");
        waited += until_request(2000);
    }
    assert_in_range(waited, 700, 1300);
    expect("PUT", PASS_PATH, 200, "");
}

static void a_ttl_that_is_unknown_is_registered_again_and_passed(void **state)
{
    static const struct {
        int code;
        const char *text;
    } answers[] = {
        {500, "CheckID \"service:" ID ":ttl\" does not have associated TTL"},
        {404, "Unknown check ID"},
        {500, "Unknown check \"x\""},
    };

    (void)state;
    start((weft_consul_conf){.check = "ttl"});
    expect("PUT", REGISTER_PATH, 200, "");
    plugin->ops->serving(plugin);
    for (size_t i = 0; i < 3; i++) {
        until_request(12000);
        if (has(fake_path(&fake, 0), "health"))
            expect("GET", LOOK_PATH, 200, "");
        expect("PUT", PASS_PATH, answers[i].code, answers[i].text);
        expect("PUT", REGISTER_PATH, 200, "");
    }
    expect("PUT", PASS_PATH, 200, "");
}

/* --- leaving --- */

static void begin_drain(void)
{
    begin_phase(&drain);
    plugin->ops->draining(plugin, &drain.done);
    settle();
}

static void a_drain_hides_the_service_and_takes_it_back(void **state)
{
    (void)state;
    serve((weft_consul_conf){0});
    begin_drain();
    expect("PUT",
           "/v1/agent/service/maintenance/" ID "?enable=true&reason=draining",
           200, "");
    assert_int_equal(drain.finished, 0);
    expect("PUT", "/v1/agent/service/deregister/" ID, 404, "unknown");
    assert_int_equal(drain.finished, 1);
    advance(120000); /* and nothing registers any more */
    assert_int_equal(fake.n_pending, 0);
}

static void a_drain_does_not_wait_for_an_agent_that_is_silent(void **state)
{
    (void)state;
    host.n_services = 2;
    start((weft_consul_conf){0});
    expect("PUT", REGISTER_PATH, 200, "");
    begin_drain(); /* while the second registration is in flight */
    advance(1900);
    assert_int_equal(drain.finished, 0);
    advance(200);
    assert_int_equal(drain.finished, 1); /* 2 s in all, not 2 s for each */
    assert_int_equal(drain.status, WEFT_OK);
    assert_true(has(last_event, "not told that we leave"));
}

static void a_close_at_any_time_ends_everything(void **state)
{
    (void)state;
    start((weft_consul_conf){0}); /* registering */
    stop();
    assert_int_equal(init.finished, 0); /* cut off: the server knows */
    serve((weft_consul_conf){0});
    begin_drain(); /* leaving */
    stop();
    assert_int_equal(drain.finished, 0);
    plugin = weft_consul_plugin(NULL); /* never started */
    assert_non_null(plugin);
    plugin->ops->free(plugin);
    plugin = NULL;
    fake.requests = 0;
    advance(120000);
    assert_int_equal(fake.requests, 0);
}

/* --- gorpc's keys --- */

#define KEY_PATH "/v1/kv/helloworld.Greeter/127.0.0.1:8000"

static void a_key_is_gorpcs_byte_for_byte_and_written_when_serving(void **state)
{
    (void)state;
    start((weft_consul_conf){.kv = true});
    assert_int_equal(init.finished, 0);
    expect("GET", KEY_PATH, 404, ""); /* does the store answer? */
    assert_int_equal(init.finished, 1);
    assert_int_equal(fake.n_pending, 0);
    plugin->ops->serving(plugin);
    settle();
    expect("PUT", KEY_PATH "?flags=3304740253564472344", 0, NULL);
    assert_string_equal(fake_body(&fake, 0), "127.0.0.1:8000");
    fake_answer(&fake, 0, 200, 0, NULL, "true");
    expect("GET", KEY_PATH, 404, ""); /* somebody deleted it */
    expect("PUT", KEY_PATH "?flags=3304740253564472344", 200, "true");
    begin_drain();
    expect("DELETE", KEY_PATH, 200, "true");
    assert_int_equal(drain.finished, 1);
}

static void start_session(void)
{
    start((weft_consul_conf){.kv = true, .kv_session = true});
    until_request(10);
    /* the look and the session go out together */
    for (int i = 0; i < 2; i++)
        if (has(fake_path(&fake, 0), "/v1/kv/"))
            expect("GET", KEY_PATH, 404, "");
        else {
            assert_string_equal(fake_body(&fake, 0),
                                "{\"Name\":\"weft\",\"TTL\":\"15000ms\","
                                "\"Behavior\":\"delete\","
                                "\"LockDelay\":\"0s\"}");
            expect("PUT", "/v1/session/create", 200, "{\"ID\":\"s-1\"}");
        }
    assert_int_equal(init.finished, 1);
    plugin->ops->serving(plugin);
    settle();
}

#define ACQUIRE(s) KEY_PATH "?acquire=" s "&flags=3304740253564472344"

static void under_a_session_the_key_goes_with_the_process(void **state)
{
    uint32_t waited;

    (void)state;
    start_session();
    expect("PUT", ACQUIRE("s-1"), 200, "true");
    waited = until_request(6000);
    assert_in_range(waited, 4000, 5600); /* a third of 15 s +-10 % */
    expect("PUT", "/v1/session/renew/s-1", 200, "[]");
    expect("PUT", "/v1/session/renew/s-1", 404, "Session id not found");
    expect("PUT", "/v1/session/create", 200, "{\"ID\":\"s-2\"}");
    expect("PUT", ACQUIRE("s-2"), 200, "true");
    begin_drain();
    expect("DELETE", KEY_PATH, 200, "true");
    expect("PUT", "/v1/session/destroy/s-2", 200, "true");
    assert_int_equal(drain.finished, 1);
}

static void a_session_that_is_gone_when_acquiring_is_made_again(void **state)
{
    (void)state;
    start_session();
    expect("PUT", ACQUIRE("s-1"), 500, "rpc error: invalid session \"s-1\"");
    expect("PUT", "/v1/session/create", 200, "{\"ID\":\"s-2\"}");
    expect("PUT", ACQUIRE("s-2"), 200, "true");
}

static void a_key_held_by_an_earlier_life_is_freed_first(void **state)
{
    (void)state;
    start_session();
    expect("PUT", ACQUIRE("s-1"), 200, "false");
    expect("DELETE", KEY_PATH, 200, "true");
    expect("PUT", ACQUIRE("s-1"), 200, "true");
}

static void a_session_answer_of_the_wrong_shape_is_an_error(void **state)
{
    static const char *const answers[] = {"", "[]", "{\"ID\":7}",
                                          "{\"ID\":", "{\"X\":{\"ID\":\"s\"}}"};

    (void)state;
    start((weft_consul_conf){
        .kv = true, .kv_session = true, .require_registration = true});
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        until_request(16000);
        while (has(fake_path(&fake, 0), "/v1/kv/")) {
            expect("GET", KEY_PATH, 404, "");
            until_request(16000);
        }
        expect("PUT", "/v1/session/create", 200, answers[i]);
    }
    assert_int_equal(init.finished, 1);
    assert_true(has(init.message, "make session"));
}

/* --- memory --- */

static void register_with_failures(void *user)
{
    weft_consul_conf conf = {.tags = "a,b", .meta = "k=v"};
    char agent[64];

    (void)user;
    snprintf(agent, sizeof(agent), "127.0.0.1:%u", fake.port);
    conf.agent = agent;
    if ((plugin = weft_consul_plugin(&conf)) == NULL)
        return;
    begin_phase(&init);
    plugin->ops->init(plugin, &host, &init.done);
    for (int i = 0; i < 20 && init.finished == 0; i++) {
        if (fake.n_pending > 0)
            fake_answer(&fake, 0, 200, 0, NULL, "");
        advance(200);
    }
    assert_int_equal(init.finished, 1);
    if (init.status == WEFT_OK) {
        plugin->ops->serving(plugin);
        begin_drain();
        for (int i = 0; i < 20 && drain.finished == 0; i++) {
            if (fake.n_pending > 0)
                fake_answer(&fake, 0, 200, 0, NULL, "");
            advance(200);
        }
        assert_int_equal(drain.finished, 1);
    }
    stop();
}

static void every_allocation_of_a_registration_may_fail_once(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(register_with_failures, NULL) > 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_service_is_registered_as_critical_with_a_check_on_health),
        T(several_services_are_registered_one_after_the_other),
        T(a_start_does_not_wait_longer_than_three_seconds_for_consul),
        T(how_long_a_start_waits_is_an_option),
        T(a_required_registration_fails_the_start_with_its_reason),
        T(a_write_that_hangs_has_a_deadline_of_30_seconds),
        T(what_nobody_could_call_is_refused_with_a_sentence),
        T(what_is_registered_can_be_reached),
        T(an_agent_that_forgot_us_is_told_again),
        T(the_catalogue_is_asked_whether_it_lists_us),
        T(a_ttl_is_passed_at_once_and_three_times_in_each),
        T(a_ttl_that_is_unknown_is_registered_again_and_passed),
        T(a_drain_hides_the_service_and_takes_it_back),
        T(a_drain_does_not_wait_for_an_agent_that_is_silent),
        T(a_close_at_any_time_ends_everything),
        T(a_key_is_gorpcs_byte_for_byte_and_written_when_serving),
        T(under_a_session_the_key_goes_with_the_process),
        T(a_session_that_is_gone_when_acquiring_is_made_again),
        T(a_key_held_by_an_earlier_life_is_freed_first),
        T(a_session_answer_of_the_wrong_shape_is_an_error),
        T(every_allocation_of_a_registration_may_fail_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
