/* greeter_client.c - calls a greeter wherever Consul says it is.
 *
 *     greeter_client [consul:///helloworld.Greeter [calls]]
 *
 * The channel resolves through the local agent without ever blocking the loop,
 * and spreads the calls over what it finds; until something is there, they wait
 * (wait_for_ready), up to their deadline. */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct tally {
    int left, failed;
    bool done;
} tally;

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    tally *t = user;

    if (reply != NULL) {
        printf("%s (%s, %llu us)\n", reply->msg, r->peer,
               (unsigned long long)r->waiting_us);
    } else {
        fprintf(stderr, "%s: %s\n", weft_status_name(r->status), r->message);
        t->failed++;
    }
    t->done = --t->left == 0;
}

int main(int argc, char **argv)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    tally t = {.left = argc > 2 ? atoi(argv[2]) : 6};
    weft_loop *loop;
    weft_channel *channel;

    if (t.left <= 0 || weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    weft_channel_new(&channel, loop,
                     argc > 1 ? argv[1] : "consul:///helloworld.Greeter",
                     &(weft_channel_conf){.balancer = "round_robin",
                                          .wait_for_ready = true});
    weft_stub stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    request.msg = "you";
    for (int i = 0, n = t.left; i < n; i++)
        helloworld__greeter__say_hello(&stub.base, &request, on_reply, &t);
    weft_loop_run_until(loop, &t.done, 0);
    weft_channel_close(channel);
    weft_loop_free(loop);
    return t.failed == 0 ? 0 : 1;
}
