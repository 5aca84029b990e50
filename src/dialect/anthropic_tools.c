/* Tools and the choice among them in Anthropic's words. Must not leave anything out without telling
 * `loss`.
 *
 * Sources: "Implement tool use", "Strict tool use", quoted refusals. */
#include "dialect/anthropic_writing.h"

#include "dialect/schema.h"
#include "dialect/turns.h"

enum { TOOL_NAME_BYTES_MAX = 128, PAST_MAX = 64 };

void anthropic_put_cache_mark(struct anthropic_writing *writing, dr_json mark) {
    if (!dr_json_is(mark, DR_JSON_OBJECT)) return;
    json_name(&writing->json, DR_LIT("cache_control"));
    json_value(&writing->json, mark);
}

bool anthropic_is_tool_name(dr_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        const char byte = name.data[i];
        const bool is_good = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                             (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
        if (!is_good) return false;
    }
    return name.len > 0 && name.len <= TOOL_NAME_BYTES_MAX;
}

const char anthropic_tool_name_rule[] = "be made of letters, digits, '_' and '-' for this model";

/* "input_schema does not support oneOf, allOf, or anyOf at the top level". */
static bool is_choice(dr_slice name) {
    return dr_slice_is(name, DR_LIT("anyOf")) || dr_slice_is(name, DR_LIT("oneOf")) ||
           dr_slice_is(name, DR_LIT("allOf"));
}

static bool has_choice(dr_json parameters) {
    return dr_json_member(parameters, DR_LIT("anyOf")) ||
           dr_json_member(parameters, DR_LIT("oneOf")) ||
           dr_json_member(parameters, DR_LIT("allOf"));
}

/* "input_schema.type: Input should be 'object'". A choice beside properties only restrains them:
 * without properties the arguments would be unknown. */
static bool check_parameters(struct anthropic_writing *writing,
                             const struct conversation_tool *tool) {
    const dr_json type = dr_json_member(tool->parameters, DR_LIT("type"));
    char path[PART_PATH_BYTES_MAX];

    if (type && !dr_slice_is(dr_json_text(type), DR_LIT("object"))) {
        return loss_refuse(writing->loss, tool_path(path, tool, ".parameters"),
                           "must be of the type 'object' for this model");
    }
    if (!has_choice(tool->parameters) ||
        dr_json_count(dr_json_member(tool->parameters, DR_LIT("properties"))) > 0) {
        return true;
    }
    return loss_refuse(writing->loss, tool_path(path, tool, ".parameters"),
                       "must name 'properties' rather than 'anyOf', 'oneOf' or 'allOf' at the top "
                       "for this model");
}

/* "Strict tool use" takes the schemas that structured output takes. */
static bool can_be_strict(const struct anthropic_writing *writing, dr_json parameters) {
    if (writing->generation < 45) return false;
    if (dr_json_count(parameters) == 0) return true;
    return dr_json_member(parameters, DR_LIT("type")) && !has_choice(parameters) &&
           !schema_is_open(parameters);
}

/* A schema of an object, whatever the client sent. */
static void put_input_schema(struct anthropic_writing *writing, dr_json parameters,
                             bool is_strict) {
    struct json_writer *json = &writing->json;
    struct dr_json_iter iter;

    json_name(json, DR_LIT("input_schema"));
    if (is_strict && dr_json_count(parameters) > 0) {
        if (schema_put(json->out, parameters, SCHEMA_ANTHROPIC)) {
            loss_drop(writing->loss, DR_LIT("tools.function.parameters"));
        }
        json->has_item = true;
        return;
    }
    json_open(json, '{');
    if (!dr_json_member(parameters, DR_LIT("type"))) {
        json_member(json, DR_LIT("type"), DR_LIT("object"));
    }
    dr_json_iter_init(&iter, parameters);
    while (dr_json_iter_next(&iter)) {
        if (is_choice(dr_json_text(iter.name))) {
            loss_drop(writing->loss, DR_LIT("tools.function.parameters"));
            continue;
        }
        json_name(json, dr_json_text(iter.name));
        json_value(json, iter.value);
    }
    if (dr_json_count(parameters) == 0) {
        json_name(json, DR_LIT("properties"));
        json_raw(json, DR_LIT("{}"));
        if (is_strict) {
            json_name(json, DR_LIT("additionalProperties"));
            json_raw(json, DR_LIT("false"));
        }
    }
    json_close(json, '}');
}

static bool put_tool(struct anthropic_writing *writing, const struct conversation_tool *tool) {
    const bool is_strict = tool->is_strict && can_be_strict(writing, tool->parameters);
    char path[PART_PATH_BYTES_MAX];

    if (tool->other_type.len > 0) {
        (void)snprintf(path, sizeof path, "tools[%u].type", tool->place);
        return loss_refuse(writing->loss, path, "must be 'function' for this model");
    }
    if (!anthropic_is_tool_name(tool->name)) {
        return loss_refuse(writing->loss, tool_path(path, tool, ".name"), "must %s",
                           anthropic_tool_name_rule);
    }
    if (!check_parameters(writing, tool)) return false;
    json_open(&writing->json, '{');
    json_member(&writing->json, DR_LIT("name"), tool->name);
    if (tool->description.len > 0) {
        json_member(&writing->json, DR_LIT("description"), tool->description);
    }
    put_input_schema(writing, tool->parameters, is_strict);
    if (is_strict) {
        json_name(&writing->json, DR_LIT("strict"));
        json_raw(&writing->json, DR_LIT("true"));
    } else if (tool->is_strict) {
        loss_drop(writing->loss, DR_LIT("tools.function.strict"));
    }
    anthropic_put_cache_mark(writing, tool->cache_control);
    json_close(&writing->json, '}');
    return true;
}

/* "Requests which include `tool_use` or `tool_result` blocks must define tools": a history of calls
 * whose tools are offered no more gets them back, not to be called. */
static void put_past_tools(struct anthropic_writing *writing) {
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

static bool put_tool_choice(struct anthropic_writing *writing) {
    const struct conversation *conversation = writing->conversation;
    const enum tool_choice choice = conversation->tool_choice;
    /* An answer of the older interface has room for one call. */
    const bool is_single = conversation->forbids_parallel_calls || conversation->is_legacy;
    dr_slice type = DR_LIT("auto");

    switch (choice) {
    case TOOL_CHOICE_NOT_GIVEN:
        if (!is_single) return true;
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
    if (is_single && choice != TOOL_CHOICE_NONE) {
        json_name(&writing->json, DR_LIT("disable_parallel_tool_use"));
        json_raw(&writing->json, DR_LIT("true"));
    }
    json_close(&writing->json, '}');
    return true;
}

bool anthropic_put_tools(struct anthropic_writing *writing) {
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
