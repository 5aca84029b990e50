/* Token counts of one answer, counted as OpenAI counts: `prompt` includes `cached`, `completion`
 * includes `reasoning`. Some servers (xAI, Google's compatible endpoint) leave reasoning out of
 * `completion`; then `total` exceeds the sum, and what is charged as output is total - prompt. */
#ifndef DR_MODEL_USAGE_H
#define DR_MODEL_USAGE_H

#include "base/slice.h"

enum usage_source { USAGE_NONE, USAGE_REPORTED, USAGE_ESTIMATED };

/* Parts of the prompt and of the completion that few tell, by OpenAI's names. */
enum usage_detail {
    USAGE_PROMPT_AUDIO,
    USAGE_PROMPT_TEXT,
    USAGE_PROMPT_IMAGE,
    USAGE_PROMPT_VIDEO,
    USAGE_COMPLETION_AUDIO,
    USAGE_COMPLETION_TEXT,
    USAGE_COMPLETION_IMAGE,
    USAGE_ACCEPTED_PREDICTION,
    USAGE_REJECTED_PREDICTION,
    USAGE_DETAIL_COUNT,
    USAGE_PROMPT_DETAIL_COUNT = USAGE_COMPLETION_AUDIO,
};

struct usage {
    enum usage_source source;
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t total_tokens;
    uint64_t cached_tokens;
    uint64_t reasoning_tokens;
    uint64_t cache_write_tokens;          /* of `prompt`; Anthropic and OpenRouter tell */
    bool is_zero_told;                    /* a count of 0 was told: the provider leaves zeros out */
    uint32_t details[USAGE_DETAIL_COUNT]; /* 0: none, or not told */
};

/* Takes a further report of the same answer in. One with a prompt's count is a whole one and
 * stands for those before it; others are parts (some count the prompt in one and the output in
 * another, and some send zeros at the end), whose counts join what is there, where 0 is none. */
void usage_add_report(struct usage *usage, const struct usage *report);
/* completion, or total - prompt where that is more. Of a report that lacks its prompt's count see
 * policy/estimate.h first. */
uint64_t usage_output_tokens(const struct usage *usage);
/* "audio_tokens": its name in its group of details. */
dr_slice usage_detail_name(enum usage_detail detail);
/* "reported" or "estimated". */
const char *usage_source_name(enum usage_source source);

#endif
