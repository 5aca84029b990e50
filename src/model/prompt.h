/* What is asked, canonical. In this house a prompt keeps the client's body as it came together
 * with what the gateway must know of it; the messages themselves are read by the dialect that has
 * to translate them. */
#ifndef DR_MODEL_PROMPT_H
#define DR_MODEL_PROMPT_H

#include "base/slice.h"

/* A piece of the body to be replaced when it is passed on. Offsets into `body`. */
struct prompt_splice {
    size_t start;
    size_t len;
};

struct prompt {
    dr_slice body;  /* whole request body; lives as long as the exchange */
    dr_slice model; /* unescaped */
    dr_slice user;  /* `user` or `safety_identifier`; empty when absent */
    bool is_streamed;
    bool wants_usage;           /* stream_options.include_usage */
    uint32_t choice_count;      /* `n`, 1 when absent */
    uint64_t output_tokens_max; /* max_completion_tokens or max_tokens; 0 when absent */
    uint64_t text_bytes;        /* bytes of text in messages and tools, for estimates */
    uint32_t message_count;
    uint32_t image_count;
    bool wants_audio;      /* in the answer: `modalities` */
    bool has_seals;        /* of thinking, which are of use to who made them alone */
    bool exceeds_deepseek; /* cannot go to DeepSeek as it is */
    /* Where to change the body: the model's string with its quotes, and how to ask for usage in a
     * stream. */
    struct prompt_splice model_at;
    struct prompt_splice usage_at; /* replaced (or, with len 0, filled) by usage_text */
    dr_slice usage_text;           /* static; empty when nothing must change */
};

#endif
