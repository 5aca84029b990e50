/* Private to the OpenAI dialect: the events of a stream differ from each other in their text alone.
 * One event that was read in full is kept as a pattern; what fits it needs no parser. */
#ifndef DR_DIALECT_OPENAI_PATTERN_H
#define DR_DIALECT_OPENAI_PATTERN_H

#include "dialect/answer_builder.h"

enum { OPENAI_PATTERN_BYTES_MAX = 640, OPENAI_PATTERN_NAME_BYTES_MAX = 96 };

/* Zeroed, it fits nothing. */
struct openai_pattern {
    /* Private part. */
    size_t len; /* 0: nothing learnt */
    size_t text_start;
    size_t text_end;
    size_t filler_start; /* of OpenAI's `obfuscation` behind the text; `len` when there is none */
    size_t filler_end;
    enum answer_event_kind kind; /* of the text */
    uint32_t choice_index;
    uint8_t id_len;
    uint8_t model_len;
    char id[OPENAI_PATTERN_NAME_BYTES_MAX];
    char model[OPENAI_PATTERN_NAME_BYTES_MAX];
    char bytes[OPENAI_PATTERN_BYTES_MAX];
};

/* Keeps an event that was just read into `builder->chunk`, if it holds one text and nothing else
 * that counts. */
void openai_pattern_learn(struct openai_pattern *pattern, const struct answer_builder *builder,
                          dr_slice payload);
/* True when `payload` is the event learnt with another text: then `builder` holds what reading it
 * in full would have given. Slices of its events point into the pattern and the payload. */
bool openai_pattern_fits(const struct openai_pattern *pattern, struct answer_builder *builder,
                         dr_slice payload);

#endif
