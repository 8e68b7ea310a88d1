/* slots.c - arrays by slot, tried slots, random numbers. */
#include "balancer_internal.h"

#include <weft/mem.h>

#include <string.h>

size_t weft__slots_end(const weft_balancer_change *changes, size_t n)
{
    size_t end = 0;

    for (size_t i = 0; i < n; i++)
        if (changes[i].weight != 0 && changes[i].slot >= end)
            end = (size_t)changes[i].slot + 1;
    return end;
}

weft_status weft__slots_grow(void **array, size_t *cap, size_t need,
                             size_t size)
{
    size_t fresh = *cap != 0 ? 2 * *cap : 16;
    uint8_t *p;

    if (need <= *cap)
        return WEFT_OK;
    if (fresh < need)
        fresh = need;
    if (fresh > SIZE_MAX / size ||
        (p = weft_realloc(*array, fresh * size)) == NULL)
        return WEFT_ENOMEM;
    memset(p + *cap * size, 0, (fresh - *cap) * size);
    *array = p;
    *cap = fresh;
    return WEFT_OK;
}

bool weft__slot_tried(const weft_pick_args *args, uint32_t slot)
{
    size_t i = args->n_tried;
    size_t last = i > WEFT__TRIED_MAX ? i - WEFT__TRIED_MAX : 0;

    while (i-- > last)
        if (args->tried[i] == slot)
            return true;
    return false;
}

/* G. L. Steele, D. Lea, C. H. Flood: Fast Splittable Pseudorandom Number
 * Generators (2014). */
uint64_t weft__random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* D. Lemire: Fast Random Integer Generation in an Interval (2019).  What is
 * drawn again are the few numbers that would make some results likelier. */
uint32_t weft__random_below(uint64_t *state, uint32_t n)
{
    uint64_t m = (weft__random_next(state) >> 32) * n;

    if ((uint32_t)m < n) {
        uint32_t uneven = (0u - n) % n;

        while ((uint32_t)m < uneven)
            m = (weft__random_next(state) >> 32) * n;
    }
    return (uint32_t)(m >> 32);
}

uint64_t weft__first_turn(uint64_t *phase, uint32_t weight)
{
    uint64_t period = weft__period(weight);

    *phase += 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
    return 1 + ((*phase >> 32) * (period - 1) >> 32); /* period <= 2^32 */
}
