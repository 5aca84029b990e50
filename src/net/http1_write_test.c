/* Tests of net/http1_write. */
#include "net/http1_write.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_heads_are_written_as_the_wire_wants_them(void **state) {
    (void)state;
    struct dr_buf buf = {0};
    dr_buf_init(&buf, 4096);
    dr_http1_put_status(&buf, 200);
    dr_http1_put_header(&buf, DR_LIT("x-a"), DR_LIT("b\tc \xe4"));
    dr_http1_put_header(&buf, DR_LIT("x-empty"), DR_NONE);
    dr_http1_put_header_u64(&buf, DR_LIT("content-length"), UINT64_MAX);
    dr_http1_put_head_end(&buf);
    dr_http1_put_status(&buf, 599);
    dr_http1_put_request(&buf, DR_LIT("POST"), DR_LIT("/v1/x?y=z"));
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    assert_true(dr_slice_is(dr_buf_slice(&buf),
                            DR_LIT("HTTP/1.1 200 OK\r\nx-a: b\tc \xe4\r\nx-empty: \r\n"
                                   "content-length: 18446744073709551615\r\n\r\n"
                                   "HTTP/1.1 599 Unknown\r\nPOST /v1/x?y=z HTTP/1.1\r\n")));
    dr_buf_clear(&buf);
}

static void test_nothing_can_be_injected(void **state) {
    (void)state;
    static const struct {
        const char *name;
        dr_slice header;
        dr_slice value;
    } cases[] = {
        {"cr in value", {"a", 1}, {"b\rc", 3}},      {"lf in value", {"a", 1}, {"b\nc", 3}},
        {"crlf at the end", {"a", 1}, {"b\r\n", 3}}, {"nul in value", {"a", 1}, {"b\0c", 3}},
        {"cr in name", {"a\r", 2}, {"b", 1}},        {"lf in name", {"a\nb", 3}, {"b", 1}},
        {"colon in name", {"a:b", 3}, {"b", 1}},     {"blank in name", {"a ", 2}, {"b", 1}},
        {"empty name", {"", 0}, {"b", 1}},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct dr_buf buf = {0};
        dr_buf_init(&buf, 4096);
        dr_http1_put_header(&buf, cases[i].header, cases[i].value);
        dr_http1_put_head_end(&buf);
        if (dr_buf_status(&buf) != DR_INVALID || buf.len != 0) fail_msg("%s passes", cases[i].name);
        dr_buf_clear(&buf);
    }
    static const struct {
        const char *name;
        dr_slice method;
        dr_slice target;
    } requests[] = {
        {"blank in method", {"GET /", 5}, {"/", 1}},  {"empty method", {"", 0}, {"/", 1}},
        {"blank in target", {"GET", 3}, {"/a b", 4}}, {"crlf in target", {"GET", 3}, {"/\r\n", 3}},
        {"empty target", {"GET", 3}, {"", 0}},        {"fragment", {"GET", 3}, {"/#a", 3}},
        {"nul in target", {"GET", 3}, {"/\0", 2}},
    };
    for (size_t i = 0; i < COUNT(requests); ++i) {
        struct dr_buf buf = {0};
        dr_buf_init(&buf, 4096);
        dr_http1_put_request(&buf, requests[i].method, requests[i].target);
        if (dr_buf_status(&buf) != DR_INVALID) fail_msg("%s passes", requests[i].name);
        dr_buf_clear(&buf);
    }
    struct dr_buf buf = {0};
    dr_buf_init(&buf, 4096);
    dr_http1_put_status(&buf, 99);
    assert_int_equal(dr_buf_status(&buf), DR_INVALID);
    dr_buf_clear(&buf);
}

static void test_a_first_failure_sticks(void **state) {
    (void)state;
    struct dr_buf buf = {0};
    dr_buf_init(&buf, 4);
    dr_http1_put_status(&buf, 200);
    dr_http1_put_header(&buf, DR_LIT("a"), DR_LIT("\n"));
    assert_int_equal(dr_buf_status(&buf), DR_TOO_LARGE);
    dr_buf_clear(&buf);
}

static void test_dates_are_imf_fixdates(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
        {1795479446, "Tue, 24 Nov 2026 00:17:26 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-1, "Thu, 01 Jan 1970 00:00:00 GMT"},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        char text[29];
        dr_http1_date(cases[i].seconds, text);
        if (memcmp(text, cases[i].text, sizeof text) != 0) {
            fail_msg("expected %s, got %.29s", cases[i].text, text);
        }
    }
}

static void test_chunk_heads_have_no_leading_zeros(void **state) {
    (void)state;
    static const struct {
        uint64_t len;
        const char *text;
    } cases[] = {
        {0, "0\r\n"},
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {26, "1a\r\n"},
        {65536, "10000\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        char text[18];
        const size_t len = dr_http1_chunk_head(text, cases[i].len);
        assert_true(dr_slice_is(dr_slice_of(text, len), dr_slice_text(cases[i].text)));
    }
}

static void test_every_status_has_a_reason(void **state) {
    (void)state;
    for (uint16_t status = 0; status < 1000; ++status) {
        assert_true(dr_http1_reason(status).len > 0);
    }
    assert_true(dr_slice_is(dr_http1_reason(404), DR_LIT("Not Found")));
    assert_true(dr_slice_is(dr_http1_reason(418), DR_LIT("Unknown")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_written_as_the_wire_wants_them),
        cmocka_unit_test(test_nothing_can_be_injected),
        cmocka_unit_test(test_a_first_failure_sticks),
        cmocka_unit_test(test_dates_are_imf_fixdates),
        cmocka_unit_test(test_chunk_heads_have_no_leading_zeros),
        cmocka_unit_test(test_every_status_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
