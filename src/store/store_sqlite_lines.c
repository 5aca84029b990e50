/* Up to which page the usage log has its lines. Must not know how a line looks or where it goes.
 *
 * The mark is noted in memory when the lines of a batch are written, and becomes durable with the
 * next batch. So what a killed process leaves behind the durable mark is its last batch, whose
 * lines may or may not be written, and what was taken in without a usage log at hand. */
#include "store/store_sqlite.h"

#include "base/buf.h"

#include <sqlite3.h>

enum dr_status store_read_lines_mark(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status =
        store_prepare(store, "SELECT value FROM fact WHERE name = 'lined_page'", &row, error);
    if (status) return status;
    status = store_step(store, row, error);
    if (!status) {
        store->lined_page = store_column_i64(row, 0);
        store->lined_page_noted = store->lined_page;
    }
    sqlite3_finalize(row);
    if (status != DR_NOT_FOUND) return status;
    return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db lacks its facts", store->folder);
}

enum dr_status store_put_lines_mark(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    if (store->lined_page == store->lined_page_noted) return DR_OK;
    const enum dr_status status =
        store_statement(store, STORE_UPDATE_LINED,
                        "UPDATE fact SET value = ?1 WHERE name = 'lined_page'", &statement, error);
    if (status) return status;
    store_bind_i64(statement, 1, store->lined_page_noted);
    return store_run(store, statement, error);
}

void store_note_lines(struct store *store) {
    store->lined_page_noted = store->last_page;
}

enum dr_status store_save_lines(struct store *store, struct dr_error *error) {
    const enum dr_status status = store_put_lines_mark(store, error);
    if (!status) store->lined_page = store->lined_page_noted;
    return status;
}

enum dr_status store_each_unlined(struct store *store, bool (*visit)(void *owner, dr_slice records),
                                  void *owner, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    struct dr_buf buf;
    enum dr_status status = store_prepare(
        store, "SELECT" STORE_PAGE_COLUMNS "FROM page WHERE number > ?1 ORDER BY number", &row,
        error);
    if (status) return status;
    store_bind_i64(row, 1, store->lined_page_noted);
    dr_buf_init(&buf, LEDGER_PAGE_BYTES_MAX);
    while (!status) {
        dr_slice records;
        status = store_step(store, row, error);
        if (!status) status = store_page_records(store, row, 0, &buf, &records, error);
        if (!status && !visit(owner, records)) break;
    }
    sqlite3_finalize(row);
    dr_buf_clear(&buf);
    return status == DR_NOT_FOUND ? DR_OK : status;
}
