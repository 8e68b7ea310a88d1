/* gorpc_consul_test.c - gorpc and Weft find each other through Consul's keys:
 * "service/address", as gorpc's plugin writes and lists them, in a real Consul.
 */
#include "interop.h"

#include "consul.h"

#include <weft/consul.h>

#define SERVICE "helloworld.Greeter"
#define GORPC_FLAGS "3304740253564472344" /* api.LockFlagValue */

static consul_agent agent;

/* Both clocks run, at about the same pace. */
#define run_until(f, condition)                                                \
    do {                                                                       \
        uint64_t begun_ = consul_now_ms(), last_ = begun_, now_;               \
        while (!(condition) && (now_ = consul_now_ms()) - begun_ < 20000) {    \
            weft_fake_advance(&(f)->t.clock, (uint32_t)(now_ - last_));        \
            last_ = now_;                                                      \
            interop_turn(f);                                                   \
        }                                                                      \
        assert_true(condition);                                                \
    } while (0)

static void key_path(char *out, size_t size, uint16_t port)
{
    snprintf(out, size, "/v1/kv/" SERVICE "/127.0.0.1:%u", port);
}

/* What gorpc's plugin does at a server's start. */
static void gorpc_register(uint16_t port)
{
    char path[128], flags[192], address[32];

    key_path(path, sizeof(path), port);
    snprintf(flags, sizeof(flags), "%s?flags=" GORPC_FLAGS, path);
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    consul_put(&agent, flags, address);
}

static void forget(const char *path)
{
    assert_int_equal(consul_request(&agent, "DELETE", path, NULL, NULL, 0),
                     200);
}

/* What gorpc's client does at each call: the text after the last "/" of each
 * key.  Returns their number; *port is the last one's. */
static unsigned gorpc_resolve(uint16_t *port, char *answer, size_t size)
{
    unsigned n = 0;
    int status = consul_request(
        &agent, "GET", "/v1/kv/" SERVICE "?recurse=", NULL, answer, size);

    if (status == 404)
        return 0;
    assert_int_equal(status, 200);
    for (const char *p = answer; (p = strstr(p, "\"Key\":")) != NULL; p++) {
        const char *end = strchr(p + 7, '"');
        const char *address = memrchr(p, '/', (size_t)(end - p));

        assert_memory_equal(address, "/127.0.0.1:", 11);
        *port = (uint16_t)atoi(address + 11);
        n++;
    }
    return n;
}

/* ---- A Weft client ---- */

typedef struct found {
    unsigned right, wrong, pending;
} found;

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    found *f = user;

    if (reply != NULL && strcmp(reply->msg, "hello x") == 0)
        f->right++;
    else
        f->wrong++;
    f->pending--;
}

/* One after the other: of many at once each server takes as many as it has
 * connections. */
static void call_many(interop *f, const weft_stub *stub, unsigned n)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_stub once = *stub;
    found result = {0};

    request.msg = (char[]){"x"};
    while (result.right + result.wrong < n) {
        result.pending++;
        helloworld__greeter__say_hello(&once.base, &request, on_reply, &result);
        run_until(f, result.pending == 0);
    }
    assert_int_equal(result.right, n);
}

static weft_channel *open_channel(interop *f, weft_stub *stub)
{
    weft_channel *channel;
    char target[96];

    snprintf(target, sizeof(target), "consul+kv://%s:%u/" SERVICE, agent.ip,
             agent.http);
    assert_int_equal(
        weft_consul_configure(
            f->t.loop, &(weft_consul_conf){.cache_dir = "off", .grace_ms = 1}),
        WEFT_OK);
    assert_int_equal(
        weft_channel_new(&channel, f->t.loop, target,
                         &(weft_channel_conf){.balancer = "round_robin"}),
        WEFT_OK);
    *stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    return channel;
}

static uint64_t ready(const weft_channel *channel)
{
    return weft_channel_get_stats(channel).ready_endpoints;
}

static void gorpc_servers_are_found_by_their_keys(void **state)
{
    interop *f = *state;
    gorpc_server *a = gorpc_server_start(0), *b = gorpc_server_start(0);
    char path[128];
    weft_stub stub;
    weft_channel *channel;

    gorpc_register(gorpc_server_port(a));
    /* gorpc's own look-up would take this one too */
    consul_put(&agent, "/v1/kv/" SERVICE "X/127.0.0.1:1", "127.0.0.1:1");
    channel = open_channel(f, &stub);
    call_many(f, &stub, 20);
    assert_int_equal(gorpc_server_look(a).calls, 20);

    /* One more comes while we watch, and the first one is taken away. */
    gorpc_register(gorpc_server_port(b));
    run_until(f, ready(channel) == 2);
    call_many(f, &stub, 20);
    assert_int_equal(gorpc_server_look(b).calls, 10);
    key_path(path, sizeof(path), gorpc_server_port(a));
    forget(path);
    run_until(f, weft_channel_get_stats(channel).endpoints == 1);
    call_many(f, &stub, 20);
    assert_int_equal(gorpc_server_look(b).calls, 30);
    assert_int_equal(gorpc_server_look(b).pushed, 0);

    weft_channel_close(channel);
    interop_turn(f);
    gorpc_server_stop(a);
    gorpc_server_stop(b);
}

static weft_plugin *kv_plugin(void)
{
    char at[64];

    snprintf(at, sizeof(at), "%s:%u", agent.ip, agent.http);
    return weft_consul_plugin(&(weft_consul_conf){.agent = at, .kv = true});
}

static void a_weft_server_is_found_by_gorpc(void **state)
{
    interop *f = *state;
    char answer[4096], want[128];
    uint16_t port = 0;
    gorpc_client c;

    interop_serve(f, &(weft_server_conf){.lame_duck_ms = 100}, kv_plugin());
    /* It serves, so the key is written, and exactly as gorpc writes it. */
    run_until(f, gorpc_resolve(&port, answer, sizeof(answer)) == 1);
    assert_int_equal(port, f->port);
    snprintf(want, sizeof(want), "\"Key\":\"" SERVICE "/127.0.0.1:%u\"",
             f->port);
    assert_non_null(strstr(answer, want));
    assert_non_null(strstr(answer, "\"Flags\":" GORPC_FLAGS));
    snprintf(want, sizeof(want), "/v1/kv/" SERVICE "/127.0.0.1:%u?raw",
             f->port);
    assert_int_equal(
        consul_request(&agent, "GET", want, NULL, answer, sizeof(answer)), 200);
    snprintf(want, sizeof(want), "127.0.0.1:%u", f->port);
    assert_string_equal(answer, want);

    gorpc_client_init(&c, port);
    assert_int_equal(interop_hello(f, &c, "you", "hello you"), 0);
    assert_int_equal(interop_hello(f, &c, "fail 5 no", ""), 5);

    /* The key goes first, so that new calls look elsewhere. */
    interop_drain(f);
    run_until(f, gorpc_resolve(&port, answer, sizeof(answer)) == 0);
    assert_false(f->drained);
    assert_int_equal(interop_hello(f, &c, "late", "hello late"), 0);
    gorpc_client_fini(&c);
    run_until(f, f->drained);
}

static void servers_of_both_kinds_serve_one_name(void **state)
{
    interop *f = *state;
    gorpc_server *theirs = gorpc_server_start(0);
    char answer[4096];
    weft_stub stub;
    weft_channel *channel;
    uint16_t port;

    interop_serve(f, NULL, kv_plugin());
    gorpc_register(gorpc_server_port(theirs));
    run_until(f, gorpc_resolve(&port, answer, sizeof(answer)) == 2);
    channel = open_channel(f, &stub);
    call_many(f, &stub, 1);
    run_until(f, ready(channel) == 2);
    call_many(f, &stub, 40);
    assert_true(gorpc_server_look(theirs).calls >= 20);
    assert_true(weft_server_get_stats(f->server).calls >= 20);
    assert_int_equal(gorpc_server_look(theirs).pushed, 0);
    weft_channel_close(channel);
    interop_drain(f);
    run_until(f, f->drained);
    gorpc_server_stop(theirs);
}

static int setup(void **state)
{
    assert_int_equal(
        consul_request(&agent, "DELETE", "/v1/kv/?recurse", NULL, NULL, 0),
        200);
    return interop_setup(state);
}

#define KV_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, interop_teardown)

static int start_agent(void **state)
{
    (void)state;
    consul_single(&agent);
    return 0;
}

static int end_agent(void **state)
{
    (void)state;
    consul_end(&agent);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(gorpc_servers_are_found_by_their_keys),
        KV_TEST(a_weft_server_is_found_by_gorpc),
        KV_TEST(servers_of_both_kinds_serve_one_name),
    };
    int code;

    if (consul_missing(&code))
        return code;
    return cmocka_run_group_tests(tests, start_agent, end_agent);
}
