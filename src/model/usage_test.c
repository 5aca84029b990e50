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

static void test_reports_in_parts_make_one(void **state) {
    static const struct {
        struct usage first;
        struct usage second;
        struct usage expected; /* source REPORTED */
    } cases[] = {
        /* the prompt in the first event, the output in the last */
        {{.prompt_tokens = 100, .total_tokens = 100, .cached_tokens = 64},
         {.completion_tokens = 50},
         {.prompt_tokens = 100, .completion_tokens = 50, .total_tokens = 150, .cached_tokens = 64}},
        {{.prompt_tokens = 100},
         {.completion_tokens = 50, .total_tokens = 50},
         {.prompt_tokens = 100, .completion_tokens = 50, .total_tokens = 150}},
        /* zeros behind a report */
        {{.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 15},
         {.prompt_tokens = 0},
         {.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 15}},
        /* counts that grow */
        {{.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 15},
         {.prompt_tokens = 10, .completion_tokens = 7, .total_tokens = 17},
         {.prompt_tokens = 10, .completion_tokens = 7, .total_tokens = 17}},
        /* a guess at the start, and then the count */
        {{.prompt_tokens = 10, .completion_tokens = 1, .total_tokens = 11},
         {.prompt_tokens = 10, .total_tokens = 10},
         {.prompt_tokens = 10, .total_tokens = 10}},
        /* reasoning that is in the total alone */
        {{.prompt_tokens = 10, .total_tokens = 10},
         {.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 40, .reasoning_tokens = 25},
         {.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 40, .reasoning_tokens = 25}},
        /* zeros are left out of both; of the first nothing else was told */
        {{.is_zero_told = true},
         {.completion_tokens = 5, .total_tokens = 105},
         {.completion_tokens = 5, .total_tokens = 105}},
        {{.prompt_tokens = UINT64_MAX},
         {.completion_tokens = 2},
         {.prompt_tokens = UINT64_MAX, .completion_tokens = 2}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct usage usage = {.source = USAGE_NONE};
        struct usage report = cases[i].first;
        report.source = USAGE_REPORTED;
        usage_add_report(&usage, &report);
        report = cases[i].second;
        report.source = USAGE_REPORTED;
        usage_add_report(&usage, &report);
        const struct usage *expected = &cases[i].expected;
        assert_int_equal(usage.source, USAGE_REPORTED);
        assert_true(usage.prompt_tokens == expected->prompt_tokens);
        assert_true(usage.completion_tokens == expected->completion_tokens);
        assert_true(usage.total_tokens == expected->total_tokens);
        assert_true(usage.cached_tokens == expected->cached_tokens);
        assert_true(usage.reasoning_tokens == expected->reasoning_tokens);
        assert_int_equal(usage.is_zero_told, expected->is_zero_told);
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
        cmocka_unit_test(test_reports_in_parts_make_one),
        cmocka_unit_test(test_sources_have_the_names_of_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
