/* A client's body, already checked, as a conversation: what the other dialects' writers work from.
 * Must not decide what a provider takes. What the check lets pass without judging (unknown types
 * of parts and tools) is marked as such. */
#include "dialect/openai.h"

#include "model/conversation.h"

enum { DEPTH_MAX = 128 };

/* One reading of one body. */
struct making {
    struct dr_arena *arena;
    struct conversation *conversation;
    bool has_memory;
};

static void *take_array(struct making *making, size_t count, size_t size) {
    void *array = dr_arena_alloc_zero(making->arena, (count > 0 ? count : 1) * size);

    if (!array) making->has_memory = false;
    return array;
}

static bool is_text(dr_json value, dr_slice word) {
    return dr_slice_is(dr_json_text(value), word);
}

static dr_slice text_member(dr_json object, dr_slice name) {
    return dr_json_text(dr_json_member(object, name));
}

/* NULL for null as for absence. */
static dr_json member(dr_json object, dr_slice name) {
    const dr_json value = dr_json_member(object, name);

    return dr_json_kind(value) == DR_JSON_NULL ? NULL : value;
}

/* --- parts --- */

/* What the first bytes say that an image or document is, whatever its label: providers refuse what
 * is labelled wrongly. The signatures of the formats, in base64. */
static dr_slice sniff(dr_slice data) {
    static const struct {
        dr_slice first;
        dr_slice media_type;
    } signatures[] = {
        {{"/9j/", 4}, {"image/jpeg", 10}},         {{"iVBORw0KGgo", 11}, {"image/png", 9}},
        {{"R0lGOD", 6}, {"image/gif", 9}},         {{"UklGR", 5}, {"image/webp", 10}},
        {{"JVBERi0", 7}, {"application/pdf", 15}},
    };

    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        if (dr_slice_starts(data, signatures[i].first)) return signatures[i].media_type;
    }
    return DR_NONE;
}

/* RFC 2397: "data:image/png;base64,…". Only base64 is told apart here; another form keeps its URL
 * and is for the writers to refuse. */
static void read_url(struct message_part *part, dr_slice url) {
    if (!dr_slice_is_nocase(dr_slice_first(url, 5), DR_LIT("data:"))) {
        part->url = url;
        return;
    }
    const size_t comma = dr_slice_find_char(url, ',');
    const dr_slice head = dr_slice_from(dr_slice_first(url, comma), 5);
    const size_t semicolon = dr_slice_find_char(head, ';');
    if (comma == url.len || head.len < 7 ||
        !dr_slice_is_nocase(dr_slice_from(head, head.len - 7), DR_LIT(";base64"))) {
        part->url = url;
        return;
    }
    part->data = dr_slice_from(url, comma + 1);
    part->media_type = dr_slice_trim(dr_slice_first(head, semicolon));
    const dr_slice seen = sniff(part->data);
    if (seen.len > 0)
        part->media_type = seen;
    else if (dr_slice_is_nocase(part->media_type, DR_LIT("image/jpg")))
        part->media_type = DR_LIT("image/jpeg");
}

static void read_image(struct message_part *part, dr_json image) {
    const dr_slice detail = text_member(image, DR_LIT("detail"));

    part->kind = PART_IMAGE;
    part->has_detail = detail.len > 0 && !dr_slice_is(detail, DR_LIT("auto"));
    read_url(part, dr_json_is(image, DR_JSON_STRING) ? dr_json_text(image)
                                                     : text_member(image, DR_LIT("url")));
}

static void read_file(struct message_part *part, dr_json file) {
    const dr_slice data = text_member(file, DR_LIT("file_data"));

    part->kind = PART_FILE;
    part->name = text_member(file, DR_LIT("filename"));
    part->file_id = text_member(file, DR_LIT("file_id"));
    if (data.len == 0) return;
    read_url(part, data);
    /* Bare base64, as some clients send it. */
    if (part->url.len > 0 && dr_slice_find(part->url, DR_LIT(":")) == part->url.len) {
        part->data = part->url;
        part->url = DR_NONE;
        part->media_type = sniff(part->data);
    }
}

static void read_part(struct message_part *part, dr_json object) {
    const dr_slice type = text_member(object, DR_LIT("type"));

    part->cache_control = member(object, DR_LIT("cache_control"));
    if (dr_slice_is(type, DR_LIT("text"))) {
        part->kind = PART_TEXT;
        part->text = text_member(object, DR_LIT("text"));
    } else if (dr_slice_is(type, DR_LIT("refusal"))) {
        part->kind = PART_TEXT;
        part->text = text_member(object, DR_LIT("refusal"));
    } else if (dr_slice_is(type, DR_LIT("image_url"))) {
        read_image(part, dr_json_member(object, DR_LIT("image_url")));
    } else if (dr_slice_is(type, DR_LIT("input_audio"))) {
        const dr_json audio = dr_json_member(object, DR_LIT("input_audio"));
        part->kind = PART_AUDIO;
        part->data = text_member(audio, DR_LIT("data"));
        part->name = text_member(audio, DR_LIT("format"));
    } else if (dr_slice_is(type, DR_LIT("file"))) {
        read_file(part, dr_json_member(object, DR_LIT("file")));
    } else {
        part->kind = PART_OTHER;
        part->name = type;
    }
}

/* The text of `refusal` follows the content. */
static void read_parts(struct making *making, struct message *message, dr_json content,
                       dr_slice refusal) {
    struct dr_json_iter iter;
    const size_t count = dr_json_is(content, DR_JSON_ARRAY) ? dr_json_count(content) : 1;

    message->parts = take_array(making, count + 1, sizeof *message->parts);
    if (!message->parts) return;
    if (dr_json_is(content, DR_JSON_STRING)) {
        message->parts[message->part_count++].text = dr_json_text(content);
    } else if (dr_json_is(content, DR_JSON_ARRAY)) {
        dr_json_iter_init(&iter, content);
        while (dr_json_iter_next(&iter)) {
            struct message_part *part = &message->parts[message->part_count];
            part->place = (uint32_t)message->part_count++;
            read_part(part, iter.value);
        }
    }
    if (refusal.len > 0) message->parts[message->part_count++].text = refusal;
}

/* --- calls and thoughts --- */

/* Google's own OpenAI endpoint hands signatures out so, and takes them back. */
static dr_slice call_signature(dr_json call) {
    const dr_json google =
        dr_json_member(dr_json_member(call, DR_LIT("extra_content")), DR_LIT("google"));

    return text_member(google, DR_LIT("thought_signature"));
}

/* The older interface has one call and no id: its result is found by its name. */
static void read_calls(struct making *making, struct message *message, dr_json object) {
    const dr_json calls = dr_json_member(object, DR_LIT("tool_calls"));
    const dr_json older = member(object, DR_LIT("function_call"));
    struct dr_json_iter iter;

    message->calls = take_array(making, dr_json_count(calls) + 1, sizeof *message->calls);
    if (!message->calls) return;
    dr_json_iter_init(&iter, calls);
    while (dr_json_iter_next(&iter)) {
        struct message_call *call = &message->calls[message->call_count++];
        const dr_json custom = member(iter.value, DR_LIT("custom"));
        const dr_json function = dr_json_member(iter.value, DR_LIT("function"));
        call->is_custom = custom && !function;
        call->id = text_member(iter.value, DR_LIT("id"));
        call->name = text_member(call->is_custom ? custom : function, DR_LIT("name"));
        call->arguments = call->is_custom ? text_member(custom, DR_LIT("input"))
                                          : text_member(function, DR_LIT("arguments"));
        call->signature = call_signature(iter.value);
        call->cache_control = member(iter.value, DR_LIT("cache_control"));
    }
    if (older) {
        struct message_call *call = &message->calls[message->call_count++];
        call->name = text_member(older, DR_LIT("name"));
        call->id = call->name;
        call->arguments = text_member(older, DR_LIT("arguments"));
        call->is_older = true;
        making->conversation->is_legacy = true;
    }
}

/* The words of one block: what stands from `from` up to the piece that bears the signature, which
 * is the `count`-th. DR_NONE where no piece has any, not even empty ones. */
static dr_slice join_words(struct making *making, struct dr_json_iter from, size_t count) {
    struct dr_json_iter iter = from;
    bool has_words = false;
    size_t len = 0;
    size_t at = 0;

    for (size_t i = 0; i < count && dr_json_iter_next(&iter); i++) {
        const dr_slice piece = text_member(iter.value, DR_LIT("text"));
        if (piece.data) has_words = true;
        len += piece.len;
    }
    if (!has_words) return DR_NONE;
    if (len == 0) return DR_LIT("");
    char *text = take_array(making, len, 1);
    if (!text) return DR_NONE;
    iter = from;
    for (size_t i = 0; i < count && dr_json_iter_next(&iter); i++) {
        const dr_slice piece = text_member(iter.value, DR_LIT("text"));
        if (piece.len > 0) memcpy(text + at, piece.data, piece.len);
        at += piece.len;
    }
    return dr_slice_of(text, len);
}

static bool read_thought(dr_json detail, struct message_thought *ret_thought,
                         bool *ret_is_foreign) {
    const dr_slice format = text_member(detail, DR_LIT("format"));
    const dr_slice signature = text_member(detail, DR_LIT("signature"));
    const dr_slice data = text_member(detail, DR_LIT("data"));

    *ret_thought = (struct message_thought){THOUGHT_THINKING, DR_NONE, signature};
    if (dr_slice_starts(format, DR_LIT("google-gemini"))) {
        *ret_thought = (struct message_thought){THOUGHT_GEMINI_TEXT, DR_NONE, data};
        return data.len > 0;
    }
    if (format.len > 0 && !dr_slice_starts(format, DR_LIT("anthropic"))) {
        *ret_is_foreign = true;
        return false;
    }
    if (data.len > 0) {
        *ret_thought = (struct message_thought){THOUGHT_REDACTED, DR_NONE, data};
        return true;
    }
    return signature.len > 0;
}

/* OpenRouter's `reasoning_details`, which we write too: {"type":"reasoning.text","text",
 * "signature","format","index"} and {"type":"reasoning.encrypted","data"}. A client that collected
 * the pieces of a stream without joining them sends many of one block; a signature ends it. One
 * that kept just the last piece (as the SDK for Node does) has a signature without its words: the
 * provider would refuse it. */
static void read_thoughts(struct making *making, struct message *message, dr_json object) {
    const dr_json details = dr_json_member(object, DR_LIT("reasoning_details"));
    const size_t count = dr_json_is(details, DR_JSON_ARRAY) ? dr_json_count(details) : 0;
    struct dr_json_iter iter;
    size_t piece_count = 0;

    message->has_plain_reasoning = text_member(object, DR_LIT("reasoning_content")).len > 0 ||
                                   text_member(object, DR_LIT("reasoning")).len > 0;
    if (count == 0) return;
    message->thoughts = take_array(making, count, sizeof *message->thoughts);
    dr_json_iter_init(&iter, details);
    struct dr_json_iter from = iter;
    while (making->has_memory && dr_json_iter_next(&iter)) {
        struct message_thought *thought = &message->thoughts[message->thought_count];
        piece_count++;
        if (!read_thought(iter.value, thought, &message->has_foreign_thought)) continue;
        if (thought->kind == THOUGHT_THINKING) {
            thought->text = join_words(making, from, piece_count);
        }
        if (thought->kind == THOUGHT_THINKING && !thought->text.data) {
            message->has_foreign_thought = true;
        } else {
            message->thought_count++;
        }
        from = iter;
        piece_count = 0;
    }
}

/* A mark on the message stands at its end. */
static void read_mark(struct message *message, dr_json mark) {
    dr_json *place = NULL;

    if (message->part_count > 0) place = &message->parts[message->part_count - 1].cache_control;
    if (message->call_count > 0) place = &message->calls[message->call_count - 1].cache_control;
    if (place && !*place) *place = mark;
}

static void read_message(struct making *making, struct message *message, dr_json object) {
    const dr_json role = dr_json_member(object, DR_LIT("role"));

    message->name = text_member(object, DR_LIT("name"));
    read_parts(making, message, dr_json_member(object, DR_LIT("content")),
               text_member(object, DR_LIT("refusal")));
    if (is_text(role, DR_LIT("assistant"))) {
        message->role = MESSAGE_ASSISTANT;
        read_calls(making, message, object);
        read_thoughts(making, message, object);
    } else if (is_text(role, DR_LIT("tool"))) {
        message->role = MESSAGE_TOOL;
        message->call_id = text_member(object, DR_LIT("tool_call_id"));
    } else if (is_text(role, DR_LIT("function"))) {
        message->role = MESSAGE_TOOL;
        message->call_id = message->name;
        message->name = DR_NONE;
        making->conversation->is_legacy = true;
    } else {
        message->role = is_text(role, DR_LIT("user")) ? MESSAGE_USER : MESSAGE_SYSTEM;
    }
    read_mark(message, member(object, DR_LIT("cache_control")));
}

static void read_messages(struct making *making, dr_json messages) {
    struct conversation *conversation = making->conversation;
    struct dr_json_iter iter;

    conversation->messages =
        take_array(making, dr_json_count(messages), sizeof *conversation->messages);
    if (!conversation->messages) return;
    dr_json_iter_init(&iter, messages);
    while (dr_json_iter_next(&iter) && making->has_memory) {
        struct message *message = &conversation->messages[conversation->message_count];
        message->place = (uint32_t)conversation->message_count++;
        read_message(making, message, iter.value);
    }
}

/* --- tools --- */

static void read_tool(struct conversation_tool *tool, dr_json object, dr_json function) {
    tool->name = text_member(function, DR_LIT("name"));
    tool->description = text_member(function, DR_LIT("description"));
    tool->parameters = member(function, DR_LIT("parameters"));
    tool->is_strict = dr_json_bool(dr_json_member(function, DR_LIT("strict")));
    tool->cache_control = member(object, DR_LIT("cache_control"));
    if (!tool->cache_control) tool->cache_control = member(function, DR_LIT("cache_control"));
}

static void read_tools(struct making *making, dr_json root) {
    struct conversation *conversation = making->conversation;
    const dr_json tools = member(root, DR_LIT("tools"));
    const dr_json functions = member(root, DR_LIT("functions"));
    struct dr_json_iter iter;

    conversation->tools = take_array(making, dr_json_count(tools) + dr_json_count(functions),
                                     sizeof *conversation->tools);
    if (!conversation->tools) return;
    dr_json_iter_init(&iter, tools);
    while (dr_json_iter_next(&iter)) {
        struct conversation_tool *tool = &conversation->tools[conversation->tool_count];
        const dr_slice type = text_member(iter.value, DR_LIT("type"));
        tool->place = (uint32_t)conversation->tool_count++;
        if (type.len > 0 && !dr_slice_is(type, DR_LIT("function"))) tool->other_type = type;
        read_tool(tool, iter.value, dr_json_member(iter.value, DR_LIT("function")));
    }
    dr_json_iter_init(&iter, functions);
    for (uint32_t place = 0; dr_json_iter_next(&iter); place++) {
        struct conversation_tool *tool = &conversation->tools[conversation->tool_count++];
        tool->place = place;
        tool->is_older = true;
        read_tool(tool, iter.value, iter.value);
        conversation->is_legacy = true;
    }
}

static void read_tool_choice(struct conversation *conversation, dr_json choice) {
    const dr_slice type = text_member(choice, DR_LIT("type"));
    const dr_json allowed = dr_json_member(choice, DR_LIT("allowed_tools"));

    if (is_text(choice, DR_LIT("auto"))) {
        conversation->tool_choice = TOOL_CHOICE_AUTO;
    } else if (is_text(choice, DR_LIT("none"))) {
        conversation->tool_choice = TOOL_CHOICE_NONE;
    } else if (dr_json_is(choice, DR_JSON_STRING)) {
        conversation->tool_choice = TOOL_CHOICE_REQUIRED;
    } else if (dr_slice_is(type, DR_LIT("function")) ||
               (type.len == 0 && dr_json_member(choice, DR_LIT("name")))) {
        const dr_json function = dr_json_member(choice, DR_LIT("function"));
        conversation->tool_choice = TOOL_CHOICE_NAMED;
        conversation->chosen_tool = text_member(function ? function : choice, DR_LIT("name"));
    } else if (dr_slice_is(type, DR_LIT("allowed_tools"))) {
        conversation->tool_choice =
            is_text(dr_json_member(allowed, DR_LIT("mode")), DR_LIT("required"))
                ? TOOL_CHOICE_REQUIRED
                : TOOL_CHOICE_AUTO;
        conversation->allowed_tools = member(allowed, DR_LIT("tools"));
    } else {
        conversation->tool_choice = TOOL_CHOICE_OTHER;
    }
}

/* --- the rest --- */

static void read_format(struct conversation *conversation, dr_json format) {
    const dr_slice type = text_member(format, DR_LIT("type"));

    if (!format || dr_slice_is(type, DR_LIT("text"))) return;
    if (dr_slice_is(type, DR_LIT("json_object"))) {
        conversation->response_format = RESPONSE_JSON;
    } else if (dr_slice_is(type, DR_LIT("json_schema"))) {
        conversation->response_format = RESPONSE_SCHEMA;
        conversation->schema =
            member(dr_json_member(format, DR_LIT("json_schema")), DR_LIT("schema"));
        if (!conversation->schema) conversation->response_format = RESPONSE_JSON;
    } else {
        conversation->response_format = RESPONSE_OTHER;
    }
}

static void read_stops(struct conversation *conversation, dr_json stop) {
    struct dr_json_iter iter;

    if (dr_json_is(stop, DR_JSON_STRING)) {
        conversation->stops[conversation->stop_count++] = dr_json_text(stop);
    }
    dr_json_iter_init(&iter, stop);
    while (dr_json_iter_next(&iter) && conversation->stop_count < CONVERSATION_STOPS_MAX) {
        conversation->stops[conversation->stop_count++] = dr_json_text(iter.value);
    }
}

/* `reasoning_effort` is OpenAI's; `reasoning` {"effort","max_tokens","enabled"} OpenRouter's, where
 * `enabled` alone is a medium effort ("Reasoning Tokens"); `thinking` {"type","budget_tokens"}
 * Anthropic's own for its OpenAI endpoint, and DeepSeek's. */
static void read_reasoning(struct conversation *conversation, dr_json root) {
    const dr_json reasoning = member(root, DR_LIT("reasoning"));
    const dr_json thinking = member(root, DR_LIT("thinking"));
    const dr_json enabled = member(reasoning, DR_LIT("enabled"));

    conversation->reasoning_effort = text_member(root, DR_LIT("reasoning_effort"));
    conversation->thinking_field = conversation->reasoning_effort.len > 0
                                       ? DR_LIT("reasoning_effort")
                                   : dr_json_count(reasoning) > 0 ? DR_LIT("reasoning")
                                                                  : DR_LIT("thinking");
    if (conversation->reasoning_effort.len == 0) {
        conversation->reasoning_effort = text_member(reasoning, DR_LIT("effort"));
    }
    (void)dr_json_to_u64(dr_json_member(reasoning, DR_LIT("max_tokens")),
                         &conversation->thinking_tokens);
    if (dr_json_bool(enabled) && conversation->reasoning_effort.len == 0 &&
        conversation->thinking_tokens == 0) {
        conversation->reasoning_effort = DR_LIT("medium");
    }
    const bool is_disabled = dr_json_is(enabled, DR_JSON_BOOL) && !dr_json_bool(enabled);
    conversation->has_thinking =
        dr_json_is(thinking, DR_JSON_OBJECT) || conversation->thinking_tokens > 0 || is_disabled;
    conversation->is_thinking_off =
        is_disabled || dr_slice_is(text_member(thinking, DR_LIT("type")), DR_LIT("disabled")) ||
        dr_slice_is(conversation->reasoning_effort, DR_LIT("none"));
    (void)dr_json_to_u64(dr_json_member(thinking, DR_LIT("budget_tokens")),
                         &conversation->thinking_tokens);
}

static void read_numbers(struct conversation *conversation, dr_json root) {
    conversation->temperature = member(root, DR_LIT("temperature"));
    conversation->top_p = member(root, DR_LIT("top_p"));
    conversation->seed = member(root, DR_LIT("seed"));
    conversation->frequency_penalty = member(root, DR_LIT("frequency_penalty"));
    conversation->presence_penalty = member(root, DR_LIT("presence_penalty"));
    conversation->wants_logprobs = dr_json_bool(dr_json_member(root, DR_LIT("logprobs")));
    conversation->top_logprobs = member(root, DR_LIT("top_logprobs"));
}

enum dr_status openai_read_conversation(struct dr_json_reader *reader, const struct prompt *prompt,
                                        struct dr_arena *arena,
                                        struct conversation *ret_conversation) {
    struct making making = {arena, ret_conversation, true};
    dr_json root;
    const enum dr_status status = dr_json_read(reader, prompt->body, DEPTH_MAX, &root, NULL);

    if (status) return status;
    *ret_conversation = (struct conversation){
        .root = root,
        .is_streamed = prompt->is_streamed,
        .output_tokens_max = prompt->output_tokens_max,
        .choice_count = prompt->choice_count,
        .user = text_member(root, DR_LIT("user")),
        .service_tier = text_member(root, DR_LIT("service_tier")),
        .cache_control = member(root, DR_LIT("cache_control")),
    };
    if (ret_conversation->user.len == 0) {
        ret_conversation->user = text_member(root, DR_LIT("safety_identifier"));
    }
    read_messages(&making, dr_json_member(root, DR_LIT("messages")));
    if (making.has_memory) read_tools(&making, root);
    const dr_json choice = member(root, DR_LIT("tool_choice"));
    const dr_json older = member(root, DR_LIT("function_call"));
    if (choice || older) read_tool_choice(ret_conversation, choice ? choice : older);
    const dr_json parallel = dr_json_member(root, DR_LIT("parallel_tool_calls"));
    ret_conversation->forbids_parallel_calls =
        dr_json_is(parallel, DR_JSON_BOOL) && !dr_json_bool(parallel);
    read_format(ret_conversation, member(root, DR_LIT("response_format")));
    read_stops(ret_conversation, member(root, DR_LIT("stop")));
    read_reasoning(ret_conversation, root);
    read_numbers(ret_conversation, root);
    return making.has_memory ? DR_OK : DR_NO_MEMORY;
}
