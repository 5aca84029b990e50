/* Deltas that are read without a tree, and written without a look at each byte, mean what a parser
 * finds in them. */
#include "dialect/anthropic_delta.h"

#include "base/arena.h"
#include "dialect/dialect.h"
#include "dialect/openai_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_BYTES_MAX = 64 * 1024, PAYLOAD_BYTES_MAX = 512 };

#define DELTA(index, words) \
    "{\"type\":\"content_block_delta\",\"index\":" index ",\"delta\":{\"type\":\"" words "}}"
#define TEXT(index, text) DELTA(index, "text_delta\",\"text\":\"" text "\"")
#define THINKING(text) DELTA("0", "thinking_delta\",\"thinking\":\"" text "\"")
#define ARGUMENTS(index, text) DELTA(index, "input_json_delta\",\"partial_json\":\"" text "\"")

static const char start[] =
    "{\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"content\":[]}}";
static const char call_start[] =
    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\","
    "\"id\":\"t\",\"name\":\"f\",\"input\":{}}}";

static const char *const usual[] = {
    TEXT("0", "ab"),
    TEXT("1", "caf\xc3\xa9"),
    TEXT("0", "longer than two words \xf0\x9f\x98\x80 of eight"),
    TEXT("0", "a \\\"quote\\\"\\n"),
    TEXT("12", ""),
    TEXT("0", "padded") "   ",
    THINKING("hm"),
    ARGUMENTS("1", "{\\\"a\\\":1}"),
    ARGUMENTS("2", "of no call"),
};

/* One answer, from a reader of its own to the client's bytes. */
struct line {
    struct dialect_reader *reader;
    struct dialect_stream stream;
    struct dr_arena arena;
    struct openai_writer writer;
    struct dr_buf said;
};

/* What has been said goes on with what `payload` means, or with a word that it was refused. */
static void line_say(struct line *line, dr_slice payload) {
    struct answer_chunk chunk;
    struct dr_error error;
    if (dialect_read_event(DIALECT_ANTHROPIC, line->reader, &line->stream, payload, payload, &chunk,
                           &error)) {
        dr_buf_put(&line->said, DR_LIT("refused\n"));
        return;
    }
    assert_true(openai_put_events(&line->writer, &chunk, &line->said));
    dr_buf_format(&line->said, "%u %zu\n", (unsigned)chunk.output_bytes, chunk.event_count);
}

static void line_open(struct line *line) {
    static const struct openai_writer_options options = {.id = {"i", 1}, .model = {"m", 1}};
    *line = (struct line){.reader = dialect_reader_new()};
    assert_non_null(line->reader);
    dr_arena_init(&line->arena, TEXT_BYTES_MAX, NULL);
    dr_buf_init(&line->said, TEXT_BYTES_MAX);
    openai_writer_init(&line->writer, &line->arena, &options);
    line_say(line, dr_slice_text(start));
    line_say(line, dr_slice_text(call_start));
}

static void line_close(struct line *line) {
    dr_buf_clear(&line->said);
    dr_arena_clear(&line->arena);
    dialect_reader_free(line->reader);
}

/* A blank behind the first brace changes nothing but who reads it. */
static dr_slice unusual(dr_slice payload, char text[PAYLOAD_BYTES_MAX]) {
    if (payload.len == 0 || payload.data[0] != '{') return payload;
    assert_true(payload.len + 1 <= PAYLOAD_BYTES_MAX);
    text[0] = '{';
    text[1] = ' ';
    memcpy(text + 2, payload.data + 1, payload.len - 1);
    return dr_slice_of(text, payload.len + 1);
}

/* Behind `before`, without it in mind, and by the parser. */
static void expect_one_meaning(dr_slice before, dr_slice payload) {
    char text[PAYLOAD_BYTES_MAX];
    struct line quick;
    struct line parsed;
    line_open(&quick);
    line_open(&parsed);
    line_say(&quick, before);
    line_say(&parsed, unusual(before, text));
    line_say(&quick, payload);
    line_say(&parsed, unusual(payload, text));
    if (!dr_slice_is(dr_buf_slice(&quick.said), dr_buf_slice(&parsed.said))) {
        fail_msg("%.*s\nbehind   %.*s\ngives    %.*s\nnot      %.*s", DR_FMT(payload),
                 DR_FMT(before), DR_FMT(dr_buf_slice(&quick.said)),
                 DR_FMT(dr_buf_slice(&parsed.said)));
    }
    line_close(&quick);
    line_close(&parsed);
}

static void test_a_delta_means_what_the_parser_finds_in_it(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        for (size_t k = 0; k < sizeof usual / sizeof usual[0]; k++) {
            expect_one_meaning(dr_slice_text(usual[i]), dr_slice_text(usual[k]));
        }
    }
}

static void test_a_changed_delta_does_so_too(void **state) {
    static const char bytes[] = {'"', '\\', 'z', '}', ' ', '\x01', '\x80', '\xc3', '1', 'n'};
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        const dr_slice before = dr_slice_text(usual[i]);
        char changed[PAYLOAD_BYTES_MAX];
        for (size_t at = 1; at <= before.len; at++) {
            for (size_t k = 0; k < sizeof bytes; k++) {
                /* one byte in the place of none or one */
                for (size_t gone = 0; gone <= 1 && at + gone <= before.len; gone++) {
                    memcpy(changed, before.data, at);
                    changed[at] = bytes[k];
                    memcpy(changed + at + 1, before.data + at + gone, before.len - at - gone);
                    expect_one_meaning(before, dr_slice_of(changed, before.len + 1 - gone));
                }
            }
            expect_one_meaning(before, dr_slice_first(before, at));
        }
    }
}

static void test_only_what_stands_so_in_any_string_is_plain(void **state) {
    static const struct {
        const char *payload;
        bool is_plain;
    } cases[] = {
        {TEXT("0", "good day"), true},    {TEXT("0", "caf\xc3\xa9"), true},
        {TEXT("0", "a \\n line"), false}, {TEXT("0", "half \\ud83d"), false},
        {TEXT("0", "behind it"), false},  {TEXT("0", "again"), true},
        {ARGUMENTS("1", "{"), true},
    };
    struct anthropic_usual memory = {.head_len = 0};
    struct dr_buf scratch;
    (void)state;
    dr_buf_init(&scratch, TEXT_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct anthropic_delta delta;
        assert_true(
            anthropic_delta_read(&memory, dr_slice_text(cases[i].payload), &scratch, &delta));
        if (delta.is_plain != cases[i].is_plain) fail_msg("%s", cases[i].payload);
    }
    dr_buf_clear(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_delta_means_what_the_parser_finds_in_it),
        cmocka_unit_test(test_a_changed_delta_does_so_too),
        cmocka_unit_test(test_only_what_stands_so_in_any_string_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
