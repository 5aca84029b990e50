/* The `reasoning_details` of a message, put together from those of its stream: what a client that
 * keeps the conversation would send back. Entries stay as their provider wrote them, but that the
 * pieces of one are joined (a stream has one for each few words), as OpenRouter's clients do. */
#ifndef DR_DIALECT_OPENAI_DETAILS_H
#define DR_DIALECT_OPENAI_DETAILS_H

#include "base/buf.h"
#include "model/answer.h"

struct openai_details {
    /* Private part. */
    struct dr_buf entries; /* joined by commas; the last one without its words while it is open */
    struct dr_buf words;   /* of the open one, or not sealed yet */
    dr_slice words_name;   /* what the open entry calls them; DR_NONE: none is open */
    uint64_t index;        /* of the open one */
    uint32_t sealed_count; /* by openai_details_note_signature */
};

/* Of each, entries and words, at most `bytes_max`. */
void openai_details_init(struct openai_details *details, size_t bytes_max);
void openai_details_clear(struct openai_details *details);
/* A delta's array as it came. */
void openai_details_note(struct openai_details *details, dr_json array);
/* Of a provider that has no such entries but seals its thoughts: words, and what seals them (or
 * stands alone). */
void openai_details_note_words(struct openai_details *details, dr_slice words);
void openai_details_note_signature(struct openai_details *details,
                                   const struct answer_event *event);
/* All of them, joined by commas; nothing is noted afterwards. Lent until clear. */
dr_slice openai_details_end(struct openai_details *details);
enum dr_status openai_details_status(const struct openai_details *details) DR_MUST_USE;

#endif
