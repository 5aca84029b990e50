/* What is OpenAI's besides requests and answers: keys, errors, headers. Must not know routes, and
 * must not share code with the gateway's dialects. */
#include "sim/chat_answer.h"
#include "sim/chat_ask.h"
#include "sim/sim_dialect.h"

/* --- heads --- */

static bool check_head(const struct dr_http1_head *head, struct sim_error *error) {
    const dr_slice key = sim_bearer(head);
    *error = (struct sim_error){.status = 401, .code = "invalid_api_key"};
    if (!key.data) {
        error->message = "You didn't provide an API key. You need to provide your API key in an "
                         "Authorization header using Bearer auth (simulated)";
        return false;
    }
    if (sim_key_is_refused(key)) {
        error->message = "Incorrect API key provided: sk-sim-****used (simulated)";
        return false;
    }
    return true;
}

/* What a real provider would send along, so that tests can see what does not cross the gateway. */
static void put_headers(dr_slice id, uint32_t retry_after_s, struct dr_buf *headers) {
    dr_buf_put(headers, DR_LIT("x-request-id: req_"));
    dr_buf_put(headers, id);
    dr_buf_put(headers, DR_LIT("\r\nopenai-version: 2020-10-01\r\n"
                               "openai-organization: sim-organization\r\n"
                               "openai-processing-ms: 5\r\n"
                               "x-ratelimit-limit-requests: 31337\r\n"
                               "x-ratelimit-remaining-requests: 31336\r\n"
                               "x-ratelimit-reset-requests: 7ms\r\n"
                               "x-ratelimit-limit-tokens: 3133700\r\n"
                               "x-ratelimit-remaining-tokens: 3133600\r\n"
                               "x-ratelimit-reset-tokens: 6m0s\r\n"));
    if (retry_after_s == 0) return;
    dr_buf_put(headers, DR_LIT("Retry-After: "));
    dr_buf_put_u64(headers, retry_after_s);
    dr_buf_put(headers, DR_LIT("\r\n"));
}

/* --- errors --- */

static struct sim_error find_failure(uint16_t status) {
    static const struct sim_error failures[] = {
        {.status = 401,
         .message = "Incorrect API key provided: sk-sim-****ated (simulated)",
         .type = "invalid_request_error",
         .code = "invalid_api_key"},
        {.status = 402,
         .message = "Insufficient Balance (simulated)",
         .type = "unknown_error",
         .code = "invalid_request_error"},
        {.status = 403,
         .message = "Country, region, or territory not supported (simulated)",
         .type = "request_forbidden",
         .code = "unsupported_country_region_territory"},
        {.status = 404,
         .message = "The model does not exist or you do not have access to it (simulated)",
         .type = "invalid_request_error",
         .code = "model_not_found"},
        {.status = 429,
         .message = "Rate limit reached for requests (simulated)",
         .type = "requests",
         .code = "rate_limit_exceeded"},
        {.status = 500,
         .message = "The server had an error while processing your request (simulated)",
         .type = "server_error"},
        {.status = 503,
         .message = "The engine is currently overloaded, please try again later (simulated)",
         .type = "server_error"},
        {.status = 529, .message = "Overloaded (simulated)", .type = "overloaded_error"},
    };
    return sim_error_find(failures, sizeof failures / sizeof failures[0], status, NULL);
}

static void put_error_field(struct dr_buf *buf, dr_slice name, const char *text) {
    const bool is_null = !text || text[0] == 0;
    dr_buf_put(buf, name);
    dr_json_put_string_or_null(buf, is_null ? DR_NONE : dr_slice_text(text));
}

/* On one line. */
static void write_error(const struct sim_error *error, dr_slice id, struct dr_buf *buf) {
    const char *general = error->status < 500 ? "invalid_request_error" : "server_error";
    (void)id; /* it stands in a header alone */
    put_error_field(buf, DR_LIT("{\"error\":{\"message\":"), error->message);
    put_error_field(buf, DR_LIT(",\"type\":"), error->type ? error->type : general);
    put_error_field(buf, DR_LIT(",\"param\":"), error->param);
    put_error_field(buf, DR_LIT(",\"code\":"), error->code);
    dr_buf_put(buf, DR_LIT("}}"));
}

static void write_error_event(struct dr_buf *buf) {
    const struct sim_error error = find_failure(500);
    dr_buf_put(buf, DR_LIT("data: "));
    write_error(&error, DR_NONE, buf);
    dr_buf_put(buf, DR_LIT("\n\n"));
}

/* --- endless texts --- */

static void put_huge_start(bool is_streamed, struct dr_buf *buf) {
    dr_buf_put(buf, is_streamed
                        ? DR_LIT("data: {\"id\":\"chatcmpl-sim-huge\",\"object\":"
                                 "\"chat.completion.chunk\",\"created\":0,\"model\":\"sim\","
                                 "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"")
                        : DR_LIT("{\"id\":\"chatcmpl-sim-huge\",\"object\":\"chat.completion\","
                                 "\"created\":0,\"model\":\"sim\",\"choices\":[{\"index\":0,"
                                 "\"message\":{\"role\":\"assistant\",\"content\":\""));
}

static void put_huge_end(bool is_streamed, struct dr_buf *buf) {
    dr_buf_put(buf, is_streamed ? DR_LIT("\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
                                : DR_LIT("\",\"refusal\":null},\"finish_reason\":\"stop\"}]}"));
}

const struct sim_dialect sim_chat = {
    .name = "openai",
    .json_type = SIM_TEXT("application/json"),
    .stream_type = SIM_TEXT("text/event-stream; charset=utf-8"),
    .bad_json = "We could not parse the JSON body of your request. (HINT: This likely means you "
                "aren't using your HTTP library correctly.)",
    .check_head = check_head,
    .read = sim_chat_read,
    .prepare = sim_chat_prepare,
    .write = sim_chat_write,
    .next = sim_chat_next,
    .write_event = sim_chat_write_event,
    .write_broken_event = sim_chat_write_broken_event,
    .write_error_event = write_error_event,
    .write_error = write_error,
    .failure = find_failure,
    .put_headers = put_headers,
    .put_huge_start = put_huge_start,
    .put_huge_end = put_huge_end,
};
