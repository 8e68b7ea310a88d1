/* pool_test.c - jobs on threads; also run under TSan. */
#include "support.h"
#include "test_loop.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <weft/pool_internal.h>

enum { JOBS = 500 };

typedef struct counted {
    weft__job job; /* first */
    bool ran;
} counted;

static atomic_uint n_run, n_done;
static atomic_bool gate_open;
static atomic_int policy; /* of the thread that ran last */
static counted jobs[JOBS];

static void run(weft__job *job)
{
    while (!atomic_load(&gate_open))
        usleep(100);
    ((counted *)job)->ran = true;
    atomic_fetch_add(&n_run, 1);
}

static void done(weft__job *job)
{
    (void)job;
    atomic_fetch_add(&n_done, 1);
}

static weft_pool *pool;

static int setup(void **state)
{
    int i;

    (void)state;
    atomic_store(&n_run, 0);
    atomic_store(&n_done, 0);
    atomic_store(&gate_open, true);
    for (i = 0; i < JOBS; i++)
        jobs[i] = (counted){.job = {.run = run, .done = done}};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atomic_store(&gate_open, true);
    weft_pool_free(pool);
    pool = NULL;
    return 0;
}

static void every_job_runs_once(void **state)
{
    weft_pool_stats stats;
    int i;

    (void)state;
    assert_int_equal(weft_pool_new(&pool, &(weft_pool_conf){.threads = 4}),
                     WEFT_OK);
    for (i = 0; i < JOBS; i++)
        assert_int_equal(weft__pool_submit(pool, &jobs[i].job), WEFT_OK);
    for (i = 0; i < JOBS; i++)
        weft__pool_settle(pool, &jobs[i].job);
    stats = weft_pool_get_stats(pool);
    assert_int_equal(atomic_load(&n_run), stats.done);
    assert_int_equal(atomic_load(&n_done), stats.done);
    assert_int_equal(stats.queued + stats.running + stats.refused, 0);
}

static void the_end_of_a_pool_runs_what_waits(void **state)
{
    int i;

    (void)state;
    assert_int_equal(weft_pool_new(&pool, NULL), WEFT_OK);
    for (i = 0; i < JOBS; i++)
        assert_int_equal(weft__pool_submit(pool, &jobs[i].job), WEFT_OK);
    weft_pool_free(pool);
    pool = NULL;
    for (i = 0; i < JOBS; i++)
        assert_true(jobs[i].ran);
    assert_int_equal(atomic_load(&n_done), JOBS);
}

static void
a_full_queue_refuses_and_a_waiting_job_can_be_withdrawn(void **state)
{
    int i;

    (void)state;
    atomic_store(&gate_open, false);
    assert_int_equal(
        weft_pool_new(&pool, &(weft_pool_conf){.threads = 1, .max_queue = 2}),
        WEFT_OK);
    assert_int_equal(weft__pool_submit(pool, &jobs[0].job), WEFT_OK);
    for (i = 0; i < 100000 && weft_pool_get_stats(pool).running == 0; i++)
        usleep(100);
    assert_int_equal(weft__pool_submit(pool, &jobs[1].job), WEFT_OK);
    assert_int_equal(weft__pool_submit(pool, &jobs[2].job), WEFT_OK);
    assert_int_equal(weft__pool_submit(pool, &jobs[3].job), WEFT_ELIMIT);
    assert_int_equal(weft_pool_get_stats(pool).refused, 1);
    assert_true(weft__pool_withdraw(pool, &jobs[1].job));
    assert_false(weft__pool_withdraw(pool, &jobs[1].job));
    assert_false(weft__pool_withdraw(pool, &jobs[0].job));
    assert_int_equal(weft__pool_submit(pool, &jobs[3].job), WEFT_OK);
    atomic_store(&gate_open, true);
    weft__pool_settle(pool, &jobs[0].job);
    assert_true(jobs[0].ran);
    weft_pool_free(pool);
    pool = NULL;
    assert_false(jobs[1].ran);
    assert_true(jobs[2].ran && jobs[3].ran);
}

static void note_policy(weft__job *job)
{
    atomic_store(&policy, sched_getscheduler(0));
    run(job);
}

static void
the_threads_of_a_background_pool_leave_the_cpu_to_others(void **state)
{
    (void)state;
    jobs[0].job.run = jobs[1].job.run = note_policy;
    assert_int_equal(weft_pool_new(&pool, NULL), WEFT_OK);
    assert_int_equal(weft__pool_submit(pool, &jobs[0].job), WEFT_OK);
    weft_pool_free(pool);
    assert_int_equal(atomic_load(&policy), sched_getscheduler(0));
    assert_int_equal(
        weft_pool_new(&pool, &(weft_pool_conf){.background = true}), WEFT_OK);
    assert_int_equal(weft__pool_submit(pool, &jobs[1].job), WEFT_OK);
    weft_pool_free(pool);
    pool = NULL;
    assert_true(jobs[1].ran);
#if defined(__linux__) && !defined(WEFT_PORTABLE)
    assert_int_equal(atomic_load(&policy), SCHED_IDLE);
#endif
}

static void make_with_failing_memory(void *user)
{
    weft_pool *p;
    weft_status status = weft_pool_new(&p, NULL);

    (void)user;
    assert_int_equal(p == NULL, status != WEFT_OK);
    weft_pool_free(p);
}

static void what_cannot_be_made_is_a_status(void **state)
{
    (void)state;
    assert_int_equal(weft_pool_new(&pool, &(weft_pool_conf){.threads = 257}),
                     WEFT_EINVAL);
    assert_null(pool);
    assert_int_equal(weft_pool_get_stats(NULL).done, 0);
    assert_true(test_each_allocation_fails(make_with_failing_memory, NULL) > 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_job_runs_once),
        TEST(the_end_of_a_pool_runs_what_waits),
        TEST(a_full_queue_refuses_and_a_waiting_job_can_be_withdrawn),
        TEST(the_threads_of_a_background_pool_leave_the_cpu_to_others),
        TEST(what_cannot_be_made_is_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
