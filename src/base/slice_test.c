/* Comparing, searching, cutting and reading numbers. */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_comparisons_look_at_length_and_bytes(void **state) {
    (void)state;
    assert_true(dr_slice_is(DR_NONE, DR_LIT("")));
    assert_true(dr_slice_is_nocase(DR_LIT("Content-TYPE"), DR_LIT("cONTENT-type")));
    assert_false(dr_slice_is_nocase(DR_LIT("a"), DR_LIT("ab")));
    assert_false(dr_slice_is_nocase(DR_LIT("@["), DR_LIT("`{")));
    assert_true(dr_slice_starts(DR_LIT("Bearer x"), DR_LIT("Bearer ")));
    assert_true(dr_slice_starts(DR_NONE, DR_NONE));
    assert_false(dr_slice_starts(DR_LIT("Bear"), DR_LIT("Bearer ")));
    assert_true(dr_slice_ends(DR_LIT("a.json"), DR_LIT(".json")));
    assert_false(dr_slice_ends(DR_LIT("json"), DR_LIT(".json")));
}

static void test_search_gives_the_first_match_or_the_length(void **state) {
    (void)state;
    assert_int_equal(dr_slice_find(DR_LIT("abcabc"), DR_LIT("ca")), 2);
    assert_int_equal(dr_slice_find(DR_LIT("abcabc"), DR_LIT("cb")), 6);
    assert_int_equal(dr_slice_find(DR_LIT("abc"), DR_LIT("abcd")), 3);
    assert_int_equal(dr_slice_find(DR_LIT("abc"), DR_LIT("")), 0);
    assert_int_equal(dr_slice_find(DR_NONE, DR_LIT("a")), 0);
    assert_int_equal(dr_slice_find_char(DR_LIT("abcabc"), 'c'), 2);
    assert_int_equal(dr_slice_find_char(DR_LIT("abc"), 'd'), 3);
    assert_int_equal(dr_slice_find_char(DR_NONE, 'd'), 0);
}

static void test_trim_takes_blanks_and_tabs_only(void **state) {
    (void)state;
    assert_true(dr_slice_is(dr_slice_trim(DR_LIT(" \t a b\t ")), DR_LIT("a b")));
    assert_true(dr_slice_is(dr_slice_trim(DR_LIT(" \t ")), DR_LIT("")));
    assert_true(dr_slice_is(dr_slice_trim(DR_LIT("\na\r")), DR_LIT("\na\r")));
    assert_int_equal(dr_slice_trim(DR_NONE).len, 0);
}

static void test_split_walks_all_parts_and_then_shows_its_end(void **state) {
    (void)state;
    dr_slice rest = DR_LIT("a,,b");
    assert_true(dr_slice_is(dr_slice_split(&rest, ','), DR_LIT("a")));
    assert_true(dr_slice_is(dr_slice_split(&rest, ','), DR_LIT("")));
    assert_non_null(rest.data);
    assert_true(dr_slice_is(dr_slice_split(&rest, ','), DR_LIT("b")));
    assert_null(rest.data);
    rest = DR_LIT("a,");
    (void)dr_slice_split(&rest, ',');
    assert_non_null(rest.data);
    assert_int_equal(rest.len, 0);
}

static void test_numbers_are_read_whole_or_not_at_all(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_u64;
        uint64_t u64;
        bool is_i64;
        int64_t i64;
    } cases[] = {
        {"0", true, 0, true, 0},
        {"007", true, 7, true, 7},
        {"18446744073709551615", true, UINT64_MAX, false, 0},
        {"18446744073709551616", false, 0, false, 0},
        {"99999999999999999999", false, 0, false, 0},
        {"9223372036854775807", true, INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", true, (uint64_t)INT64_MAX + 1, false, 0},
        {"-9223372036854775808", false, 0, true, INT64_MIN},
        {"-9223372036854775809", false, 0, false, 0},
        {"-0", false, 0, true, 0},
        {"-12", false, 0, true, -12},
        {"", false, 0, false, 0},
        {"-", false, 0, false, 0},
        {"+1", false, 0, false, 0},
        {" 1", false, 0, false, 0},
        {"1.0", false, 0, false, 0},
        {"0x1", false, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const dr_slice text = dr_slice_text(cases[i].text);
        uint64_t u64 = 0;
        int64_t i64 = 0;
        print_message("  %s\n", cases[i].text);
        assert_int_equal(dr_slice_to_u64(text, &u64), cases[i].is_u64);
        assert_true(u64 == cases[i].u64);
        assert_int_equal(dr_slice_to_i64(text, &i64), cases[i].is_i64);
        assert_true(i64 == cases[i].i64);
    }
}

static void test_text_must_fit_and_hold_no_nul(void **state) {
    (void)state;
    char buffer[4];
    assert_true(dr_slice_to_text(DR_LIT("abc"), buffer, sizeof(buffer)));
    assert_string_equal(buffer, "abc");
    assert_false(dr_slice_to_text(DR_LIT("abcd"), buffer, sizeof(buffer)));
    assert_false(dr_slice_to_text(DR_LIT("a\0b"), buffer, sizeof(buffer)));
    assert_true(dr_slice_to_text(DR_NONE, buffer, sizeof(buffer)));
    assert_string_equal(buffer, "");
    assert_false(dr_slice_to_text(DR_NONE, buffer, 0));
}

static void test_hash_depends_on_bytes_and_seed(void **state) {
    (void)state;
    assert_true(dr_slice_hash(DR_LIT("a"), 1) == dr_slice_hash(DR_LIT("a"), 1));
    assert_true(dr_slice_hash(DR_LIT("a"), 1) != dr_slice_hash(DR_LIT("a"), 2));
    assert_true(dr_slice_hash(DR_LIT("a"), 1) != dr_slice_hash(DR_LIT("b"), 1));
    assert_true(dr_slice_hash(DR_NONE, 1) == dr_slice_hash(DR_LIT(""), 1));
}

static void test_pieces_are_clamped_to_the_whole(void **state) {
    (void)state;
    assert_true(dr_slice_is(dr_slice_from(DR_LIT("abc"), 1), DR_LIT("bc")));
    assert_true(dr_slice_is(dr_slice_from(DR_LIT("abc"), 9), DR_LIT("")));
    assert_true(dr_slice_is(dr_slice_first(DR_LIT("abc"), 9), DR_LIT("abc")));
    assert_null(dr_slice_from(DR_NONE, 3).data);
    assert_int_equal(dr_slice_text(NULL).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparisons_look_at_length_and_bytes),
        cmocka_unit_test(test_search_gives_the_first_match_or_the_length),
        cmocka_unit_test(test_trim_takes_blanks_and_tabs_only),
        cmocka_unit_test(test_split_walks_all_parts_and_then_shows_its_end),
        cmocka_unit_test(test_numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(test_text_must_fit_and_hold_no_nul),
        cmocka_unit_test(test_hash_depends_on_bytes_and_seed),
        cmocka_unit_test(test_pieces_are_clamped_to_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
