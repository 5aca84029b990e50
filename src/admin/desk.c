/* The desk's door: finds a route, checks what the question may hold, writes refusals and pages.
 * Must not know sockets, threads or who asks. */
#include "admin/desk.h"

#include "admin/desk_private.h"
#include "base/digest.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

enum { PAGE_DEFAULT = 100, PAGE_BYTES_MAX = 1024 * 1024, DEPTH_MAX = 8 };

static const struct {
    unsigned method;
    const char *path;   /* `{id}` is one word that is not empty */
    const char *fields; /* of the query for GET, of the body for POST */
    bool needs_all;     /* shows sums or lists of what was settled: never without the latest */
    void (*answer)(struct desk_ask *ask, dr_slice id, dr_json body);
} routes[] = {
    {DESK_GET, "accounts", "after limit", true, desk_list_accounts},
    {DESK_POST, "accounts", "name", false, desk_create_account},
    {DESK_GET, "accounts/{id}", "", true, desk_show_account},
    {DESK_POST, "accounts/{id}/topups", "amount currency reference", false, desk_topup_account},
    {DESK_GET, "keys", "account after limit", false, desk_list_keys},
    {DESK_POST, "keys", "account name expires models requests_per_minute", false, desk_create_key},
    {DESK_GET, "keys/{id}", "", false, desk_show_key},
    {DESK_POST, "keys/{id}/revoke", "", false, desk_revoke_key},
    {DESK_POST, "keys/{id}/rotate", "", false, desk_rotate_key},
    {DESK_GET, "usage", "by from to account key model after limit", true, desk_total_usage},
    {DESK_GET, "requests", "from to account key model after limit", true, desk_list_requests},
    {DESK_GET, "receipts/{id}", "", false, desk_show_receipt},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

bool desk_route_text(size_t index, char text[DESK_ROUTE_TEXT_BYTES]) {
    if (index >= ROUTE_COUNT) return false;
    (void)snprintf(text, DESK_ROUTE_TEXT_BYTES, "%s %s",
                   routes[index].method == DESK_GET ? "GET" : "POST", routes[index].path);
    return true;
}

/* --- routes -------------------------------------------------------------------------------- */

static bool path_fits(dr_slice path, dr_slice pattern, dr_slice *ret_id) {
    *ret_id = DR_NONE;
    while (path.data && pattern.data) {
        const dr_slice word = dr_slice_split(&path, '/');
        const dr_slice wanted = dr_slice_split(&pattern, '/');
        if (dr_slice_is(wanted, DR_LIT("{id}"))) {
            if (word.len == 0) return false;
            *ret_id = word;
        } else if (!dr_slice_is(word, wanted)) {
            return false;
        }
    }
    return !path.data && !pattern.data;
}

unsigned desk_methods(dr_slice path) {
    unsigned methods = 0;
    dr_slice id;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (path_fits(path, dr_slice_text(routes[i].path), &id)) methods |= routes[i].method;
    }
    return methods;
}

/* --- refusing ------------------------------------------------------------------------------ */

void desk_refuse(struct desk_ask *ask, const struct refusal *refusal) {
    dr_buf_reset(ask->answer);
    refusal_put_json(ask->answer, refusal);
    ask->status = refusal->status;
    ask->retry_after_s = refusal->retry_after_s;
}

void desk_fail(struct desk_ask *ask, enum refusal_reason reason, const char *param,
               const char *format, ...) {
    struct refusal refusal = refusal_of(reason);
    char text[512];
    if (ask->status != 200) return;
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        refusal.message = dr_slice_text(text);
    }
    refusal.param = dr_slice_text(param);
    desk_refuse(ask, &refusal);
}

void desk_fail_store(struct desk_ask *ask, const char *param, const struct dr_error *error) {
    switch (error->status) {
    case DR_NOT_FOUND:
        desk_fail(ask, REFUSAL_NOT_FOUND, param, "There is nothing like this: %s.", error->text);
        return;
    case DR_EXISTS: desk_fail(ask, REFUSAL_EXISTS, param, "Refused: %s.", error->text); return;
    case DR_INVALID:
    case DR_TOO_LARGE:
        desk_fail(ask, REFUSAL_INVALID_REQUEST, param, "Refused: %s.", error->text);
        return;
    case DR_OK:
    case DR_NO_MEMORY:
    case DR_IO:
    case DR_TIMED_OUT:
    case DR_CLOSED:
    case DR_UNSUPPORTED:
    case DR_CORRUPT: break;
    }
    desk_fail(ask, refusal_of_failed_books(error).reason, NULL, "The books failed: %s.",
              error->text);
}

/* --- the question -------------------------------------------------------------------------- */

static bool is_among(dr_slice name, const char *words) {
    dr_slice rest = dr_slice_text(words);
    while (rest.len > 0) {
        if (dr_slice_is(dr_slice_split(&rest, ' '), name)) return true;
    }
    return false;
}

/* Percent-decoding (RFC 3986) into the arena; DR_NONE when malformed. */
static dr_slice percent_decode(struct desk_ask *ask, dr_slice coded) {
    char *text = dr_arena_alloc(&ask->arena, coded.len + 1);
    size_t len = 0;
    if (!text) return DR_NONE;
    for (size_t i = 0; i < coded.len; i++) {
        uint8_t byte = (uint8_t)coded.data[i];
        if (byte == '%') {
            if (i + 2 >= coded.len || !dr_hex_read(dr_slice_of(coded.data + i + 1, 2), &byte, 1)) {
                return DR_NONE;
            }
            i += 2;
        }
        text[len++] = (char)byte;
    }
    return dr_slice_of(text, len);
}

/* A name as it is to be shown: whole, unless it is none of ours. NULL without memory. */
static const char *shown(struct desk_ask *ask, dr_slice name) {
    return dr_arena_text(&ask->arena, dr_utf8_first(name, 64));
}

/* Every parameter once, known, and well coded. */
static bool check_query(struct desk_ask *ask, const char *fields) {
    for (dr_slice rest = ask->query; rest.len > 0;) {
        dr_slice value = dr_slice_split(&rest, '&');
        const dr_slice name = dr_slice_split(&value, '=');
        if (!is_among(name, fields)) {
            desk_fail(ask, REFUSAL_INVALID_REQUEST, shown(ask, name),
                      "This address knows no query parameter '%.*s'; it knows: %s.",
                      DR_FMT(dr_utf8_first(name, 64)), *fields ? fields : "none");
            return false;
        }
        for (dr_slice others = rest; others.len > 0;) {
            dr_slice other = dr_slice_split(&others, '&');
            if (!dr_slice_is(dr_slice_split(&other, '='), name)) continue;
            desk_fail(ask, REFUSAL_INVALID_REQUEST, shown(ask, name),
                      "The query parameter '%.*s' was given twice.", DR_FMT(name));
            return false;
        }
        if (value.len > 0 && !percent_decode(ask, value).data) {
            desk_fail(ask, REFUSAL_INVALID_REQUEST, shown(ask, name),
                      "The query parameter '%.*s' is not percent-encoded text.", DR_FMT(name));
            return false;
        }
    }
    return true;
}

dr_slice desk_query(struct desk_ask *ask, const char *name) {
    for (dr_slice rest = ask->query; rest.len > 0;) {
        dr_slice value = dr_slice_split(&rest, '&');
        if (!dr_slice_is(dr_slice_split(&value, '='), dr_slice_text(name))) continue;
        return value.len > 0 ? percent_decode(ask, value) : DR_NONE;
    }
    return DR_NONE;
}

bool desk_query_wall(struct desk_ask *ask, const char *name, dr_wall *ret) {
    const dr_slice text = desk_query(ask, name);
    if (!text.data || dr_wall_parse(text, ret)) return true;
    desk_fail(ask, REFUSAL_INVALID_REQUEST, name,
              "'%s' is a date or a time (2026-11-24 or 2026-11-24T12:00:00Z), not '%.*s'.", name,
              DR_FMT(dr_slice_first(text, 64)));
    return false;
}

size_t desk_query_limit(struct desk_ask *ask) {
    const dr_slice text = desk_query(ask, "limit");
    uint64_t limit = PAGE_DEFAULT;
    if (!text.data) return PAGE_DEFAULT;
    if (dr_slice_to_u64(text, &limit) && limit >= 1 && limit <= DESK_PAGE_MAX) {
        return (size_t)limit;
    }
    desk_fail(ask, REFUSAL_INVALID_REQUEST, "limit", "'limit' is a whole number from 1 to %d.",
              DESK_PAGE_MAX);
    return 0;
}

bool desk_text(struct desk_ask *ask, dr_json body, const char *name, dr_slice *ret) {
    const dr_json value = dr_json_member(body, dr_slice_text(name));
    *ret = DR_NONE;
    if (!value || dr_json_kind(value) == DR_JSON_NULL) return true;
    if (dr_json_is(value, DR_JSON_STRING)) {
        *ret = dr_json_text(value);
        return true;
    }
    desk_fail(ask, REFUSAL_INVALID_REQUEST, name, "'%s' must be a string.", name);
    return false;
}

/* An object whose members are known and stand once; an empty body is an empty object. */
static bool read_body(struct desk_ask *ask, const char *fields, dr_json *ret_body) {
    struct dr_json_iter iter;
    struct dr_error error = {0};
    dr_slice twice;
    const dr_slice text = ask->body.len > 0 ? ask->body : DR_LIT("{}");
    const enum dr_status status = dr_json_read(ask->json, text, DEPTH_MAX, ret_body, &error);
    if (status == DR_NO_MEMORY) {
        desk_fail(ask, REFUSAL_INTERNAL_ERROR, NULL, NULL);
        return false;
    }
    if (status != DR_OK) {
        desk_fail(ask, REFUSAL_INVALID_JSON, NULL, "The body is not valid JSON: %s.", error.text);
        return false;
    }
    if (!dr_json_is(*ret_body, DR_JSON_OBJECT)) {
        desk_fail(ask, REFUSAL_INVALID_JSON, NULL, "The body must be one JSON object.");
        return false;
    }
    if (dr_json_has_duplicate(*ret_body, &twice)) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, shown(ask, twice),
                  "The field '%.*s' was given twice.", DR_FMT(dr_utf8_first(twice, 64)));
        return false;
    }
    dr_json_iter_init(&iter, *ret_body);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (is_among(name, fields)) continue;
        desk_fail(ask, REFUSAL_INVALID_REQUEST, shown(ask, name),
                  "This address knows no field '%.*s'; it knows: %s.",
                  DR_FMT(dr_utf8_first(name, 64)), *fields ? fields : "none");
        return false;
    }
    return true;
}

void desk_answer(struct desk_ask *ask) {
    dr_slice id = DR_NONE;
    size_t i = 0;
    ask->status = 200;
    ask->has_changed_keys = false;
    dr_buf_reset(ask->answer);
    while (i < ROUTE_COUNT && !(routes[i].method == ask->method &&
                                path_fits(ask->path, dr_slice_text(routes[i].path), &id))) {
        i++;
    }
    if (i == ROUTE_COUNT) {
        desk_fail(ask, REFUSAL_NOT_FOUND, NULL, "There is nothing at this address.");
        return;
    }
    dr_json body = NULL;
    if (!check_query(ask, ask->method == DESK_GET ? routes[i].fields : "")) return;
    if (ask->method == DESK_POST && !read_body(ask, routes[i].fields, &body)) return;
    if (routes[i].needs_all && ask->is_stale) {
        const struct refusal refusal = refusal_of_stale_books();
        desk_refuse(ask, &refusal);
        return;
    }
    routes[i].answer(ask, id, body);
    if (dr_buf_status(ask->answer) != DR_OK) {
        ask->status = 200; /* so that the refusal is taken */
        desk_fail(ask, REFUSAL_INTERNAL_ERROR, NULL, NULL);
    }
}

/* --- the answer ---------------------------------------------------------------------------- */

static void put_name(struct dr_buf *buf, const char *name) {
    if (buf->len > 0 && buf->data[buf->len - 1] != '{') dr_buf_put_char(buf, ',');
    dr_json_put_string(buf, dr_slice_text(name));
    dr_buf_put_char(buf, ':');
}

void desk_put_text(struct dr_buf *buf, const char *name, dr_slice text) {
    put_name(buf, name);
    dr_json_put_string(buf, text);
}

void desk_put_text_or_null(struct dr_buf *buf, const char *name, dr_slice text) {
    put_name(buf, name);
    dr_json_put_string_or_null(buf, text.len > 0 ? text : DR_NONE);
}

void desk_put_wall(struct dr_buf *buf, const char *name, dr_wall wall) {
    char text[DR_WALL_TEXT_BYTES];
    put_name(buf, name);
    if (wall.ms == 0) {
        dr_buf_put(buf, DR_LIT("null"));
    } else {
        dr_wall_format(wall, text);
        dr_json_put_string(buf, dr_slice_text(text));
    }
}

/* --- pages --------------------------------------------------------------------------------- */

bool desk_page_begin(struct desk_page *page, struct desk_ask *ask) {
    *page = (struct desk_page){
        .ask = ask, .limit = desk_query_limit(ask), .after = desk_query(ask, "after")};
    page->has_begun = page->after.len == 0;
    if (page->limit == 0) return false;
    dr_buf_put(ask->answer, DR_LIT("{\"object\":\"list\",\"data\":["));
    return true;
}

bool desk_page_is_full(const struct desk_page *page) {
    return page->count == page->limit || page->ask->answer->len > PAGE_BYTES_MAX;
}

bool desk_page_takes(struct desk_page *page, dr_slice id, bool *ret_is_over) {
    *ret_is_over = false;
    if (!page->has_begun) {
        page->has_begun = dr_slice_is(id, page->after);
        return false;
    }
    if (desk_page_is_full(page)) {
        page->has_more = true;
        *ret_is_over = true;
        return false;
    }
    if (page->count++ > 0) dr_buf_put_char(page->ask->answer, ',');
    page->last_len = id.len < sizeof page->last ? id.len : 0;
    if (page->last_len > 0) memcpy(page->last, id.data, id.len);
    return true;
}

void desk_page_end_at(struct desk_page *page, dr_slice next) {
    struct dr_buf *buf = page->ask->answer;
    if (page->ask->status != 200) return;
    dr_buf_put(buf, page->has_more ? DR_LIT("],\"has_more\":true,\"next\":")
                                   : DR_LIT("],\"has_more\":false,\"next\":"));
    dr_json_put_string_or_null(buf, page->has_more ? next : DR_NONE);
    dr_buf_put_char(buf, '}');
}

void desk_page_end(struct desk_page *page) {
    if (!page->has_begun) {
        desk_fail(page->ask, REFUSAL_INVALID_REQUEST, "after",
                  "'after' is what an earlier page gave as 'next'; '%.*s' is not known.",
                  DR_FMT(dr_slice_first(page->after, 64)));
    }
    desk_page_end_at(page, dr_slice_of(page->last, page->last_len));
}
