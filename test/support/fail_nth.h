/* fail_nth.h - every allocation of a piece of code fails once. */
#ifndef WEFT_TEST_FAIL_NTH_H
#define WEFT_TEST_FAIL_NTH_H

#include "support.h"

#include <weft/mem.h>
#include <weft/status.h>

#define FAIL_NTH_MOST 100000u

/* Runs run(user) with its first allocation failing, then with its second, and
 * so on until a run passes untouched.  run sets up, acts, cleans up, and
 * returns what the act returned: `expected` (or OK, where it can do without)
 * whenever an allocation failed, OK in the last run.  Returns how many
 * allocations there were. What a failed run leaves behind is for run itself to
 * check, and for ASan. */
static inline unsigned fail_each_allocation_with(weft_status (*run)(void *user),
                                                 void *user,
                                                 weft_status expected)
{
    for (unsigned n = 1; n < FAIL_NTH_MOST; n++) {
        weft_status status;
        bool failed;

        (void)weft_mem_fail_nth(n);
        status = run(user);
        failed = weft_mem_fail_nth(0) == 0;
        if (!failed) {
            assert_int_equal(status, WEFT_OK);
            return n - 1;
        }
        if (status != WEFT_OK)
            assert_int_equal(status, expected);
    }
    fail_msg("still allocating after %u runs", FAIL_NTH_MOST);
    return 0;
}

static inline unsigned fail_each_allocation(weft_status (*run)(void *user),
                                            void *user)
{
    return fail_each_allocation_with(run, user, WEFT_ENOMEM);
}

#endif /* WEFT_TEST_FAIL_NTH_H */
