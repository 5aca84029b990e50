/* Kinds of a provider's statuses. */
#include "model/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_each_status_has_the_kind_that_fallback_needs(void **state) {
    static const struct {
        uint16_t status;
        enum failure_kind kind;
    } cases[] = {
        {301, FAILURE_GARBAGE},     {304, FAILURE_GARBAGE},      {0, FAILURE_GARBAGE},
        {400, FAILURE_REJECTED},    {401, FAILURE_KEY_REFUSED},  {402, FAILURE_OUT_OF_CREDIT},
        {403, FAILURE_KEY_REFUSED}, {404, FAILURE_REJECTED},     {413, FAILURE_REJECTED},
        {422, FAILURE_REJECTED},    {429, FAILURE_RATE_LIMITED}, {499, FAILURE_SERVER},
        {500, FAILURE_SERVER},      {502, FAILURE_SERVER},       {503, FAILURE_OVERLOADED},
        {504, FAILURE_TIMED_OUT},   {529, FAILURE_OVERLOADED},   {599, FAILURE_SERVER},
        {405, FAILURE_SERVER},      {415, FAILURE_SERVER},       {408, FAILURE_SERVER},
        {409, FAILURE_SERVER},      {425, FAILURE_SERVER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (failure_kind_of_status(cases[i].status) != cases[i].kind) {
            fail_msg("status %u is %s", cases[i].status,
                     failure_kind_name(failure_kind_of_status(cases[i].status)));
        }
    }
}

static void test_each_kind_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int a = FAILURE_NONE; a <= FAILURE_OUT_OF_MEMORY; a++) {
        for (int b = FAILURE_NONE; b < a; b++) {
            assert_string_not_equal(failure_kind_name((enum failure_kind)a),
                                    failure_kind_name((enum failure_kind)b));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_status_has_the_kind_that_fallback_needs),
        cmocka_unit_test(test_each_kind_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
