/* What the readers of the three dialects have in common. Must not know how any of them writes a
 * request. */
#include "sim/ask.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

enum { RESULT_BYTES_MAX = 64 * 1024 * 1024, RESULT_DEPTH_MAX = 64 };

bool sim_complain(struct sim_reading *reading, const char *format, ...) {
    struct sim_complaint *complaint = reading->complaint;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(complaint->message, sizeof complaint->message, format, arguments);
    va_end(arguments);
    return false;
}

enum dr_status sim_scratch_init(struct sim_scratch *scratch) {
    *scratch = (struct sim_scratch){.results = dr_json_reader_new()};
    scratch->formats = dr_json_reader_new();
    dr_buf_init(&scratch->result, RESULT_BYTES_MAX);
    return scratch->results && scratch->formats ? DR_OK : DR_NO_MEMORY;
}

void sim_scratch_clear(struct sim_scratch *scratch) {
    dr_json_reader_free(scratch->results);
    dr_json_reader_free(scratch->formats);
    dr_buf_clear(&scratch->result);
    scratch->results = NULL;
    scratch->formats = NULL;
}

void sim_ask_init(struct sim_ask *ask) {
    *ask = (struct sim_ask){.choice_count = 1, .tokens_max = UINT64_MAX, .is_parallel = true};
}

/* --- tools --- */

bool sim_ask_add_tool(struct sim_ask *ask, dr_slice name, dr_json schema) {
    if (ask->tool_count == SIM_TOOLS_MAX) return false;
    ask->tools[ask->tool_count++] = (struct sim_tool){.name = name, .schema = schema};
    sim_talk_note_tool(&ask->talk);
    return true;
}

size_t sim_ask_find_tool(const struct sim_ask *ask, dr_slice name) {
    for (size_t i = 0; i < ask->tool_count; i++) {
        if (dr_slice_is(ask->tools[i].name, name)) return i;
    }
    return SIM_TOOLS_MAX;
}

/* --- thinking --- */

static const struct {
    dr_slice word;
    uint64_t tokens;
} efforts[] = {
    {SIM_TEXT("none"), 0},
    {SIM_TEXT("minimal"), 16},
    {SIM_TEXT("low"), 64},
    {SIM_TEXT("medium"), 128},
    {SIM_TEXT("high"), 256},
    {SIM_TEXT("xhigh"), 512},
    {SIM_TEXT("max"), SIM_EFFORT_TOKENS_MAX},
};

bool sim_ask_set_effort(struct sim_ask *ask, dr_slice word) {
    for (size_t i = 0; i < sizeof efforts / sizeof efforts[0]; i++) {
        if (!dr_slice_is(word, efforts[i].word)) continue;
        ask->reasoning_tokens = efforts[i].tokens;
        return true;
    }
    return false;
}

/* Budgets are set where the documents of Anthropic and Google put low, medium and high. */
void sim_ask_set_budget(struct sim_ask *ask, uint64_t tokens) {
    const char *word = tokens == 0 ? "none" : tokens <= 4096 ? "low" : "medium";
    if (tokens > 16384) word = "high";
    if (!sim_ask_set_effort(ask, dr_slice_text(word))) dr_unreachable();
    if (ask->reasoning_tokens > tokens) ask->reasoning_tokens = tokens;
}

/* --- texts that mean more than their letters --- */

void sim_ask_note_system(struct sim_ask *ask, struct sim_scratch *scratch, dr_slice text) {
    const dr_slice wish = DR_LIT("one JSON object and nothing else");
    const dr_slice mark = DR_LIT("JSON Schema: ");
    if (dr_slice_find(text, wish) == text.len) {
        sim_talk_note_text(&ask->talk, SIM_ROLE_SYSTEM, text);
        return;
    }
    const dr_slice schema = dr_slice_from(text, dr_slice_find(text, mark) + mark.len);
    dr_json root;
    if (ask->format != SIM_FORMAT_TEXT) return;
    ask->format = SIM_FORMAT_JSON;
    if (schema.len > 0 && !dr_json_read(scratch->formats, schema, RESULT_DEPTH_MAX, &root, NULL)) {
        ask->format = SIM_FORMAT_SCHEMA;
        ask->schema = root;
    }
}

static dr_json unwrap(dr_json value) {
    static const dr_slice wrappers[] = {
        SIM_TEXT("result"),
        SIM_TEXT("output"),
        SIM_TEXT("error"),
    };
    if (!dr_json_is(value, DR_JSON_OBJECT) || dr_json_count(value) != 1) return value;
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        dr_json inner = dr_json_member(value, wrappers[i]);
        if (inner) return inner;
    }
    return value;
}

static void note_parsed(struct sim_ask *ask, struct sim_scratch *scratch, dr_json value) {
    value = unwrap(value);
    dr_slice text = dr_json_text(value);
    if (!text.data) {
        dr_buf_reset(&scratch->result);
        dr_json_put_value(&scratch->result, value);
        text = dr_buf_slice(&scratch->result);
    }
    sim_talk_note_text(&ask->talk, SIM_ROLE_TOOL, text);
}

void sim_ask_note_result(struct sim_ask *ask, struct sim_scratch *scratch, dr_slice text) {
    size_t at = 0;
    while (at < text.len && (unsigned char)text.data[at] <= ' ') at++;
    const bool may_be_json = at < text.len && (text.data[at] == '{' || text.data[at] == '[');
    dr_json root;
    if (may_be_json && !dr_json_read(scratch->results, text, RESULT_DEPTH_MAX, &root, NULL)) {
        note_parsed(ask, scratch, root);
    } else {
        sim_talk_note_text(&ask->talk, SIM_ROLE_TOOL, text);
    }
}

/* A text that was wrapped may be JSON, as a text that was not: [1, 2] has to be sent to Gemini as
 * {"result":"[1, 2]"}. */
void sim_ask_note_result_value(struct sim_ask *ask, struct sim_scratch *scratch, dr_json value) {
    const dr_slice text = dr_json_text(unwrap(value));
    if (text.data) {
        sim_ask_note_result(ask, scratch, text);
    } else {
        note_parsed(ask, scratch, value);
    }
}
