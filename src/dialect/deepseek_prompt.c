/* A request in OpenAI's words, in DeepSeek's. Must not decide what DeepSeek has a place for: the
 * table in translation.c does; here is how what it calls `adapted` is written.
 *
 * Sources: DeepSeek's API documents, "Create Chat Completion", "Thinking Mode", "JSON Output";
 * recorded refusals: "This response_format type is unavailable now"; "messages[0].role: unknown
 * variant `developer`"; "The reasoning_content in the thinking mode must be passed back to the
 * API." */
#include "dialect/deepseek_prompt.h"

#include "dialect/json_writer.h"
#include "dialect/translation.h"

#include <stdio.h>

struct writing {
    struct json_writer json;
    struct loss *loss;
    dr_json root;
    size_t text_bytes_max;
    enum dr_status status;
};

bool deepseek_serves(const struct provider *provider, dr_slice model) {
    return provider->dialect == DIALECT_OPENAI &&
           (dr_slice_is_nocase(provider->host, DR_LIT("api.deepseek.com")) ||
            dr_slice_is(model, DR_LIT("deepseek-chat")) ||
            dr_slice_is(model, DR_LIT("deepseek-reasoner")));
}

/* --- what has to change --- */

static bool is_off(dr_slice effort) {
    return dr_slice_is(effort, DR_LIT("none"));
}

/* "Thinking Mode": low and medium are taken for high, xhigh for max; other words are none of ours.
 */
static dr_slice effort_of(dr_slice effort) {
    static const struct {
        dr_slice asked;
        dr_slice written;
    } words[] = {
        {{"minimal", 7}, {"high", 4}},
        {{"low", 3}, {"high", 4}},
        {{"medium", 6}, {"high", 4}},
        {{"xhigh", 5}, {"max", 3}},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (dr_slice_is(effort, words[i].asked)) return words[i].written;
    }
    return effort;
}

/* OpenRouter's `reasoning`, as conversations are read: `enabled` or a budget alone is medium. */
static dr_slice effort_of_reasoning(dr_json reasoning) {
    const dr_json enabled = dr_json_member(reasoning, DR_LIT("enabled"));
    const dr_json budget = dr_json_member(reasoning, DR_LIT("max_tokens"));
    const dr_slice effort = dr_json_text(dr_json_member(reasoning, DR_LIT("effort")));

    if (dr_json_is(enabled, DR_JSON_BOOL) && !dr_json_bool(enabled)) return DR_LIT("none");
    if (effort.len > 0) return effort;
    return dr_json_bool(enabled) || dr_json_is(budget, DR_JSON_NUMBER) ? DR_LIT("medium") : DR_NONE;
}

static bool is_schema(dr_json format) {
    return dr_slice_is(dr_json_text(dr_json_member(format, DR_LIT("type"))), DR_LIT("json_schema"));
}

bool deepseek_changes_member(dr_slice name, dr_json value) {
    const char *how;

    if (dr_json_is(value, DR_JSON_NULL)) return false;
    switch (translation_of_deepseek(name, value, &how)) {
    case FATE_REFUSED:
    case FATE_DROPPED: return true;
    case FATE_ADAPTED: break;
    case FATE_CARRIED:
    case FATE_COUNT: return false;
    }
    if (dr_slice_is(name, DR_LIT("max_completion_tokens"))) return true;
    if (dr_slice_is(name, DR_LIT("parallel_tool_calls"))) return !dr_json_bool(value);
    if (dr_slice_is(name, DR_LIT("response_format"))) return is_schema(value);
    if (dr_slice_is(name, DR_LIT("reasoning"))) return true;
    if (!dr_slice_is(name, DR_LIT("reasoning_effort"))) return false;
    const dr_slice effort = dr_json_text(value);
    return is_off(effort) || !dr_slice_is(effort_of(effort), effort);
}

static bool is_developer(dr_json role) {
    return dr_slice_is(dr_json_text(role), DR_LIT("developer"));
}

/* Some of its models take an empty one for none; all take a blank. */
static bool lacks_reasoning(dr_json calls, dr_json reasoning) {
    return dr_json_count(calls) > 0 && dr_json_text(reasoning).len == 0;
}

static bool is_function(dr_json role) {
    return dr_slice_is(dr_json_text(role), DR_LIT("function"));
}

bool deepseek_changes_message(dr_json role, dr_json calls, dr_json reasoning,
                              dr_json function_call) {
    return is_developer(role) || is_function(role) || lacks_reasoning(calls, reasoning) ||
           dr_json_is(function_call, DR_JSON_OBJECT);
}

bool deepseek_changes_tool(dr_json tool) {
    return dr_json_bool(dr_json_member(dr_json_member(tool, DR_LIT("function")), DR_LIT("strict")));
}

static bool refuse(struct writing *writing, const char *param, const char *how) {
    return loss_refuse(writing->loss, param,
                       "cannot be had from this model: its provider (DeepSeek) %s", how);
}

/* --- messages --- */

static bool check_message(struct writing *writing, dr_json message, size_t index) {
    const bool is_result = is_function(dr_json_member(message, DR_LIT("role")));
    char param[LOSS_NAME_BYTES_MAX];

    if (!is_result &&
        !dr_json_is(dr_json_member(message, DR_LIT("function_call")), DR_JSON_OBJECT)) {
        return true;
    }
    (void)snprintf(param, sizeof param, "messages[%zu].%s", index,
                   is_result ? "role" : "function_call");
    return refuse(writing, param, "takes `tools`, not the older functions");
}

static void put_message(struct writing *writing, dr_json message) {
    struct json_writer *json = &writing->json;
    const bool lacks = lacks_reasoning(dr_json_member(message, DR_LIT("tool_calls")),
                                       dr_json_member(message, DR_LIT("reasoning_content")));
    struct dr_json_iter iter;

    json_open(json, '{');
    dr_json_iter_init(&iter, message);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (lacks && dr_slice_is(name, DR_LIT("reasoning_content"))) continue;
        json_name(json, name);
        if (dr_slice_is(name, DR_LIT("role")) && is_developer(iter.value)) {
            json_text(json, DR_LIT("system"));
        } else {
            json_value(json, iter.value);
        }
    }
    if (lacks) json_member(json, DR_LIT("reasoning_content"), DR_LIT(" "));
    json_close(json, '}');
}

/* "JSON Output": the prompt has the word "json" in it and says what the object is to be. */
static void put_instruction(struct writing *writing, dr_json named) {
    const dr_json schema = dr_json_member(named, DR_LIT("schema"));
    const dr_slice description = dr_json_text(dr_json_member(named, DR_LIT("description")));
    struct dr_buf text;

    dr_buf_init(&text, writing->text_bytes_max);
    dr_buf_put(&text,
               DR_LIT("Answer with one JSON object and nothing else, without a code fence."));
    if (description.len > 0) {
        dr_buf_put(&text, DR_LIT(" It is described so: "));
        dr_buf_put(&text, description);
        dr_buf_put_char(&text, '\n');
    }
    if (dr_json_is(schema, DR_JSON_OBJECT)) {
        dr_buf_put(&text, DR_LIT(" It must match this JSON Schema: "));
        dr_json_put_value(&text, schema);
    }
    if (dr_buf_status(&text)) writing->status = dr_buf_status(&text);
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("role"), DR_LIT("system"));
    json_member(&writing->json, DR_LIT("content"), dr_buf_slice(&text));
    json_close(&writing->json, '}');
    dr_buf_clear(&text);
    if (dr_json_bool(dr_json_member(named, DR_LIT("strict")))) {
        loss_drop(writing->loss, DR_LIT("response_format.json_schema.strict"));
    }
}

/* What is said before all else is what DeepSeek's cache of prefixes keeps. False when a message is
 * refused. */
static bool put_messages(struct writing *writing, dr_json messages) {
    const dr_json format = dr_json_member(writing->root, DR_LIT("response_format"));
    struct dr_json_iter iter;

    json_open(&writing->json, '[');
    if (is_schema(format)) {
        put_instruction(writing, dr_json_member(format, DR_LIT("json_schema")));
    }
    dr_json_iter_init(&iter, messages);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        if (!check_message(writing, iter.value, i)) return false;
        put_message(writing, iter.value);
    }
    json_close(&writing->json, ']');
    return true;
}

/* --- tools --- */

static void put_without_strict(struct json_writer *json, dr_json function) {
    struct dr_json_iter iter;

    json_open(json, '{');
    dr_json_iter_init(&iter, function);
    while (dr_json_iter_next(&iter)) {
        if (dr_slice_is(dr_json_text(iter.name), DR_LIT("strict"))) continue;
        json_name(json, dr_json_text(iter.name));
        json_value(json, iter.value);
    }
    json_close(json, '}');
}

static void put_tool(struct writing *writing, dr_json tool) {
    struct json_writer *json = &writing->json;
    struct dr_json_iter iter;

    if (!deepseek_changes_tool(tool)) {
        json_value(json, tool);
        return;
    }
    loss_drop(writing->loss, DR_LIT("tools.function.strict"));
    json_open(json, '{');
    dr_json_iter_init(&iter, tool);
    while (dr_json_iter_next(&iter)) {
        json_name(json, dr_json_text(iter.name));
        if (dr_slice_is(dr_json_text(iter.name), DR_LIT("function"))) {
            put_without_strict(json, iter.value);
        } else {
            json_value(json, iter.value);
        }
    }
    json_close(json, '}');
}

static void put_tools(struct writing *writing, dr_json tools) {
    struct dr_json_iter iter;

    json_open(&writing->json, '[');
    dr_json_iter_init(&iter, tools);
    while (dr_json_iter_next(&iter)) put_tool(writing, iter.value);
    json_close(&writing->json, ']');
}

/* --- the request --- */

/* The client's `reasoning_effort`; without one, what its `reasoning` amounts to. */
static dr_slice effort_asked(const struct writing *writing) {
    const dr_slice own = dr_json_text(dr_json_member(writing->root, DR_LIT("reasoning_effort")));

    return own.len > 0 ? own
                       : effort_of_reasoning(dr_json_member(writing->root, DR_LIT("reasoning")));
}

/* True for what has another member's place. */
static bool gives_way(struct writing *writing, dr_slice name, dr_json value) {
    const dr_json newer = dr_json_member(writing->root, DR_LIT("max_completion_tokens"));
    const dr_slice type = dr_json_text(dr_json_member(value, DR_LIT("type")));
    const dr_slice effort = effort_asked(writing);
    const bool gives =
        (dr_slice_is(name, DR_LIT("thinking")) && is_off(effort)) ||
        (dr_slice_is(name, DR_LIT("reasoning_effort")) && effort.len > 0 &&
         dr_json_text(value).len == 0) ||
        (dr_slice_is(name, DR_LIT("max_tokens")) && dr_json_is(newer, DR_JSON_NUMBER));
    const bool says_more =
        !dr_json_is(value, DR_JSON_NULL) && !dr_slice_is(type, DR_LIT("disabled"));

    if (gives && says_more) loss_drop(writing->loss, name);
    return gives;
}

static void put_effort(struct json_writer *json, dr_slice effort) {
    if (is_off(effort)) {
        json_name(json, DR_LIT("thinking"));
        json_raw(json, DR_LIT("{\"type\":\"disabled\"}"));
    } else {
        json_member(json, DR_LIT("reasoning_effort"), effort_of(effort));
    }
}

static void tell_reasoning(struct loss *loss, dr_slice name, dr_json value) {
    const bool says = !dr_json_is(value, DR_JSON_NULL) &&
                      (!dr_json_is(value, DR_JSON_BOOL) || dr_json_bool(value));
    char path[LOSS_NAME_BYTES_MAX];

    if (!says || dr_slice_is(name, DR_LIT("effort")) || dr_slice_is(name, DR_LIT("enabled"))) {
        return;
    }
    (void)snprintf(path, sizeof path, "reasoning.%.*s", DR_FMT(dr_slice_first(name, 48)));
    loss_drop(loss, dr_slice_text(path));
}

static void put_reasoning(struct writing *writing, dr_json reasoning) {
    const dr_slice own = dr_json_text(dr_json_member(writing->root, DR_LIT("reasoning_effort")));
    const dr_slice effort = effort_of_reasoning(reasoning);
    const bool is_outdone = own.len > 0 && effort.len > 0 && !dr_slice_is(effort, own);
    struct dr_json_iter iter;

    if (is_outdone || !dr_json_is(reasoning, DR_JSON_OBJECT)) {
        loss_drop(writing->loss, DR_LIT("reasoning"));
        return;
    }
    if (own.len == 0 && effort.len > 0) put_effort(&writing->json, effort);
    dr_json_iter_init(&iter, reasoning);
    while (dr_json_iter_next(&iter)) {
        tell_reasoning(writing->loss, dr_json_text(iter.name), iter.value);
    }
}

/* False for a member that is not adapted. */
static bool put_adapted(struct writing *writing, dr_slice name, dr_json value) {
    struct json_writer *json = &writing->json;

    if (!deepseek_changes_member(name, value)) return false;
    if (dr_slice_is(name, DR_LIT("max_completion_tokens"))) {
        json_name(json, DR_LIT("max_tokens"));
        json_value(json, value);
    } else if (dr_slice_is(name, DR_LIT("response_format"))) {
        json_name(json, name);
        json_raw(json, DR_LIT("{\"type\":\"json_object\"}"));
    } else if (dr_slice_is(name, DR_LIT("reasoning"))) {
        put_reasoning(writing, value);
    } else if (dr_slice_is(name, DR_LIT("reasoning_effort"))) {
        put_effort(json, dr_json_text(value));
    } else {
        loss_drop(writing->loss, name); /* parallel_tool_calls */
    }
    return true;
}

/* False when a message is refused. */
static bool put_carried(struct writing *writing, dr_slice name, dr_json value) {
    json_name(&writing->json, name);
    if (dr_slice_is(name, DR_LIT("messages"))) return put_messages(writing, value);
    if (dr_slice_is(name, DR_LIT("tools")) && dr_json_is(value, DR_JSON_ARRAY)) {
        put_tools(writing, value);
    } else {
        json_value(&writing->json, value);
    }
    return true;
}

/* False when it is refused. */
static bool put_member(struct writing *writing, dr_slice name, dr_json value) {
    char param[LOSS_NAME_BYTES_MAX] = "";
    const char *how = "";

    switch (translation_of_deepseek(name, value, &how)) {
    case FATE_REFUSED:
        (void)dr_slice_to_text(name, param, sizeof param);
        return refuse(writing, param, how);
    case FATE_DROPPED: loss_drop(writing->loss, name); return true;
    case FATE_ADAPTED:
        if (put_adapted(writing, name, value)) return true;
        break;
    case FATE_CARRIED:
    case FATE_COUNT: break;
    }
    return gives_way(writing, name, value) || put_carried(writing, name, value);
}

enum dr_status deepseek_write_prompt(struct dr_json_reader *reader, const struct prompt *prompt,
                                     struct dr_buf *out, struct loss *loss,
                                     struct prompt *ret_prompt) {
    struct writing writing = {
        .json = {.out = out},
        .loss = loss,
        .text_bytes_max = prompt->body.len + 1024,
    };
    struct prompt_fault fault;
    struct dr_json_iter iter;

    /* The body was accepted before: only memory can be short. */
    if (dr_json_read(reader, prompt->body, UINT32_MAX, &writing.root, NULL)) return DR_NO_MEMORY;
    json_open(&writing.json, '{');
    dr_json_iter_init(&iter, writing.root);
    while (dr_json_iter_next(&iter)) {
        if (!put_member(&writing, dr_json_text(iter.name), iter.value)) return DR_INVALID;
    }
    json_close(&writing.json, '}');
    if (writing.status) return writing.status;
    enum dr_status status = dr_buf_status(out);
    if (status) return status;
    status = openai_read_prompt(reader, dr_buf_slice(out), ret_prompt, &fault);
    /* What is added may be more than a body can hold. */
    return status == DR_INVALID ? DR_TOO_LARGE : status;
}
