/* Where to: the model's targets, in the order they are configured. Rollout plans and health
 * will order them here. */
#include "gateway/exchange.h"
#include "gateway/step.h"

enum step_result route(struct exchange *exchange) {
    exchange->target_next = 0;
    return STEP_DONE;
}
