/* What it cost: usage, price, the balance, the journal, the counters, and only then the
 * answer's end. Every exchange passes here exactly once. The charge is on the journal before
 * the end leaves (INTERFACE section 3). */
#include "base/assert.h"
#include "base/json.h"
#include "base/log.h"
#include "dialect/openai.h"
#include "dialect/openai_writer.h"
#include "gateway/answer_head.h"
#include "gateway/exchange.h"
#include "gateway/step.h"

enum { STATUS_CLIENT_CLOSED = 499 };

static uint16_t settled_status(const struct exchange *exchange) {
    switch (exchange->outcome) {
    case OUTCOME_ANSWERED: return 200;
    case OUTCOME_REFUSED: return exchange->refusal.status;
    case OUTCOME_GONE:
    case OUTCOME_CANCELLED:
    case OUTCOME_NONE: break;
    }
    return STATUS_CLIENT_CLOSED;
}

/* Refused or failed before tokens flowed costs nothing; what a provider does not report is
 * estimated. Some count the prompt in the first event and the output in the last, or count nothing
 * and send zeros: a stream that was cut or cancelled in between is not free for that. */
static void settle_usage(struct exchange *exchange) {
    const struct usage *told = &exchange->usage;
    const bool is_counted = told->prompt_tokens > 0 || usage_output_tokens(told) > 0;
    const bool has_flowed =
        is_counted || exchange->outcome == OUTCOME_ANSWERED || exchange->output_bytes > 0;
    if (!exchange->is_committed || !has_flowed) {
        exchange->usage = (struct usage){.source = USAGE_NONE};
        return;
    }
    exchange->usage = exchange_taken_usage(exchange);
    if (exchange->usage.source == USAGE_ESTIMATED) exchange->worker->counters.estimated++;
}

/* A family ("x-*") takes any name: a model is known when somebody answered for it. */
static bool is_model_unknown(const struct exchange *exchange) {
    const struct config *config = exchange->edition->snapshot->config;
    const struct catalog_model *model = exchange->model;
    /* Not yet looked for when a turn is cancelled before its beginning. */
    if (!model) model = catalog_find(&config->catalog, exchange->prompt.model);
    return !model || (dr_slice_ends(model->name, DR_LIT("*")) && !exchange->is_committed);
}

static struct ledger_entry settle_entry(const struct exchange *exchange, uint16_t status) {
    const struct worker *worker = exchange->worker;
    const dr_instant now = dr_loop_now(worker->loop);
    struct ledger_entry entry = {
        .request_id = dr_slice_of(exchange->request_id, REQUEST_ID_BYTES),
        .client_id = exchange->client_id,
        .account_id = exchange->key->key.account_id,
        .key_id = exchange->key->key.id,
        .key_name = exchange->key->key.name,
        .user = exchange->prompt.user,
        .model = dr_slice_first(exchange->prompt.model, LEDGER_TEXT_BYTES_MAX),
        .is_model_unknown = is_model_unknown(exchange),
        .target = exchange->is_committed && exchange->target ? exchange->target->name : DR_NONE,
        .transport = exchange->downstream.kind->transport,
        .status = status,
        .is_cancelled = exchange->outcome == OUTCOME_GONE || exchange->outcome == OUTCOME_CANCELLED,
        .created = exchange->created,
        .duration_ms = (uint32_t)(dr_instant_us_since(now, exchange->began) / 1000),
        .usage = exchange->usage,
        .cost = exchange->cost,
        .attempt_count = exchange->attempt_count,
    };
    if (exchange->model) entry.price = exchange->model->price;
    if (exchange->first_token.us != 0) {
        entry.first_token_ms =
            (uint32_t)(dr_instant_us_since(exchange->first_token, exchange->began) / 1000);
    }
    const size_t kept = exchange->attempt_count < LEDGER_ATTEMPTS_MAX ? exchange->attempt_count
                                                                      : LEDGER_ATTEMPTS_MAX;
    for (size_t i = 0; i < kept; i++) entry.attempts[i] = exchange->attempts[i];
    return entry;
}

/* Writes the charge down. When the disk fails it is not made, and the client is told so instead
 * of getting the end. */
static void settle_charge(struct exchange *exchange) {
    dr_assert(exchange->has_reservation);
    exchange->has_reservation = false;
    if (exchange->model) exchange->cost = money_cost(&exchange->usage, &exchange->model->price);

    const struct ledger_entry entry = settle_entry(exchange, settled_status(exchange));
    struct dr_error error;
    const enum dr_status status = journal_append(exchange->worker->journal, &entry, &error);
    if (status == DR_OK) {
        if (exchange->cost.nanousd != 0) {
            tally_account_add(exchange->key->account, (money){-exchange->cost.nanousd});
        }
        return;
    }
    dr_log(DR_LOG_ERROR, "journal.failed", "id=%.*s reason=\"%s\"", REQUEST_ID_BYTES,
           exchange->request_id, error.text);
    exchange->cost = (money){0};
    if (exchange->outcome == OUTCOME_ANSWERED) {
        exchange->outcome = OUTCOME_NONE;
        exchange_refuse_for(exchange, REFUSAL_STORAGE_FULL);
    }
}

/* Each leaves a record, a line and a receipt, which costs nobody but the disk. */
static void settle_watch_refusals(struct exchange *exchange) {
    const dr_instant now = dr_loop_now(exchange->worker->loop);
    if (!counters_note_refused(&exchange->worker->counters, now)) return;
    dr_log(DR_LOG_WARN, "exchange.refusals", "account=%.*s key=%.*s code=%.*s count=%d",
           DR_FMT(exchange->key->key.account_id), DR_FMT(exchange->key->key.id),
           DR_FMT(exchange->refusal.code), REFUSALS_TOLD);
}

static void settle_count(struct exchange *exchange, uint16_t status) {
    struct counters *counters = &exchange->worker->counters;
    const enum transport transport = exchange->downstream.kind->transport;
    if (exchange->outcome == OUTCOME_REFUSED) counters->refusals[exchange->refusal.reason]++;
    if (!exchange->key) {
        counters->refused_early++;
        return;
    }
    if (exchange->outcome == OUTCOME_REFUSED) settle_watch_refusals(exchange);
    const struct series_key key = {
        .model = exchange->model ? exchange->model->name : DR_NONE,
        .target = exchange->is_committed && exchange->target ? exchange->target->name : DR_NONE,
        .transport = transport,
        .status = status,
    };
    struct series *series = counters_series(counters, &key);
    if (!series) return;
    const dr_instant now = dr_loop_now(exchange->worker->loop);
    series->requests++;
    series->prompt_tokens += exchange->usage.prompt_tokens;
    series->completion_tokens += usage_output_tokens(&exchange->usage);
    series->cost_nanousd += exchange->cost.nanousd;
    histogram_note(&series->duration, dr_instant_us_since(now, exchange->began));
    if (exchange->first_token.us != 0) {
        histogram_note(&series->first_token,
                       dr_instant_us_since(exchange->first_token, exchange->began));
    }
}

/* What the provider's own end lacks: a finish for each choice that began and has none (OpenAI's SDK
 * for Node throws without), and usage, if the client asked for it and the provider reported none or
 * a part, or elsewhere than clients look for it. */
static bool put_missing(struct exchange *exchange, struct dr_buf *out) {
    const bool has_seen_all = exchange->has_usage_chunk && exchange->usage.source == USAGE_REPORTED;
    const dr_slice request_id = dr_slice_of(exchange->request_id, REQUEST_ID_BYTES);
    const struct openai_writer_options options = {
        .id = exchange->answer_id.len > 0 ? exchange->answer_id : request_id,
        .model = exchange->answer_model.len > 0 ? exchange->answer_model : exchange->prompt.model,
        .created = exchange->created.ms / 1000,
        .wants_usage = exchange->prompt.wants_usage && !has_seen_all,
    };
    struct openai_writer writer;
    uint64_t unfinished = exchange_unfinished_choices(exchange);
    if (unfinished == 0 && !options.wants_usage) return true;
    openai_writer_init(&writer, &exchange->arena, &options);
    for (; unfinished != 0; unfinished &= unfinished - 1) {
        const uint32_t index = (uint32_t)__builtin_ctzll(unfinished);
        const enum answer_finish reason = exchange_missing_finish(exchange, index);
        if (!openai_put_finish(&writer, index, reason, out)) return false;
    }
    return !options.wants_usage || openai_put_end(&writer, &exchange->usage, out);
}

static dr_slice last_of_stream(struct exchange *exchange) {
    struct dr_buf *body = &exchange->worker->body;
    if (exchange->downstream.kind->takes_events) return exchange->last;
    if (exchange->attempt.translator) {
        return attempt_end(&exchange->attempt, &exchange->usage, exchange->last);
    }
    dr_buf_reset(body);
    if (!put_missing(exchange, body) || body->len == 0) return exchange->last;
    dr_buf_put(body, exchange->last);
    return dr_buf_status(body) == DR_OK ? dr_buf_slice(body) : exchange->last;
}

static struct downstream_close close_of(const struct exchange *exchange) {
    return (struct downstream_close){
        .usage = &exchange->usage,
        .cost = exchange->cost,
        .model = exchange->prompt.model,
        .dropped = attempt_dropped(&exchange->attempt),
        .is_cancelled = exchange->outcome == OUTCOME_CANCELLED,
    };
}

static void end_json(struct exchange *exchange) {
    struct downstream *downstream = &exchange->downstream;
    dr_slice body = exchange->last;
    struct dr_buf spliced;
    dr_buf_init(&spliced, body.len + 256);
    if (exchange->usage.source == USAGE_ESTIMATED) {
        struct dr_buf *usage = &exchange->worker->body;
        dr_buf_reset(usage);
        openai_put_usage(usage, &exchange->usage);
        openai_splice_usage(&spliced, body, dr_buf_slice(usage));
        if (dr_buf_status(usage) == DR_OK && dr_buf_status(&spliced) == DR_OK) {
            body = dr_buf_slice(&spliced);
        }
    }
    downstream->kind->begin(downstream, answer_head_json(exchange));
    const struct downstream_close close = close_of(exchange);
    downstream->kind->end(downstream, body, &close);
    dr_buf_clear(&spliced);
}

static void settle_answer(struct exchange *exchange) {
    struct downstream *downstream = &exchange->downstream;
    if (downstream_is_gone(downstream)) return;
    if (exchange->outcome == OUTCOME_ANSWERED || exchange->outcome == OUTCOME_CANCELLED) {
        if (exchange->prompt.is_streamed) {
            const struct downstream_close close = close_of(exchange);
            downstream->kind->end(downstream, last_of_stream(exchange), &close);
        } else {
            end_json(exchange);
        }
        return;
    }
    const struct refusal *refusal = &exchange->refusal;
    downstream->kind->refuse(downstream, refusal, answer_head_refusal(exchange, refusal),
                             &exchange->worker->body);
}

static void settle_log(const struct exchange *exchange, uint16_t status) {
    const enum dr_log_level level = status >= 500 ? DR_LOG_WARN : DR_LOG_DEBUG;
    if (!dr_log_is_on(level)) return;
    const dr_slice reason = exchange->outcome == OUTCOME_REFUSED ? exchange->refusal.code : DR_NONE;
    dr_log(level, "exchange.settled",
           "id=%.*s status=%u code=%.*s account=%.*s key=%.*s model=%.*s"
           " transport=%s attempts=%u ms=%lld cost_nanousd=%lld",
           REQUEST_ID_BYTES, exchange->request_id, status, DR_FMT(reason),
           DR_FMT(exchange->key ? exchange->key->key.account_id : DR_NONE),
           DR_FMT(exchange->key ? exchange->key->key.id : DR_NONE),
           DR_FMT(dr_slice_first(exchange->prompt.model, 128)),
           transport_name(exchange->downstream.kind->transport), exchange->attempt_count,
           (long long)dr_instant_us_since(dr_loop_now(exchange->worker->loop), exchange->began) /
               1000,
           (long long)exchange->cost.nanousd);
}

void settle(struct exchange *exchange) {
    dr_timer_stop(&exchange->wait_timer);
    settle_usage(exchange);
    if (exchange->has_reservation) settle_charge(exchange);
    const uint16_t status = settled_status(exchange);
    settle_count(exchange, status);
    settle_log(exchange, status);
    settle_answer(exchange);
    attempt_close(&exchange->attempt);
}
