/* Alignment, caps, reuse of blocks, and every failing allocation. */
#include "base/arena.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_pieces_are_aligned_and_do_not_overlap(void **state) {
    (void)state;
    struct dr_arena arena;
    dr_arena_init(&arena, 1 << 20, NULL);
    unsigned char *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = dr_arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < i; k++) assert_int_equal(pieces[i][k], i & 0xFF);
    }
    dr_arena_clear(&arena);
}

static void test_cap_is_kept_and_clear_gives_it_back(void **state) {
    (void)state;
    struct dr_arena arena;
    dr_arena_init(&arena, 10000, NULL);
    for (int round = 0; round < 3; round++) {
        size_t taken = 0;
        while (dr_arena_alloc(&arena, 100)) taken += 100;
        assert_true(taken > 8000 && taken <= 10000);
        assert_true(arena.used <= 10000);
        assert_null(dr_arena_alloc(&arena, 5000));
        dr_arena_clear(&arena);
        assert_int_equal(arena.used, 0);
    }
    assert_null(dr_arena_alloc(&arena, SIZE_MAX));
    assert_null(dr_arena_alloc(&arena, SIZE_MAX - 20));
    dr_arena_clear(&arena);
}

static void test_cap_smaller_than_a_block_still_serves(void **state) {
    (void)state;
    struct dr_arena arena;
    dr_arena_init(&arena, 200, NULL);
    assert_non_null(dr_arena_alloc(&arena, 64));
    assert_null(dr_arena_alloc(&arena, 128));
    dr_arena_clear(&arena);
}

static void test_large_piece_leaves_the_open_block_open(void **state) {
    (void)state;
    struct dr_arena arena;
    dr_arena_init(&arena, 1 << 20, NULL);
    char *first = dr_arena_alloc(&arena, 16);
    char *large = dr_arena_alloc(&arena, 100000);
    char *second = dr_arena_alloc(&arena, 16);
    assert_non_null(large);
    assert_ptr_equal(second, first + 16);
    memset(large, 1, 100000);
    dr_arena_clear(&arena);
}

static void test_steady_state_allocates_nothing(void **state) {
    (void)state;
    struct dr_block_pool pool;
    dr_block_pool_init(&pool, 1024, 4);
    struct dr_arena arena;
    dr_arena_init(&arena, 1 << 20, &pool);
    uint64_t count = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 30; i++) assert_non_null(dr_arena_alloc(&arena, 100));
        if (round == 0) count = dr_alloc_count();
        dr_arena_clear(&arena);
    }
    assert_int_equal(dr_alloc_count(), count);
    assert_int_equal(pool.free_count, 4);
    dr_block_pool_clear(&pool);
    assert_int_equal(pool.free_count, 0);
}

static void test_pool_keeps_no_more_than_told(void **state) {
    (void)state;
    struct dr_block_pool pool;
    dr_block_pool_init(&pool, 1024, 2);
    struct dr_arena arena;
    dr_arena_init(&arena, 1 << 20, &pool);
    for (int i = 0; i < 50; i++) assert_non_null(dr_arena_alloc(&arena, 500));
    assert_non_null(dr_arena_alloc(&arena, 5000));
    dr_arena_clear(&arena);
    assert_int_equal(pool.free_count, 2);
    dr_block_pool_clear(&pool);
}

static void test_copies_are_equal_and_terminated(void **state) {
    (void)state;
    struct dr_arena arena;
    dr_arena_init(&arena, 1 << 20, NULL);
    dr_slice copy = DR_NONE;
    assert_true(dr_arena_copy(&arena, DR_LIT("hello"), &copy));
    assert_true(dr_slice_is(copy, DR_LIT("hello")));
    assert_true(dr_arena_copy(&arena, DR_NONE, &copy));
    assert_int_equal(copy.len, 0);
    assert_non_null(copy.data);
    assert_string_equal(dr_arena_text(&arena, DR_LIT("hello")), "hello");
    assert_string_equal(dr_arena_text(&arena, DR_NONE), "");
    const unsigned char *zeroed = dr_arena_alloc_zero(&arena, 33);
    for (size_t i = 0; i < 33; i++) assert_int_equal(zeroed[i], 0);
    dr_arena_clear(&arena);
}

/* True when every step worked. */
static bool build(struct dr_arena *arena) {
    dr_slice copy = DR_LIT("before");
    if (!dr_arena_alloc(arena, 10)) return false;
    if (!dr_arena_alloc_zero(arena, 3000)) return false;
    if (!dr_arena_alloc(arena, 900)) return false;
    if (!dr_arena_copy(arena, DR_LIT("after"), &copy)) {
        assert_true(dr_slice_is(copy, DR_LIT("before")));
        return false;
    }
    return dr_arena_alloc(arena, 990) && dr_arena_text(arena, copy);
}

static void test_every_failing_allocation_is_survived(void **state) {
    (void)state;
    uint64_t failures = 0;
    for (;; failures++) {
        struct dr_block_pool pool;
        dr_block_pool_init(&pool, 1024, 2);
        struct dr_arena arena;
        dr_arena_init(&arena, 1 << 20, &pool);
        dr_alloc_fail_at(failures + 1);
        const bool is_built = build(&arena);
        dr_alloc_fail_at(0);
        if (!is_built) assert_true(build(&arena));
        dr_arena_clear(&arena);
        dr_block_pool_clear(&pool);
        if (is_built) break;
    }
    assert_true(failures >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(test_cap_is_kept_and_clear_gives_it_back),
        cmocka_unit_test(test_cap_smaller_than_a_block_still_serves),
        cmocka_unit_test(test_large_piece_leaves_the_open_block_open),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_pool_keeps_no_more_than_told),
        cmocka_unit_test(test_copies_are_equal_and_terminated),
        cmocka_unit_test(test_every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
