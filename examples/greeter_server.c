/* greeter_server.c - a greeter that Consul knows.
 *
 *     greeter_server [tcp://127.0.0.1:0 [name [conf=value ...]]]
 *
 * It registers with the local agent (CONSUL_HTTP_ADDR, else 127.0.0.1:8500),
 * which asks its /health; at SIGTERM it leaves Consul first and finishes its
 * calls. Options of weft_consul_conf may follow: kv=true check=ttl ttl_ms=10s.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

static const char *my_name = "greeter";

static void greeter_say_hello(Helloworld__Greeter_Service *self,
                              const Helloworld__HelloRequest *in,
                              Helloworld__HelloReply_Closure reply, void *call)
{
    Helloworld__HelloReply out = HELLOWORLD__HELLO_REPLY__INIT;
    char text[256];

    (void)self;
    snprintf(text, sizeof(text), "hello %s from %s", in->msg, my_name);
    out.msg = text; /* packed before reply() returns */
    reply(&out, call);
}

static Helloworld__Greeter_Service greeter =
    HELLOWORLD__GREETER__INIT(greeter_);

static bool set_options(weft_consul_conf *conf, int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        const char *why = "name=value is expected";

        if (value != NULL)
            *value++ = '\0';
        if (value == NULL ||
            weft_conf_set(conf, argv[i], value, &why) != WEFT_OK) {
            fprintf(stderr, "%s: %s\n", argv[i], why);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    weft_consul_conf consul = {0};
    weft_loop *loop;
    weft_server *server;
    int code;

    if (!set_options(&consul, argc, argv) ||
        weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    if (argc > 2)
        my_name = argv[2];
    weft_server_new(&server, loop, NULL);
    weft_server_add_service(server, &greeter.base);
    weft_server_listen(server, argc > 1 ? argv[1] : "tcp://127.0.0.1:0");
    weft_server_use(server, weft_consul_plugin(&consul));
    code = weft_server_run(server);
    weft_server_free(server);
    weft_loop_free(loop);
    return code;
}
