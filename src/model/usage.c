/* What the counts of one answer mean. Must not guess counts: that is policy's. */
#include "model/usage.h"

#include "base/assert.h"

uint64_t usage_output_tokens(const struct usage *usage) {
    const uint64_t beyond_prompt =
        usage->total_tokens > usage->prompt_tokens ? usage->total_tokens - usage->prompt_tokens : 0;

    return beyond_prompt > usage->completion_tokens ? beyond_prompt : usage->completion_tokens;
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
