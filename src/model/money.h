/* Money: nano-dollars (1e-9 USD) in int64, never floating point. Prices are nano-dollars per
 * million tokens, so a cost is tokens times price summed over all kinds, divided once by
 * 1,000,000, rounded half up. */
#ifndef DR_MODEL_MONEY_H
#define DR_MODEL_MONEY_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/usage.h"

typedef struct money {
    int64_t nanousd;
} money;

/* Nano-dollars per million tokens, each 0 … 1e15 (1,000,000 USD). */
struct price {
    int64_t input;
    int64_t output;
    int64_t cached_input;
};

/* "12.34", "0.42", "60", "1e-7" is refused: digits, at most one point, at most nine decimals,
 * optional minus. False on anything else or when out of ±9.2e9 USD. */
bool money_parse(dr_slice text, money *ret_amount);
/* Shortest exact decimal: "12.34", "0", "-0.000000001". A JSON number as it stands. */
void money_put(struct dr_buf *buf, money amount);
/* As `money_put` into a NUL-terminated text. */
enum { MONEY_TEXT_BYTES = 24 };
void money_format(money amount, char text[MONEY_TEXT_BYTES]);

/* Exact cost of `usage`: (prompt - cached) × input + cached × cached_input + output × output,
 * where output tokens are usage_output_tokens(). Saturates at INT64_MAX. */
money money_cost(const struct usage *usage, const struct price *price);

#endif
