/* Settled exchanges out: receipts by their id, walks over all of them. */
#include "store/store_sqlite.h"

#include "base/buf.h"
#include "store/journal.h"
#include "store/journal_record.h"

#include <sqlite3.h>

/* --- reading pages -------------------------------------------------------------------------- */

enum dr_status store_fail_page(const struct store *store, struct dr_error *error) {
    return dr_fail(error, DR_CORRUPT, 0, "%s: a page of settled exchanges is damaged",
                   store->folder);
}

enum dr_status store_page_place(const struct store *store, struct sqlite3_stmt *row, int column,
                                struct ledger_place *ret_place, size_t *ret_len,
                                struct dr_error *error) {
    const int64_t file = store_column_i64(row, column + 1);
    const int64_t offset = store_column_i64(row, column + 2);
    const int64_t len = store_column_i64(row, column + 3);
    if (file < 0 || file >= UINT32_MAX || offset < 0 || offset > INT64_MAX / 2 || len < 0 ||
        len > LEDGER_PAGE_BYTES_MAX || (file > 0 && len == 0)) {
        return store_fail_page(store, error);
    }
    *ret_place = (struct ledger_place){(uint32_t)file, (uint64_t)offset};
    *ret_len = (size_t)len;
    return DR_OK;
}

enum dr_status store_page_records(struct store *store, struct sqlite3_stmt *row, int column,
                                  struct dr_buf *buf, dr_slice *ret_records,
                                  struct dr_error *error) {
    struct ledger_place place;
    size_t len = 0;
    const enum dr_status status = store_page_place(store, row, column, &place, &len, error);
    if (status) return status;
    if (place.file == 0) {
        *ret_records = store_column(row, column);
        return DR_OK;
    }
    dr_buf_reset(buf);
    char *bytes = dr_buf_reserve(buf, len);
    if (!bytes) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    *ret_records = dr_slice_of(bytes, len);
    return ledger_file_read(store->ledger, place, bytes, len, error);
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
        if (len == 0) return store_fail_page(store, error);
        dr_slice record = dr_slice_first(records, len);
        records = dr_slice_from(records, len);
        /* Ids hold random bits: where the bytes do not occur, the record need not be decoded. */
        if (!memmem(record.data, record.len, request_id.data, request_id.len)) continue;
        struct ledger_entry entry;
        if (journal_decode(&record, &entry) != JOURNAL_RECORD) return store_fail_page(store, error);
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
                        "SELECT" STORE_PAGE_COLUMNS "FROM page"
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
    struct dr_buf buf;
    dr_wall made;
    enum dr_status status = DR_NOT_FOUND;
    dr_buf_init(&buf, LEDGER_PAGE_BYTES_MAX);
    if (request_id_read(request_id, &made)) status = select_pages_at(store, made, &row, error);
    while (!status) {
        dr_slice records;
        status = store_step(store, row, error);
        if (!status) status = store_page_records(store, row, 0, &buf, &records, error);
        if (status) break;
        status = find_in_page(store, records, request_id, arena, &entry, error);
        if (status != DR_NOT_FOUND) break;
        status = DR_OK;
    }
    sqlite3_reset(row);
    dr_buf_clear(&buf);
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
        if (journal_decode(&records, &entry) != JOURNAL_RECORD)
            return store_fail_page(store, error);
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
    struct dr_buf buf;
    enum dr_status status =
        store_prepare(store,
                      "SELECT number," STORE_PAGE_COLUMNS "FROM page WHERE number >= ?3"
                      " AND created_ms_max >= ?1 AND created_ms_min < ?2"
                      " ORDER BY number",
                      &row, error);
    if (status) return status;
    dr_buf_init(&buf, LEDGER_PAGE_BYTES_MAX);
    store_bind_i64(row, 1, filter->from.ms != 0 ? filter->from.ms : INT64_MIN);
    store_bind_i64(row, 2, filter->to.ms != 0 ? filter->to.ms : INT64_MAX);
    store_bind_i64(row, 3, place->page);
    bool is_going_on = true;
    for (size_t pages = 0; !status && is_going_on && pages < pages_max; pages++) {
        dr_slice records;
        status = store_step(store, row, error);
        if (!status) status = store_page_records(store, row, 1, &buf, &records, error);
        if (status) break;
        const int64_t number = store_column_i64(row, 0);
        if (number != place->page) *place = (struct store_place){.page = number};
        status = walk_page(store, records, filter, place, visit, owner, &is_going_on, error);
        /* Behind the whole page, so that the next walk does not begin by reading it again. */
        if (!status && is_going_on) *place = (struct store_place){.page = number + 1};
    }
    sqlite3_finalize(row);
    dr_buf_clear(&buf);
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
