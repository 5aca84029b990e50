/* Appending, the cap to the last byte, the sticky failure, and every failing allocation. */
#include "base/buf.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_text(const struct dr_buf *buf, const char *expected) {
    assert_int_equal(dr_buf_status(buf), DR_OK);
    assert_int_equal(buf->len, strlen(expected));
    if (buf->len > 0) assert_memory_equal(buf->data, expected, buf->len);
}

static void test_numbers_are_written_in_full_range(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    dr_buf_put_u64(&buf, 0);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_u64(&buf, UINT64_MAX);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_i64(&buf, INT64_MIN);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_i64(&buf, INT64_MAX);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_i64(&buf, -1);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_hex(&buf, 0);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_hex(&buf, UINT64_MAX);
    dr_buf_put_char(&buf, ' ');
    dr_buf_put_hex(&buf, 0x1a0);
    expect_text(&buf, "0 18446744073709551615 -9223372036854775808 9223372036854775807 -1 "
                      "0 ffffffffffffffff 1a0");
    dr_buf_clear(&buf);
}

static void test_cap_is_reached_to_the_last_byte_and_failure_sticks(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 10);
    dr_buf_put(&buf, DR_LIT("12345"));
    dr_buf_format(&buf, "%05d", 67890);
    expect_text(&buf, "1234567890");
    dr_buf_put_char(&buf, 'x');
    assert_int_equal(dr_buf_status(&buf), DR_TOO_LARGE);
    assert_int_equal(buf.len, 10);
    dr_buf_consume(&buf, 9);
    dr_buf_put_char(&buf, 'x');
    dr_buf_format(&buf, "x");
    assert_null(dr_buf_reserve(&buf, 1));
    assert_int_equal(buf.len, 1);
    dr_buf_reset(&buf);
    expect_text(&buf, "");
    dr_buf_put(&buf, DR_LIT("again"));
    expect_text(&buf, "again");
    dr_buf_clear(&buf);
    expect_text(&buf, "");
    dr_buf_put(&buf, DR_LIT("12345678901"));
    assert_int_equal(dr_buf_status(&buf), DR_TOO_LARGE);
    dr_buf_clear(&buf);
}

static void test_format_larger_than_the_room_grows_it(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 5000);
    for (int i = 0; i < 4; i++) dr_buf_format(&buf, "%0*d", 1000, 7);
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    assert_int_equal(buf.len, 4000);
    assert_int_equal(buf.data[3999], '7');
    dr_buf_format(&buf, "%0*d", 1001, 7);
    assert_int_equal(dr_buf_status(&buf), DR_TOO_LARGE);
    assert_int_equal(buf.len, 4000);
    dr_buf_clear(&buf);
}

static void test_reserved_room_counts_only_when_committed(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    char *room = dr_buf_reserve(&buf, 300);
    assert_non_null(room);
    memset(room, 'a', 300);
    assert_int_equal(buf.len, 0);
    dr_buf_commit(&buf, 3);
    expect_text(&buf, "aaa");
    assert_non_null(dr_buf_reserve(&buf, 0));
    assert_null(dr_buf_reserve(&buf, SIZE_MAX));
    dr_buf_clear(&buf);
}

static void test_consumed_bytes_leave_from_the_front(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    dr_buf_consume(&buf, 0);
    dr_buf_put(&buf, DR_LIT("abcdef"));
    dr_buf_consume(&buf, 2);
    expect_text(&buf, "cdef");
    dr_buf_consume(&buf, 4);
    expect_text(&buf, "");
    dr_buf_put(&buf, DR_NONE);
    expect_text(&buf, "");
    dr_buf_clear(&buf);
}

static void test_trimming_gives_back_what_holds_nothing(void **state) {
    (void)state;
    struct dr_buf buf;
    dr_buf_init(&buf, 1000);
    dr_buf_put(&buf, DR_LIT("abc"));
    dr_buf_trim(&buf);
    assert_int_equal(buf.capacity, 3);
    dr_buf_put(&buf, DR_LIT("def"));
    expect_text(&buf, "abcdef");
    dr_buf_reset(&buf);
    dr_buf_trim(&buf);
    assert_null(buf.data);
    dr_buf_put(&buf, DR_LIT("again"));
    expect_text(&buf, "again");
    dr_buf_clear(&buf);
}

static void test_zeroed_buffer_may_be_cleared_and_holds_nothing(void **state) {
    (void)state;
    struct dr_buf buf = {0};
    dr_buf_clear(&buf);
    dr_buf_put_char(&buf, 'x');
    assert_int_equal(dr_buf_status(&buf), DR_TOO_LARGE);
    dr_buf_clear(&buf);
}

static void test_every_failing_allocation_sticks_and_keeps_what_was(void **state) {
    (void)state;
    uint64_t nth = 1;
    for (;; nth++) {
        struct dr_buf buf;
        dr_buf_init(&buf, 1 << 20);
        dr_alloc_fail_at(nth);
        for (int i = 0; i < 100; i++) {
            dr_buf_put(&buf, DR_LIT("0123456789abcdef"));
            dr_buf_format(&buf, "%s", "0123456789abcdef");
        }
        dr_alloc_fail_at(0);
        const enum dr_status status = dr_buf_status(&buf);
        assert_int_equal(buf.len % 16, 0);
        for (size_t i = 0; i < buf.len; i++) {
            assert_int_equal(buf.data[i], "0123456789abcdef"[i % 16]);
        }
        if (status == DR_OK) assert_int_equal(buf.len, 3200);
        dr_buf_clear(&buf);
        if (status == DR_OK) break;
        assert_int_equal(status, DR_NO_MEMORY);
    }
    assert_true(nth > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_written_in_full_range),
        cmocka_unit_test(test_cap_is_reached_to_the_last_byte_and_failure_sticks),
        cmocka_unit_test(test_format_larger_than_the_room_grows_it),
        cmocka_unit_test(test_reserved_room_counts_only_when_committed),
        cmocka_unit_test(test_consumed_bytes_leave_from_the_front),
        cmocka_unit_test(test_trimming_gives_back_what_holds_nothing),
        cmocka_unit_test(test_zeroed_buffer_may_be_cleared_and_holds_nothing),
        cmocka_unit_test(test_every_failing_allocation_sticks_and_keeps_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
