/* body.c - statements of a document's snippet, inside a function. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

void on_reply(const Helloworld__HelloReply *reply, void *user);
void on_result(const weft_result *result, void *user);
void on_end(weft_call *call, weft_status status, void *user);
void on_drained(weft_server *server, weft_status status, const char *message,
                void *user);
void on_loop_closed(void *user);
void answer_on_the_loop(void *user);
void forward(weft_call *call, const weft_raw_request *in, void *user);
void snippet(weft_loop *loop, weft_server *server, weft_channel *channel,
             weft_call *call, weft_stub stub, Helloworld__HelloRequest request,
             Helloworld__Greeter_Service greeter, struct event_base *my_base,
             void *user);

void snippet(weft_loop *loop, weft_server *server, weft_channel *channel,
             weft_call *call, weft_stub stub, Helloworld__HelloRequest request,
             Helloworld__Greeter_Service greeter, struct event_base *my_base,
             void *user)
{
    (void)loop, (void)server, (void)channel, (void)call, (void)stub;
    (void)request, (void)greeter, (void)my_base, (void)user;
    /* snippet */
}
