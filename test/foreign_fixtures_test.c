/* Recordings of an API that no dialect speaks, OpenAI's Responses: real bytes for the readers that
 * know no API, and what a provider may send that was asked for a chat completion and answers
 * something else. Compared with the golden texts that test/golden/make_responses.py wrote. */
#include "dialect/openai.h"
#include "fixture.h"
#include "model/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXT_BYTES_MAX = 8 * 1024 * 1024, DEPTH_MAX = 64, CUTS = 100, KINDS_MAX = 16 };

static const char folder[] = "openai-responses";

/* --- JSON --- */

struct measure {
    uint32_t depth;
    size_t values;
    size_t names;
    size_t text_bytes;
};

static void measure(struct measure *sum, dr_json value, uint32_t depth) {
    const bool is_container = dr_json_is(value, DR_JSON_OBJECT) || dr_json_is(value, DR_JSON_ARRAY);
    struct dr_json_iter iter;

    assert_true(depth < DEPTH_MAX);
    sum->values++;
    sum->text_bytes += dr_json_text(value).len;
    if (is_container && depth + 1 > sum->depth) sum->depth = depth + 1;
    dr_json_iter_init(&iter, value);
    while (dr_json_iter_next(&iter)) {
        if (iter.name) sum->names++;
        sum->text_bytes += dr_json_text(iter.name).len;
        measure(sum, iter.value, depth + 1);
    }
}

static void put_value(struct dr_buf *out, struct dr_json_reader *reader, dr_slice text,
                      uint32_t depth_max) {
    dr_json root;

    dr_buf_init(out, TEXT_BYTES_MAX);
    assert_int_equal(dr_json_read(reader, text, depth_max, &root, NULL), DR_OK);
    dr_json_put_value(out, root);
    assert_int_equal(dr_buf_status(out), DR_OK);
}

/* At its own depth it is read, one above it is not, what was written of it is read and written the
 * same, and no beginning of it is JSON. */
static void check_limits(struct dr_json_reader *reader, dr_slice text, uint32_t depth,
                         struct dr_random *random) {
    struct dr_buf once;
    struct dr_buf twice;
    dr_json root;

    put_value(&once, reader, text, depth);
    put_value(&twice, reader, dr_buf_slice(&once), depth);
    assert_true(dr_slice_is(dr_buf_slice(&once), dr_buf_slice(&twice)));
    assert_int_equal(dr_json_read(reader, text, depth - 1, &root, NULL), DR_TOO_LARGE);
    size_t end = text.len;
    while (text.data[end - 1] != '}') end--;
    for (size_t i = 0; i < CUTS; i++) {
        const dr_slice cut = dr_slice_first(text, (size_t)dr_random_below(random, end - 1));
        assert_int_equal(dr_json_read(reader, cut, depth, &root, NULL), DR_INVALID);
    }
    dr_buf_clear(&once);
    dr_buf_clear(&twice);
}

/* --- an answer, told as the golden text tells it --- */

/* What stands in the `delta` of one type of event. */
struct said {
    struct dr_buf type;
    struct dr_buf text;
};

struct teller {
    struct dr_random *random;
    struct dr_json_reader *json;
    struct openai_answer_reader *chat;
    struct dr_buf names; /* a line for each event */
    struct dr_buf chat_lines;
    struct said said[KINDS_MAX];
    struct measure sum;
    size_t event_count;
};

static void put_failure(struct dr_buf *out, const struct failure *failure) {
    dr_buf_put(out, DR_LIT("error "));
    fixture_put_failure(out, failure);
    dr_buf_put_char(out, '\n');
}

static void put_measure(struct dr_buf *out, const struct measure *sum) {
    dr_buf_format(out, "json depth %u values %zu names %zu text %zu\n", sum->depth, sum->values,
                  sum->names, sum->text_bytes);
}

static void note_delta(struct teller *teller, dr_slice type, dr_slice text) {
    size_t i = 0;

    while (i < KINDS_MAX && teller->said[i].type.len > 0 &&
           !dr_slice_is(dr_buf_slice(&teller->said[i].type), type)) {
        i++;
    }
    assert_true(i < KINDS_MAX);
    if (teller->said[i].type.len == 0) dr_buf_put(&teller->said[i].type, type);
    dr_buf_put(&teller->said[i].text, text);
}

/* To a reader of chat completions these events say nothing, but for errors and an end. */
static void note_chat(struct teller *teller, dr_slice data) {
    struct answer_chunk chunk;
    struct dr_error error = {0};

    assert_int_equal(openai_read_event(teller->chat, data, &chunk, &error), DR_OK);
    assert_int_equal(chunk.output_bytes, 0);
    assert_int_equal(chunk.is_foreign, chunk.event_count == 0);
    for (size_t i = 0; i < chunk.event_count; i++) {
        const struct answer_event *event = &chunk.events[i];
        dr_buf_put(&teller->chat_lines, DR_LIT("chat: "));
        if (event->kind == ANSWER_ERROR) {
            put_failure(&teller->chat_lines, &event->error);
        } else {
            assert_int_equal(event->kind, ANSWER_END);
            dr_buf_put(&teller->chat_lines, DR_LIT("end\n"));
        }
    }
}

static void note_event(void *owner, const struct dr_sse_event *event) {
    struct teller *teller = owner;
    struct measure own = {0};
    dr_json root;

    if (!event->has_data) return;
    teller->event_count++;
    fixture_put_text(&teller->names, event->name);
    dr_buf_put_char(&teller->names, '\n');
    note_chat(teller, event->data);
    if (dr_slice_is(event->data, DR_LIT("[DONE]"))) return;

    assert_int_equal(dr_json_read(teller->json, event->data, DEPTH_MAX, &root, NULL), DR_OK);
    const dr_json delta = dr_json_member(root, DR_LIT("delta"));
    if (dr_json_is(delta, DR_JSON_STRING)) {
        note_delta(teller, fixture_text(root, "type"), dr_json_text(delta));
    }
    measure(&own, root, 0);
    teller->sum.values += own.values;
    teller->sum.names += own.names;
    teller->sum.text_bytes += own.text_bytes;
    if (own.depth > teller->sum.depth) teller->sum.depth = own.depth;
    if (teller->random) check_limits(teller->json, event->data, own.depth, teller->random);
}

/* Equal neighbours become one line with their number. */
static void put_runs(struct dr_buf *out, dr_slice names) {
    while (names.len > 0) {
        const dr_slice name = dr_slice_split(&names, '\n');
        size_t count = 1;
        for (dr_slice rest = names; rest.len > 0; count++) {
            if (!dr_slice_is(dr_slice_split(&rest, '\n'), name)) break;
            names = rest;
        }
        dr_buf_put(out, name);
        if (count > 1) dr_buf_format(out, " x %zu", count);
        dr_buf_put_char(out, '\n');
    }
}

/* `random` only when the JSON's limits are to be looked at. */
static void tell_stream(struct dr_buf *out, dr_slice bytes, size_t step, struct dr_random *random) {
    struct teller teller = {
        .random = random, .json = dr_json_reader_new(), .chat = openai_answer_reader_new()};

    assert_non_null(teller.json);
    assert_non_null(teller.chat);
    dr_buf_init(&teller.names, TEXT_BYTES_MAX);
    dr_buf_init(&teller.chat_lines, TEXT_BYTES_MAX);
    for (size_t i = 0; i < KINDS_MAX; i++) {
        dr_buf_init(&teller.said[i].type, TEXT_BYTES_MAX);
        dr_buf_init(&teller.said[i].text, TEXT_BYTES_MAX);
    }
    fixture_read_stream(bytes, 0, step, note_event, &teller);
    dr_buf_format(out, "events %zu\n", teller.event_count);
    put_runs(out, dr_buf_slice(&teller.names));
    for (size_t i = 0; i < KINDS_MAX && teller.said[i].type.len > 0; i++) {
        dr_buf_put(out, dr_buf_slice(&teller.said[i].type));
        dr_buf_put_char(out, ' ');
        fixture_put_text(out, dr_buf_slice(&teller.said[i].text));
        dr_buf_put_char(out, '\n');
    }
    put_measure(out, &teller.sum);
    dr_buf_put(out, dr_buf_slice(&teller.chat_lines));
    for (size_t i = 0; i < KINDS_MAX; i++) {
        dr_buf_clear(&teller.said[i].type);
        dr_buf_clear(&teller.said[i].text);
    }
    dr_buf_clear(&teller.names);
    dr_buf_clear(&teller.chat_lines);
    openai_answer_reader_free(teller.chat);
    dr_json_reader_free(teller.json);
}

static void tell_body(struct dr_buf *out, dr_slice body, int64_t status, struct dr_random *random) {
    struct dr_json_reader *json = dr_json_reader_new();
    struct openai_answer_reader *chat = openai_answer_reader_new();
    struct measure sum = {0};
    struct answer_chunk chunk;
    struct dr_error error = {0};
    struct failure failure;
    dr_json root;

    assert_non_null(json);
    assert_non_null(chat);
    assert_int_equal(dr_json_read(json, body, DEPTH_MAX, &root, NULL), DR_OK);
    measure(&sum, root, 0);
    put_measure(out, &sum);
    check_limits(json, body, sum.depth, random);
    if (status != 200) {
        openai_read_failure(chat, (uint16_t)status, body, &failure);
        dr_buf_format(out, "kind %s\n", failure_kind_name(failure.kind));
        put_failure(out, &failure);
    } else {
        assert_int_equal(openai_read_answer(chat, body, &chunk, &error), DR_INVALID);
        dr_buf_format(out, "chat: %s\n", error.text);
    }
    openai_answer_reader_free(chat);
    dr_json_reader_free(json);
}

static void compare(const char *name, const char *way, struct dr_buf *got, dr_slice golden) {
    if (!dr_slice_is(dr_buf_slice(got), golden)) {
        fail_msg("%s, %s:\n%.*s\nexpected:\n%.*s", name, way, DR_FMT(dr_buf_slice(got)),
                 DR_FMT(golden));
    }
    dr_buf_reset(got);
}

static void check_recording(const char *of, dr_json entry, void *owner) {
    const dr_slice file = fixture_text(entry, "response");
    struct dr_random *random = owner;
    struct dr_buf got;
    char name[256];
    char path[1024];
    int64_t status = 0;

    assert_true(dr_slice_to_text(fixture_text(entry, "name"), name, sizeof name));
    assert_true(dr_json_to_i64(dr_json_member(entry, DR_LIT("status")), &status));
    (void)snprintf(path, sizeof path, DR_GOLDEN "/%s/%s.txt", of, name);
    struct dr_buf golden = fixture_read_path(path);
    struct dr_buf bytes = fixture_read(of, file);
    const dr_slice raw = dr_buf_slice(&bytes);

    dr_buf_init(&got, TEXT_BYTES_MAX);
    if (dr_slice_ends(file, DR_LIT(".sse"))) {
        tell_stream(&got, raw, raw.len, random);
        compare(name, "whole", &got, dr_buf_slice(&golden));
        tell_stream(&got, raw, 1, NULL);
        compare(name, "byte by byte", &got, dr_buf_slice(&golden));
        fixture_check_cuts(name, raw, random);
    } else {
        tell_body(&got, raw, status, random);
        compare(name, "body", &got, dr_buf_slice(&golden));
    }
    dr_buf_clear(&got);
    dr_buf_clear(&bytes);
    dr_buf_clear(&golden);
}

static void test_each_recording_is_what_its_golden_text_says(void **state) {
    struct dr_random random;

    (void)state;
    dr_random_seed(&random, 20261129);
    assert_int_equal(fixture_visit(folder, check_recording, &random), 112);
}

/* --- requests --- */

static void expect_fault(struct dr_json_reader *reader, dr_slice name, dr_slice body,
                         const char *param) {
    struct prompt prompt;
    struct prompt_fault fault = {0};

    if (openai_read_prompt(reader, body, &prompt, &fault) != DR_INVALID || fault.is_json ||
        strcmp(fault.param, param) != 0 || strlen(fault.text) == 0) {
        fail_msg("%.*s: param %s instead of %s: %s", DR_FMT(name), fault.param, param, fault.text);
    }
}

/* A tool or a choice of one in the flat form {"type":"function","name"}, which the chat's API has
 * not. */
static bool is_flat(dr_json tool) {
    return dr_slice_is(fixture_text(tool, "type"), DR_LIT("function"));
}

static bool find_flat_tool(dr_json tools, char param[64]) {
    struct dr_json_iter iter;
    size_t at = 0;

    dr_json_iter_init(&iter, tools);
    for (; dr_json_iter_next(&iter); at++) {
        if (!is_flat(iter.value)) continue;
        (void)snprintf(param, 64, "tools[%zu].function", at);
        return true;
    }
    return false;
}

/* The first member that a chat's request may not have in this form. */
static bool find_foreign_member(dr_json root, char param[64]) {
    struct dr_json_iter iter;
    double number = 0;

    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (dr_slice_is(name, DR_LIT("tools")) && find_flat_tool(iter.value, param)) return true;
        const dr_slice type = fixture_text(iter.value, "type");
        if (dr_slice_is(name, DR_LIT("tool_choice")) &&
            (is_flat(iter.value) || dr_slice_is(type, DR_LIT("allowed_tools")))) {
            (void)snprintf(param, 64, "tool_choice.%.*s", DR_FMT(type));
            return true;
        }
        /* One recorded request was refused for it by the other API too. */
        if (dr_slice_is(name, DR_LIT("temperature")) && dr_json_to_double(iter.value, &number) &&
            number < 0) {
            (void)snprintf(param, 64, "temperature");
            return true;
        }
    }
    return false;
}

struct counts {
    size_t refused;
    size_t passed;
};

/* As it was sent it has no `messages`, unless a foreign member is seen before that. With some it is
 * a chat's request with members that we do not know, which pass. */
static void check_request(const char *of, dr_json entry, void *owner) {
    const dr_slice file = fixture_text(entry, "request");
    struct counts *counts = owner;
    struct prompt prompt;
    struct prompt_fault fault = {0};
    struct dr_buf spliced;
    char param[64];
    dr_json root;

    if (!file.data) return;
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf body = fixture_read(of, file);
    const dr_slice object = dr_slice_trim(dr_buf_slice(&body));
    assert_int_equal(dr_json_read(reader, object, DEPTH_MAX, &root, NULL), DR_OK);
    const bool is_foreign = find_foreign_member(root, param);
    expect_fault(reader, file, object, is_foreign ? param : "messages");

    dr_buf_init(&spliced, TEXT_BYTES_MAX);
    dr_buf_put(&spliced, DR_LIT("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],"));
    assert_true(object.data[0] == '{');
    dr_buf_put(&spliced, dr_slice_from(object, 1));
    if (is_foreign) {
        expect_fault(reader, file, dr_buf_slice(&spliced), param);
        counts->refused++;
    } else if (openai_read_prompt(reader, dr_buf_slice(&spliced), &prompt, &fault)) {
        fail_msg("%.*s with messages: %s: %s", DR_FMT(file), fault.param, fault.text);
    } else {
        assert_int_equal(prompt.message_count, 1);
        counts->passed++;
    }
    dr_buf_clear(&spliced);
    dr_buf_clear(&body);
    dr_json_reader_free(reader);
}

static void test_a_request_of_the_other_api_is_no_chat_request(void **state) {
    struct counts counts = {0};

    (void)state;
    (void)fixture_visit(folder, check_request, &counts);
    assert_int_equal(counts.refused, 30);
    assert_int_equal(counts.passed, 45);
}

static void test_each_file_of_this_folder_was_read(void **state) {
    (void)state;
    fixture_assert_all_read("foreign_fixtures_test");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recording_is_what_its_golden_text_says),
        cmocka_unit_test(test_a_request_of_the_other_api_is_no_chat_request),
        cmocka_unit_test(test_each_file_of_this_folder_was_read), /* the last one */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
