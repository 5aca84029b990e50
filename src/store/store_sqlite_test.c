/* Books as they are found: what earlier versions left is read beside what comes now, rows that
 * can't be are refused, and what is missing is told. */
#include "store/store_sqlite.h"

#include "base/buf.h"
#include "store/bookkeeper.h"
#include "store/journal.h"
#include "store/migrate.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sqlite3.h>

#include <fcntl.h>
#include <unistd.h>

enum {
    OLD_ENTRIES = 40,
    ENTRIES = 80,
    ROUNDS = 12, /* of new entries; each is a page */
    HOUR_MS = 3600 * 1000,
    LEDGER_PATH_BYTES = SAMPLE_PATH_BYTES + 64,
    LEDGER_FILE_BYTES = 16000, /* two of them */
};

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    struct sample_entry samples[ENTRIES];
};

static int set_up(void **state) {
    static struct fixture fixture;
    struct dr_random random;
    dr_random_seed(&random, 42);
    sample_folder_make(fixture.folder);
    for (size_t index = 0; index < ENTRIES; index++) {
        sample_entry_make(&fixture.samples[index], &random, 5);
    }
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const struct fixture *fixture = *state;
    sample_folder_remove(fixture->folder);
    return 0;
}

static void execute(sqlite3 *database, const char *sql) {
    char *text = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &text) != SQLITE_OK) fail_msg("%s", text);
}

/* As before the third step of the schema: a page's records are in its row. */
static void make_old_books(const struct fixture *fixture) {
    char path[SAMPLE_PATH_BYTES + 16];
    sqlite3 *database = NULL;
    sqlite3_stmt *insert = NULL;
    struct dr_buf buf;
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    execute(database, migrate_get(1)->sql);
    execute(database, migrate_get(2)->sql);
    execute(database, "PRAGMA user_version = 2");
    execute(database, "UPDATE fact SET value = 9000000000000 WHERE name = 'page_span_ms_max'");
    assert_int_equal(sqlite3_prepare_v2(database,
                                        "INSERT INTO page (created_ms_min, created_ms_max,"
                                        " record_count, records) VALUES (0, 9000000000000, 1, ?1)",
                                        -1, &insert, NULL),
                     SQLITE_OK);
    dr_buf_init(&buf, 65536);
    for (size_t index = 0; index < OLD_ENTRIES; index++) {
        dr_buf_reset(&buf);
        journal_encode(&buf, &fixture->samples[index].entry);
        sqlite3_bind_blob(insert, 1, buf.data, (int)buf.len, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
    }
    dr_buf_clear(&buf);
    sqlite3_finalize(insert);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* Through a journal, as a gateway would. */
static void put_new_entries(const struct fixture *fixture, struct store *store) {
    char path[SAMPLE_PATH_BYTES];
    struct journal *journal = NULL;
    uint64_t count = 0;
    sample_journal_path(fixture->folder, path);
    assert_int_equal(journal_open(path, 0, 0, &journal, NULL), DR_OK);
    for (size_t index = OLD_ENTRIES; index < ENTRIES; index++) {
        assert_true(journal_reserve(journal, dr_instant_now()));
        assert_int_equal(journal_append(journal, &fixture->samples[index].entry, NULL), DR_OK);
    }
    journal_close(journal);
    assert_int_equal(bookkeeper_replay(store, &count, NULL), DR_OK);
    assert_int_equal(count, ENTRIES - OLD_ENTRIES);
}

static bool count_entry(void *owner, const struct ledger_entry *entry) {
    size_t *count = owner;
    *count += entry->request_id.len > 0;
    return true;
}

static bool visit_cost(void *owner, const struct store_total *total) {
    int64_t *cost = owner;
    *cost = total->cost.nanousd;
    return true;
}

static void test_pages_in_rows_are_read_beside_those_in_files(void **state) {
    const struct fixture *fixture = *state;
    const struct store_filter all = {0};
    struct store *store = NULL;
    struct dr_arena arena;
    int64_t cost = 0, expected = 0;
    size_t count = 0;
    make_old_books(fixture);
    assert_int_equal(store_open(fixture->folder, &store, NULL), DR_OK);
    put_new_entries(fixture, store);
    dr_arena_init(&arena, 1 << 20, NULL);
    for (size_t index = 0; index < ENTRIES; index++) {
        const struct ledger_entry *entry = &fixture->samples[index].entry;
        struct ledger_entry found;
        assert_int_equal(store_find_entry(store, entry->request_id, DR_NONE, &arena, &found, NULL),
                         DR_OK);
        sample_entry_compare(entry, &found);
        expected += entry->cost.nanousd;
    }
    dr_arena_clear(&arena);
    assert_int_equal(store_each_entry(store, &all, count_entry, &count, NULL), DR_OK);
    assert_int_equal(count, ENTRIES);
    assert_int_equal(store_each_total(store, &all, 0, visit_cost, &cost, NULL), DR_OK);
    assert_int_equal(cost, expected);
    store_close(store);
}

/* A damaged last row must not send the next pages over those that are there. */
static void test_a_place_that_cannot_be_is_refused_at_the_start(void **state) {
    static const char *const places[] = {
        "ledger_file = 4294967296", "ledger_file = 4294967295",
        "ledger_file = -1",         "ledger_offset = 9223372036854775807",
        "ledger_offset = -1",       "record_bytes = 65537",
        "record_bytes = 0",
    };
    const struct fixture *fixture = *state;
    struct store *store = NULL;
    char path[SAMPLE_PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    assert_int_equal(store_open(fixture->folder, &store, NULL), DR_OK);
    put_new_entries(fixture, store);
    store_close(store);
    for (size_t index = 0; index < sizeof(places) / sizeof(places[0]); index++) {
        sqlite3 *database = NULL;
        char sql[256];
        assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
        execute(database, "CREATE TABLE kept AS SELECT * FROM page");
        snprintf(sql, sizeof(sql), "UPDATE page SET %s", places[index]);
        execute(database, sql);
        assert_int_equal(store_open(fixture->folder, &store, NULL), DR_CORRUPT);
        execute(database, "REPLACE INTO page SELECT * FROM kept; DROP TABLE kept");
        assert_int_equal(sqlite3_close(database), SQLITE_OK);
    }
    assert_int_equal(store_open(fixture->folder, &store, NULL), DR_OK);
    store_close(store);
}

static void path_of_ledger(const struct fixture *fixture, long long file,
                           char path[LEDGER_PATH_BYTES]) {
    snprintf(path, LEDGER_PATH_BYTES, "%s/ledger/%06lld.records", fixture->folder, file);
}

static int64_t read_number(const struct fixture *fixture, const char *sql) {
    char path[SAMPLE_PATH_BYTES + 16];
    sqlite3 *database = NULL;
    sqlite3_stmt *row = NULL;
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    return number;
}

/* Takes the new entries in, again, when it is time for the totals or just was. Returns how often it
 * was said that they are late. */
static size_t put_and_count_late(const struct fixture *fixture, struct store *store, bool is_due) {
    static struct sample_log log;
    store->fold.since = dr_instant_after_ms(dr_instant_now(), is_due ? -HOUR_MS : HOUR_MS);
    sample_log_begin(&log);
    put_new_entries(fixture, store);
    sample_log_end(&log);
    return sample_log_count(&log, " error store.totals_late text=\"");
}

static void test_totals_that_cannot_follow_are_said_to_be_late_and_come_later(void **state) {
    static const char *const folded = "SELECT value FROM fact WHERE name = 'folded_page'";
    static const char *const pages = "SELECT max(number) FROM page";
    const struct fixture *fixture = *state;
    const struct store_filter all = {0};
    struct store *store = NULL;
    char path[LEDGER_PATH_BYTES];
    char away[SAMPLE_PATH_BYTES + 16];
    int64_t cost = 0, expected = 0;
    assert_int_equal(store_open(fixture->folder, &store, NULL), DR_OK);
    assert_int_equal(put_and_count_late(fixture, store, false), 0);
    path_of_ledger(fixture, 1, path);
    snprintf(away, sizeof(away), "%s/away", fixture->folder);
    assert_int_equal(rename(path, away), 0);
    /* The records come in nevertheless, and it is not tried again with each batch. */
    assert_int_equal(put_and_count_late(fixture, store, true), 1);
    assert_true(dr_instant_us_since(dr_instant_now(), store->fold.since) < HOUR_MS / 2 * 1000LL);
    assert_int_equal(put_and_count_late(fixture, store, false), 0);
    assert_int_equal(put_and_count_late(fixture, store, true), 1);
    assert_int_equal(read_number(fixture, pages), 4);
    assert_int_equal(read_number(fixture, folded), 0);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(put_and_count_late(fixture, store, true), 0);
    assert_int_equal(read_number(fixture, folded), 5);
    for (size_t index = OLD_ENTRIES; index < ENTRIES; index++) {
        expected += 5 * fixture->samples[index].entry.cost.nanousd;
    }
    assert_int_equal(store_each_total(store, &all, 0, visit_cost, &cost, NULL), DR_OK);
    assert_int_equal(cost, expected);
    store_close(store);
}

/* --- files of the ledger -------------------------------------------------------------------- */

enum { FILES = ROUNDS / 2 };

/* Books whose ledger is a handful of small files, behind pages that are in their rows. */
static void make_books_of_files(const struct fixture *fixture) {
    struct store *store = NULL;
    make_old_books(fixture);
    assert_int_equal(store_open(fixture->folder, &store, NULL), DR_OK);
    ledger_file_free(store->ledger);
    assert_int_equal(ledger_file_new(fixture->folder, (struct ledger_place){0}, LEDGER_FILE_BYTES,
                                     &store->ledger, NULL),
                     DR_OK);
    for (size_t round = 0; round < ROUNDS; round++) put_new_entries(fixture, store);
    store_close(store);
    assert_int_equal(read_number(fixture, "SELECT max(ledger_file) FROM page"), FILES);
}

/* Opens the books as a gateway does. Returns how often a file was said to be missing, SIZE_MAX when
 * one was whose path begins otherwise. */
static size_t count_missing(const struct fixture *fixture, const char *path) {
    static struct sample_log log;
    struct store *store = NULL;
    char line[LEDGER_PATH_BYTES + 64];
    snprintf(line, sizeof(line), " error ledger.missing file=%s", path);
    sample_log_begin(&log);
    const enum dr_status status = store_open(fixture->folder, &store, NULL);
    sample_log_end(&log);
    assert_int_equal(status, DR_OK);
    store_close(store);
    const size_t count = sample_log_count(&log, "ledger.missing");
    return count == sample_log_count(&log, line) ? count : SIZE_MAX;
}

/* Cuts the file behind `len` bytes for a moment. */
static size_t count_missing_when_cut(const struct fixture *fixture, const char *path, size_t len) {
    char kept[2 * LEDGER_FILE_BYTES];
    const int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    const ssize_t kept_len = pread(file, kept, sizeof(kept), 0);
    assert_true(kept_len >= (ssize_t)len);
    assert_int_equal(ftruncate(file, (off_t)len), 0);
    const size_t count = count_missing(fixture, path);
    assert_int_equal(pwrite(file, kept, (size_t)kept_len, 0), kept_len);
    close(file);
    return count;
}

static void test_every_file_of_the_ledger_that_is_missing_or_cut_is_told(void **state) {
    const struct fixture *fixture = *state;
    char path[LEDGER_PATH_BYTES];
    char away[SAMPLE_PATH_BYTES + 16];
    make_books_of_files(fixture);
    snprintf(away, sizeof(away), "%s/away", fixture->folder);
    for (long long file = 1; file <= FILES; file++) {
        char sql[128];
        snprintf(sql, sizeof(sql),
                 "SELECT max(ledger_offset + record_bytes) FROM page WHERE ledger_file = %lld",
                 file);
        const size_t end = (size_t)read_number(fixture, sql);
        path_of_ledger(fixture, file, path);
        assert_int_equal(count_missing(fixture, path), 0);
        assert_int_equal(count_missing_when_cut(fixture, path, end), 0);
        assert_int_equal(count_missing_when_cut(fixture, path, end - 1), 1);
        assert_int_equal(count_missing_when_cut(fixture, path, 0), 1);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(count_missing(fixture, path), 1);
        assert_int_equal(rename(away, path), 0);
    }
}

/* Rows of pages at any distance, any number of them for a file; `ends` is where the last one of
 * each does. */
static void make_rows_of_files(const struct fixture *fixture, struct dr_random *random,
                               uint64_t ends[FILES]) {
    char path[SAMPLE_PATH_BYTES + 16];
    sqlite3 *database = NULL;
    uint64_t number = 0;
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    execute(database, "DELETE FROM page; UPDATE fact SET value = 1000 WHERE name = 'folded_page'");
    for (size_t file = 0; file < FILES; file++) {
        ends[file] = 0;
        for (uint64_t count = 1 + dr_random_below(random, 9); count > 0; count--) {
            char sql[128];
            const uint64_t len = 1 + dr_random_below(random, 5000);
            number += 1 + dr_random_below(random, 4);
            snprintf(sql, sizeof(sql),
                     "INSERT INTO page VALUES (%llu, 0, 0, 1, x'', %zu, %llu, %llu)",
                     (unsigned long long)number, file + 1, (unsigned long long)ends[file],
                     (unsigned long long)len);
            execute(database, sql);
            ends[file] += len;
        }
    }
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void cut_files(const struct fixture *fixture, const uint64_t ends[FILES], uint64_t missing) {
    for (size_t file = 0; file < FILES; file++) {
        char path[LEDGER_PATH_BYTES];
        path_of_ledger(fixture, (long long)file + 1, path);
        assert_int_equal(truncate(path, (off_t)(ends[file] - missing)), 0);
    }
}

static void test_the_end_of_each_file_is_known_whatever_pages_are_in_it(void **state) {
    const struct fixture *fixture = *state;
    struct dr_random random;
    dr_random_seed(&random, 3);
    make_books_of_files(fixture);
    for (size_t round = 0; round < 20; round++) {
        uint64_t ends[FILES];
        make_rows_of_files(fixture, &random, ends);
        cut_files(fixture, ends, 0);
        assert_int_equal(count_missing(fixture, fixture->folder), 0);
        cut_files(fixture, ends, 1);
        assert_int_equal(count_missing(fixture, fixture->folder), FILES);
    }
}

static bool visit_requests(void *owner, const struct store_total *total) {
    uint64_t *requests = owner;
    *requests = total->requests;
    return true;
}

/* ... also where numbers of pages are missing. */
static void test_books_go_on_without_an_older_file_of_the_ledger(void **state) {
    const struct fixture *fixture = *state;
    const struct store_filter all = {0};
    static struct sample_log log;
    struct store *store = NULL;
    sqlite3 *database = NULL;
    char path[LEDGER_PATH_BYTES];
    uint64_t requests = 0;
    make_books_of_files(fixture);
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    execute(database, "DELETE FROM page WHERE number % 2 = 1 AND ledger_file > 0");
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    for (long long file = 1; file < FILES; file++) {
        path_of_ledger(fixture, file, path);
        assert_int_equal(unlink(path), 0);
    }
    sample_log_begin(&log);
    const enum dr_status status = store_open(fixture->folder, &store, NULL);
    sample_log_end(&log);
    assert_int_equal(status, DR_OK);
    assert_int_equal(sample_log_count(&log, "ledger.missing"), FILES - 1);
    put_new_entries(fixture, store);
    assert_int_equal(store_each_total(store, &all, 0, visit_requests, &requests, NULL), DR_OK);
    assert_int_equal(requests, OLD_ENTRIES + (ROUNDS + 1) * (ENTRIES - OLD_ENTRIES));
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages_in_rows_are_read_beside_those_in_files, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_place_that_cannot_be_is_refused_at_the_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_totals_that_cannot_follow_are_said_to_be_late_and_come_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_every_file_of_the_ledger_that_is_missing_or_cut_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_of_each_file_is_known_whatever_pages_are_in_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_books_go_on_without_an_older_file_of_the_ledger,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
