/* HTTP for the operator: who may ask, which route, and the way to the store's thread and back. Must
 * not answer from the books itself (that is the desk's), nor look into a worker other than by an
 * inspection.
 *
 *   opened ─► (refused, health)               answered at once
 *          ─► body ─► metrics, ready, status  inspect() goes round the workers ─► answered
 *                  ─► reload, drain           done, then as status: all workers have it
 *                  ─► desk                    store's thread ─► keys published? ─► answered
 *
 * A request belongs to its call until its work begins, then to the work; a client that leaves
 * meanwhile only takes `call` away. */
#include "admin/admin.h"

#include "admin/desk.h"
#include "admin/metrics.h"
#include "admin/admin_status.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "gateway/control.h"
#include "gateway/inspect.h"
#include "gateway/refusal.h"
#include "net/address.h"
#include "net/http1_write.h"
#include "net/http_server.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 256,
    HEAD_BYTES_MAX = 4096,
    METRICS_BYTES_MAX = 64 * 1024 * 1024,
    URL_BYTES = 300,
};

enum admin_work {
    WORK_HEALTH,
    WORK_READY,
    WORK_METRICS,
    WORK_STATUS,
    WORK_RELOAD,
    WORK_DRAIN,
    WORK_DESK
};

static const struct {
    dr_slice path;
    unsigned method;
    bool needs_key;
    enum admin_work work;
} routes[] = {
    {{"/healthz", 8}, DESK_GET, false, WORK_HEALTH},
    {{"/readyz", 7}, DESK_GET, false, WORK_READY},
    {{"/metrics", 8}, DESK_GET, false, WORK_METRICS},
    {{"/admin/v1/status", 16}, DESK_GET, true, WORK_STATUS},
    {{"/admin/v1/reload", 16}, DESK_POST, true, WORK_RELOAD},
    {{"/admin/v1/drain", 15}, DESK_POST, true, WORK_DRAIN},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

const char *admin_route_text(size_t index) {
    static const char *const texts[] = {"GET status", "POST reload", "POST drain"};
    return index < sizeof texts / sizeof texts[0] ? texts[index] : NULL;
}

struct admin {
    struct dr_loop *loop;
    struct server *server; /* NULL when closed */
    struct dr_http_server *http;
    struct dr_listener *listener;
    struct dr_json_reader *json; /* the store's thread alone */
    struct dr_entropy entropy;
    struct dr_buf head; /* scratch */
    struct dr_buf body;
    size_t request_count; /* whose memory is there */
    bool is_closing;
    struct dr_deferred settle_closed;
    char url_path[PATH_MAX];
};

struct admin_request {
    struct admin *admin;
    struct dr_http_call *call; /* NULL when the client has left */
    enum admin_work work;
    bool has_begun;
    bool is_now; /* drain */
    int parts_left;
    struct inspection inspection;
    struct control_job job;
    struct control_publication publication;
    struct desk_ask ask;
    struct dr_buf answer;
    char request_id[REQUEST_ID_BYTES];
};

/* --- answers ------------------------------------------------------------------------------- */

static void make_request_id(struct admin *admin, char text[REQUEST_ID_BYTES]) {
    uint8_t random[16];
    dr_entropy_take(&admin->entropy, random, sizeof random);
    request_id_write(dr_loop_wall(admin->loop), random, text);
}

static void put_request_id(struct dr_buf *head, const char text[REQUEST_ID_BYTES]) {
    dr_http1_put_header(head, DR_LIT("x-request-id"), dr_slice_of(text, REQUEST_ID_BYTES));
}

/* Keys and balances are in these answers: no one may keep them. */
static struct dr_buf *start_head(struct admin *admin, dr_slice media_type,
                                 const char request_id[REQUEST_ID_BYTES]) {
    struct dr_buf *head = &admin->head;
    dr_buf_reset(head);
    dr_http1_put_header(head, DR_LIT("Content-Type"), media_type);
    put_request_id(head, request_id);
    dr_buf_put(head, DR_LIT("Cache-Control: no-store\r\n"));
    return head;
}

static void put_allow(struct dr_buf *head, unsigned methods) {
    dr_buf_put(head, DR_LIT("Allow: "));
    if (methods & DESK_GET) dr_buf_put(head, DR_LIT("GET, HEAD, "));
    if (methods & DESK_POST) dr_buf_put(head, DR_LIT("POST, "));
    dr_buf_put(head, DR_LIT("OPTIONS\r\n"));
}

/* `methods` 0: no Allow line. */
static void refuse(struct admin *admin, struct dr_http_call *call, const struct refusal *refusal,
                   unsigned methods) {
    char request_id[REQUEST_ID_BYTES];
    make_request_id(admin, request_id);
    struct dr_buf *head = start_head(admin, DR_LIT("application/json"), request_id);
    if (methods != 0) put_allow(head, methods);
    if (refusal->status == 401) dr_buf_put(head, DR_LIT("WWW-Authenticate: Bearer\r\n"));
    if (refusal->retry_after_s > 0) {
        dr_http1_put_header_u64(head, DR_LIT("Retry-After"), refusal->retry_after_s);
    }
    dr_buf_reset(&admin->body);
    refusal_put_json(&admin->body, refusal);
    dr_http_call_answer(call, refusal->status, dr_buf_slice(head), dr_buf_slice(&admin->body));
}

static void refuse_for(struct admin *admin, struct dr_http_call *call, enum refusal_reason reason) {
    const struct refusal refusal = refusal_of(reason);
    refuse(admin, call, &refusal, 0);
}

static void note_closed(struct admin *admin) {
    if (admin->is_closing) dr_deferred_queue(&admin->settle_closed, admin->loop);
}

static void request_free(struct admin_request *request) {
    struct admin *admin = request->admin;
    if (request->answer.data) dr_wipe(request->answer.data, request->answer.len);
    dr_buf_clear(&request->answer);
    dr_arena_clear(&request->ask.arena);
    dr_free(request);
    admin->request_count--;
    note_closed(admin);
}

static void log_failed(const char request_id[REQUEST_ID_BYTES], dr_slice path) {
    dr_log(DR_LOG_ERROR, "admin.failed", "id=%.*s path=%.*s", REQUEST_ID_BYTES, request_id,
           DR_FMT(dr_slice_first(path, 128)));
}

/* The request is gone afterwards. */
static void request_answer(struct admin_request *request, uint16_t status, dr_slice media_type) {
    struct admin *admin = request->admin;
    if (dr_buf_status(&request->answer) != DR_OK) {
        const struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        dr_buf_reset(&request->answer);
        refusal_put_json(&request->answer, &refusal);
        status = refusal.status;
        media_type = DR_LIT("application/json");
    }
    if (status == 500) {
        log_failed(request->request_id, request->ask.path);
    } else if (request->ask.method == DESK_POST) {
        dr_log(DR_LOG_INFO, "admin.done", "id=%.*s path=%.*s status=%u", REQUEST_ID_BYTES,
               request->request_id, DR_FMT(dr_slice_first(request->ask.path, 128)), status);
    }
    if (request->call) {
        struct dr_buf *head = start_head(admin, media_type, request->request_id);
        if (status == 503) {
            const uint32_t retry_after_s = request->ask.retry_after_s;
            dr_http1_put_header_u64(head, DR_LIT("Retry-After"), retry_after_s ? retry_after_s : 1);
        }
        dr_http_call_answer(request->call, status, dr_buf_slice(head),
                            dr_buf_slice(&request->answer));
    }
    request_free(request);
}

/* --- looking and changing ------------------------------------------------------------------- */

/* On the server's thread. */
static void request_inspected(struct inspection *inspection) {
    struct admin_request *request = inspection->owner;
    dr_slice media_type = DR_LIT("application/json");
    uint16_t status = 200;
    if (inspection->is_short) {
        const struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        refusal_put_json(&request->answer, &refusal);
        status = refusal.status;
    } else if (request->work == WORK_METRICS) {
        media_type = DR_LIT("text/plain; version=0.0.4; charset=utf-8");
        metrics_put(&request->answer, inspection);
    } else if (request->work == WORK_READY) {
        status = admin_status_put_ready(&request->answer, inspection);
    } else {
        admin_status_put(&request->answer, inspection, request->admin->server);
    }
    inspection_clear(inspection);
    request_answer(request, status, media_type);
}

static void request_reload(struct admin_request *request) {
    struct server *server = request->admin->server;
    struct dr_error error = {0};
    if (server_reload(server, &error) == DR_OK) {
        /* The round reaches each worker behind the new configuration. */
        inspect(server, &request->inspection, request_inspected, request);
        return;
    }
    char text[sizeof error.text + 64];
    struct refusal refusal = refusal_of(REFUSAL_INVALID_REQUEST);
    (void)snprintf(text, sizeof text, "Not reloaded; the old configuration stays: %s.", error.text);
    refusal.message = dr_slice_text(text);
    refusal_put_json(&request->answer, &refusal);
    request_answer(request, refusal.status, DR_LIT("application/json"));
}

static void request_drain(struct admin_request *request) {
    struct server *server = request->admin->server;
    /* Once more would cut the running requests, which nobody asked for by asking twice. */
    if (!server_is_draining(server)) server_drain(server);
    if (request->is_now) server_drain(server);
    inspect(server, &request->inspection, request_inspected, request);
}

/* --- the desk ------------------------------------------------------------------------------ */

static void request_part_done(struct admin_request *request) {
    if (--request->parts_left > 0) return;
    request_answer(request, request->ask.status, DR_LIT("application/json"));
}

static void request_job_done(struct control_job *job) {
    request_part_done(dr_list_item(job, struct admin_request, job));
}

static void request_published(struct control_publication *publication) {
    request_part_done(dr_list_item(publication, struct admin_request, publication));
}

static enum dr_status topup(void *owner, struct store *store, dr_slice account_id, money amount,
                            dr_slice reference, dr_wall now, struct dr_error *error) {
    return control_topup(owner, store, account_id, amount, reference, now, error);
}

/* On the store's thread. */
static void request_job_run(struct control_job *job, struct store *store) {
    struct admin_request *request = dr_list_item(job, struct admin_request, job);
    struct desk_ask *ask = &request->ask;
    struct dr_error error = {0};
    ask->store = store;
    ask->is_stale = job->is_stale;
    ask->json = request->admin->json;
    request->parts_left = 1;
    desk_answer(ask);
    if (!ask->has_changed_keys) return;
    request->publication.done = request_published;
    request->parts_left = 2;
    if (control_publish_keys(job->server, store, &request->publication, &error) == DR_OK) return;
    request->parts_left = 1;
    struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
    refusal.message =
        DR_LIT("The key was changed in the books, but the gateway had no memory to learn of it. "
               "It does with the next change of a key, or when it is started again.");
    desk_refuse(ask, &refusal);
}

/* The configuration may be replaced while the store's thread is asked: its rates are copied. */
static bool copy_rates(struct desk_ask *ask, const struct config *config) {
    if (config->rate_count == 0) return true;
    struct desk_rate *rates = dr_arena_alloc(&ask->arena, config->rate_count * sizeof *rates);
    if (!rates) return false;
    for (size_t i = 0; i < config->rate_count; i++) {
        rates[i].usd_per_unit = config->rates[i].usd_per_unit;
        if (!dr_arena_copy(&ask->arena, config->rates[i].currency, &rates[i].currency)) {
            return false;
        }
    }
    ask->rates = rates;
    ask->rate_count = config->rate_count;
    return true;
}

static void request_desk(struct admin_request *request, dr_slice body) {
    struct desk_ask *ask = &request->ask;
    struct server *server = request->admin->server;
    ask->now = dr_loop_wall(request->admin->loop);
    ask->topup = topup;
    ask->owner = server;
    ask->answer = &request->answer;
    ask->path = dr_slice_from(ask->path, sizeof "/admin/v1/" - 1);
    if (!dr_arena_copy(&ask->arena, body, &ask->body) || !copy_rates(ask, server_config(server))) {
        const struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        desk_refuse(ask, &refusal);
        request_answer(request, ask->status, DR_LIT("application/json"));
        return;
    }
    request->job.run = request_job_run;
    request->job.done = request_job_done;
    request->job.needs_fresh_records = true;
    control_submit(server, &request->job);
}

/* --- requests ------------------------------------------------------------------------------ */

/* Compared by digest, so that the time tells neither content nor length. */
static bool has_admin_key(const struct config *config, const struct dr_http1_head *head,
                          enum refusal_reason *ret_reason) {
    static const char scheme[] = "bearer ";
    const size_t len = sizeof scheme - 1;
    const dr_slice line = dr_http1_header(head, DR_LIT("authorization"));
    const bool is_bearer = dr_slice_is_nocase(dr_slice_first(line, len), dr_slice_of(scheme, len));
    const dr_slice key = is_bearer ? dr_slice_trim(dr_slice_from(line, len)) : DR_NONE;
    if (config->admin_key.len == 0) {
        *ret_reason = REFUSAL_ADMIN_OFF;
        return false;
    }
    const struct dr_sha256 given = dr_sha256(key);
    const struct dr_sha256 wanted = dr_sha256(config->admin_key);
    *ret_reason = REFUSAL_ADMIN_KEY;
    return dr_equal_constant_time(dr_slice_of((const char *)given.bytes, sizeof given.bytes),
                                  dr_slice_of((const char *)wanted.bytes, sizeof wanted.bytes));
}

/* The body must be JSON as it stands; a missing media type is taken for JSON. */
static bool has_json_body(const struct dr_http1_head *head) {
    const dr_slice coding = dr_http1_header(head, DR_LIT("content-encoding"));
    if (coding.len > 0 && !dr_slice_is_nocase(coding, DR_LIT("identity"))) return false;
    const dr_slice type = dr_http1_header(head, DR_LIT("content-type"));
    if (type.len == 0 || !head->has_body) return true;
    const dr_slice essence = dr_slice_trim(dr_slice_first(type, dr_slice_find_char(type, ';')));
    return dr_slice_is_nocase(essence, DR_LIT("application/json"));
}

static void open_request(struct admin *admin, struct dr_http_call *call,
                         const struct dr_http1_head *head, enum admin_work work, dr_slice path,
                         dr_slice query) {
    struct admin_request *request = dr_alloc_zero(1, sizeof *request);
    if (!request) {
        refuse_for(admin, call, REFUSAL_INTERNAL_ERROR);
        return;
    }
    admin->request_count++;
    request->admin = admin;
    request->call = call;
    request->work = work;
    request->is_now = dr_slice_is(query, DR_LIT("now=true"));
    request->ask.method = head->method == DR_HTTP1_POST ? DESK_POST : DESK_GET;
    make_request_id(admin, request->request_id);
    dr_arena_init(&request->ask.arena, DESK_ARENA_BYTES_MAX, NULL);
    dr_buf_init(&request->answer, work == WORK_METRICS ? METRICS_BYTES_MAX : DESK_ANSWER_BYTES_MAX);
    if (!dr_arena_copy(&request->ask.arena, path, &request->ask.path) ||
        !dr_arena_copy(&request->ask.arena, query, &request->ask.query)) {
        request_free(request);
        refuse_for(admin, call, REFUSAL_INTERNAL_ERROR);
        return;
    }
    dr_http_call_set_owner(call, request);
    dr_http_call_set_body_max(call, DESK_BODY_BYTES_MAX);
}

static void answer_options(struct admin *admin, struct dr_http_call *call, unsigned methods) {
    char request_id[REQUEST_ID_BYTES];
    make_request_id(admin, request_id);
    dr_buf_reset(&admin->head);
    put_request_id(&admin->head, request_id);
    put_allow(&admin->head, methods);
    dr_http_call_answer(call, 204, dr_buf_slice(&admin->head), DR_NONE);
}

static void answer_health(struct admin *admin, struct dr_http_call *call) {
    char request_id[REQUEST_ID_BYTES];
    make_request_id(admin, request_id);
    const struct dr_buf *head = start_head(admin, DR_LIT("application/json"), request_id);
    dr_http_call_answer(call, 200, dr_buf_slice(head), DR_LIT("{\"status\":\"ok\"}"));
}

/* Which methods the path takes (0: nothing there), and what they do. */
static unsigned find_route(dr_slice path, enum admin_work *ret_work) {
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!dr_slice_is(path, routes[i].path)) continue;
        *ret_work = routes[i].work;
        return routes[i].method;
    }
    *ret_work = WORK_DESK;
    if (!dr_slice_starts(path, DR_LIT("/admin/v1/"))) return 0;
    return desk_methods(dr_slice_from(path, sizeof "/admin/v1/" - 1));
}

static void admin_opened(void *service_owner, struct dr_http_call *call,
                         const struct dr_http1_head *head) {
    struct admin *admin = service_owner;
    dr_slice query = head->target;
    const dr_slice path = dr_slice_split(&query, '?');
    enum admin_work work;
    enum refusal_reason reason;
    const bool is_ours = dr_slice_starts(path, DR_LIT("/admin/"));
    const unsigned methods = find_route(path, &work);
    const unsigned method = head->method == DR_HTTP1_POST ? DESK_POST
                            : head->method == DR_HTTP1_GET || head->method == DR_HTTP1_METHOD_HEAD
                                ? DESK_GET
                                : 0;

    if (is_ours && head->method != DR_HTTP1_OPTIONS &&
        !has_admin_key(server_config(admin->server), head, &reason)) {
        refuse_for(admin, call, reason);
    } else if (methods == 0) {
        struct refusal refusal = refusal_of(REFUSAL_NOT_FOUND);
        refusal.message = DR_LIT("There is nothing at this address. The admin API is at "
                                 "/admin/v1/, numbers are at /metrics.");
        refuse(admin, call, &refusal, 0);
    } else if (head->method == DR_HTTP1_OPTIONS) {
        answer_options(admin, call, methods);
    } else if (!(methods & method)) {
        const struct refusal refusal = refusal_of(REFUSAL_METHOD_NOT_ALLOWED);
        refuse(admin, call, &refusal, methods);
    } else if (method == DESK_POST && !has_json_body(head)) {
        refuse_for(admin, call, REFUSAL_UNSUPPORTED_MEDIA_TYPE);
    } else if (work == WORK_HEALTH) {
        answer_health(admin, call);
    } else {
        open_request(admin, call, head, work, path, query);
    }
}

static void admin_body(void *call_owner, dr_slice body) {
    struct admin_request *request = call_owner;
    struct admin *admin = request->admin;
    request->has_begun = true;
    switch (request->work) {
    case WORK_READY:
    case WORK_METRICS:
    case WORK_STATUS:
        inspect(admin->server, &request->inspection, request_inspected, request);
        return;
    case WORK_RELOAD: request_reload(request); return;
    case WORK_DRAIN: request_drain(request); return;
    case WORK_DESK: request_desk(request, body); return;
    case WORK_HEALTH: break; /* answered by its head */
    }
    dr_unreachable();
}

static void admin_gone(void *call_owner) {
    struct admin_request *request = call_owner;
    request->call = NULL; /* freed when the work comes back */
    if (!request->has_begun) request_free(request);
}

static void admin_drained(void *call_owner) {
    (void)call_owner;
}

static void admin_refuse(void *service_owner, uint16_t status, const char *text,
                         struct dr_buf *body) {
    (void)service_owner;
    const struct refusal refusal = refusal_of_status(status, dr_slice_text(text));
    refusal_put_json(body, &refusal);
}

static void admin_put_refusal_headers(void *service_owner, uint16_t status,
                                      struct dr_buf *headers) {
    char request_id[REQUEST_ID_BYTES];
    make_request_id(service_owner, request_id);
    put_request_id(headers, request_id);
    if (status == 503) dr_buf_put(headers, DR_LIT("Retry-After: 1\r\n"));
}

static void admin_disconnected(void *service_owner) {
    struct admin *admin = service_owner;
    dr_listener_note_closed(admin->listener);
    note_closed(admin);
}

static const struct dr_http_service admin_service = {
    .opened = admin_opened,
    .body = admin_body,
    .gone = admin_gone,
    .drained = admin_drained,
    .refuse = admin_refuse,
    .disconnected = admin_disconnected,
    .put_refusal_headers = admin_put_refusal_headers,
};

/* --- life ---------------------------------------------------------------------------------- */

/* As on the front (gateway/snapshot_shared.c), whatever the configuration is by now. */
static struct dr_http_server_options http_options(const struct config *config) {
    return (struct dr_http_server_options){
        .limits = {.head_bytes_max = config->head_bytes_max,
                   .headers_max = config->headers_max,
                   .chunk_extension_bytes_max = 256,
                   .trailer_bytes_max = 4096,
                   .body_bytes_max = config->body_bytes_max},
        .head_ms = config->request_head_ms,
        .body_ms = config->request_body_ms,
        .idle_ms = config->idle_ms,
        .write_ms = config->between_bytes_ms,
    };
}

static void admin_accepted(void *owner, struct dr_stream *stream) {
    struct admin *admin = owner;
    if (admin->server) {
        const struct dr_http_server_options options = http_options(server_config(admin->server));
        dr_http_server_set_options(admin->http, &options);
    }
    dr_http_server_take(admin->http, stream);
}

/* For people and commands: an address for all interfaces is reached by loopback. */
static void write_url(struct admin *admin, const struct config *config) {
    char text[URL_BYTES];
    dr_slice host;
    uint16_t port;
    const int path_len =
        snprintf(admin->url_path, sizeof admin->url_path, "%s/admin.url", config->data);
    if (path_len < 0 || (size_t)path_len >= sizeof admin->url_path ||
        !dr_address_split(config->admin_listen, &host, &port)) {
        admin->url_path[0] = '\0';
        return;
    }
    if (host.len == 0 || dr_slice_is(host, DR_LIT("0.0.0.0")) || dr_slice_is(host, DR_LIT("::"))) {
        host = DR_LIT("127.0.0.1");
    }
    const bool is_bracketed = dr_slice_find_char(host, ':') < host.len;
    const int len = snprintf(text, sizeof text, "http://%s%.*s%s:%u\n", is_bracketed ? "[" : "",
                             DR_FMT(host), is_bracketed ? "]" : "", admin_port(admin));
    const int descriptor =
        open(admin->url_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_written = false;
    if (descriptor >= 0) {
        is_written = len > 0 && (size_t)len < sizeof text &&
                     write(descriptor, text, (size_t)len) == (ssize_t)len;
        close(descriptor);
    }
    if (!is_written) {
        dr_log(DR_LOG_WARN, "admin.url_lost", "file=\"%s\" reason=\"%s\"", admin->url_path,
               strerror(errno));
    }
}

static void admin_free(struct admin *admin) {
    dr_deferred_cancel(&admin->settle_closed);
    dr_http_server_free(admin->http);
    dr_json_reader_free(admin->json);
    dr_buf_clear(&admin->head);
    dr_buf_clear(&admin->body);
    dr_free(admin);
}

/* At the end of a turn, when nobody is inside a connection any more. */
static void check_closed(void *owner) {
    struct admin *admin = owner;
    if (admin->request_count == 0 && dr_http_server_connection_count(admin->http) == 0) {
        admin_free(admin);
    }
}

enum dr_status admin_open(struct dr_loop *loop, struct server *server, struct admin **ret_admin,
                          struct dr_error *error) {
    const struct config *config = server_config(server);
    const struct dr_http_server_options http = http_options(config);
    const struct dr_listener_options listener = {
        .address = config->admin_listen,
        .connections_max = CONNECTIONS_MAX,
        .accepted = admin_accepted,
    };
    struct admin *admin = dr_alloc_zero(1, sizeof *admin);
    if (!admin) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    admin->loop = loop;
    admin->server = server;
    dr_buf_init(&admin->head, HEAD_BYTES_MAX);
    dr_buf_init(&admin->body, DESK_BODY_BYTES_MAX);
    dr_deferred_init(&admin->settle_closed, admin, check_closed);
    admin->json = dr_json_reader_new();
    enum dr_status status = admin->json ? DR_OK : dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    if (!status) {
        status = dr_http_server_new(loop, &admin_service, admin, &http, &admin->http, error);
    }
    if (!status) {
        struct dr_listener_options options = listener;
        options.owner = admin;
        status = dr_listener_open(loop, &options, NULL, &admin->listener, error);
    }
    if (status) {
        admin_free(admin);
        return status;
    }
    write_url(admin, config);
    if (config->admin_key.len == 0) {
        dr_log(DR_LOG_INFO, "admin.off",
               "reason=\"no admin.key in the configuration: only health and metrics answer\"");
    }
    *ret_admin = admin;
    return DR_OK;
}

uint16_t admin_port(const struct admin *admin) {
    return dr_listener_port(admin->listener);
}

void admin_close(struct admin *admin) {
    if (!admin) return;
    if (admin->url_path[0]) (void)unlink(admin->url_path);
    admin->is_closing = true;
    admin->server = NULL;
    dr_listener_close(admin->listener);
    dr_http_server_drain(admin->http);
    dr_http_server_close_all(admin->http);
    dr_deferred_queue(&admin->settle_closed, admin->loop);
}
