/* endpoints.c - how long a changed list of endpoints holds the loop.
 *
 *     scale_endpoints [ENDPOINTS [CHANGES]]
 *
 * A resolver of our own makes a list of so many, a few per round of the loop,
 * then one in which every other endpoint has been replaced, and so on.  Nobody
 * listens there: what is measured is that the channel takes the list over.  The
 * longest round counts, in CPU time of the thread: what else runs on the
 * machine is not the library's. */
#include "scale.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>
#include <weft/log.h>

#define PER_ROUND 250

static uint32_t endpoints;

typedef struct source { /* the resolver */
    weft_watch *watch;
    weft_timer timer;
    weft_endpoints_builder *builder;
    uint32_t added, lists;
} source;

/* The i-th of a list: the even ones stay, the odd ones are others each time. */
static weft_endpoint endpoint(uint32_t list, uint32_t i)
{
    uint32_t host = i % 2 == 0 ? i : i + (list + 1) * endpoints;
    weft_endpoint e = {.address.kind = WEFT_ADDRESS_TCP};
    struct sockaddr_in *in = &e.address.u.in4;

    in->sin_family = AF_INET;
    in->sin_port = htons(9);
    in->sin_addr.s_addr = htonl(0x7f000001 + host);
    e.address.len = sizeof(*in);
    return e;
}

static void add_some(weft_timer *timer, void *user)
{
    source *s = user;
    uint32_t end = s->added + PER_ROUND;
    weft_endpoints *list;

    if (s->builder == NULL)
        weft_endpoints_builder_new(&s->builder);
    for (; s->added < endpoints && s->added < end; s->added++) {
        weft_endpoint e = endpoint(s->lists, s->added);

        scale_check(weft_endpoints_builder_add(s->builder, &e) == WEFT_OK,
                    "no endpoint");
    }
    if (s->added == endpoints) {
        weft_endpoints_builder_finish(s->builder, &list);
        weft_watch_publish(s->watch, list);
        s->builder = NULL;
        s->added = 0;
        s->lists++;
    }
    weft_timer_start(timer, s->added > 0 ? 0 : 20);
}

static weft_status start(void *self, weft_watch *watch)
{
    source *s = self;

    s->watch = watch;
    weft_timer_init(&s->timer, weft_watch_loop(watch), add_some, s);
    weft_timer_start(&s->timer, 0);
    return WEFT_OK;
}

static void close_source(void *self)
{
    source *s = self;

    weft_timer_stop(&s->timer);
    weft_endpoints_builder_free(s->builder);
}

static double cpu_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* The longest round until the list has changed so often, and some more. */
static double longest_ms(weft_loop *loop, const weft_channel *channel,
                         uint64_t changes)
{
    double longest = 0;
    weft_watch_info info = {0};

    for (int after = 0; after < 50; after += info.changes >= changes) {
        double begin = cpu_ms(), took;

        (void)weft_loop_poll(loop);
        took = cpu_ms() - begin;
        longest = took > longest ? took : longest;
        (void)weft_channel_watch_info(channel, &info);
    }
    return longest;
}

int main(int argc, char **argv)
{
    static const weft_resolver_ops ops = {.scheme = "bench",
                                          .self_size = sizeof(source),
                                          .start = start,
                                          .close = close_source};
    weft_channel_conf conf = {.eager = true};
    uint32_t changes = scale_arg(argc, argv, 2, 10);
    weft_channel *channel;
    weft_loop *loop;

    endpoints = scale_arg(argc, argv, 1, 10000);
    weft_log_set_level(WEFT_LOG_ERROR);
    weft_resolver_register(&ops);
    weft_loop_new(&loop, NULL);
    weft_channel_new(&channel, loop, "bench:///endpoints", &conf);
    for (uint32_t i = 1; i <= changes + 1; i++)
        printf("{\"scale\": \"endpoints\", \"case\": \"%u\", "
               "\"%s_ms\": %.3f}\n",
               endpoints, i == 1 ? "first" : "changed",
               longest_ms(loop, channel, i));
    weft_channel_close(channel);
    weft_loop_free(loop);
    return 0;
}
