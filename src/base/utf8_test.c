/* What RFC 3629 allows and what it forbids, at every split. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *name;
    dr_slice text;
    bool is_valid;
} cases[] = {
    {"empty", {"", 0}, true},
    {"ascii over several words", {"the quick brown fox jumps", 25}, true},
    {"nul", {"a\0b", 3}, true},
    {"two bytes, first and last", {"\xC2\x80\xDF\xBF", 4}, true},
    {"three bytes, first and last", {"\xE0\xA0\x80\xEF\xBF\xBF", 6}, true},
    {"around the surrogates", {"\xED\x9F\xBF\xEE\x80\x80", 6}, true},
    {"four bytes, first and last", {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8}, true},
    {"text around a smile",
     {"12345678\xF0\x9F\x98\x80"
      "12345678",
      20},
     true},
    {"lone continuation", {"\x80", 1}, false},
    {"continuation after a character", {"\xC2\x80\x80", 3}, false},
    {"overlong slash of two", {"\xC0\xAF", 2}, false},
    {"overlong of two, last", {"\xC1\xBF", 2}, false},
    {"overlong of three", {"\xE0\x9F\xBF", 3}, false},
    {"overlong of four", {"\xF0\x8F\xBF\xBF", 4}, false},
    {"high surrogate", {"\xED\xA0\x80", 3}, false},
    {"low surrogate", {"\xED\xBF\xBF", 3}, false},
    {"beyond the last character", {"\xF4\x90\x80\x80", 4}, false},
    {"lead byte F5", {"\xF5\x80\x80\x80", 4}, false},
    {"lead byte FF", {"\xFF", 1}, false},
    {"cut after one of two", {"a\xC2", 2}, false},
    {"cut after two of three", {"\xE2\x82", 2}, false},
    {"cut after three of four", {"\xF0\x9F\x98", 3}, false},
    {"lead where a continuation belongs", {"\xE2\xE2\x82\xAC", 4}, false},
    {"ascii where a continuation belongs",
     {"\xE2\x82"
      "a",
      3},
     false},
};

static void test_cases_are_judged_whole_and_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const dr_slice text = cases[i].text;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(dr_utf8_is_valid(text), cases[i].is_valid);
        for (size_t split = 0; split <= text.len; split++) {
            struct dr_utf8 utf8 = {0};
            const bool is_valid = dr_utf8_check(&utf8, dr_slice_first(text, split)) &&
                                  dr_utf8_check(&utf8, dr_slice_from(text, split)) &&
                                  dr_utf8_is_complete(&utf8);
            assert_int_equal(is_valid, cases[i].is_valid);
        }
    }
}

static void test_broken_stays_broken(void **state) {
    (void)state;
    struct dr_utf8 utf8 = {0};
    assert_false(dr_utf8_check(&utf8, DR_LIT("\xFF")));
    assert_false(dr_utf8_check(&utf8, DR_LIT("a")));
    assert_false(dr_utf8_is_complete(&utf8));
}

static void test_first_never_cuts_a_character(void **state) {
    (void)state;
    const dr_slice text = DR_LIT("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t len = 0; len < sizeof(expected) / sizeof(expected[0]); len++) {
        const dr_slice first = dr_utf8_first(text, len);
        assert_int_equal(first.len, expected[len]);
        assert_true(dr_utf8_is_valid(first));
    }
    assert_int_equal(dr_utf8_first(DR_LIT("\x80\x80\x80\x80\x80\x80"), 5).len, 5);
    assert_int_equal(dr_utf8_first(DR_NONE, 5).len, 0);
}

/* Of texts that begin and end anywhere between the words that are counted at once. */
static void test_characters_are_counted_one_by_one(void **state) {
    (void)state;
    static const char characters[][5] = {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                         "\x7F"};
    char text[200];
    size_t len = 0;
    assert_int_equal(dr_utf8_count(DR_NONE), 0);
    for (size_t count = 1; count <= 48; count++) {
        const char *character = characters[count * 7 % 11 % 5];
        memcpy(text + len, character, strlen(character));
        len += strlen(character);
        assert_int_equal(dr_utf8_count(dr_slice_of(text, len)), count);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_are_judged_whole_and_at_every_split),
        cmocka_unit_test(test_broken_stays_broken),
        cmocka_unit_test(test_first_never_cuts_a_character),
        cmocka_unit_test(test_characters_are_counted_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
