/* The steps of the schema. Amounts are nano-dollars, times UTC milliseconds, days counted from
 * 1970-01-01 UTC; 0 stands for "never" where a time may be absent. */
#include "store/migrate.h"

#include "base/assert.h"

static const struct migration steps[] = {
    {"accounts, keys, pages, totals",
     "CREATE TABLE account ("
     " number INTEGER PRIMARY KEY,"
     " id TEXT NOT NULL UNIQUE,"
     " name TEXT NOT NULL,"
     " balance_nanousd INTEGER NOT NULL,"
     " created_ms INTEGER NOT NULL"
     ") STRICT;"
     "CREATE TABLE topup ("
     " number INTEGER PRIMARY KEY,"
     " account_id TEXT NOT NULL REFERENCES account (id),"
     " amount_nanousd INTEGER NOT NULL CHECK (amount_nanousd > 0),"
     " reference TEXT UNIQUE," /* NULL: without */
     " created_ms INTEGER NOT NULL"
     ") STRICT;"
     "CREATE INDEX topup_by_account ON topup (account_id);"
     "CREATE TABLE api_key ("
     " number INTEGER PRIMARY KEY,"
     " id TEXT NOT NULL UNIQUE,"
     " account_id TEXT NOT NULL REFERENCES account (id),"
     " name TEXT NOT NULL,"
     " digest BLOB NOT NULL UNIQUE,"
     " hint TEXT NOT NULL,"
     " created_ms INTEGER NOT NULL,"
     " expires_ms INTEGER NOT NULL,"
     " revoked_ms INTEGER NOT NULL,"
     " requests_per_minute INTEGER NOT NULL,"
     " models TEXT NOT NULL" /* one a line */
     ") STRICT;"
     "CREATE INDEX api_key_by_account ON api_key (account_id);"
     /* Many journal records a row; the times are the least and greatest in it. */
     "CREATE TABLE page ("
     " number INTEGER PRIMARY KEY,"
     " created_ms_min INTEGER NOT NULL,"
     " created_ms_max INTEGER NOT NULL,"
     " record_count INTEGER NOT NULL,"
     " records BLOB NOT NULL"
     ") STRICT;"
     "CREATE INDEX page_by_time ON page (created_ms_max, created_ms_min);"
     "CREATE TABLE total ("
     " account_id TEXT NOT NULL,"
     " day INTEGER NOT NULL,"
     " key_id TEXT NOT NULL,"
     " model TEXT NOT NULL,"
     " requests INTEGER NOT NULL,"
     " prompt_tokens INTEGER NOT NULL,"
     " completion_tokens INTEGER NOT NULL,"
     " total_tokens INTEGER NOT NULL,"
     " cached_tokens INTEGER NOT NULL,"
     " cost_nanousd INTEGER NOT NULL,"
     " PRIMARY KEY (account_id, day, key_id, model)"
     ") STRICT, WITHOUT ROWID;"
     /* How much of a journal segment is in pages. */
     "CREATE TABLE segment ("
     " name TEXT PRIMARY KEY,"
     " taken_bytes INTEGER NOT NULL"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE fact ("
     " name TEXT PRIMARY KEY,"
     " value INTEGER NOT NULL"
     ") STRICT, WITHOUT ROWID;"
     /* Totals and balances hold what is in pages up to folded_page; the rest is added on
      * reading. */
     "INSERT INTO fact VALUES ('page_span_ms_max', 0), ('folded_page', 0);"},
    {"the mark of the usage log",
     /* What is there now has its lines, as far as it ever will. */
     "INSERT INTO fact SELECT 'lined_page', coalesce(max(number), 0) FROM page;"},
    {"pages in files beside the database",
     /* File 0: the records are in the row, as they all were before. */
     "ALTER TABLE page ADD COLUMN ledger_file INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE page ADD COLUMN ledger_offset INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE page ADD COLUMN record_bytes INTEGER NOT NULL DEFAULT 0;"},
    {"records that mark a model's name as unknown",
     /* Nothing changes here; earlier programs would take such a record for a damaged one. */
     "SELECT 1;"},
};

size_t migrate_count(void) {
    return sizeof(steps) / sizeof(steps[0]);
}

const struct migration *migrate_get(size_t number) {
    dr_assert(number >= 1 && number <= migrate_count());
    return &steps[number - 1];
}
