/* The tools of a request, the choice among them, and the format asked for: whatever holds a
 * schema. Must not read the schemas themselves; they are the provider's business. */
#include "dialect/openai_shape.h"

#include "dialect/deepseek_prompt.h"

enum { FUNCTION_COUNT_MAX = 128, FUNCTION_NAME_BYTES_MAX = 128, SCHEMA_NAME_BYTES_MAX = 64 };

static bool is_function_name_byte(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.' ||
           byte == ':' || byte == '/';
}

/* OpenAI allows 64 letters, digits, '_' and '-'; compatible servers allow longer ones, points,
 * colons and slashes. */
static bool check_function_name(struct prompt_fault *fault, dr_json value) {
    const dr_slice name = dr_json_text(value);

    if (!shape_check_name(fault, "name", value, FUNCTION_NAME_BYTES_MAX)) return false;
    for (size_t i = 0; i < name.len; i++) {
        if (is_function_name_byte(name.data[i])) continue;
        return shape_refuse_value(fault, "name", value, "made of letters, digits, '_' and '-'");
    }
    return true;
}

static bool check_function(struct prompt_fault *fault, dr_json function) {
    return check_function_name(fault, dr_json_member(function, DR_LIT("name"))) &&
           shape_check_string_or_absent(fault, "description",
                                        dr_json_member(function, DR_LIT("description"))) &&
           shape_check_object_or_absent(fault, "parameters",
                                        dr_json_member(function, DR_LIT("parameters"))) &&
           shape_check_bool_or_absent(fault, "strict", dr_json_member(function, DR_LIT("strict")));
}

/* `type` may be absent: Mistral's own client leaves it out. Other types than functions pass. */
static bool check_tool(struct prompt_fault *fault, dr_json tool) {
    if (!dr_json_is(tool, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "", tool, "an object with 'type' and 'function'");
    }
    const dr_json type = dr_json_member(tool, DR_LIT("type"));
    const dr_json function = dr_json_member(tool, DR_LIT("function"));

    if (!shape_check_string_or_absent(fault, "type", type)) return false;
    if (!shape_is_absent(type) && !dr_slice_is(dr_json_text(type), DR_LIT("function"))) return true;
    if (!dr_json_is(function, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "function", function, "an object with a 'name'");
    }
    return check_function(fault, function) || shape_within(fault, "function");
}

bool openai_check_tools(struct shape *shape, dr_json tools) {
    struct dr_json_iter iter;
    size_t index = 0;

    if (!dr_json_is(tools, DR_JSON_ARRAY)) {
        return shape_refuse_value(shape->fault, "tools", tools, "an array of tools");
    }
    dr_json_iter_init(&iter, tools);
    for (; dr_json_iter_next(&iter); index++) {
        if (!check_tool(shape->fault, iter.value)) {
            return shape_within_item(shape->fault, "tools", index);
        }
        if (deepseek_changes_tool(iter.value)) shape->prompt->exceeds_deepseek = true;
    }
    shape->prompt->text_bytes += shape_count_text(tools);
    return true;
}

bool openai_check_functions(struct shape *shape, dr_json functions) {
    struct prompt_fault *fault = shape->fault;
    struct dr_json_iter iter;
    size_t index = 0;

    if (!dr_json_is(functions, DR_JSON_ARRAY)) {
        return shape_refuse_value(fault, "functions", functions, "an array of functions");
    }
    if (dr_json_count(functions) > FUNCTION_COUNT_MAX) {
        return shape_refuse(fault, "functions", "must hold at most %d functions, not %zu",
                            FUNCTION_COUNT_MAX, dr_json_count(functions));
    }
    dr_json_iter_init(&iter, functions);
    for (; dr_json_iter_next(&iter); index++) {
        if (!dr_json_is(iter.value, DR_JSON_OBJECT)) {
            (void)shape_refuse_value(fault, "", iter.value, "an object with a 'name'");
            return shape_within_item(fault, "functions", index);
        }
        if (!check_function(fault, iter.value)) return shape_within_item(fault, "functions", index);
    }
    shape->prompt->text_bytes += shape_count_text(functions);
    return true;
}

bool openai_check_tool_choice(struct prompt_fault *fault, dr_json choice) {
    /* 'any' is Mistral's word for 'required'. */
    static const char *const words[] = {"none", "auto", "required", "any"};
    const dr_json type = dr_json_member(choice, DR_LIT("type"));

    if (shape_is_word(dr_json_text(choice), words, sizeof words / sizeof words[0])) return true;
    if (!dr_json_is(choice, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "tool_choice", choice,
                                  "'none', 'auto', 'required' or an object that names a tool");
    }
    if (!shape_check_string(fault, "type", type)) return shape_within(fault, "tool_choice");

    const dr_slice kind = dr_json_text(type);
    if (dr_slice_is(kind, DR_LIT("function"))) {
        const dr_json function = dr_json_member(choice, DR_LIT("function"));
        if (!dr_json_is(function, DR_JSON_OBJECT)) {
            (void)shape_refuse_value(fault, "function", function, "an object with a 'name'");
            return shape_within(fault, "tool_choice");
        }
        if (check_function_name(fault, dr_json_member(function, DR_LIT("name")))) return true;
        return shape_within(fault, "tool_choice.function");
    }
    if (dr_slice_is(kind, DR_LIT("allowed_tools"))) {
        const dr_json allowed = dr_json_member(choice, DR_LIT("allowed_tools"));
        if (dr_json_is(allowed, DR_JSON_OBJECT)) return true;
        (void)shape_refuse_value(fault, "allowed_tools", allowed,
                                 "an object with 'mode' and 'tools'");
        return shape_within(fault, "tool_choice");
    }
    return true;
}

bool openai_check_function_choice(struct prompt_fault *fault, dr_json choice) {
    static const char *const words[] = {"none", "auto"};

    if (shape_is_word(dr_json_text(choice), words, sizeof words / sizeof words[0])) return true;
    if (!dr_json_is(choice, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "function_call", choice,
                                  "'none', 'auto' or an object that names a function");
    }
    return check_function_name(fault, dr_json_member(choice, DR_LIT("name"))) ||
           shape_within(fault, "function_call");
}

/* A schema's name may be absent: compatible servers ask for none. */
static bool check_schema(struct prompt_fault *fault, dr_json schema) {
    const dr_json name = dr_json_member(schema, DR_LIT("name"));

    if (!dr_json_is(schema, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "json_schema", schema,
                                  "an object with 'name' and 'schema'");
    }
    if ((!shape_is_absent(name) && !shape_check_name(fault, "name", name, SCHEMA_NAME_BYTES_MAX)) ||
        !shape_check_string_or_absent(fault, "description",
                                      dr_json_member(schema, DR_LIT("description"))) ||
        !shape_check_object_or_absent(fault, "schema", dr_json_member(schema, DR_LIT("schema"))) ||
        !shape_check_bool_or_absent(fault, "strict", dr_json_member(schema, DR_LIT("strict")))) {
        return shape_within(fault, "json_schema");
    }
    return true;
}

bool openai_check_response_format(struct shape *shape, dr_json format) {
    struct prompt_fault *fault = shape->fault;
    const dr_json type = dr_json_member(format, DR_LIT("type"));

    if (!dr_json_is(format, DR_JSON_OBJECT)) {
        return shape_refuse_value(fault, "response_format", format, "an object with a 'type'");
    }
    if (!dr_json_is(type, DR_JSON_STRING)) {
        (void)shape_refuse_value(fault, "type", type, "'text', 'json_object' or 'json_schema'");
        return shape_within(fault, "response_format");
    }
    if (!dr_slice_is(dr_json_text(type), DR_LIT("json_schema"))) return true;
    if (!check_schema(fault, dr_json_member(format, DR_LIT("json_schema")))) {
        return shape_within(fault, "response_format");
    }
    shape->prompt->text_bytes += shape_count_text(format);
    return true;
}
