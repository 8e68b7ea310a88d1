/* proxy.c - forwards every call, whatever its service, without decoding it.
 *
 *     proxy tcp://127.0.0.1:7000 consul:///helloworld.Greeter
 *
 * Calls under the one that is served inherit its deadline and are cancelled
 * with it. */
#include <stdio.h>
#include <weft/weft.h>

static weft_channel *backend;

static void on_result(const weft_result *result, void *call)
{
    weft_call_finish(call, result);
}

static void forward(weft_call *call, const weft_raw_request *in, void *user)
{
    weft_call_options options = {.parent = call,
                                 .metadata = *in->metadata,
                                 .content_type = in->content_type};
    char path[512];
    weft_status st;

    (void)user;
    snprintf(path, sizeof(path), "/%s/%s", in->service, in->method);
    st = weft_call_bytes(backend, &options, path, in->payload, in->payload_len,
                         on_result, call);
    if (st != WEFT_OK)
        weft_call_fail(call, weft_status_to_rpc(st), weft_status_text(st));
}

int main(int argc, char **argv)
{
    weft_loop *loop;
    weft_server *server;
    int code;

    if (argc != 3) {
        fprintf(stderr, "usage: proxy LISTEN-URI TARGET\n");
        return 2;
    }
    if (weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    if (weft_channel_new(&backend, loop, argv[2], NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_channel_error(backend));
        weft_loop_free(loop);
        return 1;
    }
    weft_server_new(&server, loop, NULL);
    weft_server_set_fallback(server, forward, NULL);
    weft_server_listen(server, argv[1]);
    code = weft_server_run(server);
    weft_server_free(server);
    weft_channel_close(backend);
    weft_loop_free(loop);
    return code;
}
