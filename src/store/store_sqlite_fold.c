/* Totals and balances follow the pages: summed in memory while batches are put, folded into their
 * tables every few seconds and before anybody reads them. A key's total is so written once for
 * thousands of records, whatever the number of keys. */
#include "store/store_sqlite.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/check.h"
#include "store/journal.h"
#include "store/journal_record.h"

#include <sqlite3.h>

enum {
    GROUPS_MAX = 32 * 1024, /* more than these are folded at once */
    ENTRIES_MAX = 4 * 1024 * 1024,
    ARENA_BYTES_MAX = 256 * 1024 * 1024,
    FOLD_MS = 5000,
    DAY_MS = 24 * 60 * 60 * 1000,
};

struct fold_group {               /* what falls on one account, key, model and day */
    struct fold_group *next;      /* of all */
    struct fold_group *other_day; /* of the same account, key and model */
    struct fold_account *account;
    dr_slice name;          /* account, key and model with their lengths */
    dr_slice key_id, model; /* in the name; no model where it is unknown */
    int64_t day;
    uint64_t requests;
    uint64_t prompt_tokens, completion_tokens, total_tokens, cached_tokens;
    int64_t cost_nanousd;
};

struct fold_account {
    struct fold_account *next;
    dr_slice id;
    int64_t cost_nanousd;
};

/* --- sums ----------------------------------------------------------------------------------- */

void fold_init(struct fold *fold, struct dr_entropy *entropy) {
    uint64_t seeds[2];
    dr_entropy_take(entropy, seeds, sizeof(seeds));
    *fold = (struct fold){.since = dr_instant_now(), .is_lost = true};
    dr_arena_init(&fold->arena, ARENA_BYTES_MAX, NULL);
    dr_map_init(&fold->groups_by_name, ENTRIES_MAX, seeds[0]);
    dr_map_init(&fold->accounts_by_id, ENTRIES_MAX, seeds[1]);
}

void fold_clear(struct fold *fold) {
    dr_map_clear(&fold->groups_by_name);
    dr_map_clear(&fold->accounts_by_id);
    dr_arena_clear(&fold->arena);
    fold->groups = NULL;
    fold->accounts = NULL;
    fold->latest = NULL;
    fold->group_count = 0;
}

void fold_lose(struct fold *fold) {
    fold_clear(fold);
    fold->is_lost = true;
}

bool fold_is_due(const struct fold *fold) {
    return fold->group_count >= GROUPS_MAX ||
           dr_instant_now().us >= dr_instant_after_ms(fold->since, FOLD_MS).us;
}

static uint64_t count_saturated(uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    return dr_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

static int64_t day_of(dr_wall wall) {
    const int64_t day = wall.ms / DAY_MS;
    return wall.ms % DAY_MS < 0 ? day - 1 : day;
}

/* `id` lies in the arena. */
static struct fold_account *get_account(struct fold *fold, dr_slice id) {
    struct fold_account *account = dr_map_find(&fold->accounts_by_id, id);
    if (account) return account;
    account = dr_arena_alloc_zero(&fold->arena, sizeof(*account));
    if (!account) return NULL;
    account->id = id;
    if (dr_map_put(&fold->accounts_by_id, id, account)) return NULL;
    account->next = fold->accounts;
    fold->accounts = account;
    return account;
}

static struct fold_group *add_group(struct fold *fold, const struct ledger_entry *entry,
                                    dr_slice name, int64_t day, struct fold_group *first) {
    struct fold_group *group = dr_arena_alloc_zero(&fold->arena, sizeof(*group));
    if (!group || !dr_arena_copy(&fold->arena, name, &group->name)) return NULL;
    const size_t model_len = entry->is_model_unknown ? 0 : entry->model.len;
    const size_t texts_len = entry->account_id.len + entry->key_id.len + model_len;
    const dr_slice texts = dr_slice_from(group->name, name.len - texts_len);
    const dr_slice behind_account = dr_slice_from(texts, entry->account_id.len);
    group->key_id = dr_slice_first(behind_account, entry->key_id.len);
    group->model = dr_slice_from(behind_account, entry->key_id.len);
    group->day = day;
    group->account = get_account(fold, dr_slice_first(texts, entry->account_id.len));
    if (!group->account) return NULL;
    if (first) {
        group->other_day = first->other_day;
        first->other_day = group;
    } else if (dr_map_put(&fold->groups_by_name, group->name, group)) {
        return NULL;
    }
    group->next = fold->groups;
    fold->groups = group;
    fold->group_count++;
    return group;
}

static struct fold_group *get_group(struct fold *fold, const struct ledger_entry *entry) {
    char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX];
    const dr_slice name = journal_record_group(entry, scratch);
    const int64_t day = day_of(entry->created);
    struct fold_group *group = fold->latest;
    if (group && group->day == day && dr_slice_is(group->name, name)) return group;
    struct fold_group *first = dr_map_find(&fold->groups_by_name, name);
    for (group = first; group && group->day != day; group = group->other_day) {
    }
    if (!group) group = add_group(fold, entry, name, day, first);
    fold->latest = group;
    return group;
}

void fold_note(struct fold *fold, const struct ledger_entry *entry) {
    if (fold->is_lost) return;
    struct fold_group *group = get_group(fold, entry);
    if (!group) {
        fold_lose(fold);
        return;
    }
    const struct usage *usage = &entry->usage;
    struct fold_account *account = group->account;
    group->requests++;
    group->prompt_tokens = count_saturated(group->prompt_tokens, usage->prompt_tokens);
    group->completion_tokens = count_saturated(group->completion_tokens, usage->completion_tokens);
    group->total_tokens = count_saturated(group->total_tokens, usage->total_tokens);
    group->cached_tokens = count_saturated(group->cached_tokens, usage->cached_tokens);
    group->cost_nanousd = store_add_saturated(group->cost_nanousd, entry->cost.nanousd);
    account->cost_nanousd = store_add_saturated(account->cost_nanousd, entry->cost.nanousd);
}

/* --- folding -------------------------------------------------------------------------------- */

static enum dr_status put_total(struct store *store, const struct fold_group *group,
                                struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status = store_statement(
        store, STORE_UPSERT_TOTAL,
        "INSERT INTO total VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT DO UPDATE SET"
        " requests = plus_saturated(requests, excluded.requests),"
        " prompt_tokens = plus_saturated(prompt_tokens, excluded.prompt_tokens),"
        " completion_tokens = plus_saturated(completion_tokens, excluded.completion_tokens),"
        " total_tokens = plus_saturated(total_tokens, excluded.total_tokens),"
        " cached_tokens = plus_saturated(cached_tokens, excluded.cached_tokens),"
        " cost_nanousd = plus_saturated(cost_nanousd, excluded.cost_nanousd)",
        &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, group->account->id);
    store_bind_i64(statement, 2, group->day);
    store_bind_text(statement, 3, group->key_id);
    store_bind_text(statement, 4, group->model);
    store_bind_count(statement, 5, group->requests);
    store_bind_count(statement, 6, group->prompt_tokens);
    store_bind_count(statement, 7, group->completion_tokens);
    store_bind_count(statement, 8, group->total_tokens);
    store_bind_count(statement, 9, group->cached_tokens);
    store_bind_i64(statement, 10, group->cost_nanousd);
    return store_run(store, statement, error);
}

static enum dr_status settle_balance(struct store *store, const struct fold_account *account,
                                     struct dr_error *error) {
    if (account->cost_nanousd == 0) return DR_OK;
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status = store_statement(
        store, STORE_SETTLE_BALANCE,
        "UPDATE account SET balance_nanousd = plus_saturated(balance_nanousd, ?2) WHERE id = ?1",
        &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, account->id);
    store_bind_i64(statement, 2,
                   account->cost_nanousd == INT64_MIN ? INT64_MAX : -account->cost_nanousd);
    return store_run(store, statement, error);
}

static enum dr_status put_folded_page(struct store *store, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_UPDATE_FOLDED,
                        "UPDATE fact SET value = ?1 WHERE name = 'folded_page'", &statement, error);
    if (status) return status;
    store_bind_i64(statement, 1, store->fold.page);
    return store_run(store, statement, error);
}

static enum dr_status fold_sums(struct store *store, struct dr_error *error) {
    const struct fold *fold = &store->fold;
    if (!fold->groups) return DR_OK;
    enum dr_status status = store_begin(store, error);
    if (status) return status;
    for (const struct fold_group *group = fold->groups; !status && group; group = group->next) {
        status = put_total(store, group, error);
    }
    for (const struct fold_account *account = fold->accounts; !status && account;
         account = account->next) {
        status = settle_balance(store, account, error);
    }
    if (!status) status = put_folded_page(store, error);
    status = store_end(store, status, error);
    if (!status) fold_clear(&store->fold);
    return status;
}

/* --- making the sums again ------------------------------------------------------------------ */

static enum dr_status read_folded_page(struct store *store, int64_t *ret_page,
                                       struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status =
        store_statement(store, STORE_SELECT_FOLDED,
                        "SELECT value FROM fact WHERE name = 'folded_page'", &row, error);
    if (status) return status;
    status = store_step(store, row, error);
    if (!status) *ret_page = store_column_i64(row, 0);
    sqlite3_reset(row);
    if (status != DR_NOT_FOUND) return status;
    return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db lacks its facts", store->folder);
}

static enum dr_status sum_records(struct store *store, dr_slice records, struct dr_error *error) {
    struct fold *fold = &store->fold;
    struct ledger_entry entry;
    while (!fold->is_lost && journal_decode(&records, &entry) == JOURNAL_RECORD) {
        fold_note(fold, &entry);
    }
    if (fold->is_lost) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    return records.len > 0 ? store_fail_page(store, error) : DR_OK;
}

/* Adds the page behind the last one that is in the sums; DR_NOT_FOUND when there is none. */
static enum dr_status sum_next_page(struct store *store, struct dr_buf *buf,
                                    struct dr_error *error) {
    struct fold *fold = &store->fold;
    struct sqlite3_stmt *row = NULL;
    dr_slice records;
    enum dr_status status = store_statement(store, STORE_SELECT_PAGE_BEHIND,
                                            "SELECT number," STORE_PAGE_COLUMNS
                                            "FROM page WHERE number > ?1 ORDER BY number LIMIT 1",
                                            &row, error);
    if (status) return status;
    store_bind_i64(row, 1, fold->page);
    status = store_step(store, row, error);
    if (!status) status = store_page_records(store, row, 1, buf, &records, error);
    if (!status) status = sum_records(store, records, error);
    if (!status) fold->page = store_column_i64(row, 0);
    sqlite3_reset(row);
    return status;
}

static enum dr_status sum_pages(struct store *store, struct dr_error *error) {
    struct fold *fold = &store->fold;
    struct dr_buf buf;
    enum dr_status status = read_folded_page(store, &fold->page, error);
    if (status) return status;
    fold_clear(fold);
    fold->is_lost = false;
    dr_buf_init(&buf, LEDGER_PAGE_BYTES_MAX);
    while (!status) {
        status = sum_next_page(store, &buf, error);
        if (!status && fold->group_count >= GROUPS_MAX) status = fold_sums(store, error);
    }
    dr_buf_clear(&buf);
    if (status == DR_NOT_FOUND) return DR_OK;
    fold_lose(fold);
    return status;
}

enum dr_status store_fold(struct store *store, struct dr_error *error) {
    store->fold.since = dr_instant_now(); /* also of a failure: the next try comes later */
    if (store->fold.is_lost) {
        const enum dr_status status = sum_pages(store, error);
        if (status) return status;
    }
    return fold_sums(store, error);
}
