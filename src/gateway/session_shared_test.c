/* Sessions: turns one after another, and what gives way at each bound. */
#include "gateway/session_shared.h"

#include "base/alloc.h"
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct stage {
    struct dr_loop *loop;
    struct dr_mailbox *mailbox;
    struct session_table *table;
    struct session_limits limits;
    dr_instant now;
    int granted;
};

static void granted(void *owner) {
    ((struct stage *)owner)->granted++;
}

static void stage_open(struct stage *stage, size_t bytes_of_all) {
    *stage = (struct stage){
        .limits = {.per_account_max = 3, .bytes_max = 100, .idle_ms = 1000},
        .now = {1000000},
    };
    assert_int_equal(dr_loop_new(&stage->loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(stage->loop, &stage->mailbox, NULL), DR_OK);
    stage->table = session_table_new(1, bytes_of_all);
    assert_non_null(stage->table);
}

static void turn_loop(struct stage *stage) {
    for (int i = 0; i < 3; i++) dr_loop_run_once(stage->loop, 0);
}

static void stage_close(struct stage *stage) {
    turn_loop(stage);
    dr_mailbox_close(stage->mailbox);
    turn_loop(stage);
    session_table_free(stage->table);
    dr_loop_free(stage->loop);
}

/* NULL when there is none to be had. */
static struct session_turn *take(struct stage *stage, const char *account, const char *name,
                                 bool *ret_is_held) {
    return session_take(stage->table, dr_slice_text(account), dr_slice_text(name), &stage->limits,
                        stage->now, stage->mailbox, granted, stage, ret_is_held);
}

/* A whole turn that says `words`; returns how many bytes had been kept before. */
static size_t say(struct stage *stage, const char *account, const char *name, const char *words) {
    bool is_held = false;
    struct session_turn *turn = take(stage, account, name, &is_held);
    assert_non_null(turn);
    assert_true(is_held);
    const size_t kept = session_messages(turn).len;
    stage->now.us++;
    session_give_back(turn, dr_slice_text(words), stage->now);
    return kept;
}

static void test_turns_of_a_session_come_one_after_another(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 1000);
    bool is_held;
    struct session_turn *first = take(&stage, "a", "tea", &is_held);
    assert_true(is_held);
    struct session_turn *second = take(&stage, "a", "tea", &is_held);
    assert_false(is_held);
    turn_loop(&stage);
    assert_int_equal(stage.granted, 0);
    session_give_back(first, DR_LIT("{1}"), stage.now);
    turn_loop(&stage);
    assert_int_equal(stage.granted, 1);
    assert_true(dr_slice_is(session_messages(second), DR_LIT("{1}")));
    session_give_back(second, DR_LIT("{2}"), stage.now);
    assert_int_equal(say(&stage, "a", "tea", ""), 7);
    stage_close(&stage);
}

static void test_of_a_full_account_the_one_unused_longest_gives_way(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 1000);
    bool is_held;
    const char *const names[] = {"one", "two", "three"};
    for (size_t i = 0; i < 3; i++) (void)say(&stage, "a", names[i], "words");
    (void)say(&stage, "a", "one", "");
    (void)say(&stage, "a", "four", "words"); /* two goes */
    assert_int_equal(say(&stage, "a", "one", ""), 5);
    assert_int_equal(session_table_count(stage.table), 3);
    struct session_turn *held[4];
    const char *const kept[] = {"one", "three", "four"};
    for (size_t i = 0; i < 3; i++) {
        held[i] = take(&stage, "a", kept[i], &is_held);
        assert_true(is_held);
        assert_int_equal(session_messages(held[i]).len, 5);
    }
    assert_null(take(&stage, "a", "five", &is_held)); /* all are in use */
    held[3] = take(&stage, "b", "five", &is_held);
    assert_non_null(held[3]);
    for (size_t i = 0; i < 4; i++) session_give_back(held[i], DR_NONE, stage.now);
    stage_close(&stage);
}

static void test_what_is_unused_for_long_goes_and_what_is_held_stays(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 1000);
    bool is_held;
    (void)say(&stage, "a", "held", "words");
    (void)say(&stage, "a", "idle", "words");
    struct session_turn *turn = take(&stage, "a", "held", &is_held);
    stage.now.us += stage.limits.idle_ms * 1000 + 1000;
    assert_int_equal(say(&stage, "b", "other", "words"), 0);
    assert_int_equal(session_table_count(stage.table), 2);
    assert_int_equal(session_messages(turn).len, 5);
    session_give_back(turn, DR_NONE, stage.now);
    assert_int_equal(say(&stage, "a", "held", ""), 5);
    assert_int_equal(say(&stage, "a", "idle", ""), 0);
    stage.now.us += stage.limits.idle_ms * 1000 + 1000;
    session_table_tidy(stage.table, stage.now);
    assert_int_equal(session_table_count(stage.table), 0);
    stage_close(&stage);
}

static void test_all_accounts_together_have_a_bound(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 12);
    bool is_held;
    (void)say(&stage, "a", "x", "12345");
    (void)say(&stage, "b", "x", "12345");
    struct session_turn *held = take(&stage, "a", "x", &is_held);
    (void)say(&stage, "c", "x", "12345"); /* b's goes: a's is held */
    assert_int_equal(session_table_count(stage.table), 2);
    assert_int_equal(session_messages(held).len, 5);
    session_give_back(held, DR_NONE, stage.now);
    assert_int_equal(say(&stage, "c", "x", ""), 5);
    assert_int_equal(say(&stage, "b", "x", "123456"), 0); /* a's goes now */
    assert_int_equal(say(&stage, "c", "x", ""), 5);
    assert_int_equal(say(&stage, "b", "x", ""), 6);
    assert_int_equal(say(&stage, "a", "x", ""), 0);
    stage_close(&stage);
}

static void test_a_session_that_grew_too_long_is_full(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 1000);
    bool is_held;
    stage.limits.bytes_max = 8;
    (void)say(&stage, "a", "x", "12345");
    (void)say(&stage, "a", "x", "678");
    struct session_turn *turn = take(&stage, "a", "x", &is_held);
    assert_true(session_is_full(turn));
    assert_int_equal(session_messages(turn).len, 5);
    session_give_back(turn, DR_NONE, stage.now);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_of_a_session_come_one_after_another),
        cmocka_unit_test(test_of_a_full_account_the_one_unused_longest_gives_way),
        cmocka_unit_test(test_what_is_unused_for_long_goes_and_what_is_held_stays),
        cmocka_unit_test(test_all_accounts_together_have_a_bound),
        cmocka_unit_test(test_a_session_that_grew_too_long_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
