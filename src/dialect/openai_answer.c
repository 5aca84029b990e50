/* What a provider of OpenAI's dialect answers, seen as events: deltas of a stream, a whole body,
 * an error. Must not rewrite bytes (those pass beside this room), let one event's meaning hang on
 * another, or refuse what only deviates: servers that call themselves compatible deviate
 * everywhere, and the recordings under test/fixtures show how. Refused is only what is no JSON
 * object at all. */
#include "dialect/openai.h"

#include "dialect/answer_builder.h"
#include "dialect/answer_failure.h"
#include "dialect/openai_pattern.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { SENTENCE_STEPS_MAX = 6 };

struct openai_answer_reader {
    struct answer_builder builder;
    struct openai_patterns patterns; /* of the latest events that were one */
};

struct openai_answer_reader *openai_answer_reader_new(void) {
    struct openai_answer_reader *reader = dr_alloc_zero(1, sizeof *reader);

    if (!reader) return NULL;
    if (answer_builder_init(&reader->builder)) return reader;
    openai_answer_reader_free(reader);
    return NULL;
}

void openai_answer_reader_free(struct openai_answer_reader *reader) {
    if (!reader) return;
    answer_builder_clear(&reader->builder);
    dr_free(reader);
}

/* --- usage --- */

static void read_details(dr_json object, enum usage_detail first, enum usage_detail end,
                         struct usage *usage) {
    uint64_t count;

    for (enum usage_detail i = first; i < end; i++) {
        if (answer_read_count(dr_json_member(object, usage_detail_name(i)), &count) &&
            count <= UINT32_MAX) {
            usage->details[i] = (uint32_t)count;
        }
    }
}

static void read_prompt_details(dr_json object, struct usage *usage) {
    (void)answer_read_count(dr_json_member(object, DR_LIT("cached_tokens")), &usage->cached_tokens);
    (void)answer_read_count(dr_json_member(object, DR_LIT("cache_write_tokens")),
                            &usage->cache_write_tokens);
    read_details(object, 0, USAGE_PROMPT_DETAIL_COUNT, usage);
}

static void read_completion_details(dr_json object, struct usage *usage) {
    (void)answer_read_count(dr_json_member(object, DR_LIT("reasoning_tokens")),
                            &usage->reasoning_tokens);
    read_details(object, USAGE_PROMPT_DETAIL_COUNT, USAGE_DETAIL_COUNT, usage);
}

/* Cached tokens: `prompt_tokens_details.cached_tokens` (OpenAI), `cached_tokens` (Moonshot),
 * `prompt_cache_hit_tokens` (DeepSeek, sometimes alone). Reasoning likewise in two places. */
static bool read_usage(dr_json object, struct usage *ret_usage) {
    struct usage usage = {.source = USAGE_REPORTED};
    struct dr_json_iter iter;
    bool has_prompt = false;
    bool has_completion = false;
    bool has_total = false;
    uint64_t flat_cached = 0;
    uint64_t flat_reasoning = 0;

    if (!dr_json_is(object, DR_JSON_OBJECT)) return false;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (dr_slice_is(name, DR_LIT("prompt_tokens"))) {
            has_prompt = answer_read_count(iter.value, &usage.prompt_tokens);
        } else if (dr_slice_is(name, DR_LIT("completion_tokens"))) {
            has_completion = answer_read_count(iter.value, &usage.completion_tokens);
        } else if (dr_slice_is(name, DR_LIT("total_tokens"))) {
            has_total = answer_read_count(iter.value, &usage.total_tokens);
        } else if (dr_slice_is(name, DR_LIT("prompt_tokens_details"))) {
            read_prompt_details(iter.value, &usage);
        } else if (dr_slice_is(name, DR_LIT("completion_tokens_details"))) {
            read_completion_details(iter.value, &usage);
        } else if (dr_slice_is(name, DR_LIT("prompt_cache_hit_tokens")) ||
                   dr_slice_is(name, DR_LIT("cached_tokens"))) {
            (void)answer_read_count(iter.value, &flat_cached);
        } else if (dr_slice_is(name, DR_LIT("reasoning_tokens"))) {
            (void)answer_read_count(iter.value, &flat_reasoning);
        }
    }
    if (!has_prompt && !has_completion && !has_total) return false;

    if (usage.cached_tokens == 0) usage.cached_tokens = flat_cached;
    if (usage.reasoning_tokens == 0) usage.reasoning_tokens = flat_reasoning;
    if (usage.cached_tokens > usage.prompt_tokens) usage.cached_tokens = usage.prompt_tokens;
    if (!has_total) usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    *ret_usage = usage;
    return true;
}

/* --- errors --- */

/* Where an SDK would raise: present and not empty. */
static bool is_error(dr_json value) {
    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return false;
    case DR_JSON_BOOL: return dr_json_bool(value);
    case DR_JSON_NUMBER: return !dr_slice_is(dr_json_number_text(value), DR_LIT("0"));
    case DR_JSON_STRING: return dr_json_text(value).len > 0;
    case DR_JSON_ARRAY:
    case DR_JSON_OBJECT: return dr_json_count(value) > 0;
    }
    dr_unreachable();
}

/* A string, or a number as it was written; empty strings say nothing. */
static dr_slice word_of(dr_json value) {
    const dr_slice word =
        dr_json_is(value, DR_JSON_NUMBER) ? dr_json_number_text(value) : dr_json_text(value);

    return word.len > 0 ? word : DR_NONE;
}

static dr_json first_item(dr_json array) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, array);
    return dr_json_iter_next(&iter) ? iter.value : NULL;
}

/* The sentence in what may be a string, an object around one, or a list of them (validators),
 * nested a few steps at most. */
static dr_slice sentence_of(dr_json value) {
    static const dr_slice names[] = {
        {"message", 7}, {"msg", 3}, {"detail", 6}, {"error", 5}, {"errors", 6}, {"description", 11},
    };

    for (int step = 0; step < SENTENCE_STEPS_MAX && value; step++) {
        if (dr_json_is(value, DR_JSON_STRING)) return word_of(value);
        if (dr_json_is(value, DR_JSON_ARRAY)) {
            value = first_item(value);
            continue;
        }
        dr_json inner = NULL;
        for (size_t i = 0; i < sizeof names / sizeof names[0] && !is_error(inner); i++) {
            inner = dr_json_member(value, names[i]);
        }
        value = inner;
    }
    return DR_NONE;
}

static void read_error_words(dr_json object, struct failure *failure) {
    if (!failure->type.data) failure->type = word_of(dr_json_member(object, DR_LIT("type")));
    if (!failure->code.data) failure->code = word_of(dr_json_member(object, DR_LIT("code")));
    if (!failure->param.data) failure->param = word_of(dr_json_member(object, DR_LIT("param")));
}

/* `root` is the whole body or event. */
static void read_error(dr_json root, struct failure *failure) {
    const dr_json inner = dr_json_member(root, DR_LIT("error"));
    const dr_json message = dr_json_member(root, DR_LIT("message"));

    if (dr_json_is(inner, DR_JSON_OBJECT)) {
        read_error_words(inner, failure);
        failure->message = sentence_of(inner);
    } else if (dr_json_is(inner, DR_JSON_ARRAY)) {
        failure->message = sentence_of(inner);
    } else if (dr_json_is(inner, DR_JSON_STRING)) {
        /* xAI puts its sentence into `error`; web frameworks put a status word there and the
         * sentence beside. */
        failure->message = sentence_of(message);
        if (!failure->message.data) failure->message = word_of(inner);
    }
    read_error_words(root, failure);
    if (!failure->message.data) failure->message = sentence_of(root);
}

static void add_error(struct answer_builder *builder, uint32_t choice_index, dr_json root) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_ERROR, choice_index);

    if (!event) return;
    event->error = (struct failure){.status = 0};
    read_error(root, &event->error);
    answer_failure_judge(&event->error);
}

/* --- choices --- */

struct delta {
    dr_json role;
    dr_json content;
    dr_json refusal;
    dr_json reasoning;
    dr_json reasoning_content;
    dr_json reasoning_details;
    dr_json tool_calls;
    dr_json function_call;
    dr_json annotations;
    dr_json extra_content;
    dr_json logprobs; /* of the choice, beside the delta */
    bool has_others;
};

/* Where a delta's member of that name is kept; NULL when it is none that has a meaning here. */
static dr_json *member_of(struct delta *delta, dr_slice name) {
    static const struct {
        dr_slice name;
        size_t offset;
    } members[] = {
        {{"content", 7}, offsetof(struct delta, content)},
        {{"role", 4}, offsetof(struct delta, role)},
        {{"reasoning_content", 17}, offsetof(struct delta, reasoning_content)},
        {{"reasoning", 9}, offsetof(struct delta, reasoning)},
        {{"tool_calls", 10}, offsetof(struct delta, tool_calls)},
        {{"refusal", 7}, offsetof(struct delta, refusal)},
        {{"reasoning_details", 17}, offsetof(struct delta, reasoning_details)},
        {{"function_call", 13}, offsetof(struct delta, function_call)},
        {{"annotations", 11}, offsetof(struct delta, annotations)},
        {{"extra_content", 13}, offsetof(struct delta, extra_content)},
    };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (dr_slice_is(name, members[i].name)) {
            return (dr_json *)(void *)((char *)delta + members[i].offset);
        }
    }
    return NULL;
}

/* Null, and what has nothing in it. */
static bool is_empty(dr_json value) {
    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return true;
    case DR_JSON_BOOL:
    case DR_JSON_NUMBER: return false;
    case DR_JSON_STRING: return dr_json_text(value).len == 0;
    case DR_JSON_ARRAY:
    case DR_JSON_OBJECT: return dr_json_count(value) == 0;
    }
    dr_unreachable();
}

static void find_delta_members(dr_json object, struct delta *ret_delta) {
    struct dr_json_iter iter;

    *ret_delta = (struct delta){0};
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        dr_json *member = member_of(ret_delta, dr_json_text(iter.name));
        if (member) {
            *member = iter.value;
        } else if (!is_empty(iter.value)) {
            ret_delta->has_others = true;
        }
    }
}

static void add_member(struct answer_builder *builder, uint32_t choice_index,
                       enum answer_member kind, dr_slice name, dr_json value) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_MEMBER, choice_index);

    if (!event) return;
    event->member.kind = kind;
    event->member.name = name;
    event->member.value = value;
}

/* What is nothing to this API. */
static void add_other(struct answer_builder *builder, uint32_t choice_index, dr_slice name) {
    add_member(builder, choice_index, ANSWER_MEMBER_OTHER, name, NULL);
}

static void read_others(struct answer_builder *builder, uint32_t choice_index, dr_json object) {
    struct dr_json_iter iter;
    struct delta known;

    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (is_empty(iter.value) || member_of(&known, name)) continue;
        add_other(builder, choice_index, name);
    }
}

/* Those that pass as they are. */
static void read_members_of_delta(struct answer_builder *builder, uint32_t choice_index,
                                  const struct delta *delta) {
    if (!is_empty(delta->logprobs)) {
        add_member(builder, choice_index, ANSWER_MEMBER_LOGPROBS, DR_LIT("logprobs"),
                   delta->logprobs);
    }
    if (!is_empty(delta->annotations)) {
        add_member(builder, choice_index, ANSWER_MEMBER_ANNOTATIONS, DR_LIT("annotations"),
                   delta->annotations);
    }
    if (!is_empty(delta->extra_content)) {
        add_member(builder, choice_index, ANSWER_MEMBER_EXTRA_CONTENT, DR_LIT("extra_content"),
                   delta->extra_content);
    }
}

/* OpenRouter's entries in words, where the same is not said beside. */
static void read_detailed_words(struct answer_builder *builder, uint32_t choice_index,
                                dr_json details) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, details);
    while (dr_json_iter_next(&iter)) {
        dr_slice text = dr_json_text(dr_json_member(iter.value, DR_LIT("text")));
        if (text.len == 0) text = dr_json_text(dr_json_member(iter.value, DR_LIT("summary")));
        answer_builder_add_text(builder, ANSWER_REASONING, choice_index, text);
    }
}

/* Servers name the same words `reasoning_content` and `reasoning`, some send both, OpenRouter adds
 * `reasoning_details`, whose seals want to be sent back: one of them is enough for the words. */
static void read_reasoning(struct answer_builder *builder, uint32_t choice_index,
                           const struct delta *delta) {
    dr_slice text = dr_json_text(delta->reasoning_content);

    if (text.len == 0) text = dr_json_text(delta->reasoning);
    if (text.len > 0) {
        answer_builder_add_text(builder, ANSWER_REASONING, choice_index, text);
    } else if (delta->reasoning_details) {
        read_detailed_words(builder, choice_index, delta->reasoning_details);
    }
    if (!is_empty(delta->reasoning_details)) {
        add_member(builder, choice_index, ANSWER_MEMBER_REASONING_DETAILS,
                   DR_LIT("reasoning_details"), delta->reasoning_details);
    }
}

/* {"type":"thinking","thinking":[{"type":"text","text"}]} or with a plain string. */
static void read_thinking(struct answer_builder *builder, uint32_t choice_index, dr_json thinking) {
    struct dr_json_iter iter;

    answer_builder_add_text(builder, ANSWER_REASONING, choice_index, dr_json_text(thinking));
    dr_json_iter_init(&iter, thinking);
    while (dr_json_iter_next(&iter)) {
        answer_builder_add_text(builder, ANSWER_REASONING, choice_index,
                                dr_json_text(dr_json_member(iter.value, DR_LIT("text"))));
    }
}

/* A string; Mistral also sends parts, of which thoughts are some. */
static void read_content(struct answer_builder *builder, uint32_t choice_index, dr_json content) {
    struct dr_json_iter iter;

    if (!content) return;
    answer_builder_add_text(builder, ANSWER_TEXT, choice_index, dr_json_text(content));
    if (!dr_json_is(content, DR_JSON_ARRAY)) return;

    dr_json_iter_init(&iter, content);
    while (dr_json_iter_next(&iter)) {
        const dr_slice type = dr_json_text(dr_json_member(iter.value, DR_LIT("type")));
        if (dr_slice_is(type, DR_LIT("thinking"))) {
            read_thinking(builder, choice_index, dr_json_member(iter.value, DR_LIT("thinking")));
        } else if (dr_slice_is(type, DR_LIT("refusal"))) {
            answer_builder_add_text(builder, ANSWER_REFUSAL, choice_index,
                                    dr_json_text(dr_json_member(iter.value, DR_LIT("refusal"))));
        } else if (dr_json_is(dr_json_member(iter.value, DR_LIT("text")), DR_JSON_STRING)) {
            answer_builder_add_text(builder, ANSWER_TEXT, choice_index,
                                    dr_json_text(dr_json_member(iter.value, DR_LIT("text"))));
        } else if (type.len > 0) {
            add_other(builder, choice_index, type);
        }
    }
}

/* What stands in a call beside what is called. */
struct numbered_call {
    uint32_t index;
    dr_slice id;
    dr_json extra_content;
};

/* `called` holds name and arguments, or the `input` of a custom tool; arguments that are no string
 * but a value are written as JSON. */
static void add_tool_call(struct answer_builder *builder, uint32_t choice_index,
                          enum answer_call form, dr_json called,
                          const struct numbered_call *numbered) {
    dr_json input = dr_json_member(called, DR_LIT("arguments"));
    dr_slice arguments;

    if (!input) input = dr_json_member(called, DR_LIT("input"));
    arguments = dr_json_text(input);
    if (dr_json_is(input, DR_JSON_OBJECT) || dr_json_is(input, DR_JSON_ARRAY)) {
        arguments = answer_builder_value_text(builder, input);
    }

    struct answer_event *event = answer_builder_add(builder, ANSWER_TOOL_CALL, choice_index);
    if (!event) return;
    event->tool_call.index = numbered->index;
    event->tool_call.form = form;
    event->tool_call.id = numbered->id;
    event->tool_call.name = dr_json_text(dr_json_member(called, DR_LIT("name")));
    event->tool_call.arguments = arguments;
    event->tool_call.extra_content =
        is_empty(numbered->extra_content) ? NULL : numbered->extra_content;
    builder->chunk.output_bytes += event->tool_call.name.len + arguments.len;
}

/* The number given, or the place in the array where a server gives none. */
static uint32_t index_or(dr_json value, uint32_t place) {
    uint64_t index;

    return dr_json_to_u64(value, &index) && index <= UINT32_MAX ? (uint32_t)index : place;
}

static void read_tool_call(struct answer_builder *builder, uint32_t choice_index, dr_json call,
                           uint32_t place) {
    const dr_json function = dr_json_member(call, DR_LIT("function"));
    const dr_json custom = dr_json_member(call, DR_LIT("custom"));
    const dr_slice type = dr_json_text(dr_json_member(call, DR_LIT("type")));
    const struct numbered_call numbered = {
        .index = index_or(dr_json_member(call, DR_LIT("index")), place),
        .id = dr_json_text(dr_json_member(call, DR_LIT("id"))),
        .extra_content = dr_json_member(call, DR_LIT("extra_content")),
    };

    if (!function && (custom || dr_slice_is(type, DR_LIT("custom")))) {
        add_tool_call(builder, choice_index, ANSWER_CALL_CUSTOM, custom, &numbered);
    } else if (function || type.len == 0 || dr_slice_is(type, DR_LIT("function"))) {
        add_tool_call(builder, choice_index, ANSWER_CALL_FUNCTION, function, &numbered);
    } else {
        add_other(builder, choice_index, type);
    }
}

static void read_tool_calls(struct answer_builder *builder, uint32_t choice_index, dr_json calls) {
    struct dr_json_iter iter;
    uint32_t place = 0;

    if (!dr_json_is(calls, DR_JSON_ARRAY)) return;
    dr_json_iter_init(&iter, calls);
    for (; dr_json_iter_next(&iter); place++) {
        if (!dr_json_is(iter.value, DR_JSON_OBJECT)) continue;
        read_tool_call(builder, choice_index, iter.value, place);
    }
}

static void read_delta(struct answer_builder *builder, uint32_t choice_index, dr_json object,
                       dr_json logprobs) {
    struct delta delta;

    find_delta_members(object, &delta);
    delta.logprobs = logprobs;
    read_reasoning(builder, choice_index, &delta);
    read_content(builder, choice_index, delta.content);
    if (delta.refusal) {
        answer_builder_add_text(builder, ANSWER_REFUSAL, choice_index, dr_json_text(delta.refusal));
    }
    read_members_of_delta(builder, choice_index, &delta);
    if (delta.tool_calls) read_tool_calls(builder, choice_index, delta.tool_calls);
    if (dr_json_is(delta.function_call, DR_JSON_OBJECT)) {
        const struct numbered_call numbered = {.id = DR_NONE};
        add_tool_call(builder, choice_index, ANSWER_CALL_LEGACY, delta.function_call, &numbered);
    }
    if (delta.has_others) read_others(builder, choice_index, object);
}

/* DeepSeek's word for an answer that it broke off, too busy to go on: a failure of its own. */
static const dr_slice interrupted = {"insufficient_system_resource", 28};

static void add_interruption(struct answer_builder *builder) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_ERROR, 0);

    if (!event) return;
    event->error = (struct failure){
        .kind = FAILURE_OVERLOADED,
        .message = DR_LIT("the answer was broken off (insufficient_system_resource)"),
        .code = interrupted,
    };
}

static enum answer_finish finish_of(dr_slice reason) {
    if (dr_slice_is(reason, DR_LIT("stop"))) return ANSWER_FINISH_STOP;
    if (dr_slice_is(reason, DR_LIT("length"))) return ANSWER_FINISH_LENGTH;
    if (dr_slice_is(reason, DR_LIT("tool_calls"))) return ANSWER_FINISH_TOOL_CALLS;
    if (dr_slice_is(reason, DR_LIT("content_filter"))) return ANSWER_FINISH_CONTENT_FILTER;
    if (dr_slice_is(reason, DR_LIT("function_call"))) return ANSWER_FINISH_FUNCTION_CALL;
    return ANSWER_FINISH_OTHER;
}

struct choice {
    dr_json index;
    dr_json delta;
    dr_json message;
    dr_json finish_reason;
    dr_json usage;
    dr_json error;
    dr_json logprobs;
};

static void find_choice_members(dr_json object, struct choice *ret_choice) {
    struct dr_json_iter iter;

    *ret_choice = (struct choice){0};
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        switch (name.len) {
        case 5:
            if (memcmp(name.data, "index", 5) == 0)
                ret_choice->index = iter.value;
            else if (memcmp(name.data, "delta", 5) == 0)
                ret_choice->delta = iter.value;
            else if (memcmp(name.data, "usage", 5) == 0)
                ret_choice->usage = iter.value;
            else if (memcmp(name.data, "error", 5) == 0)
                ret_choice->error = iter.value;
            break;
        case 7:
            if (memcmp(name.data, "message", 7) == 0) ret_choice->message = iter.value;
            break;
        case 8:
            if (memcmp(name.data, "logprobs", 8) == 0) ret_choice->logprobs = iter.value;
            break;
        case 13:
            if (memcmp(name.data, "finish_reason", 13) == 0) {
                ret_choice->finish_reason = iter.value;
            }
            break;
        default: break;
        }
    }
}

/* What is not said of a choice where it stands. */
struct aside {
    dr_json usage; /* a choice's own (Moonshot) */
    bool is_interrupted;
};

static void read_choice(struct answer_builder *builder, dr_json object, uint32_t place,
                        struct aside *aside) {
    struct choice choice;

    find_choice_members(object, &choice);
    const uint32_t index = choice.index ? index_or(choice.index, place) : place;
    const dr_json said = dr_json_is(choice.delta, DR_JSON_OBJECT) ? choice.delta : choice.message;

    read_delta(builder, index, said, choice.logprobs);
    if (dr_json_is(choice.usage, DR_JSON_OBJECT)) aside->usage = choice.usage;
    if (choice.error && is_error(choice.error)) {
        add_error(builder, index, object);
        return;
    }
    const dr_slice reason = dr_json_text(choice.finish_reason);
    if (reason.len == 0) return;
    if (dr_slice_is(reason, interrupted)) {
        aside->is_interrupted = true;
        return;
    }
    struct answer_event *event = answer_builder_add(builder, ANSWER_FINISH, index);
    if (!event) return;
    event->finish.reason = finish_of(reason);
    event->finish.text = reason;
}

/* --- chunks --- */

struct members {
    dr_json id;
    dr_json model;
    dr_json choices;
    dr_json usage;
    dr_json x_groq;
    dr_json error;
    dr_json detail;
    dr_json object;
    dr_json message;
    dr_json filter_results;
};

static void find_members(dr_json root, struct members *ret_members) {
    struct dr_json_iter iter;

    *ret_members = (struct members){0};
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        switch (name.len) {
        case 2:
            if (memcmp(name.data, "id", 2) == 0) ret_members->id = iter.value;
            break;
        case 5:
            if (memcmp(name.data, "model", 5) == 0)
                ret_members->model = iter.value;
            else if (memcmp(name.data, "usage", 5) == 0)
                ret_members->usage = iter.value;
            else if (memcmp(name.data, "error", 5) == 0)
                ret_members->error = iter.value;
            break;
        case 6:
            if (memcmp(name.data, "x_groq", 6) == 0)
                ret_members->x_groq = iter.value;
            else if (memcmp(name.data, "detail", 6) == 0)
                ret_members->detail = iter.value;
            else if (memcmp(name.data, "object", 6) == 0)
                ret_members->object = iter.value;
            break;
        case 7:
            if (memcmp(name.data, "choices", 7) == 0)
                ret_members->choices = iter.value;
            else if (memcmp(name.data, "message", 7) == 0)
                ret_members->message = iter.value;
            break;
        case 21:
            if (memcmp(name.data, "prompt_filter_results", 21) == 0) {
                ret_members->filter_results = iter.value;
            }
            break;
        default: break;
        }
    }
}

/* An error object, or one of the shapes of those who have no `error`: {"detail"} (Mistral),
 * {"object":"error","message"} (older vLLM), {"message"} alone. */
static bool has_error(const struct members *members) {
    if (members->error && is_error(members->error)) return true;
    if (dr_json_is(members->choices, DR_JSON_ARRAY)) return false;
    return dr_slice_is(dr_json_text(members->object), DR_LIT("error")) ||
           is_error(members->detail) || is_error(members->message);
}

static void add_usage(struct answer_builder *builder, const struct members *members,
                      dr_json choice_usage) {
    struct usage usage;

    /* Groq's own place is read only where the usual one is empty. */
    builder->chunk.shows_usage = members->usage && read_usage(members->usage, &usage);
    if (!builder->chunk.shows_usage &&
        !(members->x_groq &&
          read_usage(dr_json_member(members->x_groq, DR_LIT("usage")), &usage)) &&
        !(choice_usage && read_usage(choice_usage, &usage))) {
        return;
    }
    struct answer_event *event = answer_builder_add(builder, ANSWER_USAGE, 0);
    if (event) event->usage = usage;
}

static void read_members(struct answer_builder *builder, dr_json root,
                         const struct members *members) {
    struct dr_json_iter iter;
    struct aside aside = {.usage = NULL};
    uint32_t place = 0;
    const dr_slice id = dr_json_text(members->id);
    const dr_slice model = dr_json_text(members->model);

    if (has_error(members)) {
        add_usage(builder, members, NULL);
        add_error(builder, 0, root);
        return;
    }
    if (id.len > 0 || model.len > 0) {
        struct answer_event *event = answer_builder_add(builder, ANSWER_START, 0);
        if (event) {
            event->start.id = id;
            event->start.model = model;
        }
    }
    const size_t first = builder->chunk.event_count;
    if (dr_json_is(members->choices, DR_JSON_ARRAY)) {
        dr_json_iter_init(&iter, members->choices);
        for (; dr_json_iter_next(&iter); place++) {
            if (!dr_json_is(iter.value, DR_JSON_OBJECT)) continue;
            read_choice(builder, iter.value, place, &aside);
        }
    }
    add_usage(builder, members, aside.usage);
    if (aside.is_interrupted) add_interruption(builder);
    builder->chunk.is_usage_only = place == 0 && builder->chunk.event_count == first + 1 &&
                                   is_error(members->usage) && !members->filter_results;
}

/* Google's compatible endpoint wraps an error into an array of one. */
static dr_json unwrap(dr_json root) {
    return dr_json_is(root, DR_JSON_ARRAY) && dr_json_count(root) == 1 ? first_item(root) : root;
}

enum dr_status openai_read_event(struct openai_answer_reader *reader, dr_slice payload,
                                 struct answer_chunk *ret_chunk, struct dr_error *error) {
    struct answer_builder *builder = &reader->builder;
    struct members members;
    dr_json root;

    answer_builder_start(builder);
    payload = answer_trim(payload);
    if (payload.len == 0) return answer_builder_finish(builder, ret_chunk, error);
    if (dr_slice_is(payload, DR_LIT("[DONE]"))) {
        (void)answer_builder_add(builder, ANSWER_END, 0);
        builder->chunk.is_end = true;
        return answer_builder_finish(builder, ret_chunk, error);
    }

    if (openai_patterns_fit(&reader->patterns, builder, payload)) {
        return answer_builder_finish(builder, ret_chunk, error);
    }
    const enum dr_status status = answer_builder_parse(builder, payload, &root, error);
    if (status) return status;
    root = unwrap(root);
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        return dr_fail(error, DR_INVALID, 0, "an event that is no JSON object");
    }
    find_members(root, &members);
    read_members(builder, root, &members);
    builder->chunk.is_foreign = builder->chunk.event_count == 0 && !members.filter_results &&
                                !dr_json_is(members.choices, DR_JSON_ARRAY);
    openai_patterns_learn(&reader->patterns, builder, payload);
    return answer_builder_finish(builder, ret_chunk, error);
}

enum dr_status openai_read_answer(struct openai_answer_reader *reader, dr_slice body,
                                  struct answer_chunk *ret_chunk, struct dr_error *error) {
    struct answer_builder *builder = &reader->builder;
    struct members members;
    dr_json root;

    answer_builder_start(builder);
    const enum dr_status status = answer_builder_parse(builder, body, &root, error);
    if (status) return status;
    root = unwrap(root);
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        return dr_fail(error, DR_INVALID, 0, "an answer that is no JSON object");
    }
    find_members(root, &members);
    if (!dr_json_is(members.choices, DR_JSON_ARRAY) && !has_error(&members)) {
        return dr_fail(error, DR_INVALID, 0, "an answer without choices");
    }
    read_members(builder, root, &members);
    builder->chunk.is_usage_only = false;
    return answer_builder_finish(builder, ret_chunk, error);
}

/* --- numbers of tool calls --- */

/* The latest call of that number in that choice, or the count when there is none. */
static uint32_t find_call(const struct openai_call_numbers *numbers, uint32_t choice_index,
                          uint32_t sent_index) {
    for (uint32_t i = numbers->count; i > 0; i--) {
        if (numbers->calls[i - 1].choice_index == choice_index &&
            numbers->calls[i - 1].sent_index == sent_index) {
            return i - 1;
        }
    }
    return numbers->count;
}

static uint32_t count_calls(const struct openai_call_numbers *numbers, uint32_t choice_index) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < numbers->count; i++) {
        if (numbers->calls[i].choice_index == choice_index) count++;
    }
    return count;
}

void openai_call_numbers_apply(struct openai_call_numbers *numbers, struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        struct answer_event *event = &chunk->events[i];
        if (event->kind != ANSWER_TOOL_CALL) continue;

        const dr_slice id = event->tool_call.id;
        const uint64_t id_hash = id.len > 0 ? dr_slice_hash(id, 0) | 1 : 0;
        uint32_t at = find_call(numbers, event->choice_index, event->tool_call.index);
        const bool is_other = at < numbers->count && id_hash != 0 &&
                              numbers->calls[at].id_hash != 0 &&
                              numbers->calls[at].id_hash != id_hash;
        if (at == numbers->count || is_other) {
            if (numbers->count == OPENAI_CALLS_NUMBERED_MAX) continue;
            const uint32_t index = count_calls(numbers, event->choice_index);
            at = numbers->count++;
            numbers->calls[at].choice_index = event->choice_index;
            numbers->calls[at].sent_index = event->tool_call.index;
            numbers->calls[at].index = index;
            numbers->calls[at].id_hash = 0;
        }
        if (id_hash != 0) numbers->calls[at].id_hash = id_hash;
        event->tool_call.index = numbers->calls[at].index;
    }
}

/* --- failures --- */

void openai_read_failure(struct openai_answer_reader *reader, uint16_t status, dr_slice body,
                         struct failure *ret_failure) {
    struct answer_builder *builder = &reader->builder;
    dr_json root;

    answer_builder_start(builder);
    *ret_failure = (struct failure){.status = status};
    body = answer_without_framing(body);
    if (answer_builder_parse(builder, body, &root, NULL)) {
        ret_failure->message = answer_plain_message(body);
    } else if (dr_json_is(unwrap(root), DR_JSON_OBJECT)) {
        read_error(unwrap(root), ret_failure);
    } else {
        ret_failure->message = sentence_of(unwrap(root));
    }
    answer_failure_judge(ret_failure);
}

void openai_put_error_members(struct dr_buf *buf, dr_slice message, dr_slice type, dr_slice param,
                              dr_slice code) {
    dr_buf_put(buf, DR_LIT("\"message\":"));
    dr_json_put_string_or_null(buf, message);
    dr_buf_put(buf, DR_LIT(",\"type\":"));
    dr_json_put_string_or_null(buf, type);
    dr_buf_put(buf, DR_LIT(",\"param\":"));
    dr_json_put_string_or_null(buf, param);
    dr_buf_put(buf, DR_LIT(",\"code\":"));
    dr_json_put_string_or_null(buf, code);
}

void openai_put_error(struct dr_buf *buf, dr_slice message, dr_slice type, dr_slice param,
                      dr_slice code) {
    dr_buf_put(buf, DR_LIT("{\"error\":{"));
    openai_put_error_members(buf, message, type, param, code);
    dr_buf_put(buf, DR_LIT("}}"));
}
