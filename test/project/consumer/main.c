/* A user's program: a loop, a channel, and one call through a generated stub,
 * to where nobody listens. */
#include <weft/weft.h>

#include <stdio.h>
#include <string.h>

#ifdef WITH_PROTO
#include "ping.pb-c.h"

static void on_pong(const Ping__Probe *reply, void *user)
{
    const weft_result *result = weft_current_result();

    printf("consumer: %s: %s\n", weft_status_name(result->status),
           result->message);
    if (reply == NULL && result->status == WEFT_UNAVAILABLE)
        *(bool *)user = true;
}

static bool ping(weft_loop *loop, weft_channel *channel)
{
    weft_stub stub = weft_stub_for(channel, &ping__pinger__descriptor);
    Ping__Probe probe = PING__PROBE__INIT;
    bool refused = false;

    probe._hop_case = PING__PROBE___HOP_HOP; /* proto3 optional */
    ping__pinger__ping(&stub.base, &probe, on_pong, &refused);
    return weft_loop_run_until(loop, &refused, 10000) == WEFT_OK;
}
#else
static bool ping(weft_loop *loop, weft_channel *channel)
{
    (void)channel;
    return weft_loop_poll(loop) == WEFT_OK;
}
#endif

int main(void)
{
    weft_loop *loop;
    weft_channel *channel;
    bool ok;

    if (weft_loop_new(&loop, NULL) != WEFT_OK)
        return 1;
    if (weft_channel_new(&channel, loop, "static:///127.0.0.1:1", NULL) !=
        WEFT_OK)
        return 2;
    ok = ping(loop, channel);
    weft_channel_close(channel);
    weft_loop_free(loop);
    puts(ok ? "consumer: ok" : "consumer: failed");
    return ok ? 0 : 3;
}
