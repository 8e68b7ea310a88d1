/* group_test.c - several loops, each on a thread of its own; also run under
 * TSan. */
#include "support.h"
#include "test_loop.h"

#include <stdio.h>
#include <unistd.h>
#include <weft/group_internal.h>
#include <weft/timer.h>

enum { LOOPS = 4, NUDGES = 2000 };

static weft_loop *first;
static weft_group *group;

static int setup(void **state)
{
    (void)state;
    if (weft_loop_new(&first, NULL) != WEFT_OK)
        return -1;
    return weft_group_new(&group, first, LOOPS, NULL) == WEFT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    weft_group_free(group);
    weft_loop_free(first);
    group = NULL;
    first = NULL;
    return 0;
}

/* What a posted function saw, for the first thread once the group has ended. */
static struct seen {
    int here;
    bool handled;
    weft_loop *loop;
} seen[LOOPS];

static void look(void *arg)
{
    struct seen *s = arg;

    s->here = weft_group_here(group);
    s->handled = true;
}

static void each_loop_runs_on_a_thread_of_its_own(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(weft_group_size(group), LOOPS);
    assert_ptr_equal(weft_group_loop(group, 0), first);
    assert_null(weft_group_loop(group, LOOPS));
    assert_int_equal(weft_group_here(group), 0);
    for (i = 0; i < LOOPS; i++) {
        seen[i] = (struct seen){.here = -2};
        assert_int_equal(
            weft_loop_post(weft_group_loop(group, i), look, &seen[i]), WEFT_OK);
    }
    assert_int_equal(weft_loop_poll(first), WEFT_OK);
    weft_group_free(group);
    group = NULL;
    for (i = 0; i < LOOPS; i++) {
        assert_true(seen[i].handled); /* what was accepted has run */
        assert_int_equal(seen[i].here, i);
    }
}

static void stop_own_loop(void *arg)
{
    weft_loop_stop(arg);
}

static void a_stop_does_not_end_a_loop_of_a_group(void **state)
{
    weft_loop *loop = weft_group_loop(group, 1);

    (void)state;
    seen[1] = (struct seen){0};
    assert_int_equal(weft_loop_post(loop, stop_own_loop, loop), WEFT_OK);
    assert_int_equal(weft_loop_post(loop, look, &seen[1]), WEFT_OK);
    weft_group_free(group);
    group = NULL;
    assert_true(seen[1].handled);
}

static void on_timer(weft_timer *timer, void *user)
{
    (void)timer;
    (void)user;
}

static weft_timer timers[LOOPS];

static void arm_for_ever(void *arg)
{
    struct seen *s = arg;
    weft_timer *timer = &timers[s - seen];

    weft_timer_init(timer, s->loop, on_timer, NULL);
    weft_timer_start(timer, 3600000);
}

static void the_end_of_the_first_loop_ends_the_others(void **state)
{
    weft_group *other;
    size_t i;

    (void)state;
    assert_int_equal(weft_group_new(&other, first, 2, NULL), WEFT_OK);
    for (i = 1; i < LOOPS; i++) { /* something that would go on */
        seen[i].loop = weft_group_loop(group, i);
        assert_int_equal(weft_loop_post(seen[i].loop, arm_for_ever, &seen[i]),
                         WEFT_OK);
    }
    weft_loop_free(first); /* joins the threads, else TSan and ASan complain */
    first = NULL;
    group = NULL;
}

static void a_group_of_one_has_no_thread(void **state)
{
    weft_group *one;

    (void)state;
    assert_int_equal(weft_group_new(&one, first, 1, NULL), WEFT_OK);
    assert_int_equal(weft_group_size(one), 1);
    assert_ptr_equal(weft_group_loop(one, 0), first);
    assert_int_equal(weft_group_here(one), 0);
    weft_group_free(one);
}

static void zero_means_a_loop_for_each_cpu(void **state)
{
    weft_group *all;
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    (void)state;
    assert_int_equal(weft_group_new(&all, first, 0, NULL), WEFT_OK);
    assert_int_equal(weft_group_size(all),
                     n > WEFT_GROUP_MAX ? WEFT_GROUP_MAX : n);
    weft_group_free(all);
}

static void more_loops_than_fit_are_refused(void **state)
{
    weft_group *none = group;

    (void)state;
    assert_int_equal(weft_group_new(&none, first, WEFT_GROUP_MAX + 1, NULL),
                     WEFT_EINVAL);
    assert_null(none);
    assert_int_equal(weft_group_new(&none, NULL, 2, NULL), WEFT_EINVAL);
    weft_group_free(NULL);
    assert_int_equal(weft_group_size(NULL), 0);
    assert_int_equal(weft_group_here(NULL), -1);
}

static void another_groups_thread_is_none_of_ours(void **state)
{
    weft_group *ours = group, *other;

    (void)state;
    assert_int_equal(weft_group_new(&other, first, 2, NULL), WEFT_OK);
    seen[1] = (struct seen){.here = -2};
    assert_int_equal(weft_loop_post(weft_group_loop(other, 1), look, &seen[1]),
                     WEFT_OK);
    weft_group_free(other);
    assert_ptr_equal(group, ours); /* which look() asked */
    assert_int_equal(seen[1].here, -1);
}

static void make_with_failing_memory(void *user)
{
    weft_group *g;
    weft_status status = weft_group_new(&g, first, 2, NULL);

    (void)user;
    assert_true(status == WEFT_OK || status == WEFT_ENOMEM);
    assert_int_equal(g == NULL, status != WEFT_OK);
    weft_group_free(g);
}

static void out_of_memory_is_a_status(void **state)
{
    (void)state;
    assert_true(test_each_allocation_fails(make_with_failing_memory, NULL) > 0);
}

/* ---- Nudges ---- */

typedef struct pair {
    weft__team team; /* first */
    weft__nudge there, back;
    atomic_uint sent;
    unsigned seen_there; /* loop 1's */
    atomic_uint passed_on;
    unsigned n_back; /* the first loop's */
    bool done;
} pair;

static atomic_uint n_freed;

static void free_pair(weft__team *team)
{
    atomic_fetch_add(&n_freed, 1);
    weft_free(team);
}

static void on_there(void *arg)
{
    pair *p = arg;

    p->seen_there++;
    atomic_store(&p->passed_on, atomic_load(&p->sent));
    assert_true(weft__nudge_send(&p->back));
}

static void on_back(void *arg)
{
    pair *p = arg;

    p->n_back++;
    p->done = atomic_load(&p->passed_on) == NUDGES;
}

static pair *pair_new(void)
{
    pair *p = weft_calloc(1, sizeof(*p));

    assert_non_null(p);
    weft__team_init(&p->team, group, free_pair);
    weft__nudge_init(&p->there, &p->team, 1, on_there, p);
    weft__nudge_init(&p->back, &p->team, 0, on_back, p);
    return p;
}

static void the_last_change_is_seen_however_nudges_meet(void **state)
{
    pair *p = pair_new();
    unsigned i;

    (void)state;
    atomic_store(&n_freed, 0);
    for (i = 0; i < NUDGES; i++) {
        atomic_fetch_add(&p->sent, 1);
        assert_true(weft__nudge_send(&p->there));
    }
    weft_loop_hold(first);
    assert_int_equal(weft_loop_run_until(first, &p->done, 60000), WEFT_OK);
    weft_loop_unhold(first);
    assert_true(p->n_back >= 1 && p->n_back <= NUDGES);
    weft__team_unref(&p->team);
    weft_group_free(group);
    group = NULL;
    (void)weft_loop_poll(first);
    assert_int_equal(atomic_load(&n_freed), 1);
}

static void a_nudge_to_a_loop_that_has_gone_says_so(void **state)
{
    pair *p = pair_new();

    (void)state;
    atomic_store(&n_freed, 0);
    weft_group_free(group);
    group = NULL;
    assert_false(weft__nudge_send(&p->there));
    assert_false(weft__nudge_send(&p->there));
    weft__team_unref(&p->team);
    assert_int_equal(atomic_load(&n_freed), 1);
}

static unsigned n_told;

static void on_ended(weft__group_member *member)
{
    (void)member;
    n_told++;
}

static void members_are_told_once_that_it_has_ended(void **state)
{
    weft__group_member stays = {.ended = on_ended},
                       leaves = {.ended = on_ended};
    weft_group *mine = weft__group_ref(group);

    (void)state;
    n_told = 0;
    assert_true(weft__group_join(group, &stays));
    assert_true(weft__group_join(group, &leaves));
    weft__group_leave(&leaves);
    weft_group_free(group);
    group = NULL;
    assert_int_equal(n_told, 1);
    assert_false(weft__group_join(mine, &stays));
    weft__group_unref(mine);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_loop_runs_on_a_thread_of_its_own),
        TEST(a_stop_does_not_end_a_loop_of_a_group),
        TEST(the_end_of_the_first_loop_ends_the_others),
        TEST(a_group_of_one_has_no_thread),
        TEST(zero_means_a_loop_for_each_cpu),
        TEST(more_loops_than_fit_are_refused),
        TEST(another_groups_thread_is_none_of_ours),
        TEST(out_of_memory_is_a_status),
        TEST(the_last_change_is_seen_however_nudges_meet),
        TEST(a_nudge_to_a_loop_that_has_gone_says_so),
        TEST(members_are_told_once_that_it_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
