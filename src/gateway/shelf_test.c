/* The shelf: what is found again, for how long, and what gives way. */
#include "gateway/shelf.h"

#include "base/alloc.h"
#include "gateway/leaf_pool_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SHEETS = 3, LATE_US = 1000000 };

static void shelf_open(struct shelf *shelf) {
    struct leaf_pool *pool = leaf_pool_new((SHEETS + 1) * DR_SHEET_BYTES, NULL);
    assert_non_null(pool);
    shelf_init(shelf, pool, SHEETS * DR_SHEET_BYTES, 1);
}

static void shelf_close(struct shelf *shelf) {
    shelf_clear(shelf);
    assert_int_equal(leaf_pool_bytes(shelf->pool), 0);
    leaf_pool_free(shelf->pool);
}

/* A record of `len` times its number's last digit. */
static bool put(struct shelf *shelf, unsigned number, size_t len, int64_t due_us) {
    char name[16];
    const int name_len = snprintf(name, sizeof name, "r%u", number);
    char *at = shelf_put(shelf, dr_slice_of(name, (size_t)name_len), DR_LIT("a1"), len,
                         (dr_instant){due_us});
    if (at) memset(at, '0' + (int)(number % 10), len);
    return at != NULL;
}

static bool find(struct shelf *shelf, unsigned number, int64_t now_us, struct shelved *ret) {
    char name[16];
    const int name_len = snprintf(name, sizeof name, "r%u", number);
    return shelf_find(shelf, dr_slice_of(name, (size_t)name_len), (dr_instant){now_us}, ret);
}

static void assert_holds(struct shelf *shelf, unsigned number, size_t len) {
    struct shelved shelved;
    assert_true(find(shelf, number, 0, &shelved));
    assert_true(dr_slice_is(shelved.owner, DR_LIT("a1")));
    assert_int_equal(shelved.bytes.len, len);
    for (size_t i = 0; i < len; i++) assert_int_equal(shelved.bytes.data[i], '0' + number % 10);
}

static void test_records_of_any_length_come_back_as_they_were(void **state) {
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    for (unsigned i = 0; i < 300; i++) assert_true(put(&shelf, i, i * 17, LATE_US));
    for (unsigned i = 0; i < 300; i++) assert_holds(&shelf, i, i * 17);
    assert_true(put(&shelf, 300, SHELF_RECORD_BYTES_MAX, LATE_US));
    assert_holds(&shelf, 300, SHELF_RECORD_BYTES_MAX);
    assert_false(put(&shelf, 301, SHELF_RECORD_BYTES_MAX + 1, LATE_US));
    struct shelved shelved;
    assert_false(find(&shelf, 301, 0, &shelved));
    shelf_close(&shelf);
}

static void test_a_record_is_found_until_it_is_due(void **state) {
    (void)state;
    struct shelf shelf;
    struct shelved shelved;
    shelf_open(&shelf);
    assert_true(put(&shelf, 1, 10, 500));
    assert_true(put(&shelf, 2, 10, 700));
    assert_true(find(&shelf, 1, 499, &shelved));
    assert_int_equal(shelved.due.us, 500);
    assert_false(find(&shelf, 1, 500, &shelved));
    shelf_tidy(&shelf, (dr_instant){699}); /* the other one of the sheet is not due */
    assert_true(find(&shelf, 2, 699, &shelved));
    shelf_tidy(&shelf, (dr_instant){700});
    assert_false(find(&shelf, 2, 0, &shelved));
    assert_int_equal(leaf_pool_bytes(shelf.pool), DR_SHEET_BYTES);
    shelf_trim(&shelf);
    assert_int_equal(leaf_pool_bytes(shelf.pool), 0);
    shelf_close(&shelf);
}

static void test_of_one_name_the_later_record_is_found(void **state) {
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    assert_true(put(&shelf, 1, 10, LATE_US));
    assert_true(put(&shelf, 1, 20, LATE_US));
    assert_holds(&shelf, 1, 20);
    shelf_close(&shelf);
}

static void test_the_oldest_give_way_at_the_bound(void **state) {
    (void)state;
    struct shelf shelf;
    struct shelved shelved;
    shelf_open(&shelf);
    unsigned count = 0;
    while (count < 100) assert_true(put(&shelf, count++, SHELF_RECORD_BYTES_MAX, LATE_US));
    assert_int_equal(leaf_pool_bytes(shelf.pool), SHEETS * DR_SHEET_BYTES);
    assert_holds(&shelf, count - 1, SHELF_RECORD_BYTES_MAX);
    assert_holds(&shelf, count - 14, SHELF_RECORD_BYTES_MAX); /* two sheets, of seven each */
    assert_false(find(&shelf, count - 22, 0, &shelved));
    shelf_close(&shelf);
}

static void test_many_small_records_fill_a_sheet_by_their_number(void **state) {
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    unsigned count = 0;
    while (leaf_pool_bytes(shelf.pool) < 2 * DR_SHEET_BYTES) {
        assert_true(put(&shelf, count++, 1, LATE_US));
        assert_in_range(count, 1, 20000);
    }
    assert_holds(&shelf, 0, 1);
    assert_holds(&shelf, count - 1, 1);
    shelf_close(&shelf);
}

static void test_a_sheet_is_given_for_others_the_oldest_records_last(void **state) {
    (void)state;
    struct shelf shelf;
    struct shelved shelved;
    shelf_open(&shelf);
    assert_false(shelf_give_way(&shelf));
    for (unsigned i = 0; i < 8; i++) assert_true(put(&shelf, i, SHELF_RECORD_BYTES_MAX, 100 + i));
    assert_int_equal(leaf_pool_bytes(shelf.pool), 2 * DR_SHEET_BYTES);
    shelf_tidy(&shelf, (dr_instant){106}); /* seven of them: a sheet that holds nothing */
    assert_true(shelf_give_way(&shelf));
    assert_true(find(&shelf, 7, 106, &shelved));
    assert_true(shelf_give_way(&shelf));
    assert_false(find(&shelf, 7, 106, &shelved));
    assert_false(shelf_give_way(&shelf));
    shelf_close(&shelf);
}

static void test_out_of_memory_nothing_is_put(void **state) {
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    dr_alloc_fail_at(1);
    assert_false(put(&shelf, 1, 10, LATE_US));
    assert_true(put(&shelf, 1, 10, LATE_US));
    assert_holds(&shelf, 1, 10);
    shelf_close(&shelf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_of_any_length_come_back_as_they_were),
        cmocka_unit_test(test_a_record_is_found_until_it_is_due),
        cmocka_unit_test(test_of_one_name_the_later_record_is_found),
        cmocka_unit_test(test_the_oldest_give_way_at_the_bound),
        cmocka_unit_test(test_many_small_records_fill_a_sheet_by_their_number),
        cmocka_unit_test(test_a_sheet_is_given_for_others_the_oldest_records_last),
        cmocka_unit_test(test_out_of_memory_nothing_is_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
