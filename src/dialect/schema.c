/* Keywords of JSON Schema that a provider takes or not. Must not judge whether a schema makes
 * sense: that is for the provider.
 *
 * Sources: Anthropic's page "Structured outputs" (unsupported: limits of numbers, lengths and
 * counts; objects need `additionalProperties: false`); Google's page "Structured output" and the
 * reference of `responseJsonSchema`, which lists the keywords that it takes. */
#include "dialect/schema.h"

enum { DEPTH_MAX = 64 };

struct schema_making {
    struct dr_buf *out;
    enum schema_flavour flavour;
    bool is_less;
};

static bool is_one_of(dr_slice name, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (dr_slice_is(name, dr_slice_text(words[i]))) return true;
    }
    return false;
}

static bool is_taken(enum schema_flavour flavour, dr_slice name) {
    static const char *const refused_by_anthropic[] = {
        "minimum",       "maximum",       "exclusiveMinimum", "exclusiveMaximum",
        "multipleOf",    "minLength",     "maxLength",        "maxItems",
        "uniqueItems",   "minProperties", "maxProperties",    "patternProperties",
        "propertyNames", "minContains",   "maxContains",
    };
    static const char *const taken_by_gemini[] = {
        "$id",         "$defs",
        "$ref",        "$anchor",
        "type",        "format",
        "title",       "description",
        "enum",        "items",
        "minItems",    "prefixItems",
        "maxItems",    "minimum",
        "maximum",     "anyOf",
        "oneOf",       "properties",
        "required",    "additionalProperties",
        "definitions", "propertyOrdering",
    };

    if (flavour == SCHEMA_GEMINI) {
        return is_one_of(name, taken_by_gemini, sizeof taken_by_gemini / sizeof taken_by_gemini[0]);
    }
    return !is_one_of(name, refused_by_anthropic,
                      sizeof refused_by_anthropic / sizeof refused_by_anthropic[0]);
}

/* Leaving these out restrains nothing. */
static bool is_remark(dr_slice name) {
    static const char *const remarks[] = {"$schema",  "$comment", "default",
                                          "examples", "example",  "deprecated"};

    return is_one_of(name, remarks, sizeof remarks / sizeof remarks[0]);
}

/* What stands under these names are schemas by name. */
static bool holds_schemas_by_name(dr_slice name) {
    static const char *const holders[] = {"properties", "$defs", "definitions", "patternProperties",
                                          "dependentSchemas"};

    return is_one_of(name, holders, sizeof holders / sizeof holders[0]);
}

/* Values of these are data, however they look. */
static bool holds_data(dr_slice name) {
    static const char *const holders[] = {"enum",     "const",   "default",
                                          "examples", "example", "required"};

    return is_one_of(name, holders, sizeof holders / sizeof holders[0]);
}

static bool is_object_type(dr_json type) {
    struct dr_json_iter iter;

    if (dr_slice_is(dr_json_text(type), DR_LIT("object"))) return true;
    if (!dr_json_is(type, DR_JSON_ARRAY)) return false;
    dr_json_iter_init(&iter, type);
    while (dr_json_iter_next(&iter)) {
        if (dr_slice_is(dr_json_text(iter.value), DR_LIT("object"))) return true;
    }
    return false;
}

static void put_schema(struct schema_making *making, dr_json value, bool are_names, int depth);

static void put_list(struct schema_making *making, dr_json list, int depth) {
    struct dr_json_iter iter;
    bool is_first = true;

    dr_buf_put_char(making->out, '[');
    dr_json_iter_init(&iter, list);
    while (dr_json_iter_next(&iter)) {
        if (!is_first) dr_buf_put_char(making->out, ',');
        is_first = false;
        put_schema(making, iter.value, false, depth + 1);
    }
    dr_buf_put_char(making->out, ']');
}

static void put_name(struct schema_making *making, dr_slice name, bool *is_first) {
    if (!*is_first) dr_buf_put_char(making->out, ',');
    *is_first = false;
    dr_json_put_string(making->out, name);
    dr_buf_put_char(making->out, ':');
}

/* A keyword of a schema. Anthropic takes `minItems` of 0 and 1 only. */
static bool is_kept(struct schema_making *making, dr_slice name, dr_json value) {
    uint64_t count;

    if (making->flavour == SCHEMA_ANTHROPIC && dr_slice_is(name, DR_LIT("minItems"))) {
        return dr_json_to_u64(value, &count) && count <= 1;
    }
    return is_taken(making->flavour, name);
}

static void put_members(struct schema_making *making, dr_json object, bool are_names, int depth) {
    const bool closes = making->flavour == SCHEMA_ANTHROPIC && !are_names &&
                        is_object_type(dr_json_member(object, DR_LIT("type")));
    struct dr_json_iter iter;
    bool is_first = true;

    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (are_names) {
            put_name(making, name, &is_first);
            put_schema(making, iter.value, false, depth + 1);
            continue;
        }
        if (closes && dr_slice_is(name, DR_LIT("additionalProperties"))) continue;
        if (making->flavour == SCHEMA_GEMINI && dr_slice_is(name, DR_LIT("const"))) {
            put_name(making, DR_LIT("enum"), &is_first);
            dr_buf_put_char(making->out, '[');
            dr_json_put_value(making->out, iter.value);
            dr_buf_put_char(making->out, ']');
            continue;
        }
        if (!is_kept(making, name, iter.value)) {
            if (!is_remark(name)) making->is_less = true;
            continue;
        }
        put_name(making, name, &is_first);
        if (holds_data(name))
            dr_json_put_value(making->out, iter.value);
        else
            put_schema(making, iter.value, holds_schemas_by_name(name), depth + 1);
    }
    if (!closes) return;
    put_name(making, DR_LIT("additionalProperties"), &is_first);
    dr_buf_put(making->out, DR_LIT("false"));
}

/* What is nested deeper than a schema ever is goes as it came. */
static void put_schema(struct schema_making *making, dr_json value, bool are_names, int depth) {
    if (depth < DEPTH_MAX && dr_json_is(value, DR_JSON_OBJECT)) {
        dr_buf_put_char(making->out, '{');
        put_members(making, value, are_names, depth);
        dr_buf_put_char(making->out, '}');
    } else if (depth < DEPTH_MAX && dr_json_is(value, DR_JSON_ARRAY)) {
        put_list(making, value, depth);
    } else {
        dr_json_put_value(making->out, value);
    }
}

/* Members are named under `properties`; without that word an object is a map, and
 * `additionalProperties` says whether others may be there. */
static bool allows_others(dr_json object) {
    const dr_json others = dr_json_member(object, DR_LIT("additionalProperties"));

    if (dr_json_member(object, DR_LIT("patternProperties"))) return true;
    if (others) return !dr_json_is(others, DR_JSON_BOOL) || dr_json_bool(others);
    return !dr_json_member(object, DR_LIT("properties"));
}

static bool is_open(dr_json value, bool are_names, int depth) {
    struct dr_json_iter iter;

    if (depth >= DEPTH_MAX) return false;
    if (!are_names && is_object_type(dr_json_member(value, DR_LIT("type"))) &&
        allows_others(value)) {
        return true;
    }
    dr_json_iter_init(&iter, value);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        const bool is_keyword = iter.name && !are_names;
        if (is_keyword && holds_data(name)) continue;
        if (is_open(iter.value, is_keyword && holds_schemas_by_name(name), depth + 1)) return true;
    }
    return false;
}

bool schema_is_open(dr_json schema) {
    return is_open(schema, false, 0);
}

bool schema_put(struct dr_buf *out, dr_json schema, enum schema_flavour flavour) {
    struct schema_making making = {out, flavour, false};

    put_schema(&making, schema, false, 0);
    return making.is_less;
}
