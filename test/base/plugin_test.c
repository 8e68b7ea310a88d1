#include "support.h"

#include <weft/plugin_internal.h>

typedef struct phase {
    weft_plugin_done done; /* first */
    int finished;
    weft_status status;
    const char *message;
    int again; /* phases to begin from within finish */
} phase;

static void on_finish(weft_plugin_done *done, weft_status status,
                      const char *message)
{
    phase *p = (phase *)done;

    p->finished++;
    p->status = status;
    p->message = message;
    if (p->again-- > 0)
        p->done.finish = on_finish;
}

static void a_phase_finishes_once(void **state)
{
    phase p = {.done.finish = on_finish};

    (void)state;
    weft_plugin_finish(&p.done, WEFT_EADDR, "port in use");
    weft_plugin_finish(&p.done, WEFT_OK, NULL);
    assert_int_equal(p.finished, 1);
    assert_int_equal(p.status, WEFT_EADDR);
    assert_string_equal(p.message, "port in use");
}

static void who_speaks_too_late_talks_to_nobody(void **state)
{
    phase p = {.finished = 0};

    (void)state;
    weft_plugin_finish(&p.done, WEFT_OK, NULL);
    weft_plugin_finish(NULL, WEFT_OK, NULL);
    assert_int_equal(p.finished, 0);
}

static void the_next_phase_may_begin_inside(void **state)
{
    phase p = {.done.finish = on_finish, .again = 1};

    (void)state;
    weft_plugin_finish(&p.done, WEFT_OK, NULL);
    assert_int_equal(p.finished, 1);
    weft_plugin_finish(&p.done, WEFT_ETIMEDOUT, NULL);
    weft_plugin_finish(&p.done, WEFT_OK, NULL);
    assert_int_equal(p.finished, 2);
    assert_int_equal(p.status, WEFT_ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phase_finishes_once),
        cmocka_unit_test(who_speaks_too_late_talks_to_nobody),
        cmocka_unit_test(the_next_phase_may_begin_inside),
    };
    return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
