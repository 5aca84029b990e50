/* Any bytes as a client's request for a model of Google's. */
#include "prompt_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static const struct prompt_words words = {
        DIALECT_GEMINI, {"contents", 8}, {"parts", 5}, {"model", 5}};

    check_prompt(&words, dr_slice_of((const char *)bytes, len));
    return 0;
}
