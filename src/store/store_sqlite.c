/* The database itself: opening, locking, migrating, and the manners in which the other
 * store_sqlite*.c files talk to it. They are the only ones that know SQL. One thread at a time;
 * calls block. Must not decide anything about requests.
 *
 * The lock on DATA/lock is taken before the database is touched, and holds until it is closed. */
#include "store/store_sqlite.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/check.h"
#include "base/digest.h"
#include "store/migrate.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, ID_RANDOM_BYTES = 14, ID_DIGITS = 20 };

/* --- failures ------------------------------------------------------------------------------- */

enum dr_status store_fail(const struct store *store, struct dr_error *error) {
    const int code = sqlite3_errcode(store->database);
    const char *text = sqlite3_errmsg(store->database);
    const int os_code = sqlite3_system_errno(store->database);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return dr_fail(error, DR_IO, ENOSPC, "the disk that holds %s is full", store->folder);
    case SQLITE_NOMEM: return dr_fail(error, DR_NO_MEMORY, 0, "out of memory in the store");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db is damaged: %s", store->folder, text);
    case SQLITE_CONSTRAINT: return dr_fail(error, DR_EXISTS, 0, "%s", text);
    case SQLITE_TOOBIG: return dr_fail(error, DR_TOO_LARGE, 0, "%s", text);
    default: break;
    }
    return dr_fail(error, DR_IO, os_code, "%s/drover.db: %s (code %d)", store->folder, text,
                   sqlite3_extended_errcode(store->database));
}

bool store_is_conflict(const struct store *store) {
    const int code = sqlite3_extended_errcode(store->database);
    return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY;
}

/* --- statements ----------------------------------------------------------------------------- */

enum dr_status store_prepare(struct store *store, const char *sql,
                             struct sqlite3_stmt **ret_statement, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK) {
        return store_fail(store, error);
    }
    *ret_statement = statement;
    return DR_OK;
}

enum dr_status store_statement(struct store *store, enum store_statement which, const char *sql,
                               struct sqlite3_stmt **ret_statement, struct dr_error *error) {
    struct sqlite3_stmt **kept = &store->statements[which];
    if (!*kept && sqlite3_prepare_v3(store->database, sql, -1, SQLITE_PREPARE_PERSISTENT, kept,
                                     NULL) != SQLITE_OK) {
        return store_fail(store, error);
    }
    sqlite3_reset(*kept);
    *ret_statement = *kept;
    return DR_OK;
}

enum dr_status store_step(struct store *store, struct sqlite3_stmt *statement,
                          struct dr_error *error) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return DR_OK;
    if (code == SQLITE_DONE) return DR_NOT_FOUND;
    return store_fail(store, error);
}

enum dr_status store_run(struct store *store, struct sqlite3_stmt *statement,
                         struct dr_error *error) {
    enum dr_status status = DR_OK;
    if (sqlite3_step(statement) != SQLITE_DONE) status = store_fail(store, error);
    sqlite3_reset(statement);
    return status;
}

enum dr_status store_begin(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_BEGIN, "BEGIN IMMEDIATE", &statement, error);
    return status ? status : store_run(store, statement, error);
}

enum dr_status store_end(struct store *store, enum dr_status status, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    if (!status) status = store_statement(store, STORE_COMMIT, "COMMIT", &statement, error);
    if (!status) status = store_run(store, statement, error);
    /* SQLite ends a transaction by itself on some failures of the disk. */
    if (status && !sqlite3_get_autocommit(store->database)) {
        if (store_statement(store, STORE_ROLLBACK, "ROLLBACK", &statement, NULL) == DR_OK) {
            (void)!store_run(store, statement, NULL); /* the first failure is the one to tell */
        }
    }
    return status;
}

void store_bind_text(struct sqlite3_stmt *statement, int index, dr_slice text) {
    dr_assert(text.len <= INT32_MAX);
    sqlite3_bind_text(statement, index, text.data ? text.data : "", (int)text.len, SQLITE_STATIC);
}

void store_bind_bytes(struct sqlite3_stmt *statement, int index, dr_slice bytes) {
    dr_assert(bytes.len <= INT32_MAX);
    sqlite3_bind_blob(statement, index, bytes.data ? bytes.data : "", (int)bytes.len,
                      SQLITE_STATIC);
}

void store_bind_i64(struct sqlite3_stmt *statement, int index, int64_t value) {
    sqlite3_bind_int64(statement, index, value);
}

void store_bind_count(struct sqlite3_stmt *statement, int index, uint64_t value) {
    sqlite3_bind_int64(statement, index, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

dr_slice store_column(struct sqlite3_stmt *statement, int index) {
    /* The pointer first: asking for the length first could change the form. */
    const char *data = sqlite3_column_blob(statement, index);
    return dr_slice_of(data, (size_t)sqlite3_column_bytes(statement, index));
}

int64_t store_column_i64(struct sqlite3_stmt *statement, int index) {
    return sqlite3_column_int64(statement, index);
}

void store_make_id(struct store *store, const char prefix[4], char text[24]) {
    uint8_t random[ID_RANDOM_BYTES];
    dr_entropy_take(&store->entropy, random, sizeof(random));
    memcpy(text, prefix, 4);
    const bool fits = dr_base62_write(random, sizeof(random), text + 4, ID_DIGITS);
    dr_assert(fits);
}

/* --- sums that stay integers ---------------------------------------------------------------- */

/* SQLite's own `+` turns an overflow into floating point and its SUM into an error; money may do
 * neither, so sums stop at the ends of int64. */
int64_t store_add_saturated(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (dr_add_i64(a, b, &sum)) return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

static void plus_call(sqlite3_context *call, int count, sqlite3_value **values) {
    dr_assert(count == 2);
    sqlite3_result_int64(
        call, store_add_saturated(sqlite3_value_int64(values[0]), sqlite3_value_int64(values[1])));
}

static void total_step(sqlite3_context *call, int count, sqlite3_value **values) {
    dr_assert(count == 1);
    int64_t *sum = sqlite3_aggregate_context(call, sizeof(*sum));
    if (!sum) {
        sqlite3_result_error_nomem(call);
        return;
    }
    *sum = store_add_saturated(*sum, sqlite3_value_int64(values[0]));
}

static void total_final(sqlite3_context *call) {
    const int64_t *sum = sqlite3_aggregate_context(call, 0);
    sqlite3_result_int64(call, sum ? *sum : 0);
}

static int add_functions(sqlite3 *database) {
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    const int code = sqlite3_create_function_v2(database, "plus_saturated", 2, flags, NULL,
                                                plus_call, NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    return sqlite3_create_function_v2(database, "sum_saturated", 1, flags, NULL, NULL, total_step,
                                      total_final, NULL);
}

/* --- opening -------------------------------------------------------------------------------- */

static enum dr_status path_of(const struct store *store, const char *name, char path[PATH_BYTES],
                              struct dr_error *error) {
    const int len = snprintf(path, PATH_BYTES, "%s/%s", store->folder, name);
    if (len > 0 && len < PATH_BYTES) return DR_OK;
    return dr_fail(error, DR_TOO_LARGE, 0, "the path of the data folder is too long");
}

static enum dr_status fail_locked(const struct store *store, struct dr_error *error) {
    char text[32];
    uint64_t process = 0;
    const ssize_t count = pread(store->lock, text, sizeof(text), 0);
    const dr_slice line = dr_slice_of(text, count > 0 ? (size_t)count : 0);
    if (!dr_slice_to_u64(dr_slice_first(line, dr_slice_find_char(line, '\n')), &process)) {
        return dr_fail(error, DR_EXISTS, 0,
                       "%s is in use by another drover gateway or command; stop it, or ask it "
                       "through --admin",
                       store->folder);
    }
    return dr_fail(error, DR_EXISTS, 0,
                   "%s is in use by process %" PRIu64
                   " (another drover gateway or command); stop it, or ask it through --admin",
                   store->folder, process);
}

static enum dr_status take_lock(struct store *store, struct dr_error *error) {
    char path[PATH_BYTES];
    enum dr_status status = path_of(store, "lock", path, error);
    if (status) return status;
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0) {
        return dr_fail(error, DR_IO, errno, "can't open %s: %s", path, strerror(errno));
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail_locked(store, error);
        return dr_fail(error, DR_IO, errno, "can't lock %s: %s", path, strerror(errno));
    }
    char text[32];
    const int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    /* Only for the sentence above: on a full disk it may fail, the lock holds nevertheless. */
    if (ftruncate(store->lock, 0) == 0) (void)!pwrite(store->lock, text, (size_t)len, 0);
    return DR_OK;
}

static enum dr_status execute(struct store *store, const char *sql, struct dr_error *error) {
    if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK) return DR_OK;
    return store_fail(store, error);
}

static enum dr_status open_database(struct store *store, struct dr_error *error) {
    char path[PATH_BYTES];
    enum dr_status status = path_of(store, "drover.db", path, error);
    if (status) return status;
    /* Made here first, because SQLite would make it readable for everybody. */
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return dr_fail(error, DR_IO, errno, "can't open %s: %s", path, strerror(errno));
    }
    close(file);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &store->database, flags, NULL) != SQLITE_OK) {
        if (store->database) return store_fail(store, error);
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    }
    sqlite3_extended_result_codes(store->database, 1);
    if (add_functions(store->database) != SQLITE_OK) return store_fail(store, error);
    /* The batches are few and large; FULL makes each of them durable when it returns. */
    return execute(store,
                   "PRAGMA page_size = 16384;"
                   "PRAGMA busy_timeout = 5000;"
                   "PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = FULL;"
                   "PRAGMA journal_size_limit = 67108864;"
                   "PRAGMA foreign_keys = ON;",
                   error);
}

static enum dr_status read_version(struct store *store, int64_t *ret, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    enum dr_status status = store_prepare(store, "PRAGMA user_version", &statement, error);
    if (status) return status;
    status = store_step(store, statement, error);
    if (!status) *ret = store_column_i64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

static enum dr_status run_migration(struct store *store, size_t number, struct dr_error *error) {
    char sql[64];
    enum dr_status status = store_begin(store, error);
    if (status) return status;
    status = execute(store, migrate_get(number)->sql, error);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %zu", number);
    if (!status) status = execute(store, sql, error);
    return store_end(store, status, error);
}

static enum dr_status migrate(struct store *store, struct dr_error *error) {
    int64_t version = 0;
    enum dr_status status = read_version(store, &version, error);
    if (status) return status;
    if (version < 0 || (uint64_t)version > migrate_count()) {
        return dr_fail(error, DR_UNSUPPORTED, 0,
                       "%s/drover.db has schema %" PRId64
                       ", this program knows up to %zu; use the newer drover that wrote it",
                       store->folder, version, migrate_count());
    }
    for (size_t number = (size_t)version + 1; number <= migrate_count(); number++) {
        status = run_migration(store, number, error);
        if (status) return status;
    }
    return DR_OK;
}

static enum dr_status read_span(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    enum dr_status status = store_statement(
        store, STORE_SELECT_SPAN, "SELECT value FROM fact WHERE name = 'page_span_ms_max'",
        &statement, error);
    if (status) return status;
    status = store_step(store, statement, error);
    if (!status) store->page_span_ms_max = store_column_i64(statement, 0);
    sqlite3_reset(statement);
    if (status == DR_NOT_FOUND) {
        return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db lacks its facts", store->folder);
    }
    return status;
}

/* --- the ledger's files --------------------------------------------------------------------- */

struct last_page {
    int64_t number;
    struct ledger_place end; /* nowhere: its records are in its row, or there is none */
};

/* The last page whose number is at most `number`. */
static enum dr_status read_last_page(struct store *store, struct sqlite3_stmt *row, int64_t number,
                                     struct last_page *ret, struct dr_error *error) {
    struct last_page page = {0};
    size_t len = 0;
    store_bind_i64(row, 1, number);
    enum dr_status status = store_step(store, row, error);
    if (!status) status = store_page_place(store, row, 1, &page.end, &len, error);
    if (!status) {
        page.number = store_column_i64(row, 0);
        page.end.offset += len;
    }
    sqlite3_reset(row);
    if (!status || status == DR_NOT_FOUND) *ret = page;
    return status == DR_NOT_FOUND ? DR_OK : status;
}

/* From a page to the last one of the files before its own. Pages lie in the order of their numbers,
 * so that it takes a few looks, where a walk over all rows would take minutes in large books. */
static enum dr_status go_to_file_before(struct store *store, struct sqlite3_stmt *row,
                                        struct last_page *page, struct dr_error *error) {
    const uint32_t file = page->end.file;
    struct last_page before = {0};
    int64_t low = 0;             /* up to here they are of files before */
    int64_t high = page->number; /* from here on they are not */
    while (low + 1 < high) {
        const int64_t middle = low + (high - low) / 2;
        struct last_page found;
        const enum dr_status status = read_last_page(store, row, middle, &found, error);
        if (status) return status;
        if (found.end.file < file) {
            low = middle;
            before = found;
        } else {
            high = found.number;
        }
    }
    *page = before;
    return DR_OK;
}

/* Goes on behind the last page of all, and looks for every file that pages are in. */
static enum dr_status open_ledger(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    struct last_page page;
    enum dr_status status =
        store_prepare(store,
                      "SELECT number," STORE_PAGE_COLUMNS "FROM page WHERE number <= ?1"
                      " ORDER BY number DESC LIMIT 1",
                      &row, error);
    if (status) return status;
    status = read_last_page(store, row, INT64_MAX, &page, error);
    if (!status) {
        store->last_page = page.number;
        status = ledger_file_new(store->folder, page.end, 0, &store->ledger, error);
    }
    while (!status && page.end.file > 0) {
        ledger_file_check(store->ledger, page.end);
        status = go_to_file_before(store, row, &page, error);
    }
    sqlite3_finalize(row);
    return status;
}

/* --- life ----------------------------------------------------------------------------------- */

enum dr_status store_open(const char *folder, struct store **ret_store, struct dr_error *error) {
    enum dr_status status = DR_NO_MEMORY;
    const size_t folder_len = strlen(folder);
    struct store *store = dr_alloc_zero(1, sizeof(*store));
    if (!store) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    store->lock = -1;
    fold_init(&store->fold, &store->entropy);
    store->folder = dr_alloc(folder_len + 1);
    if (!store->folder) {
        status = dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
        goto done;
    }
    memcpy(store->folder, folder, folder_len + 1);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        status = dr_fail(error, DR_IO, errno, "can't create %s: %s", folder, strerror(errno));
        goto done;
    }
    status = take_lock(store, error);
    if (status) goto done;
    status = open_database(store, error);
    if (status) goto done;
    status = migrate(store, error);
    if (status) goto done;
    status = read_span(store, error);
    if (status) goto done;
    status = open_ledger(store, error);
    if (status) goto done;
    status = store_read_lines_mark(store, error);
    if (status) goto done;
    store->is_ready = true;
    *ret_store = store; /* given */
    store = NULL;
done:
    store_close(store);
    return status;
}

void store_close(struct store *store) {
    if (!store) return;
    /* Not needed for the books, but kind to who looks at the file with another program. */
    if (store->is_ready) (void)!store_fold(store, NULL);
    for (size_t index = 0; index < STORE_STATEMENT_COUNT; index++) {
        sqlite3_finalize(store->statements[index]);
    }
    if (store->database) {
        const int code = sqlite3_close(store->database);
        dr_assert(code == SQLITE_OK);
    }
    if (store->lock >= 0) close(store->lock);
    ledger_file_free(store->ledger);
    fold_clear(&store->fold);
    dr_free(store->folder);
    dr_free(store);
}

const char *store_folder(const struct store *store) {
    return store->folder;
}
