/* Whose fault an error is: the client's, our account's, the provider's. By the HTTP status, except
 * where the words say what the status hides, or where there is no status: inside an answer. Servers
 * that speak for others (OpenRouter, LiteLLM) hand on those others' words in their own dialect: the
 * words are the same table for all. Must not decide what follows from it. */
#include "dialect/answer_failure.h"

#include "base/instant.h"

enum { RETRY_AFTER_S_MAX = 3600 };

struct cause {
    dr_slice words;
    enum failure_kind kind;
    dr_slice code; /* OpenAI's; DR_NONE: it has none */
};

#define CONTEXT_TOO_LONG \
    FAILURE_REJECTED, { \
        "context_length_exceeded", 23 \
    }
#define OUT_OF_CREDIT \
    FAILURE_OUT_OF_CREDIT, { \
        "insufficient_quota", 18 \
    }
#define NO_CODE \
    { NULL, 0 }

/* What sentences about our account begin with: behind that, a provider may quote its client. */
static const struct cause beginnings[] = {
    /* Anthropic, 400 invalid_request_error; DeepSeek, 402 with a code that says nothing */
    {{"Your credit balance is too low", 30}, OUT_OF_CREDIT},
    {{"You have reached your specified API usage limits", 48}, OUT_OF_CREDIT},
    {{"You have reached your specified workspace API usage limits", 58}, OUT_OF_CREDIT},
    {{"Insufficient Balance", 20}, OUT_OF_CREDIT},
    {{"This organization has been disabled", 35}, FAILURE_KEY_REFUSED, NO_CODE},
    /* OpenAI, 400 and 404 */
    {{"Your organization must be verified", 34}, FAILURE_KEY_REFUSED, NO_CODE},
    /* Google, 400 */
    {{"API key not valid", 17}, FAILURE_KEY_REFUSED, {"invalid_api_key", 15}},
    {{"API key expired", 15}, FAILURE_KEY_REFUSED, {"invalid_api_key", 15}},
    {{"User location is not supported", 30}, FAILURE_KEY_REFUSED, NO_CODE},
};

/* Parts of sentences, which count where the code says nothing. */
static const struct cause sentences[] = {
    /* Google, 400 FAILED_PRECONDITION: of the client's file, unlike all else of that status */
    {{"is not in an ACTIVE state", 25}, FAILURE_REJECTED, NO_CODE},
    /* Anthropic */
    {{"prompt is too long", 18}, CONTEXT_TOO_LONG},
    {{"exceed context limit", 20}, CONTEXT_TOO_LONG},
    /* Gemini and Vertex: "exceeds the maximum", "but model only supports up to" */
    {{"input token count", 17}, CONTEXT_TOO_LONG},
    /* OpenAI, DeepSeek, vLLM, OpenRouter, Mistral; Ollama; xAI; Moonshot */
    {{"maximum context length", 22}, CONTEXT_TOO_LONG},
    {{"max context length", 18}, CONTEXT_TOO_LONG},
    {{"maximum prompt length", 21}, CONTEXT_TOO_LONG},
    {{"exceeded model token limit", 26}, CONTEXT_TOO_LONG},
    /* Anthropic, where its filter stops an answer */
    {{"content filtering policy", 24}, FAILURE_REJECTED, {"content_filter", 14}},
};

/* A type or a code, whole. */
static const struct cause words[] = {
    /* OpenAI, 429 too: "not retryable"; Moonshot; Anthropic; Alibaba, 400 */
    {{"insufficient_quota", 18}, OUT_OF_CREDIT},
    {{"billing_not_active", 18}, OUT_OF_CREDIT},
    {{"billing_hard_limit_reached", 26}, OUT_OF_CREDIT},
    {{"exceeded_current_quota_error", 28}, OUT_OF_CREDIT},
    {{"billing_error", 13}, OUT_OF_CREDIT},
    {{"Arrearage", 9}, OUT_OF_CREDIT},
    {{"authentication_error", 20}, FAILURE_KEY_REFUSED, {"invalid_api_key", 15}},
    {{"invalid_api_key", 15}, FAILURE_KEY_REFUSED, {"invalid_api_key", 15}},
    {{"UNAUTHENTICATED", 15}, FAILURE_KEY_REFUSED, {"invalid_api_key", 15}},
    {{"permission_error", 16}, FAILURE_KEY_REFUSED, NO_CODE},
    {{"PERMISSION_DENIED", 17}, FAILURE_KEY_REFUSED, NO_CODE},
    /* google.rpc.Code: "the system is not in a state required for the operation", as opposed to
     * arguments; the Gemini API's page of errors knows it for countries and billing only. */
    {{"FAILED_PRECONDITION", 19}, FAILURE_KEY_REFUSED, NO_CODE},
    {{"rate_limit_exceeded", 19}, FAILURE_RATE_LIMITED, {"rate_limit_exceeded", 19}},
    {{"rate_limit_error", 16}, FAILURE_RATE_LIMITED, {"rate_limit_exceeded", 19}},
    {{"RESOURCE_EXHAUSTED", 18}, FAILURE_RATE_LIMITED, {"rate_limit_exceeded", 19}},
    {{"RateLimitReached", 16}, FAILURE_RATE_LIMITED, {"rate_limit_exceeded", 19}},
    {{"overloaded", 10}, FAILURE_OVERLOADED, {"overloaded", 10}},
    {{"overloaded_error", 16}, FAILURE_OVERLOADED, {"overloaded", 10}},
    {{"UNAVAILABLE", 11}, FAILURE_OVERLOADED, {"overloaded", 10}},
    {{"engine_overloaded_error", 23}, FAILURE_OVERLOADED, {"overloaded", 10}},
    {{"timeout_error", 13}, FAILURE_TIMED_OUT, {"timeout", 7}},
    {{"DEADLINE_EXCEEDED", 17}, FAILURE_TIMED_OUT, {"timeout", 7}},
    {{"context_length_exceeded", 23}, CONTEXT_TOO_LONG},
    {{"too_many_prompt_tokens", 22}, CONTEXT_TOO_LONG},
    {{"exceed_context_size_error", 25}, CONTEXT_TOO_LONG},
    {{"content_filter", 14}, FAILURE_REJECTED, {"content_filter", 14}},
    {{"content_policy_violation", 24}, FAILURE_REJECTED, {"content_policy_violation", 24}},
    {{"request_too_large", 17}, FAILURE_REJECTED, {"request_too_large", 17}},
    {{"model_not_found", 15}, FAILURE_REJECTED, {"model_not_found", 15}},
};

/* Codes for all that may be wrong with a request: DeepSeek's, xAI's. A number says less yet. */
static bool is_vague(dr_slice code) {
    static const dr_slice vague[] = {
        {"invalid_request_error", 21},
        {"invalid-argument", 16},
    };
    uint64_t number;

    for (size_t i = 0; i < sizeof vague / sizeof vague[0]; i++) {
        if (dr_slice_is(code, vague[i])) return true;
    }
    return code.len == 0 || dr_slice_to_u64(code, &number);
}

static const struct cause *find_part(dr_slice message) {
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++) {
        if (dr_slice_find(message, sentences[i].words) < message.len) return &sentences[i];
    }
    return NULL;
}

static const struct cause *find_cause(const struct failure *failure) {
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (dr_slice_starts(failure->message, beginnings[i].words)) return &beginnings[i];
    }
    const struct cause *part = is_vague(failure->code) ? find_part(failure->message) : NULL;
    if (part) return part;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (dr_slice_is(failure->code, words[i].words) ||
            dr_slice_is(failure->type, words[i].words)) {
            return &words[i];
        }
    }
    return NULL;
}

static bool is_of_our_account(enum failure_kind kind) {
    return kind == FAILURE_KEY_REFUSED || kind == FAILURE_OUT_OF_CREDIT;
}

/* 400 and 429 are said of our account too, 403 of its money. */
static enum failure_kind kind_by_status(uint16_t status, const struct cause *cause) {
    const enum failure_kind kind = failure_kind_of_status(status);
    const bool may_hide_account =
        kind == FAILURE_REJECTED || kind == FAILURE_RATE_LIMITED || kind == FAILURE_KEY_REFUSED;

    return cause && may_hide_account && is_of_our_account(cause->kind) ? cause->kind : kind;
}

/* A status that is said within does not speak of the request where it says no more than 400: that
 * had been taken. */
static enum failure_kind kind_within(uint16_t said_status, const struct cause *cause) {
    if (cause) return cause->kind;
    if (said_status == 0) return FAILURE_IN_STREAM;
    const enum failure_kind kind = failure_kind_of_status(said_status);

    return kind == FAILURE_REJECTED ? FAILURE_IN_STREAM : kind;
}

/* Compatible servers put the status there, as a number or in digits (vLLM, OpenRouter, Azure);
 * other numbers are codes of their own (Z.ai's "1210", SiliconFlow's 20012). 0: no status. */
static uint16_t read_status(dr_slice code) {
    uint64_t number;

    if (!dr_slice_to_u64(code, &number)) return 0;
    return number >= 400 && number < 600 ? (uint16_t)number : 0;
}

static uint32_t seconds_of_ms(int64_t ms) {
    const int64_t seconds = (ms + 999) / 1000;

    return seconds < RETRY_AFTER_S_MAX ? (uint32_t)seconds : RETRY_AFTER_S_MAX;
}

uint32_t answer_failure_seconds(dr_slice duration) {
    int64_t ms;

    return dr_duration_take_ms(&duration, &ms) && duration.len == 0 ? seconds_of_ms(ms) : 0;
}

/* OpenAI: "Please try again in 174ms."; Gemini: "Please retry in 34.07s."; Azure: "Please retry
 * after 12 seconds." */
static uint32_t seconds_in(dr_slice message) {
    static const dr_slice leads[] = {{"try again in ", 13}, {"retry in ", 9}, {"retry after ", 12}};
    int64_t ms;

    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        const size_t at = dr_slice_find(message, leads[i]);
        if (at == message.len) continue;
        dr_slice rest = dr_slice_from(message, at + leads[i].len);
        if (dr_duration_take_ms(&rest, &ms)) return seconds_of_ms(ms);
    }
    return 0;
}

void answer_failure_judge(struct failure *failure) {
    const uint16_t said_status = read_status(failure->code);

    if (said_status != 0) failure->code = DR_NONE;
    const struct cause *cause = find_cause(failure);
    failure->kind = failure->status >= 300 ? kind_by_status(failure->status, cause)
                                           : kind_within(said_status, cause);
    if (cause && cause->kind == failure->kind && cause->code.len > 0) failure->code = cause->code;
    if (failure->retry_after_s == 0) failure->retry_after_s = seconds_in(failure->message);
}
