/* What may move on to the next target. */
#include "policy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_faults_of_the_provider_move_on_and_the_clients_do_not(void **state) {
    static const struct {
        enum failure_kind kind;
        bool may;
    } cases[] = {
        {FAILURE_NONE, false},        {FAILURE_CONNECT, true},        {FAILURE_TIMED_OUT, true},
        {FAILURE_CUT, true},          {FAILURE_GARBAGE, true},        {FAILURE_TOO_LARGE, true},
        {FAILURE_REJECTED, false},    {FAILURE_KEY_REFUSED, true},    {FAILURE_OUT_OF_CREDIT, true},
        {FAILURE_RATE_LIMITED, true}, {FAILURE_SERVER, true},         {FAILURE_OVERLOADED, true},
        {FAILURE_IN_STREAM, true},    {FAILURE_OUT_OF_MEMORY, false},
    };

    (void)state;
    assert_int_equal(sizeof cases / sizeof cases[0], FAILURE_OUT_OF_MEMORY + 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct failure failure = {.kind = cases[i].kind};
        if (retry_may_fall_back(&failure) != cases[i].may) {
            fail_msg("%s", failure_kind_name(cases[i].kind));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_of_the_provider_move_on_and_the_clients_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
