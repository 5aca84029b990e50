/* The routes that only look. Those that need the store are lookups: a job on the bookkeeper's
 * thread, whose result comes back by the worker's mailbox. Must not change anything. */
#include "gateway/routes.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/answer_head.h"
#include "gateway/authenticate.h"
#include "gateway/http_front.h"
#include "gateway/rate_shared.h"
#include "gateway/worker.h"

/* --- who looks
 * ---------------------------------------------------------------------------------- */

static const struct key_table_row *visitor(const struct http_visit *visit) {
    const struct key_table_row *row = NULL;
    enum refusal_reason reason;
    if (identify(visit->worker->edition->keys,
                 dr_http1_header(visit->head, DR_LIT("authorization")),
                 dr_loop_wall(visit->worker->loop), &row, &reason)) {
        return row;
    }
    const struct refusal refusal = refusal_of(reason);
    http_visit_refuse(visit, &refusal);
    return NULL;
}

static void refuse_for(const struct http_visit *visit, enum refusal_reason reason) {
    const struct refusal refusal = refusal_of(reason);
    http_visit_refuse(visit, &refusal);
}

/* The worker's scratch body holds nearly every answer; a long list of models may exceed it. */
static void answer_scratch(const struct http_visit *visit) {
    struct dr_buf *body = &visit->worker->body;
    if (dr_buf_status(body) != DR_OK) {
        refuse_for(visit, REFUSAL_INTERNAL_ERROR);
        return;
    }
    http_visit_answer(visit, 200, dr_buf_slice(body));
}

/* --- health
 * ------------------------------------------------------------------------------------- */

void route_health(const struct http_visit *visit) {
    http_visit_answer(visit, 200, DR_LIT("{\"status\":\"ok\"}"));
}

static void answer_unready(const struct http_visit *visit, dr_slice body) {
    dr_http_call_answer(visit->call, 503, answer_head_plain(visit->worker, visit->cors_origin, 1),
                        body);
}

void route_ready(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    if (worker->is_draining) {
        answer_unready(visit, DR_LIT("{\"status\":\"draining\"}"));
    } else if (!journal_reserve(worker->journal, dr_loop_now(worker->loop))) {
        /* Asked for, not looked up: once no requests come because of this answer, nobody else
         * would find out that space has been freed. */
        answer_unready(visit, DR_LIT("{\"status\":\"storage_full\"}"));
    } else {
        journal_release(worker->journal);
        http_visit_answer(visit, 200, DR_LIT("{\"status\":\"ready\"}"));
    }
}

/* --- models
 * ------------------------------------------------------------------------------------- */

/* A price in dollars per million tokens: nano-dollars are the same digits, shifted. */
static void put_price(struct dr_buf *body, int64_t nanousd_per_million) {
    money_put(body, (money){nanousd_per_million});
}

static void put_model(struct dr_buf *body, const struct catalog_model *model, dr_slice id,
                      int64_t created_s) {
    const struct price *list = &model->targets[0].list_price;
    dr_buf_put(body, DR_LIT("{\"id\":"));
    dr_json_put_string(body, id);
    dr_buf_format(body,
                  ",\"object\":\"model\",\"created\":%lld,\"owned_by\":", (long long)created_s);
    dr_json_put_string(body, model->targets[0].provider->name);
    dr_buf_put(body, DR_LIT(",\"pricing\":{\"input\":"));
    put_price(body, model->price.input);
    dr_buf_put(body, DR_LIT(",\"output\":"));
    put_price(body, model->price.output);
    dr_buf_put(body, DR_LIT(",\"cached_input\":"));
    put_price(body, model->price.cached_input);
    dr_buf_put(body, DR_LIT(",\"list\":"));
    if (list->input == 0 && list->output == 0) {
        dr_buf_put(body, DR_LIT("null"));
    } else {
        dr_buf_put(body, DR_LIT("{\"input\":"));
        put_price(body, list->input);
        dr_buf_put(body, DR_LIT(",\"output\":"));
        put_price(body, list->output);
        dr_buf_put_char(body, '}');
    }
    dr_buf_put(body, DR_LIT(",\"currency\":\"USD\",\"unit\":\"1M tokens\"}}"));
}

/* A family ("sim:*") is no model that one could ask for by that name. */
static bool is_family(const struct catalog_model *model) {
    return dr_slice_ends(model->name, DR_LIT("*"));
}

void route_models(const struct http_visit *visit) {
    const struct key_table_row *row = visitor(visit);
    if (!row) return;
    struct dr_buf *body = &visit->worker->body;
    const struct snapshot *snapshot = visit->worker->edition->snapshot;
    const struct catalog *catalog = &snapshot->config->catalog;
    dr_buf_reset(body);
    dr_buf_put(body, DR_LIT("{\"object\":\"list\",\"data\":["));
    bool is_first = true;
    for (size_t i = 0; i < catalog->model_count; i++) {
        const struct catalog_model *model = &catalog->models[i];
        if (is_family(model)) continue;
        if (!api_key_allows(&row->key, model->name)) continue;
        if (!is_first) dr_buf_put_char(body, ',');
        is_first = false;
        put_model(body, model, model->name, snapshot->created_s);
    }
    dr_buf_put(body, DR_LIT("]}"));
    answer_scratch(visit);
}

/* Percent-decoding (RFC 3986) into `text`; false when malformed or too long. */
static bool percent_decode(dr_slice coded, char *text, size_t text_len, dr_slice *ret) {
    size_t len = 0;
    for (size_t i = 0; i < coded.len; i++) {
        if (len == text_len) return false;
        if (coded.data[i] != '%') {
            text[len++] = coded.data[i];
            continue;
        }
        uint8_t byte;
        if (i + 2 >= coded.len || !dr_hex_read(dr_slice_of(coded.data + i + 1, 2), &byte, 1)) {
            return false;
        }
        text[len++] = (char)byte;
        i += 2;
    }
    *ret = dr_slice_of(text, len);
    return true;
}

void route_model(const struct http_visit *visit) {
    const struct key_table_row *row = visitor(visit);
    if (!row) return;
    const struct snapshot *snapshot = visit->worker->edition->snapshot;
    char text[256];
    dr_slice name = DR_NONE;
    const struct catalog_model *model = NULL;
    if (percent_decode(visit->rest, text, sizeof text, &name)) {
        model = catalog_find(&snapshot->config->catalog, name);
    }
    if (!model || !api_key_allows(&row->key, name)) {
        struct refusal refusal = refusal_of(REFUSAL_MODEL_NOT_FOUND);
        refusal.param = DR_LIT("model");
        http_visit_refuse(visit, &refusal);
        return;
    }
    dr_buf_reset(&visit->worker->body);
    put_model(&visit->worker->body, model, name, snapshot->created_s);
    answer_scratch(visit);
}

/* --- account
 * ------------------------------------------------------------------------------------ */

static void put_rate(struct dr_buf *body, const struct key_table_row *row, dr_instant now) {
    const uint32_t limit = row->key.requests_per_minute;
    if (limit == 0) {
        dr_buf_put(body, DR_LIT("{\"requests_per_minute\":null,\"requests_remaining\":null,"
                                "\"tokens_per_minute\":null,\"tokens_remaining\":null,"
                                "\"reset_seconds\":0}"));
        return;
    }
    const struct rate_limit_verdict rate = rate_take(row->tally, limit, now, false);
    dr_buf_format(body,
                  "{\"requests_per_minute\":%u,\"requests_remaining\":%u,"
                  "\"tokens_per_minute\":null,\"tokens_remaining\":null,\"reset_seconds\":%lld}",
                  limit, rate.remaining, (long long)((rate.reset_us + 999999) / 1000000));
}

static void put_name(struct dr_buf *body, dr_slice name) {
    if (body->len > 0 && body->data[body->len - 1] != '[') dr_buf_put_char(body, ',');
    dr_json_put_string(body, name);
}

/* `models`: what the key is limited to, or else what GET /v1/models lists. */
static void put_key(struct dr_buf *body, const struct api_key *key, const struct catalog *catalog) {
    dr_buf_put(body, DR_LIT("{\"name\":"));
    dr_json_put_string_or_null(body, key->name);
    dr_buf_put(body, DR_LIT(",\"expires_at\":"));
    if (key->expires.ms == 0) {
        dr_buf_put(body, DR_LIT("null"));
    } else {
        char text[DR_WALL_TEXT_BYTES];
        dr_wall_format(key->expires, text);
        dr_json_put_string(body, dr_slice_text(text));
    }
    dr_buf_put(body, DR_LIT(",\"models\":["));
    if (key->model_count > 0) {
        for (size_t i = 0; i < key->model_count; i++) put_name(body, key->models[i]);
    } else {
        for (size_t i = 0; i < catalog->model_count; i++) {
            if (!is_family(&catalog->models[i])) put_name(body, catalog->models[i].name);
        }
    }
    dr_buf_put(body, DR_LIT("]}"));
}

void route_account(const struct http_visit *visit) {
    const struct key_table_row *row = visitor(visit);
    if (!row) return;
    struct dr_buf *body = &visit->worker->body;
    dr_buf_reset(body);
    dr_buf_put(body, DR_LIT("{\"id\":"));
    dr_json_put_string(body, row->key.account_id);
    dr_buf_put(body, DR_LIT(",\"credits\":"));
    money_put(body, tally_account_balance(row->account));
    dr_buf_put(body, DR_LIT(",\"held\":0,\"currency\":\"USD\",\"rate_limit\":"));
    put_rate(body, row, dr_loop_now(visit->worker->loop));
    dr_buf_put(body, DR_LIT(",\"key\":"));
    put_key(body, &row->key, &visit->worker->edition->snapshot->config->catalog);
    dr_buf_put_char(body, '}');
    answer_scratch(visit);
}

/* --- lookups
 * ------------------------------------------------------------------------------------ */

/* Behind so many bytes of rows the rest is for the next page. */
enum { LOOKUP_BODY_BYTES_MAX = 4 * 1024 * 1024, USAGE_PAGE_BYTES = 1024 * 1024 };

struct lookup {
    struct http_owner owner;
    struct bookkeeper_job job; /* on its way to the store */
    struct dr_message message; /* on its way back */
    struct worker *worker;
    struct dr_http_call *call; /* NULL when the client has left */
    void (*look)(struct lookup *lookup, struct store *store);
    char account_id[ACCOUNT_ID_BYTES];
    char id[REQUEST_ID_BYTES];         /* its own */
    char request_id[REQUEST_ID_BYTES]; /* whose receipt is wanted */
    char origin[256];
    size_t account_id_len;
    size_t origin_len;
    dr_wall from;
    dr_wall to;
    struct refusal refusal; /* when status is not 200 */
    uint16_t status;
    struct dr_buf body;
    uint64_t after;     /* rows of earlier pages */
    uint64_t row_count; /* seen */
    uint64_t next;      /* rows behind which the next page begins; 0: there is none */
    struct store_total sum;
};

void lookup_note_gone(void *lookup) {
    ((struct lookup *)lookup)->call = NULL; /* freed when the store's answer comes back */
}

static void lookup_return(struct dr_message *message) {
    struct lookup *lookup = dr_list_item(message, struct lookup, message);
    struct worker *worker = lookup->worker;
    if (lookup->call) {
        const dr_slice origin = dr_slice_of(lookup->origin, lookup->origin_len);
        dr_slice body = dr_buf_slice(&lookup->body);
        if (lookup->status != 200) {
            worker->counters.refusals[lookup->refusal.reason]++;
            dr_buf_reset(&worker->body);
            refusal_put_json(&worker->body, &lookup->refusal);
            body = dr_buf_slice(&worker->body);
        }
        const dr_slice head = answer_head_lookup(worker, dr_slice_of(lookup->id, REQUEST_ID_BYTES),
                                                 origin, lookup->refusal.retry_after_s);
        dr_http_call_answer(lookup->call, lookup->status, head, body);
    }
    dr_buf_clear(&lookup->body);
    dr_free(lookup);
    worker->lookup_count--;
    worker_note_idle(worker);
}

/* On the store's thread, as what follows. */
static void lookup_refuse(struct lookup *lookup, struct refusal refusal) {
    lookup->refusal = refusal;
    lookup->status = refusal.status;
}

static void lookup_fail(struct lookup *lookup, const struct dr_error *error) {
    lookup_refuse(lookup, refusal_of_failed_books(error));
    if (lookup->status != 500) return;
    dr_log(DR_LOG_ERROR, "lookup.failed", "id=%.*s account=%.*s text=\"%s\"", REQUEST_ID_BYTES,
           lookup->id, (int)lookup->account_id_len, lookup->account_id, error->text);
}

static void lookup_run(struct bookkeeper_job *job, struct store *store) {
    struct lookup *lookup = dr_list_item(job, struct lookup, job);
    lookup->status = 200;
    lookup->look(lookup, store);
    const enum dr_status status = dr_buf_status(&lookup->body);
    if (lookup->status == 200 && status != DR_OK) {
        struct dr_error error;
        (void)dr_fail(&error, status, 0, "%s",
                      status == DR_NO_MEMORY ? "out of memory" : "the answer is too large");
        lookup_fail(lookup, &error);
    }
    lookup->message.run = lookup_return;
    worker_post(lookup->worker, &lookup->message);
}

static struct lookup *lookup_new(const struct http_visit *visit, const struct key_table_row *row) {
    struct lookup *lookup = dr_alloc_zero(1, sizeof *lookup);
    if (!lookup || row->key.account_id.len > sizeof lookup->account_id) {
        dr_free(lookup);
        refuse_for(visit, REFUSAL_INTERNAL_ERROR);
        return NULL;
    }
    lookup->owner = (struct http_owner){HTTP_OWNER_LOOKUP, lookup};
    lookup->worker = visit->worker;
    lookup->call = visit->call;
    worker_take_request_id(visit->worker, lookup->id);
    memcpy(lookup->account_id, row->key.account_id.data, row->key.account_id.len);
    lookup->account_id_len = row->key.account_id.len;
    if (visit->cors_origin.len <= sizeof lookup->origin && visit->cors_origin.len > 0) {
        memcpy(lookup->origin, visit->cors_origin.data, visit->cors_origin.len);
        lookup->origin_len = visit->cors_origin.len;
    }
    dr_buf_init(&lookup->body, LOOKUP_BODY_BYTES_MAX);
    return lookup;
}

static void lookup_start(struct lookup *lookup,
                         void (*look)(struct lookup *lookup, struct store *store)) {
    lookup->look = look;
    lookup->job.run = lookup_run;
    lookup->job.needs_fresh_records = true;
    lookup->worker->lookup_count++;
    dr_http_call_set_owner(lookup->call, &lookup->owner);
    bookkeeper_submit(lookup->worker->bookkeeper, &lookup->job);
}

/* --- receipts
 * ----------------------------------------------------------------------------------- */

static void look_for_receipt(struct lookup *lookup, struct store *store) {
    struct dr_arena arena;
    struct ledger_entry entry;
    struct dr_error error;
    dr_arena_init(&arena, 64 * 1024, NULL);
    const enum dr_status status = store_find_entry(
        store, dr_slice_of(lookup->request_id, REQUEST_ID_BYTES),
        dr_slice_of(lookup->account_id, lookup->account_id_len), &arena, &entry, &error);
    if (status == DR_OK) {
        ledger_entry_put_receipt(&lookup->body, &entry);
    } else if (status != DR_NOT_FOUND) {
        lookup_fail(lookup, &error);
    } else if (lookup->job.is_stale) {
        lookup_refuse(lookup, refusal_of_stale_books());
    } else {
        lookup_refuse(lookup, refusal_of(REFUSAL_RECEIPT_NOT_FOUND));
    }
    dr_arena_clear(&arena);
}

void route_receipt(const struct http_visit *visit) {
    const struct key_table_row *row = visitor(visit);
    if (!row) return;
    dr_wall created;
    if (!request_id_read(visit->rest, &created)) {
        refuse_for(visit, REFUSAL_RECEIPT_NOT_FOUND);
        return;
    }
    struct lookup *lookup = lookup_new(visit, row);
    if (!lookup) return;
    memcpy(lookup->request_id, visit->rest.data, REQUEST_ID_BYTES);
    lookup_start(lookup, look_for_receipt);
}

/* --- usage
 * -------------------------------------------------------------------------------------- */

static void put_counts(struct dr_buf *body, const struct store_total *total) {
    dr_buf_format(body,
                  "\"requests\":%llu,\"prompt_tokens\":%llu,\"completion_tokens\":%llu,"
                  "\"total_tokens\":%llu,\"cost\":",
                  (unsigned long long)total->requests, (unsigned long long)total->prompt_tokens,
                  (unsigned long long)total->completion_tokens,
                  (unsigned long long)total->total_tokens);
    money_put(body, total->cost);
}

static void put_day(struct dr_buf *body, const struct store_total *total) {
    if (body->len > 0 && body->data[body->len - 1] == '}') dr_buf_put_char(body, ',');
    dr_buf_put(body, DR_LIT("{\"date\":"));
    dr_json_put_string(body, dr_slice_text(total->day));
    dr_buf_put(body, DR_LIT(",\"model\":"));
    dr_json_put_string_or_null(body, total->model.len > 0 ? total->model : DR_NONE);
    dr_buf_put_char(body, ',');
    put_counts(body, total);
    dr_buf_put_char(body, '}');
}

/* Each is in the sum, on whatever page it is shown. */
static bool visit_total(void *owner, const struct store_total *total) {
    struct lookup *lookup = owner;
    lookup->sum.requests += total->requests;
    lookup->sum.prompt_tokens += total->prompt_tokens;
    lookup->sum.completion_tokens += total->completion_tokens;
    lookup->sum.total_tokens += total->total_tokens;
    lookup->sum.cost.nanousd += total->cost.nanousd;
    if (lookup->row_count++ < lookup->after || lookup->next > 0) return true;
    if (lookup->body.len > USAGE_PAGE_BYTES) {
        lookup->next = lookup->row_count - 1;
    } else {
        put_day(&lookup->body, total);
    }
    return true;
}

static void look_for_usage(struct lookup *lookup, struct store *store) {
    struct dr_error error;
    if (lookup->job.is_stale) {
        lookup_refuse(lookup, refusal_of_stale_books());
        return;
    }
    const struct store_filter filter = {
        .account_id = dr_slice_of(lookup->account_id, lookup->account_id_len),
        .from = lookup->from,
        .to = lookup->to,
    };
    char from[DR_WALL_TEXT_BYTES];
    char to[DR_WALL_TEXT_BYTES];
    dr_wall_format(lookup->from, from);
    dr_wall_format(lookup->to, to);
    dr_buf_format(&lookup->body, "{\"from\":\"%s\",\"to\":\"%s\",\"days\":[", from, to);
    const enum dr_status status = store_each_total(store, &filter, STORE_BY_DAY | STORE_BY_MODEL,
                                                   visit_total, lookup, &error);
    if (status != DR_OK) {
        lookup_fail(lookup, &error);
        return;
    }
    dr_buf_put(&lookup->body, DR_LIT("],\"total\":{"));
    put_counts(&lookup->body, &lookup->sum);
    if (lookup->next > 0) {
        dr_buf_format(&lookup->body, "},\"has_more\":true,\"next\":\"%llu\"}",
                      (unsigned long long)lookup->next);
    } else {
        dr_buf_put(&lookup->body, DR_LIT("},\"has_more\":false,\"next\":null}"));
    }
}

/* `name=value` of a query; false when a value is there that is no time. */
static bool query_time(dr_slice query, dr_slice name, dr_wall *ret) {
    while (query.len > 0) {
        dr_slice value = dr_slice_split(&query, '&');
        const dr_slice key = dr_slice_split(&value, '=');
        if (!dr_slice_is(key, name)) continue;
        char text[64];
        dr_slice decoded;
        return percent_decode(value, text, sizeof text, &decoded) && dr_wall_parse(decoded, ret);
    }
    return true;
}

/* What an earlier page gave as `next`. */
static bool query_after(dr_slice query, uint64_t *ret) {
    while (query.len > 0) {
        dr_slice value = dr_slice_split(&query, '&');
        if (!dr_slice_is(dr_slice_split(&value, '='), DR_LIT("after"))) continue;
        return dr_slice_to_u64(value, ret);
    }
    return true;
}

void route_account_usage(const struct http_visit *visit) {
    static const int64_t day_ms = 24 * 3600 * 1000;
    const struct key_table_row *row = visitor(visit);
    if (!row) return;
    /* Without bounds: the last thirty days, today whole. */
    dr_wall from = {0};
    dr_wall to = {(dr_loop_wall(visit->worker->loop).ms / day_ms + 1) * day_ms};
    const bool is_valid = query_time(visit->query, DR_LIT("from"), &from) &&
                          query_time(visit->query, DR_LIT("to"), &to);
    if (from.ms == 0) from.ms = to.ms - 30 * day_ms;
    if (!is_valid || from.ms >= to.ms) {
        struct refusal refusal = refusal_of(REFUSAL_INVALID_REQUEST);
        refusal.param = DR_LIT("from");
        refusal.message = DR_LIT("'from' and 'to' must be dates (2026-11-24) or times in RFC 3339, "
                                 "'from' before 'to'.");
        http_visit_refuse(visit, &refusal);
        return;
    }
    uint64_t after = 0;
    if (!query_after(visit->query, &after)) {
        struct refusal refusal = refusal_of(REFUSAL_INVALID_REQUEST);
        refusal.param = DR_LIT("after");
        refusal.message = DR_LIT("'after' is what an earlier page gave as 'next'.");
        http_visit_refuse(visit, &refusal);
        return;
    }
    struct lookup *lookup = lookup_new(visit, row);
    if (!lookup) return;
    lookup->after = after;
    lookup->from = from;
    lookup->to = to;
    lookup_start(lookup, look_for_usage);
}
