/* The life of an exchange. Must not know what the steps do. */
#include "gateway/exchange.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "gateway/pipeline.h"
#include "gateway/reading.h"
#include "gateway/relay.h"
#include "policy/estimate.h"

#define BIT(stage) (1u << (stage))

static const uint32_t may_follow[EXCHANGE_STAGE_COUNT] = {
    [EXCHANGE_OPENED] = BIT(EXCHANGE_AUTHENTICATED) | BIT(EXCHANGE_SETTLING),
    [EXCHANGE_AUTHENTICATED] = BIT(EXCHANGE_PACED) | BIT(EXCHANGE_SETTLING),
    [EXCHANGE_PACED] = BIT(EXCHANGE_DECODED) | BIT(EXCHANGE_SETTLING),
    [EXCHANGE_DECODED] = BIT(EXCHANGE_ADMITTED) | BIT(EXCHANGE_SETTLING),
    [EXCHANGE_ADMITTED] = BIT(EXCHANGE_ROUTED) | BIT(EXCHANGE_SETTLING),
    [EXCHANGE_ROUTED] = BIT(EXCHANGE_SETTLING),
    [EXCHANGE_SETTLING] = BIT(EXCHANGE_CLOSED),
    [EXCHANGE_CLOSED] = 0,
};

/* Kept between exchanges by each worker, so that a request in the steady state allocates
 * nothing. */
enum { SPARE_EXCHANGES_MAX = 128 };

void exchange_drop_spares(struct worker *worker) {
    while (!dr_list_is_empty(&worker->spare_exchanges)) {
        struct exchange *exchange =
            dr_list_item(worker->spare_exchanges.next, struct exchange, node);
        dr_list_remove(&exchange->node);
        dr_free(exchange);
    }
    worker->spare_exchange_count = 0;
}

struct exchange *exchange_open(struct worker *worker, const struct downstream_kind *kind,
                               struct dr_http_call *call) {
    struct exchange *exchange;
    if (dr_list_is_empty(&worker->spare_exchanges)) {
        exchange = dr_alloc(sizeof *exchange);
        if (!exchange) return NULL;
    } else {
        exchange = dr_list_item(worker->spare_exchanges.next, struct exchange, node);
        dr_list_remove(&exchange->node);
        worker->spare_exchange_count--;
    }
    memset(exchange, 0, sizeof *exchange);
    exchange->worker = worker;
    exchange->edition = edition_hold(worker->edition);
    exchange->downstream = (struct downstream){
        .kind = kind,
        .call = call,
        .owner = {HTTP_OWNER_EXCHANGE, exchange},
    };
    exchange->began = dr_loop_now(worker->loop);
    exchange->created = dr_loop_wall(worker->loop);
    /* The ask is what is kept here: its body, and what is said about it. */
    dr_arena_init(&exchange->arena,
                  (size_t)exchange->edition->snapshot->config->body_bytes_max + 64 * 1024,
                  &worker->blocks);
    worker_take_request_id(worker, exchange->request_id);
    dr_timer_init(&exchange->wait_timer, exchange, relay_wait_over);
    dr_list_init(&exchange->node);
    dr_list_put_last(&worker->exchanges, &exchange->node);
    worker->counters.in_flight[kind->transport]++;
    if (++worker->running > worker->running_peak) worker->running_peak = worker->running;
    return exchange;
}

void exchange_close(struct exchange *exchange) {
    struct worker *worker = exchange->worker;
    dr_assert(exchange->stage == EXCHANGE_CLOSED);
    dr_assert(downstream_is_gone(&exchange->downstream));
    dr_assert(!exchange->has_reservation);
    dr_timer_stop(&exchange->wait_timer);
    worker->counters.in_flight[exchange->downstream.kind->transport]--;
    dr_list_remove(&exchange->node);
    dr_buf_clear(&exchange->held);
    reading_close(exchange->reading);
    dr_arena_clear(&exchange->arena);
    edition_release(exchange->edition);
    if (worker->spare_exchange_count < SPARE_EXCHANGES_MAX) {
        dr_list_put_first(&worker->spare_exchanges, &exchange->node);
        worker->spare_exchange_count++;
    } else {
        dr_free(exchange);
    }
    worker->running--;
    worker_note_idle(worker);
}

void exchange_enter(struct exchange *exchange, enum exchange_stage stage) {
    dr_assert(may_follow[exchange->stage] & BIT(stage));
    exchange->stage = stage;
}

void exchange_refuse(struct exchange *exchange, const struct refusal *refusal) {
    if (exchange->outcome != OUTCOME_NONE) return; /* the first decision stays */
    exchange->refusal = *refusal;
    exchange->outcome = OUTCOME_REFUSED;
}

void exchange_refuse_for(struct exchange *exchange, enum refusal_reason reason) {
    const struct refusal refusal = refusal_of(reason);
    exchange_refuse(exchange, &refusal);
}

void exchange_refuse_field(struct exchange *exchange, enum refusal_reason reason, dr_slice param,
                           dr_slice message) {
    struct refusal refusal = refusal_of(reason);
    dr_slice kept;
    if (param.len > 0 && dr_arena_copy(&exchange->arena, param, &kept)) refusal.param = kept;
    if (message.len > 0 && dr_arena_copy(&exchange->arena, message, &kept)) refusal.message = kept;
    exchange_refuse(exchange, &refusal);
}

void exchange_take_body(struct exchange *exchange, dr_slice body) {
    dr_assert(exchange->stage == EXCHANGE_PACED);
    if (!dr_arena_copy(&exchange->arena, body, &exchange->body)) {
        exchange_refuse_for(exchange, REFUSAL_INTERNAL_ERROR);
    }
    exchange->has_body = true;
    pipeline_run(exchange);
}

struct usage exchange_taken_usage(const struct exchange *exchange) {
    const struct usage *told = &exchange->usage;
    struct usage taken = estimate_usage(&exchange->prompt, told, exchange->output_bytes);
    /* Some count as they go: of a stream that was cut, or has no report at its end, the rest is
     * not counted. */
    if (usage_output_tokens(told) > 0 && exchange->output_bytes > exchange->counted_bytes) {
        estimate_add_output(&taken, exchange->output_bytes - exchange->counted_bytes);
    }
    return taken;
}

uint64_t exchange_unfinished_choices(const struct exchange *exchange) {
    return exchange_choices_unfinished(&exchange->choices, exchange->prompt.choice_count);
}

enum answer_finish exchange_missing_finish(const struct exchange *exchange, uint32_t choice_index) {
    return exchange_choices_missing_finish(&exchange->choices, choice_index,
                                           attempt_is_legacy(&exchange->attempt));
}

void exchange_note_attempt(struct exchange *exchange, uint16_t status) {
    const struct attempt *attempt = &exchange->attempt;
    const int64_t us = dr_instant_us_since(dr_loop_now(exchange->worker->loop), attempt->began);
    if (exchange->attempt_count < LEDGER_ATTEMPTS_MAX) {
        exchange->attempts[exchange->attempt_count] = (struct ledger_attempt){
            .target = attempt->target->name,
            .status = status,
            .duration_ms = (uint32_t)(us / 1000),
        };
    }
    exchange->attempt_count++;
}

/* The attempt under way ends here, and the exchange with it. */
static void exchange_stop(struct exchange *exchange, enum exchange_outcome outcome) {
    if (exchange->outcome != OUTCOME_NONE) return; /* settling already */
    if (exchange->attempt.state != ATTEMPT_IDLE) {
        exchange_note_attempt(exchange, exchange->attempt.status);
    }
    exchange->outcome = outcome;
    pipeline_run(exchange);
}

void exchange_note_gone(struct exchange *exchange) {
    exchange->downstream.call = NULL;
    exchange->downstream.answer = NULL;
    const struct downstream_kind *kind = exchange->downstream.kind;
    if (kind->lost && kind->lost(&exchange->downstream)) return;
    exchange_stop(exchange, OUTCOME_GONE);
}

void exchange_cancel(struct exchange *exchange) {
    exchange_stop(exchange, OUTCOME_CANCELLED);
}

void exchange_note_drained(struct exchange *exchange) {
    attempt_resume(&exchange->attempt);
}
