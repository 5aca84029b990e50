/* The table of refusals. The only place that knows their statuses, codes and sentences; must
 * not decide when one applies. */
#include "gateway/refusal.h"

#include "base/utf8.h"
#include "dialect/openai.h"
#include "gateway/provider_words.h"

#include <errno.h>

/* Of what a provider says, as much as fits into a refusal's buffer with each byte escaped. */
enum { FOREIGN_TEXT_BYTES_MAX = 1024, FOREIGN_NAME_BYTES_MAX = 128 };

static const struct {
    uint16_t status;
    uint32_t retry_after_s;
    const char *type;
    const char *code;
    const char *message;
} rows[REFUSAL_REASON_COUNT] = {
    [REFUSAL_INVALID_JSON] = {400, 0, "invalid_request_error", "invalid_json",
                              "The request body is not valid JSON. Send one JSON object."},
    [REFUSAL_INVALID_REQUEST] = {400, 0, "invalid_request_error", "invalid_request",
                                 "The request is not valid."},
    [REFUSAL_MISSING_API_KEY] =
        {401, 0, "authentication_error", "missing_api_key",
         "No API key was given. Send it in the header 'Authorization: Bearer KEY'."},
    [REFUSAL_MALFORMED_API_KEY] =
        {401, 0, "authentication_error", "malformed_api_key",
         "The API key is mistyped or cut off: its checksum does not fit. Copy it again."},
    [REFUSAL_INVALID_API_KEY] =
        {401, 0, "authentication_error", "invalid_api_key",
         "The API key is not known here. Check that it belongs to this gateway."},
    [REFUSAL_EXPIRED_API_KEY] = {401, 0, "authentication_error", "expired_api_key",
                                 "The API key has expired. Ask for a new one."},
    [REFUSAL_REVOKED_API_KEY] = {401, 0, "authentication_error", "revoked_api_key",
                                 "The API key has been revoked. Ask for a new one."},
    [REFUSAL_ADMIN_KEY] =
        {401, 0, "authentication_error", "invalid_api_key",
         "The admin key is missing or wrong. Send it in the header 'Authorization: Bearer KEY'."},
    [REFUSAL_ADMIN_OFF] =
        {403, 0, "permission_error", "admin_off",
         "The admin API is off because the configuration has no admin.key. Set one and reload."},
    [REFUSAL_INSUFFICIENT_CREDITS] =
        {402, 0, "insufficient_quota", "insufficient_credits",
         "The account's credits are used up. Top the account up and try again."},
    [REFUSAL_MODEL_NOT_ALLOWED] =
        {403, 0, "permission_error", "model_not_allowed",
         "This API key may not use the model. Use another model or another key."},
    [REFUSAL_ORIGIN_NOT_ALLOWED] =
        {403, 0, "permission_error", "origin_not_allowed",
         "Pages of this origin may not call here. The operator lists those that may in "
         "cors.origins."},
    [REFUSAL_MODEL_NOT_FOUND] =
        {404, 0, "invalid_request_error", "model_not_found",
         "The model does not exist here. GET /v1/models lists those that do."},
    [REFUSAL_NOT_FOUND] =
        {404, 0, "invalid_request_error", "not_found",
         "There is nothing at this address. Chat requests go to POST /v1/chat/completions."},
    [REFUSAL_RECEIPT_NOT_FOUND] = {404, 0, "invalid_request_error", "receipt_not_found",
                                   "No receipt with this request id belongs to this account."},
    [REFUSAL_NOT_RESUMABLE] =
        {404, 0, "invalid_request_error", "not_resumable",
         "No answer with this request id can be resumed here: it is not known, was kept no longer, "
         "or became too long. Send the request again."},
    [REFUSAL_EXISTS] = {409, 0, "invalid_request_error", "exists",
                        "This has been done or made before."},
    [REFUSAL_METHOD_NOT_ALLOWED] =
        {405, 0, "invalid_request_error", "method_not_allowed",
         "This address does not take that method; the Allow header names those it takes."},
    [REFUSAL_REQUEST_TIMEOUT] = {408, 0, "invalid_request_error", "request_timeout",
                                 "The request did not arrive in time."},
    [REFUSAL_REQUEST_TOO_LARGE] = {413, 0, "invalid_request_error", "request_too_large",
                                   "The request body is larger than this gateway takes."},
    [REFUSAL_UNSUPPORTED_MEDIA_TYPE] =
        {415, 0, "invalid_request_error", "unsupported_media_type",
         "Send the body as JSON with 'Content-Type: application/json', and not compressed."},
    [REFUSAL_HEADERS_TOO_LARGE] = {431, 0, "invalid_request_error", "headers_too_large",
                                   "The request's headers are larger than this gateway takes."},
    [REFUSAL_RATE_LIMIT_EXCEEDED] =
        {429, 1, "rate_limit_error", "rate_limit_exceeded",
         "The key's limit of requests per minute is reached. Wait as long as Retry-After says."},
    [REFUSAL_UPSTREAM_RATE_LIMITED] =
        {429, 1, "rate_limit_error", "upstream_rate_limited",
         "The provider's rate limit is reached. Wait as long as Retry-After says."},
    [REFUSAL_UPSTREAM_REJECTED] = {400, 0, "invalid_request_error", "invalid_request",
                                   "The provider refused the request."},
    [REFUSAL_INTERNAL_ERROR] =
        {500, 0, "server_error", "internal_error",
         "The gateway failed. The operator finds the cause in the log under this request id."},
    [REFUSAL_UPSTREAM_ERROR] = {502, 0, "server_error", "upstream_error",
                                "The provider failed to answer."},
    [REFUSAL_UPSTREAM_OVERLOADED] = {503, 1, "server_error", "no_healthy_upstream",
                                     "The provider is overloaded. Try again as Retry-After says."},
    [REFUSAL_UPSTREAM_TIMEOUT] = {504, 0, "server_error", "upstream_timeout",
                                  "The provider did not answer in time."},
    [REFUSAL_DRAINING] =
        {503, 1, "server_error", "draining",
         "This gateway is shutting down. Send the request again; another one will take it."},
    [REFUSAL_STORAGE_FULL] =
        {503, 5, "server_error", "storage_full",
         "The gateway's disk is full, so that it cannot record charges and takes no requests. "
         "The operator must free space."},
};

struct refusal refusal_of(enum refusal_reason reason) {
    return (struct refusal){
        .reason = reason,
        .status = rows[reason].status,
        .type = dr_slice_text(rows[reason].type),
        .code = dr_slice_text(rows[reason].code),
        .param = DR_NONE,
        .message = dr_slice_text(rows[reason].message),
        .retry_after_s = rows[reason].retry_after_s,
    };
}

struct refusal refusal_saying(enum refusal_reason reason, dr_slice param, dr_slice message) {
    struct refusal refusal = refusal_of(reason);
    refusal.param = param;
    refusal.message = message;
    return refusal;
}

struct refusal refusal_of_lost(void) {
    struct refusal refusal = refusal_of(REFUSAL_NOT_RESUMABLE);
    refusal.message = DR_LIT("The rest of this answer is lost: there was no room to keep it, or it "
                             "was given up. Send the request again.");
    return refusal;
}

struct refusal refusal_of_stale_books(void) {
    struct refusal refusal = refusal_of(REFUSAL_STORAGE_FULL);
    refusal.message =
        DR_LIT("The latest requests could not be brought into the books, as when the disk is full, "
               "so that usage and receipts are not complete now. No charge is lost. The operator "
               "finds the cause in the log (store.failing).");
    return refusal;
}

struct refusal refusal_of_failed_books(const struct dr_error *error) {
    const bool is_full =
        error->status == DR_IO && (error->os_code == ENOSPC || error->os_code == EDQUOT);
    return is_full ? refusal_of_stale_books() : refusal_of(REFUSAL_INTERNAL_ERROR);
}

struct refusal refusal_of_status(uint16_t status, dr_slice message) {
    struct refusal refusal;
    switch (status) {
    case 408: refusal = refusal_of(REFUSAL_REQUEST_TIMEOUT); break;
    case 413: refusal = refusal_of(REFUSAL_REQUEST_TOO_LARGE); break;
    case 431: refusal = refusal_of(REFUSAL_HEADERS_TOO_LARGE); break;
    case 500: refusal = refusal_of(REFUSAL_INTERNAL_ERROR); break;
    case 503: refusal = refusal_of(REFUSAL_DRAINING); break;
    default: refusal = refusal_of(REFUSAL_INVALID_REQUEST); break;
    }
    refusal.status = status;
    if (message.len > 0) refusal.message = message;
    return refusal;
}

static enum refusal_reason reason_of_failure(const struct failure *failure) {
    switch (failure->kind) {
    case FAILURE_REJECTED: return REFUSAL_UPSTREAM_REJECTED;
    case FAILURE_RATE_LIMITED: return REFUSAL_UPSTREAM_RATE_LIMITED;
    case FAILURE_OVERLOADED: return REFUSAL_UPSTREAM_OVERLOADED;
    case FAILURE_TIMED_OUT: return REFUSAL_UPSTREAM_TIMEOUT;
    case FAILURE_NONE:
    case FAILURE_OUT_OF_MEMORY: return REFUSAL_INTERNAL_ERROR;
    case FAILURE_CONNECT:
    case FAILURE_CUT:
    case FAILURE_GARBAGE:
    case FAILURE_TOO_LARGE:
    case FAILURE_KEY_REFUSED:
    case FAILURE_SERVER:
    case FAILURE_IN_STREAM: return REFUSAL_UPSTREAM_ERROR;
    case FAILURE_OUT_OF_CREDIT: /* a status is kept in meaning where INTERFACE names it */
        return failure->status == 429 ? REFUSAL_UPSTREAM_RATE_LIMITED : REFUSAL_UPSTREAM_ERROR;
    }
    return REFUSAL_INTERNAL_ERROR;
}

/* What the provider did, for the sentence; the provider's own words follow where they are fit
 * to be shown. */
static const char *verb_of_failure(enum failure_kind kind) {
    switch (kind) {
    case FAILURE_CONNECT: return "could not be reached";
    case FAILURE_TIMED_OUT: return "did not answer in time";
    case FAILURE_CUT: return "ended the connection before the answer was complete";
    case FAILURE_GARBAGE: return "sent something that is not an answer";
    case FAILURE_TOO_LARGE: return "sent an answer larger than this gateway takes";
    case FAILURE_REJECTED: return "refused the request";
    case FAILURE_KEY_REFUSED:
        return "refused the gateway's own key or account; the operator must check it";
    case FAILURE_OUT_OF_CREDIT:
        return "has no credit left for the gateway's own account; the operator must top it up";
    case FAILURE_RATE_LIMITED: return "is rate limited";
    case FAILURE_SERVER: return "failed";
    case FAILURE_OVERLOADED: return "is overloaded";
    case FAILURE_IN_STREAM: return "reported an error within its answer";
    case FAILURE_NONE:
    case FAILURE_OUT_OF_MEMORY: return "could not be asked: the gateway is out of memory";
    }
    return "failed";
}

/* What speaks of our key or account may quote parts of it, and is not the client's affair. */
static bool may_show_words(const struct failure *failure) {
    return failure->kind != FAILURE_KEY_REFUSED && failure->kind != FAILURE_OUT_OF_CREDIT &&
           failure->message.len > 0;
}

/* Of a request that was refused: it keeps status and code. What was refused inside an
 * answer has no status but that of its code. */
static void put_rejection(struct refusal *refusal, const struct failure *failure,
                          struct dr_arena *arena) {
    const dr_slice code = dr_utf8_first(failure->code, FOREIGN_NAME_BYTES_MAX);
    const dr_slice param = dr_utf8_first(failure->param, FOREIGN_NAME_BYTES_MAX);

    if (failure->status >= 400) {
        refusal->status = failure->status;
    } else if (dr_slice_is(code, DR_LIT("model_not_found"))) {
        refusal->status = 404;
    } else if (dr_slice_is(code, DR_LIT("request_too_large"))) {
        refusal->status = 413;
    }
    if (code.len > 0) {
        if (!dr_arena_copy(arena, code, &refusal->code)) refusal->code = DR_LIT("invalid_request");
    } else if (failure->status == 404) {
        refusal->code = DR_LIT("not_found");
    } else if (failure->status == 413) {
        refusal->code = DR_LIT("request_too_large");
    }
    if (param.len > 0 && !dr_arena_copy(arena, param, &refusal->param)) refusal->param = DR_NONE;
}

struct refusal refusal_of_failure(const struct failure *failure, const struct target *target,
                                  struct dr_arena *arena) {
    struct refusal refusal = refusal_of(reason_of_failure(failure));
    struct dr_buf text;
    dr_buf_init(&text, 2048);
    dr_buf_format(&text, "Provider %.*s %s", DR_FMT(target->provider->name),
                  verb_of_failure(failure->kind));
    if (failure->status != 0) dr_buf_format(&text, " (HTTP %u)", failure->status);
    if (may_show_words(failure)) {
        dr_buf_put(&text, DR_LIT(": "));
        provider_words_put(&text, dr_utf8_first(failure->message, FOREIGN_TEXT_BYTES_MAX));
    } else {
        dr_buf_put_char(&text, '.');
    }
    dr_slice kept;
    if (dr_buf_status(&text) == DR_OK && dr_arena_copy(arena, dr_buf_slice(&text), &kept)) {
        refusal.message = kept;
    }
    dr_buf_clear(&text);

    if (failure->kind == FAILURE_REJECTED) put_rejection(&refusal, failure, arena);
    if (refusal.retry_after_s > 0 && failure->retry_after_s > 0) {
        refusal.retry_after_s = failure->retry_after_s;
    }
    return refusal;
}

struct refusal refusal_of_fault(const struct prompt_fault *fault, struct dr_arena *arena) {
    struct refusal refusal = refusal_of(REFUSAL_INVALID_REQUEST);
    struct dr_buf text;
    dr_slice kept;
    dr_buf_init(&text, 1024);
    dr_buf_format(&text, "'%s' %s.", fault->param, fault->text);
    if (dr_buf_status(&text) == DR_OK && dr_arena_copy(arena, dr_buf_slice(&text), &kept)) {
        refusal.message = kept;
    }
    if (dr_arena_copy(arena, dr_slice_text(fault->param), &kept)) refusal.param = kept;
    dr_buf_clear(&text);
    return refusal;
}

void refusal_put_json(struct dr_buf *buf, const struct refusal *refusal) {
    openai_put_error(buf, refusal->message, refusal->type, refusal->param, refusal->code);
}
