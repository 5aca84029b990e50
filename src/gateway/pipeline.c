/* The walk of every exchange, whatever transport it came by. Must not know transports, dialects
 * or providers. */
#include "gateway/pipeline.h"

#include "gateway/exchange.h"
#include "gateway/step.h"

static const struct {
    enum step_result (*run)(struct exchange *exchange);
    enum exchange_stage next;
} steps[EXCHANGE_STAGE_COUNT] = {
    [EXCHANGE_OPENED] = {authenticate, EXCHANGE_AUTHENTICATED},
    [EXCHANGE_AUTHENTICATED] = {pace, EXCHANGE_PACED},
    [EXCHANGE_PACED] = {decode, EXCHANGE_DECODED},
    [EXCHANGE_DECODED] = {admit, EXCHANGE_ADMITTED},
    [EXCHANGE_ADMITTED] = {route, EXCHANGE_ROUTED},
    [EXCHANGE_ROUTED] = {relay, EXCHANGE_ROUTED},
    [EXCHANGE_SETTLING] = {NULL, EXCHANGE_CLOSED},
    [EXCHANGE_CLOSED] = {NULL, EXCHANGE_CLOSED},
};

void pipeline_run(struct exchange *exchange) {
    while (exchange->outcome == OUTCOME_NONE && steps[exchange->stage].run) {
        const enum step_result result = steps[exchange->stage].run(exchange);
        if (result == STEP_WAIT) return;
        if (result == STEP_REFUSED) break;
        exchange_enter(exchange, steps[exchange->stage].next);
    }
    exchange_enter(exchange, EXCHANGE_SETTLING);
    settle(exchange);
    exchange_enter(exchange, EXCHANGE_CLOSED);
    exchange_close(exchange);
}
