/* What is Gemini's besides requests and answers: keys, errors, headers. Must not know routes, and
 * must not share code with the gateway's dialects. */
#include "sim/generate_answer.h"
#include "sim/generate_ask.h"
#include "sim/sim_dialect.h"

/* --- heads --- */

/* A key in the target is leaked by many logs, but real. */
static dr_slice key_of_target(dr_slice target) {
    dr_slice query = target;
    (void)dr_slice_split(&query, '?'); /* the path */
    while (query.data) {
        dr_slice value = dr_slice_split(&query, '&');
        if (dr_slice_is(dr_slice_split(&value, '='), DR_LIT("key"))) return value;
    }
    return DR_NONE;
}

static bool check_head(const struct dr_http1_head *head, struct sim_error *error) {
    dr_slice key = dr_slice_trim(dr_http1_header(head, DR_LIT("x-goog-api-key")));
    if (key.len == 0) key = key_of_target(head->target);
    const bool is_bearer = key.len == 0;
    if (is_bearer) key = sim_bearer(head);
    if (key.len == 0) {
        *error = (struct sim_error){
            .status = 403,
            .message = "Method doesn't allow unregistered callers (callers without established "
                       "identity). Please use API Key or other form of API consumer identity to "
                       "call this API.",
        };
        return false;
    }
    if (!sim_key_is_refused(key)) return true;
    if (is_bearer) {
        *error = (struct sim_error){
            .status = 401,
            .message = "Request had invalid authentication credentials. Expected OAuth 2 access "
                       "token, login cookie or other valid authentication credential.",
        };
    } else {
        *error = (struct sim_error){
            .status = 400,
            .message = "API key not valid. Please pass a valid API key.",
            .code = "API_KEY_INVALID",
        };
    }
    return false;
}

/* No limits and no Retry-After among them: waiting times stand in an error's details. */
static void put_headers(dr_slice id, uint32_t retry_after_s, struct dr_buf *headers) {
    (void)id;
    (void)retry_after_s;
    dr_buf_put(headers, DR_LIT("Server: scaffolding on HTTPServer2\r\n"
                               "Server-Timing: gfet4t7; dur=5\r\n"
                               "Vary: Origin, X-Origin, Referer\r\n"));
}

/* --- errors --- */

static const struct sim_error failures[] = {
    {.status = 400, .type = "INVALID_ARGUMENT", .message = "A mistake (simulated)"},
    {.status = 401,
     .type = "UNAUTHENTICATED",
     .message = "Request had invalid authentication credentials (simulated)"},
    {.status = 403,
     .type = "PERMISSION_DENIED",
     .message = "The caller does not have permission (simulated)"},
    {.status = 404,
     .type = "NOT_FOUND",
     .message = "models/simulated is not found for API version v1beta, or is not supported for "
                "generateContent. Call ListModels to see the list of available models and their "
                "supported methods."},
    {.status = 429,
     .type = "RESOURCE_EXHAUSTED",
     .message = "You exceeded your current quota (simulated)"},
    {.status = 499, .type = "CANCELLED", .message = "The operation was cancelled (simulated)"},
    {.status = 500,
     .type = "INTERNAL",
     .message = "An internal error has occurred. Please retry (simulated)"},
    {.status = 503,
     .type = "UNAVAILABLE",
     .message = "The model is overloaded. Please try again later (simulated)"},
    {.status = 504,
     .type = "DEADLINE_EXCEEDED",
     .message = "The request timed out. Please try again (simulated)"},
};

static struct sim_error find_failure(uint16_t status) {
    return sim_error_find(failures, sizeof failures / sizeof failures[0], status,
                          status < 500 ? "INVALID_ARGUMENT" : "UNKNOWN");
}

/* Why, and when to come again. */
static void put_details(const struct sim_error *error, struct dr_buf *buf) {
    const bool has_code = error->code && error->code[0] != 0;
    if (!has_code && error->retry_after_s == 0) return;
    dr_buf_put(buf, DR_LIT(",\n    \"details\": ["));
    if (has_code) {
        dr_buf_put(buf, DR_LIT("\n      {\n        \"@type\": "
                               "\"type.googleapis.com/google.rpc.ErrorInfo\",\n"
                               "        \"reason\": "));
        dr_json_put_string(buf, dr_slice_text(error->code));
        dr_buf_put(buf, DR_LIT(",\n        \"domain\": \"googleapis.com\",\n        \"metadata\": "
                               "{\n          \"service\": "
                               "\"generativelanguage.googleapis.com\"\n        }\n      }"));
    }
    if (has_code && error->retry_after_s > 0) dr_buf_put_char(buf, ',');
    if (error->retry_after_s > 0) {
        dr_buf_format(buf,
                      "\n      {\n        \"@type\": "
                      "\"type.googleapis.com/google.rpc.RetryInfo\",\n"
                      "        \"retryDelay\": \"%us\"\n      }",
                      (unsigned)error->retry_after_s);
    }
    dr_buf_put(buf, DR_LIT("\n    ]"));
}

/* Laid out over lines, as Google does. */
static void write_error(const struct sim_error *error, dr_slice id, struct dr_buf *buf) {
    const char *type = error->type ? error->type : find_failure(error->status).type;
    (void)id; /* Google tells none */
    dr_buf_put(buf, DR_LIT("{\n  \"error\": {\n    \"code\": "));
    dr_buf_put_u64(buf, error->status);
    dr_buf_put(buf, DR_LIT(",\n    \"message\": "));
    dr_json_put_string(buf, dr_slice_text(error->message));
    dr_buf_put(buf, DR_LIT(",\n    \"status\": "));
    dr_json_put_string(buf, dr_slice_text(type));
    put_details(error, buf);
    dr_buf_put(buf, DR_LIT("\n  }\n}\n"));
}

/* Without `data:`, as recorded. */
static void write_error_event(struct dr_buf *buf) {
    const struct sim_error error = find_failure(503);
    write_error(&error, DR_NONE, buf);
}

/* --- endless texts --- */

static void put_huge_start(bool is_streamed, struct dr_buf *buf) {
    if (is_streamed) dr_buf_put(buf, DR_LIT("data: "));
    dr_buf_put(buf, DR_LIT("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""));
}

static void put_huge_end(bool is_streamed, struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
                           "\"modelVersion\":\"sim\"}"));
    if (is_streamed) dr_buf_put(buf, DR_LIT("\r\n\r\n"));
}

const struct sim_dialect sim_generate = {
    .name = "gemini",
    .json_type = SIM_TEXT("application/json; charset=UTF-8"),
    .stream_type = SIM_TEXT("text/event-stream"),
    .bad_json = "Invalid JSON payload received. Unexpected token (simulated).",
    .gives_calls_whole = true,
    .check_head = check_head,
    .read = sim_generate_read,
    .prepare = sim_generate_prepare,
    .write = sim_generate_write,
    .next = sim_generate_next,
    .write_event = sim_generate_write_event,
    .write_broken_event = sim_generate_write_broken_event,
    .write_error_event = write_error_event,
    .write_error = write_error,
    .failure = find_failure,
    .put_headers = put_headers,
    .put_huge_start = put_huge_start,
    .put_huge_end = put_huge_end,
};
