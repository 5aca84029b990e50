/* The pipe in memory behaves as a connection does. */
#include "net/stream.h"

#include "net/stream_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct line {
    struct dr_loop *loop;
    struct probe a;
    struct probe b;
};

static void line_open(struct line *line, size_t capacity) {
    assert_int_equal(dr_loop_new(&line->loop, NULL), DR_OK);
    probe_init(&line->a, line->loop);
    probe_init(&line->b, line->loop);
    struct dr_stream *a;
    struct dr_stream *b;
    assert_int_equal(dr_stream_pair(line->loop, capacity, &a, &b, NULL), DR_OK);
    probe_take(&line->a, a);
    probe_take(&line->b, b);
}

static void line_close(struct line *line) {
    probe_end(&line->a);
    probe_end(&line->b);
    dr_loop_free(line->loop);
}

static void test_bytes_cross_in_both_directions_but_never_inside_write(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 1000);
    line.b.echoes = true;
    assert_int_equal(say(&line.a, DR_LIT("hello")), DR_OK);
    assert_int_equal(line.b.pieces, 0);
    RUN_UNTIL(line.loop, line.a.received.len == 5);
    assert_memory_equal(line.a.received.data, "hello", 5);
    line_close(&line);
}

static void test_beyond_the_capacity_bytes_wait_and_drain(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 10);
    dr_stream_pause(line.b.stream);
    assert_int_equal(say(&line.a, DR_LIT("0123456789abcdefghijklmnopq")), DR_OK);
    assert_int_equal(dr_stream_pending(line.a.stream), 17);
    dr_stream_finish(line.a.stream);
    for (int i = 0; i < 5; i++) dr_loop_run_once(line.loop, 0);
    assert_int_equal(line.b.pieces + line.a.drained, 0);
    dr_stream_resume(line.b.stream);
    RUN_UNTIL(line.loop, line.b.ended == 1);
    assert_int_equal(line.b.received.len, 27);
    assert_memory_equal(line.b.received.data, "0123456789abcdefghijklmnopq", 27);
    assert_int_equal(line.b.pieces, 3);
    assert_int_equal(line.a.drained, 1);
    line_close(&line);
}

static void test_the_pending_limit_holds(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 10);
    dr_stream_set_pending_max(line.a.stream, 5);
    assert_int_equal(say(&line.a, DR_LIT("0123456789abcdef")), DR_TOO_LARGE);
    assert_int_equal(say(&line.a, DR_LIT("0123456789abcde")), DR_OK);
    assert_int_equal(dr_stream_pending(line.a.stream), 5);
    line_close(&line);
}

static void test_a_reset_fails_the_other_end(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 100);
    dr_stream_reset(line.a.stream);
    RUN_UNTIL(line.loop, line.b.failed == 1 && line.a.closed == 1);
    assert_string_equal(line.b.error.text, "connection reset by peer");
    line_close(&line);
}

static void test_close_is_seen_as_end_and_writing_on_fails_later(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 100);
    assert_int_equal(say(&line.a, DR_LIT("last words")), DR_OK);
    dr_stream_close(line.a.stream);
    assert_int_equal(line.a.closed, 0);
    RUN_UNTIL(line.loop, line.b.ended == 1);
    assert_int_equal(line.b.received.len, 10);
    assert_int_equal(say(&line.b, DR_LIT("x")), DR_CLOSED);
    assert_int_equal(line.b.failed, 0);
    RUN_UNTIL(line.loop, line.b.failed == 1);
    assert_string_equal(line.b.error.text, "broken pipe");
    char text[DR_ADDRESS_TEXT_BYTES];
    dr_stream_peer_text(line.b.stream, text);
    assert_string_equal(text, "memory");
    line_close(&line);
}

static void test_gathering_joins_pieces(void **state) {
    (void)state;
    struct line line;
    line_open(&line, 100);
    dr_stream_gather(line.b.stream);
    assert_int_equal(say(&line.a, DR_LIT("a")), DR_OK);
    dr_loop_run_once(line.loop, 0);
    assert_int_equal(say(&line.a, DR_LIT("b")), DR_OK);
    RUN_UNTIL(line.loop, line.b.received.len == 2);
    line_close(&line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_cross_in_both_directions_but_never_inside_write),
        cmocka_unit_test(test_beyond_the_capacity_bytes_wait_and_drain),
        cmocka_unit_test(test_the_pending_limit_holds),
        cmocka_unit_test(test_a_reset_fails_the_other_end),
        cmocka_unit_test(test_close_is_seen_as_end_and_writing_on_fails_later),
        cmocka_unit_test(test_gathering_joins_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
