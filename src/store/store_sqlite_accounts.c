/* Accounts, top-ups and keys as rows. Checks what a name may be; decides nothing about their
 * use. */
#include "store/store_sqlite.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/utf8.h"

#include <sqlite3.h>

#define KEY_COLUMNS \
    "id, account_id, name, digest, hint, created_ms, expires_ms, revoked_ms, requests_per_minute," \
    " models"

enum {
    ID_BYTES_MAX = 64,
    HINT_BYTES_MAX = 16,
    MODEL_BYTES_MAX = 256,
    REFERENCE_BYTES_MAX = 256,
    ROW_ARENA_BYTES = 1 << 20,
};

/* --- names ---------------------------------------------------------------------------------- */

static enum dr_status check_name(dr_slice name, size_t len_max, const char *what,
                                 struct dr_error *error) {
    if (name.len > len_max) {
        return dr_fail(error, DR_INVALID, 0, "%s has %zu bytes; at most %zu are allowed", what,
                       name.len, len_max);
    }
    if (!dr_utf8_is_valid(name)) return dr_fail(error, DR_INVALID, 0, "%s is not UTF-8", what);
    for (size_t index = 0; index < name.len; index++) {
        const unsigned char byte = (unsigned char)name.data[index];
        /* C0 and DEL, and C1, whose first byte in UTF-8 is 0xC2. */
        const bool is_c1 = byte == 0xC2 && (unsigned char)name.data[index + 1] < 0xA0;
        if (byte < 0x20 || byte == 0x7F || is_c1) {
            return dr_fail(error, DR_INVALID, 0, "%s has a control character", what);
        }
    }
    return DR_OK;
}

static enum dr_status check_present(dr_slice name, size_t len_max, const char *what,
                                    struct dr_error *error) {
    if (name.len == 0) return dr_fail(error, DR_INVALID, 0, "%s is empty", what);
    return check_name(name, len_max, what, error);
}

static enum dr_status fail_memory(struct dr_error *error) {
    return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
}

/* --- accounts ------------------------------------------------------------------------------- */

enum dr_status store_create_account(struct store *store, dr_slice name, dr_wall now,
                                    struct dr_arena *arena, struct account *ret_account,
                                    struct dr_error *error) {
    enum dr_status status =
        check_present(name, ACCOUNT_NAME_BYTES_MAX, "the account's name", error);
    if (status) return status;
    char id[ACCOUNT_ID_BYTES];
    store_make_id(store, "acc_", id);
    struct account account = {.created = now};
    if (!dr_arena_copy(arena, dr_slice_of(id, sizeof(id)), &account.id) ||
        !dr_arena_copy(arena, name, &account.name)) {
        return fail_memory(error);
    }
    struct sqlite3_stmt *statement = NULL;
    status = store_statement(store, STORE_INSERT_ACCOUNT,
                             "INSERT INTO account (id, name, balance_nanousd, created_ms)"
                             " VALUES (?1, ?2, 0, ?3)",
                             &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, account.id);
    store_bind_text(statement, 2, account.name);
    store_bind_i64(statement, 3, now.ms);
    status = store_run(store, statement, error);
    if (!status) *ret_account = account;
    return status;
}

/* The row's texts, lent until the next step. */
static struct account account_of_row(struct sqlite3_stmt *row) {
    return (struct account){
        .id = store_column(row, 0),
        .name = store_column(row, 1),
        .balance = {store_column_i64(row, 2)},
        .created = {store_column_i64(row, 3)},
    };
}

/* A row with the account, to be reset by the caller in any case. */
static enum dr_status select_account(struct store *store, dr_slice id,
                                     struct sqlite3_stmt **ret_row, struct dr_error *error) {
    enum dr_status status = store_statement(
        store, STORE_SELECT_ACCOUNT,
        "SELECT id, name, balance_nanousd, created_ms FROM account WHERE id = ?1", ret_row, error);
    if (status) return status;
    store_bind_text(*ret_row, 1, id);
    status = store_step(store, *ret_row, error);
    if (status == DR_NOT_FOUND) {
        return dr_fail(error, DR_NOT_FOUND, 0, "there is no account %.*s",
                       DR_FMT(dr_slice_first(id, ID_BYTES_MAX)));
    }
    return status;
}

enum dr_status store_find_account(struct store *store, dr_slice id, struct dr_arena *arena,
                                  struct account *ret_account, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status = store_fold(store, error);
    if (!status) status = select_account(store, id, &row, error);
    if (!status) {
        struct account account = account_of_row(row);
        if (dr_arena_copy(arena, account.id, &account.id) &&
            dr_arena_copy(arena, account.name, &account.name)) {
            *ret_account = account;
        } else {
            status = fail_memory(error);
        }
    }
    sqlite3_reset(row);
    return status;
}

enum dr_status store_each_account(struct store *store,
                                  bool (*visit)(void *owner, const struct account *account),
                                  void *owner, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status = store_fold(store, error);
    if (status) return status;
    status = store_prepare(store,
                           "SELECT id, name, balance_nanousd, created_ms FROM account"
                           " ORDER BY number",
                           &row, error);
    if (status) return status;
    for (status = store_step(store, row, error); !status; status = store_step(store, row, error)) {
        const struct account account = account_of_row(row);
        if (!visit(owner, &account)) break;
    }
    sqlite3_finalize(row);
    return status == DR_NOT_FOUND ? DR_OK : status;
}

/* --- top-ups -------------------------------------------------------------------------------- */

static enum dr_status insert_topup(struct store *store, dr_slice account_id, money amount,
                                   dr_slice reference, dr_wall now, struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    enum dr_status status =
        store_statement(store, STORE_INSERT_TOPUP,
                        "INSERT INTO topup (account_id, amount_nanousd, reference, created_ms)"
                        " VALUES (?1, ?2, nullif(?3, ''), ?4)",
                        &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, account_id);
    store_bind_i64(statement, 2, amount.nanousd);
    store_bind_text(statement, 3, reference);
    store_bind_i64(statement, 4, now.ms);
    status = store_run(store, statement, error);
    if (status == DR_EXISTS) {
        return dr_fail(error, DR_EXISTS, 0, "a top-up with reference %.*s was made before",
                       DR_FMT(reference));
    }
    return status;
}

static enum dr_status update_balance(struct store *store, dr_slice account_id, money balance,
                                     struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    const enum dr_status status =
        store_statement(store, STORE_UPDATE_BALANCE,
                        "UPDATE account SET balance_nanousd = ?2 WHERE id = ?1", &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, account_id);
    store_bind_i64(statement, 2, balance.nanousd);
    return store_run(store, statement, error);
}

enum dr_status store_topup(struct store *store, dr_slice account_id, money amount,
                           dr_slice reference, dr_wall now, struct dr_error *error) {
    if (amount.nanousd <= 0) {
        return dr_fail(error, DR_INVALID, 0, "a top-up's amount must be more than zero");
    }
    enum dr_status status = check_name(reference, REFERENCE_BYTES_MAX, "the reference", error);
    if (status) return status;
    status = store_begin(store, error);
    if (status) return status;
    struct sqlite3_stmt *row = NULL;
    money balance = {0};
    status = select_account(store, account_id, &row, error);
    if (!status) balance.nanousd = store_column_i64(row, 2);
    sqlite3_reset(row);
    if (!status && !dr_add_i64(balance.nanousd, amount.nanousd, &balance.nanousd)) {
        status = dr_fail(error, DR_TOO_LARGE, 0, "the balance would exceed what can be counted");
    }
    if (!status) status = insert_topup(store, account_id, amount, reference, now, error);
    if (!status) status = update_balance(store, account_id, balance, error);
    return store_end(store, status, error);
}

enum dr_status store_find_topup(struct store *store, dr_slice reference, struct dr_arena *arena,
                                dr_slice *ret_account_id, money *ret_amount,
                                struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    enum dr_status status = store_prepare(
        store, "SELECT account_id, amount_nanousd FROM topup WHERE reference = ?1", &row, error);
    if (status) return status;
    store_bind_text(row, 1, reference);
    status = store_step(store, row, error);
    if (status == DR_NOT_FOUND) {
        status = dr_fail(error, DR_NOT_FOUND, 0, "no top-up has this reference");
    } else if (!status && !dr_arena_copy(arena, store_column(row, 0), ret_account_id)) {
        status = fail_memory(error);
    } else if (!status) {
        *ret_amount = (money){store_column_i64(row, 1)};
    }
    sqlite3_finalize(row);
    return status;
}

/* --- keys ----------------------------------------------------------------------------------- */

/* Allowed models are kept as lines, since no name may hold a line end. */
static enum dr_status join_models(const struct api_key *key, struct dr_arena *arena,
                                  dr_slice *ret_text, struct dr_error *error) {
    size_t len = 0;
    if (key->model_count > KEY_MODELS_MAX) {
        return dr_fail(error, DR_INVALID, 0, "a key can name at most %d models", KEY_MODELS_MAX);
    }
    for (size_t index = 0; index < key->model_count; index++) {
        const enum dr_status status =
            check_present(key->models[index], MODEL_BYTES_MAX, "an allowed model's name", error);
        if (status) return status;
        len += key->models[index].len + 1;
    }
    if (len == 0) return DR_OK;
    char *text = dr_arena_alloc(arena, len);
    if (!text) return fail_memory(error);
    char *at = text;
    for (size_t index = 0; index < key->model_count; index++) {
        memcpy(at, key->models[index].data, key->models[index].len);
        at += key->models[index].len;
        *at++ = '\n';
    }
    *ret_text = dr_slice_of(text, len);
    return DR_OK;
}

static enum dr_status split_models(dr_slice text, struct dr_arena *arena, struct api_key *key,
                                   struct dr_error *error) {
    size_t count = 0;
    for (size_t index = 0; index < text.len; index++) count += text.data[index] == '\n';
    key->models = NULL;
    key->model_count = count;
    if (count == 0) return DR_OK;
    dr_slice *models = dr_arena_alloc(arena, count * sizeof(*models));
    if (!models || !dr_arena_copy(arena, text, &text)) return fail_memory(error);
    for (size_t index = 0; index < count; index++) models[index] = dr_slice_split(&text, '\n');
    key->models = models;
    return DR_OK;
}

static bool copy_key_texts(struct dr_arena *arena, struct api_key *key) {
    return dr_arena_copy(arena, key->id, &key->id) &&
           dr_arena_copy(arena, key->account_id, &key->account_id) &&
           dr_arena_copy(arena, key->name, &key->name) &&
           dr_arena_copy(arena, key->hint, &key->hint);
}

static enum dr_status insert_key(struct store *store, const struct api_key *key, dr_slice models,
                                 struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    enum dr_status status = store_statement(store, STORE_INSERT_KEY,
                                            "INSERT INTO api_key (" KEY_COLUMNS
                                            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                            &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, key->id);
    store_bind_text(statement, 2, key->account_id);
    store_bind_text(statement, 3, key->name);
    store_bind_bytes(statement, 4,
                     dr_slice_of((const char *)key->digest.bytes, sizeof(key->digest.bytes)));
    store_bind_text(statement, 5, key->hint);
    store_bind_i64(statement, 6, key->created.ms);
    store_bind_i64(statement, 7, key->expires.ms);
    store_bind_i64(statement, 8, key->revoked.ms);
    store_bind_i64(statement, 9, key->requests_per_minute);
    store_bind_text(statement, 10, models);
    status = store_run(store, statement, error);
    if (status == DR_EXISTS && !store_is_conflict(store)) {
        return dr_fail(error, DR_NOT_FOUND, 0, "there is no account %.*s", DR_FMT(key->account_id));
    }
    if (status == DR_EXISTS) return dr_fail(error, DR_EXISTS, 0, "this key exists already");
    return status;
}

static enum dr_status check_key(const struct api_key *key, struct dr_error *error) {
    enum dr_status status = check_name(key->id, ID_BYTES_MAX, "the key's id", error);
    if (!status) status = check_name(key->name, ACCOUNT_NAME_BYTES_MAX, "the key's name", error);
    if (!status) status = check_name(key->hint, HINT_BYTES_MAX, "the key's hint", error);
    if (!status) status = check_name(key->account_id, ID_BYTES_MAX, "the account's id", error);
    return status;
}

enum dr_status store_create_key(struct store *store, const struct api_key *key,
                                struct dr_arena *arena, struct api_key *ret_key,
                                struct dr_error *error) {
    enum dr_status status = check_key(key, error);
    if (status) return status;
    struct api_key made = *key;
    char id[ACCOUNT_ID_BYTES];
    if (made.id.len == 0) {
        store_make_id(store, "key_", id);
        made.id = dr_slice_of(id, sizeof(id));
    }
    dr_slice models = DR_NONE;
    status = join_models(key, arena, &models, error);
    if (status) return status;
    if (!copy_key_texts(arena, &made)) return fail_memory(error);
    status = split_models(models, arena, &made, error);
    if (status) return status;
    status = insert_key(store, &made, models, error);
    if (!status) *ret_key = made;
    return status;
}

/* The row's record; its models in `arena`, its other texts lent until the next step. */
static enum dr_status key_of_row(const struct store *store, struct sqlite3_stmt *row,
                                 struct dr_arena *arena, struct api_key *key,
                                 struct dr_error *error) {
    const dr_slice digest = store_column(row, 3);
    *key = (struct api_key){
        .id = store_column(row, 0),
        .account_id = store_column(row, 1),
        .name = store_column(row, 2),
        .hint = store_column(row, 4),
        .created = {store_column_i64(row, 5)},
        .expires = {store_column_i64(row, 6)},
        .revoked = {store_column_i64(row, 7)},
    };
    if (digest.len != sizeof(key->digest.bytes) ||
        !dr_narrow_u32((uint64_t)store_column_i64(row, 8), &key->requests_per_minute)) {
        return dr_fail(error, DR_CORRUPT, 0, "%s/drover.db: key %.*s is damaged", store->folder,
                       DR_FMT(key->id));
    }
    memcpy(key->digest.bytes, digest.data, digest.len);
    return split_models(store_column(row, 9), arena, key, error);
}

enum dr_status store_find_key(struct store *store, dr_slice id, struct dr_arena *arena,
                              struct api_key *ret_key, struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    struct api_key key;
    enum dr_status status = store_statement(
        store, STORE_SELECT_KEY, "SELECT " KEY_COLUMNS " FROM api_key WHERE id = ?1", &row, error);
    if (status) return status;
    store_bind_text(row, 1, id);
    status = store_step(store, row, error);
    if (status == DR_NOT_FOUND) {
        status = dr_fail(error, DR_NOT_FOUND, 0, "there is no key %.*s",
                         DR_FMT(dr_slice_first(id, ID_BYTES_MAX)));
    }
    if (!status) status = key_of_row(store, row, arena, &key, error);
    if (!status && !copy_key_texts(arena, &key)) status = fail_memory(error);
    if (!status) *ret_key = key;
    sqlite3_reset(row);
    return status;
}

enum dr_status store_each_key(struct store *store, dr_slice account_id,
                              bool (*visit)(void *owner, const struct api_key *key), void *owner,
                              struct dr_error *error) {
    struct sqlite3_stmt *row = NULL;
    struct dr_arena arena;
    enum dr_status status =
        store_prepare(store,
                      account_id.len > 0 ? "SELECT " KEY_COLUMNS
                                           " FROM api_key WHERE account_id = ?1 ORDER BY number"
                                         : "SELECT " KEY_COLUMNS " FROM api_key ORDER BY number",
                      &row, error);
    if (status) return status;
    if (account_id.len > 0) store_bind_text(row, 1, account_id);
    dr_arena_init(&arena, ROW_ARENA_BYTES, NULL);
    for (status = store_step(store, row, error); !status; status = store_step(store, row, error)) {
        struct api_key key;
        status = key_of_row(store, row, &arena, &key, error);
        if (status || !visit(owner, &key)) break;
        dr_arena_clear(&arena);
    }
    dr_arena_clear(&arena);
    sqlite3_finalize(row);
    return status == DR_NOT_FOUND ? DR_OK : status;
}

enum dr_status store_revoke_key(struct store *store, dr_slice id, dr_wall now,
                                struct dr_error *error) {
    struct sqlite3_stmt *statement = NULL;
    enum dr_status status =
        store_statement(store, STORE_REVOKE_KEY,
                        "UPDATE api_key SET revoked_ms = iif(revoked_ms = 0, ?2, revoked_ms)"
                        " WHERE id = ?1",
                        &statement, error);
    if (status) return status;
    store_bind_text(statement, 1, id);
    store_bind_i64(statement, 2, now.ms);
    status = store_run(store, statement, error);
    if (!status && sqlite3_changes(store->database) == 0) {
        return dr_fail(error, DR_NOT_FOUND, 0, "there is no key %.*s",
                       DR_FMT(dr_slice_first(id, ID_BYTES_MAX)));
    }
    return status;
}
