/* gorpc_clients_test.c - programs that use gorpc's client, against a Weft
 * server: many at once, for minutes, and through its drain. */
#include "interop.h"

#include <sys/socket.h>
#include <unistd.h>

#define CALLERS 24
#define CALLS 40

/* One of many callers that share a pool, as goroutines do. */
typedef struct caller {
    gorpc_client *client;
    unsigned number, wrong;
} caller;

static bool is_hello(const gorpc_reply *r, const char *want)
{
    const char *text;
    size_t len;

    return !r->failed && r->code == 0 &&
           gorpc_hello_text(r->payload, r->payload_len, &text, &len) &&
           len == strlen(want) && memcmp(text, want, len) == 0;
}

static bool metadata_travels(gorpc_client *c, const char *who)
{
    gorpc_pair md[] = {
        {"tenant", who}, {"authorization", "Bearer token"}, {"empty", ""}};
    uint8_t payload[] = "\x0a\x08metadata";
    char want[128];
    gorpc_reply r;
    bool ok;

    gorpc_client_call(c, GORPC_HELLO, md, 3, payload, sizeof(payload) - 1, &r);
    snprintf(want, sizeof(want), "tenant=%s;authorization=Bearer token;empty=;",
             who);
    ok = is_hello(&r, want);
    free(r.payload);
    return ok;
}

static bool error_travels(gorpc_client *c, const char *who)
{
    char msg[64];
    uint8_t *payload;
    gorpc_reply r;
    size_t size;
    bool ok;

    snprintf(msg, sizeof(msg), "fail 5 no order of %.40s", who);
    payload = gorpc_hello(msg, strlen(msg), &size);
    gorpc_client_call(c, GORPC_HELLO, NULL, 0, payload, size, &r);
    ok = !r.failed && r.code == 5 && strcmp(r.message, msg + 7) == 0 &&
         r.payload_len == 0;
    free(r.payload);
    free(payload);
    return ok;
}

static void call_around(void *arg)
{
    caller *me = arg;
    char msg[64], want[80];

    for (unsigned i = 0; i < CALLS; i++) {
        snprintf(msg, sizeof(msg), "caller %u call %u", me->number, i);
        snprintf(want, sizeof(want), "hello %s", msg);
        switch (i % 4) {
        case 0:
            me->wrong += !metadata_travels(me->client, msg);
            break;
        case 1:
            me->wrong += !error_travels(me->client, msg);
            break;
        case 2: /* an all-default reply, which may not be an empty payload */
            me->wrong += gorpc_client_hello(me->client, "empty", "") != 0;
            break;
        default:
            me->wrong += gorpc_client_hello(me->client, msg, want) != 0;
        }
    }
}

static void run_callers(void *arg)
{
    caller *callers = arg;
    gorpc_job jobs[CALLERS];

    for (unsigned i = 0; i < CALLERS; i++)
        if (!gorpc_job_start(&jobs[i], call_around, &callers[i]))
            abort();
    for (unsigned i = 0; i < CALLERS; i++)
        gorpc_job_join(&jobs[i]);
}

static void many_at_once_are_answered_each_its_own(void **state)
{
    interop *f = *state;
    caller callers[CALLERS];
    weft_server_stats stats;
    gorpc_client c;

    interop_serve(f, NULL, NULL);
    gorpc_client_init(&c, f->port);
    for (unsigned i = 0; i < CALLERS; i++)
        callers[i] = (caller){.client = &c, .number = i};
    interop_run(f, run_callers, callers);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(callers[i].wrong, 0);
    stats = weft_server_get_stats(f->server);
    assert_int_equal(stats.calls, CALLERS * CALLS);
    assert_int_equal(stats.failed, CALLERS * CALLS / 4);
    assert_int_equal(stats.connections, c.n_idle);
    assert_int_equal(c.odd, 0); /* no header field, no metadata in replies */
    assert_int_equal(gorpc_client_check(&c), 0); /* and not a byte more */
    gorpc_client_fini(&c);
}

static void unknown_errors_are_gorpcs_own(void **state)
{
    interop *f = *state;
    gorpc_client c;

    interop_serve(f, NULL, NULL);
    gorpc_client_init(&c, f->port);
    assert_int_equal(interop_hello(f, &c, "plain", ""), 100);
    assert_int_equal(interop_hello(f, &c, "fail 13 internal", ""), 100);
    assert_int_equal(interop_hello(f, &c, "fail 12 unimplemented", ""), 100);
    assert_int_equal(interop_hello(f, &c, "fail 16 who are you", ""), 401);
    assert_int_equal(interop_hello(f, &c, "fail 8 too much", ""), 8);
    assert_int_equal(c.dialed, 1);
    gorpc_client_fini(&c);
}

/* ---- Replies of 4 MiB ---- */

typedef struct asked {
    gorpc_client *client;
    char msg[32];
    gorpc_reply reply;
} asked;

static void ask(void *arg)
{
    asked *a = arg;
    size_t size;
    uint8_t *payload = gorpc_hello(a->msg, strlen(a->msg), &size);

    gorpc_client_call(a->client, GORPC_HELLO, NULL, 0, payload, size,
                      &a->reply);
    free(payload);
}

static void replies_may_be_4_mib_and_fail_above_with_a_code(void **state)
{
    /* "success", the payload's key and length, the text's key and length */
    const size_t longest = GORPC_MAX_BODY - 9 - 5 - 5;
    interop *f = *state;
    gorpc_client c;
    asked a = {.client = &c};
    const char *text;
    size_t len;

    interop_serve(f, NULL, NULL);
    gorpc_client_init(&c, f->port);
    snprintf(a.msg, sizeof(a.msg), "give %zu", longest);
    interop_run(f, ask, &a);
    assert_false(a.reply.failed);
    assert_int_equal(a.reply.code, 0);
    assert_true(
        gorpc_hello_text(a.reply.payload, a.reply.payload_len, &text, &len));
    assert_int_equal(len, longest);
    free(a.reply.payload);

    /* A gorpc server would send it and spoil the pooled connection. */
    snprintf(a.msg, sizeof(a.msg), "give %zu", longest + 1);
    interop_run(f, ask, &a);
    assert_false(a.reply.failed);
    assert_int_equal(a.reply.code, WEFT_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(a.reply.message, "bytes is over"));
    free(a.reply.payload);
    assert_int_equal(interop_hello(f, &c, "a", "hello a"), 0);
    assert_int_equal(c.dialed, 1);
    gorpc_client_fini(&c);
}

/* ---- Idle connections ---- */

static void open_some(void *arg)
{
    gorpc_client *c = arg;
    int fds[8];

    /* gorpc dials when none is idle: eight at once are eight connections. */
    for (size_t i = 0; i < 8; i++)
        fds[i] = gorpc_dial(c->port);
    for (size_t i = 0; i < 8; i++)
        c->idle[c->n_idle++] = fds[i];
    for (size_t i = 0; i < 8; i++)
        if (gorpc_client_hello(c, "a", "hello a") != 0)
            abort();
}

static void idle_connections_stay_open_and_silent(void **state)
{
    interop *f = *state;
    gorpc_client c;

    interop_serve(f, NULL, NULL);
    gorpc_client_init(&c, f->port);
    interop_run(f, open_some, &c);
    assert_int_equal(c.n_idle, 8);
    /* gorpc looks every 3 s, and closes them after 60 s itself. */
    for (unsigned s = 0; s < 69; s += 3) {
        test_loop_advance(&f->t, 3000);
        assert_int_equal(gorpc_client_check(&c), 0);
    }
    assert_int_equal(interop_hello(f, &c, "again", "hello again"), 0);
    assert_int_equal(c.n_idle, 8);
    assert_int_equal(weft_server_get_stats(f->server).connections, 8);
    gorpc_client_fini(&c);
    interop_until(f, weft_server_get_stats(f->server).connections == 0);
}

/* ---- Pipelined frames, slow handlers ---- */

typedef struct pipeline {
    uint16_t port;
    int fd;
    uint8_t replies[512];
    bool ok;
} pipeline;

static void send_three(void *arg)
{
    pipeline *p = arg;
    size_t size;
    uint8_t *frame =
        gorpc_request(GORPC_HELLO, NULL, 0, "\x0a\x04slow", 6, &size);

    p->fd = gorpc_dial(p->port);
    for (int i = 0; i < 3; i++)
        p->ok = p->fd >= 0 && gorpc_send_all(p->fd, frame, size);
    free(frame);
}

static void take_three(void *arg)
{
    pipeline *p = arg;

    p->ok = gorpc_recv_all(p->fd, p->replies, 3 * (15 + 9 + 2 + 9));
}

static void answers_out_of_order_leave_in_order(void **state)
{
    static const char *const texts[] = {"0", "1", "2"};
    interop *f = *state;
    pipeline p = {0};

    interop_serve(f, NULL, NULL);
    p.port = f->port;
    interop_run(f, send_three, &p);
    assert_true(p.ok);
    interop_until(f, f->n_held == 3);
    interop_answer(f, 2, texts[2]);
    interop_answer(f, 0, texts[0]);
    interop_turn(f);
    interop_answer(f, 1, texts[1]);
    interop_run(f, take_three, &p);
    assert_true(p.ok);
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *frame = p.replies + i * (15 + 9 + 2 + 9);

        assert_memory_equal(frame + 15, "\x12\x07success\x22\x09\x0a\x07hello ",
                            19);
        assert_int_equal(frame[34], texts[i][0]);
    }
    close(p.fd);
}

/* ---- The drain ---- */

typedef struct waiting {
    gorpc_client *client;
    uint32_t result;
} waiting;

static void say_slow(void *arg)
{
    waiting *w = arg;

    w->result = gorpc_client_hello(w->client, "slow", "hello at last");
}

/* Until the server's end; -1 is an error, else the bytes that came before. */
static long until_eof(int fd)
{
    uint8_t bytes[64];
    long sum = 0;
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        sum += n;
    return n == 0 ? sum : -1;
}

static void a_drain_serves_gorpc_and_pushes_nothing(void **state)
{
    interop *f = *state;
    gorpc_client slow, other;
    waiting w = {.client = &slow, .result = UINT32_MAX};
    gorpc_job job;

    interop_serve(f, NULL, NULL);
    gorpc_client_init(&slow, f->port);
    gorpc_client_init(&other, f->port);
    assert_int_equal(interop_hello(f, &other, "a", "hello a"), 0);
    assert_true(gorpc_job_start(&job, say_slow, &w));
    interop_until(f, f->n_held == 1);

    interop_drain(f);
    for (int i = 0; i < 5; i++)
        interop_turn(f);
    assert_false(f->drained);
    /* no go-away: it would be taken for the next call's reply */
    assert_int_equal(gorpc_client_check(&other), 0);
    /* nor is the idle connection closed while another's call runs: gorpc does
     * not retry, so what it sends is served */
    assert_int_equal(interop_hello(f, &other, "b", "hello b"), 0);
    assert_int_equal(other.dialed, 1);

    interop_answer(f, 0, "at last");
    interop_until(f, gorpc_job_ended(&job));
    gorpc_job_join(&job);
    assert_int_equal(w.result, 0);
    test_loop_advance(&f->t, 100);
    assert_int_equal(until_eof(other.idle[0]), 0);
    assert_int_equal(until_eof(slow.idle[0]), 0);
    /* Its pool notices within 3 s, and closes its side. */
    assert_int_equal(gorpc_client_check(&other), 1);
    assert_int_equal(gorpc_client_check(&slow), 1);
    interop_until(f, f->drained);
    assert_int_equal(f->drain_status, WEFT_OK);
    gorpc_client_fini(&slow);
    gorpc_client_fini(&other);
}

static void the_end_of_a_drain_is_told_in_a_reply(void **state)
{
    interop *f = *state;
    gorpc_client c;
    waiting w = {.client = &c};
    gorpc_job job;

    interop_serve(f, &(weft_server_conf){.drain_ms = 1000}, NULL);
    gorpc_client_init(&c, f->port);
    assert_true(gorpc_job_start(&job, say_slow, &w));
    interop_until(f, f->n_held == 1);
    interop_drain(f);
    test_loop_advance(&f->t, 1100);
    interop_until(f, gorpc_job_ended(&job));
    gorpc_job_join(&job);
    assert_int_equal(w.result, WEFT_UNAVAILABLE);
    interop_answer(f, 0, "too late");
    assert_int_equal(gorpc_client_check(&c), 1);
    interop_until(f, f->drained);
    assert_int_equal(f->drain_status, WEFT_DEADLINE_EXCEEDED);
    gorpc_client_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTEROP_TEST(many_at_once_are_answered_each_its_own),
        INTEROP_TEST(unknown_errors_are_gorpcs_own),
        INTEROP_TEST(replies_may_be_4_mib_and_fail_above_with_a_code),
        INTEROP_TEST(idle_connections_stay_open_and_silent),
        INTEROP_TEST(answers_out_of_order_leave_in_order),
        INTEROP_TEST(a_drain_serves_gorpc_and_pushes_nothing),
        INTEROP_TEST(the_end_of_a_drain_is_told_in_a_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
