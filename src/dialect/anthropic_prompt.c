/* A conversation in Anthropic's words. What the table in translation.c calls adapted happens here;
 * must not leave anything out without telling `loss`.
 *
 * Sources, beside those of anthropic.h: "Extended thinking" and "Adaptive thinking" (budgets, what
 * thinking forbids, which models), "Structured outputs", "Implement tool use" (results first, all
 * in one message), recorded requests and refusals. */
#include "dialect/anthropic.h"

#include "dialect/anthropic_writing.h"
#include "dialect/schema.h"
#include "dialect/translation.h"
#include "dialect/turns.h"

#include "base/digest.h"
#include "base/utf8.h"

enum {
    DEPTH_MAX = 128,
    INSTRUCTION_BYTES_MAX = 64 * 1024 * 1024,
    DOCUMENT_BYTES_MAX = 64 * 1024 * 1024,
    PHONE_DIGITS_MIN = 7,
    BUDGET_MIN = 1024, /* "The minimum budget is 1,024 tokens" */
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

/* With a budget, the turn that asked for the tools must begin with its blocks of thinking, and so
 * must a beginning of the answer: "expected thinking or redacted_thinking"; "Extended thinking":
 * "you cannot pre-fill responses when thinking is enabled". */
static bool lacks_thoughts(const struct conversation *conversation) {
    struct turn turn;
    struct turn before = {0, 0, false};
    size_t at = 0;
    bool goes_on = false; /* the last turn is a turn's results, or a beginning of the answer */

    while (turn_next(conversation, &at, &turn)) {
        goes_on = turn.is_assistant;
        for (size_t i = turn.first; i < turn.end; i++) {
            if (conversation->messages[i].role == MESSAGE_TOOL) goes_on = true;
        }
        if (turn.is_assistant) before = turn;
    }
    if (!goes_on) return false;
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
static bool fit_budget(struct anthropic_writing *writing) {
    const uint64_t room = writing->output_tokens_max - writing->output_tokens_max / 4;
    uint64_t budget = budget_of(writing->conversation);

    if (budget > room) budget = room;
    if (budget < BUDGET_MIN) budget = BUDGET_MIN;
    if (budget >= writing->output_tokens_max) return false;
    writing->budget = budget;
    return true;
}

static void decide_thinking(struct anthropic_writing *writing) {
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
        loss_drop(writing->loss, conversation->thinking_field);
    }
}

/* --- blocks --- */

/* "text content blocks must be non-empty", "… must contain non-whitespace text". */
static void put_text_block(struct anthropic_writing *writing, dr_slice text, dr_json mark) {
    if (text_is_blank(text)) {
        if (mark) loss_drop(writing->loss, DR_LIT("messages.cache_control"));
        return;
    }
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("text"));
    json_member(&writing->json, DR_LIT("text"), text);
    anthropic_put_cache_mark(writing, mark);
    json_close(&writing->json, '}');
}

/* `text` is a document's, in the place of its bytes. */
static void put_source(struct anthropic_writing *writing, dr_slice type,
                       const struct message_part *part, dr_slice text) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), type);
    json_name(&writing->json, DR_LIT("source"));
    json_open(&writing->json, '{');
    if (text.len > 0) {
        json_member(&writing->json, DR_LIT("type"), DR_LIT("text"));
        json_member(&writing->json, DR_LIT("media_type"), DR_LIT("text/plain"));
        json_member(&writing->json, DR_LIT("data"), text);
    } else if (part->data.len > 0) {
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
    anthropic_put_cache_mark(writing, part->cache_control);
    json_close(&writing->json, '}');
}

static bool is_address(dr_slice url) {
    return dr_slice_is_nocase(dr_slice_first(url, 8), DR_LIT("https://")) ||
           dr_slice_is_nocase(dr_slice_first(url, 7), DR_LIT("http://"));
}

static bool put_image(struct anthropic_writing *writing, const struct message *message,
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
    put_source(writing, DR_LIT("image"), part, DR_NONE);
    return true;
}

/* DR_INVALID when it is no base64. */
static enum dr_status read_base64(dr_slice data, struct dr_buf *out) {
    struct dr_buf plain;
    size_t padding = 0;

    dr_buf_init(&plain, DOCUMENT_BYTES_MAX);
    json_put_plain_base64(&plain, data);
    const size_t rest = dr_buf_slice(&plain).len % 4;
    for (size_t i = rest; i > 0 && i < 4; i++) dr_buf_put_char(&plain, '=');
    const dr_slice text = dr_buf_slice(&plain);
    while (padding < text.len && text.data[text.len - 1 - padding] == '=') padding++;
    const size_t len = text.len / 4 * 3 - (padding < 3 ? padding : 0);
    enum dr_status status = dr_buf_status(&plain);
    char *room = dr_buf_reserve(out, len);
    if (!status) status = dr_buf_status(out);
    if (!status && !dr_base64_read(text, (uint8_t *)room, len)) status = DR_INVALID;
    if (!status) dr_buf_commit(out, len);
    dr_buf_clear(&plain);
    return status;
}

/* A document of text goes as its text, whatever it is written in. */
static bool put_text_file(struct anthropic_writing *writing, const struct message *message,
                          const struct message_part *part) {
    char path[PART_PATH_BYTES_MAX];
    struct dr_buf text;

    dr_buf_init(&text, DOCUMENT_BYTES_MAX);
    enum dr_status status = read_base64(part->data, &text);
    if (!status && (text_is_blank(dr_buf_slice(&text)) || !dr_utf8_is_valid(dr_buf_slice(&text)))) {
        status = DR_INVALID;
    }
    if (!status) put_source(writing, DR_LIT("document"), part, dr_buf_slice(&text));
    dr_buf_clear(&text);
    if (status == DR_INVALID) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_data"),
                           "must hold text in UTF-8, in base64, as its type says");
    }
    if (status) writing->lacks_memory = true;
    return true;
}

static bool put_file(struct anthropic_writing *writing, const struct message *message,
                     const struct message_part *part) {
    char path[PART_PATH_BYTES_MAX];

    if (part->file_id.len > 0 && part->data.len == 0 && part->url.len == 0) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_id"),
                           "is not known to this model's provider: send 'file_data'");
    }
    if (part->data.len > 0 && dr_slice_starts(part->media_type, DR_LIT("text/"))) {
        return put_text_file(writing, message, part);
    }
    const bool is_taken = part->data.len > 0
                              ? dr_slice_is(part->media_type, DR_LIT("application/pdf"))
                              : is_address(part->url);
    if (!is_taken) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_data"),
                           "must be an address or a base64 data URL of a PDF or a text for this "
                           "model");
    }
    put_source(writing, DR_LIT("document"), part, DR_NONE);
    return true;
}

static bool put_part(struct anthropic_writing *writing, const struct message *message,
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

static bool put_parts(struct anthropic_writing *writing, const struct message *message) {
    for (size_t i = 0; i < message->part_count; i++) {
        if (!put_part(writing, message, &message->parts[i])) return false;
    }
    return true;
}

/* --- turns --- */

/* The input must be an object. Numbers keep the digits they came with. */
static void put_input(struct anthropic_writing *writing, const struct message_call *call) {
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

/* The `number`-th call of the conversation. */
static void put_call(struct anthropic_writing *writing, const struct message_call *call,
                     size_t number) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("tool_use"));
    call_ids_put(&writing->ids, &writing->json, DR_LIT("id"), number);
    json_member(&writing->json, DR_LIT("name"), call->name);
    put_input(writing, call);
    anthropic_put_cache_mark(writing, call->cache_control);
    json_close(&writing->json, '}');
}

/* Signatures are valid only where they were made. */
static void put_thoughts(struct anthropic_writing *writing, const struct message *message) {
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

static bool put_result(struct anthropic_writing *writing, const struct message *message,
                       size_t number) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("type"), DR_LIT("tool_result"));
    call_ids_put(&writing->ids, &writing->json, DR_LIT("tool_use_id"), number);
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

/* "tool_result blocks must come first in the content array. Any text must come after." The results
 * stand in the order of the calls, the first of which is the `number`-th of the conversation. */
static bool put_user_turn(struct anthropic_writing *writing, const struct turn *calls,
                          const struct turn *turn, size_t number) {
    const struct conversation *conversation = writing->conversation;

    for (size_t i = calls->first; i < calls->end; i++) {
        for (size_t k = 0; k < conversation->messages[i].call_count; k++, number++) {
            const struct message *result = turn_result(conversation, calls, turn, i, k);
            if (result && !put_result(writing, result, number)) return false;
        }
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

static const struct message_part *last_part(const struct anthropic_writing *writing,
                                            const struct turn *turn) {
    for (size_t i = turn->end; i > turn->first; i--) {
        const struct message *message = &writing->conversation->messages[i - 1];
        for (size_t k = message->part_count; k > 0; k--) {
            if (!text_is_blank(message->parts[k - 1].text)) return &message->parts[k - 1];
        }
    }
    return NULL;
}

static bool put_assistant_part(struct anthropic_writing *writing, const struct message *message,
                               const struct message_part *part, bool is_end) {
    char path[PART_PATH_BYTES_MAX];

    if (part->kind != PART_TEXT) {
        return loss_refuse(writing->loss, part_path(path, message, part, ".type"),
                           "must be 'text' or 'refusal' in an assistant's message for this model");
    }
    put_text_block(writing, is_end ? without_end_blanks(part->text) : part->text,
                   part->cache_control);
    return true;
}

/* The first call is the `number`-th of the conversation. */
static bool put_assistant_turn(struct anthropic_writing *writing, const struct turn *turn,
                               size_t number, bool is_last) {
    const struct message_part *end = is_last ? last_part(writing, turn) : NULL;

    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role != MESSAGE_ASSISTANT) continue;
        put_thoughts(writing, message);
        for (size_t k = 0; k < message->part_count; k++) {
            const struct message_part *part = &message->parts[k];
            if (!put_assistant_part(writing, message, part, part == end)) return false;
        }
        for (size_t k = 0; k < message->call_count; k++) {
            put_call(writing, &message->calls[k], number++);
        }
    }
    return true;
}

static void open_turn(struct anthropic_writing *writing, dr_slice role) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("role"), role);
    json_name(&writing->json, DR_LIT("content"));
    json_open(&writing->json, '[');
}

static void close_turn(struct anthropic_writing *writing) {
    json_close(&writing->json, ']');
    json_close(&writing->json, '}');
}

static bool put_system_parts(struct anthropic_writing *writing) {
    for (size_t i = 0; i < writing->conversation->message_count; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role == MESSAGE_SYSTEM && !put_parts(writing, message)) return false;
    }
    return true;
}

static bool put_messages(struct anthropic_writing *writing) {
    struct turn turn;
    struct turn before = {0, 0, false};
    size_t at = 0;
    size_t count = 0;
    size_t call_number = 0; /* of the first call in the turn before */

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
        if (!(turn.is_assistant ? put_assistant_turn(writing, &turn, call_number, is_last)
                                : put_user_turn(writing, &before, &turn, call_number))) {
            return false;
        }
        close_turn(writing);
        for (size_t i = before.first; !turn.is_assistant && i < before.end; i++) {
            call_number += writing->conversation->messages[i].call_count;
        }
        before = turn;
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

/* Without a format of its own the model is told, as "Increase output consistency" advises. */
static void put_format_instruction(struct anthropic_writing *writing) {
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

static bool put_system(struct anthropic_writing *writing) {
    const enum response_format format = writing->conversation->response_format;
    const bool instructs =
        format == RESPONSE_JSON || (format == RESPONSE_SCHEMA && !writing->has_native_format);
    const bool has_text = has_turns(writing->conversation) && has_system(writing->conversation);

    if (!instructs && !has_text) return true;
    json_name(&writing->json, DR_LIT("system"));
    json_open(&writing->json, '[');
    if (has_text && !put_system_parts(writing)) return false;
    if (instructs) put_format_instruction(writing);
    json_close(&writing->json, ']');
    return true;
}

/* --- numbers and words --- */

/* "claude 4.7 and later reject sampling parameters"; "`temperature` may only be set to 1 when
 * thinking is enabled or in adaptive mode"; from 4.1 on temperature and top_p exclude each
 * other. */
static void put_sampling(struct anthropic_writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const bool is_fixed = writing->generation >= 47 || writing->thinking != THINKING_NONE;
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

static void put_stops(struct anthropic_writing *writing) {
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

static void put_thinking(struct anthropic_writing *writing) {
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
    if (!writing->effort && !writing->has_native_format) return;
    json_name(json, DR_LIT("output_config"));
    json_open(json, '{');
    if (writing->effort) json_member(json, DR_LIT("effort"), dr_slice_text(writing->effort));
    if (writing->has_native_format) {
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

/* "user_id appears to contain an email address. Please send a uuid or hash value instead"; the same
 * of a phone number. Digits alone are a customer's number. */
static bool tells_who(dr_slice user) {
    const dr_slice domain = dr_slice_from(user, dr_slice_find_char(user, '@'));
    size_t digits = 0;

    if (dr_slice_find_char(domain, '.') < domain.len) return true;
    for (size_t i = 0; i < user.len; i++) {
        const bool is_digit = user.data[i] >= '0' && user.data[i] <= '9';
        if (!is_digit && !memchr("+-() .", user.data[i], 6)) return false;
        digits += is_digit;
    }
    return digits >= PHONE_DIGITS_MIN && digits < user.len;
}

static void put_user(struct anthropic_writing *writing) {
    const dr_json root = writing->conversation->root;
    const dr_slice user = dr_json_text(dr_json_member(root, DR_LIT("user")));
    const dr_slice safety = dr_json_text(dr_json_member(root, DR_LIT("safety_identifier")));
    const dr_slice sent = writing->conversation->user;

    if (safety.len > 0 && !dr_slice_is(safety, sent)) {
        loss_drop(writing->loss, DR_LIT("safety_identifier"));
    }
    if (sent.len == 0) return;
    if (tells_who(sent)) {
        loss_drop(writing->loss, user.len > 0 ? DR_LIT("user") : DR_LIT("safety_identifier"));
        return;
    }
    json_name(&writing->json, DR_LIT("metadata"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("user_id"), sent);
    json_close(&writing->json, '}');
}

static void put_rest(struct anthropic_writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct json_writer *json = &writing->json;

    put_sampling(writing);
    put_stops(writing);
    put_thinking(writing);
    put_user(writing);
    if (dr_slice_is(conversation->service_tier, DR_LIT("auto"))) {
        json_member(json, DR_LIT("service_tier"), DR_LIT("auto"));
    } else if (dr_slice_is(conversation->service_tier, DR_LIT("default"))) {
        json_member(json, DR_LIT("service_tier"), DR_LIT("standard_only"));
    } else if (conversation->service_tier.len > 0) {
        loss_drop(writing->loss, DR_LIT("service_tier"));
    }
    anthropic_put_cache_mark(writing, conversation->cache_control);
    if (conversation->is_streamed) {
        json_name(json, DR_LIT("stream"));
        json_raw(json, DR_LIT("true"));
    }
}

static bool check(struct anthropic_writing *writing) {
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
           turns_check(conversation, writing->loss) &&
           call_names_check(conversation, anthropic_is_tool_name, anthropic_tool_name_rule,
                            writing->loss);
}

static bool put_request(struct anthropic_writing *writing, dr_slice model) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("model"), model);
    json_name(&writing->json, DR_LIT("max_tokens"));
    json_number(&writing->json, writing->output_tokens_max);
    if (!put_system(writing) || !put_messages(writing) || !anthropic_put_tools(writing))
        return false;
    put_rest(writing);
    json_close(&writing->json, '}');
    return true;
}

enum dr_status anthropic_write_prompt(const struct conversation *conversation, dr_slice model,
                                      struct dr_json_reader *scratch, struct dr_buf *out,
                                      struct loss *loss) {
    struct anthropic_writing writing = {
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
    writing.has_native_format = conversation->response_format == RESPONSE_SCHEMA &&
                                writing.generation >= 45 && !schema_is_open(conversation->schema);
    decide_thinking(&writing);
    enum dr_status status = call_ids_init(&writing.ids, conversation);
    if (!status && !put_request(&writing, model)) status = DR_INVALID;
    call_ids_clear(&writing.ids);
    if (status) return status;
    return writing.lacks_memory ? DR_NO_MEMORY : dr_buf_status(out);
}
