/* clock.c - the real clock and the one that tests move. */
#include <weft/clock.h>

#include <time.h>

static uint64_t monotonic_ns(void *user)
{
    struct timespec ts;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

const weft_clock weft_clock_monotonic = {.now_ns = monotonic_ns};

static uint64_t fake_ns(void *user)
{
    const weft_fake_clock *fake = user;

    return fake->ns;
}

weft_clock weft_fake(weft_fake_clock *fake)
{
    return (weft_clock){.now_ns = fake_ns, .user = fake};
}

void weft_fake_advance(weft_fake_clock *fake, uint32_t ms)
{
    fake->ns += (uint64_t)ms * 1000000u;
}
