/* Amounts as text and the one multiplication that makes a charge. Must not know where an amount is
 * kept or who pays it, and must not touch floating point: a charge has to be the same on every
 * machine. */
#include "model/money.h"

#include "base/assert.h"

/* Tokens (at most 2^64) times a price (at most 1e15), three such products summed, stay below
 * 2^127. */
__extension__ typedef unsigned __int128 wide;

enum { DECIMALS = 9, NANOS = 1000000000 };
#define MONEY_NANOUSD_MAX INT64_C(9200000000000000000)
#define TOKENS_PER_PRICE 1000000u

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

bool money_parse(dr_slice text, money *ret_amount) {
    size_t at = 0;
    const bool is_negative = text.len > 0 && text.data[0] == '-';
    uint64_t nanos = 0;
    size_t decimals = 0;
    size_t digits = 0;

    if (is_negative) at = 1;
    for (; at < text.len && is_digit(text.data[at]); at++, digits++) {
        /* A tenth of the limit before the step keeps the step itself within 64 bits. */
        if (nanos > (uint64_t)MONEY_NANOUSD_MAX / NANOS) return false;
        nanos = nanos * 10 + (uint64_t)(text.data[at] - '0');
    }
    if (digits == 0 || nanos > (uint64_t)MONEY_NANOUSD_MAX / NANOS) return false;

    nanos *= NANOS;
    if (at < text.len && text.data[at] == '.') {
        uint64_t weight = NANOS / 10;
        for (at++; at < text.len && is_digit(text.data[at]); at++, decimals++) {
            if (decimals == DECIMALS) return false;
            nanos += (uint64_t)(text.data[at] - '0') * weight;
            weight /= 10;
        }
        if (decimals == 0) return false;
    }
    if (at != text.len || nanos > (uint64_t)MONEY_NANOUSD_MAX) return false;

    ret_amount->nanousd = is_negative ? -(int64_t)nanos : (int64_t)nanos;
    return true;
}

void money_format(money amount, char text[MONEY_TEXT_BYTES]) {
    const bool is_negative = amount.nanousd < 0;
    /* Unsigned negation, because the smallest int64 has no positive twin. */
    const uint64_t nanos = is_negative ? 0 - (uint64_t)amount.nanousd : (uint64_t)amount.nanousd;
    uint64_t fraction = nanos % NANOS;
    char *at = text;

    if (is_negative) *at++ = '-';
    at += dr_u64_text(nanos / NANOS, at);
    size_t len = (size_t)(at - text);
    text[len] = '\0';
    dr_assert(len + 1 + DECIMALS < MONEY_TEXT_BYTES);
    if (fraction == 0) return;

    text[len++] = '.';
    for (uint64_t weight = NANOS / 10; fraction > 0; weight /= 10) {
        text[len++] = (char)('0' + fraction / weight);
        fraction %= weight;
    }
    text[len] = '\0';
}

void money_put(struct dr_buf *buf, money amount) {
    char text[MONEY_TEXT_BYTES];

    money_format(amount, text);
    dr_buf_put(buf, dr_slice_text(text));
}

money money_cost(const struct usage *usage, const struct price *price) {
    dr_assert(price->input >= 0 && price->output >= 0 && price->cached_input >= 0);

    /* A provider that reports more cached tokens than prompt tokens must not make a negative
     * product. */
    const uint64_t cached =
        usage->cached_tokens < usage->prompt_tokens ? usage->cached_tokens : usage->prompt_tokens;
    const wide product = (wide)(usage->prompt_tokens - cached) * (wide)price->input +
                         (wide)cached * (wide)price->cached_input +
                         (wide)usage_output_tokens(usage) * (wide)price->output;
    const wide nanos = (product + TOKENS_PER_PRICE / 2) / TOKENS_PER_PRICE;

    return (money){nanos > (wide)INT64_MAX ? INT64_MAX : (int64_t)nanos};
}
