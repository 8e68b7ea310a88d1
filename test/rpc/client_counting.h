/* client_counting.h - a balancer that keeps the books: each pick must be given
 * back exactly once, and only usable slots are asked for.  One channel at a
 * time.  After support.h. */
#ifndef WEFT_TEST_CLIENT_COUNTING_H
#define WEFT_TEST_CLIENT_COUNTING_H

#include <string.h>
#include <weft/balancer.h>

#define COUNTING_SLOTS 256

static struct counting {
    uint32_t weight[COUNTING_SLOTS], held[COUNTING_SLOTS];
    uint64_t picks, dones, updates;
    uint32_t next;
    unsigned refuse_updates; /* so many fail, as if memory had run out */
    unsigned ended;          /* channels that gave everything back */
} counting;

static inline weft_status counting_init(void *self, uint64_t seed)
{
    (void)self, (void)seed;
    memset(&counting, 0, offsetof(struct counting, refuse_updates));
    return WEFT_OK;
}

static inline void counting_fini(void *self)
{
    (void)self;
    for (uint32_t i = 0; i < COUNTING_SLOTS; i++) {
        assert_int_equal(counting.held[i], 0);
        assert_int_equal(counting.weight[i], 0); /* and everybody was told */
    }
    assert_int_equal(counting.picks, counting.dones);
    counting.ended++;
}

static inline weft_status
counting_update(void *self, const weft_balancer_change *changes, size_t n)
{
    (void)self;
    counting.updates++;
    if (changes->weight > 0 && counting.refuse_updates > 0) {
        counting.refuse_updates--;
        return WEFT_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(changes[i].slot < COUNTING_SLOTS);
        counting.weight[changes[i].slot] = changes[i].weight;
    }
    return WEFT_OK;
}

static inline weft_status counting_pick(void *self, const weft_pick_args *args,
                                        uint32_t *slot)
{
    bool any = false;

    (void)self;
    for (uint32_t i = 0; i < COUNTING_SLOTS; i++) {
        uint32_t s = (counting.next + i) % COUNTING_SLOTS;
        bool tried = false;

        if (counting.weight[s] == 0)
            continue;
        for (size_t t = 0; t < args->n_tried; t++)
            tried |= args->tried[t] == s;
        if (!any || !tried)
            *slot = s;
        any = true;
        if (!tried)
            break;
    }
    if (!any)
        return WEFT_UNAVAILABLE;
    counting.next = *slot + 1;
    counting.held[*slot]++;
    counting.picks++;
    return WEFT_OK;
}

static inline void counting_done(void *self, uint32_t slot,
                                 const weft_pick_outcome *how)
{
    (void)self, (void)how;
    assert_true(slot < COUNTING_SLOTS);
    assert_true(counting.held[slot] > 0);
    counting.held[slot]--;
    counting.dones++;
}

static const weft_balancer_ops counting_balancer = {.name = "counting",
                                                    .self_size = 1,
                                                    .init = counting_init,
                                                    .fini = counting_fini,
                                                    .update = counting_update,
                                                    .pick = counting_pick,
                                                    .done = counting_done};

#endif /* WEFT_TEST_CLIENT_COUNTING_H */
