/* balancer.c - what one pick and its done() cost, for each policy.
 *
 *     micro_balancer [picks per row]
 *
 * A window of calls is in flight all the time; they end in another order than
 * they began.  The best of five rounds counts. */
#include <weft/balancer.h>
#include <weft/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW 512

static double now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static bool fill(const weft_balancer_ops *ops, void *self, uint32_t n)
{
    weft_balancer_change *changes = weft_calloc(n, sizeof(*changes));
    bool ok = changes != NULL;

    for (uint32_t i = 0; ok && i < n; i++)
        changes[i] = (weft_balancer_change){i, 1 + i * 37 % 200, i};
    ok = ok && ops->update(self, changes, n) == WEFT_OK;
    weft_free(changes);
    return ok;
}

static double round_of(const weft_balancer_ops *ops, void *self,
                       unsigned long picks)
{
    static uint32_t in_flight[WINDOW];
    const weft_pick_args args = {0};
    const weft_pick_outcome outcome = {.latency_ns = 1000000};
    double begin;
    size_t at = 0;

    for (size_t i = 0; i < WINDOW; i++)
        (void)ops->pick(self, &args, &in_flight[i]);
    begin = now_ns();
    for (unsigned long i = 0; i < picks; i++) {
        ops->done(self, in_flight[at], &outcome);
        (void)ops->pick(self, &args, &in_flight[at]);
        at = (at * 5 + 1) % WINDOW; /* each place once in WINDOW steps */
    }
    begin = now_ns() - begin;
    for (size_t i = 0; i < WINDOW; i++)
        ops->done(self, in_flight[i], &outcome);
    return begin / (double)picks;
}

static bool measure(const weft_balancer_ops *ops, uint32_t n,
                    unsigned long picks)
{
    void *self = weft_calloc(1, ops->self_size);
    double best = 1e18, took = 0;
    bool ok =
        self != NULL && (ops->init == NULL || ops->init(self, 1) == WEFT_OK);

    if (ok) {
        took = now_ns();
        ok = fill(ops, self, n);
        took = now_ns() - took;
    }
    for (int i = 0; ok && i < 5; i++) {
        double ns = round_of(ops, self, picks);

        best = ns < best ? ns : best;
    }
    if (ok)
        printf("%-22s %8u %12.1f %12.3f\n", ops->name, (unsigned)n, best,
               took / 1e6);
    if (self != NULL && ops->fini != NULL)
        ops->fini(self);
    weft_free(self);
    return ok;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {10, 1000, 10000};
    unsigned long picks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    char names[1024], *rest = names, *name;

    printf("%-22s %8s %12s %12s\n", "policy", "slots", "ns per call",
           "update ms");
    weft_balancer_names(names, sizeof(names));
    while ((name = strtok_r(rest, ", ", &rest)) != NULL)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            if (!measure(weft_balancer_find(name), sizes[i],
                         picks > 0 ? picks : 1)) {
                fprintf(stderr, "%s: out of memory\n", name);
                return 1;
            }
    return 0;
}
