/* What Gemini's answers say where no recording shows it: ids that are made up, mistakes behind
 * thoughts, answers without an end, numbers that JSON has not. */
#include "dialect/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOLD_BYTES_MAX = 4096, ID_BYTES = 21 };

#define PART(part, more) \
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" part "]}" more "}]}"
#define STOP ",\"finishReason\":\"STOP\""
#define TEXT PART("{\"text\":\"good day\"}", "")
#define THOUGHT "{\"text\":\"hm\",\"thought\":true}"
#define CALL "{\"functionCall\":{\"name\":\"look\",\"args\":{\"at\":1}}}"
#define MALFORMED ",\"finishReason\":\"MALFORMED_FUNCTION_CALL\""
#define SAID "\"content\":{\"parts\":[{\"text\":\"so\"}]}"
#define CHOICES(candidates) "{\"candidates\":[" candidates "]}"
#define COUNTS(counts) "{\"candidates\":[],\"usageMetadata\":{" counts "}}"

/* One answer, as far as a test asks for it. */
struct line {
    struct dialect_reader *reader;
    struct dialect_stream stream;
    struct dr_buf said; /* a word for each event */
    char ids[2][ID_BYTES];
    uint32_t id_count;
    struct usage usage;
    uint64_t output_bytes;
};

static void line_open(struct line *line, dr_slice answer_id) {
    *line = (struct line){.reader = dialect_reader_new()};
    assert_non_null(line->reader);
    dr_buf_init(&line->said, TOLD_BYTES_MAX);
    dialect_stream_init(DIALECT_GEMINI, &line->stream, answer_id, 1);
}

static void line_close(struct line *line) {
    dr_buf_clear(&line->said);
    dialect_reader_free(line->reader);
}

static void note_id(struct line *line, dr_slice id) {
    if (id.len == 0) return;
    assert_int_equal(id.len, ID_BYTES);
    assert_true(line->id_count < 2);
    memcpy(line->ids[line->id_count++], id.data, ID_BYTES);
}

static void note(struct line *line, const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        switch (event->kind) {
        case ANSWER_TEXT: dr_buf_put(&line->said, DR_LIT("text ")); break;
        case ANSWER_REASONING: dr_buf_put(&line->said, DR_LIT("thought ")); break;
        case ANSWER_REFUSAL: dr_buf_put(&line->said, DR_LIT("refusal ")); break;
        case ANSWER_FINISH: dr_buf_put(&line->said, DR_LIT("finish ")); break;
        case ANSWER_ERROR:
            dr_buf_format(&line->said, "error(%.*s) ", DR_FMT(event->error.type));
            break;
        case ANSWER_CITATION:
            dr_buf_format(&line->said, "%.*s ", DR_FMT(event->citation.url));
            break;
        case ANSWER_LOGPROBS: dr_buf_put(&line->said, event->text); break;
        case ANSWER_TOOL_CALL:
            dr_buf_put(&line->said, DR_LIT("call "));
            note_id(line, event->tool_call.id);
            break;
        case ANSWER_USAGE: line->usage = event->usage; break;
        case ANSWER_END: dr_buf_put(&line->said, DR_LIT("end")); break;
        case ANSWER_START:
        case ANSWER_SIGNATURE:
        case ANSWER_MEMBER: break;
        }
    }
    line->output_bytes += chunk->output_bytes;
}

static void line_hear(struct line *line, const char *payload, bool is_bare) {
    const dr_slice raw = dr_slice_text(payload);
    struct answer_chunk chunk;
    struct dr_error error;
    if (dialect_read_event(DIALECT_GEMINI, line->reader, &line->stream, is_bare ? DR_NONE : raw,
                           raw, &chunk, &error)) {
        dr_buf_put(&line->said, DR_LIT("broken "));
        return;
    }
    note(line, &chunk);
}

static void line_end(struct line *line) {
    struct answer_chunk chunk;
    struct dr_error error;
    if (dialect_read_end(DIALECT_GEMINI, line->reader, &line->stream, &chunk, &error)) {
        dr_buf_put(&line->said, DR_LIT("broken "));
        return;
    }
    note(line, &chunk);
}

static void line_hear_whole(struct line *line, const char *body) {
    struct answer_chunk chunk;
    struct dr_error error;
    if (dialect_read_answer(DIALECT_GEMINI, line->reader, &line->stream, dr_slice_text(body),
                            &chunk, &error)) {
        dr_buf_put(&line->said, DR_LIT("broken "));
        return;
    }
    note(line, &chunk);
}

static void expect_said(const struct line *line, const char *payload, const char *expected) {
    const dr_slice said = dr_buf_slice(&line->said);
    if (!dr_slice_is(said, dr_slice_text(expected))) {
        fail_msg("%s\ngives    %.*s\nnot      %s", payload, DR_FMT(said), expected);
    }
}

static void test_ids_made_up_for_calls_differ_and_stay(void **state) {
    struct line lines[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        line_open(&lines[i], i == 0 ? DR_LIT("req_a") : DR_LIT("req_b"));
        if (i < 2) {
            line_hear(&lines[i], PART(CALL, ""), false);
            line_hear(&lines[i], PART(CALL, STOP), false);
        } else {
            line_hear_whole(&lines[i], PART(CALL "," CALL, STOP));
        }
        assert_int_equal(lines[i].id_count, 2);
        assert_memory_not_equal(lines[i].ids[0], lines[i].ids[1], ID_BYTES);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_memory_not_equal(lines[0].ids[i], lines[1].ids[i], ID_BYTES);
        assert_memory_not_equal(lines[0].ids[i], lines[1].ids[1 - i], ID_BYTES);
        /* the same answer, whole */
        assert_memory_equal(lines[1].ids[i], lines[2].ids[i], ID_BYTES);
    }
    for (size_t i = 0; i < 3; i++) line_close(&lines[i]);
}

/* As one body and as a stream of one event. */
static void test_an_answer_without_an_end_is_none(void **state) {
    static const struct {
        const char *payload;
        const char *whole;
        const char *streamed;
    } cases[] = {
        {PART("{\"text\":\"good day\"}", STOP), "text finish ", "text finish end"},
        {TEXT, "broken ", "text "},
        {"{\"candidates\":[]}", "broken ", ""},
        {COUNTS("\"promptTokenCount\":5,\"totalTokenCount\":5"), "broken ", ""},
        {"{\"usageMetadata\":{\"promptTokenCount\":5}}", "broken ", ""},
        {"{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", "finish ", "finish end"},
        {"{\"error\":{\"status\":\"INTERNAL\"}}", "error(INTERNAL) ", "error(INTERNAL) "},
        /* thoughts are no answer */
        {PART(THOUGHT, MALFORMED), "thought error(MALFORMED_FUNCTION_CALL) ",
         "thought error(MALFORMED_FUNCTION_CALL) "},
        {PART(THOUGHT ",{\"text\":\"so\"}", MALFORMED), "thought text finish ",
         "thought text finish end"},
        {PART(THOUGHT "," CALL, MALFORMED), "thought call finish ", "thought call finish end"},
        {PART(THOUGHT, STOP), "thought finish ", "thought finish end"},
        /* of several choices */
        {CHOICES("{\"index\":0" MALFORMED "},{\"index\":1," SAID STOP "}"), "text finish finish ",
         "text finish finish end"},
        {CHOICES("{\"index\":0," SAID STOP "},{\"index\":1" MALFORMED "}"), "text finish finish ",
         "text finish finish end"},
        {CHOICES("{\"index\":0" STOP "},{\"index\":1" MALFORMED "}"),
         "error(MALFORMED_FUNCTION_CALL) ", "error(MALFORMED_FUNCTION_CALL) "},
        {CHOICES("{\"index\":0," SAID STOP "},{\"index\":1," SAID "}"), "broken ", "text text "},
        {CHOICES("{\"index\":0" MALFORMED "},{\"index\":1," SAID "}"), "broken ", "text "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        line_open(&line, DR_LIT("req_a"));
        line_hear_whole(&line, cases[i].payload);
        expect_said(&line, cases[i].payload, cases[i].whole);
        line_close(&line);
        line_open(&line, DR_LIT("req_a"));
        line_hear(&line, cases[i].payload, false);
        line_end(&line);
        expect_said(&line, cases[i].payload, cases[i].streamed);
        line_close(&line);
    }
}

/* Google quotes what the model wrote. */
static void test_a_mistake_of_the_model_is_not_read_for_causes(void **state) {
    static const char payload[] =
        CHOICES("{\"finishMessage\":\"Malformed: print(prompt is too long)\"" MALFORMED "}");
    struct line line;
    struct answer_chunk chunk;
    struct dr_error error;
    (void)state;
    line_open(&line, DR_LIT("req_a"));
    assert_int_equal(dialect_read_answer(DIALECT_GEMINI, line.reader, &line.stream,
                                         dr_slice_text(payload), &chunk, &error),
                     DR_OK);
    const struct answer_event *event = &chunk.events[chunk.event_count - 1];
    assert_int_equal(event->kind, ANSWER_ERROR);
    assert_int_equal(event->error.kind, FAILURE_IN_STREAM);
    assert_int_equal(event->error.code.len, 0);
    assert_true(dr_slice_is(event->error.message, DR_LIT("Malformed: print(prompt is too long)")));
    line_close(&line);
}

/* The choices may come one behind the other. */
static void test_a_choice_that_failed_waits_for_the_others(void **state) {
    static const char failed[] = CHOICES("{\"index\":0" MALFORMED "}");
    static const struct {
        const char *second;
        const char *said;
    } cases[] = {
        {CHOICES("{\"index\":1," SAID STOP "}"), "text finish finish end"},
        {CHOICES("{\"index\":1" MALFORMED "}"), "error(MALFORMED_FUNCTION_CALL) "},
        {CHOICES(""), "error(MALFORMED_FUNCTION_CALL) "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        line_open(&line, DR_LIT("req_a"));
        dialect_stream_init(DIALECT_GEMINI, &line.stream, DR_LIT("req_a"), 2);
        line_hear(&line, failed, false);
        line_hear(&line, cases[i].second, false);
        line_end(&line);
        expect_said(&line, cases[i].second, cases[i].said);
        line_close(&line);
    }
}

static void test_counters_that_are_missing_are_zero(void **state) {
    static const struct {
        const char *payload;
        uint64_t told[3]; /* prompt, completion, total */
        bool is_zero_told;
    } cases[] = {
        {COUNTS("\"candidatesTokenCount\":23,\"thoughtsTokenCount\":67"), {0, 90, 90}, true},
        {COUNTS("\"promptTokenCount\":15,\"totalTokenCount\":15"), {15, 0, 15}, true},
        {COUNTS("\"trafficType\":\"ON_DEMAND\""), {0, 0, 0}, true},
        {COUNTS("\"totalTokenCount\":15"), {0, 0, 15}, false},
        {COUNTS("\"candidatesTokenCount\":5,\"totalTokenCount\":15"), {0, 5, 15}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        line_open(&line, DR_LIT("req_a"));
        line_hear(&line, cases[i].payload, false);
        if (line.usage.source != USAGE_REPORTED || line.usage.prompt_tokens != cases[i].told[0] ||
            line.usage.completion_tokens != cases[i].told[1] ||
            line.usage.total_tokens != cases[i].told[2] ||
            line.usage.is_zero_told != cases[i].is_zero_told) {
            fail_msg("%s", cases[i].payload);
        }
        /* A later chunk that counts nothing takes nothing back. */
        line_hear(&line, COUNTS("\"trafficType\":\"ON_DEMAND\""), false);
        assert_int_equal(line.usage.total_tokens, cases[i].told[2]);
        line_close(&line);
    }
}

static void test_what_google_says_of_a_blocked_prompt_is_no_output(void **state) {
    static const char payload[] = "{\"promptFeedback\":{\"blockReason\":\"MODEL_ARMOR\","
                                  "\"blockReasonMessage\":\"The prompt violated filters.\"}}";
    struct line line;
    (void)state;
    line_open(&line, DR_LIT("req_a"));
    line_hear(&line, payload, false);
    line_end(&line);
    expect_said(&line, payload, "refusal finish end");
    assert_int_equal(line.output_bytes, 0);
    line_close(&line);
}

static void test_a_bare_error_is_read_through_its_empty_lines(void **state) {
    static const struct {
        const char *pieces[4];
        const char *said;
    } cases[] = {
        {{"{\"error\":{\"status\":\"UNAVAILABLE\"}}\n"}, "error(UNAVAILABLE) "},
        {{"{\n  \"error\": {\n    \"code\": 503,\n\n", "    \"status\": \"UNAVAILABLE\"\n  }\n}\n"},
         "error(UNAVAILABLE) "},
        {{"{\n\n", ": ping\n\n", "\"error\":\n\n", "{\"status\":\"INTERNAL\"}}\n"},
         "error(INTERNAL) "},
        {{"{\n\n", "\"error\":\n\n"}, "broken "},
        {{"<html>\n\n", "}\n\n"}, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        line_open(&line, DR_LIT("req_a"));
        for (size_t k = 0; k < 4 && cases[i].pieces[k]; k++) {
            line_hear(&line, cases[i].pieces[k], true);
        }
        line_end(&line);
        expect_said(&line, cases[i].pieces[0], cases[i].said);
        line_close(&line);
    }
}

/* An endless one is not kept. */
static void test_a_bare_object_has_a_limit(void **state) {
    static const char filler[] =
        "  \"a\": \"................................................\",\n\n";
    struct line line;
    (void)state;
    line_open(&line, DR_LIT("req_a"));
    line_hear(&line, "{\n\n", true);
    for (size_t i = 0; i < 64 && line.said.len == 0; i++) line_hear(&line, filler, true);
    expect_said(&line, filler, "broken ");
    line_close(&line);
}

static void test_each_kind_of_source_is_counted_for_itself(void **state) {
    static const char payload[] =
        PART("{\"text\":\"so\"}",
             ",\"citationMetadata\":{\"citationSources\":[{\"uri\":\"a\"},{\"uri\":\"b\"}]},"
             "\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"c\"}}]}");
    struct line line;
    (void)state;
    line_open(&line, DR_LIT("req_a"));
    line_hear(&line, payload, false);
    line_hear(&line, payload, false); /* the lists are whole in each chunk */
    expect_said(&line, payload, "text a b c text ");
    line_close(&line);
}

static void test_what_is_impossible_is_not_certain(void **state) {
    static const char payload[] =
        PART("", ",\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\",\"logProbability\":"
                 "\"-Infinity\"},{\"token\":\"b\"},{\"token\":\"c\",\"logProbability\":-0.5}]}");
    struct line line;
    (void)state;
    line_open(&line, DR_LIT("req_a"));
    line_hear(&line, payload, false);
    expect_said(&line, payload,
                "[{\"token\":\"a\",\"logprob\":-9999.0,\"bytes\":null,\"top_logprobs\":[]},"
                "{\"token\":\"b\",\"logprob\":0,\"bytes\":null,\"top_logprobs\":[]},"
                "{\"token\":\"c\",\"logprob\":-0.5,\"bytes\":null,\"top_logprobs\":[]}]");
    line_close(&line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_made_up_for_calls_differ_and_stay),
        cmocka_unit_test(test_an_answer_without_an_end_is_none),
        cmocka_unit_test(test_a_mistake_of_the_model_is_not_read_for_causes),
        cmocka_unit_test(test_a_choice_that_failed_waits_for_the_others),
        cmocka_unit_test(test_counters_that_are_missing_are_zero),
        cmocka_unit_test(test_what_google_says_of_a_blocked_prompt_is_no_output),
        cmocka_unit_test(test_a_bare_error_is_read_through_its_empty_lines),
        cmocka_unit_test(test_a_bare_object_has_a_limit),
        cmocka_unit_test(test_each_kind_of_source_is_counted_for_itself),
        cmocka_unit_test(test_what_is_impossible_is_not_certain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
