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
    case USAGE_NONE: return "none";
    case USAGE_REPORTED: return "reported";
    case USAGE_ESTIMATED: return "estimated";
    }
    dr_unreachable();
}
