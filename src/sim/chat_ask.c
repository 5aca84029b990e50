/* OpenAI's chat request, read by code of the simulation's own: an independent witness of what the
 * gateway sends. Must not share code with the gateway's dialects, nor answer anything. */
#include "sim/chat_ask.h"

#include "sim/chat_deepseek.h"
#include "sim/shape.h"

#include <stdarg.h>
#include <stdio.h>

enum { CALLS_MAX = 128, TOOL_NAME_BYTES_MAX = 64, CHOICES_MAX = 128, STOPS_MAX = 4 };

struct reading {
    struct sim_ask *ask;
    struct sim_scratch *scratch;
    struct sim_complaint *complaint;
    dr_json root;
    bool is_deepseek;
    dr_json calls_open; /* tool_calls of the newest assistant message, until answered */
    size_t results_seen;
};

/* Writes the complaint; returns false so that checks end in one line. */
static bool complain(struct reading *reading, const char *code, const char *message,
                     const char *param_format, ...) DR_PRINTF(4, 5);

static bool complain(struct reading *reading, const char *code, const char *message,
                     const char *param_format, ...) {
    struct sim_complaint *complaint = reading->complaint;
    va_list arguments;
    va_start(arguments, param_format);
    (void)vsnprintf(complaint->param, sizeof complaint->param, param_format, arguments);
    va_end(arguments);
    complaint->code = code;
    if (complaint->param[0] == 0) {
        (void)snprintf(complaint->message, sizeof complaint->message, "%s", message);
    } else {
        (void)snprintf(complaint->message, sizeof complaint->message, "%s: '%s'.", message,
                       complaint->param);
    }
    return false;
}

static bool complain_type(struct reading *reading, const char *field, const char *expected) {
    char message[96];
    (void)snprintf(message, sizeof message, "Invalid type: expected %s", expected);
    return complain(reading, "invalid_type", message, "%s", field);
}

static bool complain_missing(struct reading *reading, const char *field) {
    return complain(reading, "missing_required_parameter", "Missing required parameter", "%s",
                    field);
}

static bool complain_value(struct reading *reading, const char *field) {
    return complain(reading, "invalid_value", "Invalid value", "%s", field);
}

/* DeepSeek has one code and no parameter for all that it refuses. */
static bool complain_deepseek(struct reading *reading, const char *message) {
    return complain(reading, "invalid_request_error", message, "%s", "");
}

/* The field's value; NULL where it is absent or null, which mean the same to OpenAI. */
static dr_json field(const struct reading *reading, const char *name) {
    if (reading->is_deepseek && sim_deepseek_ignores(dr_slice_text(name))) return NULL;
    dr_json value = dr_json_member(reading->root, dr_slice_text(name));
    return dr_json_is(value, DR_JSON_NULL) ? NULL : value;
}

static bool read_bool(struct reading *reading, const char *name, bool *ret) {
    dr_json value = field(reading, name);
    if (!value) return true;
    if (!dr_json_is(value, DR_JSON_BOOL)) return complain_type(reading, name, "a boolean");
    *ret = dr_json_bool(value);
    return true;
}

static bool read_count(struct reading *reading, const char *name, uint64_t least, uint64_t most,
                       uint64_t *ret) {
    dr_json value = field(reading, name);
    uint64_t count;
    if (!value) return true;
    if (!dr_json_is(value, DR_JSON_NUMBER)) return complain_type(reading, name, "an integer");
    if (!dr_json_to_u64(value, &count) || count < least || count > most) {
        return complain(reading, "integer_out_of_range", "Integer out of its range", "%s", name);
    }
    *ret = count;
    return true;
}

static bool check_number(struct reading *reading, const char *name, double least, double most) {
    dr_json value = field(reading, name);
    double number;
    if (!value) return true;
    if (!dr_json_is(value, DR_JSON_NUMBER)) return complain_type(reading, name, "a number");
    if (!dr_json_to_double(value, &number) || number < least || number > most) {
        return complain(reading, "decimal_out_of_range", "Decimal out of its range", "%s", name);
    }
    return true;
}

/* --- messages --- */

static const struct {
    dr_slice name;
    enum sim_role role;
} roles[] = {
    {SIM_TEXT("system"), SIM_ROLE_SYSTEM}, {SIM_TEXT("developer"), SIM_ROLE_SYSTEM},
    {SIM_TEXT("user"), SIM_ROLE_USER},     {SIM_TEXT("assistant"), SIM_ROLE_ASSISTANT},
    {SIM_TEXT("tool"), SIM_ROLE_TOOL},     {SIM_TEXT("function"), SIM_ROLE_TOOL},
};

/* What carries no text, by the member that its kind must have. */
static const struct {
    dr_slice type;
    dr_slice member;
} media[] = {
    {SIM_TEXT("image_url"), SIM_TEXT("image_url")},
    {SIM_TEXT("input_audio"), SIM_TEXT("input_audio")},
    {SIM_TEXT("file"), SIM_TEXT("file")},
};

static bool read_media(struct reading *reading, dr_json part, dr_slice type, enum sim_role role,
                       size_t index, size_t part_index) {
    for (size_t i = 0; i < sizeof media / sizeof media[0]; i++) {
        if (!dr_slice_is(type, media[i].type)) continue;
        dr_json value = dr_json_member(part, media[i].member);
        const bool is_image = dr_slice_is(type, DR_LIT("image_url"));
        if (role != SIM_ROLE_USER) break;
        if (!dr_json_is(value, DR_JSON_OBJECT) ||
            (is_image && dr_json_text(dr_json_member(value, DR_LIT("url"))).len == 0)) {
            return complain(reading, "missing_required_parameter", "Missing required parameter",
                            "messages[%zu].content[%zu].%.*s", index, part_index,
                            DR_FMT(media[i].member));
        }
        sim_talk_note_image(&reading->ask->talk);
        return true;
    }
    return complain(reading, "invalid_value", "Invalid value", "messages[%zu].content[%zu].type",
                    index, part_index);
}

static void note_text(struct reading *reading, enum sim_role role, dr_slice text) {
    if (role == SIM_ROLE_TOOL) {
        sim_ask_note_result(reading->ask, reading->scratch, text);
    } else if (role == SIM_ROLE_SYSTEM && reading->is_deepseek) {
        if (text.len > 0) sim_ask_note_system(reading->ask, reading->scratch, text);
    } else {
        sim_talk_note_text(&reading->ask->talk, role, text);
    }
}

static bool read_part(struct reading *reading, dr_json part, enum sim_role role, size_t index,
                      size_t part_index) {
    const dr_slice type = dr_json_text(dr_json_member(part, DR_LIT("type")));
    if (!type.data) {
        return complain(reading, "missing_required_parameter", "Missing required parameter",
                        "messages[%zu].content[%zu].type", index, part_index);
    }
    const bool is_refusal = role == SIM_ROLE_ASSISTANT && dr_slice_is(type, DR_LIT("refusal"));
    if (!is_refusal && !dr_slice_is(type, DR_LIT("text"))) {
        return read_media(reading, part, type, role, index, part_index);
    }
    const dr_slice text = dr_json_text(dr_json_member(part, type));
    if (!text.data) {
        return complain(reading, "missing_required_parameter", "Missing required parameter",
                        "messages[%zu].content[%zu].%.*s", index, part_index, DR_FMT(type));
    }
    note_text(reading, role, text);
    return true;
}

static bool read_content(struct reading *reading, dr_json message, enum sim_role role,
                         size_t index) {
    dr_json content = dr_json_member(message, DR_LIT("content"));
    if (dr_json_is(content, DR_JSON_STRING)) {
        note_text(reading, role, dr_json_text(content));
        return true;
    }
    if (dr_json_is(content, DR_JSON_ARRAY) && dr_json_count(content) > 0) {
        struct dr_json_iter iter;
        dr_json_iter_init(&iter, content);
        for (size_t i = 0; dr_json_iter_next(&iter); i++) {
            if (!read_part(reading, iter.value, role, index, i)) return false;
        }
        return true;
    }
    const bool is_absent = !content || dr_json_is(content, DR_JSON_NULL);
    const bool has_other =
        dr_json_is(dr_json_member(message, DR_LIT("tool_calls")), DR_JSON_ARRAY) ||
        dr_json_member(message, DR_LIT("function_call")) ||
        dr_json_member(message, DR_LIT("refusal")) || dr_json_member(message, DR_LIT("audio"));
    if (is_absent && role == SIM_ROLE_ASSISTANT && has_other) return true;
    return complain(reading, "invalid_type",
                    "Invalid type: expected a string or a non-empty array of parts",
                    "messages[%zu].content", index);
}

static bool read_calls(struct reading *reading, dr_json message, size_t index) {
    dr_json calls = dr_json_member(message, DR_LIT("tool_calls"));
    if (!calls || dr_json_is(calls, DR_JSON_NULL)) return true;
    const size_t count = dr_json_count(calls);
    if (!dr_json_is(calls, DR_JSON_ARRAY) || count == 0 || count > CALLS_MAX) {
        return complain(reading, "invalid_value", "Invalid value", "messages[%zu].tool_calls",
                        index);
    }
    dr_json thought = dr_json_member(message, DR_LIT("reasoning_content"));
    if (reading->is_deepseek && reading->ask->reasoning_tokens > 0 &&
        !dr_json_is(thought, DR_JSON_STRING)) {
        return complain_deepseek(reading, SIM_DEEPSEEK_THOUGHT_MISSED);
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, calls);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        dr_json function = dr_json_member(iter.value, DR_LIT("function"));
        if (!function) function = dr_json_member(iter.value, DR_LIT("custom"));
        dr_json arguments = dr_json_member(function, DR_LIT("arguments"));
        if (!arguments) arguments = dr_json_member(function, DR_LIT("input"));
        const dr_slice name = dr_json_text(dr_json_member(function, DR_LIT("name")));
        const dr_slice id = dr_json_text(dr_json_member(iter.value, DR_LIT("id")));
        if (name.len == 0 || id.len == 0 || !dr_json_is(arguments, DR_JSON_STRING)) {
            return complain(reading, "invalid_value", "A call needs id, name and arguments as text",
                            "messages[%zu].tool_calls[%zu]", index, i);
        }
        sim_talk_note_call(&reading->ask->talk, name);
    }
    reading->calls_open = calls;
    reading->results_seen = 0;
    return true;
}

static bool is_call_open(const struct reading *reading, dr_slice id) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, reading->calls_open);
    while (dr_json_iter_next(&iter)) {
        if (dr_slice_is(dr_json_text(dr_json_member(iter.value, DR_LIT("id"))), id)) return true;
    }
    return false;
}

/* Each call is followed by its result before anybody else speaks. */
static bool check_order(struct reading *reading, dr_json message, bool is_result, size_t index) {
    if (!is_result) {
        if (dr_json_count(reading->calls_open) > reading->results_seen) {
            return complain(reading, NULL,
                            "An assistant message with 'tool_calls' must be followed by tool "
                            "messages responding to each 'tool_call_id'",
                            "messages[%zu].role", index);
        }
        reading->calls_open = NULL;
        reading->results_seen = 0;
        return true;
    }
    const dr_slice id = dr_json_text(dr_json_member(message, DR_LIT("tool_call_id")));
    if (!id.data) {
        return complain(reading, "missing_required_parameter", "Missing required parameter",
                        "messages[%zu].tool_call_id", index);
    }
    if (!is_call_open(reading, id)) {
        return complain(reading, NULL,
                        "A message with role 'tool' must be a response to a preceding message "
                        "with 'tool_calls'",
                        "messages[%zu].role", index);
    }
    reading->results_seen++;
    return true;
}

static bool complain_variant(struct reading *reading, dr_slice role, size_t index) {
    char message[256];
    (void)snprintf(message, sizeof message,
                   "Failed to deserialize the JSON body into the target type: messages[%zu].role: "
                   "unknown variant `%.*s`, expected one of `system`, `user`, `assistant`, `tool`",
                   index, DR_FMT(dr_slice_first(role, 40)));
    return complain_deepseek(reading, message);
}

static bool read_message(struct reading *reading, dr_json message, size_t index) {
    const dr_slice name = dr_json_text(dr_json_member(message, DR_LIT("role")));
    const size_t role_count = sizeof roles / sizeof roles[0];
    size_t i = 0;
    while (i < role_count && !dr_slice_is(name, roles[i].name)) i++;
    if (!name.data) {
        return complain(reading, "missing_required_parameter", "Missing required parameter",
                        "messages[%zu].role", index);
    }
    if (reading->is_deepseek && !sim_deepseek_takes_role(name)) {
        return complain_variant(reading, name, index);
    }
    if (i == role_count) {
        return complain(reading, "invalid_value", "Invalid value", "messages[%zu].role", index);
    }
    const enum sim_role role = roles[i].role;
    struct sim_talk *talk = &reading->ask->talk;
    const uint64_t before = talk->prompt_tokens;
    if (role != SIM_ROLE_SYSTEM) sim_talk_note_message(talk, role);
    const bool is_result = dr_slice_is(name, DR_LIT("tool"));
    if (!check_order(reading, message, is_result, index) ||
        !read_content(reading, message, role, index)) {
        return false;
    }
    if (role == SIM_ROLE_SYSTEM && talk->prompt_tokens > before) sim_talk_note_message(talk, role);
    return role != SIM_ROLE_ASSISTANT || read_calls(reading, message, index);
}

static bool read_messages(struct reading *reading) {
    dr_json messages = field(reading, "messages");
    if (!messages) return complain_missing(reading, "messages");
    if (!dr_json_is(messages, DR_JSON_ARRAY)) {
        return complain_type(reading, "messages", "an array of objects");
    }
    if (dr_json_count(messages) == 0) {
        return complain(reading, "empty_array", "Invalid: empty array, expected at least one",
                        "messages");
    }
    struct dr_json_iter iter;
    size_t index = 0;
    dr_json_iter_init(&iter, messages);
    for (; dr_json_iter_next(&iter); index++) {
        if (!read_message(reading, iter.value, index)) return false;
    }
    return check_order(reading, NULL, false, index - 1);
}

/* --- tools --- */

static dr_slice named_function(dr_json value) {
    return dr_json_text(dr_json_member(dr_json_member(value, DR_LIT("function")), DR_LIT("name")));
}

static bool read_tool(struct reading *reading, dr_json tool, size_t index) {
    dr_json parameters =
        dr_json_member(dr_json_member(tool, DR_LIT("function")), DR_LIT("parameters"));
    if (!dr_slice_is(dr_json_text(dr_json_member(tool, DR_LIT("type"))), DR_LIT("function"))) {
        return complain(reading, "invalid_value", "Invalid value", "tools[%zu].type", index);
    }
    if (!sim_shape_is_word(named_function(tool), TOOL_NAME_BYTES_MAX)) {
        return complain(reading, "invalid_value", "Invalid value", "tools[%zu].function.name",
                        index);
    }
    if (parameters && !dr_json_is(parameters, DR_JSON_OBJECT) &&
        !dr_json_is(parameters, DR_JSON_NULL)) {
        return complain(reading, "invalid_type", "Invalid type: expected an object",
                        "tools[%zu].function.parameters", index);
    }
    if (sim_ask_add_tool(reading->ask, named_function(tool), parameters)) return true;
    return complain(reading, "array_above_max_length", "Invalid: more than 128 tools", "tools");
}

static bool read_tools(struct reading *reading) {
    dr_json tools = field(reading, "tools");
    if (!tools) return true;
    if (!dr_json_is(tools, DR_JSON_ARRAY) || dr_json_count(tools) == 0) {
        return complain_value(reading, "tools");
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, tools);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        if (!read_tool(reading, iter.value, i)) return false;
    }
    reading->ask->tool_use = SIM_TOOL_USE_AUTO;
    return true;
}

static bool read_tool_word(struct reading *reading, dr_slice word, const char *param) {
    struct sim_ask *ask = reading->ask;
    if (dr_slice_is(word, DR_LIT("none"))) {
        ask->tool_use = SIM_TOOL_USE_NONE;
    } else if (dr_slice_is(word, DR_LIT("required"))) {
        ask->tool_use = SIM_TOOL_USE_REQUIRED;
    } else if (!dr_slice_is(word, DR_LIT("auto"))) {
        return complain_value(reading, param);
    }
    return true;
}

static bool read_tool_choice(struct reading *reading) {
    struct sim_ask *ask = reading->ask;
    dr_json choice = field(reading, "tool_choice");
    bool is_parallel = true;
    if (!read_bool(reading, "parallel_tool_calls", &is_parallel)) return false;
    ask->is_parallel = is_parallel;
    if (ask->tool_count == 0 && field(reading, "parallel_tool_calls")) {
        return complain(reading, NULL, "Only allowed when 'tools' are specified",
                        "parallel_tool_calls");
    }
    if (!choice) return true;
    if (ask->tool_count == 0) {
        return complain(reading, NULL, "Only allowed when 'tools' are specified", "tool_choice");
    }
    if (dr_json_is(choice, DR_JSON_STRING)) {
        return read_tool_word(reading, dr_json_text(choice), "tool_choice");
    }
    const dr_slice type = dr_json_text(dr_json_member(choice, DR_LIT("type")));
    if (dr_slice_is(type, DR_LIT("allowed_tools"))) {
        dr_json allowed = dr_json_member(choice, DR_LIT("allowed_tools"));
        dr_json tools = dr_json_member(allowed, DR_LIT("tools"));
        struct dr_json_iter iter;
        dr_json_iter_init(&iter, tools);
        if (dr_json_iter_next(&iter)) {
            ask->first_tool = sim_ask_find_tool(ask, named_function(iter.value));
        }
        if (ask->first_tool == SIM_TOOLS_MAX || dr_json_count(tools) == 0) {
            return complain_value(reading, "tool_choice.allowed_tools.tools");
        }
        return read_tool_word(reading, dr_json_text(dr_json_member(allowed, DR_LIT("mode"))),
                              "tool_choice.allowed_tools.mode");
    }
    ask->first_tool = sim_ask_find_tool(ask, named_function(choice));
    ask->tool_use = SIM_TOOL_USE_NAMED;
    if (!dr_slice_is(type, DR_LIT("function"))) return complain_value(reading, "tool_choice.type");
    if (ask->first_tool == SIM_TOOLS_MAX) {
        return complain_value(reading, "tool_choice.function.name");
    }
    return true;
}

/* --- parameters --- */

static bool read_format(struct reading *reading) {
    struct sim_ask *ask = reading->ask;
    dr_json format = field(reading, "response_format");
    if (!format) return true;
    const dr_slice type = dr_json_text(dr_json_member(format, DR_LIT("type")));
    if (dr_slice_is(type, DR_LIT("text"))) return true;
    if (dr_slice_is(type, DR_LIT("json_object"))) {
        /* A schema in words is obeyed. */
        if (ask->format == SIM_FORMAT_TEXT) ask->format = SIM_FORMAT_JSON;
        return true;
    }
    if (reading->is_deepseek) return complain_deepseek(reading, SIM_DEEPSEEK_FORMAT_REFUSED);
    if (!dr_slice_is(type, DR_LIT("json_schema"))) {
        return complain_value(reading, "response_format.type");
    }
    dr_json named = dr_json_member(format, DR_LIT("json_schema"));
    if (!sim_shape_is_word(dr_json_text(dr_json_member(named, DR_LIT("name"))),
                           TOOL_NAME_BYTES_MAX)) {
        return complain_missing(reading, "response_format.json_schema.name");
    }
    ask->format = SIM_FORMAT_SCHEMA;
    ask->schema = dr_json_member(named, DR_LIT("schema"));
    if (ask->schema && !dr_json_is(ask->schema, DR_JSON_OBJECT)) {
        return complain_type(reading, "response_format.json_schema.schema", "an object");
    }
    return true;
}

static bool read_stops(struct reading *reading) {
    struct sim_ask *ask = reading->ask;
    dr_json stop = field(reading, "stop");
    if (!stop) return true;
    if (dr_json_is(stop, DR_JSON_STRING)) {
        ask->stops[ask->stop_count++] = dr_json_text(stop);
        return true;
    }
    if (!dr_json_is(stop, DR_JSON_ARRAY) || dr_json_count(stop) > STOPS_MAX) {
        return complain_value(reading, "stop");
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, stop);
    while (dr_json_iter_next(&iter)) {
        if (!dr_json_is(iter.value, DR_JSON_STRING)) {
            return complain_type(reading, "stop", "a string or an array of strings");
        }
        ask->stops[ask->stop_count++] = dr_json_text(iter.value);
    }
    return true;
}

static bool read_reasoning(struct reading *reading) {
    dr_json effort = field(reading, "reasoning_effort");
    if (reading->is_deepseek) {
        return sim_deepseek_read_thinking(reading->ask, field(reading, "thinking"), effort) ||
               complain_deepseek(reading, "Failed to deserialize the JSON body into the target "
                                          "type: unknown variant of thinking");
    }
    if (!effort || sim_ask_set_effort(reading->ask, dr_json_text(effort))) return true;
    return complain_value(reading, "reasoning_effort");
}

static bool read_stream(struct reading *reading) {
    struct sim_ask *ask = reading->ask;
    if (!read_bool(reading, "stream", &ask->is_streamed)) return false;
    dr_json options = field(reading, "stream_options");
    if (!options) return true;
    if (!ask->is_streamed) {
        return complain(reading, NULL, "Only allowed when 'stream' is enabled", "stream_options");
    }
    if (!dr_json_is(options, DR_JSON_OBJECT)) {
        return complain_type(reading, "stream_options", "an object");
    }
    dr_json usage = dr_json_member(options, DR_LIT("include_usage"));
    if (usage && !dr_json_is(usage, DR_JSON_BOOL) && !dr_json_is(usage, DR_JSON_NULL)) {
        return complain_type(reading, "stream_options.include_usage", "a boolean");
    }
    ask->includes_usage = dr_json_bool(usage);
    return true;
}

static bool read_counts(struct reading *reading) {
    struct sim_ask *ask = reading->ask;
    uint64_t choices = 1;
    uint64_t top = 0;
    uint64_t old_max = UINT64_MAX;
    if (!read_count(reading, "n", 1, CHOICES_MAX, &choices) ||
        !read_count(reading, "max_tokens", 1, UINT64_MAX, &old_max) ||
        !read_count(reading, "max_completion_tokens", 1, UINT64_MAX, &ask->tokens_max) ||
        !read_bool(reading, "logprobs", &ask->wants_logprobs) ||
        !read_count(reading, "top_logprobs", 0, 20, &top)) {
        return false;
    }
    if (field(reading, "max_tokens") && field(reading, "max_completion_tokens")) {
        return complain(reading, "invalid_parameter_combination",
                        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not "
                        "supported",
                        "max_tokens");
    }
    if (old_max < ask->tokens_max) ask->tokens_max = old_max;
    if (top > 0 && !ask->wants_logprobs) {
        return complain(reading, NULL, "Only allowed when 'logprobs' is enabled", "top_logprobs");
    }
    ask->choice_count = (uint32_t)choices;
    ask->top_logprobs = (uint32_t)top;
    return true;
}

static bool read_model(struct reading *reading) {
    dr_json model = field(reading, "model");
    if (!model) {
        reading->complaint->param[0] = 0;
        return complain(reading, NULL, "you must provide a model parameter", "%s", "");
    }
    if (!dr_json_is(model, DR_JSON_STRING)) return complain_type(reading, "model", "a string");
    reading->ask->model = dr_json_text(model);
    if (reading->ask->model.len == 0) {
        return complain(reading, NULL, "you must provide a model parameter", "%s", "");
    }
    reading->is_deepseek = sim_deepseek_has(reading->ask->model);
    return true;
}

enum dr_status sim_chat_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                             struct sim_complaint *complaint) {
    struct reading reading = {.ask = ask, .scratch = scratch, .complaint = complaint, .root = root};
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        (void)complain(&reading, NULL, "The body of a request must be a JSON object", "%s", "");
        return DR_INVALID;
    }
    const bool is_read =
        read_model(&reading) && read_stream(&reading) && read_counts(&reading) &&
        read_reasoning(&reading) && read_messages(&reading) && read_tools(&reading) &&
        read_tool_choice(&reading) && read_format(&reading) && read_stops(&reading) &&
        check_number(&reading, "temperature", 0, 2) && check_number(&reading, "top_p", 0, 1) &&
        check_number(&reading, "frequency_penalty", -2, 2) &&
        check_number(&reading, "presence_penalty", -2, 2);
    return is_read ? DR_OK : DR_INVALID;
}
