/* The plan of failures, on which all torture tests rest. */
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static void test_nothing_asked_for_still_gives_a_block(void **state) {
    (void)state;
    void *block = dr_alloc(0);
    assert_non_null(block);
    dr_free(block);
    block = dr_alloc_zero(0, 8);
    assert_non_null(block);
    block = dr_realloc(block, 0);
    assert_non_null(block);
    dr_free(block);
    dr_free(NULL);
}

static void test_zeroed_memory_is_zero_and_overflow_fails(void **state) {
    (void)state;
    uint8_t *block = dr_alloc_zero(3, 5);
    assert_non_null(block);
    for (size_t i = 0; i < 15; i++) assert_int_equal(block[i], 0);
    dr_free(block);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(dr_alloc_zero(huge, 3));
}

static void test_only_the_nth_allocation_fails(void **state) {
    (void)state;
    dr_alloc_fail_at(3);
    void *first = dr_alloc(8);
    void *second = dr_alloc_zero(1, 8);
    assert_non_null(first);
    assert_non_null(second);
    memset(first, 7, 8);
    assert_null(dr_realloc(first, 64));
    assert_int_equal(((uint8_t *)first)[7], 7);
    void *grown = dr_realloc(first, 64);
    assert_non_null(grown);
    dr_free(grown);
    dr_free(second);
}

static void test_zero_switches_the_plan_off(void **state) {
    (void)state;
    dr_alloc_fail_at(1);
    dr_alloc_fail_at(0);
    void *block = dr_alloc(1);
    assert_non_null(block);
    dr_free(block);
}

static void *allocate_elsewhere(void *owner) {
    const uint64_t before = dr_alloc_count();
    void *block = dr_alloc(8);
    *(bool *)owner = block != NULL && dr_alloc_count() == before + 1;
    dr_free(block);
    return NULL;
}

static void test_plan_and_count_belong_to_one_thread(void **state) {
    (void)state;
    bool was_given = false;
    const uint64_t before = dr_alloc_count();
    pthread_t thread;
    dr_alloc_fail_at(1);
    assert_int_equal(pthread_create(&thread, NULL, allocate_elsewhere, &was_given), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(was_given);
    assert_true(dr_alloc_count() == before);
    assert_null(dr_alloc(8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked_for_still_gives_a_block),
        cmocka_unit_test(test_zeroed_memory_is_zero_and_overflow_fails),
        cmocka_unit_test(test_only_the_nth_allocation_fails),
        cmocka_unit_test(test_zero_switches_the_plan_off),
        cmocka_unit_test(test_plan_and_count_belong_to_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
