/* The table against a plain array, its cap, and every failing allocation. */
#include "base/map.h"

#include "base/alloc.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

enum { KEY_COUNT = 500 };

struct entry {
    char name[16];
    bool is_in;
};

static void entries_fill(struct entry *entries) {
    for (size_t i = 0; i < KEY_COUNT; i++) {
        (void)snprintf(entries[i].name, sizeof(entries[i].name), "key-%zu", i);
        entries[i].is_in = false;
    }
}

static void test_map_agrees_with_an_array_over_many_steps(void **state) {
    (void)state;
    struct entry entries[KEY_COUNT];
    entries_fill(entries);
    struct dr_map map;
    dr_map_init(&map, KEY_COUNT, 42);
    struct dr_random random;
    dr_random_seed(&random, 7);
    size_t count = 0;
    for (int step = 0; step < 50000; step++) {
        struct entry *entry = &entries[dr_random_below(&random, KEY_COUNT)];
        const dr_slice key = dr_slice_text(entry->name);
        assert_ptr_equal(dr_map_find(&map, key), entry->is_in ? entry : NULL);
        if (dr_random_below(&random, 2) == 0) {
            assert_int_equal(dr_map_put(&map, key, entry), entry->is_in ? DR_EXISTS : DR_OK);
            count += !entry->is_in;
            entry->is_in = true;
        } else {
            assert_ptr_equal(dr_map_take(&map, key), entry->is_in ? entry : NULL);
            count -= entry->is_in;
            entry->is_in = false;
        }
        assert_int_equal(map.count, count);
    }
    size_t cursor = 0;
    const struct entry *entry;
    while ((entry = dr_map_next(&map, &cursor)) != NULL) {
        assert_true(entry->is_in);
        count--;
    }
    assert_int_equal(count, 0);
    dr_map_clear(&map);
}

static void test_empty_map_has_nothing(void **state) {
    (void)state;
    struct dr_map map;
    dr_map_init(&map, 10, 0);
    size_t cursor = 0;
    assert_null(dr_map_find(&map, DR_LIT("a")));
    assert_null(dr_map_take(&map, DR_LIT("a")));
    assert_null(dr_map_next(&map, &cursor));
    dr_map_clear(&map);
}

static void test_cap_refuses_new_keys_but_knows_old_ones(void **state) {
    (void)state;
    struct dr_map map;
    dr_map_init(&map, 2, 0);
    int value = 0;
    assert_int_equal(dr_map_put(&map, DR_LIT("a"), &value), DR_OK);
    assert_int_equal(dr_map_put(&map, DR_LIT(""), &value), DR_OK);
    assert_int_equal(dr_map_put(&map, DR_LIT("c"), &value), DR_TOO_LARGE);
    assert_int_equal(dr_map_put(&map, DR_LIT("a"), &value), DR_EXISTS);
    assert_ptr_equal(dr_map_take(&map, DR_NONE), &value);
    assert_int_equal(dr_map_put(&map, DR_LIT("c"), &value), DR_OK);
    dr_map_clear(&map);
    assert_int_equal(map.count, 0);
    assert_int_equal(dr_map_put(&map, DR_LIT("c"), &value), DR_OK);
    dr_map_clear(&map);
}

static void test_every_failing_allocation_leaves_the_map_whole(void **state) {
    (void)state;
    struct entry entries[KEY_COUNT];
    entries_fill(entries);
    uint64_t nth = 1;
    for (bool is_failing = true; is_failing; nth++) {
        struct dr_map map;
        dr_map_init(&map, KEY_COUNT, nth);
        is_failing = false;
        dr_alloc_fail_at(nth);
        for (size_t i = 0; i < KEY_COUNT; i++) {
            const dr_slice key = dr_slice_text(entries[i].name);
            enum dr_status status = dr_map_put(&map, key, &entries[i]);
            if (status) {
                assert_int_equal(status, DR_NO_MEMORY);
                assert_null(dr_map_find(&map, key));
                is_failing = true;
                status = dr_map_put(&map, key, &entries[i]);
            }
            assert_int_equal(status, DR_OK);
        }
        dr_alloc_fail_at(0);
        for (size_t i = 0; i < KEY_COUNT; i++) {
            assert_ptr_equal(dr_map_find(&map, dr_slice_text(entries[i].name)), &entries[i]);
        }
        dr_map_clear(&map);
    }
    assert_true(nth > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_agrees_with_an_array_over_many_steps),
        cmocka_unit_test(test_empty_map_has_nothing),
        cmocka_unit_test(test_cap_refuses_new_keys_but_knows_old_ones),
        cmocka_unit_test(test_every_failing_allocation_leaves_the_map_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
