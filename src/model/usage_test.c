/* Which tokens are charged as output. */
#include "model/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_output_tokens_take_in_reasoning_left_out_of_completion(void **state) {
    static const struct {
        uint64_t prompt;
        uint64_t completion;
        uint64_t total;
        uint64_t expected;
    } cases[] = {
        {10, 5, 15, 5},  /* OpenAI */
        {10, 5, 40, 30}, /* xAI: reasoning is in the total alone */
        {10, 5, 0, 5},   /* no total */
        {10, 5, 12, 5},  /* a total that is too small */
        {0, 0, 7, 7},    /* nothing but a total */
        {UINT64_MAX, 1, UINT64_MAX, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct usage usage = {.prompt_tokens = cases[i].prompt,
                                    .completion_tokens = cases[i].completion,
                                    .total_tokens = cases[i].total};
        assert_int_equal(usage_output_tokens(&usage), cases[i].expected);
    }
}

static void test_sources_have_the_names_of_receipts(void **state) {
    (void)state;
    assert_string_equal(usage_source_name(USAGE_NONE), "estimated");
    assert_string_equal(usage_source_name(USAGE_REPORTED), "reported");
    assert_string_equal(usage_source_name(USAGE_ESTIMATED), "estimated");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_tokens_take_in_reasoning_left_out_of_completion),
        cmocka_unit_test(test_sources_have_the_names_of_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
