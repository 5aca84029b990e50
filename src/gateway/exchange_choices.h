/* What has passed of each choice of an answer, so that its end lacks nothing: which began, which
 * called, which said how they ended. The first 63 are told apart; those behind them are one. */
#ifndef DR_GATEWAY_EXCHANGE_CHOICES_H
#define DR_GATEWAY_EXCHANGE_CHOICES_H

#include "model/answer.h"

enum { EXCHANGE_CHOICES_NOTED = 63 };

/* All zero: nothing has passed. */
struct exchange_choices {
    /* private: bits, the last for the rest */
    uint64_t begun;
    uint64_t called;
    uint64_t finished;
    bool has_legacy_calls; /* by `function_call` */
};

static inline uint64_t exchange_choice_bit(uint32_t choice_index) {
    return UINT64_C(1) << (choice_index < EXCHANGE_CHOICES_NOTED ? choice_index
                                                                 : EXCHANGE_CHOICES_NOTED);
}

/* Something of it has passed that is no call. */
static inline void exchange_choices_note_begun(struct exchange_choices *choices,
                                               uint32_t choice_index) {
    choices->begun |= exchange_choice_bit(choice_index);
}

void exchange_choices_note_call(struct exchange_choices *choices, const struct answer_event *call);
void exchange_choices_note_finished(struct exchange_choices *choices, uint32_t choice_index);
/* Each that began has ended, and one at least has: servers that do not heed `n` begin fewer than
 * were asked for. */
bool exchange_choices_is_whole(const struct exchange_choices *choices);
/* Of the `asked` ones those that began and never said how they ended, as bits; the first one where
 * nothing began. Those that are not told apart are none of them. */
uint64_t exchange_choices_unfinished(const struct exchange_choices *choices, uint32_t asked);
/* How such a choice ended: well, as an answer that has its end. `is_legacy`: the client takes calls
 * by `function_call` alone. */
enum answer_finish exchange_choices_missing_finish(const struct exchange_choices *choices,
                                                   uint32_t choice_index, bool is_legacy);

#endif
