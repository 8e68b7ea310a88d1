/* What a server allocates for a connection that idles, and libevent for it.
 * Sockets of the test's own are the clients, so that nothing else is counted.
 */
#include "support.h"

#include <event2/event.h>
#include <malloc.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/loop.h>
#include <weft/server.h>

#include <helloworld.pb-c.h>

/* The house's bound of resident growth; what is allocated is nearly all of it.
 */
enum { CONNECTIONS = 1000, WARM_UP = 50, BOUND = 580, FRAME_HEADER = 15 };

/* docs/protocol.md: a probe, and SayHello {msg: "hi"} with the ids 1 and 2. */
static const uint8_t probe[] = {0x11, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
#define CALL(ID)                                                               \
    0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0, 0, 0, ID, 0x12, 28, '/', 'h', 'e', \
        'l', 'l', 'o', 'w', 'o', 'r', 'l', 'd', '.', 'G', 'r', 'e', 'e', 't',  \
        'e', 'r', '/', 'S', 'a', 'y', 'H', 'e', 'l', 'l', 'o', 0x22, 4, 0x0a,  \
        2, 'h', 'i'
static const uint8_t call_1[] = {CALL(1)}, call_2[] = {CALL(2)};

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;

    (void)self;
    out.msg = in->msg;
    reply(&out, call);
}

static Helloworld__Greeter_Service greeter =
    HELLOWORLD__GREETER__INIT(greeter_);

typedef struct fixture {
    weft_loop *loop;
    weft_server *server;
    int clients[CONNECTIONS + WARM_UP];
    unsigned n;
} fixture;

static void init(fixture *f)
{
    f->n = 0;
    assert_int_equal(weft_loop_new(&f->loop, NULL), WEFT_OK);
    weft_server_new(&f->server, f->loop, NULL);
    weft_server_add_service(f->server, &greeter.base);
    weft_server_listen(f->server, "tcp://127.0.0.1:0");
    assert_int_equal(weft_server_start(f->server, NULL, NULL), WEFT_OK);
}

static void fini(fixture *f)
{
    for (unsigned i = 0; i < f->n; i++)
        close(f->clients[i]);
    weft_server_free(f->server);
    weft_loop_free(f->loop);
}

/* Sends what is answered in one piece, and runs the loop until it is. */
static void ask(fixture *f, int fd, const void *bytes, size_t n)
{
    struct event_base *base = weft_loop_base(f->loop);
    uint8_t answer[256];
    ssize_t got = -1;

    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
    for (int round = 0; round < 100000 && got < 0; round++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
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
    print_message("%zu bytes\n", each);
    assert_in_range(each, 1, BOUND);
    fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_takes_little_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
