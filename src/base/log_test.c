/* Lines as they reach standard error, which each test replaces by a file in memory. */
#include "base/log.h"

#include "base/instant.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
    int file;
    int saved;
    char text[1 << 20];
    size_t len;
};
static struct capture capture;

static void capture_begin(void) {
    capture.file = memfd_create("log", 0);
    assert_true(capture.file >= 0);
    /* A file in memory keeps the order of its writers only when they append. */
    assert_int_equal(fcntl(capture.file, F_SETFL, O_APPEND), 0);
    capture.saved = dup(STDERR_FILENO);
    assert_true(dup2(capture.file, STDERR_FILENO) >= 0);
}

static dr_slice capture_end(void) {
    assert_true(dup2(capture.saved, STDERR_FILENO) >= 0);
    (void)close(capture.saved);
    const ssize_t len = pread(capture.file, capture.text, sizeof(capture.text), 0);
    assert_true(len >= 0);
    (void)close(capture.file);
    return (dr_slice){capture.text, (size_t)len};
}

/* Behind the time, which every line must begin with. */
static dr_slice behind_time(dr_slice line) {
    dr_wall wall;
    assert_true(line.len > 25);
    assert_true(dr_wall_parse(dr_slice_first(line, 24), &wall));
    assert_int_equal(line.data[24], ' ');
    return dr_slice_from(line, 25);
}

static void test_line_has_time_level_event_and_rest(void **state) {
    (void)state;
    capture_begin();
    errno = 5;
    dr_log(DR_LOG_INFO, "exchange.settled", "id=%s status=%u", "req_1", 200u);
    assert_int_equal(errno, 5);
    const dr_slice line = capture_end();
    assert_true(
        dr_slice_is(behind_time(line), DR_LIT("info exchange.settled id=req_1 status=200\n")));
}

static void test_event_alone_has_no_trailing_blank(void **state) {
    (void)state;
    static const char nothing[] = "";
    capture_begin();
    dr_log(DR_LOG_ERROR, "drover.ready", "%s", nothing);
    const dr_slice line = capture_end();
    assert_true(dr_slice_starts(behind_time(line), DR_LIT("error drover.ready")));
    assert_true(dr_slice_ends(line, DR_LIT("ready\n")));
}

static void test_lines_above_the_level_are_dropped(void **state) {
    (void)state;
    capture_begin();
    dr_log(DR_LOG_DEBUG, "quiet", "a=%d", 1);
    dr_log_set_level(DR_LOG_WARN);
    dr_log(DR_LOG_INFO, "quiet", "a=%d", 1);
    dr_log(DR_LOG_WARN, "loud", "a=%d", 1);
    assert_false(dr_log_is_on(DR_LOG_INFO));
    assert_true(dr_log_is_on(DR_LOG_ERROR));
    dr_log_set_level(DR_LOG_INFO);
    const dr_slice text = capture_end();
    assert_int_equal(dr_slice_find(text, DR_LIT("quiet")), text.len);
    assert_true(dr_slice_find(text, DR_LIT("loud")) < text.len);
}

static void test_controls_and_broken_text_are_replaced(void **state) {
    (void)state;
    capture_begin();
    dr_log(DR_LOG_INFO, "a", "x=%s",
           "1\n2\r3\t4\x1b[31m5\x7f"
           "6\xC2\x9B"
           "7\xC3\xA4\xC2\xA0");
    dr_slice text = capture_end();
    assert_true(
        dr_slice_is(behind_time(text), DR_LIT("info a x=1?2?3?4?[31m5?6??7\xC3\xA4\xC2\xA0\n")));
    capture_begin();
    dr_log(DR_LOG_INFO, "a", "x=%s", "\xFF\xC3\xA4");
    text = capture_end();
    assert_true(dr_slice_is(behind_time(text), DR_LIT("info a x=???\n")));
}

static void test_long_line_is_cut_at_a_character(void **state) {
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char long_text[4001];
        for (size_t i = 0; i < 4000; i += 4) memcpy(long_text + i, "\xF0\x9F\x98\x80", 4);
        long_text[4000] = '\0';
        capture_begin();
        dr_log(DR_LOG_INFO, "a", "%.*s%s", (int)shift, "zzzz", long_text);
        const dr_slice line = capture_end();
        assert_true(line.len <= 2048 && line.len > 2040);
        assert_int_equal(line.data[line.len - 1], '\n');
        assert_true(dr_utf8_is_valid(line));
        assert_int_equal(dr_slice_find_char(line, '?'), line.len);
    }
}

static void test_level_names_are_read(void **state) {
    (void)state;
    enum dr_log_level level = DR_LOG_INFO;
    assert_true(dr_log_level_parse(DR_LIT("debug"), &level));
    assert_int_equal(level, DR_LOG_DEBUG);
    assert_true(dr_log_level_parse(DR_LIT("error"), &level));
    assert_int_equal(level, DR_LOG_ERROR);
    assert_false(dr_log_level_parse(DR_LIT("Error"), &level));
    assert_false(dr_log_level_parse(DR_NONE, &level));
}

enum { THREAD_COUNT = 4, LINES_PER_THREAD = 1000 };

static void *log_many(void *owner) {
    (void)owner;
    for (int i = 0; i < LINES_PER_THREAD; i++) dr_log(DR_LOG_WARN, "many", "n=%d", i);
    return NULL;
}

static void test_flood_from_threads_is_capped_counted_and_whole(void **state) {
    (void)state;
    capture_begin();
    const dr_instant begin = dr_instant_now();
    pthread_t threads[THREAD_COUNT];
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    }
    for (int i = 0; i < THREAD_COUNT; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    const int64_t seconds_max = dr_instant_us_since(dr_instant_now(), begin) / 1000000 + 2;
    /* The first line of a later second tells what was dropped. */
    const int64_t second = dr_instant_now().us / 1000000;
    size_t extra = 0;
    while (dr_instant_now().us / 1000000 == second) extra++;
    dr_log(DR_LOG_WARN, "last", "extra=%d", (int)(extra > 0));
    dr_slice rest = capture_end();

    uint64_t written = 0;
    uint64_t dropped = 0;
    while (rest.len > 0) {
        const dr_slice line = behind_time(dr_slice_split(&rest, '\n'));
        const dr_slice report = DR_LIT("warn log.dropped level=warn lines=");
        if (dr_slice_starts(line, report)) {
            uint64_t lines = 0;
            assert_true(dr_slice_to_u64(dr_slice_from(line, report.len), &lines));
            dropped += lines;
        } else if (dr_slice_starts(line, DR_LIT("warn many n="))) {
            written++;
        } else {
            assert_true(dr_slice_starts(line, DR_LIT("warn last ")));
        }
    }
    assert_true(written >= 1 && written <= (uint64_t)seconds_max * 1000);
    assert_int_equal(written + dropped, THREAD_COUNT * LINES_PER_THREAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_has_time_level_event_and_rest),
        cmocka_unit_test(test_event_alone_has_no_trailing_blank),
        cmocka_unit_test(test_lines_above_the_level_are_dropped),
        cmocka_unit_test(test_controls_and_broken_text_are_replaced),
        cmocka_unit_test(test_long_line_is_cut_at_a_character),
        cmocka_unit_test(test_level_names_are_read),
        cmocka_unit_test(test_flood_from_threads_is_capped_counted_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
