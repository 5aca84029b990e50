/* Characters cut between two deltas. Servers that cut their text by UTF-16 units send `\ud83d` at
 * the end of one event and `\ude00` at the beginning of the next; the reader has put U+FFFD in the
 * place of each. Who passes bytes on needs nothing of this: the client's strings join by
 * themselves. Must not touch a U+FFFD that the provider meant, unless it stands where a half
 * did. */
#include "dialect/openai.h"

static const dr_slice stand_in = {"\xEF\xBF\xBD", 3}; /* U+FFFD */

static bool is_text(const struct answer_event *event) {
    return event->kind == ANSWER_TEXT || event->kind == ANSWER_REASONING ||
           event->kind == ANSWER_REFUSAL;
}

static bool is_high(uint16_t unit) {
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(uint16_t unit) {
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* The second half has come, or never will: then what stands for the first is said. */
static dr_slice complete(struct openai_halves *halves, uint16_t low, struct answer_event *event) {
    const uint16_t high = halves->high;
    halves->high = 0;
    if (!is_low(low) || !dr_slice_starts(event->text, stand_in)) return stand_in;

    const uint32_t point = 0x10000u + ((high - 0xD800u) << 10) + (low - 0xDC00u);
    event->text = dr_slice_from(event->text, stand_in.len);
    halves->joined[0] = (char)(0xF0 | (point >> 18));
    halves->joined[1] = (char)(0x80 | ((point >> 12) & 0x3F));
    halves->joined[2] = (char)(0x80 | ((point >> 6) & 0x3F));
    halves->joined[3] = (char)(0x80 | (point & 0x3F));
    return dr_slice_of(halves->joined, sizeof halves->joined);
}

dr_slice openai_halves_join(struct openai_halves *halves, const struct answer_chunk *chunk,
                            struct answer_event *event) {
    dr_slice first = DR_NONE;

    if (!is_text(event)) return DR_NONE;
    if (halves->high != 0 && halves->kind == event->kind &&
        halves->choice_index == event->choice_index) {
        first = complete(halves, chunk->lone_first, event);
    }
    if (halves->high == 0 && is_high(chunk->lone_last) && dr_slice_ends(event->text, stand_in)) {
        halves->high = chunk->lone_last;
        halves->kind = (uint8_t)event->kind;
        halves->choice_index = event->choice_index;
        event->text = dr_slice_first(event->text, event->text.len - stand_in.len);
    }
    return first;
}
