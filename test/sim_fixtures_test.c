/* The simulated provider against the recordings of real ones: its readers take every request that
 * was answered and refuse what was refused; its answers have no member, no event and no word of a
 * closed list that the recordings of their dialect lack. */
#include "fixture.h"
#include "sim/sim_dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { FILE_BYTES_MAX = 8 * 1024 * 1024, PATH_BYTES = 512, DEPTH_MAX = 64 };

/* --- requests --- */

/* What differs from "answered with 200, so that it must be taken". */
static const struct {
    const char *name;
    const char *said; /* NULL: taken, since what was refused is not in the body */
} exceptions[] = {
    {"dd.anthropic-completion-error.400", "messages.0: Input does not match the expected shape."},
    {"dd.anthropic-completion-invalid-api-key.401", NULL},
    {"pai.model-name-suggestion-anthropic.404", NULL},
    /* Vertex names the model in the target and the version in the body: another route. */
    {"fantasy.googlevertexobjectgeneration-vertex-claude-3-7-sonnet-complex-ob",
     "anthropic_version: Extra inputs are not permitted"},
    {"fantasy.googlevertexobjectgeneration-vertex-claude-3-7-sonnet-simple-obj",
     "anthropic_version: Extra inputs are not permitted"},
    {"fantasy.googlevertexobjectgeneration-vertex-claude-3-7-sonnet-simple-obj-2",
     "anthropic_version: Extra inputs are not permitted"},
    {"crew.agentmultimodalgemini--video-file-gemini-gemini-2-0-flash.429", NULL},
    {"crew.crewmultimodalgemini--image-file-gemini-gemini-1-5-flash.404", NULL},
    {"rubyllm.error-handling-with-raises-appropriate-auth-error.400", NULL},
    /* The texts that were too long are not kept in the recording. */
    {"rubyllm.real-error-scenarios-vertexai-gemini-2-5-flash-handles-context-l.1.400", NULL},
    {"pai.model-name-suggestion-google.404", NULL},
    {"rubyllm.error-handling-with-raises-appropriate-auth-error.401", NULL},
};

static size_t find_exception(dr_slice name) {
    const size_t count = sizeof exceptions / sizeof exceptions[0];
    size_t i = 0;
    while (i < count && !dr_slice_is(name, dr_slice_text(exceptions[i].name))) i++;
    return i;
}

/* The model of a target such as "…/models/gemini-2.5-flash:generateContent"; empty for others. */
static dr_slice model_of(dr_slice url) {
    const dr_slice mark = DR_LIT("/models/");
    const dr_slice rest = dr_slice_from(url, dr_slice_find(url, mark) + mark.len);
    return dr_slice_first(rest, dr_slice_find_char(rest, ':'));
}

struct request_check {
    const struct sim_dialect *dialect;
    struct dr_json_reader *reader;
    size_t count;
};

static void check_request(const char *folder, dr_json entry, void *owner) {
    struct request_check *check = owner;
    const struct sim_dialect *dialect = check->dialect;
    const size_t exception = find_exception(fixture_text(entry, "name"));
    const bool is_exception = exception < sizeof exceptions / sizeof exceptions[0];
    const char *said = is_exception ? exceptions[exception].said : NULL;
    struct sim_complaint complaint = {.message = ""};
    if (!fixture_text(entry, "request").data) return;
    check->count++;
    struct dr_buf body = fixture_read(folder, fixture_text(entry, "request"));
    struct sim_scratch scratch;
    struct sim_ask ask;
    uint64_t status = 0;
    dr_json root;
    assert_int_equal(sim_scratch_init(&scratch), DR_OK);
    assert_int_equal(dr_json_read(check->reader, dr_buf_slice(&body), DEPTH_MAX, &root, NULL),
                     DR_OK);
    assert_true(dr_json_to_u64(dr_json_member(entry, DR_LIT("status")), &status));
    if (status != 200 && !is_exception) fail_msg("%.*s", DR_FMT(fixture_text(entry, "name")));
    sim_ask_init(&ask);
    if (dialect == &sim_generate) ask.model = model_of(fixture_text(entry, "url"));
    const enum dr_status read = dialect->read(root, &ask, &scratch, &complaint);
    if ((read != DR_OK) != (said != NULL) || (said && strcmp(complaint.message, said) != 0)) {
        fail_msg("%.*s: %s", DR_FMT(fixture_text(entry, "name")), complaint.message);
    }
    if (read == DR_OK && (ask.talk.prompt_tokens == 0 || ask.model.len == 0)) {
        fail_msg("%.*s: nothing was read", DR_FMT(fixture_text(entry, "name")));
    }
    sim_scratch_clear(&scratch);
    dr_buf_clear(&body);
}

static size_t check_requests(const struct sim_dialect *dialect, const char *folder) {
    struct request_check check = {.dialect = dialect, .reader = dr_json_reader_new()};
    (void)fixture_visit(folder, check_request, &check);
    dr_json_reader_free(check.reader);
    return check.count;
}

static void test_recorded_requests_are_taken_as_the_real_providers_took_them(void **state) {
    (void)state;
    assert_true(check_requests(&sim_messages, "anthropic") > 50);
    assert_true(check_requests(&sim_generate, "gemini") > 50);
    assert_true(check_requests(&sim_chat, "deepseek") > 0);
}

/* --- shapes --- */

/* Members whose texts come from closed lists. */
static const char *const words[] = {
    "type",         "role",     "stop_reason", "finishReason", "blockReason", "status", "reason",
    "service_tier", "modality", "@type",       "domain",       "service",     NULL,
};

/* Objects that the caller's schemas shape. */
static const char *const free_forms[] = {"input", "args", NULL};

static bool is_among(const char *const *list, dr_slice name) {
    while (*list && !dr_slice_is(name, dr_slice_text(*list))) list++;
    return *list != NULL;
}

/* Appends a line for each member of `value`, and one for each word. */
static void put_shape(struct dr_buf *lines, const char *path, dr_json value, int depth) {
    struct dr_json_iter iter;
    char at[PATH_BYTES];
    assert_true(depth < DEPTH_MAX);
    dr_json_iter_init(&iter, value);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (!iter.name) {
            (void)snprintf(at, sizeof at, "%s[]", path);
            put_shape(lines, at, iter.value, depth + 1);
            continue;
        }
        (void)snprintf(at, sizeof at, "%s.%.*s", path, DR_FMT(name));
        dr_buf_format(lines, "%s\n", at);
        if (dr_json_is(iter.value, DR_JSON_STRING) && is_among(words, name)) {
            dr_buf_format(lines, "%s=%.*s\n", at, DR_FMT(dr_json_text(iter.value)));
        }
        if (!is_among(free_forms, name)) put_shape(lines, at, iter.value, depth + 1);
    }
}

/* Anthropic's events and blocks are told apart by their types. */
static void put_root_shape(struct dr_buf *lines, dr_json root) {
    char path[PATH_BYTES];
    const dr_slice type = fixture_text(root, "type");
    const dr_slice block = fixture_text(dr_json_member(root, DR_LIT("content_block")), "type");
    const dr_slice delta = fixture_text(dr_json_member(root, DR_LIT("delta")), "type");
    (void)snprintf(path, sizeof path, "%.*s/%.*s%.*s", DR_FMT(type), DR_FMT(block), DR_FMT(delta));
    put_shape(lines, path, root, 0);
}

static void put_json_shape(struct dr_buf *lines, struct dr_json_reader *reader, dr_slice text) {
    struct dr_json_iter iter;
    dr_json root;
    if (dr_json_read(reader, text, DEPTH_MAX, &root, NULL)) {
        fail_msg("no JSON: %.*s", DR_FMT(dr_slice_first(text, 300)));
    }
    if (!dr_json_is(root, DR_JSON_ARRAY)) {
        put_root_shape(lines, root);
        return;
    }
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) put_root_shape(lines, iter.value);
}

/* Events of a stream; what stands there without `data:` is one JSON text, as Google's errors. */
static void put_stream_shape(struct dr_buf *lines, struct dr_json_reader *reader, dr_slice text) {
    struct dr_buf bare;
    dr_buf_init(&bare, FILE_BYTES_MAX);
    while (text.data && text.len > 0) {
        dr_slice line = dr_slice_split(&text, '\n');
        if (dr_slice_starts(line, DR_LIT("event:"))) {
            dr_buf_format(lines, "%.*s\n", DR_FMT(dr_slice_trim(line)));
        } else if (dr_slice_starts(line, DR_LIT("data:"))) {
            put_json_shape(lines, reader, dr_slice_from(line, 5));
        } else {
            dr_buf_put(&bare, line);
        }
    }
    if (dr_slice_find_char(dr_buf_slice(&bare), '{') < bare.len) {
        put_json_shape(lines, reader, dr_buf_slice(&bare));
    }
    dr_buf_clear(&bare);
}

struct shapes {
    struct dr_buf *lines;
    struct dr_json_reader *reader;
};

static void put_recorded_shape(const char *folder, dr_json entry, void *owner) {
    const struct shapes *shapes = owner;
    const dr_slice name = fixture_text(entry, "response");
    struct dr_buf body = fixture_read(folder, name);
    if (dr_slice_ends(name, DR_LIT(".sse"))) {
        put_stream_shape(shapes->lines, shapes->reader, dr_buf_slice(&body));
    } else {
        put_json_shape(shapes->lines, shapes->reader, dr_buf_slice(&body));
    }
    dr_buf_clear(&body);
}

static void put_recorded_shapes(struct dr_buf *lines, const char *folder) {
    struct shapes shapes = {.lines = lines, .reader = dr_json_reader_new()};
    (void)fixture_visit(folder, put_recorded_shape, &shapes);
    dr_json_reader_free(shapes.reader);
}

static bool has_line(const struct dr_buf *lines, dr_slice line) {
    dr_slice rest = dr_buf_slice(lines);
    while (rest.len > 0) {
        if (dr_slice_is(dr_slice_split(&rest, '\n'), line)) return true;
    }
    return false;
}

static void check_lines(const struct dr_buf *lines, const struct dr_buf *recorded,
                        const char *const *documented, const char *title) {
    dr_slice rest = dr_buf_slice(lines);
    assert_true(lines->len > 100);
    while (rest.len > 0) {
        const dr_slice line = dr_slice_split(&rest, '\n');
        if (has_line(recorded, line) || is_among(documented, line)) continue;
        fail_msg("%s: no recording has %.*s", title, DR_FMT(line));
    }
}

static void put_answer_shape(struct dr_buf *lines, const struct sim_dialect *dialect,
                             const char *body, bool is_streamed) {
    struct sim_reply_options options = {.created_s = 1};
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_json_reader *checker = dr_json_reader_new();
    struct sim_complaint complaint = {.message = ""};
    struct sim_scratch scratch;
    struct sim_ask ask;
    struct dr_buf text;
    dr_json root;
    memset(options.id, 'a', sizeof options.id);
    dr_buf_init(&text, FILE_BYTES_MAX);
    assert_int_equal(sim_scratch_init(&scratch), DR_OK);
    assert_int_equal(dr_json_read(reader, dr_slice_text(body), DEPTH_MAX, &root, NULL), DR_OK);
    sim_ask_init(&ask);
    ask.model = DR_LIT("gemini-3-flash");
    if (dialect->read(root, &ask, &scratch, &complaint))
        fail_msg("%s: %s", body, complaint.message);
    ask.is_streamed = is_streamed;
    struct sim_reply *reply = sim_reply_new(dialect, &ask, &options);
    assert_non_null(reply);
    if (is_streamed) {
        while (dialect->next(reply) != SIM_EVENT_DONE) dialect->write_event(reply, &text);
        dialect->write_event(reply, &text);
        put_stream_shape(lines, checker, dr_buf_slice(&text));
    } else {
        dialect->write(reply, &text);
        put_json_shape(lines, checker, dr_buf_slice(&text));
    }
    sim_reply_free(reply);
    sim_scratch_clear(&scratch);
    dr_buf_clear(&text);
    dr_json_reader_free(checker);
    dr_json_reader_free(reader);
}

static void put_error_shapes(struct dr_buf *lines, const struct sim_dialect *dialect) {
    static const uint16_t statuses[] = {400, 401, 403, 404, 429, 503, 529};
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf text;
    dr_buf_init(&text, FILE_BYTES_MAX);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct sim_error error = dialect->failure(statuses[i]);
        error.retry_after_s = 2;
        if (statuses[i] == 400) error.code = "API_KEY_INVALID";
        dr_buf_reset(&text);
        dialect->write_error(&error, DR_LIT("id"), &text);
        put_json_shape(lines, reader, dr_buf_slice(&text));
    }
    dr_buf_reset(&text);
    dialect->write_error_event(&text);
    put_stream_shape(lines, reader, dr_buf_slice(&text));
    dr_buf_clear(&text);
    dr_json_reader_free(reader);
}

#define SAY(text) "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"
#define CLAUDE(text, more) "{\"model\":\"claude\",\"max_tokens\":5000," SAY(text) more "}"
#define CLAUDE_TOOL \
    "{\"name\":\"weather\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"unit\":{" \
    "\"enum\":[\"celsius\"]}}}}"
#define TELL(text) "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"" text "\"}]}]"
#define GEMINI(text, more) "{" TELL(text) more "}"
#define GEMINI_TOOLS ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"weather\"}]}]"

static void test_answers_of_messages_have_nothing_that_recordings_lack(void **state) {
    (void)state;
    static const char *const bodies[] = {
        CLAUDE("hello", ""),
        CLAUDE("both", ",\"tools\":[" CLAUDE_TOOL "]"),
        CLAUDE("think", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"),
        CLAUDE("think", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024,\"display\":"
                        "\"omitted\"},\"tools\":[" CLAUDE_TOOL "]"),
        CLAUDE("stop", ",\"stop_sequences\":[\"simulation\"]"),
        CLAUDE("please simulate a block", ""),
        "{\"model\":\"claude\",\"max_tokens\":2," SAY("short") "}",
    };
    /* Documented under "Errors", as yet in no recording. */
    static const char *const documented[] = {
        "error/.error.type=permission_error",
        "error/.error.type=api_error",
        NULL,
    };
    struct dr_buf recorded;
    struct dr_buf lines;
    dr_buf_init(&recorded, FILE_BYTES_MAX);
    dr_buf_init(&lines, FILE_BYTES_MAX);
    put_recorded_shapes(&recorded, "anthropic");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        put_answer_shape(&lines, &sim_messages, bodies[i], false);
        put_answer_shape(&lines, &sim_messages, bodies[i], true);
    }
    put_error_shapes(&lines, &sim_messages);
    check_lines(&lines, &recorded, documented, "anthropic");
    dr_buf_clear(&lines);
    dr_buf_clear(&recorded);
}

static void test_answers_of_generate_have_nothing_that_recordings_lack(void **state) {
    (void)state;
    static const char *const bodies[] = {
        GEMINI("hello", ""),
        GEMINI("both", GEMINI_TOOLS),
        GEMINI("think", ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingLevel\":\"low\","
                        "\"includeThoughts\":true}}"),
        GEMINI("logs", ",\"generationConfig\":{\"responseLogprobs\":true,\"logprobs\":3,"
                       "\"candidateCount\":2}"),
        GEMINI("please simulate a block", ""),
        GEMINI("short", ",\"generationConfig\":{\"maxOutputTokens\":2}"),
    };
    static const char *const documented[] = {
        /* "GenerateContent" and google.rpc's error_details, as yet in no recording. */
        "/.promptFeedback.blockReason=PROHIBITED_CONTENT",
        "/.error.details[].retryDelay",
        "/.error.details[].@type=type.googleapis.com/google.rpc.RetryInfo",
        "/.error.status=UNAUTHENTICATED",
        "/.error.status=UNKNOWN", /* of the status 529, which is not Google's */
        NULL,
    };
    struct dr_buf recorded;
    struct dr_buf lines;
    dr_buf_init(&recorded, FILE_BYTES_MAX);
    dr_buf_init(&lines, FILE_BYTES_MAX);
    put_recorded_shapes(&recorded, "gemini");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        put_answer_shape(&lines, &sim_generate, bodies[i], false);
        put_answer_shape(&lines, &sim_generate, bodies[i], true);
    }
    put_error_shapes(&lines, &sim_generate);
    check_lines(&lines, &recorded, documented, "gemini");
    dr_buf_clear(&lines);
    dr_buf_clear(&recorded);
}

static void test_each_request_of_these_folders_was_read(void **state) {
    (void)state;
    fixture_assert_all_read("sim_fixtures_test");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_requests_are_taken_as_the_real_providers_took_them),
        cmocka_unit_test(test_answers_of_messages_have_nothing_that_recordings_lack),
        cmocka_unit_test(test_answers_of_generate_have_nothing_that_recordings_lack),
        cmocka_unit_test(test_each_request_of_these_folders_was_read), /* the last one */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
