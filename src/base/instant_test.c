/* Dates against the C library's calendar, text there and back, and durations. */
#include "base/instant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

static void test_dates_are_written_and_read_back(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {1795479446123, "2026-11-24T00:17:26.123Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DR_WALL_TEXT_BYTES];
        dr_wall wall = {1};
        dr_wall_format((dr_wall){cases[i].ms}, text);
        assert_string_equal(text, cases[i].text);
        assert_true(dr_wall_parse(dr_slice_text(text), &wall));
        assert_true(wall.ms == cases[i].ms);
    }
}

static void test_moments_beyond_the_form_are_clamped(void **state) {
    (void)state;
    char text[DR_WALL_TEXT_BYTES];
    dr_wall_format((dr_wall){INT64_MAX}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    dr_wall_format((dr_wall){INT64_MIN}, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void test_calendar_agrees_with_the_library_over_centuries(void **state) {
    (void)state;
    for (int64_t day = -25000; day < 80000; day++) {
        const time_t seconds = (time_t)(day * 86400 + 45296);
        struct tm parts;
        assert_non_null(gmtime_r(&seconds, &parts));
        char expected[40];
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &parts) > 0);
        char text[DR_WALL_TEXT_BYTES];
        dr_wall_format((dr_wall){seconds * 1000}, text);
        assert_string_equal(text, expected);
    }
}

static void test_forms_of_rfc_3339_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-02", 86400000},         {"1970-01-01T00:00:01Z", 1000},
        {"1970-01-01t00:00:01z", 1000},   {"1970-01-01 00:00:01Z", 1000},
        {"1970-01-01T00:00:00.5Z", 500},  {"1970-01-01T00:00:00.123999999Z", 123},
        {"1970-01-01T02:00:00+02:00", 0}, {"1969-12-31T18:30:00-05:30", 0},
        {"1969-12-31T23:59:60Z", 0},      {"2024-02-29", 1709164800000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_wall wall = {-7};
        print_message("  %s\n", cases[i].text);
        assert_true(dr_wall_parse(dr_slice_text(cases[i].text), &wall));
        assert_true(wall.ms == cases[i].ms);
    }
}

static void test_the_three_forms_of_http_dates_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
        {"Sun Nov  6 08:49:37 1994", 784111777000},
        {"Wed Nov 16 08:49:37 1994", 784975777000},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200000},
        {"Friday, 31-Dec-69 00:00:00 GMT", 3155673600000},
        {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
        {"", -1},
        {"120", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun Nov 06 08:49:37 1994 GMT", -1},
        {"06 Nov 1994 08:49:37 GMT", -1},
        {"Sun,", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_wall wall = {-1};
        const bool is_read = dr_wall_parse_http(dr_slice_text(cases[i].text), &wall);
        if (is_read != (cases[i].ms >= 0) || wall.ms != cases[i].ms) fail_msg("%s", cases[i].text);
    }
}

static void test_malformed_dates_are_refused(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "1970",
        "1970-1-1",
        "1970-13-01",
        "1970-00-01",
        "1970-01-00",
        "2023-02-29",
        "1900-02-29",
        "1970-04-31",
        "1970-01-01T",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00+0200",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01X00:00:00Z",
        " 1970-01-01",
        "-970-01-01",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_wall wall = {-7};
        print_message("  %s\n", cases[i]);
        assert_false(dr_wall_parse(dr_slice_text(cases[i]), &wall));
        assert_true(wall.ms == -7);
    }
}

static void test_durations_need_a_unit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"1500ms", 1500},
        {"5s", 5000},
        {"10m", 600000},
        {"2h", 7200000},
        {"30d", 2592000000},
        {"0s", 0},
        {"9223372036854775807ms", INT64_MAX},
        {"9223372036854775807s", -1},
        {"9223372036854775808ms", -1},
        {"5", -1},
        {"", -1},
        {"s", -1},
        {"-5s", -1},
        {"+5s", -1},
        {"5 s", -1},
        {"1.5s", -1},
        {"5S", -1},
        {"5sec", -1},
        {"5s ", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        print_message("  %s\n", cases[i].text);
        assert_int_equal(dr_duration_parse_ms(dr_slice_text(cases[i].text), &ms), cases[i].ms >= 0);
        assert_true(ms == cases[i].ms);
    }
}

static void test_durations_of_others_are_taken_from_the_front(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
        const char *rest;
    } cases[] = {
        {"6m0s", 360000, ""},
        {"120ms", 120, ""},
        {"34.4s", 34400, ""},
        {"7.66s, then", 7660, ", then"},
        {"2m59.56s", 179560, ""},
        {"1h2m3.0004s", 3723001, ""},
        {"0.5ms", 1, ""},
        {"34.074824224s.", 34075, "."},
        {"174ms. Visit", 174, ". Visit"},
        {"12 seconds.", 12000, "."},
        {"1 minute", 60000, ""},
        {"5s 3 tries", 5000, " 3 tries"},
        {"0s", 0, ""},
        {"99999999999999999999s", 1000000000000, ""},
        {"10", -1, "10"},
        {"10 retries", -1, "10 retries"},
        {"1.s", -1, "1.s"},
        {".5s", -1, ".5s"},
        {"-1s", -1, "-1s"},
        {"s", -1, "s"},
        {"", -1, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        dr_slice text = dr_slice_text(cases[i].text);
        if (dr_duration_take_ms(&text, &ms) != (cases[i].ms >= 0) || ms != cases[i].ms ||
            !dr_slice_is(text, dr_slice_text(cases[i].rest))) {
            fail_msg("%s: %lld, then %.*s", cases[i].text, (long long)ms, DR_FMT(text));
        }
    }
}

static void test_seconds_may_have_a_fraction(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
    } cases[] = {
        {"12", 12000},
        {"12.4", 12400},
        {"0.0001", 1},
        {"0", 0},
        {"99999999999", 1000000000000},
        {"", -1},
        {"12s", -1},
        {" 12", -1},
        {"-1", -1},
        {"1.", -1},
        {"Wed, 01 Jan", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        const bool is_read = dr_seconds_parse_ms(dr_slice_text(cases[i].text), &ms);
        if (is_read != (cases[i].ms >= 0) || (is_read && ms != cases[i].ms)) {
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
        }
    }
}

static void test_clocks_run_forward(void **state) {
    (void)state;
    const dr_instant first = dr_instant_now();
    const dr_instant second = dr_instant_now();
    assert_true(dr_instant_us_since(second, first) >= 0);
    assert_true(dr_instant_us_since(dr_instant_after_ms(first, 2), first) == 2000);
    assert_true(dr_wall_now().ms > 1700000000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_are_written_and_read_back),
        cmocka_unit_test(test_moments_beyond_the_form_are_clamped),
        cmocka_unit_test(test_calendar_agrees_with_the_library_over_centuries),
        cmocka_unit_test(test_forms_of_rfc_3339_are_read),
        cmocka_unit_test(test_the_three_forms_of_http_dates_are_read),
        cmocka_unit_test(test_malformed_dates_are_refused),
        cmocka_unit_test(test_durations_need_a_unit),
        cmocka_unit_test(test_durations_of_others_are_taken_from_the_front),
        cmocka_unit_test(test_seconds_may_have_a_fraction),
        cmocka_unit_test(test_clocks_run_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
