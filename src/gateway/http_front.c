/* Finds the route of a request and hands it on. Must not do a route's work. */
#include "gateway/http_front.h"

#include "base/assert.h"
#include "base/log.h"
#include "gateway/answer_head.h"
#include "gateway/exchange.h"
#include "gateway/pipeline.h"
#include "gateway/routes.h"
#include "gateway/sse_answer.h"
#include "gateway/worker.h"
#include "gateway/ws_echo.h"
#include "gateway/ws_front.h"
#include "net/http1_write.h"

static void open_chat(const struct http_visit *visit);

enum { ALLOW_GET = 1, ALLOW_POST = 2 };
/* An origin is a scheme, a host's name and a port. It is said back in the answer, whose head has
 * its bounds too. */
enum { ORIGIN_BYTES_MAX = 256 };

static const struct {
    dr_slice path;
    bool is_prefix; /* what follows is the route's own, and not empty */
    unsigned methods;
    void (*open)(const struct http_visit *visit);
} routes[] = {
    {{"/v1/chat/completions", 20}, false, ALLOW_POST, open_chat},
    {{"/v1/chat/completions/", 21}, true, ALLOW_GET, route_chat_events},
    {{"/v1/models", 10}, false, ALLOW_GET, route_models},
    {{"/v1/models/", 11}, true, ALLOW_GET, route_model},
    {{"/v1/account", 11}, false, ALLOW_GET, route_account},
    {{"/v1/account/usage", 17}, false, ALLOW_GET, route_account_usage},
    {{"/v1/receipts/", 13}, true, ALLOW_GET, route_receipt},
    {{"/v1/ws/chat", 11}, false, ALLOW_GET, route_ws_chat},
    {{"/healthz", 8}, false, ALLOW_GET, route_health},
    {{"/readyz", 7}, false, ALLOW_GET, route_ready},
    {{"/debug/ws/echo", 14}, false, ALLOW_GET, route_ws_echo},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

/* --- answering visits
 * --------------------------------------------------------------------------- */

void http_visit_answer(const struct http_visit *visit, uint16_t status, dr_slice body) {
    const dr_slice head = answer_head_plain(visit->worker, visit->cors_origin, 0);
    dr_http_call_answer(visit->call, status, head, body);
}

/* An id that stands in no receipt is told to the log, so that it can be asked about. Strangers fill
 * no disk with that: only who is looking for something has `debug` on. */
static void put_refused_id(struct dr_buf *head, struct worker *worker,
                           const struct refusal *refusal) {
    const dr_slice id = answer_head_put_request_id(head, worker);
    dr_log(refusal->status >= 500 ? DR_LOG_WARN : DR_LOG_DEBUG, "request.refused",
           "id=%.*s status=%u code=%.*s", DR_FMT(id), refusal->status, DR_FMT(refusal->code));
}

/* The worker's scratch gets head and body; the caller may add to the head. */
static struct dr_buf *begin_refusal(const struct http_visit *visit, const struct refusal *refusal) {
    struct worker *worker = visit->worker;
    struct dr_buf *head = &worker->head;
    worker->counters.refused_early++;
    worker->counters.refusals[refusal->reason]++;

    dr_buf_reset(&worker->body);
    refusal_put_json(&worker->body, refusal);
    dr_buf_reset(head);
    dr_buf_put(head, DR_LIT("Content-Type: application/json\r\n"));
    put_refused_id(head, worker, refusal);
    if (refusal->retry_after_s > 0) {
        dr_http1_put_header_u64(head, DR_LIT("Retry-After"), refusal->retry_after_s);
    }
    answer_head_put_cors(head, visit->cors_origin);
    return head;
}

void http_visit_refuse(const struct http_visit *visit, const struct refusal *refusal) {
    struct dr_buf *head = begin_refusal(visit, refusal);
    if (refusal->status == 401) dr_buf_put(head, DR_LIT("WWW-Authenticate: Bearer\r\n"));
    dr_http_call_answer(visit->call, refusal->status, dr_buf_slice(head),
                        dr_buf_slice(&visit->worker->body));
}

/* --- CORS (Fetch standard, section 3.2)
 * --------------------------------------------------------- */

static bool is_loopback_origin(dr_slice origin) {
    static const dr_slice hosts[] = {
        {"http://localhost", 16},  {"http://127.0.0.1", 16},  {"http://[::1]", 12},
        {"https://localhost", 17}, {"https://127.0.0.1", 17}, {"https://[::1]", 13},
    };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (!dr_slice_starts(origin, hosts[i])) continue;
        const dr_slice rest = dr_slice_from(origin, hosts[i].len);
        if (rest.len == 0 || rest.data[0] == ':') return true;
    }
    return false;
}

static dr_slice allowed_origin(const struct config *config, const struct dr_http1_head *head) {
    const dr_slice origin = dr_http1_header(head, DR_LIT("origin"));
    if (origin.len == 0 || origin.len > ORIGIN_BYTES_MAX) return DR_NONE;
    if (config->allows_loopback_origins && is_loopback_origin(origin)) return origin;
    for (size_t i = 0; i < config->cors_origin_count; i++) {
        const dr_slice allowed = config->cors_origins[i];
        if (dr_slice_is(allowed, DR_LIT("*")) || dr_slice_is_nocase(allowed, origin)) return origin;
    }
    return DR_NONE;
}

static void put_allow(struct dr_buf *head, unsigned methods) {
    dr_buf_put(head, methods & ALLOW_POST ? DR_LIT("POST, OPTIONS\r\n")
                                          : DR_LIT("GET, HEAD, OPTIONS\r\n"));
}

/* OPTIONS: what the address takes, and a preflight's permission where the origin is allowed. */
static void answer_options(const struct http_visit *visit, unsigned methods) {
    struct dr_buf *head = &visit->worker->head;
    dr_buf_reset(head);
    (void)answer_head_put_request_id(head, visit->worker);
    dr_buf_put(head, DR_LIT("Allow: "));
    put_allow(head, methods);
    if (visit->cors_origin.len > 0) {
        answer_head_put_cors(head, visit->cors_origin);
        dr_buf_put(head, DR_LIT("Access-Control-Allow-Methods: "));
        put_allow(head, methods);
        const dr_slice asked =
            dr_http1_header(visit->head, DR_LIT("access-control-request-headers"));
        if (asked.len > 0 && asked.len <= 1024) {
            dr_buf_put(head, DR_LIT("Access-Control-Allow-Headers: "));
            dr_buf_put(head, asked);
            dr_buf_put(head, DR_LIT("\r\n"));
        }
        dr_buf_put(head, DR_LIT("Access-Control-Max-Age: 600\r\n"));
    }
    dr_http_call_answer(visit->call, 204, dr_buf_slice(head), DR_NONE);
}

/* --- chat
 * --------------------------------------------------------------------------------------- */

/* The body must be JSON as it stands; a missing media type is taken for JSON. */
static bool has_json_body(const struct dr_http1_head *head) {
    const dr_slice coding = dr_http1_header(head, DR_LIT("content-encoding"));
    if (coding.len > 0 && !dr_slice_is_nocase(coding, DR_LIT("identity"))) return false;
    const dr_slice type = dr_http1_header(head, DR_LIT("content-type"));
    if (type.len == 0) return true;
    const dr_slice essence = dr_slice_trim(dr_slice_first(type, dr_slice_find_char(type, ';')));
    return dr_slice_is_nocase(essence, DR_LIT("application/json"));
}

static void open_chat(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    const dr_slice resumable = dr_http1_header(visit->head, DR_LIT("x-drover-resumable"));
    const bool is_kept_on = dr_slice_is_nocase(resumable, DR_LIT("true"));
    struct exchange *exchange =
        exchange_open(worker, is_kept_on ? &downstream_json_kept : &downstream_json, visit->call);
    if (!exchange) {
        const struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        http_visit_refuse(visit, &refusal);
        return;
    }
    dr_http_call_set_owner(visit->call, &exchange->downstream.owner);
    exchange->authorization = dr_http1_header(visit->head, DR_LIT("authorization"));
    bool is_kept = true;
    if (visit->cors_origin.len > 0) {
        is_kept = dr_arena_copy(&exchange->arena, visit->cors_origin, &exchange->cors_origin);
    }
    if (is_kept && exchange->edition->snapshot->config->is_demo) {
        const dr_slice fault = dr_http1_header(visit->head, DR_LIT("x-sim-fault"));
        is_kept = fault.len == 0 || dr_arena_copy(&exchange->arena, fault, &exchange->sim_fault);
    }
    exchange->has_json_body = has_json_body(visit->head);
    if (!is_kept) exchange_refuse_for(exchange, REFUSAL_INTERNAL_ERROR);
    pipeline_run(exchange);
}

/* --- the service
 * -------------------------------------------------------------------------------- */

static bool is_allowed(unsigned methods, enum dr_http1_method method) {
    if (method == DR_HTTP1_POST) return methods & ALLOW_POST;
    if (method == DR_HTTP1_GET || method == DR_HTTP1_METHOD_HEAD) return methods & ALLOW_GET;
    return false;
}

static void refuse_method(const struct http_visit *visit, unsigned methods) {
    const struct refusal refusal = refusal_of(REFUSAL_METHOD_NOT_ALLOWED);
    struct dr_buf *head = begin_refusal(visit, &refusal);
    dr_buf_put(head, DR_LIT("Allow: "));
    put_allow(head, methods);
    dr_http_call_answer(visit->call, refusal.status, dr_buf_slice(head),
                        dr_buf_slice(&visit->worker->body));
}

static void front_opened(void *service_owner, struct dr_http_call *call,
                         const struct dr_http1_head *head) {
    struct worker *worker = service_owner;
    struct http_visit visit = {
        .worker = worker,
        .call = call,
        .head = head,
        .query = head->target,
        .cors_origin = allowed_origin(worker->edition->snapshot->config, head),
    };
    const dr_slice path = dr_slice_split(&visit.query, '?');
    if (head->method == DR_HTTP1_OPTIONS && dr_slice_is(path, DR_LIT("*"))) {
        answer_options(&visit, ALLOW_GET);
        return;
    }
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const bool is_here = routes[i].is_prefix ? path.len > routes[i].path.len &&
                                                       dr_slice_starts(path, routes[i].path)
                                                 : dr_slice_is(path, routes[i].path);
        if (!is_here) continue;
        visit.rest = dr_slice_from(path, routes[i].path.len);
        if (head->method == DR_HTTP1_OPTIONS) {
            answer_options(&visit, routes[i].methods);
        } else if (!is_allowed(routes[i].methods, head->method)) {
            refuse_method(&visit, routes[i].methods);
        } else {
            routes[i].open(&visit);
        }
        return;
    }
    const struct refusal refusal = refusal_of(REFUSAL_NOT_FOUND);
    http_visit_refuse(&visit, &refusal);
}

static void front_body(void *call_owner, dr_slice body) {
    const struct http_owner *owner = call_owner;
    /* Lookups are started by the head alone: a body of theirs means nothing. */
    if (owner->kind == HTTP_OWNER_EXCHANGE) exchange_take_body(owner->object, body);
}

static void front_gone(void *call_owner) {
    const struct http_owner *owner = call_owner;
    switch (owner->kind) {
    case HTTP_OWNER_EXCHANGE: exchange_note_gone(owner->object); break;
    case HTTP_OWNER_LOOKUP: lookup_note_gone(owner->object); break;
    case HTTP_OWNER_FOLLOW: sse_follow_note_gone(owner->object); break;
    }
}

static void front_drained(void *call_owner) {
    const struct http_owner *owner = call_owner;
    if (owner->kind == HTTP_OWNER_EXCHANGE) exchange_note_drained(owner->object);
    if (owner->kind == HTTP_OWNER_FOLLOW) sse_follow_note_drained(owner->object);
}

/* An exchange is answered, and settled, under its own id. */
static bool front_refuse_call(void *call_owner, uint16_t status, const char *text) {
    const struct http_owner *owner = call_owner;
    if (owner->kind != HTTP_OWNER_EXCHANGE) return false;
    struct exchange *exchange = owner->object;
    struct refusal refusal = refusal_of_status(status, dr_slice_text(text));
    if (status == 503 && !exchange->worker->is_draining) {
        refusal = refusal_of(REFUSAL_INTERNAL_ERROR); /* there was no memory for its body */
    }
    exchange_refuse(exchange, &refusal);
    pipeline_run(owner->object);
    return true;
}

static void front_refuse(void *service_owner, uint16_t status, const char *text,
                         struct dr_buf *body) {
    struct worker *worker = service_owner;
    const struct refusal refusal = refusal_of_status(status, dr_slice_text(text));
    worker->counters.refused_early++;
    worker->counters.refusals[refusal.reason]++;
    refusal_put_json(body, &refusal);
}

static void front_put_refusal_headers(void *service_owner, uint16_t status,
                                      struct dr_buf *headers) {
    const struct refusal refusal = refusal_of_status(status, DR_NONE);
    put_refused_id(headers, service_owner, &refusal);
    if (status == 503) dr_buf_put(headers, DR_LIT("Retry-After: 1\r\n"));
}

static void front_disconnected(void *service_owner) {
    struct worker *worker = service_owner;
    dr_listener_note_closed(worker->listener);
    worker_note_idle(worker);
}

const struct dr_http_service http_front_service = {
    .opened = front_opened,
    .body = front_body,
    .gone = front_gone,
    .drained = front_drained,
    .refuse_call = front_refuse_call,
    .refuse = front_refuse,
    .disconnected = front_disconnected,
    .put_refusal_headers = front_put_refusal_headers,
};
