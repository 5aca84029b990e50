/* Which choices still want an end, after all that servers do with `n`. */
#include "gateway/exchange_choices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BIT(index) (UINT64_C(1) << (index))
#define FIRST_63 (BIT(63) - 1)

static void test_those_that_began_want_an_end(void **state) {
    static const struct {
        const char *name;
        uint64_t begun;
        uint64_t finished;
        uint32_t asked;
        uint64_t unfinished;
        bool is_whole;
    } cases[] = {
        {"nothing came", 0, 0, 1, BIT(0), false},
        {"nothing came of two", 0, 0, 2, BIT(0), false},
        {"one began", BIT(0), 0, 1, BIT(0), false},
        {"one ended", BIT(0), BIT(0), 1, 0, true},
        {"one ended without a word", 0, BIT(0), 1, 0, true},
        {"one of two ended", BIT(0) | BIT(1), BIT(1), 2, BIT(0), false},
        {"two ended", BIT(0) | BIT(1), BIT(0) | BIT(1), 2, 0, true},
        {"one came where two were asked for", BIT(0), BIT(0), 2, 0, true},
        {"the second one alone came", BIT(1), 0, 2, BIT(1), false},
        {"more came than were asked for", BIT(0) | BIT(1), BIT(0), 1, 0, false},
        {"all that are told apart", FIRST_63, 0, 63, FIRST_63, false},
        {"and one behind them", FIRST_63 | BIT(63), 0, 64, FIRST_63, false},
        {"which ended with the rest", FIRST_63 | BIT(63), FIRST_63 | BIT(63), 64, 0, true},
        {"or did not", FIRST_63 | BIT(63), FIRST_63, 64, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct exchange_choices choices = {.begun = 0};
        for (uint32_t index = 0; index < 64; index++) {
            if (cases[i].begun & BIT(index)) exchange_choices_note_begun(&choices, index);
            if (cases[i].finished & BIT(index)) exchange_choices_note_finished(&choices, index);
        }
        if (exchange_choices_unfinished(&choices, cases[i].asked) != cases[i].unfinished ||
            exchange_choices_is_whole(&choices) != cases[i].is_whole) {
            fail_msg("%s", cases[i].name);
        }
    }
}

static void test_the_last_bit_is_of_all_behind_those_told_apart(void **state) {
    struct exchange_choices choices = {.begun = 0};

    (void)state;
    exchange_choices_note_begun(&choices, 0);
    exchange_choices_note_finished(&choices, 0);
    exchange_choices_note_begun(&choices, 1000);
    assert_false(exchange_choices_is_whole(&choices));
    assert_int_equal(exchange_choices_unfinished(&choices, UINT32_MAX), 0);
    exchange_choices_note_finished(&choices, UINT32_MAX);
    assert_true(exchange_choices_is_whole(&choices));
}

static void test_after_calls_the_missing_finish_says_so(void **state) {
    const struct answer_event call = {.kind = ANSWER_TOOL_CALL, .choice_index = 1};
    struct answer_event legacy = call;
    struct exchange_choices choices = {.begun = 0};

    (void)state;
    legacy.tool_call.form = ANSWER_CALL_LEGACY;
    exchange_choices_note_call(&choices, &call);
    assert_int_equal(exchange_choices_unfinished(&choices, 2), BIT(1));
    assert_int_equal(exchange_choices_missing_finish(&choices, 0, true), ANSWER_FINISH_STOP);
    assert_int_equal(exchange_choices_missing_finish(&choices, 1, false), ANSWER_FINISH_TOOL_CALLS);
    assert_int_equal(exchange_choices_missing_finish(&choices, 1, true),
                     ANSWER_FINISH_FUNCTION_CALL);
    exchange_choices_note_call(&choices, &legacy);
    assert_int_equal(exchange_choices_missing_finish(&choices, 1, false),
                     ANSWER_FINISH_FUNCTION_CALL);
    assert_int_equal(exchange_choices_missing_finish(&choices, 0, false), ANSWER_FINISH_STOP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_that_began_want_an_end),
        cmocka_unit_test(test_the_last_bit_is_of_all_behind_those_told_apart),
        cmocka_unit_test(test_after_calls_the_missing_finish_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
