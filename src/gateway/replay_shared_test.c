/* Records of answers: rows come back as they were put, frames are counted over all of them. */
#include "gateway/replay_shared.h"

#include "base/alloc.h"
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { ROOM = 16 * 1024 * 1024, KEEP_MS = 60000 };

struct stage {
    struct dr_loop *loop;
    struct dr_mailbox *mailbox;
    struct replay_table *table;
    struct replay_pen pen;
    unsigned facts; /* what the writer was told */
    struct dr_buf row;
    struct dr_buf line; /* what the follower took: "2=two " */
};

static void writer_told(void *owner, unsigned facts) {
    ((struct stage *)owner)->facts |= facts;
}

static int told_count;

static void follower_told(struct replay_follower *follower) {
    (void)follower;
    told_count++;
}

/* "2=two ", or "2=one+two/1 " where the first of two was skipped. */
static uint32_t note(void *owner, const struct replay_row *row) {
    dr_buf_format(owner, "%llu=%.*s", (unsigned long long)row->seq, DR_FMT(row->frames));
    if (row->skipped > 0) dr_buf_format(owner, "/%u", (unsigned)row->skipped);
    dr_buf_put_char(owner, ' ');
    return row->count;
}

static bool open_record_of(struct stage *stage, struct replay_pen *pen, const char *id,
                           const char *account_id) {
    const struct replay_writer writer = {stage->mailbox, writer_told, stage};
    return replay_open(pen, stage->table, dr_slice_text(id), dr_slice_text(account_id), KEEP_MS,
                       &writer);
}

static bool open_record(struct stage *stage, struct replay_pen *pen, const char *id) {
    return open_record_of(stage, pen, id, "a1");
}

/* With a record "r1". */
static void stage_open(struct stage *stage, size_t bytes_of_all) {
    *stage = (struct stage){.loop = NULL};
    told_count = 0;
    assert_int_equal(dr_loop_new(&stage->loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(stage->loop, &stage->mailbox, NULL), DR_OK);
    stage->table = replay_table_new(1, bytes_of_all, NULL);
    assert_non_null(stage->table);
    dr_buf_init(&stage->row, 4 * REPLAY_BYTES_MAX);
    dr_buf_init(&stage->line, 4 * REPLAY_BYTES_MAX);
    assert_true(open_record(stage, &stage->pen, "r1"));
}

static void turn(struct stage *stage) {
    for (int i = 0; i < 3; i++) dr_loop_run_once(stage->loop, 0);
}

static void stage_close(struct stage *stage) {
    turn(stage);
    dr_mailbox_close(stage->mailbox);
    turn(stage);
    replay_table_free(stage->table);
    dr_buf_clear(&stage->row);
    dr_buf_clear(&stage->line);
    dr_loop_free(stage->loop);
}

/* A row of frames with a "+" between them. */
static void put_row(struct stage *stage, const char *frames) {
    uint32_t count = 1;
    for (const char *at = frames; *at; at++) count += *at == '+';
    replay_put_row(&stage->pen, dr_slice_text(frames), count);
}

/* A row of one frame of `len` bytes. */
static void put_long(struct stage *stage, struct replay_pen *pen, size_t len, char byte) {
    dr_buf_reset(&stage->row);
    char *room = dr_buf_reserve(&stage->row, len + 1);
    assert_non_null(room);
    memset(room, byte, len);
    dr_buf_commit(&stage->row, len);
    replay_put_row(pen, dr_buf_slice(&stage->row), 1);
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

static void test_frames_are_counted_over_all_rows(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one+two");
    put_row(&stage, "three");
    struct replay_follower *follower = follow(&stage, 1);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_WAITS);
    expect_line(&stage, "2=one+two/1 3=three ");
    put_row(&stage, "four+five+six");
    put_row(&stage, "");
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_ENDED);
    expect_line(&stage, "4=four+five+six 7= ");
    replay_leave(follower);
    static const char *const lines[] = {
        "1=one+two 3=three 4=four+five+six 7= ",
        "2=one+two/1 3=three 4=four+five+six 7= ",
        "3=three 4=four+five+six 7= ",
        "4=four+five+six 7= ",
        "5=four+five+six/1 7= ",
        "6=four+five+six/2 7= ",
        "7= ",
        "",
    };
    for (size_t after = 0; after < sizeof lines / sizeof lines[0]; after++) {
        follower = follow(&stage, after);
        assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_ENDED);
        expect_line(&stage, lines[after]);
        replay_leave(follower);
    }
    stage_close(&stage);
}

/* One that wants no more than a frame is given the rest when it asks again. */
static uint32_t note_one(void *owner, const struct replay_row *row) {
    (void)note(owner, row);
    return row->skipped + 1;
}

static uint32_t note_none(void *owner, const struct replay_row *row) {
    (void)owner;
    return row->skipped;
}

static void test_who_wants_no_more_gets_the_rest_of_the_row_later(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one+two+three");
    put_row(&stage, "four");
    struct replay_follower *follower = follow(&stage, 1);
    assert_int_equal(replay_read(follower, &stage.line, note_none), REPLAY_WAITS);
    assert_int_equal(replay_read(follower, &stage.line, note_one), REPLAY_WAITS);
    expect_line(&stage, "2=one+two+three/1 ");
    assert_int_equal(replay_read(follower, &stage.line, note_one), REPLAY_WAITS);
    expect_line(&stage, "3=one+two+three/2 4=four ");
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    assert_int_equal(replay_read(follower, &stage.line, note_none), REPLAY_ENDED);
    replay_leave(follower);
    stage_close(&stage);
}

/* What stands on many leaves too, and is not dropped while some of it is left. */
static void test_a_row_beyond_the_limit_can_be_taken_in_parts(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    struct replay_follower *follower = follow(&stage, 0);
    turn(&stage);
    dr_buf_reset(&stage.row);
    for (size_t i = 0; i < REPLAY_BYTES_MAX; i++) dr_buf_put_char(&stage.row, (char)('a' + i % 23));
    replay_put_row(&stage.pen, dr_buf_slice(&stage.row), 3);
    for (uint32_t taken = 0; taken < 3; taken++) {
        const size_t pending = replay_pending(&stage.pen);
        assert_true(pending > REPLAY_BYTES_MAX && pending < REPLAY_BYTES_MAX + 64);
        dr_buf_reset(&stage.line);
        assert_int_equal(replay_read(follower, &stage.line, note_one), REPLAY_WAITS);
        assert_true(stage.line.len > REPLAY_BYTES_MAX);
        assert_memory_equal(stage.line.data + 2, stage.row.data, stage.row.len);
    }
    assert_true(replay_pending(&stage.pen) == 0);
    replay_leave(follower);
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_a_kept_record_can_be_read_behind_its_end(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one+two");
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    struct replay_follower *follower = follow(&stage, 0);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_ENDED);
    expect_line(&stage, "1=one+two ");
    replay_leave(follower);
    stage_close(&stage);
}

static void test_a_row_beyond_the_limit_ends_the_keeping(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one+two");
    assert_true(replay_is_kept(&stage.pen));
    put_long(&stage, &stage.pen, REPLAY_BYTES_MAX, 'x');
    assert_false(replay_is_kept(&stage.pen));
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

/* What lies on several leaves, at each offset to their borders. */
static void test_frames_of_any_length_come_back_as_they_were(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    size_t sum = 0;
    for (size_t len = 0; len < 9000; len += 61) put_long(&stage, &stage.pen, len, 'y');
    struct replay_follower *follower = follow(&stage, 1);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_WAITS);
    dr_slice rest = dr_buf_slice(&stage.line);
    for (size_t len = 61, seq = 2; len < 9000; len += 61, seq++) {
        char head[32];
        const int head_len = snprintf(head, sizeof head, "%zu=", seq);
        assert_true(dr_slice_starts(rest, dr_slice_of(head, (size_t)head_len)));
        rest = dr_slice_from(rest, (size_t)head_len);
        for (size_t i = 0; i < len; i++) assert_int_equal(rest.data[i], 'y');
        rest = dr_slice_from(rest, len + 1);
        sum += len;
    }
    assert_int_equal(rest.len, 0);
    assert_true(sum > 0);
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    replay_leave(follower);
    stage_close(&stage);
}

static void test_a_follower_that_was_not_yet_told_of_hears_of_what_was_put(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    struct replay_follower *follower = follow(&stage, 0);
    put_row(&stage, "one"); /* before the writer knows */
    turn(&stage);
    assert_int_equal(stage.facts, REPLAY_MOVED);
    assert_int_equal(told_count, 1);
    put_row(&stage, "two");
    turn(&stage);
    assert_int_equal(told_count, 2);
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_WAITS);
    expect_line(&stage, "1=one 2=two ");
    replay_leave(follower);
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_more_frames_than_there_are_cannot_be_skipped(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one+two");
    struct replay_follower *follower = dr_alloc_zero(1, sizeof *follower);
    assert_int_equal(replay_follow(stage.table, DR_LIT("r1"), DR_LIT("a1"), 3,
                                   dr_loop_now(stage.loop), follower),
                     DR_INVALID);
    assert_int_equal(replay_follow(stage.table, DR_LIT("r1"), DR_LIT("a2"), 2,
                                   dr_loop_now(stage.loop), follower),
                     DR_CLOSED);
    dr_free(follower);
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_a_record_beyond_the_limit_is_a_queue_for_its_follower(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    struct replay_follower *follower = follow(&stage, 0);
    turn(&stage);
    for (int i = 0; i < 100; i++) {
        put_long(&stage, &stage.pen, REPLAY_BYTES_MAX / 2, 'z'); /* more than there is room for */
        dr_buf_reset(&stage.line);
        assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_WAITS);
        assert_true(stage.line.len > REPLAY_BYTES_MAX / 2);
    }
    assert_false(replay_is_kept(&stage.pen));
    assert_true(replay_pending(&stage.pen) == 0);
    replay_leave(follower);
    turn(&stage);
    put_row(&stage, "nobody");
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_what_finds_no_room_is_told_to_the_follower_as_lost(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, DR_SHEET_BYTES);
    struct replay_pen others[8];
    for (size_t i = 0; i < 8; i++) {
        char id[] = {'o', (char)('0' + i), '\0'};
        assert_true(open_record(&stage, &others[i], id));
    }
    struct replay_follower *follower = follow(&stage, 0);
    put_row(&stage, "one");
    turn(&stage);
    /* Answers under way take all the room there is. */
    for (size_t i = 0; i < 8; i++) put_long(&stage, &others[i], REPLAY_BYTES_MAX / 2, 'o');
    put_long(&stage, &stage.pen, REPLAY_BYTES_MAX / 2, 'x');
    assert_false(replay_is_kept(&stage.pen));
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_LOST);
    expect_line(&stage, "1=one ");
    replay_leave(follower);
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    for (size_t i = 0; i < 8; i++) replay_close(&others[i], true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

static void test_an_answer_that_was_given_up_has_no_end(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    struct replay_follower *follower = follow(&stage, 0);
    put_row(&stage, "one");
    replay_close(&stage.pen, false, dr_loop_now(stage.loop));
    assert_int_equal(replay_read(follower, &stage.line, note), REPLAY_LOST);
    expect_line(&stage, "1=one ");
    replay_leave(follower);
    stage_close(&stage);
}

static void test_records_that_ended_make_room_for_those_under_way(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, DR_SHEET_BYTES);
    put_long(&stage, &stage.pen, REPLAY_BYTES_MAX - 100, 'x');
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    struct replay_pen pens[2];
    assert_true(open_record(&stage, &pens[0], "r2"));
    assert_true(open_record(&stage, &pens[1], "r3"));
    for (size_t i = 0; i < 2; i++) {
        put_long(&stage, &pens[i], REPLAY_BYTES_MAX * 9 / 10, 'x');
        assert_true(replay_is_kept(&pens[i]));
    }
    struct replay_follower *follower = dr_alloc_zero(1, sizeof *follower);
    assert_int_equal(replay_follow(stage.table, DR_LIT("r1"), DR_LIT("a1"), 0,
                                   dr_loop_now(stage.loop), follower),
                     DR_CLOSED);
    dr_free(follower);
    for (size_t i = 0; i < 2; i++) replay_close(&pens[i], true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

/* Whether it can be resumed. */
static bool has_record(struct stage *stage, const char *id, const char *account_id) {
    struct replay_follower *follower = dr_alloc_zero(1, sizeof *follower);
    assert_non_null(follower);
    follower->mailbox = stage->mailbox;
    follower->told = follower_told;
    const enum dr_status status =
        replay_follow(stage->table, dr_slice_text(id), dr_slice_text(account_id), 0,
                      dr_loop_now(stage->loop), follower);
    if (status == DR_OK) {
        replay_leave(follower);
    } else {
        assert_int_equal(status, DR_CLOSED);
        dr_free(follower);
    }
    return status == DR_OK;
}

static bool has_first(struct stage *stage) {
    return has_record(stage, "r1", "a1");
}

static void test_an_account_with_much_does_not_push_out_what_others_have(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, 2 * DR_SHEET_BYTES);
    put_row(&stage, "one");
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    /* Eight times as much as there is room for. */
    for (int i = 0; i < 32; i++) {
        struct replay_pen pen;
        char id[16];
        (void)snprintf(id, sizeof id, "b%d", i);
        assert_true(open_record_of(&stage, &pen, id, "a2"));
        put_long(&stage, &pen, REPLAY_BYTES_MAX * 9 / 10, 'x');
        assert_true(replay_is_kept(&pen));
        replay_close(&pen, true, dr_loop_now(stage.loop));
    }
    assert_true(has_first(&stage));
    /* What an account has no more than its part of gives way in turn. */
    for (int i = 0; i < 40; i++) {
        struct replay_pen pen;
        char id[16];
        char account_id[16];
        (void)snprintf(id, sizeof id, "c%d", i);
        (void)snprintf(account_id, sizeof account_id, "a%d", i);
        assert_true(open_record_of(&stage, &pen, id, account_id));
        put_long(&stage, &pen, REPLAY_BYTES_MAX / 3, 'x');
        replay_close(&pen, true, dr_loop_now(stage.loop));
    }
    assert_false(has_first(&stage));
    stage_close(&stage);
}

static void keep_short(struct stage *stage, const char *id, const char *account_id) {
    struct replay_pen pen;
    assert_true(open_record_of(stage, &pen, id, account_id));
    put_long(stage, &pen, 100, 'x');
    assert_true(replay_is_kept(&pen));
    replay_close(&pen, true, dr_loop_now(stage->loop));
}

/* "b0", "b1", ... of account "a2" until it, or the oldest of all, has given way. */
static void keep_until_one_gives_way(struct stage *stage) {
    char id[16];
    bool is_full = false;
    for (int i = 0; !is_full; i++) {
        assert_in_range(i, 0, 2000);
        (void)snprintf(id, sizeof id, "b%d", i);
        keep_short(stage, id, "a2");
        is_full = !has_record(stage, "b0", "a2") || !has_first(stage);
    }
}

/* Of many, several give way at once: by an account that has little more than its part of them no
 * more than that is to give, and nothing that others have. */
static void test_an_account_gives_no_more_than_it_has_too_much(void **state) {
    (void)state;
    int own = 0;
    for (int others = 860; others < 910; others++) {
        struct stage stage;
        char id[16];
        char account_id[16];
        stage_open(&stage, 2 * DR_SHEET_BYTES);
        put_row(&stage, "one");
        replay_close(&stage.pen, true, dr_loop_now(stage.loop));
        for (int i = 0; i < others; i++) {
            (void)snprintf(id, sizeof id, "c%d", i);
            (void)snprintf(account_id, sizeof account_id, "c%d", i % 16);
            keep_short(&stage, id, account_id);
        }
        keep_until_one_gives_way(&stage);
        assert_true(has_record(&stage, "b0", "a2") != has_first(&stage));
        own += has_first(&stage);
        stage_close(&stage);
    }
    assert_in_range(own, 1, 49); /* both ways were seen */
}

static void test_what_nobody_comes_back_to_goes_when_its_time_is_over(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    put_row(&stage, "one");
    const dr_instant ended = dr_loop_now(stage.loop);
    replay_close(&stage.pen, true, ended);
    replay_table_tidy(stage.table, dr_instant_after_ms(ended, KEEP_MS - 1));
    assert_true(has_first(&stage));
    assert_true(replay_table_bytes(stage.table) > 0);
    replay_table_tidy(stage.table, dr_instant_after_ms(ended, KEEP_MS));
    assert_false(has_first(&stage));
    assert_int_equal(replay_table_bytes(stage.table), 0);
    stage_close(&stage);
}

static void test_out_of_memory_there_is_no_record(void **state) {
    (void)state;
    struct stage stage;
    stage_open(&stage, ROOM);
    for (uint64_t nth = 1; nth <= 5; nth++) {
        struct replay_pen pen;
        dr_alloc_fail_at(nth);
        const bool is_open = open_record_of(&stage, &pen, "r2", "a2");
        dr_alloc_fail_at(0);
        assert_int_equal(is_open, pen.replay != NULL);
        if (is_open) replay_close(&pen, false, dr_loop_now(stage.loop));
        if (nth == 1) assert_false(is_open);
    }
    replay_close(&stage.pen, true, dr_loop_now(stage.loop));
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_counted_over_all_rows),
        cmocka_unit_test(test_who_wants_no_more_gets_the_rest_of_the_row_later),
        cmocka_unit_test(test_a_row_beyond_the_limit_can_be_taken_in_parts),
        cmocka_unit_test(test_a_kept_record_can_be_read_behind_its_end),
        cmocka_unit_test(test_a_row_beyond_the_limit_ends_the_keeping),
        cmocka_unit_test(test_frames_of_any_length_come_back_as_they_were),
        cmocka_unit_test(test_a_follower_that_was_not_yet_told_of_hears_of_what_was_put),
        cmocka_unit_test(test_more_frames_than_there_are_cannot_be_skipped),
        cmocka_unit_test(test_a_record_beyond_the_limit_is_a_queue_for_its_follower),
        cmocka_unit_test(test_what_finds_no_room_is_told_to_the_follower_as_lost),
        cmocka_unit_test(test_an_answer_that_was_given_up_has_no_end),
        cmocka_unit_test(test_records_that_ended_make_room_for_those_under_way),
        cmocka_unit_test(test_an_account_gives_no_more_than_it_has_too_much),
        cmocka_unit_test(test_an_account_with_much_does_not_push_out_what_others_have),
        cmocka_unit_test(test_what_nobody_comes_back_to_goes_when_its_time_is_over),
        cmocka_unit_test(test_out_of_memory_there_is_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
