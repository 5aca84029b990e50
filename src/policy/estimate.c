/* Token counts where nobody reported them. Must not look at texts: only at the bytes counted on
 * the way. */
#include "policy/estimate.h"

enum { BYTES_PER_TOKEN = 4, TOKENS_PER_MESSAGE = 4, TOKENS_PER_IMAGE = 85 };

static uint64_t tokens_of(uint64_t bytes) {
    return bytes / BYTES_PER_TOKEN + (bytes % BYTES_PER_TOKEN > 0);
}

struct usage estimate_usage(const struct prompt *prompt, uint64_t output_bytes) {
    struct usage usage = {.source = USAGE_ESTIMATED};

    usage.prompt_tokens = tokens_of(prompt->text_bytes) +
                          (uint64_t)prompt->message_count * TOKENS_PER_MESSAGE +
                          (uint64_t)prompt->image_count * TOKENS_PER_IMAGE;
    usage.completion_tokens = tokens_of(output_bytes);
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    return usage;
}
