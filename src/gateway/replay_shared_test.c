/* Records of answers: what is put in rows and one by one is read as one row of frames. */
#include "gateway/replay_shared.h"

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
    struct replay_table *table;
    struct replay *replay;
    struct dr_buf row;
    struct dr_buf line; /* what the follower took: "2=two " */
};

static void writer_told(void *owner, unsigned facts) {
    (void)owner;
    (void)facts;
}

static void follower_told(struct replay_follower *follower) {
    (void)follower;
}

static bool note(void *owner, uint64_t seq, dr_slice tail) {
    dr_buf_format(owner, "%llu=%.*s ", (unsigned long long)seq, DR_FMT(tail));
    return true;
}

static struct stage stage_of(void) {
    struct stage stage = {.loop = NULL};
    assert_int_equal(dr_loop_new(&stage.loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(stage.loop, &stage.mailbox, NULL), DR_OK);
    stage.table = replay_table_new(1);
    assert_non_null(stage.table);
    dr_buf_init(&stage.row, 4 * REPLAY_BYTES_MAX);
    dr_buf_init(&stage.line, 4 * REPLAY_BYTES_MAX);
    const struct replay_writer writer = {stage.mailbox, writer_told, &stage};
    stage.replay = replay_open(stage.table, DR_LIT("r1"), DR_LIT("a1"), 60000, &writer,
                               dr_loop_now(stage.loop));
    assert_non_null(stage.replay);
    return stage;
}

static void stage_close(struct stage *stage) {
    for (int i = 0; i < 3; i++) dr_loop_run_once(stage->loop, 0);
    dr_mailbox_close(stage->mailbox);
    for (int i = 0; i < 3; i++) dr_loop_run_once(stage->loop, 0);
    replay_table_free(stage->table);
    dr_buf_clear(&stage->row);
    dr_buf_clear(&stage->line);
    dr_loop_free(stage->loop);
}

static void put_rows(struct stage *stage, const char *first, const char *second) {
    const char *tails[] = {first, second};
    dr_buf_reset(&stage->row);
    for (size_t i = 0; i < 2; i++) {
        const size_t begin = replay_tail_begin(&stage->row);
        dr_buf_put(&stage->row, dr_slice_text(tails[i]));
        replay_tail_end(&stage->row, begin);
    }
    replay_put_row(stage->replay, dr_buf_slice(&stage->row));
}

static struct replay_follower *follow(struct stage *stage, uint64_t after) {
    struct replay_follower *follower = dr_alloc_zero(1, sizeof *follower);
    assert_non_null(follower);
    follower->mailbox = stage->mailbox;
    follower->told = follower_told;
    assert_int_equal(replay_follow(stage->table, DR_LIT("r1"), DR_LIT("a1"), after,
                                   dr_loop_now(stage->loop), follower),
                     DR_OK);
    return follower;
}

static void expect_line(struct stage *stage, const char *line) {
    dr_buf_put_char(&stage->line, '\0');
    assert_int_equal(dr_buf_status(&stage->line), DR_OK);
    assert_string_equal(stage->line.data, line);
    dr_buf_reset(&stage->line);
}

static void test_a_row_can_be_walked_tail_by_tail(void **state) {
    (void)state;
    struct stage stage = stage_of();
    put_rows(&stage, "one", "");
    dr_slice rest = dr_buf_slice(&stage.row);
    dr_slice tail;
    assert_true(replay_row_next(&rest, &tail));
    assert_true(dr_slice_is(tail, DR_LIT("one")));
    assert_true(replay_row_next(&rest, &tail));
    assert_int_equal(tail.len, 0);
    assert_false(replay_row_next(&rest, &tail));
    replay_close(stage.replay, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_rows_and_single_frames_are_counted_alike(void **state) {
    (void)state;
    struct stage stage = stage_of();
    put_rows(&stage, "one", "two");
    replay_put(stage.replay, DR_LIT("three"));
    struct replay_follower *follower = follow(&stage, 1);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_WAITS);
    expect_line(&stage, "2=two 3=three ");
    put_rows(&stage, "four", "five");
    replay_close(stage.replay, true, dr_loop_now(stage.loop));
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_ENDED);
    expect_line(&stage, "4=four 5=five ");
    replay_leave(follower);
    stage_close(&stage);
}

static void test_a_kept_record_can_be_read_behind_its_end(void **state) {
    (void)state;
    struct stage stage = stage_of();
    put_rows(&stage, "one", "two");
    replay_close(stage.replay, true, dr_loop_now(stage.loop));
    struct replay_follower *follower = follow(&stage, 0);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_ENDED);
    expect_line(&stage, "1=one 2=two ");
    replay_leave(follower);
    stage_close(&stage);
}

static void test_a_row_beyond_the_limit_ends_the_keeping(void **state) {
    (void)state;
    struct stage stage = stage_of();
    put_rows(&stage, "one", "two");
    assert_true(replay_is_kept(stage.replay));
    dr_buf_reset(&stage.row);
    const size_t begin = replay_tail_begin(&stage.row);
    char *room = dr_buf_reserve(&stage.row, REPLAY_BYTES_MAX);
    assert_non_null(room);
    memset(room, 'x', REPLAY_BYTES_MAX);
    dr_buf_commit(&stage.row, REPLAY_BYTES_MAX);
    replay_tail_end(&stage.row, begin);
    replay_put_row(stage.replay, dr_buf_slice(&stage.row));
    assert_false(replay_is_kept(stage.replay));
    replay_close(stage.replay, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_can_be_walked_tail_by_tail),
        cmocka_unit_test(test_rows_and_single_frames_are_counted_alike),
        cmocka_unit_test(test_a_kept_record_can_be_read_behind_its_end),
        cmocka_unit_test(test_a_row_beyond_the_limit_ends_the_keeping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
