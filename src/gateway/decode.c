/* What is asked: the body becomes a prompt. Must not decide whether it is allowed. */
#include "base/json.h"
#include "gateway/exchange.h"
#include "gateway/step.h"

/* The reader's strings last until its next text only. */
static bool keep_texts(struct exchange *exchange) {
    struct prompt *prompt = &exchange->prompt;
    const bool is_kept =
        dr_arena_copy(&exchange->arena, prompt->model, &prompt->model) &&
        dr_arena_copy(&exchange->arena, dr_slice_first(prompt->user, LEDGER_TEXT_BYTES_MAX),
                      &prompt->user);
    if (!is_kept) {
        prompt->model = DR_NONE;
        prompt->user = DR_NONE;
    }
    return is_kept;
}

static enum dr_status read_prompt(struct exchange *exchange, struct prompt_fault *ret_fault) {
    struct dr_json_reader *json = exchange->worker->json;
    const dr_json root = exchange->body_root;
    exchange->body_root = NULL;
    return root ? openai_read_held_prompt(json, root, exchange->body_shift, exchange->body,
                                          &exchange->prompt, ret_fault)
                : openai_read_prompt(json, exchange->body, &exchange->prompt, ret_fault);
}

/* False when it is refused. */
static bool read_body(struct exchange *exchange) {
    struct prompt_fault fault;
    const enum dr_status status = read_prompt(exchange, &fault);
    if (status == DR_NO_MEMORY || (status == DR_OK && !keep_texts(exchange))) {
        exchange_refuse_for(exchange, REFUSAL_INTERNAL_ERROR);
        return false;
    }
    if (status != DR_OK) {
        exchange_refuse_field(exchange,
                              fault.is_json ? REFUSAL_INVALID_JSON : REFUSAL_INVALID_REQUEST,
                              dr_slice_text(fault.param), dr_slice_text(fault.text));
        return false;
    }
    if (exchange->prompt.wants_audio && !exchange->downstream.kind->takes_audio) {
        exchange_refuse_field(exchange, REFUSAL_INVALID_REQUEST, DR_LIT("modalities"),
                              DR_LIT("'modalities' must not hold \"audio\" over a WebSocket, whose "
                                     "frames have no place for it. Ask over HTTP."));
        return false;
    }
    return true;
}

enum step_result decode(struct exchange *exchange) {
    if (!exchange->has_body) return STEP_WAIT;
    if (exchange->is_unfit) {
        exchange->outcome = OUTCOME_REFUSED;
        return STEP_REFUSED;
    }
    const bool is_fit = read_body(exchange);
    dr_json_reader_trim(exchange->worker->json);
    if (!is_fit) return STEP_REFUSED;
    const struct downstream_kind *streamed = exchange->downstream.kind->streamed;
    if (exchange->prompt.is_streamed) {
        struct counters *counters = &exchange->worker->counters;
        counters->in_flight[exchange->downstream.kind->transport]--;
        exchange->downstream.kind = streamed;
        counters->in_flight[streamed->transport]++;
    }
    return STEP_DONE;
}
