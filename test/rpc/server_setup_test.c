#include "rpc_fixture.h"

#include <stdlib.h>
#include <string.h>

static void a_null_server_is_tolerated_everywhere(void **state)
{
    fixture *f = *state;

    assert_int_equal(weft_server_add_service(NULL, &f->greeter.base),
                     WEFT_EINVAL);
    assert_int_equal(weft_server_add_service_as(NULL, "x", &f->greeter.base),
                     WEFT_EINVAL);
    assert_int_equal(weft_server_set_fallback(NULL, NULL, NULL), WEFT_EINVAL);
    assert_int_equal(weft_server_listen(NULL, "tcp://127.0.0.1:0"),
                     WEFT_EINVAL);
    assert_null(weft_server_address(NULL, 0));
    assert_int_equal(weft_server_use(NULL, NULL), WEFT_EINVAL);
    assert_int_equal(weft_server_start(NULL, NULL, NULL), WEFT_EINVAL);
    assert_int_equal(weft_server_drain(NULL, 0, NULL, NULL), WEFT_EINVAL);
    weft_log_set_level(WEFT_LOG_OFF);
    assert_int_equal(weft_server_run(NULL), 1);
    weft_server_free(NULL);
    weft_server_set_health(NULL, true);
    assert_int_equal(weft_server_get_state(NULL), WEFT_SERVER_CLOSED);
    assert_string_equal(weft_server_error(NULL),
                        "the server could not be made");
    assert_int_equal(weft_server_get_stats(NULL).calls, 0);
}

static void a_server_that_cannot_be_made_is_null(void **state)
{
    weft_server *server = (weft_server *)1;

    (void)state;
    assert_int_equal(weft_server_new(&server, NULL, NULL), WEFT_EINVAL);
    assert_null(server);
}

static void the_first_setup_error_is_remembered_and_ends_setup(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    assert_string_equal(weft_server_error(f->server), "");
    assert_int_equal(weft_server_listen(f->server, "tcp://nowhere"),
                     WEFT_ESYNTAX);
    assert_memory_equal(weft_server_error(f->server),
                        "listen tcp://nowhere: ", 22);
    assert_int_equal(weft_server_add_service(f->server, NULL), WEFT_ESYNTAX);
    assert_int_equal(weft_server_use(f->server, NULL), WEFT_ESYNTAX);
    assert_int_equal(weft_server_set_fallback(f->server, NULL, NULL),
                     WEFT_ESYNTAX);
    assert_int_equal(weft_server_start(f->server, on_started, f), WEFT_ESYNTAX);
    assert_int_equal(weft_server_run(f->server), 1);
    assert_memory_equal(weft_server_error(f->server),
                        "listen tcp://nowhere: ", 22);
    test_loop_settle(&f->t);
    assert_int_equal(f->n_started, 0);
    assert_int_equal(weft_server_get_state(f->server), WEFT_SERVER_NEW);
    weft_server_free(f->server);
}

static void a_port_in_use_is_said_in_a_sentence(void **state)
{
    fixture *f = *state;
    weft_server *second;
    char uri[64], text[64], sentence[160];

    fixture_server(f, NULL, NULL);
    snprintf(uri, sizeof(uri), "tcp://%s",
             weft_address_format(weft_server_address(f->server, 0), text,
                                 sizeof(text)));
    assert_int_equal(weft_server_new(&second, f->t.loop, NULL), WEFT_OK);
    assert_int_equal(weft_server_listen(second, uri), WEFT_EADDR);
    snprintf(sentence, sizeof(sentence), "listen %s: address already in use",
             uri);
    assert_string_equal(weft_server_error(second), sentence);
    weft_server_free(second);
}

static void services_need_names_and_only_one_may_have_each(void **state)
{
    fixture *f = *state;
    ProtobufCServiceDescriptor nameless = helloworld__greeter__descriptor;
    ProtobufCMethodDescriptor method = nameless.methods[0];
    ProtobufCService service = {.descriptor = &nameless};
    weft_server *s;

    fixture_server(f, NULL, NULL);
    assert_int_equal(weft_server_add_service(f->server, &f->greeter.base),
                     WEFT_EEXIST);
    assert_string_equal(weft_server_error(f->server),
                        "service helloworld.Greeter: a service of this name is "
                        "registered already");

    weft_server_new(&s, f->t.loop, NULL);
    nameless.name = NULL;
    assert_int_equal(weft_server_add_service(s, &service), WEFT_EINVAL);
    assert_string_equal(weft_server_error(s),
                        "service without a name: generated with optimize_for = "
                        "CODE_SIZE, which leaves no names");
    weft_server_free(s);

    weft_server_new(&s, f->t.loop, NULL);
    nameless.name = "named";
    nameless.methods = &method;
    method.name = NULL;
    assert_int_equal(weft_server_add_service_as(s, "x", &service), WEFT_EINVAL);
    weft_server_free(s);

    weft_server_new(&s, f->t.loop, NULL);
    assert_int_equal(weft_server_add_service_as(s, "", &f->greeter.base),
                     WEFT_EINVAL);
    weft_server_free(s);
    weft_server_new(&s, f->t.loop, NULL);
    assert_int_equal(weft_server_add_service(s, NULL), WEFT_EINVAL);
    weft_server_free(s);
}

static void setup_is_over_when_the_server_has_started(void **state)
{
    fixture *f = *state;

    fixture_server(f, NULL, NULL);
    fixture_start(f);
    assert_int_equal(
        weft_server_add_service_as(f->server, "b", &f->greeter.base),
        WEFT_ESTATE);
    assert_int_equal(weft_server_listen(f->server, "tcp://127.0.0.1:0"),
                     WEFT_ESTATE);
    assert_int_equal(weft_server_start(f->server, NULL, NULL), WEFT_ESTATE);
    assert_int_equal(weft_server_run(f->server), 1);
    assert_string_equal(weft_server_error(f->server), "");
}

static void a_server_without_a_listener_does_not_start(void **state)
{
    fixture *f = *state;

    weft_server_new(&f->server, f->t.loop, NULL);
    assert_int_equal(weft_server_start(f->server, NULL, NULL), WEFT_EINVAL);
    assert_string_equal(weft_server_error(f->server),
                        "start: there is nothing to listen on");
}

static void port_0_becomes_a_real_one_and_there_may_be_several(void **state)
{
    fixture *f = *state;
    raw_client second;

    fixture_server(f, NULL, NULL);
    assert_int_equal(weft_server_listen(f->server, "tcp://[::1]:0"), WEFT_OK);
    assert_int_equal(weft_server_listen(f->server, "inproc:///setup-test"),
                     WEFT_OK);
    assert_true(weft_address_port(weft_server_address(f->server, 0)) != 0);
    assert_true(weft_address_port(weft_server_address(f->server, 1)) != 0);
    assert_null(weft_server_address(f->server, 3));
    fixture_start(f);
    raw_open(&f->client, f->t.loop, weft_server_address(f->server, 1));
    run_while(f, !f->client.ready);
    assert_said(f, say_hello(f, "six", 0), "hello six");
    raw_open(&second, f->t.loop, weft_server_address(f->server, 2));
    run_while(f, !second.ready);
    assert_int_equal(weft_server_get_stats(f->server).connections, 2);
    raw_abort(&second);
    run_while(f, weft_server_get_stats(f->server).connections == 2);
    raw_fini(&second);
}

static void options_have_defaults_and_are_copied(void **state)
{
    fixture *f = *state;
    char *forward = strdup("tenant");
    weft_server_conf conf = {.forward_metadata = forward, .max_in_flight = 7};

    weft_server_new(&f->server, f->t.loop, &conf);
    memset(forward, 'x', 6);
    free(forward);
    assert_string_equal(f->server->conf.forward_metadata, "tenant");
    assert_int_equal(f->server->conf.max_in_flight, 7);
    assert_int_equal(f->server->conf.drain_ms, 10000);
    assert_int_equal(f->server->conf.default_timeout_ms, 5000);
    assert_int_equal(weft_conf_set_field(&weft_server_conf_spec, &conf,
                                         "drain_ms", "5s", NULL),
                     WEFT_OK);
    assert_int_equal(conf.drain_ms, 5000);
}

static char *lines;

static void keep_line(weft_log_level level, const char *event,
                      const char *fields, void *user)
{
    char *all;

    (void)level;
    (void)user;
    if (strcmp(event, "server conf") != 0)
        return;
    all = malloc((lines == NULL ? 0 : strlen(lines)) + strlen(fields) + 2);
    sprintf(all, "%s%s\n", lines == NULL ? "" : lines, fields);
    free(lines);
    lines = all;
}

static void the_start_dumps_the_options_at_debug_level(void **state)
{
    fixture *f = *state;

    fixture_server(f, &(weft_server_conf){.drain_ms = 1234}, NULL);
    weft_log_set_sink(keep_line, NULL);
    weft_log_set_level(WEFT_LOG_DEBUG);
    weft_server_start(f->server, NULL, NULL);
    weft_log_set_level(WEFT_LOG_OFF);
    weft_log_set_sink(NULL, NULL);
    assert_non_null(lines);
    assert_non_null(strstr(lines, "drain_ms=1234\n"));
    assert_non_null(strstr(lines, "max_in_flight=10000\n"));
    free(lines);
    lines = NULL;
}

static void two_servers_live_on_one_loop(void **state)
{
    fixture *f = *state;
    weft_server *second;
    raw_client client;

    fixture_serve(f, NULL);
    weft_server_new(&second, f->t.loop, NULL);
    weft_server_add_service_as(second, "other.Name", &f->greeter.base);
    weft_server_listen(second, "inproc:///second");
    weft_server_start(second, NULL, NULL);
    raw_open(&client, f->t.loop, weft_server_address(second, 0));
    run_while(f, !client.ready);
    f->greeting = HOLD;
    raw_unary(&client, "/other.Name/SayHello", "", 0, 0);
    run_while(f, f->n_held == 0);
    assert_string_equal(weft_call_service(f->held[0].call), "other.Name");
    f->greeting = GREET;
    /* One ends, with a call in flight; the other serves on. */
    weft_server_free(second);
    run_while(f, client.conn != NULL);
    assert_int_equal(client.replies[0].status, WEFT_UNAVAILABLE);
    assert_said(f, say_hello(f, "x", 0), "hello x");
    /* The handler of the dead one still has its request, until it answers. */
    assert_string_equal(f->held[0].in->msg, "");
    answer_held(f, 0, "late");
    test_loop_settle(&f->t);
    assert_false(weft_call_active(f->held[0].call));
    raw_fini(&client);
}

static void free_in_handler(fixture *f, weft_call *call)
{
    (void)call;
    weft_server_free(f->server);
}

static void a_handler_may_free_its_server(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->in_handler = free_in_handler;
    assert_said(f, say_hello(f, "x", 0), "hello x");
    run_while(f, f->client.conn != NULL);
    assert_true(f->client.goaway || f->client.closed_status == WEFT_EOF);
}

static void a_held_call_survives_a_server_freed_in_its_handler(void **state)
{
    fixture *f = *state;
    int call;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    f->in_handler = free_in_handler;
    call = say_hello(f, "x", 0);
    assert_failed(f, call, WEFT_UNAVAILABLE, "server: it was ended");
    run_while(f, f->client.conn != NULL);
    assert_int_equal(f->ended_status, WEFT_UNAVAILABLE);
    assert_string_equal(f->held[0].in->msg, "x");
    answer_held(f, 0, "late");
}

static void close_loop_in_handler(fixture *f, weft_call *call)
{
    (void)call;
    weft_loop_close(f->t.loop, NULL, NULL);
}

static void a_handler_may_close_the_loop(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    f->in_handler = close_loop_in_handler;
    say_hello(f, "x", 0);
    assert_int_equal(weft_loop_run(f->t.loop), WEFT_OK);
    f->t.loop = NULL; /* gone */
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended_status, WEFT_CANCELLED);
    assert_false(weft_call_active(f->held[0].call));
}

static void a_loop_that_goes_takes_its_server_along(void **state)
{
    fixture *f = *state;

    fixture_serve(f, NULL);
    f->greeting = HOLD_AND_HEAR;
    said_hello(f, "x", 0);
    weft_loop_free(f->t.loop);
    f->t.loop = NULL;
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended_status, WEFT_CANCELLED);
    assert_null(f->client.conn);
}

static void a_server_may_be_freed_in_every_state(void **state)
{
    fixture *f = *state;
    int i;

    for (i = 0; i < 4; i++) {
        fixture_server(f, NULL, NULL);
        if (i > 0)
            weft_server_start(f->server, on_started, f);
        if (i > 1)
            test_loop_settle(&f->t);
        if (i > 2)
            weft_server_drain(f->server, 0, on_drained, f);
        weft_server_free(f->server);
        weft_server_free(f->server); /* still there until the loop turns */
        test_loop_settle(&f->t);
    }
    assert_int_equal(f->n_started, 3);
    assert_int_equal(f->n_drained, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_null_server_is_tolerated_everywhere),
        FIXTURE_TEST(a_server_that_cannot_be_made_is_null),
        FIXTURE_TEST(the_first_setup_error_is_remembered_and_ends_setup),
        FIXTURE_TEST(a_port_in_use_is_said_in_a_sentence),
        FIXTURE_TEST(services_need_names_and_only_one_may_have_each),
        FIXTURE_TEST(setup_is_over_when_the_server_has_started),
        FIXTURE_TEST(a_server_without_a_listener_does_not_start),
        FIXTURE_TEST(port_0_becomes_a_real_one_and_there_may_be_several),
        FIXTURE_TEST(options_have_defaults_and_are_copied),
        FIXTURE_TEST(the_start_dumps_the_options_at_debug_level),
        FIXTURE_TEST(two_servers_live_on_one_loop),
        FIXTURE_TEST(a_handler_may_free_its_server),
        FIXTURE_TEST(a_held_call_survives_a_server_freed_in_its_handler),
        FIXTURE_TEST(a_handler_may_close_the_loop),
        FIXTURE_TEST(a_loop_that_goes_takes_its_server_along),
        FIXTURE_TEST(a_server_may_be_freed_in_every_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
