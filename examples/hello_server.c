/* hello_server.c - the smallest server.
 *
 *     hello_server [tcp://127.0.0.1:8000]
 *
 * SIGTERM and SIGINT drain it: calls in flight finish, new ones go elsewhere.
 */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    size_t size = sizeof("hello ") + strlen(in->msg);

    (void)self;
    if (in->msg[0] == '\0') {
        weft_call_failf(call, WEFT_INVALID_ARGUMENT, "msg is empty");
        return;
    }
    if ((out.msg = weft_call_alloc(call, size)) == NULL) {
        weft_call_fail(call, WEFT_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    snprintf(out.msg, size, "hello %s", in->msg);
    reply(&out, call);
}

static Helloworld__Greeter_Service greeter =
    HELLOWORLD__GREETER__INIT(greeter_);

int main(int argc, char **argv)
{
    weft_loop *loop;
    weft_server *server;
    char address[WEFT_ADDRESS_TEXT];
    int code;

    if (weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &greeter.base);
    weft_server_listen(server, argc > 1 ? argv[1] : "tcp://127.0.0.1:8000");
    if (weft_server_address(server, 0) != NULL) {
        weft_address_format(weft_server_address(server, 0), address,
                            sizeof(address));
        printf("listening on %s\n", address);
        fflush(stdout);
    }
    code = weft_server_run(server); /* says what went wrong in the setup */
    weft_server_free(server);
    weft_loop_free(loop);
    return code;
}
