/* Tests of net/sse: what comes out does not depend on where the bytes were cut, and the raws
 * together are the stream. An event is written down as name|id|data, with - for no data, ended by
 * a bar and a dot. */
#include "net/sse.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT(text) \
    { "" text, sizeof(text) - 1 }

struct transcript {
    struct dr_buf events;
    struct dr_buf raw; /* of all events in their order */
    size_t event_count;
    bool has_failed;
};

static void init_transcript(struct transcript *transcript) {
    *transcript = (struct transcript){0};
    dr_buf_init(&transcript->events, 1 << 24);
    dr_buf_init(&transcript->raw, 1 << 24);
}

static void clear_transcript(struct transcript *transcript) {
    dr_buf_clear(&transcript->events);
    dr_buf_clear(&transcript->raw);
}

static void note_event(struct transcript *transcript, const struct dr_sse_event *event) {
    struct dr_buf *events = &transcript->events;
    ++transcript->event_count;
    dr_buf_put(&transcript->raw, event->raw);
    dr_buf_put(events, event->name);
    dr_buf_put_char(events, '|');
    dr_buf_put(events, event->id);
    dr_buf_put_char(events, '|');
    dr_buf_put(events, event->has_data ? event->data : DR_LIT("-"));
    dr_buf_put(events, DR_LIT("|."));
}

/* Offers a piece in a block of its own, so that a byte read beyond it is noticed. */
static void feed(struct dr_sse_reader *reader, dr_slice piece, struct transcript *transcript) {
    char *block = dr_alloc(piece.len);
    assert_non_null(block);
    if (piece.len > 0) memcpy(block, piece.data, piece.len);
    dr_slice bytes = {block, piece.len};
    enum dr_sse_progress progress;
    do {
        struct dr_sse_event event;
        progress = dr_sse_read(reader, &bytes, &event);
        if (progress == DR_SSE_EVENT) note_event(transcript, &event);
    } while (progress == DR_SSE_EVENT);
    if (progress == DR_SSE_NEED_MORE) assert_int_equal(bytes.len, 0);
    if (progress == DR_SSE_TOO_LARGE) transcript->has_failed = true;
    dr_free(block);
}

/* Reads `input` in a first piece of `cut` bytes and then in pieces of `step`. */
static struct transcript read_cut(dr_slice input, size_t cut, size_t step, size_t event_bytes_max) {
    struct transcript transcript;
    init_transcript(&transcript);
    struct dr_sse_reader *reader = dr_sse_reader_new(event_bytes_max);
    assert_non_null(reader);
    feed(reader, dr_slice_first(input, cut), &transcript);
    for (size_t at = cut; at < input.len; at += step) {
        feed(reader, dr_slice_first(dr_slice_from(input, at), step), &transcript);
    }
    if (!transcript.has_failed) {
        assert_int_equal(transcript.raw.len + dr_sse_reader_kept(reader), input.len);
        struct dr_sse_event event;
        if (dr_sse_read_end(reader, &event) == DR_SSE_EVENT) note_event(&transcript, &event);
        assert_int_equal(dr_sse_read_end(reader, &event), DR_SSE_NEED_MORE);
        if (!dr_slice_is(dr_buf_slice(&transcript.raw), input)) {
            fail_msg("cut at %zu: the raws are not the stream", cut);
        }
    } else {
        dr_buf_put(&transcript.events, DR_LIT("too large"));
    }
    dr_sse_reader_free(reader);
    assert_int_equal(dr_buf_status(&transcript.events), DR_OK);
    return transcript;
}

static void compare(const char *name, size_t cut, struct transcript *parts,
                    const struct transcript *whole) {
    if (!dr_slice_is(dr_buf_slice(&parts->events), dr_buf_slice(&whole->events)) ||
        parts->event_count != whole->event_count) {
        fail_msg("%s: cut at %zu gives other events", name, cut);
    }
    clear_transcript(parts);
}

struct reading_case {
    const char *name;
    dr_slice input;
    const char *expected;
};

static void check_case(const struct reading_case *reading, size_t event_bytes_max) {
    const dr_slice input = reading->input;
    struct transcript whole = read_cut(input, input.len, 1, event_bytes_max);
    if (!dr_slice_is(dr_buf_slice(&whole.events), dr_slice_text(reading->expected))) {
        fail_msg("%s: expected %s, got %.*s", reading->name, reading->expected,
                 DR_FMT(dr_buf_slice(&whole.events)));
    }
    for (size_t cut = 0; cut <= input.len; ++cut) {
        struct transcript parts = read_cut(input, cut, input.len + 1, event_bytes_max);
        compare(reading->name, cut, &parts, &whole);
        parts = read_cut(input, cut, 1, event_bytes_max);
        compare(reading->name, cut, &parts, &whole);
    }
    clear_transcript(&whole);
}

static void test_events_are_read_as_whatwg_says(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"nothing", TEXT(""), ""},
        {"plain", TEXT("data: a\n\n"), "||a|."},
        {"two", TEXT("data: a\n\ndata: b\n\n"), "||a|.||b|."},
        {"no blank behind colon", TEXT("data:a\n\n"), "||a|."},
        {"one blank is taken", TEXT("data:  a \n\n"), "|| a |."},
        {"empty data", TEXT("data:\n\ndata: \n\ndata\n\n"), "|||.|||.|||."},
        {"crlf", TEXT("data: a\r\n\r\ndata: b\r\n\r\n"), "||a|.||b|."},
        {"cr", TEXT("data: a\r\rdata: b\r\r"), "||a|.||b|."},
        {"mixed ends", TEXT("data: a\r\n\ndata: b\n\rdata: c\r\r\ndata: d\n\r\n"),
         "||a|.||b|.||c|.||d|."},
        {"cr inside a line", TEXT("data: a\revent: e\n\n"), "e||a|."},
        {"cr, then lines of lf", TEXT("data: a\rdata: b\ndata: c\r\n\n"), "||a\nb\nc|."},
        {"several data lines", TEXT("data: a\ndata:\ndata: c\n\n"), "||a\n\nc|."},
        {"all fields", TEXT("event: e\nid: 7\ndata: x\nretry: 5\nother: y\n\n"), "e|7|x|."},
        {"last field counts", TEXT("event: e\nevent: f\nid: 1\nid: 2\ndata: x\n\n"), "f|2|x|."},
        {"id with nul", TEXT("id: 1\0\ndata: x\n\n"), "||x|."},
        {"comment", TEXT(": waiting\n\n"), "||-|."},
        {"comment before an event", TEXT(": waiting\ndata: x\n\n"), "||x|."},
        {"openrouter's comment", TEXT(": OPENROUTER PROCESSING\n\ndata: {}\n\n"), "||-|.||{}|."},
        {"name alone", TEXT("event: ping\n\n"), "ping||-|."},
        {"field's case counts", TEXT("Data: x\ndata : y\n data: z\n\n"), "||-|."},
        {"longer and shorter fields", TEXT("dataset: x\ndat: y\nd\n:\n\n"), "||-|."},
        {"colon in data", TEXT("data: a:b: c\n\n"), "||a:b: c|."},
        {"more empty lines", TEXT("\n\ndata: x\n\n\n\n"), "||-|.||-|.||x|.||-|.||-|."},
        {"nul in data", TEXT("data: a\0b\n\n"), NULL},
        {"byte order mark",
         TEXT("\xef\xbb\xbf"
              "data: x\n\n"),
         "||x|."},
        {"byte order mark later",
         TEXT("data: x\n\n\xef\xbb\xbf"
              "data: y\n\n"),
         "||x|.||-|."},
        {"byte order mark, empty line", TEXT("\xef\xbb\xbf\ndata: x\n\n"), "||-|.||x|."},
        {"half a byte order mark",
         TEXT("\xef\xbb"
              "data: x\n\n"),
         "||-|."},
        {"half a byte order mark alone", TEXT("\xef\xbb"), "||-|."},
        {"half a mark, empty lines", TEXT("\xef\xbb\n\ndata: x\n\n"), "||-|.||x|."},
        {"cut without empty line", TEXT("data: a\n\ndata: [DONE]\n"), "||a|.||[DONE]|."},
        {"cut without line end", TEXT("data: a\n\ndata: [DONE]"), "||a|.||[DONE]|."},
        {"cut after cr", TEXT("data: a\r\n\r\ndata: [DONE]\r\n\r"), "||a|.||[DONE]|."},
        {"cut in a field's name", TEXT("data: a\n\ndat"), "||a|.||-|."},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct reading_case reading = cases[i];
        if (reading.expected) {
            check_case(&reading, 4096);
            continue;
        }
        struct transcript whole = read_cut(reading.input, reading.input.len, 1, 4096);
        assert_int_equal(whole.event_count, 1);
        assert_true(dr_slice_is(dr_buf_slice(&whole.events), DR_LIT("||a\0b|.")));
        clear_transcript(&whole);
    }
}

static void test_an_events_name_is_read_whatever_stands_behind_it(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"names", TEXT(": x\n\nevent: e\ndata: a\n\nevent:  f\ndata: b\n\nevent: \ndata: c\n\n"),
         "||-|.e||a|. f||b|.||c|."},
        {"names among other ends",
         TEXT(": x\n\nevent: e\rdata: a\n\nevent: e\r\ndata: b\n\nevent: e\ndata: c\r\n\nevent: e\n"
              "data: d\rdata: f\n\n"),
         "||-|.e||a|.e||b|.e||c|.e||d\nf|."},
        {"a name of 40 and one of 41 bytes",
         TEXT(": x\n\nevent: 1234567890123456789012345678901234567890\ndata: a\n\n"
              "event: 12345678901234567890123456789012345678901\ndata: b\n\n"),
         "||-|.1234567890123456789012345678901234567890||a|."
         "12345678901234567890123456789012345678901||b|."},
        {"a name, then no data", TEXT(": x\n\nevent: e\nid: 7\ndata: a\n\nevent: e\n\n"),
         "||-|.e|7|a|.e||-|."},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) check_case(&cases[i], 4096);
}

static void test_an_event_that_was_cut_is_told_what_it_lacks(void **state) {
    (void)state;
    static const struct {
        dr_slice raw;
        const char *missing;
    } cases[] = {
        {TEXT("data: a"), "\n\n"},
        {TEXT("data: a\n"), "\n"},
        {TEXT("data: a\r\n"), "\n"},
        {TEXT("data: a\r"), "\n\n"},
        {TEXT("data: a\n\n"), ""},
        {TEXT("data: a\r\n\r\n"), ""},
        {TEXT("data: a\r\n\r"), ""},
        {TEXT("data: a\r\r"), ""},
        {TEXT("data: a\n\ndata: b"), "\n\n"},
        {TEXT(": a"), "\n\n"},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        const dr_slice missing = dr_sse_missing_end(cases[i].raw);
        assert_true(dr_slice_is(missing, dr_slice_text(cases[i].missing)));
    }
}

static void test_an_event_may_have_n_bytes_and_not_one_more(void **state) {
    (void)state;
    static const struct reading_case fits[] = {
        {"plain of nine", TEXT("data: a\n\ndata: b\n\n"), "||a|.||b|."},
        {"crlf of nine", TEXT("data:\r\n\r\ndata:\r\n\r\n"), "|||.|||."},
        {"cr of nine", TEXT("data: a\r\rdata: b\r\r"), "||a|.||b|."},
        {"cut of nine", TEXT("data: abc"), "||abc|."},
    };
    for (size_t i = 0; i < COUNT(fits); ++i) check_case(&fits[i], 9);
    static const struct reading_case excess[] = {
        {"plain of ten", TEXT("data: a\n\ndata: bc\n\n"), "||a|.too large"},
        {"crlf of ten", TEXT("data: \r\n\r\n"), "too large"},
        {"cut of ten", TEXT("data: abcd"), "too large"},
        {"many", TEXT("data: 01234567890123456789\n\n"), "too large"},
    };
    for (size_t i = 0; i < COUNT(excess); ++i) check_case(&excess[i], 9);
}

static void test_whole_events_are_read_where_they_lie(void **state) {
    (void)state;
    static const char text[] = "data: a\n\nevent: e\ndata: b\n\n: c\n\n";
    struct dr_sse_reader *reader = dr_sse_reader_new(4096);
    const uint64_t allocations = dr_alloc_count();
    dr_slice bytes = {text, sizeof text - 1};
    struct dr_sse_event event;
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_EVENT);
    assert_ptr_equal(event.raw.data, text);
    assert_ptr_equal(event.data.data, text + 6);
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_EVENT);
    assert_ptr_equal(event.raw.data, text + 9);
    assert_ptr_equal(event.data.data, text + 24);
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_EVENT);
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_NEED_MORE);
    assert_int_equal(dr_alloc_count(), allocations);
    dr_sse_reader_free(reader);
}

static void test_exhausted_memory_is_told_and_sticks(void **state) {
    (void)state;
    dr_alloc_fail_at(1);
    assert_null(dr_sse_reader_new(100));
    struct dr_sse_reader *reader = dr_sse_reader_new(100);
    dr_slice bytes = DR_LIT("data: a");
    struct dr_sse_event event;
    dr_alloc_fail_at(1);
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_NO_MEMORY);
    dr_alloc_fail_at(0);
    assert_int_equal(dr_sse_read(reader, &bytes, &event), DR_SSE_NO_MEMORY);
    assert_int_equal(dr_sse_read_end(reader, &event), DR_SSE_NO_MEMORY);
    dr_sse_reader_free(reader);
}

/* --- recorded streams ------------------------------------------------------------------------- */

enum { EVERY_CUT_BYTES = 4096 };

static void read_file(const char *path, struct dr_buf *ret_bytes) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    dr_buf_init(ret_bytes, 1 << 24);
    size_t len = 0;
    do {
        char *room = dr_buf_reserve(ret_bytes, 65536);
        assert_non_null(room);
        len = fread(room, 1, 65536, file);
        dr_buf_commit(ret_bytes, len);
    } while (len > 0);
    assert_int_equal(ferror(file), 0);
    (void)fclose(file);
}

/* One reader for all cuts of a long recording would take minutes, so that a cut is tried within
 * the window of events around it: the reader holds nothing across the end of an event. */
static void check_recording(const char *path) {
    struct dr_buf bytes;
    read_file(path, &bytes);
    const dr_slice input = dr_buf_slice(&bytes);
    struct transcript whole = read_cut(input, input.len, 1, 1 << 22);
    assert_true(whole.event_count > 0);
    struct transcript parts = read_cut(input, 0, 1, 1 << 22);
    compare(path, 0, &parts, &whole);
    parts = read_cut(input, 0, 7, 1 << 22);
    compare(path, 7, &parts, &whole);

    struct dr_sse_reader *reader = dr_sse_reader_new(1 << 22);
    assert_non_null(reader);
    dr_slice rest = input;
    struct dr_sse_event event;
    while (dr_sse_read(reader, &rest, &event) == DR_SSE_EVENT) {
        const size_t end = (size_t)(rest.data - input.data);
        const dr_slice window =
            dr_slice_first(dr_slice_from(input, end - event.raw.len), event.raw.len + 40);
        struct transcript uncut = read_cut(window, window.len, 1, 1 << 22);
        /* Every cut of all but a few very long events. */
        const size_t step = 1 + window.len / EVERY_CUT_BYTES;
        for (size_t cut = 0; cut <= window.len; cut += step) {
            parts = read_cut(window, cut, window.len + 1, 1 << 22);
            compare(path, end - event.raw.len + cut, &parts, &uncut);
        }
        clear_transcript(&uncut);
    }
    dr_sse_reader_free(reader);
    clear_transcript(&whole);
    dr_buf_clear(&bytes);
}

static size_t check_folder(const char *folder) {
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    size_t count = 0;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        const dr_slice name = dr_slice_text(entry->d_name);
        char path[1024];
        assert_true(snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path);
        if (entry->d_type == DT_DIR && name.data[0] != '.') {
            count += check_folder(path);
        } else if (dr_slice_ends(name, DR_LIT(".sse"))) {
            check_recording(path);
            ++count;
        }
    }
    (void)closedir(directory);
    return count;
}

static void test_recorded_streams_come_out_whole_at_every_cut(void **state) {
    (void)state;
    assert_true(check_folder(DR_FIXTURES) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_read_as_whatwg_says),
        cmocka_unit_test(test_an_events_name_is_read_whatever_stands_behind_it),
        cmocka_unit_test(test_an_event_that_was_cut_is_told_what_it_lacks),
        cmocka_unit_test(test_an_event_may_have_n_bytes_and_not_one_more),
        cmocka_unit_test(test_whole_events_are_read_where_they_lie),
        cmocka_unit_test(test_exhausted_memory_is_told_and_sticks),
        cmocka_unit_test(test_recorded_streams_come_out_whole_at_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
