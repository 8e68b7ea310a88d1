/* hello_client.c - one call.
 *
 *     hello_client [127.0.0.1:8000 [name [service]]] */
#include <stdio.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

typedef struct answer {
    bool done;
    weft_status status;
} answer;

static void on_reply(const Helloworld__HelloReply *reply, void *user)
{
    const weft_result *r = weft_current_result();
    answer *a = user;

    if (reply != NULL)
        printf("%s\n", reply->msg);
    else
        fprintf(stderr, "%s: %s\n", weft_status_name(r->status), r->message);
    a->status = r->status;
    a->done = true;
}

int main(int argc, char **argv)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;
    weft_loop *loop;
    weft_channel *channel;
    answer a = {0};

    if (weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    weft_channel_new(&channel, loop, argc > 1 ? argv[1] : "127.0.0.1:8000",
                     NULL);
    weft_stub stub = weft_stub_for(channel, &helloworld__greeter__descriptor);
    request.msg = argc > 2 ? argv[2] : "world";
    stub.options.service = argc > 3 ? argv[3] : NULL; /* its own name */
    helloworld__greeter__say_hello(&stub.base, &request, on_reply, &a);
    weft_loop_run_until(loop, &a.done, 0);
    weft_channel_close(channel);
    weft_loop_free(loop);
    return a.status == WEFT_OK ? 0 : 1;
}
