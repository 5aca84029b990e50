/* Reading strictly, places in the source, duplicates, depth, writing, and failing memory. */
#include "base/json.h"

#include "base/alloc.h"
#include "base/instant.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct dr_json_reader *reader;

static int reader_open(void **state) {
    (void)state;
    reader = dr_json_reader_new();
    return reader ? 0 : -1;
}

static int reader_close(void **state) {
    (void)state;
    dr_json_reader_free(reader);
    dr_json_reader_free(NULL);
    return 0;
}

static dr_json read_text(dr_slice text) {
    dr_json root = NULL;
    struct dr_error error = {0};
    const enum dr_status status = dr_json_read(reader, text, 32, &root, &error);
    if (status) print_message("  %.*s: %s\n", DR_FMT(dr_slice_first(text, 80)), error.text);
    assert_int_equal(status, DR_OK);
    assert_non_null(root);
    return root;
}

static void expect_written(dr_json value, dr_slice expected) {
    struct dr_buf buf;
    dr_buf_init(&buf, 1 << 20);
    dr_json_put_value(&buf, value);
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    if (!dr_slice_is(dr_buf_slice(&buf), expected)) {
        fail_msg("%.*s is not %.*s", DR_FMT(dr_buf_slice(&buf)), DR_FMT(expected));
    }
    dr_buf_clear(&buf);
}

static void test_valid_texts_are_read_and_written_back(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-0", "-0"},
        {"  -1.50e+3\n", "-1.50e+3"},
        {"1e400", "1e400"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"\"\"", "\"\""},
        {"\"a\\u00e4\\ud83d\\ude00\\n\\/\"", "\"a\xC3\xA4\xF0\x9F\x98\x80\\n/\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[[],{},[{}],[[]]]", "[[],{},[{}],[[]]]"},
        {" { \"a\" : [ 1 , 2.0 , {\"b\":null} ] , \"c\" : { } , \"\" : \"x\" } ",
         "{\"a\":[1,2.0,{\"b\":null}],\"c\":{},\"\":\"x\"}"},
        {"{\n  \"a\": [\n    1,\n    true\n  ],\n  \"b\": {}\n}\n", "{\"a\":[1,true],\"b\":{}}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_written(read_text(dr_slice_text(cases[i].text)), dr_slice_text(cases[i].expected));
    }
}

static void test_invalid_texts_are_refused_with_a_place(void **state) {
    (void)state;
    static const struct {
        const char *name;
        dr_slice text;
        const char *place; /* NULL: anywhere */
    } cases[] = {
        {"empty", {"", 0}, NULL},
        {"nothing", {NULL, 0}, NULL},
        {"blanks", {"  \n ", 4}, NULL},
        {"two values", {"1 2", 3}, "at byte 2:"},
        {"trailing comma in an array", {"[1,]", 4}, "at byte 2:"},
        {"trailing comma in an object", {"{\"a\":1,}", 8}, "at byte 6:"},
        {"comment", {"/* */1", 6}, "at byte 0:"},
        {"unclosed array", {"[1", 2}, "at byte 2:"},
        {"unclosed string", {"\"abc", 4}, NULL},
        {"bare word", {"[nul]", 5}, "at byte 1:"},
        {"NaN", {"NaN", 3}, NULL},
        {"Infinity", {"-Infinity", 9}, NULL},
        {"plus", {"+1", 2}, NULL},
        {"leading zero", {"01", 2}, NULL},
        {"no fraction", {"[1.]", 4}, NULL},
        {"no exponent", {"[1e]", 4}, NULL},
        {"single quotes", {"'a'", 3}, NULL},
        {"control in a string", {"\"a\nb\"", 5}, NULL},
        {"unknown escape", {"\"\\x41\"", 6}, NULL},
        {"short escape", {"\"\\u12\"", 6}, NULL},
        {"lone high surrogate", {"\"\\ud83d\"", 8}, NULL},
        {"high surrogate, then text", {"\"\\ud83dabcdef\"", 14}, NULL},
        {"lone low surrogate", {"\"\\ude00\"", 8}, NULL},
        {"two high surrogates", {"\"\\ud83d\\ud83d\"", 14}, NULL},
        {"invalid byte", {"\"\xFF\"", 3}, NULL},
        {"overlong", {"\"\xC0\xAF\"", 4}, NULL},
        {"surrogate in bytes", {"\"\xED\xA0\x80\"", 5}, NULL},
        {"cut character", {"\"\xE2\x82\"", 4}, NULL},
        {"byte order mark", {"\xEF\xBB\xBF{}", 5}, NULL},
        {"nul behind", {"{}\0", 3}, NULL},
        {"nul inside", {"[1,\0]", 5}, NULL},
        {"number as a name", {"{1:2}", 5}, NULL},
        {"colon missing", {"{\"a\" 1}", 7}, "at byte 5:"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_json root = NULL;
        struct dr_error error = {0};
        print_message("  %s\n", cases[i].name);
        assert_int_equal(dr_json_read(reader, cases[i].text, 32, &root, &error), DR_INVALID);
        assert_null(root);
        assert_int_equal(error.status, DR_INVALID);
        if (cases[i].place && !strstr(error.text, cases[i].place)) fail_msg("%s", error.text);
    }
    dr_json root;
    assert_int_equal(dr_json_read(reader, DR_LIT("x"), 32, &root, NULL), DR_INVALID);
}

static void test_getters_answer_absence_with_nothing(void **state) {
    (void)state;
    int64_t i64 = 1;
    uint64_t u64 = 2;
    double real = 3;
    assert_int_equal(dr_json_kind(NULL), DR_JSON_NULL);
    assert_false(dr_json_is(NULL, DR_JSON_NULL));
    assert_null(dr_json_member(NULL, DR_LIT("a")));
    assert_int_equal(dr_json_count(NULL), 0);
    assert_null(dr_json_text(NULL).data);
    assert_null(dr_json_number_text(NULL).data);
    assert_false(dr_json_bool(NULL));
    assert_false(dr_json_to_i64(NULL, &i64));
    assert_false(dr_json_to_u64(NULL, &u64));
    assert_false(dr_json_to_double(NULL, &real));
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, NULL);
    assert_false(dr_json_iter_next(&iter));
    dr_slice name = DR_NONE;
    assert_false(dr_json_has_duplicate(NULL, &name));
    assert_true(i64 == 1 && u64 == 2 && real > 2.9 && real < 3.1);
    expect_written(NULL, DR_LIT("null"));
}

static void test_getters_tell_kinds_apart(void **state) {
    (void)state;
    const dr_json root = read_text(DR_LIT(
        "{\"n\":null,\"t\":true,\"f\":false,\"i\":7,\"s\":\"\",\"a\":[1,2],\"o\":{\"x\":1}}"));
    static const struct {
        dr_slice name;
        enum dr_json_kind kind;
        size_t count;
    } cases[] = {
        {{"n", 1}, DR_JSON_NULL, 0},   {{"t", 1}, DR_JSON_BOOL, 0},   {{"f", 1}, DR_JSON_BOOL, 0},
        {{"i", 1}, DR_JSON_NUMBER, 0}, {{"s", 1}, DR_JSON_STRING, 0}, {{"a", 1}, DR_JSON_ARRAY, 2},
        {{"o", 1}, DR_JSON_OBJECT, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const dr_json value = dr_json_member(root, cases[i].name);
        assert_non_null(value);
        assert_int_equal(dr_json_kind(value), cases[i].kind);
        assert_true(dr_json_is(value, cases[i].kind));
        assert_int_equal(dr_json_count(value), cases[i].count);
        assert_int_equal(dr_json_text(value).data != NULL, cases[i].kind == DR_JSON_STRING);
        assert_int_equal(dr_json_number_text(value).data != NULL, cases[i].kind == DR_JSON_NUMBER);
        assert_int_equal(dr_json_bool(value), i == 1);
    }
    assert_null(dr_json_member(root, DR_LIT("x")));
    assert_null(dr_json_member(dr_json_member(root, DR_LIT("a")), DR_LIT("x")));
}

static void test_numbers_convert_when_they_fit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_i64;
        int64_t i64;
        bool is_u64;
        uint64_t u64;
        bool is_double;
        double real;
    } cases[] = {
        {"0", true, 0, true, 0, true, 0},
        {"-0", true, 0, true, 0, true, 0},
        {"42", true, 42, true, 42, true, 42},
        {"-42", true, -42, false, 0, true, -42},
        {"1.0", false, 0, false, 0, true, 1},
        {"1e2", false, 0, false, 0, true, 100},
        {"0.1", false, 0, false, 0, true, 0.1},
        {"9223372036854775808", false, 0, true, 9223372036854775808u, true, 9223372036854775808.0},
        {"-9223372036854775808", true, INT64_MIN, false, 0, true, -9223372036854775808.0},
        {"18446744073709551616", false, 0, false, 0, true, 18446744073709551616.0},
        {"1.7976931348623157e308", false, 0, false, 0, true, 1.7976931348623157e308},
        {"5e-324", false, 0, false, 0, true, 5e-324},
        {"1e-400", false, 0, false, 0, true, 0},
        {"1e400", false, 0, false, 0, false, 0},
        {"-1e999999999999", false, 0, false, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int is_inside = 0; is_inside < 2; is_inside++) {
            char text[80];
            (void)snprintf(text, sizeof(text), is_inside ? "{\"a\":%s}" : "%s", cases[i].text);
            const dr_json root = read_text(dr_slice_text(text));
            const dr_json number = is_inside ? dr_json_member(root, DR_LIT("a")) : root;
            int64_t i64 = 0;
            uint64_t u64 = 0;
            double real = 0;
            print_message("  %s\n", text);
            assert_true(dr_slice_is(dr_json_number_text(number), dr_slice_text(cases[i].text)));
            assert_int_equal(dr_json_to_i64(number, &i64), cases[i].is_i64);
            assert_true(i64 == cases[i].i64);
            assert_int_equal(dr_json_to_u64(number, &u64), cases[i].is_u64);
            assert_true(u64 == cases[i].u64);
            assert_int_equal(dr_json_to_double(number, &real), cases[i].is_double);
            assert_true(real >= cases[i].real && real <= cases[i].real);
        }
    }
}

static void test_first_of_two_equal_names_is_found(void **state) {
    (void)state;
    const dr_json root = read_text(DR_LIT("{\"a\":1,\"b\":2,\"a\":3}"));
    int64_t number = 0;
    assert_true(dr_json_to_i64(dr_json_member(root, DR_LIT("a")), &number));
    assert_int_equal(number, 1);
    assert_int_equal(dr_json_count(root), 3);
}

static void test_iteration_keeps_order(void **state) {
    (void)state;
    dr_json root = read_text(DR_LIT("{\"a\":[1,[2,3]],\"b\":{\"x\":{}},\"c\":\"z\"}"));
    struct dr_json_iter iter;
    struct dr_buf seen;
    dr_buf_init(&seen, 1000);
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        dr_buf_put(&seen, dr_json_text(iter.name));
        dr_json_put_value(&seen, iter.value);
    }
    dr_json_iter_init(&iter, dr_json_member(root, DR_LIT("a")));
    while (dr_json_iter_next(&iter)) {
        assert_null(iter.name);
        dr_json_put_value(&seen, iter.value);
    }
    assert_false(dr_json_iter_next(&iter));
    assert_true(dr_slice_is(dr_buf_slice(&seen), DR_LIT("a[1,[2,3]]b{\"x\":{}}c\"z\"1[2,3]")));
    dr_buf_clear(&seen);
}

/* --- duplicates --- */

static void test_duplicates_are_seen_after_unescaping(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *name; /* NULL: none */
    } cases[] = {
        {"{}", NULL},
        {"[1,1]", NULL},
        {"{\"a\":1,\"b\":1}", NULL},
        {"{\"a\":1,\"A\":1}", NULL},
        {"{\"a\":{\"a\":1},\"b\":{\"a\":1}}", NULL},
        {"{\"a\":{\"b\":1,\"b\":2}}", NULL},
        {"{\"a\":1,\"b\":1,\"a\":1}", "a"},
        {"{\"model\":1,\"mod\\u0065l\":2}", "model"},
        {"{\"\\u006dodel\":1,\"model\":2}", "model"},
        {"{\"\":1,\"\":2}", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_slice name = DR_NONE;
        const dr_json root = read_text(dr_slice_text(cases[i].text));
        print_message("  %s\n", cases[i].text);
        assert_int_equal(dr_json_has_duplicate(root, &name), cases[i].name != NULL);
        if (cases[i].name) assert_true(dr_slice_is(name, dr_slice_text(cases[i].name)));
    }
}

/* `count` names, of which the last is that of `repeated` when that is below `count`. */
static void put_members(struct dr_buf *buf, size_t count, size_t repeated) {
    dr_buf_put_char(buf, '{');
    for (size_t i = 0; i < count; i++) {
        const size_t number = i + 1 == count && repeated < count ? repeated : i;
        dr_buf_format(buf, "%s\"name-%zu\":0", i > 0 ? "," : "", number);
    }
    dr_buf_put_char(buf, '}');
}

static void expect_duplicate(size_t count, size_t repeated, bool expected) {
    struct dr_buf buf;
    dr_buf_init(&buf, 16 << 20);
    put_members(&buf, count, repeated);
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    const dr_json root = read_text(dr_buf_slice(&buf));
    /* With memory for the table and without. */
    for (uint64_t nth = 0; nth < 2; nth++) {
        dr_slice name = DR_NONE;
        dr_alloc_fail_at(nth);
        assert_int_equal(dr_json_has_duplicate(root, &name), expected);
        dr_alloc_fail_at(0);
        char text[32];
        (void)snprintf(text, sizeof(text), "name-%zu", repeated);
        if (expected) assert_true(dr_slice_is(name, dr_slice_text(text)));
    }
    dr_buf_clear(&buf);
}

static void test_duplicates_are_found_among_any_number_of_names(void **state) {
    (void)state;
    static const size_t counts[] = {2, 31, 32, 33, 34, 63, 64, 65, 1000, 5000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        expect_duplicate(counts[i], 0, true);
        expect_duplicate(counts[i], counts[i] / 2 - 1, true);
        expect_duplicate(counts[i], SIZE_MAX, false);
    }
}

static void test_hundred_thousand_names_take_no_noticeable_time(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 16 << 20);
    put_members(&buf, 100000, SIZE_MAX);
    const dr_json root = read_text(dr_buf_slice(&buf));
    dr_slice name;
    const dr_instant begin = dr_instant_now();
    assert_false(dr_json_has_duplicate(root, &name));
    const int64_t us = dr_instant_us_since(dr_instant_now(), begin);
    print_message("  %lld us\n", (long long)us);
    /* Some 10 ms here; a quadratic search would take half a minute. */
    assert_true(us < 2000000);
    dr_buf_clear(&buf);
}

/* --- depth --- */

static enum dr_status read_nested(size_t depth, uint32_t depth_max, const char *open,
                                  const char *close) {
    struct dr_buf buf;
    dr_buf_init(&buf, 16 << 20);
    for (size_t i = 0; i < depth; i++) dr_buf_put(&buf, dr_slice_text(open));
    dr_buf_put_char(&buf, '0');
    for (size_t i = 0; i < depth; i++) dr_buf_put(&buf, dr_slice_text(close));
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    dr_json root = NULL;
    struct dr_error error = {0};
    const enum dr_status status =
        dr_json_read(reader, dr_buf_slice(&buf), depth_max, &root, &error);
    if (status == DR_OK) {
        expect_written(root, dr_buf_slice(&buf));
    } else {
        assert_int_equal(error.status, status);
        assert_null(root);
    }
    dr_buf_clear(&buf);
    return status;
}

static void test_depth_is_bounded_exactly(void **state) {
    (void)state;
    for (uint32_t depth_max = 0; depth_max < 40; depth_max++) {
        for (size_t depth = 0; depth < 42; depth++) {
            const enum dr_status expected = depth <= depth_max ? DR_OK : DR_TOO_LARGE;
            assert_int_equal(read_nested(depth, depth_max, "[", "]"), expected);
            assert_int_equal(read_nested(depth, depth_max, "{\"a\":", "}"), expected);
            assert_int_equal(read_nested(depth, depth_max, "[1,[],", ",{}]"),
                             depth + (depth > 0) <= depth_max ? DR_OK : DR_TOO_LARGE);
        }
    }
    assert_int_equal(read_nested(512, UINT32_MAX, "[", "]"), DR_OK);
    assert_int_equal(read_nested(513, UINT32_MAX, "[", "]"), DR_TOO_LARGE);
}

static void test_hundred_thousand_brackets_are_refused(void **state) {
    (void)state;
    assert_int_equal(read_nested(100000, 32, "[", "]"), DR_TOO_LARGE);
    assert_int_equal(read_nested(100000, UINT32_MAX, "{\"a\":", "}"), DR_TOO_LARGE);
    char open[100000];
    memset(open, '[', sizeof(open));
    dr_json root = NULL;
    assert_int_equal(dr_json_read(reader, (dr_slice){open, sizeof(open)}, 32, &root, NULL),
                     DR_INVALID);
}

/* More values than any JSON of that length has, at every length around the scratch's sizes. */
static void test_brackets_that_are_never_closed_are_invalid_at_every_length(void **state) {
    (void)state;
    static char text[100000];
    static const char *const patterns[] = {"[", "[[[[[[[[0", "{\"\":", "[1,", "[\"\","};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const size_t pattern_len = strlen(patterns[i]);
        for (size_t at = 0; at < sizeof(text); at++) text[at] = patterns[i][at % pattern_len];
        for (size_t len = 1; len <= sizeof(text); len = len < 600 ? len + 1 : len * 3 / 2) {
            struct dr_error error = {0};
            dr_json root;
            assert_int_equal(dr_json_read(reader, (dr_slice){text, len}, 32, &root, &error),
                             DR_INVALID);
            assert_int_equal(error.status, DR_INVALID);
        }
    }
}

static void test_siblings_do_not_add_to_depth(void **state) {
    (void)state;
    const dr_slice text = DR_LIT("[[1],[],[[2]],{\"a\":[3]},[],[[],[]],{},4]");
    dr_json root = NULL;
    assert_int_equal(dr_json_read(reader, text, 3, &root, NULL), DR_OK);
    expect_written(root, text);
    assert_int_equal(dr_json_read(reader, text, 2, &root, NULL), DR_TOO_LARGE);
}

/* --- count --- */

static void test_values_are_counted_before_they_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t count; /* names too */
    } cases[] = {
        {"[1,2,3,4,5,6,7,8,9]", 10},
        {"{\"a\":1,\"b\":[2,3],\"c\":{\"d\":4}}", 11},
        {"[\",[{:\",\"\\\",[\",\"\\\\\",\"\\\\\\\",,\"]", 5},
        {"  [ true , null ,\n\t-1e9 ]  ", 4},
        {"[[[[1]]]]", 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dr_json_reader *limited = dr_json_reader_new();
        struct dr_error error;
        dr_json root;
        assert_non_null(limited);
        dr_json_reader_limit(limited, cases[i].count);
        assert_int_equal(dr_json_read(limited, dr_slice_text(cases[i].text), 32, &root, &error),
                         DR_OK);
        dr_json_reader_limit(limited, cases[i].count - 1);
        assert_int_equal(dr_json_read(limited, dr_slice_text(cases[i].text), 32, &root, &error),
                         DR_TOO_LARGE);
        assert_non_null(strstr(error.text, "values"));
        dr_json_reader_free(limited);
    }
}

static void test_what_is_no_json_is_told_so_however_many_values_may_be(void **state) {
    (void)state;
    static const char *const texts[] = {"\"", "\"a\\", "\"\\\"", "abc\"", "[1,2,\"3", "\\\"\\"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct dr_json_reader *limited = dr_json_reader_new();
        dr_json root;
        assert_non_null(limited);
        dr_json_reader_limit(limited, 4);
        assert_int_equal(dr_json_read(limited, dr_slice_text(texts[i]), 32, &root, NULL),
                         DR_INVALID);
        dr_json_reader_free(limited);
    }
}

/* --- places --- */

/* Every string's place has its opening quote before it, every number's its own digits. */
static size_t expect_places(dr_slice source, dr_json value) {
    size_t checked = 0;
    if (dr_json_is(value, DR_JSON_NUMBER)) {
        const dr_slice text = dr_json_number_text(value);
        const size_t at = dr_json_offset(reader, value);
        assert_true(dr_slice_is(dr_slice_first(dr_slice_from(source, at), text.len), text));
        return 1;
    }
    if (dr_json_is(value, DR_JSON_STRING)) {
        const dr_slice text = dr_json_text(value);
        const size_t at = dr_json_offset(reader, value);
        assert_true(at > 0 && source.data[at - 1] == '"');
        /* The tests' strings begin with a plain character, or are empty. */
        assert_int_equal(source.data[at], text.len > 0 ? text.data[0] : '"');
        return 1;
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, value);
    while (dr_json_iter_next(&iter)) {
        if (iter.name) checked += expect_places(source, iter.name);
        checked += expect_places(source, iter.value);
    }
    return checked;
}

static void test_places_are_those_of_the_source(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t count;
    } cases[] = {
        {"\"abc\"", 1},
        {"   \n\"abc\"  ", 1},
        {"  -12.5e3 ", 1},
        {"{\"model\":\"gpt\",\"n\":1}", 4},
        {"\t { \"mod\\u0065l\" : \"g\\npt\\\\x\" , \"n\\t\" : -1 , \"z\":[0,\"\",\"x\"] } ", 8},
        {"{\n  \"a\": {\n    \"b\\ud83d\\ude00\": \"c\xC3\xA4\",\n    \"d\": 1e400\n  },\n"
         "  \"e\": [1, 2,\n 3]\n}\n",
         9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const dr_slice text = dr_slice_text(cases[i].text);
        print_message("  %s\n", cases[i].text);
        assert_int_equal(expect_places(text, read_text(text)), cases[i].count);
    }
}

static void test_place_of_the_model_is_found_in_large_texts_too(void **state) {
    (void)state;
    for (size_t padding = 1000; padding < 4000000; padding *= 3) {
        struct dr_buf buf;
        dr_buf_init(&buf, 16 << 20);
        dr_buf_put(&buf, DR_LIT(" {\"messages\":\""));
        for (size_t i = 0; i < padding / 8; i++) dr_buf_put(&buf, DR_LIT("\\n\\u0041"));
        dr_buf_put(&buf, DR_LIT("\", \"model\": \"gpt-4o\"}"));
        const dr_slice text = dr_buf_slice(&buf);
        const dr_json model = dr_json_member(read_text(text), DR_LIT("model"));
        const size_t at = dr_json_offset(reader, model);
        assert_int_equal(at, text.len - 8);
        assert_true(dr_slice_is(dr_slice_first(dr_slice_from(text, at), 6), DR_LIT("gpt-4o")));
        dr_buf_clear(&buf);
    }
}

/* --- memory --- */

static void test_a_documents_bytes_count_and_are_gone_when_trimmed(void **state) {
    static const size_t counts[] = {1, 1000, 1000000};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct dr_buf buf;
        dr_buf_init(&buf, 16 << 20);
        dr_buf_put_char(&buf, '[');
        for (size_t j = 0; j < counts[i]; j++) dr_buf_put(&buf, DR_LIT("[],"));
        dr_buf_put(&buf, DR_LIT("1]"));
        (void)read_text(dr_buf_slice(&buf));
        /* yyjson's value takes 16 bytes. */
        assert_int_equal(dr_json_document_bytes(reader), buf.len + 16 * (counts[i] + 2));
        dr_json_reader_trim(reader);
        assert_int_equal(dr_json_document_bytes(reader), 0);
        assert_int_equal(dr_json_count(read_text(dr_buf_slice(&buf))), counts[i] + 1);
        dr_buf_clear(&buf);
    }
}

static void test_small_texts_allocate_once_only(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1 << 20);
    dr_buf_put_char(&buf, '[');
    while (buf.len < 16 * 1024 - 3) dr_buf_put(&buf, DR_LIT("1,"));
    dr_buf_put(&buf, DR_LIT("1]"));
    (void)read_text(dr_buf_slice(&buf));
    const uint64_t before = dr_alloc_count();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(dr_json_count(read_text(dr_buf_slice(&buf))), (buf.len - 1) / 2);
        (void)read_text(DR_LIT("{\"a\":[1,2,3]}"));
    }
    assert_int_equal(dr_alloc_count(), before);
    dr_buf_clear(&buf);
}

static void test_texts_of_every_size_around_the_scratch_are_read(void **state) {
    (void)state;
    char text[24000];
    for (size_t len = 2; len < sizeof(text); len += len < 300 ? 1 : 97) {
        memset(text, ' ', len);
        text[0] = '[';
        /* The densest text there is: a value every other byte. */
        for (size_t i = 1; i + 1 < len; i += 2) {
            text[i] = '1';
            if (i + 3 < len) text[i + 1] = ',';
        }
        text[len - 1] = ']';
        assert_int_equal(dr_json_count(read_text((dr_slice){text, len})), (len - 1) / 2);
    }
}

static void test_every_failing_allocation_is_reported(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1 << 20);
    dr_buf_put_char(&buf, '[');
    for (int i = 0; i < 20000; i++) dr_buf_put(&buf, DR_LIT("1,"));
    dr_buf_put(&buf, DR_LIT("\"a\"]"));
    const dr_slice texts[] = {DR_LIT("{\"a\":1}"), dr_buf_slice(&buf)};
    for (size_t i = 0; i < 2; i++) {
        uint64_t nth = 1;
        for (;; nth++) {
            struct dr_error error = {0};
            dr_json root = NULL;
            dr_alloc_fail_at(nth);
            struct dr_json_reader *other = dr_json_reader_new();
            enum dr_status status = DR_NO_MEMORY;
            if (other) status = dr_json_read(other, texts[i], 32, &root, &error);
            dr_alloc_fail_at(0);
            if (other && status) {
                assert_int_equal(status, DR_NO_MEMORY);
                assert_int_equal(error.status, DR_NO_MEMORY);
                assert_null(root);
                assert_int_equal(dr_json_read(other, texts[i], 32, &root, &error), DR_OK);
            }
            dr_json_reader_free(other);
            if (status == DR_OK) break;
        }
        assert_true(nth > 2);
    }
    dr_buf_clear(&buf);
}

/* --- writing --- */

static void test_strings_are_escaped_and_stay_valid(void **state) {
    (void)state;
    static const struct {
        dr_slice text;
        const char *expected;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain / \x7f", 9}, "\"plain / \x7f\""},
        {{"\"\\\b\f\n\r\t", 7}, "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f", 3}, "\"\\u0000\\u0001\\u001f\""},
        {{"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9}, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {{"a\xFF"
          "b",
          3},
         "\"a\xEF\xBF\xBD"
         "b\""},
        {{"a\xE2\x82", 3}, "\"a\xEF\xBF\xBD\""},
        {{"\xE2\x82\"", 3}, "\"\xEF\xBF\xBD\\\"\""},
        {{"\xED\xA0\x80", 3}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {{"\xC3\xA4\xC3", 3}, "\"\xC3\xA4\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dr_buf buf;
        dr_buf_init(&buf, 1000);
        dr_json_put_string(&buf, cases[i].text);
        assert_true(dr_slice_is(dr_buf_slice(&buf), dr_slice_text(cases[i].expected)));
        dr_buf_clear(&buf);
    }
}

static void test_any_pair_of_bytes_becomes_readable_json(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char bytes[3] = {(char)(pair >> 8), (char)(pair & 0xFF), 'x'};
        dr_buf_reset(&buf);
        dr_json_put_string(&buf, (dr_slice){bytes, 3});
        const dr_slice back = dr_json_text(read_text(dr_buf_slice(&buf)));
        if (dr_utf8_is_valid((dr_slice){bytes, 3})) {
            assert_true(dr_slice_is(back, (dr_slice){bytes, 3}));
        } else {
            assert_true(dr_slice_find(back, DR_LIT("\xEF\xBF\xBD")) < back.len);
        }
    }
    dr_buf_clear(&buf);
}

static void test_text_is_plain_up_to_the_first_byte_that_needs_a_look(void **state) {
    (void)state;
    /* Every byte at every place of texts of all lengths, so that whole steps and the last one meet
     * it, and one that is behind the text is not looked at. */
    for (size_t len = 0; len <= 35; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                char text[] = "!#~ []\x7f and more letters, and still more";
                text[at] = (char)byte;
                const bool is_unescaped = byte >= 0x20 && byte != '"' && byte != '\\';
                const dr_slice all = {text, len};
                assert_int_equal(dr_json_unescaped_len(all), is_unescaped ? len : at);
                assert_int_equal(dr_json_plain_len(all), is_unescaped && byte < 0x80 ? len : at);
            }
        }
    }
    assert_int_equal(dr_json_plain_len(DR_NONE), 0);
    assert_int_equal(dr_json_unescaped_len(DR_NONE), 0);
}

static void test_absent_text_is_written_as_null(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    dr_json_put_string_or_null(&buf, DR_NONE);
    dr_json_put_string_or_null(&buf, DR_LIT(""));
    assert_true(dr_slice_is(dr_buf_slice(&buf), DR_LIT("null\"\"")));
    dr_buf_clear(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_texts_are_read_and_written_back),
        cmocka_unit_test(test_invalid_texts_are_refused_with_a_place),
        cmocka_unit_test(test_getters_answer_absence_with_nothing),
        cmocka_unit_test(test_getters_tell_kinds_apart),
        cmocka_unit_test(test_numbers_convert_when_they_fit),
        cmocka_unit_test(test_first_of_two_equal_names_is_found),
        cmocka_unit_test(test_iteration_keeps_order),
        cmocka_unit_test(test_duplicates_are_seen_after_unescaping),
        cmocka_unit_test(test_duplicates_are_found_among_any_number_of_names),
        cmocka_unit_test(test_hundred_thousand_names_take_no_noticeable_time),
        cmocka_unit_test(test_depth_is_bounded_exactly),
        cmocka_unit_test(test_hundred_thousand_brackets_are_refused),
        cmocka_unit_test(test_brackets_that_are_never_closed_are_invalid_at_every_length),
        cmocka_unit_test(test_siblings_do_not_add_to_depth),
        cmocka_unit_test(test_values_are_counted_before_they_are_read),
        cmocka_unit_test(test_what_is_no_json_is_told_so_however_many_values_may_be),
        cmocka_unit_test(test_places_are_those_of_the_source),
        cmocka_unit_test(test_place_of_the_model_is_found_in_large_texts_too),
        cmocka_unit_test(test_a_documents_bytes_count_and_are_gone_when_trimmed),
        cmocka_unit_test(test_small_texts_allocate_once_only),
        cmocka_unit_test(test_texts_of_every_size_around_the_scratch_are_read),
        cmocka_unit_test(test_every_failing_allocation_is_reported),
        cmocka_unit_test(test_strings_are_escaped_and_stay_valid),
        cmocka_unit_test(test_any_pair_of_bytes_becomes_readable_json),
        cmocka_unit_test(test_text_is_plain_up_to_the_first_byte_that_needs_a_look),
        cmocka_unit_test(test_absent_text_is_written_as_null),
    };
    return cmocka_run_group_tests(tests, reader_open, reader_close);
}
