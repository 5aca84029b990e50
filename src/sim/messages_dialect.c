/* What is Anthropic's besides requests and answers: keys, versions, errors, headers. Must not know
 * routes, and must not share code with the gateway's dialects. */
#include "sim/messages_answer.h"
#include "sim/messages_ask.h"
#include "sim/sim_dialect.h"

/* --- heads --- */

static bool check_key(const struct dr_http1_head *head, struct sim_error *error) {
    dr_slice key = dr_slice_trim(dr_http1_header(head, DR_LIT("x-api-key")));
    if (key.len == 0) key = sim_bearer(head);
    *error = (struct sim_error){.status = 401};
    if (key.len == 0) {
        error->message = "x-api-key header is required";
        return false;
    }
    if (sim_key_is_refused(key)) {
        error->message = "invalid x-api-key";
        return false;
    }
    return true;
}

static bool check_head(const struct dr_http1_head *head, struct sim_error *error) {
    const dr_slice version = dr_http1_header(head, DR_LIT("anthropic-version"));
    if (!check_key(head, error)) return false;
    if (dr_slice_is(version, DR_LIT("2023-06-01"))) return true;
    *error = (struct sim_error){
        .status = 400,
        .message = version.data ? "anthropic-version: is not a valid version"
                                : "anthropic-version: header is required",
    };
    return dr_slice_is(version, DR_LIT("2023-01-01"));
}

/* What the real one sends along: limits whose reset is a time of day, not a duration. */
static void put_headers(dr_slice id, uint32_t retry_after_s, struct dr_buf *headers) {
    static const char *const limits[] = {"requests", "tokens", "input-tokens", "output-tokens"};
    dr_buf_put(headers, DR_LIT("request-id: req_01"));
    dr_buf_put(headers, id);
    dr_buf_put(headers, DR_LIT("\r\nanthropic-organization-id: sim-organization\r\n"));
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        dr_buf_format(headers,
                      "anthropic-ratelimit-%s-limit: 31337\r\n"
                      "anthropic-ratelimit-%s-remaining: 31336\r\n"
                      "anthropic-ratelimit-%s-reset: 2026-03-18T17:50:11Z\r\n",
                      limits[i], limits[i], limits[i]);
    }
    if (retry_after_s == 0) return;
    dr_buf_put(headers, DR_LIT("retry-after: "));
    dr_buf_put_u64(headers, retry_after_s);
    dr_buf_put(headers, DR_LIT("\r\nx-should-retry: true\r\n"));
}

/* --- errors --- */

static const struct sim_error failures[] = {
    {.status = 400, .type = "invalid_request_error", .message = "A mistake (simulated)"},
    {.status = 401, .type = "authentication_error", .message = "invalid x-api-key (simulated)"},
    {.status = 402,
     .type = "billing_error",
     .message = "Your credit balance is too low to access the Anthropic API (simulated)"},
    {.status = 403,
     .type = "permission_error",
     .message = "Your API key does not have permission to use the specified resource (simulated)"},
    {.status = 404, .type = "not_found_error", .message = "model: simulated"},
    {.status = 405, .type = "invalid_request_error", .message = "Method Not Allowed"},
    {.status = 413,
     .type = "request_too_large",
     .message = "Request exceeds the maximum size (simulated)"},
    {.status = 429,
     .type = "rate_limit_error",
     .message = "This request would exceed your account's rate limit (simulated)"},
    {.status = 500, .type = "api_error", .message = "Internal server error (simulated)"},
    {.status = 504, .type = "timeout_error", .message = "Request timed out (simulated)"},
    {.status = 529, .type = "overloaded_error", .message = "Overloaded (simulated)"},
};

static struct sim_error find_failure(uint16_t status) {
    return sim_error_find(failures, sizeof failures / sizeof failures[0], status,
                          status < 500 ? "invalid_request_error" : "api_error");
}

static void put_error(const struct sim_error *error, struct dr_buf *buf) {
    const char *type = error->type ? error->type : find_failure(error->status).type;
    dr_buf_put(buf, DR_LIT("{\"type\":\"error\",\"error\":{\"type\":"));
    dr_json_put_string(buf, dr_slice_text(type));
    dr_buf_put(buf, DR_LIT(",\"message\":"));
    dr_json_put_string(buf, dr_slice_text(error->message));
    dr_buf_put_char(buf, '}');
}

static void write_error(const struct sim_error *error, dr_slice id, struct dr_buf *buf) {
    put_error(error, buf);
    dr_buf_put(buf, DR_LIT(",\"request_id\":\"req_01"));
    dr_buf_put(buf, id);
    dr_buf_put(buf, DR_LIT("\"}"));
}

static void write_error_event(struct dr_buf *buf) {
    const struct sim_error error = find_failure(529);
    dr_buf_put(buf, DR_LIT("event: error\ndata: "));
    put_error(&error, buf);
    dr_buf_put(buf, DR_LIT("}\n\n"));
}

/* --- endless texts --- */

static void put_huge_start(bool is_streamed, struct dr_buf *buf) {
    dr_buf_put(buf, is_streamed ? DR_LIT("event: content_block_delta\n"
                                         "data: {\"type\":\"content_block_delta\",\"index\":0,"
                                         "\"delta\":{\"type\":\"text_delta\",\"text\":\"")
                                : DR_LIT("{\"id\":\"msg_01huge\",\"type\":\"message\","
                                         "\"role\":\"assistant\",\"model\":\"sim\",\"content\":"
                                         "[{\"type\":\"text\",\"text\":\""));
}

static void put_huge_end(bool is_streamed, struct dr_buf *buf) {
    dr_buf_put(buf, is_streamed ? DR_LIT("\"}}\n\nevent: message_stop\n"
                                         "data: {\"type\":\"message_stop\"}\n\n")
                                : DR_LIT("\"}],\"stop_reason\":\"end_turn\","
                                         "\"stop_sequence\":null}"));
}

const struct sim_dialect sim_messages = {
    .name = "anthropic",
    .json_type = SIM_TEXT("application/json"),
    .stream_type = SIM_TEXT("text/event-stream; charset=utf-8"),
    .bad_json = "The request body is not valid JSON (simulated)",
    .check_head = check_head,
    .read = sim_messages_read,
    .prepare = sim_messages_prepare,
    .write = sim_messages_write,
    .next = sim_messages_next,
    .write_event = sim_messages_write_event,
    .write_broken_event = sim_messages_write_broken_event,
    .write_error_event = write_error_event,
    .write_error = write_error,
    .failure = find_failure,
    .put_headers = put_headers,
    .put_huge_start = put_huge_start,
    .put_huge_end = put_huge_end,
};
