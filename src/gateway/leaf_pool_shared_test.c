/* Leaves: the bound, what goes back to the system, and failures of memory. */
#include "gateway/leaf_pool_shared.h"

#include "base/alloc.h"
#include "net/loop.h"
#include "net/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { POOL_BYTES = 3 * DR_SHEET_BYTES };

/* Takes all there are, as a chain. */
static struct leaf *take_all(struct leaf_pool *pool, size_t *ret_count) {
    struct leaf *first = NULL;
    struct leaf *leaf;
    *ret_count = 0;
    while ((leaf = leaf_take(pool))) {
        assert_null(leaf->next);
        memset(leaf->bytes, 'x', sizeof leaf->bytes);
        leaf->next = first;
        first = leaf;
        ++*ret_count;
    }
    return first;
}

static void test_a_pool_stays_within_its_bound(void **state) {
    (void)state;
    struct leaf_pool *pool = leaf_pool_new(POOL_BYTES + 1, NULL);
    size_t count, again;
    struct leaf *all = take_all(pool, &count);
    assert_in_range(count, POOL_BYTES / sizeof(struct leaf) - 10, POOL_BYTES / sizeof(struct leaf));
    assert_int_equal(leaf_pool_bytes(pool), POOL_BYTES);
    struct leaf *rest = all->next;
    all->next = NULL;
    leaf_give_back(pool, all);
    all = leaf_take(pool);
    assert_non_null(all);
    assert_null(leaf_take(pool));
    leaf_give_back(pool, all);
    leaf_give_back(pool, rest);
    all = take_all(pool, &again);
    assert_int_equal(again, count);
    assert_int_equal(leaf_pool_bytes(pool), POOL_BYTES);
    leaf_give_back(pool, all);
    leaf_pool_free(pool);
}

static void test_trimming_gives_back_what_nobody_uses(void **state) {
    (void)state;
    struct leaf_pool *pool = leaf_pool_new(POOL_BYTES, NULL);
    size_t count, again;
    assert_int_equal(leaf_pool_bytes(pool), 0);
    struct leaf *one = leaf_take(pool);
    struct leaf *others = take_all(pool, &count);
    leaf_pool_trim(pool);
    assert_int_equal(leaf_pool_bytes(pool), POOL_BYTES);
    leaf_give_back(pool, others);
    assert_int_equal(leaf_pool_bytes(pool), POOL_BYTES);
    leaf_pool_trim(pool);
    assert_int_equal(leaf_pool_bytes(pool), DR_SHEET_BYTES);
    others = take_all(pool, &again); /* of that sheet, and of new ones */
    assert_int_equal(again, count);
    leaf_give_back(pool, others);
    leaf_give_back(pool, one);
    leaf_pool_trim(pool);
    assert_int_equal(leaf_pool_bytes(pool), 0);
    leaf_pool_free(pool);
}

static void test_out_of_memory_is_told_and_leaves_the_pool_usable(void **state) {
    (void)state;
    struct leaf_pool *pool = leaf_pool_new(POOL_BYTES, NULL);
    dr_alloc_fail_at(1);
    assert_null(leaf_take(pool));
    struct leaf *leaf = leaf_take(pool);
    assert_non_null(leaf);
    leaf_give_back(pool, leaf);
    leaf_pool_free(pool);
    dr_alloc_fail_at(1);
    assert_null(leaf_pool_new(POOL_BYTES, NULL));
}

static void turn(struct dr_loop *loop) {
    for (int i = 0; i < 3; i++) dr_loop_run_once(loop, 0);
}

/* Takes leaves in front of the chain. */
static struct leaf *take_more(struct leaf_pool *pool, struct leaf *chain, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct leaf *leaf = leaf_take(pool);
        assert_non_null(leaf);
        leaf->next = chain;
        chain = leaf;
    }
    return chain;
}

/* The maker is this thread, when its loop runs. */
static void test_large_sheets_are_made_ready_ahead(void **state) {
    const uintptr_t mask = ~(uintptr_t)(DR_SHEET_BYTES - 1);
    struct dr_loop *loop;
    struct dr_mailbox *maker;
    (void)state;
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(loop, &maker, NULL), DR_OK);
    struct leaf_pool *pool = leaf_pool_new(POOL_BYTES, maker);
    struct leaf *taken = take_more(pool, NULL, 1);
    turn(loop);
    assert_int_equal(leaf_pool_bytes(pool), DR_SHEET_BYTES); /* little is written: none asked for */
    taken = take_more(pool, taken, 99);
    assert_int_equal(leaf_pool_bytes(pool), DR_SHEET_BYTES);
    turn(loop);
    assert_int_equal(leaf_pool_bytes(pool), 2 * DR_SHEET_BYTES);
    const struct leaf *from_small = taken;
    taken = take_more(pool, taken, 1);
    assert_int_not_equal((uintptr_t)taken & mask, (uintptr_t)from_small & mask);
    taken = take_more(pool, taken, DR_SHEET_BYTES / sizeof(struct leaf) / 2);
    assert_int_equal(leaf_pool_bytes(pool), 2 * DR_SHEET_BYTES);
    dr_mailbox_close(maker); /* makes one still, which the pool has to let go */
    turn(loop);
    assert_int_equal(leaf_pool_bytes(pool), 3 * DR_SHEET_BYTES);
    leaf_give_back(pool, taken);
    leaf_pool_free(pool);
    dr_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pool_stays_within_its_bound),
        cmocka_unit_test(test_trimming_gives_back_what_nobody_uses),
        cmocka_unit_test(test_out_of_memory_is_told_and_leaves_the_pool_usable),
        cmocka_unit_test(test_large_sheets_are_made_ready_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
