#include "rpc_internal.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <weft/mem.h>

static int setup(void **state)
{
    return weft_loop_new((weft_loop **)state, NULL) == WEFT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    weft_loop_free(*state);
    return 0;
}

typedef struct watcher {
    weft_loop *loop;
    int seen;
    const char *path;
    bool leave; /* unobserves itself when called */
} watcher;

static void on_call(const weft_observation *o, void *user)
{
    watcher *w = user;

    w->seen++;
    w->path = o->path;
    if (w->leave)
        weft_unobserve(w->loop, on_call, w);
}

static const weft_observation observation = {.path = "/a.B/C", .peer = ""};

static void every_observer_hears_of_a_call_until_it_leaves(void **state)
{
    watcher a = {.loop = *state}, b = {.loop = *state};

    assert_false(weft__observed(*state));
    weft__observe_emit(*state, &observation);
    assert_int_equal(weft_observe(*state, on_call, &a), WEFT_OK);
    assert_int_equal(weft_observe(*state, on_call, &b), WEFT_OK);
    assert_true(weft__observed(*state));
    weft__observe_emit(*state, &observation);
    weft_unobserve(*state, on_call, &a);
    weft__observe_emit(*state, &observation);
    assert_int_equal(a.seen, 1);
    assert_int_equal(b.seen, 2);
    assert_string_equal(b.path, "/a.B/C");
    weft_unobserve(*state, on_call, &b);
    assert_false(weft__observed(*state));
}

static void an_observer_may_leave_while_it_is_told(void **state)
{
    watcher a = {.loop = *state, .leave = true}, b = {.loop = *state};

    weft_observe(*state, on_call, &a);
    weft_observe(*state, on_call, &b);
    weft__observe_emit(*state, &observation);
    weft__observe_emit(*state, &observation);
    assert_int_equal(a.seen, 1);
    assert_int_equal(b.seen, 2);
}

static void bad_arguments_and_strangers_are_tolerated(void **state)
{
    assert_int_equal(weft_observe(NULL, on_call, NULL), WEFT_EINVAL);
    assert_int_equal(weft_observe(*state, NULL, NULL), WEFT_EINVAL);
    weft_unobserve(*state, on_call, NULL);
    weft_unobserve(NULL, on_call, NULL);
    weft_dump(NULL, stderr);
    weft_dump(*state, NULL);
}

static void an_allocation_that_fails_leaves_no_observer(void **state)
{
    watcher w = {0};
    unsigned n;
    weft_status status = WEFT_ENOMEM;

    for (n = 1; status != WEFT_OK; n++) {
        weft_mem_fail_nth(n);
        status = weft_observe(*state, on_call, &w);
        if (weft_mem_fail_nth(0) == 0 && status != WEFT_OK)
            assert_false(weft__observed(*state));
    }
    assert_int_equal(n, 4); /* two failed, the third went through */
}

static void write_name(weft__dumpable *self, FILE *file)
{
    (void)self;
    fputs("server here\n", file);
}

static void a_dump_shows_the_loop_and_what_was_added_to_it(void **state)
{
    weft__dumpable d = {.dump = write_name};
    char *text;
    size_t len;
    FILE *file = open_memstream(&text, &len);

    assert_int_equal(weft__dump_add(*state, &d), WEFT_OK);
    weft_dump(*state, file);
    weft__dump_remove(&d);
    weft__dump_remove(&d);
    fflush(file);
    assert_non_null(strstr(text, "loop lag_us="));
    assert_non_null(strstr(text, "\nserver here\n"));
    len = 0;
    rewind(file);
    weft_dump(*state, file);
    fclose(file);
    text[len] = '\0';
    assert_null(strstr(text, "server here"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(every_observer_hears_of_a_call_until_it_leaves),
        T(an_observer_may_leave_while_it_is_told),
        T(bad_arguments_and_strangers_are_tolerated),
        T(an_allocation_that_fails_leaves_no_observer),
        T(a_dump_shows_the_loop_and_what_was_added_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
