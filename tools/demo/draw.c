/* draw.c - the demo's board: a redrawn block on a terminal, a line elsewhere.
 */
#include "demo.h"

#include <stdio.h>

#define BAR 40
#define LINES (DEMO_SERVERS + 4)

void demo_latency_add(demo_latency *l, uint64_t us)
{
    uint64_t ms = us / 1000;

    l->buckets[ms < DEMO_BUCKETS ? ms : DEMO_BUCKETS - 1]++;
    l->n++;
}

uint32_t demo_latency_ms(const demo_latency *l, double quantile)
{
    uint32_t want = (uint32_t)(quantile * l->n), seen = 0;

    for (uint32_t i = 0; i < DEMO_BUCKETS; i++)
        if ((seen += l->buckets[i]) > want)
            return i;
    return DEMO_BUCKETS;
}

static uint32_t per_second(const demo_board *b, uint32_t calls)
{
    return b->interval_ms > 0 ? calls * 1000 / b->interval_ms : 0;
}

static void draw_server(const demo_board *b, const demo_server *s)
{
    uint32_t rate = per_second(b, s->calls);
    uint32_t width = rate * BAR / 3000;

    printf("\033[K  %c %-15s %5u/s ", s->name, s->address, rate);
    for (uint32_t i = 0; i < BAR; i++)
        fputs(i < width ? "█" : "·", stdout);
    printf(" %4u in flight  %s\n", s->in_flight, s->note);
}

static void draw_live(const demo_board *b)
{
    static bool drawn;

    if (drawn)
        printf("\033[%dA", LINES);
    drawn = true;
    printf("\033[KWeft: %d greeters found through %s, %4.1f s\n", DEMO_SERVERS,
           b->discovery, b->seconds);
    for (int i = 0; i < DEMO_SERVERS; i++)
        draw_server(b, &b->servers[i]);
    printf(
        "\033[K  all             %5u/s   latency p50 %u ms  p99 %u ms  max %u "
        "ms\n",
        per_second(b, b->interval_calls), demo_latency_ms(&b->interval, .5),
        demo_latency_ms(&b->interval, .99),
        demo_latency_ms(&b->interval, .999999));
    printf("\033[K  calls %llu  failed %llu\n", (unsigned long long)b->ok,
           (unsigned long long)b->failed);
    printf("\033[K  %s\n", b->event);
}

static void draw_line(const demo_board *b)
{
    printf("%5.1f s ", b->seconds);
    for (int i = 0; i < DEMO_SERVERS; i++)
        printf(" %c %4u/s", b->servers[i].name,
               per_second(b, b->servers[i].calls));
    printf("  p50 %u ms p99 %u ms  failed %llu  %s\n",
           demo_latency_ms(&b->interval, .5),
           demo_latency_ms(&b->interval, .99), (unsigned long long)b->failed,
           b->event);
}

void demo_draw(const demo_board *b)
{
    if (b->live)
        draw_live(b);
    else
        draw_line(b);
    fflush(stdout);
}

int demo_summary(const demo_board *b)
{
    double rate = b->seconds > 0 ? (double)b->ok / b->seconds : 0;
    bool good = b->failed_elsewhere == 0;

    printf("\n%llu calls in %.1f s (%.0f/s), %llu failed; latency p50 %u ms, "
           "p99 %u ms\n",
           (unsigned long long)b->started, b->seconds, rate,
           (unsigned long long)b->failed, demo_latency_ms(&b->whole, .5),
           demo_latency_ms(&b->whole, .99));
    for (int i = 0; i < DEMO_SERVERS; i++) {
        const demo_server *s = &b->servers[i];
        uint64_t allowed = s->killed ? s->lost_bound : 0;
        printf("  %c %-15s %7llu answered, %llu lost", s->name, s->address,
               (unsigned long long)s->ok, (unsigned long long)s->failed);
        if (s->killed)
            printf(" (SIGKILL with %u in flight)", s->lost_bound);
        printf("%s\n", s->failed > allowed ? "  <- too many" : "");
        good = good && s->failed <= allowed;
    }
    if (b->failed_elsewhere > 0)
        printf("  %llu calls failed before they reached a server\n",
               (unsigned long long)b->failed_elsewhere);
    if (b->first_failure[0] != '\0')
        printf("  first failure: %s\n", b->first_failure);
    if (rate < 2000) {
        printf("fewer than 2000 calls/s were answered\n");
        good = false;
    }
    printf("%s\n", good ? "The drain lost nothing; the kill lost no more than "
                          "what was in flight there."
                        : "FAILED: calls were lost that need not have been.");
    return good ? 0 : 1;
}
