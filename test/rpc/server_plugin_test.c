/* Plugins: order, deadlines, rollback, faults; nothing is served before all are
 * initialised. */
#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

typedef struct probe {
    weft_plugin base;
    weft_plugin_ops ops;
    const char *letter;
    bool init_later, init_never, drain_later, close_never;
    weft_status init_status;
    weft_plugin_done *init_done, *draining_done, *close_done;
    weft_plugin_host host;
    void (*in_init)(struct probe *p);
    void (*in_serving)(struct probe *p);
    fixture *f;
} probe;

/* What has happened, a letter and a digit each: 0 init, 1 serving, 2 draining,
 * 3 close, 4 free. */
static char trail[256];

static void mark(const probe *p, const char *what)
{
    strcat(trail, p->letter);
    strcat(trail, what);
}

static void probe_init(weft_plugin *self, const weft_plugin_host *host,
                       weft_plugin_done *done)
{
    probe *p = (probe *)self;

    mark(p, "0");
    p->host = *host;
    p->init_done = done;
    if (p->in_init != NULL)
        p->in_init(p);
    if (!p->init_later && !p->init_never)
        weft_plugin_finish(done, p->init_status,
                           p->init_status == WEFT_OK ? NULL : "it is broken");
}

static void probe_serving(weft_plugin *self)
{
    probe *p = (probe *)self;

    mark(p, "1");
    if (p->in_serving != NULL)
        p->in_serving(p);
}

static void probe_draining(weft_plugin *self, weft_plugin_done *done)
{
    probe *p = (probe *)self;

    mark(p, "2");
    p->draining_done = done;
    if (!p->drain_later)
        weft_plugin_finish(done, WEFT_OK, NULL);
}

static void probe_close(weft_plugin *self, weft_plugin_done *done)
{
    probe *p = (probe *)self;

    mark(p, "3");
    p->close_done = done;
    if (!p->close_never)
        weft_plugin_finish(done, WEFT_OK, NULL);
}

static void probe_free(weft_plugin *self)
{
    mark((probe *)self, "4");
}

static weft_plugin *probe_make(probe *p, fixture *f, const char *letter)
{
    p->letter = letter;
    p->f = f;
    p->ops = (weft_plugin_ops){.name = letter,
                               .init_timeout_ms = 2000,
                               .init = probe_init,
                               .serving = probe_serving,
                               .draining = probe_draining,
                               .close = probe_close,
                               .free = probe_free};
    p->base.ops = &p->ops;
    return &p->base;
}

/* They outlive their server, which may end after its test. */
static probe *new_probe(probe like)
{
    static probe probes[32];
    static size_t n;
    probe *p = &probes[n++];

    assert_true(n <= sizeof(probes) / sizeof(probes[0]));
    *p = like;
    return p;
}

/* A server with probes a and b, not started. */
static void server_with(fixture *f, probe *a, probe *b)
{
    trail[0] = '\0';
    fixture_server(f, &(weft_server_conf){.lame_duck_ms = 1000}, NULL);
    assert_int_equal(weft_server_use(f->server, probe_make(a, f, "a")),
                     WEFT_OK);
    assert_int_equal(weft_server_use(f->server, probe_make(b, f, "b")),
                     WEFT_OK);
}

static void start(fixture *f)
{
    assert_int_equal(weft_server_start(f->server, on_started, f), WEFT_OK);
    test_loop_settle(&f->t);
}

static void plugins_start_in_order_and_close_in_reverse(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}), *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    assert_string_equal(trail, "a0b0a1b1");
    assert_int_equal(f->start_status, WEFT_OK);
    weft_server_drain(f->server, 0, on_drained, f);
    test_loop_settle(&f->t);
    assert_string_equal(trail, "a0b0a1b1a2b2");
    test_loop_advance(&f->t, 1100);
    assert_string_equal(trail, "a0b0a1b1a2b2b3a3");
    assert_int_equal(f->n_drained, 1);
    weft_server_free(f->server);
    test_loop_settle(&f->t);
    assert_string_equal(trail, "a0b0a1b1a2b2b3a3a4b4");
}

static void a_plugin_knows_services_and_real_addresses(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}), *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    assert_ptr_equal(a->host.loop, f->t.loop);
    assert_int_equal(a->host.n_services, 1);
    assert_string_equal(a->host.services[0], "helloworld.Greeter");
    assert_int_equal(a->host.n_addresses, 1);
    assert_true(weft_address_equal(&a->host.addresses[0],
                                   weft_server_address(f->server, 0)));
    assert_true(weft_address_port(&a->host.addresses[0]) != 0);
}

static void nothing_is_served_before_all_plugins_are_initialised(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}),
          *b = new_probe((probe){.init_later = true});

    server_with(f, a, b);
    start(f);
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_STARTING);
    /* It can connect; what it says waits. */
    raw_open(&f->client, f->t.loop, weft_server_address(f->server, 0));
    test_loop_advance(&f->t, 500);
    assert_false(f->client.ready);
    assert_non_null(f->client.conn);
    assert_string_equal(trail, "a0b0");
    weft_plugin_finish(b->init_done, WEFT_OK, NULL);
    assert_false(f->client.ready);
    run_while(f, !f->client.ready);
    assert_string_equal(trail, "a0b0a1b1");
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_SERVING);
}

static void a_plugin_that_fails_undoes_the_start(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}),
          *b = new_probe((probe){.init_status = WEFT_UNAVAILABLE});

    server_with(f, a, b);
    start(f);
    assert_int_equal(f->n_started, 1);
    assert_int_equal(f->start_status, WEFT_UNAVAILABLE);
    assert_string_equal(f->start_message, "plugin b: it is broken");
    assert_string_equal(weft_server_error(f->server), "plugin b: it is broken");
    assert_string_equal(trail, "a0b0b3a3");
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_CLOSED);
    assert_null(weft_server_address(f->server, 0));
    assert_int_equal(weft_server_drain(f->server, 0, NULL, NULL), WEFT_ESTATE);
}

static void a_failing_first_plugin_spares_the_second(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){.init_status = WEFT_INTERNAL}),
          *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    assert_string_equal(trail, "a0a3");
    weft_server_free(f->server);
    test_loop_settle(&f->t);
    assert_string_equal(trail, "a0a3a4b4");
}

static void a_plugin_that_never_finishes_is_cut_off(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}),
          *b = new_probe((probe){.init_never = true, .close_never = true});

    server_with(f, a, b);
    start(f);
    test_loop_advance(&f->t, 1999);
    assert_int_equal(f->n_started, 0);
    test_loop_advance(&f->t, 1);
    assert_string_equal(trail, "a0b0b3");
    /* Its close hangs too; late words about the init change nothing. */
    weft_plugin_finish(b->init_done, WEFT_OK, NULL);
    test_loop_advance(&f->t, 2990);
    assert_string_equal(trail, "a0b0b3");
    test_loop_advance(&f->t, 20);
    assert_string_equal(trail, "a0b0b3a3");
    assert_int_equal(f->start_status, WEFT_DEADLINE_EXCEEDED);
    assert_string_equal(f->start_message,
                        "plugin b: init has not finished within 2000 ms");
    weft_plugin_finish(b->close_done, WEFT_OK, NULL);
    weft_plugin_finish(b->init_done, WEFT_OK, NULL);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_started, 1);
    assert_int_equal(f->server->plugins_last->init.status,
                     WEFT_DEADLINE_EXCEEDED);
    assert_int_equal(f->server->plugins_last->close.status,
                     WEFT_DEADLINE_EXCEEDED);
}

static void a_plugin_speaks_once(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){.init_later = true}),
          *b = new_probe((probe){.init_later = true});

    server_with(f, a, b);
    start(f);
    weft_plugin_finish(a->init_done, WEFT_OK, NULL);
    weft_plugin_finish(a->init_done, WEFT_ABORTED, "changed its mind");
    test_loop_settle(&f->t);
    weft_plugin_finish(a->init_done, WEFT_ABORTED, "again");
    weft_plugin_finish(b->init_done, WEFT_OK, NULL);
    test_loop_settle(&f->t);
    assert_int_equal(f->start_status, WEFT_OK);
}

static void a_drain_while_starting_ends_the_start(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}),
          *b = new_probe((probe){.init_never = true});

    server_with(f, a, b);
    start(f);
    assert_int_equal(weft_server_drain(f->server, 0, on_drained, f), WEFT_OK);
    test_loop_settle(&f->t);
    assert_string_equal(trail, "a0b0b3a3");
    assert_int_equal(f->start_status, WEFT_CANCELLED);
    assert_int_equal(f->n_drained, 1);
    assert_int_equal(f->drain_status, WEFT_OK);
}

static void draining_is_waited_for_three_seconds(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){.drain_later = true}),
          *b = new_probe((probe){.drain_later = true});

    server_with(f, a, b);
    start(f);
    fixture_connect(f);
    weft_server_drain(f->server, 0, on_drained, f);
    test_loop_settle(&f->t);
    weft_plugin_finish(a->draining_done, WEFT_OK, NULL);
    test_loop_advance(&f->t, 2990);
    /* Still in discovery, maybe: it serves. */
    assert_said(f, say_hello(f, "x", 0), "hello x");
    assert_string_equal(weft__phase_name(f->server), "leaving discovery");
    test_loop_advance(&f->t, 20);
    assert_string_equal(weft__phase_name(f->server), "lame duck");
    weft_plugin_finish(b->draining_done, WEFT_OK, NULL);
    test_loop_settle(&f->t);
    assert_string_equal(weft__phase_name(f->server), "lame duck");
}

static void missing_entries_finish_at_once(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}), *b = new_probe((probe){0});

    server_with(f, a, b);
    a->ops = (weft_plugin_ops){.name = "a", .free = probe_free};
    start(f);
    assert_int_equal(f->start_status, WEFT_OK);
    weft_server_drain(f->server, 0, on_drained, f);
    test_loop_advance(&f->t, 1100);
    assert_int_equal(f->n_drained, 1);
    assert_string_equal(trail, "b0b1b2b3");
}

static void a_plugin_that_cannot_be_used_is_freed(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}), *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    trail[0] = '\0';
    assert_int_equal(weft_server_use(f->server, probe_make(a, f, "c")),
                     WEFT_ESTATE);
    assert_int_equal(weft_server_use(NULL, probe_make(a, f, "d")), WEFT_EINVAL);
    assert_string_equal(trail, "c4d4");
    probe_make(a, f, "a");
}

static void a_constructor_that_failed_is_out_of_memory(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    assert_int_equal(weft_server_use(f->server, NULL), WEFT_ENOMEM);
    assert_string_equal(weft_server_error(f->server), "plugin: out of memory");
}

static void free_server(probe *p)
{
    weft_server_free(p->f->server);
}

static void a_plugin_may_free_its_server_while_it_starts(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){.in_init = free_server, .init_never = true}),
          *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    assert_string_equal(trail, "a0a3a4b4");
    assert_int_equal(f->start_status, WEFT_CANCELLED);
    assert_string_equal(f->start_message,
                        "the server was ended before it served");
}

static void a_plugin_may_free_its_server_when_it_serves(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){.in_serving = free_server}),
          *b = new_probe((probe){0});

    server_with(f, a, b);
    start(f);
    assert_string_equal(trail, "a0b0a1b1b3a3a4b4");
    assert_int_equal(f->start_status, WEFT_OK);
}

static void a_loop_that_goes_waits_for_no_plugin(void **state)
{
    fixture *f = *state;
    probe *a = new_probe((probe){0}),
          *b = new_probe((probe){.close_never = true});

    server_with(f, a, b);
    start(f);
    weft_loop_free(f->t.loop);
    f->t.loop = NULL;
    assert_string_equal(trail, "a0b0a1b1b3a3a4b4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(plugins_start_in_order_and_close_in_reverse),
        FIXTURE_TEST(a_plugin_knows_services_and_real_addresses),
        FIXTURE_TEST(nothing_is_served_before_all_plugins_are_initialised),
        FIXTURE_TEST(a_plugin_that_fails_undoes_the_start),
        FIXTURE_TEST(a_failing_first_plugin_spares_the_second),
        FIXTURE_TEST(a_plugin_that_never_finishes_is_cut_off),
        FIXTURE_TEST(a_plugin_speaks_once),
        FIXTURE_TEST(a_drain_while_starting_ends_the_start),
        FIXTURE_TEST(draining_is_waited_for_three_seconds),
        FIXTURE_TEST(missing_entries_finish_at_once),
        FIXTURE_TEST(a_plugin_that_cannot_be_used_is_freed),
        FIXTURE_TEST(a_constructor_that_failed_is_out_of_memory),
        FIXTURE_TEST(a_plugin_may_free_its_server_while_it_starts),
        FIXTURE_TEST(a_plugin_may_free_its_server_when_it_serves),
        FIXTURE_TEST(a_loop_that_goes_waits_for_no_plugin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
