/* post_test.c - functions from other threads; also run under TSan. */
#include "support.h"
#include "test_loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <weft/loop_internal.h>

enum { THREADS = 4, POSTS = 5000 };

static weft_loop *loop;

static int setup(void **state)
{
    (void)state;
    return weft_loop_new(&loop, NULL) == WEFT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    weft_loop_free(loop);
    loop = NULL;
    return 0;
}

typedef struct producer {
    pthread_t thread;
    unsigned next; /* the loop's: what it expects from this one */
    unsigned out_of_order;
    unsigned accepted, refused;
    struct item {
        struct producer *producer;
        unsigned number;
    } items[POSTS];
} producer;

static unsigned received;
static bool all_received;

static void on_item(void *arg)
{
    struct item *item = arg;

    if (item->number != item->producer->next)
        item->producer->out_of_order++;
    item->producer->next = item->number + 1;
    if (++received == THREADS * POSTS)
        all_received = true;
}

static void *produce(void *arg)
{
    producer *p = arg;
    unsigned i;

    for (i = 0; i < POSTS; i++) {
        p->items[i] = (struct item){.producer = p, .number = i};
        if (weft_loop_post(loop, on_item, &p->items[i]) == WEFT_OK)
            p->accepted++;
        else
            p->refused++;
    }
    return NULL;
}

static producer producers[THREADS];

static void start_producers(void)
{
    int i;

    received = 0;
    all_received = false;
    for (i = 0; i < THREADS; i++) {
        producers[i] = (producer){0};
        assert_int_equal(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
            0);
    }
}

static void join_producers(void)
{
    int i;

    for (i = 0; i < THREADS; i++)
        pthread_join(producers[i].thread, NULL);
}

static void every_post_of_several_threads_runs_once_in_order(void **state)
{
    int i;

    (void)state;
    start_producers();
    weft_loop_hold(loop);
    assert_int_equal(weft_loop_run_until(loop, &all_received, 60000), WEFT_OK);
    weft_loop_unhold(loop);
    join_producers();
    assert_int_equal(received, THREADS * POSTS);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(producers[i].accepted, POSTS);
        assert_int_equal(producers[i].out_of_order, 0);
    }
}

static void
a_closing_loop_runs_what_it_accepted_and_refuses_the_rest(void **state)
{
    unsigned accepted = 0, refused = 0;
    bool never = false;
    int i;

    (void)state;
    start_producers();
    weft_loop_hold(loop);
    /* Some run before, some are caught on their way. */
    (void)weft_loop_run_until(loop, &never, 1);
    weft_loop_close(loop, NULL, NULL);
    join_producers();
    (void)weft_loop_run(loop); /* the loop is gone after this */
    loop = NULL;
    for (i = 0; i < THREADS; i++) {
        accepted += producers[i].accepted;
        refused += producers[i].refused;
    }
    assert_int_equal(accepted + refused, THREADS * POSTS);
    assert_int_equal(received, accepted);
}

static void *post_until_refused(void *arg)
{
    atomic_bool *begun = arg;
    weft_status status;

    do {
        status = weft_loop_post(loop, on_item, &producers[0].items[0]);
        atomic_store(begun, true);
    } while (status == WEFT_OK);
    return (void *)(intptr_t)status;
}

static void a_thread_that_posts_while_the_loop_closes_is_told(void **state)
{
    pthread_t thread;
    atomic_bool begun = false;
    void *status;

    (void)state;
    received = 0;
    producers[0].items[0] = (struct item){.producer = &producers[0]};
    assert_int_equal(pthread_create(&thread, NULL, post_until_refused, &begun),
                     0);
    while (!atomic_load(&begun))
        weft_loop_poll(loop);
    weft_loop_close(loop, NULL, NULL);
    pthread_join(thread, &status);
    assert_int_equal((intptr_t)status, WEFT_ECLOSED);
    weft_loop_free(loop);
    loop = NULL;
    assert_true(received > 0);
}

static void on_post_again(void *arg)
{
    if (++received < 3)
        assert_int_equal(weft_loop_post(loop, on_post_again, arg), WEFT_OK);
}

static void a_posted_function_may_post(void **state)
{
    (void)state;
    received = 0;
    assert_int_equal(weft_loop_post(loop, on_post_again, NULL), WEFT_OK);
    assert_int_equal(weft_loop_run(loop), WEFT_OK);
    assert_int_equal(received, 3);
}

static void count(void *arg)
{
    (void)arg;
    received++;
}

static void a_flood_of_posts_leaves_room_for_others(void **state)
{
    int i;

    (void)state;
    received = 0;
    for (i = 0; i < 1000; i++)
        assert_int_equal(weft_loop_post(loop, count, NULL), WEFT_OK);
    weft_loop_poll(loop);
    assert_in_range(received, 1, 500);
    weft_loop_run(loop);
    assert_int_equal(received, 1000);
}

static void a_post_without_memory_is_refused(void **state)
{
    (void)state;
    received = 0;
    weft_mem_fail_nth(1);
    assert_int_equal(weft_loop_post(loop, count, NULL), WEFT_ENOMEM);
    assert_int_equal(weft_loop_post(loop, NULL, NULL), WEFT_EINVAL);
    assert_int_equal(weft_loop_post(NULL, count, NULL), WEFT_EINVAL);
    assert_int_equal(weft_loop_run(loop), WEFT_OK);
    assert_int_equal(received, 0);
}

static void *look_up(void *arg)
{
    return weft__loop_by_index(*(uint8_t *)arg);
}

static void *run_here(void *arg)
{
    uint8_t index = *(uint8_t *)arg;

    weft_loop_poll(loop);
    return weft__loop_by_index(index);
}

static void a_loop_is_found_by_the_thread_that_runs_it_alone(void **state)
{
    uint8_t index = weft__loop_index(loop);
    pthread_t thread;
    void *found;

    (void)state;
    pthread_create(&thread, NULL, look_up, &index);
    pthread_join(thread, &found);
    assert_null(found);
    assert_ptr_equal(weft__loop_by_index(index), loop);

    pthread_create(&thread, NULL, run_here, &index);
    pthread_join(thread, &found);
    assert_ptr_equal(found, loop);
    assert_null(weft__loop_by_index(index));
    weft_loop_poll(loop);
    assert_ptr_equal(weft__loop_by_index(index), loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_post_of_several_threads_runs_once_in_order),
        TEST(a_closing_loop_runs_what_it_accepted_and_refuses_the_rest),
        TEST(a_thread_that_posts_while_the_loop_closes_is_told),
        TEST(a_posted_function_may_post),
        TEST(a_flood_of_posts_leaves_room_for_others),
        TEST(a_post_without_memory_is_refused),
        TEST(a_loop_is_found_by_the_thread_that_runs_it_alone),
    };
    return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
