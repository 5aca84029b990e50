/* The desk's routes for what was used: totals, requests, receipts. They only look. */
#include "admin/desk_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { WALK_PAGES_MAX = 64 }; /* of the store in one ask: about 20,000 requests */

static bool read_filter(struct desk_ask *ask, struct store_filter *filter) {
    *filter = (struct store_filter){
        .account_id = desk_query(ask, "account"),
        .key_id = desk_query(ask, "key"),
        .model = desk_query(ask, "model"),
    };
    return desk_query_wall(ask, "from", &filter->from) && desk_query_wall(ask, "to", &filter->to);
}

/* --- totals -------------------------------------------------------------------------------- */

struct totals {
    struct desk_page page;
    unsigned groups;
    uint64_t at;   /* number of the row at hand, from 1 */
    uint64_t from; /* rows that earlier pages had */
};

static bool read_groups(struct desk_ask *ask, unsigned *ret_groups) {
    static const struct {
        dr_slice name;
        unsigned group;
    } names[] = {{{"account", 7}, STORE_BY_ACCOUNT},
                 {{"key", 3}, STORE_BY_KEY},
                 {{"model", 5}, STORE_BY_MODEL},
                 {{"day", 3}, STORE_BY_DAY}};
    dr_slice rest = desk_query(ask, "by");

    *ret_groups = rest.len > 0 ? 0 : STORE_BY_MODEL;
    while (rest.len > 0) {
        const dr_slice word = dr_slice_split(&rest, ',');
        size_t i = 0;
        while (i < 4 && !dr_slice_is(word, names[i].name)) i++;
        if (i == 4) {
            desk_fail(ask, REFUSAL_INVALID_REQUEST, "by",
                      "'by' is a list of account, key, model, day, joined with commas.");
            return false;
        }
        *ret_groups |= names[i].group;
    }
    return true;
}

static void put_total(struct dr_buf *buf, unsigned groups, const struct store_total *total) {
    dr_buf_put_char(buf, '{');
    if (groups & STORE_BY_DAY) desk_put_text(buf, "day", dr_slice_text(total->day));
    if (groups & STORE_BY_ACCOUNT) {
        desk_put_text(buf, "account", total->account_id);
        desk_put_text(buf, "account_name", total->account_name);
    }
    if (groups & STORE_BY_KEY) {
        desk_put_text(buf, "key", total->key_id);
        desk_put_text(buf, "key_name", total->key_name);
    }
    if (groups & STORE_BY_MODEL) desk_put_text_or_null(buf, "model", total->model);
    dr_buf_format(buf,
                  ",\"requests\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64
                  ",\"completion_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64
                  ",\"cached_tokens\":%" PRIu64 ",\"cost\":",
                  total->requests, total->prompt_tokens, total->completion_tokens,
                  total->total_tokens, total->cached_tokens);
    money_put(buf, total->cost);
    dr_buf_put_char(buf, '}');
}

static bool visit_total(void *owner, const struct store_total *total) {
    struct totals *totals = owner;
    bool is_over;
    if (totals->at++ < totals->from) return true;
    if (desk_page_takes(&totals->page, DR_NONE, &is_over)) {
        put_total(totals->page.ask->answer, totals->groups, total);
    }
    return !is_over;
}

/* A total has no id: the cursor is the number of rows that have been seen. */
void desk_total_usage(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    (void)body;
    struct totals totals = {0};
    struct store_filter filter;
    struct dr_error error = {0};
    char next[24];
    const dr_slice after = desk_query(ask, "after");
    if (!read_filter(ask, &filter) || !read_groups(ask, &totals.groups)) return;
    if (after.len > 0 && !dr_slice_to_u64(after, &totals.from)) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "after",
                  "'after' is what an earlier page gave as 'next'.");
        return;
    }
    if (!desk_page_begin(&totals.page, ask)) return;
    totals.page.has_begun = true;
    if (store_each_total(ask->store, &filter, totals.groups, visit_total, &totals, &error) !=
        DR_OK) {
        desk_fail_store(ask, NULL, &error);
        return;
    }
    (void)snprintf(next, sizeof next, "%" PRIu64, totals.from + totals.page.count);
    desk_page_end_at(&totals.page, dr_slice_text(next));
}

/* --- requests ------------------------------------------------------------------------------ */

static bool visit_entry(void *owner, const struct ledger_entry *entry) {
    struct desk_page *page = owner;
    bool is_over;
    /* The walk ends with the row that fills the page, since its place is behind what it showed. */
    if (desk_page_takes(page, entry->request_id, &is_over)) {
        ledger_entry_put_usage_line(page->ask->answer, entry);
    }
    return !is_over && !desk_page_is_full(page);
}

static bool read_place(dr_slice text, struct store_place *ret_place) {
    uint64_t page;
    uint64_t count;
    const dr_slice first = dr_slice_split(&text, '-');
    if (!dr_slice_to_u64(first, &page) || page > INT64_MAX) return false;
    if (!dr_slice_to_u64(text, &count) || count > UINT32_MAX) return false;
    *ret_place = (struct store_place){.page = (int64_t)page, .count = (uint32_t)count};
    return true;
}

/* The cursor is a place in the books. A filter that fits few requests gives short pages, so that
 * no ask holds the store for long. */
void desk_list_requests(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    (void)body;
    struct desk_page page;
    struct store_filter filter;
    struct store_place place = {0};
    struct dr_error error = {0};
    char next[48];
    bool is_over = false;
    const dr_slice after = desk_query(ask, "after");
    if (!read_filter(ask, &filter)) return;
    if (after.len > 0 && !read_place(after, &place)) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "after",
                  "'after' is what an earlier page gave as 'next'.");
        return;
    }
    if (!desk_page_begin(&page, ask)) return;
    page.has_begun = true;
    if (store_walk_entries(ask->store, &filter, &place, WALK_PAGES_MAX, visit_entry, &page,
                           &is_over, &error) != DR_OK) {
        desk_fail_store(ask, NULL, &error);
        return;
    }
    page.has_more = !is_over;
    (void)snprintf(next, sizeof next, "%" PRId64 "-%u", place.page, place.count);
    desk_page_end_at(&page, dr_slice_text(next));
}

void desk_show_receipt(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)body;
    struct ledger_entry entry;
    struct dr_error error = {0};
    const enum dr_status status =
        store_find_entry(ask->store, id, DR_NONE, &ask->arena, &entry, &error);
    if (status == DR_NOT_FOUND && ask->is_stale) {
        const struct refusal refusal = refusal_of_stale_books();
        desk_refuse(ask, &refusal);
    } else if (status == DR_NOT_FOUND) {
        desk_fail(ask, REFUSAL_RECEIPT_NOT_FOUND, NULL, "There is no request %.*s.",
                  DR_FMT(dr_slice_first(id, 64)));
    } else if (status != DR_OK) {
        desk_fail_store(ask, NULL, &error);
    } else {
        ledger_entry_put_receipt(ask->answer, &entry);
    }
}
