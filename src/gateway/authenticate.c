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

bool identify_digest(const struct key_table *keys, const struct dr_sha256 *digest, dr_wall now,
                     const struct key_table_row **ret_row, enum refusal_reason *ret_reason) {
    const struct key_table_row *row = key_table_find(keys, digest);
    if (!row) {
        *ret_reason = REFUSAL_INVALID_API_KEY;
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

bool identify_token(const struct key_table *keys, dr_slice token, dr_wall now,
                    const struct key_table_row **ret_row, enum refusal_reason *ret_reason) {
    if (token.len == 0) {
        *ret_reason = REFUSAL_MISSING_API_KEY;
        return false;
    }
    const struct dr_sha256 digest = dr_sha256(token);
    if (identify_digest(keys, &digest, now, ret_row, ret_reason)) return true;
    if (*ret_reason == REFUSAL_INVALID_API_KEY && !api_key_is_well_formed(token)) {
        *ret_reason = REFUSAL_MALFORMED_API_KEY;
    }
    return false;
}

bool identify(const struct key_table *keys, dr_slice authorization, dr_wall now,
              const struct key_table_row **ret_row, enum refusal_reason *ret_reason) {
    return identify_token(keys, bearer_token(authorization), now, ret_row, ret_reason);
}

enum step_result authenticate(struct exchange *exchange) {
    struct worker *worker = exchange->worker;
    enum refusal_reason reason;
    const struct key_table *keys = exchange->edition->keys;
    const bool is_known =
        exchange->key_digest
            ? identify_digest(keys, exchange->key_digest, exchange->created, &exchange->key,
                              &reason)
            : identify(keys, exchange->authorization, exchange->created, &exchange->key, &reason);
    exchange->authorization = DR_NONE;
    exchange->key_digest = NULL;
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
