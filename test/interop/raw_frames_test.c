/* raw_frames_test.c - how gorpc's server answers raw frames, row by row, asked
 * of a Weft server and of the double that stands in for gorpc's; and, if
 * WEFT_GORPC_PORT names the port on 127.0.0.1 of a real gorpc server of
 * helloworld.Greeter, whose SayHello says "hello <msg>", of that. */
#include "interop.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATH "\x12\x1c" GORPC_HELLO
#define HELLO PATH "\x22\x03\x0a\x01x"
#define SAID "\x12\x07success\x22\x09\x0a\x07hello x"
#define SERVER_ERROR "\x08\x64\x12\x15server internal error"
#define METHOD_INVALID "\x08\xad\x02\x12\x11method is invalid"

typedef struct row {
    const char *what;
    const char *body;
    size_t body_len;
    const char *reply; /* its body; NULL: closed without one */
    size_t reply_len;
    /* header, where it is not all 0 */
    uint8_t version, msg_type, req_type, compress, stream_id[2], reserved[4];
    uint8_t magic;      /* 0: the right one */
    uint32_t announced; /* 0: the body's length */
} row;

#define ROW(what_, body_, reply_, ...)                                         \
    {                                                                          \
        .what = what_, .body = body_, .body_len = sizeof(body_) - 1,           \
        .reply = reply_, .reply_len = sizeof(reply_) - 1, __VA_ARGS__          \
    }
#define CLOSED(what_, ...)                                                     \
    {                                                                          \
        .what = what_, .body = HELLO, .body_len = sizeof(HELLO) - 1,           \
        __VA_ARGS__                                                            \
    }
#define X "\x22\x03\x0a\x01x" /* the payload of HELLO */

static const row rows[] = {
    ROW("a call", HELLO, SAID),
    ROW("version 2", HELLO, SAID, .version = 2),
    ROW("version 255", HELLO, SAID, .version = 255),
    ROW("msg_type 1", HELLO, SAID, .msg_type = 1),
    ROW("msg_type 3", HELLO, SAID, .msg_type = 3),
    ROW("req_type 1 is answered", HELLO, SAID, .req_type = 1),
    ROW("req_type 4", HELLO, SAID, .req_type = 4),
    ROW("compress 1", HELLO, SAID, .compress = 1),
    ROW("stream_id", HELLO, SAID, .stream_id = {0xbe, 0xef}),
    ROW("reserved", HELLO, SAID, .reserved = {1, 2, 3, 4}),
    ROW("all of them", HELLO, SAID, .version = 9, .msg_type = 9, .req_type = 9,
        .compress = 9, .stream_id = {9, 9}, .reserved = {9, 9, 9, 9}),

    ROW("empty body", "", METHOD_INVALID),
    ROW("heartbeat", "", METHOD_INVALID, .msg_type = 1),
    ROW("no path", X, METHOD_INVALID),
    ROW("path ''", "\x12\x00" X, METHOD_INVALID),
    ROW("path /SayHello", "\x12\x09/SayHello" X, METHOD_INVALID),
    ROW("path SayHello", "\x12\x08SayHello" X, METHOD_INVALID),
    ROW("path x/SayHello", "\x12\x0ax/SayHello" X, METHOD_INVALID),

    ROW("unknown service", "\x12\x0f/other/SayHello" X, SAID),
    ROW("extra slashes", "\x12\x0f//a//b/SayHello" X, SAID),
    ROW("unknown method", "\x12\x18/helloworld.Greeter/Nope" X, SERVER_ERROR),
    ROW("no method", "\x12\x14/helloworld.Greeter/" X, SERVER_ERROR),
    ROW("bad envelope", "\x12\x7f/x", SERVER_ERROR),
    ROW("bad payload", PATH "\x22\x03\x0a\x09x", SERVER_ERROR),
    ROW("empty payload", PATH "\x22\x00", SERVER_ERROR),
    ROW("no payload", PATH, SERVER_ERROR),

    ROW("a payload of an unknown field",
        PATH "\x22\x06\xf8\xff\xff\xff\x0f\x00",
        "\x12\x07success\x22\x08\x0a\x06hello "),
    ROW("explicit 08 00", "\x08\x00" HELLO, SAID),
    ROW("unknown fields",
        "\x78\x01\x7a\x02zz\x7d\x01\x02\x03\x04"
        "\x79\x01\x02\x03\x04\x05\x06\x07\x08" HELLO,
        SAID),
    ROW("metadata", PATH "\x1a\x06\x0a\x01\x61\x12\x01\x31" X, SAID),
    ROW("metadata without a value", PATH "\x1a\x03\x0a\x01\x61" X, SAID),
    ROW("payload before path", X PATH, SAID),

    CLOSED("length over 4 MiB", .announced = 4194305),
    CLOSED("length of 4 GiB", .announced = UINT32_MAX),
    CLOSED("bad magic", .magic = 0x12),
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t put_frame(uint8_t *out, const row *r)
{
    uint32_t length = r->announced != 0 ? r->announced : (uint32_t)r->body_len;
    uint8_t header[GORPC_HEADER] = {r->magic != 0 ? r->magic : 0x11,
                                    r->version,
                                    r->msg_type,
                                    r->req_type,
                                    r->compress,
                                    r->stream_id[0],
                                    r->stream_id[1],
                                    (uint8_t)(length >> 24),
                                    (uint8_t)(length >> 16),
                                    (uint8_t)(length >> 8),
                                    (uint8_t)length,
                                    r->reserved[0],
                                    r->reserved[1],
                                    r->reserved[2],
                                    r->reserved[3]};

    memcpy(out, header, sizeof(header));
    memcpy(out + sizeof(header), r->body, r->body_len);
    return sizeof(header) + r->body_len;
}

/* Answered with exactly this frame. */
static bool answered(int fd, const row *r)
{
    uint8_t want[512] = {0x11}, got[512];

    want[10] = (uint8_t)r->reply_len;
    memcpy(want + GORPC_HEADER, r->reply, r->reply_len);
    return gorpc_recv_all(fd, got, GORPC_HEADER + r->reply_len) &&
           memcmp(got, want, GORPC_HEADER + r->reply_len) == 0;
}

static bool ended(int fd)
{
    uint8_t byte;

    return recv(fd, &byte, 1, 0) <= 0;
}

/* Nothing more comes, and the connection is still good for a call. */
static bool silent_and_usable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint8_t frame[256];

    return poll(&p, 1, 2) == 0 &&
           gorpc_send_all(fd, frame, put_frame(frame, &rows[0])) &&
           answered(fd, &rows[0]);
}

typedef struct table {
    uint16_t port;
    const char *failed; /* the first row that came out differently */
    unsigned passed;
} table;

static int dial(uint16_t port)
{
    struct timeval limit = {.tv_sec = 10};
    int fd = gorpc_dial(port);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void ask_each_row(void *arg)
{
    table *t = arg;
    uint8_t frame[512];

    for (size_t i = 0; i < N_ROWS && t->failed == NULL; i++) {
        const row *r = &rows[i];
        int fd = dial(t->port);
        bool ok = fd >= 0 && gorpc_send_all(fd, frame, put_frame(frame, r)) &&
                  (r->reply == NULL ? ended(fd)
                                    : answered(fd, r) && silent_and_usable(fd));

        if (ok)
            t->passed++;
        else
            t->failed = r->what;
        if (fd >= 0)
            close(fd);
    }
}

/* All rows that are answered, in one go, then their replies in order. */
static void pipeline_all_rows(void *arg)
{
    table *t = arg;
    uint8_t frames[N_ROWS * 128];
    size_t n = 0;
    int fd = dial(t->port);

    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].reply != NULL)
            n += put_frame(frames + n, &rows[i]);
    if (fd < 0 || !gorpc_send_all(fd, frames, n))
        t->failed = "sending";
    for (size_t i = 0; i < N_ROWS && t->failed == NULL; i++) {
        if (rows[i].reply == NULL)
            continue;
        if (answered(fd, &rows[i]))
            t->passed++;
        else
            t->failed = rows[i].what;
    }
    if (fd >= 0)
        close(fd);
}

static void assert_table(interop *f, void (*ask)(void *arg), uint16_t port,
                         const char *whom)
{
    table t = {.port = port};

    interop_run(f, ask, &t);
    if (t.failed != NULL)
        fail_msg("%s: '%s' was not answered as gorpc does", whom, t.failed);
    assert_true(t.passed >= N_ROWS - 3);
}

static void weft_answers_each_row_as_gorpc_does(void **state)
{
    interop *f = *state;

    interop_serve(f, NULL, NULL);
    assert_table(f, ask_each_row, f->port, "weft");
}

static void weft_answers_pipelined_rows_in_order(void **state)
{
    interop *f = *state;

    interop_serve(f, NULL, NULL);
    assert_table(f, pipeline_all_rows, f->port, "weft");
}

static void the_double_answers_each_row_as_gorpc_does(void **state)
{
    gorpc_server *s = gorpc_server_start(0);

    assert_non_null(s);
    assert_table(*state, ask_each_row, gorpc_server_port(s), "the double");
    assert_table(*state, pipeline_all_rows, gorpc_server_port(s), "the double");
    gorpc_server_stop(s);
}

static void so_does_gorpc_itself(void **state)
{
    uint16_t port = (uint16_t)atoi(getenv("WEFT_GORPC_PORT"));

    assert_table(*state, ask_each_row, port, "gorpc");
    assert_table(*state, pipeline_all_rows, port, "gorpc");
}

/* ---- Bodies of 4 MiB ---- */

/* What stands in front of the text in a request of the longest size. */
#define HEAD (2 + sizeof(GORPC_HELLO) - 1 + 5 + 5)

typedef struct big {
    gorpc_client client;
    size_t text;
    gorpc_reply reply;
    bool failed_after; /* the next call too */
} big;

static void send_big(void *arg)
{
    big *b = arg;
    char *text = malloc(b->text);
    size_t size;
    uint8_t *payload;

    memset(text, 'y', b->text);
    memcpy(text, "count", 5);
    payload = gorpc_hello(text, b->text, &size);
    gorpc_client_call(&b->client, GORPC_HELLO, NULL, 0, payload, size,
                      &b->reply);
    b->failed_after = gorpc_client_hello(&b->client, "a", "hello a") != 0;
    free(payload);
    free(text);
}

static void ask(interop *f, big *b, uint16_t port, size_t body)
{
    memset(b, 0, sizeof(*b));
    b->text = body - HEAD;
    gorpc_client_init(&b->client, port);
    interop_run(f, send_big, b);
    assert_false(b->failed_after);
    gorpc_client_fini(&b->client);
}

static void assert_longest_bodies(interop *f, uint16_t port)
{
    char want[32];
    const char *text;
    size_t len;
    big b;

    ask(f, &b, port, GORPC_MAX_BODY);
    assert_false(b.reply.failed);
    assert_int_equal(b.reply.code, 0);
    assert_true(
        gorpc_hello_text(b.reply.payload, b.reply.payload_len, &text, &len));
    snprintf(want, sizeof(want), "%zu", (size_t)GORPC_MAX_BODY - HEAD);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
    free(b.reply.payload);

    ask(f, &b, port, GORPC_MAX_BODY + 1);
    assert_true(b.reply.failed);
    assert_null(b.reply.payload);
}

static void weft_serves_4_mib_exactly_and_closes_above(void **state)
{
    interop *f = *state;

    interop_serve(f, NULL, NULL);
    assert_longest_bodies(f, f->port);
}

static void so_does_the_double(void **state)
{
    gorpc_server *s = gorpc_server_start(0);

    assert_non_null(s);
    assert_longest_bodies(*state, gorpc_server_port(s));
    gorpc_server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTEROP_TEST(weft_answers_each_row_as_gorpc_does),
        INTEROP_TEST(weft_answers_pipelined_rows_in_order),
        INTEROP_TEST(the_double_answers_each_row_as_gorpc_does),
        INTEROP_TEST(weft_serves_4_mib_exactly_and_closes_above),
        INTEROP_TEST(so_does_the_double),
    };
    /* By hand, beside a gorpc server: it tests the rows, not Weft. */
    const struct CMUnitTest by_hand[] = {INTEROP_TEST(so_does_gorpc_itself)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    if (getenv("WEFT_GORPC_PORT") != NULL)
        failed += cmocka_run_group_tests(by_hand, NULL, NULL);
    return failed;
}
