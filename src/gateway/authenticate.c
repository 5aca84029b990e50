/* Who asks. Must not read the body: strangers' bodies are never parsed. */
#include "gateway/authenticate.h"

#include "gateway/exchange.h"
#include "gateway/step.h"
#include "policy/access.h"

dr_slice bearer_token(dr_slice authorization) {
    static const char scheme[] = "bearer ";
    const size_t len = sizeof scheme - 1;
    if (!dr_slice_is_nocase(dr_slice_first(authorization, len), dr_slice_of(scheme, len))) {
        return DR_NONE;
    }
    return dr_slice_trim(dr_slice_from(authorization, len));
}

bool identify(const struct key_table *keys, dr_slice authorization, dr_wall now,
              const struct key_table_row **ret_row, enum refusal_reason *ret_reason) {
    const dr_slice token = bearer_token(authorization);
    if (token.len == 0) {
        *ret_reason = REFUSAL_MISSING_API_KEY;
        return false;
    }
    const struct dr_sha256 digest = dr_sha256(token);
    const struct key_table_row *row = key_table_find(keys, &digest);
    if (!row) {
        *ret_reason =
            api_key_is_well_formed(token) ? REFUSAL_INVALID_API_KEY : REFUSAL_MALFORMED_API_KEY;
        return false;
    }
    switch (access_check(&row->key, DR_NONE, now)) {
    case ACCESS_REVOKED: *ret_reason = REFUSAL_REVOKED_API_KEY; return false;
    case ACCESS_EXPIRED: *ret_reason = REFUSAL_EXPIRED_API_KEY; return false;
    case ACCESS_GRANTED:
    case ACCESS_MODEL_NOT_ALLOWED: break;
    }
    *ret_row = row;
    return true;
}

enum step_result authenticate(struct exchange *exchange) {
    struct worker *worker = exchange->worker;
    enum refusal_reason reason;
    const bool is_known = identify(exchange->edition->keys, exchange->authorization,
                                   exchange->created, &exchange->key, &reason);
    exchange->authorization = DR_NONE;
    if (!is_known) {
        exchange_refuse_for(exchange, reason);
        return STEP_REFUSED;
    }
    /* The exchange begins: room for its ledger entry is promised now, so that a charge never
     * meets a full disk. */
    exchange->has_reservation = journal_reserve(worker->journal, dr_loop_now(worker->loop));
    if (!exchange->has_reservation) {
        worker->counters.storage_refusals++;
        exchange_refuse_for(exchange, REFUSAL_STORAGE_FULL);
        return STEP_REFUSED;
    }
    if (worker->is_draining) {
        exchange_refuse_for(exchange, REFUSAL_DRAINING);
        return STEP_REFUSED;
    }
    if (!exchange->has_json_body) {
        exchange_refuse_for(exchange, REFUSAL_UNSUPPORTED_MEDIA_TYPE);
        return STEP_REFUSED;
    }
    return STEP_DONE;
}
