/* Private to the OpenAI dialect's request side: small checks of JSON values, each naming what it
 * refuses. A check returns true, or false with the fault filled in; the fault's `text` then
 * follows its `param`. */
#ifndef DR_DIALECT_OPENAI_SHAPE_H
#define DR_DIALECT_OPENAI_SHAPE_H

#include "dialect/openai.h"

/* What is being filled in while a request is read. */
struct shape {
    struct prompt *prompt;
    struct prompt_fault *fault;
};

/* Always false, so that callers write `return shape_refuse(…)`. `format` continues a sentence that
 * begins with the field's name. */
bool shape_refuse(struct prompt_fault *fault, const char *field, const char *format, ...)
    DR_PRINTF(3, 4);
/* "must be `expected`, not …"; a `value` of NULL is missing. */
bool shape_refuse_value(struct prompt_fault *fault, const char *field, dr_json value,
                        const char *expected);
/* Put the outer part in front of the fault's path; always false. */
bool shape_within(struct prompt_fault *fault, const char *field);
bool shape_within_item(struct prompt_fault *fault, const char *field, size_t index);
bool shape_within_name(struct prompt_fault *fault, dr_slice name);

/* "an array", "the string 'abc'": static or written into `text`. */
enum { SHAPE_SHOWN_BYTES_MAX = 40, SHAPE_DESCRIPTION_BYTES = SHAPE_SHOWN_BYTES_MAX + 24 };
const char *shape_describe(dr_json value, char text[SHAPE_DESCRIPTION_BYTES]);

/* Null is absent. */
bool shape_is_absent(dr_json value);
bool shape_is_kind_or_absent(dr_json value, enum dr_json_kind kind);
bool shape_check_string(struct prompt_fault *fault, const char *field, dr_json value);
bool shape_check_string_or_absent(struct prompt_fault *fault, const char *field, dr_json value);
bool shape_check_bool_or_absent(struct prompt_fault *fault, const char *field, dr_json value);
bool shape_check_object_or_absent(struct prompt_fault *fault, const char *field, dr_json value);
/* A string that is neither empty nor too long. */
bool shape_check_name(struct prompt_fault *fault, const char *field, dr_json value,
                      size_t bytes_max);
bool shape_is_word(dr_slice text, const char *const *words, size_t count);
size_t shape_character_count(dr_slice text);
/* Bytes of names and strings anywhere inside `value`. */
uint64_t shape_count_text(dr_json value);

/* The larger members of a request; they also count text, messages and images. */
bool openai_check_messages(struct shape *shape, dr_json messages);
bool openai_check_tools(struct shape *shape, dr_json tools);
bool openai_check_functions(struct shape *shape, dr_json functions);
bool openai_check_response_format(struct shape *shape, dr_json format);
bool openai_check_tool_choice(struct prompt_fault *fault, dr_json choice);
bool openai_check_function_choice(struct prompt_fault *fault, dr_json choice);

#endif
