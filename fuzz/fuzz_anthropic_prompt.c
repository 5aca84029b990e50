/* Any bytes as a client's request for a model of Anthropic's. */
#include "prompt_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static const struct prompt_words words = {
        DIALECT_ANTHROPIC, {"messages", 8}, {"content", 7}, {"assistant", 9}};

    check_prompt(&words, dr_slice_of((const char *)bytes, len));
    return 0;
}
