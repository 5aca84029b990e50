/* What the store_sqlite*.c files share, and nobody else includes: the open database and the manners
 * of talking to it. */
#ifndef DR_STORE_STORE_SQLITE_H
#define DR_STORE_STORE_SQLITE_H

#include "base/arena.h"
#include "base/map.h"
#include "base/random.h"
#include "base/slice.h"
#include "store/store.h"

struct sqlite3;
struct sqlite3_stmt;

/* Statements that are prepared once and kept. */
enum store_statement {
    STORE_BEGIN,
    STORE_COMMIT,
    STORE_ROLLBACK,
    STORE_INSERT_ACCOUNT,
    STORE_SELECT_ACCOUNT,
    STORE_UPDATE_BALANCE,
    STORE_INSERT_TOPUP,
    STORE_INSERT_KEY,
    STORE_SELECT_KEY,
    STORE_REVOKE_KEY,
    STORE_SELECT_POSITION,
    STORE_UPSERT_POSITION,
    STORE_DELETE_POSITION,
    STORE_INSERT_PAGE,
    STORE_UPSERT_TOTAL,
    STORE_SETTLE_BALANCE,
    STORE_UPDATE_SPAN,
    STORE_SELECT_SPAN,
    STORE_SELECT_PAGES_AT,
    STORE_STATEMENT_COUNT,
};

struct store {
    struct sqlite3 *database;
    struct sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    char *folder;
    int lock;                   /* descriptor of DATA/lock, -1 while not held */
    struct dr_entropy entropy;
    int64_t page_span_ms_max;   /* of any page: how far apart its records' times are */
    struct dr_arena batch;      /* groups of the batch being put */
};

/* The kept statement, ready to be bound: prepared from `sql` on first use. */
enum dr_status store_statement(struct store *store, enum store_statement which, const char *sql,
                               struct sqlite3_stmt **ret_statement,
                               struct dr_error *error) DR_MUST_USE;
/* A statement of its own, for walks during which others may run. To be finalised by the caller. */
enum dr_status store_prepare(struct store *store, const char *sql,
                             struct sqlite3_stmt **ret_statement,
                             struct dr_error *error) DR_MUST_USE;
/* Runs a statement that gives no row, and resets it. */
enum dr_status store_run(struct store *store, struct sqlite3_stmt *statement,
                         struct dr_error *error) DR_MUST_USE;
/* Steps once. DR_OK: a row is there; DR_NOT_FOUND (without text): no more. */
enum dr_status store_step(struct store *store, struct sqlite3_stmt *statement,
                          struct dr_error *error) DR_MUST_USE;
/* The database's last failure as a status and a sentence. */
enum dr_status store_fail(const struct store *store, struct dr_error *error);
/* Whether the last failure was a broken uniqueness. */
bool store_is_conflict(const struct store *store);

enum dr_status store_begin(struct store *store, struct dr_error *error) DR_MUST_USE;
/* Commits when `status` is DR_OK, rolls back otherwise; returns the final status. */
enum dr_status store_end(struct store *store, enum dr_status status,
                         struct dr_error *error) DR_MUST_USE;

void store_bind_text(struct sqlite3_stmt *statement, int index, dr_slice text);
void store_bind_bytes(struct sqlite3_stmt *statement, int index, dr_slice bytes);
void store_bind_i64(struct sqlite3_stmt *statement, int index, int64_t value);
/* Counts beyond INT64_MAX, which only damaged input has, are stored as INT64_MAX. */
void store_bind_count(struct sqlite3_stmt *statement, int index, uint64_t value);
/* Lent until the next step. */
dr_slice store_column(struct sqlite3_stmt *statement, int index);
int64_t store_column_i64(struct sqlite3_stmt *statement, int index);

/* The first id of its kind that is free of doubt: `prefix` and 20 characters of base62. */
void store_make_id(struct store *store, const char prefix[4], char text[24]);

#endif
