/* client_model_test.c - anything in any order, from a seed: calls, answers,
 * losses, lists, cancels, allocations that fail, callbacks that interfere.
 *
 * Whatever happens: each call that was started calls back exactly once; each
 * pick is given back (client_counting.h); a server gets a call once, and once
 * more for each time that a server refused it; `sent` does not promise too
 * much; at the end nothing is in flight and nothing is left. */
#include "client_fixture.h"

#include <stdlib.h>

#include "client_counting.h"
#include "client_script.h"

#define PEERS 3
#define CALLS 900
#define STEPS 600
#define SEEDS 160

typedef struct model_call {
    struct model *m;
    int id;
    bool started, one_way;
    int ended, received, refused;
    weft_handle handle;
    weft_status status;
    weft_sent sent;
} model_call;

typedef struct model {
    fixture f;
    peer peers[PEERS];
    int seen[PEERS]; /* of peers[i].calls */
    model_call calls[CALLS];
    int n_calls;
    uint64_t random;
    unsigned seed;
    bool closing_allowed;
} model;

static unsigned rnd(model *m, unsigned n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 20) % n;
}

/* Its id is the payload, a HelloRequest with four digits. */
static void look_at_peers(model *m)
{
    for (int p = 0; p < PEERS; p++)
        for (; m->seen[p] < m->peers[p].n_calls; m->seen[p]++) {
            const peer_call *c = &m->peers[p].calls[m->seen[p]];
            int id = 0;

            assert_int_equal(c->payload_len, 6);
            for (int i = 2; i < 6; i++)
                id = id * 10 + (c->payload[i] - '0');
            assert_true(id < m->n_calls);
            m->calls[id].received++;
            if (m->calls[id].received > 1 + m->calls[id].refused)
                fail_msg("seed %u: call %d was sent again", m->seed, id);
        }
}

static void poll_some(model *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(weft_loop_poll(m->f.t.loop), WEFT_OK);
        look_at_peers(m);
    }
}

static void start(model *m);

static void on_end(const weft_result *r, void *user)
{
    model_call *c = user;
    model *m = c->m;

    look_at_peers(m);
    assert_true(c->started);
    c->ended++;
    c->status = r->status;
    c->sent = r->sent;
    assert_non_null(r->message);
    assert_true(r->status == WEFT_OK || r->message[0] != '\0');
    switch (rnd(m, 12)) {
    case 0:
        if (m->n_calls > 0)
            weft_cancel(m->calls[rnd(m, (unsigned)m->n_calls)].handle);
        break;
    case 1:
        start(m);
        break;
    case 2:
        weft_result_free(weft_result_keep());
        break;
    case 3:
        if (m->closing_allowed && rnd(m, 20) == 0) {
            weft_channel_close(m->f.channel);
            m->f.channel = NULL;
        }
        break;
    default:
        break;
    }
}

static void on_stub_end(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();

    assert_ptr_equal(reply, r->reply);
    on_end(r, user);
}

static void start(model *m)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    static const uint32_t timeouts[] = {0, 1, 20, 200, WEFT_NO_DEADLINE};
    weft_stub stub;
    model_call *c;
    char text[8];
    uint8_t bytes[8] = {0x0a, 4};

    if (m->f.channel == NULL || m->n_calls == CALLS)
        return;
    c = &m->calls[m->n_calls];
    *c = (model_call){.m = m, .id = m->n_calls++, .started = true};
    snprintf(text, sizeof(text), "%04d", c->id);
    memcpy(bytes + 2, text, 4);
    stub = m->f.stub;
    stub.options = (weft_call_options){.handle = &c->handle,
                                       .timeout_ms = timeouts[rnd(m, 5)],
                                       .wait_for_ready = rnd(m, 4) == 0,
                                       .fail_fast = rnd(m, 8) == 0,
                                       .one_way = rnd(m, 10) == 0};
    c->one_way = stub.options.one_way;
    request.msg = text;
    switch (rnd(m, 3)) {
    case 0:
        helloworld__greeter__say_hello(&stub.base, &request, on_stub_end, c);
        break;
    case 1:
        c->started =
            weft_stub_call(&stub, 0, &request.base, on_end, c) == WEFT_OK;
        break;
    default:
        c->started = weft_call_bytes(m->f.channel, &stub.options, "/a.B/C",
                                     bytes, 6, on_end, c) == WEFT_OK;
        break;
    }
}

/* Some call that waits for its answer at some peer; false: there is none. */
static bool find_open(model *m, int *p, int *i)
{
    *p = (int)rnd(m, PEERS);
    for (int n = 0; n < 20 && m->peers[*p].n_calls > 0; n++) {
        *i = (int)rnd(m, (unsigned)m->peers[*p].n_calls);
        if (!m->peers[*p].calls[*i].ended && !m->peers[*p].calls[*i].one_way &&
            m->peers[*p].calls[*i].conn != NULL)
            return true;
    }
    return false;
}

static int id_of(const peer_call *c)
{
    return (c->payload[2] - '0') * 1000 + (c->payload[3] - '0') * 100 +
           (c->payload[4] - '0') * 10 + (c->payload[5] - '0');
}

static void answer(model *m)
{
    weft__wire_response response = {.payload = {.data = "\x0a\x01x", .len = 3}};
    peer_call *c;
    int p, i;

    if (!find_open(m, &p, &i))
        return;
    c = &m->peers[p].calls[i];
    c->ended = true;
    switch (rnd(m, 6)) {
    case 0:
        response.status = WEFT_NOT_FOUND;
        break;
    case 1:
        response.payload.data = "\x0a\x09x"; /* cut off */
        break;
    case 2:
        m->calls[id_of(c)].refused++;
        weft__conn_reset(c->conn, c->stream, WEFT_UNAVAILABLE);
        return;
    default:
        break;
    }
    /* It may be on its way out, or the client have given the call up. */
    (void)weft__conn_respond(c->conn, c->stream, &response);
}

static void lose(model *m)
{
    peer *p = &m->peers[rnd(m, PEERS)];

    for (int n = 0, i; n < 10 && p->n_conns > 0; n++) {
        i = (int)rnd(m, (unsigned)p->n_conns);
        if (p->conns[i] == NULL)
            continue;
        if (rnd(m, 2) == 0)
            peer_drop(p, i);
        else
            peer_goaway(p, i, "bye");
        return;
    }
}

static void new_list(model *m)
{
    static const char *const names[] = {"inproc:///m0", "inproc:///m1",
                                        "inproc:///m2", "inproc:///absent"};
    const char *list[5] = {NULL};
    int n = 0;

    if (script_watch == NULL)
        return;
    if (rnd(m, 6) == 0) {
        weft_watch_fail(script_watch, WEFT_UNAVAILABLE, "no answer");
        return;
    }
    for (int i = 0; i < 4; i++)
        if (rnd(m, 3) > 0)
            list[n++] = names[i];
    publish_weighted(list, 1 + rnd(m, 3));
}

static void step(model *m)
{
    switch (rnd(m, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        start(m);
        break;
    case 5:
    case 6:
    case 7:
        answer(m);
        break;
    case 8:
        lose(m);
        break;
    case 9:
        if (m->n_calls > 0)
            weft_cancel(m->calls[rnd(m, (unsigned)m->n_calls)].handle);
        break;
    case 10:
        new_list(m);
        break;
    case 11:
        (void)weft_mem_fail_nth(1 + rnd(m, 8));
        start(m);
        poll_some(m, 2);
        (void)weft_mem_fail_nth(0);
        break;
    case 12:
        weft_fake_advance(&m->f.t.clock, 1 + rnd(m, 60));
        break;
    case 13:
        counting.refuse_updates = rnd(m, 3) == 0;
        break;
    default:
        poll_some(m, 1 + rnd(m, 3));
        break;
    }
}

static void check_call(const model *m, const model_call *c)
{
    if (c->ended != c->started)
        fail_msg("seed %u: call %d called back %d times", m->seed, c->id,
                 c->ended);
    if (c->ended == 0)
        return;
    if (c->sent == WEFT_SENT_NEVER && c->received > 0)
        fail_msg("seed %u: call %d was sent, and says never", m->seed, c->id);
    if (c->sent == WEFT_SENT_REFUSED && c->received > c->refused)
        fail_msg("seed %u: call %d may run, and says refused", m->seed, c->id);
    if (c->status == WEFT_OK && !c->one_way && c->received == 0)
        fail_msg("seed %u: call %d was answered by nobody", m->seed, c->id);
}

static void end_it(model *m)
{
    weft_channel_stats stats;

    m->closing_allowed = false;
    for (int i = 0; i < m->n_calls; i++)
        weft_cancel(m->calls[i].handle);
    poll_some(m, 4);
    for (int i = 0; i < m->n_calls; i++) /* callbacks have started others */
        weft_cancel(m->calls[i].handle);
    if (m->f.channel != NULL && rnd(m, 2) == 0) {
        for (int ms = 0; ms < 600; ms++) {
            weft_fake_advance(&m->f.t.clock, 10);
            poll_some(m, 1);
            for (int i = 0; i < m->n_calls; i++)
                weft_cancel(m->calls[i].handle);
            stats = weft_channel_get_stats(m->f.channel);
            if (stats.in_flight == 0)
                break;
        }
        assert_int_equal(stats.in_flight, 0);
        assert_int_equal(stats.waiting, 0);
        assert_int_equal(stats.pending_bytes, 0);
    }
    weft_channel_close(m->f.channel);
    m->f.channel = NULL;
    for (int p = 0; p < PEERS; p++)
        peer_close(&m->peers[p]);
    poll_some(m, 8);
    weft_loop_free(m->f.t.loop);
    for (int i = 0; i < m->n_calls; i++)
        check_call(m, &m->calls[i]);
}

static void one_life(unsigned seed)
{
    static model m;
    unsigned ended = counting.ended;
    char uri[32];

    memset(&m, 0, sizeof(m));
    m.seed = seed;
    m.random = seed * 0x9e3779b97f4a7c15u;
    m.closing_allowed = rnd(&m, 3) == 0;
    test_loop_init(&m.f.t);
    for (int p = 0; p < PEERS; p++) {
        snprintf(uri, sizeof(uri), "inproc:///m%d", p);
        peer_open(&m.peers[p], m.f.t.loop, uri);
    }
    open_channel(
        &m.f, "script:///model",
        &(weft_channel_conf){.balancer = "counting",
                             .max_in_flight_per_connection = rnd(&m, 3),
                             .max_connections_per_endpoint = 1 + rnd(&m, 3),
                             .max_waiting = rnd(&m, 2) == 0 ? 5 : 0,
                             .max_in_flight = rnd(&m, 3) == 0 ? 20 : 0,
                             .max_connecting = rnd(&m, 3),
                             .idle_ms = rnd(&m, 2) == 0 ? 40 : 0,
                             .backoff_min_ms = rnd(&m, 2) == 0 ? 5 : 0,
                             .eager = rnd(&m, 2) == 0});
    for (int i = 0; i < STEPS; i++)
        step(&m);
    end_it(&m);
    assert_int_equal(counting.ended, ended + 1);
}

static void whatever_happens_each_call_ends_once(void **state)
{
    const char *only = getenv("WEFT_MODEL_SEED");

    (void)state;
    if (only != NULL) {
        one_life((unsigned)atoi(only));
        return;
    }
    for (unsigned seed = 1; seed <= SEEDS; seed++)
        one_life(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_each_call_ends_once),
    };

    weft_log_set_level(WEFT_LOG_OFF);
    weft_resolver_register(&script);
    weft_balancer_register(&counting_balancer);
    return cmocka_run_group_tests_name("client model", tests, NULL, NULL);
}
