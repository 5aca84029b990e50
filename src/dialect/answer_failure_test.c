/* Whose fault an error is, in each dialect, with a status and inside an answer. */
#include "dialect/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OPENAI(message, type, code) \
    "{\"error\":{\"message\":\"" message "\",\"type\":" type ",\"param\":null,\"code\":" code "}}"
#define ANTHROPIC(type, message) \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
#define GEMINI(code, status, message) \
    "{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status "\"}}"
#define GEMINI_DETAILS(code, status, message, details) \
    "{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status "\"," \
    "\"details\":[" details "]}}"
#define RETRY_INFO \
    "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"34.4s\"}"

struct expectation {
    enum dialect dialect;
    uint16_t status;
    const char *body;
    enum failure_kind kind;
    const char *code;
    uint32_t retry_after_s;
};

static void check(const struct expectation *expected, const struct failure *failure) {
    if (failure->kind != expected->kind ||
        !dr_slice_is(failure->code, dr_slice_text(expected->code)) ||
        failure->retry_after_s != expected->retry_after_s) {
        fail_msg("%u %s: %s, %.*s, %u s", expected->status, expected->body,
                 failure_kind_name(failure->kind), DR_FMT(failure->code), failure->retry_after_s);
    }
}

static const struct expectation with_status[] = {
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "Your credit balance is too low to access"),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "You have reached your specified API usage limits. You "
                                        "will regain access on 2025-11-01 at 00:00 UTC."),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "This organization has been disabled."),
     FAILURE_KEY_REFUSED, NULL, 0},
    {DIALECT_ANTHROPIC, 402, ANTHROPIC("billing_error", "no"), FAILURE_OUT_OF_CREDIT,
     "insufficient_quota", 0},
    {DIALECT_ANTHROPIC, 403, ANTHROPIC("permission_error", "no"), FAILURE_KEY_REFUSED, NULL, 0},
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "Output blocked by content filtering policy"),
     FAILURE_REJECTED, "content_filter", 0},
    {DIALECT_ANTHROPIC, 400, ANTHROPIC("invalid_request_error", "messages: required"),
     FAILURE_REJECTED, NULL, 0},
    {DIALECT_ANTHROPIC, 413, ANTHROPIC("request_too_large", "Request too large"), FAILURE_REJECTED,
     "request_too_large", 0},
    {DIALECT_ANTHROPIC, 413, "<html><title>413</title></html>", FAILURE_REJECTED, NULL, 0},
    {DIALECT_ANTHROPIC, 504, ANTHROPIC("timeout_error", "timeout"), FAILURE_TIMED_OUT, "timeout",
     0},
    {DIALECT_ANTHROPIC, 500, ANTHROPIC("overloaded_error", "Overloaded"), FAILURE_SERVER, NULL, 0},
    {DIALECT_GEMINI, 400,
     GEMINI(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
     FAILURE_KEY_REFUSED, NULL, 0},
    {DIALECT_GEMINI, 400,
     GEMINI(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country."),
     FAILURE_KEY_REFUSED, NULL, 0},
    {DIALECT_GEMINI, 400,
     GEMINI(400, "FAILED_PRECONDITION",
            "The File x is not in an ACTIVE state and usage is not "
            "allowed."),
     FAILURE_REJECTED, NULL, 0},
    {DIALECT_GEMINI, 400,
     GEMINI_DETAILS(400, "INVALID_ARGUMENT", "no", "{\"reason\":\"API_KEY_INVALID\"}"),
     FAILURE_KEY_REFUSED, "invalid_api_key", 0},
    {DIALECT_GEMINI, 400, GEMINI(400, "INVALID_ARGUMENT", "API key expired. Please renew it."),
     FAILURE_KEY_REFUSED, "invalid_api_key", 0},
    {DIALECT_GEMINI, 400,
     GEMINI(400, "INVALID_ARGUMENT", "the input token count is 2 but model only supports up to 1"),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_GEMINI, 429,
     GEMINI_DETAILS(429, "RESOURCE_EXHAUSTED",
                    "You exceeded your current quota, please check "
                    "your plan and billing details.",
                    RETRY_INFO),
     FAILURE_RATE_LIMITED, "rate_limit_exceeded", 35},
    {DIALECT_GEMINI, 429, "[" GEMINI_DETAILS(429, "RESOURCE_EXHAUSTED", "x", RETRY_INFO) "]",
     FAILURE_RATE_LIMITED, "rate_limit_exceeded", 35},
    {DIALECT_GEMINI, 429, GEMINI(429, "RESOURCE_EXHAUSTED", "Please retry in 34.07s."),
     FAILURE_RATE_LIMITED, "rate_limit_exceeded", 35},
    {DIALECT_GEMINI, 499, GEMINI(499, "CANCELLED", "cancelled"), FAILURE_SERVER, NULL, 0},
    {DIALECT_GEMINI, 504, GEMINI(504, "DEADLINE_EXCEEDED", "late"), FAILURE_TIMED_OUT, "timeout",
     0},
    {DIALECT_OPENAI, 429,
     OPENAI("You exceeded your current quota", "\"insufficient_quota\"", "\"insufficient_quota\""),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_OPENAI, 429, OPENAI("Your account is not active", "\"billing_not_active\"", "null"),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_OPENAI, 429,
     OPENAI("Rate limit reached. Please try again in 6m0.2s. Visit", "\"tokens\"",
            "\"rate_limit_exceeded\""),
     FAILURE_RATE_LIMITED, "rate_limit_exceeded", 361},
    {DIALECT_OPENAI, 429, OPENAI("Please retry after 12 seconds.", "null", "\"429\""),
     FAILURE_RATE_LIMITED, NULL, 12},
    {DIALECT_OPENAI, 429, OPENAI("Please try again in 999999h.", "null", "429"),
     FAILURE_RATE_LIMITED, NULL, 3600},
    {DIALECT_OPENAI, 429, OPENAI("Please try again in a moment", "null", "null"),
     FAILURE_RATE_LIMITED, NULL, 0},
    {DIALECT_OPENAI, 400,
     OPENAI("This model's maximum context length is 65536 tokens. However, you requested",
            "\"invalid_request_error\"", "\"invalid_request_error\""),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_OPENAI, 400,
     OPENAI("This model's maximum prompt length is 131072", "null", "\"invalid-argument\""),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_OPENAI, 400,
     OPENAI("Your organization must be verified to stream this model.", "\"invalid_request_error\"",
            "\"unsupported_value\""),
     FAILURE_KEY_REFUSED, "unsupported_value", 0},
    {DIALECT_OPENAI, 400, "[" GEMINI(400, "INVALID_ARGUMENT", "API key not valid.") "]",
     FAILURE_KEY_REFUSED, "invalid_api_key", 0},
    {DIALECT_OPENAI, 400, OPENAI("blocked", "null", "\"content_filter\""), FAILURE_REJECTED,
     "content_filter", 0},
    {DIALECT_OPENAI, 402,
     OPENAI("Insufficient Balance", "\"unknown_error\"", "\"invalid_request_error\""),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_OPENAI, 403, OPENAI("no", "\"exceeded_current_quota_error\"", "null"),
     FAILURE_OUT_OF_CREDIT, "insufficient_quota", 0},
    {DIALECT_OPENAI, 422, OPENAI("bad", "\"invalid_request_error\"", "\"c\""), FAILURE_REJECTED,
     "c", 0},
    {DIALECT_OPENAI, 404, OPENAI("no route", "null", "404"), FAILURE_REJECTED, NULL, 0},
    {DIALECT_OPENAI, 400, OPENAI("bad", "null", "\"1210\""), FAILURE_REJECTED, "1210", 0},
    {DIALECT_OPENAI, 400, OPENAI("bad", "null", "20012"), FAILURE_REJECTED, "20012", 0},
    {DIALECT_OPENAI, 400, OPENAI("the maximum context length is 9", "null", "\"1261\""),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_OPENAI, 503, OPENAI("slow down", "\"server_error\"", "null"), FAILURE_OVERLOADED, NULL,
     0},
    /* What a client wrote, told back to it. */
    {DIALECT_OPENAI, 400,
     OPENAI("Unrecognized request argument supplied: API key not valid",
            "\"invalid_request_error\"", "\"unknown_parameter\""),
     FAILURE_REJECTED, "unknown_parameter", 0},
    {DIALECT_OPENAI, 400,
     OPENAI("Unrecognized request argument supplied: Insufficient Balance",
            "\"invalid_request_error\"", "null"),
     FAILURE_REJECTED, NULL, 0},
    {DIALECT_ANTHROPIC, 400,
     ANTHROPIC("invalid_request_error", "x: Your credit balance is too low: not permitted"),
     FAILURE_REJECTED, NULL, 0},
    {DIALECT_GEMINI, 400,
     GEMINI(400, "INVALID_ARGUMENT", "Unknown name \\\"API key expired\\\": no such field."),
     FAILURE_REJECTED, NULL, 0},
    {DIALECT_OPENAI, 400,
     OPENAI("Invalid 'messages[0].name': 'prompt is too long' does not match",
            "\"invalid_request_error\"", "\"invalid_value\""),
     FAILURE_REJECTED, "invalid_value", 0},
    {DIALECT_OPENAI, 301, "", FAILURE_GARBAGE, NULL, 0},
    /* A body where a stream was asked for. */
    {DIALECT_OPENAI, 200, OPENAI("busy", "null", "429"), FAILURE_RATE_LIMITED, NULL, 0},
    {DIALECT_OPENAI, 200, "{\"choices\":[]}", FAILURE_IN_STREAM, NULL, 0},
};

static void test_a_status_and_a_body_tell_whose_fault_it_is(void **state) {
    struct dialect_reader *reader = dialect_reader_new();

    (void)state;
    assert_non_null(reader);
    for (size_t i = 0; i < sizeof with_status / sizeof with_status[0]; i++) {
        struct failure failure;
        dialect_read_failure(with_status[i].dialect, reader, with_status[i].status,
                             dr_slice_text(with_status[i].body), &failure);
        check(&with_status[i], &failure);
    }
    dialect_reader_free(reader);
}

static const struct expectation within[] = {
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("overloaded_error", "Overloaded"), FAILURE_OVERLOADED,
     "overloaded", 0},
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("rate_limit_error", "slow"), FAILURE_RATE_LIMITED,
     "rate_limit_exceeded", 0},
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("timeout_error", "late"), FAILURE_TIMED_OUT, "timeout", 0},
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("authentication_error", "invalid x-api-key"),
     FAILURE_KEY_REFUSED, "invalid_api_key", 0},
    {DIALECT_ANTHROPIC, 0,
     ANTHROPIC("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"),
     FAILURE_REJECTED, "context_length_exceeded", 0},
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("invalid_request_error", "x"), FAILURE_IN_STREAM, NULL, 0},
    {DIALECT_ANTHROPIC, 0, ANTHROPIC("api_error", "x"), FAILURE_IN_STREAM, NULL, 0},
    {DIALECT_GEMINI, 0,
     GEMINI_DETAILS(400, "INVALID_ARGUMENT", "no", "{\"reason\":\"API_KEY_INVALID\"}"),
     FAILURE_KEY_REFUSED, "invalid_api_key", 0},
    {DIALECT_GEMINI, 0, GEMINI(503, "UNAVAILABLE", "overloaded"), FAILURE_OVERLOADED, "overloaded",
     0},
    {DIALECT_GEMINI, 0, GEMINI_DETAILS(429, "RESOURCE_EXHAUSTED", "x", RETRY_INFO),
     FAILURE_RATE_LIMITED, "rate_limit_exceeded", 35},
    {DIALECT_GEMINI, 0, GEMINI(429, "", "x"), FAILURE_RATE_LIMITED, NULL, 0},
    {DIALECT_GEMINI, 0, GEMINI(500, "INTERNAL", "x"), FAILURE_SERVER, NULL, 0},
    {DIALECT_GEMINI, 0, GEMINI(400, "INVALID_ARGUMENT", "x"), FAILURE_IN_STREAM, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("Rate limit exceeded", "null", "429"), FAILURE_RATE_LIMITED, NULL,
     0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "\"503\""), FAILURE_OVERLOADED, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "401"), FAILURE_KEY_REFUSED, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "502"), FAILURE_SERVER, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "504"), FAILURE_TIMED_OUT, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "400"), FAILURE_IN_STREAM, NULL, 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "200"), FAILURE_IN_STREAM, "200", 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "null", "7003"), FAILURE_IN_STREAM, "7003", 0},
    {DIALECT_OPENAI, 0, OPENAI("Overloaded", "\"server_error\"", "\"overloaded\""),
     FAILURE_OVERLOADED, "overloaded", 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "\"insufficient_quota\"", "null"), FAILURE_OUT_OF_CREDIT,
     "insufficient_quota", 0},
    {DIALECT_OPENAI, 0, OPENAI("maximum context length is 9", "null", "400"), FAILURE_REJECTED,
     "context_length_exceeded", 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "\"invalid_request_error\"", "\"tool_use_failed\""),
     FAILURE_IN_STREAM, "tool_use_failed", 0},
    {DIALECT_OPENAI, 0, OPENAI("x", "\"server_error\"", "null"), FAILURE_IN_STREAM, NULL, 0},
};

static void test_an_error_inside_an_answer_is_told_by_its_words(void **state) {
    struct dialect_reader *reader = dialect_reader_new();

    (void)state;
    assert_non_null(reader);
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        struct dialect_stream stream;
        struct answer_chunk chunk;
        const dr_slice body = dr_slice_text(within[i].body);
        dialect_stream_init(within[i].dialect, &stream, DR_LIT("a"), 1);
        assert_int_equal(
            dialect_read_event(within[i].dialect, reader, &stream, body, body, &chunk, NULL),
            DR_OK);
        assert_true(chunk.event_count > 0);
        assert_int_equal(chunk.events[chunk.event_count - 1].kind, ANSWER_ERROR);
        check(&within[i], &chunk.events[chunk.event_count - 1].error);
        dialect_stream_init(within[i].dialect, &stream, DR_LIT("a"), 1);
        assert_int_equal(
            dialect_read_answer(within[i].dialect, reader, &stream, body, &chunk, NULL), DR_OK);
        check(&within[i], &chunk.events[chunk.event_count - 1].error);
    }
    dialect_reader_free(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_status_and_a_body_tell_whose_fault_it_is),
        cmocka_unit_test(test_an_error_inside_an_answer_is_told_by_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
