/* Clients on threads and loops of their own, one listener on this one. */
#include "conn_harness.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 3, CALLS = 500, WAIT_MS = 30000 };

/* Only counts: cmocka's checks are for the main thread. */
typedef struct client {
    pthread_t thread;
    weft_loop *loop;
    weft__conn *conn;
    const weft__conn_conf *conf;
    unsigned answered, failed;
    bool closed;
} client;

static void ask_next(client *c)
{
    weft__wire_request request = {.payload = {.len = 3, .data = "abc"}};
    weft__stream_id stream;

    if (weft__conn_request(c->conn, &request, &stream) != WEFT_OK)
        c->failed++;
}

static void on_ready(weft__conn *conn, void *user)
{
    client *c = user;

    c->conn = conn;
    ask_next(c);
}

static void on_event(weft__conn *conn, const weft__wire_event *event,
                     void *user)
{
    client *c = user;

    if ((event->parts & WEFT__MESSAGE) == 0)
        return;
    if (++c->answered < CALLS)
        ask_next(c);
    else
        weft__conn_close(conn, WEFT_OK, "done");
}

static void on_closed(weft__conn *conn, weft_status status, const char *why,
                      void *user)
{
    client *c = user;

    (void)conn;
    (void)why;
    c->failed += status != WEFT_OK;
    c->closed = true;
}

static void *run_client(void *arg)
{
    static const weft__conn_handler handler = {
        .on_ready = on_ready, .on_event = on_event, .on_closed = on_closed};
    client *c = arg;
    weft__conn_conf conf = *c->conf;
    weft_address address;

    conf.handler = &handler;
    if (weft_loop_new(&c->loop, NULL) != WEFT_OK)
        return NULL;
    weft_address_parse(&address, "inproc:///threads", NULL);
    if (weft__conn_connect(&c->conn, c->loop, &address, &conf, c) == WEFT_OK)
        (void)weft_loop_run_until(c->loop, &c->closed, 30000);
    weft_loop_free(c->loop);
    return NULL;
}

static unsigned ended(const service *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n; i++)
        n += s->conns[i].closed;
    return n;
}

static void clients_on_other_threads_are_served(void **state)
{
    harness *h = *state;
    service s = {.like = {.echo = true}};
    client clients[THREADS];

    service_open(h, &s, "inproc:///threads");
    weft__listener_release(s.listener);
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < THREADS; i++) {
        clients[i].conf = &h->client;
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, run_client, &clients[i]),
            0);
    }
    /* Other threads take time, which no clock of ours moves; held, or a run
     * ends at once as long as none of them has connected. */
    weft_loop_hold(h->loop);
    for (int i = 0; i < WAIT_MS && ended(&s) < THREADS; i++) {
        bool never = false;

        (void)weft_loop_run_until(h->loop, &never, 1);
    }
    weft_loop_unhold(h->loop);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].answered, CALLS);
        assert_int_equal(clients[i].failed, 0);
    }
    service_close(h, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clients_on_other_threads_are_served,
                                        harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests_name("inproc_threads", tests, NULL, NULL);
}
