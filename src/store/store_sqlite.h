/* What the store_sqlite*.c files share, and nobody else includes: the open database and the manners
 * of talking to it. */
#ifndef DR_STORE_STORE_SQLITE_H
#define DR_STORE_STORE_SQLITE_H

#include "base/arena.h"
#include "base/instant.h"
#include "base/map.h"
#include "base/random.h"
#include "base/slice.h"
#include "store/ledger_file.h"
#include "store/store.h"

struct dr_buf;
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
    STORE_INSERT_PAGE,
    STORE_UPSERT_TOTAL,
    STORE_SETTLE_BALANCE,
    STORE_UPDATE_SPAN,
    STORE_SELECT_SPAN,
    STORE_SELECT_PAGES_AT,
    STORE_SELECT_PAGE_BEHIND,
    STORE_SELECT_FOLDED,
    STORE_UPDATE_FOLDED,
    STORE_UPDATE_LINED,
    STORE_STATEMENT_COUNT,
};

struct fold_group;
struct fold_account;

/* What pages add to totals and balances and is not yet there: sums by account, key, model and day.
 * Folded in every few seconds and before totals or balances are read, in one transaction with the
 * number of the last page that is in them, so that each page counts once. Only a cache: the pages
 * behind that number hold it all, and are read again when it is lost (start, failed batch). */
struct fold {
    struct dr_arena arena;
    struct dr_map groups_by_name;
    struct dr_map accounts_by_id;
    struct fold_group *groups;
    struct fold_account *accounts;
    struct fold_group *latest; /* most records come from the same few */
    size_t group_count;
    int64_t page;     /* the last one that is in the sums */
    dr_instant since; /* of the last folding */
    bool is_lost;
};

struct store {
    struct sqlite3 *database;
    struct sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    char *folder;
    int lock; /* descriptor of DATA/lock, -1 while not held */
    struct dr_entropy entropy;
    bool is_ready;            /* opened and migrated */
    int64_t page_span_ms_max; /* of any page: how far apart its records' times are */
    struct fold fold;
    struct ledger_file *ledger;
    int64_t last_page;        /* committed */
    int64_t lined_page;       /* the usage log has the lines up to it: as the database knows */
    int64_t lined_page_noted; /* ... and as we know */
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

void fold_init(struct fold *fold, struct dr_entropy *entropy);
void fold_clear(struct fold *fold);
/* Adds an entry of a page that is being put. Out of memory loses the sums, not the entry. */
void fold_note(struct fold *fold, const struct ledger_entry *entry);
/* Forgets the sums; they are made again from the pages. */
void fold_lose(struct fold *fold);
bool fold_is_due(const struct fold *fold);
/* Brings totals and balances up to the last page. */
enum dr_status store_fold(struct store *store, struct dr_error *error) DR_MUST_USE;

/* The columns of a page that these two read, one behind the other. */
#define STORE_PAGE_COLUMNS " records, ledger_file, ledger_offset, record_bytes "
/* Where the page whose columns begin at `column` lies and how long it is: nowhere when it is in the
 * row. */
enum dr_status store_page_place(const struct store *store, struct sqlite3_stmt *row, int column,
                                struct ledger_place *ret_place, size_t *ret_len,
                                struct dr_error *error) DR_MUST_USE;
/* Its records: in the row, lent until its next step, or
 * read into `buf` (of LEDGER_PAGE_BYTES_MAX). */
enum dr_status store_page_records(struct store *store, struct sqlite3_stmt *row, int column,
                                  struct dr_buf *buf, dr_slice *ret_records,
                                  struct dr_error *error) DR_MUST_USE;
/* Says that a page holds something else than records. */
enum dr_status store_fail_page(const struct store *store, struct dr_error *error);

/* On opening. */
enum dr_status store_read_lines_mark(struct store *store, struct dr_error *error) DR_MUST_USE;
/* Writes what is noted, in the caller's transaction if there is one; the caller sets `lined_page`
 * once it is committed. */
enum dr_status store_put_lines_mark(struct store *store, struct dr_error *error) DR_MUST_USE;

int64_t store_add_saturated(int64_t a, int64_t b);

/* A new id: `prefix` and 20 characters of base62. */
void store_make_id(struct store *store, const char prefix[4], char text[24]);

#endif
