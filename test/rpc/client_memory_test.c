/* client_memory_test.c - every allocation on a call's way fails once. */
#include "client_fixture.h"

#include "fail_nth.h"

/* One whole life: channel, two calls, replies, close.  Whatever fails, each
 * callback runs once, nothing is left, and a failure says RESOURCE_EXHAUSTED or
 * that nobody could be reached. */
static weft_status one_life(void *user)
{
    static fixture f;
    static outcome a, b;
    unsigned pending =
        weft_mem_fail_nth(0); /* the fixture is not the subject */
    weft_status result = WEFT_OK;

    (void)user;
    memset(&f, 0, sizeof(f));
    test_loop_init(&f.t);
    peer_open(&f.p, f.t.loop, "inproc:///memory");
    (void)weft_mem_fail_nth(pending);

    if (weft_channel_new(&f.channel, f.t.loop, "inproc:///memory", NULL) ==
        WEFT_OK) {
        f.stub = weft_stub_for(f.channel, &helloworld__greeter__descriptor);
        f.stub.options.metadata =
            (weft_metadata){(weft_metadatum[]){{"k", "v", 1}}, 1};
        call_with(&f.stub, "a", &a);
        call_with(&f.stub, "b", &b);
        for (int i = 0; i < 8; i++) {
            pending = weft_mem_fail_nth(0); /* nor is the peer */
            for (int c = 0; c < f.p.n_calls; c++)
                if (!f.p.calls[c].ended && f.p.calls[c].conn != NULL)
                    peer_reply(&f.p, c, "x");
            (void)weft_mem_fail_nth(pending);
            test_loop_settle(&f.t);
        }
        for (int ms = 0; ms < 60 && (a.calls == 0 || b.calls == 0); ms++)
            test_loop_advance(&f.t, 100); /* back-off, at worst the deadline */
        assert_int_equal(a.calls, 1);
        assert_int_equal(b.calls, 1);
        if (a.status != WEFT_OK || b.status != WEFT_OK)
            result = WEFT_ENOMEM;
    } else {
        result = WEFT_ENOMEM;
    }
    pending = weft_mem_fail_nth(0);
    weft_channel_close(f.channel);
    peer_close(&f.p);
    test_loop_settle(&f.t);
    test_loop_fini(&f.t);
    (void)weft_mem_fail_nth(pending);
    return result;
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    weft_log_set_level(WEFT_LOG_OFF);
    assert_in_range(fail_each_allocation(one_life, NULL), 10, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_once),
    };
    return cmocka_run_group_tests_name("client memory", tests, NULL, NULL);
}
