/* Every recording of Anthropic's and Gemini's dialects through the readers that meet it in life:
 * from bytes to events to meaning, compared with the golden texts that
 * test/golden/make_providers.py wrote; and on to OpenAI's words and back, where the same must be
 * left. */
#include "base/random.h"
#include "dialect/dialect.h"
#include "dialect/openai_writer.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { CHOICES_MAX = 8, CALLS_MAX = 16, FILE_BYTES_MAX = 8 * 1024 * 1024 };
enum { MADE_UP_ID_BYTES = 21 };

struct call {
    struct dr_buf id;
    struct dr_buf name;
    struct dr_buf arguments;
};

struct choice {
    struct dr_buf text;
    struct dr_buf reasoning;
    struct dr_buf refusal;
    struct dr_buf seals;   /* lines as they are printed */
    struct dr_buf sources; /* likewise */
    struct call calls[CALLS_MAX];
    uint32_t call_count;
    uint32_t logprob_count;
    dr_slice finish;
    bool is_seen;
};

/* One answer. All buffers start zeroed, which a cap must follow before use. */
struct meaning {
    struct dr_buf id;
    struct dr_buf model;
    struct choice choices[CHOICES_MAX];
    struct usage usage;
    struct dr_buf error;
    bool has_error;
    bool is_ended;
    bool is_started;
};

static void visit_buffers(struct meaning *meaning, void (*visit)(struct dr_buf *buf)) {
    visit(&meaning->id);
    visit(&meaning->model);
    visit(&meaning->error);
    for (size_t i = 0; i < CHOICES_MAX; i++) {
        struct choice *choice = &meaning->choices[i];
        visit(&choice->text);
        visit(&choice->reasoning);
        visit(&choice->refusal);
        visit(&choice->seals);
        visit(&choice->sources);
        for (size_t k = 0; k < CALLS_MAX; k++) {
            visit(&choice->calls[k].id);
            visit(&choice->calls[k].name);
            visit(&choice->calls[k].arguments);
        }
    }
}

static void init_buffer(struct dr_buf *buf) {
    dr_buf_init(buf, FILE_BYTES_MAX);
}

static struct meaning *new_meaning(void) {
    struct meaning *meaning = calloc(1, sizeof *meaning);

    assert_non_null(meaning);
    visit_buffers(meaning, init_buffer);
    return meaning;
}

static void reset_meaning(struct meaning *meaning) {
    visit_buffers(meaning, dr_buf_clear);
    *meaning = (struct meaning){.is_ended = false};
    visit_buffers(meaning, init_buffer);
}

static void free_meaning(struct meaning *meaning) {
    visit_buffers(meaning, dr_buf_clear);
    free(meaning);
}

static void put_once(struct dr_buf *buf, dr_slice text) {
    if (buf->len == 0) dr_buf_put(buf, text);
}

static void note_call(struct choice *choice, const struct answer_event *event) {
    const uint32_t index = event->tool_call.index;

    assert_true(index < CALLS_MAX);
    assert_true(index <= choice->call_count);
    put_once(&choice->calls[index].id, event->tool_call.id);
    dr_buf_put(&choice->calls[index].name, event->tool_call.name);
    dr_buf_put(&choice->calls[index].arguments, event->tool_call.arguments);
    if (index >= choice->call_count) choice->call_count = index + 1;
}

static dr_slice finish_word(enum answer_finish reason) {
    switch (reason) {
    case ANSWER_FINISH_STOP: return DR_LIT("stop");
    case ANSWER_FINISH_LENGTH: return DR_LIT("length");
    case ANSWER_FINISH_TOOL_CALLS: return DR_LIT("tool_calls");
    case ANSWER_FINISH_CONTENT_FILTER: return DR_LIT("content_filter");
    case ANSWER_FINISH_FUNCTION_CALL: return DR_LIT("function_call");
    case ANSWER_FINISH_OTHER: break;
    }
    return DR_LIT("other");
}

static void note_seal(struct choice *choice, size_t number, const struct answer_event *event) {
    static const char *const kinds[] = {"thinking", "redacted", "call", "text"};

    dr_buf_format(&choice->seals, "choice %zu seal %s | %u | ", number,
                  kinds[event->signature.kind], event->signature.index);
    fixture_put_text(&choice->seals, event->signature.text);
    dr_buf_put_char(&choice->seals, '\n');
}

static void note_source(struct choice *choice, size_t number, const struct answer_event *event) {
    dr_buf_format(&choice->sources, "choice %zu source ", number);
    fixture_put_text(&choice->sources, event->citation.url);
    dr_buf_put(&choice->sources, DR_LIT(" | "));
    fixture_put_text(&choice->sources, event->citation.title);
    dr_buf_put_char(&choice->sources, '\n');
}

static uint32_t count_logprobs(dr_slice json) {
    struct dr_json_reader *reader = dr_json_reader_new();
    dr_json root;

    assert_int_equal(dr_json_read(reader, json, 16, &root, NULL), DR_OK);
    const uint32_t count = (uint32_t)dr_json_count(root);
    dr_json_reader_free(reader);
    return count;
}

static void note_event(struct meaning *meaning, const struct answer_event *event) {
    assert_true(event->choice_index < CHOICES_MAX);
    struct choice *choice = &meaning->choices[event->choice_index];

    switch (event->kind) {
    case ANSWER_START:
        put_once(&meaning->id, event->start.id);
        put_once(&meaning->model, event->start.model);
        meaning->is_started = true;
        return;
    case ANSWER_TEXT: dr_buf_put(&choice->text, event->text); break;
    case ANSWER_REASONING: dr_buf_put(&choice->reasoning, event->text); break;
    case ANSWER_REFUSAL: dr_buf_put(&choice->refusal, event->text); break;
    case ANSWER_TOOL_CALL: note_call(choice, event); break;
    case ANSWER_SIGNATURE: note_seal(choice, event->choice_index, event); break;
    case ANSWER_CITATION: note_source(choice, event->choice_index, event); break;
    case ANSWER_LOGPROBS: choice->logprob_count += count_logprobs(event->text); break;
    case ANSWER_MEMBER: return; /* what the writer told of the same beside words */
    case ANSWER_FINISH:
        assert_int_equal(choice->finish.len, 0);
        choice->finish = finish_word(event->finish.reason);
        break;
    case ANSWER_USAGE: meaning->usage = event->usage; return;
    case ANSWER_ERROR:
        meaning->has_error = true;
        assert_int_equal(event->error.kind,
                         dr_slice_is(event->error.code, DR_LIT("overloaded")) ? FAILURE_OVERLOADED
                         : dr_slice_is(event->error.code, DR_LIT("rate_limit_exceeded"))
                             ? FAILURE_RATE_LIMITED
                         : dr_slice_is(event->error.type, DR_LIT("CANCELLED")) ? FAILURE_SERVER
                                                                               : FAILURE_IN_STREAM);
        fixture_put_failure(&meaning->error, &event->error);
        return;
    case ANSWER_END: meaning->is_ended = true; return;
    }
    choice->is_seen = true;
}

static void put_line(struct dr_buf *out, size_t number, const char *name, dr_slice text) {
    dr_buf_format(out, "choice %zu %s ", number, name);
    fixture_put_text(out, text);
    dr_buf_put_char(out, '\n');
}

static void put_choice(struct dr_buf *out, size_t number, const struct choice *choice,
                       bool is_brief) {
    put_line(out, number, "reasoning", dr_buf_slice(&choice->reasoning));
    put_line(out, number, "text", dr_buf_slice(&choice->text));
    put_line(out, number, "refusal", dr_buf_slice(&choice->refusal));
    if (!is_brief) dr_buf_put(out, dr_buf_slice(&choice->seals));
    for (uint32_t i = 0; i < choice->call_count; i++) {
        const dr_slice id = dr_buf_slice(&choice->calls[i].id);
        dr_buf_format(out, "choice %zu call %u ", number, i);
        fixture_put_text(out, id.len == MADE_UP_ID_BYTES && dr_slice_starts(id, DR_LIT("call_"))
                                  ? DR_LIT("call_*")
                                  : id);
        dr_buf_put(out, DR_LIT(" | "));
        fixture_put_text(out, dr_buf_slice(&choice->calls[i].name));
        dr_buf_put(out, DR_LIT(" | "));
        fixture_put_text(out, dr_buf_slice(&choice->calls[i].arguments));
        dr_buf_put_char(out, '\n');
    }
    if (!is_brief) {
        dr_buf_put(out, dr_buf_slice(&choice->sources));
        if (choice->logprob_count > 0) {
            dr_buf_format(out, "choice %zu logprobs %u\n", number, choice->logprob_count);
        }
    }
    put_line(out, number, "finish", choice->finish);
}

/* Brief is what OpenAI's own reader tells too. */
static void put_meaning(struct dr_buf *out, const struct meaning *meaning, bool is_brief) {
    if (!is_brief) {
        dr_buf_put(out, DR_LIT("id "));
        fixture_put_text(out, dr_buf_slice(&meaning->id));
        dr_buf_put(out, DR_LIT("\nmodel "));
        fixture_put_text(out, dr_buf_slice(&meaning->model));
        dr_buf_put_char(out, '\n');
    }
    for (size_t i = 0; i < CHOICES_MAX; i++) {
        if (meaning->choices[i].is_seen) put_choice(out, i, &meaning->choices[i], is_brief);
    }
    const struct usage *usage = &meaning->usage;
    if (usage->source == USAGE_NONE) {
        dr_buf_put(out, DR_LIT("usage -\n"));
    } else {
        dr_buf_format(
            out, "usage %llu %llu %llu %llu %llu", (unsigned long long)usage->prompt_tokens,
            (unsigned long long)usage->completion_tokens, (unsigned long long)usage->total_tokens,
            (unsigned long long)usage->cached_tokens, (unsigned long long)usage->reasoning_tokens);
        if (!is_brief) {
            dr_buf_format(out, " %llu", (unsigned long long)usage->cache_write_tokens);
        }
        dr_buf_put_char(out, '\n');
    }
    if (meaning->has_error && !is_brief) {
        dr_buf_put(out, DR_LIT("error "));
        dr_buf_put(out, dr_buf_slice(&meaning->error));
        dr_buf_put_char(out, '\n');
    }
    if (meaning->is_ended) dr_buf_put(out, DR_LIT("end\n"));
}

/* --- the ways to read one recording --- */

/* Reads one provider's recording, and what OpenAI's words for it say. */
struct observer {
    const char *name;
    enum dialect dialect;
    struct dialect_reader *reader;
    struct dialect_stream stream;
    struct meaning *meaning;
    struct dr_buf told; /* all answers of the recording, as the golden text has them */
    struct dr_arena arena;
    struct openai_writer writer;
    struct dr_buf written;
};

static const struct openai_writer_options writer_options = {
    .id = {"fallback", 8},
    .model = {"fallback", 8},
    .created = 1764000000,
    .wants_usage = true,
    .signs_thinking = true,
};

static void init_observer(struct observer *observer, const char *name, enum dialect dialect) {
    *observer = (struct observer){.name = name, .dialect = dialect};
    observer->reader = dialect_reader_new();
    assert_non_null(observer->reader);
    observer->meaning = new_meaning();
    init_buffer(&observer->told);
    init_buffer(&observer->written);
    dr_arena_init(&observer->arena, FILE_BYTES_MAX, NULL);
    openai_writer_init(&observer->writer, &observer->arena, &writer_options);
}

static void clear_observer(struct observer *observer) {
    dialect_reader_free(observer->reader);
    free_meaning(observer->meaning);
    dr_buf_clear(&observer->told);
    dr_buf_clear(&observer->written);
    dr_arena_clear(&observer->arena);
}

static void read_written_event(void *owner, const struct dr_sse_event *event) {
    struct observer *back = owner;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    if (dialect_read_event(DIALECT_OPENAI, back->reader, &back->stream, event->data, event->raw,
                           &chunk, &error)) {
        fail_msg("%s, written: %s\n%.*s", back->name, error.text, DR_FMT(event->data));
    }
    for (size_t i = 0; i < chunk.event_count; i++) note_event(back->meaning, &chunk.events[i]);
}

static void compare_slices(const char *name, const char *way, dr_slice got, dr_slice expected) {
    if (dr_slice_is(got, expected)) return;
    fail_msg("%s, %s:\n%.*s\nexpected:\n%.*s", name, way, DR_FMT(got), DR_FMT(expected));
}

/* In OpenAI's words there is no finish but the known ones. */
static void plain_finishes(struct meaning *meaning) {
    for (size_t i = 0; i < CHOICES_MAX; i++) {
        if (dr_slice_is(meaning->choices[i].finish, DR_LIT("other"))) {
            meaning->choices[i].finish = DR_LIT("stop");
        }
    }
}

/* What was written of this answer says the same. */
static void check_written(struct observer *observer) {
    struct observer back;
    struct dr_buf expected;
    struct dr_buf got;

    init_observer(&back, observer->name, DIALECT_OPENAI);
    init_buffer(&expected);
    init_buffer(&got);
    const dr_slice written = dr_buf_slice(&observer->written);
    if (dr_slice_starts(written, DR_LIT("{"))) {
        struct answer_chunk chunk;
        struct dr_error error = {0};
        if (dialect_read_answer(DIALECT_OPENAI, back.reader, &back.stream, written, &chunk,
                                &error)) {
            fail_msg("%s, written: %s\n%.*s", back.name, error.text, DR_FMT(written));
        }
        for (size_t i = 0; i < chunk.event_count; i++) note_event(back.meaning, &chunk.events[i]);
    } else if (written.len > 0) {
        fixture_read_stream(written, 0, written.len, read_written_event, &back);
    }
    plain_finishes(observer->meaning);
    put_meaning(&expected, observer->meaning, true);
    put_meaning(&got, back.meaning, true);
    compare_slices(observer->name, "in OpenAI's words", dr_buf_slice(&got),
                   dr_buf_slice(&expected));
    clear_observer(&back);
    dr_buf_clear(&expected);
    dr_buf_clear(&got);
}

/* A recording may hold several answers: each is told and begun anew. */
static void end_answer(struct observer *observer) {
    if (!observer->meaning->is_started && !observer->meaning->has_error) return;
    put_meaning(&observer->told, observer->meaning, false);
    if (!observer->meaning->has_error) check_written(observer);
    reset_meaning(observer->meaning);
    observer->stream = (struct dialect_stream){0};
    dr_buf_reset(&observer->written);
    dr_arena_clear(&observer->arena);
    openai_writer_init(&observer->writer, &observer->arena, &writer_options);
}

static void note_chunk(struct observer *observer, const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        note_event(observer->meaning, &chunk->events[i]);
    }
    assert_true(openai_put_events(&observer->writer, chunk, &observer->written));
    if (!observer->meaning->is_ended) return;
    assert_true(openai_put_end(&observer->writer, &observer->meaning->usage, &observer->written));
    dr_buf_put(&observer->written, DR_LIT("data: [DONE]\n\n"));
    end_answer(observer);
}

static void observe(void *owner, const struct dr_sse_event *event) {
    struct observer *observer = owner;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    if (dialect_read_event(observer->dialect, observer->reader, &observer->stream, event->data,
                           event->raw, &chunk, &error)) {
        fail_msg("%s: %s\n%.*s", observer->name, error.text, DR_FMT(event->data));
    }
    note_chunk(observer, &chunk);
}

static void check_stream(const char *name, enum dialect dialect, dr_slice bytes, dr_slice golden,
                         size_t step) {
    struct observer observer;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    init_observer(&observer, name, dialect);
    fixture_read_stream(bytes, 0, step, observe, &observer);
    assert_int_equal(dialect_read_end(dialect, observer.reader, &observer.stream, &chunk, &error),
                     DR_OK);
    note_chunk(&observer, &chunk);
    end_answer(&observer);
    compare_slices(name, step == 1 ? "byte by byte" : "whole", dr_buf_slice(&observer.told),
                   golden);
    clear_observer(&observer);
}

static void check_unary(const char *name, enum dialect dialect, dr_slice body, dr_slice golden) {
    struct observer observer;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    init_observer(&observer, name, dialect);
    if (dialect_read_answer(dialect, observer.reader, &observer.stream, body, &chunk, &error)) {
        fail_msg("%s: %s", name, error.text);
    }
    for (size_t i = 0; i < chunk.event_count; i++) note_event(observer.meaning, &chunk.events[i]);
    assert_true(openai_put_answer(&observer.writer, &chunk, &observer.written));
    end_answer(&observer);
    compare_slices(name, "unary", dr_buf_slice(&observer.told), golden);
    clear_observer(&observer);
}

static void check_failure(const char *name, enum dialect dialect, uint16_t status, dr_slice body,
                          dr_slice golden) {
    struct dialect_reader *reader = dialect_reader_new();
    struct failure failure = {0};
    struct dr_buf out;

    assert_non_null(reader);
    init_buffer(&out);
    dialect_read_failure(dialect, reader, status, body, &failure);
    assert_int_equal(failure.status, status);
    assert_int_not_equal(failure.kind, FAILURE_NONE);
    dr_buf_put(&out, DR_LIT("error "));
    fixture_put_failure(&out, &failure);
    dr_buf_put_char(&out, '\n');
    compare_slices(name, "failure", dr_buf_slice(&out), golden);
    dr_buf_clear(&out);
    dialect_reader_free(reader);
}

struct folder_check {
    enum dialect dialect;
    struct dr_random random;
};

static void check_recording(const char *folder, dr_json entry, void *owner) {
    struct folder_check *check = owner;
    const enum dialect dialect = check->dialect;
    const dr_slice file = fixture_text(entry, "response");
    char name[256];
    char path[1024];
    int64_t status = 0;

    assert_true(dr_slice_to_text(fixture_text(entry, "name"), name, sizeof name));
    assert_true(dr_json_to_i64(dr_json_member(entry, DR_LIT("status")), &status));
    (void)snprintf(path, sizeof path, DR_GOLDEN "/%s/%s.txt", folder, name);
    struct dr_buf golden = fixture_read_path(path);
    struct dr_buf bytes = fixture_read(folder, file);
    const dr_slice raw = dr_buf_slice(&bytes);

    if (status != 200) {
        check_failure(name, dialect, (uint16_t)status, raw, dr_buf_slice(&golden));
    } else if (dr_slice_ends(file, DR_LIT(".sse"))) {
        check_stream(name, dialect, raw, dr_buf_slice(&golden), raw.len);
        check_stream(name, dialect, raw, dr_buf_slice(&golden), 1);
        fixture_check_cuts(name, raw, &check->random);
    } else {
        check_unary(name, dialect, raw, dr_buf_slice(&golden));
    }
    dr_buf_clear(&bytes);
    dr_buf_clear(&golden);
}

static void check_folder(const char *folder, enum dialect dialect) {
    struct folder_check check = {.dialect = dialect};

    dr_random_seed(&check.random, 20261124);
    assert_true(fixture_visit(folder, check_recording, &check) > 80);
}

static void test_each_recorded_answer_of_anthropic_means_what_its_golden_text_says(void **state) {
    (void)state;
    check_folder("anthropic", DIALECT_ANTHROPIC);
}

static void test_each_recorded_answer_of_gemini_means_what_its_golden_text_says(void **state) {
    (void)state;
    check_folder("gemini", DIALECT_GEMINI);
}

static void test_each_answer_of_these_folders_was_read(void **state) {
    (void)state;
    fixture_assert_all_read("provider_fixtures_test");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recorded_answer_of_anthropic_means_what_its_golden_text_says),
        cmocka_unit_test(test_each_recorded_answer_of_gemini_means_what_its_golden_text_says),
        cmocka_unit_test(test_each_answer_of_these_folders_was_read), /* the last one */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
