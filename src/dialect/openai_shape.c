/* The small checks of which reading a request is made, and the words of their refusals. Must not
 * know any field's name or meaning.
 *
 * Each level names its own fault ("url"), and each level above puts itself in front of it
 * ("image_url.url", "messages[2].content[0].image_url.url"): so paths cost nothing while all is
 * well. */
#include "dialect/openai_shape.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdarg.h>

enum { OUTER_BYTES_MAX = 48, SCHEMA_DEPTH_COUNTED = 24 };

bool shape_refuse(struct prompt_fault *fault, const char *field, const char *format, ...) {
    va_list arguments;

    (void)snprintf(fault->param, sizeof fault->param, "%s", field);
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool within_text(struct prompt_fault *fault, const char *outer) {
    char inner[sizeof fault->param];
    const bool has_dot = fault->param[0] != '\0' && fault->param[0] != '[';
    size_t len = strlen(outer);
    size_t inner_len = strlen(fault->param);

    /* A path too long for its field loses its end: the beginning is what leads to the place. */
    memcpy(inner, fault->param, sizeof inner);
    if (len > OUTER_BYTES_MAX) len = OUTER_BYTES_MAX;
    memcpy(fault->param, outer, len);
    if (has_dot) fault->param[len++] = '.';
    if (inner_len > sizeof fault->param - 1 - len) inner_len = sizeof fault->param - 1 - len;
    memcpy(fault->param + len, inner, inner_len);
    fault->param[len + inner_len] = '\0';
    return false;
}

bool shape_within(struct prompt_fault *fault, const char *field) {
    return within_text(fault, field);
}

bool shape_within_item(struct prompt_fault *fault, const char *field, size_t index) {
    char outer[40];

    (void)snprintf(outer, sizeof outer, "%.16s[%zu]", field, index);
    return within_text(fault, outer);
}

bool shape_within_name(struct prompt_fault *fault, dr_slice name) {
    char outer[SHAPE_SHOWN_BYTES_MAX + 1];
    const dr_slice shown = dr_utf8_first(name, SHAPE_SHOWN_BYTES_MAX);

    (void)snprintf(outer, sizeof outer, "%.*s", DR_FMT(shown));
    return within_text(fault, outer);
}

const char *shape_describe(dr_json value, char text[SHAPE_DESCRIPTION_BYTES]) {
    dr_slice shown;

    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return "null";
    case DR_JSON_BOOL: return dr_json_bool(value) ? "true" : "false";
    case DR_JSON_ARRAY: return "an array";
    case DR_JSON_OBJECT: return "an object";
    case DR_JSON_NUMBER:
        shown = dr_slice_first(dr_json_number_text(value), SHAPE_SHOWN_BYTES_MAX);
        (void)snprintf(text, SHAPE_DESCRIPTION_BYTES, "the number %.*s", DR_FMT(shown));
        return text;
    case DR_JSON_STRING:
        shown = dr_utf8_first(dr_json_text(value), SHAPE_SHOWN_BYTES_MAX);
        (void)snprintf(text, SHAPE_DESCRIPTION_BYTES, "the string '%.*s'", DR_FMT(shown));
        return text;
    }
    dr_unreachable();
}

bool shape_refuse_value(struct prompt_fault *fault, const char *field, dr_json value,
                        const char *expected) {
    char text[SHAPE_DESCRIPTION_BYTES];

    if (!value) return shape_refuse(fault, field, "is missing: it must be %s", expected);
    return shape_refuse(fault, field, "must be %s, not %s", expected, shape_describe(value, text));
}

/* --- simple values --- */

bool shape_is_absent(dr_json value) {
    return dr_json_kind(value) == DR_JSON_NULL;
}

bool shape_is_kind_or_absent(dr_json value, enum dr_json_kind kind) {
    return shape_is_absent(value) || dr_json_is(value, kind);
}

bool shape_check_string(struct prompt_fault *fault, const char *field, dr_json value) {
    if (dr_json_is(value, DR_JSON_STRING)) return true;
    return shape_refuse_value(fault, field, value, "a string");
}

bool shape_check_string_or_absent(struct prompt_fault *fault, const char *field, dr_json value) {
    if (shape_is_kind_or_absent(value, DR_JSON_STRING)) return true;
    return shape_refuse_value(fault, field, value, "a string");
}

bool shape_check_bool_or_absent(struct prompt_fault *fault, const char *field, dr_json value) {
    if (shape_is_kind_or_absent(value, DR_JSON_BOOL)) return true;
    return shape_refuse_value(fault, field, value, "true or false");
}

bool shape_check_object_or_absent(struct prompt_fault *fault, const char *field, dr_json value) {
    if (shape_is_kind_or_absent(value, DR_JSON_OBJECT)) return true;
    return shape_refuse_value(fault, field, value, "an object");
}

bool shape_check_name(struct prompt_fault *fault, const char *field, dr_json value,
                      size_t bytes_max) {
    const dr_slice name = dr_json_text(value);

    if (!shape_check_string(fault, field, value)) return false;
    if (name.len == 0) return shape_refuse(fault, field, "must not be empty");
    if (name.len <= bytes_max) return true;
    return shape_refuse(fault, field, "must have at most %zu characters, not %zu", bytes_max,
                        name.len);
}

bool shape_is_word(dr_slice text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (dr_slice_is(text, dr_slice_text(words[i]))) return true;
    }
    return false;
}

size_t shape_character_count(dr_slice text) {
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.data[i] & 0xC0) != 0x80) count++;
    }
    return count;
}

/* Names and strings anywhere inside `value`; what is nested deeper than a schema ever is counts
 * nothing. */
uint64_t shape_count_text(dr_json value) {
    struct dr_json_iter stack[SCHEMA_DEPTH_COUNTED];
    size_t depth = 1;
    uint64_t bytes = 0;

    dr_json_iter_init(&stack[0], value);
    while (depth > 0) {
        struct dr_json_iter *iter = &stack[depth - 1];
        if (!dr_json_iter_next(iter)) {
            depth--;
            continue;
        }
        bytes += dr_json_text(iter->name).len;
        if (dr_json_is(iter->value, DR_JSON_STRING)) {
            bytes += dr_json_text(iter->value).len;
        } else if (dr_json_count(iter->value) > 0 && depth < SCHEMA_DEPTH_COUNTED) {
            dr_json_iter_init(&stack[depth++], iter->value);
        }
    }
    return bytes;
}
