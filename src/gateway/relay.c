/* Carries the answer: attempts in plan order until one commits with its first good event; then
 * bytes pass and events are observed. Must not know wires or shapes: bytes are net's, shapes
 * the dialect's, what may be tried again is policy's. */
#include "gateway/relay.h"

#include "base/assert.h"
#include "base/log.h"
#include "dialect/loss.h"
#include "gateway/answer_head.h"
#include "gateway/exchange.h"
#include "gateway/pipeline.h"
#include "gateway/reading.h"
#include "gateway/step.h"
#include "policy/retry.h"

/* Silence before and between events after which the client is told that the gateway is alive
 * (INTERFACE section 3). */
enum { WAIT_MS = 15000 };
/* Bytes a client may leave unread before its provider is no longer read. */
enum { PENDING_BYTES_HIGH = 16 * 1024 };
/* Of events without a word before the first with one: more are dropped. */
enum { HELD_BYTES_MAX = 16 * 1024 };
enum { IDENTITY_BYTES_MAX = 128 }; /* of an answer's id and of its model */
enum { SECRET_BYTES_MIN = 8 };     /* a shorter key is a word, not a secret */

static const struct attempt_events attempt_events;

/* Nothing was sent: the target cannot do what is asked, another one might. What failed before
 * weighs more, for it may pass. */
static void relay_skip(struct exchange *exchange) {
    const struct prompt_fault *fault = &attempt_loss(&exchange->attempt)->fault;
    dr_log(DR_LOG_DEBUG, "attempt.skipped", "id=%.*s model=%.*s target=%.*s param=%s",
           REQUEST_ID_BYTES, exchange->request_id, DR_FMT(exchange->model->name),
           DR_FMT(exchange->target->name), fault->param);
    if (exchange->refusal.status == 0) {
        exchange->refusal = refusal_of_fault(fault, &exchange->arena);
    }
    attempt_close(&exchange->attempt);
}

static enum dr_status relay_open(struct exchange *exchange) {
    exchange->target = &exchange->model->targets[exchange->target_next++];
    /* What a failed target said, usage beside its error too, is none of the next one's. */
    dr_assert(!exchange->is_committed);
    exchange->usage = (struct usage){.source = USAGE_NONE};
    dr_buf_clear(&exchange->held);
    dr_buf_init(&exchange->held, HELD_BYTES_MAX);
    exchange->answer_id = DR_NONE;
    exchange->answer_model = DR_NONE;
    exchange->choices = (struct exchange_choices){.begun = 0};
    exchange->output_bytes = 0;
    exchange->counted_bytes = 0;
    exchange->first_token = (dr_instant){0};
    const struct attempt_ask ask = {
        .worker = exchange->worker,
        .edition = exchange->edition,
        .target = exchange->target,
        .prompt = &exchange->prompt,
        .reading = &exchange->reading,
        .arena = &exchange->arena,
        .request_id = dr_slice_of(exchange->request_id, REQUEST_ID_BYTES),
        .created_s = exchange->created.ms / 1000,
        .takes_events = exchange->downstream.kind->takes_events,
        .sim_fault = exchange->sim_fault,
    };
    return attempt_open(&exchange->attempt, &ask, &attempt_events, exchange);
}

static void relay_drop_reading(struct exchange *exchange) {
    reading_close(exchange->reading);
    exchange->reading = NULL;
}

/* An ask is under way: the conversation stays for the targets that may follow, if they need it. */
static void relay_keep_reading(struct exchange *exchange) {
    const struct catalog_model *model = exchange->model;
    bool is_wanted = false;
    if (!exchange->reading) return;
    for (size_t i = exchange->target_next; i < model->target_count; i++) {
        if (!dialect_passes_bytes(model->targets[i].provider->dialect)) is_wanted = true;
    }
    if (!is_wanted || !reading_may_stay(exchange->reading)) relay_drop_reading(exchange);
}

enum step_result relay(struct exchange *exchange) {
    if (exchange->attempt.state != ATTEMPT_IDLE) return STEP_WAIT;

    enum dr_status status = DR_INVALID;
    while (status == DR_INVALID && exchange->target_next < exchange->model->target_count) {
        status = relay_open(exchange);
        if (status == DR_INVALID) relay_skip(exchange);
    }
    if (status == DR_INVALID) {
        exchange_refuse(exchange, &exchange->refusal);
    } else if (status) {
        exchange_refuse_for(exchange, status == DR_TOO_LARGE ? REFUSAL_REQUEST_TOO_LARGE
                                                             : REFUSAL_INTERNAL_ERROR);
    }
    if (status) return STEP_REFUSED;
    relay_keep_reading(exchange);
    if (exchange->prompt.is_streamed && exchange->downstream.kind->wait &&
        !dr_timer_is_running(&exchange->wait_timer)) {
        dr_timer_start(&exchange->wait_timer, exchange->worker->loop, WAIT_MS);
    }
    return STEP_WAIT;
}

void relay_wait_over(void *owner) {
    struct exchange *exchange = owner;
    if (!exchange->downstream.has_begun) {
        /* From here on errors are in-band; falling back stays possible until the first event. */
        exchange->downstream.kind->begin(&exchange->downstream, answer_head_waiting(exchange));
    }
    exchange->downstream.kind->wait(&exchange->downstream);
    dr_timer_start(&exchange->wait_timer, exchange->worker->loop, WAIT_MS);
}

/* --- attempts
 * ----------------------------------------------------------------------------------- */

static bool quotes_a_key(dr_slice words, const struct provider *provider) {
    for (size_t i = 0; i < provider->api_key_count; i++) {
        const dr_slice key = provider->api_keys[i];
        if (key.len >= SECRET_BYTES_MIN && dr_slice_find(words, key) < words.len) return true;
    }
    return false;
}

/* A provider may quote the key that it was sent, in an error of any kind: such words go neither to
 * the client nor to the log. */
static struct failure failure_to_show(const struct failure *failure,
                                      const struct provider *provider) {
    struct failure shown = *failure;
    if (quotes_a_key(shown.message, provider)) {
        shown.message = DR_LIT("its words quote the gateway's key and are not shown");
    }
    if (quotes_a_key(shown.code, provider)) shown.code = DR_NONE;
    if (quotes_a_key(shown.param, provider)) shown.param = DR_NONE;
    return shown;
}

static void relay_failed(void *owner, const struct failure *told) {
    struct exchange *exchange = owner;
    struct worker *worker = exchange->worker;
    const struct failure shown = failure_to_show(told, exchange->target->provider);
    const struct failure *failure = &shown;
    worker->counters.attempts_failed++;
    exchange_note_attempt(exchange, failure->status);
    dr_log(failure->kind == FAILURE_REJECTED ? DR_LOG_DEBUG : DR_LOG_WARN, "attempt.failed",
           "id=%.*s model=%.*s target=%.*s provider=%.*s kind=%s status=%u reason=\"%.*s\"",
           REQUEST_ID_BYTES, exchange->request_id, DR_FMT(exchange->model->name),
           DR_FMT(exchange->target->name), DR_FMT(exchange->target->provider->name),
           failure_kind_name(failure->kind), failure->status,
           DR_FMT(failure->kind == FAILURE_KEY_REFUSED ? DR_LIT("the provider refused our key")
                                                       : dr_slice_first(failure->message, 300)));

    const bool is_last = exchange->target_next == exchange->model->target_count;
    const struct refusal refusal = refusal_of_failure(failure, exchange->target, &exchange->arena);
    if (!exchange->is_committed && !is_last && retry_may_fall_back(failure)) {
        worker->counters.fallbacks++;
        exchange->refusal = refusal; /* unless another target takes it */
    } else {
        exchange_refuse(exchange, &refusal);
    }
    attempt_close(&exchange->attempt);
    pipeline_run(exchange);
}

/* An error inside an answer that HTTP called good. */
static void relay_fail_within(struct exchange *exchange, const struct failure *error) {
    struct failure failure = *error;
    failure.status = exchange->attempt.status;
    relay_failed(exchange, &failure);
}

/* An end and nothing before it: another API's stream, or none at all. */
static void relay_fail_empty(struct exchange *exchange) {
    const struct failure failure = {
        .kind = FAILURE_GARBAGE,
        .status = exchange->attempt.status,
        .message = DR_LIT("a stream that ends without an answer"),
    };
    relay_failed(exchange, &failure);
}

static void relay_finish(struct exchange *exchange, dr_slice last) {
    exchange_note_attempt(exchange, exchange->attempt.status);
    exchange->last = last;
    exchange->outcome = OUTCOME_ANSWERED;
    pipeline_run(exchange);
}

/* --- a stream
 * ----------------------------------------------------------------------------------- */

/* Some say a thing of their own before the answer, which is no reason to settle for this target,
 * and belongs to its answer all the same: Azure its filter's verdict on the prompt. Comments do
 * not. */
static void relay_hold(struct exchange *exchange, dr_slice raw) {
    if (dr_slice_starts(raw, DR_LIT(":"))) return;
    if (dr_slice_find(raw, DR_LIT("data:")) < raw.len) dr_buf_put(&exchange->held, raw);
}

/* From now on events come by the thousand, each to be passed on at once. */
static void relay_expect(struct exchange *exchange) {
    const struct downstream *downstream = &exchange->downstream;
    const void *places[ATTEMPT_PLACES] = {&exchange->wait_timer, &exchange->answer_id};
    _Static_assert(DOWNSTREAM_PLACES + 2 == ATTEMPT_PLACES, "the exchange's and the transport's");
    if (!downstream->kind->places) return;
    if (!downstream->kind->places(downstream, places + 2)) return;
    attempt_expect(&exchange->attempt, places);
}

static void relay_put_wordless(struct exchange *exchange, const struct dr_buf *bytes) {
    struct downstream *downstream = &exchange->downstream;
    const struct answer_chunk wordless = {.events = NULL};
    if (bytes->len == 0 || dr_buf_status(bytes) != DR_OK) return;
    downstream->kind->put(downstream, &wordless, dr_buf_slice(bytes));
    downstream->kind->flush(downstream);
}

/* The headers have gone out before it was known: a comment says what they would have. */
static void relay_tell_dropped(struct exchange *exchange) {
    struct dr_buf *text = &exchange->worker->body;
    const dr_slice dropped = attempt_dropped(&exchange->attempt);
    if (dropped.len == 0) return;
    dr_buf_reset(text);
    dr_buf_format(text, ": x-drover-dropped: %.*s\n\n", DR_FMT(dropped));
    relay_put_wordless(exchange, text);
}

static void relay_commit(struct exchange *exchange) {
    struct downstream *downstream = &exchange->downstream;
    exchange->is_committed = true;
    relay_drop_reading(exchange); /* no other target follows */
    relay_expect(exchange);
    if (!downstream->has_begun) {
        downstream->kind->begin(downstream, answer_head_stream(exchange));
    } else {
        relay_tell_dropped(exchange);
    }
    relay_put_wordless(exchange, &exchange->held);
    dr_buf_clear(&exchange->held);
}

/* What is lost only means that a chunk of our own carries the request's id and model instead. */
static void relay_note_identity(struct exchange *exchange, const struct answer_event *start) {
    const dr_slice id = dr_slice_first(start->start.id, IDENTITY_BYTES_MAX);
    const dr_slice model = dr_slice_first(start->start.model, IDENTITY_BYTES_MAX);
    (void)!dr_arena_copy(&exchange->arena, id, &exchange->answer_id);
    if (exchange->answer_model.len > 0) return;
    (void)!dr_arena_copy(&exchange->arena, model, &exchange->answer_model);
}

/* Takes from the chunk what settling needs. Returns the error event, NULL when there is none. */
static const struct failure *relay_observe(struct exchange *exchange,
                                           const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        switch (event->kind) {
        case ANSWER_START:
            if (exchange->answer_id.len == 0) relay_note_identity(exchange, event);
            break;
        case ANSWER_FINISH:
            exchange_choices_note_finished(&exchange->choices, event->choice_index);
            break;
        case ANSWER_USAGE:
            usage_add_report(&exchange->usage, &event->usage);
            if (usage_output_tokens(&event->usage) > 0) {
                exchange->counted_bytes = exchange->output_bytes + chunk->output_bytes;
            }
            break;
        case ANSWER_ERROR: return &event->error;
        case ANSWER_TOOL_CALL: exchange_choices_note_call(&exchange->choices, event); break;
        case ANSWER_TEXT:
        case ANSWER_REASONING:
        case ANSWER_REFUSAL:
        case ANSWER_SIGNATURE:
        case ANSWER_CITATION:
        case ANSWER_LOGPROBS:
        case ANSWER_MEMBER:
            exchange_choices_note_begun(&exchange->choices, event->choice_index);
            break;
        case ANSWER_END: break;
        }
    }
    if (chunk->output_bytes > 0) {
        if (exchange->first_token.us == 0) {
            exchange->first_token = dr_loop_now(exchange->worker->loop);
        }
        exchange->output_bytes += chunk->output_bytes;
    }
    return NULL;
}

/* Whether what the chunk says of usage is what all reports together came to. */
static bool tells_all(const struct exchange *exchange, const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct usage *told = &chunk->events[i].usage;
        if (chunk->events[i].kind != ANSWER_USAGE) continue;
        return told->prompt_tokens == exchange->usage.prompt_tokens &&
               told->completion_tokens == exchange->usage.completion_tokens;
    }
    return true;
}

/* Usage that we asked for, not the client; and a report that is not whole: a client is told once,
 * at the end, what the answer came to. */
static bool is_withheld(const struct exchange *exchange, const struct answer_chunk *chunk) {
    if (!chunk->is_usage_only) return false;
    if (!exchange->prompt.wants_usage || usage_output_tokens(&exchange->usage) == 0) return true;
    if (!tells_all(exchange, chunk)) return true;
    return exchange_taken_usage(exchange).source != USAGE_REPORTED;
}

static bool relay_event(void *owner, const struct answer_chunk *chunk, dr_slice raw,
                        bool is_lasting) {
    struct exchange *exchange = owner;
    struct downstream *downstream = &exchange->downstream;
    const struct failure *error = relay_observe(exchange, chunk);
    if (error) {
        relay_fail_within(exchange, error);
        return false;
    }
    if (is_withheld(exchange, chunk)) {
        exchange->has_usage_chunk = false;
        return true;
    }
    if (chunk->shows_usage) exchange->has_usage_chunk = tells_all(exchange, chunk);
    if (chunk->is_end) {
        if (!exchange->is_committed && exchange->held.len == 0 &&
            exchange->usage.source == USAGE_NONE) {
            relay_fail_empty(exchange);
            return false;
        }
        if (!exchange->is_committed) relay_commit(exchange);
        relay_finish(exchange, raw);
        return false;
    }
    if (!exchange->is_committed) {
        if (chunk->event_count == 0 && !chunk->is_usage_only) {
            if (!chunk->is_foreign) relay_hold(exchange, raw);
            return true;
        }
        relay_commit(exchange);
    }
    downstream->kind->put(downstream, chunk, raw);
    if (!is_lasting) downstream->kind->flush(downstream);
    return true;
}

static void relay_piece_end(void *owner) {
    struct exchange *exchange = owner;
    if (!exchange->is_committed) return;
    struct downstream *downstream = &exchange->downstream;
    downstream->kind->flush(downstream);
    if (downstream->kind->wait) {
        dr_timer_put_off(&exchange->wait_timer, exchange->worker->loop, WAIT_MS);
    }
    if (downstream->kind->next_place) {
        attempt_expect_last(&exchange->attempt, downstream->kind->next_place(downstream));
    }
    if (downstream_pending(downstream) > PENDING_BYTES_HIGH) attempt_pause(&exchange->attempt);
}

/* Some servers end without [DONE]: finish reasons make the answer whole, otherwise it was cut. */
static void relay_ended(void *owner) {
    struct exchange *exchange = owner;
    if (exchange->is_committed && exchange_choices_is_whole(&exchange->choices)) {
        relay_finish(exchange, DR_LIT("data: [DONE]\n\n"));
        return;
    }
    const struct failure failure = {
        .kind = FAILURE_CUT,
        .status = exchange->attempt.status,
    };
    relay_failed(exchange, &failure);
}

/* --- one body
 * ----------------------------------------------------------------------------------- */

static void relay_answered(void *owner, const struct answer_chunk *chunk, dr_slice body) {
    struct exchange *exchange = owner;
    const struct failure *error = relay_observe(exchange, chunk);
    if (error) {
        relay_fail_within(exchange, error);
        return;
    }
    exchange->is_committed = true;
    relay_finish(exchange, body);
}

static const struct attempt_events attempt_events = {
    .event = relay_event,
    .piece_end = relay_piece_end,
    .ended = relay_ended,
    .answered = relay_answered,
    .failed = relay_failed,
};
