/* The choices of one answer, as they pass. Must not know what is done about those that have no
 * end. */
#include "gateway/exchange_choices.h"

void exchange_choices_note_call(struct exchange_choices *choices, const struct answer_event *call) {
    exchange_choices_note_begun(choices, call->choice_index);
    choices->called |= exchange_choice_bit(call->choice_index);
    if (call->tool_call.form == ANSWER_CALL_LEGACY) choices->has_legacy_calls = true;
}

void exchange_choices_note_finished(struct exchange_choices *choices, uint32_t choice_index) {
    choices->finished |= exchange_choice_bit(choice_index);
}

bool exchange_choices_is_whole(const struct exchange_choices *choices) {
    return choices->finished != 0 && (choices->begun & ~choices->finished) == 0;
}

uint64_t exchange_choices_unfinished(const struct exchange_choices *choices, uint32_t asked) {
    const uint64_t seen = choices->begun | choices->finished;
    const uint64_t told_apart = exchange_choice_bit(asked) - 1;
    return (seen != 0 ? seen : 1) & ~choices->finished & told_apart;
}

enum answer_finish exchange_choices_missing_finish(const struct exchange_choices *choices,
                                                   uint32_t choice_index, bool is_legacy) {
    if ((choices->called & exchange_choice_bit(choice_index)) == 0) return ANSWER_FINISH_STOP;
    return choices->has_legacy_calls || is_legacy ? ANSWER_FINISH_FUNCTION_CALL
                                                  : ANSWER_FINISH_TOOL_CALLS;
}
