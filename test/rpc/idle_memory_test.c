/* What a server allocates for a connection that idles, and libevent for it.
 * Sockets of the test's own are the clients, so that nothing else is counted.
 */
#include "support.h"

#include "test_loop.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/loop.h>
#include <weft/server.h>

#include <helloworld.pb-c.h>

/* In bytes: what the allocator takes, its own part included.  400 are the
 * connection's one block, 32 libevent's record of its descriptor.  The rest is
 * libevent's table of descriptors, 8 for each, which doubles when it is full:
 * up to 32 here, where both ends are in one process; a server alone has half of
 * that. */
enum {
    CONNECTIONS = 1000,
    WARM_UP = 200, /* more than the loop keeps chunks for output */
    BURST = 20,
    BOUND = 470,
    KEEPALIVE_MS = 30000,
    FRAME_HEADER = 15
};

/* docs/protocol.md: a probe, and SayHello {msg: "hi"} with the ids 1 and 2. */
static const uint8_t probe[] = {0x11, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
#define CALL(ID)                                                               \
    0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0, 0, 0, ID, 0x12, 28, '/', 'h', 'e', \
        'l', 'l', 'o', 'w', 'o', 'r', 'l', 'd', '.', 'G', 'r', 'e', 'e', 't',  \
        'e', 'r', '/', 'S', 'a', 'y', 'H', 'e', 'l', 'l', 'o', 0x22, 4, 0x0a,  \
        2, 'h', 'i'
static const uint8_t call_1[] = {CALL(1)}, call_2[] = {CALL(2)};

/* Calls that are answered later. */
static struct {
    Helloworld__HelloReply_Closure reply;
    void *call;
} held[BURST];
static unsigned n_held;
static bool hold;

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)self;
    if (hold) {
        held[n_held].reply = reply;
        held[n_held++].call = call;
        return;
    }
    out.msg = in->msg;
    reply(&out, call);
}

static void answer_held(void)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    while (n_held > 0) {
        n_held--;
        held[n_held].reply(&out, held[n_held].call);
    }
}

static Helloworld__Greeter_Service greeter =
    HELLOWORLD__GREETER__INIT(greeter_);

typedef struct fixture {
    test_loop t;
    weft_server *server;
    int clients[CONNECTIONS + WARM_UP];
    unsigned n;
} fixture;

static void init(fixture *f)
{
    f->n = 0;
    test_loop_init(&f->t);
    weft_server_new(
        &f->server, f->t.loop,
        &(weft_server_conf){.keepalive_ms = KEEPALIVE_MS,
                            .keepalive_timeout_ms = 100 * KEEPALIVE_MS,
                            .idle_ms = WEFT_OFF});
    weft_server_add_service(f->server, &greeter.base);
    weft_server_listen(f->server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(f->server, NULL, NULL), WEFT_OK);
}

static void fini(fixture *f)
{
    for (unsigned i = 0; i < f->n; i++)
        close(f->clients[i]);
    weft_server_free(f->server);
    test_loop_fini(&f->t);
}

/* Sends what is answered in one piece, and runs the loop until it is. */
static void ask(fixture *f, int fd, const void *bytes, size_t n)
{
    uint8_t answer[256];
    ssize_t got = -1;

    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
    for (int round = 0; round < 100000 && got < 0; round++) {
        assert_int_equal(weft_loop_poll(f->t.loop), WEFT_OK);
        got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    }
    assert_true(got >= FRAME_HEADER);
}

static void connect_one(fixture *f)
{
    const weft_address *at = weft_server_address(f->server, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    f->clients[f->n++] = fd;
    assert_int_equal(connect(fd, &at->u.sa, at->len), 0);
    ask(f, fd, probe, sizeof(probe));
    ask(f, fd, call_1, sizeof(call_1));
    ask(f, fd, call_2, sizeof(call_2));
}

static void read_away(int fd)
{
    uint8_t bytes[4096];

    assert_true(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
}

/* The clients from the first on are asked whether they are there. */
static void be_quiet(fixture *f, unsigned first)
{
    test_loop_advance(&f->t, KEEPALIVE_MS + 1);
    for (unsigned i = first; i < f->n; i++)
        read_away(f->clients[i]);
}

/* Many calls in flight at once, the last of them in two pieces. */
static void burst(fixture *f, int fd)
{
    static const uint8_t call[] = {CALL(0)};
    uint8_t bytes[BURST * sizeof(call)];
    size_t most = sizeof(bytes) - sizeof(call) / 2;
    int on = 1;

    for (uint8_t i = 0; i < BURST; i++) {
        memcpy(bytes + i * sizeof(call), call, sizeof(call));
        bytes[i * sizeof(call) + FRAME_HEADER - 1] = (uint8_t)(3 + i);
    }
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
                     0);
    hold = true;
    assert_int_equal(send(fd, bytes, most, MSG_NOSIGNAL), most);
    test_loop_settle(&f->t);
    assert_int_equal(n_held, BURST - 1);
    assert_int_equal(send(fd, bytes + most, sizeof(bytes) - most, MSG_NOSIGNAL),
                     sizeof(bytes) - most);
    test_loop_settle(&f->t);
    hold = false;
    assert_int_equal(n_held, BURST);
    answer_held();
    test_loop_settle(&f->t);
    read_away(fd);
}

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void an_idle_connection_takes_little_memory(void **state)
{
    static fixture f;
    size_t before, each;

    (void)state;
    init(&f);
    while (f.n < WARM_UP)
        connect_one(&f);
    before = allocated();
    while (f.n < WARM_UP + CONNECTIONS)
        connect_one(&f);
    each = (allocated() - before) / CONNECTIONS;
    assert_in_range(each, 1, BOUND);
    fini(&f);
}

static void what_a_burst_takes_goes_when_it_is_quiet_again(void **state)
{
    static fixture f;
    size_t before, busy, quiet;

    (void)state;
    init(&f);
    while (f.n < WARM_UP)
        connect_one(&f);
    burst(&f, f.clients[0]);
    be_quiet(&f, 0);
    before = allocated();
    while (f.n < WARM_UP + CONNECTIONS)
        connect_one(&f);
    for (unsigned i = WARM_UP; i < f.n; i++)
        burst(&f, f.clients[i]);
    busy = (allocated() - before) / CONNECTIONS;
    be_quiet(&f, WARM_UP);
    quiet = (allocated() - before) / CONNECTIONS;
    assert_true(busy > quiet + BURST * sizeof(uint64_t));
    assert_in_range(quiet, 1, BOUND);
    fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_takes_little_memory),
        cmocka_unit_test(what_a_burst_takes_goes_when_it_is_quiet_again)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
