/* Names, errors, checked numbers and the list: the smallest rooms of the floor. */
#include "base/status.h"

#include "base/check.h"
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_every_status_has_its_own_name(void **state) {
    (void)state;
    for (int a = DR_OK; a <= DR_CORRUPT; a++) {
        assert_string_not_equal(dr_status_name((enum dr_status)a), "unknown");
        for (int b = DR_OK; b < a; b++) {
            assert_string_not_equal(dr_status_name((enum dr_status)a),
                                    dr_status_name((enum dr_status)b));
        }
    }
}

static void test_failure_fills_the_error_and_cuts_its_text(void **state) {
    (void)state;
    struct dr_error error;
    assert_int_equal(dr_fail(&error, DR_IO, 13, "can't open %s", "x"), DR_IO);
    assert_int_equal(error.status, DR_IO);
    assert_int_equal(error.os_code, 13);
    assert_string_equal(error.text, "can't open x");
    assert_int_equal(dr_fail(NULL, DR_INVALID, 0, "nobody listens"), DR_INVALID);
    assert_int_equal(dr_fail(&error, DR_INVALID, 0, "%0*d", 1000, 1), DR_INVALID);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

static void test_checked_numbers_refuse_overflow_and_leave_the_result(void **state) {
    (void)state;
    size_t size = 5;
    uint64_t u64 = 5;
    int64_t i64 = 5;
    uint32_t u32 = 5;
    assert_false(dr_add_size(SIZE_MAX, 1, &size));
    assert_false(dr_mul_size(SIZE_MAX, 2, &size));
    assert_false(dr_add_u64(UINT64_MAX, 1, &u64));
    assert_false(dr_add_i64(INT64_MIN, -1, &i64));
    assert_false(dr_narrow_u32((uint64_t)UINT32_MAX + 1, &u32));
    assert_true(size == 5 && u64 == 5 && i64 == 5 && u32 == 5);
    assert_true(dr_mul_size(3, 4, &size) && size == 12);
    assert_true(dr_narrow_u32(UINT32_MAX, &u32) && u32 == UINT32_MAX);
}

struct item {
    int number;
    struct dr_list node;
};

static void test_list_keeps_order_and_removes_from_anywhere(void **state) {
    (void)state;
    struct dr_list list;
    dr_list_init(&list);
    assert_true(dr_list_is_empty(&list));
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    dr_list_put_last(&list, &items[1].node);
    dr_list_put_last(&list, &items[2].node);
    dr_list_put_first(&list, &items[0].node);
    int expected = 0;
    for (struct dr_list *node = list.next; node != &list; node = node->next) {
        assert_int_equal(dr_list_item(node, struct item, node)->number, expected++);
    }
    assert_int_equal(expected, 3);
    dr_list_remove(&items[1].node);
    dr_list_remove(&items[1].node);
    assert_ptr_equal(list.next->next, &items[2].node);
    dr_list_remove(&items[0].node);
    dr_list_remove(&items[2].node);
    assert_true(dr_list_is_empty(&list));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_its_own_name),
        cmocka_unit_test(test_failure_fills_the_error_and_cuts_its_text),
        cmocka_unit_test(test_checked_numbers_refuse_overflow_and_leave_the_result),
        cmocka_unit_test(test_list_keeps_order_and_removes_from_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
