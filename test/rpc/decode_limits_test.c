/* decode_limits_test.c - messages that are nested too deep, between a real
 * channel and a real server. */
#include "support.h"

#include "test_loop.h"

#include <string.h>
#include <weft/weft.h>

#include "shapes.pb-c.h"

/* A service that no .proto file has: protoc-gen-c's tables, by hand. */
typedef struct tree_service {
    ProtobufCService base;
    void (*echo)(struct tree_service *self, const Shapes__Node *in,
                 void (*reply)(const Shapes__Node *out, void *call),
                 void *call);
} tree_service;

static const ProtobufCMethodDescriptor methods[] = {
    {"Echo", &shapes__node__descriptor, &shapes__node__descriptor}};
static const unsigned by_name[] = {0};
static const ProtobufCServiceDescriptor trees = {
    .magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
    .name = "shapes.Trees",
    .short_name = "Trees",
    .c_name = "Shapes__Trees",
    .package = "shapes",
    .n_methods = 1,
    .methods = methods,
    .method_indices_by_name = by_name};

static int n_served;

static void echo(tree_service *self, const Shapes__Node *in,
                 void (*reply)(const Shapes__Node *out, void *call), void *call)
{
    (void)self;
    n_served++;
    reply(in, call);
}

static tree_service service = {{&trees, NULL, NULL}, echo};

typedef struct fixture {
    test_loop t;
    weft_server *server;
    weft_channel *channel;
    int n_ended;
    weft_status status;
    char message[256];
    size_t depth; /* of the reply */
} fixture;

static int setup(void **state)
{
    static fixture f;

    f = (fixture){0};
    n_served = 0;
    test_loop_init(&f.t);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    weft_channel_close(f->channel);
    weft_server_free(f->server);
    test_loop_settle(&f->t);
    test_loop_fini(&f->t);
    return 0;
}

static void serve(fixture *f, const weft_server_conf *server,
                  const weft_channel_conf *channel)
{
    weft_server_new(&f->server, f->t.loop, server);
    weft_server_add_service(f->server, &service.base);
    weft_server_listen(f->server, "inproc:///trees");
    assert_int_equal(weft_server_start(f->server, NULL, NULL), WEFT_OK);
    assert_int_equal(
        weft_channel_new(&f->channel, f->t.loop, "inproc:///trees", channel),
        WEFT_OK);
}

static size_t depth_of(const Shapes__Node *node)
{
    size_t n = 0;

    for (; node != NULL; node = node->child)
        n++;
    return n;
}

static void on_tree(const weft_result *r, void *user)
{
    fixture *f = user;

    f->n_ended++;
    f->status = r->status;
    snprintf(f->message, sizeof(f->message), "%s", r->message);
    f->depth = depth_of((const Shapes__Node *)r->reply);
}

/* Sends a chain of nodes. */
static void ask(fixture *f, size_t depth)
{
    static Shapes__Node nodes[32];
    weft_stub stub = weft_stub_for(f->channel, &trees);

    assert_true(depth > 0 && depth <= 32);
    for (size_t i = 0; i < depth; i++) {
        shapes__node__init(&nodes[i]);
        nodes[i].child = i + 1 < depth ? &nodes[i + 1] : NULL;
    }
    f->n_ended = 0;
    assert_int_equal(weft_stub_call(&stub, 0, &nodes[0].base, on_tree, f),
                     WEFT_OK);
    for (int i = 0; i < 100 && f->n_ended == 0; i++)
        test_loop_settle(&f->t);
    assert_int_equal(f->n_ended, 1);
}

static void assert_refused(const fixture *f, const char *limit)
{
    assert_int_equal(f->status, WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(f->message, limit));
}

static void assert_echoed(const fixture *f, size_t depth)
{
    assert_int_equal(f->status, WEFT_OK);
    assert_int_equal(f->depth, depth);
}

static void a_request_nested_too_deep_never_reaches_its_handler(void **state)
{
    fixture *f = *state;

    serve(f, &(weft_server_conf){.max_decode_depth = 3}, NULL);
    ask(f, 4);
    assert_echoed(f, 4);
    ask(f, 5);
    assert_refused(f, "request: it is nested over max_decode_depth");
    assert_int_equal(n_served, 1);
    ask(f, 1); /* and nobody else pays */
    assert_echoed(f, 1);
}

static void a_reply_nested_too_deep_fails_its_call_alone(void **state)
{
    fixture *f = *state;

    serve(f, NULL, &(weft_channel_conf){.max_decode_depth = 3});
    ask(f, 4);
    assert_echoed(f, 4);
    ask(f, 5);
    assert_refused(f, "max_decode_depth");
    assert_int_equal(n_served, 2);
    ask(f, 1);
    assert_echoed(f, 1);
    assert_int_equal(weft_channel_get_stats(f->channel).connects, 1);
}

#define DEPTH_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEPTH_TEST(a_request_nested_too_deep_never_reaches_its_handler),
        DEPTH_TEST(a_reply_nested_too_deep_fails_its_call_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
