/* sim/generate_ask, generate_turns, generate_answer: any JSON is refused with words or answered
 * with valid JSON, whole and event by event. The first byte picks the model, which no body
 * names. */
#include "sim_reply_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    const dr_slice text = dr_slice_from(dr_slice_of((const char *)bytes, len), 1);
    const bool is_third = len > 0 && bytes[0] == '3';
    return check_dialect(&sim_generate,
                         is_third ? DR_LIT("gemini-3-flash") : DR_LIT("gemini-2.5-flash"), text);
}
