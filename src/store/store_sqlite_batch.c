/* Settled exchanges in: journal records as they stand, page by page, to the end of the ledger's
 * file, and a row for each page. Never writes a record anew, so that what a receipt shows is what
 * the journal was charged.
 *
 * One batch is one transaction: its pages' rows and how far the segment was taken in. The pages
 * themselves are on the disk before it. The next batch writes over them when the transaction did
 * not come to its commit. A commit that fails proves nothing: it may stand whole in SQLite's log,
 * and be found there by the next start, so that what it names has to stay. What a batch adds to
 * totals and balances is noted on the way and folded in later (store_sqlite_fold.c). */
#include "store/store_sqlite.h"

#include "base/log.h"
#include "store/journal.h"

#include <sqlite3.h>

enum { PAGES_MAX = 128 };

struct page {
    dr_slice records;
    struct ledger_place place;
    int64_t created_ms_min, created_ms_max;
    uint64_t record_count;
};

/* Of a page that is in the ledger; its records are there only. */
struct batch {
    struct page pages[PAGES_MAX];
    size_t page_count;
    struct store_taken taken;
    int64_t span_ms; /* of the widest page */
    int64_t last_page;
    bool is_final; /* the commit was tried */
};

/* --- pages ---------------------------------------------------------------------------------- */

static int64_t distance_saturated(int64_t from, int64_t to) {
    int64_t distance = 0;
    return __builtin_sub_overflow(to, from, &distance) ? INT64_MAX : distance;
}

static void note_time(struct page *page, int64_t ms) {
    if (ms < page->created_ms_min) page->created_ms_min = ms;
    if (ms > page->created_ms_max) page->created_ms_max = ms;
}

/* The whole records at the front of `bytes`, as many as fit a page. */
static void make_page(struct store *store, dr_slice bytes, struct page *page) {
    dr_slice rest = dr_slice_first(bytes, LEDGER_PAGE_BYTES_MAX);
    struct ledger_entry entry;
    *page = (struct page){.created_ms_min = INT64_MAX, .created_ms_max = INT64_MIN};
    while (journal_decode(&rest, &entry) == JOURNAL_RECORD) {
        dr_wall made;
        fold_note(&store->fold, &entry);
        note_time(page, entry.created.ms);
        /* Receipts are looked for at the time in their id, which may differ from the entry's. */
        if (request_id_read(entry.request_id, &made)) note_time(page, made.ms);
        page->record_count++;
    }
    page->records = dr_slice_first(bytes, (size_t)(rest.data - bytes.data));
}

static enum dr_status take_page(struct store *store, const struct store_source *source,
                                struct batch *batch, struct dr_error *error) {
    struct page *page = &batch->pages[batch->page_count];
    dr_slice bytes = DR_NONE;
    enum dr_status status =
        source->read(source->owner, source->offset + batch->taken.bytes, &bytes, error);
    if (status) return status;
    make_page(store, bytes, page);
    batch->taken.is_end = page->record_count == 0;
    if (batch->taken.is_end) return DR_OK;
    status = ledger_file_append(store->ledger, page->records, &page->place, error);
    if (status) return status;
    const int64_t span_ms = distance_saturated(page->created_ms_min, page->created_ms_max);
    if (span_ms > batch->span_ms) batch->span_ms = span_ms;
    batch->taken.bytes += page->records.len;
    batch->taken.count += page->record_count;
    batch->page_count++;
    return DR_OK;
}

static enum dr_status take_pages(struct store *store, const struct store_source *source,
                                 struct batch *batch, struct dr_error *error) {
    enum dr_status status = DR_OK;
    while (!status && !batch->taken.is_end && batch->taken.bytes < source->bytes_max &&
           batch->page_count < PAGES_MAX) {
        status = take_page(store, source, batch, error);
    }
    if (!status && batch->page_count > 0) status = ledger_file_sync(store->ledger, error);
    return status;
}

/* --- their rows ----------------------------------------------------------------------------- */

/* The new page's number is the fold's, and for the caller. */
static enum dr_status insert_page(struct store *store, const struct page *page, int64_t *ret_number,
                                  struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_INSERT_PAGE,
                        "INSERT INTO page (created_ms_min, created_ms_max, record_count, records,"
                        " ledger_file, ledger_offset, record_bytes)"
                        " VALUES (?1, ?2, ?3, x'', ?4, ?5, ?6)",
                        &statement, error);
    if (status) return status;
    store_bind_i64(statement, 1, page->created_ms_min);
    store_bind_i64(statement, 2, page->created_ms_max);
    store_bind_count(statement, 3, page->record_count);
    store_bind_count(statement, 4, page->place.file);
    store_bind_count(statement, 5, page->place.offset);
    store_bind_count(statement, 6, page->records.len);
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

static enum dr_status put_position(struct store *store, const struct store_source *source,
                                   uint64_t bytes, struct dr_error *error) {
    uint64_t offset = 0;
    enum dr_status status = store_get_position(store, source->segment, &offset, error);
    if (status) return status;
    if (offset > source->offset) {
        return dr_fail(error, DR_EXISTS, 0, "these records of %.*s were taken in before",
                       DR_FMT(source->segment));
    }
    struct sqlite3_stmt *statement = NULL;
    status = store_statement(store, STORE_UPSERT_POSITION,
                             "INSERT INTO segment VALUES (?1, ?2)"
                             " ON CONFLICT DO UPDATE SET taken_bytes = excluded.taken_bytes",
                             &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, source->segment);
    store_bind_count(statement, 2, source->offset + bytes);
    return store_run(store, statement, error);
}

static enum dr_status put_rows(struct store *store, const struct store_source *source,
                               struct batch *batch, struct dr_error *error) {
    enum dr_status status = store_begin(store, error);
    if (status) return status;
    status = put_position(store, source, batch->taken.bytes, error);
    if (!status) status = store_put_lines_mark(store, error);
    for (size_t index = 0; !status && index < batch->page_count; index++) {
        status = insert_page(store, &batch->pages[index], &batch->last_page, error);
    }
    if (!status && batch->span_ms > store->page_span_ms_max) {
        status = widen_span(store, batch->span_ms, error);
    }
    batch->is_final = status == DR_OK;
    return store_end(store, status, error);
}

/* The records are in, whatever becomes of this; it is tried again. */
static void fold_now(struct store *store) {
    struct dr_error error = {0};
    if (store_fold(store, &error) == DR_OK) return;
    dr_log(DR_LOG_ERROR, "store.totals_late", "text=\"%s\" (tried again)", error.text);
}

enum dr_status store_take_records(struct store *store, const struct store_source *source,
                                  struct store_taken *ret_taken, struct dr_error *error) {
    struct batch batch = {.last_page = store->last_page};
    const struct ledger_place end = ledger_file_end(store->ledger);
    enum dr_status status = take_pages(store, source, &batch, error);
    if (!status && batch.page_count > 0) status = put_rows(store, source, &batch, error);
    if (status) {
        /* Pages that are not there after all have left their mark in the sums. */
        if (!batch.is_final) ledger_file_rewind(store->ledger, end);
        fold_lose(&store->fold);
        return status;
    }
    *ret_taken = batch.taken;
    if (batch.page_count == 0) return DR_OK;
    if (batch.span_ms > store->page_span_ms_max) store->page_span_ms_max = batch.span_ms;
    store->last_page = batch.last_page;
    store->lined_page = store->lined_page_noted;
    if (fold_is_due(&store->fold)) fold_now(store);
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
