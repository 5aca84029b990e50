/* Private to the OpenAI dialect: the events of a model's streams differ from each other in their
 * texts, and from stream to stream in their ids and times. Events that were read in full are kept
 * as patterns; what fits one needs no parser. */
#ifndef DR_DIALECT_OPENAI_PATTERN_H
#define DR_DIALECT_OPENAI_PATTERN_H

#include "dialect/answer_builder.h"

enum {
    OPENAI_PATTERNS_MAX = 4, /* of models whose streams run at the same time */
    OPENAI_PATTERN_BYTES_MAX = 640,
    OPENAI_PATTERN_NAME_BYTES_MAX = 96,
    OPENAI_PATTERN_HOLES_MAX = 4,
};

/* What may stand in a place that is left open. */
enum openai_hole_kind {
    OPENAI_HOLE_TEXT,
    OPENAI_HOLE_ID,
    OPENAI_HOLE_CREATED, /* digits */
    OPENAI_HOLE_FILLER,  /* OpenAI's `obfuscation`; may be empty */
};

struct openai_hole {
    uint16_t start;
    uint16_t end;
    enum openai_hole_kind kind;
};

struct openai_pattern {
    uint16_t len; /* 0: nothing learnt */
    uint8_t hole_count;
    uint8_t model_len;
    enum answer_event_kind kind; /* of the text */
    uint32_t choice_index;
    uint16_t other_start; /* the name of a member behind the text that this API has not */
    uint16_t other_len;   /* 0: none */
    struct openai_hole holes[OPENAI_PATTERN_HOLES_MAX]; /* in the order in which they stand */
    char model[OPENAI_PATTERN_NAME_BYTES_MAX];
    char bytes[OPENAI_PATTERN_BYTES_MAX];
};

/* Zeroed, they fit nothing. */
struct openai_patterns {
    /* Private part. */
    size_t latest; /* that fitted, or was learnt */
    size_t newest; /* learnt last: the one behind it gives way next */
    struct openai_pattern patterns[OPENAI_PATTERNS_MAX];
};

/* Keeps an event that was just read into `builder->chunk`, if it holds one text and nothing else
 * that counts (but for a member that is merely named), in the place of the pattern that was learnt
 * longest ago. */
void openai_patterns_learn(struct openai_patterns *patterns, const struct answer_builder *builder,
                           dr_slice payload);
/* True when `payload` is an event learnt with another text, id or time: then `builder` holds what
 * reading it in full would have given. Slices of its events point into the pattern and the
 * payload. */
bool openai_patterns_fit(struct openai_patterns *patterns, struct answer_builder *builder,
                         dr_slice payload);

#endif
