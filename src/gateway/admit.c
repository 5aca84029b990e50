/* May they: the key's rate is kept, which is seen before its body is looked at, so that what is
 * refused is not free of limits; the model exists and is allowed, credit is left. Nothing has been
 * sent to a provider before this says yes. */
#include "base/utf8.h"
#include "gateway/exchange.h"
#include "gateway/rate_shared.h"
#include "gateway/step.h"
#include "policy/access.h"

static enum step_result refuse_model(struct exchange *exchange, enum refusal_reason reason) {
    struct dr_buf *text = &exchange->worker->body;
    dr_buf_reset(text);
    dr_buf_format(
        text,
        reason == REFUSAL_MODEL_NOT_FOUND
            ? "The model '%.*s' does not exist here. GET /v1/models lists those that do."
            : "This API key may not use the model '%.*s'. Use another model or another key.",
        DR_FMT(dr_utf8_first(exchange->prompt.model, 200)));
    exchange_refuse_field(exchange, reason, DR_LIT("model"), dr_buf_slice(text));
    return STEP_REFUSED;
}

enum step_result pace(struct exchange *exchange) {
    const struct key_table_row *row = exchange->key;
    exchange->rate = rate_take(row->tally, row->key.requests_per_minute,
                               dr_loop_now(exchange->worker->loop), true);
    exchange->has_rate = true;
    if (exchange->rate.is_admitted) return STEP_DONE;
    struct refusal refusal = refusal_of(REFUSAL_RATE_LIMIT_EXCEEDED);
    refusal.retry_after_s = (uint32_t)((exchange->rate.retry_after_us + 999999) / 1000000);
    exchange_refuse(exchange, &refusal);
    return STEP_REFUSED;
}

enum step_result admit(struct exchange *exchange) {
    const struct snapshot *snapshot = exchange->edition->snapshot;
    const struct key_table_row *row = exchange->key;

    exchange->model = catalog_find(&snapshot->config->catalog, exchange->prompt.model);
    if (!exchange->model) {
        return refuse_model(exchange, REFUSAL_MODEL_NOT_FOUND);
    }
    if (access_check(&row->key, exchange->prompt.model, exchange->created) != ACCESS_GRANTED) {
        return refuse_model(exchange, REFUSAL_MODEL_NOT_ALLOWED);
    }
    if (tally_account_balance(row->account).nanousd <= 0) {
        exchange_refuse_for(exchange, REFUSAL_INSUFFICIENT_CREDITS);
        return STEP_REFUSED;
    }
    struct downstream *downstream = &exchange->downstream;
    if (downstream->kind->admitted) downstream->kind->admitted(downstream);
    return STEP_DONE;
}
