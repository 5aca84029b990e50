/* Answers made at random, in Anthropic's and Gemini's words by writers of the test's own, read
 * back: whole, and as streams whose bytes come in pieces of any length. Nothing may be lost. */
#include "dialect/dialect.h"
#include "net/sse.h"
#include "sample_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 1000, PIECE_BYTES_MAX = 200, MADE_UP_ID_BYTES = 21, DEPTH_MAX = 64 };

struct heard_call {
    struct dr_buf id;
    struct dr_buf name;
    struct dr_buf arguments;
};

/* What is heard of one choice; seals and sources are lines. */
struct heard_choice {
    struct dr_buf text;
    struct dr_buf reasoning;
    struct dr_buf refusal;
    struct dr_buf seals;
    struct dr_buf sources;
    struct dr_buf logprobs; /* of all chunks, without the brackets around */
    struct heard_call calls[SAMPLE_CALLS_MAX];
    uint32_t call_count;
    enum answer_finish finish;
    uint32_t finish_count;
};

struct heard {
    struct heard_choice choices[SAMPLE_CHOICES_MAX];
    struct dr_buf id;
    struct dr_buf model;
    struct usage usage;
    uint32_t end_count;
};

static void visit_buffers(struct heard *heard, void (*visit)(struct dr_buf *buf)) {
    visit(&heard->id);
    visit(&heard->model);
    for (size_t i = 0; i < SAMPLE_CHOICES_MAX; i++) {
        struct heard_choice *choice = &heard->choices[i];
        struct dr_buf *const bufs[] = {&choice->text,  &choice->reasoning, &choice->refusal,
                                       &choice->seals, &choice->sources,   &choice->logprobs};
        for (size_t k = 0; k < sizeof bufs / sizeof bufs[0]; k++) visit(bufs[k]);
        for (size_t k = 0; k < SAMPLE_CALLS_MAX; k++) {
            visit(&choice->calls[k].id);
            visit(&choice->calls[k].name);
            visit(&choice->calls[k].arguments);
        }
    }
}

static void init_buffer(struct dr_buf *buf) {
    dr_buf_init(buf, SAMPLE_ANSWER_BYTES_MAX);
}

static struct heard *new_heard(void) {
    struct heard *heard = calloc(1, sizeof *heard);

    assert_non_null(heard);
    visit_buffers(heard, init_buffer);
    return heard;
}

static void free_heard(struct heard *heard) {
    visit_buffers(heard, dr_buf_clear);
    free(heard);
}

static void put_source(struct dr_buf *out, dr_slice url, dr_slice title) {
    dr_buf_format(out, "source %.*s ", DR_FMT(url));
    dr_json_put_string(out, title);
    dr_buf_put_char(out, '\n');
}

/* --- what is read --- */

static void note_call(struct heard_choice *choice, const struct answer_event *event) {
    const uint32_t index = event->tool_call.index;

    assert_true(index < SAMPLE_CALLS_MAX && index <= choice->call_count);
    if (index == choice->call_count) {
        assert_true(event->tool_call.id.len > 0 && event->tool_call.name.len > 0);
        for (uint32_t i = 0; i < index; i++) {
            assert_false(dr_slice_is(dr_buf_slice(&choice->calls[i].id), event->tool_call.id));
        }
        choice->call_count++;
    } else {
        assert_int_equal(index + 1, choice->call_count);
        assert_int_equal(event->tool_call.id.len, 0);
    }
    dr_buf_put(&choice->calls[index].id, event->tool_call.id);
    dr_buf_put(&choice->calls[index].name, event->tool_call.name);
    dr_buf_put(&choice->calls[index].arguments, event->tool_call.arguments);
}

static void note_seal(struct heard_choice *choice, const struct answer_event *event) {
    static const char *const kinds[] = {"thinking", "redacted", "call", "text"};

    dr_buf_format(&choice->seals, "seal %s %u %.*s\n", kinds[event->signature.kind],
                  event->signature.index, DR_FMT(event->signature.text));
}

static void note_logprobs(struct heard_choice *choice, dr_slice json) {
    if (choice->logprobs.len > 0) dr_buf_put_char(&choice->logprobs, ',');
    dr_buf_put(&choice->logprobs, dr_slice_of(json.data + 1, json.len - 2));
}

static void note_event(struct heard *heard, const struct answer_event *event) {
    assert_true(event->choice_index < SAMPLE_CHOICES_MAX);
    assert_int_equal(heard->end_count, 0);
    struct heard_choice *choice = &heard->choices[event->choice_index];

    switch (event->kind) {
    case ANSWER_START:
        assert_int_equal(heard->id.len, 0);
        dr_buf_put(&heard->id, event->start.id);
        dr_buf_put(&heard->model, event->start.model);
        return;
    case ANSWER_TEXT: dr_buf_put(&choice->text, event->text); return;
    case ANSWER_REASONING: dr_buf_put(&choice->reasoning, event->text); return;
    case ANSWER_REFUSAL: dr_buf_put(&choice->refusal, event->text); return;
    case ANSWER_TOOL_CALL: note_call(choice, event); return;
    case ANSWER_SIGNATURE: note_seal(choice, event); return;
    case ANSWER_CITATION:
        put_source(&choice->sources, event->citation.url, event->citation.title);
        return;
    case ANSWER_LOGPROBS: note_logprobs(choice, event->text); return;
    case ANSWER_MEMBER: return; /* what else the writer told of the same */
    case ANSWER_FINISH:
        choice->finish = event->finish.reason;
        choice->finish_count++;
        return;
    case ANSWER_USAGE: heard->usage = event->usage; return;
    case ANSWER_ERROR: fail_msg("an error: %.*s", DR_FMT(event->error.message)); return;
    case ANSWER_END: heard->end_count++; return;
    }
}

static void note_chunk(struct heard *heard, const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) note_event(heard, &chunk->events[i]);
}

/* --- what was meant --- */

static void expect_piece(struct heard_choice *choice, const struct sample_piece *piece,
                         bool is_gemini) {
    const dr_slice text = dr_buf_slice(&piece->text);
    const char *seal = is_gemini ? "text 0" : "thinking 0";

    switch (piece->kind) {
    case SAMPLE_TEXT: dr_buf_put(&choice->text, text); break;
    case SAMPLE_THINKING: dr_buf_put(&choice->reasoning, text); break;
    case SAMPLE_REDACTED: seal = "redacted 0"; break;
    case SAMPLE_SOURCE: put_source(&choice->sources, dr_slice_text(piece->id), text); return;
    case SAMPLE_CALL:
        dr_buf_put(&choice->calls[choice->call_count].id, dr_slice_text(piece->id));
        dr_buf_put(&choice->calls[choice->call_count].name, dr_slice_text(piece->name));
        dr_buf_put(&choice->calls[choice->call_count].arguments, text);
        if (piece->seal[0] != '\0') {
            dr_buf_format(&choice->seals, "seal call %u %s\n", choice->call_count, piece->seal);
        }
        choice->call_count++;
        return;
    }
    if (piece->seal[0] != '\0') dr_buf_format(&choice->seals, "seal %s %s\n", seal, piece->seal);
}

static void expect_tokens(struct heard_choice *choice, uint32_t count) {
    static const char *const logprobs[] = {"0", "-0.10", "-0.20"};

    for (uint32_t i = 0; i < count; i++) {
        dr_buf_format(&choice->logprobs,
                      "%s{\"token\":\"t%u\",\"logprob\":%s,\"bytes\":null,\"top_logprobs\":"
                      "[{\"token\":\"t%u\",\"logprob\":-1.5,\"bytes\":null}]}",
                      i > 0 ? "," : "", i, logprobs[i], i);
    }
}

static void expect_answer(struct heard *heard, const struct sample_answer *answer, bool is_gemini,
                          bool is_streamed) {
    dr_buf_put(&heard->id, is_gemini ? DR_LIT("r1") : DR_LIT("msg_1"));
    dr_buf_put(&heard->model, is_gemini ? DR_LIT("gemini-x") : DR_LIT("claude-x"));
    heard->usage = answer->usage;
    heard->end_count = is_streamed ? 1 : 0;
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        struct heard_choice *choice = &heard->choices[i];
        for (size_t k = 0; k < answer->choices[i].piece_count; k++) {
            expect_piece(choice, &answer->choices[i].pieces[k], is_gemini);
        }
        choice->finish = answer->choices[i].reason;
        choice->finish_count = 1;
    }
    expect_tokens(&heard->choices[0], answer->token_count);
    dr_buf_put(&heard->choices[0].refusal, dr_buf_slice(&answer->refusal));
}

/* --- both as text --- */

static void put_json(struct dr_buf *out, struct dr_json_reader *reader, dr_slice json) {
    dr_json root;

    if (dr_json_read(reader, json, DEPTH_MAX, &root, NULL)) {
        dr_buf_format(out, "no JSON: %.*s", DR_FMT(json));
    } else {
        dr_json_put_value(out, root);
    }
}

static void put_line(struct dr_buf *out, const char *name, const struct dr_buf *text) {
    dr_buf_format(out, "%s ", name);
    dr_json_put_string(out, dr_buf_slice(text));
    dr_buf_put_char(out, '\n');
}

/* An id that was made up stands for one that was not given. */
static void put_call(struct dr_buf *out, struct dr_json_reader *reader,
                     const struct heard_call *call) {
    const dr_slice id = dr_buf_slice(&call->id);
    const bool is_made_up = id.len == MADE_UP_ID_BYTES && dr_slice_starts(id, DR_LIT("call_"));

    dr_buf_format(out, "call %.*s %.*s ", is_made_up ? 0 : (int)id.len, id.data,
                  DR_FMT(dr_buf_slice(&call->name)));
    put_json(out, reader, dr_buf_slice(&call->arguments));
    dr_buf_put_char(out, '\n');
}

static void put_heard(struct dr_buf *out, const struct heard *heard) {
    struct dr_json_reader *reader = dr_json_reader_new();
    const struct usage *usage = &heard->usage;

    put_line(out, "id", &heard->id);
    put_line(out, "model", &heard->model);
    for (size_t i = 0; i < SAMPLE_CHOICES_MAX; i++) {
        const struct heard_choice *choice = &heard->choices[i];
        put_line(out, "text", &choice->text);
        put_line(out, "reasoning", &choice->reasoning);
        put_line(out, "refusal", &choice->refusal);
        dr_buf_put(out, dr_buf_slice(&choice->seals));
        dr_buf_put(out, dr_buf_slice(&choice->sources));
        put_line(out, "logprobs", &choice->logprobs);
        for (uint32_t k = 0; k < choice->call_count; k++) put_call(out, reader, &choice->calls[k]);
        dr_buf_format(out, "finish %u of %u\n", (unsigned)choice->finish, choice->finish_count);
    }
    dr_buf_format(out, "usage %llu %llu %llu %llu %llu %llu, ends %u\n",
                  (unsigned long long)usage->prompt_tokens,
                  (unsigned long long)usage->completion_tokens,
                  (unsigned long long)usage->total_tokens, (unsigned long long)usage->cached_tokens,
                  (unsigned long long)usage->reasoning_tokens,
                  (unsigned long long)usage->cache_write_tokens, heard->end_count);
    dr_json_reader_free(reader);
}

/* --- the ways --- */

struct listening {
    enum dialect dialect;
    struct dialect_reader *reader;
    struct dialect_stream stream;
    struct heard *heard;
};

static void read_event(struct listening *listening, const struct dr_sse_event *event) {
    struct answer_chunk chunk;
    struct dr_error error = {0};

    if (dialect_read_event(listening->dialect, listening->reader, &listening->stream, event->data,
                           event->raw, &chunk, &error)) {
        fail_msg("%s\n%.*s", error.text, DR_FMT(event->raw));
    }
    note_chunk(listening->heard, &chunk);
}

static void read_stream(struct listening *listening, dr_slice bytes, struct dr_random *random) {
    struct dr_sse_reader *sse = dr_sse_reader_new(SAMPLE_ANSWER_BYTES_MAX);
    struct dr_sse_event event;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    while (bytes.len > 0) {
        dr_slice piece = dr_slice_first(bytes, 1 + dr_random_below(random, PIECE_BYTES_MAX));
        bytes = dr_slice_from(bytes, piece.len);
        while (dr_sse_read(sse, &piece, &event) == DR_SSE_EVENT) read_event(listening, &event);
    }
    assert_int_equal(dr_sse_read_end(sse, &event), DR_SSE_NEED_MORE);
    assert_int_equal(
        dialect_read_end(listening->dialect, listening->reader, &listening->stream, &chunk, &error),
        DR_OK);
    note_chunk(listening->heard, &chunk);
    dr_sse_reader_free(sse);
}

static void read_whole(struct listening *listening, dr_slice bytes) {
    struct answer_chunk chunk;
    struct dr_error error = {0};

    if (dialect_read_answer(listening->dialect, listening->reader, &listening->stream, bytes,
                            &chunk, &error)) {
        fail_msg("%s\n%.*s", error.text, DR_FMT(bytes));
    }
    note_chunk(listening->heard, &chunk);
}

static void check_answer(enum dialect dialect, bool is_streamed, uint64_t seed) {
    const bool is_gemini = dialect == DIALECT_GEMINI;
    struct listening listening = {.dialect = dialect, .reader = dialect_reader_new()};
    struct heard *meant = new_heard();
    struct sample_answer answer;
    struct dr_buf bytes;
    struct dr_buf expected;
    struct dr_buf got;

    assert_non_null(listening.reader);
    dialect_stream_init(dialect, &listening.stream, DR_LIT("req_1"), 1);
    listening.heard = new_heard();
    init_buffer(&bytes);
    init_buffer(&expected);
    init_buffer(&got);
    sample_answer_make(&answer, is_gemini, seed);
    if (is_gemini)
        sample_answer_write_gemini(&answer, is_streamed, &bytes);
    else
        sample_answer_write_anthropic(&answer, is_streamed, &bytes);
    expect_answer(meant, &answer, is_gemini, is_streamed);
    if (is_streamed)
        read_stream(&listening, dr_buf_slice(&bytes), &answer.random);
    else
        read_whole(&listening, dr_buf_slice(&bytes));
    put_heard(&expected, meant);
    put_heard(&got, listening.heard);
    if (!dr_slice_is(dr_buf_slice(&expected), dr_buf_slice(&got))) {
        (void)fprintf(stderr, "sent:\n%.*s\nmeant:\n%.*s\nread:\n%.*s\n",
                      DR_FMT(dr_buf_slice(&bytes)), DR_FMT(dr_buf_slice(&expected)),
                      DR_FMT(dr_buf_slice(&got)));
        fail_msg("seed %llu", (unsigned long long)seed);
    }
    sample_answer_clear(&answer);
    free_heard(meant);
    free_heard(listening.heard);
    dialect_reader_free(listening.reader);
    dr_buf_clear(&bytes);
    dr_buf_clear(&expected);
    dr_buf_clear(&got);
}

static void check_dialect(enum dialect dialect) {
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        check_answer(dialect, false, seed);
        check_answer(dialect, true, seed);
    }
}

static void test_answers_of_anthropic_lose_nothing(void **state) {
    (void)state;
    check_dialect(DIALECT_ANTHROPIC);
}

static void test_answers_of_gemini_lose_nothing(void **state) {
    (void)state;
    check_dialect(DIALECT_GEMINI);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_of_anthropic_lose_nothing),
        cmocka_unit_test(test_answers_of_gemini_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
