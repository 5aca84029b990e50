/* Private to the dialects: what a reader of answers holds and does whatever the dialect. */
#ifndef DR_DIALECT_ANSWER_BUILDER_H
#define DR_DIALECT_ANSWER_BUILDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "model/answer.h"

/* The chunk under construction. What it lends lives until the next `answer_builder_start`. */
struct answer_builder {
    struct dr_json_reader *json;
    struct answer_event *events;
    size_t capacity;
    struct dr_buf mended; /* a payload whose lone surrogates were replaced, or one value as text */
    uint16_t lone_first;  /* those surrogates: the first and the last; 0: none */
    uint16_t lone_last;
    struct dr_arena texts; /* what the document does not hold as one string */
    struct answer_chunk chunk;
    enum dr_status status; /* first failure to keep an event */
};

/* False when out of memory; `answer_builder_clear` is due all the same. */
bool answer_builder_init(struct answer_builder *builder);
void answer_builder_clear(struct answer_builder *builder);

void answer_builder_start(struct answer_builder *builder);
/* The next place, or NULL when there is none (which `answer_builder_finish` reports). */
struct answer_event *answer_builder_add(struct answer_builder *builder, enum answer_event_kind kind,
                                        uint32_t choice_index);
/* Nothing for an empty text. */
void answer_builder_add_text(struct answer_builder *builder, enum answer_event_kind kind,
                             uint32_t choice_index, dr_slice text);
/* Why the provider refused, in its own words: a refusal that the model has not said, so that it
 * counts as no output. */
void answer_builder_add_verdict(struct answer_builder *builder, uint32_t choice_index,
                                dr_slice text);
enum dr_status answer_builder_finish(struct answer_builder *builder, struct answer_chunk *ret_chunk,
                                     struct dr_error *error) DR_MUST_USE;
/* DR_INVALID for anything that is no JSON or too deep; lone surrogates become U+FFFD, and the chunk
 * tells. */
enum dr_status answer_builder_parse(struct answer_builder *builder, dr_slice text,
                                    dr_json *ret_root, struct dr_error *error) DR_MUST_USE;
/* `value` as JSON text that lives until the next start. */
dr_slice answer_builder_value_text(struct answer_builder *builder, dr_json value);

/* A count that could be one: negative, fractional and absurd numbers count as absent (false). */
bool answer_read_count(dr_json value, uint64_t *ret_count);
/* Without the control characters and blanks around it. */
dr_slice answer_trim(dr_slice text);
/* The best sentence in a body that is no JSON: a page's title, a first line. */
dr_slice answer_plain_message(dr_slice body);
/* The first `data:` of a body that is framed as a stream, otherwise the body. */
dr_slice answer_without_framing(dr_slice body);

#endif
