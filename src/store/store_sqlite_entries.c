/* Settled exchanges: journal records in, as pages; receipts and walks out. Takes records as they
 * stand and never writes one anew, so that what a receipt shows is what the journal was charged.
 *
 * One batch is one transaction: its pages and how far the segment was taken in. What it adds to
 * totals and balances is noted on the way and folded in later (store_sqlite_fold.c). */
#include "store/store_sqlite.h"

#include "store/journal.h"
#include "store/journal_record.h"

#include <sqlite3.h>

enum { PAGE_BYTES_MAX = 64 * 1024 }; /* a receipt is found by walking over one page */

/* --- pages ---------------------------------------------------------------------------------- */

struct page {
    dr_slice records;
    int64_t created_ms_min, created_ms_max;
    int64_t record_count;
};

static int64_t distance_saturated(int64_t from, int64_t to) {
    int64_t distance = 0;
    return __builtin_sub_overflow(to, from, &distance) ? INT64_MAX : distance;
}

static void note_time(struct page *page, int64_t ms) {
    if (ms < page->created_ms_min) page->created_ms_min = ms;
    if (ms > page->created_ms_max) page->created_ms_max = ms;
}

/* Takes a page's worth of records from the front of `*records`. */
static enum dr_status take_page(struct store *store, dr_slice *records, struct page *page,
                                struct dr_error *error) {
    const char *start = records->data;
    *page = (struct page){.created_ms_min = INT64_MAX, .created_ms_max = INT64_MIN};
    while (records->len > 0) {
        const size_t len = journal_record_length(*records);
        const size_t taken = (size_t)(records->data - start);
        if (taken > 0 && taken + len > PAGE_BYTES_MAX) break;
        struct ledger_entry entry;
        dr_wall made;
        if (journal_decode(records, &entry) != JOURNAL_RECORD) {
            return dr_fail(error, DR_INVALID, 0, "bytes that are no journal records");
        }
        fold_note(&store->fold, &entry);
        note_time(page, entry.created.ms);
        /* Receipts are looked for at the time in their id, which may differ from the entry's. */
        if (request_id_read(entry.request_id, &made)) note_time(page, made.ms);
        page->record_count++;
    }
    page->records = dr_slice_of(start, (size_t)(records->data - start));
    return DR_OK;
}

/* --- writing a batch ------------------------------------------------------------------------ */

/* The new page's number is the fold's, and for the caller. */
static enum dr_status insert_page(struct store *store, const struct page *page, int64_t *ret_number,
                                  struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_INSERT_PAGE,
                        "INSERT INTO page (created_ms_min, created_ms_max, record_count, records)"
                        " VALUES (?1, ?2, ?3, ?4)",
                        &statement, error);
    if (status) return status;
    store_bind_i64(statement, 1, page->created_ms_min);
    store_bind_i64(statement, 2, page->created_ms_max);
    store_bind_i64(statement, 3, page->record_count);
    store_bind_bytes(statement, 4, page->records);
    const enum dr_status result = store_run(store, statement, error);
    if (result) return result;
    *ret_number = sqlite3_last_insert_rowid(store->database);
    store->fold.page = *ret_number;
    return DR_OK;
}

static enum dr_status widen_span(struct store *store, int64_t span_ms, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_UPDATE_SPAN,
                        "UPDATE fact SET value = max(value, ?1) WHERE name = 'page_span_ms_max'",
                        &statement, error);
    if (status) return status;
    store_bind_i64(statement, 1, span_ms);
    return store_run(store, statement, error);
}

static enum dr_status put_position(struct store *store, struct store_position position,
                                   struct dr_error *error) {
    uint64_t taken = 0;
    enum dr_status status = store_get_position(store, position.segment, &taken, error);
    if (status) return status;
    if (taken > 0 && position.offset <= taken) {
        return dr_fail(error, DR_EXISTS, 0, "these records of %.*s were taken in before",
                       DR_FMT(position.segment));
    }
    struct sqlite3_stmt *statement = NULL;
    status = store_statement(store, STORE_UPSERT_POSITION,
                             "INSERT INTO segment VALUES (?1, ?2)"
                             " ON CONFLICT DO UPDATE SET taken_bytes = excluded.taken_bytes",
                             &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, position.segment);
    store_bind_count(statement, 2, position.offset);
    return store_run(store, statement, error);
}

static enum dr_status put_batch(struct store *store, dr_slice records,
                                struct store_position position, int64_t *span_ms,
                                int64_t *last_page, struct dr_error *error) {
    enum dr_status status = put_position(store, position, error);
    if (!status) status = store_put_lines_mark(store, error);
    while (!status && records.len > 0) {
        struct page page;
        status = take_page(store, &records, &page, error);
        if (status) return status;
        const int64_t page_span_ms = distance_saturated(page.created_ms_min, page.created_ms_max);
        if (page_span_ms > *span_ms) *span_ms = page_span_ms;
        status = insert_page(store, &page, last_page, error);
    }
    if (!status && *span_ms > store->page_span_ms_max) status = widen_span(store, *span_ms, error);
    return status;
}

enum dr_status store_put_records(struct store *store, dr_slice records,
                                 struct store_position position, struct dr_error *error) {
    int64_t span_ms = 0;
    int64_t last_page = store->last_page;
    enum dr_status status = store_begin(store, error);
    if (status) return status;
    status = put_batch(store, records, position, &span_ms, &last_page, error);
    status = store_end(store, status, error);
    if (status) {
        /* Pages that are not there after all have left their mark in the sums. */
        fold_lose(&store->fold);
        return status;
    }
    if (span_ms > store->page_span_ms_max) store->page_span_ms_max = span_ms;
    store->last_page = last_page;
    store->lined_page = store->lined_page_noted;
    /* The records are in, whatever becomes of this; it is tried again. */
    if (fold_is_due(&store->fold)) (void)!store_fold(store, NULL);
    return DR_OK;
}

/* --- positions ------------------------------------------------------------------------------ */

enum dr_status store_get_position(struct store *store, dr_slice segment, uint64_t *ret_offset,
                                  struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status =
        store_statement(store, STORE_SELECT_POSITION,
                        "SELECT taken_bytes FROM segment WHERE name = ?1", &row, error);
    if (status) return status;
    store_bind_text(row, 1, segment);
    status = store_step(store, row, error);
    if (!status) *ret_offset = (uint64_t)store_column_i64(row, 0);
    if (status == DR_NOT_FOUND) {
        *ret_offset = 0;
        status = DR_OK;
    }
    sqlite3_reset(row);
    return status;
}

enum dr_status store_forget_segment(struct store *store, dr_slice segment, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status = store_statement(
        store, STORE_DELETE_POSITION, "DELETE FROM segment WHERE name = ?1", &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, segment);
    return store_run(store, statement, error);
}

/* --- reading pages -------------------------------------------------------------------------- */

static enum dr_status fail_page(const struct store *store, struct dr_error *error) {
    return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db: a page of settled exchanges is damaged",
                   store->folder);
}

static bool copy_entry(struct dr_arena *arena, const struct ledger_entry *entry,
                       struct ledger_entry *ret) {
    struct ledger_entry copy = *entry;
    dr_slice *texts[] = {&copy.request_id, &copy.client_id, &copy.account_id, &copy.key_id,
                         &copy.key_name,   &copy.user,      &copy.model,      &copy.target};
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        if (texts[index]->len == 0) continue; /* an absent text stays absent */
        if (!dr_arena_copy(arena, *texts[index], texts[index])) return false;
    }
    for (size_t index = 0; index < LEDGER_ATTEMPTS_MAX; index++) {
        dr_slice *target = &copy.attempts[index].target;
        if (target->len > 0 && !dr_arena_copy(arena, *target, target)) return false;
    }
    *ret = copy;
    return true;
}

/* DR_NOT_FOUND when the page has no such entry. */
static enum dr_status find_in_page(const struct store *store, dr_slice records, dr_slice request_id,
                                   struct dr_arena *arena, struct ledger_entry *ret_entry,
                                   struct dr_error *error) {
    while (records.len > 0) {
        const size_t len = journal_record_length(records);
        if (len == 0) return fail_page(store, error);
        dr_slice record = dr_slice_first(records, len);
        records = dr_slice_from(records, len);
        /* Ids hold random bits: where the bytes do not occur, the record need not be decoded. */
        if (!memmem(record.data, record.len, request_id.data, request_id.len)) continue;
        struct ledger_entry entry;
        if (journal_decode(&record, &entry) != JOURNAL_RECORD) return fail_page(store, error);
        if (!dr_slice_is(entry.request_id, request_id)) continue;
        if (copy_entry(arena, &entry, ret_entry)) return DR_OK;
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    }
    return DR_NOT_FOUND;
}

/* Pages that may hold a record of time `at`, as rows to step through. */
static enum dr_status select_pages_at(struct store *store, dr_wall at,
                                      struct sqlite3_stmt **ret_row, struct dr_error *error) {
    const enum dr_status status =
        store_statement(store, STORE_SELECT_PAGES_AT,
                        "SELECT records FROM page"
                        " WHERE created_ms_max BETWEEN ?1 AND ?2 AND created_ms_min <= ?1",
                        ret_row, error);
    if (status) return status;
    store_bind_i64(*ret_row, 1, at.ms);
    store_bind_i64(*ret_row, 2, store_add_saturated(at.ms, store->page_span_ms_max));
    return DR_OK;
}

enum dr_status store_find_entry(struct store *store, dr_slice request_id, dr_slice account_id,
                                struct dr_arena *arena, struct ledger_entry *ret_entry,
                                struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    struct ledger_entry entry;
    dr_wall made;
    enum dr_status status = DR_NOT_FOUND;
    if (request_id_read(request_id, &made)) status = select_pages_at(store, made, &row, error);
    while (!status) {
        status = store_step(store, row, error);
        if (status) break;
        status = find_in_page(store, store_column(row, 0), request_id, arena, &entry, error);
        if (status != DR_NOT_FOUND) break;
        status = DR_OK;
    }
    sqlite3_reset(row);
    if (!status && account_id.len > 0 && !dr_slice_is(entry.account_id, account_id)) {
        status = DR_NOT_FOUND;
    }
    if (status == DR_NOT_FOUND) return dr_fail(error, DR_NOT_FOUND, 0, "there is no such request");
    if (!status) *ret_entry = entry;
    return status;
}

static bool is_wanted(const struct store_filter *filter, const struct ledger_entry *entry) {
    if (filter->account_id.len > 0 && !dr_slice_is(filter->account_id, entry->account_id)) {
        return false;
    }
    if (filter->key_id.len > 0 && !dr_slice_is(filter->key_id, entry->key_id)) return false;
    if (filter->model.len > 0 && !dr_slice_is(filter->model, entry->model)) return false;
    if (filter->from.ms != 0 && entry->created.ms < filter->from.ms) return false;
    return filter->to.ms == 0 || entry->created.ms < filter->to.ms;
}

/* One page's entries from `*place` on; moves it. */
static enum dr_status walk_page(const struct store *store, dr_slice records,
                                const struct store_filter *filter, struct store_place *place,
                                bool (*visit)(void *owner, const struct ledger_entry *entry),
                                void *owner, bool *is_going_on, struct dr_error *error) {
    uint32_t count = 0;
    while (*is_going_on && records.len > 0) {
        struct ledger_entry entry;
        if (journal_decode(&records, &entry) != JOURNAL_RECORD) return fail_page(store, error);
        if (count++ < place->count) continue;
        place->count = count;
        if (is_wanted(filter, &entry)) *is_going_on = visit(owner, &entry);
    }
    return DR_OK;
}

enum dr_status store_walk_entries(struct store *store, const struct store_filter *filter,
                                  struct store_place *place, size_t pages_max,
                                  bool (*visit)(void *owner, const struct ledger_entry *entry),
                                  void *owner, bool *ret_is_over, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status = store_prepare(store,
                                          "SELECT number, records FROM page WHERE number >= ?3"
                                          " AND created_ms_max >= ?1 AND created_ms_min < ?2"
                                          " ORDER BY number",
                                          &row, error);
    if (status) return status;
    store_bind_i64(row, 1, filter->from.ms != 0 ? filter->from.ms : INT64_MIN);
    store_bind_i64(row, 2, filter->to.ms != 0 ? filter->to.ms : INT64_MAX);
    store_bind_i64(row, 3, place->page);
    bool is_going_on = true;
    for (size_t pages = 0; !status && is_going_on && pages < pages_max; pages++) {
        status = store_step(store, row, error);
        if (status) break;
        const int64_t number = store_column_i64(row, 0);
        if (number != place->page) *place = (struct store_place){.page = number};
        status = walk_page(store, store_column(row, 1), filter, place, visit, owner, &is_going_on,
                           error);
        /* Behind the whole page, so that the next walk does not begin by reading it again. */
        if (!status && is_going_on) *place = (struct store_place){.page = number + 1};
    }
    sqlite3_finalize(row);
    *ret_is_over = status == DR_NOT_FOUND;
    return status == DR_NOT_FOUND ? DR_OK : status;
}

enum dr_status store_each_entry(struct store *store, const struct store_filter *filter,
                                bool (*visit)(void *owner, const struct ledger_entry *entry),
                                void *owner, struct dr_error *error) {
    struct store_place place = {0};
    bool is_over = false;
    return store_walk_entries(store, filter, &place, SIZE_MAX, visit, owner, &is_over, error);
}
