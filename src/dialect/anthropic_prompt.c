/* A conversation in Anthropic's words. What the table in translation.c calls adapted happens here;
 * must not leave anything out without telling `loss`.
 *
 * Sources, beside those of anthropic.h: "Extended thinking" and "Adaptive thinking" (budgets, what
 * thinking forbids, which models), "Structured outputs", "Implement tool use" (results first, all
 * in one message), recorded requests and refusals. */
#include "dialect/anthropic.h"

#include "dialect/json_writer.h"
#include "dialect/schema.h"
#include "dialect/translation.h"
#include "dialect/turns.h"

enum {
    DEPTH_MAX = 128,
    TOOL_NAME_BYTES_MAX = 128,
    INSTRUCTION_BYTES_MAX = 64 * 1024 * 1024,
    BUDGET_MIN = 1024, /* "The minimum budget is 1,024 tokens" */
};

enum thinking { THINKING_NONE, THINKING_BUDGET, THINKING_ADAPTIVE };

/* One writing of one request. */
struct writing {
    const struct conversation *conversation;
    struct json_writer json;
    struct dr_json_reader *scratch;
    struct loss *loss;
    uint32_t generation; /* 45 for Claude 4.5 */
    uint64_t output_tokens_max;
    enum thinking thinking;
    uint64_t budget;
    const char *effort; /* of adaptive thinking; NULL: the model's own */
    bool lacks_memory;
};

/* --- what the model can do --- */

/* Names without a number belong to others who speak this dialect; they are treated as the models
 * that most of them copied. */
static uint32_t generation_of(dr_slice model) {
    const uint32_t generation = model_generation(model, DR_LIT("claude"));

    return generation > 0 ? generation : 45;
}

static uint64_t default_tokens_max(dr_slice model, uint32_t generation) {
    if (model_generation(model, DR_LIT("claude")) == 0) return 8192;
    if (generation < 35) return 4096;
    if (generation < 37) return 8192;
    return 32000;
}

static bool forces_tool(const struct conversation *conversation) {
    return conversation->tool_choice == TOOL_CHOICE_REQUIRED ||
           conversation->tool_choice == TOOL_CHOICE_NAMED;
}

/* With a budget, the turn that asked for the tools must begin with its blocks of thinking:
 * "expected thinking or redacted_thinking". */
static bool lacks_thoughts(const struct conversation *conversation) {
    struct turn turn;
    struct turn before = {0, 0, false};
    size_t at = 0;
    bool has_results = false;

    while (turn_next(conversation, &at, &turn)) {
        has_results = false;
        for (size_t i = turn.first; i < turn.end; i++) {
            if (conversation->messages[i].role == MESSAGE_TOOL) has_results = true;
        }
        if (turn.is_assistant) before = turn;
    }
    if (!has_results) return false;
    const struct message *message = &conversation->messages[before.first];
    for (size_t i = 0; i < message->thought_count; i++) {
        if (message->thoughts[i].kind != THOUGHT_GEMINI_TEXT) return false;
    }
    return true;
}

static uint64_t budget_of(const struct conversation *conversation) {
    const dr_slice effort = conversation->reasoning_effort;

    if (conversation->thinking_tokens > 0) return conversation->thinking_tokens;
    if (dr_slice_is(effort, DR_LIT("minimal")) || dr_slice_is(effort, DR_LIT("low"))) return 1024;
    if (dr_slice_is(effort, DR_LIT("medium"))) return 8192;
    return 24576;
}

/* `xhigh` came with 4.7. A budget in tokens becomes the nearest word. */
static const char *effort_of(const struct conversation *conversation, uint32_t generation) {
    const dr_slice effort = conversation->reasoning_effort;

    if (effort.len == 0) {
        if (conversation->thinking_tokens == 0) return NULL;
        if (conversation->thinking_tokens <= 4096) return "low";
        return conversation->thinking_tokens <= 16384 ? "medium" : "high";
    }
    if (dr_slice_is(effort, DR_LIT("minimal")) || dr_slice_is(effort, DR_LIT("low"))) return "low";
    if (dr_slice_is(effort, DR_LIT("medium"))) return "medium";
    if (dr_slice_is(effort, DR_LIT("xhigh"))) return generation >= 47 ? "xhigh" : "high";
    if (dr_slice_is(effort, DR_LIT("max"))) return "max";
    return "high";
}

/* Thinking counts towards the limit: the budget leaves a quarter of it to the answer. */
static bool fit_budget(struct writing *writing) {
    const uint64_t room = writing->output_tokens_max - writing->output_tokens_max / 4;
    uint64_t budget = budget_of(writing->conversation);

    if (budget > room) budget = room;
    if (budget < BUDGET_MIN) budget = BUDGET_MIN;
    if (budget >= writing->output_tokens_max) return false;
    writing->budget = budget;
    return true;
}

static void decide_thinking(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const bool asks = conversation->reasoning_effort.len > 0 || conversation->has_thinking;

    if (!asks || conversation->is_thinking_off) return;
    if (writing->generation >= 46) {
        writing->thinking = THINKING_ADAPTIVE;
        writing->effort = effort_of(conversation, writing->generation);
    } else if (writing->generation >= 37 && !forces_tool(conversation) &&
               !lacks_thoughts(conversation) && fit_budget(writing)) {
        writing->thinking = THINKING_BUDGET;
    } else {
        loss_drop(writing->loss, conversation->reasoning_effort.len > 0 ? DR_LIT("reasoning_effort")
                                                                        : DR_LIT("thinking"));
    }
}

/* --- blocks --- */

static void put_cache_control(struct writing *writing, dr_json mark) {
    if (!dr_json_is(mark, DR_JSON_OBJECT)) return;
    json_name(&writing->json, DR_LIT("cache_control"));
    json_value(&writing->json, mark);
}

static void put_text_block(struct writing *writing, dr_slice text, dr_json mark) {
    if (text.len == 0) return;
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("text"));
    json_member(&writing->json, DR_LIT("text"), text);
    put_cache_control(writing, mark);
    json_close(&writing->json, '}');
}

static void put_source(struct writing *writing, dr_slice type, const struct message_part *part) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), type);
    json_name(&writing->json, DR_LIT("source"));
    json_open(&writing->json, '{');
    if (part->data.len > 0) {
        json_member(&writing->json, DR_LIT("type"), DR_LIT("base64"));
        json_member(&writing->json, DR_LIT("media_type"), part->media_type);
        json_name(&writing->json, DR_LIT("data"));
        json_base64(&writing->json, part->data);
    } else {
        json_member(&writing->json, DR_LIT("type"), DR_LIT("url"));
        json_member(&writing->json, DR_LIT("url"), part->url);
    }
    json_close(&writing->json, '}');
    if (part->name.len > 0) json_member(&writing->json, DR_LIT("title"), part->name);
    put_cache_control(writing, part->cache_control);
    json_close(&writing->json, '}');
}

static bool is_address(dr_slice url) {
    return dr_slice_is_nocase(dr_slice_first(url, 8), DR_LIT("https://")) ||
           dr_slice_is_nocase(dr_slice_first(url, 7), DR_LIT("http://"));
}

static bool put_image(struct writing *writing, const struct message *message,
                      const struct message_part *part) {
    static const dr_slice taken[] = {
        {"image/jpeg", 10}, {"image/png", 9}, {"image/gif", 9}, {"image/webp", 10}};
    char path[PART_PATH_BYTES_MAX];
    bool is_taken = part->data.len == 0 && is_address(part->url);

    for (size_t i = 0; part->data.len > 0 && i < sizeof taken / sizeof taken[0]; i++) {
        if (dr_slice_is(part->media_type, taken[i])) is_taken = true;
    }
    if (!is_taken) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".image_url.url"),
                           "must be an address or a base64 data URL of a JPEG, PNG, GIF or WebP "
                           "image for this model");
    }
    if (part->has_detail) {
        loss_drop(writing->loss, DR_LIT("messages.content.image_url.detail"));
    }
    put_source(writing, DR_LIT("image"), part);
    return true;
}

static bool put_file(struct writing *writing, const struct message *message,
                     const struct message_part *part) {
    char path[PART_PATH_BYTES_MAX];

    if (part->file_id.len > 0 && part->data.len == 0 && part->url.len == 0) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_id"),
                           "is not known to this model's provider: send 'file_data'");
    }
    const bool is_taken = part->data.len > 0
                              ? dr_slice_is(part->media_type, DR_LIT("application/pdf"))
                              : is_address(part->url);
    if (!is_taken) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_data"),
                           "must be an address or a base64 data URL of a PDF for this model");
    }
    put_source(writing, DR_LIT("document"), part);
    return true;
}

static bool put_part(struct writing *writing, const struct message *message,
                     const struct message_part *part) {
    char path[PART_PATH_BYTES_MAX];

    switch (part->kind) {
    case PART_TEXT: put_text_block(writing, part->text, part->cache_control); return true;
    case PART_IMAGE: return put_image(writing, message, part);
    case PART_FILE: return put_file(writing, message, part);
    case PART_AUDIO:
        return loss_refuse(writing->loss, part_path(path, message, part, ".type"),
                           "must not be 'input_audio' for this model: it takes no audio");
    case PART_OTHER: break;
    }
    return loss_refuse(writing->loss, part_path(path, message, part, ".type"),
                       "must be 'text', 'image_url' or 'file' for this model");
}

static bool put_parts(struct writing *writing, const struct message *message) {
    for (size_t i = 0; i < message->part_count; i++) {
        if (!put_part(writing, message, &message->parts[i])) return false;
    }
    return true;
}

/* --- turns --- */

/* Ids must be of letters, digits, '_' and '-'. The same id always becomes the same. */
static void put_id(struct writing *writing, dr_slice name, dr_slice id) {
    json_name(&writing->json, name);
    json_raw(&writing->json, DR_LIT("\""));
    if (id.len == 0) dr_buf_put(writing->json.out, DR_LIT("call"));
    for (size_t i = 0; i < id.len; i++) {
        const char byte = id.data[i];
        const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= '0' && byte <= '9') || byte == '-';
        dr_buf_put_char(writing->json.out, is_plain ? byte : '_');
    }
    dr_buf_put_char(writing->json.out, '"');
}

/* The input must be an object. Numbers keep the digits they came with. */
static void put_input(struct writing *writing, const struct message_call *call) {
    const dr_slice text = dr_slice_trim(call->arguments);
    dr_json root;

    json_name(&writing->json, DR_LIT("input"));
    if (text.len == 0) {
        json_raw(&writing->json, DR_LIT("{}"));
    } else if (!call->is_custom &&
               dr_json_read(writing->scratch, text, DEPTH_MAX, &root, NULL) == DR_OK &&
               dr_json_is(root, DR_JSON_OBJECT)) {
        json_raw(&writing->json, text);
    } else {
        json_open(&writing->json, '{');
        json_member(&writing->json, DR_LIT("raw_arguments"), call->arguments);
        json_close(&writing->json, '}');
    }
}

static void put_call(struct writing *writing, const struct message_call *call) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("tool_use"));
    put_id(writing, DR_LIT("id"), call->id);
    json_member(&writing->json, DR_LIT("name"), call->name);
    put_input(writing, call);
    json_close(&writing->json, '}');
    if (call->signature.len > 0) {
        loss_drop(writing->loss, DR_LIT("messages.tool_calls.extra_content"));
    }
}

/* Signatures are valid only where they were made. */
static void put_thoughts(struct writing *writing, const struct message *message) {
    bool is_less = message->has_foreign_thought;

    for (size_t i = 0; i < message->thought_count; i++) {
        const struct message_thought *thought = &message->thoughts[i];
        switch (thought->kind) {
        case THOUGHT_THINKING:
            json_open(&writing->json, '{');
            json_member(&writing->json, DR_LIT("type"), DR_LIT("thinking"));
            json_member(&writing->json, DR_LIT("thinking"), thought->text);
            json_member(&writing->json, DR_LIT("signature"), thought->signature);
            json_close(&writing->json, '}');
            break;
        case THOUGHT_REDACTED:
            json_open(&writing->json, '{');
            json_member(&writing->json, DR_LIT("type"), DR_LIT("redacted_thinking"));
            json_member(&writing->json, DR_LIT("data"), thought->signature);
            json_close(&writing->json, '}');
            break;
        case THOUGHT_GEMINI_TEXT: is_less = true; break;
        }
    }
    if (is_less) loss_drop(writing->loss, DR_LIT("messages.reasoning_details"));
    if (message->has_plain_reasoning && message->thought_count == 0) {
        loss_drop(writing->loss, DR_LIT("messages.reasoning_content"));
    }
}

static bool put_result(struct writing *writing, const struct message *message) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("tool_result"));
    put_id(writing, DR_LIT("tool_use_id"), message->call_id);
    json_name(&writing->json, DR_LIT("content"));
    if (message->part_count == 1 && message->parts[0].kind == PART_TEXT &&
        !message->parts[0].cache_control) {
        json_text(&writing->json, message->parts[0].text);
    } else {
        json_open(&writing->json, '[');
        if (!put_parts(writing, message)) return false;
        json_close(&writing->json, ']');
    }
    json_close(&writing->json, '}');
    return true;
}

/* "tool_result blocks must come first in the content array. Any text must come after." */
static bool put_user_turn(struct writing *writing, const struct turn *turn) {
    const struct conversation *conversation = writing->conversation;

    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &conversation->messages[i];
        if (message->role == MESSAGE_TOOL && !put_result(writing, message)) return false;
    }
    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &conversation->messages[i];
        if (message->role == MESSAGE_USER && !put_parts(writing, message)) return false;
    }
    return true;
}

/* A beginning of the answer must not end in blanks ("final assistant content cannot end with
 * trailing whitespace"). */
static dr_slice without_end_blanks(dr_slice text) {
    while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ') text.len--;
    return text;
}

static bool put_assistant_turn(struct writing *writing, const struct turn *turn, bool is_last) {
    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role != MESSAGE_ASSISTANT) continue;
        put_thoughts(writing, message);
        for (size_t k = 0; k < message->part_count; k++) {
            struct message_part part = message->parts[k];
            if (is_last && i + 1 == turn->end && k + 1 == message->part_count) {
                part.text = without_end_blanks(part.text);
            }
            if (!put_part(writing, message, &part)) return false;
        }
        for (size_t k = 0; k < message->call_count; k++) put_call(writing, &message->calls[k]);
    }
    return true;
}

static void open_turn(struct writing *writing, dr_slice role) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("role"), role);
    json_name(&writing->json, DR_LIT("content"));
    json_open(&writing->json, '[');
}

static void close_turn(struct writing *writing) {
    json_close(&writing->json, ']');
    json_close(&writing->json, '}');
}

static bool put_system_parts(struct writing *writing) {
    for (size_t i = 0; i < writing->conversation->message_count; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role == MESSAGE_SYSTEM && !put_parts(writing, message)) return false;
    }
    return true;
}

static bool put_messages(struct writing *writing) {
    struct turn turn;
    size_t at = 0;
    size_t count = 0;

    json_name(&writing->json, DR_LIT("messages"));
    json_open(&writing->json, '[');
    for (; turn_next(writing->conversation, &at, &turn); count++) {
        if (count == 0 && turn.is_assistant) {
            open_turn(writing, DR_LIT("user"));
            put_text_block(writing, DR_LIT("..."), NULL);
            close_turn(writing);
        }
        open_turn(writing, turn.is_assistant ? DR_LIT("assistant") : DR_LIT("user"));
        size_t behind = at;
        struct turn next;
        const bool is_last = !turn_next(writing->conversation, &behind, &next);
        if (!(turn.is_assistant ? put_assistant_turn(writing, &turn, is_last)
                                : put_user_turn(writing, &turn))) {
            return false;
        }
        close_turn(writing);
    }
    if (count == 0) {
        /* Nothing but system messages: somebody must ask. */
        open_turn(writing, DR_LIT("user"));
        if (!put_system_parts(writing)) return false;
        close_turn(writing);
    }
    json_close(&writing->json, ']');
    return true;
}

/* --- system --- */

static bool has_turns(const struct conversation *conversation) {
    struct turn turn;
    size_t at = 0;

    return turn_next(conversation, &at, &turn);
}

static bool has_system(const struct conversation *conversation) {
    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *message = &conversation->messages[i];
        if (message->role == MESSAGE_SYSTEM && message_has_content(message)) return true;
    }
    return false;
}

static bool has_native_schema(const struct writing *writing) {
    return writing->conversation->response_format == RESPONSE_SCHEMA && writing->generation >= 45;
}

/* Without a format of its own the model is told, as "Increase output consistency" advises. */
static void put_format_instruction(struct writing *writing) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("text"));
    json_name(&writing->json, DR_LIT("text"));
    if (writing->conversation->response_format == RESPONSE_JSON) {
        json_text(&writing->json,
                  DR_LIT("Answer with one JSON object and nothing else, without a code fence."));
    } else {
        struct dr_buf text;
        dr_buf_init(&text, INSTRUCTION_BYTES_MAX);
        dr_buf_put(&text, DR_LIT("Answer with one JSON object and nothing else, without a code "
                                 "fence. It must match this JSON Schema: "));
        dr_json_put_value(&text, writing->conversation->schema);
        if (dr_buf_status(&text)) writing->lacks_memory = true;
        json_text(&writing->json, dr_buf_slice(&text));
        dr_buf_clear(&text);
        loss_drop(writing->loss, DR_LIT("response_format.json_schema.strict"));
    }
    json_close(&writing->json, '}');
}

static bool put_system(struct writing *writing) {
    const enum response_format format = writing->conversation->response_format;
    const bool instructs =
        format == RESPONSE_JSON || (format == RESPONSE_SCHEMA && !has_native_schema(writing));
    const bool has_text = has_turns(writing->conversation) && has_system(writing->conversation);

    if (!instructs && !has_text) return true;
    json_name(&writing->json, DR_LIT("system"));
    json_open(&writing->json, '[');
    if (has_text && !put_system_parts(writing)) return false;
    if (instructs) put_format_instruction(writing);
    json_close(&writing->json, ']');
    return true;
}

/* --- tools --- */

static bool check_tool_name(struct writing *writing, const struct conversation_tool *tool) {
    char path[PART_PATH_BYTES_MAX];
    bool is_good = tool->name.len > 0 && tool->name.len <= TOOL_NAME_BYTES_MAX;

    for (size_t i = 0; i < tool->name.len; i++) {
        const char byte = tool->name.data[i];
        is_good = is_good && ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= '0' && byte <= '9') || byte == '_' || byte == '-');
    }
    if (is_good) return true;
    (void)snprintf(path, sizeof path, "tools[%u].function.name", tool->place);
    return loss_refuse(writing->loss, path,
                       "must be made of letters, digits, '_' and '-' for this model");
}

/* A schema of an object, whatever the client sent. */
static void put_input_schema(struct writing *writing, dr_json parameters, bool is_strict) {
    json_name(&writing->json, DR_LIT("input_schema"));
    if (dr_json_count(parameters) == 0) {
        json_raw(&writing->json, DR_LIT("{\"type\":\"object\",\"properties\":{}}"));
    } else if (is_strict && dr_json_member(parameters, DR_LIT("type"))) {
        if (schema_put(writing->json.out, parameters, SCHEMA_ANTHROPIC)) {
            loss_drop(writing->loss, DR_LIT("tools.function.parameters"));
        }
        writing->json.has_item = true;
    } else if (dr_json_member(parameters, DR_LIT("type"))) {
        json_value(&writing->json, parameters);
    } else {
        struct dr_json_iter iter;
        json_open(&writing->json, '{');
        json_member(&writing->json, DR_LIT("type"), DR_LIT("object"));
        dr_json_iter_init(&iter, parameters);
        while (dr_json_iter_next(&iter)) {
            json_name(&writing->json, dr_json_text(iter.name));
            json_value(&writing->json, iter.value);
        }
        json_close(&writing->json, '}');
    }
}

static bool put_tool(struct writing *writing, const struct conversation_tool *tool) {
    char path[PART_PATH_BYTES_MAX];

    if (tool->other_type.len > 0) {
        (void)snprintf(path, sizeof path, "tools[%u].type", tool->place);
        return loss_refuse(writing->loss, path, "must be 'function' for this model");
    }
    if (!check_tool_name(writing, tool)) return false;
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("name"), tool->name);
    if (tool->description.len > 0) {
        json_member(&writing->json, DR_LIT("description"), tool->description);
    }
    put_input_schema(writing, tool->parameters, tool->is_strict && writing->generation >= 45);
    if (tool->is_strict && writing->generation >= 45) {
        json_name(&writing->json, DR_LIT("strict"));
        json_raw(&writing->json, DR_LIT("true"));
    } else if (tool->is_strict) {
        loss_drop(writing->loss, DR_LIT("tools.function.strict"));
    }
    put_cache_control(writing, tool->cache_control);
    json_close(&writing->json, '}');
    return true;
}

/* "Requests which include `tool_use` or `tool_result` blocks must define tools": a history of calls
 * whose tools are offered no more gets them back, not to be called. */
static void put_past_tools(struct writing *writing) {
    enum { PAST_MAX = 64 };
    const struct conversation *conversation = writing->conversation;
    dr_slice names[PAST_MAX];
    size_t count = 0;

    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; k < message->call_count && count < PAST_MAX; k++) {
            bool is_known = false;
            for (size_t n = 0; n < count; n++) {
                if (dr_slice_is(names[n], message->calls[k].name)) is_known = true;
            }
            if (!is_known) names[count++] = message->calls[k].name;
        }
    }
    if (count == 0) return;
    json_name(&writing->json, DR_LIT("tools"));
    json_open(&writing->json, '[');
    for (size_t n = 0; n < count; n++) {
        json_open(&writing->json, '{');
        json_member(&writing->json, DR_LIT("name"), names[n]);
        put_input_schema(writing, NULL, false);
        json_close(&writing->json, '}');
    }
    json_close(&writing->json, ']');
    json_name(&writing->json, DR_LIT("tool_choice"));
    json_raw(&writing->json, DR_LIT("{\"type\":\"none\"}"));
}

static bool put_tool_choice(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const enum tool_choice choice = conversation->tool_choice;
    dr_slice type = DR_LIT("auto");

    switch (choice) {
    case TOOL_CHOICE_NOT_GIVEN:
        if (!conversation->forbids_parallel_calls) return true;
        break;
    case TOOL_CHOICE_AUTO: break;
    case TOOL_CHOICE_NONE: type = DR_LIT("none"); break;
    case TOOL_CHOICE_REQUIRED: type = DR_LIT("any"); break;
    case TOOL_CHOICE_NAMED: type = DR_LIT("tool"); break;
    case TOOL_CHOICE_OTHER:
        return loss_refuse(writing->loss, "tool_choice",
                           "must be 'none', 'auto', 'required', a function or allowed functions "
                           "for this model");
    }
    json_name(&writing->json, DR_LIT("tool_choice"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), type);
    if (choice == TOOL_CHOICE_NAMED) {
        json_member(&writing->json, DR_LIT("name"), conversation->chosen_tool);
    }
    if (conversation->forbids_parallel_calls && choice != TOOL_CHOICE_NONE) {
        json_name(&writing->json, DR_LIT("disable_parallel_tool_use"));
        json_raw(&writing->json, DR_LIT("true"));
    }
    json_close(&writing->json, '}');
    return true;
}

static bool put_tools(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;

    if (conversation->tool_count == 0) {
        put_past_tools(writing);
        return true;
    }
    json_name(&writing->json, DR_LIT("tools"));
    json_open(&writing->json, '[');
    for (size_t i = 0; i < conversation->tool_count; i++) {
        const struct conversation_tool *tool = &conversation->tools[i];
        if (!tool_is_allowed(conversation, tool)) continue;
        if (!put_tool(writing, tool)) return false;
    }
    json_close(&writing->json, ']');
    return put_tool_choice(writing);
}

/* --- numbers and words --- */

/* "claude 4.7 and later reject sampling parameters"; with a budget the temperature must be 1; from
 * 4.1 on temperature and top_p exclude each other. */
static void put_sampling(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const bool is_fixed = writing->generation >= 47 || writing->thinking == THINKING_BUDGET;
    double number = 0;

    if (conversation->temperature) {
        const bool is_number = dr_json_to_double(conversation->temperature, &number);
        if (is_fixed) {
            if (!is_number || number != 1) loss_drop(writing->loss, DR_LIT("temperature"));
        } else {
            json_name(&writing->json, DR_LIT("temperature"));
            if (is_number && number <= 1) {
                json_value(&writing->json, conversation->temperature);
            } else {
                json_raw(&writing->json, DR_LIT("1"));
                loss_drop(writing->loss, DR_LIT("temperature"));
            }
        }
    }
    if (!conversation->top_p) return;
    if (is_fixed || (conversation->temperature && writing->generation >= 41)) {
        if (!dr_json_to_double(conversation->top_p, &number) || number != 1) {
            loss_drop(writing->loss, DR_LIT("top_p"));
        }
        return;
    }
    json_name(&writing->json, DR_LIT("top_p"));
    json_value(&writing->json, conversation->top_p);
}

static void put_stops(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    size_t count = 0;

    for (size_t i = 0; i < conversation->stop_count; i++) {
        if (without_end_blanks(conversation->stops[i]).len == 0) {
            loss_drop(writing->loss, DR_LIT("stop"));
            continue;
        }
        if (count++ == 0) {
            json_name(&writing->json, DR_LIT("stop_sequences"));
            json_open(&writing->json, '[');
        }
        json_text(&writing->json, conversation->stops[i]);
    }
    if (count > 0) json_close(&writing->json, ']');
}

static void put_thinking(struct writing *writing) {
    struct json_writer *json = &writing->json;

    if (writing->thinking == THINKING_BUDGET) {
        json_name(json, DR_LIT("thinking"));
        json_open(json, '{');
        json_member(json, DR_LIT("type"), DR_LIT("enabled"));
        json_name(json, DR_LIT("budget_tokens"));
        json_number(json, writing->budget);
        json_close(json, '}');
    } else if (writing->thinking == THINKING_ADAPTIVE) {
        json_name(json, DR_LIT("thinking"));
        json_raw(json, DR_LIT("{\"type\":\"adaptive\",\"display\":\"summarized\"}"));
    }
    if (!writing->effort && !has_native_schema(writing)) return;
    json_name(json, DR_LIT("output_config"));
    json_open(json, '{');
    if (writing->effort) json_member(json, DR_LIT("effort"), dr_slice_text(writing->effort));
    if (has_native_schema(writing)) {
        json_name(json, DR_LIT("format"));
        json_open(json, '{');
        json_member(json, DR_LIT("type"), DR_LIT("json_schema"));
        json_name(json, DR_LIT("schema"));
        if (schema_put(json->out, writing->conversation->schema, SCHEMA_ANTHROPIC)) {
            loss_drop(writing->loss, DR_LIT("response_format.json_schema.schema"));
        }
        json->has_item = true;
        json_close(json, '}');
    }
    json_close(json, '}');
}

static void put_rest(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct json_writer *json = &writing->json;

    put_sampling(writing);
    put_stops(writing);
    put_thinking(writing);
    if (conversation->user.len > 0) {
        json_name(json, DR_LIT("metadata"));
        json_open(json, '{');
        json_member(json, DR_LIT("user_id"), conversation->user);
        json_close(json, '}');
    }
    if (dr_slice_is(conversation->service_tier, DR_LIT("auto"))) {
        json_member(json, DR_LIT("service_tier"), DR_LIT("auto"));
    } else if (dr_slice_is(conversation->service_tier, DR_LIT("default"))) {
        json_member(json, DR_LIT("service_tier"), DR_LIT("standard_only"));
    } else if (conversation->service_tier.len > 0) {
        loss_drop(writing->loss, DR_LIT("service_tier"));
    }
    put_cache_control(writing, conversation->cache_control);
    if (conversation->is_streamed) {
        json_name(json, DR_LIT("stream"));
        json_raw(json, DR_LIT("true"));
    }
}

static bool check(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;

    for (size_t i = 0; i < conversation->message_count; i++) {
        if (conversation->messages[i].name.len > 0) {
            loss_drop(writing->loss, DR_LIT("messages.name"));
        }
    }
    if (conversation->response_format == RESPONSE_OTHER) {
        return loss_refuse(writing->loss, "response_format.type",
                           "must be 'text', 'json_object' or 'json_schema' for this model");
    }
    if (conversation->tool_count == 0 && forces_tool(conversation)) {
        return loss_refuse(writing->loss, "tool_choice", "must not ask for a tool without 'tools'");
    }
    return translation_check(DIALECT_ANTHROPIC, conversation, writing->loss) &&
           turns_check(conversation, writing->loss);
}

enum dr_status anthropic_write_prompt(const struct conversation *conversation, dr_slice model,
                                      struct dr_json_reader *scratch, struct dr_buf *out,
                                      struct loss *loss) {
    struct writing writing = {
        .conversation = conversation,
        .json = {.out = out},
        .scratch = scratch,
        .loss = loss,
        .generation = generation_of(model),
    };

    if (!check(&writing)) return DR_INVALID;
    writing.output_tokens_max = conversation->output_tokens_max > 0
                                    ? conversation->output_tokens_max
                                    : default_tokens_max(model, writing.generation);
    decide_thinking(&writing);
    json_open(&writing.json, '{');
    json_member(&writing.json, DR_LIT("model"), model);
    json_name(&writing.json, DR_LIT("max_tokens"));
    json_number(&writing.json, writing.output_tokens_max);
    if (!put_system(&writing) || !put_messages(&writing) || !put_tools(&writing)) return DR_INVALID;
    put_rest(&writing);
    json_close(&writing.json, '}');
    return writing.lacks_memory ? DR_NO_MEMORY : dr_buf_status(out);
}
