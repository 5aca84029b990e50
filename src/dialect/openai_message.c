/* The messages of a request: roles, contents, calls. Must not refuse what only a provider can
 * judge: unknown part types pass, and the order of calls and their results is the provider's
 * business. */
#include "dialect/openai_shape.h"

#include "dialect/deepseek_prompt.h"

enum role { ROLE_USER, ROLE_SYSTEM, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION, ROLE_UNKNOWN };

static enum role role_of(dr_slice text) {
    switch (text.len) {
    case 4:
        if (memcmp(text.data, "user", 4) == 0) return ROLE_USER;
        if (memcmp(text.data, "tool", 4) == 0) return ROLE_TOOL;
        return ROLE_UNKNOWN;
    case 6: return memcmp(text.data, "system", 6) == 0 ? ROLE_SYSTEM : ROLE_UNKNOWN;
    case 8: return memcmp(text.data, "function", 8) == 0 ? ROLE_FUNCTION : ROLE_UNKNOWN;
    case 9:
        if (memcmp(text.data, "assistant", 9) == 0) return ROLE_ASSISTANT;
        /* A developer's message has the shape of a system's. */
        if (memcmp(text.data, "developer", 9) == 0) return ROLE_SYSTEM;
        return ROLE_UNKNOWN;
    default: return ROLE_UNKNOWN;
    }
}

/* `image_url` as a plain string is Mistral's extension. */
static bool check_image(struct shape *shape, dr_json image) {
    struct prompt_fault *fault = shape->fault;

    shape->prompt->image_count++;
    if (dr_json_is(image, DR_JSON_STRING)) return true;
    if (!dr_json_is(image, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "image_url", image, "an object with a 'url'");
    }
    if (!shape_check_string(fault, "url", dr_json_member(image, DR_LIT("url"))) ||
        !shape_check_string_or_absent(fault, "detail", dr_json_member(image, DR_LIT("detail")))) {
        return shape_within(fault, "image_url");
    }
    return true;
}

static bool check_audio(struct prompt_fault *fault, dr_json audio) {
    if (!dr_json_is(audio, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "input_audio", audio,
                                  "an object with 'data' and 'format'");
    }
    if (!shape_check_string(fault, "data", dr_json_member(audio, DR_LIT("data"))) ||
        !shape_check_string(fault, "format", dr_json_member(audio, DR_LIT("format")))) {
        return shape_within(fault, "input_audio");
    }
    return true;
}

static bool check_file(struct prompt_fault *fault, dr_json file) {
    if (!dr_json_is(file, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "file", file, "an object with 'file_id' or 'file_data'");
    }
    if (!shape_check_string_or_absent(fault, "file_id", dr_json_member(file, DR_LIT("file_id"))) ||
        !shape_check_string_or_absent(fault, "filename",
                                      dr_json_member(file, DR_LIT("filename"))) ||
        !shape_check_string_or_absent(fault, "file_data",
                                      dr_json_member(file, DR_LIT("file_data")))) {
        return shape_within(fault, "file");
    }
    return true;
}

static bool check_part(struct shape *shape, dr_json part) {
    struct prompt_fault *fault = shape->fault;

    if (!dr_json_is(part, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "", part, "an object with a 'type'");
    }
    const dr_json type_value = dr_json_member(part, DR_LIT("type"));
    const dr_slice type = dr_json_text(type_value);

    if (!type.data) {
        return shape_refuse_value(fault, "type", type_value,
                                  "a string such as 'text' or 'image_url'");
    }
    if (dr_slice_is(type, DR_LIT("text"))) {
        const dr_json text = dr_json_member(part, DR_LIT("text"));
        shape->prompt->text_bytes += dr_json_text(text).len;
        return shape_check_string(fault, "text", text);
    }
    if (dr_slice_is(type, DR_LIT("refusal"))) {
        const dr_json refusal = dr_json_member(part, DR_LIT("refusal"));
        shape->prompt->text_bytes += dr_json_text(refusal).len;
        return shape_check_string(fault, "refusal", refusal);
    }
    if (dr_slice_is(type, DR_LIT("image_url"))) {
        return check_image(shape, dr_json_member(part, DR_LIT("image_url")));
    }
    if (dr_slice_is(type, DR_LIT("input_audio"))) {
        return check_audio(fault, dr_json_member(part, DR_LIT("input_audio")));
    }
    if (dr_slice_is(type, DR_LIT("file"))) {
        return check_file(fault, dr_json_member(part, DR_LIT("file")));
    }
    return true;
}

static bool check_content(struct shape *shape, dr_json content, bool is_required) {
    struct dr_json_iter iter;
    size_t index = 0;

    if (dr_json_is(content, DR_JSON_STRING)) {
        shape->prompt->text_bytes += dr_json_text(content).len;
        return true;
    }
    if (!is_required && shape_is_absent(content)) return true;
    if (!dr_json_is(content, DR_JSON_ARRAY)) {
        return shape_refuse_value(shape->fault, "content", content,
                                  "a string or an array of parts");
    }

    dr_json_iter_init(&iter, content);
    for (; dr_json_iter_next(&iter); index++) {
        if (check_part(shape, iter.value)) continue;
        return shape_within_item(shape->fault, "content", index);
    }
    return true;
}

/* {"name", "arguments"}: a call of a tool or of the older function interface. */
static bool check_function_call(struct shape *shape, const char *field, dr_json call,
                                dr_slice input_name) {
    struct prompt_fault *fault = shape->fault;

    if (!dr_json_is(call, DR_JSON_OBJECT))
        return shape_refuse_value(fault, field, call, "an object");
    const dr_json name = dr_json_member(call, DR_LIT("name"));
    const dr_json input = dr_json_member(call, input_name);

    if (!shape_check_string(fault, "name", name)) return shape_within(fault, field);
    if (!dr_json_is(input, DR_JSON_STRING)) {
        (void)shape_refuse_value(fault, input_name.data, input, "a string (JSON written as text)");
        return shape_within(fault, field);
    }
    shape->prompt->text_bytes += dr_json_text(name).len + dr_json_text(input).len;
    return true;
}

static bool check_tool_call(struct shape *shape, dr_json call) {
    struct prompt_fault *fault = shape->fault;

    if (!dr_json_is(call, DR_JSON_OBJECT)) return shape_refuse_value(fault, "", call, "an object");
    const dr_json type = dr_json_member(call, DR_LIT("type"));

    if (dr_json_member(call, DR_LIT("extra_content"))) shape->prompt->has_seals = true;
    if (!shape_check_string(fault, "id", dr_json_member(call, DR_LIT("id")))) return false;
    if (!shape_check_string_or_absent(fault, "type", type)) return false;
    if (shape_is_absent(type) || dr_slice_is(dr_json_text(type), DR_LIT("function"))) {
        return check_function_call(shape, "function", dr_json_member(call, DR_LIT("function")),
                                   DR_LIT("arguments"));
    }
    if (dr_slice_is(dr_json_text(type), DR_LIT("custom"))) {
        return check_function_call(shape, "custom", dr_json_member(call, DR_LIT("custom")),
                                   DR_LIT("input"));
    }
    return true;
}

static bool check_tool_calls(struct shape *shape, dr_json calls) {
    struct dr_json_iter iter;
    size_t index = 0;

    if (shape_is_absent(calls)) return true;
    if (!dr_json_is(calls, DR_JSON_ARRAY)) {
        return shape_refuse_value(shape->fault, "tool_calls", calls, "an array of tool calls");
    }
    dr_json_iter_init(&iter, calls);
    for (; dr_json_iter_next(&iter); index++) {
        if (check_tool_call(shape, iter.value)) continue;
        return shape_within_item(shape->fault, "tool_calls", index);
    }
    return true;
}

struct message_members {
    dr_json role;
    dr_json name;
    dr_json content;
    dr_json refusal;
    dr_json reasoning;
    dr_json reasoning_details;
    dr_json tool_calls;
    dr_json tool_call_id;
    dr_json function_call;
};

/* Of a name given twice the last value counts, as with most providers. */
static void find_members(dr_json object, struct message_members *ret_message) {
    struct dr_json_iter iter;

    *ret_message = (struct message_members){0};
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        switch (name.len) {
        case 4:
            if (memcmp(name.data, "role", 4) == 0) ret_message->role = iter.value;
            if (memcmp(name.data, "name", 4) == 0) ret_message->name = iter.value;
            break;
        case 7:
            if (memcmp(name.data, "content", 7) == 0) ret_message->content = iter.value;
            if (memcmp(name.data, "refusal", 7) == 0) ret_message->refusal = iter.value;
            break;
        case 10:
            if (memcmp(name.data, "tool_calls", 10) == 0) ret_message->tool_calls = iter.value;
            break;
        case 12:
            if (memcmp(name.data, "tool_call_id", 12) == 0) ret_message->tool_call_id = iter.value;
            break;
        case 13:
            if (memcmp(name.data, "function_call", 13) == 0) {
                ret_message->function_call = iter.value;
            }
            break;
        case 17:
            if (memcmp(name.data, "reasoning_content", 17) == 0) {
                ret_message->reasoning = iter.value;
            }
            if (memcmp(name.data, "reasoning_details", 17) == 0) {
                ret_message->reasoning_details = iter.value;
            }
            break;
        default: break;
        }
    }
}

static bool check_assistant(struct shape *shape, const struct message_members *message) {
    struct prompt_fault *fault = shape->fault;

    shape->prompt->text_bytes +=
        dr_json_text(message->refusal).len + dr_json_text(message->reasoning).len;
    if (message->reasoning_details) shape->prompt->has_seals = true;
    if (!check_content(shape, message->content, false)) return false;
    if (!shape_check_string_or_absent(fault, "refusal", message->refusal)) return false;
    if (!check_tool_calls(shape, message->tool_calls)) return false;
    if (shape_is_absent(message->function_call)) return true;
    return check_function_call(shape, "function_call", message->function_call, DR_LIT("arguments"));
}

static bool check_message(struct shape *shape, dr_json object) {
    struct prompt_fault *fault = shape->fault;
    struct message_members message;

    if (!dr_json_is(object, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "", object, "an object with 'role' and 'content'");
    }
    find_members(object, &message);
    if (!shape_check_string_or_absent(fault, "name", message.name)) return false;

    if (deepseek_changes_message(message.role, message.tool_calls, message.reasoning,
                                 message.function_call)) {
        shape->prompt->exceeds_deepseek = true;
    }
    const dr_slice role = dr_json_text(message.role);
    switch (role_of(role)) {
    case ROLE_USER:
    case ROLE_SYSTEM: return check_content(shape, message.content, true);
    case ROLE_ASSISTANT: return check_assistant(shape, &message);
    case ROLE_TOOL:
        return check_content(shape, message.content, true) &&
               shape_check_string(fault, "tool_call_id", message.tool_call_id);
    case ROLE_FUNCTION:
        return check_content(shape, message.content, false) &&
               shape_check_string(fault, "name", message.name);
    case ROLE_UNKNOWN: break;
    }
    return shape_refuse_value(
        fault, "role", message.role,
        "one of 'system', 'developer', 'user', 'assistant', 'tool' and 'function'");
}

bool openai_check_messages(struct shape *shape, dr_json messages) {
    struct dr_json_iter iter;
    size_t index = 0;

    if (!dr_json_is(messages, DR_JSON_ARRAY)) {
        return shape_refuse_value(shape->fault, "messages",
                                  shape_is_absent(messages) ? NULL : messages,
                                  "an array of messages");
    }
    if (dr_json_count(messages) == 0) {
        return shape_refuse(shape->fault, "messages", "must hold at least one message, not none");
    }
    dr_json_iter_init(&iter, messages);
    for (; dr_json_iter_next(&iter); index++) {
        if (check_message(shape, iter.value)) continue;
        return shape_within_item(shape->fault, "messages", index);
    }
    /* Each message takes at least two bytes of a body that is far smaller than 2^32. */
    shape->prompt->message_count = (uint32_t)index;
    return true;
}
