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
        const struct usage usage = estimate_usage(&prompt, cases[i].output_bytes);
        assert_int_equal(usage.source, USAGE_ESTIMATED);
        assert_int_equal(usage.prompt_tokens, cases[i].prompt_tokens);
        assert_int_equal(usage.completion_tokens, cases[i].completion_tokens);
        assert_int_equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_four_bytes_rounded_up_and_a_message_four_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
