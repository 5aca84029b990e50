/* A chat request: is it one, what does it ask, and where must its bytes change on the way to a
 * provider. Must not rewrite the body, fill in defaults, or refuse what only a provider can judge:
 * unknown fields, unknown part types and model-dependent words pass. */
#include "dialect/openai.h"

#include "dialect/deepseek_prompt.h"
#include "dialect/openai_shape.h"

#include "base/assert.h"

enum {
    DEPTH_MAX = 128,
    MODEL_BYTES_MAX = 256,
    STOP_COUNT_MAX = 4,
    METADATA_COUNT_MAX = 16,
    METADATA_NAME_MAX = 64,
    METADATA_VALUE_MAX = 512,
};

/* One reading of one body. */
struct reading {
    const struct dr_json_reader *json;
    size_t shift;        /* what `json` holds stands in the body so much further on */
    bool ignores_stream; /* the body asks for one, whatever `json` holds */
    struct shape shape;
    dr_json model;
    dr_json messages;
    dr_json stream_options_name;
    dr_json stream_options;
    dr_slice safety_identifier;
    uint64_t max_tokens;
    uint64_t max_completion_tokens;
};

/* --- other fields --- */

static bool check_stop(struct prompt_fault *fault, dr_json stop) {
    struct dr_json_iter iter;
    size_t index = 0;

    if (dr_json_is(stop, DR_JSON_STRING)) return true;
    if (!dr_json_is(stop, DR_JSON_ARRAY)) {
        return shape_refuse_value(fault, "stop", stop, "a string or an array of at most 4 strings");
    }
    if (dr_json_count(stop) > STOP_COUNT_MAX) {
        return shape_refuse(fault, "stop", "must hold at most %d strings, not %zu", STOP_COUNT_MAX,
                            dr_json_count(stop));
    }
    dr_json_iter_init(&iter, stop);
    for (; dr_json_iter_next(&iter); index++) {
        if (shape_check_string(fault, "", iter.value)) continue;
        return shape_within_item(fault, "stop", index);
    }
    return true;
}

static bool check_modalities(struct shape *shape, dr_json modalities) {
    struct prompt_fault *fault = shape->fault;
    struct dr_json_iter iter;
    size_t index = 0;

    if (!dr_json_is(modalities, DR_JSON_ARRAY)) {
        return shape_refuse_value(fault, "modalities", modalities, "an array of strings");
    }
    dr_json_iter_init(&iter, modalities);
    for (; dr_json_iter_next(&iter); index++) {
        if (!shape_check_string(fault, "", iter.value)) {
            return shape_within_item(fault, "modalities", index);
        }
        if (dr_slice_is(dr_json_text(iter.value), DR_LIT("audio"))) {
            shape->prompt->wants_audio = true;
        }
    }
    return true;
}

static bool check_logit_bias(struct prompt_fault *fault, dr_json bias) {
    struct dr_json_iter iter;
    double value;

    if (!dr_json_is(bias, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "logit_bias", bias, "an object of numbers by token");
    }
    dr_json_iter_init(&iter, bias);
    while (dr_json_iter_next(&iter)) {
        if (dr_json_to_double(iter.value, &value) && value >= -100 && value <= 100) continue;
        (void)shape_refuse_value(fault, "", iter.value, "a number from -100 to 100");
        (void)shape_within_name(fault, dr_json_text(iter.name));
        return shape_within(fault, "logit_bias");
    }
    return true;
}

static bool check_metadata(struct prompt_fault *fault, dr_json metadata) {
    struct dr_json_iter iter;

    if (!dr_json_is(metadata, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "metadata", metadata, "an object of strings");
    }
    if (dr_json_count(metadata) > METADATA_COUNT_MAX) {
        return shape_refuse(fault, "metadata", "must hold at most %d pairs, not %zu",
                            METADATA_COUNT_MAX, dr_json_count(metadata));
    }
    dr_json_iter_init(&iter, metadata);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (shape_character_count(name) > METADATA_NAME_MAX) {
            return shape_refuse(fault, "metadata",
                                "must have names of at most %d characters, not %zu",
                                METADATA_NAME_MAX, shape_character_count(name));
        }
        bool is_good = shape_check_string(fault, "", iter.value);
        const size_t count = shape_character_count(dr_json_text(iter.value));
        if (is_good && count > METADATA_VALUE_MAX) {
            is_good = shape_refuse(fault, "", "must have at most %d characters, not %zu",
                                   METADATA_VALUE_MAX, count);
        }
        if (is_good) continue;
        (void)shape_within_name(fault, name);
        return shape_within(fault, "metadata");
    }
    return true;
}

enum field_rule {
    FIELD_BOOL,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_STRING,
    FIELD_OBJECT,
    FIELD_MODEL,
    FIELD_MESSAGES,
    FIELD_STREAM,
    FIELD_STREAM_OPTIONS,
    FIELD_CHOICE_COUNT,
    FIELD_MAX_TOKENS,
    FIELD_MAX_COMPLETION_TOKENS,
    FIELD_USER,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_STOP,
    FIELD_MODALITIES,
    FIELD_LOGIT_BIAS,
    FIELD_METADATA,
    FIELD_TOOLS,
    FIELD_TOOL_CHOICE,
    FIELD_FUNCTIONS,
    FIELD_FUNCTION_CALL,
    FIELD_RESPONSE_FORMAT,
};

struct field {
    const char *name;
    size_t name_len;
    enum field_rule rule;
    int64_t min;
    int64_t max;
};

#define FIELD(text, rule_value) \
    { text, sizeof(text) - 1, rule_value, 0, 0 }
#define FIELD_WITHIN(text, rule_value, min, max) \
    { text, sizeof(text) - 1, rule_value, min, max }

/* In the order of their lengths, so that a search may stop early. */
static const struct field fields[] = {
    FIELD_WITHIN("n", FIELD_CHOICE_COUNT, 1, 128),
    FIELD("user", FIELD_USER),
    FIELD("stop", FIELD_STOP),
    FIELD_WITHIN("seed", FIELD_INTEGER, INT64_MIN, INT64_MAX),
    FIELD("model", FIELD_MODEL),
    FIELD("tools", FIELD_TOOLS),
    FIELD_WITHIN("top_p", FIELD_NUMBER, 0, 1),
    FIELD("store", FIELD_BOOL),
    FIELD("audio", FIELD_OBJECT),
    FIELD("stream", FIELD_STREAM),
    FIELD("messages", FIELD_MESSAGES),
    FIELD("logprobs", FIELD_BOOL),
    FIELD("metadata", FIELD_METADATA),
    FIELD("verbosity", FIELD_STRING),
    FIELD("functions", FIELD_FUNCTIONS),
    FIELD_WITHIN("max_tokens", FIELD_MAX_TOKENS, 1, INT64_MAX),
    FIELD("logit_bias", FIELD_LOGIT_BIAS),
    FIELD("modalities", FIELD_MODALITIES),
    FIELD("prediction", FIELD_OBJECT),
    FIELD_WITHIN("temperature", FIELD_NUMBER, 0, 2),
    FIELD("tool_choice", FIELD_TOOL_CHOICE),
    FIELD_WITHIN("top_logprobs", FIELD_INTEGER, 0, 20),
    FIELD("service_tier", FIELD_STRING),
    FIELD("function_call", FIELD_FUNCTION_CALL),
    FIELD("stream_options", FIELD_STREAM_OPTIONS),
    FIELD("response_format", FIELD_RESPONSE_FORMAT),
    FIELD("prompt_cache_key", FIELD_STRING),
    FIELD_WITHIN("presence_penalty", FIELD_NUMBER, -2, 2),
    FIELD("reasoning_effort", FIELD_STRING),
    FIELD_WITHIN("frequency_penalty", FIELD_NUMBER, -2, 2),
    FIELD("safety_identifier", FIELD_SAFETY_IDENTIFIER),
    FIELD("web_search_options", FIELD_OBJECT),
    FIELD("parallel_tool_calls", FIELD_BOOL),
    FIELD_WITHIN("max_completion_tokens", FIELD_MAX_COMPLETION_TOKENS, 1, INT64_MAX),
    FIELD("prompt_cache_retention", FIELD_STRING),
};

static const struct field *find_field(dr_slice name) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].name_len > name.len) return NULL;
        if (fields[i].name_len < name.len) continue;
        if (memcmp(fields[i].name, name.data, name.len) == 0) return &fields[i];
    }
    return NULL;
}

static bool check_integer(struct prompt_fault *fault, const struct field *field, dr_json value,
                          int64_t *ret) {
    char expected[80];
    int64_t number = 0;

    if (dr_json_to_i64(value, &number) && number >= field->min && number <= field->max) {
        *ret = number;
        return true;
    }
    if (field->min == INT64_MIN) {
        (void)snprintf(expected, sizeof expected, "an integer of 64 bits");
    } else if (field->max == INT64_MAX) {
        (void)snprintf(expected, sizeof expected, "an integer of at least %lld",
                       (long long)field->min);
    } else {
        (void)snprintf(expected, sizeof expected, "an integer from %lld to %lld",
                       (long long)field->min, (long long)field->max);
    }
    return shape_refuse_value(fault, field->name, value, expected);
}

static bool check_number(struct prompt_fault *fault, const struct field *field, dr_json value) {
    char expected[80];
    double number = 0;

    if (dr_json_to_double(value, &number) && number >= (double)field->min &&
        number <= (double)field->max) {
        return true;
    }
    (void)snprintf(expected, sizeof expected, "a number from %lld to %lld", (long long)field->min,
                   (long long)field->max);
    return shape_refuse_value(fault, field->name, value, expected);
}

static bool note_integer(struct reading *reading, const struct field *field, dr_json value) {
    int64_t number = 0;

    if (!check_integer(reading->shape.fault, field, value, &number)) return false;
    if (field->rule == FIELD_CHOICE_COUNT) reading->shape.prompt->choice_count = (uint32_t)number;
    if (field->rule == FIELD_MAX_TOKENS) reading->max_tokens = (uint64_t)number;
    if (field->rule == FIELD_MAX_COMPLETION_TOKENS) {
        reading->max_completion_tokens = (uint64_t)number;
    }
    return true;
}

/* A `value` of null never comes here. */
static bool check_field(struct reading *reading, const struct field *field, dr_json name,
                        dr_json value) {
    struct prompt_fault *fault = reading->shape.fault;

    switch (field->rule) {
    case FIELD_BOOL: return shape_check_bool_or_absent(fault, field->name, value);
    case FIELD_INTEGER:
    case FIELD_CHOICE_COUNT:
    case FIELD_MAX_TOKENS:
    case FIELD_MAX_COMPLETION_TOKENS: return note_integer(reading, field, value);
    case FIELD_NUMBER: return check_number(fault, field, value);
    case FIELD_STRING: return shape_check_string(fault, field->name, value);
    case FIELD_OBJECT: return shape_check_object_or_absent(fault, field->name, value);
    case FIELD_MODEL: reading->model = value; return true;
    case FIELD_MESSAGES: reading->messages = value; return true;
    case FIELD_STREAM:
        if (reading->ignores_stream) return true;
        reading->shape.prompt->is_streamed = dr_json_bool(value);
        return shape_check_bool_or_absent(fault, field->name, value);
    case FIELD_STREAM_OPTIONS:
        reading->stream_options = value;
        reading->stream_options_name = name;
        return shape_check_object_or_absent(fault, field->name, value);
    case FIELD_USER:
        reading->shape.prompt->user = dr_json_text(value);
        return shape_check_string(fault, field->name, value);
    case FIELD_SAFETY_IDENTIFIER:
        reading->safety_identifier = dr_json_text(value);
        return shape_check_string(fault, field->name, value);
    case FIELD_STOP: return check_stop(fault, value);
    case FIELD_MODALITIES: return check_modalities(&reading->shape, value);
    case FIELD_LOGIT_BIAS: return check_logit_bias(fault, value);
    case FIELD_METADATA: return check_metadata(fault, value);
    case FIELD_TOOLS: return openai_check_tools(&reading->shape, value);
    case FIELD_TOOL_CHOICE: return openai_check_tool_choice(fault, value);
    case FIELD_FUNCTIONS: return openai_check_functions(&reading->shape, value);
    case FIELD_FUNCTION_CALL: return openai_check_function_choice(fault, value);
    case FIELD_RESPONSE_FORMAT: return openai_check_response_format(&reading->shape, value);
    }
    dr_unreachable();
}

static bool check_fields(struct reading *reading, dr_json root) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        const struct field *field = find_field(dr_json_text(iter.name));
        if (shape_is_absent(iter.value)) {
            /* Where `stream_options` stands matters even when it is null: that is where it is
             * replaced. */
            if (field && field->rule == FIELD_STREAM_OPTIONS) {
                reading->stream_options_name = iter.name;
            }
            continue;
        }
        if (field && !check_field(reading, field, iter.name, iter.value)) return false;
        if (deepseek_changes_member(dr_json_text(iter.name), iter.value)) {
            reading->shape.prompt->exceeds_deepseek = true;
        }
    }
    return true;
}

/* --- where to change the body --- */

static size_t skip_blanks(dr_slice body, size_t at) {
    while (at < body.len && (body.data[at] == ' ' || body.data[at] == '\t' ||
                             body.data[at] == '\n' || body.data[at] == '\r')) {
        at++;
    }
    return at;
}

/* From inside a string to its closing quote. The body has been parsed: the quote is there. */
static size_t closing_quote(dr_slice body, size_t at) {
    for (;;) {
        dr_assert(at < body.len);
        if (body.data[at] == '"') return at;
        at += body.data[at] == '\\' ? 2 : 1;
    }
}

/* Where in the body the content of a string begins. */
static size_t content_offset(const struct reading *reading, dr_json string) {
    const dr_slice body = reading->shape.prompt->body;
    const size_t at = dr_json_offset(reading->json, string) + reading->shift;

    dr_assert(at < body.len && body.data[at - 1] == '"');
    return at;
}

/* Where the value of a member begins. */
static size_t value_offset(const struct reading *reading, dr_json name) {
    const dr_slice body = reading->shape.prompt->body;
    size_t at = closing_quote(body, content_offset(reading, name)) + 1;

    at = skip_blanks(body, at);
    dr_assert(at < body.len && body.data[at] == ':');
    return skip_blanks(body, at + 1);
}

static bool check_model(struct reading *reading) {
    struct prompt *prompt = reading->shape.prompt;
    const dr_slice model = dr_json_text(reading->model);

    if (!reading->model) {
        return shape_refuse(reading->shape.fault, "model",
                            "is missing: it must be the name of a model");
    }
    if (!shape_check_name(reading->shape.fault, "model", reading->model, MODEL_BYTES_MAX))
        return false;

    const size_t content = content_offset(reading, reading->model);
    prompt->model = model;
    prompt->model_at.start = content - 1;
    prompt->model_at.len = closing_quote(prompt->body, content) + 1 - prompt->model_at.start;
    return true;
}

static void ask_usage_at(struct prompt *prompt, size_t start, size_t len, dr_slice text) {
    prompt->usage_at = (struct prompt_splice){start, len};
    prompt->usage_text = text;
}

/* Decides how the body must change so that the provider reports usage at the end of the stream. */
static void find_usage_place(struct reading *reading, dr_json include_name, dr_json include) {
    struct prompt *prompt = reading->shape.prompt;

    if (!reading->stream_options_name) {
        const size_t brace = skip_blanks(prompt->body, 0);
        ask_usage_at(prompt, brace + 1, 0, DR_LIT("\"stream_options\":{\"include_usage\":true},"));
    } else if (!reading->stream_options) {
        ask_usage_at(prompt, value_offset(reading, reading->stream_options_name), sizeof "null" - 1,
                     DR_LIT("{\"include_usage\":true}"));
    } else if (include_name) {
        if (prompt->wants_usage) return;
        ask_usage_at(prompt, value_offset(reading, include_name),
                     shape_is_absent(include) ? sizeof "null" - 1 : sizeof "false" - 1,
                     DR_LIT("true"));
    } else {
        const bool is_empty = dr_json_count(reading->stream_options) == 0;
        const size_t brace = value_offset(reading, reading->stream_options_name);
        ask_usage_at(prompt, brace + 1, 0,
                     is_empty ? DR_LIT("\"include_usage\":true")
                              : DR_LIT("\"include_usage\":true,"));
    }
}

static bool check_stream_options(struct reading *reading) {
    struct prompt_fault *fault = reading->shape.fault;
    struct dr_json_iter iter;
    dr_json include_name = NULL;
    dr_json include = NULL;
    dr_slice duplicate;

    if (reading->stream_options && !reading->shape.prompt->is_streamed) {
        return shape_refuse(fault, "stream_options",
                            "is only allowed with 'stream': true; leave it out or set 'stream'");
    }
    /* The place to change would be one of two, and providers differ in which they read. */
    if (dr_json_has_duplicate(reading->stream_options, &duplicate)) {
        return shape_refuse(fault, "stream_options", "must not hold a field twice");
    }
    dr_json_iter_init(&iter, reading->stream_options);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (dr_slice_is(name, DR_LIT("include_usage"))) {
            include_name = iter.name;
            include = iter.value;
            if (shape_check_bool_or_absent(fault, "include_usage", iter.value)) continue;
            return shape_within(fault, "stream_options");
        }
        if (!dr_slice_is(name, DR_LIT("include_obfuscation"))) continue;
        if (shape_check_bool_or_absent(fault, "include_obfuscation", iter.value)) continue;
        return shape_within(fault, "stream_options");
    }
    reading->shape.prompt->wants_usage = dr_json_bool(include);
    if (reading->shape.prompt->is_streamed) find_usage_place(reading, include_name, include);
    return true;
}

/* --- the public verbs --- */

/* The sentence for the client: the place, then what is wrong with it. */
static enum dr_status finish_fault(struct prompt_fault *fault) {
    char text[sizeof fault->text];

    memcpy(text, fault->text, sizeof text);
    if (fault->param[0] == '\0') return DR_INVALID;
    (void)snprintf(fault->text, sizeof fault->text, "'%s' %.200s.", fault->param, text);
    return DR_INVALID;
}

static bool check_root(struct reading *reading, dr_json root) {
    struct prompt_fault *fault = reading->shape.fault;
    char text[SHAPE_DESCRIPTION_BYTES];
    dr_slice name;

    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        return shape_refuse(fault, "", "The body must be a JSON object, not %s.",
                            shape_describe(root, text));
    }
    if (dr_json_has_duplicate(root, &name)) {
        (void)shape_refuse(fault, "", "is given twice: leave one of them out");
        return shape_within_name(fault, name);
    }
    return true;
}

static bool check_members(struct reading *reading, dr_json root) {
    return check_fields(reading, root) && check_model(reading) &&
           openai_check_messages(&reading->shape, reading->messages) &&
           check_stream_options(reading);
}

static void finish_prompt(const struct reading *reading) {
    struct prompt *prompt = reading->shape.prompt;

    prompt->output_tokens_max =
        reading->max_completion_tokens > 0 ? reading->max_completion_tokens : reading->max_tokens;
    if (prompt->user.len == 0) prompt->user = reading->safety_identifier;
}

enum dr_status openai_read_prompt(struct dr_json_reader *reader, dr_slice body,
                                  struct prompt *ret_prompt, struct prompt_fault *ret_fault) {
    struct prompt prompt = {.body = body, .choice_count = 1};
    struct reading reading = {.json = reader, .shape = {&prompt, ret_fault}};
    struct dr_error error = {0};
    dr_json root;
    const enum dr_status status = dr_json_read(reader, body, DEPTH_MAX, &root, &error);

    if (status == DR_NO_MEMORY) return status;
    ret_fault->is_json = status == DR_INVALID;
    if (status) {
        (void)shape_refuse(ret_fault, "", "The body is refused: %s.", error.text);
        return DR_INVALID;
    }
    if (!check_root(&reading, root) || !check_members(&reading, root)) {
        return finish_fault(ret_fault);
    }
    finish_prompt(&reading);
    *ret_prompt = prompt;
    return DR_OK;
}

enum dr_status openai_read_held_prompt(const struct dr_json_reader *reader, dr_json root,
                                       size_t shift, dr_slice body, struct prompt *ret_prompt,
                                       struct prompt_fault *ret_fault) {
    struct prompt prompt = {.body = body, .choice_count = 1, .is_streamed = true};
    struct reading reading = {
        .json = reader, .shift = shift, .ignores_stream = true, .shape = {&prompt, ret_fault}};

    dr_assert(dr_json_is(root, DR_JSON_OBJECT));
    ret_fault->is_json = false;
    if (!check_members(&reading, root)) return finish_fault(ret_fault);
    finish_prompt(&reading);
    *ret_prompt = prompt;
    return DR_OK;
}

static size_t put_part(dr_slice *parts, size_t count, dr_slice part, size_t *len) {
    if (part.len == 0) return count;
    parts[count] = part;
    *len += part.len;
    return count + 1;
}

/* What stands between `from` and `to` of the body. */
static dr_slice between(const struct prompt *prompt, size_t from, size_t to) {
    dr_assert(from <= to && to <= prompt->body.len);
    return dr_slice_of(prompt->body.data + from, to - from);
}

size_t openai_write_prompt(const struct prompt *prompt, dr_slice model_json, bool asks_usage,
                           dr_slice parts[OPENAI_BODY_PARTS_MAX], size_t *ret_len) {
    const bool has_usage = asks_usage && prompt->usage_text.len > 0;
    const bool is_usage_first = has_usage && prompt->usage_at.start < prompt->model_at.start;
    const struct prompt_splice first = is_usage_first ? prompt->usage_at : prompt->model_at;
    const struct prompt_splice second = is_usage_first ? prompt->model_at : prompt->usage_at;
    size_t at = first.start + first.len;
    size_t count = 0;
    size_t len = 0;

    count = put_part(parts, count, between(prompt, 0, first.start), &len);
    count = put_part(parts, count, is_usage_first ? prompt->usage_text : model_json, &len);
    if (has_usage) {
        count = put_part(parts, count, between(prompt, at, second.start), &len);
        count = put_part(parts, count, is_usage_first ? model_json : prompt->usage_text, &len);
        at = second.start + second.len;
    }
    count = put_part(parts, count, between(prompt, at, prompt->body.len), &len);
    *ret_len = len;
    return count;
}
