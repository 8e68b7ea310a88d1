/* round_robin.c - one after the other; weights do not matter.
 *
 * The usable slots are a ring.  One that comes joins behind all others, one
 * that goes leaves the turns of the others as they are: with any coming and
 * going, no slot is passed over and none has two turns while another waits for
 * its first. */
#include "balancer_internal.h"

#include <weft/mem.h>

typedef struct seat {
    uint32_t next, prev;
    bool usable;
} seat;

typedef struct balancer {
    seat *seats; /* by slot, owned */
    size_t cap, n;
    uint32_t turn; /* whose it is; any when n is 0 */
    uint64_t random;
} balancer;

static weft_status round_robin_init(void *self, uint64_t seed)
{
    ((balancer *)self)->random = seed;
    return WEFT_OK;
}

static void round_robin_fini(void *self)
{
    weft_free(((balancer *)self)->seats);
}

static void join(balancer *b, uint32_t slot)
{
    seat *s = &b->seats[slot], *turn;

    if (s->usable)
        return;
    s->usable = true;
    if (b->n++ == 0) {
        s->next = s->prev = b->turn = slot;
        return;
    }
    turn = &b->seats[b->turn];
    s->next = b->turn;
    s->prev = turn->prev;
    b->seats[turn->prev].next = slot;
    turn->prev = slot;
}

static void leave(balancer *b, uint32_t slot)
{
    seat *s;

    if (slot >= b->cap || !b->seats[slot].usable)
        return;
    s = &b->seats[slot];
    s->usable = false;
    b->n--;
    b->seats[s->prev].next = s->next;
    b->seats[s->next].prev = s->prev;
    if (b->turn == slot)
        b->turn = s->next;
}

static weft_status
round_robin_update(void *self, const weft_balancer_change *changes, size_t n)
{
    balancer *b = self;
    bool was_empty = b->n == 0;
    weft_status status =
        weft__slots_grow((void **)&b->seats, &b->cap,
                         weft__slots_end(changes, n), sizeof(*b->seats));

    if (status != WEFT_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (changes[i].weight != 0)
            join(b, changes[i].slot);
        else
            leave(b, changes[i].slot);
    /* A thousand clients that start together should not begin with the same. */
    if (was_empty && b->n > 1)
        for (uint32_t skip = weft__random_below(&b->random, (uint32_t)b->n);
             skip > 0; skip--)
            b->turn = b->seats[b->turn].next;
    return WEFT_OK;
}

static weft_status round_robin_pick(void *self, const weft_pick_args *args,
                                    uint32_t *slot)
{
    balancer *b = self;
    uint32_t at = b->turn;

    if (b->n == 0)
        return WEFT_UNAVAILABLE;
    /* Of TRIED_MAX + 1 slots one was not tried, unless the ring is shorter and
     * comes round to where it began. */
    while (weft__slot_tried(args, at))
        if ((at = b->seats[at].next) == b->turn)
            break;
    b->turn = b->seats[at].next;
    *slot = at;
    return WEFT_OK;
}

static void round_robin_done(void *self, uint32_t slot,
                             const weft_pick_outcome *outcome)
{
    (void)self, (void)slot, (void)outcome;
}

const weft_balancer_ops weft__balancer_round_robin = {
    .name = "round_robin",
    .self_size = sizeof(balancer),
    .init = round_robin_init,
    .fini = round_robin_fini,
    .update = round_robin_update,
    .pick = round_robin_pick,
    .done = round_robin_done,
};
