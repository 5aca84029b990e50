/* Header lines of answers. Must not decide statuses or bodies. */
#include "gateway/answer_head.h"

#include "gateway/exchange.h"
#include "gateway/rate_shared.h"
#include "net/http1_write.h"

void answer_head_put_cors(struct dr_buf *head, dr_slice origin) {
    if (origin.len == 0) return;
    dr_http1_put_header(head, DR_LIT("Access-Control-Allow-Origin"), origin);
    dr_buf_put(head, DR_LIT("Access-Control-Expose-Headers: x-request-id, x-drover-target, "
                            "x-drover-cost, x-drover-usage, x-drover-dropped, "
                            "x-ratelimit-limit-requests, "
                            "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
                            "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, "
                            "x-ratelimit-reset-tokens, retry-after\r\nVary: Origin\r\n"));
}

/* OpenAI's way to write a duration: "120ms", "1s", "6m0s". */
static void put_duration(struct dr_buf *head, int64_t us) {
    const int64_t ms = (us + 999) / 1000;
    if (ms < 1000) {
        dr_buf_put_i64(head, ms);
        dr_buf_put(head, ms == 0 ? DR_LIT("s") : DR_LIT("ms"));
        return;
    }
    const int64_t seconds = (ms + 999) / 1000;
    if (seconds >= 60) {
        dr_buf_put_i64(head, seconds / 60);
        dr_buf_put_char(head, 'm');
    }
    dr_buf_put_i64(head, seconds % 60);
    dr_buf_put_char(head, 's');
}

/* Token limits come with the money rules; until then tokens are not limited, and say so. */
static void put_rate(struct exchange *exchange, struct dr_buf *head) {
    const uint32_t limit = exchange->key->key.requests_per_minute;
    if (limit == 0) {
        dr_buf_put(head, DR_LIT("x-ratelimit-limit-requests: 1000000000\r\n"
                                "x-ratelimit-limit-tokens: 1000000000\r\n"
                                "x-ratelimit-remaining-requests: 1000000000\r\n"
                                "x-ratelimit-remaining-tokens: 1000000000\r\n"
                                "x-ratelimit-reset-requests: 0s\r\n"
                                "x-ratelimit-reset-tokens: 0s\r\n"));
        return;
    }
    dr_buf_put(head, DR_LIT("x-ratelimit-limit-requests: "));
    dr_buf_put_u64(head, limit);
    dr_buf_put(head, DR_LIT("\r\nx-ratelimit-limit-tokens: 1000000000"
                            "\r\nx-ratelimit-remaining-requests: "));
    dr_buf_put_u64(head, exchange->rate.remaining);
    dr_buf_put(head, DR_LIT("\r\nx-ratelimit-remaining-tokens: 1000000000"
                            "\r\nx-ratelimit-reset-requests: "));
    put_duration(head, exchange->rate.reset_us);
    dr_buf_put(head, DR_LIT("\r\nx-ratelimit-reset-tokens: 0s\r\n"));
}

static struct dr_buf *start(struct exchange *exchange, dr_slice media_type) {
    struct dr_buf *head = &exchange->worker->head;
    dr_buf_reset(head);
    dr_buf_put(head, DR_LIT("Content-Type: "));
    dr_buf_put(head, media_type);
    dr_buf_put(head, DR_LIT("\r\nx-request-id: "));
    dr_buf_put(head, dr_slice_of(exchange->request_id, REQUEST_ID_BYTES));
    dr_buf_put(head, DR_LIT("\r\n"));
    answer_head_put_cors(head, exchange->cors_origin);
    return head;
}

static void put_target(struct exchange *exchange, struct dr_buf *head) {
    dr_buf_put(head, DR_LIT("x-drover-target: "));
    dr_buf_put(head, exchange->target->name);
    dr_buf_put(head, DR_LIT("\r\n"));
}

static void put_dropped(struct exchange *exchange, struct dr_buf *head) {
    const dr_slice dropped = attempt_dropped(&exchange->attempt);
    if (dropped.len == 0) return;
    dr_buf_put(head, DR_LIT("x-drover-dropped: "));
    dr_buf_put(head, dropped);
    dr_buf_put(head, DR_LIT("\r\n"));
}

static struct dr_buf *start_stream(struct exchange *exchange) {
    struct dr_buf *head = start(exchange, DR_LIT("text/event-stream; charset=utf-8"));
    dr_buf_put(head, DR_LIT("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"));
    put_rate(exchange, head);
    return head;
}

dr_slice answer_head_waiting(struct exchange *exchange) {
    return dr_buf_slice(start_stream(exchange));
}

dr_slice answer_head_stream(struct exchange *exchange) {
    struct dr_buf *head = start_stream(exchange);
    put_target(exchange, head);
    put_dropped(exchange, head);
    return dr_buf_slice(head);
}

dr_slice answer_head_json(struct exchange *exchange) {
    struct dr_buf *head = start(exchange, DR_LIT("application/json"));
    put_rate(exchange, head);
    put_target(exchange, head);
    put_dropped(exchange, head);
    dr_buf_put(head, DR_LIT("x-drover-cost: "));
    money_put(head, exchange->cost);
    dr_buf_put(head, DR_LIT("\r\n"));
    if (exchange->usage.source == USAGE_ESTIMATED) {
        dr_buf_put(head, DR_LIT("x-drover-usage: estimated\r\n"));
    }
    return dr_buf_slice(head);
}

dr_slice answer_head_refusal(struct exchange *exchange, const struct refusal *refusal) {
    struct dr_buf *head = start(exchange, DR_LIT("application/json"));
    if (exchange->has_rate) put_rate(exchange, head);
    if (refusal->retry_after_s > 0) {
        dr_http1_put_header_u64(head, DR_LIT("Retry-After"), refusal->retry_after_s);
    }
    if (refusal->status == 401) {
        dr_buf_put(head, DR_LIT("WWW-Authenticate: Bearer\r\n"));
    }
    return dr_buf_slice(head);
}

dr_slice answer_head_put_request_id(struct dr_buf *head, struct worker *worker) {
    char request_id[REQUEST_ID_BYTES];
    worker_take_request_id(worker, request_id);
    dr_http1_put_header(head, DR_LIT("x-request-id"), dr_slice_of(request_id, sizeof request_id));
    if (dr_buf_status(head)) return DR_NONE;
    const size_t end = head->len - 2; /* CRLF */
    return dr_slice_of(head->data + end - REQUEST_ID_BYTES, REQUEST_ID_BYTES);
}

dr_slice answer_head_plain(struct worker *worker, dr_slice cors_origin, uint32_t retry_after_s) {
    struct dr_buf *head = &worker->head;
    dr_buf_reset(head);
    dr_buf_put(head, DR_LIT("Content-Type: application/json\r\n"));
    answer_head_put_request_id(head, worker);
    if (retry_after_s > 0) dr_http1_put_header_u64(head, DR_LIT("Retry-After"), retry_after_s);
    answer_head_put_cors(head, cors_origin);
    return dr_buf_slice(head);
}

dr_slice answer_head_lookup(struct worker *worker, dr_slice request_id, dr_slice cors_origin,
                            uint32_t retry_after_s) {
    struct dr_buf *head = &worker->head;
    dr_buf_reset(head);
    dr_buf_put(head, DR_LIT("Content-Type: application/json\r\n"));
    dr_http1_put_header(head, DR_LIT("x-request-id"), request_id);
    if (retry_after_s > 0) dr_http1_put_header_u64(head, DR_LIT("Retry-After"), retry_after_s);
    answer_head_put_cors(head, cors_origin);
    return dr_buf_slice(head);
}
