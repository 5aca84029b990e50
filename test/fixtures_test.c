/* Every recording of OpenAI's dialect through the readers that meet it in life: from bytes to
 * events to meaning, compared with the golden texts that test/golden/make.py wrote. */
#include "base/random.h"
#include "dialect/openai.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { CHOICES_MAX = 8, CALLS_MAX = 16, FILE_BYTES_MAX = 8 * 1024 * 1024 };

static const char *const folders[] = {"openai-chat", "deepseek", "openai-compat"};

struct call {
    struct dr_buf id;
    struct dr_buf name;
    struct dr_buf arguments;
};

struct choice {
    struct dr_buf text;
    struct dr_buf reasoning;
    struct dr_buf refusal;
    struct dr_buf finishes;
    struct call calls[CALLS_MAX];
    uint32_t call_count;
    bool is_seen;
};

/* All buffers start zeroed, which a cap must follow before use. */
struct meaning {
    struct dr_buf id;
    struct dr_buf model;
    struct choice choices[CHOICES_MAX];
    struct usage usage;
    struct dr_buf error;
    struct openai_call_numbers numbers;
    bool has_error;
    bool is_ended;
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
        visit(&choice->finishes);
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

static void put_once(struct dr_buf *buf, dr_slice text) {
    if (buf->len == 0) dr_buf_put(buf, text);
}

static void note_call(struct choice *choice, const struct answer_event *event) {
    const uint32_t index = event->tool_call.index;

    assert_true(index < CALLS_MAX);
    put_once(&choice->calls[index].id, event->tool_call.id);
    dr_buf_put(&choice->calls[index].name, event->tool_call.name);
    dr_buf_put(&choice->calls[index].arguments, event->tool_call.arguments);
    if (index >= choice->call_count) choice->call_count = index + 1;
}

static void note_event(struct meaning *meaning, const struct answer_event *event) {
    assert_true(event->choice_index < CHOICES_MAX);
    struct choice *choice = &meaning->choices[event->choice_index];

    switch (event->kind) {
    case ANSWER_START:
        put_once(&meaning->id, event->start.id);
        put_once(&meaning->model, event->start.model);
        return;
    case ANSWER_TEXT: dr_buf_put(&choice->text, event->text); break;
    case ANSWER_REASONING: dr_buf_put(&choice->reasoning, event->text); break;
    case ANSWER_REFUSAL: dr_buf_put(&choice->refusal, event->text); break;
    case ANSWER_TOOL_CALL: note_call(choice, event); break;
    case ANSWER_FINISH:
        if (choice->finishes.len > 0) dr_buf_put_char(&choice->finishes, ',');
        dr_buf_put(&choice->finishes, event->finish.text);
        break;
    case ANSWER_USAGE: meaning->usage = event->usage; return;
    case ANSWER_ERROR:
        meaning->has_error = true;
        assert_int_equal(event->error.kind, FAILURE_IN_STREAM);
        dr_buf_reset(&meaning->error);
        fixture_put_failure(&meaning->error, &event->error);
        return;
    case ANSWER_END: meaning->is_ended = true; return;
    case ANSWER_MEMBER: return; /* the golden files tell what is said */
    case ANSWER_SIGNATURE:
    case ANSWER_CITATION:
    case ANSWER_LOGPROBS: fail_msg("an event that this dialect has not");
    }
    choice->is_seen = true;
}

static void note_chunk(struct meaning *meaning, struct answer_chunk *chunk) {
    openai_call_numbers_apply(&meaning->numbers, chunk);
    for (size_t i = 0; i < chunk->event_count; i++) note_event(meaning, &chunk->events[i]);
}

static void put_line(struct dr_buf *out, size_t number, const char *name, dr_slice text) {
    dr_buf_format(out, "choice %zu %s ", number, name);
    fixture_put_text(out, text);
    dr_buf_put_char(out, '\n');
}

static void put_choice(struct dr_buf *out, size_t number, const struct choice *choice) {
    put_line(out, number, "reasoning", dr_buf_slice(&choice->reasoning));
    put_line(out, number, "text", dr_buf_slice(&choice->text));
    put_line(out, number, "refusal", dr_buf_slice(&choice->refusal));
    for (uint32_t i = 0; i < choice->call_count; i++) {
        dr_buf_format(out, "choice %zu call %u ", number, i);
        fixture_put_text(out, dr_buf_slice(&choice->calls[i].id));
        dr_buf_put(out, DR_LIT(" | "));
        fixture_put_text(out, dr_buf_slice(&choice->calls[i].name));
        dr_buf_put(out, DR_LIT(" | "));
        fixture_put_text(out, dr_buf_slice(&choice->calls[i].arguments));
        dr_buf_put_char(out, '\n');
    }
    put_line(out, number, "finish", dr_buf_slice(&choice->finishes));
}

static void put_meaning(struct dr_buf *out, const struct meaning *meaning) {
    dr_buf_put(out, DR_LIT("id "));
    fixture_put_text(out, dr_buf_slice(&meaning->id));
    dr_buf_put(out, DR_LIT("\nmodel "));
    fixture_put_text(out, dr_buf_slice(&meaning->model));
    dr_buf_put_char(out, '\n');
    for (size_t i = 0; i < CHOICES_MAX; i++) {
        if (meaning->choices[i].is_seen) put_choice(out, i, &meaning->choices[i]);
    }
    const struct usage *usage = &meaning->usage;
    if (usage->source == USAGE_NONE) {
        dr_buf_put(out, DR_LIT("usage -\n"));
    } else {
        dr_buf_format(
            out, "usage %llu %llu %llu %llu %llu\n", (unsigned long long)usage->prompt_tokens,
            (unsigned long long)usage->completion_tokens, (unsigned long long)usage->total_tokens,
            (unsigned long long)usage->cached_tokens, (unsigned long long)usage->reasoning_tokens);
    }
    if (meaning->has_error) {
        dr_buf_put(out, DR_LIT("error "));
        dr_buf_put(out, dr_buf_slice(&meaning->error));
        dr_buf_put_char(out, '\n');
    }
    if (meaning->is_ended) dr_buf_put(out, DR_LIT("end\n"));
}

/* --- the ways to read one recording --- */

struct observer {
    struct openai_answer_reader *answers;
    struct meaning *meaning;
    const char *name;
};

static void observe(void *owner, const struct dr_sse_event *event) {
    struct observer *observer = owner;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    if (!event->has_data) return;
    if (openai_read_event(observer->answers, event->data, &chunk, &error)) {
        fail_msg("%s: %s", observer->name, error.text);
    }
    note_chunk(observer->meaning, &chunk);
}

static void compare(const char *name, const char *way, struct meaning *meaning, dr_slice golden) {
    struct dr_buf out;

    dr_buf_init(&out, FILE_BYTES_MAX);
    put_meaning(&out, meaning);
    if (!dr_slice_is(dr_buf_slice(&out), golden)) {
        fail_msg("%s, %s:\n%.*s\nexpected:\n%.*s", name, way, DR_FMT(dr_buf_slice(&out)),
                 DR_FMT(golden));
    }
    dr_buf_clear(&out);
}

static void check_stream(const char *name, dr_slice bytes, dr_slice golden, size_t step) {
    struct meaning *meaning = calloc(1, sizeof *meaning);
    struct observer observer = {openai_answer_reader_new(), meaning, name};

    assert_non_null(meaning);
    assert_non_null(observer.answers);
    visit_buffers(meaning, init_buffer);
    fixture_read_stream(bytes, 0, step, observe, &observer);
    compare(name, step == 1 ? "byte by byte" : "whole", meaning, golden);
    visit_buffers(meaning, dr_buf_clear);
    openai_answer_reader_free(observer.answers);
    free(meaning);
}

static void check_unary(const char *name, dr_slice body, dr_slice golden) {
    struct meaning *meaning = calloc(1, sizeof *meaning);
    struct openai_answer_reader *reader = openai_answer_reader_new();
    struct answer_chunk chunk;
    struct dr_error error = {0};

    assert_non_null(meaning);
    assert_non_null(reader);
    visit_buffers(meaning, init_buffer);
    if (openai_read_answer(reader, body, &chunk, &error)) fail_msg("%s: %s", name, error.text);
    note_chunk(meaning, &chunk);
    compare(name, "unary", meaning, golden);
    visit_buffers(meaning, dr_buf_clear);
    openai_answer_reader_free(reader);
    free(meaning);
}

static void check_failure(const char *name, uint16_t status, dr_slice body, dr_slice golden) {
    struct openai_answer_reader *reader = openai_answer_reader_new();
    struct failure failure = {0};
    struct dr_buf out;

    assert_non_null(reader);
    dr_buf_init(&out, FILE_BYTES_MAX);
    openai_read_failure(reader, status, body, &failure);
    dr_buf_put(&out, DR_LIT("error "));
    fixture_put_failure(&out, &failure);
    dr_buf_put_char(&out, '\n');
    if (!dr_slice_is(dr_buf_slice(&out), golden)) {
        fail_msg("%s:\n%.*s\nexpected:\n%.*s", name, DR_FMT(dr_buf_slice(&out)), DR_FMT(golden));
    }
    dr_buf_clear(&out);
    openai_answer_reader_free(reader);
}

static void visit_entries(fixture_check *check, void *owner) {
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)fixture_visit(folders[i], check, owner);
    }
}

static void check_recording(const char *folder, dr_json entry, void *owner) {
    const dr_slice file = dr_json_text(dr_json_member(entry, DR_LIT("response")));
    char name[256];
    char path[1024];
    int64_t status = 0;

    assert_true(
        dr_slice_to_text(dr_json_text(dr_json_member(entry, DR_LIT("name"))), name, sizeof name));
    assert_true(dr_json_to_i64(dr_json_member(entry, DR_LIT("status")), &status));
    (void)snprintf(path, sizeof path, DR_GOLDEN "/openai/%s.txt", name);
    struct dr_buf golden = fixture_read_path(path);
    struct dr_buf bytes = fixture_read(folder, file);
    const dr_slice raw = dr_buf_slice(&bytes);

    if (status != 200) {
        check_failure(name, (uint16_t)status, raw, dr_buf_slice(&golden));
    } else if (dr_slice_ends(file, DR_LIT(".sse"))) {
        check_stream(name, raw, dr_buf_slice(&golden), raw.len);
        check_stream(name, raw, dr_buf_slice(&golden), 1);
        fixture_check_cuts(name, raw, owner);
    } else {
        check_unary(name, raw, dr_buf_slice(&golden));
    }
    dr_buf_clear(&bytes);
    dr_buf_clear(&golden);
}

static void test_each_recorded_answer_means_what_its_golden_text_says(void **state) {
    struct dr_random random;

    (void)state;
    dr_random_seed(&random, 20261124);
    visit_entries(check_recording, &random);
}

static void check_request(const char *folder, dr_json entry, void *owner) {
    const dr_slice file = dr_json_text(dr_json_member(entry, DR_LIT("request")));
    struct prompt prompt;
    struct prompt_fault fault = {0};
    size_t *accepted = owner;

    if (!file.data) return;
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf body = fixture_read(folder, file);
    const enum dr_status status = openai_read_prompt(reader, dr_buf_slice(&body), &prompt, &fault);

    if (status == DR_OK) {
        (*accepted)++;
        assert_true(prompt.message_count > 0);
        assert_true(prompt.text_bytes > 0);
        assert_true(prompt.model.len > 0);
    } else if (strcmp(fault.param, "model") != 0 &&
               strcmp(fault.param, "messages[1].content[0].type") != 0) {
        /* Azure names the model in its URL; one recorded request was refused. */
        fail_msg("%.*s: %s %s", DR_FMT(file), fault.param, fault.text);
    }
    dr_buf_clear(&body);
    dr_json_reader_free(reader);
}

static void test_each_recorded_chat_request_is_accepted(void **state) {
    size_t accepted = 0;

    (void)state;
    visit_entries(check_request, &accepted);
    assert_int_equal(accepted, 174);
}

static void test_each_file_of_these_folders_was_read(void **state) {
    (void)state;
    fixture_assert_all_read("fixtures_test");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recorded_answer_means_what_its_golden_text_says),
        cmocka_unit_test(test_each_recorded_chat_request_is_accepted),
        cmocka_unit_test(test_each_file_of_these_folders_was_read), /* the last one */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
