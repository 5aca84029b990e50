/* A conversation in Gemini's words. What the table in translation.c calls adapted happens here;
 * must not leave anything out without telling `loss`.
 *
 * Sources, beside those of gemini.h: "Gemini thinking" (budgets of the 2.5 models, levels of the
 * 3 models), "OpenAI compatibility" (which effort is which budget), "Structured output", recorded
 * requests and refusals. */
#include "dialect/gemini.h"

#include "dialect/json_writer.h"
#include "dialect/schema.h"
#include "dialect/translation.h"
#include "dialect/turns.h"

enum {
    DEPTH_MAX = 128,
    INSTRUCTION_BYTES_MAX = 64 * 1024 * 1024,
    TOOL_NAME_BYTES_MAX = 64,
    CHOICES_MAX = 8,
};

/* One writing of one request. */
struct writing {
    const struct conversation *conversation;
    struct json_writer json;
    struct dr_json_reader *scratch;
    struct loss *loss;
    uint32_t generation; /* 25 for Gemini 2.5 */
    bool is_pro;
    bool is_lite;
    bool instructs; /* the format is asked for in words */
    bool lacks_memory;
};

/* --- parts --- */

static void put_text_part(struct writing *writing, dr_slice text) {
    if (text.len == 0) return;
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("text"), text);
    json_close(&writing->json, '}');
}

static void put_inline(struct writing *writing, dr_slice media_type, dr_slice data) {
    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("inlineData"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("mimeType"), media_type);
    json_name(&writing->json, DR_LIT("data"));
    json_base64(&writing->json, data);
    json_close(&writing->json, '}');
    json_close(&writing->json, '}');
}

/* The type of what stands at an address, by the end of its path; Google finds out by itself where
 * that tells nothing. */
static dr_slice guess_type(dr_slice url) {
    static const struct {
        dr_slice ending;
        dr_slice media_type;
    } endings[] = {
        {{".jpg", 4}, {"image/jpeg", 10}},      {{".jpeg", 5}, {"image/jpeg", 10}},
        {{".png", 4}, {"image/png", 9}},        {{".gif", 4}, {"image/gif", 9}},
        {{".webp", 5}, {"image/webp", 10}},     {{".heic", 5}, {"image/heic", 10}},
        {{".pdf", 4}, {"application/pdf", 15}},
    };
    dr_slice path = dr_slice_first(url, dr_slice_find_char(url, '?'));

    path = dr_slice_first(path, dr_slice_find_char(path, '#'));
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const dr_slice ending = endings[i].ending;
        if (path.len > ending.len &&
            dr_slice_is_nocase(dr_slice_from(path, path.len - ending.len), ending)) {
            return endings[i].media_type;
        }
    }
    return DR_NONE;
}

static void put_address(struct writing *writing, dr_slice url) {
    const dr_slice media_type = guess_type(url);

    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("fileData"));
    json_open(&writing->json, '{');
    if (media_type.len > 0) json_member(&writing->json, DR_LIT("mimeType"), media_type);
    json_member(&writing->json, DR_LIT("fileUri"), url);
    json_close(&writing->json, '}');
    json_close(&writing->json, '}');
}

static bool is_address(dr_slice url) {
    return dr_slice_is_nocase(dr_slice_first(url, 8), DR_LIT("https://")) ||
           dr_slice_is_nocase(dr_slice_first(url, 7), DR_LIT("http://")) ||
           dr_slice_starts(url, DR_LIT("gs://"));
}

static bool put_bytes(struct writing *writing, const struct message *message,
                      const struct message_part *part, const char *suffix) {
    char path[PART_PATH_BYTES_MAX];

    if (part->data.len > 0 && part->media_type.len > 0) {
        put_inline(writing, part->media_type, part->data);
        return true;
    }
    if (is_address(part->url)) {
        put_address(writing, part->url);
        return true;
    }
    return loss_refuse(writing->loss, part_path(path, message, part, suffix),
                       "must be an address or a base64 data URL with its type for this model");
}

/* "Audio understanding: supported audio formats". */
static bool put_audio(struct writing *writing, const struct message *message,
                      const struct message_part *part) {
    static const struct {
        dr_slice format;
        dr_slice media_type;
    } taken[] = {
        {{"wav", 3}, {"audio/wav", 9}},    {{"mp3", 3}, {"audio/mp3", 9}},
        {{"aiff", 4}, {"audio/aiff", 10}}, {{"aac", 3}, {"audio/aac", 9}},
        {{"ogg", 3}, {"audio/ogg", 9}},    {{"flac", 4}, {"audio/flac", 10}},
    };
    char path[PART_PATH_BYTES_MAX];

    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (!dr_slice_is(part->name, taken[i].format)) continue;
        put_inline(writing, taken[i].media_type, part->data);
        return true;
    }
    return loss_refuse(writing->loss, part_path(path, message, part, ".input_audio.format"),
                       "must be 'wav', 'mp3', 'aiff', 'aac', 'ogg' or 'flac' for this model");
}

static bool put_part(struct writing *writing, const struct message *message,
                     const struct message_part *part) {
    char path[PART_PATH_BYTES_MAX];

    switch (part->kind) {
    case PART_TEXT: put_text_part(writing, part->text); return true;
    case PART_IMAGE:
        if (part->has_detail) {
            loss_drop(writing->loss, DR_LIT("messages.content.image_url.detail"));
        }
        return put_bytes(writing, message, part, ".image_url.url");
    case PART_FILE:
        if (part->file_id.len > 0 && part->data.len == 0 && part->url.len == 0) {
            return loss_refuse(writing->loss, part_path(path, message, part, ".file.file_id"),
                               "is not known to this model's provider: send 'file_data'");
        }
        return put_bytes(writing, message, part, ".file.file_data");
    case PART_AUDIO: return put_audio(writing, message, part);
    case PART_OTHER: break;
    }
    return loss_refuse(writing->loss, part_path(path, message, part, ".type"),
                       "must be 'text', 'image_url', 'input_audio' or 'file' for this model");
}

static bool put_parts(struct writing *writing, const struct message *message) {
    for (size_t i = 0; i < message->part_count; i++) {
        if (!put_part(writing, message, &message->parts[i])) return false;
    }
    return true;
}

/* --- calls --- */

/* An object, with the digits its numbers came with; anything else stands under `name` in one. */
static void put_object(struct writing *writing, dr_slice text, dr_slice name, bool is_json) {
    const dr_slice trimmed = dr_slice_trim(text);
    dr_json root;

    if (is_json && trimmed.len == 0) {
        json_raw(&writing->json, DR_LIT("{}"));
    } else if (dr_json_read(writing->scratch, trimmed, DEPTH_MAX, &root, NULL) == DR_OK &&
               dr_json_is(root, DR_JSON_OBJECT)) {
        json_raw(&writing->json, trimmed);
    } else {
        json_open(&writing->json, '{');
        json_member(&writing->json, name, text);
        json_close(&writing->json, '}');
    }
}

/* Gemini 3 gives its calls ids and wants them back; others refuse them. Ids in the fashion of other
 * providers, and those made up for Google's older models, were never Google's. */
static void put_id(struct writing *writing, dr_slice id) {
    static const dr_slice foreign[] = {
        {"call_", 5}, {"toolu_", 6}, {"chatcmpl-", 9}, {"functions.", 10}, {"fc_", 3}};

    if (writing->generation < 30 || id.len == 0 || writing->conversation->is_legacy) return;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (dr_slice_starts(id, foreign[i])) return;
    }
    json_member(&writing->json, DR_LIT("id"), id);
}

/* Gemini 3 refuses the first call of a step without its signature ("Function call is missing a
 * thought_signature"), unless it bears the word that Google documents for history from
 * elsewhere. */
static void put_call(struct writing *writing, const struct message_call *call, bool is_first) {
    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("functionCall"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("name"), call->name);
    json_name(&writing->json, DR_LIT("args"));
    if (call->is_custom) {
        json_open(&writing->json, '{');
        json_member(&writing->json, DR_LIT("raw_arguments"), call->arguments);
        json_close(&writing->json, '}');
    } else {
        put_object(writing, call->arguments, DR_LIT("raw_arguments"), true);
    }
    put_id(writing, call->id);
    json_close(&writing->json, '}');
    if (call->signature.len > 0) {
        json_member(&writing->json, DR_LIT("thoughtSignature"), call->signature);
    } else if (is_first && writing->generation >= 30) {
        json_member(&writing->json, DR_LIT("thoughtSignature"),
                    DR_LIT("skip_thought_signature_validator"));
    }
    json_close(&writing->json, '}');
}

/* The text of a result, or its parts: Gemini's `response` holds no pictures, so that they follow as
 * parts of their own. */
static void put_response(struct writing *writing, const struct message *message) {
    struct dr_buf text;

    json_name(&writing->json, DR_LIT("response"));
    if (message->part_count == 1) {
        put_object(writing, message->parts[0].text, DR_LIT("result"), false);
        return;
    }
    dr_buf_init(&text, INSTRUCTION_BYTES_MAX);
    for (size_t i = 0; i < message->part_count; i++) {
        dr_buf_put(&text, message->parts[i].text);
    }
    if (dr_buf_status(&text)) writing->lacks_memory = true;
    put_object(writing, dr_buf_slice(&text), DR_LIT("result"), false);
    dr_buf_clear(&text);
}

static void put_result(struct writing *writing, const struct message_call *call,
                       const struct message *result) {
    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("functionResponse"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("name"), call->name);
    put_response(writing, result);
    put_id(writing, call->id);
    json_close(&writing->json, '}');
    json_close(&writing->json, '}');
}

/* --- turns --- */

/* "The number of function response parts is equal to the number of function call parts": one for
 * each, in the order of the calls, before anything else. */
static bool put_results(struct writing *writing, const struct turn *calls,
                        const struct turn *answers) {
    const struct conversation *conversation = writing->conversation;

    for (size_t i = calls->first; i < calls->end; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; k < message->call_count; k++) {
            const struct message *result = turn_result(conversation, calls, answers, i, k);
            if (result) put_result(writing, &message->calls[k], result);
        }
    }
    for (size_t i = answers->first; i < answers->end; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; message->role == MESSAGE_TOOL && k < message->part_count; k++) {
            if (message->parts[k].kind == PART_TEXT) continue;
            if (!put_part(writing, message, &message->parts[k])) return false;
        }
    }
    return true;
}

static bool put_user_turn(struct writing *writing, const struct turn *calls,
                          const struct turn *turn) {
    if (!put_results(writing, calls, turn)) return false;
    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role == MESSAGE_USER && !put_parts(writing, message)) return false;
    }
    return true;
}

static void tell_thoughts(struct writing *writing, const struct message *message) {
    bool is_less = message->has_foreign_thought;

    for (size_t i = 0; i < message->thought_count; i++) {
        if (message->thoughts[i].kind != THOUGHT_GEMINI_TEXT) is_less = true;
    }
    if (is_less) loss_drop(writing->loss, DR_LIT("messages.reasoning_details"));
    if (message->has_plain_reasoning && message->thought_count == 0) {
        loss_drop(writing->loss, DR_LIT("messages.reasoning_content"));
    }
}

/* A signature of text stands on the text's last part, or on an empty one: where exactly it stood in
 * a stream is not kept, and Google only recommends to return it. */
static void put_text_signatures(struct writing *writing, const struct message *message) {
    for (size_t i = 0; i < message->thought_count; i++) {
        if (message->thoughts[i].kind != THOUGHT_GEMINI_TEXT) continue;
        json_open(&writing->json, '{');
        json_member(&writing->json, DR_LIT("text"), DR_LIT(""));
        json_member(&writing->json, DR_LIT("thoughtSignature"), message->thoughts[i].signature);
        json_close(&writing->json, '}');
    }
}

static bool put_model_turn(struct writing *writing, const struct turn *turn) {
    for (size_t i = turn->first; i < turn->end; i++) {
        const struct message *message = &writing->conversation->messages[i];
        if (message->role != MESSAGE_ASSISTANT) continue;
        tell_thoughts(writing, message);
        if (!put_parts(writing, message)) return false;
        put_text_signatures(writing, message);
        for (size_t k = 0; k < message->call_count; k++) {
            put_call(writing, &message->calls[k], k == 0);
        }
    }
    return true;
}

static void open_turn(struct writing *writing, dr_slice role) {
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("role"), role);
    json_name(&writing->json, DR_LIT("parts"));
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

static bool put_contents(struct writing *writing) {
    struct turn turn;
    struct turn calls = {0, 0, false};
    size_t at = 0;
    size_t count = 0;

    json_name(&writing->json, DR_LIT("contents"));
    json_open(&writing->json, '[');
    for (; turn_next(writing->conversation, &at, &turn); count++) {
        if (count == 0 && turn.is_assistant) {
            open_turn(writing, DR_LIT("user"));
            put_text_part(writing, DR_LIT("..."));
            close_turn(writing);
        }
        open_turn(writing, turn.is_assistant ? DR_LIT("model") : DR_LIT("user"));
        if (!(turn.is_assistant ? put_model_turn(writing, &turn)
                                : put_user_turn(writing, &calls, &turn))) {
            return false;
        }
        close_turn(writing);
        calls = turn;
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

static void put_format_instruction(struct writing *writing) {
    struct dr_buf text;

    dr_buf_init(&text, INSTRUCTION_BYTES_MAX);
    dr_buf_put(&text,
               DR_LIT("Answer with one JSON object and nothing else, without a code fence."));
    if (writing->conversation->response_format == RESPONSE_SCHEMA) {
        dr_buf_put(&text, DR_LIT(" It must match this JSON Schema: "));
        dr_json_put_value(&text, writing->conversation->schema);
        loss_drop(writing->loss, DR_LIT("response_format.json_schema.strict"));
    }
    if (dr_buf_status(&text)) writing->lacks_memory = true;
    put_text_part(writing, dr_buf_slice(&text));
    dr_buf_clear(&text);
}

static bool put_system(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct turn turn;
    size_t at = 0;
    bool has_text = false;

    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *message = &conversation->messages[i];
        if (message->role == MESSAGE_SYSTEM && message_has_content(message)) has_text = true;
    }
    has_text = has_text && turn_next(conversation, &at, &turn);
    if (!has_text && !writing->instructs) return true;
    json_name(&writing->json, DR_LIT("systemInstruction"));
    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("parts"));
    json_open(&writing->json, '[');
    if (has_text && !put_system_parts(writing)) return false;
    if (writing->instructs) put_format_instruction(writing);
    json_close(&writing->json, ']');
    json_close(&writing->json, '}');
    return true;
}

/* --- tools --- */

static bool is_name_byte(char byte, bool is_first) {
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_') return true;
    return !is_first && ((byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == ':');
}

static bool is_tool_name(dr_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.data[i], i == 0)) return false;
    }
    return name.len > 0 && name.len <= TOOL_NAME_BYTES_MAX;
}

static const char tool_name_rule[] =
    "begin with a letter or '_' and have at most 64 letters, digits, '_', '-', '.' and ':' for "
    "this model";

static bool check_tool(struct writing *writing, const struct conversation_tool *tool) {
    char path[PART_PATH_BYTES_MAX];

    if (tool->other_type.len > 0) {
        (void)snprintf(path, sizeof path, "tools[%u].type", tool->place);
        return loss_refuse(writing->loss, path, "must be 'function' for this model");
    }
    if (is_tool_name(tool->name)) return true;
    return loss_refuse(writing->loss, tool_path(path, tool, ".name"), "must %s", tool_name_rule);
}

/* Objects without properties were refused as parameters: a tool without any has none. */
static bool has_parameters(dr_json parameters) {
    struct dr_json_iter iter;

    if (dr_json_count(dr_json_member(parameters, DR_LIT("properties"))) > 0) return true;
    dr_json_iter_init(&iter, parameters);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (!dr_slice_is(name, DR_LIT("type")) && !dr_slice_is(name, DR_LIT("properties")) &&
            !dr_slice_is(name, DR_LIT("required")) && !dr_slice_is(name, DR_LIT("$schema")) &&
            !dr_slice_is(name, DR_LIT("additionalProperties"))) {
            return true;
        }
    }
    return dr_json_is(dr_json_member(parameters, DR_LIT("additionalProperties")), DR_JSON_OBJECT) ||
           dr_json_bool(dr_json_member(parameters, DR_LIT("additionalProperties")));
}

static bool put_tool(struct writing *writing, const struct conversation_tool *tool) {
    if (!check_tool(writing, tool)) return false;
    if (tool->cache_control) loss_drop(writing->loss, DR_LIT("tools.cache_control"));
    if (tool->is_strict) loss_drop(writing->loss, DR_LIT("tools.function.strict"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("name"), tool->name);
    if (tool->description.len > 0) {
        json_member(&writing->json, DR_LIT("description"), tool->description);
    }
    if (has_parameters(tool->parameters)) {
        json_name(&writing->json, DR_LIT("parametersJsonSchema"));
        json_value(&writing->json, tool->parameters);
    }
    json_close(&writing->json, '}');
    return true;
}

static void put_allowed_names(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;

    json_name(&writing->json, DR_LIT("allowedFunctionNames"));
    json_open(&writing->json, '[');
    if (conversation->tool_choice == TOOL_CHOICE_NAMED) {
        json_text(&writing->json, conversation->chosen_tool);
    } else {
        for (size_t i = 0; i < conversation->tool_count; i++) {
            if (!tool_is_allowed(conversation, &conversation->tools[i])) continue;
            json_text(&writing->json, conversation->tools[i].name);
        }
    }
    json_close(&writing->json, ']');
}

static bool put_tool_choice(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    dr_slice mode = DR_LIT("AUTO");

    switch (conversation->tool_choice) {
    case TOOL_CHOICE_NOT_GIVEN: return true;
    case TOOL_CHOICE_AUTO: break;
    case TOOL_CHOICE_NONE: mode = DR_LIT("NONE"); break;
    case TOOL_CHOICE_REQUIRED:
    case TOOL_CHOICE_NAMED: mode = DR_LIT("ANY"); break;
    case TOOL_CHOICE_OTHER:
        return loss_refuse(writing->loss, "tool_choice",
                           "must be 'none', 'auto', 'required', a function or allowed functions "
                           "for this model");
    }
    /* Names go with ANY only; of tools that may be called freely just the allowed are declared. */
    json_name(&writing->json, DR_LIT("toolConfig"));
    json_open(&writing->json, '{');
    json_name(&writing->json, DR_LIT("functionCallingConfig"));
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("mode"), mode);
    if (conversation->tool_choice == TOOL_CHOICE_NAMED ||
        (conversation->tool_choice == TOOL_CHOICE_REQUIRED && conversation->allowed_tools)) {
        put_allowed_names(writing);
    }
    json_close(&writing->json, '}');
    json_close(&writing->json, '}');
    return true;
}

static bool put_tools(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;

    if (conversation->tool_count == 0) return true;
    if (conversation->forbids_parallel_calls) {
        loss_drop(writing->loss, DR_LIT("parallel_tool_calls"));
    }
    json_name(&writing->json, DR_LIT("tools"));
    json_raw(&writing->json, DR_LIT("[{\"functionDeclarations\":"));
    writing->json.has_item = false;
    json_open(&writing->json, '[');
    for (size_t i = 0; i < conversation->tool_count; i++) {
        const struct conversation_tool *tool = &conversation->tools[i];
        if (!tool_is_allowed(conversation, tool)) continue;
        if (!put_tool(writing, tool)) return false;
    }
    json_close(&writing->json, ']');
    dr_buf_put(writing->json.out, DR_LIT("}]"));
    return put_tool_choice(writing);
}

/* --- generationConfig --- */

static void put_number(struct writing *writing, dr_slice name, dr_json value) {
    if (!value) return;
    json_name(&writing->json, name);
    json_value(&writing->json, value);
}

/* "Penalty is not enabled for models/gemini-2.5-flash": with 2.5 and later any but zero is refused,
 * which penalizes nothing. */
static void put_penalty(struct writing *writing, dr_slice name, dr_json value, dr_slice asked) {
    double number = 0;

    if (writing->generation < 25) {
        put_number(writing, name, value);
    } else if (value && (!dr_json_to_double(value, &number) || number != 0)) {
        loss_drop(writing->loss, asked);
    }
}

/* The seed is of 32 bits here. */
static void put_seed(struct writing *writing) {
    int64_t seed;

    if (!writing->conversation->seed) return;
    if (dr_json_to_i64(writing->conversation->seed, &seed) && seed >= INT32_MIN &&
        seed <= INT32_MAX) {
        put_number(writing, DR_LIT("seed"), writing->conversation->seed);
    } else {
        loss_drop(writing->loss, DR_LIT("seed"));
    }
}

/* Empty ones say nothing, and are refused. */
static void put_stops(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct json_writer *json = &writing->json;
    size_t count = 0;

    for (size_t i = 0; i < conversation->stop_count; i++) {
        if (conversation->stops[i].len == 0) {
            loss_drop(writing->loss, DR_LIT("stop"));
            continue;
        }
        if (count++ == 0) {
            json_name(json, DR_LIT("stopSequences"));
            json_open(json, '[');
        }
        json_text(json, conversation->stops[i]);
    }
    if (count > 0) json_close(json, ']');
}

static void put_sampling(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct json_writer *json = &writing->json;

    put_number(writing, DR_LIT("temperature"), conversation->temperature);
    put_number(writing, DR_LIT("topP"), conversation->top_p);
    put_penalty(writing, DR_LIT("frequencyPenalty"), conversation->frequency_penalty,
                DR_LIT("frequency_penalty"));
    put_penalty(writing, DR_LIT("presencePenalty"), conversation->presence_penalty,
                DR_LIT("presence_penalty"));
    put_seed(writing);
    if (conversation->choice_count > 1) {
        json_name(json, DR_LIT("candidateCount"));
        json_number(json, conversation->choice_count);
    }
    if (conversation->output_tokens_max > 0) {
        json_name(json, DR_LIT("maxOutputTokens"));
        json_number(json, conversation->output_tokens_max);
    }
    if (conversation->wants_logprobs) {
        json_name(json, DR_LIT("responseLogprobs"));
        json_raw(json, DR_LIT("true"));
        put_number(writing, DR_LIT("logprobs"), conversation->top_logprobs);
    }
    put_stops(writing);
}

static void put_format(struct writing *writing) {
    const enum response_format format = writing->conversation->response_format;

    if (format == RESPONSE_TEXT || writing->instructs) return;
    json_member(&writing->json, DR_LIT("responseMimeType"), DR_LIT("application/json"));
    if (format != RESPONSE_SCHEMA) return;
    json_name(&writing->json, DR_LIT("responseJsonSchema"));
    if (schema_put(writing->json.out, writing->conversation->schema, SCHEMA_GEMINI)) {
        loss_drop(writing->loss, DR_LIT("response_format.json_schema.schema"));
    }
    writing->json.has_item = true;
}

/* "Thinking budgets": 2.5 Pro 128 to 32768, Flash 0 to 24576, Flash-Lite 512 to 24576; Pro cannot
 * turn thinking off. */
static uint64_t clamp_budget(const struct writing *writing, uint64_t budget) {
    const uint64_t least = writing->is_pro ? 128 : writing->is_lite ? 512 : 0;
    const uint64_t most = writing->is_pro ? 32768 : 24576;

    if (budget < least) return least;
    return budget < most ? budget : most;
}

/* "OpenAI compatibility": minimal and low are 1024 tokens, medium 8192, high 24576. */
static uint64_t budget_of(const struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const dr_slice effort = conversation->reasoning_effort;

    if (conversation->is_thinking_off) return writing->is_pro ? clamp_budget(writing, 0) : 0;
    if (conversation->thinking_tokens > 0) {
        return clamp_budget(writing, conversation->thinking_tokens);
    }
    if (dr_slice_is(effort, DR_LIT("minimal")) || dr_slice_is(effort, DR_LIT("low"))) return 1024;
    if (dr_slice_is(effort, DR_LIT("medium"))) return 8192;
    return 24576;
}

/* Pro knows no MINIMAL; thinking cannot be turned off in this family. */
static dr_slice level_of(const struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const dr_slice effort = conversation->reasoning_effort;

    if (conversation->is_thinking_off || dr_slice_is(effort, DR_LIT("minimal"))) {
        return writing->is_pro ? DR_LIT("LOW") : DR_LIT("MINIMAL");
    }
    if (effort.len == 0 && conversation->thinking_tokens > 0) {
        return conversation->thinking_tokens <= 4096 ? DR_LIT("LOW") : DR_LIT("HIGH");
    }
    if (dr_slice_is(effort, DR_LIT("low"))) return DR_LIT("LOW");
    if (dr_slice_is(effort, DR_LIT("medium"))) return DR_LIT("MEDIUM");
    return DR_LIT("HIGH");
}

static void put_thinking(struct writing *writing) {
    const struct conversation *conversation = writing->conversation;
    struct json_writer *json = &writing->json;
    const bool cannot_stop = writing->is_pro || writing->generation >= 30;

    if (conversation->reasoning_effort.len == 0 && !conversation->has_thinking) return;
    if (writing->generation < 25) {
        if (!conversation->is_thinking_off) loss_drop(writing->loss, conversation->thinking_field);
        return;
    }
    if (conversation->is_thinking_off && cannot_stop) {
        loss_drop(writing->loss, conversation->thinking_field);
    }
    json_name(json, DR_LIT("thinkingConfig"));
    json_open(json, '{');
    if (writing->generation >= 30) {
        json_member(json, DR_LIT("thinkingLevel"), level_of(writing));
    } else {
        json_name(json, DR_LIT("thinkingBudget"));
        json_number(json, budget_of(writing));
    }
    if (!conversation->is_thinking_off) {
        json_name(json, DR_LIT("includeThoughts"));
        json_raw(json, DR_LIT("true"));
    }
    json_close(json, '}');
}

static void put_config(struct writing *writing) {
    struct json_writer *json = &writing->json;

    json_name(json, DR_LIT("generationConfig"));
    json_open(json, '{');
    put_sampling(writing);
    put_format(writing);
    put_thinking(writing);
    json_close(json, '}');
}

/* --- the whole --- */

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
    if (conversation->choice_count > CHOICES_MAX) {
        return loss_refuse(writing->loss, "n", "must be at most %d for this model", CHOICES_MAX);
    }
    if (conversation->tool_count == 0 && (conversation->tool_choice == TOOL_CHOICE_REQUIRED ||
                                          conversation->tool_choice == TOOL_CHOICE_NAMED)) {
        return loss_refuse(writing->loss, "tool_choice", "must not ask for a tool without 'tools'");
    }
    return translation_check(DIALECT_GEMINI, conversation, writing->loss) &&
           turns_check(conversation, writing->loss) &&
           call_names_check(conversation, is_tool_name, tool_name_rule, writing->loss);
}

enum dr_status gemini_write_prompt(const struct conversation *conversation, dr_slice model,
                                   struct dr_json_reader *scratch, struct dr_buf *out,
                                   struct loss *loss) {
    const uint32_t named = model_generation(model, DR_LIT("gemini"));
    struct writing writing = {
        .conversation = conversation,
        .json = {.out = out},
        .scratch = scratch,
        .loss = loss,
        /* "gemini-flash-latest" and other names without a number are of the newest family that
         * takes budgets. */
        .generation = named > 0 ? named : 25,
        .is_pro = dr_slice_find(model, DR_LIT("pro")) < model.len,
        .is_lite = dr_slice_find(model, DR_LIT("lite")) < model.len,
    };

    if (!check(&writing)) return DR_INVALID;
    /* "Function calling with a response mime type: 'application/json' is unsupported" (2.x). */
    writing.instructs = conversation->response_format != RESPONSE_TEXT &&
                        conversation->tool_count > 0 && writing.generation < 30;
    json_open(&writing.json, '{');
    if (!put_contents(&writing) || !put_system(&writing) || !put_tools(&writing)) return DR_INVALID;
    put_config(&writing);
    json_close(&writing.json, '}');
    return writing.lacks_memory ? DR_NO_MEMORY : dr_buf_status(out);
}
