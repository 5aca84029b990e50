/* What the counts of one answer mean. Must not guess counts: that is policy's. */
#include "model/usage.h"

#include "base/assert.h"

uint64_t usage_output_tokens(const struct usage *usage) {
    const uint64_t beyond_prompt =
        usage->total_tokens > usage->prompt_tokens ? usage->total_tokens - usage->prompt_tokens : 0;

    return beyond_prompt > usage->completion_tokens ? beyond_prompt : usage->completion_tokens;
}

static void take_count(uint64_t *count, uint64_t reported) {
    if (reported > 0) *count = reported;
}

void usage_add_report(struct usage *usage, const struct usage *report) {
    uint64_t sum;

    if (report->prompt_tokens > 0 || usage->source == USAGE_NONE) {
        *usage = *report;
        return;
    }
    take_count(&usage->completion_tokens, report->completion_tokens);
    take_count(&usage->total_tokens, report->total_tokens);
    take_count(&usage->cached_tokens, report->cached_tokens);
    take_count(&usage->reasoning_tokens, report->reasoning_tokens);
    take_count(&usage->cache_write_tokens, report->cache_write_tokens);
    for (size_t i = 0; i < USAGE_DETAIL_COUNT; i++) {
        if (report->details[i] > 0) usage->details[i] = report->details[i];
    }
    usage->is_zero_told = usage->is_zero_told && report->is_zero_told;
    /* A total of one part is none of both. */
    if (usage->prompt_tokens == 0 || usage->completion_tokens == 0) return;
    if (__builtin_add_overflow(usage->prompt_tokens, usage->completion_tokens, &sum)) return;
    if (usage->total_tokens < sum) usage->total_tokens = sum;
}

dr_slice usage_detail_name(enum usage_detail detail) {
    static const dr_slice names[USAGE_DETAIL_COUNT] = {
        [USAGE_PROMPT_AUDIO] = {"audio_tokens", 12},
        [USAGE_PROMPT_TEXT] = {"text_tokens", 11},
        [USAGE_PROMPT_IMAGE] = {"image_tokens", 12},
        [USAGE_PROMPT_VIDEO] = {"video_tokens", 12},
        [USAGE_COMPLETION_AUDIO] = {"audio_tokens", 12},
        [USAGE_COMPLETION_TEXT] = {"text_tokens", 11},
        [USAGE_COMPLETION_IMAGE] = {"image_tokens", 12},
        [USAGE_ACCEPTED_PREDICTION] = {"accepted_prediction_tokens", 26},
        [USAGE_REJECTED_PREDICTION] = {"rejected_prediction_tokens", 26},
    };

    dr_assert(detail < USAGE_DETAIL_COUNT);
    return names[detail];
}

const char *usage_source_name(enum usage_source source) {
    switch (source) {
    case USAGE_REPORTED: return "reported";
    /* That nothing flowed is our own count, too. */
    case USAGE_NONE:
    case USAGE_ESTIMATED: return "estimated";
    }
    dr_unreachable();
}
