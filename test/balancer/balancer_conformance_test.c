/* balancer_conformance_test.c - what holds for every policy, run over all that
 * are registered. */
#include "balancing.h"
#include "fail_nth.h"

#include <stdlib.h>
#include <string.h>

static char *name; /* of the policy under test */

static void an_empty_set_is_unavailable(void **state)
{
    balancing b = balancing_begin(name, 1);
    uint32_t slot = 4711;

    (void)state;
    assert_int_equal(b.ops->pick(b.self, &(weft_pick_args){0}, &slot),
                     WEFT_UNAVAILABLE);
    assert_int_equal(slot, 4711); /* untouched */
    assert_int_equal(b.ops->update(b.self, NULL, 0), WEFT_OK);
    balancing_set(&b, 0, 1);
    balancing_set(&b, 0, 0);
    assert_int_equal(b.ops->pick(b.self, &(weft_pick_args){0}, &slot),
                     WEFT_UNAVAILABLE);
    balancing_end(&b);
}

static void fini_is_legal_on_a_zeroed_self(void **state)
{
    const weft_balancer_ops *ops = weft_balancer_find(name);
    void *self = weft_calloc(1, ops->self_size);

    (void)state;
    if (ops->fini != NULL)
        ops->fini(self);
    weft_free(self);
}

static void every_usable_slot_is_used_and_no_other(void **state)
{
    balancing b = balancing_begin(name, 2);
    unsigned hits[20] = {0};

    (void)state;
    balancing_fill(&b, 20, NULL);
    for (uint32_t slot = 0; slot < 20; slot += 3)
        balancing_set(&b, slot, 0);
    for (int i = 0; i < 2000; i++)
        hits[balancing_call(&b)]++;
    for (uint32_t slot = 0; slot < 20; slot++)
        assert_int_equal(hits[slot] > 0, slot % 3 != 0);
    balancing_end(&b);
}

static void a_slot_that_was_not_known_may_go(void **state)
{
    balancing b = balancing_begin(name, 3);

    (void)state;
    balancing_set(&b, 0, 0);
    balancing_set(&b, UINT32_MAX, 0);
    balancing_set(&b, 0, 5);
    balancing_set(&b, 1000, 0);
    assert_int_equal(balancing_call(&b), 0);
    balancing_end(&b);
}

static void done_may_come_after_the_slot_went(void **state)
{
    balancing b = balancing_begin(name, 4);
    uint32_t first, second;

    (void)state;
    balancing_fill(&b, 2, NULL);
    first = balancing_pick(&b);
    second = balancing_pick(&b);
    balancing_set(&b, 0, 0);
    balancing_set(&b, 1, 0);
    balancing_done(&b, first);
    balancing_set(&b, 1, 100);
    balancing_done(&b, second);
    assert_int_equal(balancing_call(&b), 1);
    balancing_end(&b);
}

static void a_slot_may_be_used_again_after_its_last_done(void **state)
{
    balancing b = balancing_begin(name, 5);
    unsigned hits[3] = {0};

    (void)state;
    balancing_fill(&b, 3, NULL);
    for (int round = 0; round < 100; round++) {
        balancing_set(&b, 1, 0);
        for (int i = 0; i < 10; i++)
            assert_int_not_equal(balancing_call(&b), 1);
        balancing_set(&b, 1, 100);
        for (int i = 0; i < 10; i++)
            hits[balancing_call(&b)]++;
    }
    /* Its share of 1000 is a third; a policy that forgot would give all or
     * none. */
    assert_in_range(hits[1], 150, 600);
    balancing_end(&b);
}

static void saying_the_same_twice_changes_nothing(void **state)
{
    balancing a = balancing_begin(name, 6), b = balancing_begin(name, 6);

    (void)state;
    balancing_fill(&a, 10, NULL);
    balancing_fill(&b, 10, NULL);
    for (int i = 0; i < 500; i++) {
        if (i % 7 == 0)
            balancing_fill(&b, 10, NULL);
        assert_int_equal(balancing_call(&a), balancing_call(&b));
    }
    balancing_end(&a);
    balancing_end(&b);
}

static void tried_slots_are_avoided_if_others_remain(void **state)
{
    balancing b = balancing_begin(name, 7);
    uint32_t tried[] = {3, 1, 4, 1, 3, 99};

    (void)state;
    balancing_fill(&b, 5, NULL);
    for (int i = 0; i < 500; i++) {
        uint32_t slot = balancing_retry(&b, tried, 6);

        assert_true(slot == 0 || slot == 2);
        balancing_done(&b, slot);
    }
    balancing_set(&b, 0, 0);
    for (int i = 0; i < 100; i++) {
        uint32_t slot = balancing_retry(&b, tried, 6);

        assert_int_equal(slot, 2);
        balancing_done(&b, slot);
    }
    balancing_end(&b);
}

static void when_all_were_tried_one_is_chosen_still(void **state)
{
    balancing b = balancing_begin(name, 8);
    uint32_t tried[] = {0, 1, 2};
    unsigned hits[3] = {0};

    (void)state;
    balancing_fill(&b, 3, NULL);
    for (int i = 0; i < 300; i++) {
        uint32_t slot = balancing_retry(&b, tried, 3);

        hits[slot]++;
        balancing_done(&b, slot);
    }
    for (int i = 0; i < 3; i++)
        assert_true(hits[i] > 30);
    balancing_end(&b);
}

static void a_call_that_tried_thousands_costs_no_more(void **state)
{
    static uint32_t tried[5000];
    balancing b = balancing_begin(name, 9);

    (void)state;
    balancing_fill(&b, 5000, NULL);
    for (uint32_t i = 0; i < 5000; i++)
        tried[i] = i;
    for (int i = 0; i < 20000; i++) { /* seconds, if it were quadratic */
        uint32_t slot = balancing_retry(&b, tried, 5000);

        assert_true(slot < 5000 - 32); /* the last ones do count */
        balancing_done(&b, slot);
    }
    balancing_end(&b);
}

/* Everything at once, against a plain model. */
static void any_history_keeps_the_promises(void **state)
{
    enum { SLOTS = 64 };
    balancing b = balancing_begin(name, 10);
    uint32_t weight[SLOTS] = {0}, in_flight[SLOTS] = {0}, known = 0;
    uint64_t random = 88172645463325252u;

    (void)state;
    for (int step = 0; step < 200000; step++) {
        uint32_t slot, tried[4], usable = 0, untried = 0;
        size_t n_tried;

        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        slot = (uint32_t)(random >> 32) % SLOTS;
        switch (random % 8) {
        case 0:
        case 1:
            if (slot > known)
                slot = known; /* dense: the next unused number first */
            if (slot == known && known < SLOTS - 1)
                known++;
            weight[slot] =
                random % 3 == 0 ? 0 : 1 + (uint32_t)(random >> 20) % 65535;
            balancing_set(&b, slot, weight[slot]);
            break;
        case 2:
        case 3:
        case 4:
            if (in_flight[slot] > 0) {
                in_flight[slot]--;
                balancing_done(&b, slot);
            }
            break;
        default:
            n_tried = random >> 60 & 3;
            for (size_t i = 0; i < n_tried; i++)
                tried[i] = (uint32_t)(random >> (8 * i + 4)) % SLOTS;
            for (uint32_t i = 0; i < SLOTS; i++) {
                bool was_tried = false;

                for (size_t k = 0; k < n_tried; k++)
                    was_tried |= tried[k] == i;
                usable += weight[i] != 0;
                untried += weight[i] != 0 && !was_tried;
            }
            if (usable == 0) {
                assert_int_equal(
                    b.ops->pick(b.self, &(weft_pick_args){0}, &slot),
                    WEFT_UNAVAILABLE);
                break;
            }
            slot = balancing_retry(&b, tried, n_tried);
            assert_true(slot < SLOTS && weight[slot] != 0);
            for (size_t i = 0; untried > 0 && i < n_tried; i++)
                assert_int_not_equal(slot, tried[i]);
            in_flight[slot]++;
        }
    }
    balancing_end(&b);
}

static size_t allocations;

static void *count_realloc(void *p, size_t size)
{
    allocations++;
    return realloc(p, size);
}

static void ten_thousand_slots_allocate_nothing_in_pick_and_done(void **state)
{
    enum { N = 10000 };
    static const weft_mem_hooks hooks = {count_realloc, free};
    static uint8_t seen[N];
    balancing b;
    uint32_t picked[64], different = 0;

    (void)state;
    weft_mem_set_hooks(&hooks);
    allocations = 0;
    b = balancing_begin(name, 11);
    balancing_fill(&b, N, NULL);
    assert_true(allocations > 0); /* the count works */
    allocations = 0;
    memset(seen, 0, sizeof(seen));
    for (int round = 0; round < 4000; round++) {
        for (int i = 0; i < 64; i++) {
            picked[i] = balancing_retry(&b, picked, (size_t)i % 5);
            different += !seen[picked[i]];
            seen[picked[i]] = 1;
        }
        for (int i = 0; i < 64; i++)
            balancing_done(&b, picked[i]);
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(different, N);
    for (uint32_t slot = 0; slot < N; slot++)
        if (slot != 7777)
            balancing_set(&b, slot, 0);
    assert_int_equal(allocations, 0); /* nor does what goes */
    assert_int_equal(balancing_call(&b), 7777);
    balancing_end(&b);
    weft_mem_set_hooks(NULL);
}

static void slots_may_come_one_at_a_time(void **state)
{
    balancing b = balancing_begin(name, 12);

    (void)state;
    for (uint32_t slot = 0; slot < 3000; slot++) {
        balancing_set(&b, slot, 1 + slot % 65535);
        assert_true(balancing_call(&b) <= slot);
    }
    balancing_end(&b);
}

/* On error nothing has changed: two balancers with one history, one of which
 * has failed at an update in between, choose alike. */
static weft_status fail_in_the_middle(void *user)
{
    unsigned nth = weft_mem_fail_nth(0); /* not yet */
    weft_balancer_change more[100];
    balancing a = balancing_begin(name, 13), b = balancing_begin(name, 13);
    weft_status status;

    (void)user;
    balancing_fill(&a, 8, NULL);
    balancing_fill(&b, 8, NULL);
    more[0] = (weft_balancer_change){3, 0, 0};
    for (uint32_t i = 1; i < 100; i++)
        more[i] = (weft_balancer_change){7 + i, 1 + i, i};
    (void)weft_mem_fail_nth(nth);
    status = b.ops->update(b.self, more, 100);
    nth = weft_mem_fail_nth(0);
    if (status == WEFT_OK)
        assert_int_equal(a.ops->update(a.self, more, 100), WEFT_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(balancing_call(&a), balancing_call(&b));
    balancing_end(&a);
    balancing_end(&b);
    (void)weft_mem_fail_nth(nth);
    return status;
}

static void an_update_that_fails_changes_nothing(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(fail_in_the_middle, NULL) >= 1);
}

static weft_status live(void *user)
{
    const weft_balancer_ops *ops = weft_balancer_find(name);
    weft_status status = WEFT_OK;
    weft_balancer_change change;
    void *self = weft_calloc(1, ops->self_size);

    (void)user;
    if (self == NULL)
        return WEFT_ENOMEM;
    if (ops->init != NULL)
        status = ops->init(self, 14);
    for (uint32_t i = 0; i < 200 && status == WEFT_OK; i++) {
        uint32_t slot;

        change = (weft_balancer_change){i, 1 + i, i};
        status = ops->update(self, &change, 1);
        if (status == WEFT_OK) {
            assert_int_equal(ops->pick(self, &(weft_pick_args){0}, &slot),
                             WEFT_OK);
            ops->done(self, slot, &(weft_pick_outcome){0});
        }
    }
    if (ops->fini != NULL)
        ops->fini(self);
    weft_free(self);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(live, NULL) >= 3);
}

/* A policy of the application's: it stands beside the others. */
static weft_status own_update(void *self, const weft_balancer_change *changes,
                              size_t n)
{
    (void)self, (void)changes, (void)n;
    return WEFT_OK;
}

static weft_status own_pick(void *self, const weft_pick_args *args,
                            uint32_t *slot)
{
    (void)self, (void)args, (void)slot;
    return WEFT_UNAVAILABLE;
}

static void own_done(void *self, uint32_t slot,
                     const weft_pick_outcome *outcome)
{
    (void)self, (void)slot, (void)outcome;
}

static void a_policy_of_ones_own_is_registered_once(void **state)
{
    static const weft_balancer_ops own = {.name = "own",
                                          .self_size = 1,
                                          .update = own_update,
                                          .pick = own_pick,
                                          .done = own_done},
                                   taken = {.name = "random",
                                            .self_size = 1,
                                            .update = own_update,
                                            .pick = own_pick,
                                            .done = own_done};
    weft_balancer_ops broken = own;

    (void)state;
    assert_null(weft_balancer_find("own"));
    assert_null(weft_balancer_find(NULL));
    assert_null(weft_balancer_find("rando"));
    assert_int_equal(weft_balancer_register(&taken), WEFT_EEXIST);
    broken.pick = NULL;
    assert_int_equal(weft_balancer_register(&broken), WEFT_EINVAL);
    broken = own;
    broken.name = "";
    assert_int_equal(weft_balancer_register(&broken), WEFT_EINVAL);
    assert_int_equal(weft_balancer_register(NULL), WEFT_EINVAL);
    assert_int_equal(weft_balancer_register(&own), WEFT_OK);
    assert_ptr_equal(weft_balancer_find("own"), &own);
    assert_int_equal(weft_balancer_register(&own), WEFT_EEXIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_set_is_unavailable),
        cmocka_unit_test(fini_is_legal_on_a_zeroed_self),
        cmocka_unit_test(every_usable_slot_is_used_and_no_other),
        cmocka_unit_test(a_slot_that_was_not_known_may_go),
        cmocka_unit_test(done_may_come_after_the_slot_went),
        cmocka_unit_test(a_slot_may_be_used_again_after_its_last_done),
        cmocka_unit_test(saying_the_same_twice_changes_nothing),
        cmocka_unit_test(tried_slots_are_avoided_if_others_remain),
        cmocka_unit_test(when_all_were_tried_one_is_chosen_still),
        cmocka_unit_test(a_call_that_tried_thousands_costs_no_more),
        cmocka_unit_test(any_history_keeps_the_promises),
        cmocka_unit_test(ten_thousand_slots_allocate_nothing_in_pick_and_done),
        cmocka_unit_test(slots_may_come_one_at_a_time),
        cmocka_unit_test(an_update_that_fails_changes_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    const struct CMUnitTest registry_tests[] = {
        cmocka_unit_test(a_policy_of_ones_own_is_registered_once),
    };
    char names[1024], *rest = names;
    int failed = 0, policies = 0;

    weft_balancer_names(names, sizeof(names));
    while ((name = strtok_r(rest, ", ", &rest)) != NULL) {
        failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
        policies++;
    }
    failed +=
        cmocka_run_group_tests_name("registry", registry_tests, NULL, NULL);
    return failed + (policies < 4);
}
