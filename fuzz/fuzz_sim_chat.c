/* sim/chat_ask, chat_answer: any JSON is refused with words or answered with valid JSON, whole and
 * event by event. */
#include "sim_reply_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    return check_dialect(&sim_chat, DR_NONE, dr_slice_of((const char *)bytes, len));
}
