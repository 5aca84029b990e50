/* Token counts where nobody reported them. Must not look at texts: only at the bytes counted on
 * the way. */
#include "policy/estimate.h"

enum { BYTES_PER_TOKEN = 4, TOKENS_PER_MESSAGE = 4, TOKENS_PER_IMAGE = 85 };

static uint64_t tokens_of(uint64_t bytes) {
    return bytes / BYTES_PER_TOKEN + (bytes % BYTES_PER_TOKEN > 0);
}

static uint64_t prompt_tokens_of(const struct prompt *prompt) {
    return tokens_of(prompt->text_bytes) + (uint64_t)prompt->message_count * TOKENS_PER_MESSAGE +
           (uint64_t)prompt->image_count * TOKENS_PER_IMAGE;
}

/* The rows whose prompt was told. */
static struct usage with_prompt(struct usage usage, uint64_t output_bytes) {
    if (usage_output_tokens(&usage) > 0 || output_bytes == 0) return usage;
    usage.source = USAGE_ESTIMATED;
    usage.completion_tokens = tokens_of(output_bytes);
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    return usage;
}

/* The other rows. */
static struct usage without_prompt(struct usage usage, uint64_t prompt_tokens,
                                   uint64_t output_bytes) {
    const uint64_t total = usage.total_tokens;
    if (usage.completion_tokens > 0 && total > usage.completion_tokens) {
        usage.prompt_tokens = total - usage.completion_tokens;
        return usage;
    }
    usage.source = USAGE_ESTIMATED;
    usage.prompt_tokens = prompt_tokens;
    if (usage.completion_tokens == 0 && total > 0) {
        if (prompt_tokens > total) usage.prompt_tokens = total;
        usage.completion_tokens = total - usage.prompt_tokens;
        return usage;
    }
    if (usage.completion_tokens == 0) usage.completion_tokens = tokens_of(output_bytes);
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    return usage;
}

struct usage estimate_usage(const struct prompt *prompt, const struct usage *reported,
                            uint64_t output_bytes) {
    const bool has_output = usage_output_tokens(reported) > 0 || output_bytes == 0;
    if (reported->is_zero_told && has_output) return *reported;
    if (reported->prompt_tokens > 0) return with_prompt(*reported, output_bytes);
    return without_prompt(*reported, prompt_tokens_of(prompt), output_bytes);
}

void estimate_add_output(struct usage *usage, uint64_t output_bytes) {
    const uint64_t tokens = tokens_of(output_bytes);
    usage->source = USAGE_ESTIMATED;
    usage->completion_tokens += tokens;
    usage->total_tokens += tokens;
}
