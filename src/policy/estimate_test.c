/* Token counts from bytes. */
#include "policy/estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_a_token_is_four_bytes_rounded_up_and_a_message_four_more(void **state) {
    static const struct {
        uint64_t text_bytes;
        uint32_t message_count;
        uint32_t image_count;
        uint64_t output_bytes;
        uint64_t prompt_tokens;
        uint64_t completion_tokens;
    } cases[] = {
        {0, 1, 0, 0, 4, 0},  {1, 1, 0, 1, 5, 1},           {4, 1, 0, 4, 5, 1},
        {5, 2, 0, 5, 10, 2}, {400, 3, 0, 4000, 112, 1000}, {0, 1, 2, 0, 174, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct prompt prompt = {.text_bytes = cases[i].text_bytes,
                                      .message_count = cases[i].message_count,
                                      .image_count = cases[i].image_count};
        const struct usage none = {.source = USAGE_NONE};
        const struct usage usage = estimate_usage(&prompt, &none, cases[i].output_bytes);
        assert_int_equal(usage.source, USAGE_ESTIMATED);
        assert_int_equal(usage.prompt_tokens, cases[i].prompt_tokens);
        assert_int_equal(usage.completion_tokens, cases[i].completion_tokens);
        assert_int_equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    }
}

struct report_case {
    const char *name;
    uint64_t told[3]; /* prompt, completion, total */
    uint64_t output_bytes;
    uint64_t taken[3]; /* prompt, output, total */
    enum usage_source source;
};

static void check_report(const struct report_case *row, bool is_zero_told) {
    const struct prompt prompt = {.text_bytes = 40, .message_count = 1};
    const struct usage reported = {.source = USAGE_REPORTED,
                                   .prompt_tokens = row->told[0],
                                   .completion_tokens = row->told[1],
                                   .total_tokens = row->told[2],
                                   .is_zero_told = is_zero_told};
    const struct usage usage = estimate_usage(&prompt, &reported, row->output_bytes);

    if (usage.prompt_tokens != row->taken[0] || usage_output_tokens(&usage) != row->taken[1] ||
        usage.total_tokens != row->taken[2] || usage.source != row->source) {
        fail_msg("%s: %llu, %llu, %llu, %s", row->name, (unsigned long long)usage.prompt_tokens,
                 (unsigned long long)usage_output_tokens(&usage),
                 (unsigned long long)usage.total_tokens, usage_source_name(usage.source));
    }
}

/* The table in estimate.h, row by row. The ask is estimated at 14 tokens. */
static void test_a_report_that_is_not_whole_is_completed_by_the_table(void **state) {
    static const struct report_case cases[] = {
        {"all", {7, 5, 12}, 40, {7, 5, 12}, USAGE_REPORTED},
        {"all, reasoning beside", {7, 5, 20}, 40, {7, 13, 20}, USAGE_REPORTED},
        {"all, a total too small", {7, 5, 3}, 40, {7, 5, 3}, USAGE_REPORTED},
        {"prompt and total", {7, 0, 12}, 40, {7, 5, 12}, USAGE_REPORTED},
        {"prompt, no output", {7, 0, 7}, 0, {7, 0, 7}, USAGE_REPORTED},
        {"prompt, output", {7, 0, 7}, 40, {7, 10, 17}, USAGE_ESTIMATED},
        {"prompt, a total too small", {7, 0, 3}, 40, {7, 10, 17}, USAGE_ESTIMATED},
        {"completion and total", {0, 5, 12}, 40, {7, 5, 12}, USAGE_REPORTED},
        {"completion", {0, 5, 5}, 40, {14, 5, 19}, USAGE_ESTIMATED},
        {"completion, a total too small", {0, 5, 3}, 40, {14, 5, 19}, USAGE_ESTIMATED},
        {"total", {0, 0, 20}, 40, {14, 6, 20}, USAGE_ESTIMATED},
        {"total, less than the prompt", {0, 0, 9}, 40, {9, 0, 9}, USAGE_ESTIMATED},
        {"zeros", {0, 0, 0}, 40, {14, 10, 24}, USAGE_ESTIMATED},
        {"the largest", {0, 0, UINT64_MAX}, 40, {14, UINT64_MAX - 14, UINT64_MAX}, USAGE_ESTIMATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_report(&cases[i], false);
}

/* Gemini leaves zeros out: of what it reports, only a text without tokens is doubted. */
static void test_zeros_that_were_told_are_counts(void **state) {
    static const struct report_case cases[] = {
        {"a blocked prompt", {0, 0, 0}, 0, {0, 0, 0}, USAGE_REPORTED},
        {"a blocked prompt that is counted", {15, 0, 15}, 0, {15, 0, 15}, USAGE_REPORTED},
        {"no prompt", {0, 90, 90}, 40, {0, 90, 90}, USAGE_REPORTED},
        {"text without tokens", {15, 0, 15}, 40, {15, 10, 25}, USAGE_ESTIMATED},
        {"text and nothing counted", {0, 0, 0}, 40, {14, 10, 24}, USAGE_ESTIMATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_report(&cases[i], true);
}

static void test_output_behind_a_report_is_added_to_it(void **state) {
    struct usage usage = {.source = USAGE_REPORTED,
                          .prompt_tokens = 7,
                          .completion_tokens = 5,
                          .total_tokens = 20,
                          .cached_tokens = 3};

    (void)state;
    estimate_add_output(&usage, 41);
    assert_int_equal(usage.source, USAGE_ESTIMATED);
    assert_int_equal(usage.prompt_tokens, 7);
    assert_int_equal(usage.cached_tokens, 3);
    assert_int_equal(usage.completion_tokens, 16);
    assert_int_equal(usage_output_tokens(&usage), 24); /* what was counted beside stays counted */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_four_bytes_rounded_up_and_a_message_four_more),
        cmocka_unit_test(test_a_report_that_is_not_whole_is_completed_by_the_table),
        cmocka_unit_test(test_zeros_that_were_told_are_counts),
        cmocka_unit_test(test_output_behind_a_report_is_added_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
