/* batch_client.c - ten thousand calls, a hundred at a time.
 *
 *     batch_client [target [calls [at-once]]]
 *
 * Each reply makes the next call, so that there is never more in flight than
 * was asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct batch {
    weft_stub stub;
    int to_start, to_finish, in_flight, most_in_flight, failed;
    bool done;
} batch;

static void start_one(batch *b);

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    batch *b = user;

    b->in_flight--;
    if (reply == NULL && b->failed++ == 0)
        fprintf(stderr, "%s: %s\n", weft_status_name(r->status), r->message);
    if (--b->to_finish == 0)
        b->done = true;
    else if (b->to_start > 0)
        start_one(b);
}

static void start_one(batch *b)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    char name[32];

    b->to_start--;
    if (++b->in_flight > b->most_in_flight)
        b->most_in_flight = b->in_flight;
    snprintf(name, sizeof(name), "item %d", b->to_start);
    request.msg = name;
    helloworld__greeter__say_hello(&b->stub.base, &request, on_reply, b);
}

int main(int argc, char **argv)
{
    int calls = argc > 2 ? atoi(argv[2]) : 10000;
    int at_once = argc > 3 ? atoi(argv[3]) : 100;
    batch b = {.to_start = calls, .to_finish = calls};
    weft_loop *loop;
    weft_channel *channel;

    if (calls <= 0 || at_once <= 0 || weft_loop_new(&loop, NULL) != WEFT_OK)
        return 2;
    weft_channel_new(&channel, loop, argc > 1 ? argv[1] : "127.0.0.1:8000",
                     NULL);
    b.stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    while (b.to_start > 0 && b.in_flight < at_once)
        start_one(&b);
    weft_loop_run_until(loop, &b.done, 0);
    printf("%d calls, %d failed, at most %d in flight\n", calls, b.failed,
           b.most_in_flight);
    weft_channel_close(channel);
    weft_loop_free(loop);
    return b.failed == 0 ? 0 : 1;
}
